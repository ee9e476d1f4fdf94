// SPDX-License-Identifier: MIT OR GPL-2.0
/* The instruction behind an exit: its bytes, its length, its operands. */
#include "core/instruction.h"
#include "memory/guest_walk.h"

/* How often an instruction may exit that cannot be decoded, in a row and at one place. */
#define MYSTERIES_MAX 1000

/* How insn/decode.c calls the instruction that this exit must have been; INSN_NONE: more than one may be. */
static u8 expected_op(const struct exit *x)
{
	switch (x->kind) {
	case EXIT_CPUID:
		return INSN_CPUID;
	case EXIT_MSR_READ:
		return INSN_RDMSR;
	case EXIT_MSR_WRITE:
		return INSN_WRMSR;
	case EXIT_HLT:
		return INSN_HLT;
	case EXIT_XSETBV:
		return INSN_XSETBV;
	case EXIT_RDTSC:
		return INSN_RDTSC;
	case EXIT_RDTSCP:
		return INSN_RDTSCP;
	case EXIT_DR_READ:
		return INSN_MOV_FROM_DR;
	case EXIT_DR_WRITE:
		return INSN_MOV_TO_DR;
	case EXIT_RDPMC:
		return INSN_RDPMC;
	case EXIT_RDPRU:
		return INSN_RDPRU;
	case EXIT_PAUSE:
		return INSN_PAUSE;
	case EXIT_INVPCID:
		return INSN_INVPCID;
	}
	return INSN_NONE;
}

bool exit_fetch(struct vcpu *v, struct insn *insn)
{
	struct where where;
	u8 bytes[15];
	int count;

	v->backend->where(v, &where);
	count = guest_fetch(&v->vm->memory, &where.paging, where.linear, bytes, sizeof(bytes), NULL);
	return count > 0 && !insn_decode(bytes, count, where.mode, insn);
}

u64 exit_operand_address(struct vcpu *v, const struct insn *insn)
{
	const struct fermata_segment *segment = &v->scratch->segments.es + insn->segment;
	struct where where;
	u64 linear;

	v->backend->where(v, &where);
	v->backend->get_state(v, v->scratch, FERMATA_STATE_SEGMENTS);
	linear = insn_offset(insn, v->page->regs, where.rip + insn->length);
	if (where.mode != FERMATA_MODE_LONG || insn->segment >= 4) /* FS and GS keep their base */
		linear += segment->base;
	return where.mode == FERMATA_MODE_LONG ? linear : (u32)linear;
}

/*
 * The memory operand of an instruction that the processor has just found accessible: byte by byte,
 * because it may lie on two pages. False: it is not accessible any more.
 */
static bool copy_operand(struct vcpu *v, const struct insn *insn, u8 *bytes, u32 size, bool write)
{
	u32 access = write ? FERMATA_ACCESS_WRITE : FERMATA_ACCESS_READ, i;
	struct guest_memory *memory = &v->vm->memory;
	struct guest_walk_result walk;
	struct where where;
	u64 linear;

	v->backend->where(v, &where);
	linear = exit_operand_address(v, insn);
	for (i = 0; i < size; i++, linear++) {
		if (where.mode != FERMATA_MODE_LONG)
			linear = (u32)linear;
		if (guest_walk(memory, &where.paging, linear, access, &walk) || walk.fault)
			return false;
		if (write ? guest_memory_write(memory, walk.gpa, &bytes[i], 1) :
			    guest_memory_read(memory, walk.gpa, &bytes[i], 1))
			return false;
	}
	return true;
}

/* False: the operand cannot be had now. */
static bool fill_mov(struct vcpu *v, const struct insn *insn)
{
	struct exit *x = &v->exit;
	u16 word = v->guest.cr0;

	x->mov.reg = insn->rm;
	x->mov.size = 8;
	x->mov.stored = false;
	x->mov.via = MOV_PLAIN;
	switch (insn->op) {
	case INSN_MOV_TO_CR:
	case INSN_MOV_FROM_CR:
	case INSN_MOV_TO_DR:
	case INSN_MOV_FROM_DR:
		x->mov.number = insn->control;
		break;
	case INSN_CLTS:
		x->mov.via = MOV_CLTS;
		x->mov.by_value = true;
		x->mov.value = v->guest.cr0 & ~ARCH_CR0_TS;
		break;
	case INSN_LMSW: /* sets PE, MP, EM, TS; cannot clear PE (SDM 2A LMSW) */
		if (insn->rm != INSN_NO_REG)
			word = v->page->regs[insn->rm];
		else if (!copy_operand(v, insn, (u8 *)&word, sizeof(word), false))
			return false;
		x->mov.via = MOV_LMSW;
		x->mov.by_value = true;
		x->mov.value = (v->guest.cr0 & ~0xeull) | (word & 0xf);
		break;
	case INSN_SMSW: /* bits 15:0 to memory or a 16-bit register; more of them to wider ones */
		x->mov.size = insn->size;
		x->mov.stored = insn->rm == INSN_NO_REG;
		return !x->mov.stored || copy_operand(v, insn, (u8 *)&word, sizeof(word), true);
	}
	return true;
}

/* What the decoder says of the instructions that only rules make exit. False: it is another one. */
static bool fill_plain(struct vcpu *v, const struct insn *insn)
{
	static const u8 tables[] = { INSN_SGDT, INSN_SIDT, INSN_SLDT, INSN_STR,
				     INSN_LGDT, INSN_LIDT, INSN_LLDT, INSN_LTR };
	struct exit *x = &v->exit;

	switch (x->kind) {
	case EXIT_INVLPG:
		x->linear = exit_operand_address(v, insn);
		return insn->op == INSN_INVLPG;
	case EXIT_TABLE:
		return x->table >= FERMATA_ON_SGDT && x->table <= FERMATA_ON_LTR &&
		       insn->op == tables[x->table - FERMATA_ON_SGDT];
	case EXIT_WBINVD: /* QEMU 7.2 gives INVD this reason too */
		if (insn->op == INSN_INVD)
			x->kind = EXIT_CACHE;
		return insn->op == INSN_INVD || insn->op == INSN_WBINVD || insn->op == INSN_WBNOINVD;
	}
	return true;
}

/*
 * The instruction cannot be had or is not the one that exited: it runs again, which faults its page in
 * or runs what another CPU has put there. Not for ever: what stays a mystery ends the vCPU.
 */
static u8 mystery(struct vcpu *v)
{
	if (v->exit.rip != v->mystery.rip)
		v->mystery.count = 0;
	v->mystery.rip = v->exit.rip;
	if (++v->mystery.count >= MYSTERIES_MAX)
		host_set_bit(REQUEST_LOST, &v->requests);
	return 0;
}

u8 exit_decode(struct vcpu *v)
{
	struct exit *x = &v->exit;
	bool mov = x->kind >= EXIT_CR_READ && x->kind <= EXIT_DR_WRITE;
	struct insn insn;
	u8 op;

	if (!exit_fetch(v, &insn))
		return mystery(v);
	/* Another CPU may have rewritten the code since: then the guest runs what is there now. */
	if (x->kind == EXIT_RDTSC && insn.op == INSN_RDTSCP)
		x->kind = EXIT_RDTSCP;
	op = expected_op(x);
	if (op != INSN_NONE && op != insn.op)
		return mystery(v);
	v->mystery.count = 0;
	if (mov && !fill_mov(v, &insn))
		return mystery(v);
	if (mov)
		x->mov.decoded = true;
	else if (!fill_plain(v, &insn))
		return mystery(v);
	x->length = insn.length;
	return x->length;
}
