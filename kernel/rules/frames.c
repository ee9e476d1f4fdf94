/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which frames rules are about: by their own addresses, for all vCPUs; or because linear addresses lead
 * there, for those vCPUs where they do.
 */
#include "rules/internal.h"

/* Frames that no vCPU needs now stay closed until there are so many: threads come back to their CR3. */
#define IDLE_MAX 64

/* A frame that is closed for some vCPU, or was for the last ones that were in another address space. */
struct linear_frame {
	u64 frame;
	u64 users[3]; /* by access (RADIX_*, by bit): for which vCPUs, by their ids */
	u8 closed;    /* RADIX_*: for what */
	u8 settled;   /* ... and nobody has older translations any more */
	bool table;
};

struct linear_frames {
	u32 count;
	struct linear_frame at[]; /* by frame */
};

/* ---- what is closed for all vCPUs' linear addresses, under vm->rules->lock */

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

bool frames_take(struct vcpu *v, struct vcpu_linear *l, u64 edits)
{
	struct vm_rules *e = v->vm->rules;
	bool good, idle = false;

	host_lock(&e->lock);
	good = covered(e->frames, l);
	for (u32 i = 0; good && e->frames && i < e->frames->count; i++)
		use(&e->frames->at[i], v->id, 0);
	for (u32 i = 0; good && i < l->count; i++)
		use(find(e->frames, l->need[i].frame), v->id, l->need[i].access);
	for (u32 i = 0; good && e->frames && i < e->frames->count; i++)
		idle |= e->frames->at[i].closed != needed(&e->frames->at[i]);
	host_unlock(&e->lock);
	/* After an edit, or new rules, what they have left behind is opened; another CR3 may come back. */
	if (idle && l->edits != edits)
		good = false;
	if (good)
		l->edits = edits;
	return good;
}

static struct linear_frame *insert(struct linear_frames *frames, u64 frame)
{
	u32 i = frames->count++;

	for (; i && frames->at[i - 1].frame > frame; i--)
		frames->at[i] = frames->at[i - 1];
	frames->at[i] = (struct linear_frame){ .frame = frame };
	return &frames->at[i];
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

/* With what v needs. Answers the frames that are not in use any more. */
static struct linear_frames *merge(struct vm *vm, struct vcpu *v, struct linear_frames *next)
{
	struct vcpu_linear *l = v->rules->linear_state;
	struct vm_rules *e = vm->rules;
	struct linear_frames *old = e->frames;

	for (u32 i = 0; old && i < old->count; i++) {
		next->at[i] = old->at[i];
		use(&next->at[i], v->id, 0);
	}
	next->count = old ? old->count : 0;
	for (u32 i = 0; i < l->count; i++) {
		const struct need *n = &l->need[i];
		struct linear_frame *f = find(next, n->frame) ?: insert(next, n->frame);

		use(f, v->id, n->access);
		f->closed |= n->access;
		f->table |= n->table;
	}
	drop_idle(next, l->edits != e->edits);
	e->frames = next;
	return old;
}

/* All that is closed is closed in force. */
static void settle(struct vm_rules *e)
{
	host_lock(&e->lock);
	for (u32 i = 0; e->frames && i < e->frames->count; i++)
		e->frames->at[i].settled = e->frames->at[i].closed;
	e->closing = false;
	host_unlock(&e->lock);
}

static void add_closed(const struct vm *vm, struct closed *closed)
{
	const struct linear_frames *frames = vm->rules->frames;

	for (u32 i = 0; frames && i < frames->count; i++)
		closed->frame[closed->frames++] = (struct closed_frame){
			.frame = frames->at[i].frame,
			.access = frames->at[i].closed,
		};
}

bool frames_opened(struct vcpu *v, u64 frame)
{
	struct vm_rules *e = v->vm->rules;
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

/* ---- with what the table is about */

static void add_rules(struct closed *closed, const struct rule_table *table)
{
	for (u32 i = 0; table && i < table->count; i++) {
		const struct fermata_rule *spec = &table->rule[i]->spec;
		const struct fermata_range *range = &spec->range[FERMATA_FILTER_GPA];

		if (is_memory_event(spec->event) && !is_linear_rule(spec))
			closed_add(closed, range->first >> 12, range->last >> 12,
				   event_access(spec->event));
	}
}

/* Room for what stays closed and for what v needs besides, and the lock. False: no memory, and no lock. */
static bool make_room(struct vm *vm, struct vcpu *v, struct closed **closed,
		      struct linear_frames **frames)
{
	u32 needs = v ? v->rules->linear_state->count : 0;

	for (;;) {
		u32 room = READ_ONCE(vm->rules->frame_count) + needs;

		*closed = closed_new(FERMATA_MAX_RULES, room);
		*frames = host_alloc(sizeof(**frames) + room * sizeof((*frames)->at[0]));
		if (!*closed || !*frames)
			break;
		host_lock(&vm->rules->lock);
		if (vm->rules->frame_count + needs <= room)
			return true;
		host_unlock(&vm->rules->lock);
		host_free(*frames);
		host_free(*closed);
	}
	host_free(*frames);
	host_free(*closed);
	return false;
}

/*
 * The lock keeps two from publishing what they have seen in the wrong order; the table cannot go
 * meanwhile, since who replaces it waits for its readers, and comes here after it. For vCPUs one closes at
 * a time, and after its flush all that is closed is in force; others find it under way, and come again.
 */
int frames_update(struct vm *vm, struct vcpu *v)
{
	struct vm_rules *e = vm->rules;
	struct closed *next, *now = NULL, *old = NULL;
	struct linear_frames *frames;
	struct flush owed = { 0 };
	bool busy, changed = false;

	if (!make_room(vm, v, &next, &frames))
		return -ENOMEM;
	busy = v && e->closing;
	if (!busy) {
		const struct rule_table *table;

		host_read_begin();
		table = READ_ONCE(e->table);
		add_rules(next, table);
		if (v)
			frames = merge(vm, v, frames);
		else if (e->frames && (!table || !table->linear_pages))
			e->frames->count = 0;
		host_read_end();
		add_closed(vm, next);
		WRITE_ONCE(e->frame_count, next->frames);
		e->closing |= !!v;
		if (!closed_same(next, vm->memory.closed)) {
			bool any = next->count || next->frames;

			now = any ? next : NULL;
			old = guest_memory_set_closed(&vm->memory, now);
			next = any ? NULL : next;
			changed = true;
		}
	}
	host_unlock(&e->lock);
	if (changed)
		guest_memory_apply_closed(&vm->memory, old, now, &owed);
	vm_flush(vm, &owed, FERMATA_CAUSE_WATCH);
	if (v && !busy)
		settle(e);
	host_free(next);
	host_free(frames);
	return 0;
}

void frames_free(struct vm *vm)
{
	host_free(vm->memory.closed);
	host_free(vm->rules->frames);
	vm->memory.closed = NULL;
	vm->rules->frames = NULL;
}
