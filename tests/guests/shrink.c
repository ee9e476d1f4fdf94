/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Shadow paging when the host is short of memory: tables are given back, and the guest sees nothing of it.
 * Under nested paging there are none; the same is done all the same.
 */
#include "guest.h"

GUEST(.seconds = 60);

#define TABLES 96u
#define PAGES 4u /* that are used of each table's */
#define WINDOW (1ull << 39)
#define DATA 0x1000000ull /* RAM that the tables lead to */

static volatile u64 *table[TABLES];

static volatile u64 *word(u32 t, u32 page)
{
	return (volatile u64 *)(WINDOW + t * 0x200000ull + page * 4096ull);
}

static u64 place(u32 t, u32 page)
{
	return DATA + (t * PAGES + page) * 4096ull;
}

static void build(void)
{
	u64 pdpt = new_page(), pd = new_page();

	((u64 *)GUEST_PML4)[1] = pdpt | PTE_W | PTE_P;
	*(u64 *)pdpt = pd | PTE_W | PTE_P;
	for (u32 t = 0; t < TABLES; t++) {
		table[t] = (volatile u64 *)new_page();
		((u64 *)pd)[t] = (u64)table[t] | PTE_W | PTE_P;
		for (u32 page = 0; page < PAGES; page++) {
			table[t][page] = place(t, page) | PTE_W | PTE_P;
			*(volatile u64 *)place(t, page) = t * 1000 + page;
		}
	}
}

static u32 wrong(void)
{
	u32 wrong = 0;

	for (u32 t = 0; t < TABLES; t++)
		for (u32 page = 0; page < PAGES; page++)
			wrong += *word(t, page) != t * 1000 + page;
	return wrong;
}

static void given_back(void)
{
	u32 before, after, released = call_runner(CALL_SHADOW_RELEASED, 0);

	check_eq(wrong(), 0, "many tables lead where they say");
	before = call_runner(CALL_SHADOW_TABLES, 0);
	if (before)
		check(before > TABLES, "each has its shadow");
	else
		skip("tables of shadow paging", "nested paging");
	check_eq(call_runner(CALL_DROP, 4), 0, "the host wants memory");
	after = call_runner(CALL_SHADOW_TABLES, 0);
	released = call_runner(CALL_SHADOW_RELEASED, 0) - released;
	say("# %u tables before, %u after; %u given back\n", before, after, released);
	if (before) {
		check(after + TABLES / 2 < before, "it gets tables back");
		check(released >= before - after, "and they are counted");
	}
	check_eq(wrong(), 0, "the guest sees nothing of it");
	if (before)
		check(call_runner(CALL_SHADOW_TABLES, 0) > after, "what it uses comes back");
}

/* Pages change places, and their tables are used while the host takes all that it can get. */
static void under_pressure(void)
{
	u64 end, random = 99;
	u32 bad = 0, rounds = 0;

	check_eq(call_runner(CALL_PRESSURE, 1), 0, "the host wants memory all the time");
	end = rdtsc() + 500ull * tsc_khz;
	while (rdtsc() < end || rounds < 100) {
		u32 t, page, other;
		u64 entry;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		t = (random >> 33) % TABLES;
		page = random >> 20 & 3;
		other = (random >> 24) % TABLES;
		entry = table[t][page];
		table[t][page] = table[other][0];
		table[other][0] = entry;
		invlpg((u64)word(t, page));
		invlpg((u64)word(other, 0));
		bad += *word(t, page) != *(volatile u64 *)(table[t][page] & PTE_ADDRESS);
		bad += *word(other, 0) != *(volatile u64 *)(table[other][0] & PTE_ADDRESS);
		if (rounds++ % 16 == 0)
			write_cr3(read_cr3());
	}
	call_runner(CALL_PRESSURE, 0);
	check_eq(bad, 0, "every access goes where the tables say");
	say("# %u rounds, %u tables given back\n", rounds, call_runner(CALL_SHADOW_RELEASED, 0));
}

void guest_main(u32 run)
{
	build();
	given_back();
	under_pressure();
}
