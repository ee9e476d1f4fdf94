/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How long one hold of the memory's lock gets, in rounds of loops, when a guest arranges its tables for nothing
 * but that, and when its owner takes much away at once. Interrupts are off in many of them.
 */
#include "shadow_fixture.h"

#define GIB1 (1ull << 30)
#define RAM (16 * MIB2)

#define TABLE 0x27ull		    /* present, writable, the user's, accessed */
#define LEAF (TABLE | 0x40ull)	    /* dirty */
#define PML4(n) ((16 + (n)) * KIB4) /* the guest's tables, by what they are used for here */
#define PDPT (1 * KIB4)
#define PD (2 * KIB4)
#define PT(n) ((512 + (n)) * KIB4)
#define DATA (8 * MIB2)

static void start(void)
{
	shadow_start(RAM, SHADOW_ALL, 4096, 1);
	memset(&paging, 0, sizeof(paging));
	paging.cr0 = 0x80010001; /* PG, WP, PE */
	paging.cr4 = 0x20;	 /* PAE */
	paging.efer = 0xd00;	 /* NXE, LMA, LME */
	paging.cr3 = PML4(0);
}

/* The longest hold since the last time. */
static void said(const char *what, u32 limit)
{
	print_message("# longest hold, %s: %llu steps\n", what, host_test.longest_hold);
	assert_in_range(host_test.longest_hold, 1, limit);
	host_test.longest_hold = 0;
}

static void load(u64 cr3)
{
	paging.cr3 = cr3;
	load_root();
}

static void map(u64 gpa)
{
	struct flush owed;
	u8 level;

	assert_int_equal(guest_memory_fault(&memory, gpa, RADIX_WRITE, &cache, &owed, &level), 0);
	pay(owed);
}

/* The guest touches a linear address, until the processor could. */
static void touch(u64 linear)
{
	struct shadow_answer answer;

	for (u32 i = 0; i < 20; i++) {
		enum shadow_result result =
			shadow_fault(&memory, &cpu, &paging, linear, FERMATA_ACCESS_WRITE, &answer);

		pay(answer.owed);
		switch (result) {
		case SHADOW_DONE:
		case SHADOW_SAME:
			return;
		case SHADOW_MEMORY:
			map(answer.gpa);
			break;
		case SHADOW_TABLE:
			assert_int_equal(guest_memory_populate(&memory, answer.gpa, true), 0);
			break;
		case SHADOW_AGAIN:
			load(paging.cr3);
			break;
		case SHADOW_REFILL:
			refill();
			break;
		default:
			fail_msg("result %d for %#llx", result, linear);
		}
	}
	fail_msg("no end of faults at %#llx", linear);
}

static void store(u64 gpa, u64 value)
{
	store_bytes(gpa, value, sizeof(value));
}

static void fill(u64 table, u64 entry)
{
	for (u32 i = 0; i < 512; i++)
		store(table + i * 8, entry);
}

static void take_all_away(void)
{
	pay(guest_memory_invalidate_begin(&memory, 0, ~0ull));
	guest_memory_invalidate_end(&memory, 0, ~0ull);
}

/* Of leaves to a page, or of links to a table. */
static u32 longest_chain(bool leaves)
{
	const struct shadow *sh = shadow_of(&memory);
	u32 longest = 0;

	for (u32 i = 0; leaves && i < SHADOW_RMAP; i++)
		longest = max(longest, sh->rmap[i].count);
	for (u32 i = 1; !leaves && i <= sh->total; i++)
		longest = max(longest, sh->page[i]->parents.count);
	return longest;
}

/* Thousands of entries of top tables that all lead to one table. Then they go, one after the other. */
static void many_parents(void **state)
{
	start();
	store(PDPT, PD | TABLE);
	store(PD, PT(0) | TABLE);
	store(PT(0), DATA | LEAF);
	for (u32 n = 0; n < 24; n++) {
		fill(PML4(n), PDPT | TABLE);
		load(PML4(n));
		for (u64 slot = 0; slot < 256; slot++)
			touch(slot << 39);
	}
	(void)longest_chain(false);
	for (u32 n = 0; n < 24; n++)
		fill(PML4(n), 0);
	load(PML4(0));
	fill(PML4(0), PDPT | TABLE);
	touch(0);
	store(PML4(0), 0);
	store(PDPT, 0);
	load(PML4(0));
	said("many links to one table", 8500);
	take_all_away();
	said("... taken away", 9000);
	stop();
}

/* Thousands of entries that all lead to one page. It becomes a table, it goes, and it is logged. */
static void many_aliases(void **state)
{
	const struct fermata_dirty what = { .slot = 0, .count = RAM / KIB4 };
	static u64 bitmap[RAM / KIB4 / 64];
	struct flush owed;
	u64 dirty;

	start();
	store(PML4(0), PDPT | TABLE);
	store(PDPT, PD | TABLE);
	for (u32 n = 0; n < 40; n++) {
		store(PD + n * 8, PT(n) | TABLE);
		fill(PT(n), DATA | LEAF);
	}
	load(PML4(0));
	for (u32 n = 0; n < 40; n++)
		for (u64 slot = 0; slot < 512; slot++)
			touch(n * MIB2 + slot * KIB4);
	(void)longest_chain(true);
	/* As a table of its own. */
	store(DATA, DATA | LEAF);
	store(PD + 100 * 8, DATA | TABLE);
	load(PML4(0));
	touch(100 * MIB2);
	for (u32 n = 0; n < 40; n++)
		touch(n * MIB2);
	assert_int_equal(guest_memory_log_dirty(&memory, 0, true, &owed), 0);
	pay(owed);
	for (u32 n = 0; n < 40; n++)
		touch(n * MIB2);
	assert_int_equal(guest_memory_take_dirty(&memory, &what, bitmap, &dirty, &owed), 0);
	pay(owed);
	assert_true(dirty);
	for (u32 i = 0; i < 3; i++) {
		u64 at = (uintptr_t)ram + DATA;

		pay(guest_memory_invalidate_begin(&memory, at, at + KIB4));
		guest_memory_invalidate_end(&memory, at, at + KIB4);
	}
	said("many addresses of one page", 9000);
	take_all_away();
	said("... taken away", 9000);
	stop();
}

/* Hundreds of full tables that are being written to, while a flush that somebody else owes takes its time. */
static void many_unsync(void **state)
{
	struct shadow *sh;

	start();
	sh = shadow_of(&memory);
	store(PML4(0), PDPT | TABLE);
	store(PDPT, PD | TABLE);
	for (u32 n = 0; n < 512; n++) {
		store(PD + n * 8, PT(n) | TABLE);
		for (u64 slot = 0; slot < 512; slot++)
			store(PT(n) + slot * 8, (DATA + slot * KIB4) | LEAF);
	}
	load(PML4(0));
	for (u32 i = 0; i < 512; i++)
		map(DATA + i * KIB4);
	host_lock(&memory.lock);
	guest_memory_owe(&memory, (struct flush){ .kinds = FLUSH_LINEAR });
	host_unlock(&memory.lock);
	for (u32 n = 0; n < 512; n++) {
		for (u64 slot = 0; slot < 512; slot += n < 300 ? 64 : 1)
			touch(n * MIB2 + slot * KIB4);
		store(PT(n), DATA | LEAF);
	}
	assert_true(sh->unsync_count > SHADOW_UNSYNC_MANY);
	for (u32 i = 0; i < 5; i++)
		load(PML4(i % 2));
	shadow_invlpg(&memory, &cpu, MIB2);
	guest_memory_reap(&memory);
	for (u32 i = 0; i < 5; i++)
		load(PML4(i % 2));
	said("many tables that are written to", 100000);
	pay(guest_memory_invalidate_begin(&memory, (uintptr_t)ram + DATA,
					  (uintptr_t)ram + DATA + MIB2));
	guest_memory_invalidate_end(&memory, (uintptr_t)ram + DATA, (uintptr_t)ram + DATA + MIB2);
	said("... their pages taken away", 9000);
	take_all_away();
	said("... taken away", 9000);
	stop();
}

/* One page as a table of every level, with every right, in every mode. */
static void many_roles(void **state)
{
	start();
	for (u32 round = 0; round < 64; round++) {
		paging.cr0 = round & 1 ? 0x80010001 : 0x80000001;
		paging.cr4 = 0x20 | (round & 2 ? 1ull << 20 : 0);
		paging.efer = round & 4 ? 0xd00 : 0x500;
		for (u32 slot = 0; slot < 16; slot++)
			store(PML4(0) + slot * 8, PML4(0) | 0x61 | (slot & 1 ? 2 : 0) |
							  (slot & 2 ? 4 : 0) |
							  (slot & 4 && round & 4 ? PTE_NX : 0));
		load(PML4(0));
		for (u64 slot = 0; slot < 8; slot++)
			for (u64 next = 0; next < 8; next++) {
				struct shadow_answer answer;

				while (shadow_fault(&memory, &cpu, &paging,
						    slot << 39 | next << 30 | next << 21 |
							    slot << 12,
						    0, &answer) == SHADOW_MEMORY)
					map(answer.gpa);
				pay(answer.owed);
				refill();
			}
	}
	said("one table in many roles", 4000);
	take_all_away();
	said("... taken away", 9000);
	stop();
}

/* A host that has nothing but small pages, more than there are here. */
static int any_page(u64 user_addr, bool write, struct host_page *page)
{
	*page = (struct host_page){
		.phys = user_addr & 0xfffffffff000ull, .level = 1, .writable = true, .cached = true
	};
	return 0;
}

/* All of a large guest's memory, by each way there is. */
static void many_leaves(void **state)
{
	enum { MAPPED = 16 * 512 * 6 };
	struct fermata_memory slot = { .slot = 0, .gpa = 0, .size = 64 * GIB1, .user_addr = GIB1 };
	struct closed *closed, *old;
	struct flush owed;

	host_test_reset();
	leaks = host_test_leaks();
	host_test.page_get = any_page;
	memset(&cache, 0, sizeof(cache));
	assert_int_equal(guest_memory_init(&memory, &npt_format, 3, 40), 0);
	for (u32 how = 0; how < 4; how++) {
		assert_int_equal(guest_memory_set_slot(&memory, &slot, &owed), 0);
		pay(owed);
		for (u64 i = 0; i < MAPPED; i++)
			map(i * KIB4);
		for (u64 i = 0; i < 64; i++)
			map(i * GIB1);
		switch (how) {
		case 0:
			take_all_away();
			break;
		case 1:
			closed = closed_new(1, 0);
			closed_add(closed, 0, ~0ull >> 12, RADIX_WRITE);
			old = guest_memory_set_closed(&memory, closed);
			guest_memory_apply_closed(&memory, old, closed, &owed);
			pay(owed);
			guest_memory_apply_closed(&memory, guest_memory_set_closed(&memory, NULL),
						  NULL, &owed);
			pay(owed);
			break;
		case 2:
			guest_memory_limit_leaves(&memory, 2, &owed);
			pay(owed);
			break;
		}
		/* The root, and the table below it, of which the slot is but a part. */
		if (how < 3)
			assert_in_range(memory.radix.tables, 1, 2);
		slot.size = 0;
		assert_int_equal(guest_memory_set_slot(&memory, &slot, &owed), 0);
		pay(owed);
		slot.size = 64 * GIB1;
		assert_in_range(memory.radix.tables, 1, 2);
		assert_int_equal(memory.flush.under_way, 0);
	}
	radix_cache_drain(&cache);
	guest_memory_destroy(&memory);
	assert_int_equal(host_test_leaks(), leaks);
	said("many pages of the host's", 16 * 512 + 2 * 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_parents), cmocka_unit_test(many_aliases),
		cmocka_unit_test(many_unsync),	cmocka_unit_test(many_roles),
		cmocka_unit_test(many_leaves),
	};

	return cmocka_run_group_tests_name("holds", tests, NULL, NULL);
}
