/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's clock under changes: continuous, monotonic, exact over centuries; the same for who reads the
 * page; and for readers on other CPUs at the very moment of a change. The host's TSC is a number here, and
 * the processor's own in the last test.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <x86intrin.h>

#include <cmocka.h>

#include "clock/clock.h"
#include "internal.h"
#include "test_random.h"

typedef unsigned __int128 u128;

static const u32 khz[] = { 1000, 1000000, 2400000, 2999999, 5700000 };

/* ---- the system below */

u64 host_tsc_ordered(void)
{
	u64 tsc;

	_mm_lfence();
	tsc = __rdtsc();
	_mm_lfence();
	return tsc;
}

void host_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void host_pause(void)
{
	_mm_pause();
}

/* ---- a clock with its page */

static struct guest_clock the_clock;
static struct fermata_clock page;
static u64 host;

static void start(u32 tsc_khz)
{
	memset(&page, 0, sizeof(page));
	host = random_u64() >> (1 + random_below(20));
	assert_int_equal(clock_init(&the_clock, host, tsc_khz), 0);
	clock_change_begin(&the_clock, &page);
	clock_change_end(&the_clock, &page, 0);
}

static u64 tsc(void)
{
	return clock_guest_tsc(&the_clock, host);
}

static u64 ns(void)
{
	return clock_ns(&the_clock, tsc());
}

static void page_agrees(void)
{
	assert_true(fermata_clock_tsc(&page, host) == tsc());
	assert_true(fermata_clock_ns(&page, host) == ns());
}

static u32 random_part(void)
{
	return 1 + (u32)(random_u64() >> (32 + random_below(32)) >> 1);
}

static void set_rate(u32 num, u32 den)
{
	clock_set_rate(&the_clock, host, num, den, clock_rate_mult(num, den));
}

static void random_rate(void)
{
	u32 num, den;

	do {
		num = random_part();
		den = random_part();
	} while (!clock_rate_mult(num, den));
	set_rate(num, den);
}

/* Everything but a jump. */
static void random_change(void)
{
	clock_change_begin(&the_clock, &page);
	switch (random_below(8)) {
	case 0:
		clock_freeze(&the_clock, host);
		break;
	case 1:
		clock_thaw(&the_clock, host);
		break;
	case 2:
		clock_step(&the_clock, host, random_u64() >> (20 + random_below(40)));
		break;
	case 3:
		(random_one_in(2) ? clock_hold : clock_release)(&the_clock, host, CLOCK_HELD_USER);
		break;
	case 4:
		clock_renew(&the_clock, host);
		break;
	default:
		random_rate();
	}
	clock_change_end(&the_clock, &page, 0);
}

/* No change moves the the_clock, none makes it go back, and the page says the same. */
/* The computer has slept, and its TSC is somewhere else. */
static void sleep_and_wake(void)
{
	u64 then = host;

	host = 1000000 + (random_u64() >> (2 + random_below(40)));
	clock_change_begin(&the_clock, &page);
	clock_rebase(&the_clock, then, host);
	clock_change_end(&the_clock, &page, 0);
}

static void test_continuous(void **state)
{
	u64 last_tsc, last_ns;
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		start(khz[i]);
		last_tsc = tsc();
		last_ns = ns();
		for (round = 0; round < 100000; round++) {
			host += random_u64() >> (30 + random_below(34));
			assert_true(tsc() >= last_tsc && ns() >= last_ns);
			page_agrees();
			last_tsc = tsc();
			last_ns = ns();
			if (round % 16)
				random_change();
			else
				sleep_and_wake();
			assert_true(tsc() == last_tsc && ns() == last_ns);
			page_agrees();
			/* A CPU that lags behind sees the change's moment, not one before it. */
			assert_true(clock_guest_tsc(&the_clock, host - random_below(1000)) ==
				    last_tsc);
		}
		assert_true(page.seq == 200002);
	}
}

/*
 * 300 years of the guest, most of them at rates near 1,000. Ticks become ns by one line however many
 * segments there were, and the number of ticks is what the rates say but for one a segment.
 */
static void test_centuries(void **state)
{
	const u64 end = 300ull * 31557600 * 1000000000;
	u128 ticks, exact;
	u64 before, step;
	u32 i, segments;

	for (i = 1; i < ARRAY_SIZE(khz); i++) {
		u32 num = 1, den = 1;

		start(khz[i]);
		ticks = exact = 0;
		for (segments = 1; ns() < end; segments++) {
			before = tsc();
			step = random_u64() % (86400000ull * khz[i]);
			host += step;
			ticks += tsc() - before; /* at 3 GHz the TSC itself wraps after 195 years */
			exact += (u128)step * num / den;
			assert_true(ns() == (u64)(ticks * the_clock.ns_mult >> 32));
			if (clock_is_old(&the_clock, tsc()) || random_one_in(3)) {
				num = random_one_in(4) ? 1 + random_below(1000) : 1000;
				den = random_one_in(4) ? 1 + random_below(3) : 1;
				set_rate(num, den);
			}
		}
		assert_true(segments > 100);
		/* a rate is right to 2^-49, of a day's ticks */
		assert_true(ticks <= exact + segments + (exact >> 48));
		assert_true(exact <= ticks + segments + (exact >> 48));
	}
}

/* A step is over at its end to the tick, and steps add up. */
static void test_steps(void **state)
{
	u64 from, want, tick, until;
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		tick = (1000000 + khz[i] - 1) / khz[i];
		for (round = 0; round < 3000; round++) {
			start(khz[i]);
			random_rate();
			host += random_u64() >> (30 + random_below(34));
			from = ns();
			want = random_u64() >> (24 + random_below(40));
			clock_step(&the_clock, host, want);
			if (random_one_in(2)) {
				host += random_u64() >> (20 + random_below(44));
				clock_step(&the_clock, host, want);
				want += want;
			}
			assert_true(ns() <= from + want + 2 * tick);
			until = clock_ns_until(&the_clock, tsc(),
					       the_clock.tsc_start + the_clock.tsc_ticks);
			host += (u64)((((u128)until << 32) + the_clock.ns_mult - 1) /
				      the_clock.ns_mult);
			assert_true(ns() >= from + want && ns() <= from + want + 2 * tick);
			/* However long nobody looks; 2^63 is a hundred years of the host's. */
			host += random_u64() >> 1 >> random_below(30);
			assert_true(ns() >= from + want && ns() <= from + want + 2 * tick);
			assert_true(clock_ns_until(&the_clock, tsc(), tsc() + 1) == CLOCK_NEVER);
		}
	}
}

/* Forward as if time had passed; back the TSC alone, and not below 0. */
static void test_jumps(void **state)
{
	u64 before_tsc, before_ns, ticks;
	s64 way, gone;
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		start(khz[i]);
		for (round = 0; round < 10000; round++) {
			host += random_u64() >> (32 + random_below(30));
			if (random_one_in(3))
				random_change();
			before_tsc = tsc();
			before_ns = ns();
			way = (s64)(random_u64() >> (12 + random_below(50)));
			if (random_one_in(2))
				way = -way;
			gone = clock_jump(&the_clock, host, way);
			ticks = tsc() - before_tsc;
			if (way < 0) {
				assert_true(tsc() <= before_tsc && ns() == before_ns);
				assert_true(gone <= 0 && (gone <= way || !tsc()));
			} else {
				assert_true(ns() - before_ns == (u64)gone && gone >= way);
				assert_true((u64)((u128)ticks * the_clock.ns_mult >> 32) <=
					    (u64)gone);
			}
		}
	}
}

/* Who sleeps as long as he is told is not early, and late by no more than a tick and a ns of his. */
static void test_until(void **state)
{
	u64 deadline, after, ticks, later;
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		start(khz[i]);
		for (round = 0; round < 20000; round++) {
			clock_change_begin(&the_clock, &page);
			random_rate();
			clock_change_end(&the_clock, &page, 0);
			host += random_u64() >> (32 + random_below(30));
			deadline = ns() + 1 + (random_u64() >> (20 + random_below(40)));
			after = fermata_clock_until(&page, host, deadline);
			if (after > 1ull << 60)
				continue;
			/* host ns to host ticks, rounded up: the host's clock is not in ticks */
			ticks = (u64)((((u128)after << 32) + the_clock.ns_mult - 1) /
				      the_clock.ns_mult);
			later = host + ticks;
			assert_true(clock_ns(&the_clock, clock_guest_tsc(&the_clock, later)) >=
				    deadline);
			assert_true(clock_ns_until(&the_clock, tsc(),
						   clock_tsc_at_ns(&the_clock, deadline)) <=
				    after + 1);
			after = clock_ns_until(&the_clock, tsc(),
					       clock_tsc_at_ns(&the_clock, deadline));
			ticks = (u64)((((u128)after << 32) + the_clock.ns_mult - 1) /
				      the_clock.ns_mult);
			assert_true(clock_ns(&the_clock,
					     clock_guest_tsc(&the_clock, host + ticks)) >= deadline);
		}
		clock_freeze(&the_clock, host);
		assert_true(clock_ns_until(&the_clock, tsc(), tsc() + 1) == CLOCK_NEVER);
		assert_true(clock_ns_until(&the_clock, tsc(), tsc()) == 0);
	}
}

/* ---- readers at the moment of a change */

static u64 seen; /* the latest time that any thread has read, and told the others */
static bool stop;
static u64 reads, backward;

static void tell(u64 now)
{
	u64 last = __atomic_load_n(&seen, __ATOMIC_SEQ_CST);

	while (now > last && !__atomic_compare_exchange_n(&seen, &last, now, false,
							  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void *reader(void *of_page)
{
	struct fermata_clock copy;
	u64 last, now, moment;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		last = __atomic_load_n(&seen, __ATOMIC_SEQ_CST);
		if (of_page) {
			moment = fermata_clock_read(&page, &copy);
			now = fermata_clock_tsc(&copy, moment);
		} else {
			now = clock_read_tsc(&the_clock);
		}
		if (now < last)
			__atomic_fetch_add(&backward, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
		tell(now);
	}
	return NULL;
}

static void test_readers(void **state)
{
	pthread_t thread[2];
	u32 i;

	memset(&page, 0, sizeof(page));
	clock_init(&the_clock, host_tsc_ordered(), 2000000);
	clock_change_begin(&the_clock, &page);
	clock_change_end(&the_clock, &page, 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, i ? &page : NULL), 0);
	for (i = 0; i < 20000; i++) {
		clock_change_begin(&the_clock, &page);
		host = host_tsc_ordered();
		if (random_one_in(10))
			clock_freeze(&the_clock, host);
		else if (random_one_in(4))
			clock_thaw(&the_clock, host);
		else
			random_rate();
		clock_change_end(&the_clock, &page, 0);
		if (i % 100 == 0)
			sched_yield();
	}
	while (__atomic_load_n(&reads, __ATOMIC_RELAXED) < 1000)
		sched_yield();
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(backward, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_continuous), cmocka_unit_test(test_centuries),
		cmocka_unit_test(test_steps),	   cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_until),	   cmocka_unit_test(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
