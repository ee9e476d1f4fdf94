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

/* ---- sizes of operands */

/*
 * Those that are no fixed number of bytes. The letters are the manual's (SDM 2D A.2.2): b is a byte, v a
 * word, doubleword or quadword by the operand size, z the same but at most a doubleword, y a doubleword or
 * with REX.W a quadword.
 */
enum {
	SIZE_NOTHING = 0x8000, /* ModRM names it, and nothing of it is touched */
	SIZE_BV,	       /* b; of odd opcodes v */
	SIZE_BZ,
	SIZE_V,
	SIZE_Z,
	SIZE_Y,
	SIZE_YY,
	SIZE_VV,
	SIZE_FAR,     /* a far pointer: an offset, and two bytes more */
	SIZE_STACK,   /* what PUSH and POP move */
	SIZE_ALL,     /* what PUSHA and POPA move */
	SIZE_FRAME,   /* what IRET pops */
	SIZE_NEAR,    /* near branches are 64 bits wide in 64-bit mode ... */
	SIZE_BRANCH,  /* ... and their displacements 32 bits, whatever the prefixes (SDM 2A CALL) */
	SIZE_NATURAL, /* a general register, whatever the prefixes */
	SIZE_TABLE,   /* a pseudo-descriptor */
	SIZE_X87,
	SIZE_VECTOR,
	SIZE_XSAVE, /* at most; CLWB, CLFLUSHOPT, TPAUSE and the like where a prefix says so */
	SIZE_EXTRQ, /* EXTRQ and INSERTQ: VMREAD with a prefix */
};

/* x87: from 2 bytes to 108, of FSAVE (SDM 2D table A-7 and following). */
static const u8 x87_sizes[8][8] = {
	{ 4, 4, 4, 4, 4, 4, 4, 4 },	/* D8 */
	{ 4, 4, 4, 4, 28, 2, 28, 2 },	/* D9 */
	{ 4, 4, 4, 4, 4, 4, 4, 4 },	/* DA */
	{ 4, 4, 4, 4, 4, 10, 4, 10 },	/* DB */
	{ 8, 8, 8, 8, 8, 8, 8, 8 },	/* DC */
	{ 8, 8, 8, 8, 108, 8, 108, 2 }, /* DD */
	{ 2, 2, 2, 2, 2, 2, 2, 2 },	/* DE */
	{ 2, 2, 2, 2, 10, 8, 10, 8 },	/* DF */
};

#define BY_W 1			   /* 4, with REX.W 8 */
#define OR(bytes) (0x80 | (bytes)) /* a vector register's; so many without VEX or EVEX */

/* An operand of MMX, SSE or AVX, by the prefix that chooses among opcodes: none, 66h, F3h, F2h. */
static const u8 vector_usual[4] = { OR(8), OR(16), OR(8), OR(8) };
static const u8 vector_sizes[256][4] = {
	[0x10 ... 0x11] = { OR(16), OR(16), 4, 8 },
	[0x12] = { 8, 8, 16, 8 },
	[0x13] = { 8, 8, 8, 8 },
	[0x14 ... 0x15] = { OR(16), OR(16), OR(16), OR(16) },
	[0x16] = { 8, 8, 16, 8 },
	[0x17] = { 8, 8, 8, 8 },
	[0x28 ... 0x29] = { OR(16), OR(16), OR(16), OR(16) },
	[0x2a] = { 8, 8, BY_W, BY_W },
	[0x2b] = { OR(16), OR(16), OR(16), OR(16) },
	[0x2c ... 0x2d] = { 8, 16, 4, 8 },
	[0x2e ... 0x2f] = { 4, 8, 4, 4 },
	[0x51 ... 0x59] = { OR(16), OR(16), 4, 8 },
	[0x5a] = { OR(8), OR(16), 4, 8 },
	[0x5b] = { OR(16), OR(16), OR(16), OR(16) },
	[0x5c ... 0x5f] = { OR(16), OR(16), 4, 8 },
	[0x60 ... 0x62] = { OR(4), OR(16), OR(4), OR(4) },
	[0x6e] = { BY_W, BY_W, BY_W, BY_W },
	[0x6f ... 0x70] = { OR(8), OR(16), OR(16), OR(16) },
	[0x7c ... 0x7d] = { OR(16), OR(16), OR(16), OR(16) },
	[0x7e] = { BY_W, BY_W, 8, BY_W },
	[0x7f] = { OR(8), OR(16), OR(16), OR(16) },
	[0xc2] = { OR(16), OR(16), 4, 8 },
	[0xc4] = { 2, 2, 2, 2 },
	[0xc6] = { OR(16), OR(16), OR(16), OR(16) },
	[0xd0] = { OR(16), OR(16), OR(16), OR(16) },
	[0xd6] = { 8, 8, 8, 8 },
	[0xe6] = { OR(8), OR(16), OR(16), OR(16) },
	[0xf0] = { OR(16), OR(16), OR(16), OR(16) },
};

static bool is_long(const struct shape *s)
{
	return s->d.mode == FERMATA_MODE_LONG;
}

static u32 size_y(const struct shape *s)
{
	return s->d.rex & REX_W ? 8 : 4;
}

static u32 vector_size(const struct shape *s, const u8 sizes[4])
{
	u8 prefix = s->d.mandatory;
	u8 size = sizes[prefix == 0xf2 ? 3 : prefix == 0xf3 ? 2 : prefix ? 1 : 0];

	if (size == BY_W)
		return size_y(s);
	return size & OR(0) && s->vector ? s->vector : size & ~OR(0);
}

/* A vector instruction's ModRM operand, of one and of two bytes of opcode. */
static u32 vector_operand(const struct shape *s, u8 opcode)
{
	const u8 *sizes = vector_sizes[opcode];

	return vector_size(s, *sizes ? sizes : vector_usual);
}

static u32 size_of(const struct shape *s, u8 opcode, u32 size)
{
	const struct decoder *d = &s->d;
	u32 v = d->operand_size, z = min(v, 4u);

	switch (size) {
	case SIZE_NOTHING:
		return 0;
	case SIZE_BV:
		return opcode & 1 ? v : 1;
	case SIZE_BZ:
		return opcode & 1 ? z : 1;
	case SIZE_V:
		return v;
	case SIZE_Z:
		return z;
	case SIZE_Y:
		return size_y(s);
	case SIZE_YY:
		return 2 * size_y(s);
	case SIZE_VV:
		return 2 * v;
	case SIZE_FAR:
		return v + 2;
	case SIZE_STACK:
		return !is_long(s) ? v : d->operand16 && !(d->rex & REX_W) ? 2 : 8;
	case SIZE_ALL:
		return 8 * v;
	case SIZE_FRAME:
		return (is_long(s) ? 5 : 3) * v;
	case SIZE_NEAR:
		return is_long(s) ? 8 : v;
	case SIZE_BRANCH:
		return is_long(s) ? 4 : z;
	case SIZE_NATURAL:
		return is_long(s) ? 8 : 4;
	case SIZE_TABLE:
		return is_long(s) ? 10 : 6;
	case SIZE_X87:
		return x87_sizes[opcode & 7][d->modrm >> 3 & 7];
	case SIZE_VECTOR:
		return vector_operand(s, opcode);
	case SIZE_XSAVE:
		return d->mandatory ? 1 : 4096;
	case SIZE_EXTRQ:
		return d->mandatory ? 2 : 0;
	}
	return size;
}

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

static void stack(struct shape *s, u32 size, u8 access)
{
	struct insn insn = s->insn;

	if (is_long(s))
		s->insn.address_size = 8;
	by_register(s, FERMATA_RSP, SEG_SS, size, access, access == SHAPE_WRITE ? -(u64)size : 0);
	s->insn = insn;
}

static u8 data_segment(const struct shape *s)
{
	return s->d.segment == SEG_NONE ? SEG_DS : s->d.segment;
}

static void source(struct shape *s, u32 size)
{
	by_register(s, FERMATA_RSI, data_segment(s), size, SHAPE_READ, 0);
}

static void skip(struct shape *s, u32 bytes)
{
	while (bytes--)
		decoder_next(&s->d);
}

/* ---- opcodes: SDM 2D tables */

#define NOT_LONG BIT(0) /* #UD in 64-bit mode */
#define NEVER BIT(1)	/* #UD */
#define INEXACT BIT(2)	/* a register's upper bits are a part of the address */

/* Sizes in bytes, or SIZE_*. */
struct form {
	u16 memory; /* of what ModRM names; 0: there is no ModRM */
	u16 immediate;
	u16 push, pop;
	u16 source, destination; /* at the string registers */
	u8 access; /* to what ModRM names, or to the destination; 0: not known which */
	u8 flags;
	const struct form *group; /* by ModRM's reg: what there is besides */
};

static const struct form group_1[8] = {
	[0 ... 6] = { .memory = SIZE_BV, .access = RMW },
	[7] = { .memory = SIZE_BV, .access = SHAPE_READ }, /* CMP */
};
static const struct form group_3[8] = {
	[0 ... 1] = { .memory = SIZE_BV, .access = SHAPE_READ, .immediate = SIZE_BZ },
	[2 ... 3] = { .memory = SIZE_BV, .access = RMW },
	[4 ... 7] = { .memory = SIZE_BV, .access = SHAPE_READ },
};
static const struct form group_5[8] = {
	[0 ... 1] = { .memory = SIZE_V, .access = RMW },
	[2] = { .memory = SIZE_NEAR, .access = SHAPE_READ, .push = SIZE_NEAR },
	[3] = { .memory = SIZE_FAR, .access = SHAPE_READ, .push = SIZE_VV },
	[4] = { .memory = SIZE_NEAR, .access = SHAPE_READ },
	[5] = { .memory = SIZE_FAR, .access = SHAPE_READ },
	[6] = { .memory = SIZE_STACK, .access = SHAPE_READ, .push = SIZE_STACK },
	[7] = { .memory = SIZE_NOTHING },
};
static const struct form group_6[8] = {
	[0 ... 1] = { .memory = 2, .access = SHAPE_WRITE },
	[2 ... 7] = { .memory = 2, .access = SHAPE_READ },
};
static const struct form group_7[8] = {
	[0 ... 1] = { .memory = SIZE_TABLE, .access = SHAPE_WRITE },
	[2 ... 3] = { .memory = SIZE_TABLE, .access = SHAPE_READ },
	[4] = { .memory = 2, .access = SHAPE_WRITE },
	[5] = { .memory = SIZE_NOTHING },
	[6] = { .memory = 2, .access = SHAPE_READ },
	[7] = { .memory = SIZE_NOTHING },
};
static const struct form group_8[8] = {
	[0 ... 3] = { .memory = SIZE_V, .access = RMW },
	[4] = { .memory = SIZE_V, .access = SHAPE_READ }, /* BT */
	[5 ... 7] = { .memory = SIZE_V, .access = RMW },
};
static const struct form group_9[8] = {
	[0] = { .memory = 4096 },
	[1] = { .memory = SIZE_YY, .access = RMW },
	[2 ... 5] = { .memory = 4096 },
	[6 ... 7] = { .memory = 8 },
};
static const struct form group_15[8] = {
	[0 ... 1] = { .memory = 512 },	/* FXSAVE, FXRSTOR */
	[2 ... 3] = { .memory = 4 },	/* LDMXCSR, STMXCSR */
	[4 ... 5] = { .memory = 4096 }, /* XSAVE, XRSTOR: at most */
	[6] = { .memory = SIZE_XSAVE }, /* XSAVEOPT */
	[7] = { .memory = 1 },		/* CLFLUSH */
};

/* Eight operations in the same six forms. */
#define ARITHMETIC(first, result)                                                                  \
	[first] = { .memory = SIZE_BV, .access = result },                                         \
	[first + 1] = { .memory = SIZE_BV, .access = result },                                     \
	[first + 2] = { .memory = SIZE_BV, .access = SHAPE_READ },                                 \
	[first + 3] = { .memory = SIZE_BV, .access = SHAPE_READ },                                 \
	[first + 4 ... first + 5] = { .immediate = SIZE_BZ }

/* What is not here is a byte alone, without memory. */
static const struct form one_byte[256] = {
	ARITHMETIC(0x00, RMW),
	[0x06] = { .push = SIZE_STACK, .flags = NOT_LONG },
	[0x07] = { .pop = SIZE_STACK, .flags = NOT_LONG },
	ARITHMETIC(0x08, RMW),
	[0x0e] = { .push = SIZE_STACK, .flags = NOT_LONG },
	ARITHMETIC(0x10, RMW),
	[0x16] = { .push = SIZE_STACK, .flags = NOT_LONG },
	[0x17] = { .pop = SIZE_STACK, .flags = NOT_LONG },
	ARITHMETIC(0x18, RMW),
	[0x1e] = { .push = SIZE_STACK, .flags = NOT_LONG },
	[0x1f] = { .pop = SIZE_STACK, .flags = NOT_LONG },
	ARITHMETIC(0x20, RMW),
	[0x27] = { .flags = NOT_LONG },
	ARITHMETIC(0x28, RMW),
	[0x2f] = { .flags = NOT_LONG },
	ARITHMETIC(0x30, RMW),
	[0x37] = { .flags = NOT_LONG },
	ARITHMETIC(0x38, SHAPE_READ), /* CMP */
	[0x3f] = { .flags = NOT_LONG },
	[0x50 ... 0x57] = { .push = SIZE_STACK },
	[0x58 ... 0x5f] = { .pop = SIZE_STACK },
	[0x60] = { .push = SIZE_ALL, .flags = NOT_LONG },
	[0x61] = { .pop = SIZE_ALL, .flags = NOT_LONG },
	[0x62] = { .memory = SIZE_VV, .access = SHAPE_READ }, /* BOUND */
	[0x68] = { .immediate = SIZE_Z, .push = SIZE_STACK },
	[0x69] = { .memory = SIZE_V, .access = SHAPE_READ, .immediate = SIZE_Z },
	[0x6a] = { .immediate = 1, .push = SIZE_STACK },
	[0x6b] = { .memory = SIZE_V, .access = SHAPE_READ, .immediate = 1 },
	[0x6c ... 0x6d] = { .destination = SIZE_BZ, .access = SHAPE_WRITE },
	[0x6e ... 0x6f] = { .source = SIZE_BZ },
	[0x70 ... 0x7f] = { .immediate = 1 },
	[0x80] = { .group = group_1, .immediate = 1 },
	[0x81] = { .group = group_1, .immediate = SIZE_Z },
	[0x82] = { .group = group_1, .immediate = 1, .flags = NOT_LONG },
	[0x83] = { .group = group_1, .immediate = 1 },
	[0x84 ... 0x85] = { .memory = SIZE_BV, .access = SHAPE_READ },
	[0x86 ... 0x87] = { .memory = SIZE_BV, .access = RMW },
	[0x88 ... 0x89] = { .memory = SIZE_BV, .access = SHAPE_WRITE },
	[0x8a ... 0x8b] = { .memory = SIZE_BV, .access = SHAPE_READ },
	[0x8c] = { .memory = 2, .access = SHAPE_WRITE },
	[0x8d] = { .memory = SIZE_NOTHING }, /* LEA */
	[0x8e] = { .memory = 2, .access = SHAPE_READ },
	[0x8f] = { .memory = SIZE_STACK, .access = SHAPE_WRITE, .pop = SIZE_STACK },
	[0x9a] = { .immediate = SIZE_FAR, .push = SIZE_VV, .flags = NOT_LONG },
	[0x9c] = { .push = SIZE_STACK },
	[0x9d] = { .pop = SIZE_STACK },
	[0xa4 ... 0xa5] = { .source = SIZE_BV, .destination = SIZE_BV, .access = SHAPE_WRITE },
	[0xa6 ... 0xa7] = { .source = SIZE_BV, .destination = SIZE_BV, .access = SHAPE_READ },
	[0xa8 ... 0xa9] = { .immediate = SIZE_BZ },
	[0xaa ... 0xab] = { .destination = SIZE_BV, .access = SHAPE_WRITE },
	[0xac ... 0xad] = { .source = SIZE_BV },
	[0xae ... 0xaf] = { .destination = SIZE_BV, .access = SHAPE_READ },
	[0xb0 ... 0xb7] = { .immediate = 1 },
	[0xb8 ... 0xbf] = { .immediate = SIZE_V },
	[0xc0 ... 0xc1] = { .memory = SIZE_BV, .access = RMW, .immediate = 1 },
	[0xc2] = { .immediate = 2, .pop = SIZE_NEAR },
	[0xc3] = { .pop = SIZE_NEAR },
	[0xc4 ... 0xc5] = { .memory = SIZE_FAR, .access = SHAPE_READ }, /* LES, LDS */
	[0xc6 ... 0xc7] = { .memory = SIZE_BV, .access = SHAPE_WRITE, .immediate = SIZE_BZ },
	[0xc8] = { .immediate = 3, .push = SIZE_STACK },
	[0xca] = { .immediate = 2, .pop = SIZE_VV },
	[0xcb] = { .pop = SIZE_VV },
	[0xcd] = { .immediate = 1 },
	[0xce] = { .flags = NOT_LONG },
	[0xcf] = { .pop = SIZE_FRAME },
	[0xd0 ... 0xd3] = { .memory = SIZE_BV, .access = RMW },
	[0xd4 ... 0xd5] = { .immediate = 1, .flags = NOT_LONG },
	[0xd8 ... 0xdf] = { .memory = SIZE_X87 },
	[0xe0 ... 0xe7] = { .immediate = 1 },
	[0xe8] = { .immediate = SIZE_BRANCH, .push = SIZE_NEAR },
	[0xe9] = { .immediate = SIZE_BRANCH },
	[0xea] = { .immediate = SIZE_FAR, .flags = NOT_LONG },
	[0xeb] = { .immediate = 1 },
	[0xf6 ... 0xf7] = { .group = group_3 },
	[0xfe] = { .memory = 1, .access = RMW },
	[0xff] = { .group = group_5 },
};

static const struct form two_bytes[256] = {
	[0x00] = { .group = group_6 },
	[0x01] = { .group = group_7 },
	[0x02 ... 0x03] = { .memory = 2, .access = SHAPE_READ },
	[0x04] = { .flags = NEVER },
	[0x0a] = { .flags = NEVER },
	[0x0c] = { .flags = NEVER },
	[0x0d] = { .memory = SIZE_NOTHING }, /* prefetches */
	[0x0f] = { .memory = 8,
		   .access = SHAPE_READ,
		   .immediate = 1 }, /* 3DNow!: the opcode comes last */
	[0x10 ... 0x17] = { .memory = SIZE_VECTOR },
	[0x18 ... 0x1f] = { .memory = SIZE_NOTHING }, /* hints */
	[0x20 ... 0x23] = { .immediate = 1 },	      /* ModRM with a register, whatever mod says */
	[0x24 ... 0x27] = { .flags = NEVER },
	[0x28 ... 0x2f] = { .memory = SIZE_VECTOR },
	[0x39] = { .flags = NEVER },
	[0x3b ... 0x3f] = { .flags = NEVER },
	[0x40 ... 0x4f] = { .memory = SIZE_V, .access = SHAPE_READ },
	[0x50 ... 0x6f] = { .memory = SIZE_VECTOR },
	[0x70 ... 0x73] = { .memory = SIZE_VECTOR, .access = SHAPE_READ, .immediate = 1 },
	[0x74 ... 0x76] = { .memory = SIZE_VECTOR },
	[0x78] = { .memory = SIZE_NATURAL, .immediate = SIZE_EXTRQ },
	[0x79] = { .memory = SIZE_NATURAL },
	[0x7a ... 0x7f] = { .memory = SIZE_VECTOR },
	[0x80 ... 0x8f] = { .immediate = SIZE_BRANCH },
	[0x90 ... 0x9f] = { .memory = 1, .access = SHAPE_WRITE },
	[0xa0] = { .push = SIZE_STACK },
	[0xa1] = { .pop = SIZE_STACK },
	[0xa3] = { .memory = SIZE_V, .access = SHAPE_READ, .flags = INEXACT },
	[0xa4] = { .memory = SIZE_V, .access = RMW, .immediate = 1 },
	[0xa5] = { .memory = SIZE_V, .access = RMW },
	[0xa6 ... 0xa7] = { .memory = SIZE_VECTOR },
	[0xa8] = { .push = SIZE_STACK },
	[0xa9] = { .pop = SIZE_STACK },
	[0xab] = { .memory = SIZE_V, .access = RMW, .flags = INEXACT },
	[0xac] = { .memory = SIZE_V, .access = RMW, .immediate = 1 },
	[0xad] = { .memory = SIZE_V, .access = RMW },
	[0xae] = { .group = group_15 },
	[0xaf] = { .memory = SIZE_V, .access = SHAPE_READ },
	[0xb0 ... 0xb1] = { .memory = SIZE_BV, .access = RMW },
	[0xb2] = { .memory = SIZE_FAR, .access = SHAPE_READ },
	[0xb3] = { .memory = SIZE_V, .access = RMW, .flags = INEXACT },
	[0xb4 ... 0xb5] = { .memory = SIZE_FAR, .access = SHAPE_READ },
	[0xb6] = { .memory = 1, .access = SHAPE_READ },
	[0xb7] = { .memory = 2, .access = SHAPE_READ },
	[0xb8] = { .memory = SIZE_V, .access = SHAPE_READ },
	[0xb9] = { .memory = SIZE_NOTHING }, /* UD1 */
	[0xba] = { .group = group_8, .immediate = 1 },
	[0xbb] = { .memory = SIZE_V, .access = RMW, .flags = INEXACT },
	[0xbc ... 0xbd] = { .memory = SIZE_V, .access = SHAPE_READ },
	[0xbe] = { .memory = 1, .access = SHAPE_READ },
	[0xbf] = { .memory = 2, .access = SHAPE_READ },
	[0xc0 ... 0xc1] = { .memory = SIZE_BV, .access = RMW },
	[0xc2] = { .memory = SIZE_VECTOR, .access = SHAPE_READ, .immediate = 1 },
	[0xc3] = { .memory = SIZE_Y, .access = SHAPE_WRITE }, /* MOVNTI */
	[0xc4 ... 0xc6] = { .memory = SIZE_VECTOR, .access = SHAPE_READ, .immediate = 1 },
	[0xc7] = { .group = group_9 },
	[0xd0 ... 0xfe] = { .memory = SIZE_VECTOR },
	[0xff] = { .memory = SIZE_NOTHING }, /* UD0 */
};

static void operands(struct shape *s, u8 opcode, const struct form *f)
{
	if (f->memory)
		modrm(s, size_of(s, opcode, f->memory), f->access);
	skip(s, size_of(s, opcode, f->immediate));
	if (f->push)
		stack(s, size_of(s, opcode, f->push), SHAPE_WRITE);
	if (f->pop)
		stack(s, size_of(s, opcode, f->pop), SHAPE_READ);
	if (f->source)
		source(s, size_of(s, opcode, f->source));
	if (f->destination)
		by_register(s, FERMATA_RDI, SEG_ES, size_of(s, opcode, f->destination), f->access,
			    0);
}

static int by_form(struct shape *s, u8 opcode, const struct form *f)
{
	if (f->group)
		operands(s, opcode, &f->group[decoder_modrm(&s->d)]);
	else if (f->memory)
		decoder_modrm(&s->d);
	operands(s, opcode, f);
	if (f->flags & INEXACT && s->out->count)
		s->out->operand[0].exact = false;
	return f->flags & NEVER || (f->flags & NOT_LONG && is_long(s)) ? -EINVAL : 0;
}

static void map_0f38(struct shape *s)
{
	u8 opcode = decoder_next(&s->d);

	decoder_modrm(&s->d);
	switch (opcode) {
	case 0xf0:
	case 0xf1:
		if (s->d.mandatory == 0xf2) /* CRC32 */
			modrm(s, size_of(s, opcode, SIZE_BV), SHAPE_READ);
		else /* MOVBE */
			modrm(s, s->d.operand_size, opcode & 1 ? SHAPE_WRITE : SHAPE_READ);
		return;
	case 0xf6:
	case 0xf9:
		modrm(s, size_y(s), 0);
		return;
	case 0x80 ... 0x82:
	case 0xc8 ... 0xcd: /* SHA */
		modrm(s, 16, SHAPE_READ);
		return;
	case 0xd8 ... 0xdf: /* AES; with F3 those with a wrapped key */
		modrm(s, s->d.mandatory == 0xf3 ? 64 : 16, 0);
		return;
	case 0xf8: /* MOVDIR64B, ENQCMD: the other 64 bytes are where a register says */
		modrm(s, 64, SHAPE_READ);
		return;
	}
	modrm(s, vector_size(s, vector_usual), 0);
}

static int map_0f(struct shape *s)
{
	u8 opcode = decoder_next(&s->d);

	switch (opcode) {
	case 0x38:
		map_0f38(s);
		return 0;
	case 0x3a:
		opcode = decoder_next(&s->d);
		decoder_modrm(&s->d);
		modrm(s, opcode == 0xcc ? 16 : vector_size(s, vector_usual), 0);
		skip(s, 1);
		return 0;
	}
	return by_form(s, opcode, &two_bytes[opcode]);
}

/* ---- VEX and EVEX: SDM 2A 2.3.5, 2.7.1 */

/* 62h, C4h and C5h are instructions of their own outside of 64-bit mode when ModRM names memory. */
static bool is_vex(const struct shape *s)
{
	const struct decoder *d = &s->d;

	return is_long(s) || (d->pos < d->end && d->bytes[d->pos] >= 0xc0);
}

static void map_vex(struct shape *s, u8 first)
{
	static const u8 prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	struct decoder *d = &s->d;
	u8 a = decoder_next(d), b = a, map = 1, opcode;
	const struct form *f;

	d->rex = a & 0x80 ? 0 : REX_R;
	if (first != 0xc5) {
		d->rex = ~a >> 5 & 7;
		map = a & (first == 0x62 ? 7 : 0x1f);
		b = decoder_next(d);
	}
	d->rex = 0x40 | (is_long(s) ? d->rex : 0) | (first != 0xc5 && b & 0x80 ? REX_W : 0);
	d->mandatory = prefixes[b & 3];
	s->vector = b & 4 ? 32 : 16;
	if (first == 0x62) {
		b = decoder_next(d);
		s->evex = true;
		s->vector = 16 << (b >> 5 & 3);
		if (b & 0x10 || s->vector > 64) /* broadcast: one element; or rounding */
			s->vector = 64;
	}
	opcode = decoder_next(d);
	if (map == 1 && opcode == 0x77 && first != 0x62)
		return;
	decoder_modrm(d);
	if (map == 1 && opcode == 0xae)
		modrm(s, 4, 0);
	else if (map == 1 && opcode != 0x12 && opcode != 0x16)
		modrm(s, vector_operand(s, opcode), 0);
	else
		modrm(s, s->vector, 0);
	/* Gathers and scatters have a vector as index. */
	if (map == 2 && s->out->count &&
	    ((opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3) ||
	     opcode == 0xc6 || opcode == 0xc7))
		s->out->operand[0].exact = false;
	/* Of the vector instructions those that have an immediate without VEX have it with VEX, too. */
	f = &two_bytes[opcode];
	if (map == 3 || (map == 1 && f->memory == SIZE_VECTOR && f->immediate))
		skip(s, 1);
}

static int map_one(struct shape *s, u8 opcode)
{
	int err;

	switch (opcode) {
	case 0x0f:
		return map_0f(s);
	case 0x62:
	case 0xc4:
	case 0xc5:
		if (!is_vex(s))
			break;
		map_vex(s, opcode);
		return 0;
	case 0xa0 ... 0xa3:
		decoder_absolute(&s->d);
		operand(s, size_of(s, opcode, SIZE_BV), opcode < 0xa2 ? SHAPE_READ : SHAPE_WRITE);
		return 0;
	case 0x63: /* MOVSXD, ARPL */
		decoder_modrm(&s->d);
		modrm(s, is_long(s) ? 4 : 2, is_long(s) ? SHAPE_READ : RMW);
		return 0;
	case 0xc9: /* LEAVE reads where RBP points to */
		by_register(s, FERMATA_RBP, SEG_SS, size_of(s, opcode, SIZE_STACK), SHAPE_READ, 0);
		return 0;
	case 0xd7: /* XLAT: AL is the index */
		by_register(s, FERMATA_RBX, data_segment(s), 1, SHAPE_READ, 0);
		s->out->operand[0].exact = false;
		return 0;
	}
	err = by_form(s, opcode, &one_byte[opcode]);
	/* POP's address is computed with RSP as it is behind the POP (SDM 2B POP). */
	if (opcode == 0x8f && s->insn.memory && s->insn.base == FERMATA_RSP)
		s->out->operand[0].at.disp += size_of(s, opcode, SIZE_STACK);
	return err;
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
