// SPDX-License-Identifier: MIT OR GPL-2.0
/* What a vCPU makes of the table of rules: the exits that they are about, and what is to exit for them. */
#include "rules/internal.h"

/* What is to exit in spite of what is lifted. */
static struct wanted lifted(struct wanted w, u8 lift)
{
	if (lift == LIFT_EXCEPTIONS)
		w.exceptions = w.no_syscalls ? BIT(ARCH_UD) : 0;
	if (lift == LIFT_STEP)
		w = (struct wanted){ .exceptions = RULES_VECTORS,
				     .no_syscalls = w.no_syscalls,
				     .read_only_walks = w.read_only_walks };
	return w;
}

void rules_apply(struct vcpu *v)
{
	const struct rule_table *table;
	struct vcpu_rules *e = v->rules;
	struct wanted wanted = { 0 };
	bool before = v->ruling.wanted.read_only_walks;

	host_clear_bit(REQUEST_RULES, &v->requests);
	if (e->lift == LIFT_EXCEPTIONS)
		e->lift = LIFT_NONE;
	if (e->lift == LIFT_ARMED) { /* for this entry; at the next one we are here again */
		e->lift = LIFT_EXCEPTIONS;
		host_set_bit(REQUEST_RULES, &v->requests);
	}
	host_read_begin();
	table = READ_ONCE(v->vm->rules->table);
	v->ruled = v->ruling.holding || e->watch.free ? ~0ull : table ? table->kinds : 0;
	if (table)
		wanted = table->wanted;
	host_read_end();
	v->ruling.wanted = lifted(wanted, e->lift);
	v->dirty |= DIRTY_INTERCEPTS;
	if (wanted.read_only_walks != before)
		v->dirty |= DIRTY_ROOT;
	if (wanted.read_only_walks || before)
		host_set_bit(REQUEST_LINEAR, &v->requests);
}
