/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Opcode maps: SDM 2D appendix A. Length comes from ModRM and immediates; the memory operands from
 * ModRM, the stack and the string registers.
 */
#include "insn/shape.h"
#include "insn/decoder.h"

#define RMW (SHAPE_READ | SHAPE_WRITE)

struct shape {
	struct decoder d;
	struct insn insn;
	struct insn_shape *out;
	u8 vector; /* bytes of a vector register; 0: legacy SSE or MMX */
	bool evex;
};

/* ---- operands */

static struct shape_operand *operand(struct shape *s, u32 size, u8 access)
{
	struct shape_operand *o = &s->out->operand[s->out->count++];

	o->at = s->insn;
	o->size = size;
	o->access = access;
	o->exact = true;
	return o;
}

/* What ModRM names, if that is memory; its bytes are read here. */
static void modrm(struct shape *s, u32 size, u8 access)
{
	struct decoder *d = &s->d;

	decoder_operand_rm(d, 1);
	if (!s->insn.memory || !size)
		return;
	operand(s, size, access)->exact = !s->evex || !s->insn.disp;
}

static void take_modrm(struct shape *s)
{
	s->d.modrm = decoder_next(&s->d);
}

static u8 number(const struct shape *s)
{
	return s->d.modrm >> 3 & 7;
}

/* At the register, so far from it; the operand that ModRM has named stays what it is. */
static void by_register(struct shape *s, u8 reg, u8 segment, u32 size, u8 access, u64 disp)
{
	struct insn *at = &operand(s, size, access)->at;

	at->base = reg;
	at->index = INSN_NO_REG;
	at->rip_relative = false;
	at->disp = disp;
	at->segment = segment;
	at->memory = true;
}

static u8 stack_size(const struct shape *s)
{
	const struct decoder *d = &s->d;

	if (d->mode != FERMATA_MODE_LONG)
		return d->operand_size;
	return d->operand16 && !(d->rex & REX_W) ? 2 : 8;
}

static void stack(struct shape *s, u32 size, u8 access)
{
	u8 width = s->d.mode == FERMATA_MODE_LONG ? 8 : s->insn.address_size;
	struct insn insn = s->insn;

	s->insn.address_size = width;
	by_register(s, FERMATA_RSP, SEG_SS, size, access, access == SHAPE_WRITE ? -(u64)size : 0);
	s->insn = insn;
}

static void source(struct shape *s, u32 size)
{
	by_register(s, FERMATA_RSI, s->d.segment == SEG_NONE ? SEG_DS : s->d.segment, size,
		    SHAPE_READ, 0);
}

static void destination(struct shape *s, u32 size, u8 access)
{
	by_register(s, FERMATA_RDI, SEG_ES, size, access, 0);
}

static void skip(struct shape *s, u32 bytes)
{
	while (bytes--)
		decoder_next(&s->d);
}

static u8 immediate_z(const struct shape *s)
{
	return s->d.operand_size == 2 ? 2 : 4;
}

/* CALL and jumps: in 64-bit mode 32 bits, whatever the prefixes (SDM 2A CALL). */
static u8 branch_z(const struct shape *s)
{
	return s->d.mode == FERMATA_MODE_LONG ? 4 : immediate_z(s);
}

/* ---- one byte of opcode */

static void absolute(struct shape *s, u32 size, u8 access)
{
	struct decoder *d = &s->d;

	s->insn.disp = decoder_next_signed(d, s->insn.address_size);
	if (s->insn.address_size < 8)
		s->insn.disp &= BIT_ULL(8 * s->insn.address_size) - 1;
	s->insn.segment = d->segment == SEG_NONE ? SEG_DS : d->segment;
	s->insn.memory = true;
	operand(s, size, access);
}

/* 00 to 3F: eight operations in the same six forms; the last one, CMP, only reads. */
static void arithmetic(struct shape *s, u8 opcode)
{
	u8 size = opcode & 1 ? s->d.operand_size : 1;

	switch (opcode & 7) {
	case 0:
	case 1:
		take_modrm(s);
		modrm(s, size, opcode >= 0x38 ? SHAPE_READ : RMW);
		return;
	case 2:
	case 3:
		take_modrm(s);
		modrm(s, size, SHAPE_READ);
		return;
	case 4:
		skip(s, 1);
		return;
	case 5:
		skip(s, immediate_z(s));
		return;
	case 6: /* PUSH and POP of segment registers; DAA and the like from 20h on, without operands */
		if (opcode < 0x20)
			stack(s, s->d.operand_size, SHAPE_WRITE);
		return;
	case 7:
		if (opcode < 0x20)
			stack(s, s->d.operand_size, SHAPE_READ);
	}
}

/* x87: from 2 bytes to 108, of FSAVE (SDM 2D table A-7 and following). */
static void float_point(struct shape *s, u8 opcode)
{
	static const u8 sizes[8][8] = {
		{ 4, 4, 4, 4, 4, 4, 4, 4 }, { 4, 4, 4, 4, 28, 2, 28, 2 },
		{ 4, 4, 4, 4, 4, 4, 4, 4 }, { 4, 4, 4, 4, 4, 10, 4, 10 },
		{ 8, 8, 8, 8, 8, 8, 8, 8 }, { 8, 8, 8, 8, 108, 8, 108, 2 },
		{ 2, 2, 2, 2, 2, 2, 2, 2 }, { 2, 2, 2, 2, 10, 8, 10, 8 },
	};

	take_modrm(s);
	modrm(s, sizes[opcode & 7][number(s)], 0);
}

static void group_3(struct shape *s, u8 size)
{
	take_modrm(s);
	modrm(s, size, number(s) == 2 || number(s) == 3 ? RMW : SHAPE_READ);
	if (number(s) < 2)
		skip(s, size == 1 ? 1 : immediate_z(s));
}

/* Far pointers are an offset and two bytes more. */
static void group_5(struct shape *s)
{
	u8 size = s->d.operand_size;

	take_modrm(s);
	switch (number(s)) {
	case 0:
	case 1:
		modrm(s, size, RMW);
		return;
	case 2: /* near branches are 64 bits wide there */
	case 4:
		modrm(s, s->d.mode == FERMATA_MODE_LONG ? 8 : size, SHAPE_READ);
		if (number(s) == 2)
			stack(s, s->d.mode == FERMATA_MODE_LONG ? 8 : size, SHAPE_WRITE);
		return;
	case 3:
	case 5:
		modrm(s, size + 2, SHAPE_READ);
		if (number(s) == 3)
			stack(s, 2 * size, SHAPE_WRITE);
		return;
	case 6:
		modrm(s, stack_size(s), SHAPE_READ);
		stack(s, stack_size(s), SHAPE_WRITE);
		return;
	default:
		modrm(s, 0, 0);
	}
}

static void strings(struct shape *s, u8 opcode)
{
	u8 size = opcode & 1 ? s->d.operand_size : 1;

	switch (opcode & 0xfe) {
	case 0x6c:
		destination(s, min(size, (u8)4), SHAPE_WRITE);
		return;
	case 0x6e:
		source(s, min(size, (u8)4));
		return;
	case 0xa4:
		source(s, size);
		destination(s, size, SHAPE_WRITE);
		return;
	case 0xa6:
		source(s, size);
		destination(s, size, SHAPE_READ);
		return;
	case 0xaa:
		destination(s, size, SHAPE_WRITE);
		return;
	case 0xac:
		source(s, size);
		return;
	case 0xae:
		destination(s, size, SHAPE_READ);
	}
}

static void map_vex(struct shape *s, u8 opcode);
static int map_0f(struct shape *s);

/* 62h, C4h and C5h are instructions of their own outside of 64-bit mode when ModRM names memory. */
static bool is_vex(const struct shape *s)
{
	const struct decoder *d = &s->d;

	return d->mode == FERMATA_MODE_LONG || (d->pos < d->end && d->bytes[d->pos] >= 0xc0);
}

static int map_one(struct shape *s, u8 opcode)
{
	struct decoder *d = &s->d;
	bool wide = d->mode == FERMATA_MODE_LONG;
	u8 size = opcode & 1 ? d->operand_size : 1;

	switch (opcode) {
	case 0x0f:
		return map_0f(s);
	case 0x00 ... 0x0e:
	case 0x10 ... 0x3f:
		if (wide && (opcode & 7) >= 6)
			return -EINVAL;
		arithmetic(s, opcode);
		return 0;
	case 0x50 ... 0x57:
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0x58 ... 0x5f:
		stack(s, stack_size(s), SHAPE_READ);
		return 0;
	case 0x60: /* PUSHA, POPA */
		stack(s, 8 * d->operand_size, SHAPE_WRITE);
		return wide ? -EINVAL : 0;
	case 0x61:
		stack(s, 8 * d->operand_size, SHAPE_READ);
		return wide ? -EINVAL : 0;
	case 0x62:
	case 0xc4:
	case 0xc5:
		if (is_vex(s)) {
			map_vex(s, opcode);
			return 0;
		}
		take_modrm(s); /* BOUND, LES, LDS */
		modrm(s, opcode == 0x62 ? 2 * d->operand_size : d->operand_size + 2, SHAPE_READ);
		return 0;
	case 0x63: /* MOVSXD, ARPL */
		take_modrm(s);
		modrm(s, wide ? 4 : 2, wide ? SHAPE_READ : RMW);
		return 0;
	case 0x68:
		skip(s, immediate_z(s));
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0x69:
	case 0x6b:
		take_modrm(s);
		modrm(s, d->operand_size, SHAPE_READ);
		skip(s, opcode == 0x69 ? immediate_z(s) : 1);
		return 0;
	case 0x6a:
		skip(s, 1);
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0x6c ... 0x6f:
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
		strings(s, opcode);
		return 0;
	case 0x80 ... 0x83:
		if (wide && opcode == 0x82)
			return -EINVAL;
		take_modrm(s);
		modrm(s, opcode == 0x82 ? 1 : size, number(s) == 7 ? SHAPE_READ : RMW);
		skip(s, opcode == 0x81 ? immediate_z(s) : 1);
		return 0;
	case 0x84:
	case 0x85:
	case 0x8a:
	case 0x8b:
		take_modrm(s);
		modrm(s, size, SHAPE_READ);
		return 0;
	case 0x86:
	case 0x87:
		take_modrm(s);
		modrm(s, size, RMW);
		return 0;
	case 0x88:
	case 0x89:
		take_modrm(s);
		modrm(s, size, SHAPE_WRITE);
		return 0;
	case 0x8c:
	case 0x8e:
		take_modrm(s);
		modrm(s, 2, opcode == 0x8c ? SHAPE_WRITE : SHAPE_READ);
		return 0;
	case 0x8d:
		take_modrm(s);
		modrm(s, 0, 0);
		return 0;
	case 0x8f: /* its address is computed with RSP as it is behind the POP (SDM 2B POP) */
		take_modrm(s);
		modrm(s, stack_size(s), SHAPE_WRITE);
		if (s->insn.memory && s->insn.base == FERMATA_RSP)
			s->out->operand[0].at.disp += stack_size(s);
		stack(s, stack_size(s), SHAPE_READ);
		return 0;
	case 0x9a:
	case 0xea:
		skip(s, d->operand_size + 2);
		if (opcode == 0x9a)
			stack(s, 2 * d->operand_size, SHAPE_WRITE);
		return wide ? -EINVAL : 0;
	case 0x9c:
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0x9d:
		stack(s, stack_size(s), SHAPE_READ);
		return 0;
	case 0xa0 ... 0xa3:
		absolute(s, size, opcode < 0xa2 ? SHAPE_READ : SHAPE_WRITE);
		return 0;
	case 0xa8:
	case 0xb0 ... 0xb7:
	case 0xd4:
	case 0xd5:
	case 0xe0 ... 0xe7:
	case 0xeb:
	case 0xcd:
	case 0x70 ... 0x7f:
		skip(s, 1);
		return wide && (opcode == 0xd4 || opcode == 0xd5) ? -EINVAL : 0;
	case 0xa9:
		skip(s, immediate_z(s));
		return 0;
	case 0xb8 ... 0xbf:
		skip(s, d->operand_size);
		return 0;
	case 0xc0:
	case 0xc1:
	case 0xd0 ... 0xd3:
		take_modrm(s);
		modrm(s, size, RMW);
		skip(s, opcode < 0xd0 ? 1 : 0);
		return 0;
	case 0xc2:
	case 0xc3:
		skip(s, opcode == 0xc2 ? 2 : 0);
		stack(s, wide ? 8 : d->operand_size, SHAPE_READ);
		return 0;
	case 0xc6:
	case 0xc7:
		take_modrm(s);
		modrm(s, size, SHAPE_WRITE);
		skip(s, opcode == 0xc6 ? 1 : immediate_z(s));
		return 0;
	case 0xc8:
		skip(s, 3);
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0xc9: /* LEAVE reads where RBP points to */
		by_register(s, FERMATA_RBP, SEG_SS, stack_size(s), SHAPE_READ, 0);
		return 0;
	case 0xca:
	case 0xcb:
		skip(s, opcode == 0xca ? 2 : 0);
		stack(s, 2 * d->operand_size, SHAPE_READ);
		return 0;
	case 0xcf:
		stack(s, (wide ? 5 : 3) * d->operand_size, SHAPE_READ);
		return 0;
	case 0xd7: /* XLAT: AL is the index */
		by_register(s, FERMATA_RBX, d->segment == SEG_NONE ? SEG_DS : d->segment, 1,
			    SHAPE_READ, 0);
		s->out->operand[0].exact = false;
		return 0;
	case 0xd8 ... 0xdf:
		float_point(s, opcode);
		return 0;
	case 0xe8:
		skip(s, branch_z(s));
		stack(s, wide ? 8 : d->operand_size, SHAPE_WRITE);
		return 0;
	case 0xe9:
		skip(s, branch_z(s));
		return 0;
	case 0xf6:
	case 0xf7:
		group_3(s, size);
		return 0;
	case 0xfe:
		take_modrm(s);
		modrm(s, 1, RMW);
		return 0;
	case 0xff:
		group_5(s);
		return 0;
	case 0xce:
		return wide ? -EINVAL : 0;
	}
	return 0; /* a byte alone, without memory */
}

/* ---- 0F */

/* An operand of MMX, SSE or AVX. */
static u32 vector_size(const struct shape *s)
{
	if (s->vector)
		return s->vector;
	return s->d.mandatory == 0x66 ? 16 : 8;
}

/* ... of the arithmetic kind, whose last prefix says: packed, or one number of 4 or 8 bytes. */
static u32 packed_size(const struct shape *s)
{
	if (s->d.mandatory == 0xf3)
		return 4;
	if (s->d.mandatory == 0xf2)
		return 8;
	return s->vector ? s->vector : 16;
}

static u32 vector_operand(const struct shape *s, u8 opcode)
{
	u8 prefix = s->d.mandatory;

	switch (opcode) {
	case 0x10:
	case 0x11:
	case 0x51 ... 0x59:
	case 0x5c ... 0x5f:
	case 0xc2:
		return packed_size(s);
	case 0x12:
	case 0x16:
		return prefix == 0xf3 || (prefix == 0xf2 && s->vector > 16) ?
			       vector_size(s) > 16 ? s->vector : 16 :
			       8;
	case 0x13:
	case 0x17:
	case 0xd6:
		return 8;
	case 0x14:
	case 0x15:
	case 0x28:
	case 0x29:
	case 0x2b:
	case 0x5b:
	case 0x7c:
	case 0x7d:
	case 0xc6:
	case 0xd0:
	case 0xf0:
		return s->vector ? s->vector : 16;
	case 0x2a:
		return prefix == 0xf2 || prefix == 0xf3 ? (s->d.rex & REX_W ? 8 : 4) : 8;
	case 0x2c:
	case 0x2d:
		return prefix == 0xf3 ? 4 : prefix == 0x66 ? 16 : 8;
	case 0x5a:
		if (prefix == 0xf3)
			return 4;
		return prefix == 0xf2 || !(prefix || s->vector) ? 8 : s->vector ? s->vector : 16;
	case 0x2e:
	case 0x2f:
		return prefix == 0x66 ? 8 : 4;
	case 0x6e:
		return s->d.rex & REX_W ? 8 : 4;
	case 0x7e:
		return prefix == 0xf3 || s->d.rex & REX_W ? 8 : 4;
	case 0x60 ... 0x62:
		return s->vector ? s->vector : prefix == 0x66 ? 16 : 4;
	case 0x6f:
	case 0x70:
	case 0x7f:
	case 0xe6:
		return s->vector ? s->vector : prefix ? 16 : 8;
	case 0xc4:
		return 2;
	}
	return vector_size(s);
}

static void group_15(struct shape *s)
{
	static const u16 sizes[8] = { 512, 512, 4, 4, 4096, 4096, 4096, 1 };

	take_modrm(s);
	/* CLWB, CLFLUSHOPT, TPAUSE and the like where a prefix says so */
	modrm(s, s->d.mandatory ? number(s) == 6 ? 1 : sizes[number(s)] : sizes[number(s)], 0);
}

static void group_9(struct shape *s)
{
	take_modrm(s);
	if (number(s) == 1)
		modrm(s, s->d.rex & REX_W ? 16 : 8, RMW);
	else
		modrm(s, number(s) == 6 || number(s) == 7 ? 8 : 4096, 0);
}

static void group_7(struct shape *s)
{
	u8 table = s->d.mode == FERMATA_MODE_LONG ? 10 : 6;

	take_modrm(s);
	switch (number(s)) {
	case 0:
	case 1:
		modrm(s, table, SHAPE_WRITE);
		return;
	case 2:
	case 3:
		modrm(s, table, SHAPE_READ);
		return;
	case 4:
		modrm(s, 2, SHAPE_WRITE);
		return;
	case 6:
		modrm(s, 2, SHAPE_READ);
		return;
	default:
		modrm(s, 0, 0);
	}
}

/* BT and its like with a register: the register's upper bits are a part of the address. */
static void bit_string(struct shape *s, u8 access)
{
	take_modrm(s);
	modrm(s, s->d.operand_size, access);
	if (s->out->count)
		s->out->operand[0].exact = false;
}

static int map_0f38(struct shape *s)
{
	u8 opcode = decoder_next(&s->d), size = s->d.operand_size;

	take_modrm(s);
	switch (opcode) {
	case 0xf0:
	case 0xf1:
		if (s->d.mandatory == 0xf2) /* CRC32 */
			modrm(s, opcode & 1 ? size : 1, SHAPE_READ);
		else /* MOVBE */
			modrm(s, size, opcode & 1 ? SHAPE_WRITE : SHAPE_READ);
		return 0;
	case 0xf6:
	case 0xf9:
		modrm(s, s->d.rex & REX_W ? 8 : 4, 0);
		return 0;
	case 0x80 ... 0x82:
	case 0xc8 ... 0xcd: /* SHA */
		modrm(s, 16, SHAPE_READ);
		return 0;
	case 0xd8 ... 0xdf: /* AES; with F3 those with a wrapped key */
		modrm(s, s->d.mandatory == 0xf3 ? 64 : 16, 0);
		return 0;
	case 0xf8: /* MOVDIR64B, ENQCMD: the other 64 bytes are where a register says */
		modrm(s, 64, SHAPE_READ);
		return 0;
	}
	modrm(s, vector_size(s), 0);
	return 0;
}

static int map_0f(struct shape *s)
{
	struct decoder *d = &s->d;
	u8 opcode = decoder_next(d), size = d->operand_size;

	switch (opcode) {
	case 0x38:
		return map_0f38(s);
	case 0x3a:
		opcode = decoder_next(d);
		take_modrm(s);
		modrm(s, opcode == 0xcc ? 16 : vector_size(s), 0);
		skip(s, 1);
		return 0;
	case 0x05 ... 0x09: /* SYSCALL ... WBINVD */
	case 0x0b:
	case 0x0e:
	case 0x30 ... 0x37:
	case 0x77:
	case 0xa2:
	case 0xaa:
	case 0xc8 ... 0xcf:
		return 0;
	case 0x04:
	case 0x0a:
	case 0x0c:
	case 0x24 ... 0x27:
	case 0x39:
	case 0x3b ... 0x3f:
		return -EINVAL;
	case 0x80 ... 0x8f:
		skip(s, branch_z(s));
		return 0;
	case 0xa0: /* PUSH and POP of FS, GS */
	case 0xa8:
		stack(s, stack_size(s), SHAPE_WRITE);
		return 0;
	case 0xa1:
	case 0xa9:
		stack(s, stack_size(s), SHAPE_READ);
		return 0;
	case 0x00:
		take_modrm(s);
		modrm(s, 2, number(s) < 2 ? SHAPE_WRITE : SHAPE_READ);
		return 0;
	case 0x01:
		group_7(s);
		return 0;
	case 0x02:
	case 0x03:
		take_modrm(s);
		modrm(s, 2, SHAPE_READ);
		return 0;
	case 0x0d: /* prefetches, hints */
	case 0x18 ... 0x1f:
		take_modrm(s);
		modrm(s, 0, 0);
		return 0;
	case 0x0f: /* 3DNow!: the opcode comes last */
		take_modrm(s);
		modrm(s, 8, SHAPE_READ);
		skip(s, 1);
		return 0;
	case 0x20 ... 0x23: /* a register, whatever mod says */
		skip(s, 1);
		return 0;
	case 0x40 ... 0x4f:
	case 0xaf:
	case 0xb8:
	case 0xbc:
	case 0xbd:
		take_modrm(s);
		modrm(s, size, SHAPE_READ);
		return 0;
	case 0x78:
	case 0x79:
		take_modrm(s);
		modrm(s, d->mode == FERMATA_MODE_LONG ? 8 : 4, 0);
		skip(s, opcode == 0x78 && d->mandatory ? 2 : 0); /* EXTRQ, INSERTQ */
		return 0;
	case 0x70 ... 0x73:
	case 0xc2:
	case 0xc4 ... 0xc6:
		take_modrm(s);
		modrm(s, vector_operand(s, opcode), SHAPE_READ);
		skip(s, 1);
		return 0;
	case 0x90 ... 0x9f:
		take_modrm(s);
		modrm(s, 1, SHAPE_WRITE);
		return 0;
	case 0xa3:
		bit_string(s, SHAPE_READ);
		return 0;
	case 0xab:
	case 0xb3:
	case 0xbb:
		bit_string(s, RMW);
		return 0;
	case 0xba:
		take_modrm(s);
		modrm(s, size, number(s) == 4 ? SHAPE_READ : RMW);
		skip(s, 1);
		return 0;
	case 0xa4:
	case 0xa5:
	case 0xac:
	case 0xad:
		take_modrm(s);
		modrm(s, size, RMW);
		skip(s, opcode & 1 ? 0 : 1);
		return 0;
	case 0xae:
		group_15(s);
		return 0;
	case 0xb0:
	case 0xb1:
	case 0xc0:
	case 0xc1:
		take_modrm(s);
		modrm(s, opcode & 1 ? size : 1, RMW);
		return 0;
	case 0xb2:
	case 0xb4:
	case 0xb5:
		take_modrm(s);
		modrm(s, size + 2, SHAPE_READ);
		return 0;
	case 0xb6:
	case 0xbe:
	case 0xb7:
	case 0xbf:
		take_modrm(s);
		modrm(s, opcode & 1 ? 2 : 1, SHAPE_READ);
		return 0;
	case 0xb9:
	case 0xff:
		take_modrm(s); /* UD1, UD0 */
		modrm(s, 0, 0);
		return 0;
	case 0xc3:
		take_modrm(s);
		modrm(s, size == 8 ? 8 : 4, SHAPE_WRITE); /* MOVNTI */
		return 0;
	case 0xc7:
		group_9(s);
		return 0;
	}
	take_modrm(s);
	modrm(s, vector_operand(s, opcode), 0);
	return 0;
}

/* ---- VEX and EVEX: SDM 2A 2.3.5, 2.7.1 */

static void vex_prefix(struct shape *s, u8 first, u8 *map, u8 last)
{
	static const u8 prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	u8 bits = first == 0xc5 ? 0 : last & 0x80;

	s->d.mandatory = prefixes[last & 3];
	s->d.rex = (s->d.rex & ~REX_W) | (bits ? REX_W : 0);
	s->vector = last & 4 ? 32 : 16;
}

static void map_vex(struct shape *s, u8 first)
{
	struct decoder *d = &s->d;
	bool wide = d->mode == FERMATA_MODE_LONG;
	u8 a = decoder_next(d), b = a, map = 1, opcode;

	if (first == 0xc5) {
		d->rex = 0x40 | (a & 0x80 ? 0 : REX_R);
	} else {
		d->rex = 0x40 | (~a >> 5 & 7);
		map = a & (first == 0x62 ? 7 : 0x1f);
		b = decoder_next(d);
	}
	if (!wide)
		d->rex = 0x40;
	vex_prefix(s, first, &map, b);
	if (first == 0x62) {
		b = decoder_next(d);
		s->evex = true;
		s->vector = 16 << (b >> 5 & 3 & (b & 0x60 ? 3 : 0));
		if (b & 0x10 || s->vector > 64) /* broadcast: one element; or rounding */
			s->vector = 64;
	}
	opcode = decoder_next(d);
	if (map == 1 && opcode == 0x77 && first != 0x62)
		return;
	take_modrm(s);
	if (map == 1 && (opcode == 0x12 || opcode == 0x16 || opcode == 0xae))
		modrm(s, opcode == 0xae ? 4 : s->vector, 0);
	else
		modrm(s, map == 1 ? vector_operand(s, opcode) : s->vector, 0);
	/* Gathers and scatters have a vector as index. */
	if (map == 2 && s->out->count &&
	    ((opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3) ||
	     opcode == 0xc6 || opcode == 0xc7))
		s->out->operand[0].exact = false;
	if (map == 3 || (map == 1 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 ||
				      (opcode >= 0xc4 && opcode <= 0xc6))))
		skip(s, 1);
}

int insn_shape(const u8 *bytes, u32 count, u8 mode, struct insn_shape *out)
{
	struct shape s = { .out = out };
	int err;

	memset(out, 0, sizeof(*out));
	decoder_init(&s.d, bytes, count, mode, &s.insn);
	err = map_one(&s, decoder_prefixes(&s.d));
	if (s.d.error)
		return s.d.error;
	if (err)
		return err;
	out->length = s.d.pos;
	for (u32 i = 0; i < out->count; i++)
		out->operand[i].at.length = out->length;
	return 0;
}
