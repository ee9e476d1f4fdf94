// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The log's ring: one writer, the vCPU's thread; one reader, in user space. The reader can write to the
 * ring too, so that nothing the kernel needs is read back from it but the tail, which is checked.
 */
#include "core/rules.h"

void ring_put(struct vcpu_rules *events, struct fermata_record *record)
{
	struct fermata_ring *ring = READ_ONCE(events->ring);
	struct fermata_record *slot;

	if (!ring)
		return;
	record->sequence = events->ring_head + events->ring_dropped;
	if (events->ring_head - READ_ONCE(ring->tail) >= FERMATA_RING_RECORDS) {
		WRITE_ONCE(ring->dropped, ++events->ring_dropped);
		return;
	}
	slot = (struct fermata_record *)((u8 *)ring + FERMATA_RING_FIRST);
	slot[events->ring_head % FERMATA_RING_RECORDS] = *record;
	host_full_barrier(); /* who sees the head sees the record */
	WRITE_ONCE(ring->head, ++events->ring_head);
}
