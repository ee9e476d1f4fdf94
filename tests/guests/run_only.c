/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A clock that passes only while the guest runs: what programs do to see a hypervisor by its slowness. That
 * sources agree and that exits of a long time cost none are facts to check; how short the short ones are is
 * said, for a machine where the host's TSC counts instructions.
 */
#include "guest.h"

GUEST(.flags = GUEST_RUN_ONLY, .seconds = 60);

#define TIMER 0x71
#define MS 1000000ull
#define PM_HZ 3579545u
#define PIT_HZ 1193182u
#define TRIES 400

static volatile u32 fired;
static u64 ns_mult, sample[TRIES];

static void on_timer(struct frame *frame)
{
	fired++;
	apic_eoi();
}

static u64 ns_of(u64 tsc)
{
	return (u64)((unsigned __int128)tsc * ns_mult >> 32);
}

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

static void by_nothing(void)
{
}

static void by_cpuid(void)
{
	cpuid(0, 0);
}

static void by_msr(void)
{
	rdmsr(MSR_APIC_BASE);
}

static void by_port(void)
{
	inl(PORT_ECHO); /* answered in user space */
}

static void by_device(void)
{
	*(volatile u32 *)DEVICE_BASE; /* a nested fault, decoded and answered in user space */
}

/* RDTSC, something, RDTSC: the least and the median of many. */
static void cost(const char *name, void (*what)(void))
{
	u64 start, value;
	u32 at;

	for (u32 i = 0; i < TRIES; i++) {
		start = rdtsc();
		what();
		value = rdtsc() - start;
		for (at = i; at && sample[at - 1] > value; at--)
			sample[at] = sample[at - 1];
		sample[at] = value;
	}
	say("# RDTSC, %s, RDTSC: %u ticks, at the median %u\n", name, (u32)sample[0],
	    (u32)sample[TRIES / 2]);
	check(sample[0] > 0, "the TSC goes on over it");
}

static bool agree(void)
{
	u64 before = rdtsc(), pm = inl(PORT_PM_TIMER), after = rdtsc();

	return pm >= (u32)ticks_of(ns_of(before), PM_HZ) && pm <= (u32)ticks_of(ns_of(after), PM_HZ);
}

static u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

/* The PIT's count, and between which two TSCs it was that. */
struct pit_reading {
	u64 before, after;
	u16 count;
};

static void read_pit(struct pit_reading *r)
{
	r->before = rdtsc();
	outb(PORT_PIT + 3, 0); /* latch channel 0 */
	r->after = rdtsc();
	r->count = inb(PORT_PIT);
	r->count |= inb(PORT_PIT) << 8;
}

/* What has passed between two readings is what the TSC says, but for whole rounds of 16 bits. */
static bool pit_agrees(const struct pit_reading *a, const struct pit_reading *b)
{
	u64 least = ticks_of(ns_of(b->before) - ns_of(a->after), PIT_HZ);
	u64 most = ticks_of(ns_of(b->after) - ns_of(a->before), PIT_HZ) + 1;

	return (u16)(a->count - b->count - least) <= most - least;
}

void guest_main(u32 run)
{
	struct pit_reading pit[3];
	u64 tsc, spent, lapic;
	u32 pm;

	ns_mult = ns_per_tick();
	set_handler(TIMER, on_timer);
	apic_on(false);
	for (u32 i = 0; i < 4; i++) { /* the kernel part learns, too */
		cost("nothing", by_nothing);
		cost("CPUID", by_cpuid);
		cost("RDMSR", by_msr);
		cost("IN from user space", by_port);
		cost("a device's register", by_device);
	}
	apic_write(APIC_LVT_TIMER, TIMER);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_TIMER_INITIAL, 2000 * MS);
	outb(PORT_PIT + 3, 0x34); /* channel 0, both bytes, mode 2, 65536 */
	outb(PORT_PIT, 0);
	outb(PORT_PIT, 0);
	do
		read_pit(&pit[0]);
	while (!pit[0].count); /* its first tick only loads it */
	lapic = apic_read(APIC_TIMER_CURRENT);
	tsc = rdtsc();
	pm = inl(PORT_PM_TIMER);
	call_runner(CALL_SLEEP, 200);
	spent = ns_of(rdtsc() - tsc);
	check(spent < 100 * MS, "an exit that takes 200 ms is not seen by the TSC");
	check(inl(PORT_PM_TIMER) - pm < PM_HZ / 10, "... nor by the PM timer");
	check(lapic - apic_read(APIC_TIMER_CURRENT) < 100 * MS, "... nor by the APIC's timer");
	say("# it took %u ns\n", (u32)spent);
	check(agree(), "TSC and PM timer agree");
	read_pit(&pit[1]);
	check(pit_agrees(&pit[0], &pit[1]), "TSC and PIT agree");
	tsc = rdtsc();
	for (volatile u32 i = 0; i < 20000000; i++)
		;
	check(rdtsc() - tsc > 20000, "work takes time");
	check(agree(), "... and TSC and PM timer agree after it");
	read_pit(&pit[2]);
	check(pit_agrees(&pit[1], &pit[2]), "... and TSC and PIT");
	tsc = rdtsc();
	apic_write(APIC_TIMER_INITIAL, 20 * MS);
	while (!fired)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	check(ns_of(rdtsc() - tsc) >= 20 * MS - 1000,
	      "asleep, time passes, and a timer is not early");
	apic_write(APIC_TIMER_INITIAL, 5 * MS);
	irq_on();
	check(WAIT_FOR(fired >= 2, 10000),
	      "... nor does one that fires while the guest works fail to");
	irq_off();
	check(agree(), "... and they agree");
}
