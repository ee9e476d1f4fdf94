/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the two readers of instructions share: decode.c, which knows some in full, shape.c, all in part. */
#ifndef INSN_DECODER_H
#define INSN_DECODER_H

#include "insn/insn.h"

#define INSN_LENGTH_MAX 15 /* SDM 2 2.3.11; more is #GP */
#define SEG_NONE 0xff
#define SEG_ES 0
#define SEG_SS 2
#define SEG_DS 3
#define SEG_FS 4

#define REX_B 1
#define REX_X 2
#define REX_R 4
#define REX_W 8

struct decoder {
	const u8 *bytes;
	u32 pos, end;
	int error;  /* the first one; once set, bytes read as 0 */
	int beyond; /* which error it is to go on beyond `end` */
	u8 mode;
	u8 rex;	      /* 40h..4Fh, 0: none */
	u8 mandatory; /* 0, 66h, F2h or F3h: the prefix that chooses among opcodes */
	u8 segment;
	u8 operand_size;
	u8 modrm;
	bool operand16; /* a 66h was there */
	bool lock_allowed;
	struct insn *out;
};

void decoder_init(struct decoder *d, const u8 *bytes, u32 count, u8 mode, struct insn *out);
u8 decoder_next(struct decoder *d);
u64 decoder_next_signed(struct decoder *d, u32 size);
u8 decoder_prefixes(struct decoder *d); /* the opcode's first byte */
u8 decoder_modrm(struct decoder *d);	/* takes ModRM; answers its reg */
/* An address of the address size, without ModRM: in A0..A3. */
void decoder_absolute(struct decoder *d);
/* The operand that ModRM's mod and rm name, size bytes long. */
void decoder_operand_rm(struct decoder *d, u8 size);

#endif
