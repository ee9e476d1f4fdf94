/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How the machine ends: the first end counts, and every thread hears of it. */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

void machine_wake_threads(struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpus; i++)
		if (machine->vcpu[i].vcpu)
			fermata_kick(machine->vcpu[i].vcpu);
	pthread_cond_broadcast(&machine->console.taken);
	pthread_cond_broadcast(&machine->timer.wake);
}

void machine_finish(struct machine *machine, enum machine_end_kind kind, uint32_t value,
		    const char *why, char *report)
{
	if (machine->stopping) {
		free(report);
		return;
	}
	machine->end.kind = kind;
	machine->end.value = value;
	snprintf(machine->end.why, sizeof(machine->end.why), "%s", why ? why : "");
	machine->end.report = report;
	machine->stopping = true;
	machine_wake_threads(machine);
	pthread_cond_broadcast(&machine->hold.more);
	pthread_cond_broadcast(&machine->hold.released);
	news_raise(machine);
	news_tell(machine, MACHINE_NEWS_ENDED);
}

void machine_stop(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine_finish(machine, MACHINE_STOPPED, 0, NULL, NULL);
	pthread_mutex_unlock(&machine->lock);
}

bool machine_ended(struct machine *machine, struct machine_end *end)
{
	bool ended;

	pthread_mutex_lock(&machine->lock);
	ended = machine->end.kind != MACHINE_RUNNING;
	if (ended && end)
		*end = machine->end;
	pthread_mutex_unlock(&machine->lock);
	return ended;
}
