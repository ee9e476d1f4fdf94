/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Ports whose value is a function of the guest's time: a guest that reads a timer in a loop is
 * answered here, without the way to user space (struct fermata_forecast says what is possible).
 */
#ifndef CLOCK_FORECAST_H
#define CLOCK_FORECAST_H

#include "host.h"
#include "clock/clock.h"
#include "uapi/fermata.h"

struct forecasts {
	struct host_lock lock;
	u32 count;
	struct fermata_forecast entry[FERMATA_MAX_FORECASTS];
	bool high[FERMATA_MAX_FORECASTS]; /* with `halves`: the high byte is next */
};

void forecast_init(struct forecasts *set);
/* -EINVAL: no such forecast; -ENOSPC: FERMATA_MAX_FORECASTS ports have one. */
int forecast_set(struct forecasts *set, const struct fermata_forecast *f);
/* What the port reads now. False: the caller has to be asked. */
bool forecast_read(struct forecasts *set, u16 port, u8 size, const struct guest_clock *clock,
		   u32 *value);

#endif
