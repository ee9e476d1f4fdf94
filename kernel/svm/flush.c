/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Tags, and the flushes that are owed: APM 2 15.16. An ASID marks everything that the processor keeps
 * of a guest's translations, its own and the nested ones.
 */
#include "svm/svm.h"
#include "base/processor.h"

/* All share one ASID. TLB_CONTROL stays what it is, so every entry flushes. */
static void pay_untagged(struct vcpu *v, struct vmcb *c, struct tag_pool *tags)
{
	c->guest_asid = tag_shared(tags);
	c->clean &= ~CLEAN_ASID;
	c->tlb_control = svm_features & SVM_FEATURE_FLUSH_BY_ASID ? VMCB_FLUSH_ASID : VMCB_FLUSH_ALL;
	if (!tags->flush_all)
		return;
	if (unlikely(backend_options.beside)) { /* the pool is that one ASID */
		tags->flush_all = false;
		return;
	}
	/* What this guest leaves under somebody else's tag is the next one's to flush. */
	if (tags->shared < tags->first)
		tags->flush_all = false;
	vcpu_count_flush(v, FERMATA_FLUSH_ALL_TAGS);
	if (c->tlb_control == VMCB_FLUSH_ALL)
		return;
	c->tlb_control = VMCB_FLUSH_ALL;
	v->dirty |= DIRTY_FLUSH;
}

static u8 pay_tagged(struct vcpu *v, struct vmcb *c, struct tag_pool *tags, u32 owed)
{
	bool fresh;

	/* Without FlushByAsid a whole flush of one tag is another tag. */
	if (owed & ~FLUSH_ADDRESS && !(svm_features & SVM_FEATURE_FLUSH_BY_ASID))
		tag_drop(&v->tlb.tag);
	fresh = vcpu_take_tag(v, tags);
	if (fresh) {
		c->guest_asid = v->tlb.tag.id;
		c->clean &= ~CLEAN_ASID;
	}
	if (tags->flush_all) {
		tags->flush_all = false;
		/* Beside another hypervisor all tags are that one. */
		if (backend_options.beside && svm_features & SVM_FEATURE_FLUSH_BY_ASID) {
			vcpu_count_flush(v, FERMATA_FLUSH_TAG);
			return VMCB_FLUSH_ASID;
		}
		vcpu_count_flush(v, FERMATA_FLUSH_ALL_TAGS);
		return VMCB_FLUSH_ALL;
	}
	if (fresh)
		return TLB_NOTHING;
	if (owed & (FLUSH_NESTED | FLUSH_LINEAR)) {
		vcpu_count_flush(v, FERMATA_FLUSH_TAG);
		return VMCB_FLUSH_ASID;
	}
	if (owed & FLUSH_ADDRESS) {
		cpu_invlpga(v->tlb.linear, v->tlb.tag.id);
		vcpu_count_flush(v, FERMATA_FLUSH_ADDRESS);
	}
	if (owed & FLUSH_LOCAL) {
		vcpu_count_flush(v, FERMATA_FLUSH_LOCAL);
		return VMCB_FLUSH_LOCAL;
	}
	return TLB_NOTHING;
}

void svm_pay(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	u32 owed = v->tlb.owed;

	v->tlb.owed = FLUSH_NONE;
	if (v->vm->config.untagged) {
		pay_untagged(v, c, &s->cpu->tags);
		return;
	}
	c->tlb_control = pay_tagged(v, c, &s->cpu->tags, owed);
	/* For one entry: the next one looks again, and with nothing owed takes it back. */
	if (c->tlb_control)
		v->dirty |= DIRTY_FLUSH;
}
