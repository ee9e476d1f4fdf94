// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The guest clock, read from the page the kernel shares: no system call, no lock. The kernel makes
 * seq odd while it writes, so a copy is good when seq was even and is the same afterwards.
 */
#include <x86intrin.h>

#include "internal.h"

void fermata_clock_read(const struct fermata_clock *page, struct fermata_clock *copy)
{
	uint32_t seq;

	for (;;) {
		seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);
		copy->seq = seq;
		copy->tsc_khz = __atomic_load_n(&page->tsc_khz, __ATOMIC_RELAXED);
		copy->tsc_offset = __atomic_load_n(&page->tsc_offset, __ATOMIC_RELAXED);
		copy->tsc_origin = __atomic_load_n(&page->tsc_origin, __ATOMIC_RELAXED);
		copy->ns_mult = __atomic_load_n(&page->ns_mult, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(&page->seq, __ATOMIC_RELAXED) == seq)
			return;
		_mm_pause();
	}
}

uint64_t fermata_clock_ns(const struct fermata_clock *clock, uint64_t host_tsc)
{
	uint64_t ticks = host_tsc + clock->tsc_offset - clock->tsc_origin;

	/*
	 * Another CPU's TSC may lag the origin's by a few ticks: that is time 0, not the far future.
	 */
	if ((int64_t)ticks < 0)
		return 0;
	return (uint64_t)((unsigned __int128)ticks * clock->ns_mult >> 32);
}

/* RDTSC may run ahead of earlier loads (SDM 2B RDTSC): LFENCE keeps it behind the reading of seq. */
static uint64_t host_tsc(void)
{
	_mm_lfence();
	return __rdtsc();
}

uint64_t fermata_now(const fermata_vm *vm)
{
	struct fermata_clock clock;

	fermata_clock_read(vm->clock, &clock);
	return fermata_clock_ns(&clock, host_tsc());
}

uint64_t fermata_tsc(const fermata_vm *vm)
{
	struct fermata_clock clock;

	fermata_clock_read(vm->clock, &clock);
	return host_tsc() + clock.tsc_offset;
}

uint32_t fermata_tsc_khz(const fermata_vm *vm)
{
	struct fermata_clock clock;

	fermata_clock_read(vm->clock, &clock);
	return clock.tsc_khz;
}
