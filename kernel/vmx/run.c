/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* One turn of the guest, and what goes into it on the way. */
#include "vmx/intercepts.h"
#include "core/keys.h"
#include "base/processor.h"

/* On the CPU that will run v, with preemption off from here until the guest's turn is over. */
void vmx_load(struct vcpu *v, u32 cpu)
{
	struct vmx_vcpu *s = v->hw;

	if (unlikely(backend_options.beside))
		vmx_beside_load(v);
	else
		vmx_make_current(v);
	v->cpu = cpu;
	s->here = &vmx_cpus[cpu];
	/* What the guest's other vCPUs have left unpaid here, while nobody ran who knew of it. */
	if (v->vm->paid[cpu] != READ_ONCE(v->vm->memory.flush.generation))
		v->dirty |= DIRTY_ROOT;
	vmx_host_load(v);
	s->in_guest_context = true;
	if (unlikely(backend_options.beside)) {
		vmx_beside_efer(s);
		vmx_beside_end(v);
	}
}

void vmx_unload(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	s->in_guest_context = false;
	vmx_host_restore(v);
	if (unlikely(backend_options.beside))
		vmx_beside_unload(v);
}

static void end_shadow(void)
{
	u32 blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			blocking & ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
}

/* Steps over an instruction that was done for the guest; with TF set that raises #DB. */
static void vmx_advance(struct vcpu *v, struct vmx_vcpu *s)
{
	s->rip += v->advance;
	v->advance = 0;
	vmwrite(VMCS_GUEST_RIP, s->rip);
	if (likely(!(vmread(VMCS_GUEST_RFLAGS) & ARCH_RFLAGS_TF)))
		return;
	end_shadow();
	v->guest.dr6 |= ARCH_DR6_BS;
	if (vmread(VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID)
		vcpu_raise(v, ARCH_DB); /* what interrupts the guest now comes first */
	else
		vmwrite(VMCS_ENTRY_INTERRUPTION_INFO,
			ARCH_DB | INTERRUPTION_EXCEPTION | INTERRUPTION_VALID);
}

/* True: vmx_enter_with_keys(). */
static inline bool vmx_load_extra(struct vcpu *v, struct vmx_vcpu *s)
{
	if (s->extra & EXTRA_RSP)
		vmwrite(VMCS_GUEST_RSP, v->page->regs[FERMATA_RSP]);
	s->extra &= ~EXTRA_RSP;
	/* A record that is on its way must find the host's tables: the write waits for it. */
	if (s->extra & EXTRA_SAMPLING)
		cpu_wrmsr(ARCH_MSR_PEBS_ENABLE, 0);
	if (s->extra & EXTRA_BREAKPOINTS)
		breakpoints_enter(v);
	return s->extra & EXTRA_KEYS;
}

static noinline u32 vmx_enter_with_keys(struct vcpu *v, struct vmx_vcpu *s)
{
	u32 host = keys_enter(v), failed;

	failed = vmx_enter(v->page->regs, s->launched, &s->host_rsp);
	keys_leave(v, host);
	return failed;
}

/* What an exit loads must be what the host has by then: an IPI may have changed CR4 (PCE) or CR3 (its PCID). */
static inline void vmx_host_control(struct vmx_host *h)
{
	vmwrite_changed(VMCS_HOST_CR0, &h->cr0, cpu_cr0());
	vmwrite_changed(VMCS_HOST_CR3, &h->cr3, cpu_cr3());
	vmwrite_changed(VMCS_HOST_CR4, &h->cr4, cpu_cr4());
	host_note_speculation();
}

/* An entry that failed has loaded nothing, and no exit brings PEBS back. */
static void vmx_sample_again(const struct vmx_vcpu *s)
{
	u32 at = !(vmx_controls.entry & ENTRY_LOAD_EFER);

	if (s->extra & EXTRA_SAMPLING)
		cpu_wrmsr(ARCH_MSR_PEBS_ENABLE, s->msr_area->host[at].value);
}

/* Who samples is told by an IPI, or by an interrupt handler: the host's registers are looked at then. */
static void vmx_host_sampling(struct vmx_vcpu *s)
{
	struct host_sampling host;
	bool samples = host_samples(&host);

	if (unlikely(samples || s->extra & EXTRA_SAMPLING))
		vmx_exchange_sampling(s, samples ? &host : NULL);
}

/* What is dirty goes in. False: the entry cannot be, and the exit record says why. */
static noinline bool vmx_prepare(struct vcpu *v)
{
	u32 dirty = v->dirty & ~DIRTY_HOST;

	if (unlikely(backend_options.beside) && !vmx_beside_ready(v))
		return false;
	if (v->dirty & DIRTY_HOST) {
		vmx_host_control(&((struct vmx_vcpu *)v->hw)->host);
		vmx_host_sampling(v->hw);
	}
	v->dirty = dirty;
	if (!dirty)
		return true;
	if (dirty & DIRTY_CONTROL && unlikely(!vmx_can_run(v))) {
		vmx_refuse(v);
		return false;
	}
	if (unlikely(!vmx_apply(v))) {
		vmx_entry_failed(v, 1); /* with the instruction error that INVEPT or INVVPID left */
		return false;
	}
	if (unlikely(v->requests & BIT_ULL(REQUEST_REFUSED))) { /* the run loop sees it next */
		v->exit.kind = EXIT_NOTHING;
		v->exit.code = VMX_EXIT_EXTERNAL_INTERRUPT;
		return false;
	}
	return true;
}

/* Counted: docs/vmx.md says how many instructions of VT-x this and vmx_exit_record() take. */
void vmx_run(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u32 dirty = v->dirty, failed;

	if (dirty && unlikely(!vmx_prepare(v)))
		return;
	if (v->advance)
		vmx_advance(v, s);
	s->virtual_apic[0x80 / 4] = v->apic.tpr;
	if (unlikely(v->apic.irr_highest | s->tpr_threshold))
		vmx_intercept_tpr(v, s);
	audit_before_entry(v, dirty & ~DIRTY_HOST);
	cpu_load_cr2(v->guest.cr2);

	host_save_breakpoints();
	if (unlikely(s->extra) && vmx_load_extra(v, s))
		failed = vmx_enter_with_keys(v, s);
	else
		failed = vmx_enter(v->page->regs, s->launched, &s->host_rsp);

	if (unlikely(failed)) {
		host_restore_breakpoints();
		vmx_sample_again(s);
		vmx_entry_failed(v, failed);
		return;
	}
	v->guest.cr2 = cpu_cr2();
	host_restore_breakpoints();
	s->launched = true;
	if (unlikely((u8)s->virtual_apic[0x80 / 4] != v->apic.tpr))
		apic_set_tpr(&v->apic, (u8)s->virtual_apic[0x80 / 4] >> 4);
	vmx_exit_record(v);
}

/*
 * A step over an instruction that is still to be applied ends what STI or MOV SS blocks for it.
 */
bool vmx_can_take(struct vcpu *v, u8 kind)
{
	u32 blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (!v->advance && blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))
		return false;
	if (kind == INJECT_NMI)
		return !(blocking & BLOCKING_BY_NMI);
	return vmread(VMCS_GUEST_RFLAGS) & ARCH_RFLAGS_IF;
}

/* 8, 10-14, 17: in protected mode VM entry insists on their error code (SDM 3C 27.2.1.3). */
static bool entry_wants_code(u8 vector)
{
	return vector < 32 && 0x27d00u >> vector & 1;
}

/* SDM 3C 27.6. Nothing goes in behind STI or MOV SS, so what a finished instruction blocks ends. */
void vmx_inject(struct vcpu *v, const struct injection *injection)
{
	u32 info = injection->vector | INTERRUPTION_VALID;

	if (v->advance)
		end_shadow();
	if (injection->kind == INJECT_NMI)
		info |= INTERRUPTION_NMI;
	else if (injection->kind == INJECT_EXCEPTION)
		info |= INTERRUPTION_EXCEPTION;
	/* An error code where the processor wants one, whatever the caller of INTERRUPT thought. */
	if (injection->kind == INJECT_EXCEPTION && entry_wants_code(injection->vector) &&
	    v->guest.cr0 & ARCH_CR0_PE) {
		info |= INTERRUPTION_HAS_CODE;
		vmwrite(VMCS_ENTRY_ERROR_CODE, injection->has_code ? injection->code & 0x7fff : 0);
	}
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, info);
}
