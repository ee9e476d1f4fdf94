/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "clock/forecast.h"

#define SECOND 1000000000u

void forecast_init(struct forecasts *set)
{
	host_lock_init(&set->lock);
}

static bool valid(const struct fermata_forecast *f)
{
	if (f->reserved[0] || f->reserved[1] || f->reserved[2])
		return false;
	if (f->kind == FERMATA_FORECAST_NONE)
		return true;
	if (!f->hz || f->hz > SECOND || (f->size != 1 && f->size != 2 && f->size != 4))
		return false;
	if (f->kind == FERMATA_FORECAST_COUNTER)
		return f->down <= 1 && f->halves <= 1 && (!f->halves || f->size == 1);
	return f->kind == FERMATA_FORECAST_STEP && f->flip_ticks && f->size == 1;
}

/* Under the lock: the port's entry, or the first free one. */
static u32 find(const struct forecasts *set, u16 port)
{
	u32 i;

	for (i = 0; i < set->count; i++)
		if (set->entry[i].port == port)
			break;
	return i;
}

static void forget(struct forecasts *set, u32 i)
{
	u32 last = set->count - 1;

	set->entry[i] = set->entry[last];
	set->high[i] = set->high[last];
	WRITE_ONCE(set->count, last);
}

int forecast_set(struct forecasts *set, const struct fermata_forecast *f)
{
	int err = 0;
	u32 i;

	if (!valid(f))
		return -EINVAL;
	host_lock(&set->lock);
	i = find(set, f->port);
	if (f->kind == FERMATA_FORECAST_NONE) {
		if (i < set->count)
			forget(set, i);
	} else if (i == FERMATA_MAX_FORECASTS) {
		err = -ENOSPC;
	} else {
		set->entry[i] = *f;
		set->high[i] = false;
		if (i == set->count)
			WRITE_ONCE(set->count, i + 1);
	}
	host_unlock(&set->lock);
	return err;
}

/* ns * hz / 10^9. The quotient fits because hz is at most 10^9. */
static u64 ticks_at(u64 ns, u32 hz)
{
	u64 low = ns, high, quotient, remainder;

	asm("mulq %3" : "+a"(low), "=d"(high) : "a"(low), "r"((u64)hz) : "cc");
	asm("divq %4"
	    : "=a"(quotient), "=d"(remainder)
	    : "a"(low), "d"(high), "r"((u64)SECOND)
	    : "cc");
	return quotient;
}

static u32 value_at(struct forecasts *set, u32 i, u64 ticks)
{
	const struct fermata_forecast *f = &set->entry[i];
	u32 value;

	if (f->kind == FERMATA_FORECAST_STEP)
		return (ticks < f->at ? f->before : f->after) ^
		       (ticks / f->flip_ticks & 1 ? f->flip : 0);
	value = (f->down ? f->base - ticks : f->base + ticks) & f->mask;
	if (!f->halves)
		return value;
	set->high[i] = !set->high[i];
	return set->high[i] ? value & 0xff : value >> 8 & 0xff;
}

bool forecast_read(struct forecasts *set, u16 port, u8 size, const struct guest_clock *clock,
		   u32 *value)
{
	struct guest_clock now;
	bool known = false;
	u64 tsc, ticks;
	u32 i;

	if (!READ_ONCE(set->count))
		return false;
	host_lock(&set->lock);
	i = find(set, port);
	if (i < set->count && set->entry[i].size == size) {
		tsc = clock_snapshot(clock, &now);
		ticks = ticks_at(clock_ns(&now, tsc), set->entry[i].hz);
		known = ticks >= set->entry[i].from;
		if (known)
			*value = value_at(set, i, ticks);
	}
	host_unlock(&set->lock);
	return known;
}
