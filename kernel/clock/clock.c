/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "clock.h"

/* What is read or written without a lock. x86 keeps loads and stores in order, the compiler has to. */
#define order() __asm__ volatile("" ::: "memory")

#define OLD (1ull << 62)

/* (a * b + add) >> 32, saturating: the product has up to 128 bits. */
static u64 scale(u64 a, u64 b, u64 add)
{
	unsigned __int128 product = (unsigned __int128)a * b + add;

	return product >> 96 ? CLOCK_NEVER : (u64)(product >> 32);
}

/* ceil(high:low / b), saturating. DIV takes 128 by 64 bits when the quotient fits in 64. */
static u64 divide_up(u64 high, u64 low, u64 b)
{
	u64 quotient, rest;

	if (high >= b)
		return CLOCK_NEVER;
	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "0"(low), "1"(high), "r"(b) : "cc");
	return rest && quotient != CLOCK_NEVER ? quotient + 1 : quotient;
}

static u64 add_saturating(u64 a, u64 b)
{
	return a + b < a ? CLOCK_NEVER : a + b;
}

/* 32 bits and a shift hold it, so that the page of a paravirtual clock can say exactly this. */
static u64 ns_per_tick(u32 khz)
{
	u64 mult = ((1000000ull << 32) + khz / 2) / khz;
	u32 shift = 0;

	while (mult >> shift >> 32)
		shift++;
	return shift ? (mult + (1ull << (shift - 1))) >> shift << shift : mult;
}

int clock_init(struct guest_clock *clock, u64 host_tsc, u32 host_tsc_khz)
{
	if (!host_tsc_khz)
		return -EINVAL;
	memset(clock, 0, sizeof(*clock));
	clock->tsc_khz = host_tsc_khz;
	clock->tsc_mult = clock->rate_mult = CLOCK_RATE_1;
	clock->num = clock->den = 1;
	clock->tsc_offset = 0 - host_tsc;
	clock->tsc_ticks = clock->host_end = CLOCK_NEVER;
	clock->ns_mult = ns_per_tick(host_tsc_khz);
	return 0;
}

/* ---- reading */

u64 clock_snapshot(const struct guest_clock *clock, struct guest_clock *copy)
{
	u64 now;
	u32 seq;

	for (;;) {
		seq = READ_ONCE(clock->seq);
		order();
		*copy = *clock;
		/* The moment lies within the segment: a change after it finds a later one. */
		now = host_tsc_ordered();
		order();
		if (likely(!(seq & 1) && READ_ONCE(clock->seq) == seq))
			return clock_guest_tsc(copy, now);
		host_pause();
	}
}

u64 clock_read_tsc(const struct guest_clock *clock)
{
	u64 tsc;
	u32 seq;

	for (;;) {
		seq = READ_ONCE(clock->seq);
		order();
		tsc = clock_guest_tsc(clock, host_tsc_ordered());
		order();
		if (likely(!(seq & 1) && READ_ONCE(clock->seq) == seq))
			return tsc;
		host_pause();
	}
}

u64 clock_ns(const struct guest_clock *clock, u64 guest_tsc)
{
	u64 ticks = guest_tsc - clock->tsc_start;

	if ((s64)ticks < 0)
		return clock->ns_start;
	return add_saturating(clock->ns_start, scale(ticks, clock->ns_mult, clock->ns_fraction));
}

/* The least number of ticks in which ns and that much less than one pass. */
static u64 ticks_of(const struct guest_clock *clock, u64 ns, u32 less)
{
	u64 low = ns << 32;

	return divide_up((ns >> 32) - (low < less), low - less, clock->ns_mult);
}

u64 clock_tsc_at_ns(const struct guest_clock *clock, u64 ns)
{
	u64 ticks;

	if (ns <= clock->ns_start)
		return clock->tsc_start;
	ticks = ticks_of(clock, ns - clock->ns_start, clock->ns_fraction);
	/* Half the range lies in the past, see clock_guest_tsc(). */
	if ((s64)ticks < 0)
		return CLOCK_NEVER;
	return clock->tsc_start + ticks;
}

/* The multiplier while a vCPU runs. */
static u64 running_mult(const struct guest_clock *clock)
{
	bool stands = clock->held & CLOCK_HELD_USER || (clock->frozen && !clock->tsc_ticks);

	return stands ? 0 : clock->rate_mult;
}

/* After so many of the host's ticks, so many of the guest's have passed, from anywhere in one. */
static u64 host_ticks(u64 mult, u64 ticks)
{
	if (mult == CLOCK_RATE_1)
		return ticks;
	return divide_up(ticks >> (64 - FERMATA_CLOCK_FRACTION), ticks << FERMATA_CLOCK_FRACTION,
			 mult);
}

u64 clock_ns_until(const struct guest_clock *clock, u64 guest_tsc, u64 deadline)
{
	u64 ticks = deadline - guest_tsc, mult = running_mult(clock);

	if (deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	if (deadline <= guest_tsc)
		return 0;
	if (!mult || (s64)(deadline - clock->tsc_start) < 0 ||
	    deadline - clock->tsc_start > clock->tsc_ticks)
		return CLOCK_NEVER;
	ticks = host_ticks(mult, ticks);
	if (ticks == CLOCK_NEVER)
		return CLOCK_NEVER;
	return scale(ticks, clock->ns_mult, (1ull << 32) - 1);
}

/* ---- changing */

u64 clock_rate_mult(u32 num, u32 den)
{
	u64 mult, rest;

	if (!num || !den || num > (u64)den * FERMATA_CLOCK_RATE_MAX ||
	    den > (u64)num * FERMATA_CLOCK_RATE_MAX)
		return 0;
	/* num / den is at most 1,000, so the quotient fits. */
	__asm__("divq %4"
		: "=a"(mult), "=d"(rest)
		: "0"((u64)num << FERMATA_CLOCK_FRACTION),
		  "1"((u64)num >> (64 - FERMATA_CLOCK_FRACTION)), "r"((u64)den)
		: "cc");
	return rest >= den - rest ? mult + 1 : mult;
}

/* The segment's start comes here: the same line, told from another of its points. */
static void move_start(struct guest_clock *clock, u64 ticks)
{
	unsigned __int128 passed = (unsigned __int128)ticks * clock->ns_mult + clock->ns_fraction;

	clock->ns_start =
		add_saturating(clock->ns_start, passed >> 96 ? CLOCK_NEVER : (u64)(passed >> 32));
	clock->ns_fraction = (u32)passed;
	clock->tsc_start += ticks;
}

/* Up to now as it was; from now on as frozen, held, tsc_ticks and rate_mult say. */
static void begin_segment(struct guest_clock *clock, u64 host_tsc)
{
	u64 ticks = clock_guest_tsc(clock, host_tsc) - clock->tsc_start;

	move_start(clock, ticks);
	if (clock->tsc_ticks != CLOCK_NEVER)
		clock->tsc_ticks -= ticks;
}

static void run_segment(struct guest_clock *clock, u64 host_tsc)
{
	clock->tsc_mult = clock->held ? 0 : running_mult(clock);
	clock->tsc_offset = clock->tsc_start - clock_scaled(host_tsc, clock->tsc_mult);
	clock->host_end = CLOCK_NEVER;
	if (clock->tsc_mult && clock->tsc_ticks != CLOCK_NEVER)
		clock->host_end =
			add_saturating(host_tsc, host_ticks(clock->tsc_mult, clock->tsc_ticks));
}

void clock_renew(struct guest_clock *clock, u64 host_tsc)
{
	begin_segment(clock, host_tsc);
	run_segment(clock, host_tsc);
}

void clock_rebase(struct guest_clock *clock, u64 then, u64 host_tsc)
{
	begin_segment(clock, then);
	run_segment(clock, host_tsc);
}

bool clock_is_old(const struct guest_clock *clock, u64 guest_tsc)
{
	return guest_tsc - clock->tsc_start >= OLD;
}

void clock_set_rate(struct guest_clock *clock, u64 host_tsc, u32 num, u32 den, u64 mult)
{
	begin_segment(clock, host_tsc);
	clock->num = num;
	clock->den = den;
	clock->rate_mult = mult;
	run_segment(clock, host_tsc);
}

void clock_freeze(struct guest_clock *clock, u64 host_tsc)
{
	begin_segment(clock, host_tsc);
	clock->frozen = true;
	clock->tsc_ticks = 0;
	run_segment(clock, host_tsc);
}

void clock_thaw(struct guest_clock *clock, u64 host_tsc)
{
	begin_segment(clock, host_tsc);
	clock->frozen = false;
	clock->tsc_ticks = CLOCK_NEVER;
	run_segment(clock, host_tsc);
}

void clock_step(struct guest_clock *clock, u64 host_tsc, u64 ns)
{
	u64 ticks = ticks_of(clock, ns, 0);

	begin_segment(clock, host_tsc);
	clock->tsc_ticks = clock->frozen ? add_saturating(clock->tsc_ticks, ticks) : ticks;
	if (clock->tsc_ticks >= OLD) /* as good as no end, and still a number of ticks */
		clock->tsc_ticks = OLD;
	clock->frozen = true;
	run_segment(clock, host_tsc);
}

void clock_hold(struct guest_clock *clock, u64 host_tsc, u8 by)
{
	begin_segment(clock, host_tsc);
	clock->held |= by;
	run_segment(clock, host_tsc);
}

void clock_release(struct guest_clock *clock, u64 host_tsc, u8 by)
{
	begin_segment(clock, host_tsc);
	clock->held &= ~by;
	run_segment(clock, host_tsc);
}

void clock_pass(struct guest_clock *clock, u64 host_tsc, u64 ticks)
{
	begin_segment(clock, host_tsc);
	if (running_mult(clock)) {
		ticks = min(ticks, clock->tsc_ticks);
		move_start(clock, ticks);
		if (clock->tsc_ticks != CLOCK_NEVER)
			clock->tsc_ticks -= ticks;
	}
	run_segment(clock, host_tsc);
}

s64 clock_jump(struct guest_clock *clock, u64 host_tsc, s64 ns)
{
	u64 ticks = ticks_of(clock, ns < 0 ? 0 - (u64)ns : (u64)ns, 0), before;
	s64 gone;

	begin_segment(clock, host_tsc);
	if (ticks >= OLD)
		ticks = OLD;
	if (ns < 0) {
		ticks = min(ticks, clock->tsc_start);
		clock->tsc_start -= ticks;
		gone = -(s64)scale(ticks, clock->ns_mult, 0);
	} else {
		before = clock->ns_start;
		move_start(clock, ticks);
		gone = clock->ns_start - before;
	}
	run_segment(clock, host_tsc);
	return gone;
}

/* ---- the page */

void clock_change_begin(struct guest_clock *clock, struct fermata_clock *page)
{
	WRITE_ONCE(clock->seq, clock->seq + 1);
	WRITE_ONCE(page->seq, clock->seq);
	host_full_barrier(); /* who still saw it even has read the host's TSC before what comes now */
}

void clock_change_end(struct guest_clock *clock, struct fermata_clock *page, u32 flags)
{
	page->tsc_khz = clock->tsc_khz;
	page->tsc_mult = clock->tsc_mult;
	page->tsc_offset = clock->tsc_offset;
	page->tsc_start = clock->tsc_start;
	page->tsc_ticks = clock->tsc_ticks;
	page->host_end = clock->host_end;
	page->ns_start = clock->ns_start;
	page->ns_mult = clock->ns_mult;
	page->ns_fraction = clock->ns_fraction;
	page->flags = flags | (clock->frozen ? FERMATA_CLOCK_FROZEN : 0) |
		      (clock->held & CLOCK_HELD_USER ? FERMATA_CLOCK_HELD : 0);
	page->rate_mult = clock->rate_mult;
	page->num = clock->num;
	page->den = clock->den;
	page->changes = clock->changes;
	order();
	WRITE_ONCE(page->seq, clock->seq + 1);
	WRITE_ONCE(clock->seq, clock->seq + 1);
}
