/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/tags.h"
#include "test_random.h"

static void first_tag_is_new_and_stays(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 16, 0, false);
	assert_true(pool.flush_all); /* whoever had the CPU before may have left translations */
	assert_true(tag_get(&pool, 0, &tag));
	assert_int_equal(tag.id, 1); /* 0 is the host's */
	assert_false(tag_get(&pool, 0, &tag));
	assert_int_equal(tag.id, 1);
	tag_drop(&tag);
	assert_true(tag_get(&pool, 0, &tag));
	assert_int_equal(tag.id, 2);
}

static void another_cpu_gives_another_tag(void **state)
{
	struct tag_pool pool[2] = { { 0 }, { 0 } };
	struct tag tag = { 0 };

	tag_pool_init(&pool[0], 16, 0, false);
	tag_pool_init(&pool[1], 16, 0, false);
	assert_true(tag_get(&pool[0], 0, &tag));
	assert_true(tag_get(&pool[1], 1, &tag));
	assert_false(tag_get(&pool[1], 1, &tag));
	/* Back again: the tag it had there may be stale, so it gets a new one. */
	assert_true(tag_get(&pool[0], 0, &tag));
	assert_int_equal(tag.id, 2);
}

static void rollover_asks_for_a_flush_of_all(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag a = { 0 }, b = { 0 };

	tag_pool_init(&pool, 3, 0, false); /* tags 1 and 2 */
	pool.flush_all = false;
	assert_true(tag_get(&pool, 0, &a));
	assert_true(tag_get(&pool, 0, &b));
	assert_false(pool.flush_all);
	tag_drop(&b);
	assert_true(tag_get(&pool, 0, &b));
	assert_true(pool.flush_all);
	assert_int_equal(pool.rollovers, 1);
	assert_int_equal(b.id, 1);
	/* a's tag is void although nobody dropped it: b has its number now. */
	assert_int_equal(tag_get(&pool, 0, &a), TAG_EXPIRED);
	assert_int_equal(a.id, 2);
}

/* Why a tag is a new one. */
static void news(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 16, 0, false);
	assert_int_equal(tag_get(&pool, 1, &tag), TAG_DROPPED);
	assert_int_equal(tag_get(&pool, 1, &tag), TAG_KEPT);
	assert_int_equal(tag_get(&pool, 2, &tag), TAG_MOVED);
	tag_drop(&tag);
	assert_int_equal(tag_get(&pool, 1, &tag), TAG_DROPPED);
	assert_int_equal(tag_get(&pool, 1, &tag), TAG_KEPT);
}

static void a_limit(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 16, 2, false);
	for (int i = 0; i < 6; i++) {
		tag_get(&pool, 0, &tag);
		assert_int_equal(tag.id, 1 + i % 2);
		tag_drop(&tag);
	}
	assert_int_equal(pool.rollovers, 2);
	/* No more than there are. */
	tag_pool_init(&pool, 4, 100, false);
	assert_int_equal(pool.end, 4);
	tag_pool_init(&pool, 4, 2, true);
	assert_int_equal(pool.end, 4);
	assert_int_equal(pool.first, 2);
}

/* The untagged guests' tag is nobody else's, but where there is only one. */
static void shared(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 4, 0, true);
	pool.flush_all = false;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(tag_shared(&pool), 1);
		tag_get(&pool, 0, &tag);
		assert_in_range(tag.id, 2, 3);
		assert_int_equal(pool.flush_all, i >= 2); /* tags ran out, not by tag_shared() */
		tag_drop(&tag);
	}
	tag = (struct tag){ 0 };
	tag_pool_init(&pool, 2, 0, true);
	pool.flush_all = false;
	tag_get(&pool, 0, &tag);
	assert_int_equal(tag.id, 1);
	assert_false(pool.flush_all);
	assert_int_equal(tag_shared(&pool), 1);
	assert_true(pool.flush_all);
	assert_int_equal(tag_get(&pool, 0, &tag), TAG_EXPIRED);
}

static void a_cpu_that_was_off_voids_its_tags(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 16, 0, false);
	assert_true(tag_get(&pool, 0, &tag));
	pool.flush_all = false;
	tag_pool_init(&pool, 16, 0, false);
	assert_true(pool.flush_all);
	assert_true(tag_get(&pool, 0, &tag));
}

static void too_few_tags_still_work(void **state)
{
	struct tag_pool pool = { 0 };
	struct tag tag = { 0 };

	tag_pool_init(&pool, 0, 0, false);
	for (int i = 0; i < 10; i++) {
		assert_true(tag_get(&pool, 0, &tag));
		assert_int_equal(tag.id, 1);
		tag_drop(&tag);
	}
}

/* The point of it all: no vCPU ever runs with a tag under which another one's translations may live. */
static void no_tag_is_shared_between_flushes(void **state)
{
	enum { CPUS = 3, VCPUS = 12, TAGS = 7 };
	struct tag_pool pool[CPUS] = { 0 };
	struct tag tag[VCPUS] = { 0 };
	int owner[CPUS][TAGS];

	random_seed(1);
	memset(owner, -1, sizeof(owner));
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		tag_pool_init(&pool[cpu], TAGS, 0, false);
	for (int step = 0; step < 200000; step++) {
		u32 cpu = random_below(CPUS);
		int vcpu = (int)random_below(VCPUS);
		bool dropped = random_one_in(4), fresh;

		if (dropped)
			tag_drop(&tag[vcpu]);
		fresh = tag_get(&pool[cpu], cpu, &tag[vcpu]);
		if (pool[cpu].flush_all) {
			for (int t = 0; t < TAGS; t++)
				owner[cpu][t] = -1;
			pool[cpu].flush_all = false;
		}
		assert_in_range(tag[vcpu].id, 1, TAGS - 1);
		if (dropped)
			assert_true(fresh);
		if (fresh)
			assert_int_equal(owner[cpu][tag[vcpu].id], -1);
		else
			assert_int_equal(owner[cpu][tag[vcpu].id], vcpu);
		owner[cpu][tag[vcpu].id] = vcpu;
	}
	assert_true(pool[0].rollovers > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_tag_is_new_and_stays),
		cmocka_unit_test(another_cpu_gives_another_tag),
		cmocka_unit_test(rollover_asks_for_a_flush_of_all),
		cmocka_unit_test(news),
		cmocka_unit_test(a_limit),
		cmocka_unit_test(shared),
		cmocka_unit_test(a_cpu_that_was_off_voids_its_tags),
		cmocka_unit_test(too_few_tags_still_work),
		cmocka_unit_test(no_tag_is_shared_between_flushes),
	};

	return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
