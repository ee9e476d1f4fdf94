// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Instructions that are carried out by the processor itself although they exit: the intercepts are
 * lifted, RFLAGS.TF is set, and the #DB behind the instruction is ours. Every exception exits meanwhile,
 * so that no handler of the guest's finds our TF on its stack. For both vendors the same; VT-x's monitor
 * trap flag would do it too, but not on all processors.
 */
#include "memory/guest_walk.h"
#include "rules/internal.h"

static void set_trap(struct vcpu *v, bool on)
{
	u64 rflags = v->backend->get_reg(v, HW_RFLAGS) & ~ARCH_RFLAGS_TF;

	v->backend->set_reg(v, HW_RFLAGS, rflags | (on ? ARCH_RFLAGS_TF : 0));
}

/* STI and MOV SS would hold the trap back; what they block ends with this instruction anyway. */
void step_end_blocking(struct vcpu *v)
{
	v->backend->set_reg(v, HW_BLOCKED, 0);
}

void rules_once(struct vcpu *v)
{
	struct vcpu_rules *e = v->rules;
	struct where where;

	v->backend->where(v, &where);
	v->ruling.holding = true;
	e->step_tf = where.rflags & ARCH_RFLAGS_TF;
	e->step_bs = v->guest.dr6 & ARCH_DR6_BS;
	e->lift = LIFT_STEP;
	rules_apply(v);
	step_end_blocking(v);
	set_trap(v, true);
}

/* What PUSHF has pushed is the guest's flags, without our TF. */
static void clean_pushed_flags(struct vcpu *v)
{
	struct guest_walk_result result;
	struct where where;
	u64 linear;
	u8 byte;

	v->backend->where(v, &where);
	linear = v->page->regs[FERMATA_RSP] + 1;
	if (where.mode != FERMATA_MODE_LONG)
		linear = (u32)(linear + v->backend->get_reg(v, HW_SS_BASE));
	where.paging.ac = true;
	if (guest_walk(&v->vm->memory, &where.paging, linear, GUEST_WALK_PEEK, &result) ||
	    result.fault || guest_memory_read(&v->vm->memory, result.gpa, &byte, 1))
		return;
	byte &= ~(ARCH_RFLAGS_TF >> 8);
	guest_memory_write(&v->vm->memory, result.gpa, &byte, 1);
}

void step_end(struct vcpu *v, bool done)
{
	struct vcpu_rules *e = v->rules;

	v->ruling.holding = false;
	e->lift = LIFT_NONE;
	rules_apply(v);
	if (!done || !e->watch.loads_flags) /* what it has loaded stays */
		set_trap(v, e->step_tf);
	e->watch.loads_flags = false;
	if (!e->watch.stepping)
		return;
	if (done && e->watch.pushed_flags && !e->step_tf)
		clean_pushed_flags(v);
	e->watch.seen_count = 0;
	watch_close(v);
}

void step_stop(struct vcpu *v)
{
	if (v->ruling.holding)
		step_end(v, false);
	v->rules->watch.seen_count = 0;
	v->ruling.opening = false;
}
