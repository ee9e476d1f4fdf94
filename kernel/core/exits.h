/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The exit table. */
#ifndef CORE_EXITS_H
#define CORE_EXITS_H

#include "core/vcpu.h"

/*
 * A handler runs in guest context with interrupts off: it is short, and waits neither for memory nor for
 * another CPU.
 */
extern enum verdict (*const exit_handlers[EXIT_KINDS])(struct vcpu *v);
/* After LEAVE_FOR_FAULT: the part of a nested fault that may sleep. Verdict, or -errno. */
int exit_handle_fault(struct vcpu *v);

/* As if there were no rules. */
static inline enum verdict exit_answer(struct vcpu *v)
{
	return exit_handlers[v->exit.kind](v);
}

static inline enum verdict exit_handle(struct vcpu *v)
{
	if (unlikely(v->ruled) && v->ruled >> (v->exit.kind & 63) & 1)
		return rules_exit(v);
	return exit_answer(v);
}

/* apic_page.c: true when the access was to the xAPIC page and is done, or needs another try */
bool apic_page_access(struct vcpu *v, enum verdict *verdict);

#endif
