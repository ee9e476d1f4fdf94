/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "acpi_pm.h"

#define SECOND 1000000000ull

enum { STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8 }; /* offsets */

/* ACPI 6.5 tables 4.12 to 4.14 */
#define TMR 0x0001 /* the same bits in status and enable */
#define GBL 0x0020
#define PWRBTN 0x0100
#define SLPBTN 0x0200
#define RTC 0x0400
#define STATUS_BITS (TMR | 0x0010 | GBL | PWRBTN | SLPBTN | RTC | 0x8000)
#define ENABLE_BITS (TMR | GBL | PWRBTN | SLPBTN | RTC)

#define SCI_EN 0x0001
#define BM_RLD 0x0002
#define SLP_TYP_SHIFT 10
#define SLP_TYP 0x1c00
#define SLP_EN 0x2000 /* reads as 0 */

static void update_sci(struct acpi_pm *pm)
{
	wire_set(&pm->sci, pm->status & pm->enable);
}

static uint64_t ticks_at(uint64_t now)
{
	return (unsigned __int128)now * ACPI_PM_HZ / SECOND;
}

/* 4.8.3.3: TMR_STS is set whenever the timer's most significant bit changes. */
static void advance(struct acpi_pm *pm, uint64_t now)
{
	uint64_t flips;

	if (now > pm->now) {
		pm->now = now;
		pm->ticks = ticks_at(now) + pm->base;
	}
	flips = pm->ticks >> (pm->timer_bits - 1);
	if (flips == pm->flips)
		return;
	pm->flips = flips;
	pm->status |= TMR;
	update_sci(pm);
}

static uint32_t timer(const struct acpi_pm *pm)
{
	return pm->ticks & ((1ull << pm->timer_bits) - 1);
}

static uint8_t read_byte(const struct acpi_pm *pm, uint64_t offset)
{
	uint32_t value = 0;

	switch (offset & ~1ull) {
	case STATUS:
		value = pm->status;
		break;
	case ENABLE:
		value = pm->enable;
		break;
	case CONTROL:
		value = pm->control | SCI_EN;
		break;
	case TIMER:
	case TIMER + 2:
		return timer(pm) >> (offset - TIMER) * 8;
	}
	return value >> (offset & 1) * 8;
}

/* bits: value moved to its place in the 16-bit register; mask: which of its bytes are written. */
static void write_word(struct acpi_pm *pm, uint64_t offset, uint16_t bits, uint16_t mask)
{
	switch (offset) {
	case STATUS: /* a 1 clears */
		pm->status &= ~(bits & STATUS_BITS);
		break;
	case ENABLE:
		pm->enable = (pm->enable & ~mask) | (bits & ENABLE_BITS);
		break;
	case CONTROL:
		pm->control = (pm->control & ~mask) | (bits & (BM_RLD | SLP_TYP));
		/* S5 is the only sleep state the DSDT names. */
		if ((bits & SLP_EN) && (pm->control & SLP_TYP) >> SLP_TYP_SHIFT == ACPI_SLP_TYP_S5)
			power_event(&pm->power, POWER_OFF, ACPI_SLP_TYP_S5);
		break;
	}
}

static uint64_t acpi_pm_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct acpi_pm *pm = dev;
	uint64_t value = 0;

	advance(pm, now);
	if (offset == TIMER && size == 4)
		return timer(pm);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_byte(pm, offset + i) << i * 8;
	return value;
}

static void acpi_pm_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = dev;
	unsigned done = 0;

	advance(pm, now);
	while (done < size) {
		uint64_t at = offset + done;
		unsigned shift = (at & 1) * 8;
		unsigned n = !(at & 1) && size - done >= 2 ? 2 : 1;
		uint16_t mask = n == 2 ? 0xffff : 0xff << shift;

		write_word(pm, at & ~1ull, (value >> done * 8 << shift) & mask, mask);
		done += n;
	}
	update_sci(pm);
}

static void acpi_pm_tick(void *dev, uint64_t now)
{
	advance(dev, now);
}

static uint64_t acpi_pm_deadline(void *dev)
{
	struct acpi_pm *pm = dev;
	unsigned __int128 at;

	if (!(pm->enable & TMR) || (pm->status & TMR))
		return NEVER;
	at = ((unsigned __int128)(pm->flips + 1) << (pm->timer_bits - 1)) - pm->base;
	at = (at * SECOND + ACPI_PM_HZ - 1) / ACPI_PM_HZ;
	return at >= NEVER ? NEVER : at;
}

/* Reading the timer has no effect: TMR_STS is set by the deadline, if anybody wants to know. */
static void acpi_pm_forecast(void *dev, uint64_t offset, struct forecast *forecast)
{
	const struct acpi_pm *pm = dev;

	if (offset != TIMER)
		return;
	*forecast = (struct forecast){ .kind = FORECAST_COUNTER,
				       .size = 4,
				       .hz = ACPI_PM_HZ,
				       .base = pm->base,
				       .mask = (uint32_t)((1ull << pm->timer_bits) - 1) };
}

static void acpi_pm_reset(void *dev)
{
	struct acpi_pm *pm = dev;

	pm->status = pm->enable = pm->control = 0;
	update_sci(pm);
}

static const char *check(const void *dev)
{
	const struct acpi_pm *pm = dev;

	if (pm->timer_bits != 24 && pm->timer_bits != 32)
		return "the timer has 24 or 32 bits";
	if (pm->ticks != ticks_at(pm->now) + pm->base ||
	    pm->flips != pm->ticks >> (pm->timer_bits - 1))
		return "the timer is not where its time says";
	return NULL;
}

static const struct field rows[] = {
	WIRING(acpi_pm, sci),
	WIRING(acpi_pm, power),
	FIELD(acpi_pm, timer_bits),
	FIELD(acpi_pm, status, .bits = STATUS_BITS),
	FIELD(acpi_pm, enable, .bits = ENABLE_BITS),
	FIELD(acpi_pm, control, .bits = BM_RLD | SLP_TYP),
	FIELD(acpi_pm, flips),
	FIELD(acpi_pm, now),
	FIELD(acpi_pm, ticks),
	FIELD(acpi_pm, base, .max = UINT32_MAX),
	{ 0 },
};

static const struct fields fields = {
	.name = "acpi_pm",
	.version = 1,
	.size = sizeof(struct acpi_pm),
	.row = rows,
	.check = check,
};

const struct device_ops acpi_pm_ops = {
	.name = "acpi_pm",
	.width = 4,
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.tick = acpi_pm_tick,
	.deadline = acpi_pm_deadline,
	.reset = acpi_pm_reset,
	.forecast = acpi_pm_forecast,
	.fields = &fields,
};

void acpi_pm_init(struct acpi_pm *pm, struct wire sci, const struct power *power,
		  unsigned timer_bits)
{
	memset(pm, 0, sizeof(*pm));
	pm->sci = sci;
	pm->power = *power;
	pm->timer_bits = timer_bits == 32 ? 32 : 24;
}

int acpi_pm_attach(struct acpi_pm *pm, struct bus *bus)
{
	return bus_add(bus, BUS_PORT, ACPI_PM1_EVENT, ACPI_PM_PORTS, &acpi_pm_ops, pm);
}

void acpi_pm_power_button(struct acpi_pm *pm, uint64_t now)
{
	advance(pm, now);
	pm->status |= PWRBTN;
	update_sci(pm);
}

/* A counter that goes back by n has gone forward by its range less n; base stays a small number. */
void acpi_pm_back(struct acpi_pm *pm, uint64_t now, uint64_t ns)
{
	advance(pm, now);
	pm->base = (pm->base - ticks_at(ns)) & ((1ull << pm->timer_bits) - 1);
	pm->ticks = ticks_at(pm->now) + pm->base;
	pm->flips = pm->ticks >> (pm->timer_bits - 1);
}

uint32_t acpi_pm_count(const struct acpi_pm *pm, uint64_t now, uint64_t *moment)
{
	uint64_t ticks = ticks_at(now);

	*moment = ((unsigned __int128)ticks * SECOND + ACPI_PM_HZ - 1) / ACPI_PM_HZ;
	return (ticks + pm->base) & ((1ull << pm->timer_bits) - 1);
}
