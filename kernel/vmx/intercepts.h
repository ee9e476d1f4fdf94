/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What makes a guest exit. Nobody else writes the VMCS's fields for that, and the MSR bitmap. */
#ifndef VMX_INTERCEPTS_H
#define VMX_INTERCEPTS_H

#include "vmx/vmx.h"

extern const u32 vmx_direct_msrs[]; /* 0 ends it */

void vmx_fill_msr_bitmap(u8 *map, u32 read, u32 write); /* of vmx_direct_msrs those that exit */
int vmx_can_intercept(u32 event, u64 first, u64 last);
void vmx_apply_intercepts(struct vcpu *v); /* with all reasons that there are now */
void vmx_intercept_clock(struct vcpu *v);
void vmx_window(struct vcpu *v, u32 kinds);
int vmx_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write);

/*
 * The guest writes CR8 without an exit, unless that may let in an interrupt that the TPR holds back:
 * below the threshold it exits (SDM 3C 26.1.3).
 */
static inline void vmx_intercept_tpr(const struct vcpu *v, struct vmx_vcpu *s)
{
	u8 class = v->apic.irr_highest >> 4, tpr = apic_tpr(&v->apic);
	u8 threshold = v->apic.irr_highest && class <= tpr ? class : 0;

	if (likely(threshold == s->tpr_threshold))
		return;
	s->tpr_threshold = threshold;
	if (vmx_controls.proc & PROC_TPR_SHADOW)
		vmwrite(VMCS_TPR_THRESHOLD, threshold);
}

#endif
