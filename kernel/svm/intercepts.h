/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What makes a guest exit. Nobody else writes the VMCB's intercept words and the MSR permission map. */
#ifndef SVM_INTERCEPTS_H
#define SVM_INTERCEPTS_H

#include "svm/svm.h"

extern const u32 svm_direct_msrs[]; /* 0 ends it */

void svm_fill_msrpm(u8 *map, u32 read, u32 write); /* of svm_direct_msrs those that exit */
int svm_can_intercept(u32 event, u64 first, u64 last);
void svm_apply_intercepts(struct vcpu *v); /* with all reasons that there are now */
void svm_intercept_clock(struct vcpu *v);
void svm_window(struct vcpu *v, u32 kinds);
int svm_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write);

/* Accesses to CR0 and CR4 that must exit because the processor has other bits there than the guest. */
static inline u32 svm_hidden_control(const struct vcpu *v, const struct vmcb *c)
{
	u32 hidden = 0;

	if (v->guest.cr0 & (ARCH_CR0_CD | ARCH_CR0_NW))
		hidden |= CR_READ(0) | CR_WRITE(0);
	if (c->cr4 != v->guest.cr4)
		hidden |= CR_READ(4);
	if (v->shadow && ~v->guest.cr0 & (ARCH_CR0_PG | ARCH_CR0_WP))
		hidden |= CR_READ(0) | CR_WRITE(0);
	return hidden;
}

/*
 * QEMU 10 lets MOV from any CR exit by CR0's bit, as CR0's, and by no other. It has no decode assists, and neither
 * have processors before AMD's family 15h; all later ones have, and are asked for what is wanted alone. What reads the
 * number out of the instruction is exit.c.
 */
static inline u32 svm_cr_reads(u32 cr)
{
	return cr & 0xfffe && !(svm_features & SVM_FEATURE_DECODE_ASSISTS) ? cr | CR_READ(0) : cr;
}

/* The guest's CR0 or CR4 is another. */
static inline void svm_intercept_control(const struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;

	c->intercept[VMCB_CR] = svm_cr_reads(s->standing_cr | svm_hidden_control(v, c) |
					     (s->tpr_intercepted ? CR_WRITE(8) : 0));
	c->clean &= ~CLEAN_INTERCEPTS;
}

/* The guest writes CR8 without an exit, unless that may let in an interrupt that the TPR holds back. */
static inline void svm_intercept_tpr(struct vcpu *v, struct svm_vcpu *s, u8 tpr)
{
	bool intercept = v->apic.irr_highest && v->apic.irr_highest >> 4 <= tpr;

	if (likely(intercept == s->tpr_intercepted))
		return;
	s->tpr_intercepted = intercept;
	if (intercept)
		s->vmcb->intercept[VMCB_CR] |= CR_WRITE(8);
	else if (!(s->standing_cr & CR_WRITE(8)))
		s->vmcb->intercept[VMCB_CR] &= ~CR_WRITE(8);
	s->vmcb->clean &= ~CLEAN_INTERCEPTS;
}

/* An NMI was delivered: its IRET ends what it masks. Or that has come. */
static inline void svm_intercept_iret(struct svm_vcpu *s, bool nmi_masked)
{
	s->nmi_masked = nmi_masked;
	if (nmi_masked)
		s->vmcb->intercept[VMCB_MISC1] |= INTERCEPT_IRET;
	else
		s->vmcb->intercept[VMCB_MISC1] &= ~INTERCEPT_IRET;
	s->vmcb->clean &= ~CLEAN_INTERCEPTS;
}

#endif
