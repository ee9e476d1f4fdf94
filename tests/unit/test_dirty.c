/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The dirty log against what was really written: by guests that know nothing but the nested tables, and by
 * the module itself, while the host takes memory back, rules come and go, and logs are switched and emptied.
 */
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
#define PAGES 1200u /* of slot 0, two large pages and a part; slot 1 follows with as many */
#define RAM (PAGES * KIB4)
#define WORDS ((PAGES + 63) / 64)

struct fixture {
	struct guest_memory memory;
	struct radix_cache cache;
	u8 *ram[2];
	bool there[2], logged[2], written[2][PAGES];
	u64 flushes;
	long leaks;
};

static void pay(struct fixture *f, const struct flush *owed)
{
	if (!owed->kinds)
		return;
	f->flushes++;
	guest_memory_reap(&f->memory);
}

static int set_slot(struct fixture *f, u32 id, bool there, u32 flags)
{
	const struct fermata_memory change = {
		.slot = id,
		.flags = flags,
		.gpa = id * 4 * MIB2,
		.size = there ? RAM : 0,
		.user_addr = (uintptr_t)f->ram[id],
	};
	struct flush owed;
	int err = guest_memory_set_slot(&f->memory, &change, &owed);

	pay(f, &owed);
	return err;
}

static int switch_log(struct fixture *f, u32 id, bool on)
{
	struct flush owed;
	int err = guest_memory_log_dirty(&f->memory, id, on, &owed);

	pay(f, &owed);
	return err;
}

static void begin(struct fixture *f, const struct radix_format *format)
{
	host_test_reset();
	memset(f, 0, sizeof(*f));
	f->leaks = host_test_leaks();
	assert_int_equal(guest_memory_init(&f->memory, format, 3, 40), 0);
	for (u32 id = 0; id < 2; id++) {
		f->ram[id] = host_test_user_map(4 * MIB2, MIB2);
		assert_int_equal(set_slot(f, id, true, 0), 0);
		f->there[id] = true;
	}
	assert_null(f->memory.closed);
}

static void end(struct fixture *f)
{
	struct flush owed;

	guest_memory_apply_closed(&f->memory, guest_memory_set_closed(&f->memory, NULL), NULL,
				  &owed);
	pay(f, &owed);
	assert_int_equal(f->memory.flush.under_way, 0);
	radix_cache_drain(&f->cache);
	guest_memory_destroy(&f->memory);
	assert_int_equal(host_test_leaks(), f->leaks);
	for (u32 id = 0; id < 2; id++)
		host_test_user_unmap(f->ram[id]);
}

static int take(struct fixture *f, u32 id, u64 first, u64 count, u64 *bitmap, u64 *dirty)
{
	const struct fermata_dirty what = { .slot = id, .first = first, .count = count };
	struct flush owed;
	int err = guest_memory_take_dirty(&f->memory, &what, bitmap, dirty, &owed);

	pay(f, &owed);
	return err;
}

static void wrote(struct fixture *f, u64 gpa)
{
	u32 id = gpa >= 4 * MIB2;

	f->written[id][(gpa - id * 4 * MIB2) / KIB4] = f->logged[id];
}

/* The guest's access; false: to no memory, or a rule keeps it out. */
static bool touch(struct fixture *f, u64 gpa, u32 access)
{
	for (u32 tries = 0; tries < 4; tries++) {
		struct radix_leaf leaf;
		struct flush owed;
		u8 level;
		int err;

		if (radix_lookup(&f->memory.radix, gpa, &leaf) && (leaf.access & access) == access) {
			if (access & RADIX_WRITE)
				wrote(f, gpa);
			return true;
		}
		err = guest_memory_fault(&f->memory, gpa, access, &f->cache, &owed, &level);
		pay(f, &owed);
		if (err)
			return false;
		assert_true(level <= 1 || !f->logged[gpa >= 4 * MIB2]);
	}
	return false;
}

/* No leaf of a slot with a log is large, or lets through a write that nobody would hear of. */
static void check_leaves(struct fixture *f)
{
	for (u32 i = 0; i < f->memory.slots->count; i++) {
		const struct slot *slot = &f->memory.slots->slot[i];
		u64 gpa = slot->gpa;
		struct radix_leaf leaf;

		for (;
		     slot->log && radix_next(&f->memory.radix, &gpa, slot->gpa + slot->size, &leaf);
		     gpa += KIB4) {
			u64 page = (gpa - slot->gpa) / KIB4;

			assert_int_equal(leaf.level, 1);
			if (leaf.access & RADIX_WRITE)
				assert_true(slot->log->word[page / 64] >> page % 64 & 1);
		}
	}
}

/* All that was written there, and nothing else. */
static void take_and_compare(struct fixture *f, u32 id)
{
	u64 bitmap[WORDS], dirty, count = 0;
	u64 first = random_below(WORDS) * 64, pages = PAGES - first;

	if (random_one_in(3))
		first = 0, pages = PAGES;
	else if (random_one_in(2))
		pages = min(pages, (u64)random_below(4) * 64 + 64);
	if (!f->there[id] || !f->logged[id]) {
		assert_int_equal(take(f, id, first, pages, bitmap, &dirty), -ENOENT);
		return;
	}
	assert_int_equal(take(f, id, first, pages, bitmap, &dirty), 0);
	for (u64 i = 0; i < pages; i++) {
		bool bit = bitmap[i / 64] >> i % 64 & 1;

		if (bit != f->written[id][first + i])
			fail_msg("page %llu of slot %u: %s", first + i, id,
				 bit ? "logged, and not written" : "written, and not logged");
		f->written[id][first + i] = false;
		count += bit;
	}
	assert_int_equal(dirty, count);
	check_leaves(f);
}

static void forget(struct fixture *f, u32 id, bool there, bool logged)
{
	f->there[id] = there;
	f->logged[id] = logged;
	memset(f->written[id], 0, sizeof(f->written[id]));
}

static void change_slots(struct fixture *f, u32 id)
{
	bool log = random_one_in(2);

	if (!f->there[id]) {
		assert_int_equal(set_slot(f, id, true, log ? FERMATA_MEMORY_LOG_DIRTY : 0), 0);
		forget(f, id, true, log);
	} else if (random_one_in(2)) {
		assert_int_equal(set_slot(f, id, false, 0), 0);
		forget(f, id, false, false);
	} else {
		assert_int_equal(switch_log(f, id, log), 0);
		if (log != f->logged[id])
			forget(f, id, true, log);
	}
}

static void invalidate(struct fixture *f)
{
	u64 start = (uintptr_t)f->ram[random_below(2)] + random_below(PAGES) * KIB4;
	u64 end = start + (1 + random_below(600)) * KIB4;
	struct flush owed = guest_memory_invalidate_begin(&f->memory, start, end);

	pay(f, &owed);
	guest_memory_invalidate_end(&f->memory, start, end);
}

static void watch(struct fixture *f)
{
	struct closed *next = random_one_in(3) ? NULL : closed_new(2, 0);
	struct closed *old;
	struct flush owed;

	for (u32 i = 0; next && i < 2; i++) {
		u64 first = random_below(4096);

		closed_add(next, first, first + random_below(100),
			   random_one_in(2) ? RADIX_WRITE : RADIX_READ);
	}
	old = guest_memory_set_closed(&f->memory, next);
	guest_memory_apply_closed(&f->memory, old, next, &owed);
	pay(f, &owed);
}

/* What the module writes for the guest, up to three pages of it. */
static void module_writes(struct fixture *f, u64 gpa)
{
	static const u8 bytes[2 * 4096 + 2];
	u32 size = random_one_in(2) ? 1 + random_below(16) : random_below(sizeof(bytes) + 1);
	u32 word = 0;
	int err;

	if (random_one_in(4)) {
		gpa &= ~3ull;
		guest_memory_read(&f->memory, gpa, &word, 4);
		err = guest_memory_cmpxchg(&f->memory, gpa, word, word + 1, 4);
		if (err == 1)
			wrote(f, gpa);
		assert_true(err == 1 || err == -ENOENT);
		/* what is not written is not dirty */
		err = guest_memory_cmpxchg(&f->memory, gpa, word, 5, 4);
		assert_true(err == 0 || err == -ENOENT);
		return;
	}
	err = guest_memory_write(&f->memory, gpa, bytes, size);
	/* Up to the end of the slot, if not further. */
	for (u64 at = gpa; size && at <= ((gpa + size - 1) | 0xfff); at += KIB4) {
		u32 id = at >= 4 * MIB2;

		if (!f->there[id] || at - id * 4 * MIB2 >= RAM)
			break;
		wrote(f, at);
	}
	assert_true(!err || err == -ENOENT);
}

static u64 random_gpa(void)
{
	u64 gpa = random_below(2) * 4 * MIB2 + random_below(PAGES) * KIB4 + random_below(4096);

	return random_one_in(2) ? gpa & ~(511 * KIB4) : gpa; /* some pages often */
}

static void random_writes(const struct radix_format *format, u8 host_level, u64 seed)
{
	struct fixture f;
	u32 written = 0;

	random_seed(seed);
	begin(&f, format);
	host_test.page_level = host_level;
	for (u32 step = 0; step < 30000; step++) {
		u64 gpa = random_gpa();

		host_test.page_readonly = random_one_in(4);
		switch (random_below(40)) {
		case 0:
			if (random_one_in(6))
				change_slots(&f, random_below(2));
			break;
		case 1:
			invalidate(&f);
			break;
		case 2:
			if (random_one_in(4))
				watch(&f);
			break;
		case 3 ... 4:
			take_and_compare(&f, random_below(2));
			break;
		case 5 ... 8:
			module_writes(&f, gpa);
			break;
		case 9 ... 20:
			written += touch(&f, gpa, RADIX_WRITE | RADIX_READ);
			break;
		case 21: /* for one instruction of a rule's */
			if (guest_memory_open(&f.memory, gpa, RADIX_WRITE)) {
				struct flush owed;

				touch(&f, gpa, RADIX_WRITE | RADIX_READ);
				owed = guest_memory_close(&f.memory);
				f.flushes += !!owed.kinds;
			}
			break;
		default:
			touch(&f, gpa, random_one_in(2) ? RADIX_READ : RADIX_EXEC);
		}
	}
	for (u32 i = 0; i < 40; i++)
		take_and_compare(&f, i % 2);
	assert_true(written > 1000 && f.flushes > 100);
	end(&f);
}

static void small_host_pages(void **state)
{
	random_writes(&npt_format, 1, 1);
	random_writes(&ept_format, 1, 2);
}

static void large_host_pages(void **state)
{
	random_writes(&npt_format, 2, 3);
	random_writes(&ept_exec_only_format, 2, 4);
}

/* ---- one by one */

static void large_pages_go_and_come_back(void **state)
{
	struct fixture f;
	u64 bitmap[WORDS], dirty;
	struct radix_leaf leaf;

	begin(&f, &npt_format);
	host_test.page_level = 2;
	assert_true(touch(&f, 0x5000, RADIX_WRITE));
	assert_true(radix_lookup(&f.memory.radix, 0x5000, &leaf) && leaf.level == 2);
	f.flushes = 0;
	assert_int_equal(switch_log(&f, 0, true), 0);
	assert_int_equal(f.flushes, 1);
	f.logged[0] = true;
	assert_int_equal(switch_log(&f, 0, true), 0); /* it is on */
	assert_int_equal(f.flushes, 1);
	assert_true(touch(&f, 0x5000, RADIX_READ));
	assert_true(radix_lookup(&f.memory.radix, 0x5000, &leaf));
	assert_int_equal(leaf.level, 1);
	assert_int_equal(leaf.access & RADIX_WRITE, 0);
	assert_true(touch(&f, 0x5000, RADIX_WRITE));
	assert_true(touch(&f, 0x6000, RADIX_WRITE));
	assert_true(touch(&f, 300 * KIB4, RADIX_WRITE));
	assert_int_equal(take(&f, 0, 0, PAGES, bitmap, &dirty), 0);
	assert_int_equal(dirty, 3);
	assert_int_equal(bitmap[0], 0x60);
	assert_int_equal(bitmap[300 / 64], 1ull << 300 % 64);
	assert_int_equal(f.flushes, 2);
	/* Nothing was written: nothing is owed. */
	assert_int_equal(take(&f, 0, 0, PAGES, bitmap, &dirty), 0);
	assert_int_equal(dirty, 0);
	assert_int_equal(f.flushes, 2);
	assert_int_equal(switch_log(&f, 0, false), 0);
	f.logged[0] = false;
	assert_true(touch(&f, 0x7000, RADIX_WRITE));
	assert_true(radix_lookup(&f.memory.radix, 0x5000, &leaf) && leaf.level == 2);
	end(&f);
}

static void bad_questions(void **state)
{
	u64 bitmap[WORDS], dirty;
	struct fixture f;

	begin(&f, &npt_format);
	assert_int_equal(take(&f, 0, 0, 64, bitmap, &dirty), -ENOENT);
	assert_int_equal(switch_log(&f, 7, true), -ENOENT);
	host_test.allocs_until_failure = 0;
	assert_int_equal(switch_log(&f, 0, true), -ENOMEM);
	host_test.allocs_until_failure = 1;
	assert_int_equal(switch_log(&f, 0, true), -ENOMEM);
	host_test.allocs_until_failure = -1;
	assert_int_equal(take(&f, 0, 0, 64, bitmap, &dirty), -ENOENT);
	assert_int_equal(switch_log(&f, 0, true), 0);
	assert_int_equal(take(&f, 0, 0, 0, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, 1, 64, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, 0, 65, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, 0, PAGES + 1, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, 64, PAGES, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, ~0ull - 63, 64, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, 64, ~0ull - 63, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 0, (PAGES + 63) / 64 * 64, 64, bitmap, &dirty), -EINVAL);
	assert_int_equal(take(&f, 31, 0, 64, bitmap, &dirty), -ENOENT);
	assert_int_equal(take(&f, 0, PAGES / 64 * 64, PAGES % 64, bitmap, &dirty), 0);
	end(&f);
}

static void a_log_has_a_bound(void **state)
{
	const struct fermata_memory change = {
		.slot = 2,
		.flags = FERMATA_MEMORY_LOG_DIRTY,
		.gpa = 1ull << 43,
		.size = (FERMATA_MAX_LOGGED + 1) << 12,
		.user_addr = 0x1000,
	};
	struct fixture f;
	struct flush owed;

	begin(&f, &npt_format);
	f.memory.phys_bits = 44;
	assert_int_equal(guest_memory_set_slot(&f.memory, &change, &owed), -E2BIG);
	assert_int_equal(owed.kinds, 0);
	assert_int_equal(switch_log(&f, 2, true), -ENOENT);
	end(&f);
}

/* An answer that did not reach its asker is given again. */
static void what_was_not_heard_comes_back(void **state)
{
	const struct fermata_dirty what = { .slot = 0, .first = 64, .count = 128 };
	u64 bitmap[WORDS], again[WORDS], dirty;
	struct fixture f;

	begin(&f, &npt_format);
	assert_int_equal(switch_log(&f, 0, true), 0);
	assert_true(touch(&f, 70 * KIB4, RADIX_WRITE));
	assert_true(touch(&f, 191 * KIB4, RADIX_WRITE));
	assert_int_equal(take(&f, 0, 64, 128, bitmap, &dirty), 0);
	guest_memory_put_dirty(&f.memory, &what, bitmap);
	assert_int_equal(take(&f, 0, 64, 128, again, &dirty), 0);
	assert_int_equal(dirty, 2);
	assert_memory_equal(bitmap, again, 16);
	/* ... but not to a log that is another */
	assert_int_equal(switch_log(&f, 0, false), 0);
	guest_memory_put_dirty(&f.memory, &what, bitmap);
	assert_int_equal(switch_log(&f, 0, true), 0);
	assert_int_equal(take(&f, 0, 64, 128, again, &dirty), 0);
	assert_int_equal(dirty, 0);
	end(&f);
}

/* ---- threads */

#define WRITERS 2
static struct fixture *shared;
static bool stop;
static u64 writes[PAGES]; /* of each page: since the beginning */

static void *writer(void *arg)
{
	struct radix_cache cache = { 0 };
	u64 seed = (uintptr_t)arg * 77;

	while (!READ_ONCE(stop)) {
		struct guest_memory *memory = &shared->memory;
		struct radix_leaf leaf;
		struct flush owed;
		u64 page;
		u8 level, byte = 1;
		bool there;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		page = (seed >> 40) % PAGES;
		if (!(seed >> 33 & 7)) {
			/* Counted before it is marked, as for whoever reads the page after asking. */
			__atomic_add_fetch(&writes[page], 1, __ATOMIC_SEQ_CST);
			guest_memory_write(memory, page * KIB4, &byte, 1);
			continue;
		}
		host_lock(&memory->lock);
		there = radix_lookup(&memory->radix, page * KIB4, &leaf) &&
			leaf.access & RADIX_WRITE;
		if (there) /* no TLB here: it goes by the table as it is */
			__atomic_add_fetch(&writes[page], 1, __ATOMIC_SEQ_CST);
		host_unlock(&memory->lock);
		if (there)
			continue;
		guest_memory_fault(memory, page * KIB4, RADIX_WRITE, &cache, &owed, &level);
		if (owed.kinds)
			guest_memory_reap(memory);
	}
	radix_cache_drain(&cache);
	return NULL;
}

static void *taker_away(void *arg)
{
	u64 seed = 5;

	while (!READ_ONCE(stop)) {
		u64 at;
		struct flush owed;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		at = (uintptr_t)shared->ram[0] + (seed >> 40) % PAGES * KIB4;
		owed = guest_memory_invalidate_begin(&shared->memory, at, at + KIB4);
		if (owed.kinds)
			guest_memory_reap(&shared->memory);
		guest_memory_invalidate_end(&shared->memory, at, at + KIB4);
		sched_yield();
	}
	return NULL;
}

/* A page written to before a question is in its answer, if it was not in an earlier one. */
static void nothing_is_missed_under_threads(void **state)
{
	static u64 told[PAGES]; /* how many writes had been when it was last told of */
	u64 bitmap[WORDS], before[PAGES], dirty, sum = 0;
	pthread_t threads[WRITERS + 1];
	struct fixture f;

	begin(&f, &npt_format);
	shared = &f;
	stop = false;
	memset(writes, 0, sizeof(writes));
	memset(told, 0, sizeof(told));
	assert_int_equal(switch_log(&f, 0, true), 0);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, (void *)(i + 1));
	pthread_create(&threads[WRITERS], NULL, taker_away, NULL);
	for (u32 round = 0; round < 3000; round++) {
		u32 hidden = 0;

		for (u32 i = 0; i < PAGES; i++)
			before[i] = __atomic_load_n(&writes[i], __ATOMIC_SEQ_CST);
		assert_int_equal(take(&f, 0, 0, PAGES, bitmap, &dirty), 0);
		sum += dirty;
		for (u32 i = 0; i < PAGES; i++) {
			if (bitmap[i / 64] >> i % 64 & 1) /* also of what was written meanwhile */
				told[i] = __atomic_load_n(&writes[i], __ATOMIC_SEQ_CST);
			else
				hidden += before[i] > told[i];
		}
		/* Of the module's writes one per writer may be between its being there and its mark. */
		assert_true(hidden <= WRITERS);
		if (round % 8 == 0)
			sched_yield();
	}
	WRITE_ONCE(stop, true);
	for (u32 i = 0; i <= WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(take(&f, 0, 0, PAGES, bitmap, &dirty), 0);
	for (u32 i = 0; i < PAGES; i++)
		assert_true(bitmap[i / 64] >> i % 64 & 1 || writes[i] == 0 || told[i]);
	assert_true(sum > 3000);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_host_pages),
		cmocka_unit_test(large_host_pages),
		cmocka_unit_test(large_pages_go_and_come_back),
		cmocka_unit_test(bad_questions),
		cmocka_unit_test(a_log_has_a_bound),
		cmocka_unit_test(what_was_not_heard_comes_back),
		cmocka_unit_test(nothing_is_missed_under_threads),
	};

	return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
