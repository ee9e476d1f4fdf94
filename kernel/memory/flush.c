/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Flushes that are owed, and what waits for them to be paid. */
#include "memory/nested.h"

/* Under lock: remember that a flush is on its way, so that no one else's reap frees its tables. */
struct flush guest_memory_owe(struct guest_memory *memory, struct flush flush)
{
	if (flush.kinds) {
		/* Under shadow paging the processor walks no nested tables: what it keeps lies under tags. */
		if (memory->shadow && flush.kinds & FLUSH_NESTED)
			flush.kinds = (flush.kinds & ~FLUSH_NESTED) | FLUSH_LINEAR;
		memory->flush.under_way++;
		/* After the tables' stores, which the processor keeps in order (SDM 3A 9.2.2). */
		WRITE_ONCE(memory->flush.generation, memory->flush.generation + 1);
	}
	return flush;
}

void guest_memory_reap(struct guest_memory *memory)
{
	u64 *limbo = NULL;

	host_lock(&memory->lock);
	DEBUG_ASSERT(memory->flush.under_way);
	/* Tables of a flush still under way may be in limbo too: the last one takes all. */
	if (memory->flush.under_way && !--memory->flush.under_way) {
		limbo = radix_reap_take(&memory->radix);
		if (memory->hooks.reaping)
			memory->hooks.reaping(memory);
	}
	host_unlock(&memory->lock);
	radix_reap_free(limbo);
}
