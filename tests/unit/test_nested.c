/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host_test.h"
#include "memory/nested.h"
#include "test_random.h"

#define KIB4 (1ull << 12)
#define MIB2 (1ull << 21)
#define GIB (1ull << 30)
#define RAM (8 * MIB2)

struct fixture {
	struct guest_memory memory;
	struct radix_cache cache;
	u8 *ram; /* slot 0: gpa 0, RAM bytes */
	long leaks;
};

static u64 user(const void *p)
{
	return (uintptr_t)p;
}

static int set_slot(struct fixture *f, u32 id, u64 gpa, u64 size, const void *at, u32 flags)
{
	const struct fermata_memory change = {
		.slot = id,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.user_addr = user(at),
	};
	struct flush owed;
	int err = guest_memory_set_slot(&f->memory, &change, &owed);

	if (owed.kinds)
		guest_memory_reap(&f->memory);
	return err;
}

static void begin(struct fixture *f, const struct radix_format *format)
{
	host_test_reset();
	memset(f, 0, sizeof(*f));
	f->leaks = host_test_leaks();
	assert_int_equal(guest_memory_init(&f->memory, format, 3, 40), 0);
	f->ram = host_test_user_map(RAM, GIB);
	assert_int_equal(set_slot(f, 0, 0, RAM, f->ram, 0), 0);
}

static void end(struct fixture *f)
{
	assert_int_equal(f->memory.flush.under_way, 0);
	assert_int_equal(f->memory.radix.limbo_tables, 0);
	radix_cache_drain(&f->cache);
	guest_memory_destroy(&f->memory);
	assert_int_equal(host_test_leaks(), f->leaks);
}

static int fault(struct fixture *f, u64 gpa, u32 access, struct flush *owed, u8 *level)
{
	int err = guest_memory_fault(&f->memory, gpa, access, &f->cache, owed, level);

	if (owed->kinds)
		guest_memory_reap(&f->memory);
	return err;
}

static void invalidate(struct fixture *f, const void *at, u64 size, u32 expected)
{
	struct flush owed = guest_memory_invalidate_begin(&f->memory, user(at), user(at) + size);

	assert_int_equal(owed.kinds, expected);
	if (owed.kinds)
		guest_memory_reap(&f->memory);
	guest_memory_invalidate_end(&f->memory, user(at), user(at) + size);
}

static struct radix_leaf lookup(struct fixture *f, u64 gpa)
{
	struct radix_leaf leaf = { 0 };

	if (!radix_lookup(&f->memory.radix, gpa, &leaf))
		leaf.level = 0;
	return leaf;
}

static void faults_map(void **state)
{
	struct radix_leaf leaf;
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	assert_int_equal(fault(&f, 0x5123, RADIX_READ, &owed, &level), 0);
	assert_int_equal(owed.kinds, FLUSH_NONE);
	assert_int_equal(level, 1);
	leaf = lookup(&f, 0x5123);
	assert_int_equal(leaf.phys, user(f.ram + 0x5123) + HOST_TEST_PHYS_OFFSET);
	assert_int_equal(leaf.access, RADIX_READ | RADIX_WRITE | RADIX_EXEC);
	assert_int_equal(f.memory.stats.faults, 1);
	/* mapped writable: the guest may write without telling, so the page was marked */
	assert_int_equal(host_test.pages_dirtied, 1);

	assert_int_equal(fault(&f, 0x5ff8, RADIX_WRITE, &owed, &level), 0);
	assert_int_equal(f.memory.stats.spurious, 1);
	assert_int_equal(fault(&f, RAM, RADIX_READ, &owed, &level), -ENOENT);
	assert_int_equal(fault(&f, ~0ull, RADIX_READ, &owed, &level), -ENOENT);
	host_test.page_uncached = true;
	assert_int_equal(fault(&f, 0x6000, RADIX_READ, &owed, &level), 0);
	assert_true(lookup(&f, 0x6000).access & RADIX_UNCACHED);
	end(&f);
}

static void read_only_pages_become_writable_on_a_write(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &ept_format);
	host_test.page_readonly = true;
	assert_int_equal(fault(&f, 0, RADIX_EXEC, &owed, &level), 0);
	assert_int_equal(lookup(&f, 0).access, RADIX_READ | RADIX_EXEC);
	assert_int_equal(host_test.pages_dirtied, 0);
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), 0);
	assert_int_equal(owed.kinds, FLUSH_NONE); /* more access to the same page */
	assert_int_equal(lookup(&f, 0).access, RADIX_READ | RADIX_WRITE | RADIX_EXEC);
	assert_int_equal(host_test.pages_dirtied, 1);
	/* A late read fault of another vCPU takes nothing back. */
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), 0);
	assert_int_equal(owed.kinds, FLUSH_NONE);
	assert_int_equal(lookup(&f, 0).access, RADIX_READ | RADIX_WRITE | RADIX_EXEC);
	end(&f);
}

static void read_only_slots_are_never_writable(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	assert_int_equal(set_slot(&f, 1, GIB, KIB4, f.ram, FERMATA_MEMORY_READONLY), 0);
	assert_int_equal(fault(&f, GIB, RADIX_WRITE, &owed, &level), -EACCES);
	assert_int_equal(fault(&f, GIB, RADIX_READ, &owed, &level), 0);
	assert_int_equal(lookup(&f, GIB).access, RADIX_READ | RADIX_EXEC);
	assert_int_equal(host_test.pages_dirtied, 0);
	end(&f);
}

static void large_pages(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;
	u8 *big;

	begin(&f, &npt_format);
	host_test.page_level = 3;
	assert_int_equal(fault(&f, MIB2 + 0x12345, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 2); /* the slot is smaller than 1 GiB */
	assert_int_equal(f.memory.stats.large_faults, 1);
	assert_int_equal(lookup(&f, MIB2).phys, user(f.ram + MIB2) + HOST_TEST_PHYS_OFFSET);
	assert_int_equal(lookup(&f, 2 * MIB2 - 1).level, 2);
	assert_int_equal(lookup(&f, 2 * MIB2).level, 0);

	/* 1 GiB inside a slot, 4 KiB at its ragged edges, nothing large where alignments differ */
	big = host_test_user_map(3 * GIB, GIB);
	assert_int_equal(set_slot(&f, 1, 4 * GIB - MIB2 - KIB4, 2 * GIB + MIB2 + KIB4,
				  big + GIB - MIB2 - KIB4, 0),
			 0);
	assert_int_equal(fault(&f, 4 * GIB + 77, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 3);
	assert_int_equal(fault(&f, 4 * GIB - 1, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 2);
	assert_int_equal(fault(&f, 4 * GIB - MIB2 - 1, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 1);
	assert_int_equal(set_slot(&f, 2, 16 * GIB, MIB2, f.ram + KIB4, 0), 0);
	assert_int_equal(fault(&f, 16 * GIB, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 1);

	/* what the host maps with 4 KiB stays 4 KiB */
	host_test.page_level = 1;
	assert_int_equal(fault(&f, 4 * MIB2, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 1);
	/* and when it becomes large, the table gives way */
	host_test.page_level = 2;
	assert_int_equal(fault(&f, 4 * MIB2 + KIB4, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 2);
	assert_int_equal(owed.kinds, FLUSH_NESTED);
	/* an invalidation of one byte takes all of a large page */
	invalidate(&f, f.ram + 4 * MIB2 + 5, 1, FLUSH_NESTED);
	assert_int_equal(lookup(&f, 5 * MIB2 - 1).level, 0);
	assert_int_equal(lookup(&f, MIB2).level, 2);
	end(&f);
}

/* iTLB multihit: a large leaf is for data alone, and a fetch splits it. */
static void fetches_from_small_leaves(void **state)
{
	const u64 code = MIB2 + 5 * KIB4;
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &ept_format);
	f.memory.small_exec = true;
	host_test.page_level = 2;
	assert_int_equal(fault(&f, MIB2, RADIX_WRITE, &owed, &level), 0);
	assert_int_equal(level, 2);
	assert_int_equal(lookup(&f, MIB2).access, RADIX_READ | RADIX_WRITE);
	assert_int_equal(owed.kinds, FLUSH_NONE);

	assert_int_equal(fault(&f, code, RADIX_EXEC, &owed, &level), 0);
	assert_int_equal(level, 1);
	assert_int_equal(owed.kinds, FLUSH_NESTED); /* no processor may go on with the large one */
	assert_int_equal(lookup(&f, code).level, 1);
	assert_int_equal(lookup(&f, code).access, RADIX_READ | RADIX_WRITE | RADIX_EXEC);
	assert_int_equal(lookup(&f, code + KIB4).level, 1); /* the rest is as it was */
	assert_int_equal(lookup(&f, code + KIB4).access, RADIX_READ | RADIX_WRITE);
	assert_int_equal(fault(&f, code + KIB4, RADIX_EXEC, &owed, &level), 0);
	assert_int_equal(level, 1);
	assert_int_equal(owed.kinds, FLUSH_NONE);
	/* A fault about data, of a page that is there already: the small leaves stay. */
	assert_int_equal(fault(&f, code + 2 * KIB4, RADIX_WRITE, &owed, &level), 0);
	assert_int_equal(lookup(&f, code).level, 1);

	/* A fetch comes first, and nothing large is there. */
	assert_int_equal(fault(&f, 2 * MIB2, RADIX_EXEC, &owed, &level), 0);
	assert_int_equal(level, 1);
	assert_int_equal(lookup(&f, 2 * MIB2 + KIB4).level, 0);

	/* What may be executed is never large, wherever faults of both kinds come in turn. */
	for (u32 i = 0; i < 2000; i++) {
		u64 gpa = random_below(RAM);
		u32 access = random_one_in(2) ? RADIX_EXEC : RADIX_WRITE;

		assert_int_equal(fault(&f, gpa, access, &owed, &level), 0);
		assert_false(lookup(&f, gpa).level > 1 && lookup(&f, gpa).access & RADIX_EXEC);
		if (i % 100 == 99)
			invalidate(&f, f.ram + (gpa & ~(MIB2 - 1)), MIB2, FLUSH_NESTED);
	}
	end(&f);
}

static int crooked_page(u64 addr, bool write, struct host_page *page)
{
	page->phys = 7 * GIB + KIB4; /* large, says the host, but not aligned like it */
	page->level = 2;
	page->cached = true;
	return 0;
}

static void host_answers_are_not_trusted_blindly(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	host_test.page_get = crooked_page;
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), 0);
	assert_int_equal(level, 1);
	assert_int_equal(lookup(&f, 0x123).phys, 7 * GIB + KIB4 + 0x123);
	end(&f);
}

static void errors_leave_nothing_behind(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	host_test.page_error = -EHWPOISON;
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), -EHWPOISON);
	host_test.page_error = 0;
	radix_cache_drain(&f.cache);
	host_test.allocs_until_failure = 0;
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), -ENOMEM);
	assert_int_equal(set_slot(&f, 1, GIB, KIB4, f.ram, 0), -ENOMEM);
	for (int n = 0; n < 2; n++) {
		struct guest_memory other;

		host_test.allocs_until_failure = n;
		assert_int_equal(guest_memory_init(&other, &npt_format, 3, 40), -ENOMEM);
	}
	host_test.allocs_until_failure = -1;
	assert_int_equal(guest_memory_init(&(struct guest_memory){ 0 }, &npt_format, 3, 49),
			 -EINVAL);
	assert_int_equal(guest_memory_init(&(struct guest_memory){ 0 }, &npt_format, 3, 31),
			 -EINVAL);
	assert_int_equal(guest_memory_init(&(struct guest_memory){ 0 }, &npt_format, 9, 40),
			 -EINVAL);
	assert_int_equal(set_slot(&f, 1, MIB2, KIB4, f.ram, 0), -EEXIST);
	assert_int_equal(lookup(&f, 0).level, 0);
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), 0);
	end(&f);
}

static void removing_a_slot_unmaps_it(void **state)
{
	struct fixture f;
	struct flush owed;
	u64 at;
	u8 level;

	begin(&f, &npt_format);
	assert_int_equal(fault(&f, 0x3000, RADIX_READ, &owed, &level), 0);
	assert_int_equal(set_slot(&f, 1, GIB, KIB4, f.ram, 0), 0);
	assert_int_equal(fault(&f, GIB, RADIX_READ, &owed, &level), 0);
	assert_int_equal(set_slot(&f, 0, 0, 0, NULL, 0), 0);
	assert_int_equal(lookup(&f, 0x3000).level, 0);
	assert_int_equal(lookup(&f, GIB).level, 1);
	assert_int_equal(fault(&f, 0x3000, RADIX_READ, &owed, &level), -ENOENT);
	assert_int_equal(guest_memory_user_addr(&f.memory, 0x3000, &at, NULL), -ENOENT);
	assert_true(host_test.reads_synchronized >= 3);
	end(&f);
}

/* ---- races, made to happen in the middle of host_page_get() */

static struct fixture *racing;
static u64 race_start, race_size;
static bool race_ends;

static void race_invalidation(u64 addr, bool write)
{
	struct flush owed =
		guest_memory_invalidate_begin(&racing->memory, race_start, race_start + race_size);

	if (owed.kinds)
		guest_memory_reap(&racing->memory);
	if (race_ends)
		guest_memory_invalidate_end(&racing->memory, race_start, race_start + race_size);
	host_test.page_got = NULL;
}

static void race_end(u64 addr, bool write)
{
	guest_memory_invalidate_end(&racing->memory, race_start, race_start + race_size);
	host_test.page_got = NULL;
}

static void race_slot_removal(u64 addr, bool write)
{
	host_test.page_got = NULL;
	assert_int_equal(set_slot(racing, 0, 0, 0, NULL, 0), 0);
}

static void invalidation_during_a_fault(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	racing = &f;
	race_start = user(f.ram);
	race_size = KIB4;
	/* begun and ended meanwhile */
	race_ends = true;
	host_test.page_got = race_invalidation;
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -EAGAIN);
	assert_int_equal(lookup(&f, 0).level, 0);
	assert_int_equal(host_test.pages_dirtied, 0);
	/* begun meanwhile and still under way */
	race_ends = false;
	host_test.page_got = race_invalidation;
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -EAGAIN);
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -EAGAIN);
	/* begun before and ended meanwhile: the page may be from before the change */
	host_test.page_got = race_end;
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -EAGAIN);
	assert_int_equal(f.memory.stats.retries, 4);
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), 0);
	end(&f);
}

static void slot_removed_during_a_fault(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &npt_format);
	racing = &f;
	host_test.page_got = race_slot_removal;
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -EAGAIN);
	assert_int_equal(lookup(&f, 0).level, 0);
	assert_int_equal(fault(&f, 0, RADIX_WRITE, &owed, &level), -ENOENT);
	end(&f);
}

/* What the host has is mapped without sleeping, with neighbours; all else is left to the fault. */
static void near_pages(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;
	u64 gpa;

	begin(&f, &npt_format);
	racing = &f;
	host_test.near = 512;
	assert_false(guest_memory_near(&f.memory, 0x5000)); /* no table yet */
	assert_int_equal(lookup(&f, 0x5000).level, 0);
	assert_int_equal(fault(&f, 0x10000, RADIX_READ, &owed, &level), 0);
	host_test.pages_dirtied = 0;

	/* to the end of the eight pages that it is one of */
	assert_true(guest_memory_near(&f.memory, 0x5123));
	for (gpa = 0; gpa < 0x10000; gpa += KIB4) {
		bool there = gpa >= 0x5000 && gpa < 0x8000;

		assert_int_equal(lookup(&f, gpa).level, there);
		if (there)
			assert_int_equal(lookup(&f, gpa).phys,
					 user(f.ram + gpa) + HOST_TEST_PHYS_OFFSET);
	}
	assert_int_equal(lookup(&f, 0x5000).access, RADIX_READ | RADIX_WRITE | RADIX_EXEC);
	assert_int_equal(f.memory.radix.leaves[1], 4);
	assert_int_equal(host_test.pages_dirtied, 3);
	/* what is there stays */
	assert_false(guest_memory_near(&f.memory, 0x5000));
	assert_true(guest_memory_near(&f.memory, 0x3000));
	assert_int_equal(f.memory.radix.leaves[1], 6);
	/* to the end of the slot, and of what the host has */
	assert_int_equal(set_slot(&f, 1, GIB, 3 * KIB4, f.ram, 0), 0);
	assert_int_equal(fault(&f, GIB + 2 * KIB4, RADIX_READ, &owed, &level), 0);
	assert_true(guest_memory_near(&f.memory, GIB));
	assert_int_equal(lookup(&f, GIB + KIB4).level, 1);
	assert_int_equal(lookup(&f, GIB + 3 * KIB4).level, 0);
	host_test.near = 2;
	assert_true(guest_memory_near(&f.memory, 0x20000));
	assert_int_equal(lookup(&f, 0x21000).level, 1);
	assert_int_equal(lookup(&f, 0x22000).level, 0);
	/* not: no slot, a slot that is read-only, what is not writable or no page of 4 KiB */
	host_test.near = 512;
	assert_false(guest_memory_near(&f.memory, RAM));
	assert_int_equal(set_slot(&f, 2, 2 * GIB, 8 * KIB4, f.ram, FERMATA_MEMORY_READONLY), 0);
	assert_int_equal(fault(&f, 2 * GIB, RADIX_READ, &owed, &level), 0);
	assert_false(guest_memory_near(&f.memory, 2 * GIB + KIB4));
	host_test.page_readonly = true;
	assert_false(guest_memory_near(&f.memory, 0x30000));
	host_test.page_readonly = false;
	host_test.page_level = 2;
	assert_false(guest_memory_near(&f.memory, 0x30000));
	host_test.page_level = 0;
	/* nor while the host takes it away, or has meanwhile */
	race_start = user(f.ram + 0x30000);
	race_size = KIB4;
	race_ends = true;
	host_test.page_got = race_invalidation;
	assert_false(guest_memory_near(&f.memory, 0x30000));
	race_ends = false;
	host_test.page_got = race_invalidation;
	assert_false(guest_memory_near(&f.memory, 0x30000));
	assert_false(guest_memory_near(&f.memory, 0x30000));
	guest_memory_invalidate_end(&f.memory, race_start, race_start + race_size);
	assert_int_equal(lookup(&f, 0x30000).level, 0);
	assert_true(guest_memory_near(&f.memory, 0x30000));
	host_test.page_got = race_slot_removal;
	assert_false(guest_memory_near(&f.memory, 0x40000));
	end(&f);
}

static void invalidations_reach_every_alias(void **state)
{
	struct fixture f;
	struct flush owed;
	u8 level;

	begin(&f, &ept_format);
	assert_int_equal(set_slot(&f, 5, GIB, 4 * KIB4, f.ram + KIB4, 0), 0);
	for (u64 page = 0; page < 8; page++)
		assert_int_equal(fault(&f, page * KIB4, RADIX_WRITE, &owed, &level), 0);
	for (u64 page = 0; page < 4; page++)
		assert_int_equal(fault(&f, GIB + page * KIB4, RADIX_WRITE, &owed, &level), 0);
	invalidate(&f, f.ram + 2 * KIB4, 2 * KIB4, FLUSH_NESTED);
	for (u64 page = 0; page < 8; page++)
		assert_int_equal(lookup(&f, page * KIB4).level, page != 2 && page != 3);
	for (u64 page = 0; page < 4; page++)
		assert_int_equal(lookup(&f, GIB + page * KIB4).level, page != 1 && page != 2);
	invalidate(&f, f.ram + 2 * KIB4, 2 * KIB4, FLUSH_NONE);
	/* memory that is no guest's */
	invalidate(&f, f.ram + RAM, GIB, FLUSH_NONE);
	assert_int_equal(f.memory.stats.invalidations, 1);
	/* everything, as when the process ends */
	owed = guest_memory_invalidate_begin(&f.memory, 0, ~0ull);
	assert_int_equal(owed.kinds, FLUSH_NESTED);
	guest_memory_reap(&f.memory);
	guest_memory_invalidate_end(&f.memory, 0, ~0ull);
	assert_int_equal(f.memory.radix.leaves[1], 0);
	end(&f);
}

/* Tables must not be freed by the reap of a flush that began before they went to limbo. */
static void reap_waits_for_the_last_flush(void **state)
{
	struct fixture f;
	struct flush owed;
	u32 limbo;
	u8 level;

	begin(&f, &npt_format);
	assert_int_equal(fault(&f, 0, RADIX_READ, &owed, &level), 0);
	assert_int_equal(fault(&f, MIB2, RADIX_READ, &owed, &level), 0);
	owed = guest_memory_invalidate_begin(&f.memory, user(f.ram), user(f.ram) + MIB2);
	assert_int_equal(owed.kinds, FLUSH_NESTED);
	limbo = f.memory.radix.limbo_tables;
	assert_int_equal(limbo, 1);
	owed = guest_memory_invalidate_begin(&f.memory, user(f.ram) + MIB2, user(f.ram) + 2 * MIB2);
	assert_int_equal(owed.kinds, FLUSH_NESTED);
	guest_memory_reap(&f.memory);
	assert_int_equal(f.memory.radix.limbo_tables, 2);
	guest_memory_reap(&f.memory);
	assert_int_equal(f.memory.radix.limbo_tables, 0);
	guest_memory_invalidate_end(&f.memory, 0, 0);
	guest_memory_invalidate_end(&f.memory, 0, 0);
	end(&f);
}

/* One flush has taken the page out and is under way: nobody else may believe it gone. */
static void who_finds_nothing_waits_too(void **state)
{
	struct flush first, second;
	struct fixture f;
	u8 level;

	begin(&f, &npt_format);
	assert_int_equal(fault(&f, 0x5000, RADIX_WRITE, &first, &level), 0);
	first = guest_memory_invalidate_begin(&f.memory, user(f.ram + 0x5000), user(f.ram + 0x6000));
	assert_int_equal(first.kinds, FLUSH_NESTED);
	second = guest_memory_invalidate_begin(&f.memory, user(f.ram + 0x5000),
					       user(f.ram + 0x6000));
	assert_int_equal(second.kinds, FLUSH_NESTED);
	guest_memory_reap(&f.memory);
	guest_memory_reap(&f.memory);
	second = guest_memory_invalidate_begin(&f.memory, user(f.ram + 0x5000),
					       user(f.ram + 0x6000));
	assert_int_equal(second.kinds, FLUSH_NONE);
	for (u32 i = 0; i < 3; i++)
		guest_memory_invalidate_end(&f.memory, user(f.ram + 0x5000), user(f.ram + 0x6000));

	assert_int_equal(fault(&f, 0x5000, RADIX_WRITE, &first, &level), 0);
	first = guest_memory_invalidate_begin(&f.memory, user(f.ram + 0x5000), user(f.ram + 0x6000));
	assert_int_equal(set_slot(&f, 0, 0, 0, NULL, 0), 0);
	assert_int_equal(f.memory.flush.under_way, 1); /* set_slot() has paid its own */
	/* The slot is gone, and what it showed is not yet. */
	second = guest_memory_invalidate_begin(&f.memory, user(f.ram + 0x5000),
					       user(f.ram + 0x6000));
	assert_int_equal(second.kinds, FLUSH_NESTED);
	guest_memory_reap(&f.memory);
	guest_memory_reap(&f.memory);
	end(&f);
}

static void copies(void **state)
{
	u8 from[3 * 4096], to[3 * 4096];
	struct fixture f;
	bool readonly;
	u64 at;

	begin(&f, &npt_format);
	random_seed(5);
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (u8)random_u64();
	/* a second slot that follows in the guest, though not in the process */
	assert_int_equal(set_slot(&f, 1, RAM, 2 * KIB4, f.ram, 0), 0);
	assert_int_equal(set_slot(&f, 2, RAM + 2 * KIB4, KIB4, f.ram, FERMATA_MEMORY_READONLY), 0);
	assert_int_equal(guest_memory_write(&f.memory, RAM - KIB4 - 7, from, KIB4 + 7 + 100), 0);
	assert_memory_equal(f.ram + RAM - KIB4 - 7, from, KIB4 + 7);
	assert_memory_equal(f.ram, from + KIB4 + 7, 100);
	assert_int_equal(guest_memory_read(&f.memory, RAM - KIB4 - 7, to, KIB4 + 7 + 100), 0);
	assert_memory_equal(from, to, KIB4 + 7 + 100);
	assert_int_equal(guest_memory_read(&f.memory, RAM + 3 * KIB4 - 8, to, 8), 0);
	assert_int_equal(guest_memory_read(&f.memory, RAM + 3 * KIB4 - 8, to, 9), -ENOENT);
	assert_int_equal(guest_memory_read(&f.memory, ~0ull, to, 9), -ENOENT);
	assert_int_equal(guest_memory_write(&f.memory, RAM + 2 * KIB4, from, 1), -EACCES);
	assert_int_equal(guest_memory_read(&f.memory, ~0ull, to, 0), 0);

	/* memory that is gone, and memory that comes back when asked for */
	host_test_user_absent(f.ram + KIB4, KIB4, true);
	assert_int_equal(guest_memory_read(&f.memory, KIB4 - 4, to, 8), -EFAULT);
	assert_int_equal(guest_memory_write(&f.memory, KIB4, to, 1), -EFAULT);
	assert_int_equal(guest_memory_populate(&f.memory, KIB4 + 5, false), 0);
	assert_int_equal(guest_memory_read(&f.memory, KIB4 - 4, to, 8), 0);
	assert_int_equal(guest_memory_populate(&f.memory, 5 * GIB, false), -ENOENT);
	assert_int_equal(guest_memory_populate(&f.memory, RAM + 2 * KIB4, true), -EACCES);
	assert_int_equal(set_slot(&f, 3, GIB, KIB4, (void *)0x1000, 0), 0); /* nothing there */
	assert_int_equal(guest_memory_populate(&f.memory, GIB, true), -EFAULT);
	assert_int_equal(guest_memory_write(&f.memory, GIB, from, 1), -EFAULT);

	assert_int_equal(guest_memory_user_addr(&f.memory, RAM + 5, &at, &readonly), 0);
	assert_int_equal(at, user(f.ram + 5));
	assert_false(readonly);
	assert_int_equal(guest_memory_user_addr(&f.memory, RAM + 2 * KIB4, &at, &readonly), 0);
	assert_true(readonly);
	end(&f);
}

/* ---- threads: vCPUs that fault, a host that moves pages, a VMM that plugs a slot */

#define MOVING 64
static u64 where[MOVING]; /* which frame the host has behind each page now */
static struct fixture *shared;
static bool stop;
static u64 mapped;

static int moving_page(u64 addr, bool write, struct host_page *page)
{
	u64 index = (addr - user(shared->ram)) / KIB4;

	page->phys = __atomic_load_n(&where[index % MOVING], __ATOMIC_SEQ_CST) * KIB4;
	page->level = 1;
	page->writable = true;
	page->cached = true;
	return 0;
}

static void *vcpu(void *arg)
{
	struct radix_cache cache = { 0 };
	u64 seed = (uintptr_t)arg;

	while (!READ_ONCE(stop)) {
		struct flush owed;
		u8 level;
		u64 gpa;
		int err;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		gpa = (seed >> 40) % MOVING * KIB4 + ((seed >> 33 & 1) ? GIB : 0);
		err = guest_memory_fault(&shared->memory, gpa, RADIX_WRITE, &cache, &owed, &level);
		if (owed.kinds)
			guest_memory_reap(&shared->memory);
		if (!err)
			__atomic_add_fetch(&mapped, 1, __ATOMIC_SEQ_CST);
		if (err && err != -EAGAIN && err != -ENOENT)
			abort();
	}
	radix_cache_drain(&cache);
	return NULL;
}

static void *plugger(void *arg)
{
	while (!READ_ONCE(stop)) {
		set_slot(shared, 1, GIB, MOVING * KIB4, shared->ram, 0);
		set_slot(shared, 1, 0, 0, NULL, 0);
	}
	return NULL;
}

static void no_stale_mapping_under_threads(void **state)
{
	pthread_t threads[3];
	struct fixture f;
	u64 frame = 1;

	begin(&f, &npt_format);
	shared = &f;
	stop = false;
	mapped = 0;
	host_test.page_get = moving_page;
	pthread_create(&threads[0], NULL, vcpu, (void *)1);
	pthread_create(&threads[1], NULL, vcpu, (void *)2);
	pthread_create(&threads[2], NULL, plugger, NULL);
	random_seed(6);
	for (int step = 0; step < 20000; step++) {
		u32 page = random_below(MOVING);
		u64 at = user(f.ram) + page * KIB4;
		struct flush owed = guest_memory_invalidate_begin(&f.memory, at, at + KIB4);
		struct radix_leaf leaf;

		if (owed.kinds)
			guest_memory_reap(&f.memory);
		__atomic_store_n(&where[page], ++frame, __ATOMIC_SEQ_CST);
		guest_memory_invalidate_end(&f.memory, at, at + KIB4);
		/* From here on no translation names the frame that was taken away. */
		host_lock(&f.memory.lock);
		if (radix_lookup(&f.memory.radix, page * KIB4, &leaf))
			assert_int_equal(leaf.phys, frame * KIB4);
		if (radix_lookup(&f.memory.radix, GIB + page * KIB4, &leaf))
			assert_int_equal(leaf.phys, frame * KIB4);
		host_unlock(&f.memory.lock);
		if (!(step % 64)) /* let the others get on */
			for (u64 seen = READ_ONCE(mapped), spins = 0;
			     seen == READ_ONCE(mapped) && spins < 1000; spins++)
				sched_yield();
	}
	WRITE_ONCE(stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(mapped > 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_map),
		cmocka_unit_test(read_only_pages_become_writable_on_a_write),
		cmocka_unit_test(read_only_slots_are_never_writable),
		cmocka_unit_test(large_pages),
		cmocka_unit_test(fetches_from_small_leaves),
		cmocka_unit_test(host_answers_are_not_trusted_blindly),
		cmocka_unit_test(errors_leave_nothing_behind),
		cmocka_unit_test(removing_a_slot_unmaps_it),
		cmocka_unit_test(invalidation_during_a_fault),
		cmocka_unit_test(slot_removed_during_a_fault),
		cmocka_unit_test(near_pages),
		cmocka_unit_test(invalidations_reach_every_alias),
		cmocka_unit_test(reap_waits_for_the_last_flush),
		cmocka_unit_test(who_finds_nothing_waits_too),
		cmocka_unit_test(copies),
		cmocka_unit_test(no_stale_mapping_under_threads),
	};

	return cmocka_run_group_tests_name("nested", tests, NULL, NULL);
}
