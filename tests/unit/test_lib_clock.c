// SPDX-License-Identifier: MIT OR GPL-2.0
/* The library's side of the clock page: the formula, and copies that are never torn. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

/* ns per tick as the page has it: 32.32 fixed point */
static uint64_t mult_of(uint64_t khz)
{
	return (uint64_t)(((unsigned __int128)1000000 << 32) / khz);
}

static void test_formula(void **state)
{
	struct fermata_clock clock = {
		.tsc_khz = 2000000,
		.tsc_offset = (uint64_t)-5000,
		.tsc_origin = 1000,
		.ns_mult = mult_of(2000000),
	};

	assert_int_equal(fermata_clock_ns(&clock, 6000), 0);
	assert_int_equal(fermata_clock_ns(&clock, 6002), 1);
	assert_int_equal(fermata_clock_ns(&clock, 6000 + 2000000000ull), 1000000000);
	/* ten years: the product needs more than 64 bits */
	assert_int_equal(fermata_clock_ns(&clock, 6000 + 2000000000ull * 315360000),
			 315360000000000000ull);
}

static void test_before_origin(void **state)
{
	struct fermata_clock clock = { .tsc_offset = 0, .tsc_origin = 1000, .ns_mult = 1ull << 32 };

	assert_int_equal(fermata_clock_ns(&clock, 999), 0);
	assert_int_equal(fermata_clock_ns(&clock, 1001), 1);
}

static void test_vm(void **state)
{
	struct fermata_clock page = { .tsc_khz = 1000000, .ns_mult = 1ull << 32 };
	struct fermata_vm vm = { .clock = &page };
	uint64_t now = fermata_now(&vm), tsc = fermata_tsc(&vm);

	assert_true(now > 0 && tsc >= now);
	page.tsc_offset = 1ull << 62;
	assert_true(fermata_tsc(&vm) >= tsc + (1ull << 62));
	page.tsc_origin = 1ull << 62; /* one ns a tick: time went on */
	assert_true(fermata_now(&vm) >= now);
	assert_int_equal(fermata_tsc_khz(&vm), 1000000);
}

static struct fermata_clock shared;
static _Atomic bool stop;

static void *writer(void *unused)
{
	for (uint64_t i = 1; !stop; i++) {
		__atomic_store_n(&shared.seq, shared.seq + 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		__atomic_store_n(&shared.tsc_offset, i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.tsc_origin, 2 * i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.ns_mult, 3 * i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.seq, shared.seq + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void test_never_torn(void **state)
{
	uint64_t last = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, writer, NULL), 0);
	for (unsigned i = 0; i < 300000; i++) {
		struct fermata_clock copy;

		fermata_clock_read(&shared, &copy);
		assert_int_equal(copy.tsc_origin, 2 * copy.tsc_offset);
		assert_int_equal(copy.ns_mult, 3 * copy.tsc_offset);
		assert_true(copy.tsc_offset >= last);
		last = copy.tsc_offset;
	}
	stop = true;
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formula),
		cmocka_unit_test(test_before_origin),
		cmocka_unit_test(test_vm),
		cmocka_unit_test(test_never_torn),
	};

	return cmocka_run_group_tests_name("the library's clock", tests, NULL, NULL);
}
