/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of the shadow engine share. */
#ifndef MEMORY_SHADOW_INTERNAL_H
#define MEMORY_SHADOW_INTERNAL_H

#include "memory/shadow/shadow.h"

/* ---- registers, and entries: the guest's and the processor's have the same bits (SDM 3A 4.5) */
#define SHADOW_CR0_WP BIT_ULL(16)
#define SHADOW_CR0_PG BIT_ULL(31)
#define SHADOW_CR4_PSE BIT_ULL(4)
#define SHADOW_CR4_PAE BIT_ULL(5)
#define SHADOW_CR4_LA57 BIT_ULL(12)
#define SHADOW_CR4_SMEP BIT_ULL(20)
#define SHADOW_CR4_PKE BIT_ULL(22)
#define SHADOW_EFER_LMA BIT_ULL(10)
#define SHADOW_EFER_NXE BIT_ULL(11)

#define PTE_P BIT_ULL(0)
#define PTE_RW BIT_ULL(1)
#define PTE_US BIT_ULL(2)
#define PTE_PWT BIT_ULL(3)
#define PTE_PCD BIT_ULL(4)
#define PTE_A BIT_ULL(5)
#define PTE_D BIT_ULL(6)
#define PTE_PS BIT_ULL(7)
#define PTE_KEY_SHIFT 59
#define PTE_KEY (15ull << PTE_KEY_SHIFT) /* of a leaf in long mode */
#define PTE_NX BIT_ULL(63)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* ---- roles */
#define ROLE_LEVEL 7u
#define ROLE_DIRECT                                                                                \
	BIT(3) /* no guest table: a part of a large page, or of an unpaged guest's memory */
#define ROLE_QUADRANT(n) ((u32)(n) << 4) /* which part of a 32-bit guest's larger table */
#define ROLE_WRITE BIT(6)		 /* what the guest's tables above allow */
#define ROLE_USER BIT(7)
#define ROLE_EXEC BIT(8)
#define ROLE_ACCESS (ROLE_WRITE | ROLE_USER | ROLE_EXEC)
#define ROLE_KIND(n) ((u32)(n) << 9)
#define ROLE_NXE BIT(11)
#define ROLE_PSE BIT(12)
#define ROLE_WP BIT(13)
#define ROLE_SMEP BIT(14) /* matters without WP only */
#define ROLE_NO_1G BIT(15)
#define ROLE_KEY(n) ((u32)(n) << 16) /* ROLE_DIRECT: of the large page */

enum shadow_kind { SHADOW_UNPAGED, SHADOW_32BIT, SHADOW_PAE, SHADOW_LONG };

static inline enum shadow_kind role_kind(u32 role)
{
	return role >> 9 & 3;
}

static inline u8 role_level(u32 role)
{
	return role & ROLE_LEVEL;
}

static inline u32 role_key(u32 role)
{
	return role >> 16 & 15;
}

/* ---- pages */

/*
 * An entry's name is page index << 9 | slot; 0 is none. A leaf is on the chain of its host page; a link
 * is on the chain of the page it points to, `child`. Chains are rings: before the newest entry, which the
 * chain's owner knows, comes the oldest.
 */
struct shadow_link {
	u64 next : 24, prev : 24, child : 16;
};

struct shadow_chain {
	u32 first; /* the newest's name */
	u32 count;
};

struct shadow_page {
	u64 *table; /* what the processor walks */
	struct shadow_link *link;
	u64 *origin; /* the guest's entry that each came from */
	u64 gfn;     /* of the guest's table; ROLE_DIRECT: of the memory */
	u32 role;
	u32 index;
	u32 next;		     /* of the same hash, or in the list it waits in: index */
	struct shadow_chain parents; /* the links to it */
	u32 pins;   /* vCPUs that have it as root, and faults on their way through it */
	u32 unsync; /* 0, or 1 + its place in shadow->unsync[] */
	u64 closing; /* unsync, but write-protected: compared again when memory.flush.generation is another; 0: no */
	u64 zapped;  /* in limbo: memory.flush.generation when it came there */
	u16 count;   /* entries present */
	u8 quiet;    /* unsync: how often it was looked at, and nothing had changed */
	bool listed; /* in the hash: not free, not in limbo */
	bool recent; /* used since the reclaimer came by */
	u64 used[RADIX_ENTRIES / 64];
};

#define SHADOW_HASH 4096
#define SHADOW_RMAP 16384
#define SHADOW_REGIONS 4096
#define SHADOW_LOOSE 32768     /* 128 MiB of host pages, and those that share their bits */
#define SHADOW_PAGES 16384     /* tables at most: 192 MiB with what belongs to them */
#define SHADOW_PAGES_MIN 512   /* twice what the roots of 64 vCPUs can be */
#define SHADOW_UNSYNC_MANY 128 /* more than this, and the oldest are looked at early */
/*
 * What a guest could make as many of as there are entries, and one hold of the lock would have to walk: one
 * more, and the oldest goes. A guest that needs it faults again.
 */
#define SHADOW_ALIASES 2048 /* leaves on one chain of `rmap` */
#define SHADOW_PARENTS 2048 /* links to one page */
#define SHADOW_BUCKET 32    /* pages of one hash; roots come on top */
#define SHADOW_UNSYNC_MAX 160
#define SHADOW_WORK 4096 /* entries looked at in one go where the lock may be given up */
#define SHADOW_QUIET 3
#define SHADOW_RESERVE 12 /* more pages than one fault or one root needs */
#define SHADOW_FILL 64

struct shadow {
	struct guest_memory *memory;
	u32 optimisations;
	u32 max_pages; /* 0: by the guest's memory */
	u32 total;     /* pages in page[] */
	u32 hand;      /* the reclaimer's */
	u32 free, free_count;
	u32 bare, bare_count;	/* without memory of their own: given back to the host */
	u32 limbo, limbo_count; /* taken out; some CPU may still walk them */
	u32 unsync_count, unsync_hand;
	u32 unsync_upper; /* of them, tables that lead to tables */
	bool lost_write;  /* a leaf has lost its write access since this was cleared */
	u64 loose_since;  /* memory.flush.generation of what `loose` says */
	u64 unlinked;	  /* entries that led to tables and were dropped, ever */
	u64 work;	  /* what long works have looked at or dropped, ever */
	u64 broken[8];	  /* by linear address: a guest's large page was made of small ones there */
	struct shadow_stats stats;
	struct shadow_page *unsync[SHADOW_PAGES];
	u32 hash[SHADOW_HASH];		       /* by gfn */
	struct shadow_chain rmap[SHADOW_RMAP]; /* by host page */
	u16 tables[SHADOW_REGIONS]; /* how many guest tables with shadows lie in each 2 MiB */
	/* by host page: a leaf that could be written to went, and the guest may not have invalidated it */
	u64 loose[SHADOW_LOOSE / 64];
	struct shadow_page *page[SHADOW_PAGES + 1]; /* from 1 */
};

/* ---- inline */

static inline struct shadow *shadow_of(const struct guest_memory *memory)
{
	return memory->shadow;
}

static inline u64 entry_of_slot(const struct shadow_page *sp, u32 slot)
{
	return READ_ONCE(sp->table[slot]);
}

static inline bool is_leaf_at(u8 level, u64 entry)
{
	return level == 1 || (entry & PTE_PS);
}

static inline u32 shadow_hash(u64 gfn)
{
	return (gfn ^ gfn >> 12) & (SHADOW_HASH - 1);
}

static inline u32 region_of(u64 gfn)
{
	return gfn >> 9 & (SHADOW_REGIONS - 1);
}

static inline u32 slot_of(u64 linear, u8 level)
{
	return linear >> (12 + 9 * (level - 1)) & (RADIX_ENTRIES - 1);
}

/* Bits that an entry without keys has there are 0, ignored, or reserved (SDM 3A 4.4, 4.5). */
static inline u32 entry_key(u64 entry)
{
	return (entry & PTE_KEY) >> PTE_KEY_SHIFT;
}

/* Bits of the guest's entry that decide access, as ROLE_*. */
static inline u32 entry_access(u32 role, u64 entry)
{
	u32 access = entry & PTE_RW ? ROLE_WRITE : 0;

	access |= entry & PTE_US ? ROLE_USER : 0;
	access |= role_kind(role) == SHADOW_32BIT || !(entry & PTE_NX) ? ROLE_EXEC : 0;
	return access;
}

/* Where in the guest's table the entry behind a slot is, bytes. */
static inline u32 guest_offset(u32 role, u32 slot)
{
	u32 quadrant = role >> 4 & 3;

	if (role_kind(role) != SHADOW_32BIT)
		return slot * 8;
	if (role_level(role) == 1)
		return (quadrant * RADIX_ENTRIES + slot) * 4;
	return (quadrant * RADIX_ENTRIES + slot) / 2 * 4;
}

static inline u64 guest_entry(const struct shadow_page *sp, const u8 *table, u32 slot)
{
	const u8 *at = table + guest_offset(sp->role, slot);

	return role_kind(sp->role) == SHADOW_32BIT ? READ_ONCE(*(const u32 *)at) :
						     READ_ONCE(*(const u64 *)at);
}

/* ---- pages.c */
struct shadow_page *shadow_find(struct shadow *sh, u64 gfn, u32 role);
struct shadow_page *shadow_create(struct shadow *sh, u64 gfn, u32 role);
void shadow_zap(struct shadow *sh, struct shadow_page *sp); /* not pinned */
void shadow_drop(struct shadow *sh, struct shadow_page *sp, u32 slot);
void shadow_drop_all(struct shadow *sh, struct shadow_page *sp);
void shadow_set_link(struct shadow *sh, struct shadow_page *sp, u32 slot, struct shadow_page *child,
		     u64 origin);
void shadow_set_leaf(struct shadow *sh, struct shadow_page *sp, u32 slot, u64 entry, u64 origin);
struct shadow_page *shadow_child(struct shadow *sh, const struct shadow_page *sp, u32 slot);
/* Every leaf to that 4 KiB host page loses its write access, larger ones go. */
void shadow_protect(struct shadow *sh, u64 phys);
/* Is there a shadow of the table at gfn that relies on seeing its writes? */
bool shadow_tracked(struct shadow *sh, u64 gfn);
void shadow_unmap(struct guest_memory *memory, u64 start, u64 end, bool again, struct flush *flush);
void shadow_write_protect(struct guest_memory *memory, u64 start, u64 end);
void shadow_reap(struct guest_memory *memory);
/* In a long work under lock: now and then others get the lock. *since: sh->work when it was taken. */
void shadow_breathe(struct shadow *sh, u64 *since);
u64 shadow_leaf_bits(u32 access, u32 key);
/* A leaf has lost `old`'s write access, and no flush is owed for it. */
void shadow_note_loose(struct shadow *sh, u64 old, u8 level);
/*
 * Writes to the table behind sp are to be seen. False: not before a flush is over, since CPUs may have
 * cached that they may write there; sp is to stay unsync until then.
 */
bool shadow_close(struct shadow *sh, struct shadow_page *sp);

/* ---- supply.c */
u32 shadow_held(const struct shadow *sh); /* tables that take memory, free and in limbo too */
void shadow_supply_end(struct shadow *sh);

/* ---- sync.c */
const u8 *shadow_table(struct shadow *sh, const struct shadow_page *sp); /* NULL: not mapped */
#define SYNC_ZAP BIT(0)	    /* a table with nothing left in it goes */
#define SYNC_PROTECT BIT(1) /* one that is quiet is write-protected again */
#define SYNC_FORCE BIT(2)   /* quiet or not */
void shadow_sync(struct shadow *sh, struct shadow_page *sp, u32 what);
void shadow_sync_slot(struct shadow *sh, struct shadow_page *sp, u32 slot);
void shadow_sync_all(struct shadow *sh, u32 what);
void shadow_unsync(struct shadow *sh, u64 gfn);
void shadow_mark_unsync(struct shadow *sh, struct shadow_page *sp);
void shadow_unsync_remove(struct shadow *sh, struct shadow_page *sp);

#endif
