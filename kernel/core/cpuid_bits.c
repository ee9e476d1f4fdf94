/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Names and meanings: SDM 2A CPUID, APM 3 appendix E; of leaf 4000_0001h, Linux'
 * Documentation/virt/kvm/x86/cpuid.rst. A guest can use each bit that it is shown without us, or we
 * emulate what the bit stands for. A bit without a line is hidden.
 */
#include "base/arch.h"
#include "core/cpuid.h"
#include "core/cpuid_bits.h"

/* clang-format off */
#define HOST(bit, ...) { .name = (bit), .policy = CPUID_HOST, __VA_ARGS__ }
#define PKRU(bit, ...) { .name = (bit), .policy = CPUID_PKRU, __VA_ARGS__ }
#define SYSTEM(bit, feature, ...) { .name = (bit), .policy = CPUID_SYSTEM, .offer = (feature), __VA_ARGS__ }
#define EMULATED(bit, ...) { .name = (bit), .policy = CPUID_EMULATED, __VA_ARGS__ }
#define CALLERS(bit, ...) { .name = (bit), .policy = CPUID_CALLERS, __VA_ARGS__ }
#define HIDDEN(bit, reason) { .name = (bit), .policy = CPUID_HIDDEN, .why = (reason) }
/* What a guest that is shown the bit has: a member of struct cpuid_table, and bits that it may set. */
#define FACT(member) .fact = offsetof(struct cpuid_table, member)
#define CR4(bits) .cr4 = (bits)
#define EFER(bits) .efer = (bits)

#define WORD static const struct cpuid_bit

WORD leaf_1_ecx[32] = {
	[0] = HOST("SSE3"),
	[1] = HOST("PCLMULQDQ"),
	[2] = HIDDEN("DTES64", "there is no debug store"),
	[3] = HIDDEN("MONITOR", "MWAIT would stop the processor"),
	[4] = HIDDEN("DS-CPL", "there is no debug store"),
	[5] = HIDDEN("VMX", "there are no nested guests"),
	[6] = HIDDEN("SMX", "measured launch is the host's"),
	[7] = HIDDEN("EIST", "power and heat are the host's"),
	[8] = HIDDEN("TM2", "power and heat are the host's"),
	[9] = HOST("SSSE3"),
	[11] = HIDDEN("SDBG", "silicon debug is the host's"),
	[12] = HOST("FMA"),
	[13] = HOST("CMPXCHG16B"),
	[15] = HIDDEN("PDCM", "there are no performance counters"),
	[17] = HOST("PCID", CR4(ARCH_CR4_PCIDE)),
	[18] = HIDDEN("DCA", "there is no device that could use it"),
	[19] = HOST("SSE4.1"),
	[20] = HOST("SSE4.2"),
	[21] = EMULATED("x2APIC", FACT(x2apic)),
	[22] = HOST("MOVBE"),
	[23] = HOST("POPCNT"),
	[24] = EMULATED("TSC-Deadline", FACT(tsc_deadline)),
	[25] = HOST("AESNI"),
	[26] = HOST("XSAVE", CR4(ARCH_CR4_OSXSAVE)),
	[CPUID_1_ECX_OSXSAVE] = HIDDEN("OSXSAVE", "it follows CR4.OSXSAVE"),
	[28] = HOST("AVX"),
	[29] = HOST("F16C"),
	[30] = HOST("RDRAND"),
	[31] = EMULATED("HypervisorPresent"),
};

WORD leaf_1_edx[32] = {
	[0] = HOST("FPU"),
	[1] = HOST("VME", CR4(ARCH_CR4_VME | ARCH_CR4_PVI)),
	[2] = HOST("DE", CR4(ARCH_CR4_DE)),
	[3] = HOST("PSE", CR4(ARCH_CR4_PSE)),
	[4] = HOST("TSC", CR4(ARCH_CR4_TSD)),
	[5] = HOST("MSR"),
	[6] = HOST("PAE", CR4(ARCH_CR4_PAE)),
	[7] = HOST("MCE", CR4(ARCH_CR4_MCE)),
	[8] = HOST("CX8"),
	[CPUID_1_EDX_APIC] = HOST("APIC"), /* and only while it is enabled */
	[11] = HOST("SEP"),
	[12] = HOST("MTRR", FACT(mtrr)),
	[13] = HOST("PGE", CR4(ARCH_CR4_PGE)),
	[14] = HOST("MCA", FACT(mce)),
	[15] = HOST("CMOV"),
	[16] = HOST("PAT"),
	[17] = HOST("PSE-36"),
	[18] = HIDDEN("PSN", "the serial number is the host's"),
	[19] = HOST("CLFSH"),
	[21] = HIDDEN("DS", "there is no debug store"),
	[22] = HIDDEN("ACPI", "power and heat are the host's"),
	[23] = HOST("MMX"),
	[24] = HOST("FXSR", CR4(ARCH_CR4_OSFXSR)),
	[25] = HOST("SSE", CR4(ARCH_CR4_OSXMMEXCPT)),
	[26] = HOST("SSE2"),
	[28] = CALLERS("HTT"),
	[29] = HIDDEN("TM", "power and heat are the host's"),
	[31] = HIDDEN("PBE", "power and heat are the host's"),
};

WORD leaf_6_eax[32] = {
	[0] = HIDDEN("Digital temperature sensor", "power and heat are the host's"),
	[1] = HIDDEN("Turbo Boost", "power and heat are the host's"),
	[2] = EMULATED("ARAT"), /* the emulated APIC's timer never stops */
	[7] = HIDDEN("HWP", "power and heat are the host's"),
};

WORD leaf_7_ebx[32] = {
	[0] = HOST("FSGSBASE", CR4(ARCH_CR4_FSGSBASE)),
	[1] = EMULATED("TSC_ADJUST", FACT(tsc_adjust)),
	[2] = HIDDEN("SGX", "enclaves are the host's"),
	[3] = HOST("BMI1"),
	[4] = HIDDEN("HLE", "there is no MSR TSX_CTRL (TAA)"),
	[5] = HOST("AVX2"),
	[7] = HOST("SMEP", CR4(ARCH_CR4_SMEP)),
	[8] = HOST("BMI2"),
	[9] = HOST("ERMS"),
	[CPUID_7_EBX_INVPCID] = HOST("INVPCID"), /* not under shadow paging */
	[11] = HIDDEN("RTM", "there is no MSR TSX_CTRL (TAA)"),
	[12] = HIDDEN("RDT-M", "the caches are the host's"),
	[14] = HIDDEN("MPX", "its registers are not exchanged with the guest"),
	[15] = HIDDEN("RDT-A", "the caches are the host's"),
	[16] = HOST("AVX512F"),
	[17] = HOST("AVX512DQ"),
	[18] = HOST("RDSEED"),
	[19] = HOST("ADX"),
	[20] = HOST("SMAP", CR4(ARCH_CR4_SMAP)),
	[21] = HOST("AVX512_IFMA"),
	[23] = HOST("CLFLUSHOPT"),
	[24] = HOST("CLWB"),
	[25] = HIDDEN("Intel Processor Trace", "traces are the host's"),
	[26] = HOST("AVX512PF"),
	[27] = HOST("AVX512ER"),
	[28] = HOST("AVX512CD"),
	[29] = HOST("SHA"),
	[30] = HOST("AVX512BW"),
	[31] = HOST("AVX512VL"),
};

WORD leaf_7_ecx[32] = {
	[1] = HOST("AVX512_VBMI"),
	[2] = HOST("UMIP", CR4(ARCH_CR4_UMIP)),
	[3] = PKRU("PKU", CR4(ARCH_CR4_PKE)),
	[CPUID_7_ECX_OSPKE] = HIDDEN("OSPKE", "it follows CR4.PKE"),
	[5] = HIDDEN("WAITPKG", "its MSR is not exchanged with the guest"),
	[6] = HOST("AVX512_VBMI2"),
	[7] = HIDDEN("CET_SS", "its MSRs are not exchanged with the guest"),
	[8] = HOST("GFNI"),
	[9] = HOST("VAES"),
	[10] = HOST("VPCLMULQDQ"),
	[11] = HOST("AVX512_VNNI"),
	[12] = HOST("AVX512_BITALG"),
	[13] = HIDDEN("TME_EN", "the memory's keys are the host's"),
	[14] = HOST("AVX512_VPOPCNTDQ"),
	[16] = HOST("LA57", CR4(ARCH_CR4_LA57)),
	[22] = HOST("RDPID", FACT(rdtscp)),
	[23] = HIDDEN("KL", "its keys are not exchanged with the guest"),
	[24] = HIDDEN("BUS_LOCK_DETECT", "DEBUGCTL has no such bit"),
	[27] = HOST("MOVDIRI"),
	[28] = HOST("MOVDIR64B"),
	[29] = HIDDEN("ENQCMD", "its MSR is not exchanged with the guest"),
	[30] = HIDDEN("SGX_LC", "enclaves are the host's"),
	[31] = HIDDEN("PKS", "its MSR is not exchanged with the guest"),
};

WORD leaf_7_edx[32] = {
	[2] = HOST("AVX512_4VNNIW"),
	[3] = HOST("AVX512_4FMAPS"),
	[4] = HOST("FSRM"),
	[5] = HIDDEN("UINTR", "its MSRs are not exchanged with the guest"),
	[8] = HOST("AVX512_VP2INTERSECT"),
	[10] = SYSTEM("MD_CLEAR", HOST_MD_CLEAR),
	[14] = HOST("SERIALIZE"),
	[18] = HIDDEN("PCONFIG", "the memory's keys are the host's"),
	[19] = HIDDEN("Architectural LBRs", "branches are not recorded"),
	[20] = HIDDEN("CET_IBT", "its MSRs are not exchanged with the guest"),
	[22] = HIDDEN("AMX-BF16", "tiles are not exchanged with the guest"),
	[23] = HOST("AVX512_FP16"),
	[24] = HIDDEN("AMX-TILE", "tiles are not exchanged with the guest"),
	[25] = HIDDEN("AMX-INT8", "tiles are not exchanged with the guest"),
	[26] = HIDDEN("IBRS and IBPB", "there is no MSR SPEC_CTRL; IBPB alone has AMD's bit, which Linux knows on Intel's too"),
	[27] = HIDDEN("STIBP", "there is no MSR SPEC_CTRL"),
	[28] = HIDDEN("L1D_FLUSH", "there is no MSR FLUSH_CMD"),
	[29] = SYSTEM("ARCH_CAPABILITIES", HOST_ARCH_CAPABILITIES, FACT(arch_capabilities)),
	[30] = HIDDEN("CORE_CAPABILITIES", "there is no such MSR"),
	[31] = HIDDEN("SSBD", "there is no MSR SPEC_CTRL"),
};

WORD leaf_7_1_eax[32] = {
	[4] = HOST("AVX-VNNI"),
	[5] = HOST("AVX512_BF16"),
	[10] = HOST("fast zero-length REP MOVSB"),
	[11] = HOST("fast short REP STOSB"),
	[12] = HOST("fast short REP CMPSB, SCASB"),
	[17] = HIDDEN("FRED", "its MSRs are not exchanged with the guest"),
	[18] = HIDDEN("LKGS", "it comes with FRED"),
	[26] = HIDDEN("LAM", "a walk of the guest's tables knows no tagged addresses"),
};

WORD leaf_d_1_eax[32] = {
	[0] = HOST("XSAVEOPT"),
	[CPUID_D_1_EAX_XSAVEC] = HOST("XSAVEC"),
	[2] = HOST("XGETBV with ECX = 1"),
	[3] = HIDDEN("XSAVES", "there is no MSR XSS"),
	[4] = HIDDEN("XFD", "there is no MSR XFD"),
};

WORD kvm_eax[32] = {
	[3] = CALLERS("KVM_FEATURE_CLOCKSOURCE2", FACT(kvmclock)),
	[24] = CALLERS("KVM_FEATURE_CLOCKSOURCE_STABLE_BIT", FACT(kvmclock_stable)),
};

WORD extended_1_ecx[32] = {
	[0] = HOST("LahfSahf"),
	[1] = CALLERS("CmpLegacy"),
	[2] = HIDDEN("SVM", "there are no nested guests"),
	[3] = HIDDEN("ExtApicSpace", "the emulated APIC has no such registers"),
	[4] = HIDDEN("AltMovCr8", "the TPR is reached by MOV CR8 and the APIC"),
	[5] = HOST("ABM"),
	[6] = HOST("SSE4A"),
	[7] = HOST("MisAlignSse"),
	[8] = HOST("3DNowPrefetch"),
	[9] = HIDDEN("OSVW", "its MSRs are the host's"),
	[10] = HIDDEN("IBS", "there are no performance counters"),
	[11] = HOST("XOP"),
	[12] = HIDDEN("SKINIT", "there are no nested guests"),
	[13] = HIDDEN("WDT", "the watchdog is the host's"),
	[15] = HIDDEN("LWP", "its state is not exchanged with the guest"),
	[16] = HOST("FMA4"),
	[21] = HOST("TBM"),
	[22] = HOST("TopologyExtensions"),
	[23] = HIDDEN("PerfCtrExtCore", "there are no performance counters"),
	[24] = HIDDEN("PerfCtrExtNB", "there are no performance counters"),
	[26] = HIDDEN("DataBkptExt", "its MSRs are not exchanged with the guest"),
	[27] = HIDDEN("PerfTsc", "there are no performance counters"),
	[28] = HIDDEN("PerfCtrExtLLC", "there are no performance counters"),
	[29] = HIDDEN("MONITORX", "MWAITX would stop the processor"),
};

/* Bits 0 to 17, 23 and 24 repeat leaf 1's, but for 11. */
WORD extended_1_edx[32] = {
	[0] = HOST("FPU"),
	[1] = HOST("VME"),
	[2] = HOST("DE"),
	[3] = HOST("PSE"),
	[4] = HOST("TSC"),
	[5] = HOST("MSR"),
	[6] = HOST("PAE"),
	[7] = HOST("MCE"),
	[8] = HOST("CMPXCHG8B"),
	[9] = HOST("APIC"),
	[11] = HOST("SysCallSysRet", EFER(ARCH_EFER_SCE)),
	[12] = HOST("MTRR"),
	[13] = HOST("PGE"),
	[14] = HOST("MCA"),
	[15] = HOST("CMOV"),
	[16] = HOST("PAT"),
	[17] = HOST("PSE36"),
	[20] = HOST("NX", EFER(ARCH_EFER_NXE)),
	[22] = HOST("MmxExt"),
	[23] = HOST("MMX"),
	[24] = HOST("FXSR"),
	[25] = HOST("FFXSR", EFER(ARCH_EFER_FFXSR)),
	[26] = HOST("Page1GB"),
	[27] = HOST("RDTSCP", FACT(rdtscp)),
	[29] = HOST("LM", EFER(ARCH_EFER_LME | ARCH_EFER_LMA)),
	[30] = HOST("3DNowExt"),
	[31] = HOST("3DNow"),
};

WORD extended_7_edx[32] = {
	[7] = HIDDEN("HwPstate", "power and heat are the host's"),
	[8] = HOST("TscInvariant"),
	[9] = HIDDEN("CPB", "power and heat are the host's"),
	[10] = HIDDEN("EffFreqRO", "power and heat are the host's"),
};

WORD extended_8_ebx[32] = {
	[0] = HOST("CLZERO"),
	[1] = HIDDEN("InstRetCntMsr", "there are no performance counters"),
	[2] = HOST("RstrFpErrPtrs"),
	[3] = HIDDEN("INVLPGB", "guests do not broadcast invalidations"),
	[4] = HIDDEN("RDPRU", "there are no performance counters"),
	[8] = HIDDEN("MCOMMIT", "EFER has no such bit"),
	[9] = HOST("WBNOINVD"),
	[12] = SYSTEM("IBPB", HOST_IBPB, FACT(ibpb)),
	[14] = HIDDEN("IBRS", "there is no MSR SPEC_CTRL"),
	[15] = HIDDEN("STIBP", "there is no MSR SPEC_CTRL"),
	[24] = HIDDEN("SSBD", "there is no MSR SPEC_CTRL"),
	[25] = HIDDEN("VIRT_SPEC_CTRL", "there is no such MSR"),
};

WORD extended_21_eax[32] = {
	[0] = HOST("NoNestedDataBp"),
	[2] = HOST("LFenceAlwaysSerializing"),
	[6] = HOST("NullSelectClearsBase"),
	[8] = HIDDEN("AutomaticIBRS", "EFER has no such bit"),
};

#define ALL ~0u
#define ANY { ALL, ALL, ALL, ALL }
#define LAST ~0u
/* A leaf that describes the processor and has no feature bits. */
#define DESCRIPTION .last = LAST, .host = ANY, .callers = ANY
/* Of a cache all but who shares it, which is the caller's. */
#define CACHES .last = LAST, .subleaves = 8, .host = { 0x3ff, ALL, ALL, ALL }, .callers = ANY

const struct cpuid_leaf cpuid_leaves[] = {
	{ .leaf = 0x0, DESCRIPTION },
	{ .leaf = 0x1, .last = LAST, .host = { ALL, 0xff00, 0, 0 }, .callers = { ALL, ALL, 0, 0 },
	  .bits = { [ECX] = leaf_1_ecx, [EDX] = leaf_1_edx } },
	{ .leaf = 0x2, DESCRIPTION },
	{ .leaf = 0x4, CACHES },
	{ .leaf = 0x6, .last = LAST, .bits = { [EAX] = leaf_6_eax } },
	{ .leaf = 0x7, .last = 0, .subleaves = 1, .own = { 1, 0, 0, 0 }, .callers = { ALL, 0, 0, 0 },
	  .bits = { [EBX] = leaf_7_ebx, [ECX] = leaf_7_ecx, [EDX] = leaf_7_edx } },
	{ .leaf = 0x7, .first = 1, .last = 1, .subleaves = 1, .bits = { [EAX] = leaf_7_1_eax } },
	{ .leaf = 0x7, .first = 2, .last = LAST, .on_request = true },
	{ .leaf = 0xb, .last = 0, .subleaves = 1, .own = { 0, 1, 0x100, 0 }, .callers = ANY },
	{ .leaf = 0xb, .first = 1, .last = LAST, .subleaves = 1, .own = { 0, 1, 0x201, 0 }, .callers = ANY },
	/* XCR0, of which cpuid_supported() offers the components that are exchanged; sizes */
	{ .leaf = 0xd, .last = 0, .subleaves = 1, .host = ANY, .callers = { 0, ALL, ALL, 0 } },
	{ .leaf = 0xd, .first = 1, .last = 1, .subleaves = 1, .callers = { 0, ALL, 0, 0 },
	  .bits = { [EAX] = leaf_d_1_eax } },
	/* a component; ECX: of its alignment in the compacted form alone */
	{ .leaf = 0xd, .first = 2, .last = LAST, .subleaves = 61, .host = { ALL, ALL, BIT(1), 0 }, .callers = ANY },
	/* the signature of a hypervisor without paravirtual leaves: "FermataFrmta" */
	{ .leaf = 0x40000000, .last = LAST, .own = { 0x40000000, 0x6d726546, 0x46617461, 0x61746d72 },
	  .callers = ANY },
	{ .leaf = 0x40000001, .last = LAST, .on_request = true, .bits = { [EAX] = kvm_eax } },
	{ .leaf = 0x80000000, DESCRIPTION },
	{ .leaf = 0x80000001, .last = LAST, .host = { ALL, ALL, 0, 0 }, .callers = { ALL, ALL, 0, 0 },
	  .bits = { [ECX] = extended_1_ecx, [EDX] = extended_1_edx } },
	{ .leaf = 0x80000002, DESCRIPTION },
	{ .leaf = 0x80000003, DESCRIPTION },
	{ .leaf = 0x80000004, DESCRIPTION },
	{ .leaf = 0x80000005, DESCRIPTION },
	{ .leaf = 0x80000006, DESCRIPTION },
	{ .leaf = 0x80000007, .last = LAST, .callers = { ALL, ALL, ALL, 0 },
	  .bits = { [EDX] = extended_7_edx } },
	/* EAX: widths; nested paging gives the guest the host's */
	{ .leaf = 0x80000008, .last = LAST, .host = { 0xffff, 0, 0, 0 }, .callers = { ALL, 0, ALL, ALL },
	  .bits = { [EBX] = extended_8_ebx } },
	{ .leaf = 0x8000001d, CACHES },
	{ .leaf = 0x8000001e, .last = LAST, .callers = ANY },
	{ .leaf = 0x80000021, .last = LAST, .bits = { [EAX] = extended_21_eax } },
};
/* clang-format on */

const u32 cpuid_leaf_count = ARRAY_SIZE(cpuid_leaves);
