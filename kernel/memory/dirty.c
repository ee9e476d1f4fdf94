/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/dirty.h"
#include "memory/radix.h"

int dirty_log_new(u64 size, struct dirty_log **log)
{
	u64 pages = size >> 12;

	if (pages > FERMATA_MAX_LOGGED)
		return -E2BIG;
	*log = host_alloc(sizeof(**log) + (pages + 63) / 64 * 8);
	if (!*log)
		return -ENOMEM;
	(*log)->pages = pages;
	return 0;
}

void dirty_log_free(struct dirty_log *log)
{
	host_free(log);
}

u32 dirty_allowed(const struct slot *slot, u64 gpa, u32 wanted, u32 access)
{
	u64 page = (gpa - slot->gpa) >> 12, *word = &slot->log->word[page / 64];

	if (!(access & RADIX_WRITE))
		return access;
	if (wanted & RADIX_WRITE)
		host_set_bit(page % 64, word);
	return READ_ONCE(*word) >> page % 64 & 1 ? access : access & ~RADIX_WRITE;
}

void dirty_mark(const struct slot *slot, u64 gpa, u64 size)
{
	u64 first = (gpa - slot->gpa) >> 12, last = (gpa - slot->gpa + size - 1) >> 12;

	for (u64 page = first; size && page <= last; page++)
		host_set_bit(page % 64, &slot->log->word[page / 64]);
}
