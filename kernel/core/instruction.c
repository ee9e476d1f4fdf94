// SPDX-License-Identifier: MIT OR GPL-2.0
/* The instruction behind an exit: its bytes, its length, its operands. */
#include "core/instruction.h"
#include "memory/guest_walk.h"

/* How often an instruction may exit that cannot be decoded, in a row and at one place. */
#define MYSTERIES_MAX 1000

/* What insn/decode.c must say of it; INSN_NONE: more than one instruction may exit so. */
static const u8 expected[EXIT_KINDS] = {
#define EXIT(kind, handler, instruction, ...) [EXIT_##kind] = INSN_##instruction,
#include "core/exit_kinds.h"
};

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
	struct where where;
	u64 linear;

	v->backend->where(v, &where);
	linear = insn_offset(insn, v->page->regs, where.rip + insn->length);
	if (where.mode != FERMATA_MODE_LONG || insn->segment >= 4) /* FS and GS keep their base */
		linear += v->backend->get_reg(v, HW_ES_BASE + insn->segment);
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

/* False: it is not the instruction that exited. */
static bool is_expected(struct exit *x, const struct insn *insn)
{
	/* QEMU 7.2 has one reason for RDTSC and RDTSCP, and one for WBINVD and INVD. */
	if (x->kind == EXIT_RDTSC && insn->op == INSN_RDTSCP)
		x->kind = EXIT_RDTSCP;
	if (x->kind == EXIT_WBINVD && insn->op == INSN_INVD)
		x->kind = EXIT_INVD;
	if (x->kind == EXIT_WBINVD && insn->op == INSN_WBNOINVD)
		return true;
	return expected[x->kind] == INSN_NONE || expected[x->kind] == insn->op;
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
	struct insn insn;

	/* Another CPU may have rewritten the code since: then the guest runs what is there now. */
	if (!exit_fetch(v, &insn) || !is_expected(x, &insn))
		return mystery(v);
	v->mystery.count = 0;
	if (x->kind == EXIT_INVLPG)
		x->linear = exit_operand_address(v, &insn);
	if (exit_is_mov(x)) {
		if (!fill_mov(v, &insn))
			return mystery(v);
		x->mov.decoded = true;
	}
	x->length = insn.length;
	return x->length;
}
