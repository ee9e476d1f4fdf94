/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which pages of a slot were written to. A leaf in a slot with a log is one page of 4 KiB, and it allows
 * writes only while the page's bit is set: a first write faults, and the fault sets the bit. To take a
 * bit away is to take the right away, and to owe a flush: until that is paid a processor may write by
 * what it remembers, and such a write belongs to the bits that were taken.
 *
 * What the module itself writes on the guest's behalf it marks after the write: marked before, the bit
 * could be taken, and the page read, before the write is there.
 */
#ifndef FERMATA_MEMORY_DIRTY_H
#define FERMATA_MEMORY_DIRTY_H

#include "memory/slots.h"

struct dirty_log {
	u64 pages;
	u64 word[]; /* bit n: page n; set at any time by anybody, taken under guest_memory.lock */
};

/* -E2BIG, -ENOMEM; NULL is fine for free. May sleep. */
int dirty_log_new(u64 size, struct dirty_log **log);
void dirty_log_free(struct dirty_log *log);

/* Under guest_memory.lock: what of `access` a leaf at gpa may have, where `wanted` came by a fault. */
u32 dirty_allowed(const struct slot *slot, u64 gpa, u32 wanted, u32 access);
void dirty_mark(const struct slot *slot, u64 gpa, u64 size);

/* The module has written [gpa, gpa + size), which lies in the slot; in the read section it was found in. */
static inline void dirty_wrote(const struct slot *slot, u64 gpa, u64 size)
{
	if (unlikely(slot->log))
		dirty_mark(slot, gpa, size);
}

#endif
