/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Between the neutral state and the VMCB. */
#include "svm/intercepts.h"
#include "core/keys.h"
#include "base/processor.h"

/* CR0 bits that the guest writes without an exit (CR0_SEL_WRITE: APM 2 15.9) */
#define CR0_DIRECT (ARCH_CR0_TS | ARCH_CR0_MP)

/*
 * All walks of a guest's tables count as writes in the nested ones (APM 2 15.25.5). So tables that must not
 * be written unseen cannot be walked there, and their guest changes over to shadow paging.
 */
void svm_set_paging(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;

	s->cr3 = v->shadow ? &v->shadow->cr3 : &c->cr3;
	c->nested_ctl = v->shadow ? 0 : NP_ENABLE;
	c->clean = 0;
	v->dirty |= DIRTY_CONTROL | DIRTY_INTERCEPTS | DIRTY_ROOT | DIRTY_CR3 | DIRTY_PAT;
}

void svm_vmcb_init(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;

	svm_set_paging(v);
	svm_apply_intercepts(v);
	c->iopm_base_pa = svm_iopm_pa;
	c->vintr = V_INTR_MASKING;
	c->efer = ARCH_EFER_SVME;
	v->dirty = ~0u;
}

/* The offset is added to the scaled host TSC (APM 2 15.30.5); the MSR is the CPU's, not the guest's. */
static void apply_tsc_offset(struct vcpu *v, struct vmcb *c)
{
	c->tsc_offset = v->vm->time.clock.tsc_offset + v->guest.tsc_offset;
	c->clean &= ~CLEAN_INTERCEPTS;
}

static void apply_clock(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	u64 ratio = TSC_RATIO_1;

	svm_intercept_clock(v);
	if (v->vm->time.flags & FERMATA_CLOCK_SCALED)
		ratio = v->vm->time.clock.tsc_mult >> TSC_RATIO_SHIFT;
	if (svm_features & SVM_FEATURE_TSC_RATE && s->cpu->tsc_ratio != ratio &&
	    vcpu_load_msr(v, ARCH_MSR_TSC_RATIO, "TSC_RATIO", ratio))
		s->cpu->tsc_ratio = ratio;
}

/*
 * Under shadow paging the processor pages always, in long mode or with PAE, and with WP: APM 2 15.19
 * allows PG without PE. What of it the guest must not see makes its reads exit. The shadow of a guest
 * that does not page has user pages only, which SMEP and SMAP would guard.
 */
static void shadow_control(const struct vcpu *v, struct vmcb *c)
{
	c->cr0 |= ARCH_CR0_PG | ARCH_CR0_WP;
	c->cr4 &= ~ARCH_CR4_PCIDE;
	if (!(v->guest.efer & ARCH_EFER_LMA))
		c->cr4 = (c->cr4 & ~ARCH_CR4_LA57) | ARCH_CR4_PAE;
	if (!(v->guest.cr0 & ARCH_CR0_PG))
		c->cr4 &= ~(ARCH_CR4_SMEP | ARCH_CR4_SMAP);
}

/* The guest reads what it wrote: DR7's reads exit. */
static void apply_debug(const struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;

	c->dr6 = v->guest.dr6;
	c->dr7 = v->guest.dr7;
	if (unlikely(backend_options.no_data_breakpoints))
		c->dr7 = arch_dr7_without_data(c->dr7);
	s->extra &= ~EXTRA_BREAKPOINTS;
	if (c->dr7 & ARCH_DR7_ENABLES)
		s->extra |= EXTRA_BREAKPOINTS;
	c->clean &= ~CLEAN_DR;
}

static void apply_efer(const struct vcpu *v, struct vmcb *c)
{
	u64 efer = v->guest.efer | ARCH_EFER_SVME;

	if (v->ruling.wanted.no_syscalls)
		efer &= ~ARCH_EFER_SCE;
	/*
	 * Without PG the bit does nothing, and setting PG exits. QEMU 7.2 cannot restore the host's
	 * CR0 after a guest with LME and without PAE: it checks the two against each other.
	 */
	if (!(v->guest.cr0 & ARCH_CR0_PG))
		efer &= ~ARCH_EFER_LME;
	if (v->shadow)
		efer |= ARCH_EFER_NXE;
	c->efer = efer;
	c->clean &= ~CLEAN_CR;
}

/* Tell the hardware what changed since the last entry. */
void svm_apply(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	u32 dirty = v->dirty;

	v->dirty = 0;
	if (dirty & DIRTY_CONTROL) {
		/*
		 * With CD set the processor would really run uncached (APM 2 15.25.8); guest memory is
		 * the host's and stays write-back. The guest's own view of CD needs CR0 reads to exit.
		 */
		u64 hidden = ARCH_CR0_CD | ARCH_CR0_NW;

		c->cr0 = v->guest.cr0 & ~hidden;
		c->cr4 = guest_hardware_cr4(v->guest.cr4);
		if (v->shadow)
			shadow_control(v, c);
		apply_efer(v, c);
		svm_intercept_control(v, s);
		svm_code_forget(s);
		s->extra &= ~EXTRA_KEYS;
		if (keys_in_reach(v))
			s->extra |= EXTRA_KEYS;
	}
	if (dirty & DIRTY_INTERCEPTS) {
		apply_efer(v, c);
		svm_apply_intercepts(v);
	}
	if (dirty & DIRTY_CLOCK)
		apply_clock(v);
	if (dirty & (DIRTY_CLOCK | DIRTY_TSC_OFFSET))
		apply_tsc_offset(v, c);
	if (dirty & DIRTY_DEBUG)
		apply_debug(v, s);
	if (dirty & DIRTY_PAT) {
		c->g_pat = v->guest.pat;
		c->clean &= ~CLEAN_NESTED;
	}
	if (dirty & DIRTY_ROOT) {
		c->n_cr3 = v->vm->memory.radix.root_phys;
		c->clean &= ~CLEAN_NESTED;
	}
	if (v->shadow && dirty & DIRTY_CR3) {
		c->cr3 = v->shadow->cpu.root_phys;
		c->clean &= ~CLEAN_CR;
	}
	if (dirty & DIRTY_CR2) {
		c->cr2 = v->guest.cr2;
		c->clean &= ~CLEAN_CR2;
		cpu_load_cr2(c->cr2); /* see svm_load() */
	}
	if (dirty & (DIRTY_ROOT | DIRTY_FLUSH))
		svm_pay(v);
}

void svm_sync(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;

	if (!(v->dirty & DIRTY_CONTROL))
		v->guest.cr0 = (v->guest.cr0 & ~CR0_DIRECT) | (s->vmcb->cr0 & CR0_DIRECT);
	if (!(v->dirty & DIRTY_DEBUG))
		v->guest.dr6 = s->vmcb->dr6;
}

static u64 *register_at(const struct svm_vcpu *s, enum hw_reg reg)
{
	struct vmcb *c = s->vmcb;

	switch (reg) {
	case HW_RIP:
		return &c->rip;
	case HW_RFLAGS:
		return &c->rflags;
	case HW_CR2:
		return &c->cr2;
	case HW_CR3:
		return s->cr3;
	default:
		return &(&c->es)[reg - HW_ES_BASE].base;
	}
}

void svm_position(struct vcpu *v, u64 *rip, u64 *rflags)
{
	const struct vmcb *c = ((struct svm_vcpu *)v->hw)->vmcb;

	*rip = c->rip;
	*rflags = c->rflags;
}

u64 svm_get_reg(struct vcpu *v, enum hw_reg reg)
{
	const struct svm_vcpu *s = v->hw;

	if (reg == HW_BLOCKED)
		return !v->advance && s->vmcb->int_state & INT_STATE_SHADOW;
	return reg == HW_CR2 && v->dirty & DIRTY_CR2 ? v->guest.cr2 : *register_at(s, reg);
}

void svm_set_reg(struct vcpu *v, enum hw_reg reg, u64 value)
{
	struct svm_vcpu *s = v->hw;

	if (reg == HW_BLOCKED) {
		s->vmcb->int_state = value ? INT_STATE_SHADOW : 0;
		return;
	}
	*register_at(s, reg) = reg == HW_RFLAGS ? value | ARCH_RFLAGS_FIXED : value;
	if (reg == HW_CR2) {
		v->guest.cr2 = value;
		v->dirty |= DIRTY_CR2;
	}
	s->vmcb->clean &= ~(CLEAN_CR | CLEAN_CR2 | CLEAN_SEG);
}

static u8 svm_mode(const struct vcpu *v, const struct vmcb *c)
{
	if (!(v->guest.cr0 & ARCH_CR0_PE) || c->rflags & ARCH_RFLAGS_VM)
		return FERMATA_MODE_REAL;
	if (v->guest.efer & ARCH_EFER_LMA && c->cs.attrib & ARCH_SEG_L)
		return FERMATA_MODE_LONG;
	return c->cs.attrib & ARCH_SEG_DB ? FERMATA_MODE_PROT32 : FERMATA_MODE_PROT16;
}

void svm_where(struct vcpu *v, struct where *where)
{
	const struct vmcb *c = ((struct svm_vcpu *)v->hw)->vmcb;

	where->paging.cr0 = v->guest.cr0;
	where->paging.cr3 = *((struct svm_vcpu *)v->hw)->cr3;
	where->paging.cr4 = v->guest.cr4;
	where->paging.efer = v->guest.efer;
	where->paging.pkru = v->guest.pkru;
	where->paging.cpl = c->cpl;
	where->paging.ac = c->rflags & ARCH_RFLAGS_AC;
	where->paging.no_1g = false;
	where->paging.has_pdptes = v->shadow;
	if (v->shadow)
		memcpy(where->paging.pdpte, v->shadow->pdpte, sizeof(where->paging.pdpte));
	where->rip = c->rip;
	where->rflags = c->rflags;
	where->mode = svm_mode(v, c);
	where->linear = where->mode == FERMATA_MODE_LONG ? c->rip : (u32)(c->cs.base + c->rip);
}

static void segment_out(struct fermata_segment *out, const struct vmcb_segment *in)
{
	out->selector = in->selector;
	out->attrib = in->attrib & 0xfff;
	out->limit = in->limit;
	out->base = in->base;
	if (!(in->attrib & ARCH_SEG_P))
		out->attrib |= FERMATA_SEG_UNUSABLE;
}

static void segment_in(struct vmcb_segment *out, const struct fermata_segment *in)
{
	out->selector = in->selector;
	out->attrib = in->attrib & FERMATA_SEG_UNUSABLE ? 0 : in->attrib & 0xfff;
	out->limit = in->limit;
	out->base = in->base;
}

static void table_out(struct fermata_table *out, const struct vmcb_segment *in)
{
	out->base = in->base;
	out->limit = in->limit;
	out->reserved = 0;
}

void svm_get_state(struct vcpu *v, struct fermata_state *state, u32 mask)
{
	struct svm_vcpu *s = v->hw;
	const struct vmcb *c = s->vmcb;

	svm_sync(v);
	if (mask & FERMATA_STATE_REGS) {
		state->regs.rip = c->rip + v->advance;
		state->regs.rflags = c->rflags;
	}
	if (mask & FERMATA_STATE_SEGMENTS) {
		segment_out(&state->segments.es, &c->es);
		segment_out(&state->segments.cs, &c->cs);
		segment_out(&state->segments.ss, &c->ss);
		segment_out(&state->segments.ds, &c->ds);
		segment_out(&state->segments.fs, &c->fs);
		segment_out(&state->segments.gs, &c->gs);
		segment_out(&state->segments.ldt, &c->ldtr);
		segment_out(&state->segments.tr, &c->tr);
		table_out(&state->segments.gdt, &c->gdtr);
		table_out(&state->segments.idt, &c->idtr);
	}
	if (mask & FERMATA_STATE_CONTROL) {
		state->control.cr2 = svm_get_reg(v, HW_CR2);
		state->control.cr3 = svm_get_reg(v, HW_CR3);
	}
	if (mask & FERMATA_STATE_MSRS) {
		state->msrs.star = c->star;
		state->msrs.lstar = c->lstar;
		state->msrs.cstar = c->cstar;
		state->msrs.sfmask = c->sfmask;
		state->msrs.kernel_gs_base = c->kernel_gs_base;
		state->msrs.sysenter_cs = c->sysenter_cs;
		state->msrs.sysenter_esp = c->sysenter_esp;
		state->msrs.sysenter_eip = c->sysenter_eip;
	}
	if (mask & FERMATA_STATE_PENDING) {
		state->pending.interrupts_blocked = svm_get_reg(v, HW_BLOCKED);
		state->pending.nmi_blocked = s->nmi_masked;
	}
}

int svm_set_state(struct vcpu *v, const struct fermata_state *state, u32 mask)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;

	if (mask & FERMATA_STATE_REGS) {
		svm_set_reg(v, HW_RIP, state->regs.rip);
		svm_set_reg(v, HW_RFLAGS, state->regs.rflags);
	}
	if (mask & FERMATA_STATE_SEGMENTS) {
		segment_in(&c->es, &state->segments.es);
		segment_in(&c->cs, &state->segments.cs);
		segment_in(&c->ss, &state->segments.ss);
		segment_in(&c->ds, &state->segments.ds);
		segment_in(&c->fs, &state->segments.fs);
		segment_in(&c->gs, &state->segments.gs);
		segment_in(&c->ldtr, &state->segments.ldt);
		segment_in(&c->tr, &state->segments.tr);
		c->gdtr.base = state->segments.gdt.base;
		c->gdtr.limit = state->segments.gdt.limit;
		c->idtr.base = state->segments.idt.base;
		c->idtr.limit = state->segments.idt.limit;
		/* VMRUN takes the privilege level from here, not from SS (APM 2 15.5.1). */
		c->cpl = (state->segments.ss.attrib >> 5) & 3;
		c->clean &= ~(CLEAN_SEG | CLEAN_DT);
	}
	if (mask & FERMATA_STATE_CONTROL) {
		svm_set_reg(v, HW_CR2, state->control.cr2);
		svm_set_reg(v, HW_CR3, state->control.cr3);
	}
	if (mask & FERMATA_STATE_MSRS) {
		c->star = state->msrs.star;
		c->lstar = state->msrs.lstar;
		c->cstar = state->msrs.cstar;
		c->sfmask = state->msrs.sfmask;
		c->kernel_gs_base = state->msrs.kernel_gs_base;
		c->sysenter_cs = state->msrs.sysenter_cs;
		c->sysenter_esp = state->msrs.sysenter_esp;
		c->sysenter_eip = state->msrs.sysenter_eip;
	}
	if (mask & FERMATA_STATE_PENDING) {
		svm_set_reg(v, HW_BLOCKED, state->pending.interrupts_blocked);
		svm_intercept_iret(s, state->pending.nmi_blocked);
	}
	return 0;
}
