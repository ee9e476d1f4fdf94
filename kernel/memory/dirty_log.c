/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A guest's dirty logs: one is switched on or off, its bits are taken or given back. The bits are dirty.c's. */
#include "memory/nested.h"

/* So many words are taken at a time; in between others get the lock. */
#define TAKE_WORDS 128

static const struct slot *slot_by_id(const struct guest_memory *memory, u32 id)
{
	const struct slots *slots = memory->slots;

	for (u32 i = 0; i < slots->count; i++)
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	return NULL;
}

/*
 * What is mapped there goes, both times: with the log every leaf is to be small and to fault at its first
 * write, without it they may be large again.
 */
int guest_memory_log_dirty(struct guest_memory *memory, u32 id, bool on, struct flush *owed)
{
	const struct slot *slot = slot_by_id(memory, id);
	struct dirty_log *old, *log = NULL;
	struct slots *next;
	int err = 0;

	*owed = (struct flush){ 0 };
	if (!slot)
		return -ENOENT;
	old = slot->log;
	if (!!old == on)
		return 0;
	next = host_alloc(sizeof(*next));
	if (!next)
		return -ENOMEM;
	if (on)
		err = dirty_log_new(slot->size, &log);
	if (err) {
		host_free(next);
		return err;
	}
	*next = *memory->slots;
	next->slot[slot - memory->slots->slot].log = log;
	guest_memory_publish(memory, next, slot->gpa, slot->gpa + slot->size, owed);
	dirty_log_free(old);
	return 0;
}

/* Under lock, which shadow paging gives up in between. */
static void protect(struct guest_memory *memory, u64 start, u64 end, struct flush *flush)
{
	struct flush part = radix_protect(&memory->radix, start, end, RADIX_WRITE);

	flush_merge(flush, &part);
	if (memory->hooks.protecting)
		memory->hooks.protecting(memory, start, end);
}

/* Under lock: the 64 pages from gpa on. */
static u64 take(struct guest_memory *memory, u64 *word, u64 gpa, u64 *dirty, struct flush *flush)
{
	u64 bits = READ_ONCE(*word) ? host_exchange(word, 0) : 0;

	for (u64 left = bits; left;) {
		u32 first = __builtin_ctzll(left), end = first;

		while (end < 64 && left >> end & 1)
			left &= ~BIT_ULL(end++);
		*dirty += end - first;
		protect(memory, gpa + first * 4096ull, gpa + end * 4096ull, flush);
	}
	return bits;
}

/* The slot, if the range lies in its log. */
static int find_range(const struct guest_memory *memory, const struct fermata_dirty *what,
		      const struct slot **slot)
{
	u64 pages;

	*slot = slot_by_id(memory, what->slot);
	if (!*slot || !(*slot)->log)
		return -ENOENT;
	pages = (*slot)->log->pages;
	if (what->first % 64 || what->first >= pages || !what->count ||
	    what->count > FERMATA_MAX_DIRTY || what->count > pages - what->first ||
	    (what->count % 64 && what->first + what->count != pages))
		return -EINVAL;
	return 0;
}

int guest_memory_take_dirty(struct guest_memory *memory, const struct fermata_dirty *what,
			    u64 *bitmap, u64 *dirty, struct flush *owed)
{
	u64 words = (what->count + 63) / 64, first, gpa;
	struct flush flush = { 0 };
	const struct slot *slot;
	int err;

	*owed = (struct flush){ 0 };
	*dirty = 0;
	err = find_range(memory, what, &slot);
	if (err)
		return err;
	first = host_index(what->first, slot->log->pages);
	gpa = slot->gpa + first * 4096;
	host_lock(&memory->lock);
	for (u64 i = 0; i < words; i++) {
		if (i && !(i % TAKE_WORDS))
			guest_memory_breathe(memory);
		bitmap[i] = take(memory, &slot->log->word[first / 64 + i], gpa + i * 64 * 4096,
				 dirty, &flush);
	}
	/* One debt for all: rights alone were taken, and no table that another's reap could free. */
	*owed = guest_memory_owe(memory, flush);
	host_unlock(&memory->lock);
	return 0;
}

void guest_memory_put_dirty(struct guest_memory *memory, const struct fermata_dirty *what,
			    const u64 *bitmap)
{
	const struct slot *slot;

	if (find_range(memory, what, &slot))
		return;
	for (u64 i = 0; i < what->count; i++)
		if (bitmap[i / 64] >> i % 64 & 1)
			host_set_bit(i % 64, &slot->log->word[(what->first + i) / 64]);
}
