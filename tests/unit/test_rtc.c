/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rules are those of the MC146818A datasheet. */
#include <time.h>

#include "device_fuzz.h"

#include "devices/pc/rtc.h"

#define BASE 951782399ll /* 2000-02-28 23:59:59 UTC, a Monday */

enum { A = 10, B, C, D };

struct fixture {
	struct rtc rtc;
	struct bus bus;
	struct probe irq;
	uint64_t now;
};

static uint8_t get(struct fixture *f, uint8_t reg)
{
	outb(&f->bus, f->now, 0x70, reg);
	return in(&f->bus, f->now, 0x71);
}

static void put(struct fixture *f, uint8_t reg, uint8_t value)
{
	outb(&f->bus, f->now, 0x70, reg);
	outb(&f->bus, f->now, 0x71, value);
}

static void begin(struct fixture *f, int64_t base)
{
	memset(&f->irq, 0, sizeof(f->irq));
	bus_init(&f->bus);
	rtc_init(&f->rtc, probe_wire(&f->irq), base, 512ull << 20, 0);
	rtc_attach(&f->rtc, &f->bus);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	begin(f, BASE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void assert_date(struct fixture *f, const char *expected)
{
	char text[64];

	snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %02x:%02x:%02x %x", get(f, 0x32),
		 get(f, 9), get(f, 8), get(f, 7), get(f, 4), get(f, 2), get(f, 0), get(f, 6));
	assert_string_equal(text, expected);
}

/* Time as the machine passes it: a tick at each deadline. */
static unsigned run(struct fixture *f, uint64_t ns)
{
	uint64_t end = f->now + ns;
	unsigned n = 0;

	while (bus_deadline(&f->bus) <= end) {
		f->now = bus_deadline(&f->bus);
		bus_tick(&f->bus, f->now);
		n++;
	}
	f->now = end;
	return n;
}

static void the_date_goes_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, B), 0x02);
	assert_int_equal(get(f, D), 0x80);
	assert_date(f, "2000-02-28 23:59:59 2");
	f->now = S - 1;
	assert_date(f, "2000-02-28 23:59:59 2");
	f->now = S;
	assert_date(f, "2000-02-29 00:00:00 3");
	f->now = 86401 * S;
	assert_date(f, "2000-03-01 00:00:00 4");
}

static void dates_agree_with_the_c_library(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 11;

	for (unsigned i = 0; i < 20000; i++) {
		int64_t t = (int64_t)(fuzz_next(&seed) % 315569520000ull) - 62167219200ll;
		time_t c = t;
		struct tm tm;
		char text[64];

		begin(f, t);
		gmtime_r(&c, &tm);
		snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d %d", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			 tm.tm_wday + 1);
		assert_date(f, text);
		put(f, B, 0x82); /* there and back: the registers are the clock now */
		put(f, B, 0x02);
		assert_date(f, text);
	}
}

static void formats(void **state)
{
	struct fixture *f = *state;

	put(f, B, 0x06);
	assert_int_equal(get(f, 0), 59);
	assert_int_equal(get(f, 4), 23);
	assert_int_equal(get(f, 9), 0);
	assert_int_equal(get(f, 0x32), 20);
	put(f, B, 0x04);
	assert_int_equal(get(f, 4), 0x80 | 11);
	put(f, B, 0x00);
	assert_int_equal(get(f, 4), 0x91);
	f->now += S;
	assert_int_equal(get(f, 4), 0x12); /* midnight */
	f->now += 12 * 3600 * S;
	assert_int_equal(get(f, 4), 0x92); /* noon */
	f->now += 3600 * S;
	assert_int_equal(get(f, 4), 0x81);
}

static void set_stops_and_starts(void **state)
{
	struct fixture *f = *state;

	f->now = S / 4;
	put(f, B, 0x92);
	assert_int_equal(get(f, B), 0x82); /* SET clears UIE */
	f->now += 10 * S;
	assert_date(f, "2000-02-28 23:59:59 2");
	put(f, 0, 0x58);
	put(f, 2, 0x34);
	put(f, 4, 0x12);
	put(f, 7, 0x31);
	put(f, 8, 0x12);
	put(f, 9, 0x99);
	put(f, 0x32, 0x19);
	f->now += 10 * S;
	assert_int_equal(get(f, 0), 0x58);
	put(f, B, 0x02);
	assert_date(f, "1999-12-31 12:34:58 6");
	f->now += 3 * S / 4; /* the divider went on meanwhile */
	assert_date(f, "1999-12-31 12:34:59 6");
	put(f, 9, 0x05); /* without SET, too */
	put(f, 0x32, 0x20);
	assert_date(f, "2005-12-31 12:34:59 7");
	f->now += S;
	assert_date(f, "2005-12-31 12:35:00 7");
}

static void divider_reset_starts_half_a_second_before(void **state)
{
	struct fixture *f = *state;

	f->now = S / 3;
	put(f, B, 0x82);
	put(f, A, 0x76);
	put(f, 0, 0x10);
	f->now += 7 * S / 3;
	put(f, A, 0x26);
	put(f, B, 0x02);
	f->now += S / 2 - 1;
	assert_int_equal(get(f, 0), 0x10);
	f->now += 1;
	assert_int_equal(get(f, 0), 0x11);
	put(f, A, 0x66); /* holds the time even without SET */
	f->now += 5 * S;
	assert_int_equal(get(f, 0), 0x11);
}

static void nonsense_becomes_a_date(void **state)
{
	struct fixture *f = *state;

	put(f, B, 0x82);
	for (unsigned reg = 0; reg < 10; reg++)
		put(f, reg, 0xff);
	put(f, 0x32, 0xff);
	assert_int_equal(get(f, 8), 0xff); /* as written, while it stands */
	put(f, B, 0x02);
	assert_in_range(get(f, 8), 1, 0x12);
	assert_in_range(get(f, 7), 1, 0x31);
}

static void update_in_progress(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, A), 0x26);
	f->now = S - 2228000 - 1;
	assert_int_equal(get(f, A), 0x26);
	f->now = S - 2228000;
	assert_int_equal(get(f, A), 0xa6);
	f->now = S - 1;
	assert_int_equal(get(f, A), 0xa6);
	f->now = S;
	assert_int_equal(get(f, A), 0x26);
	put(f, B, 0x82);
	f->now = 2 * S - 1;
	assert_int_equal(get(f, A), 0x26);
}

static void update_interrupt(void **state)
{
	struct fixture *f = *state;

	f->now = S;
	assert_int_equal(get(f, C), 0x70); /* flags without interrupt; it is midnight, the alarm */
	assert_int_equal(get(f, C), 0x00);
	put(f, B, 0x12);
	assert_int_equal(bus_deadline(&f->bus), 2 * S);
	assert_int_equal(run(f, S), 1);
	assert_true(f->irq.level);
	assert_true(bus_deadline(&f->bus) == NEVER); /* until it is acknowledged */
	run(f, 5 * S);
	assert_int_equal(f->irq.edges, 1);
	assert_int_equal(get(f, C), 0xd0);
	assert_false(f->irq.level);
	assert_int_equal(bus_deadline(&f->bus), 8 * S);
}

static void periodic_interrupt(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	put(f, A, 0x2f); /* 2 Hz */
	put(f, B, 0x42);
	assert_int_equal(bus_deadline(&f->bus), S / 2);
	put(f, A, 0x26); /* 1,024 Hz */
	while (f->now < 10 * S) {
		f->now = bus_deadline(&f->bus);
		bus_tick(&f->bus, f->now);
		assert_true(f->irq.level);
		assert_int_equal(get(f, C) & 0xc0, 0xc0);
		n++;
	}
	assert_int_equal(n, 10240);
	put(f, A, 0x22); /* rates 1 and 2 are those of 8 and 9 */
	n = bus_deadline(&f->bus) - f->now;
	assert_int_equal(n, S / 128);
	put(f, A, 0x20);
	assert_true(bus_deadline(&f->bus) == NEVER);
}

static void alarm(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0x30);
	put(f, 3, 0x05);
	put(f, 5, 0x01);
	put(f, B, 0x22);
	assert_int_equal(bus_deadline(&f->bus), (1 + 3600 + 5 * 60 + 30) * S);
	run(f, (1 + 3600 + 5 * 60 + 30) * S - 1);
	assert_false(f->irq.level);
	run(f, 1);
	assert_true(f->irq.level);
	assert_int_equal(get(f, C) & 0xb0, 0xb0);
	assert_int_equal(bus_deadline(&f->bus), f->now + 86400 * S); /* every day */
	put(f, 5, 0xff);
	assert_int_equal(bus_deadline(&f->bus), f->now + 3600 * S); /* every hour */
	put(f, 3, 0xc0);
	assert_int_equal(bus_deadline(&f->bus), f->now + 60 * S);
	put(f, 1, 0xff);
	assert_int_equal(bus_deadline(&f->bus), f->now + S);
	put(f, 1, 0x61); /* no such second */
	assert_true(bus_deadline(&f->bus) == NEVER);
}

static void an_alarm_that_passed_unseen(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0x30);
	put(f, 3, 0x00);
	put(f, 5, 0x00);
	f->now = 30 * S;
	assert_int_equal(get(f, C) & 0x30, 0x10);
	f->now = 3600 * S;
	assert_int_equal(get(f, C) & 0x30, 0x30);
	f->now = 7200 * S;
	assert_int_equal(get(f, C) & 0x30, 0x10);
}

static void memory_and_nmi(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
	assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 0xffff);
	assert_int_equal(get(f, 0x30) | get(f, 0x31) << 8, 0xffff);
	assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (512 - 16) * 16);
	rtc_init(&f->rtc, probe_wire(&f->irq), 0, 3ull << 30, 5ull << 30);
	assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 5 << 14);
	assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (3072 - 16) * 16);
	rtc_init(&f->rtc, probe_wire(&f->irq), 0, 2ull << 20, 0);
	assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 1024);
	assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, 0);
	assert_int_equal(get(f, 0x19) | get(f, 0x36) | get(f, 0x5e), 0);
	assert_false(rtc_nmi_masked(&f->rtc));
	put(f, 0x80 | 0x40, 0x5a); /* bit 7 is no part of the index */
	assert_true(rtc_nmi_masked(&f->rtc));
	assert_int_equal(get(f, 0x40), 0x5a);
	assert_false(rtc_nmi_masked(&f->rtc));
	put(f, D, 0); /* read only */
	assert_int_equal(get(f, D), 0x80);
	assert_int_equal(in(&f->bus, 0, 0x70), 0xff);
}

static void reset_keeps_the_time(void **state)
{
	struct fixture *f = *state;

	put(f, B, 0x12);
	run(f, 2 * S);
	assert_true(f->irq.level);
	bus_reset(&f->bus);
	assert_false(f->irq.level);
	assert_int_equal(get(f, B), 0x02);
	assert_date(f, "2000-02-29 00:00:01 3");
}

static void absurd_bases(void **state)
{
	struct fixture *f = *state;

	begin(f, INT64_MIN);
	assert_date(f, "0000-01-01 00:00:00 7");
	begin(f, INT64_MAX);
	f->now = UINT64_MAX - 1;
	assert_date(f, "9999-12-31 23:59:59 6");
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;

	fuzz_bus(&f->bus, BUS_PORT, 0x70, 2, 500000);
}

/* The user's hand on the clock: the date jumps, nothing fires for it, and the time goes on from there. */
static void set_from_outside(void **state)
{
	struct fixture *f = *state;
	uint64_t moment;

	f->now = 10400000000ull;
	put(f, B, 0x32); /* alarm and update interrupts, 24 h */
	put(f, 1, 0x30);
	put(f, 3, 0x00);
	put(f, 5, 0x12); /* 12:00:30 */
	get(f, C);
	rtc_set(&f->rtc, f->now, 1893456000); /* 2030-01-01, a Tuesday */
	assert_date(f, "2030-01-01 00:00:00 3");
	assert_int_equal(rtc_date(&f->rtc, f->now, &moment), 1893456000);
	assert_true(moment == f->now);
	assert_int_equal(get(f, C) & 0x30, 0);
	assert_true(bus_deadline(&f->bus) == f->now + 1000000000);
	run(f, 999999999);
	assert_int_equal(rtc_date(&f->rtc, f->now, &moment), 1893456000);
	run(f, 1);
	assert_date(f, "2030-01-01 00:00:01 3");
	get(f, C);
	run(f, 400000000);
	rtc_back(&f->rtc, f->now, 1700000000); /* 1.4 s - 1.7 s */
	assert_date(f, "2029-12-31 23:59:59 2");
	run(f, 299999999);
	assert_date(f, "2029-12-31 23:59:59 2");
	run(f, 1);
	assert_date(f, "2030-01-01 00:00:00 3");
	/* One that stands takes the date, and stands. */
	put(f, B, 0x82);
	rtc_set(&f->rtc, f->now, BASE);
	run(f, 5000000000);
	assert_date(f, "2000-02-28 23:59:59 2");
	put(f, B, 0x02);
	run(f, 1000000000);
	assert_date(f, "2000-02-29 00:00:00 3");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_date_goes_on),
		T(dates_agree_with_the_c_library),
		T(formats),
		T(set_from_outside),
		T(set_stops_and_starts),
		T(divider_reset_starts_half_a_second_before),
		T(nonsense_becomes_a_date),
		T(update_in_progress),
		T(update_interrupt),
		T(periodic_interrupt),
		T(alarm),
		T(an_alarm_that_passed_unseen),
		T(memory_and_nmi),
		T(reset_keeps_the_time),
		T(absurd_bases),
		T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
