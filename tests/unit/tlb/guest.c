/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guests without code: in its turn one does one thing after the other, by the dice, on the model processor
 * that it is on. What exits is carried out by the hypervisor, which shows by RIP having moved on.
 */
#include "core/exits.h"
#include "model.h"

#define TRIES 600

/* ---- what there is to do */

static u32 random_table(void)
{
	return GPA_TABLES + below(world.config->tables ?: GPA_TABLES_END - GPA_TABLES);
}

static u64 random_entry(const struct model_vm *vm)
{
	u64 entry = one_in(12) ? 0 : 1;
	u32 kind = below(16);

	if (world.config->busy_slots && one_in(3))
		kind = 13 + below(3);
	if (kind < 9)
		entry |= (u64)random_table() << 12;
	else if (kind < 13)
		entry |= (u64)(GPA_TABLES_END + below(GPA_DATA_END - GPA_TABLES_END)) << 12;
	else if (kind < 15)
		entry |= (one_in(2) ? GPA_LARGE << 12 : 0) | 0x80;
	else
		entry |= (u64)(GPA_MOVING + below(2 * MOVING_PAGES)) << 12;
	entry |= one_in(4) ? 0 : 2;
	entry |= one_in(4) ? 0 : 4;
	entry |= one_in(3) ? 0x100 : 0;
	entry |= one_in(10) ? 1ull << 63 : 0;
	/* Accessed and dirty bits are shadow paging's concern: processors set them in memory at once. */
	return entry | (vm->shadow && one_in(4) ? below(4) << 5 : 0x60);
}

static u64 random_root(const struct view *view)
{
	return (u64)random_table() << 12 | (view->pcide ? below(PCIDS) : 0);
}

static void choose_control(struct model_vcpu *mv)
{
	struct view *view = &mv->view;

	if (one_in(2)) {
		mv->op = OP_CR0;
		mv->value = ARCH_CR0_WP;
		return;
	}
	mv->op = OP_CR4;
	if (one_in(4) && !(view->cr3 & 0xfff))
		mv->value = ARCH_CR4_PCIDE;
	else
		mv->value = ARCH_CR4_PGE;
}

static void choose(struct model_vcpu *mv)
{
	struct model_vm *vm = mv->vm;
	u32 dice;

	mv->started = ++world.now;
	mv->tries = 0;
	if (world.config->program) {
		program_next(mv);
		return;
	}
	dice = below(64);
	if (world.config->leaves && dice >= 52 && dice < 56)
		dice = one_in(8) ? 52 : 56;

	mv->access = 0;
	if (dice < 40) {
		mv->op = OP_ACCESS;
		mv->linear = one_in(16) ? DIRECT(below(GPA_RAM_END) << 12) : random_linear();
		mv->access = below(8);
		if (mv->access & ACCESS_FETCH && mv->access & ACCESS_WRITE)
			mv->access &= ~ACCESS_FETCH;
		/* Which may lead to a table: it is written to. */
		if (mv->access & ACCESS_WRITE && one_in(2))
			mv->linear = (mv->linear & ~0xfffull) | below(3) * 8;
		mv->value = random_entry(vm);
	} else if (dice < 52) {
		mv->op = OP_STORE;
		mv->linear = DIRECT(random_table() << 12 | below(3) * 8);
		mv->access = ACCESS_WRITE;
		mv->value = random_entry(vm);
	} else if (dice < 56) {
		mv->op = OP_CR3;
		mv->value = one_in(3) ? mv->view.cr3 : random_root(&mv->view);
		mv->keep = mv->view.pcide && one_in(2);
	} else if (dice < 61) {
		mv->op = OP_INVLPG;
		mv->linear = random_linear();
	} else if (dice < 62) {
		choose_control(mv);
	} else if (dice < 63) {
		mv->op = OP_CPUID;
	} else {
		mv->op = vm->shadow || vm->changing ? OP_CPUID : OP_INVPCID;
		mv->linear = random_linear();
		mv->value = below(4) | (mv->view.pcide ? below(PCIDS) << 8 : 0);
	}
}

/* ---- instructions that the processor does by itself */

static void do_cr3(struct model_vcpu *mv, struct context *c, struct processor *p)
{
	c->cr3 = mv->value;
	if (mv->keep)
		return;
	processor_drop(p, DROP(KINDS_LINEAR, BY_TAG | BY_PCID | BUT_GLOBAL, .tag = c->tag,
			       .pcid = c->pcide ? c->cr3 & 0xfff : 0));
}

static void do_invlpg(struct model_vcpu *mv, const struct context *c, struct processor *p)
{
	u64 pcid = c->pcide ? c->cr3 & 0xfff : 0;

	processor_drop(p, DROP(KIND_LINEAR, BY_TAG | BY_PCID | BY_LINEAR, .tag = c->tag,
			       .pcid = pcid, .linear = mv->linear));
	processor_drop(p, DROP(KIND_STRUCTURE, BY_TAG | BY_PCID, .tag = c->tag, .pcid = pcid));
}

/* SDM 3A 4.10.4.1 */
static void do_invpcid(struct model_vcpu *mv, const struct context *c, struct processor *p)
{
	struct view *view = &mv->view;
	u32 pcid = mv->value >> 8;

	switch (mv->value & 0xff) {
	case 0:
		processor_drop(p, DROP(KINDS_LINEAR, BY_TAG | BY_PCID | BY_LINEAR | BUT_GLOBAL,
				       .tag = c->tag, .pcid = pcid, .linear = mv->linear));
		view_flush_address(view, pcid, mv->linear, mv->started);
		return;
	case 1:
		processor_drop(p, DROP(KINDS_LINEAR, BY_TAG | BY_PCID | BUT_GLOBAL, .tag = c->tag,
				       .pcid = pcid));
		view_flush_pcid(view, pcid, mv->started);
		return;
	case 2:
		processor_drop(p, DROP(KINDS_LINEAR, BY_TAG, .tag = c->tag));
		view_flush(view, mv->started);
		return;
	default:
		processor_drop(p, DROP(KINDS_LINEAR, BY_TAG | BUT_GLOBAL, .tag = c->tag));
		view_flush_local(view, mv->started);
	}
}

/* ---- one thing, as far as it goes */

/* It is done: what it means for what the vCPU may see. */
static void complete(struct model_vcpu *mv)
{
	struct view *view = &mv->view;

	switch (mv->op) {
	case OP_CR0:
		view->wp = !view->wp;
		break;
	case OP_CR3:
		view_load_cr3(view, mv->value, mv->keep, mv->started);
		break;
	case OP_CR4:
		if (mv->value & ARCH_CR4_PGE)
			view->pge = !view->pge;
		else
			view->pcide = !view->pcide;
		/* Setting PCIDE keeps what there is, under PCID 0 (SDM 3A 4.10.4.1). */
		if (mv->value & ARCH_CR4_PGE || !view->pcide)
			view_flush(view, mv->started);
		break;
	case OP_INVLPG:
		view_invlpg(view, mv->linear, mv->started);
		break;
	default:
		break;
	}
	mv->op = OP_NONE;
}

static void store(struct model_vcpu *mv, u64 phys)
{
	u64 gpa;

	if (memory_is_table(mv->vm, phys, &gpa) && (gpa & 0xfff) < 3 * 8 &&
	    reference_store(mv->vm, gpa, mv->value))
		memory_write(phys, mv->value);
}

static bool access_memory(struct model_vcpu *mv, struct turn *t, enum turn_end *end)
{
	enum reached reached = processor_access(processor_here(), &t->context, mv->linear,
						mv->access, false, &t->reach);

	t->linear = mv->linear;
	t->user = mv->access & ACCESS_USER;
	if (reached == REACHED) {
		reference_reached(mv, mv->linear, mv->access, t->reach.phys);
		if (mv->access & ACCESS_WRITE) {
			memory_wrote(t->reach.phys);
			store(mv, t->reach.phys);
		}
		mv->op = OP_NONE;
		return true;
	}
	if (reached == GUEST_FAULT && !t->faults_exit) {
		mv->exited = world.now;
		reference_faulted(mv, mv->linear, mv->access);
		mv->op = OP_NONE;
		return true;
	}
	mv->exited = world.now;
	if (++mv->tries > 4 && one_in(4) &&
	    (reference_outside(mv, mv->linear, mv->access & ACCESS_WRITE) ||
	     (reached == NESTED_FAULT &&
	      !memory_in_slot(mv->vm, t->reach.gpa, t->reach.access == RADIX_WRITE)))) {
		mv->op = OP_NONE; /* nobody answers there */
		return true;
	}
	if (mv->tries > TRIES)
		wrong("VM %u vCPU %u: no end of faults at %#llx", mv->vm->index, mv->vcpu.id,
		      mv->linear);
	*end = reached == NESTED_FAULT ? TURN_NESTED_FAULT : TURN_PAGE_FAULT;
	return false;
}

/* False: it exits. */
static bool act(struct model_vcpu *mv, struct turn *t, enum turn_end *end)
{
	struct processor *p = processor_here();
	struct context *c = &t->context;

	t->value = mv->value;
	t->linear = mv->linear;
	t->user = false;
	switch (mv->op) {
	case OP_ACCESS:
	case OP_STORE:
		return access_memory(mv, t, end);
	case OP_CR0:
		*end = TURN_CR0;
		if (t->cr0_exits)
			return false;
		c->wp = !c->wp;
		break;
	case OP_CR3:
		t->value |= mv->keep ? 1ull << 63 : 0;
		*end = TURN_CR3;
		if (t->cr3_exits)
			return false;
		do_cr3(mv, c, p);
		break;
	case OP_CR4:
		*end = TURN_CR4;
		if (t->cr4_exits || mv->value & ARCH_CR4_PCIDE)
			return false;
		c->pge = !c->pge;
		processor_drop(p, DROP(KINDS_LINEAR, BY_TAG, .tag = c->tag));
		break;
	case OP_INVLPG:
		*end = TURN_INVLPG;
		if (t->invlpg_exits)
			return false;
		do_invlpg(mv, c, p);
		break;
	case OP_INVPCID:
		do_invpcid(mv, c, p);
		break;
	default:
		*end = TURN_CPUID;
		return false;
	}
	complete(mv);
	return true;
}

/* What became of the instruction that exited. */
static void find_out(struct model_vcpu *mv, const struct turn *t)
{
	if (mv->op == OP_NONE)
		return;
	if (t->injected) {
		if (mv->op != OP_ACCESS && mv->op != OP_STORE)
			wrong("VM %u vCPU %u: instruction %u raised an exception", mv->vm->index,
			      mv->vcpu.id, mv->op);
		reference_faulted(mv, mv->linear, mv->access);
		mv->op = OP_NONE;
	} else if (t->rip != mv->rip) {
		complete(mv);
	}
}

static bool too_many_roots(struct model_vcpu *mv)
{
	u32 count = 0;

	for (u32 i = 0; i < mv->view.roots; i++)
		count += mv->view.root[i].until > mv->view.all;
	return count == ROOTS;
}

enum turn_end guest_turn(struct model_vcpu *mv, struct turn *t)
{
	enum turn_end end = TURN_INTERRUPT;
	struct reach reach;

	find_out(mv, t);
	mv->rip = t->rip;
	world.out->exits++;
	for (;;) {
		if (one_in(4))
			yield();
		if ((interrupt_pending() && one_in(3)) || one_in(24) || world.stopping)
			return TURN_INTERRUPT;
		if (one_in(2)) {
			world.out->speculations++;
			processor_access(processor_here(), &t->context, random_linear(), 0, true,
					 &reach);
		}
		if (mv->op == OP_NONE)
			choose(mv);
		if (mv->op == OP_NONE) {
			if (one_in(8) || program_wants_state(mv))
				return TURN_INTERRUPT;
			yield();
			continue;
		}
		if (mv->op == OP_CR3 && too_many_roots(mv)) {
			mv->op = OP_CR4;
			mv->value = ARCH_CR4_PGE;
		}
		if (!act(mv, t, &end))
			return end;
	}
}

/* ---- a vCPU's thread */

static void set_state(struct model_vcpu *mv, bool first)
{
	struct fermata_state *state = host_alloc(sizeof(*state));
	struct view *view = &mv->view;

	state->mask = first ? FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL |
				      FERMATA_STATE_PENDING :
			      FERMATA_STATE_CONTROL;
	if (vcpu_get_state(&mv->vcpu, state))
		wrong("no state");
	if (first) {
		struct fermata_state_segments *s = &state->segments;

		state->regs.rip = 0x1000;
		s->cs.base = 0;
		s->cs.attrib = 0xa9b;
		s->ss.attrib = 0xc93;
		state->pending.mp_state = FERMATA_MP_RUNNABLE;
		view->pge = view->wp = true;
	}
	if (first || !world.config->program)
		view->cr3 = random_root(view);
	view_flush(view, ++world.now);
	view_load_cr3(view, view->cr3, false, world.now);
	state->control.cr0 = ARCH_CR0_PE | ARCH_CR0_PG | ARCH_CR0_ET | ARCH_CR0_NE |
			     (view->wp ? ARCH_CR0_WP : 0);
	state->control.cr4 = ARCH_CR4_PAE | (view->pge ? ARCH_CR4_PGE : 0) |
			     (view->pcide ? ARCH_CR4_PCIDE : 0);
	state->control.efer = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE;
	state->control.cr3 = view->cr3;
	if (vcpu_set_state(&mv->vcpu, state))
		wrong("the state is refused");
	host_free(state);
}

void guest_main(void *arg)
{
	struct model_vcpu *mv = arg;
	int err;

	mv->op = OP_NONE;
	set_state(mv, true);
	while (!world.stopping) {
		err = vcpu_run(&mv->vcpu);
		if (err && err != -EINTR)
			wrong("VM %u vCPU %u: vcpu_run() answers %d", mv->vm->index, mv->vcpu.id,
			      err);
		if (!err && mv->page.exit.reason != FERMATA_EXIT_MMIO &&
		    mv->page.exit.reason != FERMATA_EXIT_MEMORY_FAULT)
			wrong("VM %u vCPU %u: exit %u (code %#x, info %#llx %#llx) to user space",
			      mv->vm->index, mv->vcpu.id, mv->page.exit.reason, mv->vcpu.exit.code,
			      mv->vcpu.exit.info1, mv->vcpu.exit.info2);
		if (!err && (mv->op == OP_ACCESS || mv->op == OP_STORE))
			mv->page.advance = LENGTH;
		/* Nobody could say whether one that exited came before it or after it. */
		if (err && mv->op == OP_NONE && (!world.config->program || program_wants_state(mv))) {
			set_state(mv, false);
			world.step++;
		}
		yield();
	}
}
