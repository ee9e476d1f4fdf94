/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A fault at a page that a rule is about. What the instruction touches is read from its bytes and
 * compared with what faulted; the rules are asked; then, unless one of them decides otherwise, the page
 * is opened, the instruction runs by itself (step.c), and the page is closed.
 */
#include "rules/internal.h"
#include "insn/decoder.h"
#include "insn/shape.h"

/* ---- what the instruction touches */

/* A part of an access that lies in one page. */
struct piece {
	u64 gpa, linear;
	u32 size;
	bool known;
};

struct touch {
	struct where where;
	struct insn_shape shape;
	u8 bytes[15];
	bool shaped;
};

static void look(struct vcpu *v, struct touch *t)
{
	int count;

	v->backend->where(v, &t->where);
	count = guest_fetch(&v->vm->memory, &t->where.paging, t->where.linear, t->bytes,
			    sizeof(t->bytes), NULL);
	t->shaped = count > 0 && !insn_shape(t->bytes, count, t->where.mode, &t->shape);
	if (t->shaped)
		v->exit.length = t->shape.length;
}

static u64 address_of(struct vcpu *v, const struct touch *t, const struct shape_operand *o)
{
	u64 linear = insn_offset(&o->at, v->page->regs, t->where.rip + t->shape.length);

	if (t->where.mode != FERMATA_MODE_LONG || o->at.segment >= 4) /* FS and GS keep their base */
		linear += v->backend->get_reg(v, HW_ES_BASE + o->at.segment);
	return t->where.mode == FERMATA_MODE_LONG ? linear : (u32)linear;
}

/* access: FERMATA_ACCESS_*, where the processor has not found it allowed yet. */
static bool leads_to(struct vcpu *v, const struct touch *t, u64 linear, u32 access, u64 *gpa)
{
	struct guest_paging paging = t->where.paging;
	struct guest_walk_result result;

	paging.ac = true;
	if (guest_walk(&v->vm->memory, &paging, linear, access | GUEST_WALK_PEEK, &result) ||
	    result.fault)
		return false;
	*gpa = result.gpa;
	return true;
}

/* Does the operand, or what of it lies in another page, lie in the frame that faulted? */
static bool piece_of(struct vcpu *v, const struct touch *t, const struct shape_operand *o,
		     struct piece *piece)
{
	u32 access = v->exit.fault.table && o->access & SHAPE_WRITE ? FERMATA_ACCESS_WRITE : 0;
	u64 linear = address_of(v, t, o), gpa;
	u32 here = min((u32)o->size, 4096 - (u32)(linear & 0xfff));

	piece->known = true;
	for (u32 done = 0; done < o->size;
	     done += here, here = min((u32)o->size - done, (u32)4096)) {
		if (!leads_to(v, t, linear + done, access, &gpa) || (gpa ^ v->exit.fault.gpa) >> 12)
			continue;
		piece->linear = linear + done;
		piece->gpa = gpa;
		piece->size = here;
		return true;
	}
	return false;
}

/* Of an instruction's first byte, where the processor does not say its linear address. */
static void find_code(struct vcpu *v, const struct touch *t, struct piece *piece)
{
	u64 gpa;

	if (piece->known || v->waiting.valid || !leads_to(v, t, t->where.linear, 0, &gpa) ||
	    gpa != piece->gpa)
		return;
	piece->known = true;
	piece->linear = t->where.linear;
}

/*
 * The access of that kind to the frame that faulted. For what faulted itself there always is an answer,
 * unless that was the walk of a table; for another kind, which opening the page would let pass, only when the
 * instruction makes it.
 */
static bool find_piece(struct vcpu *v, const struct touch *t, u32 access, struct piece *piece)
{
	u8 direction = access == RADIX_WRITE ? SHAPE_WRITE : SHAPE_READ;
	const struct exit *x = &v->exit;

	for (u32 i = 0;
	     access != RADIX_EXEC && t->shaped && !v->waiting.valid && i < t->shape.count; i++) {
		const struct shape_operand *o = &t->shape.operand[i];

		if (!o->exact || (o->access && !(o->access & direction)) ||
		    !piece_of(v, t, o, piece))
			continue;
		if (access != x->fault.access || !x->fault.linear_known || x->fault.table ||
		    x->fault.linear - piece->linear < piece->size)
			return true;
	}
	if (access != x->fault.access || x->fault.table)
		return false;
	*piece = (struct piece){ .gpa = x->fault.gpa, .size = 1 };
	piece->known = x->fault.linear_known;
	piece->linear = x->fault.linear;
	if (access == RADIX_EXEC)
		find_code(v, t, piece);
	else if (!piece->known && t->shaped && t->shape.count == 1 && !v->waiting.valid) {
		/* An operand whose address is not in the instruction alone: as large as it says, from there. */
		piece->size = min((u32)t->shape.operand[0].size, 4096 - (u32)(x->fault.gpa & 0xfff));
	}
	return true;
}

/* ---- the rules */

static u64 bytes_at(struct vcpu *v, u64 gpa, u32 size)
{
	u64 value = 0;

	if (size <= sizeof(value))
		guest_memory_read(&v->vm->memory, gpa, &value, size);
	return value;
}

/*
 * False: they have been asked about it, the instruction only came here again. Perhaps to another frame, if
 * another vCPU has moved the page before the instruction had its turn.
 */
static bool first_time(struct vcpu *v, const struct piece *piece, u32 access)
{
	u64 page = piece->known ? ~(piece->linear >> 12) : v->exit.fault.gpa >> 12;
	struct vcpu_watch *w = &v->rules->watch;

	if (w->seen_rip != v->exit.rip)
		w->seen_count = 0;
	w->seen_rip = v->exit.rip;
	for (u32 i = 0; i < w->seen_count; i++)
		if (w->seen[i].page == page && w->seen[i].access == access)
			return false;
	if (w->seen_count < WATCH_SEEN_MAX) {
		w->seen[w->seen_count].page = page;
		w->seen[w->seen_count++].access = access;
	}
	return true;
}

static bool ask(struct vcpu *v, const struct touch *t, u32 access, enum verdict *verdict)
{
	struct scene scene;
	struct piece piece;

	if (!find_piece(v, t, access, &piece) || !first_time(v, &piece, access))
		return false;
	memset(&scene, 0, offsetof(struct scene, where));
	scene.event = FERMATA_ON_READ + __builtin_ctz(access); /* see event_access() */
	scene.second = FERMATA_ON_EVENTS;
	scene.result = RESULT_NONE;
	scene.number = piece.gpa;
	scene.size = piece.size;
	scene.linear = piece.known ? piece.linear : ~0ull;
	scene.code = piece.size;
	if (access == RADIX_READ)
		scene.value = bytes_at(v, piece.gpa, piece.size);
	if (access == RADIX_WRITE)
		scene.old = bytes_at(v, piece.gpa, piece.size);
	return rules_memory(v, &scene, verdict);
}

/* ---- the instruction by itself */

enum alone { ALONE_STEP, ALONE_PUSHES, ALONE_LOADS, ALONE_FREE };

/* What our TF would show in. */
static enum alone how(const struct touch *t)
{
	struct decoder d;
	struct insn insn;
	u16 opcode;

	if (!t->shaped)
		return ALONE_STEP;
	decoder_init(&d, t->bytes, t->shape.length, t->where.mode, &insn);
	opcode = decoder_prefixes(&d);
	if (opcode == 0x0f)
		opcode = 0x0f00 | decoder_next(&d);
	switch (opcode) {
	case 0x9c:
		return ALONE_PUSHES;
	case 0x9d:
	case 0xcf:
		return ALONE_LOADS;
	case 0xcc ... 0xce:
	case 0xf1:
	case 0x0f05: /* SYSCALL, SYSRET, SYSENTER, SYSEXIT */
	case 0x0f07:
	case 0x0f34 ... 0x0f35:
		return insn.lock ? ALONE_STEP : ALONE_FREE; /* with LOCK it is #UD */
	}
	return ALONE_STEP;
}

static enum verdict open_page(struct vcpu *v, const struct touch *t)
{
	struct vcpu_watch *w = &v->rules->watch;
	enum alone alone = how(t);

	v->ruling.opening = true;
	w->open_gpa = v->exit.fault.gpa;
	w->open_access = v->exit.fault.access;
	if (w->delivering)
		host_set_bit(REQUEST_WATCH, &v->requests);
	if (v->ruling.holding || w->free)
		return LEAVE_FOR_FAULT;
	if (v->waiting.valid || alone == ALONE_FREE) {
		w->delivering = v->waiting.valid;
		w->free = true;
		if (w->seen_rip != v->exit.rip)
			w->seen_count = 0;
		w->seen_rip = v->exit.rip; /* by which watch_free_ends() knows it */
		v->ruled = ~0ull;	   /* the next exit closes it */
		host_set_bit(REQUEST_WATCH, &v->requests);
		return LEAVE_FOR_FAULT;
	}
	w->stepping = true;
	w->pushed_flags = alone == ALONE_PUSHES ? t->shape.operand[0].size : 0;
	w->loads_flags = alone == ALONE_LOADS;
	rules_once(v);
	return LEAVE_FOR_FAULT;
}

bool watch_free_ends(struct vcpu *v)
{
	u8 kind = v->exit.kind;

	if ((kind == EXIT_NESTED_FAULT || kind == EXIT_PAGE_FAULT) &&
	    (v->waiting.valid || v->exit.rip == v->rules->watch.seen_rip))
		return false;
	v->rules->watch.seen_count = 0;
	watch_close(v);
	rules_apply(v);
	return true;
}

static bool is_ram(struct vcpu *v)
{
	u64 address;
	bool readonly;

	return !guest_memory_user_addr(&v->vm->memory, v->exit.fault.gpa, &address, &readonly) &&
	       !(readonly && v->exit.fault.access == RADIX_WRITE);
}

enum verdict watch_fault(struct vcpu *v)
{
	const struct exit *x = &v->exit;
	u32 closed = (RADIX_READ | RADIX_WRITE | RADIX_EXEC) &
		     ~guest_memory_allows(&v->vm->memory, x->fault.gpa);
	struct touch t = { .shaped = false };
	enum verdict verdict;
	u8 length;

	if (!(closed & x->fault.access))
		return exit_answer(v);
	length = v->exit.length;
	look(v, &t);
	if (ask(v, &t, x->fault.access, &verdict))
		return verdict;
	/* What opening the page for this access lets pass. */
	if (x->fault.access != RADIX_READ && closed & RADIX_READ && ask(v, &t, RADIX_READ, &verdict))
		return verdict;
	if (is_ram(v))
		return open_page(v, &t);
	v->rules->watch.seen_count = 0;
	v->exit.length = length; /* the caller decodes by itself */
	verdict = exit_answer(v);
	if (v->rules->after.due && v->waiting.valid)
		rules_finish(v, FERMATA_RECORD_FAULTED);
	return verdict;
}
