// SPDX-License-Identifier: MIT OR GPL-2.0
/* The table of rules: what may stand in it, and how it changes. */
#include "core/shadowing.h"
#include "rules/internal.h"

#define F(name) BIT(FERMATA_FILTER_##name)
#define F_ALWAYS (F(CPL) | F(CR3) | F(RIP))

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

/* ---- what may be a rule */

static bool ranges_valid(const struct fermata_rule *spec)
{
	for (u32 i = 0; i < FERMATA_FILTERS; i++) {
		const struct fermata_range *r = &spec->range[i];

		if (spec->filters & BIT(i) ? r->first > r->last : r->first || r->last)
			return false;
	}
	return true;
}

/* Which numbers it is about. */
static const struct fermata_range *numbers(const struct fermata_rule *spec)
{
	static const struct fermata_range all = { .last = ~0ull };

	return spec->filters & F(NUMBER) ? &spec->range[FERMATA_FILTER_NUMBER] : &all;
}

/* A fault that is dropped comes again at once; traps point behind their instruction, or can be stepped over. */
static bool can_skip(const struct fermata_rule *spec)
{
	const struct fermata_range *vector = numbers(spec);

	return spec->event != FERMATA_ON_EXCEPTION ||
	       (vector->first == ARCH_DB && vector->last == ARCH_DB) ||
	       (vector->first >= ARCH_BP && vector->last <= ARCH_OF);
}

static bool actions_valid(const struct fermata_rule *spec)
{
	u32 actions = spec->actions;

	if (actions & ~(FERMATA_DO_LOG | DECIDES))
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
	for (u32 i = 0; i < 4; i++)
		if (i < spec->sets ? spec->reg[i] >= FERMATA_REGS : spec->reg[i] || spec->value[i])
			return false;
	return true;
}

/* Of a rule about linear addresses alone: how many pages its range lies in. Else 0. */
static u64 linear_pages(const struct fermata_rule *spec)
{
	const struct fermata_range *range = &spec->range[FERMATA_FILTER_GVA];

	return is_linear_rule(spec) ? (range->last >> 12) - (range->first >> 12) + 1 : 0;
}

static int check(const struct vm *vm, const struct fermata_rule *spec)
{
	const struct fermata_range *number = numbers(spec);
	const struct rule_table *table = vm->rules->table;
	u64 pages;

	if (spec->id || spec->reserved || spec->reserved2 || spec->hits || spec->matches ||
	    spec->event >= FERMATA_ON_EVENTS)
		return -EINVAL;
	if (spec->filters & ~(F_ALWAYS | filters[host_index(spec->event, (u32)FERMATA_ON_EVENTS)]) ||
	    !ranges_valid(spec) || !actions_valid(spec))
		return -EINVAL;
	if (is_memory_event(spec->event) && !(spec->filters & (F(GPA) | F(GVA))))
		return -EINVAL;
	pages = linear_pages(spec);
	if (pages > FERMATA_MAX_GVA_PAGES ||
	    pages + (table ? table->linear_pages : 0) > FERMATA_MAX_GVA_PAGES_ALL)
		return -E2BIG;
	if (spec->event == FERMATA_ON_EXCEPTION && number->first == number->last &&
	    (number->first > 31 || RULES_VECTORS_OURS >> number->first & 1))
		return -EINVAL;
	return vm->backend->can_intercept(spec->event, number->first, number->last);
}

/* ---- the table */

/* Those of its numbers that are below 64, by bit. */
static u64 number_bits(const struct fermata_rule *spec)
{
	const struct fermata_range *r = numbers(spec);

	return r->first > 63 ? 0 : ~0ull << r->first & ~0ull >> (63 - min(r->last, (u64)63));
}

static u64 direct_msrs(const struct vm *vm, const struct fermata_rule *spec)
{
	const u32 *msrs = vm->backend->direct_msrs;
	u64 bits = 0;

	for (u32 i = 0; msrs[i]; i++)
		if (within(numbers(spec), msrs[i]))
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
		w->cr_write |= number_bits(spec);
		break;
	case FERMATA_ON_MOV_FROM_CR:
		w->cr_read |= number_bits(spec);
		break;
	case FERMATA_ON_MOV_TO_DR:
		w->dr_write |= number_bits(spec);
		break;
	case FERMATA_ON_MOV_FROM_DR:
		w->dr_read |= number_bits(spec);
		break;
	case FERMATA_ON_CLTS:
	case FERMATA_ON_LMSW:
		w->cr_write |= BIT(0);
		break;
	case FERMATA_ON_CR3_SWITCH:
		w->cr_write |= BIT(3);
		break;
	case FERMATA_ON_EXCEPTION:
		w->exceptions |= number_bits(spec) & RULES_VECTORS;
		break;
	case FERMATA_ON_SYSCALL:
		w->exceptions |= BIT(ARCH_UD);
		w->no_syscalls = true;
		break;
	}
	if (is_linear_rule(spec)) { /* another address space closes other frames */
		w->cr_write |= BIT(3);
		w->read_only_walks = true;
	}
}

static void compile(const struct vm *vm, struct rule_table *table)
{
	for (u32 i = 0; i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;

		table->by_event[spec->event] |= BIT_ULL(i);
		table->linear_pages += linear_pages(spec);
		want(vm, &table->wanted, spec);
	}
	table->kinds = exit_kinds_of(table->wanted.events);
}

/* A table with the same rules, but one. Not compiled. */
static struct rule_table *copy_without(const struct rule_table *old, const struct rule *gone)
{
	struct rule_table *table = host_alloc(sizeof(*table));

	for (u32 i = 0; table && old && i < old->count; i++)
		if (old->rule[i] != gone)
			table->rule[table->count++] = old->rule[i];
	return table;
}

/*
 * Every vCPU looks at the table anew before it runs the guest again, and what is closed for the rule that is
 * new or gone is as the table says.
 */
static int publish(struct vm *vm, struct rule_table *table, const struct fermata_rule *changed)
{
	struct rule_table *old = vm->rules->table;

	if (table)
		compile(vm, table);
	host_full_barrier();
	WRITE_ONCE(vm->rules->table, table);
	host_read_synchronize();
	host_free(old);
	gather(vm, NULL, BIT(REQUEST_RULES), GATHER_WAKE);
	if (is_linear_rule(changed)) { /* each vCPU closes what it needs */
		linear_edited(vm);
		gather(vm, NULL, 0, GATHER_LOOK);
		shadowing_switch(vm, table && table->linear_pages);
	}
	return is_memory_event(changed->event) ? frames_update(vm, NULL) : 0;
}

/* The first one whose id is this or greater. */
static struct rule *rule_from(const struct rule_table *table, u32 id)
{
	for (u32 i = 0; table && i < table->count; i++)
		if (table->rule[i]->spec.id >= id)
			return table->rule[i];
	return NULL;
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
	if (is_linear_rule(spec) && vm->backend->set_paging)
		err = shadowing_prepare(vm);
	if (err)
		return err;
	table = copy_without(old, NULL);
	rule = host_alloc(sizeof(*rule));
	if (!table || !rule) {
		host_free(table);
		host_free(rule);
		return -ENOMEM;
	}
	spec->id = ++vm->rules->last_id;
	rule->spec = *spec;
	table->rule[table->count++] = rule;
	err = publish(vm, table, spec);
	if (err)
		rules_remove(vm, spec->id);
	return err;
}

int rules_remove(struct vm *vm, u32 id)
{
	const struct rule_table *old = vm->rules->table;
	struct rule *gone = rule_from(old, id);
	struct rule_table *table = NULL;

	if (!gone || gone->spec.id != id)
		return -ENOENT;
	if (old->count > 1) {
		table = copy_without(old, gone);
		if (!table)
			return -ENOMEM;
	}
	publish(vm, table, &gone->spec); /* without memory for it pages stay closed for nothing */
	host_free(gone);
	return 0;
}

int rules_get(struct vm *vm, struct fermata_rule *spec)
{
	struct rule *rule = rule_from(vm->rules->table, spec->id);

	if (!rule)
		return -ENOENT;
	*spec = rule->spec;
	spec->matches = READ_ONCE(rule->matches);
	spec->hits = READ_ONCE(rule->hits);
	return 0;
}

void rules_free(struct vm *vm)
{
	struct rule_table *table = vm->rules->table;

	for (u32 i = 0; table && i < table->count; i++)
		host_free(table->rule[i]);
	host_free(table);
}
