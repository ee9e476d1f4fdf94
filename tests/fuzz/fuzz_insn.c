// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The decoder of ring 0, kernel/insn/decode.c, on bytes of a guest's. It reads none beyond those that it was given, says
 * the same of an instruction whatever comes behind it, and where it and Zydis know one they agree on its length.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "insn/insn.h"

static const struct {
	u8 mode;
	ZydisMachineMode machine;
	ZydisStackWidth stack;
} modes[] = {
	{ FERMATA_MODE_LONG, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	{ FERMATA_MODE_PROT32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32 },
	{ FERMATA_MODE_PROT16, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16 },
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static bool decoded(const uint8_t *data, size_t size)
{
	struct insn insn, again;
	ZydisDecoder decoder;
	ZydisDecodedInstruction known;
	unsigned mode, count;
	uint8_t *shorter;
	u64 regs[FERMATA_REGS];

	if (size < 2)
		return false;
	mode = data[0] % MODES;
	count = size - 1 < 15 ? (unsigned)size - 1 : 15;
	memset(&insn, 0, sizeof(insn));
	if (insn_decode(data + 1, count, modes[mode].mode, &insn))
		return false;
	fuzz_check(insn.op != INSN_NONE && insn.length && insn.length <= count,
		   "a length within the bytes");
	fuzz_check(insn.reg == INSN_NO_REG || insn.reg < FERMATA_REGS, "a register");
	fuzz_check(insn.rm == INSN_NO_REG || insn.rm < FERMATA_REGS, "another");
	if (insn.memory) {
		fuzz_check(insn.segment < 6 &&
				   (insn.base == INSN_NO_REG || insn.base < FERMATA_REGS) &&
				   (insn.index == INSN_NO_REG || insn.index < FERMATA_REGS),
			   "an operand in memory");
		memset(regs, 0xff, sizeof(regs));
		insn_offset(&insn, regs, ~0ull);
	}
	shorter = fuzz_block(data + 1, insn.length);
	memset(&again, 0, sizeof(again));
	fuzz_check(!insn_decode(shorter, insn.length, modes[mode].mode, &again),
		   "it ends where it says");
	fuzz_check(insn.op == again.op && insn.length == again.length &&
			   (insn.op <= INSN_LAST_PLAIN || !memcmp(&insn, &again, sizeof(insn))),
		   "the same without what comes behind");
	free(shorter);
	shorter = fuzz_block(data + 1, insn.length - 1u);
	fuzz_check(insn_decode(shorter, insn.length - 1u, modes[mode].mode, &again),
		   "and none without its end");
	free(shorter);
	fuzz_check(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[mode].machine, modes[mode].stack)),
		   "Zydis");
	if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, data + 1, count, &known)))
		fuzz_check(known.length == insn.length, "Zydis's length");
	return true;
}

/* Opcodes that exit, with some prefixes and whatever ModRM. */
static size_t good(uint8_t *input)
{
	static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64,
					    0x65, 0xf0, 0x48, 0x41, 0x4f };
	static const uint8_t two[] = { 0xa2, 0x30, 0x31, 0x32, 0x33, 0x01, 0x00, 0x20,
				       0x21, 0x22, 0x23, 0x06, 0x08, 0x09, 0xb6, 0xb7,
				       0xbe, 0xbf, 0xc7, 0x78, 0x79, 0x38 };
	static const uint8_t one[] = { 0xf4, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef,
				       0x6c, 0x6d, 0x6e, 0x6f, 0xcc, 0xcd, 0xce, 0xcf, 0x9c,
				       0x9d, 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3,
				       0xc6, 0xc7, 0x86, 0x87, 0x63, 0xf1, 0x90 };
	uint64_t r = fuzz_random();
	size_t size = 0;

	input[size++] = r % MODES;
	for (unsigned n = (r >> 8) % 4; n; n--)
		input[size++] = prefixes[fuzz_random() % sizeof(prefixes)];
	if (r >> 16 & 1) {
		input[size++] = 0x0f;
		input[size++] = two[(r >> 20) % sizeof(two)];
	} else {
		input[size++] = one[(r >> 20) % sizeof(one)];
	}
	while (size < 16)
		input[size++] = fuzz_random();
	return size;
}

const struct fuzz_target fuzz_target = { .name = "insn",
					 .one = decoded,
					 .good = good,
					 .inputs = 300000 };
