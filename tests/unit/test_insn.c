/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The small decoder against a complete one, Zydis: wherever insn_decode() answers, length and operands
 * are the same; whatever Zydis knows under one of the claimed names, insn_decode() answers. Every
 * instruction lies at the end of an allocation, so that AddressSanitizer sees a read beyond it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "insn/insn.h"

static ZydisDecoder zydis[4];
static u8 *room; /* 16 bytes of heap */
static u64 accepted;

static int setup(void **state)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[4] = {
		{ ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		{ ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		{ ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};
	int i;

	room = malloc(16);
	for (i = 0; i < 4; i++) {
		if (!ZYAN_SUCCESS(ZydisDecoderInit(&zydis[i], modes[i].mode, modes[i].width)))
			return -1;
	}
	return room ? 0 : -1;
}

static int teardown(void **state)
{
	free(room);
	return 0;
}

/* Decode the first count of bytes, with nothing behind them. */
static int decode(const u8 *bytes, u32 count, u8 mode, struct insn *insn)
{
	u8 *end = room + 16;

	memset(insn, 0xa5, sizeof(*insn));
	memcpy(end - count, bytes, count);
	return insn_decode(end - count, count, mode, insn);
}

static void complain(const u8 *bytes, u8 mode, const char *what)
{
	char text[64] = "";
	int i;

	for (i = 0; i < 15; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, "%02x ", bytes[i]);
	fail_msg("mode %u, %s: %s", mode, text, what);
}

static const u16 mnemonics[] = {
	[INSN_CPUID] = ZYDIS_MNEMONIC_CPUID,
	[INSN_RDTSC] = ZYDIS_MNEMONIC_RDTSC,
	[INSN_RDTSCP] = ZYDIS_MNEMONIC_RDTSCP,
	[INSN_RDPMC] = ZYDIS_MNEMONIC_RDPMC,
	[INSN_RDPRU] = ZYDIS_MNEMONIC_RDPRU,
	[INSN_RDMSR] = ZYDIS_MNEMONIC_RDMSR,
	[INSN_WRMSR] = ZYDIS_MNEMONIC_WRMSR,
	[INSN_HLT] = ZYDIS_MNEMONIC_HLT,
	[INSN_PAUSE] = ZYDIS_MNEMONIC_PAUSE,
	[INSN_INVD] = ZYDIS_MNEMONIC_INVD,
	[INSN_WBINVD] = ZYDIS_MNEMONIC_WBINVD,
	[INSN_WBNOINVD] = ZYDIS_MNEMONIC_WBINVD, /* 4.0 has no name for it */
	[INSN_CLTS] = ZYDIS_MNEMONIC_CLTS,
	[INSN_RSM] = ZYDIS_MNEMONIC_RSM,
	[INSN_XSETBV] = ZYDIS_MNEMONIC_XSETBV,
	[INSN_MONITOR] = ZYDIS_MNEMONIC_MONITOR,
	[INSN_MWAIT] = ZYDIS_MNEMONIC_MWAIT,
	[INSN_MONITORX] = ZYDIS_MNEMONIC_MONITORX,
	[INSN_MWAITX] = ZYDIS_MNEMONIC_MWAITX,
	[INSN_INVLPGA] = ZYDIS_MNEMONIC_INVLPGA,
	[INSN_VMRUN] = ZYDIS_MNEMONIC_VMRUN,
	[INSN_VMMCALL] = ZYDIS_MNEMONIC_VMMCALL,
	[INSN_VMLOAD] = ZYDIS_MNEMONIC_VMLOAD,
	[INSN_VMSAVE] = ZYDIS_MNEMONIC_VMSAVE,
	[INSN_STGI] = ZYDIS_MNEMONIC_STGI,
	[INSN_CLGI] = ZYDIS_MNEMONIC_CLGI,
	[INSN_SKINIT] = ZYDIS_MNEMONIC_SKINIT,
	[INSN_VMCALL] = ZYDIS_MNEMONIC_VMCALL,
	[INSN_VMLAUNCH] = ZYDIS_MNEMONIC_VMLAUNCH,
	[INSN_VMRESUME] = ZYDIS_MNEMONIC_VMRESUME,
	[INSN_VMXOFF] = ZYDIS_MNEMONIC_VMXOFF,
	[INSN_VMFUNC] = ZYDIS_MNEMONIC_VMFUNC,
	[INSN_INT3] = ZYDIS_MNEMONIC_INT3,
	[INSN_ICEBP] = ZYDIS_MNEMONIC_INT1,
	[INSN_INTO] = ZYDIS_MNEMONIC_INTO,
	[INSN_INT] = ZYDIS_MNEMONIC_INT,
	[INSN_IN] = ZYDIS_MNEMONIC_IN,
	[INSN_OUT] = ZYDIS_MNEMONIC_OUT,
	[INSN_MOV_TO_CR] = ZYDIS_MNEMONIC_MOV,
	[INSN_MOV_FROM_CR] = ZYDIS_MNEMONIC_MOV,
	[INSN_MOV_TO_DR] = ZYDIS_MNEMONIC_MOV,
	[INSN_MOV_FROM_DR] = ZYDIS_MNEMONIC_MOV,
	[INSN_INVLPG] = ZYDIS_MNEMONIC_INVLPG,
	[INSN_SGDT] = ZYDIS_MNEMONIC_SGDT,
	[INSN_SIDT] = ZYDIS_MNEMONIC_SIDT,
	[INSN_LGDT] = ZYDIS_MNEMONIC_LGDT,
	[INSN_LIDT] = ZYDIS_MNEMONIC_LIDT,
	[INSN_VMPTRLD] = ZYDIS_MNEMONIC_VMPTRLD,
	[INSN_VMPTRST] = ZYDIS_MNEMONIC_VMPTRST,
	[INSN_VMCLEAR] = ZYDIS_MNEMONIC_VMCLEAR,
	[INSN_VMXON] = ZYDIS_MNEMONIC_VMXON,
	[INSN_INVPCID] = ZYDIS_MNEMONIC_INVPCID,
	[INSN_INVEPT] = ZYDIS_MNEMONIC_INVEPT,
	[INSN_INVVPID] = ZYDIS_MNEMONIC_INVVPID,
	[INSN_LMSW] = ZYDIS_MNEMONIC_LMSW,
	[INSN_SMSW] = ZYDIS_MNEMONIC_SMSW,
	[INSN_SLDT] = ZYDIS_MNEMONIC_SLDT,
	[INSN_STR] = ZYDIS_MNEMONIC_STR,
	[INSN_LLDT] = ZYDIS_MNEMONIC_LLDT,
	[INSN_LTR] = ZYDIS_MNEMONIC_LTR,
	[INSN_VMREAD] = ZYDIS_MNEMONIC_VMREAD,
	[INSN_VMWRITE] = ZYDIS_MNEMONIC_VMWRITE,
	[INSN_STORE] = ZYDIS_MNEMONIC_MOV,
	[INSN_LOAD] = ZYDIS_MNEMONIC_MOV,
	[INSN_LOAD_ZERO] = ZYDIS_MNEMONIC_MOVZX,
	[INSN_LOAD_SIGN] = ZYDIS_MNEMONIC_MOVSX,
	[INSN_XCHG] = ZYDIS_MNEMONIC_XCHG,
};

/* Those whose name tells the operand's size: by log2 of it. */
static const struct {
	u8 op;
	u16 mnemonic[4];
} sized[] = {
	{ INSN_IRET, { 0, ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ } },
	{ INSN_PUSHF, { 0, ZYDIS_MNEMONIC_PUSHF, ZYDIS_MNEMONIC_PUSHFD, ZYDIS_MNEMONIC_PUSHFQ } },
	{ INSN_POPF, { 0, ZYDIS_MNEMONIC_POPF, ZYDIS_MNEMONIC_POPFD, ZYDIS_MNEMONIC_POPFQ } },
	{ INSN_INS, { ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, ZYDIS_MNEMONIC_INSD, 0 } },
	{ INSN_OUTS, { ZYDIS_MNEMONIC_OUTSB, ZYDIS_MNEMONIC_OUTSW, ZYDIS_MNEMONIC_OUTSD, 0 } },
};

static u16 mnemonic_of(const struct insn *insn)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sized); i++)
		if (sized[i].op == insn->op)
			return sized[i].mnemonic[__builtin_ctz(insn->size)];
	return insn->op < ARRAY_SIZE(mnemonics) ? mnemonics[insn->op] : 0;
}

/* Is this an instruction that insn_decode() says it knows? */
static bool claimed(const ZydisDecodedInstruction *known, const u8 *bytes)
{
	u32 i, j;

	if (known->mnemonic == ZYDIS_MNEMONIC_MOV) {
		if (known->opcode_map == ZYDIS_OPCODE_MAP_0F)
			return known->opcode >= 0x20 && known->opcode <= 0x23;
		return (known->opcode >= 0x88 && known->opcode <= 0x8b) ||
		       (known->opcode >= 0xa0 && known->opcode <= 0xa3) || known->opcode == 0xc6 ||
		       known->opcode == 0xc7;
	}
	if (known->mnemonic == ZYDIS_MNEMONIC_XCHG)
		return known->opcode == 0x86 || known->opcode == 0x87;
	for (i = 1; i < ARRAY_SIZE(mnemonics); i++)
		if (mnemonics[i] && mnemonics[i] == known->mnemonic)
			return true;
	for (i = 0; i < ARRAY_SIZE(sized); i++)
		for (j = 0; j < 4; j++)
			if (sized[i].mnemonic[j] && sized[i].mnemonic[j] == known->mnemonic)
				return true;
	return false;
}

static bool same_register(u32 reg, u32 number, u8 size, bool high)
{
	switch (size) {
	case 1:
		if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
			return high && number == reg - ZYDIS_REGISTER_AH;
		if (reg >= ZYDIS_REGISTER_SPL)
			return !high && number == reg - ZYDIS_REGISTER_SPL + 4;
		return !high && number == reg - ZYDIS_REGISTER_AL;
	case 2:
		return !high && reg == ZYDIS_REGISTER_AX + number;
	case 4:
		return !high && reg == ZYDIS_REGISTER_EAX + number;
	case 8:
		return !high && reg == ZYDIS_REGISTER_RAX + number;
	}
	return false;
}

static bool same_memory(const struct insn *insn, const ZydisDecodedOperand *operand)
{
	const ZydisDecodedOperandMem *mem = &operand->mem;
	u64 mask = insn->address_size == 8 ? ~0ull : BIT_ULL(8 * insn->address_size) - 1;
	static const ZydisRegister segment[] = { ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS,
						 ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
						 ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS };
	bool rip = mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP;

	if (!insn->memory || insn->rip_relative != rip || mem->segment != segment[insn->segment])
		return false;
	if (rip || mem->base == ZYDIS_REGISTER_NONE) {
		if (insn->base != INSN_NO_REG)
			return false;
	} else if (insn->base == INSN_NO_REG ||
		   !same_register(mem->base, insn->base, insn->address_size, false)) {
		return false;
	}
	if (mem->index == ZYDIS_REGISTER_NONE) {
		if (insn->index != INSN_NO_REG)
			return false;
	} else if (insn->index == INSN_NO_REG || mem->scale != insn->scale ||
		   !same_register(mem->index, insn->index, insn->address_size, false)) {
		return false;
	}
	return (insn->disp & mask) == (mem->disp.value & mask);
}

/* Does one of the operands that insn describes say the same as this one? */
static bool same_operand(const struct insn *insn, const ZydisDecodedInstruction *known,
			 const ZydisDecodedOperand *operand, u32 index)
{
	bool io = insn->op >= INSN_IN && insn->op <= INSN_OUTS;
	u32 reg = operand->reg.value;
	u64 mask = ~0ull;
	bool first;

	switch (operand->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (insn->op != INSN_INVLPG && operand->size != 8 * insn->size)
			return false;
		return same_memory(insn, operand);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (insn->op == INSN_STORE && insn->size < 8)
			mask = BIT_ULL(8 * insn->size) - 1;
		return insn->has_immediate &&
		       (insn->immediate & mask) == (operand->imm.value.u & mask);
	case ZYDIS_OPERAND_TYPE_REGISTER:
		break;
	default:
		return false;
	}
	if (io)
		return reg == ZYDIS_REGISTER_DX ?
			       !insn->has_immediate :
			       same_register(reg, FERMATA_RAX, insn->size, false);
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_CONTROL:
		return reg == (u32)ZYDIS_REGISTER_CR0 + insn->control &&
		       (insn->op == INSN_MOV_TO_CR) == (index == 0);
	case ZYDIS_REGCLASS_DEBUG:
		return reg == (u32)ZYDIS_REGISTER_DR0 + insn->control &&
		       (insn->op == INSN_MOV_TO_DR) == (index == 0);
	default:
		break;
	}
	/* Which of two registers is meant: the first, or the one that ModRM.reg names. */
	switch (insn->op) {
	case INSN_LOAD:
	case INSN_LOAD_ZERO:
	case INSN_LOAD_SIGN:
	case INSN_INVEPT:
	case INSN_INVVPID:
	case INSN_INVPCID:
	case INSN_VMWRITE:
		first = true;
		break;
	default:
		first = false;
	}
	if (insn->reg != INSN_NO_REG && (insn->memory || first == (index == 0)))
		return same_register(reg, insn->reg, insn->reg_size, insn->reg_high);
	return insn->rm != INSN_NO_REG && same_register(reg, insn->rm, insn->size, insn->rm_high);
}

/*
 * Two things that Zydis 4.0 does not know, each with a twin that it does.
 * (a) LOCK MOV CR0 is MOV CR8 on AMD (APM 3): without LOCK, and CR0.
 * (b) With 67h and REX.B it takes a SIB without a base, [disp32], for one with r13d as its base: REX.B
 *     has no meaning there (SDM 2 table 2-5).
 */
static ZyanStatus decode_known(const u8 *bytes, u8 mode, struct insn *insn, bool decoded,
			       ZydisDecodedInstruction *known, ZydisDecodedOperand *operand)
{
	ZyanStatus status = ZydisDecoderDecodeFull(&zydis[mode], bytes, 15, known, operand);
	u8 twin[15];
	int i;

	memcpy(twin, bytes, sizeof(twin));
	if (decoded && (insn->op == INSN_MOV_TO_CR || insn->op == INSN_MOV_FROM_CR) && insn->lock) {
		assert_int_equal(insn->control, 8);
		insn->control = 0;
		insn->lock = false;
		for (i = 0; twin[i] != 0x0f; i++)
			if (twin[i] == 0xf0)
				twin[i] = 0x3e;
	} else if (ZYAN_SUCCESS(status) && known->address_width == 32 && known->raw.rex.B &&
		   known->raw.sib.offset && !known->raw.modrm.mod && known->raw.sib.base == 5) {
		twin[known->raw.rex.offset] &= ~1;
	} else {
		return status;
	}
	return ZydisDecoderDecodeFull(&zydis[mode], twin, 15, known, operand);
}

static void compare(const u8 *bytes, u8 mode)
{
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction known;
	struct insn insn, part;
	u32 i, count;
	int got = decode(bytes, 15, mode, &insn);
	ZyanStatus status = decode_known(bytes, mode, &insn, !got, &known, operand);

	if (got) {
		if (ZYAN_SUCCESS(status) && claimed(&known, bytes))
			complain(bytes, mode, "not decoded, though claimed");
		return;
	}
	if (!ZYAN_SUCCESS(status))
		complain(bytes, mode, "decoded, but there is no such instruction");
	accepted++;
	if (insn.length != known.length)
		complain(bytes, mode, "another length");
	for (count = 0; count < insn.length; count++)
		if (decode(bytes, count, mode, &part) != -ERANGE)
			complain(bytes, mode, "decoded without its last bytes");
	if (decode(bytes, insn.length, mode, &part) || part.op != insn.op)
		complain(bytes, mode, "not decoded without bytes behind it");
	if (known.mnemonic != mnemonic_of(&insn))
		complain(bytes, mode, "another instruction");
	if (insn.op <= INSN_LAST_PLAIN)
		return;
	if (insn.address_size * 8 != known.address_width)
		complain(bytes, mode, "another address size");
	for (i = 0; i < known.operand_count_visible; i++)
		if (!same_operand(&insn, &known, &operand[i], i))
			complain(bytes, mode, "another operand");
	if (insn.lock != !!(known.attributes & ZYDIS_ATTRIB_HAS_LOCK))
		complain(bytes, mode, "another lock");
}

static u64 random_state = 0x9e3779b97f4a7c15ull;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

struct prefix {
	u8 count;
	u8 byte[4];
};

static const struct prefix common_prefixes[] = {
	{ 0, { 0 } },
	{ 1, { 0x66 } },
	{ 1, { 0x67 } },
	{ 1, { 0xf2 } },
	{ 1, { 0xf3 } },
	{ 1, { 0xf0 } },
	{ 1, { 0x26 } },
	{ 1, { 0x2e } },
	{ 1, { 0x36 } },
	{ 1, { 0x3e } },
	{ 1, { 0x64 } },
	{ 1, { 0x65 } },
	{ 2, { 0x66, 0x67 } },
	{ 2, { 0x66, 0xf3 } },
	{ 2, { 0xf3, 0x66 } },
	{ 2, { 0xf2, 0xf3 } },
	{ 2, { 0xf3, 0xf2 } },
	{ 2, { 0x64, 0x36 } },
	{ 2, { 0x36, 0x65 } },
	{ 2, { 0x67, 0xf3 } },
	{ 3, { 0x66, 0x66, 0x67 } },
	{ 2, { 0xf0, 0x66 } },
	{ 3, { 0x67, 0x65, 0xf0 } },
};
static const struct prefix rex_prefixes[] = {
	{ 1, { 0x40 } },       { 1, { 0x41 } },	      { 1, { 0x42 } },
	{ 1, { 0x43 } },       { 1, { 0x44 } },	      { 1, { 0x45 } },
	{ 1, { 0x46 } },       { 1, { 0x47 } },	      { 1, { 0x48 } },
	{ 1, { 0x49 } },       { 1, { 0x4c } },	      { 1, { 0x4f } },
	{ 2, { 0x66, 0x48 } }, { 2, { 0x67, 0x4d } }, { 2, { 0x48, 0x66 } },
	{ 2, { 0x4f, 0x41 } }, { 2, { 0xf3, 0x48 } }, { 3, { 0x64, 0x67, 0x4a } },
	{ 2, { 0xf0, 0x44 } }, { 2, { 0xf0, 0x49 } }, { 2, { 0x4f, 0x2e } },
};

static const struct {
	u8 count;
	u8 byte[2];
} maps[] = { { 0, { 0 } }, { 1, { 0x0f } }, { 2, { 0x0f, 0x38 } } };

static const u8 sibs[] = { 0x00, 0x25, 0x65, 0xa4, 0xe5, 0x2c, 0x9b, 0x7f };

static void every_modrm(const struct prefix *prefix, u8 map, u8 opcode, u8 mode)
{
	u32 at = prefix->count + maps[map].count, modrm, i;
	u64 noise;
	u8 bytes[24];

	for (modrm = 0; modrm < 256; modrm++) {
		for (i = 0; i < sizeof(bytes); i += 8) {
			noise = random64();
			memcpy(bytes + i, &noise, 8);
		}
		memcpy(bytes, prefix->byte, prefix->count);
		memcpy(bytes + prefix->count, maps[map].byte, maps[map].count);
		bytes[at] = opcode;
		bytes[at + 1] = modrm;
		if ((modrm & 7) != 4 || modrm >= 0xc0) {
			compare(bytes, mode);
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(sibs); i++) {
			bytes[at + 2] = sibs[i];
			compare(bytes, mode);
		}
	}
}

static void every_opcode(const struct prefix *prefix, u32 count, u8 mode)
{
	u32 opcode, map;

	for (; count--; prefix++)
		for (map = 0; map < ARRAY_SIZE(maps); map++)
			for (opcode = 0; opcode < 256; opcode++)
				every_modrm(prefix, map, opcode, mode);
}

static void test_real(void **state)
{
	every_opcode(common_prefixes, 6, FERMATA_MODE_REAL);
}

static void test_prot16(void **state)
{
	every_opcode(common_prefixes, ARRAY_SIZE(common_prefixes), FERMATA_MODE_PROT16);
}

static void test_prot32(void **state)
{
	every_opcode(common_prefixes, ARRAY_SIZE(common_prefixes), FERMATA_MODE_PROT32);
}

static void test_long(void **state)
{
	every_opcode(common_prefixes, ARRAY_SIZE(common_prefixes), FERMATA_MODE_LONG);
}

static void test_long_rex(void **state)
{
	every_opcode(rex_prefixes, ARRAY_SIZE(rex_prefixes), FERMATA_MODE_LONG);
}

/* All of SIB, for one instruction that has it all: C7 with an immediate behind its displacement. */
static void test_sib(void **state)
{
	static const u8 rex[] = { 0x48, 0x41, 0x42, 0x4b };
	u8 bytes[16] = { 0x48, 0xc7, 0, 0, 0x12, 0x34, 0x56, 0x87, 0x9a, 0xbc, 0xde, 0xf0 };
	u32 sib, mod, i;

	for (i = 0; i < ARRAY_SIZE(rex); i++)
		for (mod = 0; mod < 3; mod++)
			for (sib = 0; sib < 256; sib++) {
				bytes[0] = rex[i];
				bytes[2] = mod << 6 | 4;
				bytes[3] = sib;
				compare(bytes, FERMATA_MODE_LONG);
				compare(bytes + 1, FERMATA_MODE_PROT32);
			}
}

/* Bytes at random, half of them steered to prefixes and the escape byte. */
static void test_random(void **state)
{
	static const u8 likely_bytes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x65,
					   0x64, 0x48, 0x41, 0x44, 0x0f, 0x0f, 0x0f,
					   0x01, 0xc7, 0x8b, 0x89, 0xb6, 0x20 };
	u32 round, i;
	u64 noise;
	u8 bytes[16];

	for (round = 0; round < 400000; round++) {
		noise = random64();
		for (i = 0; i < 16; i += 8) {
			u64 more = random64();

			memcpy(bytes + i, &more, 8);
		}
		for (i = 0; i < 14 && (noise & 3); i++, noise >>= 3)
			bytes[i] = likely_bytes[random64() % ARRAY_SIZE(likely_bytes)];
		compare(bytes, round & 3);
	}
}

/* Fifteen bytes are the limit, whatever lies behind them. */
static void test_too_long(void **state)
{
	struct insn insn;
	u8 bytes[16];

	memset(bytes, 0x66, sizeof(bytes));
	bytes[13] = 0x0f;
	bytes[14] = 0xa2;
	assert_int_equal(decode(bytes, 15, FERMATA_MODE_LONG, &insn), 0);
	assert_int_equal(insn.length, 15);
	assert_int_equal(decode(bytes, 14, FERMATA_MODE_LONG, &insn), -ERANGE);
	bytes[13] = 0x66;
	bytes[14] = 0x0f;
	bytes[15] = 0xa2;
	assert_int_equal(decode(bytes, 16, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(bytes, 15, FERMATA_MODE_LONG, &insn), -EINVAL);
	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(decode(bytes, 16, FERMATA_MODE_PROT32, &insn), -EINVAL);
	assert_int_equal(decode(bytes, 0, FERMATA_MODE_PROT32, &insn), -ERANGE);
}

static void test_illegal(void **state)
{
	static const u8 lock_cpuid[] = { 0xf0, 0x0f, 0xa2 }, lock_store[] = { 0xf0, 0x89, 0x00 },
			lock_xchg[] = { 0xf0, 0x87, 0x00 }, lock_xchg_reg[] = { 0xf0, 0x87, 0xc0 },
			cr1[] = { 0x0f, 0x20, 0xc8 }, dr8[] = { 0x44, 0x0f, 0x21, 0xc0 },
			nop[] = { 0x90 }, xabort[] = { 0xc6, 0xf8, 0x00 },
			lock_cr0[] = { 0xf0, 0x0f, 0x20, 0xc3 };
	struct insn insn;

	assert_int_equal(decode(lock_cpuid, 3, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(lock_store, 3, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(lock_xchg, 3, FERMATA_MODE_LONG, &insn), 0);
	assert_true(insn.lock);
	assert_int_equal(decode(lock_xchg_reg, 3, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(cr1, 3, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(dr8, 4, FERMATA_MODE_LONG, &insn), -EINVAL);
	assert_int_equal(decode(nop, 1, FERMATA_MODE_LONG, &insn), -ENOSYS);
	assert_int_equal(decode(xabort, 3, FERMATA_MODE_LONG, &insn), -ENOSYS);
	assert_int_equal(decode(lock_cr0, 4, FERMATA_MODE_PROT32, &insn), 0);
	assert_int_equal(insn.op, INSN_MOV_FROM_CR);
	assert_int_equal(insn.control, 8);
	assert_int_equal(insn.rm, FERMATA_RBX);
	assert_int_equal(insn.length, 4);
}

/* What REP means, which no operand of Zydis' tells. */
static void test_rep(void **state)
{
	static const u8 insb[] = { 0xf3, 0x6c }, outsw[] = { 0x64, 0x66, 0x6f },
			in[] = { 0xf3, 0xec };
	struct insn insn;

	assert_int_equal(decode(insb, 2, FERMATA_MODE_LONG, &insn), 0);
	assert_int_equal(insn.op, INSN_INS);
	assert_true(insn.rep);
	assert_int_equal(insn.base, FERMATA_RDI);
	assert_int_equal(insn.segment, 0);
	assert_int_equal(decode(outsw, 3, FERMATA_MODE_PROT32, &insn), 0);
	assert_int_equal(insn.op, INSN_OUTS);
	assert_false(insn.rep);
	assert_int_equal(insn.size, 2);
	assert_int_equal(insn.segment, 4);
	assert_int_equal(decode(in, 2, FERMATA_MODE_LONG, &insn), 0);
	assert_false(insn.rep);
}

static void test_offset(void **state)
{
	static const u8 scaled[] = { 0x8b, 0x44, 0x8b, 0xfc }; /* mov eax, [rbx + rcx*4 - 4] */
	static const u8 rip[] = { 0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff };
	static const u8 wrap16[] = { 0x8b, 0x40, 0x7f }; /* mov ax, [bx + si + 7fh] */
	static const u8 moffs[] = { 0xa1, 1, 2, 3, 4, 5, 6, 7, 0x88 };
	u64 regs[FERMATA_REGS] = { 0 };
	struct insn insn;

	regs[FERMATA_RBX] = 0xfffffffffee00000ull;
	regs[FERMATA_RCX] = 0x10;
	assert_int_equal(decode(scaled, 4, FERMATA_MODE_LONG, &insn), 0);
	assert_int_equal(insn_offset(&insn, regs, 0), 0xfffffffffee0003cull);
	assert_int_equal(decode(scaled, 4, FERMATA_MODE_PROT32, &insn), 0);
	assert_int_equal(insn_offset(&insn, regs, 0), 0xfee0003c);
	assert_int_equal(decode(rip, 6, FERMATA_MODE_LONG, &insn), 0);
	assert_int_equal(insn_offset(&insn, regs, 0x1006), 0xff6);
	regs[FERMATA_RBX] = 0x1fff0;
	regs[FERMATA_RSI] = 0x20001;
	assert_int_equal(decode(wrap16, 3, FERMATA_MODE_REAL, &insn), 0);
	assert_int_equal(insn_offset(&insn, regs, 0), 0x70);
	assert_int_equal(decode(moffs, 9, FERMATA_MODE_LONG, &insn), 0);
	assert_int_equal(insn_offset(&insn, regs, 0), 0x8807060504030201ull);
	assert_int_equal(insn.reg, FERMATA_RAX);
}

/* Last: the comparisons above compared something. */
static void test_accepted(void **state)
{
	assert_true(accepted > 500000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),	 cmocka_unit_test(test_prot16),
		cmocka_unit_test(test_prot32),	 cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_rex), cmocka_unit_test(test_sib),
		cmocka_unit_test(test_random),	 cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_illegal),	 cmocka_unit_test(test_rep),
		cmocka_unit_test(test_offset),	 cmocka_unit_test(test_accepted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
