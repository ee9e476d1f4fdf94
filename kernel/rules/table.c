// SPDX-License-Identifier: MIT OR GPL-2.0
/* The table of rules: what may stand in it, and how it changes. */
#include "core/shadowing.h"
#include "rules/linear.h"

#define F(name) BIT(FERMATA_FILTER_##name)
#define F_ALWAYS (F(CPL) | F(CR3) | F(RIP))
#define ACTIONS                                                                                    \
	(FERMATA_DO_LOG | FERMATA_DO_STOP | FERMATA_DO_SKIP | FERMATA_DO_SET | FERMATA_DO_INJECT)

/* What besides F_ALWAYS the rules about an event may look at. lib/rule.c has the names of these. */
static const u32 filters[FERMATA_ON_EVENTS] = {
	[FERMATA_ON_RDPMC] = F(NUMBER),
	[FERMATA_ON_RDPRU] = F(NUMBER),
	[FERMATA_ON_CPUID] = F(NUMBER),
	[FERMATA_ON_RDMSR] = F(NUMBER),
	[FERMATA_ON_WRMSR] = F(NUMBER) | F(VALUE),
	[FERMATA_ON_IN] = F(NUMBER),
	[FERMATA_ON_OUT] = F(NUMBER) | F(VALUE),
	[FERMATA_ON_MOV_TO_CR] = F(NUMBER) | F(VALUE),
	[FERMATA_ON_MOV_FROM_CR] = F(NUMBER),
	[FERMATA_ON_MOV_TO_DR] = F(NUMBER) | F(VALUE),
	[FERMATA_ON_MOV_FROM_DR] = F(NUMBER),
	[FERMATA_ON_LMSW] = F(VALUE),
	[FERMATA_ON_INVLPG] = F(GVA),
	[FERMATA_ON_XSETBV] = F(NUMBER) | F(VALUE),
	[FERMATA_ON_EXCEPTION] = F(NUMBER) | F(GVA),
	[FERMATA_ON_HYPERCALL] = F(NUMBER),
	[FERMATA_ON_CR3_SWITCH] = F(VALUE),
	[FERMATA_ON_SYSCALL] = F(NUMBER),
	[FERMATA_ON_READ] = F(GPA) | F(GVA),
	[FERMATA_ON_WRITE] = F(GPA) | F(GVA),
	[FERMATA_ON_EXEC] = F(GPA) | F(GVA),
};

/* The kinds of exits by which an event comes. */
static u64 kinds_of(u32 event)
{
	static const u64 events_of[EXIT_KINDS] = {
#define EXIT(kind, handler, instruction, number, result, events) [EXIT_##kind] = events,
#include "core/exit_kinds.h"
	};
	u64 kinds = 0;

	for (u32 kind = 0; kind < EXIT_KINDS; kind++)
		if (events_of[kind] >> event & 1)
			kinds |= BIT_ULL(kind);
	return kinds;
}

/* ---- what may be a rule */

static bool ranges_valid(const struct fermata_rule *spec)
{
	u32 i;

	for (i = 0; i < FERMATA_FILTERS; i++) {
		const struct fermata_range *r = &spec->range[i];

		if (spec->filters & BIT(i) ? r->first > r->last : r->first || r->last)
			return false;
	}
	return true;
}

/* A fault that is dropped comes again at once; traps point behind their instruction, or can be stepped over. */
static bool can_skip(const struct fermata_rule *spec)
{
	const struct fermata_range *vector = &spec->range[FERMATA_FILTER_NUMBER];

	if (spec->event != FERMATA_ON_EXCEPTION)
		return true;
	if (!(spec->filters & F(NUMBER)))
		return false;
	return (vector->first == ARCH_DB && vector->last == ARCH_DB) ||
	       (vector->first >= ARCH_BP && vector->last <= ARCH_OF);
}

static bool actions_valid(const struct fermata_rule *spec)
{
	u32 actions = spec->actions, i;

	if (actions & ~ACTIONS)
		return false;
	if (actions & FERMATA_DO_STOP &&
	    actions & (FERMATA_DO_SKIP | FERMATA_DO_SET | FERMATA_DO_INJECT))
		return false;
	if (actions & FERMATA_DO_INJECT && actions & (FERMATA_DO_SKIP | FERMATA_DO_SET))
		return false;
	if (actions & FERMATA_DO_SKIP && !can_skip(spec))
		return false;
	if (actions & FERMATA_DO_INJECT ? !arch_is_exception(spec->vector) || spec->has_code > 1 :
					  spec->vector || spec->has_code)
		return false;
	if (spec->has_code ? !arch_takes_code(spec->vector) : spec->code)
		return false;
	if (actions & FERMATA_DO_SET ? !spec->sets || spec->sets > 4 : spec->sets != 0)
		return false;
	for (i = 0; i < 4; i++)
		if (i < spec->sets ? spec->reg[i] >= FERMATA_REGS : spec->reg[i] || spec->value[i])
			return false;
	return true;
}

static u64 linear_pages_of(const struct rule_table *table)
{
	u64 pages = 0;

	for (u32 i = 0; table && i < table->count; i++)
		if (linear_rule(&table->rule[i]->spec))
			pages += linear_pages(&table->rule[i]->spec);
	return pages;
}

static int check(const struct vm *vm, const struct fermata_rule *spec)
{
	const struct fermata_range *number = &spec->range[FERMATA_FILTER_NUMBER];
	u64 first = 0, last = ~0ull;

	if (spec->id || spec->reserved || spec->reserved2 || spec->hits || spec->matches ||
	    spec->event >= FERMATA_ON_EVENTS)
		return -EINVAL;
	if (spec->filters & ~(F_ALWAYS | filters[host_index(spec->event, (u32)FERMATA_ON_EVENTS)]) ||
	    !ranges_valid(spec) || !actions_valid(spec))
		return -EINVAL;
	if (watch_event(spec->event) && !(spec->filters & (F(GPA) | F(GVA))))
		return -EINVAL;
	if (linear_rule(spec) &&
	    linear_pages(spec) + linear_pages_of(vm->rules->table) > FERMATA_MAX_GVA_PAGES_ALL)
		return -E2BIG;
	if (linear_rule(spec) && linear_pages(spec) > FERMATA_MAX_GVA_PAGES)
		return -E2BIG;
	if (spec->filters & F(NUMBER)) {
		first = number->first;
		last = number->last;
	}
	if (spec->event == FERMATA_ON_EXCEPTION && first == last &&
	    (first > 31 || RULES_VECTORS_OURS >> first & 1))
		return -EINVAL;
	return vm->backend->can_intercept(spec->event, first, last);
}

/* ---- the table */

/* Which numbers below 64 such a rule is about, by bit. */
static u64 numbers(const struct fermata_rule *spec)
{
	const struct fermata_range *r = &spec->range[FERMATA_FILTER_NUMBER];

	if (!(spec->filters & F(NUMBER)))
		return ~0ull;
	return r->first > 63 ? 0 : ~0ull << r->first & ~0ull >> (63 - min(r->last, (u64)63));
}

static u64 direct_msrs(const struct vm *vm, const struct fermata_rule *spec)
{
	const struct fermata_range *r = &spec->range[FERMATA_FILTER_NUMBER];
	const u32 *msrs = vm->backend->direct_msrs;
	u64 bits = 0;

	for (u32 i = 0; msrs[i]; i++)
		if (!(spec->filters & F(NUMBER)) || (msrs[i] >= r->first && msrs[i] <= r->last))
			bits |= BIT_ULL(i);
	return bits;
}

static void want(const struct vm *vm, struct wanted *w, const struct fermata_rule *spec)
{
	static_assert(FERMATA_ON_EVENTS <= 64, "wanted.events has a bit for each");
	w->events |= BIT_ULL(spec->event);
	switch (spec->event) {
	case FERMATA_ON_RDTSC:
	case FERMATA_ON_RDTSCP:
		w->tsc = true;
		break;
	case FERMATA_ON_RDMSR:
		w->msr_read |= direct_msrs(vm, spec);
		break;
	case FERMATA_ON_WRMSR:
		w->msr_write |= direct_msrs(vm, spec);
		break;
	case FERMATA_ON_MOV_TO_CR:
		w->cr_write |= numbers(spec);
		break;
	case FERMATA_ON_MOV_FROM_CR:
		w->cr_read |= numbers(spec);
		break;
	case FERMATA_ON_MOV_TO_DR:
		w->dr_write |= numbers(spec);
		break;
	case FERMATA_ON_MOV_FROM_DR:
		w->dr_read |= numbers(spec);
		break;
	case FERMATA_ON_CLTS:
	case FERMATA_ON_LMSW:
		w->cr_write |= BIT(0);
		break;
	case FERMATA_ON_CR3_SWITCH:
		w->cr_write |= BIT(3);
		break;
	case FERMATA_ON_EXCEPTION:
		w->exceptions |= numbers(spec) & RULES_VECTORS;
		break;
	case FERMATA_ON_SYSCALL:
		w->exceptions |= BIT(ARCH_UD);
		w->no_syscalls = true;
		break;
	}
	if (linear_rule(spec)) { /* another address space closes other frames */
		w->cr_write |= BIT(3);
		w->read_only_walks = true;
	}
}

static void compile(const struct vm *vm, struct rule_table *table)
{
	u32 i;

	memset(table->by_event, 0, sizeof(table->by_event));
	memset(&table->wanted, 0, sizeof(table->wanted));
	table->kinds = 0;
	table->linear = 0;
	for (i = 0; i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;

		table->by_event[spec->event] |= BIT_ULL(i);
		table->kinds |= kinds_of(spec->event);
		table->linear += linear_rule(spec);
		want(vm, &table->wanted, spec);
	}
}

/* Every vCPU looks at the table anew before it runs the guest again. */
static void publish(struct vm *vm, struct rule_table *table)
{
	struct rule_table *old = vm->rules->table;

	if (table)
		compile(vm, table);
	host_full_barrier();
	WRITE_ONCE(vm->rules->table, table);
	host_read_synchronize();
	host_free(old);
	gather(vm, NULL, BIT(REQUEST_RULES), GATHER_WAKE);
}

int rules_add(struct vm *vm, struct fermata_rule *spec)
{
	const struct rule_table *old = vm->rules->table;
	struct rule_table *table;
	struct rule *rule;
	int err = check(vm, spec);

	if (err)
		return err;
	if (old && old->count == FERMATA_MAX_RULES)
		return -ENOSPC;
	if (linear_rule(spec) && vm->backend->set_paging) {
		err = shadowing_prepare(vm);
		if (err)
			return err;
	}
	table = host_alloc(sizeof(*table));
	rule = host_alloc(sizeof(*rule));
	if (!table || !rule) {
		host_free(table);
		host_free(rule);
		return -ENOMEM;
	}
	if (old)
		*table = *old;
	spec->id = ++vm->rules->last_id;
	rule->spec = *spec;
	table->rule[table->count++] = rule;
	publish(vm, table);
	if (linear_rule(spec)) { /* each vCPU closes what it needs before it runs the guest again */
		linear_edited(vm);
		gather(vm, NULL, 0, GATHER_LOOK);
		shadowing_switch(vm, true);
	}
	if (!watch_event(spec->event))
		return 0;
	err = watch_update(vm);
	if (err)
		rules_remove(vm, spec->id);
	return err;
}

int rules_remove(struct vm *vm, u32 id)
{
	const struct rule_table *old = vm->rules->table;
	struct rule_table *table = NULL;
	struct rule *gone;
	u32 at = 0, i;

	while (old && at < old->count && old->rule[at]->spec.id != id)
		at++;
	if (!old || at == old->count)
		return -ENOENT;
	gone = old->rule[at];
	if (old->count > 1) {
		table = host_alloc(sizeof(*table));
		if (!table)
			return -ENOMEM;
		for (i = 0; i < old->count; i++)
			if (i != at)
				table->rule[table->count++] = old->rule[i];
	}
	publish(vm, table);
	if (linear_rule(&gone->spec)) {
		linear_edited(vm);
		if (!table || !table->linear) {
			gather(vm, NULL, 0, GATHER_LOOK);
			shadowing_switch(vm, false);
		}
	}
	if (watch_event(gone->spec.event)) /* without memory for it pages stay closed for nothing */
		watch_update(vm);
	host_free(gone);
	return 0;
}

int rules_get(struct vm *vm, struct fermata_rule *spec)
{
	const struct rule_table *table = vm->rules->table;
	u32 i;

	for (i = 0; table && i < table->count; i++) {
		struct rule *rule = table->rule[i];

		if (rule->spec.id < spec->id)
			continue;
		*spec = rule->spec;
		spec->matches = READ_ONCE(rule->matches);
		spec->hits = READ_ONCE(rule->hits);
		return 0;
	}
	return -ENOENT;
}

void rules_free(struct vm *vm)
{
	struct rule_table *table = vm->rules->table;
	u32 i;

	for (i = 0; table && i < table->count; i++)
		host_free(table->rule[i]);
	host_free(table);
}
