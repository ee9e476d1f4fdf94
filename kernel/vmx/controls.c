/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The VM-execution, VM-exit and VM-entry controls as wishes: what must be 1, what would be nice.
 * Everything else is 0 where the processor lets it be (SDM 3D A.3 to A.5).
 */
#include "vmx/vmx.h"
#include "base/processor.h"

struct wish {
	u32 msr, true_msr; /* true_msr 0: there is none */
	u32 must, nice;
	const char *name;
};

static const struct wish pin_wish = {
	.msr = MSR_VMX_PIN,
	.true_msr = MSR_VMX_TRUE_PIN,
	.must = PIN_EXTERNAL_INTERRUPT | PIN_NMI,
	.nice = PIN_VIRTUAL_NMIS,
	.name = "pin-based",
};

static const struct wish proc_wish = {
	.msr = MSR_VMX_PROC,
	.true_msr = MSR_VMX_TRUE_PIN + 1,
	.must = PROC_TSC_OFFSETTING | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_MOV_DR |
		PROC_UNCONDITIONAL_IO | PROC_MSR_BITMAPS | PROC_MONITOR,
	.nice = PROC_TPR_SHADOW | PROC_SECONDARY,
	.name = "primary processor-based",
};

static const struct wish proc2_wish = {
	.msr = MSR_VMX_PROC2,
	.nice = PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST | PROC2_RDTSCP | PROC2_INVPCID |
		PROC2_WBINVD |
		PROC2_TSC_SCALING, /* set while the clock needs it, see vmx_intercept_clock() */
	.name = "secondary processor-based",
};

static const struct wish exit_wish = {
	.msr = MSR_VMX_EXIT,
	.true_msr = MSR_VMX_TRUE_PIN + 2,
	.must = EXIT_HOST_64BIT,
	.nice = EXIT_LOAD_PAT | EXIT_LOAD_EFER,
	.name = "VM-exit",
};

static const struct wish entry_wish = {
	.msr = MSR_VMX_ENTRY,
	.true_msr = MSR_VMX_TRUE_PIN + 3,
	.must = ENTRY_LOAD_DEBUG, /* DR7 */
	.nice = ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
	.name = "VM-entry",
};

/* Low half: bits that must be 1; high half: bits that may be 1. */
static int grant(const struct wish *wish, u64 basic, u32 *granted, u32 *may, const char **missing)
{
	u64 allowed = cpu_rdmsr(basic & BASIC_TRUE_CONTROLS && wish->true_msr ? wish->true_msr :
										wish->msr);
	u32 must_be_one = allowed, may_be_one = allowed >> 32;

	if (wish->must & ~may_be_one) {
		*missing = wish->name;
		return -ENODEV;
	}
	*granted = must_be_one | wish->must | (wish->nice & may_be_one);
	*may = may_be_one;
	return 0;
}

/* Controls that come in pairs: what is loaded at entry must be brought back at exit. */
static void pair(struct vmx_controls *c)
{
	if (!(c->exit & EXIT_LOAD_EFER) || !(c->entry & ENTRY_LOAD_EFER)) {
		c->exit &= ~EXIT_LOAD_EFER;
		c->entry &= ~ENTRY_LOAD_EFER;
	}
	if (!(c->exit & EXIT_LOAD_PAT) || !(c->entry & ENTRY_LOAD_PAT)) {
		c->exit &= ~EXIT_LOAD_PAT;
		c->entry &= ~ENTRY_LOAD_PAT;
	}
	if (!(c->pin & PIN_PREEMPTION_TIMER))
		c->exit &= ~EXIT_SAVE_TIMER;
	if (!(c->proc & PROC_TPR_SHADOW))
		c->proc |= PROC_CR8_LOAD | PROC_CR8_STORE;
	/* VPID is worth having only with a way to drop what is cached under it. */
	if ((c->ept_vpid & (VPID_CAP_INVVPID | VPID_CAP_ALL)) != (VPID_CAP_INVVPID | VPID_CAP_ALL))
		c->proc2 &= ~PROC2_VPID;
}

int vmx_resolve(struct vmx_controls *c, const char **missing)
{
	const u64 ept_needs = EPT_CAP_4_LEVELS | EPT_CAP_WRITE_BACK | EPT_CAP_INVEPT |
			      EPT_CAP_INVEPT_ALL;
	u64 basic = cpu_rdmsr(MSR_VMX_BASIC);
	struct wish pin = pin_wish, exit = exit_wish;
	u32 may;
	int err;

	memset(c, 0, sizeof(*c));
	c->revision = basic & 0x7fffffff;
	if ((basic >> 50 & 15) != BASIC_WRITE_BACK) {
		*missing = "a VMCS in write-back memory";
		return -ENODEV;
	}
	if (backend_options.turn) {
		pin.nice |= PIN_PREEMPTION_TIMER;
		exit.nice |= EXIT_SAVE_TIMER;
	}
	err = grant(&pin, basic, &c->pin, &may, missing);
	if (!err)
		err = grant(&proc_wish, basic, &c->proc, &c->proc_allowed, missing);
	if (!err && c->proc & PROC_SECONDARY)
		err = grant(&proc2_wish, basic, &c->proc2, &c->proc2_allowed, missing);
	if (!err)
		err = grant(&exit, basic, &c->exit, &may, missing);
	if (!err)
		err = grant(&entry_wish, basic, &c->entry, &may, missing);
	if (err)
		return err;
	/* CR3 is the guest's under EPT; on CPUs without TRUE controls these bits stay 1 and cost exits. */
	if (c->proc2 & (PROC2_EPT | PROC2_VPID))
		c->ept_vpid = cpu_rdmsr(MSR_VMX_EPT_VPID_CAP);
	/* Otherwise there is shadow paging, and unrestricted guests need EPT (SDM 3C 27.2.1.1). */
	if ((c->ept_vpid & ept_needs) != ept_needs)
		c->proc2 &= ~PROC2_EPT;
	if (!(c->proc2 & PROC2_EPT))
		c->proc2 &= ~PROC2_UNRESTRICTED_GUEST;
	pair(c);
	c->cr0_fixed0 = cpu_rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr0_fixed1 = cpu_rdmsr(MSR_VMX_CR0_FIXED1);
	c->cr4_fixed0 = cpu_rdmsr(MSR_VMX_CR4_FIXED0);
	c->cr4_fixed1 = cpu_rdmsr(MSR_VMX_CR4_FIXED1);
	return 0;
}

/* What rules switch on besides: vmx_bits in intercepts.c, and the accesses to CR3 and CR8. */
#define RULES_PROC                                                                                 \
	(PROC_PAUSE | PROC_INVLPG | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD |               \
	 PROC_CR8_STORE | PROC_RDTSC | PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW)
#define RULES_PROC2 (PROC2_WBINVD | PROC2_RDRAND | PROC2_RDSEED | PROC2_DESCRIPTOR_TABLE)
#define CAPS_USED                                                                                  \
	(EPT_CAP_EXEC_ONLY | EPT_CAP_4_LEVELS | EPT_CAP_WRITE_BACK | EPT_CAP_2M | EPT_CAP_1G |     \
	 EPT_CAP_INVEPT | EPT_CAP_ACCESSED_DIRTY | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL |    \
	 VPID_CAP_INVVPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_ALL | VPID_CAP_LOCAL)
/* Those that CPUID may show a guest (core/cpuid_bits.c); what else this CPU's CR4 has is no affair of ours. */
#define CR4_USED                                                                                   \
	(ARCH_CR4_VME | ARCH_CR4_PVI | ARCH_CR4_TSD | ARCH_CR4_DE | ARCH_CR4_PSE | ARCH_CR4_PAE |  \
	 ARCH_CR4_MCE | ARCH_CR4_PGE | ARCH_CR4_PCE | ARCH_CR4_OSFXSR | ARCH_CR4_OSXMMEXCPT |      \
	 ARCH_CR4_UMIP | ARCH_CR4_LA57 | ARCH_CR4_FSGSBASE | ARCH_CR4_PCIDE | ARCH_CR4_OSXSAVE |   \
	 ARCH_CR4_SMEP | ARCH_CR4_SMAP | ARCH_CR4_PKE)

/* On processors whose cores are of several kinds: a guest goes from one to the other. */
const char *vmx_differs(const struct vmx_controls *a, const struct vmx_controls *b, u64 *in)
{
	const struct {
		const char *name;
		u64 difference;
	} rows[] = {
		{ "the VMCS's revision", a->revision ^ b->revision },
		{ "pin-based controls", a->pin ^ b->pin },
		{ "primary processor-based controls",
		  (a->proc ^ b->proc) | ((a->proc_allowed ^ b->proc_allowed) & RULES_PROC) },
		{ "secondary processor-based controls",
		  (a->proc2 ^ b->proc2) | ((a->proc2_allowed ^ b->proc2_allowed) & RULES_PROC2) },
		{ "VM-exit controls", a->exit ^ b->exit },
		{ "VM-entry controls", a->entry ^ b->entry },
		{ "IA32_VMX_EPT_VPID_CAP", (a->ept_vpid ^ b->ept_vpid) & CAPS_USED },
		{ "IA32_VMX_CR0_FIXED0", a->cr0_fixed0 ^ b->cr0_fixed0 },
		{ "IA32_VMX_CR4_FIXED0", a->cr4_fixed0 ^ b->cr4_fixed0 },
		{ "IA32_VMX_CR4_FIXED1", (a->cr4_fixed1 ^ b->cr4_fixed1) & CR4_USED },
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		*in = rows[i].difference;
		if (*in)
			return rows[i].name;
	}
	return NULL;
}
