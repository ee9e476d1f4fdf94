/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/closed.h"

#define ANY_ACCESS (RADIX_READ | RADIX_WRITE | RADIX_EXEC)

struct closed *closed_new(u32 room, u32 frames)
{
	struct closed *closed = host_alloc(sizeof(*closed) + room * sizeof(closed->at[0]) +
					   frames * sizeof(closed->frame[0]));

	if (!closed)
		return NULL;
	closed->room = room;
	closed->frame = (struct closed_frame *)&closed->at[room];
	return closed;
}

bool closed_has(const struct closed *closed, const struct closed_range *range)
{
	for (u32 i = 0; closed && i < closed->count; i++) {
		const struct closed_range *r = &closed->at[i];

		if (r->first == range->first && r->last == range->last && r->access == range->access)
			return true;
	}
	return false;
}

void closed_add(struct closed *closed, u64 first, u64 last, u32 access)
{
	const struct closed_range range = { .first = first, .last = last, .access = access };

	if (closed->count == closed->room || closed_has(closed, &range))
		return;
	closed->at[closed->count++] = range;
}

/* The first of the frames that is not before this one. */
static u32 frame_from(const struct closed *closed, u64 frame)
{
	u32 low = 0, high = closed->frames;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (closed->frame[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

u32 closed_frame(const struct closed *closed, u64 frame)
{
	u32 i = closed ? frame_from(closed, frame) : 0;

	return closed && i < closed->frames && closed->frame[i].frame == frame ?
		       closed->frame[i].access :
		       0;
}

u32 closed_access(const struct closed *closed, u64 first, u64 last)
{
	u32 access = 0;

	for (u32 i = 0; closed && i < closed->count; i++) {
		const struct closed_range *r = &closed->at[i];

		if (r->first <= last && r->last >= first)
			access |= r->access;
	}
	if (!closed || !closed->frames)
		return access;
	for (u32 i = frame_from(closed, first);
	     i < closed->frames && closed->frame[i].frame <= last; i++)
		access |= closed->frame[i].access;
	return access;
}

bool closed_same(const struct closed *a, const struct closed *b)
{
	u32 count = a ? a->count : 0, frames = a ? a->frames : 0;

	if (count != (b ? b->count : 0) || frames != (b ? b->frames : 0))
		return false;
	for (u32 i = 0; i < frames; i++)
		if (a->frame[i].frame != b->frame[i].frame ||
		    a->frame[i].access != b->frame[i].access)
			return false;
	for (u32 i = 0; i < count; i++)
		if (!closed_has(b, &a->at[i]))
			return false;
	return true;
}

/*
 * No format has pages that can be written and not read (SDM 3C 29.3.3.1 calls such an entry
 * misconfigured). Executed and not read: EPT on processors that say so, nested and ordinary tables never.
 */
u32 closed_allowed(const struct radix_format *format, u32 denied)
{
	u32 allowed = ANY_ACCESS & ~denied;

	if (allowed & RADIX_READ)
		return allowed;
	return format->exec_only ? allowed & RADIX_EXEC : 0;
}

u32 closed_needed(const struct radix_format *format, u32 access)
{
	if (access & RADIX_WRITE || (access & RADIX_EXEC && !format->exec_only))
		access |= RADIX_READ;
	return access;
}
