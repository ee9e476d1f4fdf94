// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The emulator's integer instructions with one explicit memory operand. Order within each: translate
 * and check everything that can fault, read, compute, write memory, then registers, flags and RIP.
 */
#include <errno.h>
#include <stddef.h>

#include "emulate.h"

struct alu_entry {
	ZydisMnemonic mnemonic;
	enum alu_op op;
};

static const struct alu_entry alu_table[] = {
	{ ZYDIS_MNEMONIC_ADD, ALU_ADD },  { ZYDIS_MNEMONIC_OR, ALU_OR },
	{ ZYDIS_MNEMONIC_ADC, ALU_ADC },  { ZYDIS_MNEMONIC_SBB, ALU_SBB },
	{ ZYDIS_MNEMONIC_AND, ALU_AND },  { ZYDIS_MNEMONIC_SUB, ALU_SUB },
	{ ZYDIS_MNEMONIC_XOR, ALU_XOR },  { ZYDIS_MNEMONIC_CMP, ALU_SUB },
	{ ZYDIS_MNEMONIC_TEST, ALU_AND }, { ZYDIS_MNEMONIC_INC, ALU_INC },
	{ ZYDIS_MNEMONIC_DEC, ALU_DEC },  { ZYDIS_MNEMONIC_NOT, ALU_NOT },
	{ ZYDIS_MNEMONIC_NEG, ALU_NEG },  { ZYDIS_MNEMONIC_ROL, ALU_ROL },
	{ ZYDIS_MNEMONIC_ROR, ALU_ROR },  { ZYDIS_MNEMONIC_RCL, ALU_RCL },
	{ ZYDIS_MNEMONIC_RCR, ALU_RCR },  { ZYDIS_MNEMONIC_SHL, ALU_SHL },
	{ ZYDIS_MNEMONIC_SHR, ALU_SHR },  { ZYDIS_MNEMONIC_SAR, ALU_SAR },
	{ ZYDIS_MNEMONIC_BT, ALU_BT },	  { ZYDIS_MNEMONIC_BTS, ALU_BTS },
	{ ZYDIS_MNEMONIC_BTR, ALU_BTR },  { ZYDIS_MNEMONIC_BTC, ALU_BTC },
};

static const struct alu_entry *alu_find(ZydisMnemonic mnemonic)
{
	for (size_t i = 0; i < sizeof(alu_table) / sizeof(alu_table[0]); i++)
		if (alu_table[i].mnemonic == mnemonic)
			return &alu_table[i];
	return NULL;
}

static int finish(struct emu *e)
{
	e->run->advance = e->insn.length;
	return 0;
}

static void set_flags(struct emu *e, uint64_t flags)
{
	if (flags == e->run->rflags)
		return;
	e->run->rflags = flags;
	e->run->set |= FERMATA_RUN_SET_RFLAGS;
}

static uint32_t access_of(const ZydisDecodedOperand *op)
{
	return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? FERMATA_ACCESS_WRITE :
							       FERMATA_ACCESS_READ;
}

static bool is_gpr(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && emu_reg_size(op->reg.value);
}

/* The value of a register or immediate operand; false for any other kind. */
static bool source(struct emu *e, const ZydisDecodedOperand *op, uint64_t *value)
{
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		*value = op->imm.value.u;
		return true;
	}
	if (!is_gpr(op))
		return false;
	*value = emu_reg_read(e, op->reg.value);
	return true;
}

/* The operand beside the memory operand; one-operand shifts by 1 carry it as a hidden immediate. */
static const ZydisDecodedOperand *other_operand(struct emu *e)
{
	return e->mem == &e->op[0] ? &e->op[1] : &e->op[0];
}

static uint64_t byte_swap(uint64_t value, unsigned size)
{
	return size == 2 ? __builtin_bswap16(value) :
	       size == 4 ? __builtin_bswap32(value) :
			   __builtin_bswap64(value);
}

static bool is_segment(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static uint16_t selector(struct emu *e, ZydisRegister reg)
{
	const struct fermata_segment *s = &e->state.segments.es;

	return s[reg - ZYDIS_REGISTER_ES].selector; /* both count ES CS SS DS FS GS */
}

/* MOV and its kin: one operand is memory, the other takes or gives the value. */
static int move(struct emu *e)
{
	const ZydisDecodedOperand *other = other_operand(e);
	unsigned size = e->mem->size / 8;
	struct emu_span span;
	uint64_t value;
	int ret;

	if (e->mem == &e->op[0]) {
		if (is_segment(other)) {
			ret = emu_segments(e);
			if (ret)
				return ret;
			value = selector(e, other->reg.value);
		} else if (!source(e, other, &value)) {
			return EMU_UNKNOWN;
		}
		if (e->insn.mnemonic == ZYDIS_MNEMONIC_MOVBE)
			value = byte_swap(value, size);
		ret = emu_span_operand(e, size, FERMATA_ACCESS_WRITE, 0, &span);
		if (ret)
			return ret;
		emu_span_write_value(e, &span, value);
		return finish(e);
	}
	if (!is_gpr(other))
		return EMU_UNKNOWN;
	ret = emu_span_operand(e, size, FERMATA_ACCESS_READ, 0, &span);
	if (ret)
		return ret;
	value = emu_span_read_value(e, &span);
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVBE:
		value = byte_swap(value, size);
		break;
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		value = alu_sign_extend(value, size);
		break;
	default:
		break;
	}
	emu_reg_write(e, other->reg.value, value);
	return finish(e);
}

/*
 * Bit operations with a register offset reach beyond the operand: the bit string starts at the
 * operand's address and the offset is signed (SDM 2A BT). The rest of the two-operand arithmetic
 * needs no displacement.
 */
static int64_t bit_displacement(struct emu *e, enum alu_op op, const ZydisDecodedOperand *other,
				unsigned size)
{
	int64_t bit;

	if (op < ALU_BT || other->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	bit = (int64_t)alu_sign_extend(emu_reg_read(e, other->reg.value), size);
	return (bit >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
}

static int arithmetic(struct emu *e, enum alu_op op)
{
	const ZydisDecodedOperand *other = other_operand(e);
	bool one_operand = op >= ALU_INC && op <= ALU_NEG;
	bool to_memory = e->mem == &e->op[0];
	uint32_t access = access_of(e->mem);
	unsigned size = e->mem->size / 8;
	uint64_t flags = e->run->rflags;
	uint64_t value = 0, memory, result;
	struct emu_span span;
	int ret;

	if (!one_operand && !source(e, other, &value))
		return EMU_UNKNOWN;
	ret = emu_span_operand(e, size, access,
			       one_operand ? 0 : bit_displacement(e, op, other, size), &span);
	if (ret)
		return ret;
	memory = emu_span_read_value(e, &span);
	result = to_memory ? emu_alu(op, size, memory, value, &flags) :
			     emu_alu(op, size, value, memory, &flags);
	if (access == FERMATA_ACCESS_WRITE)
		emu_span_write_value(e, &span, result);
	else if (!to_memory && e->op[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		emu_reg_write(e, other->reg.value, result);
	set_flags(e, flags);
	return finish(e);
}

/* XCHG, XADD and CMPXCHG: memory and a register both change. */
static int exchange(struct emu *e)
{
	const ZydisDecodedOperand *other = other_operand(e);
	unsigned size = e->mem->size / 8;
	uint64_t flags = e->run->rflags;
	uint64_t memory, value, accumulator;
	struct emu_span span;
	int ret;

	if (!is_gpr(other))
		return EMU_UNKNOWN;
	ret = emu_span_operand(e, size, FERMATA_ACCESS_WRITE, 0, &span);
	if (ret)
		return ret;
	value = emu_reg_read(e, other->reg.value);
	memory = emu_span_read_value(e, &span);
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_XCHG:
		emu_span_write_value(e, &span, value);
		emu_reg_write(e, other->reg.value, memory);
		break;
	case ZYDIS_MNEMONIC_XADD:
		emu_span_write_value(e, &span, emu_alu(ALU_ADD, size, memory, value, &flags));
		emu_reg_write(e, other->reg.value, memory);
		break;
	default:
		/* memory is written in either case (SDM 2A CMPXCHG) */
		accumulator = e->run->regs[FERMATA_RAX] & alu_mask(size);
		emu_alu(ALU_SUB, size, accumulator, memory, &flags);
		if (accumulator == memory) {
			emu_span_write_value(e, &span, value);
			break;
		}
		emu_span_write_value(e, &span, memory);
		emu_reg_write(e,
			      size == 1 ? ZYDIS_REGISTER_AL :
			      size == 2 ? ZYDIS_REGISTER_AX :
			      size == 4 ? ZYDIS_REGISTER_EAX :
					  ZYDIS_REGISTER_RAX,
			      memory);
	}
	set_flags(e, flags);
	return finish(e);
}

static int set_on_condition(struct emu *e)
{
	struct emu_span span;
	int ret = emu_span_operand(e, 1, FERMATA_ACCESS_WRITE, 0, &span);

	if (ret)
		return ret;
	emu_span_write_value(e, &span, emu_condition(e->insn.opcode, e->run->rflags));
	return finish(e);
}

/* The memory is read whatever the condition; a 32-bit destination is zero-extended likewise. */
static int move_on_condition(struct emu *e)
{
	ZydisRegister reg = e->op[0].reg.value;
	struct emu_span span;
	uint64_t value;
	int ret = emu_span_operand(e, e->mem->size / 8, FERMATA_ACCESS_READ, 0, &span);

	if (ret)
		return ret;
	value = emu_span_read_value(e, &span);
	if (!emu_condition(e->insn.opcode, e->run->rflags))
		value = emu_reg_read(e, reg);
	emu_reg_write(e, reg, value);
	return finish(e);
}

/* How much of RSP counts, in bytes: SS.B outside 64-bit mode (SDM 1 6.2.3). */
static int stack_bytes(struct emu *e, unsigned *bytes)
{
	int ret;

	*bytes = 8;
	if (e->run->exit.cpu_mode == FERMATA_MODE_LONG)
		return 0;
	ret = emu_segments(e);
	if (ret)
		return ret;
	*bytes = e->state.segments.ss.attrib & 0x400 ? 4 : 2;
	return 0;
}

static void set_stack(struct emu *e, uint64_t rsp, unsigned bytes)
{
	__u64 *to = &e->run->regs[FERMATA_RSP];

	*to = bytes == 2 ? (*to & ~0xffffull) | (rsp & 0xffff) : rsp & alu_mask(bytes);
}

/* A second memory operand besides the one that made the exit; either may be the device. */
static int span_any(struct emu *e, ZydisRegister segment, uint64_t ea, unsigned size,
		    uint32_t access, struct emu_span *span)
{
	uint64_t linear;
	int ret = emu_linear(e, segment, ea, size, access, &linear);

	return ret ? ret : emu_span_at(e, linear, size, access, span);
}

static int push_or_pop(struct emu *e)
{
	bool push = e->insn.mnemonic == ZYDIS_MNEMONIC_PUSH;
	unsigned size = e->mem->size / 8, stack;
	struct emu_span operand, top;
	uint64_t old = e->run->regs[FERMATA_RSP], rsp, ea;
	int ret = stack_bytes(e, &stack);

	if (ret)
		return ret;
	rsp = (push ? old - size : old) & alu_mask(stack);
	if (!push) /* POP computes its operand's address with the new RSP (SDM 2B POP) */
		set_stack(e, old + size, stack);
	ea = emu_effective_address(e, e->mem);
	set_stack(e, old, 8);
	ret = span_any(e, e->mem->mem.segment, ea, size,
		       push ? FERMATA_ACCESS_READ : FERMATA_ACCESS_WRITE, &operand);
	if (!ret)
		ret = span_any(e, ZYDIS_REGISTER_SS, rsp, size,
			       push ? FERMATA_ACCESS_WRITE : FERMATA_ACCESS_READ, &top);
	if (ret)
		return ret;
	if (!emu_span_has_page(&operand, e->run->exit.mmio.gpa) &&
	    !emu_span_has_page(&top, e->run->exit.mmio.gpa))
		return EMU_MISMATCH;
	if (push)
		emu_span_write_value(e, &top, emu_span_read_value(e, &operand));
	else
		emu_span_write_value(e, &operand, emu_span_read_value(e, &top));
	set_stack(e, push ? rsp : old + size, stack);
	return finish(e);
}

int emu_integer(struct emu *e)
{
	const struct alu_entry *entry;

	if (e->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return EMU_UNKNOWN;
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVBE:
	case ZYDIS_MNEMONIC_MOVNTI:
		return move(e);
	case ZYDIS_MNEMONIC_XCHG:
	case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_CMPXCHG:
		return exchange(e);
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		return push_or_pop(e);
	default:
		break;
	}
	if (e->insn.meta.category == ZYDIS_CATEGORY_SETCC)
		return set_on_condition(e);
	if (e->insn.meta.category == ZYDIS_CATEGORY_CMOV)
		return move_on_condition(e);
	entry = alu_find(e->insn.mnemonic);
	return entry ? arithmetic(e, entry->op) : EMU_UNKNOWN;
}
