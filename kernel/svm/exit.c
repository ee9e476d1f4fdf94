/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* From the VMCB's exit code to the neutral exit record: APM 2 appendix C. */
#include "svm/intercepts.h"
#include "insn/insn.h"
#include "base/processor.h"
#include "memory/radix.h"

/*
 * The exit came while an event was on its way into the guest (APM 2 15.7.2): it must go in again.
 * INT n, INT3 and INTO are not lost: RIP still points at them and they will run again, and injecting
 * them would need the RIP behind them.
 */
static void svm_interrupted_injection(struct vcpu *v, u64 info)
{
	struct injection *injection = &v->waiting.injection;
	u32 type = info & EVENT_TYPE_MASK;
	u8 vector = info;

	if (type == EVENT_TYPE_SOFT)
		return;
	if (type == EVENT_TYPE_EXCEPTION && (vector == ARCH_BP || vector == 4))
		return;
	injection->kind = type == EVENT_TYPE_INTR ? INJECT_INTERRUPT :
			  type == EVENT_TYPE_NMI  ? INJECT_NMI :
						    INJECT_EXCEPTION;
	injection->vector = vector;
	injection->has_code = info & EVENT_HAS_CODE;
	injection->code = info >> 32;
	v->waiting.valid = true;
	if (injection->kind == INJECT_NMI)
		((struct svm_vcpu *)v->hw)->nmi_masked = false;
}

static u8 svm_plain_register(struct vcpu *v, const struct vmcb *c, u8 opcode, u8 mask, u8 bits);

static void svm_mov_record(struct vcpu *v, const struct vmcb *c, u8 kind, u8 number)
{
	struct exit *x = &v->exit;

	svm_sync(v); /* what follows builds on CR0 and DR6, parts of which the guest writes without us */
	x->kind = kind;
	x->mov.number = number;
	x->mov.by_value = false;
	x->mov.stored = false;
	x->mov.size = 8;
	x->mov.via = MOV_PLAIN;
	/* With decode assists EXITINFO1 names the register; bit 63 sets MOV CR apart from LMSW and CLTS. */
	x->mov.decoded = svm_features & SVM_FEATURE_DECODE_ASSISTS &&
			 (kind >= EXIT_DR_READ || c->exitinfo1 >> 63);
	x->mov.reg = c->exitinfo1 & 0xf;
	if (svm_features & SVM_FEATURE_DECODE_ASSISTS || kind > EXIT_CR_WRITE || number > 7)
		return;
	x->mov.reg = svm_plain_register(v, c, kind == EXIT_CR_READ ? 0x20 : 0x22, 0xf8,
					0xc0 | number << 3);
	/* What exits as CR0's may be another's (svm_cr_reads()), and CR3 is read most. The decoder knows them all. */
	if (x->mov.reg == INSN_NO_REG && kind == EXIT_CR_READ && number == 0) {
		x->mov.reg = svm_plain_register(v, c, 0x20, 0xf8, 0xc0 | 3 << 3);
		if (x->mov.reg != INSN_NO_REG)
			x->mov.number = 3;
	}
	x->mov.decoded = x->mov.reg != INSN_NO_REG;
}

static void svm_io_record(struct exit *x, const struct vmcb *c)
{
	u32 info = c->exitinfo1;

	x->kind = EXIT_IO;
	x->io = (struct fermata_exit_io){
		.port = IOIO_PORT(info),
		.size = IOIO_SIZE(info),
		.in = !!(info & IOIO_IN),
		.string = !!(info & IOIO_STRING),
		.rep = !!(info & IOIO_REP),
	};
	x->length = c->exitinfo2 - c->rip; /* EXITINFO2: the RIP behind it, with or without NRIPS */
}

static void svm_fault_record(struct exit *x, const struct vmcb *c)
{
	u64 info = c->exitinfo1;

	x->kind = EXIT_NESTED_FAULT;
	x->fault.gpa = c->exitinfo2;
	x->fault.table = info & NPF_TABLE;
	x->fault.linear_known = false; /* the processor does not say it */
	x->fault.access = info & NPF_FETCH ? RADIX_EXEC :
			  info & NPF_WRITE ? RADIX_WRITE :
					     RADIX_READ;
}

/* APM 2 15.12: EXITINFO1 is the error code, and of a page fault EXITINFO2 the address. */
static void svm_exception_record(struct exit *x, const struct vmcb *c, u8 vector)
{
	x->kind = EXIT_EXCEPTION;
	x->exception = (struct injection){ .kind = INJECT_EXCEPTION,
					   .vector = vector,
					   .has_code = arch_has_code(vector) };
	if (x->exception.has_code)
		x->exception.code = c->exitinfo1;
	x->exception_address = c->exitinfo2;
}

static void svm_iret(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;

	/* The IRET itself runs at the next entry; an NMI that waits is taken at the exit after it. */
	svm_intercept_iret(s, false);
	c->int_state |= INT_STATE_SHADOW;
}

/* What the codes mean of which no more than the length is to be told. MSR: EXITINFO1 has the direction. */
static const u8 kinds[] = {
	[SVM_EXIT_INTR] = EXIT_NOTHING,
	[SVM_EXIT_NMI] = EXIT_NOTHING,
	[SVM_EXIT_SMI] = EXIT_NOTHING,
	[SVM_EXIT_INIT] = EXIT_NOTHING,
	[SVM_EXIT_VINTR] = EXIT_WINDOW,
	[SVM_EXIT_CPUID] = EXIT_CPUID,
	[SVM_EXIT_HLT] = EXIT_HLT,
	[SVM_EXIT_MSR] = EXIT_MSR_READ,
	[SVM_EXIT_VMMCALL] = EXIT_HYPERCALL,
	[SVM_EXIT_XSETBV] = EXIT_XSETBV,
	[SVM_EXIT_INVD] = EXIT_INVD,
	[SVM_EXIT_WBINVD] = EXIT_WBINVD,
	[SVM_EXIT_PAUSE] = EXIT_PAUSE,
	[SVM_EXIT_RDTSC] = EXIT_RDTSC,
	[SVM_EXIT_RDTSCP] = EXIT_RDTSCP,
	[SVM_EXIT_RDPMC] = EXIT_RDPMC,
	[SVM_EXIT_INVPCID] = EXIT_INVPCID,
	[SVM_EXIT_IDTR_READ] = EXIT_SIDT,
	[SVM_EXIT_GDTR_READ] = EXIT_SGDT,
	[SVM_EXIT_LDTR_READ] = EXIT_SLDT,
	[SVM_EXIT_TR_READ] = EXIT_STR,
	[SVM_EXIT_IDTR_WRITE] = EXIT_LIDT,
	[SVM_EXIT_GDTR_WRITE] = EXIT_LGDT,
	[SVM_EXIT_LDTR_WRITE] = EXIT_LLDT,
	[SVM_EXIT_TR_WRITE] = EXIT_LTR,
	/* The guest's CPU has none of these: CPUID says so. */
	[SVM_EXIT_MONITOR] = EXIT_MONITOR,
	[SVM_EXIT_MWAIT] = EXIT_MWAIT,
	[SVM_EXIT_MWAIT_ARMED] = EXIT_MWAIT,
	[SVM_EXIT_RDPRU] = EXIT_RDPRU,
	[SVM_EXIT_INVLPGA] = EXIT_UNDEFINED,
	[SVM_EXIT_VMRUN] = EXIT_UNDEFINED,
	[SVM_EXIT_VMLOAD] = EXIT_UNDEFINED,
	[SVM_EXIT_VMSAVE] = EXIT_UNDEFINED,
	[SVM_EXIT_STGI] = EXIT_UNDEFINED,
	[SVM_EXIT_CLGI] = EXIT_UNDEFINED,
	[SVM_EXIT_SKINIT] = EXIT_UNDEFINED,
	[SVM_EXIT_SHUTDOWN] = EXIT_SHUTDOWN,
};

/* How the instructions behind the commonest exits are written, without prefixes. */
static const struct {
	u32 mask, bytes; /* the first byte lowest */
	u8 length;
} plain[EXIT_KINDS] = {
	[EXIT_CPUID] = { 0xffff, 0xa20f, 2 },	      [EXIT_MSR_READ] = { 0xffff, 0x320f, 2 },
	[EXIT_MSR_WRITE] = { 0xffff, 0x300f, 2 },     [EXIT_HLT] = { 0xff, 0xf4, 1 },
	[EXIT_HYPERCALL] = { 0xffffff, 0xd9010f, 3 }, [EXIT_RDTSC] = { 0xffff, 0x310f, 2 },
	[EXIT_RDTSCP] = { 0xffffff, 0xf9010f, 3 },
};

/* In two registers: a variable whose address is taken would cost the common way a store. */
struct svm_word {
	u64 bytes;
	u64 found;
};

static noinline struct svm_word svm_code_find(struct vcpu *v, const struct vmcb *c,
					      struct guest_code *code)
{
	struct guest_memory *memory = &v->vm->memory;
	struct svm_word word = { 0 };
	struct where where;

	svm_where(v, &where);
	word.found = guest_code_find(memory, code, &where.paging, c->rip) &&
		     guest_code_read(memory, code, where.paging.cr3, c->rip, &word.bytes);
	return word;
}

/* The first bytes of the code at RIP, in 64-bit mode. False: they cannot be had so easily. */
static __always_inline bool svm_plain_word(struct vcpu *v, const struct vmcb *c, u64 *word)
{
	struct svm_vcpu *s = v->hw;
	struct guest_code *code = &s->code[c->rip >> 12 & (SVM_CODE_PAGES - 1)];
	u64 cr3 = unlikely(v->shadow) ? v->shadow->cr3 : c->cr3;
	struct svm_word found;

	if (!(v->guest.efer & ARCH_EFER_LMA) || !(c->cs.attrib & ARCH_SEG_L))
		return false;
	if (likely(guest_code_read(&v->vm->memory, code, cr3, c->rip, word)))
		return true;
	found = svm_code_find(v, c, code);
	*word = found.bytes;
	return found.found;
}

/*
 * MOV to and from CR and INVLPG as compilers write them: an optional REX.B, 0F, the opcode, ModRM. Its low
 * bits name the answer, a register; INSN_NO_REG: it is written in another way.
 */
static u8 svm_plain_register(struct vcpu *v, const struct vmcb *c, u8 opcode, u8 mask, u8 bits)
{
	u8 high = 0, modrm;
	u64 word;

	if (!svm_plain_word(v, c, &word))
		return INSN_NO_REG;
	if ((word & 0xff) == 0x41) {
		high = 8;
		word >>= 8;
	}
	modrm = word >> 16;
	if ((word & 0xffff) != (0x0fu | opcode << 8) || (modrm & mask) != bits)
		return INSN_NO_REG;
	v->exit.length = high ? 4 : 3;
	return (modrm & 7) | high;
}

/*
 * Without NRIPS the instruction's length is read from the code, and here from its first bytes: are they
 * those of this exit's instruction? 0: not known, or there are prefixes; exit_length() decodes.
 */
static u8 svm_plain_length(struct vcpu *v, const struct vmcb *c, u8 kind)
{
	u64 word;

	if (!plain[kind].length || !svm_plain_word(v, c, &word))
		return 0;
	return (word & plain[kind].mask) == plain[kind].bytes ? plain[kind].length : 0;
}

/* APM 2 15.7.1 */
static __always_inline u8 svm_length(struct vcpu *v, const struct vmcb *c, u8 kind)
{
	if (unlikely(!(svm_features & SVM_FEATURE_NRIPS)))
		return svm_plain_length(v, c, kind);
	return c->next_rip - c->rip <= 15 ? c->next_rip - c->rip : 0;
}

/* The address: APM 2 15.33.2, or in a register. Without a length exit_length() looks for it. */
static void svm_invlpg_record(struct vcpu *v, const struct vmcb *c)
{
	struct exit *x = &v->exit;
	u8 reg;

	x->kind = EXIT_INVLPG;
	x->linear = c->exitinfo1;
	if (svm_features & SVM_FEATURE_DECODE_ASSISTS) {
		x->length = svm_length(v, c, EXIT_INVLPG);
		return;
	}
	reg = svm_plain_register(v, c, 0x01, 0xf8, 0x38);
	/* Behind those of RSP, RBP, R12 and R13 comes more (SDM 2A table 2-2). */
	if (reg == INSN_NO_REG || (reg & 6) == 4)
		x->length = 0;
	else
		x->linear = v->page->regs[reg];
}

void svm_exit_record(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	const struct vmcb *c = s->vmcb;
	struct exit *x = &v->exit;
	u64 code = (s32)c->exitcode; /* VMEXIT_INVALID is -1: QEMU writes 32 bits of it */

	x->code = code;
	x->rip = c->rip;
	x->info1 = c->exitinfo1;
	x->info2 = c->exitinfo2;
	x->length = 0;
	if (unlikely(c->exitintinfo & EVENT_VALID))
		svm_interrupted_injection(v, c->exitintinfo);

	x->kind = code < ARRAY_SIZE(kinds) ? kinds[code] : EXIT_UNCLAIMED;
	if (likely(x->kind != EXIT_UNCLAIMED)) {
		if (x->kind == EXIT_MSR_READ && x->info1 & 1) {
			x->kind = EXIT_MSR_WRITE;
			/* A write to EFER writes CR0 anew, parts of which are the guest's. */
			if ((u32)v->page->regs[FERMATA_RCX] == ARCH_MSR_EFER)
				svm_sync(v);
		}
		x->length = svm_length(v, c, x->kind);
		return;
	}
	switch (code) {
	case SVM_EXIT_NPF:
		svm_fault_record(x, c);
		return;
	case SVM_EXIT_IOIO:
		svm_io_record(x, c);
		return;
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 15:
		svm_mov_record(v, c, EXIT_CR_READ, code - SVM_EXIT_READ_CR0);
		break;
	case SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR0 + 15:
		svm_mov_record(v, c, EXIT_CR_WRITE, code - SVM_EXIT_WRITE_CR0);
		break;
	case SVM_EXIT_CR0_SEL_WRITE:
		svm_mov_record(v, c, EXIT_CR_WRITE, 0);
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 15:
		svm_mov_record(v, c, EXIT_DR_READ, code - SVM_EXIT_READ_DR0);
		break;
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 15:
		svm_mov_record(v, c, EXIT_DR_WRITE, code - SVM_EXIT_WRITE_DR0);
		break;
	case SVM_EXIT_EXCP_BASE + ARCH_MC:
		x->kind = EXIT_NOTHING;
		host_machine_check();
		return;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + ARCH_MC - 1:
	case SVM_EXIT_EXCP_BASE + ARCH_MC + 1 ... SVM_EXIT_EXCP_BASE + 31:
		if (v->shadow && code == SVM_EXIT_EXCP_BASE + ARCH_PF) { /* APM 2 15.12.15 */
			x->kind = EXIT_PAGE_FAULT;
			x->fault.linear = c->exitinfo2;
			x->fault.code = c->exitinfo1;
			return;
		}
		svm_exception_record(x, c, code - SVM_EXIT_EXCP_BASE);
		break;
	case SVM_EXIT_INVLPG:
		svm_invlpg_record(v, c);
		return;
	case SVM_EXIT_IRET:
		svm_iret(v);
		x->kind = EXIT_NOTHING;
		return;
	case SVM_EXIT_INVALID:
		x->kind = EXIT_FAIL_ENTRY;
		return;
	default:
		return;
	}
	if (!x->length)
		x->length = svm_length(v, c, x->kind);
}
