/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's clock in somebody's hands. Run 0: freeze, step, thaw, jump, rates, one by one. Run 1: every
 * source in a loop while the rate changes at any moment. Run 2: the same, with a second vCPU that reads
 * the TSC: neither sees a time before one that the other has seen.
 */
#include "guest.h"

#include "uapi/fermata.h"

static void other_main(u32 run);

GUEST(.runs = 3, .vcpus = 2, .seconds = 100, .others = (u64)other_main);

#define TIMER 0x71
#define MS 1000000ull
#define PM_HZ 3579545u
#define PIT_HZ 1193182u

#define STORM 5000    /* changes of a run; runs 1 and 2 of a boot are 10,000 */
#define STORM_VMX 200 /* Bochs, one CPU: slower than QEMU by a factor of 20 */

static volatile u32 fired;

static void on_timer(struct frame *frame)
{
	fired++;
	apic_eoi();
}

static u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static u64 rdtscp(void)
{
	u32 low, high;

	asm volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx", "memory");
	return low | (u64)high << 32;
}

static bool has_rdtscp(void)
{
	return cpuid(0x80000001, 0).d >> 27 & 1;
}

/* ---- from ticks to ns as the clock does it: one line for ever */

static u64 ns_mult;

static u64 ns_of(u64 tsc)
{
	return (u64)((unsigned __int128)tsc * ns_mult >> 32);
}

/* ns * hz / 10^9; the guest has no library that divides 128 bits, and the quotient fits. */
static u64 ticks_of(u64 ns, u32 hz)
{
	unsigned __int128 product = (unsigned __int128)ns * hz;
	u64 quotient, rest;

	asm("divq %4"
	    : "=a"(quotient), "=d"(rest)
	    : "0"((u64)product), "1"((u64)(product >> 64)), "r"(1000000000ull)
	    : "cc");
	return quotient;
}

static u32 clock_verb(u32 verb, u32 span)
{
	call_runner(CALL_SPAN, span);
	return call_runner(CALL_CLOCK, verb);
}

static u32 set_rate(u32 num, u32 den)
{
	return clock_verb(FERMATA_CLOCK_RATE, num << 16 | den);
}

/* ---- run 0 */

static u32 pm_timer(void)
{
	return inl(PORT_PM_TIMER);
}

static void stands_still(void)
{
	u64 tsc, pm, lapic;
	u32 seconds;
	bool same;

	apic_write(APIC_LVT_TIMER, TIMER);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER_INITIAL, 4000 * MS); /* however slow the host is, some of it is left */
	check_eq(clock_verb(FERMATA_CLOCK_FREEZE, 0), 0, "the clock freezes");
	tsc = rdtsc();
	pm = pm_timer();
	lapic = apic_read(APIC_TIMER_CURRENT);
	outb(PORT_RTC, 0);
	seconds = inb(PORT_RTC + 1);
	irq_on();
	call_runner(CALL_SLEEP, 60);
	irq_off();
	same = rdtsc() == tsc && (!has_rdtscp() || rdtscp() == tsc) && rdmsr(MSR_TSC) == tsc;
	check(same, "frozen: RDTSC, RDTSCP and IA32_TSC stand still");
	check(pm_timer() == pm, "... the PM timer");
	check(apic_read(APIC_TIMER_CURRENT) == lapic && !fired,
	      "... the APIC's, which does not fire");
	outb(PORT_RTC, 0);
	check(inb(PORT_RTC + 1) == seconds, "... and the RTC");

	/* A step: exactly so much, to the tick; 5 ms are tsc_khz * 5 ticks but for rounding. */
	check_eq(clock_verb(FERMATA_CLOCK_STEP, 5000), 0, "5 ms pass");
	call_runner(CALL_SLEEP, 30);
	check(ns_of(rdtsc()) - ns_of(tsc) - 5 * MS <= 1 + 1000000 / tsc_khz,
	      "... and no more: the TSC says so to the tick");
	check(lapic - apic_read(APIC_TIMER_CURRENT) - 5 * MS <= 2 + 1000000 / tsc_khz,
	      "... and the APIC's timer");
	check_eq(pm_timer(), ticks_of(ns_of(rdtsc()), PM_HZ), "... and the PM timer");
	apic_write(APIC_TIMER_INITIAL, 20 * MS);
	clock_verb(FERMATA_CLOCK_STEP, 100000);
	irq_on();
	check(WAIT_FOR(fired, 5000), "a longer step lets the timer fire");
	irq_off();
	fired = 0;

	/* Asleep: neither wakes by itself nor stays asleep for ever. */
	clock_verb(FERMATA_CLOCK_THAW, 0);
	tsc = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 10 * MS);
	while (!fired)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	check(ns_of(rdtsc() - tsc) >= 10 * MS - 1000, "thawed, a timer ends HLT, not early");
	fired = 0;
}

static void rates(void)
{
	static const u16 rate[][2] = { { 7, 2 }, { 1, 3 }, { 100, 1 }, { 1, 1 } };
	u64 tsc, end;

	for (u32 i = 0; i < 4; i++) {
		check_eq(set_rate(rate[i][0], rate[i][1]), 0, "another rate");
		tsc = rdtsc();
		apic_write(APIC_TIMER_INITIAL, 6 * MS);
		while (!fired)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		check(ns_of(rdtsc() - tsc) >= 6 * MS - 1000, "... a one-shot ends HLT, not early");
		fired = 0;
		if (!(cpuid(1, 0).c >> 24 & 1))
			continue;
		apic_write(APIC_LVT_TIMER, TIMER | TIMER_DEADLINE);
		end = rdtsc() + 5ull * tsc_khz;
		wrmsr(MSR_TSC_DEADLINE, end);
		while (!fired)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		check(rdtsc() >= end, "... and so does a TSC deadline");
		fired = 0;
		apic_write(APIC_LVT_TIMER, TIMER);
	}
	check_eq(set_rate(1001, 1), 1, "1001 is no rate");
}

static void jumps(void)
{
	u64 tsc = rdtsc(), end, low;
	u32 pm = pm_timer(), left;

	apic_write(APIC_TIMER_INITIAL, 1000 * MS);
	check_eq(clock_verb(FERMATA_CLOCK_JUMP, 3000000), 0, "3 s at once");
	end = rdtsc();
	check(ns_of(end - tsc) >= 3000 * MS, "... the TSC shows them");
	check(pm_timer() - pm >= 3 * PM_HZ, "... and the PM timer");
	low = ticks_of(ns_of(rdtsc()), PM_HZ);
	pm = pm_timer();
	check(pm >= low && pm <= ticks_of(ns_of(rdtsc()), PM_HZ), "... and they agree");
	irq_on();
	check(WAIT_FOR(fired, 5000), "... and the timer that it passed over fires");
	irq_off();
	fired = 0;
	apic_write(APIC_TIMER_INITIAL, 1000 * MS);
	clock_verb(FERMATA_CLOCK_FREEZE, 0);
	left = apic_read(APIC_TIMER_CURRENT);
	tsc = rdtsc();
	check_eq(clock_verb(FERMATA_CLOCK_JUMP, (u32)-2000000), 0, "2 s back");
	check(ns_of(tsc) - ns_of(rdtsc()) - 2000 * MS <= 2 + 1000000 / tsc_khz, "... by the TSC");
	check_eq(apic_read(APIC_TIMER_CURRENT), left, "... the APIC's timer has what it had left");
	clock_verb(FERMATA_CLOCK_JUMP, 2000000);
	clock_verb(FERMATA_CLOCK_THAW, 0);
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* What a trapped RDTSC costs, for a machine where the host's TSC counts instructions: a long step traps. */
static void cost(void)
{
	u64 least = ~0ull, start, span;

	clock_verb(FERMATA_CLOCK_STEP, 2000000000);
	for (u32 i = 0; i < 1000; i++) {
		start = rdtsc();
		span = rdtsc() - start;
		least = span < least ? span : least;
	}
	clock_verb(FERMATA_CLOCK_THAW, 0);
	say("# a trapped RDTSC: %u ticks; ", (u32)least);
	least = ~0ull;
	for (u32 i = 0; i < 1000; i++) {
		start = rdtsc();
		span = rdtsc() - start;
		least = span < least ? span : least;
	}
	say("one that is not: %u; ", (u32)least);
	least = ~0ull;
	for (u32 i = 0; i < 1000; i++) {
		start = rdtsc();
		cpuid(0x40000000, 0);
		span = rdtsc() - start;
		least = span < least ? span : least;
	}
	say("a CPUID beside it: %u\n", (u32)least);
}

/* ---- runs 1 and 2: all sources against the TSC before and after */

/*
 * A source counts `hz` ticks a second from an unknown count on, modulo range. A reading e between two TSCs
 * says that its count at guest time 0 was in [e - ticks(after), e - ticks(before)]; the cut of all these
 * intervals is what is known of it, [zero, zero + width]. A reading that leaves nothing of it disagrees
 * with the others, and by how much is what we want to know.
 */
struct source {
	const char *name;
	u32 hz;
	u64 range;
	bool known; /* zero and width are; else they come with the first reading */
	u64 zero, width;
	u32 reads;
	u64 worst; /* ns */
};

enum { PM, PM_ASKED, PIT, APIC, RTC, SOURCES };

static struct source sources[SOURCES] = {
	[PM] = { "the PM timer", PM_HZ, 1ull << 32, true },
	[PM_ASKED] = { "the PM timer's low half, from user space", PM_HZ, 1ull << 16, true },
	[PIT] = { "the PIT", PIT_HZ, 1ull << 16, false },
	[APIC] = { "the APIC's timer", 1000000000, 0xffffffff, false },
	[RTC] = { "the RTC", 1, 60, true },
};

static void judge(u32 which, u64 before, u64 after, u64 reading)
{
	struct source *s = &sources[which];
	u64 low = ticks_of(ns_of(before), s->hz), high = ticks_of(ns_of(after), s->hz);
	u64 span = high - low, at, from, to, off;

	s->reads++;
	if (span > s->range / 4) /* it may have gone round */
		return;
	if (!s->known) {
		s->known = true;
		s->zero = (reading % s->range + s->range - high % s->range) % s->range;
		s->width = span;
		return;
	}
	/* [at, at + span], from zero on; what lies more than half the range above, lies below. */
	at = ((reading % s->range) + 2 * s->range - high % s->range - s->zero) % s->range;
	if (at > s->range / 2) { /* below: at is negative */
		off = s->range - at;
		from = 0;
		to = off > span ? 0 : span - off;
		off = off > span ? off - span : 0;
	} else {
		from = at;
		to = at + span;
		off = at > s->width ? at - s->width : 0;
	}
	if (off) {
		off *= 1000000000u / s->hz;
		s->worst = off > s->worst ? off : s->worst;
		return;
	}
	to = to < s->width ? to : s->width;
	s->zero = (s->zero + from) % s->range;
	s->width = to - from;
}

static u8 from_bcd(u8 value)
{
	return (value >> 4) * 10 + (value & 15);
}

static u16 inw(u16 port)
{
	u16 value;

	asm volatile("inw %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

static void read_all(void)
{
	u64 before = rdtsc(), after;
	u32 value;

	value = pm_timer();
	after = rdtsc();
	judge(PM, before, after, value);
	before = rdtsc();
	value = apic_read(APIC_TIMER_CURRENT);
	after = rdtsc();
	judge(APIC, before, after, 0xffffffff - value);
	before = rdtsc();
	value = inw(PORT_PM_TIMER);
	after = rdtsc();
	judge(PM_ASKED, before, after, value);
	before = rdtsc();
	outb(PORT_PIT + 3, 0); /* latch channel 0 */
	after = rdtsc();
	value = inb(PORT_PIT);
	value |= inb(PORT_PIT) << 8;
	judge(PIT, before, after, 0x10000 - value);
	outb(PORT_RTC, 0);
	before = rdtsc();
	value = inb(PORT_RTC + 1);
	after = rdtsc();
	judge(RTC, before, after, from_bcd(value));
}

static volatile u32 together; /* what vCPU 1 is to do */
#define TOGETHER 1
#define ALONE 2

static volatile u64 seen; /* the latest TSC that either vCPU has read */
static u32 backward, steps;

static void monotonic(u64 (*read)(void))
{
	u64 last = __atomic_load_n(&seen, __ATOMIC_SEQ_CST), now = read();

	if (now < last)
		__atomic_add_fetch(&backward, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&steps, 1, __ATOMIC_SEQ_CST);
	while (now > last && !__atomic_compare_exchange_n(&seen, &last, now, false,
							  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static u64 rdtsc_msr(void)
{
	return rdmsr(MSR_TSC);
}

static u64 rdtsc_plain(void)
{
	return rdtsc();
}

static void under_storm(void)
{
	u64 worst = 0;
	bool scp = has_rdtscp();

	apic_write(APIC_LVT_TIMER, TIMER | TIMER_PERIODIC | APIC_MASKED);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER_INITIAL, 0xffffffff);
	outb(PORT_PIT + 3, 0x34); /* channel 0, both bytes, mode 2, 65536 */
	outb(PORT_PIT, 0);
	outb(PORT_PIT, 0);
	outb(PORT_RTC, 11);
	outb(PORT_RTC + 1, 2); /* BCD, 24 h, and it goes */
	call_runner(CALL_STORM, calls_by_vmcall() ? STORM_VMX : STORM);
	do {
		read_all();
		for (u32 i = 0; i < 10; i++)
			monotonic(rdtsc_plain);
		monotonic(rdtsc_msr);
		if (scp)
			monotonic(rdtscp);
	} while (call_runner(CALL_STORM_LEFT, 0));
	check_eq(backward, 0, "the TSC never steps back, over thousands of changes of its rate");
	check(steps > 1000, "... and was looked at often");
	for (u32 i = 0; i < SOURCES; i++) {
		worst = sources[i].worst > worst ? sources[i].worst : worst;
		say("# %s: %u readings, at most %u ns off\n", sources[i].name, sources[i].reads,
		    (u32)sources[i].worst);
		check(sources[i].worst < 50000, sources[i].name);
	}
	say("# %u readings of the TSC, %u steps back; the largest disagreement of two sources is %u ns\n",
	    steps, backward, (u32)worst);
}

/* vCPU 1, in 64-bit mode on a stack of its own, with interrupts off. */
static void other_main(u32 run)
{
	while (run == 2 && !together)
		pause();
	while (together == TOGETHER)
		monotonic(rdtsc_plain);
	for (;;)
		asm volatile("cli\n\thlt");
}

void guest_main(u32 run)
{
	ns_mult = ns_per_tick();
	set_handler(TIMER, on_timer);
	apic_on(false);
	together = run == 2 ? TOGETHER : ALONE;
	if (run > 0) {
		under_storm();
		return;
	}
	stands_still();
	rates();
	jumps();
	cost();
}
