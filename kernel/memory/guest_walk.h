/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guest-linear to guest-physical by the guest's own page tables, as the processor would
 * (SDM 3A chapter 4, APM 2 chapter 5): no paging, 32-bit, PAE, 4-level, 5-level.
 */
#ifndef FERMATA_MEMORY_GUEST_WALK_H
#define FERMATA_MEMORY_GUEST_WALK_H

#include "memory/nested.h"

/* What of a vCPU's state decides a translation. All zero but the registers is a sound default. */
struct guest_paging {
	u64 cr0, cr3, cr4, efer;
	u32 pkru; /* looked at when CR4.PKE and EFER.LMA */
	u8 cpl;
	bool ac;    /* RFLAGS.AC */
	bool no_1g; /* the guest's CPU has no 1 GiB pages: PDPTE bit 7 is reserved */
	bool has_pdptes; /* VMX: PAE's four PDPTEs live in registers; else they are read at CR3 (APM 2 15.25.10) */
	u64 pdpte[4];
};

/* Besides FERMATA_ACCESS_*: leave the accessed and dirty bits alone. */
#define GUEST_WALK_PEEK (1u << 8)

/* #PF error code (SDM 3A 4.7, APM 2 8.4.2) */
#define PFERR_PRESENT (1u << 0)
#define PFERR_WRITE (1u << 1)
#define PFERR_USER (1u << 2)
#define PFERR_RSVD (1u << 3)
#define PFERR_FETCH (1u << 4)
#define PFERR_KEY (1u << 5)

struct guest_walk_result {
	u64 gpa;   /* of the byte at linear; after an error, of the table entry that failed */
	u32 fault; /* 1: the guest gets #PF with error_code */
	u32 error_code;
	u32 page_size; /* bytes */
	/* what all levels together allow, before CR0.WP, SMEP, ... */
	bool writable, user, executable;
};

/* The entries a walk went through, for who keeps a shadow of them; by level, 1 is the page table's. */
struct guest_walk_path {
	u8 leaf; /* the level where it ended; 0: no paging */
	struct {
		u64 value, gpa;
	} entry[RADIX_LEVELS_MAX + 1];
};

/*
 * access: FERMATA_ACCESS_* | GUEST_WALK_PEEK. Sets accessed and dirty bits atomically when the access
 * is allowed. The caller has checked that linear is canonical; outside long mode it is cut to 32 bits.
 *   0         result is valid; look at result->fault
 *  -EFAULT    the host page of a table is not present: guest_memory_populate(result->gpa), again
 *  -ENOENT    a table lies outside every slot, at result->gpa
 *  -EACCES    an accessed or dirty bit would go to a read-only slot, at result->gpa
 *  -EAGAIN    another vCPU keeps changing the tables: enter the guest again
 * Does not sleep.
 */
int guest_walk(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
	       u32 access, struct guest_walk_result *result);

/* The same; path is filled in when the answer is 0 without a fault, its A and D bits as they are now. */
int guest_walk_path(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		    u32 access, struct guest_walk_result *result, struct guest_walk_path *path);

/*
 * The path of every exit that needs its instruction: the processor has just fetched from linear, so
 * permissions and accessed bits need no second look. -EFAULT: something unusual; guest_walk() tells.
 */
int guest_walk_fetch(struct guest_memory *memory, const struct guest_paging *paging, u64 linear,
		     u64 *gpa);

/*
 * Up to `size` bytes of code at linear (linear: CS.base + RIP). Answers how many, 1 .. size: fewer
 * when the next page cannot be fetched from. result may be NULL.
 *  -EFAULT and others as guest_walk(); a #PF is -EFAULT with result->fault set.
 */
int guest_fetch(struct guest_memory *memory, const struct guest_paging *paging, u64 linear, u8 *to,
		u32 size, struct guest_walk_result *result);

#endif
