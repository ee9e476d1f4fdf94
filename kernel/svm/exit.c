/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* From the VMCB's exit code to the neutral exit record: APM 2 appendix C. */
#include "svm/svm.h"
#include "core/processor.h"
#include "memory/radix.h"

/*
 * The exit came while an event was on its way into the guest (APM 2 15.7.2): it must go in again.
 * INT n, INT3 and INTO are not lost: RIP still points at them and they will run again, and injecting
 * them would need the RIP behind them.
 */
static void svm_interrupted_event(struct vcpu *v, u64 info)
{
	struct event *event = &v->event;
	u32 type = info & EVENT_TYPE_MASK;
	u8 vector = info;

	if (type == EVENT_TYPE_SOFT)
		return;
	if (type == EVENT_TYPE_EXCEPTION && (vector == ARCH_BP || vector == 4))
		return;
	event->kind = type == EVENT_TYPE_INTR ? EVENT_INTERRUPT :
		      type == EVENT_TYPE_NMI  ? EVENT_NMI :
						EVENT_EXCEPTION;
	event->vector = vector;
	event->has_code = info & EVENT_HAS_CODE;
	event->code = info >> 32;
	v->event_valid = true;
	if (event->kind == EVENT_NMI)
		((struct svm_vcpu *)v->hw)->nmi_masked = false;
}

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
}

static void svm_io_record(struct exit *x, const struct vmcb *c)
{
	u32 info = c->exitinfo1;

	x->kind = EXIT_IO;
	x->io.port = IOIO_PORT(info);
	x->io.size = IOIO_SIZE(info);
	x->io.in = info & IOIO_IN;
	x->io.string = info & IOIO_STRING;
	x->io.rep = info & IOIO_REP;
	x->length = c->exitinfo2 - c->rip; /* EXITINFO2: the RIP behind it, with or without NRIPS */
}

static void svm_fault_record(struct exit *x, const struct vmcb *c)
{
	u64 info = c->exitinfo1;

	x->kind = EXIT_NESTED_FAULT;
	x->fault.gpa = c->exitinfo2;
	x->fault.table = info & NPF_TABLE;
	x->fault.access = info & NPF_FETCH ? RADIX_EXEC :
			  info & NPF_WRITE ? RADIX_WRITE :
					     RADIX_READ;
}

/* APM 2 15.12: EXITINFO1 is the error code, and of a page fault EXITINFO2 the address. */
static void svm_exception_record(struct exit *x, const struct vmcb *c, u8 vector)
{
	x->kind = EXIT_EXCEPTION;
	x->exception = (struct event){ .kind = EVENT_EXCEPTION,
				       .vector = vector,
				       .has_code = arch_has_code(vector) };
	if (x->exception.has_code)
		x->exception.code = c->exitinfo1;
	x->exception_address = c->exitinfo2;
}

/* Codes 66h to 6Dh */
static const u8 svm_tables[] = {
	FERMATA_ON_SIDT, FERMATA_ON_SGDT, FERMATA_ON_SLDT, FERMATA_ON_STR,
	FERMATA_ON_LIDT, FERMATA_ON_LGDT, FERMATA_ON_LLDT, FERMATA_ON_LTR,
};

static void svm_iret(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;

	/* The IRET itself runs at the next entry; an NMI that waits is taken at the exit after it. */
	s->nmi_masked = false;
	c->intercept[VMCB_MISC1] &= ~INTERCEPT_IRET;
	c->clean &= ~CLEAN_INTERCEPTS;
	c->int_state |= INT_STATE_SHADOW;
}

static u8 svm_kind(u64 code)
{
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_IRET:
		return EXIT_NOTHING;
	case SVM_EXIT_VINTR:
		return EXIT_WINDOW;
	case SVM_EXIT_CPUID:
		return EXIT_CPUID;
	case SVM_EXIT_HLT:
		return EXIT_HLT;
	case SVM_EXIT_VMMCALL:
		return EXIT_HYPERCALL;
	case SVM_EXIT_XSETBV:
		return EXIT_XSETBV;
	case SVM_EXIT_INVD:
		return EXIT_CACHE;
	case SVM_EXIT_WBINVD:
		return EXIT_WBINVD;
	case SVM_EXIT_PAUSE:
		return EXIT_PAUSE;
	case SVM_EXIT_RDPMC:
		return EXIT_RDPMC;
	case SVM_EXIT_RDTSC:
		return EXIT_RDTSC;
	case SVM_EXIT_RDTSCP:
		return EXIT_RDTSCP;
	case SVM_EXIT_INVPCID:
		return EXIT_INVPCID;
	/* The guest's CPU has none of these: CPUID says so. */
	case SVM_EXIT_MONITOR:
		return EXIT_MONITOR;
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_ARMED:
		return EXIT_MWAIT;
	case SVM_EXIT_RDPRU:
		return EXIT_RDPRU;
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
		return EXIT_UNDEFINED;
	case SVM_EXIT_SHUTDOWN:
		return EXIT_SHUTDOWN;
	case SVM_EXIT_INVALID:
		return EXIT_FAIL_ENTRY;
	}
	return EXIT_UNCLAIMED;
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
		svm_interrupted_event(v, c->exitintinfo);

	switch (code) {
	case SVM_EXIT_NPF:
		svm_fault_record(x, c);
		return;
	case SVM_EXIT_MSR:
		x->kind = c->exitinfo1 & 1 ? EXIT_MSR_WRITE : EXIT_MSR_READ;
		if (x->kind == EXIT_MSR_WRITE) /* EFER is set together with CR0 */
			svm_sync(v);
		break;
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
		cpu_machine_check();
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
	case SVM_EXIT_IDTR_READ ... SVM_EXIT_TR_WRITE:
		x->kind = EXIT_TABLE;
		x->table = svm_tables[code - SVM_EXIT_IDTR_READ];
		break;
	case SVM_EXIT_INVLPG: /* the address: APM 2 15.33.2; exit_length() finds it otherwise */
		x->kind = EXIT_INVLPG;
		x->linear = c->exitinfo1;
		if (!(svm_features & SVM_FEATURE_DECODE_ASSISTS))
			return;
		break;
	case SVM_EXIT_IRET:
		svm_iret(v);
		x->kind = EXIT_NOTHING;
		return;
	default:
		x->kind = svm_kind(code);
	}
	if (svm_features & SVM_FEATURE_NRIPS && c->next_rip > c->rip && c->next_rip - c->rip <= 15)
		x->length = c->next_rip - c->rip;
}
