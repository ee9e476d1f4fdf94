/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Mappings are taken away in pieces, between which others get the lock: a guest has as many as its owner gave
 * it memory, and under shadow paging as many more as it likes.
 *
 * From the first piece to the last a flush counts as under way. So no one else's reap frees tables that were
 * taken out, nor does shadow paging take a table for write-protected (pages.c) that an entry still to go, of a
 * page that the radix has forgotten, may write to.
 */
#include "memory/nested.h"

#define PIECE (32ull << 20) /* 16 tables of leaves at most */

void guest_memory_breathe(struct guest_memory *memory)
{
	host_unlock(&memory->lock);
	host_lock(&memory->lock);
}

void guest_memory_unmap_begin(struct guest_memory *memory)
{
	memory->flush.under_way++;
}

struct flush guest_memory_unmap_end(struct guest_memory *memory, struct flush flush)
{
	/*
	 * What a flush of others still under way has taken out may be in use until it is paid, be it of a slot that
	 * is no longer there. Whoever must know memory to be free waits too, although it finds nothing mapped.
	 */
	if (memory->flush.under_way > 1)
		flush_add(&flush, FLUSH_NESTED, 0, 1ull << memory->phys_bits);
	flush = guest_memory_owe(memory, flush);
	if (flush.kinds)
		memory->flush.under_way--; /* that of begin: it is owed by now */
	host_unlock(&memory->lock);
	if (!flush.kinds)
		guest_memory_reap(memory);
	return flush;
}

static void unmap_piece(struct guest_memory *memory, u64 start, u64 end, struct flush *flush)
{
	struct flush part = radix_unmap(&memory->radix, start, end);

	flush_merge(flush, &part);
}

void guest_memory_unmap_nested(struct guest_memory *memory, u64 start, u64 end, struct flush *flush)
{
	u8 levels = memory->radix.format->levels;
	u64 at, stop;

	end = min(end, radix_size(levels + 1));
	for (at = start; at < end; at = stop) {
		if (at != start)
			guest_memory_breathe(memory);
		stop = min(end, radix_hole_end(&memory->radix, at));
		if (stop <= at) {
			stop = min(end, (at | (PIECE - 1)) + 1);
			unmap_piece(memory, at, stop, flush);
		}
		/* The tables above them, with nothing left in them. */
		for (u8 level = 3; level <= levels && !(stop & (radix_size(level) - 1)); level++)
			if (stop - start >= radix_size(level))
				unmap_piece(memory, stop - radix_size(level), stop, flush);
	}
}

void guest_memory_unmap(struct guest_memory *memory, u64 start, u64 end, bool again,
			struct flush *flush)
{
	if (memory->hooks.unmapping)
		memory->hooks.unmapping(memory, start, end, again, flush);
	else
		guest_memory_unmap_nested(memory, start, end, flush);
}
