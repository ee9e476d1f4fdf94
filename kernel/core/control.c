/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Control, debug and extended control registers, with the faults the architecture asks for
 * (SDM 3A 2.5 and 4.1.2, APM 2 3.1; XSETBV: SDM 1 13.3).
 */
#include "core/control.h"
#include "core/instruction.h"
#include "core/report.h"
#include "core/shadowing.h"

/* Is this a state a processor with the guest's CPUID can be in? */
int control_check(const struct vm *vm, u64 cr0, u64 cr4, u64 efer)
{
	/*
	 * (a) reserved bits; (b) PG needs PE, NW needs CD; (c) long mode needs PAE, PCIDE needs long mode;
	 * (d) LMA = LME and PG
	 */
	if (cr0 & ~ARCH_CR0_DEFINED || cr4 & ~vm->cpuid.cr4_allowed ||
	    efer & ~vm->cpuid.efer_allowed)
		return -EINVAL;
	if ((cr0 & ARCH_CR0_PG && !(cr0 & ARCH_CR0_PE)) ||
	    (cr0 & ARCH_CR0_NW && !(cr0 & ARCH_CR0_CD)))
		return -EINVAL;
	if (efer & ARCH_EFER_LMA ? !(cr4 & ARCH_CR4_PAE) : !!(cr4 & ARCH_CR4_PCIDE))
		return -EINVAL;
	if (!!(efer & ARCH_EFER_LMA) != (efer & ARCH_EFER_LME && cr0 & ARCH_CR0_PG))
		return -EINVAL;
	return 0;
}

/*
 * SDM 1 13.3: x87 always, XSAVE or not; AVX needs SSE; the three AVX-512 components come together, and
 * need AVX; PKRU needs nothing else.
 */
bool control_xcr0_valid(const struct vm *vm, u64 xcr0)
{
	u64 avx512 = xcr0 & 0xe0;

	return !(xcr0 & ~(vm->cpuid.xcr0_allowed | 1)) && xcr0 & 1 && !((xcr0 & 6) == 4) &&
	       (!avx512 || (avx512 == 0xe0 && xcr0 & 4));
}

/* Outside 64-bit mode MOV to and from these registers has operands of 32 bits (SDM 2B MOV). */
static bool narrow(struct vcpu *v)
{
	struct where where;

	if (!(v->guest.efer & ARCH_EFER_LMA))
		return true;
	v->backend->where(v, &where);
	return where.mode != FERMATA_MODE_LONG;
}

u64 control_operand(struct vcpu *v, u64 value)
{
	return narrow(v) ? (u32)value : value;
}

static void set_control(struct vcpu *v, u64 cr0, u64 cr4, u64 efer)
{
	/* Bits whose change drops the processor's translations (SDM 3A 4.10.4.1, APM 2 5.5.3). */
	u64 cr4_flush = ARCH_CR4_PGE | ARCH_CR4_PSE | ARCH_CR4_PAE | ARCH_CR4_PCIDE |
			ARCH_CR4_SMEP | ARCH_CR4_SMAP | ARCH_CR4_PKE | ARCH_CR4_LA57;

	if ((cr0 ^ v->guest.cr0) & ARCH_CR0_PG || (cr4 ^ v->guest.cr4) & cr4_flush ||
	    (efer ^ v->guest.efer) & (ARCH_EFER_NXE | ARCH_EFER_LMA)) {
		rules_space_changed(v);
		/* The root that is loaded then drops all: no leaf of ours is global. */
		if (v->shadow)
			shadowing_changed(v);
		else
			vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_CONTROL);
	}
	/* Shadows know it: the processor itself runs with WP. */
	if (v->shadow && (cr0 ^ v->guest.cr0) & ARCH_CR0_WP)
		shadowing_changed(v);
	v->guest.cr0 = cr0;
	v->guest.cr4 = cr4;
	v->guest.efer = efer;
	v->dirty |= DIRTY_CONTROL;
}

static enum verdict set_cr0(struct vcpu *v, u64 value)
{
	u64 efer = v->guest.efer, changed;

	/* Bits 31:0 that do not exist are ignored; above, they fault (SDM 3A 2.5). */
	if (value >> 32)
		return vcpu_raise_code(v, ARCH_GP, 0);
	value = (value & ARCH_CR0_DEFINED) | ARCH_CR0_ET;
	changed = value ^ v->guest.cr0;
	if (changed & ARCH_CR0_PG && efer & ARCH_EFER_LME) {
		struct where where;

		v->backend->where(v, &where);
		/* Long mode begins and ends; it needs PAE, and PCIDE needs it: control_check(). */
		if (where.mode == FERMATA_MODE_LONG)
			return vcpu_raise_code(v, ARCH_GP, 0);
		efer ^= ARCH_EFER_LMA;
	}
	if (control_check(v->vm, value, v->guest.cr4, efer))
		return vcpu_raise_code(v, ARCH_GP, 0);
	v->advance = v->exit.length;
	set_control(v, value, v->guest.cr4, efer);
	return GO_ON;
}

static enum verdict set_cr4(struct vcpu *v, u64 value)
{
	/* LA57 cannot change under paging, PCIDE only be set with CR3[11:0] = 0 (SDM 3A 2.5, 4.10.1). */
	if ((value ^ v->guest.cr4) & ARCH_CR4_LA57 && v->guest.efer & ARCH_EFER_LMA)
		return vcpu_raise_code(v, ARCH_GP, 0);
	if (value & ~v->guest.cr4 & ARCH_CR4_PCIDE && v->backend->get_reg(v, HW_CR3) & 0xfff)
		return vcpu_raise_code(v, ARCH_GP, 0);
	if (control_check(v->vm, v->guest.cr0, value, v->guest.efer))
		return vcpu_raise_code(v, ARCH_GP, 0);
	v->advance = v->exit.length;
	set_control(v, v->guest.cr0, value, v->guest.efer);
	return GO_ON;
}

/* CR3 exits under shadow paging, where a rule wants it, and on VT-x without TRUE capability MSRs. */
static enum verdict set_cr3(struct vcpu *v, u64 value)
{
	bool keep = v->guest.cr4 & ARCH_CR4_PCIDE && value >> 63; /* SDM 3A 4.10.4.1 */

	if (keep)
		value &= ~BIT_ULL(63);
	if (v->guest.efer & ARCH_EFER_LMA && value >> v->vm->cpuid.phys_bits)
		return vcpu_raise_code(v, ARCH_GP, 0);
	rules_space_changed(v);
	if (v->shadow)
		return shadowing_set_cr3(v, value, keep);
	v->backend->set_reg(v, HW_CR3, value);
	if (!keep)
		vcpu_owe(v, FLUSH_LOCAL, 0, FERMATA_CAUSE_CONTROL);
	v->advance = v->exit.length;
	return GO_ON;
}

int control_set_efer(struct vcpu *v, u64 value)
{
	/* LMA is the processor's: writes to it are ignored. LME cannot change under paging. */
	value = (value & ~ARCH_EFER_LMA) | (v->guest.efer & ARCH_EFER_LMA);
	if ((value ^ v->guest.efer) & ARCH_EFER_LME && v->guest.cr0 & ARCH_CR0_PG)
		return -EINVAL;
	if (control_check(v->vm, v->guest.cr0, v->guest.cr4, value))
		return -EINVAL;
	set_control(v, v->guest.cr0, v->guest.cr4, value);
	return 0;
}

enum verdict control_cr_read(struct vcpu *v)
{
	u64 *reg;

	if (!exit_mov_length(v))
		return GO_ON;
	if (v->exit.mov.stored) {
		v->advance = v->exit.length;
		return GO_ON;
	}
	if (v->exit.mov.reg == INSN_NO_REG)
		return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
	reg = &v->page->regs[v->exit.mov.reg];
	switch (v->exit.mov.number) {
	case 0:
		*reg = v->exit.mov.size == 2 ? (*reg & ~0xffffull) | (u16)v->guest.cr0 :
					       v->guest.cr0;
		break;
	case 2:
		*reg = v->backend->get_reg(v, HW_CR2);
		break;
	case 3:
		*reg = v->shadow ? v->shadow->cr3 : v->backend->get_reg(v, HW_CR3);
		break;
	case 4:
		*reg = v->guest.cr4;
		break;
	case 8:
		*reg = apic_tpr(&v->apic);
		break;
	default:
		return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
	}
	v->advance = v->exit.length;
	return GO_ON;
}

/* MOV to CR, and the older ways to reach CR0: CLTS and LMSW. */
enum verdict control_cr_write(struct vcpu *v)
{
	struct exit *x = &v->exit;
	u64 value;

	if (!exit_mov_length(v))
		return GO_ON;
	if (x->mov.by_value)
		value = x->mov.value;
	else if (x->mov.reg != INSN_NO_REG)
		value = control_operand(v, v->page->regs[x->mov.reg]);
	else
		return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
	switch (x->mov.number) {
	case 0:
		return set_cr0(v, value);
	case 2:
		v->backend->set_reg(v, HW_CR2, value);
		v->advance = x->length;
		return GO_ON;
	case 3:
		return set_cr3(v, value);
	case 4:
		return set_cr4(v, value);
	case 8:
		if (value > 15)
			return vcpu_raise_code(v, ARCH_GP, 0);
		apic_set_tpr(&v->apic, value);
		v->advance = x->length;
		return GO_ON;
	}
	return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
}

/* SDM 3B 17.2: DR4 and DR5 are DR6 and DR7 unless CR4.DE; with DR7.GD any access faults first. */
static enum verdict control_dr(struct vcpu *v, bool write)
{
	struct exit *x = &v->exit;
	u8 number = x->mov.number;
	u64 *reg, value;

	if (!exit_mov_length(v))
		return GO_ON;
	if (number == 4 || number == 5) {
		if (v->guest.cr4 & ARCH_CR4_DE)
			return vcpu_raise(v, ARCH_UD);
		number += 2;
	}
	if (v->guest.dr7 & ARCH_DR7_GD) {
		v->guest.dr7 &= ~ARCH_DR7_GD;
		v->guest.dr6 |= ARCH_DR6_BD;
		v->dirty |= DIRTY_DEBUG;
		return vcpu_raise(v, ARCH_DB);
	}
	reg = &v->page->regs[x->mov.reg & 15];
	if (!write) {
		value = number < 4  ? v->guest.dr[number] :
			number == 6 ? v->guest.dr6 :
				      v->guest.dr7;
		*reg = narrow(v) ? (u32)value : value;
		v->advance = x->length;
		return GO_ON;
	}
	value = control_operand(v, *reg);
	if (number >= 4 && value >> 32)
		return vcpu_raise_code(v, ARCH_GP, 0);
	v->advance = x->length;
	if (number < 4)
		v->guest.dr[number] = value;
	else if (number == 6)
		v->guest.dr6 = arch_dr6(value);
	else
		v->guest.dr7 = arch_dr7(value);
	v->dirty |= DIRTY_DEBUG;
	return GO_ON;
}

enum verdict control_dr_read(struct vcpu *v)
{
	return control_dr(v, false);
}

enum verdict control_dr_write(struct vcpu *v)
{
	return control_dr(v, true);
}

enum verdict control_xsetbv(struct vcpu *v)
{
	u64 *regs = v->page->regs;
	u64 value = (u32)regs[FERMATA_RAX] | regs[FERMATA_RDX] << 32;
	struct where where;

	if (!exit_length(v))
		return GO_ON;
	if (!(v->guest.cr4 & ARCH_CR4_OSXSAVE))
		return vcpu_raise(v, ARCH_UD);
	v->backend->where(v, &where);
	if ((u32)regs[FERMATA_RCX] || where.paging.cpl || !control_xcr0_valid(v->vm, value))
		return vcpu_raise_code(v, ARCH_GP, 0);
	v->advance = v->exit.length;
	v->guest.xcr0 = value;
	if (unlikely(!host_guest_xcr0(value)))
		vcpu_refused(v, "XCR0", value);
	return GO_ON;
}

/*
 * XSETBV exits on every CPU, but not in QEMU 7.2, which has no intercept for it: what the guest wrote
 * there is found in the register. Bits that its CPUID does not offer are not kept.
 */
void vcpu_sync_xcr0(struct vcpu *v)
{
	u64 now = host_guest_xcr0_now();

	if (unlikely(now != v->guest.xcr0) && control_xcr0_valid(v->vm, now))
		v->guest.xcr0 = now;
}
