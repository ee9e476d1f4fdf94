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
 * The exits that rules ask for. Without a rule the guest does these things without an exit. A backend reads
 * the words under DIRTY_INTERCEPTS and adds its own reasons.
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
 * The instruction exited only because of a rule, and nobody emulates it. The processor runs it: its intercept
 * is lifted for this one time.
 */
void rules_once(struct vcpu *v);
/* REQUEST_RULES, _LINEAR, _WATCH or _AFTER, in guest context before an entry. */
enum verdict rules_requested(struct vcpu *v, u32 request);
/* REQUEST_LINEAR, outside of guest context. Sleeps. GO_ON, or -errno. */
int rules_outside(struct vcpu *v);
/*
 * Called while ruling.opening is set, outside of guest context, before a nested fault's page is mapped. Opens
 * the page. False: not now; the guest faults again.
 */
bool rules_open(struct vcpu *v);
/* CR3 or the paging mode has changed: the vCPU's linear addresses may lead elsewhere. */
void rules_space_changed(struct vcpu *v);
/* Memory slots have changed: there may be page tables now where nothing was. */
void rules_memory_changed(struct vm *vm);

#endif
