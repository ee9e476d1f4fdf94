// SPDX-License-Identifier: MIT OR GPL-2.0
/* What core asks for in core/rules.h, but for rules_exit(), rules_once() (step.c) and rules_open() (open.c). */
#include "rules/internal.h"

int rules_vm_init(struct vm *vm)
{
	vm->rules = host_alloc(sizeof(*vm->rules));
	if (!vm->rules)
		return -ENOMEM;
	host_lock_init(&vm->rules->lock);
	return 0;
}

void rules_vm_destroy(struct vm *vm)
{
	if (!vm->rules)
		return;
	rules_free(vm);
	frames_free(vm);
	host_free(vm->rules);
	vm->rules = NULL;
}

int rules_vcpu_init(struct vcpu *v)
{
	v->rules = host_alloc(sizeof(*v->rules));
	return v->rules ? 0 : -ENOMEM;
}

void rules_vcpu_destroy(struct vcpu *v)
{
	if (!v->rules)
		return;
	v->rules->watch.tables = false; /* the others may be gone already */
	watch_close(v);
	host_free(v->rules->linear_state);
	host_free(v->rules);
	v->rules = NULL;
}

void rules_vcpu_reset(struct vcpu *v)
{
	v->ruling.holding = v->rules->passing = false;
	v->rules->lift = LIFT_NONE;
	v->rules->after.due = false;
	watch_close(v);
	if (v->vm->rules->table || v->ruled)
		host_set_bit(REQUEST_RULES, &v->requests);
	rules_space_changed(v);
}

/* While one instruction runs by itself, what is about the next one waits. */
enum verdict rules_requested(struct vcpu *v, u32 request)
{
	bool holding = v->ruling.holding;

	switch (request) {
	case REQUEST_RULES:
		rules_apply(v);
		break;
	case REQUEST_LINEAR:
		return holding || linear_requested(v) ? GO_ON : LEAVE_FOR_HOST;
	case REQUEST_WATCH:
		return watch_requested(v) ? GO_ON : LEAVE_FOR_HOST;
	case REQUEST_AFTER:
		if (holding)
			break;
		host_clear_bit(REQUEST_AFTER, &v->requests);
		if (v->rules->after.due)
			rules_finish(v, 0);
		break;
	}
	return GO_ON;
}

int rules_outside(struct vcpu *v)
{
	return v->ruling.holding ? GO_ON : linear_outside(v);
}

void rules_space_changed(struct vcpu *v)
{
	if (unlikely(v->ruling.wanted.read_only_walks))
		host_set_bit(REQUEST_LINEAR, &v->requests);
}

void rules_memory_changed(struct vm *vm)
{
	if (READ_ONCE(vm->rules->frames))
		linear_edited(vm);
}
