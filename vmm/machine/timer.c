/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The thread that gives devices their time. It sleeps until the earliest deadline, and is woken
 * only when a deadline came closer than the one it sleeps for, so an idle guest costs nothing here.
 */
#include <time.h>

#include "internal.h"

/* Host time at which the guest's clock shows `deadline`, or NEVER: who changes the clock wakes us. */
static uint64_t host_time_of(const struct machine *machine, uint64_t deadline)
{
	uint64_t at;

	if (deadline == NEVER ||
	    __builtin_add_overflow(host_ns(), fermata_until(machine->vm, deadline), &at))
		return NEVER;
	return at;
}

static void sleep_until(struct machine *machine, uint64_t at)
{
	struct timespec t = { .tv_sec = (time_t)(at / 1000000000u),
			      .tv_nsec = (long)(at % 1000000000u) };

	if (at == NEVER)
		pthread_cond_wait(&machine->timer.wake, &machine->lock);
	else
		pthread_cond_timedwait(&machine->timer.wake, &machine->lock, &t);
}

void *timer_thread(void *opaque)
{
	struct machine *machine = opaque;
	uint64_t now, at, catch_up;

	pthread_mutex_lock(&machine->lock);
	while (!machine->stopping) {
		now = fermata_now(machine->vm);
		machine->timer.armed = machine->hold.on ? NEVER : bus_deadline(&machine->board.bus);
		if (machine->timer.armed <= now) {
			bus_tick(&machine->board.bus, now);
			continue;
		}
		if (machine->console.flush_at <= host_ns()) {
			machine->console.flush_at = NEVER;
			news_raise(machine);
		}
		machine->timer.armed_flush = machine->console.flush_at;
		at = host_time_of(machine, machine->timer.armed);
		if (machine->time.catch_up <= now) {
			time_tick(machine, now);
			continue;
		}
		catch_up = host_time_of(machine, machine->time.catch_up);
		if (catch_up < at)
			at = catch_up;
		sleep_until(machine,
			    at < machine->timer.armed_flush ? at : machine->timer.armed_flush);
	}
	pthread_mutex_unlock(&machine->lock);
	return NULL;
}
