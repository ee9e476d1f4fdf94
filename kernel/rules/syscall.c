// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * SYSCALL and SYSRET, for guests whose system calls a rule is about: EFER.SCE is clear in the hardware
 * then, both raise #UD, and are carried out here (SDM 2B SYSCALL, SYSRET; APM 3). Everything else of
 * the guest's runs as ever.
 */
#include "rules/internal.h"

#define FLAT_LIMIT 0xffffffffu
#define CODE64 0xa9b /* G, L, P, S, execute-read, accessed (SDM 3A 3.4.5) */
#define CODE32 0xc9b /* G, D */
#define DATA32 0xc93
#define DPL3 0x60

/*
 * What stands at RIP, if the guest may use it: compatibility mode has SYSCALL on AMD only. Sets the exit's
 * length, and whether SYSRET goes to 64-bit mode.
 */
static enum syscall_insn decode(struct vcpu *v, bool *wide)
{
	struct where where;
	int count, at = 0;
	u8 bytes[15];
	bool sysret;

	v->backend->where(v, &where);
	count = guest_fetch(&v->vm->memory, &where.paging, where.linear, bytes, sizeof(bytes), NULL);
	*wide = false;
	/* 66h, 67h, F2h, F3h and segment overrides mean nothing here; REX only directly before the opcode. */
	while (at < count && ((bytes[at] & 0xfe) == 0x66 || (bytes[at] & 0xfe) == 0xf2 ||
			      (bytes[at] & 0xfe) == 0x64 || (bytes[at] & 0xe7) == 0x26))
		at++;
	if (where.mode == FERMATA_MODE_LONG && at < count && (bytes[at] & 0xf0) == 0x40)
		*wide = bytes[at++] & 8;
	if (at + 2 > count || bytes[at] != 0x0f || (bytes[at + 1] != 0x05 && bytes[at + 1] != 0x07))
		return INSN_NEITHER;
	v->exit.length = at + 2;
	sysret = bytes[at + 1] == 0x07;
	if (!(v->guest.efer & ARCH_EFER_SCE) || !(v->guest.efer & ARCH_EFER_LMA) ||
	    (where.mode != FERMATA_MODE_LONG && (sysret || !v->vm->cpuid.amd)))
		return INSN_NEITHER;
	return sysret ? INSN_SYSRET : INSN_SYSCALL;
}

enum syscall_insn syscall_which(struct vcpu *v)
{
	bool wide;

	return v->ruling.wanted.no_syscalls ? decode(v, &wide) : INSN_NEITHER;
}

static struct fermata_segment segment(u16 selector, u16 attrib)
{
	return (struct fermata_segment){ .selector = selector,
					 .limit = FLAT_LIMIT,
					 .attrib = attrib };
}

static void enter_kernel(struct vcpu *v, u8 length)
{
	struct fermata_state *state = v->scratch;
	u64 *regs = v->page->regs;
	u16 selector;
	bool trap;

	v->backend->get_state(v, state,
			      FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_MSRS);
	regs[FERMATA_RCX] = state->regs.rip + length;
	regs[FERMATA_R11] = state->regs.rflags & ~ARCH_RFLAGS_RF;
	state->regs.rip = state->segments.cs.attrib & ARCH_SEG_L ? state->msrs.lstar :
								   state->msrs.cstar;
	trap = state->regs.rflags & ~state->msrs.sfmask & ARCH_RFLAGS_TF;
	state->regs.rflags &= ~(state->msrs.sfmask | ARCH_RFLAGS_RF);
	state->regs.rflags |= ARCH_RFLAGS_FIXED;
	selector = state->msrs.star >> 32 & 0xfffc;
	state->segments.cs = segment(selector, CODE64);
	state->segments.ss = segment(selector + 8, DATA32);
	v->backend->set_state(v, state, FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS);
	if (trap) {
		v->guest.dr6 |= ARCH_DR6_BS;
		v->dirty |= DIRTY_DEBUG;
		vcpu_raise(v, ARCH_DB);
	}
}

static void leave_kernel(struct vcpu *v, bool wide)
{
	struct fermata_state *state = v->scratch;
	u64 *regs = v->page->regs;
	u16 selector;

	v->backend->get_state(v, state,
			      FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_MSRS);
	if (state->segments.ss.attrib & DPL3 ||
	    (wide && !arch_canonical(regs[FERMATA_RCX], v->vm->cpuid.linear_bits))) {
		vcpu_raise_code(v, ARCH_GP, 0);
		return;
	}
	selector = state->msrs.star >> 48 | 3;
	state->regs.rip = wide ? regs[FERMATA_RCX] : (u32)regs[FERMATA_RCX];
	state->regs.rflags = (regs[FERMATA_R11] & 0x3c7fd7) | ARCH_RFLAGS_FIXED;
	state->segments.cs = wide ? segment(selector + 16, CODE64 | DPL3) :
				    segment(selector, CODE32 | DPL3);
	state->segments.ss = segment(selector + 8, DATA32 | DPL3);
	v->backend->set_state(v, state, FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS);
}

enum verdict syscall_carry_out(struct vcpu *v)
{
	bool wide;
	enum syscall_insn insn = decode(v, &wide);

	/* Neither: another CPU has rewritten it, and the guest runs what is there now. */
	if (insn == INSN_SYSCALL)
		enter_kernel(v, v->exit.length);
	else if (insn == INSN_SYSRET)
		leave_kernel(v, wide);
	return GO_ON;
}
