/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From linear addresses to the frames that are closed for them: see internal.h.
 *
 * A translation is good when all it went through was closed, and nobody could write there any more,
 * before it was made. So it is made once outside of guest context, to see what is to be closed, and once
 * more in guest context, to see that it is; and so on until it is. Whoever opens a table for an instruction
 * requests the next one of all vCPUs before they may enter the guest again.
 */
#include "core/shadowing.h"
#include "rules/internal.h"

/* Tables that the host has swapped out, in a row. */
#define POPULATE_MAX 1024
#define NOWHERE (~0ull)

/* ---- what a vCPU needs closed */

static void need(struct vcpu_linear *l, u64 frame, u8 access, bool table)
{
	u32 i = 0;

	while (i < l->count && l->need[i].frame != frame)
		i++;
	if (i == NEEDS_MAX)
		return;
	if (i == l->count)
		l->need[l->count++] = (struct need){ .frame = frame };
	l->need[i].access |= access;
	l->need[i].table |= table;
}

static bool exists(const struct vcpu *v, u64 linear)
{
	if (!(v->guest.efer & ARCH_EFER_LMA))
		return !(linear >> 32);
	return arch_canonical(linear, v->guest.cr4 & ARCH_CR4_LA57 ? 57 : 48);
}

/* What a page leads to, and the tables on the way, to where it ends. -EFAULT: l->absent first. */
static int translate_page(struct vcpu *v, struct vcpu_linear *l, u64 linear, u8 access)
{
	struct guest_walk_path *path = &l->path;
	struct guest_walk_result result;
	int err;

	if (!exists(v, linear))
		return 0;
	for (u32 i = 0; i < ARRAY_SIZE(path->entry); i++)
		path->entry[i].gpa = NOWHERE;
	err = guest_walk_path(&v->vm->memory, &l->where.paging, linear, GUEST_WALK_PEEK, &result,
			      path);
	if (err == -EFAULT && result.gpa >> 12 != l->lost) {
		l->absent = result.gpa;
		return err;
	}
	for (u32 i = 0; i < ARRAY_SIZE(path->entry); i++)
		if (path->entry[i].gpa != NOWHERE)
			need(l, path->entry[i].gpa >> 12, RADIX_WRITE, true);
	if (!err && !result.fault)
		need(l, result.gpa >> 12, access, false);
	return 0;
}

/* What a rule needs closed, if it can match where the vCPU is. */
static int translate_rule(struct vcpu *v, struct vcpu_linear *l, const struct fermata_rule *spec)
{
	const struct fermata_range *gva = &spec->range[FERMATA_FILTER_GVA];
	u64 cr3 = l->where.paging.cr3 & ~0xfffull;
	int err = 0;

	if (!is_linear_rule(spec) || (spec->filters & BIT(FERMATA_FILTER_CR3) &&
				      !within(&spec->range[FERMATA_FILTER_CR3], cr3)))
		return 0;
	for (u64 page = gva->first >> 12; !err && page <= gva->last >> 12; page++)
		err = translate_page(v, l, page << 12, event_access(spec->event));
	return err;
}

static int translate(struct vcpu *v, struct vcpu_linear *l)
{
	const struct rule_table *table;
	int err = 0;

	v->backend->where(v, &l->where);
	/* Where it leads, not who may go there. */
	l->where.paging.cpl = 0;
	l->where.paging.ac = true;
	l->count = 0;
	host_read_begin();
	table = READ_ONCE(v->vm->rules->table);
	for (u32 i = 0; table && !err && i < table->count; i++)
		err = translate_rule(v, l, &table->rule[i]->spec);
	host_read_end();
	return err;
}

/* ---- when they are asked for */

bool linear_requested(struct vcpu *v)
{
	struct vcpu_linear *l = v->rules->linear_state;
	u64 edits;

	host_clear_bit(REQUEST_LINEAR, &v->requests);
	if (!l && !v->ruling.wanted.read_only_walks)
		return true;
	host_full_barrier(); /* what was edited before the request that was cleared is seen by the walks */
	edits = READ_ONCE(v->vm->rules->edits);
	if (l && !shadowing_unsuited(v) && !translate(v, l) && frames_take(v, l, edits))
		return true;
	host_set_bit(REQUEST_LINEAR, &v->requests);
	return false;
}

/* ---- outside of guest context */

int linear_outside(struct vcpu *v)
{
	struct vcpu_linear *l = v->rules->linear_state;
	int err = shadowing_unsuited(v) ? shadowing_change_over(v) : 0;

	if (err || shadowing_unsuited(v)) /* not yet: again */
		return err;
	if (!l) {
		l = v->rules->linear_state = host_alloc(sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->edits = ~0ull;
	}
	l->lost = NOWHERE;
	for (u32 tries = 0; tries < POPULATE_MAX; tries++) {
		err = translate(v, l);
		if (!err)
			break;
		err = guest_memory_populate(&v->vm->memory, l->absent, false);
		if (err == -ENOMEM || err == -EINTR)
			return err;
		if (err)
			l->lost = l->absent >> 12;
	}
	return err ? 0 : frames_update(v->vm, v);
}

/* ---- what makes a translation old */

void linear_edited(struct vm *vm)
{
	host_add(&vm->rules->edits, 1);
	gather(vm, NULL, BIT(REQUEST_LINEAR), GATHER_POST);
}
