/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A machine that holds: its vCPUs' threads are out of the guest and wait here, its timer thread ticks no
 * device. Whoever asks sets hold.on and fetches them out; each finds it on its way back in.
 */
#include <errno.h>

#include "internal.h"

void hold_now(struct machine *machine)
{
	if (machine->hold.on || machine->stopping)
		return;
	machine->hold.on = true;
	time_hold(machine);
	machine_wake_threads(machine);
	news_tell(machine, MACHINE_NEWS_PAUSED);
}

int machine_pause(struct machine *machine)
{
	int result;

	pthread_mutex_lock(&machine->lock);
	hold_now(machine);
	while (machine->hold.on && !machine->stopping && machine->hold.held < machine->hold.running)
		pthread_cond_wait(&machine->hold.more, &machine->lock);
	/* What the guest has said by now is told, although it may not end the line for long. */
	if (machine->console.length)
		news_raise(machine);
	result = machine->stopping ? -ESRCH : 0;
	pthread_mutex_unlock(&machine->lock);
	return result;
}

int machine_resume(struct machine *machine)
{
	int result = 0;

	pthread_mutex_lock(&machine->lock);
	if (machine->stopping) {
		result = -ESRCH;
	} else if (machine->hold.on) {
		machine->hold.on = false;
		machine->hold.advances = false;
		time_release(machine);
		pthread_cond_broadcast(&machine->hold.released);
		pthread_cond_broadcast(&machine->timer.wake);
		news_tell(machine, MACHINE_NEWS_RESUMED);
	}
	pthread_mutex_unlock(&machine->lock);
	return result;
}

bool machine_paused(struct machine *machine)
{
	bool paused;

	pthread_mutex_lock(&machine->lock);
	paused = machine->hold.on && !machine->stopping;
	pthread_mutex_unlock(&machine->lock);
	return paused;
}

void machine_pause_advances(struct machine *machine, bool advances)
{
	machine->hold.advances = advances;
}

bool machine_pause_advancing(struct machine *machine)
{
	return machine->hold.advances;
}

/* ---- for the vCPUs' threads */

void hold_wait_released(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->hold.held++;
	pthread_cond_broadcast(&machine->hold.more);
	while (machine->hold.on && !machine->stopping)
		pthread_cond_wait(&machine->hold.released, &machine->lock);
	machine->hold.held--;
	pthread_mutex_unlock(&machine->lock);
}

void hold_vcpu_gone(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->hold.running--;
	pthread_cond_broadcast(&machine->hold.more);
	pthread_mutex_unlock(&machine->lock);
}
