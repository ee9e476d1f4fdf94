/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The dirty log names the pages that were written to: by instructions, by the processor in page tables, by
 * the hypervisor's kernel part and its emulator; no page more, and none is missed while it is emptied.
 */
#include "rules.h"

GUEST(.flags = GUEST_KVMCLOCK, .seconds = 90);

#define PAGES (EXTRA_SIZE / 4096)
#define TABLE_PAGE 0x1c00000ull /* of RAM; nothing else is there */
#define WINDOW 0x1000000ull	/* 2 MiB of linear addresses */

static volatile u8 *at(u64 page, u32 offset)
{
	return (volatile u8 *)(EXTRA_BASE + page * 4096 + offset);
}

static bool is_dirty(u64 page)
{
	return call_runner(CALL_IS_DIRTY, page) == 1;
}

/* What was written since the last question is this page, and nothing else. */
static void one_page(u64 page, const char *name)
{
	u32 count = call_runner(CALL_DIRTY, SLOT_EXTRA);

	check(count == 1 && is_dirty(page), name);
	if (count != 1)
		say("# %u pages\n", count);
}

static void switched(void)
{
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), CALL_FAILED + 2, "no log, no answer (ENOENT)");
	call_runner(CALL_SLOT_ADD, 0);
	for (u64 n = 0; n < PAGES; n++)
		*at(n, 0) = 1;
	check_eq(call_runner(CALL_LOG_DIRTY, SLOT_EXTRA | DIRTY_ON), 0, "a log is switched on");
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 0, "what was written before is not in it");
	for (u64 n = 0; n < PAGES; n++)
		(void)*at(n, 5);
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 0, "reading is not writing");
	*at(7, 4095) = 2;
	one_page(7, "a byte is written");
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 0, "asked once more: nothing new");
	for (u32 i = 0; i < 20; i++)
		*at(7, i) = i; /* its translation is in use */
	one_page(7, "written again after the question");
}

static void instructions(void)
{
	void *to = (void *)at(64, 4090), *from = (void *)at(200, 0);
	u64 count = 12;

	asm volatile("lock; incl (%0)" : : "r"(at(100, 8)) : "memory", "cc");
	one_page(100, "a locked increment");
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 2, "a string over the edge of a page: both");
	check(is_dirty(64) && is_dirty(65), "... these two");
	*(volatile u64 *)at(PAGES - 2, 4092) = 1;
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 2, "a store over the edge of a page: both");
	check(is_dirty(PAGES - 2) && is_dirty(PAGES - 1), "... the last two of the slot");
	asm volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tpushq $1\n\tmovq %%rbx, %%rsp"
		     :
		     : "r"(at(301, 0))
		     : "rbx", "memory");
	one_page(300, "a push");
}

/* What user space writes for the guest, and what the kernel part does. */
static void on_its_behalf(void)
{
	void *to = (void *)at(20, 0), *from = (void *)DEVICE_BASE;
	u64 count = 2;

	outb(PORT_FIFO, 0x31);
	outb(PORT_FIFO, 0x32);
	asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(PORT_FIFO) : "memory");
	check_eq(*at(20, 1), 0x32, "INS from a port");
	one_page(20, "... is a write");
	to = (void *)at(31, 4092);
	count = 2;
	asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 2, "MOVS from device memory: both pages");
	check(is_dirty(31) && is_dirty(32), "... these two");
	wrmsr(MSR_KVM_SYSTEM_TIME, (EXTRA_BASE + 40 * 4096) | 1);
	check(*(volatile u32 *)at(40, 0), "KVM's clock is written");
	call_runner(CALL_DIRTY, SLOT_EXTRA);
	check(is_dirty(40), "... by the kernel part, and logged");
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

/* A log of RAM, where the guest itself lives: its stack is written all the time. */
static void page_tables(void)
{
	volatile u64 *pte = (volatile u64 *)TABLE_PAGE;
	u64 *pde = table_entry(WINDOW, 2), old = *pde, page = TABLE_PAGE / 4096;

	for (u32 i = 0; i < 512; i++)
		pte[i] = (EXTRA_BASE + i * 4096) | PTE_W | PTE_P;
	*pde = TABLE_PAGE | PTE_W | PTE_P;
	write_cr3(read_cr3());
	check_eq(call_runner(CALL_LOG_DIRTY, SLOT_RAM | DIRTY_ON), 0, "a log of all the memory");
	call_runner(CALL_DIRTY, SLOT_RAM);
	check(!is_dirty(page), "a table that nobody has touched");
	(void)*(volatile u8 *)(WINDOW + 0x3000);
	check(pte[3] & PTE_A, "a read: the processor sets A in it");
	call_runner(CALL_DIRTY, SLOT_RAM);
	check(is_dirty(page), "... and so has written to it");
	check(!is_dirty(page + 1), "but not to its neighbour");
	*(volatile u8 *)(WINDOW + 0x3000) = 1;
	check(pte[3] & PTE_D, "a write: it sets D");
	call_runner(CALL_DIRTY, SLOT_RAM);
	check(is_dirty(page), "... which is a write, too");
	call_runner(CALL_DIRTY, SLOT_EXTRA);
	check(is_dirty(3), "as is the write itself");
	call_runner(CALL_DIRTY, SLOT_RAM);
	*(volatile u8 *)(WINDOW + 0x3000) = 2;
	one_page(3, "a second write, for which no bit is to be set");
	check_eq(call_runner(CALL_LOG_DIRTY, SLOT_RAM), 0, "that log ends");
	*pde = old;
	write_cr3(read_cr3());
}

static void others(void)
{
	u32 id, before = call_runner(CALL_ROM_WRITES, 0);

	check_eq(call_runner(CALL_LOG_DIRTY, SLOT_ROM | DIRTY_ON), 0, "a log of read-only memory");
	*(volatile u8 *)ROM_BASE = 1;
	check_eq(call_runner(CALL_ROM_WRITES, 0), before + 1, "a write there comes out");
	check_eq(call_runner(CALL_DIRTY, SLOT_ROM), 0, "and writes nothing");
	id = rule_on("write gpa=0x20032000..0x20032fff");
	*at(50, 8) = 1;
	*at(50, 16) = 1;
	check_eq(rule_off(id), 2, "a rule about writes");
	one_page(50, "and the log see the same page");
	call_runner(CALL_DONTNEED, 0);
	check_eq(*at(50, 8), 0, "the host takes its memory back");
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), 0, "which the guest did not write");
	*at(50, 8) = 1;
	one_page(50, "until it does");
}

/* Random pages, and exactly those come back. */
static void rounds(void)
{
	u64 random = 0x9e3779b97f4a7c15;
	u32 missed = 0, more = 0;

	for (u32 round = 0; round < 12; round++) {
		u64 wrote[PAGES / 64] = { 0 };

		for (u32 i = 0; i < 40; i++) {
			u64 page;

			random = random * 6364136223846793005ull + 1442695040888963407ull;
			page = (random >> 33) % PAGES;
			*at(page, random & 4095) = (u8)i;
			wrote[page / 64] |= BIT(page % 64);
		}
		call_runner(CALL_DIRTY, SLOT_EXTRA);
		for (u64 page = 0; page < PAGES; page += round % 3 + 1) {
			bool was = wrote[page / 64] >> page % 64 & 1, is = is_dirty(page);

			missed += was && !is;
			more += is && !was;
		}
	}
	check_eq(missed, 0, "random writes: none is missed");
	check_eq(more, 0, "... and no page is named that was not written to");
}

/* The host copies what the log names while all of it changes; at the end the copy is the memory. */
static void followed(bool churn)
{
	u64 random = 77, writes = 0, end;

	check_eq(call_runner(CALL_COPY, 0), 0, "a copy begins to follow the memory");
	if (churn)
		call_runner(CALL_CHURN, 0);
	end = rdtsc() + 300ull * tsc_khz;
	while (rdtsc() < end || writes < 8000) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		*(volatile u64 *)at((random >> 33) % PAGES, random >> 12 & 0xff8) = ++writes;
	}
	if (churn)
		call_runner(CALL_CALM, 0);
	check_eq(call_runner(CALL_COPY_END, 0), 0,
		 churn ? "so it is while the host protects, forks and compacts" :
			 "after many writes it holds what the memory holds");
	say("# %u writes, %u pages copied meanwhile\n", (u32)writes, call_runner(CALL_COPIED, 0));
}

void guest_main(u32 run)
{
	switched();
	instructions();
	on_its_behalf();
	page_tables();
	others();
	rounds();
	followed(false);
	followed(true);
	check_eq(call_runner(CALL_LOG_DIRTY, SLOT_EXTRA), 0, "the log ends");
	*at(9, 9) = 9;
	check_eq(call_runner(CALL_DIRTY, SLOT_EXTRA), CALL_FAILED + 2, "and answers no more");
	call_runner(CALL_SLOT_REMOVE, 0);
}
