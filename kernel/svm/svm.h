/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of kernel/svm share. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "core/vcpu.h"
#include "memory/guest_walk.h"
#include "svm/vmcb.h"

/* CPUID 8000_000A EDX (APM 3 E.4.9): what may be missing, and is replaced when it is */
#define SVM_FEATURE_NPT BIT(0)
#define SVM_FEATURE_NRIPS BIT(3)
#define SVM_FEATURE_TSC_RATE BIT(4)
#define SVM_FEATURE_VMCB_CLEAN BIT(5)
#define SVM_FEATURE_FLUSH_BY_ASID BIT(6)
#define SVM_FEATURE_DECODE_ASSISTS BIT(7)

/* All of them that anything here is about. */
#define SVM_FEATURES_USED                                                                          \
	(SVM_FEATURE_NPT | SVM_FEATURE_NRIPS | SVM_FEATURE_TSC_RATE | SVM_FEATURE_VMCB_CLEAN |     \
	 SVM_FEATURE_FLUSH_BY_ASID | SVM_FEATURE_DECODE_ASSISTS)

struct svm_cpu {
	struct vmcb *host; /* what VMSAVE keeps of the host: FS, GS, TR, LDTR, syscall MSRs */
	u64 host_pa;
	void *hsave;		 /* VM_HSAVE_PA: the processor's own */
	const struct vcpu *last; /* whose VMCB ran here last; only compared */
	struct tag_pool tags;
	u64 tsc_ratio; /* what the MSR holds, where it is */
	bool on;
	/* beside another hypervisor */
	bool lost;	      /* it has switched SVM off, and nobody has told us */
	u64 found_ratio;      /* TSC_RATIO before the stay */
	struct vmcb *flusher; /* VMRUN with it drops what lies under our ASID */
};

/* TSC_RATIO (APM 2 15.30.5): 8.32 bits; the clock's multipliers have 48 */
#define TSC_RATIO_1 (1ull << 32)
#define TSC_RATIO_SHIFT (FERMATA_CLOCK_FRACTION - 32)
#define TSC_RATIO_BITS 40

#define SVM_CODE_PAGES 4

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u8 *msrpm; /* in force while a rule is about an MSR that does not exit otherwise */
	u64 *cr3;  /* the guest's: the VMCB's or shadow paging's */
	struct svm_cpu *cpu;
	u64 eventinj; /* as at the last entry; an exit clears the VMCB's */
	struct guest_code code[SVM_CODE_PAGES]; /* without NRIPS: where instructions exited lately */
	bool nmi_masked;			/* an NMI was delivered and its IRET has not come */
	bool tpr_intercepted; /* writes to CR8 exit because of what the TPR holds back */
	u8 extra;	      /* EXTRA_* */
	u32 standing_cr; /* accesses to CR that exit, but for those that come and go: intercepts.h */
};

/* Paging is another: where code was is not known any more. */
static inline void svm_code_forget(struct svm_vcpu *s)
{
	for (u32 i = 0; i < SVM_CODE_PAGES; i++)
		s->code[i].page = GUEST_CODE_NONE;
}

/* What an entry does besides, for few guests. */
#define EXTRA_BREAKPOINTS BIT(0) /* the guest's are enabled */
#define EXTRA_KEYS BIT(1)	 /* PKRU is in its reach */

extern u32 svm_features;
extern struct svm_cpu *svm_cpus;
extern u64 svm_msrpm_pa, svm_iopm_pa;

/* flush.c */
void svm_pay(struct vcpu *v);
/* beside.c */
int svm_beside_on(struct svm_cpu *cpu);
void svm_beside_load(struct vcpu *v);
void svm_unload(struct vcpu *v);
void svm_take(struct vcpu *v);
/* state.c */
void svm_vmcb_init(struct vcpu *v);
void svm_set_paging(struct vcpu *v);
void svm_apply(struct vcpu *v);
void svm_sync(struct vcpu *v); /* v->guest.cr0's bits that the guest changes without an exit */
void svm_get_state(struct vcpu *v, struct fermata_state *state, u32 mask);
int svm_set_state(struct vcpu *v, const struct fermata_state *state, u32 mask);
u64 svm_get_reg(struct vcpu *v, enum hw_reg reg);
void svm_position(struct vcpu *v, u64 *rip, u64 *rflags);
void svm_set_reg(struct vcpu *v, enum hw_reg reg, u64 value);
void svm_where(struct vcpu *v, struct where *where);
/* run.c */
void svm_load(struct vcpu *v, u32 cpu);
void svm_run(struct vcpu *v);
bool svm_can_take(struct vcpu *v, u8 kind);
void svm_inject(struct vcpu *v, const struct injection *event);
/* exit.c */
void svm_exit_record(struct vcpu *v);
/* entry.S: true: SVM is off, and there was no turn */
bool svm_enter(u64 *regs, u64 vmcb_pa, u64 host_pa);

#endif
