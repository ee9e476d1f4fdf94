/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Every shadow entry once more, from the guest's tables as they are and by other means than the fault
 * that made it. A shadow may allow less than the guest's tables, never more.
 */
#include "memory/shadow/internal.h"

static void found(struct shadow_finding *f, const struct shadow_page *sp, u32 slot, const char *what)
{
	if (f->count++)
		return;
	f->what = what;
	f->table = sp->gfn << 12;
	f->role = sp->role;
	f->slot = slot;
	f->entry = entry_of_slot(sp, slot);
	f->origin = sp->origin[slot];
}

/* The guest's entry as it is now is the one the shadow came from, but for A and D bits set since. */
static void audit_origin(struct shadow_finding *f, const struct shadow_page *sp, u32 slot, u64 now)
{
	u64 was = sp->origin[slot];

	if ((was ^ now) & ~(PTE_A | PTE_D) || was & ~now)
		found(f, sp, slot, "the guest's entry has changed unseen");
	if ((was & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		found(f, sp, slot, "from an entry that is not present and accessed");
}

/* The guest's page behind the slot of a leaf; size in 4 KiB pages is that of the slot. */
static u64 leaf_gfn(const struct shadow_page *sp, u32 slot)
{
	u8 level = role_level(sp->role);
	u64 pages = 1ull << 9 * (level - 1), origin = sp->origin[slot];

	if (sp->role & ROLE_DIRECT)
		return sp->gfn + slot * pages;
	if (level == 1)
		return (origin & PTE_ADDRESS) >> 12;
	if (role_kind(sp->role) != SHADOW_32BIT)
		return (origin & PTE_ADDRESS) >> 12 & ~(pages - 1);
	/* A 4 MiB page, bits 39:32 in 20:13 (SDM 3A 4.3); the slot is one half of it. */
	return ((origin & 0xffc00000) >> 12 | (origin >> 13 & 0xff) << 20) + (slot & 1) * pages;
}

static void audit_leaf(struct shadow *sh, struct shadow_finding *f, const struct shadow_page *sp,
		       u32 slot)
{
	u32 allowed = sp->role & ROLE_ACCESS, key = role_key(sp->role);
	u64 entry = entry_of_slot(sp, slot), gfn = leaf_gfn(sp, slot), origin = sp->origin[slot];
	bool trick = !(sp->role & ROLE_WP) && !(entry & PTE_US);
	struct radix_leaf host;

	if (!radix_lookup(&sh->memory->radix, gfn << 12, &host) ||
	    host.phys != (entry & PTE_ADDRESS)) {
		found(f, sp, slot, "a host page that is not the guest's");
		return;
	}
	if (role_level(sp->role) > host.level)
		found(f, sp, slot, "larger than the host's page");
	if (!(sp->role & ROLE_DIRECT)) {
		key = entry_key(origin);
		allowed &= entry_access(sp->role, origin);
		if (!(origin & PTE_D) && entry & PTE_RW)
			found(f, sp, slot, "writable, and the guest's page is not dirty");
	}
	if (entry & PTE_RW && !(host.access & RADIX_WRITE))
		found(f, sp, slot, "writable, and the host's page is not");
	if (entry & PTE_RW && !(allowed & ROLE_WRITE) && !trick)
		found(f, sp, slot, "writable, and the guest's page is not");
	if (!!(entry & PTE_US) != !!(allowed & ROLE_USER) && !trick)
		found(f, sp, slot, "user access differs from the guest's");
	if (entry_key(entry) != (entry & PTE_US ? key : 0))
		found(f, sp, slot, "another key than the guest's");
	if (!(entry & PTE_NX) && !(allowed & ROLE_EXEC))
		found(f, sp, slot, "executable, and the guest's page is not");
	if (entry & PTE_RW &&
	    (role_level(sp->role) == 1 ? shadow_tracked(sh, gfn) : !!sh->tables[region_of(gfn)]))
		found(f, sp, slot, "writable, and a table with a shadow is there");
}

static void audit_link(struct shadow *sh, struct shadow_finding *f, const struct shadow_page *sp,
		       u32 slot)
{
	const struct shadow_page *child = shadow_child(sh, sp, slot);
	u64 origin = sp->origin[slot];

	if ((entry_of_slot(sp, slot) & PTE_ADDRESS) != host_virt_to_phys(child->table) ||
	    !child->listed || role_level(child->role) != role_level(sp->role) - 1) {
		found(f, sp, slot, "not the page it is on record for");
		return;
	}
	if (child->role & ROLE_DIRECT) {
		if (role_key(child->role) !=
		    (sp->role & ROLE_DIRECT ? role_key(sp->role) : entry_key(origin)))
			found(f, sp, slot, "another key than the guest's");
		return;
	}
	if (child->gfn != (origin & PTE_ADDRESS) >> 12)
		found(f, sp, slot, "another table than the guest's");
	if ((child->role & ROLE_ACCESS) != (sp->role & ROLE_ACCESS & entry_access(sp->role, origin)))
		found(f, sp, slot, "the tables above allow something else");
}

static void audit_page(struct shadow *sh, struct shadow_finding *f, const struct shadow_page *sp)
{
	const u8 *table = NULL;
	u32 count = 0;

	if (!(sp->role & ROLE_DIRECT) && !sp->unsync)
		table = shadow_table(sh, sp);
	host_steps(RADIX_ENTRIES);
	for (u32 slot = 0; slot < RADIX_ENTRIES; slot++) {
		u64 entry = entry_of_slot(sp, slot);

		if (!(entry & PTE_P))
			continue;
		count++;
		if (table)
			audit_origin(f, sp, slot, guest_entry(sp, table, slot));
		if (is_leaf_at(role_level(sp->role), entry))
			audit_leaf(sh, f, sp, slot);
		else
			audit_link(sh, f, sp, slot);
	}
	if (count != sp->count)
		found(f, sp, 0, "entries miscounted");
}

u32 shadow_audit(struct guest_memory *memory, u32 *hand, u32 pages, struct shadow_finding *first)
{
	struct shadow *sh = shadow_of(memory);

	memset(first, 0, sizeof(*first));
	host_lock(&memory->lock);
	/* In between host pages have gone from the radix that shadows still lead to: unmap.c. */
	for (; pages && sh->total && !memory->flush.under_way; pages--) {
		*hand = *hand % sh->total + 1;
		if (sh->page[*hand]->listed)
			audit_page(sh, first, sh->page[*hand]);
	}
	host_unlock(&memory->lock);
	return first->count;
}
