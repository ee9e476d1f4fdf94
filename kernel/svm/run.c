/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* One turn of the guest, and what goes into it on the way. */
#include "svm/intercepts.h"
#include "core/audit.h"
#include "core/keys.h"
#include "base/processor.h"

/* On the CPU that will run v, with preemption off from here until the guest's turn is over. */
void svm_load(struct vcpu *v, u32 cpu)
{
	struct svm_vcpu *s = v->hw;
	struct svm_cpu *here = &svm_cpus[cpu];

	/*
	 * What the CPU remembers of a VMCB is void on another CPU (APM 2 15.15.4), and TSC_RATIO is the
	 * CPU's. Nor can the tag have expired while nobody else ran here.
	 */
	if (v->cpu != cpu || here->last != v) {
		s->vmcb->clean = 0;
		v->dirty |= DIRTY_CLOCK | DIRTY_ROOT;
		here->last = v;
		host_forget_branches();
	}
	v->cpu = cpu;
	s->cpu = here;
	if (unlikely(backend_options.beside))
		svm_beside_load(v);
	/* VMRUN loads it (APM 2 15.5.1); in Bochs it does not, and the guest would find the host's. */
	cpu_load_cr2(s->vmcb->cr2);
	host_irq_disable();
	if (likely(here->on))
		cpu_vmsave(here->host_pa);
	host_irq_enable();
}

/* Steps over an instruction that was done for the guest; with TF set that raises #DB (APM 2 13.1.4). */
static void svm_advance(struct vcpu *v, struct vmcb *c)
{
	c->rip += v->advance;
	c->int_state &= ~INT_STATE_SHADOW;
	v->advance = 0;
	if (likely(!(c->rflags & ARCH_RFLAGS_TF)))
		return;
	c->dr6 |= ARCH_DR6_BS;
	c->clean &= ~CLEAN_DR;
	if (c->eventinj &
	    EVENT_VALID) /* what interrupts the guest now comes first, the trap after it */
		vcpu_raise(v, ARCH_DB);
	else
		c->eventinj = ARCH_DB | EVENT_TYPE_EXCEPTION | EVENT_VALID;
}

/* True: svm_enter_with_keys(). */
static inline bool svm_load_extra(struct vcpu *v, struct svm_vcpu *s)
{
	if (s->extra & EXTRA_BREAKPOINTS)
		breakpoints_enter(v);
	return s->extra & EXTRA_KEYS;
}

static noinline bool svm_enter_with_keys(struct vcpu *v, struct svm_vcpu *s)
{
	u32 host = keys_enter(v);
	bool lost;

	lost = svm_enter(v->page->regs, s->vmcb_pa, s->cpu->host_pa);
	keys_leave(v, host);
	return lost;
}

/* There is no turn: SVM is off on this CPU. */
static noinline void svm_no_turn(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;

	v->exit.kind = EXIT_NOTHING;
	v->exit.code = SVM_EXIT_INTR;
	if (s->cpu->lost)
		vcpu_lost(v);
}

/* What is dirty goes in. False: the processor does not take it, as the run loop sees next. */
static noinline bool svm_prepare(struct vcpu *v)
{
	svm_apply(v);
	if (likely(!(v->requests & BIT_ULL(REQUEST_REFUSED))))
		return true;
	v->exit.kind = EXIT_NOTHING;
	v->exit.code = SVM_EXIT_INTR;
	return false;
}

void svm_run(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	struct fermata_run *page = v->page;
	u8 tpr = apic_tpr(&v->apic);
	u32 dirty = v->dirty;
	bool lost;

	/* The host is going down, and has switched SVM off on this CPU: the thread waits for its end. */
	if (unlikely(!s->cpu->on)) {
		svm_no_turn(v);
		return;
	}
	if (dirty && unlikely(!svm_prepare(v)))
		return;
	if (v->advance)
		svm_advance(v, c);
	if (tpr != (c->vintr & V_TPR_MASK)) {
		c->vintr = (c->vintr & ~V_TPR_MASK) | tpr;
		c->clean &= ~CLEAN_TPR;
	}
	svm_intercept_tpr(v, s, tpr);
	c->rax = page->regs[FERMATA_RAX];
	c->rsp = page->regs[FERMATA_RSP];
	s->eventinj = c->eventinj;
	audit_before_entry(v, dirty);

	host_save_breakpoints();
	if (unlikely(s->extra) && svm_load_extra(v, s))
		lost = svm_enter_with_keys(v, s);
	else
		lost = svm_enter(page->regs, s->vmcb_pa, s->cpu->host_pa);

	host_restore_breakpoints();
	if (unlikely(lost)) {
		s->cpu->on = false;
		s->cpu->lost = true;
		svm_no_turn(v);
		return;
	}
	page->regs[FERMATA_RAX] = c->rax;
	page->regs[FERMATA_RSP] = c->rsp;
	c->eventinj = 0;
	if (svm_features & SVM_FEATURE_VMCB_CLEAN)
		c->clean = CLEAN_ALL;
	if (unlikely((c->vintr & V_TPR_MASK) != tpr))
		apic_set_tpr(&v->apic, c->vintr & 0xf);
	svm_exit_record(v);
}

bool svm_can_take(struct vcpu *v, u8 kind)
{
	const struct svm_vcpu *s = v->hw;
	bool blocked = !v->advance && (s->vmcb->int_state & INT_STATE_SHADOW);

	if (blocked)
		return false;
	if (kind == INJECT_NMI)
		return !s->nmi_masked;
	return s->vmcb->rflags & ARCH_RFLAGS_IF;
}

/* APM 2 15.20. An event pushes the RIP it finds, so a pending step over an instruction comes first. */
void svm_inject(struct vcpu *v, const struct injection *injection)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	u32 type = EVENT_TYPE_INTR;

	if (injection->kind == INJECT_NMI) {
		type = EVENT_TYPE_NMI;
		svm_intercept_iret(s, true);
	} else if (injection->kind == INJECT_EXCEPTION) {
		type = EVENT_TYPE_EXCEPTION;
	}
	c->eventinj = injection->vector | type | EVENT_VALID;
	if (injection->has_code)
		c->eventinj |= EVENT_HAS_CODE | (u64)injection->code << 32;
}
