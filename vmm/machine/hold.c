/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A machine that holds: its vCPUs' threads are out of the guest and wait here, its timer thread ticks no
 * device. Whoever asks sets `hold` and fetches them out; each finds it on its way back in.
 */
#include <errno.h>

#include "internal.h"

void machine_tell(struct machine *machine, enum machine_news news)
{
	if (machine->listener)
		machine->listener(machine->listener_opaque, news, &machine->end);
}

void machine_kick_all(struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpus; i++)
		if (machine->vcpu[i].vcpu)
			fermata_kick(machine->vcpu[i].vcpu);
	pthread_cond_broadcast(&machine->output_read);
	pthread_cond_broadcast(&machine->timer_wake);
}

void machine_hold(struct machine *machine)
{
	if (machine->hold || machine->stopping)
		return;
	machine->hold = true;
	clock_hold(machine);
	machine_kick_all(machine);
	machine_tell(machine, MACHINE_NEWS_PAUSED);
}

int machine_pause(struct machine *machine)
{
	int result;

	pthread_mutex_lock(&machine->lock);
	machine_hold(machine);
	while (machine->hold && !machine->stopping && machine->held < machine->running)
		pthread_cond_wait(&machine->held_more, &machine->lock);
	/* What the guest has said by now is told, although it may not end the line for long. */
	if (machine->output.length)
		console_raise_event(machine);
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
	} else if (machine->hold) {
		machine->hold = false;
		machine->advances = false;
		clock_release(machine);
		pthread_cond_broadcast(&machine->released);
		pthread_cond_broadcast(&machine->timer_wake);
		machine_tell(machine, MACHINE_NEWS_RESUMED);
	}
	pthread_mutex_unlock(&machine->lock);
	return result;
}

bool machine_paused(struct machine *machine)
{
	bool paused;

	pthread_mutex_lock(&machine->lock);
	paused = machine->hold && !machine->stopping;
	pthread_mutex_unlock(&machine->lock);
	return paused;
}

void machine_pause_advances(struct machine *machine, bool advances)
{
	machine->advances = advances;
}

bool machine_pause_advancing(struct machine *machine)
{
	return machine->advances;
}

void machine_listen(struct machine *machine, machine_listener *listener, void *opaque)
{
	pthread_mutex_lock(&machine->lock);
	machine->listener = listener;
	machine->listener_opaque = opaque;
	pthread_mutex_unlock(&machine->lock);
}

/* ---- for the vCPUs' threads */

void machine_wait_released(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->held++;
	pthread_cond_broadcast(&machine->held_more);
	while (machine->hold && !machine->stopping)
		pthread_cond_wait(&machine->released, &machine->lock);
	machine->held--;
	pthread_mutex_unlock(&machine->lock);
}

void machine_vcpu_gone(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine->running--;
	pthread_cond_broadcast(&machine->held_more);
	pthread_mutex_unlock(&machine->lock);
}
