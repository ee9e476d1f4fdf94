/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Forecasts: what the kernel part answers from one must be, read for read, what the device would have
 * answered itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "clock/forecast.h"
#include "devices/pc/acpi_pm.h"
#include "devices/pc/pit.h"

#define SECOND 1000000000ull

struct world {
	struct bus bus;
	struct pit pit;
	struct acpi_pm pm;
	struct forecasts set;
	uint64_t now;
};

static void tell(void *opaque, uint16_t port, const struct forecast *f)
{
	struct world *w = opaque;
	struct fermata_forecast k = {
		.port = port,
		.size = f->size,
		.kind = f->kind,
		.hz = f->hz,
		.from = f->from,
		.base = f->base,
		.at = f->at,
		.mask = f->mask,
		.down = f->down,
		.halves = f->halves,
		.before = f->before,
		.after = f->after,
		.flip = f->flip,
		.flip_ticks = f->flip_ticks,
	};

	assert_int_equal(forecast_set(&w->set, &k), 0);
}

/* A clock that stands at this time. */
static const struct guest_clock *at(uint64_t now)
{
	static struct guest_clock clock;

	clock.ns_start = now;
	return &clock;
}

static void power(void *opaque, enum power_event event, uint32_t value)
{
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct power events = { .event = power };

	bus_init(&w->bus);
	pit_init(&w->pit, (struct wire){ 0 });
	acpi_pm_init(&w->pm, (struct wire){ 0 }, &events, 32);
	assert_int_equal(pit_attach(&w->pit, &w->bus), 0);
	assert_int_equal(acpi_pm_attach(&w->pm, &w->bus), 0);
	forecast_init(&w->set);
	bus_forecasts(&w->bus, NULL, tell, w);
	w->now = 5 * SECOND;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void outb(struct world *w, uint16_t port, uint8_t value)
{
	bus_write(&w->bus, BUS_PORT, w->now, port, 1, value);
	if (w->bus.written)
		bus_forecasts(&w->bus, w->bus.written, tell, w);
}

/* Reads by both ways, and says how many of the reads the forecast took. */
static unsigned compare(struct world *w, uint16_t port, unsigned size, unsigned reads, uint64_t step)
{
	unsigned answered = 0;

	for (unsigned i = 0; i < reads; i++) {
		uint32_t device = bus_read(&w->bus, BUS_PORT, w->now, port, size);
		uint32_t kernel;

		if (forecast_read(&w->set, port, size, at(w->now), &kernel)) {
			assert_int_equal(kernel, device);
			answered++;
		} else {
			/* Then both ways have to start with the low byte again. */
			assert_true(!answered);
			w->pit.channel[port & 3].read_high = false;
		}
		w->now += step ? random() % step : 0;
	}
	return answered;
}

static void pm_timer(void **state)
{
	struct world *w = *state;

	assert_int_equal(compare(w, 0x608, 4, 100000, 100000), 100000);
	/* years later, where products of ns and Hz need more than 64 bits */
	w->now += 200ull * 365 * 86400 * SECOND;
	assert_int_equal(compare(w, 0x608, 4, 100000, 1000000000), 100000);
	/* what the timer showed ten seconds ago, it shows again, and goes on from there */
	acpi_pm_back(&w->pm, w->now, 10 * SECOND);
	bus_forecasts(&w->bus, &w->pm, tell, w);
	assert_int_equal(compare(w, 0x608, 4, 100000, 100000), 100000);
	/* other sizes and ports are the device's */
	assert_int_equal(compare(w, 0x608, 2, 10, 10), 0);
	assert_int_equal(compare(w, 0x604, 2, 10, 10), 0);
}

/* Linux's quick_pit_calibrate(): channel 2, mode 0, counts from FFFFh, read byte by byte. */
static void quick_calibration(void **state)
{
	struct world *w = *state;

	outb(w, 0x61, 1);
	outb(w, 0x43, 0xb0);
	outb(w, 0x42, 0xff);
	assert_int_equal(w->set.count, 1); /* half a count runs nowhere */
	outb(w, 0x42, 0xff);
	assert_int_equal(w->set.count, 3);
	assert_in_range(compare(w, 0x42, 1, 50000, 3000), 49990, 50000);
	outb(w, 0x43, 0xb0);
	assert_int_equal(w->set.count, 1);
}

/* Linux's pit_calibrate_tsc(): until OUT of channel 2 is seen in port 61h. */
static void output_of_channel_2(void **state)
{
	struct world *w = *state;
	uint32_t value;

	for (unsigned count = 1; count < 3000; count += 1 + random() % 50) {
		outb(w, 0x61, 1);
		outb(w, 0x43, 0xb0);
		outb(w, 0x42, count & 0xff);
		outb(w, 0x42, count >> 8);
		compare(w, 0x61, 1, 400, 2 * 838 * count / 400 + 2);
		w->now += 838ull * count + 2000;
		assert_true(forecast_read(&w->set, 0x61, 1, at(w->now), &value));
		assert_true(value & 0x20);
	}
	/* gate off: it stands still, and is not foretold */
	outb(w, 0x61, 0);
	assert_int_equal(w->set.count, 1);
}

static void only_what_is_a_function_of_time(void **state)
{
	struct world *w = *state;

	/* a rate generator with a divisor, a square wave, BCD, one byte only, a latched count */
	static const uint8_t control[] = { 0x34, 0x36, 0x31, 0x10, 0x20 };

	for (unsigned i = 0; i < sizeof(control); i++) {
		outb(w, 0x43, control[i]);
		outb(w, 0x40, 0x34);
		outb(w, 0x40, 0x12);
		assert_int_equal(w->set.count, 1);
	}
	outb(w, 0x43, 0x30);
	outb(w, 0x40, 0x34);
	outb(w, 0x40, 0x12);
	assert_int_equal(w->set.count, 2);
	outb(w, 0x43, 0x00);
	assert_int_equal(w->set.count, 1);
	/* the rate generator's full period is */
	outb(w, 0x43, 0x34);
	outb(w, 0x40, 0);
	outb(w, 0x40, 0);
	assert_int_equal(w->set.count, 2);
	assert_in_range(compare(w, 0x40, 1, 20000, 100000), 19990, 20000);
}

static void bad_input(void **state)
{
	struct world *w = *state;
	struct fermata_forecast good = {
		.port = 0x99, .size = 4, .kind = FERMATA_FORECAST_COUNTER, .hz = 1000000, .mask = ~0u
	};
	struct fermata_forecast bad;

#define REFUSES(change)                                                                            \
	do {                                                                                       \
		bad = good;                                                                        \
		bad.change;                                                                        \
		assert_int_equal(forecast_set(&w->set, &bad), -EINVAL);                            \
	} while (0)
	REFUSES(hz = 0);
	REFUSES(hz = 1000000001);
	REFUSES(size = 0);
	REFUSES(size = 3);
	REFUSES(size = 8);
	REFUSES(kind = 3);
	REFUSES(down = 2);
	REFUSES(halves = 2);
	REFUSES(halves = 1); /* with size 4 */
	REFUSES(reserved[1] = 1);
	REFUSES(kind = FERMATA_FORECAST_STEP); /* flip_ticks 0, size 4 */
#undef REFUSES
	for (unsigned i = 0; i < FERMATA_MAX_FORECASTS - 1; i++) {
		good.port = 0x200 + i;
		assert_int_equal(forecast_set(&w->set, &good), 0);
	}
	good.port = 0x300;
	assert_int_equal(forecast_set(&w->set, &good), -ENOSPC);
	good.kind = FERMATA_FORECAST_NONE;
	assert_int_equal(forecast_set(&w->set, &good), 0); /* nothing to forget */
	good.port = 0x200;
	assert_int_equal(forecast_set(&w->set, &good), 0);
	assert_int_equal(w->set.count, FERMATA_MAX_FORECASTS - 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(pm_timer),
		TEST(quick_calibration),
		TEST(output_of_channel_2),
		TEST(only_what_is_a_function_of_time),
		TEST(bad_input),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
