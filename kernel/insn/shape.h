/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Of any instruction: its length, and which memory it touches. For accesses that rules are about; what
 * the instruction does is not known here.
 */
#ifndef INSN_SHAPE_H
#define INSN_SHAPE_H

#include "insn/insn.h"

#define SHAPE_READ 1u
#define SHAPE_WRITE 2u
#define SHAPE_OPERANDS 3

struct insn_shape {
	u8 length;
	u8 count; /* operands in memory */
	struct shape_operand {
		struct insn at; /* segment, base, index, ...: for insn_offset() */
		u16 size;	/* bytes; of x87, SSE and AVX state at most this */
		u8 access;	/* SHAPE_*; 0: not known which */
		bool exact; /* else the address is not in `at`: gathers, BT with a register, compressed displacements */
	} operand[SHAPE_OPERANDS];
};

/* 0, -ERANGE: it goes on beyond count, -EINVAL: no instruction. */
int insn_shape(const u8 *bytes, u32 count, u8 mode, struct insn_shape *out);

#endif
