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

struct guest_memory;
struct flush;

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

/*
 * Switches a slot's log; sleeps; the caller serializes these three with guest_memory_set_slot().
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
