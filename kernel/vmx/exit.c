/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* From the VMCS's exit reason to the neutral exit record: SDM 3D appendix C, SDM 3C 28.2. */
#include "vmx/vmx.h"
#include "insn/insn.h"
#include "base/processor.h"
#include "memory/radix.h"

/*
 * The exit came while an event was on its way into the guest (SDM 3C 28.2.4): it must go in again.
 * INT n, INT3 and INTO are not lost: RIP points at them and they will run again.
 */
static void vmx_interrupted_injection(struct vcpu *v)
{
	u32 info = vmread(VMCS_IDT_VECTORING_INFO);
	struct injection *injection = &v->waiting.injection;

	if (likely(!(info & INTERRUPTION_VALID)))
		return;
	switch (info & INTERRUPTION_TYPE) {
	case INTERRUPTION_EXTERNAL:
		injection->kind = INJECT_INTERRUPT;
		break;
	case INTERRUPTION_NMI: {
		u32 blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

		injection->kind = INJECT_NMI;
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCKING_BY_NMI);
		break;
	}
	case INTERRUPTION_EXCEPTION:
		injection->kind = INJECT_EXCEPTION;
		break;
	default:
		return;
	}
	injection->vector = info;
	injection->has_code = info & INTERRUPTION_HAS_CODE;
	injection->code = injection->has_code ? vmread(VMCS_IDT_VECTORING_ERROR_CODE) : 0;
	v->waiting.valid = true;
}

/* An IRET that faulted had already unblocked NMIs (SDM 3C 28.2.2, 28.2.3). */
static void block_nmis_again(const struct vcpu *v)
{
	if (!v->waiting.valid)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKING_BY_NMI);
}

/* #AC for what it stands for in a guest (SDM 3A 6.15): all else is TEST_CTRL's doing. */
static bool alignment_checked(void)
{
	return vmx_cpl() == 3 && vmread(VMCS_GUEST_CR0) & ARCH_CR0_AM &&
	       vmread(VMCS_GUEST_RFLAGS) & ARCH_RFLAGS_AC;
}

static void exception_or_nmi(struct vcpu *v)
{
	u32 info = vmread(VMCS_EXIT_INTERRUPTION_INFO);
	struct exit *x = &v->exit;
	u8 vector = info;

	if ((info & INTERRUPTION_TYPE) == INTERRUPTION_NMI) {
		x->kind = EXIT_NOTHING;
		cpu_nmi(); /* the host's; NMIs are blocked until its handler's IRET */
		return;
	}
	vmx_interrupted_injection(v);
	if (vector == ARCH_MC) {
		x->kind = EXIT_NOTHING;
		host_machine_check();
		return;
	}
	if (vector == ARCH_AC && host_detects_split_locks() && !alignment_checked()) {
		x->kind = EXIT_NOTHING;
		host_set_bit(REQUEST_SPLIT_LOCK, &v->requests);
		return;
	}
	if (vector == ARCH_PF && v->shadow) {
		x->kind = EXIT_PAGE_FAULT;
		x->info1 = vmread(VMCS_EXIT_QUALIFICATION);
		x->fault.linear = x->info1;
		x->fault.code = vmread(VMCS_EXIT_ERROR_CODE);
		if (info & INTERRUPTION_NMI_UNBLOCKING)
			block_nmis_again(v);
		return;
	}
	x->exception = (struct injection){ .kind = INJECT_EXCEPTION,
					   .vector = vector,
					   .has_code = info & INTERRUPTION_HAS_CODE };
	if (x->exception.has_code)
		x->exception.code = vmread(VMCS_EXIT_ERROR_CODE);
	if (vector == ARCH_PF)
		x->exception_address = x->info1 = vmread(VMCS_EXIT_QUALIFICATION);
	if ((info & INTERRUPTION_TYPE) == INTERRUPTION_SOFT_EXCEPTION)
		x->length = vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (info & INTERRUPTION_NMI_UNBLOCKING && vector != ARCH_DF)
		block_nmis_again(v);
	/* The qualification has the bits that DR6 would have got (SDM 3C table 28-1). */
	if (vector == ARCH_DB) {
		v->guest.dr6 |= (x->info1 = vmread(VMCS_EXIT_QUALIFICATION)) & 0xe00f;
		v->dirty |= DIRTY_DEBUG;
		/* Entering with TF in a shadow, a single step must be pending too (SDM 3C 27.3.1.5). */
		if (vmread(VMCS_GUEST_RFLAGS) & ARCH_RFLAGS_TF &&
		    vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))
			vmwrite(VMCS_GUEST_PENDING_DEBUG, ARCH_DR6_BS);
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
	x->mov.via = MOV_PLAIN;
	switch (q >> 4 & 3) {
	case 1:
		x->kind = EXIT_CR_READ;
		break;
	case 2: /* CLTS */
		x->mov.number = 0;
		x->mov.via = MOV_CLTS;
		x->mov.by_value = true;
		x->mov.value = v->guest.cr0 & ~ARCH_CR0_TS;
		break;
	case 3: /* LMSW: the source is in the qualification; it cannot clear PE */
		x->mov.number = 0;
		x->mov.via = MOV_LMSW;
		x->mov.by_value = true;
		x->mov.value = (v->guest.cr0 & ~0xeull) | (q >> 16 & 0xf);
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
	if (x->info1 & BIT(4))
		x->kind = EXIT_DR_READ;
	x->mov.number = x->info1 & 7;
	x->mov.reg = x->info1 >> 8 & 15;
	x->mov.decoded = true;
	x->mov.via = MOV_PLAIN;
	x->mov.by_value = false;
}

/* SDM 3C table 28-5 */
static void io(struct vcpu *v)
{
	struct exit *x = &v->exit;

	x->io = (struct fermata_exit_io){
		.port = x->info1 >> 16,
		.size = (x->info1 & 7) + 1,
		.in = x->info1 >> 3 & 1,
		.string = x->info1 >> 4 & 1,
		.rep = x->info1 >> 5 & 1,
	};
}

/* What exits only for rules: the operand is in the instruction information (SDM 3C 28.2.5). */
static void refine(struct vcpu *v, u32 reason)
{
	struct exit *x = &v->exit;
	u32 info;

	switch (reason) {
	case VMX_EXIT_INVLPG:
		x->linear = x->info1;
		return;
	case VMX_EXIT_RDRAND: /* table 28-13 */
	case VMX_EXIT_RDSEED:
		info = vmread(VMCS_EXIT_INSTRUCTION_INFO);
		vmx_fetch_rsp(v);
		x->random.reg = info >> 3 & 15;
		x->random.size = 2u << (info >> 11 & 3);
		return;
	case VMX_EXIT_GDTR_IDTR: /* tables 28-10, 28-11: one of four, in core/exit_kinds.h's order */
	case VMX_EXIT_LDTR_TR:
		x->kind += vmread(VMCS_EXIT_INSTRUCTION_INFO) >> 28 & 3;
		return;
	}
}

static void ept_violation(struct vcpu *v)
{
	struct exit *x = &v->exit;
	u64 q = x->info1;

	x->info2 = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
	x->fault.gpa = x->info2;
	x->fault.table = q & EPT_LINEAR_VALID && !(q & EPT_FINAL);
	x->fault.access = q & EPT_FETCH ? RADIX_EXEC : q & EPT_WRITE ? RADIX_WRITE : RADIX_READ;
	x->fault.linear_known = false;
	if (unlikely(v->ruled) && q & EPT_LINEAR_VALID) {
		x->fault.linear_known = true;
		x->fault.linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);
	}
	vmx_interrupted_injection(v);
	if (q & EPT_NMI_UNBLOCKING)
		block_nmis_again(v);
}

/* What the reasons mean, and which fields speak about them (SDM 3C 28.2.1, 28.2.5). */
#define QUALIFIED BIT(0) /* the exit qualification */
#define LENGTH BIT(1)	 /* an instruction caused it, and its length is valid */
#define MORE BIT(2)	 /* and further_record() has something to add, another kind too */

static const struct {
	u8 kind, fields;
} reasons[] = {
	[VMX_EXIT_EXCEPTION_NMI] = { EXIT_EXCEPTION, MORE },
	[VMX_EXIT_EXTERNAL_INTERRUPT] = { EXIT_NOTHING, 0 },
	[VMX_EXIT_INIT] = { EXIT_NOTHING, 0 },
	[VMX_EXIT_SIPI] = { EXIT_NOTHING, 0 },
	/* What a lower TPR lets in is delivered before the next entry. */
	[VMX_EXIT_TPR_BELOW_THRESHOLD] = { EXIT_NOTHING, 0 },
	[VMX_EXIT_PREEMPTION_TIMER] = { EXIT_NOTHING, MORE },
	[VMX_EXIT_INTERRUPT_WINDOW] = { EXIT_WINDOW, 0 },
	[VMX_EXIT_NMI_WINDOW] = { EXIT_WINDOW, 0 },
	/* Always exits, and is the hypervisor's to do (SDM 3C 26.2); nothing here does it. */
	[VMX_EXIT_TASK_SWITCH] = { EXIT_UNSUPPORTED, QUALIFIED },
	[VMX_EXIT_CPUID] = { EXIT_CPUID, LENGTH },
	[VMX_EXIT_HLT] = { EXIT_HLT, LENGTH },
	[VMX_EXIT_MSR_READ] = { EXIT_MSR_READ, LENGTH },
	[VMX_EXIT_MSR_WRITE] = { EXIT_MSR_WRITE, LENGTH | MORE },
	[VMX_EXIT_VMCALL] = { EXIT_HYPERCALL, LENGTH },
	[VMX_EXIT_XSETBV] = { EXIT_XSETBV, LENGTH },
	[VMX_EXIT_INVD] = { EXIT_INVD, LENGTH },
	[VMX_EXIT_WBINVD] = { EXIT_WBINVD, LENGTH },
	[VMX_EXIT_PAUSE] = { EXIT_PAUSE, LENGTH },
	[VMX_EXIT_RDPMC] = { EXIT_RDPMC, LENGTH },
	[VMX_EXIT_RDTSC] = { EXIT_RDTSC, LENGTH },
	[VMX_EXIT_RDTSCP] = { EXIT_RDTSCP, LENGTH },
	[VMX_EXIT_INVPCID] = { EXIT_INVPCID, LENGTH },
	[VMX_EXIT_INVLPG] = { EXIT_INVLPG, QUALIFIED | LENGTH | MORE },
	[VMX_EXIT_RDRAND] = { EXIT_RDRAND, LENGTH | MORE },
	[VMX_EXIT_RDSEED] = { EXIT_RDSEED, LENGTH | MORE },
	[VMX_EXIT_GDTR_IDTR] = { EXIT_SGDT, LENGTH | MORE },
	[VMX_EXIT_LDTR_TR] = { EXIT_SLDT, LENGTH | MORE },
	[VMX_EXIT_CR_ACCESS] = { EXIT_CR_WRITE, QUALIFIED | LENGTH | MORE },
	[VMX_EXIT_DR_ACCESS] = { EXIT_DR_WRITE, QUALIFIED | LENGTH | MORE },
	[VMX_EXIT_IO] = { EXIT_IO, QUALIFIED | LENGTH | MORE },
	[VMX_EXIT_EPT_VIOLATION] = { EXIT_NESTED_FAULT, QUALIFIED | MORE },
	[VMX_EXIT_EPT_MISCONFIG] = { EXIT_UNCLAIMED, MORE },
	/* The guest's CPU has none of these: CPUID says so. */
	[VMX_EXIT_GETSEC] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_RSM] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_VMCLEAR... VMX_EXIT_VMXON] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_MWAIT] = { EXIT_MWAIT, LENGTH },
	[VMX_EXIT_MONITOR] = { EXIT_MONITOR, LENGTH },
	[VMX_EXIT_INVEPT] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_INVVPID] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_VMFUNC] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_XSAVES] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_XRSTORS] = { EXIT_UNDEFINED, 0 },
	[VMX_EXIT_TRIPLE_FAULT] = { EXIT_SHUTDOWN, 0 },
};

void vmx_refuse(struct vcpu *v)
{
	v->exit = (struct exit){ .kind = EXIT_UNSUPPORTED,
				 .code = VMX_UNPAGED,
				 .rip = ((struct vmx_vcpu *)v->hw)->rip,
				 .info1 = v->guest.cr0 };
}

/* An instruction failed, or the processor refused the guest's state and exited with bit 31. */
void vmx_entry_failed(struct vcpu *v, u32 failed)
{
	struct vmx_vcpu *s = v->hw;
	struct exit *x = &v->exit;

	/* The host is going down, and has switched VMX off on this CPU: the thread waits for its end. */
	if (unlikely(!s->here->on)) {
		x->kind = EXIT_NOTHING;
		x->code = VMX_EXIT_EXTERNAL_INTERRUPT;
		return;
	}
	x->kind = EXIT_FAIL_ENTRY;
	x->rip = s->rip;
	x->info2 = 0;
	x->length = 0;
	if (failed) {
		x->code = VMX_INSTRUCTION_FAILED;
		x->info1 = failed == 1 ? vmread(VMCS_INSTRUCTION_ERROR) : 0;
		return;
	}
	x->code &= 0xffff;
	x->info1 = vmread(VMCS_EXIT_QUALIFICATION);
	if (x->code == VMX_EXIT_MACHINE_CHECK)
		host_machine_check();
}

/* All but the exits of instructions that need no more than their length. */
static noinline void further_record(struct vcpu *v, u32 reason)
{
	struct exit *x = &v->exit;
	u8 fields;

	if (unlikely(reason & VMX_ENTRY_FAILURE)) {
		vmx_entry_failed(v, 0);
		return;
	}
	x->code = reason &= 0xffff;
	x->kind = EXIT_UNCLAIMED;
	x->length = 0;
	if (reason >= ARRAY_SIZE(reasons))
		return;
	fields = reasons[reason].fields;
	x->kind = reasons[reason].kind;
	if (fields & QUALIFIED)
		x->info1 = vmread(VMCS_EXIT_QUALIFICATION);
	if (fields & LENGTH)
		x->length = vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (!(fields & MORE))
		return;
	switch (reason) {
	case VMX_EXIT_MSR_WRITE:
		/* A write to EFER writes CR0 and CR4 anew, whose other bits are the guest's. */
		if ((u32)v->page->regs[FERMATA_RCX] == ARCH_MSR_EFER)
			vmx_sync(v);
		return;
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
	case VMX_EXIT_EPT_MISCONFIG: /* a bug of ours, or of the memory: SDM 3C 29.3.3.1 */
		x->info2 = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
		return;
	case VMX_EXIT_PREEMPTION_TIMER:
		vmx_start_timer();
		return;
	}
	refine(v, reason);
}

void vmx_exit_record(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	struct exit *x = &v->exit;
	u32 reason = vmread(VMCS_EXIT_REASON);

	x->code = reason;
	x->rip = s->rip = vmread(VMCS_GUEST_RIP);
	x->info1 = x->info2 = 0;
	if (likely(reason < ARRAY_SIZE(reasons) && reasons[reason].fields == LENGTH)) {
		x->kind = reasons[reason].kind;
		x->length = vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
		return;
	}
	further_record(v, reason);
}
