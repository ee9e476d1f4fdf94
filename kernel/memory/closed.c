/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/closed.h"

#define ANY_ACCESS (RADIX_READ | RADIX_WRITE | RADIX_EXEC)

struct watches *watches_new(u32 room, u32 frames)
{
	struct watches *watches = host_alloc(sizeof(*watches) + room * sizeof(watches->at[0]) +
					     frames * sizeof(watches->frame[0]));

	if (!watches)
		return NULL;
	watches->room = room;
	watches->frame = (struct watch_frame *)&watches->at[room];
	return watches;
}

bool watches_has(const struct watches *watches, const struct watch *watch)
{
	for (u32 i = 0; watches && i < watches->count; i++) {
		const struct watch *w = &watches->at[i];

		if (w->first == watch->first && w->last == watch->last && w->access == watch->access)
			return true;
	}
	return false;
}

void watches_add(struct watches *watches, u64 first, u64 last, u32 access)
{
	const struct watch watch = { .first = first, .last = last, .access = access };

	if (watches->count == watches->room || watches_has(watches, &watch))
		return;
	watches->at[watches->count++] = watch;
}

/* The first of the frames that is not before this one. */
static u32 frame_from(const struct watches *watches, u64 frame)
{
	u32 low = 0, high = watches->frames;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (watches->frame[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

u32 watches_frame(const struct watches *watches, u64 frame)
{
	u32 i = watches ? frame_from(watches, frame) : 0;

	return watches && i < watches->frames && watches->frame[i].frame == frame ?
		       watches->frame[i].access :
		       0;
}

u32 watches_access(const struct watches *watches, u64 first, u64 last)
{
	u32 access = 0;

	for (u32 i = 0; watches && i < watches->count; i++) {
		const struct watch *w = &watches->at[i];

		if (w->first <= last && w->last >= first)
			access |= w->access;
	}
	if (!watches || !watches->frames)
		return access;
	for (u32 i = frame_from(watches, first);
	     i < watches->frames && watches->frame[i].frame <= last; i++)
		access |= watches->frame[i].access;
	return access;
}

bool watches_same(const struct watches *a, const struct watches *b)
{
	u32 count = a ? a->count : 0, frames = a ? a->frames : 0;

	if (count != (b ? b->count : 0) || frames != (b ? b->frames : 0))
		return false;
	for (u32 i = 0; i < frames; i++)
		if (a->frame[i].frame != b->frame[i].frame ||
		    a->frame[i].access != b->frame[i].access)
			return false;
	for (u32 i = 0; i < count; i++)
		if (!watches_has(b, &a->at[i]))
			return false;
	return true;
}

/*
 * No format has pages that can be written and not read (SDM 3C 29.3.3.1 calls such an entry
 * misconfigured). Executed and not read: EPT on processors that say so, nested and ordinary tables never.
 */
u32 watch_allowed(const struct radix_format *format, u32 denied)
{
	u32 allowed = ANY_ACCESS & ~denied;

	if (allowed & RADIX_READ)
		return allowed;
	return format->exec_only ? allowed & RADIX_EXEC : 0;
}

u32 watch_needed(const struct radix_format *format, u32 access)
{
	if (access & RADIX_WRITE || (access & RADIX_EXEC && !format->exec_only))
		access |= RADIX_READ;
	return access;
}
