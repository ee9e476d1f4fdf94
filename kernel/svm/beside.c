/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Beside another hypervisor (KVM), which has set EFER.SVME and VM_HSAVE_PA, and whose guests run on the same CPUs. A
 * VMCB does not know who did that, and the host save area has nothing in it between a #VMEXIT and the next VMRUN
 * (APM 2 15.5, 15.30.4): the other's is used as it is. What there is one of for each CPU changes hands:
 *
 *  - ASIDs. Both give out the same numbers, and the other gives out all of them. An ASID marks everything that the
 *    processor keeps of a guest (APM 2 15.16). So all of our guests share one, the last; the first entry of a stay
 *    flushes what another guest has left under it, and behind the last exit a VMRUN that executes nothing flushes what
 *    ours has: only VMRUN can drop an ASID's translations as a whole;
 *  - TSC_RATIO, of which the other remembers what it has written: it is put back as it was found;
 *  - STAR, LSTAR, CSTAR, SFMASK, KernelGSBase: VMSAVE at the beginning of a stay finds them, perhaps as the other's
 *    guest has them, and VMLOAD brings them back at each exit; TSC_AUX likewise, by host_guest_begin().
 *
 * Clean bits: the other's VMCBs and ours lie at different addresses, but a page of its can have become ours, and the
 * other way round. It marks a new VMCB dirty, and ours is at the begin of each stay.
 */
#include "svm/svm.h"
#include "core/audit.h"
#include "core/keys.h"
#include "base/processor.h"

#define SYSCFG_MEM_ENCRYPT BIT_ULL(23) /* APM 2 7.10.1 */
#define CPUID_SEV BIT(1)	       /* 8000_001F EAX */

/*
 * A host that can run encrypted guests has ASIDs that only these may have, and must flush caches between two that
 * have one (APM 2 15.34.8). The other hypervisor takes care of its own.
 */
static bool encrypts_guests(void)
{
	return cpu_cpuid(0x80000000, 0).eax >= 0x8000001f &&
	       cpu_cpuid(0x8000001f, 0).eax & CPUID_SEV &&
	       cpu_rdmsr(ARCH_MSR_SYSCFG) & SYSCFG_MEM_ENCRYPT;
}

static bool switched_on(void)
{
	return cpu_rdmsr(ARCH_MSR_EFER) & ARCH_EFER_SVME;
}

/* Real mode, an interrupt pending that exits before the first instruction, and nested tables without an entry. */
static void make_flusher(struct vmcb *c, u64 empty_pa, u32 asid)
{
	const struct vmcb_segment code = { .attrib = 0x9b, .limit = 0xffff },
				  data = { .attrib = 0x93, .limit = 0xffff };

	memset(c, 0, sizeof(*c));
	c->intercept[VMCB_EXCEPTION] = ~0u;
	c->intercept[VMCB_MISC1] = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT |
				   INTERCEPT_VINTR | INTERCEPT_HLT | INTERCEPT_SHUTDOWN;
	c->intercept[VMCB_MISC2] = INTERCEPT_VMRUN; /* or VMRUN refuses (APM 2 15.5.1) */
	c->iopm_base_pa = svm_iopm_pa;
	c->msrpm_base_pa = svm_msrpm_pa;
	c->guest_asid = asid;
	c->tlb_control = svm_features & SVM_FEATURE_FLUSH_BY_ASID ? VMCB_FLUSH_ASID : VMCB_FLUSH_ALL;
	c->vintr = V_INTR_MASKING | V_IRQ | V_INTR_PRIO(15) | V_IGN_TPR;
	if (svm_features & SVM_FEATURE_NPT) {
		c->nested_ctl = NP_ENABLE;
		c->n_cr3 = empty_pa;
		c->g_pat = ARCH_PAT_RESET;
	}
	c->cs = code;
	c->es = c->ss = c->ds = c->fs = c->gs = data;
	c->gdtr.limit = c->idtr.limit = 0xffff;
	c->efer = ARCH_EFER_SVME;
	c->cr0 = ARCH_CR0_ET;
	c->dr6 = ARCH_DR6_FIXED;
	c->dr7 = ARCH_DR7_FIXED;
	c->rflags = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_IF;
}

int svm_beside_on(struct svm_cpu *cpu)
{
	if (!switched_on() || !cpu_rdmsr(ARCH_MSR_VM_HSAVE_PA))
		return -EBUSY;
	if (encrypts_guests())
		return -EOPNOTSUPP;
	make_flusher(cpu->flusher, host_virt_to_phys(cpu->hsave), cpu->tags.first);
	cpu->last = NULL;
	cpu->lost = false;
	cpu->on = true;
	return 0;
}

/* After host_guest_begin(). */
void svm_beside_load(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct svm_cpu *here = s->cpu;

	if (host_others_ran(v->thread))
		host_forget_branches();
	if (svm_features & SVM_FEATURE_TSC_RATE)
		here->found_ratio = here->tsc_ratio = cpu_rdmsr(ARCH_MSR_TSC_RATIO);
	s->vmcb->clean = 0;
	v->dirty |= DIRTY_CLOCK | DIRTY_ROOT;
	here->tags.flush_all = true;
}

void svm_unload(struct vcpu *v)
{
	struct svm_cpu *here = ((struct svm_vcpu *)v->hw)->cpu;

	if (likely(!backend_options.beside))
		return;
	if (here->tsc_ratio != here->found_ratio)
		cpu_wrmsr(ARCH_MSR_TSC_RATIO, here->found_ratio);
	host_irq_disable();
	here->flusher->cr4 = guest_hardware_cr4(0);
	cpu_vmrun(host_virt_to_phys(here->flusher));
	host_restore_breakpoints();
	host_irq_enable();
}

/* Interrupts have just gone off: who switches SVM off does so by an IPI, or before the CPU goes. */
void svm_take(struct vcpu *v)
{
	struct svm_cpu *here = ((struct svm_vcpu *)v->hw)->cpu;

	if (likely(!here->on || switched_on()))
		return;
	here->on = false;
	here->lost = true;
}
