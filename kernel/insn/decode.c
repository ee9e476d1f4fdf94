/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "insn/decoder.h"

u8 decoder_next(struct decoder *d)
{
	if (d->pos < d->end)
		return d->bytes[d->pos++];
	if (!d->error)
		d->error = d->beyond;
	return 0;
}

/* Little-endian, sign-extended. */
u64 decoder_next_signed(struct decoder *d, u32 size)
{
	u64 value = 0;
	u32 i;

	for (i = 0; i < size; i++)
		value |= (u64)decoder_next(d) << (8 * i);
	switch (size) {
	case 1:
		return (s64)(s8)value;
	case 2:
		return (s64)(s16)value;
	case 4:
		return (s64)(s32)value;
	}
	return value;
}

/* Any order; of each group the last counts; REX only directly before the opcode (SDM 2 2.1.1, 2.2.1). */
u8 decoder_prefixes(struct decoder *d)
{
	bool address = false;
	u8 byte, repeat = 0;

	for (;;) {
		byte = decoder_next(d);
		if (d->mode == FERMATA_MODE_LONG && (byte & 0xf0) == 0x40) {
			d->rex = byte;
			continue;
		}
		switch (byte) {
		case 0x66:
			d->operand16 = true;
			break;
		case 0x67:
			address = true;
			break;
		case 0xf0:
			d->out->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			repeat = byte;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* Without effect in 64-bit mode (SDM 1 3.3.7.1). */
			if (d->mode != FERMATA_MODE_LONG)
				d->segment = byte >> 3 & 3;
			break;
		case 0x64:
		case 0x65:
			d->segment = byte - 0x60;
			break;
		default:
			goto opcode;
		}
		d->rex = 0;
	}
opcode:
	d->mandatory = repeat ? repeat : d->operand16 ? 0x66 : 0;
	if (d->mode == FERMATA_MODE_LONG) {
		d->operand_size = d->rex & REX_W ? 8 : d->operand16 ? 2 : 4;
		d->out->address_size = address ? 4 : 8;
	} else {
		d->operand_size = (d->mode == FERMATA_MODE_PROT32) != d->operand16 ? 4 : 2;
		d->out->address_size = (d->mode == FERMATA_MODE_PROT32) != address ? 4 : 2;
	}
	return byte;
}

/* SDM 2 table 2-1 */
static void memory16(struct decoder *d)
{
	static const u8 base[8] = { FERMATA_RBX, FERMATA_RBX, FERMATA_RBP, FERMATA_RBP,
				    FERMATA_RSI, FERMATA_RDI, FERMATA_RBP, FERMATA_RBX };
	u8 mod = d->modrm >> 6, rm = d->modrm & 7;
	struct insn *out = d->out;

	if (mod == 0 && rm == 6) {
		out->disp = decoder_next_signed(d, 2);
		return;
	}
	out->base = base[rm];
	if (rm < 4)
		out->index = rm & 1 ? FERMATA_RDI : FERMATA_RSI;
	if (mod)
		out->disp = decoder_next_signed(d, mod);
}

/* SDM 2 tables 2-2, 2-3, and 2.2.1.6 for RIP-relative addresses */
static void memory32(struct decoder *d)
{
	u8 mod = d->modrm >> 6, rm = d->modrm & 7, sib, index;
	struct insn *out = d->out;
	u32 disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	if (rm == 4) {
		sib = decoder_next(d);
		rm = sib & 7;
		index = (sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0);
		if (index != FERMATA_RSP) {
			out->index = index;
			out->scale = 1 << (sib >> 6);
		}
	} else if (rm == 5 && mod == 0 && d->mode == FERMATA_MODE_LONG) {
		out->rip_relative = true;
		disp = 4;
		mod = 3;
	}
	if (rm == 5 && mod == 0)
		disp = 4;
	else if (!out->rip_relative)
		out->base = rm | (d->rex & REX_B ? 8 : 0);
	if (disp)
		out->disp = decoder_next_signed(d, disp);
}

static void general(const struct decoder *d, u8 number, u8 size, u8 *reg, bool *high)
{
	*reg = number;
	/* AH, CH, DH, BH have the numbers of SPL..DIL, which a REX prefix brings out. */
	if (size == 1 && !d->rex && number >= 4) {
		*reg = number - 4;
		*high = true;
	}
}

u8 decoder_modrm(struct decoder *d)
{
	d->modrm = decoder_next(d);
	return d->modrm >> 3 & 7;
}

static u8 modrm_reg(const struct decoder *d)
{
	return (d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0);
}

static bool modrm_is_memory(const struct decoder *d)
{
	return d->modrm < 0xc0;
}

static void set_segment(struct decoder *d)
{
	struct insn *out = d->out;
	bool stack = out->base == FERMATA_RSP || out->base == FERMATA_RBP;

	out->segment = d->segment != SEG_NONE ? d->segment : stack ? SEG_SS : SEG_DS;
}

void decoder_operand_rm(struct decoder *d, u8 size)
{
	struct insn *out = d->out;

	out->size = size;
	if (!modrm_is_memory(d)) {
		general(d, (d->modrm & 7) | (d->rex & REX_B ? 8 : 0), size, &out->rm, &out->rm_high);
		return;
	}
	out->memory = true;
	if (out->address_size == 2)
		memory16(d);
	else
		memory32(d);
	set_segment(d);
}

void decoder_absolute(struct decoder *d)
{
	struct insn *out = d->out;

	out->memory = true;
	out->disp = decoder_next_signed(d, out->address_size);
	if (out->address_size < 8)
		out->disp &= BIT_ULL(8 * out->address_size) - 1;
	set_segment(d);
}

static void operand_reg(struct decoder *d, u8 size)
{
	d->out->reg_size = size;
	general(d, modrm_reg(d), size, &d->out->reg, &d->out->reg_high);
}

static int mov_rm_reg(struct decoder *d, u8 op, u8 rm_size, u8 reg_size)
{
	d->modrm = decoder_next(d);
	decoder_operand_rm(d, rm_size);
	operand_reg(d, reg_size);
	return op;
}

static int mov_immediate(struct decoder *d, u8 size)
{
	if (decoder_modrm(d))
		return -ENOSYS;
	decoder_operand_rm(d, size);
	d->out->has_immediate = true;
	d->out->immediate = decoder_next_signed(d, size > 4 ? 4 : size);
	return INSN_STORE;
}

static int mov_absolute(struct decoder *d, u8 op, u8 size)
{
	decoder_absolute(d);
	d->out->size = size;
	d->out->reg_size = size;
	d->out->reg = FERMATA_RAX;
	return op;
}

static int port(struct decoder *d, u8 opcode)
{
	struct insn *out = d->out;

	out->size = !(opcode & 1) ? 1 : d->operand_size == 8 ? 4 : d->operand_size;
	/* INS, OUTS: SDM 2A; ES cannot be overridden. */
	if (opcode < 0x70) {
		out->memory = true;
		out->rep = d->mandatory == 0xf2 || d->mandatory == 0xf3;
		out->base = opcode & 2 ? FERMATA_RSI : FERMATA_RDI;
		out->segment = SEG_ES;
		if (opcode & 2)
			set_segment(d);
		return opcode & 2 ? INSN_OUTS : INSN_INS;
	}
	if (opcode < 0xe8) {
		out->has_immediate = true;
		out->immediate = decoder_next(d);
	}
	return opcode & 2 ? INSN_OUT : INSN_IN;
}

/* 0F 20..23: mod is not looked at, the operand is a register (SDM 2B, MOV to/from control registers). */
static int mov_control(struct decoder *d, u8 opcode)
{
	static const u8 op[4] = { INSN_MOV_FROM_CR, INSN_MOV_FROM_DR, INSN_MOV_TO_CR,
				  INSN_MOV_TO_DR };
	struct insn *out = d->out;

	d->modrm = decoder_next(d);
	if (d->error)
		return d->error;
	out->size = d->mode == FERMATA_MODE_LONG ? 8 : 4;
	out->rm = (d->modrm & 7) | (d->rex & REX_B ? 8 : 0);
	out->control = modrm_reg(d);
	if (opcode & 1)
		return out->control < 8 ? op[opcode & 3] : -EINVAL;
	/* LOCK MOV CR0 is CR8 where there is no REX (APM 3, MOV CRn). */
	if (out->lock) {
		if (out->control)
			return -EINVAL;
		out->control = 8;
		d->lock_allowed = true;
	}
	return BIT(out->control) & 0x11d ? op[opcode & 3] : -EINVAL;
}

static int group_0f00(struct decoder *d)
{
	static const u8 op[4] = { INSN_SLDT, INSN_STR, INSN_LLDT, INSN_LTR };
	u8 number = decoder_modrm(d);

	if (number > 3)
		return -ENOSYS;
	decoder_operand_rm(d, number < 2 && !modrm_is_memory(d) ? d->operand_size : 2);
	return op[number];
}

/* 0F 01 with a register: AMD's ignore prefixes; of the others prefixes make something else, or #UD. */
static int group_0f01_plain(struct decoder *d)
{
	static const u8 with_prefixes[256] = {
		[0xd8] = INSN_VMRUN,  [0xd9] = INSN_VMMCALL, [0xda] = INSN_VMLOAD,
		[0xdb] = INSN_VMSAVE, [0xdc] = INSN_STGI,    [0xdd] = INSN_CLGI,
		[0xde] = INSN_SKINIT, [0xdf] = INSN_INVLPGA, [0xf9] = INSN_RDTSCP,
		[0xfd] = INSN_RDPRU,
	};
	static const u8 alone[256] = {
		[0xc1] = INSN_VMCALL, [0xc2] = INSN_VMLAUNCH, [0xc3] = INSN_VMRESUME,
		[0xc4] = INSN_VMXOFF, [0xc8] = INSN_MONITOR,  [0xc9] = INSN_MWAIT,
		[0xd1] = INSN_XSETBV, [0xd4] = INSN_VMFUNC,   [0xfa] = INSN_MONITORX,
		[0xfb] = INSN_MWAITX,
	};
	u8 op = with_prefixes[d->modrm];

	if (!op && !d->mandatory)
		op = alone[d->modrm];
	return op ? op : -ENOSYS;
}

static int group_0f01(struct decoder *d)
{
	static const u8 op[4] = { INSN_SGDT, INSN_SIDT, INSN_LGDT, INSN_LIDT };
	u8 number = decoder_modrm(d);

	switch (number) {
	case 4:
		decoder_operand_rm(d, modrm_is_memory(d) ? 2 : d->operand_size);
		return INSN_SMSW;
	case 6:
		decoder_operand_rm(d, 2);
		return INSN_LMSW;
	}
	if (!modrm_is_memory(d))
		return group_0f01_plain(d);
	if (number == 5)
		return -ENOSYS;
	if (number == 7) {
		decoder_operand_rm(d, 1);
		return INSN_INVLPG;
	}
	decoder_operand_rm(d, d->mode == FERMATA_MODE_LONG ? 10 : 6);
	return op[number];
}

/* Group 9: VMX's instructions with a pointer to a VMCS pointer. */
static int group_0fc7(struct decoder *d)
{
	u8 number = decoder_modrm(d);

	if (number < 6 || !modrm_is_memory(d))
		return -ENOSYS;
	decoder_operand_rm(d, 8);
	if (number == 7)
		return d->mandatory ? -ENOSYS : INSN_VMPTRST;
	switch (d->mandatory) {
	case 0:
		return INSN_VMPTRLD;
	case 0x66:
		return INSN_VMCLEAR;
	case 0xf3:
		return INSN_VMXON;
	}
	return -ENOSYS;
}

static int group_0f38(struct decoder *d)
{
	static const u8 op[3] = { INSN_INVEPT, INSN_INVVPID, INSN_INVPCID };
	u8 opcode = decoder_next(d);

	if (opcode < 0x80 || opcode > 0x82 || d->mandatory != 0x66)
		return -ENOSYS;
	d->modrm = decoder_next(d);
	if (!modrm_is_memory(d))
		return -ENOSYS;
	decoder_operand_rm(d, 16);
	operand_reg(d, d->mode == FERMATA_MODE_LONG ? 8 : 4);
	return op[opcode - 0x80];
}

/* Behind 0F: no operands, and no prefix makes another instruction of it. */
static const u8 plain_0f[256] = {
	[0x06] = INSN_CLTS,  [0x08] = INSN_INVD,  [0x30] = INSN_WRMSR, [0x31] = INSN_RDTSC,
	[0x32] = INSN_RDMSR, [0x33] = INSN_RDPMC, [0xa2] = INSN_CPUID, [0xaa] = INSN_RSM,
};

static int opcode_0f(struct decoder *d)
{
	u8 opcode = decoder_next(d), natural = d->mode == FERMATA_MODE_LONG ? 8 : 4;

	if (plain_0f[opcode])
		return plain_0f[opcode];
	switch (opcode) {
	case 0x00:
		return group_0f00(d);
	case 0x01:
		return group_0f01(d);
	case 0x09:
		return d->mandatory == 0xf3 ? INSN_WBNOINVD : INSN_WBINVD;
	case 0x20 ... 0x23:
		return mov_control(d, opcode);
	case 0x38:
		return group_0f38(d);
	case 0x78:
	case 0x79:
		if (d->mandatory)
			return -ENOSYS;
		return mov_rm_reg(d, opcode == 0x78 ? INSN_VMREAD : INSN_VMWRITE, natural, natural);
	case 0xb6:
	case 0xb7:
		return mov_rm_reg(d, INSN_LOAD_ZERO, opcode & 1 ? 2 : 1, d->operand_size);
	case 0xbe:
	case 0xbf:
		return mov_rm_reg(d, INSN_LOAD_SIGN, opcode & 1 ? 2 : 1, d->operand_size);
	case 0xc7:
		return group_0fc7(d);
	}
	return -ENOSYS;
}

/* The flags' width: 64-bit mode pushes 8 bytes, or 2 (SDM 2B, PUSHF). */
static int flags(struct decoder *d, u8 op)
{
	d->out->size = d->operand_size;
	if (d->mode == FERMATA_MODE_LONG && d->operand_size == 4)
		d->out->size = 8;
	return op;
}

static int opcode_one(struct decoder *d, u8 opcode)
{
	u8 size = opcode & 1 ? d->operand_size : 1;

	switch (opcode) {
	case 0x0f:
		return opcode_0f(d);
	case 0x6c ... 0x6f:
	case 0xe4 ... 0xe7:
	case 0xec ... 0xef:
		return port(d, opcode);
	case 0x86:
	case 0x87:
		d->lock_allowed = true;
		return mov_rm_reg(d, INSN_XCHG, size, size);
	case 0x88:
	case 0x89:
		return mov_rm_reg(d, INSN_STORE, size, size);
	case 0x8a:
	case 0x8b:
		return mov_rm_reg(d, INSN_LOAD, size, size);
	case 0x90:
		return d->mandatory == 0xf3 ? INSN_PAUSE : -ENOSYS;
	case 0x9c:
		return flags(d, INSN_PUSHF);
	case 0x9d:
		return flags(d, INSN_POPF);
	case 0xa0:
	case 0xa1:
		return mov_absolute(d, INSN_LOAD, size);
	case 0xa2:
	case 0xa3:
		return mov_absolute(d, INSN_STORE, size);
	case 0xc6:
	case 0xc7:
		return mov_immediate(d, size);
	case 0xcc:
		return INSN_INT3;
	case 0xcd:
		d->out->has_immediate = true;
		d->out->immediate = decoder_next(d);
		return INSN_INT;
	case 0xce:
		return d->mode == FERMATA_MODE_LONG ? -EINVAL : INSN_INTO;
	case 0xcf:
		d->out->size = d->operand_size;
		return INSN_IRET;
	case 0xf1:
		return INSN_ICEBP;
	case 0xf4:
		return INSN_HLT;
	}
	return -ENOSYS;
}

void decoder_init(struct decoder *d, const u8 *bytes, u32 count, u8 mode, struct insn *out)
{
	*d = (struct decoder){
		.bytes = bytes,
		.end = min(count, (u32)INSN_LENGTH_MAX),
		.beyond = count < INSN_LENGTH_MAX ? -ERANGE : -EINVAL,
		.mode = mode,
		.segment = SEG_NONE,
		.out = out,
	};
	memset(out, 0, sizeof(*out));
	out->reg = INSN_NO_REG;
	out->rm = INSN_NO_REG;
	out->base = INSN_NO_REG;
	out->index = INSN_NO_REG;
	out->scale = 1;
}

static noinline int decode_any(const u8 *bytes, u32 count, u8 mode, struct insn *out)
{
	struct decoder d;
	int op;

	decoder_init(&d, bytes, count, mode, out);
	op = opcode_one(&d, decoder_prefixes(&d));
	if (d.error)
		return d.error;
	if (op < 0)
		return op;
	if (out->lock && !(d.lock_allowed && (out->memory || op != INSN_XCHG)))
		return -EINVAL;
	out->op = op;
	out->length = d.pos;
	return 0;
}

/* Without prefixes, what exits most is told by a look. */
int insn_decode(const u8 *bytes, u32 count, u8 mode, struct insn *out)
{
	if (likely(count >= 2) && bytes[0] == 0x0f && plain_0f[bytes[1]]) {
		out->op = plain_0f[bytes[1]];
		out->length = 2;
		return 0;
	}
	if (likely(count >= 2) && bytes[0] == 0xf4) {
		out->op = INSN_HLT;
		out->length = 1;
		return 0;
	}
	return decode_any(bytes, count, mode, out);
}

u64 insn_offset(const struct insn *insn, const u64 *regs, u64 next_rip)
{
	u64 offset = insn->disp;

	if (insn->rip_relative)
		offset += next_rip;
	if (insn->base != INSN_NO_REG)
		offset += regs[insn->base];
	if (insn->index != INSN_NO_REG)
		offset += regs[insn->index] * insn->scale;
	if (insn->address_size == 8)
		return offset;
	return offset & (BIT_ULL(8 * insn->address_size) - 1);
}
