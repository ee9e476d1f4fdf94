// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Instructions that are carried out by the processor itself although they exit: the intercepts are
 * lifted, RFLAGS.TF is set, and the #DB behind the instruction is ours. Every exception exits meanwhile,
 * so that no handler of the guest's finds our TF on its stack. For both vendors the same; VT-x's monitor
 * trap flag would do it too, but not on all processors.
 */
#include "rules/internal.h"

static void set_trap(struct vcpu *v, bool on)
{
	struct fermata_state *state = v->scratch;

	v->backend->get_state(v, state, FERMATA_STATE_REGS);
	state->regs.rflags &= ~ARCH_RFLAGS_TF;
	if (on)
		state->regs.rflags |= ARCH_RFLAGS_TF;
	v->backend->set_state(v, state, FERMATA_STATE_REGS);
}

/* STI and MOV SS would hold the trap back; what they block ends with this instruction anyway. */
static void end_blocking(struct vcpu *v)
{
	struct fermata_state *state = v->scratch;

	v->backend->get_state(v, state, FERMATA_STATE_PENDING);
	state->pending.interrupts_blocked = 0;
	v->backend->set_state(v, state, FERMATA_STATE_PENDING);
}

void step_begin(struct vcpu *v)
{
	struct vcpu_rules *e = &v->rules;
	struct where where;

	v->backend->where(v, &where);
	e->stepping = true;
	e->step_tf = where.rflags & ARCH_RFLAGS_TF;
	e->step_bs = v->guest.dr6 & ARCH_DR6_BS;
	v->ruled = ~0ull;
	rules_lift(v, LIFT_STEP);
	end_blocking(v);
	set_trap(v, true);
}

static void step_end(struct vcpu *v, bool done)
{
	struct vcpu_rules *e = &v->rules;

	e->stepping = false;
	e->lift = LIFT_NONE;
	rules_apply(v);
	if (!done || !e->watch.loads_flags) /* what it has loaded stays */
		set_trap(v, e->step_tf);
	e->watch.loads_flags = false;
	watch_stepped(v, done);
}

void step_stop(struct vcpu *v)
{
	if (v->rules.stepping)
		step_end(v, false);
	v->rules.watch.seen_count = 0;
	v->rules.watch.opening = false;
}

/* Which of the guest's breakpoints were hit: DR6 has those too that are not enabled (SDM 3B 17.2.3). */
static u64 breakpoints(const struct vcpu *v)
{
	u64 hit = 0;
	u32 i;

	for (i = 0; i < 4; i++)
		if (v->guest.dr7 >> 2 * i & 3)
			hit |= BIT(i);
	return hit & v->guest.dr6;
}

/* The instruction is done. #DB is the guest's too when it steps itself, or has hit a breakpoint. */
static enum verdict trapped(struct vcpu *v)
{
	struct vcpu_rules *e = &v->rules;

	if (!e->step_tf && !e->step_bs) {
		v->guest.dr6 &= ~ARCH_DR6_BS;
		v->dirty |= DIRTY_DEBUG;
	}
	if (e->step_tf || breakpoints(v))
		return exit_answer(v);
	return GO_ON;
}

enum verdict step_exit(struct vcpu *v)
{
	switch (v->exit.kind) {
	case EXIT_NOTHING:
	case EXIT_WINDOW:
		return exit_answer(v);
	case EXIT_PAGE_FAULT:
		end_blocking(v); /* and the trap that Bochs 2.7 leaves behind what has faulted */
		return exit_answer(v);
	case EXIT_NESTED_FAULT:
		end_blocking(v);
		return watch_fault(v);
	case EXIT_EXCEPTION:
		step_end(v, v->exit.exception.vector == ARCH_DB);
		if (v->exit.exception.vector == ARCH_DB)
			return trapped(v);
		if (v->rules.after.due)
			rules_finish(v, FERMATA_RECORD_FAULTED);
		return exit_answer(v);
	}
	step_end(v, false);
	return exit_answer(v);
}

enum verdict rules_deliver_again(struct vcpu *v)
{
	v->rules.lift = LIFT_ARMED;
	host_set_bit(REQUEST_RULES, &v->requests);
	return GO_ON;
}

void rules_reset(struct vcpu *v)
{
	v->rules.stepping = v->rules.passing = false;
	v->rules.lift = LIFT_NONE;
	v->rules.after.due = false;
	watch_close(v);
	if (v->vm->rules.table || v->ruled)
		host_set_bit(REQUEST_RULES, &v->requests);
}
