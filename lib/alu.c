// SPDX-License-Identifier: MIT OR GPL-2.0
/* Integer results and status flags, by the formulas of SDM 2's operation sections. */
#include "alu.h"

static void set_flag(uint64_t *flags, uint64_t flag, bool value)
{
	*flags = value ? *flags | flag : *flags & ~flag;
}

static bool top_bit(uint64_t value, unsigned size)
{
	return value >> (8 * size - 1) & 1;
}

static void set_szp(uint64_t *flags, uint64_t r, unsigned size)
{
	set_flag(flags, RFLAGS_ZF, !r);
	set_flag(flags, RFLAGS_SF, top_bit(r, size));
	set_flag(flags, RFLAGS_PF, !__builtin_parity(r & 0xff));
}

static uint64_t add(unsigned size, uint64_t a, uint64_t b, bool carry, uint64_t *flags)
{
	uint64_t r = (a + b + carry) & alu_mask(size);

	set_flag(flags, RFLAGS_CF, r < a || (carry && r == a));
	set_flag(flags, RFLAGS_AF, (a ^ b ^ r) & 0x10);
	set_flag(flags, RFLAGS_OF, top_bit((a ^ r) & (b ^ r), size));
	set_szp(flags, r, size);
	return r;
}

static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, bool borrow, uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & alu_mask(size);

	set_flag(flags, RFLAGS_CF, a < b || (borrow && a == b));
	set_flag(flags, RFLAGS_AF, (a ^ b ^ r) & 0x10);
	set_flag(flags, RFLAGS_OF, top_bit((a ^ b) & (a ^ r), size));
	set_szp(flags, r, size);
	return r;
}

static uint64_t logic(unsigned size, uint64_t r, uint64_t *flags)
{
	*flags &= ~(uint64_t)(RFLAGS_CF | RFLAGS_OF | RFLAGS_AF);
	set_szp(flags, r, size);
	return r;
}

/* Through the carry: a rotation of 8 * size + 1 bits. */
static uint64_t rotate_carry(bool left, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
	unsigned width = 8 * size;
	bool carry = *flags & RFLAGS_CF;
	uint64_t r = a;

	for (count %= width + 1; count; count--) {
		bool out = left ? top_bit(r, size) : r & 1;

		r = left ? (r << 1 | carry) & alu_mask(size) :
			   r >> 1 | (uint64_t)carry << (width - 1);
		carry = out;
	}
	set_flag(flags, RFLAGS_CF, carry);
	set_flag(flags, RFLAGS_OF,
		 left ? top_bit(r, size) ^ carry : top_bit(r, size) ^ (r >> (width - 2) & 1));
	return r;
}

static uint64_t rotate(bool left, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
	unsigned width = 8 * size;
	uint64_t r = a;

	count %= width;
	if (count && left)
		r = (a << count | a >> (width - count)) & alu_mask(size);
	else if (count)
		r = (a >> count | a << (width - count)) & alu_mask(size);
	if (left) {
		set_flag(flags, RFLAGS_CF, r & 1);
		set_flag(flags, RFLAGS_OF, top_bit(r, size) ^ (r & 1));
	} else {
		set_flag(flags, RFLAGS_CF, top_bit(r, size));
		set_flag(flags, RFLAGS_OF, top_bit(r, size) ^ (r >> (width - 2) & 1));
	}
	return r;
}

/* count 1..63; 8- and 16-bit operands see counts beyond their width. */
static uint64_t shift(enum alu_op op, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
	unsigned width = 8 * size;
	uint64_t r;
	bool out;

	switch (op) {
	case ALU_SHL:
		out = count <= width && a >> (width - count) & 1;
		r = count < width ? a << count & alu_mask(size) : 0;
		set_flag(flags, RFLAGS_OF, top_bit(r, size) ^ out);
		break;
	case ALU_SHR:
		out = count <= width && a >> (count - 1) & 1;
		r = count < width ? a >> count : 0;
		set_flag(flags, RFLAGS_OF, top_bit(a, size));
		break;
	default: {
		int64_t s = (int64_t)alu_sign_extend(a, size);

		out = s >> (count - 1) & 1;
		r = (uint64_t)(s >> count) & alu_mask(size);
		set_flag(flags, RFLAGS_OF, false);
	}
	}
	set_flag(flags, RFLAGS_CF, out);
	set_flag(flags, RFLAGS_AF, false);
	set_szp(flags, r, size);
	return r;
}

static uint64_t shift_or_rotate(enum alu_op op, unsigned size, uint64_t a, uint64_t b,
				uint64_t *flags)
{
	unsigned count = b & (size == 8 ? 63 : 31);

	if (!count)
		return a;
	switch (op) {
	case ALU_ROL:
	case ALU_ROR:
		return rotate(op == ALU_ROL, size, a, count, flags);
	case ALU_RCL:
	case ALU_RCR:
		/* a count that comes to nothing leaves the flags alone (SDM 2B RCL/RCR/ROL/ROR) */
		return count % (8 * size + 1) ? rotate_carry(op == ALU_RCL, size, a, count, flags) :
						a;
	default:
		return shift(op, size, a, count, flags);
	}
}

static uint64_t bit_test(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
	uint64_t bit = 1ull << (b % (8 * size));

	set_flag(flags, RFLAGS_CF, a & bit);
	switch (op) {
	case ALU_BTS:
		return a | bit;
	case ALU_BTR:
		return a & ~bit;
	case ALU_BTC:
		return a ^ bit;
	default:
		return a;
	}
}

uint64_t emu_alu(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
	bool carry = *flags & RFLAGS_CF;
	uint64_t r;

	a &= alu_mask(size);
	if (op <= ALU_XOR)
		b &= alu_mask(size);
	switch (op) {
	case ALU_ADD:
		return add(size, a, b, false, flags);
	case ALU_ADC:
		return add(size, a, b, carry, flags);
	case ALU_SUB:
		return subtract(size, a, b, false, flags);
	case ALU_SBB:
		return subtract(size, a, b, carry, flags);
	case ALU_OR:
		return logic(size, a | b, flags);
	case ALU_AND:
		return logic(size, a & b, flags);
	case ALU_XOR:
		return logic(size, a ^ b, flags);
	case ALU_INC:
		r = add(size, a, 1, false, flags);
		set_flag(flags, RFLAGS_CF, carry);
		return r;
	case ALU_DEC:
		r = subtract(size, a, 1, false, flags);
		set_flag(flags, RFLAGS_CF, carry);
		return r;
	case ALU_NOT:
		return ~a & alu_mask(size);
	case ALU_NEG:
		return subtract(size, 0, a, false, flags);
	case ALU_BT:
	case ALU_BTS:
	case ALU_BTR:
	case ALU_BTC:
		return bit_test(op, size, a, b, flags);
	default:
		return shift_or_rotate(op, size, a, b, flags);
	}
}

bool emu_condition(unsigned condition, uint64_t flags)
{
	bool sf = flags & RFLAGS_SF, of = flags & RFLAGS_OF, zf = flags & RFLAGS_ZF;
	bool result;

	switch (condition >> 1 & 7) {
	case 0:
		result = of;
		break;
	case 1:
		result = flags & RFLAGS_CF;
		break;
	case 2:
		result = zf;
		break;
	case 3:
		result = (flags & RFLAGS_CF) || zf;
		break;
	case 4:
		result = sf;
		break;
	case 5:
		result = flags & RFLAGS_PF;
		break;
	case 6:
		result = sf != of;
		break;
	default:
		result = zf || sf != of;
	}
	return result != (condition & 1);
}
