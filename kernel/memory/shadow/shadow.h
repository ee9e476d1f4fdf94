/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Shadow paging: where the processor knows only one page table, it gets one that we keep, and that says
 * at once what the guest's tables and the host's memory say together.
 *
 *	guest's tables: linear -> guest-physical		(guest_walk.c, the guest writes them)
 *	memory->radix:  guest-physical -> host-physical		(nested.c, filled on demand)
 *	shadow:		linear -> host-physical			(here, what the processor walks)
 *
 * A shadow page is the shadow of one guest table in one *role*: its level, how the guest pages, and what
 * the tables above it allow. It keeps, for each of its entries, the guest's entry it came from. Links
 * between shadow pages allow everything; a leaf alone carries what all levels together allow.
 *
 * Entries come into being by faults, never before. They go
 *  - when the guest invalidates: a table that has a shadow is mapped read-only, its first write makes it
 *    *unsync*, and what was changed in unsync tables is looked for at INVLPG, at CR3 loads and whatever
 *    else drops the processor's translations. Until then old entries may live on: a TLB's would too
 *    (SDM 3A 4.10.2, 4.10.4; APM 2 5.5.2);
 *  - when the host takes memory back: by reverse maps, before the radix forgets where it was.
 *
 * Everything happens under memory->lock, the walk of the guest's tables included: an entry that is made
 * from the guest's tables as they were before another vCPU's INVLPG is there when that INVLPG looks.
 */
#ifndef MEMORY_SHADOW_SHADOW_H
#define MEMORY_SHADOW_SHADOW_H

#include "memory/guest_walk.h"
#include "memory/nested.h"

struct shadow;
struct shadow_page;

/* Each of these can be switched off by itself; what is left is slower, not wrong. */
#define SHADOW_UNSYNC                                                                              \
	(1u << 0) /* off: a write to a table throws its shadows' entries away at once */
#define SHADOW_LARGE (1u << 1)	  /* 2 MiB leaves where guest and host agree */
#define SHADOW_NARROW (1u << 2)	  /* an entry whose rights alone changed is changed, not dropped */
#define SHADOW_KEEP (1u << 3)	  /* a table that is still being written stays writable */
#define SHADOW_PREFETCH (1u << 4) /* a fault brings its neighbours along */
#define SHADOW_ROOTS (1u << 5)	  /* off: a root is forgotten when its vCPU leaves it */
#define SHADOW_PCIDS (1u << 6)	  /* off: each load of a root looks through all unsync tables */
#define SHADOW_ALL 0x7fu

/* The walk of a vCPU's last fault. */
struct shadow_walk {
	u64 linear, sequence; /* the latter of the guest's memory */
	u32 access;
	bool wanted; /* its answer was SHADOW_MEMORY */
	struct guest_walk_result result;
	struct guest_walk_path path;
};

/* A vCPU's half. All zero: no root yet. */
struct shadow_cpu {
	u64 root_phys;		     /* what the hardware's CR3 gets; 0: shadow_load() first */
	struct shadow_page *root[4]; /* one, or four behind PAE's PDPTEs */
	u8 levels;		     /* of the tables at root_phys: 3 (PAE), 4 or 5 */
	u64 *pdpt;		     /* below 4 GiB, for levels == 3 */
	bool stale; /* other PCIDs may have lost translations since unsync tables were looked through */
	u64 unlinked; /* as the engine's when this one last dropped its paging-structure caches */
	/* a fault that nothing could be done about, seen once; twice in a row it is the guest's */
	u64 odd_linear, odd_rip;
	struct shadow_walk walk;
};

struct shadow_stats {
	u32 pages, roots_found, roots_made;
	u32 held; /* tables that take memory, in use or not */
	u64 faults, large_faults, prefetched, unsyncs, synced_pages, dropped, zapped, reclaimed;
	u64 released; /* given back to the host */
};

enum shadow_result {
	SHADOW_DONE,	    /* enter the guest again */
	SHADOW_GUEST_FAULT, /* the guest gets #PF with error_code */
	SHADOW_MEMORY, /* nothing is mapped at gpa, or not for `access`: as a nested fault there */
	SHADOW_TABLE,  /* the host page of a table is absent: guest_memory_populate(gpa), again */
	SHADOW_LOST,   /* a table of the guest's lies where no memory is, at gpa */
	SHADOW_AGAIN,  /* the guest's tables keep changing, or there is no root: again */
	SHADOW_REFILL, /* shadow_refill(), again */
	SHADOW_SAME,   /* all is as it should be, and was: the fault has a cause we do not see */
};

struct shadow_answer {
	u64 gpa;
	u32 access; /* RADIX_* */
	u32 error_code;
	bool large;
	struct flush owed; /* by all vCPUs: pay as for guest_memory_fault() */
};

/*
 * phys_nx: the host's tables know bit 63. max_pages: tables to keep at most; 0 derives it from the
 * guest's memory. Sleeps. -ENOMEM. The radix must be of npt_format with leaves of 2 MiB at most.
 */
int shadow_init(struct guest_memory *memory, u32 optimisations, u32 max_pages);
void shadow_destroy(struct guest_memory *memory);
int shadow_cpu_init(struct shadow_cpu *cpu);
void shadow_cpu_destroy(struct guest_memory *memory, struct shadow_cpu *cpu);

/*
 * A root for the guest's CR3 and mode as they are now, and what drops all translations: unsync tables
 * are looked through. keep: the guest lets those of its PCID stay. The vCPU owes its own flush after it.
 * SHADOW_DONE, SHADOW_REFILL.
 */
enum shadow_result shadow_load(struct guest_memory *memory, struct shadow_cpu *cpu,
			       const struct guest_paging *paging, bool keep,
			       struct shadow_answer *answer);

/*
 * Besides FERMATA_ACCESS_*: the same fault again, now that there is memory, where nobody can have written
 * to the guest's tables since: it has no other vCPU.
 */
#define SHADOW_REPEAT (1u << 9)
/* ... memory that has come for this fault alone: next to it there is none yet. */
#define SHADOW_ALONE (1u << 10)

/* A page fault with shadow_cpu's root loaded; access: FERMATA_ACCESS_* | SHADOW_REPEAT | SHADOW_ALONE. */
enum shadow_result shadow_fault(struct guest_memory *memory, struct shadow_cpu *cpu,
				const struct guest_paging *paging, u64 linear, u32 access,
				struct shadow_answer *answer);

/*
 * INVLPG. True: all of this context's translations must go, not just linear's. The processor may hold
 * more than one for the guest's one, since a large page of the guest's was made of small ones; or it may
 * remember tables of ours by links that are gone, and INVLPG forgets all such, of whatever address.
 */
bool shadow_invlpg(struct guest_memory *memory, struct shadow_cpu *cpu, u64 linear);

/* Pages for the next faults, from the host or from shadows not used of late. Sleeps. -ENOMEM. */
int shadow_refill(struct guest_memory *memory, struct flush *owed);

/*
 * When the host is short of memory, in this order: up to `want` tables that were not used since this was
 * last asked go, if there are any; the flush is paid, which makes them free; free ones are given back, and
 * how many is answered. What faults need next is kept. No sleeping.
 */
void shadow_retire(struct guest_memory *memory, u32 want, struct flush *owed);
u32 shadow_release(struct guest_memory *memory, u32 want);
u32 shadow_spare(const struct guest_memory *memory); /* so many at best; without lock */

/* As if there had been nothing yet: nobody has written to the guest's tables under its eyes. */
void shadow_forget_all(struct guest_memory *memory, struct flush *owed);

struct shadow_finding {
	u32 count; /* entries that differ; the rest tells of the first */
	u32 role, slot;
	const char *what;
	u64 table;	   /* guest-physical */
	u64 entry, origin; /* the shadow's, and the guest's that it came from */
};

/*
 * Derives every entry of the next `pages` shadow pages after *hand, which moves on, anew from the guest's
 * tables as they are, and compares. Answers finding->count. Nothing is looked at while a flush is under way.
 */
u32 shadow_audit(struct guest_memory *memory, u32 *hand, u32 pages, struct shadow_finding *finding);

void shadow_get_stats(struct guest_memory *memory, struct shadow_stats *stats);

#endif
