/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The clocks of a PC, the devices that `fermata run` has, and the guest's clock in somebody's hands. There
 * is no timer thread: what reads as time passes is all that is asked of them.
 */
#include <stdlib.h>
#include <time.h>

#include "runner.h"
#include "vmm/devices/pc/acpi_pm.h"
#include "vmm/devices/pc/pit.h"
#include "vmm/devices/pc/rtc.h"

struct clocks {
	struct bus bus;
	struct pit pit;
	struct rtc rtc;
	struct acpi_pm pm;
};

static void foretell(void *opaque, uint16_t port, const struct forecast *f)
{
	static const uint8_t kinds[] = {
		[FORECAST_NONE] = FERMATA_FORECAST_NONE,
		[FORECAST_COUNTER] = FERMATA_FORECAST_COUNTER,
		[FORECAST_STEP] = FERMATA_FORECAST_STEP,
	};
	struct machine *m = opaque;
	struct fermata_forecast forecast = {
		.port = port,
		.size = f->size,
		.kind = kinds[f->kind],
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

	fermata_forecast(m->vm, &forecast);
}

bool clocks_make(struct machine *m)
{
	struct clocks *c = calloc(1, sizeof(*c));

	m->clocks = c;
	if (!c)
		return false;
	bus_init(&c->bus);
	pit_init(&c->pit, (struct wire){ 0 });
	rtc_init(&c->rtc, (struct wire){ 0 }, 0, RAM_SIZE, 0);
	acpi_pm_init(&c->pm, (struct wire){ 0 }, &(struct power){ 0 }, 32);
	if (pit_attach(&c->pit, &c->bus) || rtc_attach(&c->rtc, &c->bus) ||
	    bus_add(&c->bus, BUS_PORT, PORT_PM_TIMER - 8, 12, &acpi_pm_ops, &c->pm))
		return false;
	bus_forecasts(&c->bus, NULL, foretell, m);
	return true;
}

void clocks_free(struct machine *m)
{
	free(m->clocks);
}

static bool ours(uint16_t port)
{
	return (port >= PORT_PIT && port < PORT_PIT + 4) || port == PORT_61 ||
	       (port >= PORT_RTC && port < PORT_RTC + 2) ||
	       (port >= PORT_PM_TIMER && port < PORT_PM_TIMER + 4);
}

bool clocks_read(struct machine *m, uint16_t port, unsigned size, uint32_t *value)
{
	if (!ours(port))
		return false;
	*value = bus_read(&m->clocks->bus, BUS_PORT, fermata_now(m->vm), port, size);
	return true;
}

bool clocks_write(struct machine *m, uint16_t port, unsigned size, uint32_t value)
{
	struct bus *bus = &m->clocks->bus;

	if (!ours(port))
		return false;
	bus_write(bus, BUS_PORT, fermata_now(m->vm), port, size, value);
	if (bus->written)
		bus_forecasts(bus, bus->written, foretell, m);
	return true;
}

/* ---- the hand on the clock */

static uint32_t change(struct machine *m, uint32_t verb, int64_t ns, uint32_t num, uint32_t den)
{
	struct fermata_clock_change c = { .verb = verb, .ns = ns, .num = num, .den = den };

	return fermata_clock_change(m->vm, &c) ? 1 : 0;
}

/* Rates of all sizes up to `most` and down to 1 / most; now and then the clock stands still. */
static void *storm(void *opaque)
{
	struct timespec gap = { .tv_nsec = 20000 };
	struct machine *m = opaque;
	unsigned seed = 1;

	while (m->storm_left && !atomic_load(&m->stop)) {
		uint32_t a = 1 + rand_r(&seed) % 1000,
			 b = 1 + rand_r(&seed) % (1 + rand_r(&seed) % 1000);

		switch (rand_r(&seed) % 8) {
		case 0:
			change(m, FERMATA_CLOCK_FREEZE, 0, 0, 0);
			break;
		case 1:
			change(m, FERMATA_CLOCK_STEP, rand_r(&seed) % 3000000, 0, 0);
			break;
		case 2 ... 4:
			change(m, FERMATA_CLOCK_RATE, 0, a, b);
			change(m, FERMATA_CLOCK_THAW, 0, 0, 0);
			break;
		default:
			change(m, FERMATA_CLOCK_RATE, 0, b, a);
		}
		gap.tv_nsec = rand_r(&seed) % 200000;
		nanosleep(&gap, NULL);
		m->storm_left--;
	}
	change(m, FERMATA_CLOCK_THAW, 0, 0, 0);
	change(m, FERMATA_CLOCK_RATE, 0, 1, 1);
	m->storm_left = 0;
	return NULL;
}

uint32_t clocks_call(struct machine *m, uint32_t call, uint32_t argument)
{
	switch (call) {
	case CALL_SPAN:
		m->span = (int32_t)argument;
		return 0;
	case CALL_CLOCK:
		if (argument == FERMATA_CLOCK_RATE)
			return change(m, argument, 0, (uint32_t)m->span >> 16, m->span & 0xffff);
		if (argument == FERMATA_CLOCK_STEP || argument == FERMATA_CLOCK_JUMP ||
		    argument == FERMATA_CLOCK_DATE)
			return change(m, argument, 1000ll * m->span, 0, 0);
		return change(m, argument, 0, 0, 0);
	case CALL_STORM:
		clocks_stop(m);
		m->storm_left = argument;
		m->storm_started = !pthread_create(&m->storm, NULL, storm, m);
		return !m->storm_started;
	}
	return m->storm_left;
}

void clocks_stop(struct machine *m)
{
	if (m->storm_started)
		pthread_join(m->storm, NULL);
	m->storm_started = false;
}
