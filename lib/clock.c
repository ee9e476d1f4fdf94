// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The guest clock, read from the page the kernel shares: no system call, no lock. The kernel makes
 * seq odd while it writes, so a copy is good when seq was even and is the same afterwards.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "internal.h"

/* ns after which it is worth looking whether a clock that is run-only has gone on */
#define LOOK_AGAIN 50000

/* Behind every load before it and before every load behind it: LFENCE (SDM 2B RDTSC). */
static uint64_t host_tsc(void)
{
	uint64_t tsc;

	_mm_lfence();
	tsc = __rdtsc();
	_mm_lfence();
	return tsc;
}

#define COPY(field) copy->field = __atomic_load_n(&page->field, __ATOMIC_RELAXED)

uint64_t fermata_clock_read(const struct fermata_clock *page, struct fermata_clock *copy)
{
	uint64_t now;
	uint32_t seq;

	memset(copy, 0, sizeof(*copy));
	for (;;) {
		seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);
		copy->seq = seq;
		COPY(tsc_khz);
		COPY(tsc_mult);
		COPY(tsc_offset);
		COPY(tsc_start);
		COPY(tsc_ticks);
		COPY(host_end);
		COPY(ns_start);
		COPY(ns_fraction);
		COPY(flags);
		COPY(ns_mult);
		COPY(num);
		COPY(den);
		COPY(changes);
		COPY(rate_mult);
		/* This moment lies in the segment that was copied, or in none that is over. */
		now = host_tsc();
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(&page->seq, __ATOMIC_RELAXED) == seq)
			return now;
		_mm_pause();
	}
}

/* Guest ticks into the segment. */
static uint64_t ticks_at(const struct fermata_clock *clock, uint64_t host_tsc)
{
	uint64_t scaled = (unsigned __int128)host_tsc * clock->tsc_mult >> FERMATA_CLOCK_FRACTION;
	uint64_t ticks = scaled + clock->tsc_offset - clock->tsc_start;

	if (host_tsc >= clock->host_end)
		return clock->tsc_ticks;
	/* Another CPU's TSC may lag a few ticks behind: that is the start, not the far future. */
	if ((int64_t)ticks < 0)
		return 0;
	return ticks < clock->tsc_ticks ? ticks : clock->tsc_ticks;
}

uint64_t fermata_clock_tsc(const struct fermata_clock *clock, uint64_t host_tsc)
{
	return clock->tsc_start + ticks_at(clock, host_tsc);
}

uint64_t fermata_clock_ns(const struct fermata_clock *clock, uint64_t host_tsc)
{
	unsigned __int128 passed = (unsigned __int128)ticks_at(clock, host_tsc) * clock->ns_mult;

	return clock->ns_start + (uint64_t)((passed + clock->ns_fraction) >> 32);
}

/* ceil(a * 2^shift / b), saturating */
static uint64_t divide_up(unsigned __int128 a, uint64_t b)
{
	unsigned __int128 quotient = a / b + !!(a % b);

	return quotient >> 64 ? UINT64_MAX : (uint64_t)quotient;
}

uint64_t fermata_clock_until(const struct fermata_clock *clock, uint64_t host_tsc, uint64_t guest_ns)
{
	uint64_t now = fermata_clock_ns(clock, host_tsc), ticks, host, mult = clock->tsc_mult;
	unsigned __int128 ns;

	if (guest_ns <= now)
		return 0;
	/* One that stands because its vCPU is out may go on at any moment. */
	if (!mult && clock->flags & FERMATA_CLOCK_RUN_ONLY && !(clock->flags & FERMATA_CLOCK_HELD) &&
	    (clock->tsc_ticks || !(clock->flags & FERMATA_CLOCK_FROZEN)))
		mult = clock->rate_mult;
	if (!mult)
		return UINT64_MAX;
	/* From the segment's start, or else the fraction of a tick that has passed would be lost. */
	ticks = divide_up(((unsigned __int128)(guest_ns - clock->ns_start) << 32) -
				  clock->ns_fraction,
			  clock->ns_mult);
	if (ticks > clock->tsc_ticks)
		return UINT64_MAX;
	ticks -= ticks_at(clock, host_tsc);
	host = divide_up((unsigned __int128)ticks << FERMATA_CLOCK_FRACTION, mult);
	ns = ((unsigned __int128)host * clock->ns_mult + UINT32_MAX) >> 32;
	if (clock->flags & FERMATA_CLOCK_RUN_ONLY && ns < LOOK_AGAIN)
		ns = LOOK_AGAIN;
	return ns >> 64 ? UINT64_MAX : (uint64_t)ns;
}

uint64_t fermata_now(const fermata_vm *vm)
{
	struct fermata_clock clock;
	uint64_t now = fermata_clock_read(vm->clock, &clock);

	return fermata_clock_ns(&clock, now);
}

uint64_t fermata_tsc(const fermata_vm *vm)
{
	struct fermata_clock clock;
	uint64_t now = fermata_clock_read(vm->clock, &clock);

	return fermata_clock_tsc(&clock, now);
}

uint32_t fermata_tsc_khz(const fermata_vm *vm)
{
	return __atomic_load_n(&vm->clock->tsc_khz, __ATOMIC_RELAXED);
}

uint64_t fermata_until(const fermata_vm *vm, uint64_t guest_ns)
{
	struct fermata_clock clock;
	uint64_t now = fermata_clock_read(vm->clock, &clock);

	return fermata_clock_until(&clock, now, guest_ns);
}

void fermata_clock(const fermata_vm *vm, struct fermata_reading *reading)
{
	uint64_t now = fermata_clock_read(vm->clock, &reading->clock);

	reading->host_tsc = now;
	reading->guest_tsc = fermata_clock_tsc(&reading->clock, now);
	reading->guest_ns = fermata_clock_ns(&reading->clock, now);
}

int fermata_clock_change(fermata_vm *vm, struct fermata_clock_change *change)
{
	if (ioctl(vm->fd, FERMATA_SET_CLOCK, change)) {
		int err = errno;

		return fermata_fail(err, "the kernel refused this change of the guest's clock: %s",
				    err == EINVAL ? "rates are 1/1000 to 1000, steps 0 or more" :
						    strerror(err));
	}
	return 0;
}
