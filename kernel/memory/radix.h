/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One engine for radix page tables with 512 entries of 8 bytes per table. A format is a short const
 * table of bits: npt.c and ept.c hold nothing else.
 *
 * The processor walks the tables while they are edited and sets accessed and dirty bits in them, so
 * an entry is written by one 64-bit store, and taken out by an exchange that loses none of them.
 *
 * Nothing here flushes a TLB. An update returns the flush it owes and the caller pays:
 *  - not present -> present owes nothing: neither vendor caches a translation that does not exist
 *    (SDM 3C 29.4.2; APM 2 5.5.2).
 *  - the same translation with more access owes nothing: a stale entry causes at most one more fault,
 *    and the fault drops it (SDM 3C 29.4.3.1: an EPT violation invalidates what is cached for its
 *    guest-physical address; APM 2 5.5.2, "Invalidation of Table Entry Upgrades").
 *  - everything else owes FLUSH_NESTED of what changed, and tables taken out stay in limbo until
 *    radix_reap().
 *
 * The caller serializes updates and lookups of one radix (struct guest_memory's lock does).
 */
#ifndef FERMATA_MEMORY_RADIX_H
#define FERMATA_MEMORY_RADIX_H

#include "memory/flush.h"

#define RADIX_READ (1u << 0)
#define RADIX_WRITE (1u << 1)
#define RADIX_EXEC (1u << 2)
#define RADIX_UNCACHED (1u << 3) /* memory type UC instead of write-back */

#define RADIX_LEVELS_MAX 5
#define RADIX_ENTRIES 512

/* Levels count from the leaf side: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB. Every field holds bits of an entry. */
struct radix_format {
	const char *name;
	u8 levels;
	u8 max_leaf; /* the largest leaf level the format knows; the CPU may know less */
	u64 address; /* the physical address */
	u64 present; /* an entry with none of these bits is not present */
	u64 table;   /* set in an entry that points to a table */
	u64 leaf;    /* set in every leaf, whatever its access */
	u64 read, write, exec;
	u64 no_exec; /* set in a leaf without RADIX_EXEC */
	u64 large;   /* set in a leaf above level 1 */
	u64 type;    /* the memory type's bits in a leaf, for comparison */
	u64 write_back, uncached;
	u64 accessed, dirty;
	u64 software;	/* ignored by the processor */
	bool exec_only; /* a leaf can be executed and not be read */
};

extern const struct radix_format npt_format, npt5_format;
extern const struct radix_format ept_format, ept_exec_only_format;

struct radix {
	const struct radix_format *format;
	u64 *root;
	u64 root_phys;
	u8 max_leaf; /* 1 .. format->max_leaf */
	u32 tables;  /* in use, the root included */
	u32 limbo_tables;
	u64 *limbo; /* taken out, perhaps still in some CPU's paging-structure cache */
	u64 leaves[RADIX_LEVELS_MAX + 1]; /* by level */
};

struct radix_leaf {
	u64 gpa;    /* where the leaf begins */
	u64 phys;   /* of the address asked for, its low 12 bits included */
	u32 access; /* RADIX_* */
	u8 level;
	bool accessed, dirty;
};

/* Pages fetched before a lock is taken, for the tables an update may need under it. */
struct radix_cache {
	void *page[8];
	u8 count;
};

static inline u64 radix_size(u8 level)
{
	return 1ull << (12 + 9 * (level - 1));
}

int radix_init(struct radix *radix, const struct radix_format *format, u8 max_leaf);
void radix_destroy(struct radix *radix); /* no CPU may walk it any more */

int radix_cache_fill(struct radix_cache *cache); /* enough for any one update; sleeps; -ENOMEM */
void radix_cache_drain(struct radix_cache *cache);

/*
 * Map the page of `level` at gpa to phys, both multiples of its size, replacing what is there: a
 * table gives way to a leaf, a larger leaf is split. What that owes is added to `owed`.
 * -EINVAL (gpa, phys, level or access make no entry), -ENOMEM (the cache ran dry; nothing changed
 * for the guest).
 */
int radix_map(struct radix *radix, u64 gpa, u8 level, u64 phys, u32 access,
	      struct radix_cache *cache, struct flush *owed);

/*
 * Leaves of 4 KiB for those of `count` pages from gpa on that have none, up to the end of a table. Only
 * into a table that is there, and only if the first is one of them: false, and nothing has changed. Owes
 * nothing.
 */
bool radix_fill(struct radix *radix, u64 gpa, const u64 *phys, u32 count, u32 access);

/* Remove every leaf that overlaps [start, end), in full. */
struct flush radix_unmap(struct radix *radix, u64 start, u64 end);

/* Take access away from every leaf that overlaps [start, end), in full; without RADIX_READ it goes. */
struct flush radix_protect(struct radix *radix, u64 start, u64 end, u32 remove_access);

bool radix_lookup(const struct radix *radix, u64 gpa, struct radix_leaf *out);

/* The first leaf that overlaps [*gpa, end); *gpa moves to where it was found. False: there is none. */
bool radix_next(const struct radix *radix, u64 *gpa, u64 end, struct radix_leaf *out);

/* There are smaller leaves, or were, where one of `level` would be. */
bool radix_has_table(const struct radix *radix, u64 gpa, u8 level);

/* gpa, or where a hole around it ends that takes whole entries of 1 GiB or more. */
u64 radix_hole_end(const struct radix *radix, u64 gpa);

/* Free the tables in limbo: only after the flushes owed since they got there were paid. */
void radix_reap(struct radix *radix);

/* The two halves of radix_reap(): take the list under the caller's lock, free it outside. */
u64 *radix_reap_take(struct radix *radix);
void radix_reap_free(u64 *limbo);

#endif
