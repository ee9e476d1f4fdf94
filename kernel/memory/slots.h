/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest-physical memory map: which ranges of guest-physical addresses are the owning process's
 * memory, and at which of its addresses.
 *
 * A table is immutable once published. A change builds a new table beside the old one; readers hold
 * theirs inside host_read_begin()/host_read_end().
 */
#ifndef FERMATA_MEMORY_SLOTS_H
#define FERMATA_MEMORY_SLOTS_H

#include "host.h"
#include <uapi/fermata.h>

/* Where the user half of a process's addresses ends: 4-level paging (SDM 1 3.3.7.1). */
#define SLOTS_USER_END (1ull << 47)

struct dirty_log;

struct slot {
	u64 gpa, size, user_addr; /* multiples of 4096 */
	u32 id, flags;		  /* FERMATA_MEMORY_* but _LOG_DIRTY */
	struct dirty_log *log;	  /* which of its pages were written to; NULL: nobody asks */
};

struct slots {
	u32 count;
	u32 largest; /* index of the largest slot, tried first: nearly every lookup is for RAM */
	struct slot slot[FERMATA_MAX_SLOTS]; /* sorted by gpa */
};

/*
 * Checks `change` and builds in `next` the table that follows `old` (NULL: the empty one). `removed`
 * gets the slot that is gone; its size is 0 when the change added one, which has no log yet.
 *
 *  -EINVAL  misaligned, wraps, beyond phys_bits or the user half, unknown flag, no such slot number
 *  -EEXIST  the slot is in use (remove it first), or the range overlaps another slot
 *  -ENOENT  asked to remove a slot that does not exist
 */
int slots_change(const struct slots *old, const struct fermata_memory *change, u32 phys_bits,
		 struct slots *next, struct slot *removed);

const struct slot *slots_search(const struct slots *slots, u64 gpa);

/* The slot that holds gpa, or NULL. */
static inline const struct slot *slots_find(const struct slots *slots, u64 gpa)
{
	const struct slot *slot = &slots->slot[slots->largest];

	if (likely(gpa - slot->gpa < slot->size))
		return slot;
	return slots_search(slots, gpa);
}

#endif
