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

/*
 * The same; path is filled in when the answer is 0 without a fault, its A and D bits as they are now. Whatever
 * the answer: entry[].gpa of each level that was read is where it was read, and the others' are left alone.
 */
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

/*
 * Code that exits is executed again and again. The way to its page, as the guest's tables had it, is
 * kept with every entry's place and value: while all of them are what they were, and the guest's memory
 * lies where it lay, the way is the same. One per place that exits often.
 */
struct guest_code {
	u64 page; /* linear; GUEST_CODE_NONE */
	u64 cr3;
	u64 sequence; /* of the guest's memory */
	u64 user;     /* the page in its owner's memory */
	u32 levels;
	struct host_user_word entry[RADIX_LEVELS_MAX];
};
#define GUEST_CODE_NONE 1 /* no page begins there */

/* Fills it in for linear, in 64-bit mode. False: there is no way that is as easy as this. */
bool guest_code_find(struct guest_memory *memory, struct guest_code *code,
		     const struct guest_paging *paging, u64 linear);

/*
 * Eight bytes of code at linear, in 64-bit mode. False: not known, guest_code_find(). Who changes what
 * else paging depends on (CR0, CR4, EFER) sets page to GUEST_CODE_NONE.
 */
static inline bool guest_code_read(const struct guest_memory *memory, const struct guest_code *code,
				   u64 cr3, u64 linear, u64 *to)
{
	u64 offset = linear & 0xfff;

	return code->page == linear - offset && code->cr3 == cr3 &&
	       code->sequence == READ_ONCE(memory->invalidations.sequence) &&
	       offset <= 4096 - sizeof(*to) &&
	       host_user_unchanged(code->entry, code->levels, code->user + offset, to);
}

#endif
