// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * An exit that rules may be about: what it is, which rules match, what they want, and then the
 * instruction: carried out as without rules, or not.
 */
#include "rules/internal.h"
#include "core/control.h"
#include "core/instruction.h"
#include "core/msr.h"
#include "core/report.h"
#include "core/time.h"

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

	switch (number) {
	case 0:
		return v->guest.cr0;
	case 3:
		v->backend->where(v, &where);
		return where.paging.cr3;
	case 4:
		return v->guest.cr4;
	case 8:
		return apic_tpr(&v->apic);
	}
	return 0;
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

static u64 pair(const struct vcpu *v)
{
	const u64 *regs = v->page->regs;

	return (u32)regs[FERMATA_RAX] | regs[FERMATA_RDX] << 32;
}

/* What a kind of exit says to rules: see core/exit_kinds.h. */
enum {
	NUMBER_NONE,
	NUMBER_EAX,
	NUMBER_ECX,
	NUMBER_RAX,
	NUMBER_MOV,
	NUMBER_PORT,
	NUMBER_VECTOR,
	NUMBER_LINEAR
};
enum { RESULT_MOV = FERMATA_REGS, RESULT_RANDOM, RESULT_IN };

static const struct {
	u64 events;
	u8 number, result;
} told[EXIT_KINDS] = {
#define EXIT(kind, handler, instruction, number, result, events)                                   \
	[EXIT_##kind] = { events, NUMBER_##number, RESULT_##result },
#include "core/exit_kinds.h"
};

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

/* ---- which rules match */

static const struct where *whereabouts(struct vcpu *v, struct scene *scene)
{
	if (!scene->where_known)
		v->backend->where(v, &scene->where);
	scene->where_known = true;
	return &scene->where;
}

static u64 looked_at(struct vcpu *v, struct scene *scene, u32 filter)
{
	switch (filter) {
	case FERMATA_FILTER_NUMBER:
		return scene->number;
	case FERMATA_FILTER_VALUE:
	case FERMATA_FILTER_GVA:
		return scene->value;
	case FERMATA_FILTER_CPL:
		return whereabouts(v, scene)->paging.cpl;
	case FERMATA_FILTER_CR3:
		return whereabouts(v, scene)->paging.cr3 & ~0xfffull;
	case FERMATA_FILTER_RIP:
		return v->exit.rip;
	}
	return 0;
}

/* A byte of the access lies there. */
static bool touches(const struct scene *scene, u32 filter, const struct fermata_range *range)
{
	u64 first = filter == FERMATA_FILTER_GPA ? scene->number : scene->linear;

	if (filter == FERMATA_FILTER_GVA && first == ~0ull)
		return false;
	return first <= range->last && first + (scene->size - 1) >= range->first;
}

static bool matches(struct vcpu *v, struct scene *scene, const struct fermata_rule *spec)
{
	u32 left;

	for (left = spec->filters; left; left &= left - 1) {
		u32 filter = __builtin_ctz(left);
		u64 value;

		if (scene->size && (filter == FERMATA_FILTER_GPA || filter == FERMATA_FILTER_GVA)) {
			if (!touches(scene, filter, &spec->range[filter]))
				return false;
			continue;
		}
		value = looked_at(v, scene, filter);

		if (value < spec->range[filter].first || value > spec->range[filter].last)
			return false;
	}
	return true;
}

/* Of all vCPUs together; no two of them see the same number. */
static bool counts(struct rule *rule)
{
	const struct fermata_rule *spec = &rule->spec;
	u64 n = host_add(&rule->matches, 1);

	if (spec->every > 1) {
		if (n % spec->every)
			return false;
		n /= spec->every;
	}
	if (spec->first && n > spec->first)
		return false;
	host_add(&rule->hits, 1);
	return true;
}

#define DECIDES (FERMATA_DO_STOP | FERMATA_DO_SKIP | FERMATA_DO_SET | FERMATA_DO_INJECT)

static void ask(struct vcpu *v, struct scene *scene, struct rule *rule)
{
	const struct fermata_rule *spec = &rule->spec;

	if (!matches(v, scene, spec) || !counts(rule))
		return;
	if (spec->actions & FERMATA_DO_LOG && !scene->log) {
		scene->log = true;
		scene->log_rule = spec->id;
		scene->log_event = spec->event;
	}
	if (spec->actions & DECIDES && !scene->decided) {
		scene->decided = true;
		scene->decision = *spec;
	}
}

/* Those of both events, in the order of their ids; after a stop, those behind the one that stopped. */
static void ask_all(struct vcpu *v, struct scene *scene)
{
	struct vcpu_rules *e = &v->rules;
	const struct rule_table *table;
	u32 passed = 0;
	u64 left;

	if (e->passing && e->pass_rip == v->exit.rip) {
		passed = e->pass_rule;
		e->passing = false;
	}
	host_read_begin();
	table = READ_ONCE(v->vm->rules.table);
	left = !table ? 0 :
			table->by_event[scene->event] | (scene->second < FERMATA_ON_EVENTS ?
								 table->by_event[scene->second] :
								 0);
	for (; left; left &= left - 1) {
		struct rule *rule = table->rule[__builtin_ctzll(left)];

		if (rule->spec.id <= passed)
			continue;
		ask(v, scene, rule);
		if (scene->decided && scene->decision.actions & FERMATA_DO_STOP)
			break;
	}
	host_read_end();
}

/* ---- the log, and what comes after the instruction */

static void snapshot(struct vcpu *v, struct fermata_record *record)
{
	static const u8 plain_order[6] = { FERMATA_RAX, FERMATA_RBX, FERMATA_RCX,
					   FERMATA_RDX, FERMATA_RSI, FERMATA_RDI };
	static const u8 call_order[6] = { FERMATA_RDI, FERMATA_RSI, FERMATA_RDX,
					  FERMATA_R10, FERMATA_R8,  FERMATA_R9 };
	const u8 *order = record->event == FERMATA_ON_SYSCALL ? call_order : plain_order;
	u32 i;

	for (i = 0; i < 6; i++)
		record->regs[i] = v->page->regs[order[i]];
}

static void remember(struct vcpu *v, struct scene *scene)
{
	struct aftermath *after = &v->rules.after;
	struct fermata_record *record = &after->record;
	const struct fermata_rule *decision = &scene->decision;
	struct guest_clock clock;
	u64 tsc;

	after->log = scene->log;
	after->result = scene->result;
	after->width = scene->width;
	after->memory = scene->event == FERMATA_ON_WRITE && scene->size <= 8 ? scene->size : 0;
	after->sets = scene->decided ? decision->sets : 0;
	if (after->sets) {
		memcpy(after->reg, decision->reg, sizeof(after->reg));
		memcpy(after->value, decision->value, sizeof(after->value));
	}
	if (!scene->log)
		return;
	memset(record, 0, sizeof(*record));
	record->rip = v->exit.rip;
	record->cr3 = whereabouts(v, scene)->paging.cr3;
	record->cpl = whereabouts(v, scene)->paging.cpl;
	record->number = scene->number;
	record->value = scene->value;
	record->old = scene->old;
	record->code = scene->code;
	record->linear = scene->linear;
	record->rule = scene->log_rule;
	record->vcpu = v->id;
	record->event = scene->log_event;
	record->hw_reason = v->exit.code;
	record->exit_tsc = v->exit.tsc;
	tsc = vm_time(v->vm, &clock);
	record->guest_ns = clock_ns(&clock, tsc);
}

static u64 result_of(const struct vcpu *v, const struct aftermath *after)
{
	if (after->result == RESULT_PAIR)
		return pair(v);
	if (after->result >= FERMATA_REGS)
		return after->record.value;
	return v->page->regs[after->result] & (~0ull >> (64 - 8 * after->width));
}

void rules_finish(struct vcpu *v, u8 flags)
{
	struct aftermath *after = &v->rules.after;
	struct fermata_record *record = &after->record;
	struct where where;
	u32 i;

	after->due = false;
	if (flags & (FERMATA_RECORD_FAULTED | FERMATA_RECORD_INJECTED | FERMATA_RECORD_STOPPED)) {
		after->sets = 0;
		record->vector = v->waiting.injection.vector;
	} else if (after->log && after->memory) {
		guest_memory_read(&v->vm->memory, record->number, &record->value, after->memory);
	} else if (after->log && after->result != RESULT_NONE) {
		u64 result = result_of(v, after);

		if (after->sets)
			record->old = result;
		record->value = result;
	}
	if (after->sets) {
		v->backend->where(v, &where); /* which brings RSP into the page */
		for (i = 0; i < after->sets; i++)
			v->page->regs[after->reg[i] & 15] = after->value[i];
		flags |= FERMATA_RECORD_SET;
		if (after->log && after->result != RESULT_NONE)
			record->value = result_of(v, after);
	}
	if (!after->log)
		return;
	snapshot(v, record);
	record->flags = flags;
	record->host_tsc = host_tsc();
	ring_put(&v->rules, record);
}

void rules_after(struct vcpu *v)
{
	host_clear_bit(REQUEST_AFTER, &v->requests);
	if (v->rules.after.due)
		rules_finish(v, 0);
}

static void finish_later(struct vcpu *v)
{
	v->rules.after.due = true;
	host_set_bit(REQUEST_AFTER, &v->requests);
}

/* ---- what becomes of the instruction */

static enum verdict stop(struct vcpu *v, const struct scene *scene)
{
	struct fermata_exit_stop *out = &v->page->exit.stop;
	struct vcpu_rules *e = &v->rules;

	e->passing = true;
	e->pass_rip = v->exit.rip;
	e->pass_rule = scene->decision.id;
	rules_finish(v, FERMATA_RECORD_STOPPED);
	exit_to_user(v, FERMATA_EXIT_STOPPED);
	out->rule = scene->decision.id;
	out->event = scene->decision.event;
	out->number = scene->number;
	out->value = scene->value;
	out->old = scene->old;
	return LEAVE_FOR_USER;
}

static enum verdict inject(struct vcpu *v, const struct fermata_rule *decision)
{
	v->waiting.injection = (struct injection){ .kind = INJECT_EXCEPTION,
						   .vector = decision->vector,
						   .has_code = arch_takes_code(decision->vector) &&
							       v->guest.cr0 & ARCH_CR0_PE,
						   .code = decision->code };
	v->waiting.valid = true;
	rules_finish(v, FERMATA_RECORD_INJECTED);
	return GO_ON;
}

/* Traps point behind their instruction already, but for INT3's and INTO's. */
static enum verdict skip(struct vcpu *v)
{
	if (v->exit.kind != EXIT_EXCEPTION || v->exit.exception.vector != ARCH_DB)
		v->advance = v->exit.length;
	rules_finish(v, FERMATA_RECORD_SKIPPED);
	return GO_ON;
}

static enum verdict carry_out(struct vcpu *v, const struct scene *scene)
{
	enum verdict verdict;

	if (scene->event == FERMATA_ON_SYSCALL) {
		verdict = syscall_carry_out(v);
	} else if (exit_is_table(&v->exit) || (v->exit.kind == EXIT_INVPCID && !v->shadow)) {
		finish_later(v);
		step_begin(v);
		return GO_ON;
	} else {
		verdict = exit_answer(v);
	}
	if (v->waiting.valid && v->exit.kind != EXIT_EXCEPTION)
		rules_finish(v, FERMATA_RECORD_FAULTED);
	else if (verdict == LEAVE_FOR_USER)
		finish_later(v);
	else
		rules_finish(v, 0);
	return verdict;
}

/* Of several accesses of one instruction: the first that is owed something keeps it; the others are done. */
static void remember_memory(struct vcpu *v, struct scene *scene)
{
	struct aftermath *after = &v->rules.after, kept = *after;

	remember(v, scene);
	if (!kept.due)
		return;
	if (after->log)
		rules_finish(v, 0);
	*after = kept;
}

bool rules_memory(struct vcpu *v, struct scene *scene, enum verdict *verdict)
{
	u32 actions;

	ask_all(v, scene);
	actions = scene->decided ? scene->decision.actions : 0;
	actions &= FERMATA_DO_STOP | FERMATA_DO_INJECT | FERMATA_DO_SKIP;
	if (v->waiting.valid) { /* no instruction's, but an event's on its way in */
		scene->decided = false;
		actions = 0;
	}
	if (actions & FERMATA_DO_SKIP && !v->exit.length)
		actions = 0;
	if (actions)
		step_stop(v);
	remember_memory(v, scene);
	if (!actions) {
		if (v->waiting.valid)
			rules_finish(v, 0);
		else
			finish_later(v);
		return false;
	}
	*verdict = actions & FERMATA_DO_STOP   ? stop(v, scene) :
		   actions & FERMATA_DO_INJECT ? inject(v, &scene->decision) :
						 skip(v);
	return true;
}

enum verdict rules_memory_elsewhere(struct vcpu *v)
{
	enum verdict verdict = exit_answer(v);

	if (v->rules.after.due && v->waiting.valid)
		rules_finish(v, FERMATA_RECORD_FAULTED);
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

enum verdict rules_exit(struct vcpu *v)
{
	struct scene scene;

	if (v->rules.stepping)
		return step_exit(v);
	if (v->rules.watch.free && (!watch_free_ends(v) || !(v->ruled >> (v->exit.kind & 63) & 1)))
		return v->exit.kind == EXIT_NESTED_FAULT ? watch_fault(v) : exit_answer(v);
	if (v->exit.kind == EXIT_NESTED_FAULT)
		return watch_fault(v);
	if (is_sysret(v))
		return syscall_carry_out(v);
	if (!instruction_known(v))
		return GO_ON;
	if (!recognise(v, &scene))
		return exit_answer(v);
	ask_all(v, &scene);
	remember(v, &scene);
	if (event_interrupts_another(v)) {
		rules_finish(v, 0);
		return rules_deliver_again(v);
	}
	if (scene.decided && scene.decision.actions & FERMATA_DO_STOP)
		return stop(v, &scene);
	if (scene.decided && scene.decision.actions & FERMATA_DO_INJECT)
		return inject(v, &scene.decision);
	if (scene.decided && scene.decision.actions & FERMATA_DO_SKIP)
		return skip(v);
	return carry_out(v, &scene);
}
