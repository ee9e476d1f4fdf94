// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The log's ring: one writer, the vCPU's thread; one reader, in user space. The reader can write to the
 * ring too, so that nothing the kernel needs is read back from it but the tail, which is checked.
 */
#include "rules/internal.h"

void ring_put(struct vcpu_rules *r, struct fermata_record *record)
{
	struct fermata_ring *ring = READ_ONCE(r->ring);
	struct fermata_record *slot;

	if (!ring)
		return;
	record->sequence = r->ring_head + r->ring_dropped;
	if (r->ring_head - READ_ONCE(ring->tail) >= FERMATA_RING_RECORDS) {
		WRITE_ONCE(ring->dropped, ++r->ring_dropped);
		return;
	}
	slot = (struct fermata_record *)((u8 *)ring + FERMATA_RING_FIRST);
	slot[r->ring_head % FERMATA_RING_RECORDS] = *record;
	host_full_barrier(); /* who sees the head sees the record */
	WRITE_ONCE(ring->head, ++r->ring_head);
}

int rules_set_ring(struct vcpu *v, struct fermata_ring *ring)
{
	WRITE_ONCE(v->rules->ring, ring);
	return 0;
}
