// SPDX-License-Identifier: MIT OR GPL-2.0
/* What rules make a guest exit for, on top of what always does: APM 2 15.9 to 15.14. */
#include "svm/svm.h"
#include "base/processor.h"

#define CPUID_7_INVPCID BIT(10) /* EBX */

/* MSRs the guest reads and writes without an exit: VMLOAD and VMSAVE exchange them. */
static const u32 svm_direct_msrs[] = {
	ARCH_MSR_STAR,	       ARCH_MSR_LSTAR,	      ARCH_MSR_CSTAR,	       ARCH_MSR_SFMASK,
	ARCH_MSR_FS_BASE,      ARCH_MSR_GS_BASE,      ARCH_MSR_KERNEL_GS_BASE, ARCH_MSR_SYSENTER_CS,
	ARCH_MSR_SYSENTER_ESP, ARCH_MSR_SYSENTER_EIP,
};

/* Events that one bit of MISC1 or MISC2 each is for. */
static const struct {
	u8 event, word;
	u32 bit;
} svm_bits[] = {
	{ FERMATA_ON_PAUSE, VMCB_MISC1, INTERCEPT_PAUSE },
	{ FERMATA_ON_INVLPG, VMCB_MISC1, INTERCEPT_INVLPG },
	{ FERMATA_ON_SIDT, VMCB_MISC1, INTERCEPT_IDTR_READ },
	{ FERMATA_ON_SGDT, VMCB_MISC1, INTERCEPT_GDTR_READ },
	{ FERMATA_ON_SLDT, VMCB_MISC1, INTERCEPT_LDTR_READ },
	{ FERMATA_ON_STR, VMCB_MISC1, INTERCEPT_TR_READ },
	{ FERMATA_ON_LIDT, VMCB_MISC1, INTERCEPT_IDTR_WRITE },
	{ FERMATA_ON_LGDT, VMCB_MISC1, INTERCEPT_GDTR_WRITE },
	{ FERMATA_ON_LLDT, VMCB_MISC1, INTERCEPT_LDTR_WRITE },
	{ FERMATA_ON_LTR, VMCB_MISC1, INTERCEPT_TR_WRITE },
	{ FERMATA_ON_INVPCID, VMCB_MISC3, INTERCEPT_INVPCID },
};

/* Two bits per MSR, read below write; 1 intercepts (APM 2 15.11). Where those of `msr` are. */
static u8 *msr_bits(u8 *map, u32 msr, u32 *shift)
{
	u32 byte;

	if (msr < 0x2000)
		byte = 0;
	else if (msr - 0xc0000000 < 0x2000)
		byte = 0x800;
	else
		byte = 0x1000;
	*shift = (msr & 3) * 2;
	return map + byte + (msr & 0x1fff) / 4;
}

/* Deny by default. */
void svm_fill_msrpm(u8 *map)
{
	u32 i, shift;
	u8 *at;

	memset(map, 0xff, 2 * 4096);
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++) {
		at = msr_bits(map, svm_direct_msrs[i], &shift);
		*at &= ~(3u << shift);
	}
}

int svm_can_intercept(u32 event, u64 first, u64 last)
{
	switch (event) {
	case FERMATA_ON_RDRAND:
	case FERMATA_ON_RDSEED:
		return -EOPNOTSUPP;
	case FERMATA_ON_INVPCID:
		return cpu_cpuid(0, 0).eax >= 7 && cpu_cpuid(7, 0).ebx & CPUID_7_INVPCID ?
			       0 :
			       -EOPNOTSUPP;
	}
	return 0;
}

static void apply_registers(struct vcpu *v, struct vmcb *c, u32 *word)
{
	u32 n;

	for (n = 0; n < 16; n++) {
		if (rules_want(v, FERMATA_ON_MOV_TO_CR, n))
			word[VMCB_CR] |= CR_WRITE(n);
		if (rules_want(v, FERMATA_ON_MOV_FROM_CR, n))
			word[VMCB_CR] |= CR_READ(n);
		if (rules_want(v, FERMATA_ON_MOV_TO_DR, n))
			word[VMCB_DR] |= CR_WRITE(n);
		if (rules_want(v, FERMATA_ON_MOV_FROM_DR, n))
			word[VMCB_DR] |= CR_READ(n);
	}
	if (rules_want(v, FERMATA_ON_CLTS, 0) || rules_want(v, FERMATA_ON_LMSW, 0))
		word[VMCB_CR] |= CR_WRITE(0);
	if (rules_want(v, FERMATA_ON_CR3_SWITCH, 0))
		word[VMCB_CR] |= CR_WRITE(3);
}

static void apply_msrs(struct vcpu *v, struct vmcb *c)
{
	struct svm_vcpu *s = v->hw;
	bool wanted = false;
	u32 i, shift;
	u8 *at;

	svm_fill_msrpm(s->msrpm);
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++) {
		u32 bits = (rules_want(v, FERMATA_ON_RDMSR, svm_direct_msrs[i]) ? 1 : 0) |
			   (rules_want(v, FERMATA_ON_WRMSR, svm_direct_msrs[i]) ? 2 : 0);

		at = msr_bits(s->msrpm, svm_direct_msrs[i], &shift);
		*at |= bits << shift;
		wanted |= bits;
	}
	c->msrpm_base_pa = wanted ? host_virt_to_phys(s->msrpm) : svm_msrpm_pa;
	c->clean &= ~CLEAN_PERMISSION_MAPS;
}

void svm_apply_intercepts(struct vcpu *v)
{
	/* Bits that come and go for other reasons: the CD bit, the TPR, NMI and interrupt windows. */
	const u32 others[VMCB_INTERCEPTS] = {
		[VMCB_CR] = svm_hidden_control(v),
		[VMCB_MISC1] = INTERCEPT_VINTR | INTERCEPT_IRET,
	};
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	u32 word[VMCB_INTERCEPTS], i;

	memcpy(word, svm_base_intercepts, sizeof(word));
	word[VMCB_CR] |= others[VMCB_CR] | (s->tpr_intercepted ? CR_WRITE(8) : 0);
	word[VMCB_MISC1] |= c->intercept[VMCB_MISC1] & others[VMCB_MISC1];
	if (v->shadow) {
		/* A task switch would load CR3 (APM 2 12.4) with what is no address of ours. */
		word[VMCB_CR] |= CR_READ(3) | CR_WRITE(3);
		word[VMCB_EXCEPTION] |= BIT(ARCH_PF);
		word[VMCB_MISC1] |= INTERCEPT_INVLPG | INTERCEPT_TASK_SWITCH;
		if (!v->vm->config.shadow &&
		    svm_can_intercept(FERMATA_ON_INVPCID, 0, 0) == 0) /* not hidden */
			word[VMCB_MISC3] |= INTERCEPT_INVPCID;
	}
	apply_registers(v, c, word);
	word[VMCB_EXCEPTION] |= rules_want_exceptions(v);
	for (i = 0; i < ARRAY_SIZE(svm_bits); i++)
		if (rules_want(v, svm_bits[i].event, 0))
			word[svm_bits[i].word] |= svm_bits[i].bit;
	if (rules_want_tsc(v)) {
		word[VMCB_MISC1] |= INTERCEPT_RDTSC;
		word[VMCB_MISC2] |= INTERCEPT_RDTSCP;
	}
	memcpy(c->intercept, word, sizeof(word));
	c->efer &= ~ARCH_EFER_SCE;
	if (!v->rules.syscall)
		c->efer |= v->guest.efer & ARCH_EFER_SCE;
	apply_msrs(v, c);
	c->clean &= ~(CLEAN_INTERCEPTS | CLEAN_CR);
}

/* VMSAVE has brought them here, and VMLOAD takes them back. */
int svm_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	struct vmcb *c = ((struct svm_vcpu *)v->hw)->vmcb;
	u64 *const slots[ARRAY_SIZE(svm_direct_msrs)] = {
		&c->star,	  &c->lstar,	    &c->cstar,		&c->sfmask,
		&c->fs.base,	  &c->gs.base,	    &c->kernel_gs_base, &c->sysenter_cs,
		&c->sysenter_esp, &c->sysenter_eip,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++) {
		if (svm_direct_msrs[i] != msr)
			continue;
		if (write)
			*slots[i] = *value;
		else
			*value = *slots[i];
		return 0;
	}
	return -EINVAL;
}
