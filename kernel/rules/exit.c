// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * An exit that rules may be about: what it is, what the rules say of it (ask.c), and then the instruction:
 * carried out as without rules, or not.
 */
#include "rules/internal.h"
#include "core/control.h"
#include "core/instruction.h"
#include "core/msr.h"

/* ---- what happened */

static u64 mov_source(struct vcpu *v)
{
	const struct exit *x = &v->exit;

	if (x->mov.by_value)
		return x->mov.value;
	return x->mov.reg < FERMATA_REGS ? control_operand(v, v->page->regs[x->mov.reg]) : 0;
}

static u64 cr_now(struct vcpu *v, u8 number)
{
	struct where where;

	if (number == 3) {
		v->backend->where(v, &where);
		return where.paging.cr3;
	}
	return number == 0 ? v->guest.cr0 :
	       number == 4 ? v->guest.cr4 :
	       number == 8 ? apic_tpr(&v->apic) :
			     0;
}

static void cr_write(struct vcpu *v, struct scene *scene)
{
	const struct exit *x = &v->exit;

	scene->event = x->mov.via == MOV_CLTS ? FERMATA_ON_CLTS :
		       x->mov.via == MOV_LMSW ? FERMATA_ON_LMSW :
						FERMATA_ON_MOV_TO_CR;
	scene->value = mov_source(v);
	scene->old = cr_now(v, x->mov.number);
	/* Bit 63 says that translations are kept (SDM 3A 4.10.4.1). */
	if (scene->event == FERMATA_ON_MOV_TO_CR && x->mov.number == 3 &&
	    ((scene->value ^ scene->old) & ~BIT_ULL(63)) >> 12)
		scene->second = FERMATA_ON_CR3_SWITCH;
}

static u64 dr_now(const struct vcpu *v, u8 number)
{
	if (number < 4)
		return v->guest.dr[number];
	return number & 1 ? v->guest.dr7 : v->guest.dr6;
}

/* What a kind of exit says to rules: see core/exit_kinds.h. */
enum { NUMBER_NONE, NUMBER_EAX, NUMBER_ECX, NUMBER_RAX };
enum { NUMBER_MOV = NUMBER_RAX + 1, NUMBER_PORT, NUMBER_VECTOR, NUMBER_LINEAR };
enum { RESULT_MOV = FERMATA_REGS, RESULT_RANDOM, RESULT_IN };

static const struct {
	u64 events;
	u8 number, result;
} told[EXIT_KINDS] = {
#define EXIT(kind, handler, instruction, number, result, events)                                   \
	[EXIT_##kind] = { events, NUMBER_##number, RESULT_##result },
#include "core/exit_kinds.h"
};

u64 exit_kinds_of(u64 events)
{
	u64 kinds = 0;

	for (u32 kind = 0; kind < EXIT_KINDS; kind++)
		if (told[kind].events & events)
			kinds |= BIT_ULL(kind);
	return kinds;
}

static u64 number_of(const struct vcpu *v)
{
	const struct exit *x = &v->exit;

	switch (told[x->kind].number) {
	case NUMBER_EAX:
		return (u32)v->page->regs[FERMATA_RAX];
	case NUMBER_ECX:
		return (u32)v->page->regs[FERMATA_RCX];
	case NUMBER_RAX:
		return v->page->regs[FERMATA_RAX];
	case NUMBER_MOV:
		return x->mov.number;
	case NUMBER_PORT:
		return x->io.port;
	case NUMBER_VECTOR:
		return x->exception.vector;
	case NUMBER_LINEAR:
		return x->linear;
	}
	return 0;
}

static void find_result(const struct exit *x, struct scene *scene)
{
	scene->result = told[x->kind].result;
	scene->width = 8;
	switch (scene->result) {
	case RESULT_MOV:
		scene->result = x->mov.reg;
		break;
	case RESULT_RANDOM:
		scene->result = x->random.reg;
		scene->width = x->random.size;
		break;
	case RESULT_IN:
		scene->result = x->io.in && !x->io.string ? FERMATA_RAX : RESULT_NONE;
		scene->width = x->io.size;
		break;
	}
}

/* Which of several events it is, and what else there is to say. */
static void add_details(struct vcpu *v, struct scene *scene)
{
	const struct exit *x = &v->exit;

	switch (x->kind) {
	case EXIT_CPUID:
		scene->code = v->page->regs[FERMATA_RCX];
		break;
	case EXIT_MSR_WRITE:
		scene->value = pair(v);
		msr_read(v, scene->number, &scene->old);
		break;
	case EXIT_XSETBV:
		scene->value = pair(v);
		scene->old = v->guest.xcr0;
		break;
	case EXIT_IO:
		scene->event = x->io.in ? FERMATA_ON_IN : FERMATA_ON_OUT;
		scene->code = x->io.size;
		if (!x->io.in && !x->io.string)
			scene->value = v->page->regs[FERMATA_RAX] & (~0u >> (32 - 8 * x->io.size));
		break;
	case EXIT_CR_WRITE:
		cr_write(v, scene);
		break;
	case EXIT_DR_WRITE:
		scene->value = mov_source(v);
		scene->old = dr_now(v, x->mov.number);
		break;
	case EXIT_INVLPG:
		scene->value = x->linear;
		break;
	case EXIT_EXCEPTION:
		scene->code = x->exception.code;
		if (x->exception.vector == ARCH_PF)
			scene->value = x->exception_address;
		if (x->exception.vector == ARCH_UD && syscall_which(v) == INSN_SYSCALL) {
			scene->event = FERMATA_ON_SYSCALL;
			scene->number = v->page->regs[FERMATA_RAX];
		}
		break;
	}
}

/* False: the exit is none of the events. */
static bool recognise(struct vcpu *v, struct scene *scene)
{
	const struct exit *x = &v->exit;

	if (!told[x->kind].events)
		return false;
	memset(scene, 0, offsetof(struct scene, where));
	scene->event = __builtin_ctzll(told[x->kind].events);
	scene->second = FERMATA_ON_EVENTS;
	scene->number = number_of(v);
	find_result(x, scene);
	add_details(v, scene);
	return true;
}

/* ---- what becomes of the instruction */

static enum verdict carry_out(struct vcpu *v, const struct scene *scene)
{
	enum verdict verdict;

	if (exit_is_table(&v->exit) || (v->exit.kind == EXIT_INVPCID && !v->shadow)) {
		rules_finish_later(v);
		rules_once(v);
		return GO_ON;
	}
	verdict = scene->event == FERMATA_ON_SYSCALL ? syscall_carry_out(v) : exit_answer(v);
	if (v->waiting.valid && v->exit.kind != EXIT_EXCEPTION)
		rules_finish(v, FERMATA_RECORD_FAULTED);
	else if (verdict == LEAVE_FOR_USER)
		rules_finish_later(v);
	else
		rules_finish(v, 0);
	return verdict;
}

/* The instruction is known, if there is one. False: it cannot be had now. */
static bool instruction_known(struct vcpu *v)
{
	if (exit_is_mov(&v->exit))
		return exit_mov_length(v);
	if (v->exit.kind == EXIT_EXCEPTION && v->exit.exception.vector != ARCH_BP &&
	    v->exit.exception.vector != ARCH_OF)
		return true;
	return exit_length(v);
}

/* #DB and #AC exit always, and have a way of their own: see handle_exception(). */
static bool event_interrupts_another(const struct vcpu *v)
{
	u8 vector = v->exit.exception.vector;

	return v->exit.kind == EXIT_EXCEPTION && v->waiting.valid && vector != ARCH_DB &&
	       vector != ARCH_AC;
}

static bool is_sysret(struct vcpu *v)
{
	return v->exit.kind == EXIT_EXCEPTION && v->exit.exception.vector == ARCH_UD &&
	       !v->waiting.valid && syscall_which(v) == INSN_SYSRET;
}

/* An exception that came while an event was on its way in: that goes in again and may meet it. */
static enum verdict deliver_again(struct vcpu *v)
{
	v->rules->lift = LIFT_ARMED;
	host_set_bit(REQUEST_RULES, &v->requests);
	return GO_ON;
}

/* ---- while an instruction runs by itself */

/* Which of the guest's breakpoints were hit: DR6 has those too that are not enabled (SDM 3B 17.2.3). */
static u64 breakpoints(const struct vcpu *v)
{
	u64 hit = 0;

	for (u32 i = 0; i < 4; i++)
		if (v->guest.dr7 >> 2 * i & 3)
			hit |= BIT(i);
	return hit & v->guest.dr6;
}

/* The instruction is done. #DB is the guest's too when it steps itself, or has hit a breakpoint. */
static enum verdict trapped(struct vcpu *v)
{
	struct vcpu_rules *e = v->rules;

	if (!e->step_tf && !e->step_bs) {
		v->guest.dr6 &= ~ARCH_DR6_BS;
		v->dirty |= DIRTY_DEBUG;
	}
	if (e->step_tf || breakpoints(v))
		return exit_answer(v);
	return GO_ON;
}

static enum verdict during_step(struct vcpu *v)
{
	switch (v->exit.kind) {
	case EXIT_NOTHING:
	case EXIT_WINDOW:
		return exit_answer(v);
	case EXIT_PAGE_FAULT:
	case EXIT_NESTED_FAULT:
		step_end_blocking(v); /* and the trap that Bochs 2.7 leaves behind what has faulted */
		return v->exit.kind == EXIT_NESTED_FAULT ? watch_fault(v) : exit_answer(v);
	case EXIT_EXCEPTION:
		step_end(v, v->exit.exception.vector == ARCH_DB);
		if (v->exit.exception.vector == ARCH_DB)
			return trapped(v);
		if (v->rules->after.due)
			rules_finish(v, FERMATA_RECORD_FAULTED);
		return exit_answer(v);
	}
	step_end(v, false);
	return exit_answer(v);
}

enum verdict rules_exit(struct vcpu *v)
{
	enum verdict verdict;
	struct scene scene;

	if (v->ruling.holding)
		return during_step(v);
	if (v->rules->watch.free && (!watch_free_ends(v) || !(v->ruled >> (v->exit.kind & 63) & 1)))
		return v->exit.kind == EXIT_NESTED_FAULT ? watch_fault(v) : exit_answer(v);
	if (v->exit.kind == EXIT_NESTED_FAULT)
		return watch_fault(v);
	if (is_sysret(v))
		return syscall_carry_out(v);
	if (!instruction_known(v))
		return GO_ON;
	if (!recognise(v, &scene))
		return exit_answer(v);
	rules_ask(v, &scene);
	if (event_interrupts_another(v)) {
		rules_finish(v, 0);
		return deliver_again(v);
	}
	if (rules_decide(v, &scene, &verdict))
		return verdict;
	return carry_out(v, &scene);
}
