/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which frames rules are about.
 */
#include "core/vcpu.h"
#include "core/watch.h"

static bool has(const struct fermata_rule *spec, u32 filter)
{
	return spec->filters & BIT(filter);
}

static u32 access_of(u32 event)
{
	return event == FERMATA_ON_READ	 ? RADIX_READ :
	       event == FERMATA_ON_WRITE ? RADIX_WRITE :
					   RADIX_EXEC;
}

static void add_rules(struct watches *watches, const struct rule_table *table)
{
	for (u32 i = 0; table && i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;
		const struct fermata_range *range = &spec->range[FERMATA_FILTER_GPA];

		if (watch_event(spec->event) && has(spec, FERMATA_FILTER_GPA))
			watches_add(watches, range->first >> 12, range->last >> 12,
				    access_of(spec->event));
	}
}

/*
 * The lock keeps two from publishing what they have seen in the wrong order; the table cannot go
 * meanwhile, since who replaces it waits for its readers, and comes here after it.
 */
int watch_update(struct vm *vm)
{
	struct watches *next = watches_new(FERMATA_MAX_RULES);
	const struct watches *old = next;
	const struct rule_table *table;
	struct flush owed = { 0 };

	if (!next)
		return -ENOMEM;
	host_lock(&vm->events.lock);
	host_read_begin();
	table = READ_ONCE(vm->events.table);
	add_rules(next, table);
	host_read_end();
	if (!watches_same(next, vm->memory.watches)) {
		if (next->count) {
			old = guest_memory_watch(&vm->memory, next, &owed);
		} else {
			old = guest_memory_watch(&vm->memory, NULL, &owed);
			host_free(next);
		}
	}
	host_unlock(&vm->events.lock);
	vm_flush(vm, &owed, FERMATA_CAUSE_WATCH);
	host_free((void *)old);
	return 0;
}

void watch_destroy(struct vm *vm)
{
	host_free((void *)vm->memory.watches);
	vm->memory.watches = NULL;
}
