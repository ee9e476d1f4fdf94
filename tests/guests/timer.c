/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The APIC's timer: run 0 xAPIC, run 1 x2APIC. That it is never early is a fact to check; how late it
 * may be is not.
 */
#include "guest.h"

GUEST(.runs = 2);

#define TIMER 0x71
#define MS 1000000u /* timer ticks: the timer counts at APIC_HZ */

static volatile u32 fired;
static volatile u64 fired_at;

static void on_timer(struct frame *frame)
{
	fired++;
	fired_at = rdtsc();
	apic_eoi();
}

static void reset(u32 lvt, u32 divide)
{
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_LVT_TIMER, lvt);
	apic_write(APIC_TIMER_DIVIDE, divide);
	fired = 0;
}

/* The two clocks may differ by a thousandth of the time, and a little. */
static bool not_before(u64 from, u64 to, u64 us)
{
	return to - from >= us * tsc_khz / 1000 - us * tsc_khz / 1000000 - tsc_khz / 50;
}

static void one_shot(void)
{
	u64 start;
	u32 a, b;

	reset(TIMER, 0xb);
	start = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 3 * MS);
	check_eq(apic_read(APIC_TIMER_INITIAL), 3 * MS, "the initial count reads back");
	a = apic_read(APIC_TIMER_CURRENT);
	b = apic_read(APIC_TIMER_CURRENT);
	check(a <= 3 * MS && b <= a, "the count goes down (SDM 3A 10.5.4)");
	irq_on();
	check(WAIT_FOR(fired, 5000), "one-shot fires");
	check(not_before(start, fired_at, 3000), "... not early");
	spin_us(8000);
	check_eq(fired, 1, "... once");
	check_eq(apic_read(APIC_TIMER_CURRENT), 0, "the count stays 0");
	irq_off();

	reset(TIMER, 3); /* by 16 */
	start = rdtsc();
	apic_write(APIC_TIMER_INITIAL, MS / 4);
	irq_on();
	check(WAIT_FOR(fired, 5000) && not_before(start, fired_at, 4000),
	      "divided by 16 it takes 16 times as long");
	irq_off();

	reset(TIMER, 0xb);
	start = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 2 * MS);
	while (!fired)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	check(not_before(start, fired_at, 2000), "it ends HLT, not early");

	reset(TIMER, 0xb);
	apic_write(APIC_TIMER_INITIAL, 40 * MS); /* longer than a busy host lets pass in between */
	apic_write(APIC_TIMER_INITIAL, 0);
	irq_on();
	spin_us(50000);
	irq_off();
	check_eq(fired, 0, "an initial count of 0 stops it");
}

static void masked(void)
{
	reset(TIMER | APIC_MASKED, 0xb);
	apic_write(APIC_TIMER_INITIAL, MS);
	irq_on();
	check(WAIT_FOR(apic_read(APIC_TIMER_CURRENT) == 0, 5000), "a masked timer counts");
	irq_off();
	check(!fired && !apic_bit(APIC_IRR, TIMER), "... and does not interrupt");
}

static void periodic(void)
{
	u64 start, end;
	u32 count;

	reset(TIMER | TIMER_PERIODIC, 0xb);
	start = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 2 * MS);
	irq_on();
	check(WAIT_FOR(fired >= 10, 10000), "periodic fires again and again");
	irq_off();
	end = fired_at;
	check(not_before(start, end, 2000ull * 10), "... ten times in no less than ten periods");
	irq_on();
	apic_write(APIC_TIMER_INITIAL, 0);
	irq_off();
	count = fired;
	irq_on();
	spin_us(6000);
	irq_off();
	check_eq(fired, count, "... until it is stopped");
}

static void deadline(void)
{
	u64 start, end;

	if (!(cpuid(1, 0).c >> 24 & 1)) {
		skip("TSC-deadline", "CPUID has none");
		return;
	}
	reset(TIMER, 0xb);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_khz);
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0,
		 "outside its mode the deadline is not taken (SDM 3A 10.5.4.1)");
	reset(TIMER | TIMER_DEADLINE, 0xb);
	end = rdtsc() + 3ull * tsc_khz;
	wrmsr(MSR_TSC_DEADLINE, end);
	check_eq(rdmsr(MSR_TSC_DEADLINE), end, "an armed deadline reads back");
	irq_on();
	check(WAIT_FOR(fired, 5000), "a deadline fires");
	irq_off();
	check(fired_at >= end, "... not before its time");
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "... and reads 0 then");

	fired = 0;
	wrmsr(MSR_TSC_DEADLINE, 1);
	irq_on();
	check(WAIT_FOR(fired, 5000), "a deadline in the past fires");
	spin_us(3000);
	irq_off();
	check_eq(fired, 1, "... once");

	fired = 0;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 40ull * tsc_khz);
	wrmsr(MSR_TSC_DEADLINE, 0);
	irq_on();
	spin_us(50000);
	irq_off();
	check_eq(fired, 0, "a deadline of 0 disarms");

	fired = 0;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 40ull * tsc_khz);
	apic_write(APIC_LVT_TIMER, TIMER);
	irq_on();
	spin_us(50000);
	irq_off();
	check_eq(fired, 0, "leaving the mode disarms");
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "... and the MSR reads 0");

	apic_write(APIC_LVT_TIMER, TIMER | TIMER_DEADLINE);
	apic_write(APIC_TIMER_INITIAL, MS);
	check_eq(apic_read(APIC_TIMER_CURRENT), 0, "in its mode the initial count does nothing");

	fired = 0;
	start = rdtsc();
	for (u32 i = 0; i < 20; i++) {
		u32 before = fired;

		end = rdtsc() + tsc_khz / 4;
		wrmsr(MSR_TSC_DEADLINE, end);
		while (fired == before)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		if (fired_at < end)
			check(false, "a deadline fires early");
	}
	check(fired == 20 && rdtsc() > start, "twenty sleeps to a deadline");
	reset(TIMER, 0xb);
}

void guest_main(u32 run)
{
	apic_on(run == 1);
	set_handler(TIMER, on_timer);
	one_shot();
	masked();
	periodic();
	deadline();
}
