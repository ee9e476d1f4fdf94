/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* AMD's processor: VMRUN, with the VMCB state that it may keep (APM 2 15.15), TLB_CONTROL and INVLPGA. */
#include "base/processor.h"
#include "model.h"
#include "svm/svm.h"

#define KEPT 8

/* What a processor keeps of VMCBs, which counts where a clean bit says that it did not change. */
static struct {
	u64 pa;
	u32 asid;
	u64 n_cr3, cr0, cr3, cr4;
} kept[CPUS][KEPT];

static u32 features;

static struct cpu_words model_cpuid(u32 leaf, u32 subleaf)
{
	if (leaf == 0x8000000a)
		return (struct cpu_words){ 1, 64, 0, features };
	return fake_cpuid(leaf, subleaf);
}

static void cpu_on(void *arg)
{
	*fake_msr(ARCH_MSR_EFER) = world.config->rival ? ARCH_EFER_SVME : 0;
	if (world.config->rival)
		*fake_msr(ARCH_MSR_VM_HSAVE_PA) = 0x1000;
	if (svm_backend.cpu_on())
		wrong("a CPU cannot be switched on");
}

static void cpu_off(void *arg)
{
	svm_backend.cpu_off();
}

const struct backend *svm_model_begin(const struct config *config, struct fermata_caps *caps)
{
	fake_processor_reset();
	features = config->svm_features;
	fake_processor.cpuid = model_cpuid;
	fake_processor.cr0 = ARCH_CR0_PE | ARCH_CR0_PG;
	fake_processor.cr4 = ARCH_CR4_PAE;
	memset(kept, 0, sizeof(kept));
	svm_backend.detect(caps);
	if (svm_backend.setup(config->tags))
		wrong("the backend cannot be set up");
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		host_run_on(cpu, cpu_on, NULL);
	return &svm_backend;
}

void svm_model_end(void)
{
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		host_run_on(cpu, cpu_off, NULL);
	svm_backend.teardown();
}

static struct model_vcpu *vcpu_of(u64 *regs)
{
	struct fermata_run *run = container_of(regs, struct fermata_run, regs[0]);

	return container_of(run, struct model_vcpu, page);
}

/* The VMCB as the processor sees it: `c` is memory. */
static void load(struct vmcb *c, u64 pa, struct context *context)
{
	u32 cpu = host_cpu(), at = 0;
	u32 clean = features & SVM_FEATURE_VMCB_CLEAN ? c->clean : 0;

	while (at < KEPT && kept[cpu][at].pa != pa)
		at++;
	if (at == KEPT) {
		at = below(KEPT);
		kept[cpu][at].pa = pa;
		clean = 0;
	}
	if (!(clean & CLEAN_ASID))
		kept[cpu][at].asid = c->guest_asid;
	if (!(clean & CLEAN_NESTED))
		kept[cpu][at].n_cr3 = c->n_cr3;
	if (!(clean & CLEAN_CR)) {
		kept[cpu][at].cr0 = c->cr0;
		kept[cpu][at].cr3 = c->cr3;
		kept[cpu][at].cr4 = c->cr4;
	}
	context->nested = c->nested_ctl & NP_ENABLE;
	context->tag = kept[cpu][at].asid;
	context->root = context->nested ? kept[cpu][at].n_cr3 : 0;
	context->cr3 = kept[cpu][at].cr3;
	context->wp = kept[cpu][at].cr0 & ARCH_CR0_WP;
	context->pge = kept[cpu][at].cr4 & ARCH_CR4_PGE;
	context->pcide = kept[cpu][at].cr4 & ARCH_CR4_PCIDE;
}

static void save(struct vmcb *c, u64 pa, const struct context *context)
{
	u32 cpu = host_cpu();

	c->cr3 = context->cr3;
	for (u32 at = 0; at < KEPT; at++)
		if (kept[cpu][at].pa == pa)
			kept[cpu][at].cr3 = context->cr3;
}

static void flush(u8 control, u32 asid)
{
	struct processor *p = processor_here();

	switch (control) {
	case TLB_NOTHING:
		return;
	case VMCB_FLUSH_ALL:
		if (mutation.kind != LOSE_TLB_CONTROL_ALL)
			processor_drop(p, DROP(KINDS_LINEAR | KINDS_NESTED, 0));
		break;
	case VMCB_FLUSH_ASID:
		if (mutation.kind != LOSE_TLB_CONTROL_ASID)
			processor_drop(p, DROP(KINDS_LINEAR | KINDS_NESTED, BY_TAG, .tag = asid));
		break;
	case VMCB_FLUSH_LOCAL:
		if (mutation.kind != LOSE_TLB_CONTROL_LOCAL)
			processor_drop(p, DROP(KINDS_LINEAR, BY_TAG | BUT_GLOBAL, .tag = asid));
		break;
	default:
		wrong("TLB_CONTROL %u", control);
	}
	if (control != VMCB_FLUSH_ALL && !(features & SVM_FEATURE_FLUSH_BY_ASID))
		wrong("TLB_CONTROL %u on a processor that does not have it", control);
	world.out->flushes++;
}

/* What would translate the address under that ASID (APM 3 INVLPGA), and no more than that. */
void __wrap_cpu_invlpga(u64 linear, u32 asid)
{
	world.out->flushes++;
	if (mutation.kind == LOSE_INVLPGA)
		return;
	processor_drop(processor_here(),
		       DROP(KINDS_LINEAR, BY_TAG | BY_LINEAR, .tag = asid, .linear = linear));
}

/* No instruction of that guest is executed. */
void __wrap_cpu_vmrun(u64 pa)
{
	struct vmcb *c = host_phys_to_virt(pa);

	if (!c->guest_asid)
		wrong("VMRUN with ASID 0");
	if (mutation.kind != LOSE_VMRUN)
		flush(c->tlb_control, c->guest_asid);
}

static void report(struct vmcb *c, u64 *regs, struct model_vcpu *mv, const struct turn *t,
		   enum turn_end end)
{
	u32 access = t->reach.access;

	c->exitintinfo = 0;
	c->exitinfo1 = c->exitinfo2 = 0;
	c->next_rip = c->rip + LENGTH;
	c->cpl = t->user ? 3 : 0;
	switch (end) {
	case TURN_INTERRUPT:
		c->exitcode = SVM_EXIT_INTR;
		return;
	case TURN_NESTED_FAULT:
		c->exitcode = SVM_EXIT_NPF;
		c->exitinfo1 = NPF_USER | (t->reach.table ? NPF_TABLE : NPF_FINAL) |
			       (access == RADIX_WRITE ? NPF_WRITE : 0) |
			       (access == RADIX_EXEC ? NPF_FETCH : 0);
		c->exitinfo2 = t->reach.gpa;
		return;
	case TURN_PAGE_FAULT:
		c->exitcode = SVM_EXIT_EXCP_BASE + ARCH_PF;
		c->exitinfo1 = t->reach.code;
		c->exitinfo2 = t->linear;
		return;
	case TURN_CR0: /* of bits that the guest may not change by itself */
		c->exitcode = SVM_EXIT_CR0_SEL_WRITE;
		c->exitinfo1 = 1ull << 63 | FERMATA_RCX;
		regs[FERMATA_RCX] = mv->vcpu.guest.cr0 ^ t->value;
		return;
	case TURN_CR3:
	case TURN_CR4:
		c->exitcode = SVM_EXIT_WRITE_CR0 + (end == TURN_CR3 ? 3 : 4);
		c->exitinfo1 = 1ull << 63 | FERMATA_RCX;
		regs[FERMATA_RCX] = end == TURN_CR3 ? t->value : mv->vcpu.guest.cr4 ^ t->value;
		return;
	case TURN_INVLPG:
		c->exitcode = SVM_EXIT_INVLPG;
		c->exitinfo1 = t->linear;
		return;
	case TURN_CPUID:
		c->exitcode = SVM_EXIT_CPUID;
		return;
	}
}

bool svm_enter(u64 *regs, u64 vmcb_pa, u64 host_pa)
{
	struct vmcb *c = host_phys_to_virt(vmcb_pa);
	struct model_vcpu *mv = vcpu_of(regs);
	struct turn t = { .rip = c->rip };
	enum turn_end end;

	t.context.vm = mv->vm;
	load(c, vmcb_pa, &t.context);
	if (!t.context.tag)
		wrong("VMRUN with ASID 0");
	flush(c->tlb_control, t.context.tag);
	t.cr0_exits = c->intercept[VMCB_MISC1] & INTERCEPT_CR0_SEL_WRITE;
	t.cr3_exits = c->intercept[VMCB_CR] & CR_WRITE(3);
	t.cr4_exits = c->intercept[VMCB_CR] & CR_WRITE(4);
	t.invlpg_exits = c->intercept[VMCB_MISC1] & INTERCEPT_INVLPG;
	t.faults_exit = c->intercept[VMCB_EXCEPTION] & BIT(ARCH_PF);
	t.injected = c->eventinj & EVENT_VALID;
	end = guest_turn(mv, &t);
	save(c, vmcb_pa, &t.context);
	report(c, regs, mv, &t, end);
	return false;
}
