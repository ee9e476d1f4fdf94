/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The xAPIC page: registers of 32 bits, 16 bytes apart (SDM 3A 11.4.1). It has no memory behind it, so
 * every access is a nested fault; the access itself is read from the instruction.
 */
#include "core/exits.h"
#include "core/instruction.h"
#include "core/time.h"

static u64 reg_get(const u64 *regs, u8 reg, bool high)
{
	return high ? regs[reg] >> 8 : regs[reg];
}

/* A 32-bit result clears the upper half, smaller ones leave the rest (SDM 1 3.4.1.1). */
static void reg_set(u64 *regs, u8 reg, bool high, u8 size, u64 value)
{
	u64 mask = size == 1 ? 0xff : size == 2 ? 0xffff : ~0ull;

	if (size == 4)
		value = (u32)value;
	if (high) {
		mask <<= 8;
		value <<= 8;
	}
	regs[reg] = (regs[reg] & ~mask) | (value & mask);
}

static u64 extend(u64 value, u8 size, bool is_signed)
{
	u8 shift = 64 - 8 * size;

	return is_signed ? (u64)((s64)(value << shift) >> shift) : value << shift >> shift;
}

/* Accesses of other widths are undefined: reads see the bytes of the register, writes need all 32 bits. */
static void access(struct vcpu *v, const struct insn *insn, u32 offset, struct apic_effects *effects)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);
	u64 *regs = v->page->regs, value = 0;

	if (insn->op != INSN_STORE) {
		value = apic_read(&v->apic, offset & ~3u, &clock, now) >> 8 * (offset & 3);
		value = extend(value, insn->size, insn->op == INSN_LOAD_SIGN);
	}
	if (insn->op == INSN_STORE || insn->op == INSN_XCHG) {
		u64 stored = insn->has_immediate ? insn->immediate :
						   reg_get(regs, insn->reg, insn->reg_high);

		if (insn->size == 4 && !(offset & 3))
			apic_write(&v->apic, offset, stored, &clock, now, effects);
	}
	if (insn->op != INSN_STORE)
		reg_set(regs, insn->reg, insn->reg_high, insn->reg_size, value);
}

bool apic_page_access(struct vcpu *v, enum verdict *verdict)
{
	u64 gpa = v->exit.fault.gpa;
	struct apic_effects effects = { 0 };
	struct insn insn;

	if ((gpa ^ apic_base(&v->apic)) & ~0xfffull || v->exit.fault.access == RADIX_EXEC ||
	    v->exit.fault.table || !apic_enabled(&v->apic) || apic_is_x2apic(&v->apic))
		return false;
	*verdict = GO_ON;
	if (!exit_fetch(v, &insn))
		return false;
	switch (insn.op) {
	case INSN_STORE:
	case INSN_LOAD:
	case INSN_LOAD_ZERO:
	case INSN_LOAD_SIGN:
	case INSN_XCHG:
		break;
	default:
		return false;
	}
	/* The processor said which way the access went; the decoder must agree. */
	if (!insn.memory || (insn.op == INSN_STORE) !=
				    (v->exit.fault.access == RADIX_WRITE && insn.op != INSN_XCHG))
		return false;
	access(v, &insn, gpa & 0xfff, &effects);
	v->advance = insn.length;
	vcpu_apic_effects(v, &effects);
	return true;
}
