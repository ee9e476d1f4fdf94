/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/nested.h"

int guest_memory_init(struct guest_memory *memory, const struct radix_format *format, u8 max_leaf,
		      u32 phys_bits)
{
	int err;

	memset(memory, 0, sizeof(*memory));
	/* A gpa wider than the tables could not be mapped; guest page tables have room for 52 bits. */
	if (phys_bits < 32 || phys_bits > 52 || phys_bits > 12u + 9 * format->levels)
		return -EINVAL;
	err = radix_init(&memory->radix, format, max_leaf);
	if (err)
		return err;
	memory->slots = host_alloc(sizeof(*memory->slots));
	if (!memory->slots) {
		radix_destroy(&memory->radix);
		return -ENOMEM;
	}
	memory->phys_bits = phys_bits;
	memory->flush.generation = 1;
	host_lock_init(&memory->lock);
	return 0;
}

void guest_memory_destroy(struct guest_memory *memory)
{
	radix_destroy(&memory->radix);
	for (u32 i = 0; memory->slots && i < memory->slots->count; i++)
		dirty_log_free(memory->slots->slot[i].log);
	host_free((void *)memory->slots);
	memory->slots = NULL;
}

/* ---- the host's, or its owner's, changes; under lock */

/* A fault that began before this maps nothing, nor does one before invalidations_end(). */
static void invalidations_begin(struct guest_memory *memory)
{
	memory->invalidations.under_way++;
	WRITE_ONCE(memory->invalidations.sequence, memory->invalidations.sequence + 1);
}

/* A fault that began in between may hold the page, or the slot, as it was before the change. */
static void invalidations_end(struct guest_memory *memory)
{
	WRITE_ONCE(memory->invalidations.sequence, memory->invalidations.sequence + 1);
	DEBUG_ASSERT(memory->invalidations.under_way);
	memory->invalidations.under_way--;
}

void guest_memory_publish(struct guest_memory *memory, struct slots *next, u64 start, u64 end,
			  struct flush *owed)
{
	const struct slots *old = memory->slots;
	struct flush flush = { 0 };

	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	invalidations_begin(memory);
	if (start < end)
		guest_memory_unmap(memory, start, end, true, &flush);
	WRITE_ONCE(memory->slots, next);
	invalidations_end(memory);
	*owed = guest_memory_unmap_end(memory, flush);
	host_read_synchronize();
	host_free((void *)old);
}

/* A slot that is added with a log. */
static int add_log(struct slots *next, const struct fermata_memory *change)
{
	u32 i = 0;

	if (!change->size || !(change->flags & FERMATA_MEMORY_LOG_DIRTY))
		return 0;
	while (next->slot[i].id != change->slot)
		i++;
	return dirty_log_new(change->size, &next->slot[i].log);
}

int guest_memory_set_slot(struct guest_memory *memory, const struct fermata_memory *change,
			  struct flush *owed)
{
	struct slots *next = host_alloc(sizeof(*next));
	struct slot removed;
	int err;

	*owed = (struct flush){ 0 };
	if (!next)
		return -ENOMEM;
	err = slots_change(memory->slots, change, memory->phys_bits, next, &removed) ?:
		      add_log(next, change);
	if (err) {
		host_free(next);
		return err;
	}
	guest_memory_publish(memory, next, removed.gpa, removed.gpa + removed.size, owed);
	dirty_log_free(removed.log);
	return 0;
}

/* ---- faults */

/* -ENOENT, -EACCES */
static int find_slot(struct guest_memory *memory, u64 gpa, bool write, struct slot *out)
{
	const struct slot *slot;

	host_read_begin();
	slot = slots_find(READ_ONCE(memory->slots), gpa);
	if (slot)
		*out = *slot;
	host_read_end();
	if (!slot)
		return -ENOENT;
	return write && out->flags & FERMATA_MEMORY_READONLY ? -EACCES : 0;
}

/*
 * The largest leaf around gpa that lies inside the slot and is one page of the host's: the same place
 * in both, or the leaf would begin in the middle of the host's page.
 */
static u8 leaf_level(const struct radix *radix, u64 gpa, const struct slot *slot,
		     const struct host_page *page)
{
	u64 phys = page->phys | (gpa & 0xfff);
	u8 level = slot->log ? 1 : min(page->level, radix->max_leaf);

	for (; level > 1; level--) {
		u64 size = radix_size(level), start = gpa & ~(size - 1);

		if (!((gpa ^ phys) & (size - 1)) && start >= slot->gpa &&
		    start + size <= slot->gpa + slot->size)
			break;
	}
	return max(level, (u8)1);
}

/* ---- closed pages */

/* Under lock. */
static u32 allowed(const struct guest_memory *memory, u64 gpa)
{
	u64 frame = gpa >> 12;
	u32 denied = closed_access(memory->closed, frame, frame);

	for (u32 i = 0; denied && i < memory->opened.count; i++)
		if (memory->opened.at[i].frame == frame)
			denied &= ~memory->opened.at[i].access;
	return closed_allowed(memory->radix.format, denied);
}

/* No leaf is larger than what is closed alike: a page, or nothing of it. */
static u8 unclosed_level(const struct guest_memory *memory, u64 gpa, u8 level)
{
	for (; level > 1; level--) {
		u64 first = gpa >> 12 & ~((radix_size(level) >> 12) - 1);

		if (!closed_access(memory->closed, first, first + (radix_size(level) >> 12) - 1))
			break;
	}
	return level;
}

u32 guest_memory_allows(struct guest_memory *memory, u64 gpa)
{
	u32 access;

	host_lock(&memory->lock);
	access = allowed(memory, gpa);
	host_unlock(&memory->lock);
	return access;
}

static void unmap_frames(struct guest_memory *memory, u64 first, u64 last, u8 level,
			 struct flush *owed)
{
	u64 mask = radix_size(level) - 1, limit = 1ull << memory->phys_bits;
	u64 start = first << 12 & ~mask, end;

	if (start >= limit)
		return;
	end = last >= limit >> 12 ? limit : ((last << 12) | 0xfff | mask) + 1;
	guest_memory_unmap(memory, start, end, true, owed);
}

/*
 * Single frames of `a` that are closed otherwise in `b`. They come and go while the guest runs: around one
 * that is closed no more the leaves stay small.
 */
static void unmap_changed(struct guest_memory *memory, const struct closed *a,
			  const struct closed *b, struct flush *owed)
{
	for (u32 i = 0; a && i < a->frames; i++) {
		u64 frame = a->frame[i].frame;

		if (closed_frame(b, frame) == a->frame[i].access)
			continue;
		unmap_frames(memory, frame, frame, 1, owed);
		guest_memory_breathe(memory);
	}
}

/* Ranges of `a` that are not closed alike in `b`. */
static void unmap_ranges(struct guest_memory *memory, const struct closed *a,
			 const struct closed *b, u8 level, struct flush *owed)
{
	for (u32 i = 0; a && i < a->count; i++) {
		if (closed_has(b, &a->at[i]))
			continue;
		unmap_frames(memory, a->at[i].first, a->at[i].last, level, owed);
		guest_memory_breathe(memory);
	}
}

struct closed *guest_memory_set_closed(struct guest_memory *memory, struct closed *next)
{
	struct closed *old;

	host_lock(&memory->lock);
	old = memory->closed;
	WRITE_ONCE(memory->closed, next);
	if (next)
		next->users = 2; /* the memory, and guest_memory_apply_closed() */
	host_unlock(&memory->lock);
	return old;
}

/* Meanwhile another one may have taken the place of `next`. */
void guest_memory_apply_closed(struct guest_memory *memory, struct closed *old, struct closed *next,
			       struct flush *owed)
{
	struct flush flush = { 0 };

	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	unmap_ranges(memory, next, old, 1, &flush);
	unmap_ranges(memory, old, next, memory->radix.max_leaf > 1 ? 2 : 1, &flush);
	unmap_changed(memory, next, old, &flush);
	unmap_changed(memory, old, next, &flush);
	if (old && --old->users)
		old = NULL;
	if (next && --next->users)
		next = NULL;
	*owed = guest_memory_unmap_end(memory, flush);
	host_free(old);
	host_free(next);
}

void guest_memory_limit_leaves(struct guest_memory *memory, u8 level, struct flush *owed)
{
	struct flush flush = { 0 };

	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	if (memory->radix.max_leaf > level) {
		memory->radix.max_leaf = level;
		guest_memory_unmap(memory, 0, 1ull << memory->phys_bits, true, &flush);
	}
	*owed = guest_memory_unmap_end(memory, flush);
}

bool guest_memory_open(struct guest_memory *memory, u64 gpa, u32 access)
{
	u32 needed = closed_needed(memory->radix.format, access), i;
	u64 frame = gpa >> 12;

	host_lock(&memory->lock);
	for (i = 0; i < memory->opened.count && memory->opened.at[i].frame != frame; i++)
		;
	if (i < CLOSED_OPEN_MAX) {
		if (i == memory->opened.count) {
			memory->opened.at[i].frame = frame;
			memory->opened.at[i].access = 0;
			memory->opened.count++;
		}
		memory->opened.at[i].access |= needed;
	}
	host_unlock(&memory->lock);
	return i < CLOSED_OPEN_MAX;
}

struct flush guest_memory_close(struct guest_memory *memory)
{
	struct flush flush = { 0 };

	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	while (memory->opened.count) {
		u64 frame = memory->opened.at[--memory->opened.count].frame;

		unmap_frames(memory, frame, frame, 1, &flush);
	}
	flush = guest_memory_unmap_end(memory, flush);
	if (flush.kinds)
		guest_memory_reap(memory);
	return flush;
}

/*
 * Where a fetch may not meet a large page: what the guest fetches from lies in small leaves, and a large one may not
 * be executed. Small ones stay, or the two kinds of access would take turns in making them.
 */
static u8 unexecuted_level(const struct guest_memory *memory, u64 gpa, u32 wanted, u8 level)
{
	struct radix_leaf leaf;

	if (wanted & RADIX_EXEC)
		return 1;
	return radix_lookup(&memory->radix, gpa, &leaf) ? min(level, leaf.level) : level;
}

static int map_page(struct guest_memory *memory, u64 gpa, u32 wanted, const struct slot *slot,
		    const struct host_page *page, struct radix_cache *cache, struct flush *owed,
		    u8 *level_mapped)
{
	u32 access = RADIX_READ | RADIX_EXEC;
	u8 level = leaf_level(&memory->radix, gpa, slot, page);
	struct radix_leaf leaf;
	u64 offset;
	struct flush flush = { 0 };
	bool found;
	int err;

	if (page->writable && !(slot->flags & FERMATA_MEMORY_READONLY))
		access |= RADIX_WRITE;
	/* Not at once in place of a GiB of small leaves. */
	if (level > 2 && radix_has_table(&memory->radix, gpa, level))
		level = 2;
	if (unlikely(memory->closed)) {
		level = unclosed_level(memory, gpa, level);
		access &= allowed(memory, gpa);
	}
	if (unlikely(slot->log))
		access = dirty_allowed(slot, gpa, wanted, access);
	if (unlikely(memory->small_exec)) {
		level = unexecuted_level(memory, gpa, wanted, level);
		access &= level > 1 ? ~RADIX_EXEC : ~0u;
	}
	offset = gpa & (radix_size(level) - 1);
	*level_mapped = level;
	if (!access) /* who comes here again hears of the rule */
		return 0;
	if (!page->cached)
		access |= RADIX_UNCACHED;

	/*
	 * Another vCPU was here first. Not mapping again also keeps a read fault that saw the page
	 * read-only from taking back what a write fault has just given.
	 */
	found = radix_lookup(&memory->radix, gpa, &leaf);
	if (found && (leaf.access & wanted) == wanted && leaf.phys >> 12 == page->phys >> 12) {
		memory->stats.spurious++;
		*level_mapped = leaf.level;
		return 0;
	}
	/*
	 * Never so under the protocol above; a leaf to another page, or one that allows too much, must not be
	 * left behind, though.
	 */
	if (found && (leaf.phys >> 12 != page->phys >> 12 || leaf.access & ~access)) {
		guest_memory_unmap_begin(memory);
		guest_memory_unmap(memory, gpa & ~0xfffull, (gpa | 0xfff) + 1, true, &flush);
		*owed = guest_memory_owe(memory, flush);
		memory->flush.under_way--;
		return -EAGAIN;
	}
	err = radix_map(&memory->radix, gpa - offset, level, (page->phys | (gpa & 0xfff)) - offset,
			access, cache, &flush);
	/* The same pages in leaves of another size: no processor has seen these. */
	if (memory->unwalked)
		flush.kinds = FLUSH_NONE;
	*owed = guest_memory_owe(memory, flush);
	if (err)
		return err;
	memory->stats.faults++;
	if (level > 1)
		memory->stats.large_faults++;
	return 0;
}

int guest_memory_fault(struct guest_memory *memory, u64 gpa, u32 access, struct radix_cache *cache,
		       struct flush *owed, u8 *level_mapped)
{
	u64 sequence = READ_ONCE(memory->invalidations.sequence);
	struct host_page page;
	struct slot slot;
	int err;

	*owed = (struct flush){ 0 };
	*level_mapped = 0;
	err = find_slot(memory, gpa, access & RADIX_WRITE, &slot) ?: radix_cache_fill(cache);
	if (err)
		return err;
	err = host_page_get((slot.user_addr + (gpa - slot.gpa)) & ~0xfffull, access & RADIX_WRITE,
			    &page);
	if (err)
		return err;

	host_lock(&memory->lock);
	if (memory->invalidations.under_way || memory->invalidations.sequence != sequence) {
		memory->stats.retries++;
		err = -EAGAIN;
	} else {
		err = map_page(memory, gpa, access, &slot, &page, cache, owed, level_mapped);
		if (!err && page.writable && !(slot.flags & FERMATA_MEMORY_READONLY))
			host_page_dirty(page.phys);
	}
	host_unlock(&memory->lock);
	host_page_put(&page);
	return err;
}

/* How many pages a fault brings at the most: a fault costs ten times what one more of them does. */
#define NEAR 8

bool guest_memory_near(struct guest_memory *memory, u64 gpa)
{
	u64 sequence = READ_ONCE(memory->invalidations.sequence), phys[NEAR], user = 0,
	    frame = gpa >> 12;
	const struct slot *slot;
	bool mapped = false;
	u32 count = 0, i;

	host_read_begin();
	slot = slots_find(READ_ONCE(memory->slots), gpa);
	if (slot && !slot->log && !(slot->flags & FERMATA_MEMORY_READONLY)) {
		user = (slot->user_addr + (gpa - slot->gpa)) & ~0xfffull;
		count = min(NEAR - (frame & (NEAR - 1)),
			    (slot->gpa + slot->size - gpa + 0xfff) >> 12);
		count = min(count, 512 - (u32)(user >> 12 & 511));
	}
	host_read_end();
	if (!count || READ_ONCE(memory->closed))
		return false;
	count = host_pages_near(user, count, phys);
	if (!count)
		return false;
	host_lock(&memory->lock);
	if (!memory->invalidations.under_way && memory->invalidations.sequence == sequence &&
	    !memory->closed &&
	    radix_fill(&memory->radix, frame << 12, phys, count,
		       RADIX_READ | RADIX_WRITE | RADIX_EXEC)) {
		for (i = 0; i < count; i++)
			host_page_dirty(phys[i]);
		memory->stats.faults++;
		mapped = true;
	}
	host_unlock(&memory->lock);
	return mapped;
}

/* ---- the host's side */

/*
 * What of the range is mapped at guest-physical *gpa or after it, by the slots as they are: the first part of
 * it, up to *end. False: nothing.
 */
static bool next_part(const struct slots *slots, u64 user_start, u64 user_end, u64 *gpa, u64 *end)
{
	for (u32 i = 0; i < slots->count; i++) {
		const struct slot *slot = &slots->slot[i];
		u64 start = max(user_start, slot->user_addr);
		u64 stop = min(user_end, slot->user_addr + slot->size);

		if (start >= stop)
			continue;
		start = max(start - slot->user_addr + slot->gpa, *gpa);
		stop = stop - slot->user_addr + slot->gpa;
		if (start >= stop)
			continue;
		*gpa = start;
		*end = stop;
		return true;
	}
	return false;
}

struct flush guest_memory_invalidate_begin(struct guest_memory *memory, u64 user_start, u64 user_end)
{
	struct flush flush = { 0 };
	u64 end;

	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	invalidations_begin(memory);
	/* Slots that come meanwhile have nothing mapped, and those that go take it along. */
	for (u64 gpa = 0; next_part(memory->slots, user_start, user_end, &gpa, &end); gpa = end)
		guest_memory_unmap(memory, gpa, end, false, &flush);
	if (flush.kinds)
		memory->stats.invalidations++;
	return guest_memory_unmap_end(memory, flush);
}

void guest_memory_invalidate_end(struct guest_memory *memory, u64 user_start, u64 user_end)
{
	host_lock(&memory->lock);
	invalidations_end(memory);
	host_unlock(&memory->lock);
}

/* ---- copies */

/*
 * The copy stays inside the read section: once guest_memory_set_slot() has taken a slot away, nobody
 * writes to the process's memory through it any more.
 */
static int copy(struct guest_memory *memory, u64 gpa, u8 *buffer, size_t size, bool write)
{
	int err = 0;

	host_read_begin();
	while (size && !err) {
		const struct slot *slot = slots_find(READ_ONCE(memory->slots), gpa);
		u64 user, part;

		if (!slot) {
			err = -ENOENT;
			break;
		}
		if (write && (slot->flags & FERMATA_MEMORY_READONLY)) {
			err = -EACCES;
			break;
		}
		user = slot->user_addr + (gpa - slot->gpa);
		part = min((u64)size, slot->gpa + slot->size - gpa);
		err = write ? host_write_user(user, buffer, part) :
			      host_read_user(buffer, user, part);
		if (write) /* after an error, too: a part may have been written */
			dirty_wrote(slot, gpa, part);
		gpa += part;
		buffer += part;
		size -= part;
	}
	host_read_end();
	return err;
}

int guest_memory_read(struct guest_memory *memory, u64 gpa, void *to, size_t size)
{
	return copy(memory, gpa, to, size, false);
}

int guest_memory_write(struct guest_memory *memory, u64 gpa, const void *from, size_t size)
{
	return copy(memory, gpa, (u8 *)from, size, true);
}

int guest_memory_cmpxchg(struct guest_memory *memory, u64 gpa, u64 old, u64 new_value, u32 size)
{
	const struct slot *slot;
	int done = -ENOENT;

	host_read_begin();
	slot = slots_find(READ_ONCE(memory->slots), gpa);
	if (slot && slot->flags & FERMATA_MEMORY_READONLY) {
		done = -EACCES;
	} else if (slot) {
		done = host_cmpxchg_user(slot->user_addr + (gpa - slot->gpa), old, new_value, size);
		if (done > 0)
			dirty_wrote(slot, gpa, size);
	}
	host_read_end();
	return done;
}

int guest_memory_populate(struct guest_memory *memory, u64 gpa, bool write)
{
	struct host_page page;
	struct slot slot;
	int err = find_slot(memory, gpa, write, &slot);

	if (err)
		return err;
	err = host_page_get((slot.user_addr + (gpa - slot.gpa)) & ~0xfffull, write, &page);
	if (!err)
		host_page_put(&page);
	return err;
}

int guest_memory_user_addr(struct guest_memory *memory, u64 gpa, u64 *user_addr, bool *readonly)
{
	struct slot slot;

	if (find_slot(memory, gpa, false, &slot))
		return -ENOENT;
	*user_addr = slot.user_addr + (gpa - slot.gpa);
	if (readonly)
		*readonly = slot.flags & FERMATA_MEMORY_READONLY;
	return 0;
}
