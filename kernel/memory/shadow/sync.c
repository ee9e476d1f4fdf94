/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Tables that the guest may write unseen, and finding what it wrote. An entry differs from the guest's
 * by comparison with the one it came from. What was not there before is not looked for: it faults.
 */
#include "memory/shadow/internal.h"

/* Changes of a leaf that change no translation, only what it allows (or what only software reads). */
#define RIGHTS                                                                                     \
	(PTE_RW | PTE_US | PTE_NX | PTE_D | PTE_A | BIT_ULL(8) | BIT_ULL(9) | BIT_ULL(10) |        \
	 BIT_ULL(11))

/* Through the host's direct map: the radix maps the page, so the host has not taken it back. */
const u8 *shadow_table(struct shadow *sh, const struct shadow_page *sp)
{
	struct radix_leaf leaf;

	if (!radix_lookup(&sh->memory->radix, sp->gfn << 12, &leaf))
		return NULL;
	return host_phys_to_virt(leaf.phys);
}

/* Put the rights that `now` leaves into the leaf. Only ever less than it has. */
static void narrow(struct shadow *sh, struct shadow_page *sp, u32 slot, u64 now)
{
	u32 access = sp->role & entry_access(sp->role, now);
	u64 old = entry_of_slot(sp, slot), entry = old;

	if (!(now & PTE_D))
		access &= ~ROLE_WRITE;
	if (!(access & ROLE_WRITE))
		entry &= ~PTE_RW;
	if (!(access & ROLE_USER))
		entry &= ~(PTE_US | PTE_KEY);
	if (!(access & ROLE_EXEC))
		entry |= PTE_NX;
	sp->origin[slot] = now;
	if (!(entry & PTE_RW))
		shadow_note_loose(sh, old, 1);
	WRITE_ONCE(sp->table[slot], entry);
}

/* True: the entry had changed. */
static bool sync_slot(struct shadow *sh, struct shadow_page *sp, u32 slot, u64 now)
{
	u64 was = sp->origin[slot], changed = was ^ now;

	if (!changed)
		return false;
	if (!(changed & ~(PTE_A | PTE_D)) && !(was & ~now)) { /* a walk has set them meanwhile */
		sp->origin[slot] = now;
		return false;
	}
	if (sh->optimisations & SHADOW_NARROW && role_level(sp->role) == 1 && sp->role & ROLE_WP &&
	    now & PTE_A && !(changed & ~RIGHTS) && (sp->role & ROLE_NXE || !(changed & PTE_NX))) {
		u64 entry = entry_of_slot(sp, slot);

		/* A user page as a supervisor's would escape SMEP and SMAP: not even for a while. */
		narrow(sh, sp, slot, now);
		if (!(entry & PTE_US) && now & PTE_US)
			shadow_drop(sh, sp, slot);
		return true;
	}
	shadow_drop(sh, sp, slot);
	return true;
}

/*
 * Tables that the guest has only ever pointed CR3 to, or that the host took back since, are not in the
 * radix; the walks read them by their address in the owner, and so does this.
 */
static bool read_entry(struct shadow *sh, const struct shadow_page *sp, const u8 *table, u32 slot,
		       u64 *entry)
{
	u32 size = role_kind(sp->role) == SHADOW_32BIT ? 4 : 8;

	if (likely(table)) {
		*entry = guest_entry(sp, table, slot);
		return true;
	}
	*entry = 0;
	return !guest_memory_read(sh->memory, (sp->gfn << 12) + guest_offset(sp->role, slot), entry,
				  size);
}

void shadow_sync_slot(struct shadow *sh, struct shadow_page *sp, u32 slot)
{
	u64 now;

	if (!(entry_of_slot(sp, slot) & PTE_P))
		return;
	if (read_entry(sh, sp, shadow_table(sh, sp), slot, &now))
		sync_slot(sh, sp, slot, now);
	else
		shadow_drop(sh, sp, slot);
}

static bool sync_entries(struct shadow *sh, struct shadow_page *sp, const u8 *table)
{
	bool changed = false;

	for (u32 i = 0; i < ARRAY_SIZE(sp->used); i++) {
		for (u64 left = sp->used[i]; left; left &= left - 1) {
			u32 slot = i * 64 + __builtin_ctzll(left);
			u64 now;

			host_steps(1);
			if (read_entry(sh, sp, table, slot, &now)) {
				changed |= sync_slot(sh, sp, slot, now);
			} else {
				shadow_drop(sh, sp, slot);
				changed = true;
			}
		}
	}
	return changed;
}

/*
 * Write-protected again only when the guest has dropped its translations, never on the way through a
 * fault: the page that is being written may be a table on that very way.
 *
 * And only a table in which nothing was changed for a while. One that was is perhaps in the middle of
 * being written: protecting it would cost an exit, looking at it once more costs less. So is one that has
 * nothing in it any more, which is perhaps no table now: Linux's text_poke() fills and empties one entry
 * 8,800 times during a boot.
 *
 * Writes are seen from the flush on that follows the protection: until that is over the table stays unsync,
 * and is compared once more.
 */
void shadow_sync(struct shadow *sh, struct shadow_page *sp, u32 what)
{
	const u8 *table = shadow_table(sh, sp);

	sh->stats.synced_pages++;
	if (sync_entries(sh, sp, table))
		sp->quiet = 0;
	if (!sp->unsync || !(what & SYNC_PROTECT))
		return;
	if (sp->closing) {
		if (sp->closing != sh->memory->flush.generation && !sh->memory->flush.under_way)
			shadow_unsync_remove(sh, sp);
		return;
	}
	if (sh->optimisations & SHADOW_KEEP && !(what & SYNC_FORCE) && sp->quiet++ < SHADOW_QUIET)
		return;
	if (!sp->count && what & SYNC_ZAP && !sp->pins) {
		shadow_zap(sh, sp);
		return;
	}
	if (shadow_close(sh, sp))
		shadow_unsync_remove(sh, sp);
}

void shadow_sync_all(struct shadow *sh, u32 what)
{
	u64 work = sh->work;

	/* From the end: a page that leaves the list is replaced by the last one. */
	for (u32 i = sh->unsync_count; i-- > 0;) {
		host_steps(1);
		if (sh->work - work >
		    SHADOW_WORK) /* the rest another time: it saves exits, no more */
			what &= ~(SYNC_PROTECT | SYNC_ZAP);
		shadow_sync(sh, sh->unsync[i], what);
	}
}

/* ---- the list */

void shadow_unsync_remove(struct shadow *sh, struct shadow_page *sp)
{
	struct shadow_page *last;

	if (!sp->unsync)
		return;
	last = sh->unsync[--sh->unsync_count];
	sh->unsync[sp->unsync - 1] = last;
	last->unsync = sp->unsync;
	sp->unsync = 0;
	sp->closing = 0;
	sh->unsync_upper -= role_level(sp->role) > 1;
}

/* While a flush is under way none can leave the list: then one goes altogether, but no root, nor of this table. */
static void unsync_limit(struct shadow *sh, u64 gfn)
{
	if (likely(sh->unsync_count < SHADOW_UNSYNC_MAX))
		return;
	for (u32 i = 0; i < sh->unsync_count; i++) {
		struct shadow_page *old = sh->unsync[sh->unsync_hand++ % sh->unsync_count];

		host_steps(1);
		if (old->gfn == gfn || old->pins)
			continue;
		shadow_zap(sh, old);
		return;
	}
}

void shadow_mark_unsync(struct shadow *sh, struct shadow_page *sp)
{
	/* Not of the same table: it is about to be written, so all of its shadows must be here. */
	if (sh->unsync_count >= SHADOW_UNSYNC_MANY && sh->unsync[0]->gfn != sp->gfn)
		shadow_sync(sh, sh->unsync[0], SYNC_PROTECT | SYNC_FORCE);
	unsync_limit(sh, sp->gfn);
	sh->unsync[sh->unsync_count++] = sp;
	sp->unsync = sh->unsync_count;
	sh->unsync_upper += role_level(sp->role) > 1;
	sp->quiet = 0;
	sh->stats.unsyncs++;
}

/* The guest is about to write to the table at gfn. */
void shadow_unsync(struct shadow *sh, u64 gfn)
{
	for (u32 i = sh->hash[shadow_hash(gfn)]; i; i = sh->page[i]->next) {
		struct shadow_page *sp = sh->page[i];

		host_steps(1);
		if (sp->gfn != gfn || sp->role & ROLE_DIRECT)
			continue;
		sp->closing = 0;
		if (sp->unsync)
			continue;
		if (!(sh->optimisations & SHADOW_UNSYNC))
			shadow_drop_all(sh, sp);
		shadow_mark_unsync(sh, sp);
	}
}
