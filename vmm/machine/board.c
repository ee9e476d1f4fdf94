/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The way to the devices: with the lock and *now* in, and out with what their new state means for those who
 * sleep or answer for them, the timer thread and the kernel part.
 */
#include "internal.h"

uint64_t board_enter(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	return fermata_now(machine->vm);
}

/* False: the port was not foretold and now is not either. */
static bool keep_track(struct board *board, uint16_t port, bool foretold)
{
	for (unsigned i = 0; i < board->foretold_count; i++) {
		if (board->foretold[i] != port)
			continue;
		if (!foretold)
			board->foretold[i] = board->foretold[--board->foretold_count];
		return true;
	}
	if (!foretold || board->foretold_count == FERMATA_MAX_FORECASTS)
		return false;
	board->foretold[board->foretold_count++] = port;
	return true;
}

/* A forecast that the kernel part does not take costs speed alone: the reads come here. */
static void foretell(void *opaque, uint16_t port, const struct forecast *f)
{
	static const uint8_t kinds[] = {
		[FORECAST_NONE] = FERMATA_FORECAST_NONE,
		[FORECAST_COUNTER] = FERMATA_FORECAST_COUNTER,
		[FORECAST_STEP] = FERMATA_FORECAST_STEP,
	};
	struct machine *machine = opaque;
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

	if (keep_track(&machine->board, port, f->kind != FORECAST_NONE))
		fermata_forecast(machine->vm, &forecast);
}

void board_leave(struct machine *machine)
{
	if (machine->board.bus.written)
		bus_forecasts(&machine->board.bus, machine->board.bus.written, foretell, machine);
	if (bus_nearest(&machine->board.bus) < machine->timer.armed ||
	    machine->console.flush_at < machine->timer.armed_flush)
		pthread_cond_signal(&machine->timer.wake);
	pthread_mutex_unlock(&machine->lock);
}

void board_foretell(struct machine *machine, const void *dev)
{
	bus_forecasts(&machine->board.bus, dev, foretell, machine);
}
