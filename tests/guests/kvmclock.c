/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * KVM's paravirtual clock, for a guest that is offered it: the page agrees with the TSC whatever becomes
 * of the clock, and there is no address that does harm. Run 1: two vCPUs, one of which moves its TSC.
 */
#include "pvclock.h"
#include "uapi/fermata.h"

static void other_main(u32 run);

GUEST(.flags = GUEST_KVMCLOCK, .runs = 2, .vcpus = 2, .seconds = 60, .others = (u64)other_main);

#define MS 1000000ull
#define MOVED (1ull << 40)

static struct pvclock pages[2];
static u8 room[8192] __attribute__((aligned(4096)));
static u64 ns_mult;
static volatile u32 stage;

static u64 ns_of(u64 tsc)
{
	return (u64)((unsigned __int128)tsc * ns_mult >> 32);
}

static u32 clock_verb(u32 verb, u32 span)
{
	call_runner(CALL_SPAN, span);
	return call_runner(CALL_CLOCK, verb);
}

/* To the ns: what the page says lies between two readings of the TSC. */
static bool agrees(const struct pvclock *page, u64 moved)
{
	bool good = true;
	u64 before, ns;

	for (u32 i = 0; i < 100; i++) {
		before = rdtsc() - moved;
		ns = pvclock_ns(page);
		good &= ns >= ns_of(before) && ns <= ns_of(rdtsc() - moved);
	}
	return good;
}

static void offered(void)
{
	struct words name = cpuid(0x40000000, 0), features = cpuid(0x40000001, 0);

	check(name.b == 0x4b4d564b && name.c == 0x564b4d56 && name.d == 0x4d,
	      "leaf 4000_0000h names KVM");
	check_eq(name.a, 0x40000001, "... with one more leaf");
	check(features.a == (BIT(3) | BIT(24)) && !features.b && !features.c && !features.d,
	      "... which has the clock and nothing else");
	check(!rdmsr(MSR_KVM_SYSTEM_TIME) && !rdmsr(MSR_KVM_WALL_CLOCK), "its MSRs begin at 0");
}

static void refused(u64 value, u64 wall, const char *what)
{
	u64 time = rdmsr(MSR_KVM_SYSTEM_TIME);

	try_wrmsr(MSR_KVM_SYSTEM_TIME, value);
	check_fault(GP, 0, what);
	try_wrmsr(MSR_KVM_WALL_CLOCK, wall);
	check_fault(GP, 0, what);
	check_eq(rdmsr(MSR_KVM_SYSTEM_TIME), time, "... and nothing has changed");
}

static void hostile(void)
{
	struct pvclock *across = (struct pvclock *)(room + 4096 - 12);
	u64 extra = EXTRA_BASE;

	refused((u64)room | 3, (u64)room | 2, "an address that is not a multiple of 4");
	refused(HOLE_BASE | 1, HOLE_BASE, "an address without memory");
	refused(ROM_BASE | 1, ROM_BASE, "memory that cannot be written");
	refused((RAM_SIZE - 16) | 1, RAM_SIZE - 8, "a page that ends beyond its slot");
	refused(~0ull - 30, ~0ull - 3, "the end of all addresses");
	refused(1ull << 62 | 1, 1ull << 62, "an address beyond the processor's");

	wrmsr(MSR_KVM_SYSTEM_TIME, (u64)across | 1);
	check(agrees(across, 0), "a page that lies on two pages");
	try_wrmsr(MSR_KVM_SYSTEM_TIME, HOLE_BASE);
	check_no_fault("without bit 0 any address does");
	memset(room, 0x55, sizeof(room));
	wrmsr(MSR_TSC_ADJUST, 0x1000);
	wrmsr(MSR_TSC_ADJUST, 0);
	check(room[4096 - 12] == 0x55 && room[4096 + 8] == 0x55, "... and nothing is written");

	/* Whatever the version was, the page becomes readable. */
	wrmsr(MSR_KVM_SYSTEM_TIME, (u64)across | 1);
	check(!(across->version & 1) && agrees(across, 0), "garbage in the page's version");

	/* Memory that the host takes, and memory that goes as a whole. */
	call_runner(CALL_SLOT_ADD, 0);
	wrmsr(MSR_KVM_SYSTEM_TIME, extra | 1);
	check(agrees((struct pvclock *)extra, 0), "a page in another slot");
	call_runner(CALL_DONTNEED, 0);
	wrmsr(MSR_TSC_ADJUST, MOVED);
	check(agrees((struct pvclock *)extra, MOVED), "... which the host has taken away");
	call_runner(CALL_SLOT_REMOVE, 0);
	wrmsr(MSR_TSC_ADJUST, 0);
	check(rdmsr(MSR_KVM_SYSTEM_TIME) == (extra | 1), "... and which is no more");
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

static void follows(void)
{
	static const u16 rate[][2] = { { 60, 1 }, { 1, 7 }, { 1000, 1 }, { 1, 1 } };
	struct pvclock *page = &pages[0];
	u64 ns, tsc, back;

	wrmsr(MSR_KVM_SYSTEM_TIME, (u64)page | 1);
	check(agrees(page, 0), "the page says what the TSC says");
	check_eq(page->flags, PVCLOCK_STABLE, "... of all vCPUs");
	ns = pvclock_ns(page);
	for (u32 i = 0; i < 4; i++) {
		clock_verb(FERMATA_CLOCK_RATE, (u32)rate[i][0] << 16 | rate[i][1]);
		check(pvclock_ns(page) >= ns && agrees(page, 0), "at another rate, too");
		ns = pvclock_ns(page);
	}
	clock_verb(FERMATA_CLOCK_FREEZE, 0);
	ns = pvclock_ns(page);
	call_runner(CALL_SLEEP, 30);
	check_eq(pvclock_ns(page), ns, "frozen, it stands still");
	clock_verb(FERMATA_CLOCK_STEP, 5000);
	call_runner(CALL_SLEEP, 30);
	check(pvclock_ns(page) - ns - 5 * MS <= 2 + 1000000 / tsc_khz, "a step of 5 ms is 5 ms");
	ns = pvclock_ns(page);
	clock_verb(FERMATA_CLOCK_JUMP, 3000000);
	check(pvclock_ns(page) - ns - 3000 * MS <= 2 + 1000000 / tsc_khz, "a jump is a jump");
	ns = pvclock_ns(page);
	clock_verb(FERMATA_CLOCK_JUMP, (u32)-2000000);
	back = ns - pvclock_ns(page) - 2000 * MS;
	check(back <= 2 + 1000000 / tsc_khz, "... back, too, as the TSC");
	clock_verb(FERMATA_CLOCK_THAW, 0);
	tsc = rdtsc();
	wrmsr(MSR_TSC, tsc + MOVED);
	ns = pvclock_ns(page);
	check(ns >= ns_of(tsc) && ns <= ns_of(rdtsc() - rdmsr(MSR_TSC_ADJUST)),
	      "a TSC that is written moves no time");
	wrmsr(MSR_TSC_ADJUST, 0);
	check(agrees(page, 0), "... nor back");
}

static void date(void)
{
	struct pvclock_wall *wall = (struct pvclock_wall *)room;

	clock_verb(FERMATA_CLOCK_DATE, 1700000000); /* us */
	wall->version = 7;
	wrmsr(MSR_KVM_WALL_CLOCK, (u64)wall);
	check(wall->s == 1700 && wall->ns == 0, "the date at which the TSC was 0");
	check(!(wall->version & 1) && wall->version > 7, "... with a version");
	check_eq(rdmsr(MSR_KVM_WALL_CLOCK), (u64)wall, "... reads back");
	clock_verb(FERMATA_CLOCK_DATE, 12345);
	check_eq(wall->s, 1700, "another date is told to whom asks");
	wrmsr(MSR_KVM_WALL_CLOCK, (u64)wall);
	check(wall->s == 0 && wall->ns == 12345000, "... again");
	clock_verb(FERMATA_CLOCK_DATE, (u32)-5);
	wrmsr(MSR_KVM_WALL_CLOCK, (u64)wall);
	check(wall->s == 0 && wall->ns == 0, "a date before 1970 is 1970");
}

static void reach(u32 next)
{
	__atomic_store_n(&stage, next, __ATOMIC_SEQ_CST);
}

static bool await(u32 wanted)
{
	while (__atomic_load_n(&stage, __ATOMIC_SEQ_CST) < wanted)
		pause();
	return true;
}

static void other_main(u32 run)
{
	await(1);
	wrmsr(MSR_KVM_SYSTEM_TIME, (u64)&pages[1] | 1);
	reach(2);
	await(3);
	wrmsr(MSR_TSC_ADJUST, MOVED);
	reach(4);
	await(5);
	wrmsr(MSR_TSC_ADJUST, 0);
	reach(6);
	for (;;)
		asm volatile("cli\n\thlt");
}

static void two(void)
{
	reach(1);
	await(2);
	wrmsr(MSR_KVM_SYSTEM_TIME, (u64)&pages[0] | 1);
	check(pages[0].flags & pages[1].flags & PVCLOCK_STABLE, "two vCPUs with one TSC");
	check(agrees(&pages[0], 0) && agrees(&pages[1], 0), "... read each other's page");
	reach(3);
	await(4);
	check(!((pages[0].flags | pages[1].flags) & PVCLOCK_STABLE),
	      "one of them moves its TSC: both pages say so before it goes on");
	check(agrees(&pages[0], 0), "... and the other's is right");
	check_eq(pages[1].tsc, MOVED + pages[0].tsc, "... as is its own");
	reach(5);
	await(6);
	check(pages[0].flags & pages[1].flags & PVCLOCK_STABLE, "... and moves it back");
}

void guest_main(u32 run)
{
	ns_mult = ns_per_tick();
	if (run == 1) {
		two();
		return;
	}
	offered();
	follows();
	date();
	hostile();
}
