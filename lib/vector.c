// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * SSE and AVX loads and stores. The registers lie in the XSAVE area: XMM at 160 (SDM 1 table 10-2),
 * the header's XSTATE_BV at 512, the upper halves of YMM at 576 on every processor that has them
 * (SDM 1 13.5.2; the standard format's offset is fixed by CPUID 0Dh).
 */
#include <string.h>

#include "emulate.h"

#define XMM_AT 160
#define XSTATE_BV_AT 512
#define YMM_HIGH_AT 576

#define XSTATE_SSE (1ull << 1)
#define XSTATE_AVX (1ull << 2)

/* How many bytes of memory the instruction moves; 0: not one of these. */
static unsigned moved_bytes(struct emu *e)
{
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVNTPS:
	case ZYDIS_MNEMONIC_MOVNTPD:
	case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_MOVNTDQA:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQU:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
	case ZYDIS_MNEMONIC_VLDDQU:
	case ZYDIS_MNEMONIC_VMOVQ:
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VMOVSS:
	case ZYDIS_MNEMONIC_VMOVSD:
		return e->mem->size / 8;
	default:
		return 0;
	}
}

/* A component whose XSTATE_BV bit is clear is in its initial state: zero, whatever the bytes say. */
static void bring_in(uint8_t *area, uint64_t component, unsigned at, unsigned size)
{
	uint64_t bv;

	memcpy(&bv, area + XSTATE_BV_AT, sizeof(bv));
	if (bv & component)
		return;
	memset(area + at, 0, size);
	bv |= component;
	memcpy(area + XSTATE_BV_AT, &bv, sizeof(bv));
}

int emu_vector(struct emu *e)
{
	bool vex = e->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	unsigned size = moved_bytes(e), number;
	const ZydisDecodedOperand *reg;
	uint8_t *area = e->state.xsave.area, value[32] = { 0 };
	bool load = e->mem != &e->op[0];
	struct emu_span span;
	int ret;

	if ((!vex && e->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) ||
	    (size != 4 && size != 8 && size != 16 && size != 32) ||
	    e->insn.operand_count_visible != 2)
		return EMU_UNKNOWN;
	reg = load ? &e->op[0] : &e->op[1];
	if (reg->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return EMU_UNKNOWN;
	if (reg->reg.value >= ZYDIS_REGISTER_XMM0 && reg->reg.value <= ZYDIS_REGISTER_XMM15)
		number = reg->reg.value - ZYDIS_REGISTER_XMM0;
	else if (reg->reg.value >= ZYDIS_REGISTER_YMM0 && reg->reg.value <= ZYDIS_REGISTER_YMM15)
		number = reg->reg.value - ZYDIS_REGISTER_YMM0;
	else
		return EMU_UNKNOWN;

	ret = emu_span_operand(e, size, load ? FERMATA_ACCESS_READ : FERMATA_ACCESS_WRITE, 0, &span);
	if (ret)
		return ret;
	ret = emu_state(e, FERMATA_STATE_XSAVE);
	if (ret)
		return ret;
	bring_in(area, XSTATE_SSE, XMM_AT, 16 * 16);
	if (vex)
		bring_in(area, XSTATE_AVX, YMM_HIGH_AT, 16 * 16);
	if (load) {
		/* loads zero the rest of XMM; legacy ones keep the upper half of YMM (SDM 1 14.3) */
		emu_span_read(e, &span, value);
		memcpy(area + XMM_AT + 16 * number, value, 16);
		if (vex)
			memcpy(area + YMM_HIGH_AT + 16 * number, value + 16, 16);
		ret = e->ops->state_set(e->opaque, &e->state, FERMATA_STATE_XSAVE);
		if (ret)
			return ret;
	} else {
		memcpy(value, area + XMM_AT + 16 * number, 16);
		if (size == 32)
			memcpy(value + 16, area + YMM_HIGH_AT + 16 * number, 16);
		emu_span_write(e, &span, value);
	}
	e->run->advance = e->insn.length;
	return 0;
}
