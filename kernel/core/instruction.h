/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The instruction behind an exit: its bytes, its length, its operands. */
#ifndef CORE_INSTRUCTION_H
#define CORE_INSTRUCTION_H

#include "core/vcpu.h"
#include "insn/insn.h"

/* Fetched from where the guest is, and decoded. False: it cannot be had now, or is unknown. */
bool exit_fetch(struct vcpu *v, struct insn *insn);
/* The linear address of its operand in memory. */
u64 exit_operand_address(struct vcpu *v, const struct insn *insn);
/*
 * Fills in what the exit's record lacks of its instruction. The length; 0: what is there now is another
 * instruction, or cannot be had. Entering the guest again runs it, or fetches it.
 */
u8 exit_decode(struct vcpu *v);

/* The length of the instruction that exited, from the hardware or by decoding it. */
static inline u8 exit_length(struct vcpu *v)
{
	return likely(v->exit.length) ? v->exit.length : exit_decode(v);
}

/* The same for MOV to and from CR and DR; what the record lacks of the operands is there after it. */
static inline u8 exit_mov_length(struct vcpu *v)
{
	return likely(v->exit.mov.decoded) ? exit_length(v) : exit_decode(v);
}

/* The next entry steps over it. False: its length is not known yet. */
static inline bool exit_step_over(struct vcpu *v)
{
	v->advance = exit_length(v);
	return v->advance;
}

#endif
