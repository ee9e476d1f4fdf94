/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which frames rules are about.
 */
#include "core/vcpu.h"
#include "rules/memory.h"
#include "rules/linear.h"

static bool has(const struct fermata_rule *spec, u32 filter)
{
	return spec->filters & BIT(filter);
}

static void add_rules(struct closed *closed, const struct rule_table *table)
{
	for (u32 i = 0; table && i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;
		const struct fermata_range *range = &spec->range[FERMATA_FILTER_GPA];

		if (watch_event(spec->event) && has(spec, FERMATA_FILTER_GPA))
			closed_add(closed, range->first >> 12, range->last >> 12,
				   watch_access(spec->event));
	}
}

/* Room for what stays closed and for what v needs besides, and the lock. False: no memory, and no lock. */
static bool make_room(struct vm *vm, struct vcpu *v, struct closed **closed,
		      struct linear_frames **frames)
{
	for (;;) {
		u32 room = READ_ONCE(vm->rules.frame_count) + linear_needs(v);
		bool enough;

		*closed = closed_new(FERMATA_MAX_RULES, room);
		*frames = host_alloc(sizeof(**frames) + room * sizeof((*frames)->at[0]));
		enough = *closed && *frames;
		if (enough) {
			host_lock(&vm->rules.lock);
			if (vm->rules.frame_count + linear_needs(v) <= room)
				return true;
			host_unlock(&vm->rules.lock);
		}
		host_free(*frames);
		host_free(*closed);
		if (!enough)
			return false;
	}
}

/* Under the lock. Answers what is not in use any more. */
static struct linear_frames *replace_frames(struct vm *vm, struct vcpu *v,
					    const struct rule_table *table,
					    struct linear_frames *next)
{
	struct vm_rules *e = &vm->rules;

	if (v)
		next = linear_merge(vm, v, next);
	else if (e->frames && (!table || !table->linear))
		e->frames->count = 0;
	WRITE_ONCE(e->frame_count, e->frames ? e->frames->count : 0);
	return next;
}

/*
 * The lock keeps two from publishing what they have seen in the wrong order; the table cannot go
 * meanwhile, since who replaces it waits for its readers, and comes here after it. For vCPUs one closes at
 * a time, and after its flush all that is closed is in force; others find it under way, and come again.
 */
static int update(struct vm *vm, struct vcpu *v)
{
	struct vm_rules *e = &vm->rules;
	const struct closed *old = NULL;
	struct linear_frames *frames;
	struct flush owed = { 0 };
	struct closed *next;
	bool busy;

	if (!make_room(vm, v, &next, &frames))
		return -ENOMEM;
	busy = v && e->closing;
	if (!busy) {
		const struct rule_table *table;

		host_read_begin();
		table = READ_ONCE(e->table);
		add_rules(next, table);
		frames = replace_frames(vm, v, table, frames);
		host_read_end();
		linear_add_closed(vm, next);
		e->closing |= !!v;
		if (!closed_same(next, vm->memory.closed)) {
			bool any = next->count || next->frames;

			old = guest_memory_set_closed(&vm->memory, any ? next : NULL, &owed);
			next = any ? NULL : next;
		}
	}
	host_unlock(&e->lock);
	vm_flush(vm, &owed, FERMATA_CAUSE_WATCH);
	if (v && !busy)
		linear_settled(vm);
	host_free((void *)old);
	host_free(next);
	host_free(frames);
	return 0;
}

int watch_update_for(struct vm *vm, struct vcpu *v)
{
	return update(vm, v);
}

int watch_update(struct vm *vm)
{
	return update(vm, NULL);
}

void watch_destroy(struct vm *vm)
{
	host_free((void *)vm->memory.closed);
	host_free(vm->rules.frames);
	vm->memory.closed = NULL;
	vm->rules.frames = NULL;
}
