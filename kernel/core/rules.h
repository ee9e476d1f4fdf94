/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The seam to rules: what users want to hear of, change or forbid. Core knows no rule. It calls these
 * functions, and reads what they have decided about a vCPU. kernel/rules implements them, and for a module
 * without rules kernel/rules/none, where each of them does nothing.
 */
#ifndef CORE_RULES_H
#define CORE_RULES_H

#include "core/exit.h"
#include "host.h"

struct vm;
struct vcpu;

/*
 * What rules make a guest exit for, of what it runs without exits otherwise. A backend reads it under
 * DIRTY_INTERCEPTS, and adds what it needs itself.
 */
struct wanted {
	u64 events;				  /* FERMATA_ON_*, by bit */
	u16 cr_read, cr_write, dr_read, dr_write; /* by number */
	u32 exceptions;				  /* vectors */
	u64 msr_read, msr_write;		  /* bit n: backend->direct_msrs[n] */
	bool tsc;				  /* RDTSC and RDTSCP */
	bool no_syscalls;     /* EFER.SCE is 0 in the hardware: SYSCALL and SYSRET raise #UD */
	bool read_only_walks; /* walks of the guest's tables must not write to them */
};

/* What rules have decided about a vCPU, as far as others have to know. Only kernel/rules writes it. */
struct ruling {
	struct wanted wanted;
	bool holding; /* an instruction runs by itself: what else is due waits for its end */
	bool opening; /* the page of the nested fault is to be opened, by rules_open() */
};

/* At a VM's and a vCPU's beginning and end. They sleep. -ENOMEM */
int rules_vm_init(struct vm *vm);
void rules_vm_destroy(struct vm *vm);
int rules_vcpu_init(struct vcpu *v);
void rules_vcpu_destroy(struct vcpu *v);
/* At RESET and INIT, by its thread: what is owed to an instruction is forgotten. */
void rules_vcpu_reset(struct vcpu *v);
/* An exit of a kind in v->ruled, in the place of its handler. */
enum verdict rules_exit(struct vcpu *v);
/*
 * An exit of an instruction that exits only because a rule is about it, and that nobody emulates: the
 * processor runs it, with its intercept lifted for once.
 */
void rules_once(struct vcpu *v);
/* REQUEST_RULES, _LINEAR, _WATCH or _AFTER, in guest context before an entry. */
enum verdict rules_requested(struct vcpu *v, u32 request);
/* REQUEST_LINEAR, outside of guest context. Sleeps. GO_ON, or -errno. */
int rules_outside(struct vcpu *v);
/*
 * With ruling.opening, outside of guest context, before the page of a nested fault is looked at. False: it
 * cannot be opened now, and the guest faults again.
 */
bool rules_open(struct vcpu *v);
/* Where the vCPU's linear addresses lead may be another place: CR3, or how it pages, has changed. */
void rules_space_changed(struct vcpu *v);
/* Memory slots have changed: there may be page tables now where nothing was. */
void rules_memory_changed(struct vm *vm);

#endif
