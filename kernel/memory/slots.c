/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/slots.h"

#define PAGE_MASK_LOW 0xfffull
#define KNOWN_FLAGS (FERMATA_MEMORY_READONLY | FERMATA_MEMORY_LOG_DIRTY)

static void find_largest(struct slots *slots)
{
	slots->largest = 0;
	for (u32 i = 1; i < slots->count; i++)
		if (slots->slot[i].size > slots->slot[slots->largest].size)
			slots->largest = i;
}

static int remove_slot(const struct slots *old, u32 id, struct slots *next, struct slot *removed)
{
	u32 to = 0;

	if (!old)
		return -ENOENT;
	for (u32 i = 0; i < old->count; i++) {
		if (old->slot[i].id == id)
			*removed = old->slot[i];
		else
			next->slot[to++] = old->slot[i];
	}
	if (!removed->size)
		return -ENOENT;
	next->count = to;
	return 0;
}

static bool range_ok(u64 start, u64 size, u64 limit)
{
	return !((start | size) & PAGE_MASK_LOW) && size <= limit && start <= limit - size;
}

static int add_slot(const struct slots *old, const struct fermata_memory *change, struct slots *next)
{
	const struct slot added = {
		.gpa = change->gpa,
		.size = change->size,
		.user_addr = change->user_addr,
		.id = change->slot,
		.flags = change->flags & ~FERMATA_MEMORY_LOG_DIRTY,
	};
	u32 count = old ? old->count : 0, at = 0;

	for (u32 i = 0; i < count; i++) {
		const struct slot *slot = &old->slot[i];

		if (slot->id == added.id)
			return -EEXIST;
		if (slot->gpa < added.gpa + added.size && added.gpa < slot->gpa + slot->size)
			return -EEXIST;
		if (slot->gpa < added.gpa)
			at = i + 1;
	}
	/* Slot numbers are unique and smaller than the array, so there is room. */
	for (u32 i = 0; i < at; i++)
		next->slot[i] = old->slot[i];
	next->slot[at] = added;
	for (u32 i = at; i < count; i++)
		next->slot[i + 1] = old->slot[i];
	next->count = count + 1;
	return 0;
}

int slots_change(const struct slots *old, const struct fermata_memory *change, u32 phys_bits,
		 struct slots *next, struct slot *removed)
{
	int err;

	memset(next, 0, sizeof(*next));
	memset(removed, 0, sizeof(*removed));
	if (change->slot >= FERMATA_MAX_SLOTS || (change->flags & ~KNOWN_FLAGS))
		return -EINVAL;
	if (!change->size) {
		err = remove_slot(old, change->slot, next, removed);
	} else {
		if (!range_ok(change->gpa, change->size, 1ull << phys_bits) ||
		    !range_ok(change->user_addr, change->size, SLOTS_USER_END))
			return -EINVAL;
		err = add_slot(old, change, next);
	}
	if (err)
		return err;
	find_largest(next);
	return 0;
}

const struct slot *slots_search(const struct slots *slots, u64 gpa)
{
	u32 low = 0, high = slots->count;

	while (low < high) {
		u32 middle = (low + high) / 2;
		const struct slot *slot = &slots->slot[middle];

		if (gpa < slot->gpa)
			high = middle;
		else if (gpa - slot->gpa >= slot->size)
			low = middle + 1;
		else
			return slot;
	}
	return NULL;
}
