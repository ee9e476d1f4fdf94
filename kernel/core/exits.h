/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files behind the exit table offer it. */
#ifndef CORE_EXITS_H
#define CORE_EXITS_H

#include "insn/insn.h"
#include "core/msr.h"
#include "core/vcpu.h"

/* What a handler wants next. */
enum verdict {
	GO_ON,	    /* back into the guest */
	SERVE_HOST, /* the host's interrupt ended the turn: interrupts on for a moment, then back */
	LEAVE_FOR_HOST, /* out of guest context first: something may sleep; then back */
	LEAVE_FOR_USER, /* the run page holds an exit record */
};

/*
 * exits.c: the exit table. A handler runs in guest context with interrupts off: it is short, and waits
 * neither for memory nor for another CPU.
 */
extern enum verdict (*const exit_handlers[EXIT_KINDS])(struct vcpu *v);
/* The part of a nested fault that may sleep; outside guest context. Verdict, or -errno. */
int exit_handle_fault(struct vcpu *v);
void exit_to_user(struct vcpu *v, u32 reason);
u8 exit_decode(struct vcpu *v);
bool exit_fetch(struct vcpu *v, struct insn *insn);
/* The linear address of its operand in memory. */
u64 exit_operand_address(struct vcpu *v, const struct insn *insn);

/* As if there were no rules. */
static inline enum verdict exit_answer(struct vcpu *v)
{
	return exit_handlers[v->exit.kind](v);
}

enum verdict rules_exit(struct vcpu *v); /* rules/exit.c: an exit of a kind in v->ruled */

static inline enum verdict exit_handle(struct vcpu *v)
{
	if (unlikely(v->ruled) && v->ruled >> (v->exit.kind & 63) & 1)
		return rules_exit(v);
	return exit_answer(v);
}

/*
 * The length of the instruction that exited, from the hardware or by decoding it. 0: its bytes cannot
 * be had now; entering the guest again fetches them.
 */
static inline u8 exit_length(struct vcpu *v)
{
	return likely(v->exit.length) ? v->exit.length : exit_decode(v);
}

/* The same for MOV to and from CR and DR; what the record lacks of the operands is there after it. */
static inline u8 exit_mov_length(struct vcpu *v)
{
	return likely(v->exit.mov.decoded) ? exit_length(v) : exit_decode(v);
}

/* control.c: likewise */
int control_check(const struct vm *vm, u64 cr0, u64 cr4, u64 efer);
bool control_xcr0_valid(const struct vm *vm, u64 xcr0);
u64 control_operand(struct vcpu *v, u64 value); /* as MOV to CR and DR see it in this mode */
enum verdict control_cr_read(struct vcpu *v);
enum verdict control_cr_write(struct vcpu *v);
enum verdict control_dr_read(struct vcpu *v);
enum verdict control_dr_write(struct vcpu *v);
enum verdict control_xsetbv(struct vcpu *v);
int control_set_efer(struct vcpu *v, u64 value);

/* instructions.c */
enum verdict instruction_invlpg(struct vcpu *v);
enum verdict instruction_random(struct vcpu *v);

/* rules/step.c: the instruction at RIP, whose intercept is lifted for once */
void step_begin(struct vcpu *v);

/* apic_page.c: true when the access was to the xAPIC page and is done, or needs another try */
bool apic_page_access(struct vcpu *v, enum verdict *verdict);

/* run.c */
void vcpu_apic_effects(struct vcpu *v, const struct apic_effects *effects);
void vcpu_arm_timer(struct vcpu *v);
void vcpu_sync_xcr0(struct vcpu *v); /* in guest context */

#endif
