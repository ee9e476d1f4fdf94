// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Pages that are open for one vCPU. All vCPUs walk the same tables. So while pages are open for one, the
 * others stay out of the guest: vm->rules->opener is the one, and who sees REQUEST_WATCH and is another waits
 * outside.
 */
#include "rules/internal.h"

static bool others_wait(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (READ_ONCE(vm->rules->opener) == v->id + 1)
		return true;
	host_lock(&vm->rules->lock);
	if (!vm->rules->opener)
		WRITE_ONCE(vm->rules->opener, v->id + 1);
	host_unlock(&vm->rules->lock);
	if (READ_ONCE(vm->rules->opener) != v->id + 1)
		return false;
	gather(vm, v, BIT(REQUEST_WATCH), GATHER_LOOK);
	return true;
}

void watch_close(struct vcpu *v)
{
	struct vcpu_watch *w = &v->rules->watch;
	struct flush owed;

	w->stepping = w->delivering = w->free = v->ruling.opening = false;
	if (READ_ONCE(v->vm->rules->opener) != v->id + 1)
		return;
	/* Nobody else has seen the open pages; who enters next comes through load(), and pays there. */
	owed = guest_memory_close(&v->vm->memory);
	if (owed.kinds)
		vcpu_owe(v, owed.kinds, 0, FERMATA_CAUSE_WATCH);
	if (w->tables)
		linear_edited(v->vm);
	w->tables = false;
	host_full_barrier();
	WRITE_ONCE(v->vm->rules->opener, 0);
}

bool rules_open(struct vcpu *v)
{
	struct vcpu_watch *w = &v->rules->watch;

	if (!others_wait(v))
		return false;
	v->ruling.opening = false;
	if (guest_memory_open(&v->vm->memory, w->open_gpa, w->open_access)) {
		w->tables |= frames_opened(v, w->open_gpa >> 12);
		return true;
	}
	host_set_bit(REQUEST_LOST, &v->requests);
	return false;
}

bool watch_requested(struct vcpu *v)
{
	struct vcpu_watch *w = &v->rules->watch;
	u32 opener;

	/* In this order: who clears it too early finds the pages open, and asks again. */
	host_clear_bit(REQUEST_WATCH, &v->requests);
	opener = READ_ONCE(v->vm->rules->opener);
	if (opener && opener != v->id + 1) {
		host_set_bit(REQUEST_WATCH, &v->requests);
		return false;
	}
	/* The event goes in, and before the handler's first instruction the guest's turn is over. */
	if (w->delivering)
		host_kick_self();
	return true;
}
