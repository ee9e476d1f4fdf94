// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What makes a guest exit: APM 2 15.9 to 15.14. The only writer of the VMCB's intercept words and of the
 * MSR permission map: what every guest exits for, what shadow paging needs, what rules want, and reasons of
 * our own that come and go.
 */
#include "svm/intercepts.h"
#include "base/processor.h"

#define CPUID_7_INVPCID BIT(10) /* EBX */

/* What every guest exits for. */
static const u32 base[VMCB_INTERCEPTS] = {
	/* CR4 and CR0 shape what CPUID answers and which bits are legal; CR3 and CR2 are the guest's. */
	[VMCB_CR] = CR_WRITE(4),
	/* The breakpoint registers stay the host's until the guest arms one. */
	[VMCB_DR] = 0x003f003f | CR_WRITE(7) | CR_READ(7),
	/*
	 * #DB and #AC can be made to recur without end while they are delivered, and no host interrupt
	 * gets in between (CVE-2015-8104, CVE-2015-5307). #MC is the host's.
	 */
	[VMCB_EXCEPTION] = BIT(ARCH_DB) | BIT(ARCH_AC) | BIT(ARCH_MC),
	[VMCB_MISC1] = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT |
		       INTERCEPT_CR0_SEL_WRITE | INTERCEPT_RDPMC | INTERCEPT_CPUID |
		       INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO |
		       INTERCEPT_MSR | INTERCEPT_SHUTDOWN,
	[VMCB_MISC2] = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
		       INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD |
		       INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_XSETBV | INTERCEPT_RDPRU,
};

/* MSRs the guest reads and writes without an exit: VMLOAD and VMSAVE exchange them. */
const u32 svm_direct_msrs[] = {
	ARCH_MSR_STAR,
	ARCH_MSR_LSTAR,
	ARCH_MSR_CSTAR,
	ARCH_MSR_SFMASK,
	ARCH_MSR_FS_BASE,
	ARCH_MSR_GS_BASE,
	ARCH_MSR_KERNEL_GS_BASE,
	ARCH_MSR_SYSENTER_CS,
	ARCH_MSR_SYSENTER_ESP,
	ARCH_MSR_SYSENTER_EIP,
	0,
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

/* Two bits for each MSR of 0..1FFFh and C0000000h.., read below write; 1 intercepts (APM 2 15.11). */
static void intercept_msr(u8 *map, u32 msr, bool read, bool write)
{
	u32 base = msr < 0x2000 ? 0 : 2048, byte = base + (msr & 0x1fff) / 4, shift = (msr & 3) * 2;

	map[byte] = (map[byte] & ~(3u << shift)) | (read | write << 1) << shift;
}

/* Deny by default. */
void svm_fill_msrpm(u8 *map, u32 read, u32 write)
{
	memset(map, 0xff, 2 * 4096);
	for (u32 i = 0; svm_direct_msrs[i]; i++)
		intercept_msr(map, svm_direct_msrs[i], read >> i & 1, write >> i & 1);
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

/* The clock is another. */
void svm_intercept_clock(struct vcpu *v)
{
	struct vmcb *c = ((struct svm_vcpu *)v->hw)->vmcb;

	c->intercept[VMCB_MISC1] &= ~INTERCEPT_RDTSC;
	c->intercept[VMCB_MISC2] &= ~INTERCEPT_RDTSCP;
	if (vcpu_traps_tsc(v)) {
		c->intercept[VMCB_MISC1] |= INTERCEPT_RDTSC;
		c->intercept[VMCB_MISC2] |= INTERCEPT_RDTSCP;
	}
	c->clean &= ~CLEAN_INTERCEPTS;
}

static void apply_msrs(struct vcpu *v, struct vmcb *c)
{
	const struct wanted *w = &v->ruling.wanted;
	struct svm_vcpu *s = v->hw;

	c->clean &= ~CLEAN_PERMISSION_MAPS;
	c->msrpm_base_pa = svm_msrpm_pa;
	if (!(w->msr_read | w->msr_write))
		return;
	c->msrpm_base_pa = host_virt_to_phys(s->msrpm);
	svm_fill_msrpm(s->msrpm, w->msr_read, w->msr_write);
}

/* All of it. */
void svm_apply_intercepts(struct vcpu *v)
{
	const struct wanted *w = &v->ruling.wanted;
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	u32 word[VMCB_INTERCEPTS], i;

	memcpy(word, base, sizeof(word));
	s->standing_cr = base[VMCB_CR] | w->cr_read | (u32)w->cr_write << 16;
	if (v->shadow)
		s->standing_cr |= CR_READ(3) | CR_WRITE(3);
	word[VMCB_DR] |= w->dr_read | (u32)w->dr_write << 16;
	word[VMCB_EXCEPTION] |= w->exceptions;
	if (c->vintr & V_IRQ)
		word[VMCB_MISC1] |= INTERCEPT_VINTR;
	if (s->nmi_masked)
		word[VMCB_MISC1] |= INTERCEPT_IRET;
	if (v->shadow) {
		/* A task switch would load CR3 (APM 2 12.4) with what is no address of ours. */
		word[VMCB_EXCEPTION] |= BIT(ARCH_PF);
		word[VMCB_MISC1] |= INTERCEPT_INVLPG | INTERCEPT_TASK_SWITCH;
		if (!v->vm->config.shadow &&
		    svm_can_intercept(FERMATA_ON_INVPCID, 0, 0) == 0) /* not hidden */
			word[VMCB_MISC3] |= INTERCEPT_INVPCID;
	}
	for (i = 0; i < ARRAY_SIZE(svm_bits); i++)
		if (w->events >> svm_bits[i].event & 1)
			word[svm_bits[i].word] |= svm_bits[i].bit;
	memcpy(c->intercept, word, sizeof(word));
	svm_intercept_control(v, s);
	svm_intercept_clock(v);
	apply_msrs(v, c);
}

/*
 * A dummy virtual interrupt of the highest priority makes the guest exit the moment it could take one
 * (APM 2 15.21.4). For NMIs the IRET intercept, set since the last one was delivered, is the window.
 */
void svm_window(struct vcpu *v, u32 kinds)
{
	struct svm_vcpu *s = v->hw;
	struct vmcb *c = s->vmcb;
	/* An NMI that only a shadow holds back comes at the next such moment too. */
	bool want = kinds & BIT(INJECT_INTERRUPT) || (kinds & BIT(INJECT_NMI) && !s->nmi_masked);

	if (want == !!(c->vintr & V_IRQ))
		return;
	if (want) {
		c->vintr |= V_IRQ | V_IGN_TPR | V_INTR_PRIO(0xf);
		c->intercept[VMCB_MISC1] |= INTERCEPT_VINTR;
	} else {
		c->vintr &= ~(V_IRQ | V_IGN_TPR | V_INTR_PRIO(0xf));
		c->intercept[VMCB_MISC1] &= ~INTERCEPT_VINTR;
	}
	c->clean &= ~(CLEAN_INTERCEPTS | CLEAN_TPR);
}

/* VMSAVE has brought them here, and VMLOAD takes them back. */
int svm_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	struct vmcb *c = ((struct svm_vcpu *)v->hw)->vmcb;
	u64 *const slots[ARRAY_SIZE(svm_direct_msrs) - 1] = {
		&c->star,	  &c->lstar,	    &c->cstar,		&c->sfmask,
		&c->fs.base,	  &c->gs.base,	    &c->kernel_gs_base, &c->sysenter_cs,
		&c->sysenter_esp, &c->sysenter_eip,
	};
	u32 i;

	for (i = 0; svm_direct_msrs[i]; i++) {
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
