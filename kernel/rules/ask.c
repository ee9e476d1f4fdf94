// SPDX-License-Identifier: MIT OR GPL-2.0
/* What the rules say of an exit: which match, what they want, and the record for the log. */
#include "rules/internal.h"
#include "core/report.h"
#include "core/time.h"

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
	for (u32 left = spec->filters; left; left &= left - 1) {
		u32 filter = __builtin_ctz(left);
		const struct fermata_range *range = &spec->range[filter];
		bool memory = filter == FERMATA_FILTER_GPA || filter == FERMATA_FILTER_GVA;

		if (scene->size && memory ? !touches(scene, filter, range) :
					    !within(range, looked_at(v, scene, filter)))
			return false;
	}
	return true;
}

/* Of all vCPUs together; no two of them see the same number. */
static bool counts(struct rule *rule)
{
	u64 every = max(rule->spec.every, (u64)1), first = rule->spec.first;
	u64 n = host_add(&rule->matches, 1);

	if (n % every || (first && n / every > first))
		return false;
	host_add(&rule->hits, 1);
	return true;
}

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
	if (spec->actions & DECIDES && !scene->actions) {
		scene->actions = spec->actions;
		scene->decision = *spec;
	}
}

/* Those of both events, in the order of their ids; after a stop, those behind the one that stopped. */
static void ask_all(struct vcpu *v, struct scene *scene)
{
	struct vcpu_rules *e = v->rules;
	const struct rule_table *table;
	u32 passed = 0;
	u64 left;

	if (e->passing && e->pass_rip == v->exit.rip) {
		passed = e->pass_rule;
		e->passing = false;
	}
	host_read_begin();
	table = READ_ONCE(v->vm->rules->table);
	left = table ? table->by_event[scene->event] | table->by_event[scene->second] : 0;
	for (; left; left &= left - 1) {
		struct rule *rule = table->rule[__builtin_ctzll(left)];

		if (rule->spec.id <= passed)
			continue;
		ask(v, scene, rule);
		if (scene->actions & FERMATA_DO_STOP)
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

	for (u32 i = 0; i < 6; i++)
		record->regs[i] = v->page->regs[order[i]];
}

static void remember(struct vcpu *v, struct scene *scene)
{
	struct aftermath *after = &v->rules->after;
	struct fermata_record *record = &after->record;
	const struct fermata_rule *decision = &scene->decision;
	struct guest_clock clock;

	after->log = scene->log;
	after->result = scene->result;
	after->width = scene->width;
	after->memory = scene->event == FERMATA_ON_WRITE && scene->size <= 8 ? scene->size : 0;
	after->sets = scene->actions ? decision->sets : 0;
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
	record->guest_ns = clock_ns(&clock, vm_time(v->vm, &clock));
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
	struct aftermath *after = &v->rules->after;
	struct fermata_record *record = &after->record;
	struct where where;

	after->due = false;
	if (flags & (FERMATA_RECORD_FAULTED | FERMATA_RECORD_INJECTED | FERMATA_RECORD_STOPPED)) {
		after->sets = 0;
		record->vector = v->waiting.injection.vector;
	} else if (after->log && after->memory) {
		guest_memory_read(&v->vm->memory, record->number, &record->value, after->memory);
	} else if (after->log && after->result != RESULT_NONE) {
		record->value = result_of(v, after);
		if (after->sets)
			record->old = record->value;
	}
	if (after->sets) {
		v->backend->where(v, &where); /* which brings RSP into the page */
		for (u32 i = 0; i < after->sets; i++)
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
	ring_put(v->rules, record);
}

void rules_finish_later(struct vcpu *v)
{
	v->rules->after.due = true;
	host_set_bit(REQUEST_AFTER, &v->requests);
}

/* ---- what becomes of the instruction */

static enum verdict stop(struct vcpu *v, const struct scene *scene)
{
	struct fermata_exit_stop *out = &v->page->exit.stop;
	struct vcpu_rules *e = v->rules;

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
	if (arch_takes_code(decision->vector))
		vcpu_raise_code(v, decision->vector, decision->code);
	else
		vcpu_raise(v, decision->vector);
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

bool rules_decide(struct vcpu *v, const struct scene *scene, enum verdict *verdict)
{
	if (scene->actions & FERMATA_DO_STOP)
		*verdict = stop(v, scene);
	else if (scene->actions & FERMATA_DO_INJECT)
		*verdict = inject(v, &scene->decision);
	else if (scene->actions & FERMATA_DO_SKIP)
		*verdict = skip(v);
	else
		return false;
	return true;
}

void rules_ask(struct vcpu *v, struct scene *scene)
{
	ask_all(v, scene);
	remember(v, scene);
}

/* Of several accesses of one instruction: the first that is owed something keeps it; the others are done. */
static void remember_memory(struct vcpu *v, struct scene *scene)
{
	struct aftermath *after = &v->rules->after, kept = *after;

	remember(v, scene);
	if (!kept.due)
		return;
	if (after->log)
		rules_finish(v, 0);
	*after = kept;
}

bool rules_memory(struct vcpu *v, struct scene *scene, enum verdict *verdict)
{
	bool decided;

	ask_all(v, scene);
	if (v->waiting.valid) /* no instruction's, but an event's on its way in */
		scene->actions = 0;
	if (!v->exit.length)
		scene->actions &= ~FERMATA_DO_SKIP;
	decided = scene->actions & (FERMATA_DO_STOP | FERMATA_DO_INJECT | FERMATA_DO_SKIP);
	if (decided)
		step_stop(v);
	remember_memory(v, scene);
	if (decided)
		return rules_decide(v, scene, verdict);
	if (v->waiting.valid)
		rules_finish(v, 0);
	else
		rules_finish_later(v);
	return false;
}
