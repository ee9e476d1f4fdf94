/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* From the VMCS's exit reason to the neutral exit record: SDM 3D appendix C, SDM 3C 28.2. */
#include "vmx/vmx.h"
#include "core/insn.h"
#include "core/processor.h"
#include "memory/radix.h"

/*
 * The exit came while an event was on its way into the guest (SDM 3C 28.2.4): it must go in again.
 * INT n, INT3 and INTO are not lost: RIP points at them and they will run again.
 */
static void vmx_interrupted_event(struct vcpu *v)
{
	u32 info = vmread(VMCS_IDT_VECTORING_INFO);
	struct event *event = &v->event;

	if (likely(!(info & INTERRUPTION_VALID)))
		return;
	switch (info & INTERRUPTION_TYPE) {
	case INTERRUPTION_EXTERNAL:
		event->kind = EVENT_INTERRUPT;
		break;
	case INTERRUPTION_NMI: {
		u32 blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

		event->kind = EVENT_NMI;
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCKING_BY_NMI);
		break;
	}
	case INTERRUPTION_EXCEPTION:
		event->kind = EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	event->vector = info;
	event->has_code = info & INTERRUPTION_HAS_CODE;
	event->code = event->has_code ? vmread(VMCS_IDT_VECTORING_ERROR_CODE) : 0;
	v->event_valid = true;
}

static void exception_or_nmi(struct vcpu *v)
{
	u32 info = vmread(VMCS_EXIT_INTERRUPTION_INFO);
	struct exit *x = &v->exit;
	u8 vector = info;

	x->kind = EXIT_NOTHING;
	if ((info & INTERRUPTION_TYPE) == INTERRUPTION_NMI) {
		cpu_nmi(); /* the host's; NMIs are blocked until its handler's IRET */
		return;
	}
	if (vector == ARCH_MC) {
		cpu_machine_check();
		return;
	}
	vmx_interrupted_event(v);
	x->kind = EXIT_EXCEPTION;
	x->exception = (struct event){ .kind = EVENT_EXCEPTION,
				       .vector = vector,
				       .has_code = info & INTERRUPTION_HAS_CODE };
	if (x->exception.has_code)
		x->exception.code = vmread(VMCS_EXIT_ERROR_CODE);
	/* The qualification has the bits that DR6 would have got (SDM 3C table 28-1). */
	if (vector == ARCH_DB) {
		v->dr6 |= (x->info1 = vmread(VMCS_EXIT_QUALIFICATION)) & 0xe00f;
		v->dirty |= DIRTY_DEBUG;
	}
}

/* SDM 3C table 28-3 */
static void cr_access(struct vcpu *v)
{
	struct exit *x = &v->exit;
	u64 q = x->info1;

	vmx_sync(v);
	vmx_fetch_rsp(v);
	x->mov.number = q & 15;
	x->mov.reg = q >> 8 & 15;
	x->mov.size = 8;
	x->mov.decoded = true;
	x->mov.by_value = false;
	x->mov.stored = false;
	x->kind = EXIT_CR_WRITE;
	switch (q >> 4 & 3) {
	case 1:
		x->kind = EXIT_CR_READ;
		break;
	case 2: /* CLTS */
		x->mov.number = 0;
		x->mov.by_value = true;
		x->mov.value = v->cr0 & ~ARCH_CR0_TS;
		break;
	case 3: /* LMSW: the source is in the qualification; it cannot clear PE */
		x->mov.number = 0;
		x->mov.by_value = true;
		x->mov.value = (v->cr0 & ~0xeull) | (q >> 16 & 0xf);
		break;
	}
}

/*
 * SDM 3C table 28-4. The exit comes before the faults for privilege, CR4.DE and DR7.GD (SDM 3C 26.1.3),
 * so they are ours: the first here, the others in control_dr().
 */
static void dr_access(struct vcpu *v)
{
	struct exit *x = &v->exit;

	if (vmx_cpl()) {
		x->kind = EXIT_PROTECTED;
		return;
	}
	vmx_sync(v);
	vmx_fetch_rsp(v);
	x->kind = x->info1 & BIT(4) ? EXIT_DR_READ : EXIT_DR_WRITE;
	x->mov.number = x->info1 & 7;
	x->mov.reg = x->info1 >> 8 & 15;
	x->mov.decoded = true;
}

/* SDM 3C table 28-5 */
static void io(struct vcpu *v)
{
	struct exit *x = &v->exit;

	x->kind = EXIT_IO;
	x->io.size = (x->info1 & 7) + 1;
	x->io.in = x->info1 & BIT(3);
	x->io.string = x->info1 & BIT(4);
	x->io.rep = x->info1 & BIT(5);
	x->io.port = x->info1 >> 16;
}

static void ept_violation(struct vcpu *v)
{
	struct exit *x = &v->exit;
	u64 q = x->info1;

	x->kind = EXIT_NESTED_FAULT;
	x->info2 = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
	x->fault.gpa = x->info2;
	x->fault.table = q & EPT_LINEAR_VALID && !(q & EPT_FINAL);
	x->fault.access = q & EPT_FETCH ? RADIX_EXEC : q & EPT_WRITE ? RADIX_WRITE : RADIX_READ;
	vmx_interrupted_event(v);
	/* An IRET that faulted had already unblocked NMIs (SDM 3C 28.2.3). */
	if (q & EPT_NMI_UNBLOCKING && !v->event_valid)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKING_BY_NMI);
}

static u8 kind_of(u32 reason)
{
	switch (reason) {
	case VMX_EXIT_EXTERNAL_INTERRUPT:
	case VMX_EXIT_INIT:
	case VMX_EXIT_SIPI:
	case VMX_EXIT_TPR_BELOW_THRESHOLD: /* what it lets in is delivered before the next entry */
		return EXIT_NOTHING;
	case VMX_EXIT_INTERRUPT_WINDOW:
	case VMX_EXIT_NMI_WINDOW:
		return EXIT_WINDOW;
	case VMX_EXIT_CPUID:
		return EXIT_CPUID;
	case VMX_EXIT_HLT:
		return EXIT_HLT;
	case VMX_EXIT_MSR_READ:
		return EXIT_MSR_READ;
	case VMX_EXIT_VMCALL:
		return EXIT_HYPERCALL;
	case VMX_EXIT_XSETBV:
		return EXIT_XSETBV;
	case VMX_EXIT_INVD:
	case VMX_EXIT_WBINVD:
		return EXIT_CACHE;
	case VMX_EXIT_PAUSE:
		return EXIT_IDLE_HINT;
	case VMX_EXIT_RDPMC:
		return EXIT_PROTECTED;
	/* The guest's CPU has none of these: CPUID says so. */
	case VMX_EXIT_GETSEC:
	case VMX_EXIT_RSM:
	case VMX_EXIT_VMCLEAR ... VMX_EXIT_VMXON:
	case VMX_EXIT_MWAIT:
	case VMX_EXIT_MONITOR:
	case VMX_EXIT_INVEPT:
	case VMX_EXIT_INVVPID:
	case VMX_EXIT_INVPCID:
	case VMX_EXIT_VMFUNC:
	case VMX_EXIT_XSAVES:
	case VMX_EXIT_XRSTORS:
		return EXIT_UNDEFINED;
	case VMX_EXIT_TRIPLE_FAULT:
		return EXIT_SHUTDOWN;
	}
	return EXIT_UNCLAIMED;
}

/* Reasons whose exit qualification says something. */
static bool qualified(u32 reason)
{
	return reason == VMX_EXIT_CR_ACCESS || reason == VMX_EXIT_DR_ACCESS ||
	       reason == VMX_EXIT_IO || reason == VMX_EXIT_EPT_VIOLATION ||
	       reason == VMX_EXIT_TASK_SWITCH;
}

/* Reasons that an instruction caused, with a valid length (SDM 3C 28.2.5). */
static bool has_length(u32 reason)
{
	switch (reason) {
	case VMX_EXIT_CPUID:
	case VMX_EXIT_HLT:
	case VMX_EXIT_INVD:
	case VMX_EXIT_VMCALL:
	case VMX_EXIT_CR_ACCESS:
	case VMX_EXIT_DR_ACCESS:
	case VMX_EXIT_IO:
	case VMX_EXIT_MSR_READ:
	case VMX_EXIT_MSR_WRITE:
	case VMX_EXIT_PAUSE:
	case VMX_EXIT_WBINVD:
	case VMX_EXIT_XSETBV:
		return true;
	}
	return false;
}

static void entry_failed(struct vcpu *v, u32 failed)
{
	struct exit *x = &v->exit;

	x->kind = EXIT_FAIL_ENTRY;
	x->length = 0;
	x->rip = ((struct vmx_vcpu *)v->hw)->rip;
	x->info2 = 0;
	if (failed) {
		x->code = VMX_INSTRUCTION_FAILED;
		x->info1 = failed == 1 ? vmread(VMCS_INSTRUCTION_ERROR) : 0;
	} else {
		x->info1 = vmread(VMCS_EXIT_QUALIFICATION);
	}
}

void vmx_exit_record(struct vcpu *v, u32 failed)
{
	struct vmx_vcpu *s = v->hw;
	struct exit *x = &v->exit;
	u32 reason = failed ? VMX_ENTRY_FAILURE : vmread(VMCS_EXIT_REASON);

	if (unlikely(reason & VMX_ENTRY_FAILURE)) {
		x->code = reason & 0xffff;
		entry_failed(v, failed);
		if (reason == (VMX_ENTRY_FAILURE | VMX_EXIT_MACHINE_CHECK))
			cpu_machine_check();
		return;
	}
	reason &= 0xffff;
	x->code = reason;
	x->rip = s->rip = vmread(VMCS_GUEST_RIP);
	x->info1 = qualified(reason) ? vmread(VMCS_EXIT_QUALIFICATION) : 0;
	x->info2 = 0;
	x->length = has_length(reason) ? vmread(VMCS_EXIT_INSTRUCTION_LENGTH) : 0;
	switch (reason) {
	case VMX_EXIT_EXCEPTION_NMI:
		exception_or_nmi(v);
		return;
	case VMX_EXIT_CR_ACCESS:
		cr_access(v);
		return;
	case VMX_EXIT_DR_ACCESS:
		dr_access(v);
		return;
	case VMX_EXIT_IO:
		io(v);
		return;
	case VMX_EXIT_EPT_VIOLATION:
		ept_violation(v);
		return;
	case VMX_EXIT_MSR_WRITE:
		/* A write to EFER writes CR0 and CR4 anew, whose other bits are the guest's. */
		if ((u32)v->page->regs[FERMATA_RCX] == ARCH_MSR_EFER)
			vmx_sync(v);
		x->kind = EXIT_MSR_WRITE;
		return;
	default:
		x->kind = kind_of(reason);
	}
}
