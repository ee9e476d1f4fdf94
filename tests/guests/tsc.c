/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The TSC: it never goes back, whatever happens to the thread; IA32_TSC and IA32_TSC_ADJUST. */
#include "guest.h"

GUEST(.flags = GUEST_MIGRATE, .seconds = 60);

#define TIMER 0x71

static volatile u64 fired_at;

static void on_timer(struct frame *frame)
{
	fired_at = rdtsc();
	apic_eoi();
}

static void monotonic(void)
{
	u64 last = rdtsc(), steps = 0;
	bool good = true;

	for (u32 i = 0; i < 200; i++) {
		for (u32 j = 0; j < 2000; j++) {
			u64 now = rdtsc();

			good &= now >= last;
			steps += now > last;
			last = now;
		}
		cpuid(0, 0);
		if (i % 10 == 0)
			call_runner(CALL_SLEEP, 1);
	}
	check(good, "RDTSC never goes back, over exits and CPUs (SDM 3B 17.17)");
	check(steps > 1000, "... and goes on");
}

static void processor_id(void)
{
	u32 low, high, aux;
	u64 before, after;

	if (!(cpuid(0x80000001, 0).d >> 27 & 1)) {
		skip("RDTSCP", "CPUID has none");
		return;
	}
	wrmsr(MSR_TSC_AUX, 0x12345678);
	for (u32 i = 0; i < 50; i++) {
		before = rdtsc();
		asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux) : : "memory");
		after = rdtsc();
		if (aux != 0x12345678 || (low | (u64)high << 32) < before ||
		    after < (low | (u64)high << 32)) {
			check(false, "RDTSCP reads the TSC and TSC_AUX");
			return;
		}
		call_runner(CALL_SLEEP, 1);
	}
	check(true, "RDTSCP reads the TSC and TSC_AUX, over CPUs");
	if (cpuid(7, 0).c >> 22 & 1) {
		u64 value;

		asm volatile("rdpid %0" : "=r"(value));
		check_eq(value, 0x12345678, "RDPID reads TSC_AUX");
	}
}

static bool near(u64 a, u64 b)
{
	return a >= b && a - b < 1000ull * tsc_khz; /* a second: the emulator may be slow */
}

static void adjust(void)
{
	u64 now, start;

	check_eq(rdmsr(MSR_TSC_ADJUST), 0, "TSC_ADJUST is 0 after reset (SDM 3B 17.17.3)");
	now = rdtsc();
	check(near(rdmsr(MSR_TSC), now), "IA32_TSC reads what RDTSC reads");
	start = rdtsc();
	wrmsr(MSR_TSC_ADJUST, 1ull << 50);
	check_eq(rdmsr(MSR_TSC_ADJUST), 1ull << 50, "TSC_ADJUST reads back");
	check(near(rdtsc(), start + (1ull << 50)), "a write to it moves the TSC by the difference");
	wrmsr(MSR_TSC_ADJUST, 0);
	check(near(rdtsc(), start), "... and back");
	start = rdtsc();
	wrmsr(MSR_TSC, 5000);
	now = rdtsc();
	check(near(now, 5000), "a write to IA32_TSC sets the TSC");
	check(near(now - rdmsr(MSR_TSC_ADJUST), start), "... and TSC_ADJUST by as much");
	wrmsr(MSR_TSC_ADJUST, 0);
	check(near(rdtsc(), start), "TSC_ADJUST = 0 undoes it");
	call_runner(CALL_SLEEP, 5);
	check(rdtsc() - start >= 4ull * tsc_khz, "5 ms of the host are as many of the guest");
}

static void deadlines(void)
{
	u64 end;

	apic_on(true);
	set_handler(TIMER, on_timer);
	apic_write(APIC_LVT_TIMER, TIMER | TIMER_DEADLINE);
	for (u32 i = 0; i < 20; i++) {
		wrmsr(MSR_TSC_ADJUST, (u64)i << 40);
		fired_at = 0;
		end = rdtsc() + tsc_khz;
		wrmsr(MSR_TSC_DEADLINE, end);
		while (!fired_at)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		if (fired_at < end || !near(fired_at, end)) {
			check(false, "a deadline counts in the adjusted TSC");
			return;
		}
	}
	check(true, "a deadline counts in the adjusted TSC");
	wrmsr(MSR_TSC_ADJUST, 0);
	fired_at = 0;
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 45));
	wrmsr(MSR_TSC_ADJUST, 1ull << 46);
	irq_on();
	check(WAIT_FOR(fired_at, 5000), "moving the TSC past an armed deadline fires it");
	irq_off();
}

void guest_main(u32 run)
{
	monotonic();
	processor_id();
	adjust();
	deadlines();
}
