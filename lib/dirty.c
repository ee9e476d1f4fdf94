// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which pages were written to. The kernel part knows what the guest wrote and what it wrote itself; what
 * this process writes for the guest (the emulator, devices) is kept here, in a bitmap beside the kernel's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"

#define PAGE 4096u

/* ---- what this process writes */

int fermata_own_log(struct fermata_slot *slot)
{
	slot->own = calloc((slot->size / PAGE + 63) / 64, sizeof(*slot->own));
	return slot->own ? 0 : -ENOMEM;
}

void fermata_memory_wrote(fermata_vm *vm, uint64_t gpa, uint64_t size)
{
	if (!atomic_load(&vm->logs) || !size)
		return;
	pthread_rwlock_rdlock(&vm->lock);
	for (unsigned i = 0; i < FERMATA_MAX_SLOTS; i++) {
		const struct fermata_slot *slot = &vm->slot[i];
		uint64_t first = gpa > slot->gpa ? gpa - slot->gpa : 0, end;

		if (!slot->size || !slot->own || gpa + size <= slot->gpa || first >= slot->size)
			continue;
		end = gpa + size - slot->gpa < slot->size ? gpa + size - slot->gpa : slot->size;
		for (uint64_t page = first / PAGE; page <= (end - 1) / PAGE; page++)
			__atomic_fetch_or(&slot->own[page / 64], 1ull << page % 64,
					  __ATOMIC_RELEASE);
	}
	pthread_rwlock_unlock(&vm->lock);
}

/* ---- the log */

static int refused(int err, unsigned slot)
{
	return fermata_fail(err, "the dirty log of memory slot %u: %s", slot,
			    err == ENOENT ? "the slot is not in use" :
			    err == E2BIG  ? "the slot is too large for one" :
					    strerror(err));
}

static int switch_log(fermata_vm *vm, unsigned id, bool on)
{
	struct fermata_dirty_log log = { .slot = id, .flags = on ? FERMATA_MEMORY_LOG_DIRTY : 0 };
	struct fermata_slot *slot = &vm->slot[id];
	uint64_t *own = slot->own;

	if (!slot->size)
		return refused(ENOENT, id);
	if (!!own == on)
		return 0;
	if (on && fermata_own_log(slot))
		return refused(ENOMEM, id);
	if (ioctl(vm->fd, FERMATA_SET_DIRTY_LOG, &log)) {
		int err = errno;

		if (on)
			free(slot->own);
		slot->own = own;
		return refused(err, id);
	}
	if (!on)
		slot->own = NULL;
	free(own);
	atomic_fetch_add(&vm->logs, on ? 1 : -1);
	return 0;
}

int fermata_memory_log_dirty(fermata_vm *vm, unsigned slot, bool on)
{
	int ret;

	if (slot >= FERMATA_MAX_SLOTS)
		return fermata_fail(EINVAL, "memory slot %u: there are %u", slot, FERMATA_MAX_SLOTS);
	pthread_rwlock_wrlock(&vm->lock);
	ret = switch_log(vm, slot, on);
	pthread_rwlock_unlock(&vm->lock);
	return ret;
}

static int take(fermata_vm *vm, unsigned id, uint64_t first, uint64_t count, uint64_t *bitmap)
{
	const struct fermata_slot *slot = &vm->slot[id];
	uint64_t pages = slot->size / PAGE, words = (count + 63) / 64;

	if (!slot->size)
		return refused(ENOENT, id);
	if (!slot->own)
		return fermata_fail(ENOENT, "memory slot %u has no dirty log", id);
	if (!count || first % 64 || first >= pages || count > pages - first ||
	    (count % 64 && first + count != pages))
		return fermata_fail(EINVAL,
				    "%llu pages from page %llu of memory slot %u: from and to multiples"
				    " of 64, or to the slot's end",
				    (unsigned long long)count, (unsigned long long)first, id);
	for (uint64_t done = 0; done < count; done += FERMATA_MAX_DIRTY) {
		struct fermata_dirty what = {
			.slot = id,
			.first = first + done,
			.count = count - done < FERMATA_MAX_DIRTY ? count - done : FERMATA_MAX_DIRTY,
			.bitmap = (uintptr_t)(bitmap + done / 64),
		};

		if (ioctl(vm->fd, FERMATA_GET_DIRTY, &what)) {
			int err = errno;

			/* What earlier parts have said is not lost. */
			for (uint64_t i = 0; i < done / 64; i++)
				__atomic_fetch_or(&slot->own[first / 64 + i], bitmap[i],
						  __ATOMIC_RELAXED);
			return refused(err, id);
		}
	}
	for (uint64_t i = 0; i < words; i++)
		bitmap[i] |= __atomic_exchange_n(&slot->own[first / 64 + i], 0, __ATOMIC_ACQUIRE);
	return 0;
}

int fermata_memory_dirty(fermata_vm *vm, unsigned slot, uint64_t first, uint64_t count,
			 uint64_t *bitmap, uint64_t *dirty)
{
	int ret;

	if (slot >= FERMATA_MAX_SLOTS)
		return fermata_fail(EINVAL, "memory slot %u: there are %u", slot, FERMATA_MAX_SLOTS);
	pthread_rwlock_rdlock(&vm->lock);
	ret = take(vm, slot, first, count, bitmap);
	pthread_rwlock_unlock(&vm->lock);
	if (ret || !dirty)
		return ret;
	*dirty = 0;
	for (uint64_t i = 0; i < (count + 63) / 64; i++)
		*dirty += (unsigned)__builtin_popcountll(bitmap[i]);
	return 0;
}
