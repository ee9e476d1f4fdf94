/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Lengths and memory operands of all instructions against a complete decoder, Zydis: random bytes behind
 * every opcode of the maps, with and without prefixes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "insn/shape.h"
#include "host/test_random.h"

static ZydisDecoder zydis[4];
static u64 compared, operands, wrong;

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

	for (int i = 0; i < 4; i++)
		if (!ZYAN_SUCCESS(ZydisDecoderInit(&zydis[i], modes[i].mode, modes[i].width)))
			return -1;
	return 0;
}

static void complain(const u8 *bytes, u8 mode, const char *what, unsigned wanted, unsigned got)
{
	char text[64] = "";

	for (int i = 0; i < 15; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, "%02x ", bytes[i]);
	if (wrong++ < 20)
		print_error("mode %u, %s: %s: %u, not %u\n", mode, text, what, wanted, got);
}

static bool same_register(ZydisRegister known, u8 reg)
{
	if (known == ZYDIS_REGISTER_NONE || known == ZYDIS_REGISTER_RIP ||
	    known == ZYDIS_REGISTER_EIP)
		return reg == INSN_NO_REG;
	return reg != INSN_NO_REG && ZydisRegisterGetId(known) == reg;
}

static const ZydisRegister segments[6] = { ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
					   ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS };

static bool same_place(const struct shape_operand *o, const ZydisDecodedOperandMem *mem)
{
	if (!same_register(mem->base, o->at.base) || segments[o->at.segment] != mem->segment)
		return false;
	return same_register(mem->index, o->at.index) || !o->exact;
}

/* Extensions whose operands' sizes are known to the byte. */
static bool is_plain(const ZydisDecodedInstruction *known)
{
	return known->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       (known->meta.isa_ext == ZYDIS_ISA_EXT_BASE ||
		known->meta.isa_ext == ZYDIS_ISA_EXT_LONGMODE);
}

static void compare_operand(const u8 *bytes, u8 mode, const struct insn_shape *shape,
			    const ZydisDecodedInstruction *known, const ZydisDecodedOperand *operand)
{
	const struct shape_operand *o = NULL;
	u32 bytes_wide = operand->size / 8;
	u8 access = 0;

	for (u32 i = 0; i < shape->count && !o; i++)
		if (same_place(&shape->operand[i], &operand->mem) &&
		    (shape->count < 2 || !operand->mem.disp.has_displacement ||
		     shape->operand[i].at.disp == (u64)operand->mem.disp.value ||
		     shape->operand[i].at.base == FERMATA_RSP))
			o = &shape->operand[i];
	if (!o) {
		complain(bytes, mode, "the memory operand is not known", operand->id, 0);
		return;
	}
	if (o->size < bytes_wide)
		complain(bytes, mode, "smaller than it is", bytes_wide, o->size);
	if (!is_plain(known))
		return;
	if (o->size != bytes_wide)
		complain(bytes, mode, "its size", bytes_wide, o->size);
	access |= operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? SHAPE_READ : 0;
	access |= operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? SHAPE_WRITE : 0;
	if (o->access && o->access != access)
		complain(bytes, mode, "its direction", access, o->access);
	operands++;
}

/* Memory that no operand of ours is for: hints, bounds and tables, stacks of their own kinds. */
static bool is_odd(const ZydisDecodedInstruction *known)
{
	switch (known->mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT1:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_INTO:
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_CLDEMOTE:
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
	case ZYDIS_MNEMONIC_INVLPG:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_MOVDIR64B:
	case ZYDIS_MNEMONIC_ENQCMD:
	case ZYDIS_MNEMONIC_ENQCMDS:
		return true;
	default:
		return known->meta.category == ZYDIS_CATEGORY_PREFETCH ||
		       known->meta.category == ZYDIS_CATEGORY_CET ||
		       known->meta.category == ZYDIS_CATEGORY_MPX ||
		       known->meta.category == ZYDIS_CATEGORY_NOP ||
		       known->meta.category == ZYDIS_CATEGORY_WIDENOP ||
		       known->meta.isa_ext == ZYDIS_ISA_EXT_SVM ||
		       known->meta.category == ZYDIS_CATEGORY_PADLOCK ||
		       known->meta.isa_ext == ZYDIS_ISA_EXT_AMD_INVLPGB;
	}
}

/* Zydis says what processors do that Fermata's guests do not have; XOP and 3DNow!'s XOP twin among it. */
static bool beyond_us(const ZydisDecodedInstruction *known)
{
	return known->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
	       known->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
	       known->meta.isa_ext == ZYDIS_ISA_EXT_AMX_TILE ||
	       known->mnemonic == ZYDIS_MNEMONIC_JKZD || known->mnemonic == ZYDIS_MNEMONIC_JKNZD;
}

static void compare(const u8 *bytes, u8 mode)
{
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction known;
	struct insn_shape shape;
	int err = insn_shape(bytes, 15, mode, &shape);

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis[mode], bytes, 15, &known, operand)) ||
	    beyond_us(&known))
		return;
	if (err || shape.length != known.length)
		complain(bytes, mode, ZydisMnemonicGetString(known.mnemonic), known.length,
			 err ? 0 : shape.length);
	compared++;
	if (is_odd(&known))
		return;
	for (u32 i = 0; i < known.operand_count; i++)
		if (operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    operand[i].mem.type == ZYDIS_MEMOP_TYPE_MEM)
			compare_operand(bytes, mode, &shape, &known, &operand[i]);
}

static void random_bytes(u8 *bytes, u32 from)
{
	for (u32 i = from; i < 15; i++)
		bytes[i] = random_u64();
}

static void with_prefixes(const u8 *opcode, u32 length)
{
	static const u8 prefix[] = { 0x66, 0x67, 0xf2, 0xf3, 0x48, 0x4f, 0x41, 0x64, 0x2e, 0xf0 };

	for (u8 mode = 0; mode < 4; mode++) {
		for (u32 round = 0; round < 60; round++) {
			u64 pick = random_u64();
			u8 bytes[15];
			u32 at = 0;

			for (; at < 2 && pick & 3; pick >>= 8)
				bytes[at++] = prefix[(pick >> 2 & 63) % sizeof(prefix)];
			memcpy(bytes + at, opcode, length);
			random_bytes(bytes, at + length);
			compare(bytes, mode);
		}
	}
}

static void maps(void **state)
{
	for (u32 i = 0; i < 256; i++) {
		with_prefixes((u8[]){ i }, 1);
		with_prefixes((u8[]){ 0x0f, i }, 2);
		with_prefixes((u8[]){ 0x0f, 0x38, i }, 3);
		with_prefixes((u8[]){ 0x0f, 0x3a, i }, 3);
	}
	assert_int_equal(wrong, 0);
	assert_true(compared > 50000);
	assert_true(operands > 5000);
}

static void vectors(void **state)
{
	u64 before = compared;

	for (u32 i = 0; i < 256; i++) {
		for (u32 round = 0; round < 200; round++) {
			u8 bytes[15];

			random_bytes(bytes, 0);
			bytes[0] = 0xc5;
			bytes[2] = i;
			compare(bytes, FERMATA_MODE_LONG);
			bytes[0] = 0xc4;
			bytes[1] = (bytes[1] & 0xe0) | (1 + round % 3);
			bytes[3] = i;
			compare(bytes, FERMATA_MODE_LONG);
			bytes[0] = 0x62;
			bytes[1] = (bytes[1] & 0xf0) | (1 + round % 3);
			bytes[2] |= 4;
			bytes[4] = i;
			compare(bytes, FERMATA_MODE_LONG);
		}
	}
	assert_int_equal(wrong, 0);
	assert_true(compared - before > 5000);
}

/* Fewer bytes than there should be. */
static void cut_off(void **state)
{
	const u8 bytes[] = { 0x48, 0xc7, 0x84, 0xd8, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct insn_shape shape;

	for (u32 i = 0; i < sizeof(bytes); i++)
		assert_int_equal(insn_shape(bytes, i, FERMATA_MODE_LONG, &shape), -ERANGE);
	assert_int_equal(insn_shape(bytes, sizeof(bytes), FERMATA_MODE_LONG, &shape), 0);
	assert_int_equal(shape.length, 12);
	assert_int_equal(shape.count, 1);
	assert_int_equal(shape.operand[0].size, 8);
	assert_int_equal(shape.operand[0].access, SHAPE_WRITE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps),
		cmocka_unit_test(vectors),
		cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
