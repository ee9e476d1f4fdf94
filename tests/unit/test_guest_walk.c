/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host_test.h"
#include "reference_walk.h"
#include "test_random.h"

#define KIB4 (1ull << 12)
#define PAGES 12 /* of guest memory, all of them tables; page 0 only ever a root */
#define RAM (PAGES * KIB4)

static struct guest_memory memory;
static u8 *ram;
static u8 shadow[RAM]; /* what the reference walker works on */

static int setup(void **state)
{
	struct fermata_memory slot = { .slot = 0, .gpa = 0, .size = RAM };
	struct flush owed;

	host_test_reset();
	if (guest_memory_init(&memory, &npt_format, 1, 40))
		return -1;
	ram = host_test_user_map(RAM, KIB4);
	ref_ram = shadow;
	ref_ram_size = RAM;
	slot.user_addr = (uintptr_t)ram;
	return guest_memory_set_slot(&memory, &slot, &owed);
}

static int teardown(void **state)
{
	guest_memory_destroy(&memory);
	return host_test_leaks() ? -1 : 0;
}

static u64 *table(u32 page)
{
	return (u64 *)(ram + page * KIB4);
}

static u32 *table32(u32 page)
{
	return (u32 *)(ram + page * KIB4);
}

/* ---- random worlds */

/* Tables that mostly lead on: present, permissive, into guest memory, now and then not. */
static u64 random_entry(bool pae)
{
	u64 entry = (1 + random_below(PAGES - 1)) * KIB4;

	entry |= random_below(4096) & 0xf78; /* whatever, without P, RW, US and PS */
	entry |= random_one_in(24) ? 0 : 1;
	entry |= random_one_in(6) ? 0 : 2;
	entry |= random_one_in(4) ? 0 : 4;
	if (random_one_in(5)) {
		entry |= 0x80;
		if (!random_one_in(4))
			entry &= ~0x3fffe000ull;
	}
	if (random_one_in(50))
		entry += RAM;
	if (!pae)
		return entry & 0xffffffff;
	if (random_one_in(10))
		entry |= 1ull << 63;
	if (random_one_in(40))
		entry |= 1ull << (32 + random_below(20));
	return entry | (random_one_in(3) ? (u64)random_below(2048) << 52 : 0);
}

static void random_world(struct guest_paging *p, bool pae, bool lma)
{
	for (u64 at = 0; at < RAM; at += pae ? 8 : 4) {
		u64 entry = random_entry(pae);

		if (pae && !lma &&
		    !random_one_in(30)) /* else nearly all of them have a reserved bit set */
			entry &= ~(0x7ffull << 52);
		if (pae && !lma && at < KIB4 && !random_one_in(10))
			entry &= ~(1ull << 63 | 0x1e6);
		memcpy(ram + at, &entry, pae ? 8 : 4);
	}
	for (int i = 0; i < 4; i++)
		p->pdpte[i] = (1 + random_below(PAGES - 1)) * KIB4 | !random_one_in(8);
}

static void random_paging(struct guest_paging *p, bool pae, bool lma)
{
	p->cr0 = 1 | (random_one_in(40) && !lma ? 0 : CR0_PG) | (random_one_in(2) ? CR0_WP : 0);
	/* PAE's PDPTEs have no accessed bit and must not be tables too: page 0 is theirs */
	p->cr3 = pae && !lma ? random_below(128) * 32 :
			       random_below(PAGES) * KIB4 | random_below(4096);
	p->cr4 = (pae ? CR4_PAE : 0) | (random_one_in(3) ? 0 : CR4_PSE) |
		 (random_one_in(2) ? CR4_SMEP : 0) | (random_one_in(2) ? CR4_SMAP : 0) |
		 (random_one_in(2) ? CR4_PKE : 0) | (lma && random_one_in(3) ? CR4_LA57 : 0);
	p->efer = (lma ? EFER_LMA : 0) | (random_one_in(3) ? 0 : EFER_NXE);
	p->pkru = random_one_in(2) ? 0 : (u32)random_u64() & (u32)random_u64();
	p->cpl = random_one_in(2) ? 3 : (u8)random_below(3);
	p->ac = random_one_in(2);
	p->no_1g = random_one_in(3);
	p->has_pdptes = random_one_in(2);
}

static void check_fast_fetch(const struct guest_paging *p, u64 linear, u32 access,
			     const struct reference *expected)
{
	int err;
	u64 gpa;

	err = guest_walk_fetch(&memory, p, linear, &gpa);
	if (!(p->efer & EFER_LMA)) {
		assert_int_equal(err, -EFAULT);
	} else if ((access & FETCH) && !expected->err && !expected->fault) {
		assert_int_equal(err, 0);
		assert_int_equal(gpa, expected->gpa);
	}
}

static void random_walks(bool pae, bool lma, u64 seed)
{
	static const u32 widths[] = { 32, 36, 40, 46, 52 };
	u32 translated = 0, faults = 0, keys = 0, outside = 0, rsvd = 0, large = 0;
	struct guest_paging p = { 0 };

	random_seed(seed);
	for (int step = 0; step < 60000; step++) {
		struct guest_walk_result result;
		struct reference expected;
		u64 linear = random_u64();
		u32 access = random_below(16);
		int err;

		if ((access & WRITE) && (access & FETCH)) /* no access is both */
			access &= ~FETCH;
		if (random_one_in(8))
			access |= GUEST_WALK_PEEK;
		if (!(step % 100))
			random_world(&p, pae, lma);
		random_paging(&p, pae, lma);
		memory.phys_bits = widths[random_below(ARRAY_SIZE(widths))];
		memcpy(shadow, ram, RAM);
		expected = ref_walk(&p, memory.phys_bits, linear, access);
		err = guest_walk(&memory, &p, linear, access, &result);
		assert_int_equal(err, expected.err);
		if (err) {
			assert_int_equal(result.gpa, expected.gpa);
			outside++;
		} else {
			assert_int_equal(result.fault, expected.fault);
			assert_int_equal(result.error_code, expected.code);
			faults += result.fault;
			keys += !!(result.error_code & PFERR_KEY);
			rsvd += !!(result.error_code & PFERR_RSVD);
			if (!result.fault) {
				assert_int_equal(result.gpa, expected.gpa);
				assert_int_equal(result.page_size, expected.page_size);
				translated++;
				large += result.page_size > 4096;
			}
		}
		assert_memory_equal(ram, shadow, RAM);
		check_fast_fetch(&p, linear, access, &expected);
	}
	/* The worlds must be neither all faults nor all smooth, or the comparison says little. */
	assert_true(translated > 3000);
	assert_true(faults > 3000);
	assert_true(outside > 100);
	assert_true(large > 300);
	assert_true(rsvd > 300);
	if (lma)
		assert_true(keys > 100);
}

static void random_32bit(void **state)
{
	random_walks(false, false, 11);
}

static void random_pae(void **state)
{
	random_walks(true, false, 12);
}

static void random_long(void **state)
{
	random_walks(true, true, 13);
}

/* ---- by hand: what the manual's examples say */

static struct guest_paging long_mode(void)
{
	memory.phys_bits = 40;
	memset(ram, 0, RAM);
	table(0)[0] = KIB4 | 7;
	table(1)[0] = 2 * KIB4 | 7;
	table(2)[0] = 3 * KIB4 | 7;
	table(3)[5] = 4 * KIB4 | 7;
	table(3)[6] = 5 * KIB4 | 7;
	return (struct guest_paging){ .cr0 = CR0_PG | CR0_WP | 1,
				      .cr4 = CR4_PAE,
				      .efer = EFER_LMA | EFER_NXE };
}

static struct guest_walk_result walk(const struct guest_paging *p, u64 linear, u32 access,
				     int expected)
{
	struct guest_walk_result result;

	assert_int_equal(guest_walk(&memory, p, linear, access, &result), expected);
	return result;
}

static void accessed_and_dirty(void **state)
{
	struct guest_paging p = long_mode();

	walk(&p, 0x5678, READ | GUEST_WALK_PEEK, 0);
	assert_int_equal(table(0)[0], KIB4 | 7);
	assert_int_equal(walk(&p, 0x5678, READ, 0).gpa, 0x4678);
	assert_int_equal(table(0)[0], KIB4 | 0x27);
	assert_int_equal(table(3)[5], 4 * KIB4 | 0x27);
	assert_int_equal(walk(&p, 0x5678, WRITE, 0).gpa, 0x4678);
	assert_int_equal(table(2)[0], 3 * KIB4 | 0x27);
	assert_int_equal(table(3)[5], 4 * KIB4 | 0x67);
	/* an access that faults sets none */
	table(3)[6] &= ~2ull;
	assert_int_equal(walk(&p, 0x6000, WRITE, 0).error_code, PFERR_PRESENT | PFERR_WRITE);
	assert_int_equal(table(3)[6], 5 * KIB4 | 5);
}

static void pse36(void **state)
{
	struct guest_paging p = { .cr0 = CR0_PG | 1, .cr4 = CR4_PSE };
	struct guest_walk_result r;

	memory.phys_bits = 40;
	memset(ram, 0, RAM);
	table32(0)[1] = 0x00c00087 | 0xab << 13;
	r = walk(&p, 0x412345, WRITE, 0);
	assert_int_equal(r.gpa, 0xab00c12345ull);
	assert_int_equal(r.page_size, 4 << 20);
	assert_int_equal(table32(0)[1], (0x00c00087 | 0xab << 13 | 0x60));
	memory.phys_bits = 36;
	assert_int_equal(walk(&p, 0x412345, READ, 0).error_code, PFERR_PRESENT | PFERR_RSVD);
	/* without CR4.PSE the bit means nothing and the entry is a table's */
	p.cr4 = 0;
	assert_int_equal(walk(&p, 0x412345, READ, -ENOENT).gpa,
			 (0x00c00000 | 0xab << 13) + 0x12 * 4);
}

static void linear_addresses_are_32_bits_outside_long_mode(void **state)
{
	struct guest_paging p = { .cr0 = 1 };

	assert_int_equal(walk(&p, 0x1234567890ull, READ, 0).gpa, 0x34567890);
}

static void errors_name_the_table(void **state)
{
	struct guest_paging p = long_mode();
	struct fermata_memory slot = {
		.slot = 1, .gpa = 1ull << 30, .size = KIB4, .flags = FERMATA_MEMORY_READONLY
	};
	struct flush owed;

	/* a table outside of every slot */
	table(1)[1] = (2ull << 30) | 7;
	assert_int_equal(walk(&p, 1ull << 30, READ, -ENOENT).gpa, 2ull << 30);
	/* a table that is swapped out, and after it was brought back */
	host_test_user_absent(ram + 2 * KIB4, KIB4, true);
	assert_int_equal(walk(&p, 0x5000, READ, -EFAULT).gpa, 2 * KIB4);
	assert_int_equal(guest_memory_populate(&memory, 2 * KIB4, false), 0);
	assert_int_equal(walk(&p, 0x5000, READ, 0).gpa, 4 * KIB4);
	/* a table in ROM: it can be walked when its accessed bits are set */
	slot.user_addr = (uintptr_t)ram + 3 * KIB4;
	assert_int_equal(guest_memory_set_slot(&memory, &slot, &owed), 0);
	table(2)[1] = (1ull << 30) | 7;
	assert_int_equal(walk(&p, 0x206000, READ, -EACCES).gpa, (1ull << 30) + 6 * 8);
	table(3)[6] |= 0x20;
	assert_int_equal(walk(&p, 0x206000, READ, 0).gpa, 5 * KIB4);
	slot.size = 0;
	assert_int_equal(guest_memory_set_slot(&memory, &slot, &owed), 0);
}

/* ---- another vCPU rewrites the tables during the walk */

static u32 changes;

static void change_leaf_once(u64 addr)
{
	host_test.before_cmpxchg = NULL;
	table(3)[5] = 9 * KIB4 | 7;
}

static void change_always(u64 addr)
{
	u64 *entry = (u64 *)(uintptr_t)addr;

	*entry ^= 1ull << 9; /* an ignored bit */
	changes++;
}

static void tables_that_change_are_walked_again(void **state)
{
	struct guest_paging p = long_mode();

	host_test.before_cmpxchg = change_leaf_once;
	assert_int_equal(walk(&p, 0x5678, WRITE, 0).gpa, 0x9678);
	assert_int_equal(table(3)[5], 9 * KIB4 | 0x67);
	table(0)[0] = KIB4 | 7;
	host_test.before_cmpxchg = change_always;
	walk(&p, 0x5678, WRITE, -EAGAIN);
	host_test.before_cmpxchg = NULL;
	assert_true(changes > 1);
}

static void fetching_instructions(void **state)
{
	struct guest_paging p = long_mode();
	struct guest_walk_result r;
	u8 code[16];

	for (u32 i = 0; i < 2 * KIB4; i++)
		ram[4 * KIB4 + i] = (u8)(i * 7);
	assert_int_equal(guest_fetch(&memory, &p, 0x5010, code, 15, &r), 15);
	assert_memory_equal(code, ram + 4 * KIB4 + 0x10, 15);
	assert_int_equal(r.gpa, 0x4010);
	/* nothing was written to the guest's tables */
	assert_int_equal(table(3)[5], 4 * KIB4 | 7);
	/* across pages that do not follow each other */
	table(3)[6] = 4 * KIB4 | 7;
	assert_int_equal(guest_fetch(&memory, &p, 0x5ffd, code, 15, NULL), 15);
	assert_memory_equal(code, ram + 4 * KIB4 + 0xffd, 3);
	assert_memory_equal(code + 3, ram + 4 * KIB4, 12);
	/* up to a page that is not there, or may not be executed */
	table(3)[6] |= 1ull << 63;
	assert_int_equal(guest_fetch(&memory, &p, 0x5ffd, code, 15, NULL), 3);
	table(3)[6] = 0;
	assert_int_equal(guest_fetch(&memory, &p, 0x5ffd, code, 15, NULL), 3);
	assert_int_equal(guest_fetch(&memory, &p, 0x6000, code, 15, &r), -EFAULT);
	assert_int_equal(r.fault, 1);
	assert_int_equal(r.error_code, PFERR_FETCH);
	/* the page is swapped out: no fault of the guest's */
	host_test_user_absent(ram + 4 * KIB4, KIB4, true);
	assert_int_equal(guest_fetch(&memory, &p, 0x5010, code, 15, &r), -EFAULT);
	assert_int_equal(r.fault, 0);
	assert_int_equal(r.gpa, 0x4010);
	assert_int_equal(guest_memory_populate(&memory, r.gpa, false), 0);
	assert_int_equal(guest_fetch(&memory, &p, 0x5010, code, 15, &r), 15);
	/* large pages, and modes without the short cut */
	table(2)[0] = 0x80 | 7;
	assert_int_equal(guest_fetch(&memory, &p, 0x4020, code, 15, &r), 15);
	assert_memory_equal(code, ram + 0x4020, 15);
	p = (struct guest_paging){ .cr0 = 1 };
	assert_int_equal(guest_fetch(&memory, &p, 0x4020, code, 15, &r), 15);
	assert_memory_equal(code, ram + 0x4020, 15);
	assert_int_equal(guest_fetch(&memory, &p, RAM, code, 15, &r), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_32bit),
		cmocka_unit_test(random_pae),
		cmocka_unit_test(random_long),
		cmocka_unit_test(accessed_and_dirty),
		cmocka_unit_test(pse36),
		cmocka_unit_test(linear_addresses_are_32_bits_outside_long_mode),
		cmocka_unit_test(errors_name_the_table),
		cmocka_unit_test(tables_that_change_are_walked_again),
		cmocka_unit_test(fetching_instructions),
	};

	return cmocka_run_group_tests_name("guest_walk", tests, setup, teardown);
}
