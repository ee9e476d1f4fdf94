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
		.tsc_mult = 1ull << 48,
		.tsc_offset = (uint64_t)-5000,
		.tsc_start = 1000,
		.tsc_ticks = UINT64_MAX,
		.host_end = UINT64_MAX,
		.ns_start = 70,
		.ns_mult = mult_of(2000000),
	};

	assert_int_equal(fermata_clock_ns(&clock, 6000), 70);
	assert_int_equal(fermata_clock_tsc(&clock, 6000), 1000);
	assert_int_equal(fermata_clock_ns(&clock, 6001), 70);
	clock.ns_fraction = 1u << 31;
	assert_int_equal(fermata_clock_ns(&clock, 6001), 71);
	clock.ns_fraction = 0;
	assert_int_equal(fermata_clock_ns(&clock, 6000 + 2000000000ull), 1000000070);
	/* ten years: the product needs more than 64 bits */
	assert_int_equal(fermata_clock_ns(&clock, 6000 + 2000000000ull * 315360000),
			 315360000000000070ull);
	/* three times as fast, for 600 ticks */
	clock.tsc_mult *= 3;
	clock.tsc_offset = 1000 - 3 * 6000;
	clock.tsc_ticks = 600;
	assert_int_equal(fermata_clock_tsc(&clock, 6100), 1300);
	assert_int_equal(fermata_clock_ns(&clock, 6100), 220);
	assert_int_equal(fermata_clock_until(&clock, 6100, 220), 0);
	assert_int_equal(fermata_clock_until(&clock, 6100, 370), 50);
	assert_int_equal(fermata_clock_until(&clock, 6100, 371), UINT64_MAX);
	assert_int_equal(fermata_clock_tsc(&clock, 7000), 1600);
	assert_int_equal(fermata_clock_ns(&clock, 7000), 370);
	clock.tsc_mult = 0;
	clock.tsc_offset = 1000;
	assert_int_equal(fermata_clock_tsc(&clock, 7000), 1000);
	assert_int_equal(fermata_clock_until(&clock, 7000, 71), UINT64_MAX);
}

static void test_before_start(void **state)
{
	struct fermata_clock clock = { .tsc_mult = 1ull << 48,
				       .tsc_start = 1000,
				       .tsc_ticks = UINT64_MAX,
				       .host_end = UINT64_MAX,
				       .ns_mult = 1ull << 32 };

	assert_int_equal(fermata_clock_ns(&clock, 999), 0);
	assert_int_equal(fermata_clock_ns(&clock, 1001), 1);
	assert_int_equal(fermata_clock_tsc(&clock, 999), 1000);
}

static void test_vm(void **state)
{
	struct fermata_clock page = { .tsc_khz = 1000000,
				      .tsc_mult = 1ull << 48,
				      .tsc_ticks = UINT64_MAX,
				      .host_end = UINT64_MAX,
				      .ns_mult = 1ull << 32 };
	struct fermata_vm vm = { .clock = &page };
	uint64_t now = fermata_now(&vm), tsc = fermata_tsc(&vm);
	struct fermata_reading reading;

	assert_true(now > 0 && tsc >= now);
	page.tsc_offset = 1ull << 62;
	assert_true(fermata_tsc(&vm) >= tsc + (1ull << 62));
	page.tsc_start = 1ull << 62; /* one ns a tick: time went on */
	assert_true(fermata_now(&vm) >= now);
	assert_int_equal(fermata_tsc_khz(&vm), 1000000);
	fermata_clock(&vm, &reading);
	assert_int_equal(reading.guest_tsc, reading.host_tsc + (1ull << 62));
	assert_int_equal(reading.guest_ns, reading.host_tsc);
	assert_true(fermata_until(&vm, reading.guest_ns + (1ull << 60)) > 1ull << 59);
	assert_int_equal(fermata_until(&vm, reading.guest_ns), 0);
}

static struct fermata_clock shared;
static _Atomic bool stop;

static void *writer(void *unused)
{
	for (uint64_t i = 1; !stop; i++) {
		__atomic_store_n(&shared.seq, shared.seq + 1, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		__atomic_store_n(&shared.tsc_offset, i, __ATOMIC_RELAXED);
		__atomic_store_n(&shared.tsc_start, 2 * i, __ATOMIC_RELAXED);
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
		assert_int_equal(copy.tsc_start, 2 * copy.tsc_offset);
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
		cmocka_unit_test(test_before_start),
		cmocka_unit_test(test_vm),
		cmocka_unit_test(test_never_torn),
	};

	return cmocka_run_group_tests_name("the library's clock", tests, NULL, NULL);
}
