/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Shadow pages: found by guest table and role, linked to each other and to the host's pages. */
#include "memory/shadow/internal.h"

static struct shadow_chain *rmap_of(struct shadow *sh, u64 phys)
{
	u64 frame = phys >> 12;

	return &sh->rmap[(frame ^ frame >> 14) & (SHADOW_RMAP - 1)];
}

static struct shadow_link *link_of(struct shadow *sh, u32 name)
{
	return &sh->page[name >> 9]->link[name & (RADIX_ENTRIES - 1)];
}

static u32 name_of(const struct shadow_page *sp, u32 slot)
{
	return sp->index << 9 | slot;
}

struct shadow_page *shadow_child(struct shadow *sh, const struct shadow_page *sp, u32 slot)
{
	return sh->page[sp->link[slot].child];
}

void shadow_breathe(struct shadow *sh, u64 *since)
{
	if (sh->work - *since < SHADOW_WORK)
		return;
	guest_memory_breathe(sh->memory);
	*since = sh->work;
}

/* ---- chains */

static noinline void chain_join(struct shadow *sh, const struct shadow_chain *chain, u32 name)
{
	struct shadow_link *link = link_of(sh, name), *first = link_of(sh, chain->first);

	link->next = chain->first;
	link->prev = first->prev;
	link_of(sh, first->prev)->next = name;
	first->prev = name;
}

/* Most are alone on theirs. */
static inline void chain_add(struct shadow *sh, struct shadow_chain *chain,
			     struct shadow_link *link, u32 name, u32 child)
{
	*link = (struct shadow_link){ .next = name, .prev = name, .child = child };
	if (chain->count++)
		chain_join(sh, chain, name);
	chain->first = name;
}

static noinline void chain_leave(struct shadow *sh, struct shadow_chain *chain,
				 const struct shadow_link *link, u32 name)
{
	link_of(sh, link->next)->prev = link->prev;
	link_of(sh, link->prev)->next = link->next;
	if (chain->first == name)
		chain->first = link->next;
}

static inline void chain_remove(struct shadow *sh, struct shadow_chain *chain,
				const struct shadow_link *link, u32 name)
{
	if (--chain->count)
		chain_leave(sh, chain, link, name);
	else
		chain->first = 0;
}

static void drop_named(struct shadow *sh, u32 name)
{
	shadow_drop(sh, sh->page[name >> 9], name & (RADIX_ENTRIES - 1));
}

/* Room for one more: the oldest of `most` goes. */
static void chain_limit(struct shadow *sh, const struct shadow_chain *chain, u32 most)
{
	if (unlikely(chain->count >= most))
		drop_named(sh, link_of(sh, chain->first)->prev);
}

/* ---- who may write unseen */

void shadow_note_loose(struct shadow *sh, u64 old, u8 level)
{
	u32 at = (old & PTE_ADDRESS) >> 12 & (SHADOW_LOOSE - 1);

	if (!(old & PTE_RW))
		return;
	if (sh->loose_since !=
	    sh->memory->flush.generation) { /* every CPU drops them, or is about to */
		memset(sh->loose, 0, sizeof(sh->loose));
		sh->loose_since = sh->memory->flush.generation;
	}
	if (level == 1)
		sh->loose[at / 64] |= BIT_ULL(at % 64);
	else
		memset(&sh->loose[at / 64], 0xff, RADIX_ENTRIES / 8);
}

static bool is_loose(const struct shadow *sh, u64 phys)
{
	u32 at = phys >> 12 & (SHADOW_LOOSE - 1);

	return sh->loose_since == sh->memory->flush.generation && sh->loose[at / 64] >> at % 64 & 1;
}

bool shadow_close(struct shadow *sh, struct shadow_page *sp)
{
	struct radix_leaf leaf;

	/* Leaves come from the radix: what it does not map, no leaf maps. */
	if (radix_lookup(&sh->memory->radix, sp->gfn << 12, &leaf)) {
		shadow_protect(sh, leaf.phys);
		sh->lost_write |= is_loose(sh, leaf.phys);
	}
	if (!sh->lost_write && !sh->memory->flush.under_way)
		return true;
	/* Until a flush that is still to be owed, or those that are, are over. */
	sp->closing = sh->memory->flush.generation - !sh->lost_write;
	return false;
}

void shadow_drop(struct shadow *sh, struct shadow_page *sp, u32 slot)
{
	u64 old = host_exchange(&sp->table[slot], 0);
	u32 name = name_of(sp, slot);

	DEBUG_ASSERT(old & PTE_P);
	host_steps(1);
	if (is_leaf_at(role_level(sp->role), old)) {
		chain_remove(sh, rmap_of(sh, old & PTE_ADDRESS), &sp->link[slot], name);
		shadow_note_loose(sh, old, role_level(sp->role));
	} else {
		chain_remove(sh, &shadow_child(sh, sp, slot)->parents, &sp->link[slot], name);
		sh->unlinked++;
	}
	sp->used[slot / 64] &= ~BIT_ULL(slot % 64);
	sp->count--;
	sh->stats.dropped++;
}

void shadow_drop_all(struct shadow *sh, struct shadow_page *sp)
{
	for (u32 i = 0; i < ARRAY_SIZE(sp->used); i++)
		while (sp->used[i])
			shadow_drop(sh, sp, i * 64 + __builtin_ctzll(sp->used[i]));
}

static void set_entry(struct shadow_page *sp, u32 slot, u64 entry, u64 origin)
{
	DEBUG_ASSERT(!(sp->table[slot] & PTE_P));
	sp->origin[slot] = origin;
	sp->used[slot / 64] |= BIT_ULL(slot % 64);
	sp->count++;
	WRITE_ONCE(sp->table[slot], entry);
}

void shadow_set_link(struct shadow *sh, struct shadow_page *sp, u32 slot, struct shadow_page *child,
		     u64 origin)
{
	chain_limit(sh, &child->parents, SHADOW_PARENTS);
	chain_add(sh, &child->parents, &sp->link[slot], name_of(sp, slot), child->index);
	set_entry(sp, slot, host_virt_to_phys(child->table) | PTE_P | PTE_RW | PTE_US | PTE_A,
		  origin);
}

void shadow_set_leaf(struct shadow *sh, struct shadow_page *sp, u32 slot, u64 entry, u64 origin)
{
	struct shadow_chain *chain = rmap_of(sh, entry & PTE_ADDRESS);

	chain_limit(sh, chain, SHADOW_ALIASES);
	chain_add(sh, chain, &sp->link[slot], name_of(sp, slot), 0);
	set_entry(sp, slot, entry, origin);
}

/*
 * A and D are set from the start: the guest's own are kept by the walk, ours say nothing. The key, which
 * only a user's page has, is for the processor, which runs with the guest's PKRU and CR4.PKE; without PKE
 * it ignores these bits.
 */
u64 shadow_leaf_bits(u32 access, u32 key)
{
	u64 bits = PTE_P | PTE_A | PTE_D;

	bits |= access & ROLE_WRITE ? PTE_RW : 0;
	bits |= access & ROLE_USER ? PTE_US | (u64)key << PTE_KEY_SHIFT : 0;
	bits |= access & ROLE_EXEC ? 0 : PTE_NX;
	return bits;
}

/* ---- by host page */

static void protect_small(struct shadow *sh, u64 phys)
{
	const struct shadow_chain *chain = rmap_of(sh, phys);
	u32 name = chain->first, count = chain->count;

	for (u32 i = 0; i < count; i++) {
		struct shadow_page *sp = sh->page[name >> 9];
		u32 slot = name & (RADIX_ENTRIES - 1);
		u64 entry = entry_of_slot(sp, slot);

		name = sp->link[slot].next;
		if ((entry & PTE_ADDRESS) != phys || role_level(sp->role) != 1 || !(entry & PTE_RW))
			continue;
		WRITE_ONCE(sp->table[slot], entry & ~PTE_RW);
		sh->lost_write = true;
	}
	host_steps(count);
	sh->work += count;
}

/* Leaves to it, as large ones or as small ones, go. */
static void forget_at(struct shadow *sh, u64 phys, bool large)
{
	const struct shadow_chain *chain = rmap_of(sh, phys);
	u32 name = chain->first, count = chain->count;

	for (u32 i = 0; i < count; i++) {
		struct shadow_page *sp = sh->page[name >> 9];
		u32 slot = name & (RADIX_ENTRIES - 1);
		u64 entry = entry_of_slot(sp, slot);

		name = sp->link[slot].next;
		if ((entry & PTE_ADDRESS) != phys || (role_level(sp->role) != 1) != large)
			continue;
		sh->lost_write |= large && entry & PTE_RW;
		shadow_drop(sh, sp, slot);
	}
	host_steps(count);
	sh->work += count;
}

void shadow_protect(struct shadow *sh, u64 phys)
{
	protect_small(sh, phys);
	forget_at(sh, phys & ~(radix_size(2) - 1), true);
}

/* ---- pages */

struct shadow_page *shadow_find(struct shadow *sh, u64 gfn, u32 role)
{
	for (u32 i = sh->hash[shadow_hash(gfn)]; i; i = sh->page[i]->next) {
		struct shadow_page *sp = sh->page[i];

		host_steps(1);
		if (sp->gfn == gfn && sp->role == role) {
			sp->recent = true;
			return sp;
		}
	}
	return NULL;
}

bool shadow_tracked(struct shadow *sh, u64 gfn)
{
	if (!sh->tables[region_of(gfn)])
		return false;
	for (u32 i = sh->hash[shadow_hash(gfn)]; i; i = sh->page[i]->next) {
		const struct shadow_page *sp = sh->page[i];

		host_steps(1);
		if (sp->gfn == gfn && !(sp->role & ROLE_DIRECT) && (!sp->unsync || sp->closing))
			return true;
	}
	return false;
}

/* A guest chooses where its tables lie, and in how many roles one is used. */
static void bucket_limit(struct shadow *sh, u64 gfn)
{
	struct shadow_page *old = NULL;
	u32 count = 0;

	for (u32 i = sh->hash[shadow_hash(gfn)]; i; i = sh->page[i]->next) {
		count++;
		if (!sh->page[i]->pins)
			old = sh->page[i];
	}
	host_steps(count);
	if (unlikely(count >= SHADOW_BUCKET) && old)
		shadow_zap(sh, old);
}

/* The caller has seen to it that there is a free page. */
struct shadow_page *shadow_create(struct shadow *sh, u64 gfn, u32 role)
{
	struct shadow_page *sp;

	bucket_limit(sh, gfn);
	sp = sh->page[sh->free];
	sh->free = sp->next;
	sh->free_count--;
	sp->gfn = gfn;
	sp->role = role;
	sp->recent = true;
	sp->listed = true;
	sp->next = sh->hash[shadow_hash(gfn)];
	sh->hash[shadow_hash(gfn)] = sp->index;
	sh->stats.pages++;
	if (role & ROLE_DIRECT)
		return sp;
	sh->tables[region_of(gfn)]++;
	if (!shadow_close(sh, sp))
		shadow_mark_unsync(sh, sp);
	return sp;
}

void shadow_zap(struct shadow *sh, struct shadow_page *sp)
{
	u32 *at = &sh->hash[shadow_hash(sp->gfn)];

	DEBUG_ASSERT(!sp->pins);
	sh->work += sp->count + sp->parents.count;
	shadow_drop_all(sh, sp);
	while (sp->parents.count)
		drop_named(sh, sp->parents.first);
	shadow_unsync_remove(sh, sp);
	for (; *at != sp->index; at = &sh->page[*at]->next)
		host_steps(1);
	*at = sp->next;
	if (!(sp->role & ROLE_DIRECT))
		sh->tables[region_of(sp->gfn)]--;
	sp->listed = false;
	sp->zapped = sh->memory->flush.generation;
	sp->next = sh->limbo;
	sh->limbo = sp->index;
	sh->limbo_count++;
	sh->stats.pages--;
	sh->stats.zapped++;
}

/*
 * Under lock, when no flush is under way. What was taken out while the last one was is not in it: some
 * CPUs may have paid already, and walk such a table still.
 */
void shadow_reap(struct guest_memory *memory)
{
	struct shadow *sh = shadow_of(memory);

	u32 *at = &sh->limbo;

	while (*at) {
		struct shadow_page *sp = sh->page[*at];

		host_steps(1);
		if (sp->zapped == memory->flush.generation) {
			at = &sp->next;
			continue;
		}
		*at = sp->next;
		sp->next = sh->free;
		sh->free = sp->index;
		sh->free_count++;
		sh->limbo_count--;
	}
}

/* ---- the host takes memory back */

/*
 * What the guest's owner does to a page behind the guest's back is no write that we see: the shadows of
 * tables there are looked through at the next occasion.
 */
static void doubt_tables(struct shadow *sh, u64 gfn)
{
	if (!sh->tables[region_of(gfn)])
		return;
	for (u32 i = sh->hash[shadow_hash(gfn)]; i; i = sh->page[i]->next) {
		struct shadow_page *sp = sh->page[i];

		host_steps(1);
		sh->work++;
		if (sp->gfn != gfn || sp->role & ROLE_DIRECT)
			continue;
		sp->closing = 0;
		if (sp->unsync)
			continue;
		shadow_mark_unsync(sh, sp);
		sh->work += SHADOW_WORK; /* another may have had to make room */
	}
}

/* Of a large range it is quicker to forget everything than to look for each of its pages. */
static void unmap_all(struct shadow *sh)
{
	u64 since = sh->work;

	for (u32 i = 1; i <= sh->total; i++) {
		struct shadow_page *sp = sh->page[i];

		host_steps(1);
		sh->work++;
		if (sp->listed && sp->pins) {
			sh->work += sp->count;
			shadow_drop_all(sh, sp);
		} else if (sp->listed) {
			shadow_zap(sh, sp);
		}
		shadow_breathe(sh, &since);
	}
}

static void unmap_leaf(struct shadow *sh, const struct radix_leaf *leaf, u64 *since)
{
	u64 phys = leaf->phys & ~(radix_size(leaf->level) - 1);

	for (u64 i = 0; i < radix_size(leaf->level); i += 4096) {
		sh->work++;
		doubt_tables(sh, (leaf->gpa + i) >> 12);
		forget_at(sh, phys + i, false);
		shadow_breathe(sh, since);
	}
	forget_at(sh, phys & ~(radix_size(2) - 1), true);
}

/*
 * A leaf goes from the radix first, so that no fault puts it into a shadow again while others have the lock
 * in between. As long as a flush is under way, no table there counts as protected: see unmap.c.
 */
static void unmap_leaves(struct guest_memory *memory, u64 start, u64 end, struct flush *flush)
{
	struct shadow *sh = shadow_of(memory);
	u64 since = sh->work, stop;
	struct radix_leaf leaf;

	for (u64 gpa = start; gpa < end;) {
		u64 from = gpa;

		stop = min(end, (gpa | (radix_size(2) - 1)) + 1);
		if (radix_next(&memory->radix, &gpa, stop, &leaf)) {
			struct flush part = radix_unmap(&memory->radix, gpa, gpa + 1);

			flush_merge(flush, &part);
			unmap_leaf(sh, &leaf, &since);
			gpa = leaf.gpa + radix_size(leaf.level);
		}
		sh->work += min(gpa - from, radix_size(2)) >> 12;
		if (gpa < end)
			shadow_breathe(sh, &since);
	}
}

void shadow_unmap(struct guest_memory *memory, u64 start, u64 end, bool again, struct flush *flush)
{
	struct shadow *sh = shadow_of(memory);
	bool all = (end - start) >> 12 > 16ull * sh->stats.pages;

	/* A page that becomes a table before that flush is paid may still be written to unseen. */
	sh->lost_write |= again;
	if (!all)
		unmap_leaves(memory, start, end, flush);
	guest_memory_unmap_nested(memory, start, end, flush);
	if (all)
		unmap_all(sh);
	sh->lost_write |= again;
}

void shadow_write_protect(struct guest_memory *memory, u64 start, u64 end)
{
	struct shadow *sh = shadow_of(memory);
	struct radix_leaf leaf;
	u64 since = sh->work;

	for (u64 gpa = start; radix_next(&memory->radix, &gpa, end, &leaf);
	     gpa = leaf.gpa + radix_size(leaf.level)) {
		u64 phys = leaf.phys & ~(radix_size(leaf.level) - 1);

		for (u64 i = 0; i < radix_size(leaf.level); i += 4096) {
			sh->work++;
			shadow_protect(sh, phys + i);
			shadow_breathe(sh, &since);
		}
	}
}

void shadow_forget_all(struct guest_memory *memory, struct flush *owed)
{
	host_lock(&memory->lock);
	guest_memory_unmap_begin(memory);
	unmap_all(shadow_of(memory));
	*owed = guest_memory_unmap_end(memory, (struct flush){ .kinds = FLUSH_LINEAR });
}
