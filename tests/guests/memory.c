/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Guest RAM is the host's memory: all of it is there, and what the host does to it is seen. */
#include "guest.h"

GUEST(.seconds = 90);

#define PAGES (EXTRA_SIZE / 4096)

static volatile u64 *page(u64 base, u64 n)
{
	return (volatile u64 *)(base + n * 4096);
}

static void all_of_it(void)
{
	bool good = true;

	for (u64 at = 0x800000; at < RAM_SIZE; at += 4096)
		*(volatile u64 *)at = at * 0x9e3779b97f4a7c15;
	for (u64 at = 0x800000; at < RAM_SIZE; at += 4096)
		good &= *(volatile u64 *)at == at * 0x9e3779b97f4a7c15;
	check(good, "every page of RAM keeps its own value");
	*(volatile u8 *)(RAM_SIZE - 1) = 0x5a;
	check_eq(*(volatile u8 *)(RAM_SIZE - 1), 0x5a, "the last byte of RAM");
	check_eq(*(volatile u8 *)RAM_SIZE, 0, "the byte behind it is nobody's");
	check_eq(call_runner(CALL_MMIO_COUNT, 0), 1, "... and comes out");
	good = true;
	for (u64 at = HIGH_BASE; at < HIGH_BASE + HIGH_SIZE; at += 4096)
		good &= *(volatile u64 *)at == 0;
	check(good, "fresh memory reads as zeros");
	*(volatile u8 *)HIGH_BASE = 1;
	*(volatile u8 *)(HIGH_BASE + HIGH_SIZE - 1) = 2;
	check(*(volatile u8 *)HIGH_BASE == 1 && *(volatile u8 *)(HIGH_BASE + HIGH_SIZE - 1) == 2,
	      "first and last byte of a slot of odd size, above 4 GiB");
	*(volatile u8 *)(HIGH_BASE + HIGH_SIZE) = 3;
	check_eq(call_runner(CALL_MMIO_COUNT, 0), 2, "the byte behind it comes out");
	/* Half of this is RAM, half is nothing: the access is emulated in two parts. */
	*(volatile u32 *)(HIGH_BASE + HIGH_SIZE - 2) = 0xaabbccdd;
	check_eq(*(volatile u16 *)(HIGH_BASE + HIGH_SIZE - 2), 0xccdd,
		 "an access over the end of RAM");
}

static void coming_and_going(void)
{
	bool good = true;

	check_eq(*page(EXTRA_BASE, 0), 0, "no slot yet: nothing is there");
	for (u32 i = 0; i < 20; i++) {
		good &= call_runner(CALL_SLOT_ADD, 0) == 0;
		for (u64 n = 0; n < PAGES; n += 7)
			good &= *page(EXTRA_BASE, n) == 0;
		for (u64 n = 0; n < PAGES; n += 7)
			*page(EXTRA_BASE, n) = n + i + 1;
		for (u64 n = 0; n < PAGES; n += 7)
			good &= *page(EXTRA_BASE, n) == n + i + 1;
		good &= call_runner(CALL_SLOT_REMOVE, 0) == 0;
		good &= *page(EXTRA_BASE, 0) == 0 && *page(EXTRA_BASE, 7) == 0;
	}
	check(good, "a slot comes and goes twenty times; removed, nothing of it is left");
}

static bool all_bytes(u8 value)
{
	u64 wanted = value * 0x0101010101010101ull;

	for (u64 n = 0; n < PAGES; n++)
		if (*page(EXTRA_BASE, n) != wanted) {
			say("# page %u reads %lx\n", (u32)n, *page(EXTRA_BASE, n));
			return false;
		}
	return true;
}

static void host_changes(void)
{
	bool good = true;

	call_runner(CALL_SLOT_ADD, 0);
	memset((void *)EXTRA_BASE, 0x11, EXTRA_SIZE);
	check(all_bytes(0x11), "written");
	call_runner(CALL_DONTNEED, 0);
	check(all_bytes(0), "MADV_DONTNEED by the host: zeros");
	memset((void *)EXTRA_BASE, 0x22, EXTRA_SIZE);
	call_runner(CALL_REPLACE, 0x33);
	check(all_bytes(0x33), "other pages mapped there by the host are seen");
	memset((void *)EXTRA_BASE, 0x44, EXTRA_SIZE);
	check(all_bytes(0x44), "... and can be written");
	call_runner(CALL_POKE, 0xcafe);
	for (u64 n = 0; n < PAGES; n++)
		good &= *(volatile u32 *)page(EXTRA_BASE, n) == 0xcafe;
	check(good, "what the host writes is seen");
	good = true;
	for (u32 i = 0; i < 30 && good; i++) {
		memset((void *)EXTRA_BASE, i, 64 * 4096);
		call_runner(i % 3 == 0 ? CALL_REPLACE : CALL_DONTNEED, i);
		good = all_bytes(i % 3 == 0 ? i : 0);
	}
	check(good, "again and again");
	call_runner(CALL_SLOT_REMOVE, 0);
}

static void churn(void)
{
	u64 end, rounds = 0, bad = 0, locked = 0;

	call_runner(CALL_SLOT_ADD, 0);
	for (u64 n = 0; n < PAGES; n++)
		*page(EXTRA_BASE, n) = n;
	call_runner(CALL_CHURN, 0);
	end = rdtsc() + 2000ull * tsc_khz;
	while (rdtsc() < end || rounds < 4) {
		for (u64 n = 0; n < PAGES; n++) {
			bad += *page(EXTRA_BASE, n) != n + rounds;
			*page(EXTRA_BASE, n) = n + rounds + 1;
			asm volatile("lock; incq (%0)"
				     :
				     : "r"(page(EXTRA_BASE, n) + 1)
				     : "memory", "cc");
		}
		rounds++;
	}
	call_runner(CALL_CALM, 0);
	for (u64 n = 0; n < PAGES; n++) {
		bad += *page(EXTRA_BASE, n) != n + rounds;
		locked += page(EXTRA_BASE, n)[1] == rounds;
	}
	check_eq(bad, 0, "while the host protects, forks and compacts, no write is lost");
	check_eq(locked, PAGES, "... nor a locked one");
	say("# %u rounds over %u pages\n", (u32)rounds, (u32)PAGES);
	call_runner(CALL_SLOT_REMOVE, 0);
}

void guest_main(u32 run)
{
	all_of_it();
	coming_and_going();
	host_changes();
	churn();
}
