/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "clock.h"

/* The page's readers run on other CPUs. x86 keeps stores in order, so the compiler has to as well. */
#define store_order() __asm__ volatile("" ::: "memory")

/* (a * b + round) >> 32, saturating: the product has up to 128 bits. */
static u64 scale(u64 a, u64 b, u64 round)
{
	unsigned __int128 product = (unsigned __int128)a * b + round;

	return product >> 96 ? CLOCK_NEVER : (u64)(product >> 32);
}

/* ceil((a << 32) / b), saturating. DIV takes 128 by 64 bits when the quotient fits in 64. */
static u64 unscale(u64 a, u64 b)
{
	u64 high = a >> 32, low = a << 32, quotient, rest;

	if (high >= b)
		return CLOCK_NEVER;
	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "0"(low), "1"(high), "r"(b) : "cc");
	return rest && quotient != CLOCK_NEVER ? quotient + 1 : quotient;
}

int clock_init(struct guest_clock *clock, u64 host_tsc, u32 host_tsc_khz)
{
	if (!host_tsc_khz)
		return -EINVAL;
	clock->tsc_khz = host_tsc_khz;
	clock->tsc_offset = 0 - host_tsc;
	clock->tsc_origin = 0;
	clock->ns_mult = ((1000000ull << 32) + host_tsc_khz / 2) / host_tsc_khz;
	return 0;
}

u64 clock_ns(const struct guest_clock *clock, u64 guest_tsc)
{
	u64 ticks = guest_tsc - clock->tsc_origin;

	/* A CPU whose TSC lags a little behind the one that created the VM. */
	if ((s64)ticks < 0)
		return 0;
	return scale(ticks, clock->ns_mult, 0);
}

u64 clock_tsc_at_ns(const struct guest_clock *clock, u64 ns)
{
	u64 ticks = unscale(ns, clock->ns_mult);

	/* Half the range lies in the past, see clock_ns(). */
	if ((s64)ticks < 0)
		return CLOCK_NEVER;
	return clock->tsc_origin + ticks;
}

u64 clock_ns_until(const struct guest_clock *clock, u64 guest_tsc, u64 deadline)
{
	if (deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	if (deadline <= guest_tsc)
		return 0;
	return scale(deadline - guest_tsc, clock->ns_mult, (1ull << 32) - 1);
}

void clock_publish(const struct guest_clock *clock, struct fermata_clock *page)
{
	u32 seq = READ_ONCE(page->seq);

	WRITE_ONCE(page->seq, seq + 1);
	store_order();
	page->tsc_khz = clock->tsc_khz;
	page->tsc_offset = clock->tsc_offset;
	page->tsc_origin = clock->tsc_origin;
	page->ns_mult = clock->ns_mult;
	store_order();
	WRITE_ONCE(page->seq, seq + 2);
}
