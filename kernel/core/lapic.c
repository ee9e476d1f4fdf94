/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The vCPU's local APIC on its way to the world: its timer, what an access to it asks for, and the messages
 * between APICs. The APIC itself is apic/, which knows neither timers nor vCPUs.
 */
#include "core/time.h"

/* ---- the timer */

static void timer_fired(struct host_timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, timer.host);

	host_set_bit(REQUEST_TIMER, &v->requests);
	vcpu_kick(v);
}

void vcpu_timer_init(struct vcpu *v)
{
	v->timer.armed = CLOCK_NEVER;
	host_timer_init(&v->timer.host, timer_fired);
}

static noinline void arm_timer(struct vcpu *v, u64 deadline)
{
	struct guest_clock clock;
	u64 now, after;

	now = vm_time(v->vm, &clock);
	after = clock_ns_until(&clock, now, deadline);
	if (after != CLOCK_NEVER)
		host_timer_arm(&v->timer.host, after);
}

void vcpu_arm_timer(struct vcpu *v)
{
	u64 deadline = apic_timer_deadline(&v->apic);

	if (deadline == v->timer.armed)
		return;
	v->timer.armed = deadline;
	if (deadline != CLOCK_NEVER) /* a timer that fires for nothing only looks once more */
		arm_timer(v, deadline);
}

void vcpu_timer_due(struct vcpu *v)
{
	struct guest_clock clock;
	u64 now;

	host_clear_bit(REQUEST_TIMER, &v->requests);
	v->timer.armed = CLOCK_NEVER;
	now = vm_time(v->vm, &clock);
	apic_timer_due(&v->apic, &clock, now);
	if (unlikely(clock_is_old(&clock, now)))
		host_set_bit(REQUEST_CLOCK, &v->requests);
	vcpu_arm_timer(v);
}

bool vcpu_take_clock(struct vcpu *v)
{
	struct guest_clock clock;
	u64 now;

	/* In this order: who clears it too early finds the change going on, and asks again. */
	host_test_and_clear_bit(REQUEST_CLOCK, &v->requests);
	if (READ_ONCE(v->vm->time.changing))
		goto again;
	now = vm_time(v->vm, &clock);
	if (unlikely(clock_is_old(&clock, now)))
		goto again;
	v->dirty |= DIRTY_CLOCK;
	apic_clock_changed(&v->apic, &clock);
	v->timer.armed = CLOCK_NEVER;
	vcpu_arm_timer(v);
	return true;

again:
	host_set_bit(REQUEST_CLOCK, &v->requests);
	return false;
}

/* ---- messages between APICs */

static struct vcpu *vcpu_of(struct apic *apic)
{
	return container_of(apic, struct vcpu, apic);
}

static void send_lowest(struct vm *vm, const struct apic_message *message, const struct apic *sender)
{
	struct apic *best = NULL;
	struct vcpu *v;

	for_each_vcpu(vm, v) {
		struct apic *pair[2] = { best, &v->apic };

		best = apic_lowest_priority(pair, 2, message, sender) ?: best;
	}
	if (best && apic_deliver(best, message))
		vcpu_kick(vcpu_of(best));
}

void vm_send(struct vm *vm, const struct apic_message *message, const struct apic *sender)
{
	struct vcpu *v;

	if (message->mode == LAPIC_MODE_LOWEST) {
		send_lowest(vm, message, sender);
		return;
	}
	for_each_vcpu(vm, v)
		if (apic_match(&v->apic, message, sender) && apic_deliver(&v->apic, message))
			vcpu_kick(v);
}

int vm_signal_msi(struct vm *vm, const struct fermata_msi *msi)
{
	struct apic_message message;
	int err;

	if (msi->reserved)
		return -EINVAL;
	err = apic_message_from_msi(msi, &message);
	if (!err)
		vm_send(vm, &message, NULL);
	return err;
}

int vm_set_line(struct vm *vm, const struct fermata_line *line)
{
	struct vcpu *v;

	if (line->line > FERMATA_LINE_LINT1 || line->level > 1 || line->reserved ||
	    line->vcpu >= FERMATA_MAX_VCPUS)
		return -EINVAL;
	v = READ_ONCE(vm->vcpus.at[host_index(line->vcpu, (u32)FERMATA_MAX_VCPUS)]);
	if (!v)
		return -ENOENT;
	if (apic_set_line(&v->apic, line->line, line->level))
		vcpu_kick(v);
	return 0;
}

/* ---- what an access asks for */

void vcpu_apic_effects(struct vcpu *v, const struct apic_effects *effects)
{
	if (effects->timer_changed)
		vcpu_arm_timer(v);
	if (effects->eoi_level) {
		v->report.eoi_vector = effects->eoi_vector;
		host_set_bit(REQUEST_EOI, &v->requests);
	}
	if (effects->ipi)
		vm_send(v->vm, &effects->message, &v->apic);
}
