// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Flaws of processors that a guest could use against its host or others, what is done about each, and what of it
 * is done when virtualization goes on. The rest is in the world switches (host_asm.h), in guest.c, and in
 * memory/nested.c.
 *
 * Whether the processor has a flaw, and whether something is to be done about it, is the host's kernel's to know,
 * with its microcode and what its administrator has told it: we follow its features. What no hardware has shown
 * us is in docs/hardware.md.
 */
#include <linux/cpu.h>
#include <linux/sched/smt.h>
#include <asm/msr-index.h>

#include "device.h"
#include "base/processor.h"
#include "mitigations.h"

DEFINE_PER_CPU(u64, fermata_spec_ctrl); /* what IA32_SPEC_CTRL is to hold after an exit */

/* Interrupts are off, and may have been on: another CPU can have changed it. */
void guest_note_speculation(void)
{
	__this_cpu_write(fermata_spec_ctrl, cpu_rdmsr(MSR_IA32_SPEC_CTRL));
}

/* ---- on this CPU, while virtualization is on */

#define BP_CFG 0xc001102e	  /* AMD's PPR of family 1Ah */
#define BP_SPEC_REDUCE BIT_ULL(4) /* predictions across VMEXIT do not lead anywhere */
#define DC_CFG 0xc0011022
#define DC_CFG_ERRATUM_383 BIT_ULL(47) /* AMD 41322, erratum 383 */

static bool reduces_speculation(void)
{
	return cpu_shows(X86_FEATURE_SRSO_BP_SPEC_REDUCE) && !cpu_shows(X86_FEATURE_IBPB_ON_VMEXIT);
}

/* A hypervisor below us may have the flaw and not the MSR. */
static void change(u32 msr, u64 bit, bool set)
{
	u64 value = cpu_rdmsr_or_zero(msr);

	cpu_wrmsr_checked(msr, set ? value | bit : value & ~bit);
}

void mitigations_cpu_on(void)
{
	if (reduces_speculation())
		change(BP_CFG, BP_SPEC_REDUCE, true);
	if (cpu_shows(X86_BUG_AMD_TLB_MMATCH))
		change(DC_CFG, DC_CFG_ERRATUM_383, true);
}

void mitigations_cpu_off(void)
{
	if (reduces_speculation())
		change(BP_CFG, BP_SPEC_REDUCE, false);
}

/* ---- what is done */

#define MOST_FEATURES 5

struct flaw {
	const char *name;
	s16 bug; /* X86_BUG_*, or a feature that guests would suffer from; 0: every processor has it */
	s16 any[MOST_FEATURES]; /* it is done where one of these is in force; none: everywhere */
	bool (*done)(void);	/* ... or says this */
	u8 state;		/* where it is done: FERMATA_FLAW_DONE, unless it says otherwise */
	const char *how, *missing;
};

static bool buffers_cleared(void)
{
	return cpu_shows(X86_FEATURE_CLEAR_CPU_BUF_VM) ||
	       (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL &&
		cpu_shows(X86_FEATURE_CLEAR_CPU_BUF));
}

static bool alone_on_core(void)
{
	return !sched_smt_active() ||
	       !(cpu_shows(X86_BUG_L1TF) || cpu_shows(X86_BUG_MDS) || cpu_shows(X86_BUG_TAA));
}

static bool small_executable_pages(void)
{
	return host_offers(HOST_ITLB_MULTIHIT);
}

#define HOST_TOLD                                                                                  \
	"the host's kernel does nothing about it (see mitigations= and /sys/devices/system/cpu/vulnerabilities)"
#define BUFFERS "CPU buffers are cleared before each entry (VERW)"
#define MICROCODE                                                                                  \
	"microcode does it; the host's /sys/devices/system/cpu/vulnerabilities says whether"

/* clang-format off */
static const struct flaw flaws[] = {
	{ "Spectre v1", X86_BUG_SPECTRE_V1, .how = "indices that guests and callers choose are masked" },
	{ "Spectre v2", X86_BUG_SPECTRE_V2,
	  { X86_FEATURE_RETPOLINE, X86_FEATURE_RETPOLINE_LFENCE, X86_FEATURE_IBRS_ENHANCED, X86_FEATURE_KERNEL_IBRS },
	  .how = "returns are guarded after each exit; IBPB where another vCPU ran last", .missing = HOST_TOLD },
	{ "Meltdown", X86_BUG_CPU_MELTDOWN, .how = "the guest's tables map nothing of the host's" },
	{ "Speculative store bypass", X86_BUG_SPEC_STORE_BYPASS,
	  .how = "guests run as the thread's own setting says (prctl)" },
	{ "Retbleed", X86_BUG_RETBLEED,
	  { X86_FEATURE_UNRET, X86_FEATURE_ENTRY_IBPB, X86_FEATURE_KERNEL_IBRS, X86_FEATURE_IBRS_ENHANCED },
	  .how = "after each exit: untrained returns, IBPB, or IBRS written anew before the first RET",
	  .missing = HOST_TOLD },
	{ "Post-barrier RSB", X86_BUG_EIBRS_PBRSB, { X86_FEATURE_RSB_VMEXIT_LITE, X86_FEATURE_RSB_VMEXIT },
	  .how = "a call retires before the first RET after each exit", .missing = HOST_TOLD },
	{ "Cross-thread returns", X86_BUG_SMT_RSB, .how = "HLT and MWAIT of a guest always exit" },
	{ "SRSO", X86_BUG_SRSO,
	  { X86_FEATURE_SRSO, X86_FEATURE_SRSO_ALIAS, X86_FEATURE_ENTRY_IBPB, X86_FEATURE_IBPB_ON_VMEXIT,
	    X86_FEATURE_SRSO_BP_SPEC_REDUCE },
	  .how = "after each exit: untrained returns or IBPB; or BP_CFG while there are VMs", .missing = HOST_TOLD },
	{ "Branch history injection", X86_BUG_BHI, { FEATURE_CLEAR_HISTORY, X86_FEATURE_CLEAR_BHB_HW },
	  .how = "branch history is cleared after each exit, or BHI_DIS_S is set", .missing = HOST_TOLD },
	{ "Indirect target selection", X86_BUG_ITS, { X86_FEATURE_INDIRECT_THUNK_ITS, X86_FEATURE_RETPOLINE },
	  .how = "the module uses the kernel's thunks", .missing = HOST_TOLD },
	{ "VMSCAPE", X86_BUG_VMSCAPE, { FEATURE_IBPB_TO_USER },
#ifdef FERMATA_IBPB_TO_USER
	  .how = "IBPB before the CPU goes back to user space after a guest ran",
#else
	  .how = "IBPB at the end of each stay in guest context",
#endif
	  .missing = HOST_TOLD },
	{ "L1TF", X86_BUG_L1TF, .done = guest_l1d_flushes,
	  .how = "L1D is flushed before entries that follow other work, or all (l1tf=)",
	  .missing = "l1tf=off, or the outer hypervisor flushes" },
	{ "MDS", X86_BUG_MDS, .done = buffers_cleared, .how = BUFFERS, .missing = HOST_TOLD },
	{ "TAA", X86_BUG_TAA, .done = buffers_cleared, .how = BUFFERS, .missing = HOST_TOLD },
	{ "RFDS", X86_BUG_RFDS, .done = buffers_cleared, .how = BUFFERS, .missing = HOST_TOLD },
	{ "TSA", X86_BUG_TSA, .done = buffers_cleared, .how = BUFFERS, .missing = HOST_TOLD },
	{ "MMIO stale data", X86_BUG_MMIO_STALE_DATA, .how = "no guest is given a device's memory" },
	{ "Sibling threads", 0, .done = alone_on_core,
	  .how = "no other thread of the core can look into its buffers or L1D",
	  .missing = "L1TF or MDS with SMT on: what runs beside a guest can be read by it; nosmt ends that" },
	{ "SRBDS", X86_BUG_SRBDS, .state = FERMATA_FLAW_HOST, .how = MICROCODE },
	{ "Gather data sampling", X86_BUG_GDS, .state = FERMATA_FLAW_HOST, .how = MICROCODE },
	{ "iTLB multihit", X86_BUG_ITLB_MULTIHIT, .done = small_executable_pages,
	  .how = "guests execute from mappings of 4 KiB alone", .missing = HOST_TOLD },
	{ "PEBS", X86_FEATURE_PEBS,
	  .how = "it is off while a guest runs, into whose memory it would write" },
	{ "Split locks", X86_FEATURE_SPLIT_LOCK_DETECT,
#ifdef FERMATA_GUEST_SPLIT_LOCK
	  .how = "a guest's are treated as those of its process (split_lock_detect=)"
#else
	  .how = "a guest's are logged once, and then allowed: Linux keeps what it does to itself"
#endif
	},
	{ "FXSAVE leak", X86_BUG_FXSAVE_LEAK, .how = "the last x87 pointers are overwritten before a guest's are loaded" },
	{ "Division by zero", X86_BUG_DIV0, .how = "a division of our own before each entry" },
	{ "TLB multi-match", X86_BUG_AMD_TLB_MMATCH, .how = "DC_CFG, as erratum 383 asks for" },
};
/* clang-format on */

static bool any_of(const s16 *features)
{
	u32 i;

	for (i = 0; i < MOST_FEATURES && features[i]; i++)
		if (cpu_shows(features[i]))
			return true;
	return !i;
}

int mitigations_get(struct fermata_flaw *out)
{
	const struct flaw *f;

	if (out->index >= ARRAY_SIZE(flaws))
		return -ERANGE;
	f = &flaws[host_index(out->index, ARRAY_SIZE(flaws))];
	memset(out->name, 0, sizeof(out->name));
	memset(out->how, 0, sizeof(out->how));
	strscpy(out->name, f->name, sizeof(out->name));
	if (f->bug == UNKNOWN_BIT) {
		out->state = FERMATA_FLAW_UNKNOWN;
		strscpy(out->how, "this kernel does not know it", sizeof(out->how));
	} else if (f->bug && !cpu_shows(f->bug)) {
		out->state = FERMATA_FLAW_NOT_NEEDED;
		strscpy(out->how, "this processor does not have it", sizeof(out->how));
	} else if (f->done ? f->done() : any_of(f->any)) {
		out->state = f->state ?: FERMATA_FLAW_DONE;
		strscpy(out->how, f->how, sizeof(out->how));
	} else {
		out->state = FERMATA_FLAW_NOT_DONE;
		strscpy(out->how, f->missing, sizeof(out->how));
	}
	return 0;
}

/* ---- what guests are told of it */

bool host_offers(enum host_feature feature)
{
	switch (feature) {
	case HOST_IBPB:
		return boot_cpu_has(X86_FEATURE_IBPB);
	case HOST_MD_CLEAR:
		return boot_cpu_has(X86_FEATURE_MD_CLEAR);
	case HOST_ARCH_CAPABILITIES:
		return boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES);
	case HOST_ITLB_MULTIHIT:
		return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	}
	return false;
}

/*
 * IA32_ARCH_CAPABILITIES (SDM 4). Left out is what needs an MSR that guests do not have: IBRS_ALL, TSX_CTRL and the
 * like. A flaw that the kernel knows this processor not to have is said to be absent, whatever the microcode says.
 */
#define CAPABILITIES_SHOWN                                                                         \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_RSBA | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO |                    \
	 ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |   \
	 ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA | ARCH_CAP_PBRSB_NO | CAP_BHI_NO |  \
	 CAP_GDS_NO | CAP_RFDS_NO | CAP_RFDS_CLEAR | CAP_ITS_NO)
#define CAP_BHI_NO BIT_ULL(20)
#define CAP_GDS_NO BIT_ULL(26)
#define CAP_RFDS_NO BIT_ULL(27)
#define CAP_RFDS_CLEAR BIT_ULL(28)
#define CAP_ITS_NO BIT_ULL(62)

u64 host_arch_capabilities(void)
{
	static const struct {
		s16 bug;
		u64 absent;
	} known[] = {
		{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
		{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
		{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
		{ X86_BUG_GDS, CAP_GDS_NO },
		{ X86_BUG_RFDS, CAP_RFDS_NO },
		{ X86_BUG_ITS, CAP_ITS_NO },
	};
	u64 value = cpu_rdmsr_or_zero(MSR_IA32_ARCH_CAPABILITIES) & CAPABILITIES_SHOWN;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].bug != UNKNOWN_BIT && !cpu_shows(known[i].bug))
			value |= known[i].absent;
	/* What a change of a page's size could do is ours to prevent (iTLB multihit), and is. */
	return value | ARCH_CAP_PSCHANGE_MC_NO;
}
