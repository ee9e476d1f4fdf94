/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest's physical memory: its slots, the nested page table built from them on demand, and the
 * protocol between nested faults and the host, which may take any page away at any time.
 *
 *   fault                                     host (mmu notifier)
 *   (a) note sequence
 *   (b) find the slot
 *   (c) host_page_get(), which sleeps         invalidate_begin: under_way++, sequence++, unmap
 *   (d) lock; invalidating or sequence        ... the host changes its own page table ...
 *       changed since (a): -EAGAIN            invalidate_end: sequence++, invalidating--
 *   (e) map; unlock
 *
 * A page found at (c) is still the host's at (e), or (d) has noticed: so nobody needs a reference to it. Slots
 * change in the same way: under_way++, sequence++, unmap; publish, sequence++, under_way--. An invalidation
 * during the unmapping still finds the slot that goes.
 *
 * Unmapping gives up the lock between its pieces (unmap.c).
 *
 * Flushes: a call that owes one must be followed by the flush, so that no CPU runs this
 * guest with older translations any more, and then by exactly one guest_memory_reap(). A CPU that notes
 * the generation and then drops all it keeps of this guest has paid everything owed up to there.
 */
#ifndef FERMATA_MEMORY_NESTED_H
#define FERMATA_MEMORY_NESTED_H

#include "memory/dirty.h"
#include "memory/radix.h"
#include "memory/slots.h"
#include "memory/closed.h"

/* Pages that are open although they are closed, for the one instruction that runs then. */
#define CLOSED_OPEN_MAX 64

struct guest_memory;

/* What shadow paging is told; NULL without it. */
struct memory_hooks {
	/*
	 * As guest_memory_unmap(): it takes them out of the nested tables too. again: they may come back
	 * before the flush that is owed for it has been paid.
	 */
	void (*unmapping)(struct guest_memory *memory, u64 start, u64 end, bool again,
			  struct flush *flush);
	/*
	 * Under lock, given up in between: leaves in [start, end) have lost their write access, and a flush
	 * will be owed for it.
	 */
	void (*protecting)(struct guest_memory *memory, u64 start, u64 end);
	void (*reaping)(struct guest_memory *memory); /* under lock */
};

/* Who may write a field: `lock` means under the lock; "constant" is set when the memory is made. */
struct guest_memory {
	struct host_lock lock;
	const struct slots *slots; /* never NULL; read inside host_read_begin/end or under lock */
	struct radix radix;	   /* lock */
	u32 phys_bits;		   /* constant; width of a guest-physical address */
	bool unwalked;	 /* constant; shadow paging for good: no processor walks these tables */
	bool small_exec; /* constant; only leaves of 4 KiB may be executed */
	struct {
		u64 sequence; /* one more with each change of the host's */
		u32 under_way;
	} invalidations; /* lock */
	struct {
		u32 under_way;	/* lock: owed and not yet reaped */
		u64 generation; /* lock to write: one more with each flush owed; never 0 */
	} flush;
	struct closed *closed; /* lock; NULL: nothing is closed */
	struct {
		u32 count;
		struct {
			u64 frame;
			u32 access;
		} at[CLOSED_OPEN_MAX];
	} opened;		   /* lock */
	struct shadow *shadow;	   /* shadow paging's half, or NULL; set before the first fault */
	struct memory_hooks hooks; /* lock */
	struct {
		u64 faults;	   /* answered with a mapping */
		u64 large_faults;  /* of these, 2 MiB or larger */
		u64 spurious;	   /* another vCPU had mapped it already */
		u64 retries;	   /* -EAGAIN */
		u64 invalidations; /* that removed a mapping */
	} stats;		   /* lock */
};

int guest_memory_init(struct guest_memory *memory, const struct radix_format *format, u8 max_leaf,
		      u32 phys_bits);
void guest_memory_destroy(struct guest_memory *memory); /* no vCPU runs, no notifier is registered */

/* Add or remove a slot; sleeps; the caller serializes. Errors as slots_change(), -E2BIG, -ENOMEM. */
int guest_memory_set_slot(struct guest_memory *memory, const struct fermata_memory *change,
			  struct flush *owed);

/*
 * The next table of slots, which is taken over; what is mapped in [start, end) goes with the old one, which
 * nobody reads any more when this returns. Sleeps; the caller serializes.
 */
void guest_memory_publish(struct guest_memory *memory, struct slots *next, u64 start, u64 end,
			  struct flush *owed);

/*
 * Answer a nested page fault. access: the RADIX_READ, _WRITE, _EXEC the guest wanted. Sleeps.
 *   0         mapped with a leaf of *level_mapped (or it was already): enter the guest again
 *  -ENOENT    no slot there: MMIO
 *  -EACCES    a write to a read-only slot: MMIO
 *  -EAGAIN    the host was changing this memory: enter the guest again
 *  -ENOMEM    no page for a table
 *  others     from host_page_get(): the memory behind the slot cannot be had
 * *owed is set on every return.
 */
int guest_memory_fault(struct guest_memory *memory, u64 gpa, u32 access, struct radix_cache *cache,
		       struct flush *owed, u8 *level_mapped);

/*
 * The same for memory that the host has and maps in pages of 4 KiB, where nothing is replaced: without
 * sleeping, with nothing owed, and with neighbours. False: ask guest_memory_fault().
 */
bool guest_memory_near(struct guest_memory *memory, u64 gpa);

/*
 * What must fault from now on: `next`, or nothing if it is NULL, which is taken over. Answers what was there
 * before. Then the second call, with no lock held: of both, what is mapped otherwise goes. Pages that are
 * closed no more become large again by the faults they owe.
 */
struct closed *guest_memory_set_closed(struct guest_memory *memory, struct closed *next);
void guest_memory_apply_closed(struct guest_memory *memory, struct closed *old, struct closed *next,
			       struct flush *owed);
/* What the guest may do there without a fault: RADIX_*, by rules alone. */
u32 guest_memory_allows(struct guest_memory *memory, u64 gpa);
/*
 * For one instruction, while nobody else runs the guest: `access` to the page at gpa does not fault. False:
 * too many are open. Closing owes a flush by whoever was in the guest since; the reap is done.
 */
bool guest_memory_open(struct guest_memory *memory, u64 gpa, u32 access);
struct flush guest_memory_close(struct guest_memory *memory);

/* No leaf is larger than that from now on. What was, goes. */
void guest_memory_limit_leaves(struct guest_memory *memory, u8 level, struct flush *owed);

/* The host is about to change, and has changed, its mapping of [user_start, user_end). No sleeping. */
struct flush guest_memory_invalidate_begin(struct guest_memory *memory, u64 user_start,
					   u64 user_end);
void guest_memory_invalidate_end(struct guest_memory *memory, u64 user_start, u64 user_end);

/*
 * unmap.c: mappings go. All but the last under lock, which is given up between pieces, and by the last for
 * good; what it answers is owed.
 */
void guest_memory_unmap_begin(struct guest_memory *memory);
void guest_memory_unmap(struct guest_memory *memory, u64 start, u64 end, bool again,
			struct flush *flush);
void guest_memory_unmap_nested(struct guest_memory *memory, u64 start, u64 end,
			       struct flush *flush); /* the nested tables' alone */
struct flush guest_memory_unmap_end(struct guest_memory *memory, struct flush flush);

/* Under lock: others get it for a moment. */
void guest_memory_breathe(struct guest_memory *memory);

/* Under lock: what is answered is owed, and one guest_memory_reap() with it. */
struct flush guest_memory_owe(struct guest_memory *memory, struct flush flush);

/* Once for every flush owed, after it was paid. Does not sleep. */
void guest_memory_reap(struct guest_memory *memory);

/*
 * Copy from and to guest-physical memory, across pages and slots. They do not sleep:
 *  -EFAULT  a page is not present in the host: guest_memory_populate(), then again
 *  -ENOENT  no slot; -EACCES  a write to a read-only slot
 */
int guest_memory_read(struct guest_memory *memory, u64 gpa, void *to, size_t size);
int guest_memory_write(struct guest_memory *memory, u64 gpa, const void *from, size_t size);

/* 1 done, 0 what is there is not `old`; else as guest_memory_write(). Naturally aligned, size 4 or 8. */
int guest_memory_cmpxchg(struct guest_memory *memory, u64 gpa, u64 old, u64 new_value, u32 size);

/* Let the host fault in the page behind gpa. Sleeps. -ENOENT, -EACCES, or host_page_get()'s error. */
int guest_memory_populate(struct guest_memory *memory, u64 gpa, bool write);

/* Where gpa lies in the owning process, -ENOENT. readonly may be NULL. */
int guest_memory_user_addr(struct guest_memory *memory, u64 gpa, u64 *user_addr, bool *readonly);

/*
 * dirty_log.c: switches a slot's log; sleeps; the caller serializes these three with
 * guest_memory_set_slot().
 *  -ENOENT  no such slot; -E2BIG, -ENOMEM
 */
int guest_memory_log_dirty(struct guest_memory *memory, u32 id, bool on, struct flush *owed);

/*
 * Takes the bits of `count` pages from `first` on into bitmap[], see struct fermata_dirty; *dirty: how
 * many. They are all the writes before the flush owed was paid.
 *  -ENOENT  no such slot, or no log; -EINVAL  a range that is none
 */
int guest_memory_take_dirty(struct guest_memory *memory, const struct fermata_dirty *what,
			    u64 *bitmap, u64 *dirty, struct flush *owed);
/* Back: nobody has heard of them. */
void guest_memory_put_dirty(struct guest_memory *memory, const struct fermata_dirty *what,
			    const u64 *bitmap);

#endif
