/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/watch.h"

#define ANY_ACCESS (RADIX_READ | RADIX_WRITE | RADIX_EXEC)

struct watches *watches_new(u32 room)
{
	struct watches *watches = host_alloc(sizeof(*watches) + room * sizeof(watches->at[0]));

	if (watches)
		watches->room = room;
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

u32 watches_access(const struct watches *watches, u64 first, u64 last)
{
	u32 access = 0;

	for (u32 i = 0; watches && i < watches->count; i++) {
		const struct watch *w = &watches->at[i];

		if (w->first <= last && w->last >= first)
			access |= w->access;
	}
	return access;
}

bool watches_same(const struct watches *a, const struct watches *b)
{
	u32 count = a ? a->count : 0;

	if (count != (b ? b->count : 0))
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
