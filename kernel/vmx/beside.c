/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Beside another hypervisor (KVM), which has executed VMXON and whose guests run on the same CPUs. A VMCS does not
 * know who did that (SDM 3C 25.11), so ours work as they are. What there is one of for each CPU changes hands:
 *
 *  - the current VMCS. The other one remembers which of its own it made current, and does not look again. So ours
 *    are current only while interrupts are off, and what was current before is so again behind it: with interrupts
 *    on an IPI of the other's may clear that VMCS here, because it moves to another CPU or ends, and then it must
 *    not come back. If none was current, ours stays so; whoever has a VMCS of its own makes it current anyway;
 *  - VPIDs. Both give out the same numbers. Combined and guest-physical mappings lie under the root of the nested
 *    tables as well (SDM 3C 29.4.1), and a root is a page of whoever uses it: pay_nested() drops what a root's former
 *    owner has left, and KVM does when it takes one. Linear mappings lie under the VPID alone. So a guest under
 *    shadow paging drops those under its VPID at both ends of a stay;
 *  - MSRs that the other exchanges when its thread goes back to user space, and not before: STAR, LSTAR, CSTAR,
 *    SFMASK, without "load IA32_EFER" EFER, TSC_AUX. They may be its guest's, and it remembers that; they are put
 *    back as they were found.
 */
#include "vmx/vmx.h"
#include "core/audit.h"
#include "base/processor.h"

#define CR4_VMXE BIT_ULL(13)

int vmx_beside_on(struct vmx_cpu *cpu)
{
	if (!(cpu_cr4() & CR4_VMXE) || !vmptrst(&cpu->other))
		return -EBUSY;
	if (!vmx_forget())
		return -ENODEV;
	cpu->on = true;
	cpu->lost = false;
	cpu->active = NULL;
	cpu->tags.flush_all = false;
	vmx_host_constants(cpu);
	return 0;
}

void vmx_beside_load(struct vcpu *v)
{
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];
	struct vmx_vcpu *s = v->hw;
	bool others = host_others_ran(v->thread);

	if (cpu->active != s || s->cpu != host_cpu()) {
		v->dirty |= DIRTY_ROOT;
		cpu->active = s;
		others = true;
	}
	if (others)
		host_forget_branches();
	if (v->shadow) {
		v->tlb.owed |= FLUSH_LINEAR;
		v->dirty |= DIRTY_FLUSH;
	}
	vmx_beside_begin(v);
}

/* What the thread's last stay, or the other's guest, has in EFER: an exit loads it. */
void vmx_beside_efer(struct vmx_vcpu *s)
{
	u64 efer = cpu_rdmsr(ARCH_MSR_EFER);

	if (vmx_controls.exit & EXIT_LOAD_EFER)
		vmwrite_changed(VMCS_HOST_EFER, &s->host.efer, efer);
	else
		s->msr_area->host[0].value = efer;
}

void vmx_beside_unload(struct vcpu *v)
{
	if (v->shadow && !v->vm->config.untagged)
		vmx_forget_linear(v);
}

/* False: the CPU is not to be entered with; the exit record says what comes of it. */
bool vmx_beside_ready(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	if (likely(s->here->on))
		return true;
	v->exit.kind = EXIT_NOTHING;
	v->exit.code = VMX_EXIT_EXTERNAL_INTERRUPT;
	if (s->here->lost)
		vcpu_lost(v);
	return false;
}
