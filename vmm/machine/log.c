/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules about what the guest does, their log, and the guest that a rule stops. */
#include "internal.h"

int machine_rule_add(struct machine *machine, struct fermata_rule *rule)
{
	int result = 0;

	for (unsigned i = 0; rule->actions & FERMATA_DO_LOG && i < machine->vcpus && !result; i++)
		result = fermata_log_open(machine->vcpu[i].vcpu);
	return result ? result : fermata_rule_add(machine->vm, rule);
}

int machine_rule_remove(struct machine *machine, unsigned id)
{
	return fermata_rule_remove(machine->vm, id);
}

int machine_rule_get(struct machine *machine, struct fermata_rule *rule)
{
	return fermata_rule_get(machine->vm, rule);
}

unsigned machine_log_read(struct machine *machine, struct fermata_record *out, unsigned room,
			  uint64_t *dropped)
{
	uint64_t lost, all = 0;
	unsigned count = 0;

	pthread_mutex_lock(&machine->log.lock);
	for (unsigned i = 0; i < machine->vcpus; i++) {
		/* None of them waits behind the others for long. */
		unsigned share = (room - count) / (machine->vcpus - i);

		count += fermata_log_read(machine->vcpu[i].vcpu, out + count, share, &lost);
		all += lost;
	}
	pthread_mutex_unlock(&machine->log.lock);
	if (dropped)
		*dropped = all;
	return count;
}

bool machine_log_empty(struct machine *machine)
{
	bool empty = true;

	for (unsigned i = 0; i < machine->vcpus; i++)
		empty &= !fermata_log_waiting(machine->vcpu[i].vcpu);
	return empty;
}

/* Called by the vCPU's thread; the instruction is carried out when it comes back. */
void log_stopped_by_rule(struct machine_vcpu *v, const struct fermata_exit_stop *stop)
{
	struct machine *machine = v->machine;

	pthread_mutex_lock(&machine->lock);
	machine->end.stop = *stop;
	machine->end.stop_rip = fermata_vcpu_page(v->vcpu)->rip;
	machine->end.stop_vcpu = (unsigned)(v - machine->vcpu);
	machine->log.stop_untold = true;
	if (!machine->stopping)
		news_tell(machine, MACHINE_NEWS_STOPPED);
	hold_now(machine);
	news_raise(machine);
	pthread_mutex_unlock(&machine->lock);
}

bool machine_take_stop(struct machine *machine, struct machine_end *end)
{
	bool untold;

	pthread_mutex_lock(&machine->lock);
	untold = machine->log.stop_untold;
	machine->log.stop_untold = false;
	*end = machine->end;
	pthread_mutex_unlock(&machine->lock);
	return untold;
}
