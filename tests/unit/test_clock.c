/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock/clock.h"

static const u32 rates[] = { 1, 999, 1000000, 1193182, 2400000, 2999999, 3000001, 5700000 };

static u64 random_state = 0x2545f4914f6cdd1dull;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void test_starts_at_zero(void **state)
{
	struct guest_clock clock;

	assert_int_equal(clock_init(&clock, 123456789, 0), -EINVAL);
	assert_int_equal(clock_init(&clock, 123456789, 2400000), 0);
	assert_int_equal(clock_guest_tsc(&clock, 123456789), 0);
	assert_int_equal(clock_guest_tsc(&clock, 123456789 + 42), 42);
	assert_int_equal(clock_ns(&clock, 0), 0);
	assert_int_equal(clock.tsc_khz, 2400000);
	/* A CPU whose TSC is behind: the time before the beginning is the beginning. */
	assert_int_equal(clock_ns(&clock, clock_guest_tsc(&clock, 123456788)), 0);
}

static void test_rate(void **state)
{
	struct guest_clock clock;
	u64 day, ns;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		assert_int_equal(clock_init(&clock, 0, rates[i]), 0);
		day = 86400ull * 1000 * rates[i];
		ns = clock_ns(&clock, day);
		/* ns_mult has 2^-32 ns of resolution: at 5.7 GHz within 60 us a day */
		assert_in_range(ns, 86400000000000ull - 60000, 86400000000000ull + 60000);
	}
}

/* clock_ns() never goes back, and clock_tsc_at_ns() is its inverse to the tick. */
static void test_inverse(void **state)
{
	struct guest_clock clock;
	u64 ns, tsc;
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		clock_init(&clock, random64(), rates[i]);
		clock.tsc_start = random64() >> 2;
		clock.ns_fraction = (u32)random64();
		for (round = 0; round < 20000; round++) {
			ns = random64() >> (1 + random64() % 63);
			tsc = clock_tsc_at_ns(&clock, ns);
			if (tsc == CLOCK_NEVER) {
				assert_true(clock_ns(&clock, clock.tsc_start + (~0ull >> 1)) < ns);
				continue;
			}
			assert_true(clock_ns(&clock, tsc) >= ns);
			if (tsc != clock.tsc_start)
				assert_true(clock_ns(&clock, tsc - 1) < ns);
		}
	}
}

static void test_until(void **state)
{
	struct guest_clock clock;
	u64 now, later, ns;
	u32 i, round;

	clock_init(&clock, 0, 1000000);
	assert_int_equal(clock_ns_until(&clock, 1000, 1000), 0);
	assert_int_equal(clock_ns_until(&clock, 1000, 999), 0);
	assert_int_equal(clock_ns_until(&clock, 1000, 0), 0);
	assert_int_equal(clock_ns_until(&clock, 1000, 2500), 1500);
	assert_true(clock_ns_until(&clock, 0, CLOCK_NEVER) == CLOCK_NEVER);
	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		clock_init(&clock, 0, rates[i]);
		for (round = 0; round < 20000; round++) {
			now = random64() >> (round & 63);
			later = random64() >> (round >> 6 & 63);
			ns = clock_ns_until(&clock, now, later);
			if (later <= now) {
				assert_true(ns == 0);
				continue;
			}
			/* Not early, and less than a ns late. */
			if ((s64)(later - now) < 0 || ns == CLOCK_NEVER)
				continue;
			assert_true((unsigned __int128)ns << 32 >=
				    (unsigned __int128)(later - now) * clock.ns_mult);
			assert_true(ns - clock_ns(&clock, later - now) <= 1);
		}
	}
	/* 1 kHz: a tick is a million ns; 2^64 ticks do not fit. */
	clock_init(&clock, 0, 1);
	assert_true(clock_ns_until(&clock, 0, CLOCK_NEVER - 1) == CLOCK_NEVER);
	assert_true(clock_tsc_at_ns(&clock, CLOCK_NEVER) != CLOCK_NEVER);
	clock_init(&clock, 0, 5700000);
	assert_true(clock_tsc_at_ns(&clock, CLOCK_NEVER) == CLOCK_NEVER);
}

/* num / den to the nearest 2^-48, and what is no rate. */
static void test_rates(void **state)
{
	static const u32 bad[][2] = {
		{ 0, 1 },	    { 1, 0 },		{ 0, 0 },
		{ 1, 1001 },	    { 1001, 1 },	{ 4294967295u, 4294967 },
		{ 1, 4294967295u }, { 4294967295u, 1 },
	};
	unsigned __int128 exact;
	u32 i, num, den;
	u64 mult;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(clock_rate_mult(bad[i][0], bad[i][1]), 0);
	assert_true(clock_rate_mult(1, 1) == CLOCK_RATE_1);
	assert_true(clock_rate_mult(7, 7) == CLOCK_RATE_1);
	assert_true(clock_rate_mult(1000, 1) == 1000 * CLOCK_RATE_1);
	for (i = 0; i < 100000; i++) {
		num = random64() >> (32 + random64() % 32);
		den = random64() >> (32 + random64() % 32);
		mult = clock_rate_mult(num, den);
		if (!num || !den || num > 1000ull * den || den > 1000ull * num) {
			assert_int_equal(mult, 0);
			continue;
		}
		/* |mult / 2^48 - num / den| <= 2^-49 */
		exact = ((unsigned __int128)num << 49);
		assert_true((2 * (unsigned __int128)mult + 1) * den >= exact);
		assert_true((2 * (unsigned __int128)mult - 1) * den <= exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_at_zero), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_inverse),	       cmocka_unit_test(test_until),
		cmocka_unit_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
