/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * From linear addresses to the frames that are closed for them: see watch_linear.h.
 *
 * A translation is good when all it went through was closed, and nobody could write there any more,
 * before it was made. So it is made once outside of guest context, to see what is to be closed, and once
 * more in guest context, to see that it is; and so on until it is. Whoever opens a table for an instruction
 * requests the next one of all vCPUs before they may enter the guest again.
 */
#include "core/exits.h"
#include "core/shadowing.h"
#include "rules/memory.h"

/* Pages of all rules together, a table each on every level, and a root. */
#define NEEDS_MAX (FERMATA_MAX_GVA_PAGES_ALL * RADIX_LEVELS_MAX + 1)
/* Frames that no vCPU needs now stay closed until there are so many: threads come back to their CR3. */
#define IDLE_MAX 64
/* Tables that the host has swapped out, in a row. */
#define POPULATE_MAX 1024
#define NOWHERE (~0ull)

struct need {
	u64 frame;
	u8 access;
	bool table;
};

struct vcpu_linear {
	u64 edits;  /* vm->rules.edits as of the last translation that was good */
	u64 absent; /* guest-physical: of a table whose host page is not present */
	u64 lost;   /* ... and cannot be had */
	u32 ranges, count;
	struct {
		u64 first, last;
		u8 access;
	} range[FERMATA_MAX_RULES];
	struct need need[NEEDS_MAX];
	struct where where;
	struct guest_walk_path path;
};

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

/* Those that can match where the vCPU is. */
static void collect(struct vcpu *v, struct vcpu_linear *l)
{
	u64 cr3 = l->where.paging.cr3 & ~0xfffull;
	const struct rule_table *table;

	l->ranges = 0;
	host_read_begin();
	table = READ_ONCE(v->vm->rules.table);
	for (u32 i = 0; table && i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;
		const struct fermata_range *gva = &spec->range[FERMATA_FILTER_GVA];
		const struct fermata_range *space = &spec->range[FERMATA_FILTER_CR3];

		if (!linear_rule(spec) || (spec->filters & BIT(FERMATA_FILTER_CR3) &&
					   (cr3 < space->first || cr3 > space->last)))
			continue;
		l->range[l->ranges].first = gva->first >> 12;
		l->range[l->ranges].last = gva->last >> 12;
		l->range[l->ranges++].access = watch_access(spec->event);
	}
	host_read_end();
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

static int translate(struct vcpu *v, struct vcpu_linear *l)
{
	v->backend->where(v, &l->where);
	/* Where it leads, not who may go there. */
	l->where.paging.cpl = 0;
	l->where.paging.ac = true;
	l->count = 0;
	collect(v, l);
	for (u32 i = 0; i < l->ranges; i++) {
		for (u64 page = l->range[i].first; page <= l->range[i].last; page++) {
			int err = translate_page(v, l, page << 12, l->range[i].access);

			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- what is closed for all of them, under events.lock */

static struct linear_frame *find(struct linear_frames *frames, u64 frame)
{
	u32 low = 0, high = frames ? frames->count : 0;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (frames->at[middle].frame == frame)
			return &frames->at[middle];
		if (frames->at[middle].frame < frame)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static u8 needed(const struct linear_frame *f)
{
	u8 access = 0;

	for (u32 i = 0; i < ARRAY_SIZE(f->users); i++)
		if (f->users[i])
			access |= BIT(i);
	return access;
}

static void use(struct linear_frame *f, u32 id, u8 access)
{
	for (u32 i = 0; i < ARRAY_SIZE(f->users); i++) {
		f->users[i] &= ~BIT_ULL(id);
		if (access & BIT(i))
			f->users[i] |= BIT_ULL(id);
	}
}

static bool covered(struct linear_frames *frames, const struct vcpu_linear *l)
{
	for (u32 i = 0; i < l->count; i++) {
		const struct linear_frame *f = find(frames, l->need[i].frame);

		if (!f || l->need[i].access & ~f->settled || l->need[i].table > f->table)
			return false;
	}
	return true;
}

/* In guest context: is all closed that the vCPU needs, and nothing that nobody needs any more? */
static bool take(struct vcpu *v, struct vcpu_linear *l, u64 edits)
{
	struct vm_rules *e = &v->vm->rules;
	struct linear_frames *frames;
	bool good, idle = false;

	host_lock(&e->lock);
	frames = e->frames;
	good = covered(frames, l);
	for (u32 i = 0; good && frames && i < frames->count; i++)
		use(&frames->at[i], v->id, 0);
	for (u32 i = 0; good && i < l->count; i++)
		use(find(frames, l->need[i].frame), v->id, l->need[i].access);
	for (u32 i = 0; good && frames && i < frames->count; i++)
		idle |= frames->at[i].closed != needed(&frames->at[i]);
	host_unlock(&e->lock);
	/* After an edit, or new rules, what they have left behind is opened; another CR3 may come back. */
	if (idle && l->edits != edits)
		good = false;
	if (good)
		l->edits = edits;
	return good;
}

bool linear_requested(struct vcpu *v)
{
	struct vcpu_linear *l = v->rules.linear_state;
	u64 edits;

	host_clear_bit(REQUEST_LINEAR, &v->requests);
	if (!l && !v->ruling.wanted.read_only_walks)
		return true;
	if (unlikely(shadowing_unsuited(v))) {
		host_set_bit(REQUEST_LINEAR, &v->requests);
		return false;
	}
	host_full_barrier(); /* what was edited before the request that was cleared is seen by the walks */
	edits = READ_ONCE(v->vm->rules.edits);
	if (l && !translate(v, l) && take(v, l, edits))
		return true;
	host_set_bit(REQUEST_LINEAR, &v->requests);
	return false;
}

/* ---- outside of guest context */

int linear_outside(struct vcpu *v)
{
	struct vcpu_linear *l = v->rules.linear_state;
	int err = shadowing_unsuited(v) ? shadowing_change_over(v) : 0;

	if (err || shadowing_unsuited(v)) /* not yet: again */
		return err;
	if (!l) {
		l = v->rules.linear_state = host_alloc(sizeof(*l));
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
	return err ? 0 : watch_update_for(v->vm, v);
}

u32 linear_needs(const struct vcpu *v)
{
	return v ? v->rules.linear_state->count : 0;
}

static void insert(struct linear_frames *frames, u64 frame)
{
	u32 i = frames->count++;

	for (; i && frames->at[i - 1].frame > frame; i--)
		frames->at[i] = frames->at[i - 1];
	frames->at[i] = (struct linear_frame){ .frame = frame };
}

/* What nobody needs now goes after an edit, or when there is much of it. */
static void drop_idle(struct linear_frames *frames, bool edited)
{
	u32 idle = 0, count = 0;

	for (u32 i = 0; i < frames->count; i++)
		idle += !needed(&frames->at[i]);
	for (u32 i = 0; i < frames->count; i++) {
		struct linear_frame *f = &frames->at[i];

		if (edited || idle > IDLE_MAX)
			f->closed = needed(f);
		f->settled &= f->closed;
		if (f->closed)
			frames->at[count++] = *f;
	}
	frames->count = count;
}

struct linear_frames *linear_merge(struct vm *vm, struct vcpu *v, struct linear_frames *next)
{
	struct vcpu_linear *l = v->rules.linear_state;
	struct vm_rules *e = &vm->rules;
	struct linear_frames *old = e->frames;

	for (u32 i = 0; old && i < old->count; i++) {
		next->at[i] = old->at[i];
		use(&next->at[i], v->id, 0);
	}
	next->count = old ? old->count : 0;
	for (u32 i = 0; i < l->count; i++) {
		const struct need *n = &l->need[i];
		struct linear_frame *f;

		if (!find(next, n->frame))
			insert(next, n->frame);
		f = find(next, n->frame);
		use(f, v->id, n->access);
		f->closed |= n->access;
		f->table |= n->table;
	}
	drop_idle(next, l->edits != e->edits);
	e->frames = next;
	return old;
}

void linear_settled(struct vm *vm)
{
	struct linear_frames *frames;

	host_lock(&vm->rules.lock);
	frames = vm->rules.frames;
	for (u32 i = 0; frames && i < frames->count; i++)
		frames->at[i].settled = frames->at[i].closed;
	vm->rules.closing = false;
	host_unlock(&vm->rules.lock);
}

void linear_add_closed(const struct vm *vm, struct closed *closed)
{
	const struct linear_frames *frames = vm->rules.frames;

	for (u32 i = 0; frames && i < frames->count; i++)
		closed->frame[closed->frames++] = (struct closed_frame){
			.frame = frames->at[i].frame,
			.access = frames->at[i].closed,
		};
}

/* ---- what makes a translation old */

void linear_edited(struct vm *vm)
{
	host_add(&vm->rules.edits, 1);
	gather(vm, NULL, BIT(REQUEST_LINEAR), GATHER_POST);
}

bool linear_opened(struct vcpu *v, u64 frame)
{
	struct vm_rules *e = &v->vm->rules;
	const struct linear_frame *f;
	bool table, idle;

	if (!READ_ONCE(e->frames))
		return false;
	host_lock(&e->lock);
	f = find(e->frames, frame);
	table = f && f->table;
	idle = f && !needed(f);
	host_unlock(&e->lock);
	if (idle) { /* it is in the way: whoever translates next lets it go */
		host_add(&e->edits, 1);
		host_set_bit(REQUEST_LINEAR, &v->requests);
	}
	return table;
}
