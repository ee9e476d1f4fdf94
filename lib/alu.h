/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The integer unit in arithmetic: results and the six status flags (SDM 1 3.4.3.1). Pure functions.
 * size is 1, 2, 4 or 8 bytes; operands may carry rubbish above it, results never do. flags is the
 * whole RFLAGS; only status flags change. Flags the manual leaves undefined get what processors of
 * both vendors do in practice, or stay.
 */
#ifndef LIB_ALU_H
#define LIB_ALU_H

#include <stdbool.h>
#include <stdint.h>

#define RFLAGS_CF (1u << 0)
#define RFLAGS_PF (1u << 2)
#define RFLAGS_AF (1u << 4)
#define RFLAGS_ZF (1u << 6)
#define RFLAGS_SF (1u << 7)
#define RFLAGS_DF (1u << 10)
#define RFLAGS_OF (1u << 11)
#define RFLAGS_STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum alu_op {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_INC,
	ALU_DEC,
	ALU_NOT,
	ALU_NEG,
	ALU_ROL,
	ALU_ROR,
	ALU_RCL,
	ALU_RCR,
	ALU_SHL,
	ALU_SHR,
	ALU_SAR,
	ALU_BT,
	ALU_BTS,
	ALU_BTR,
	ALU_BTC,
};

/* b: second operand, shift count (masked here) or bit number (modulo the size); unused by one-operand ops */
uint64_t emu_alu(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags);

/* The condition in the low four bits of Jcc, SETcc and CMOVcc opcodes (SDM 2D B.1.4.7). */
bool emu_condition(unsigned condition, uint64_t flags);

static inline uint64_t alu_mask(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static inline uint64_t alu_sign_extend(uint64_t value, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

#endif
