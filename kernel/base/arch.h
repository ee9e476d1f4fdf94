/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Architectural registers that both vendors share: bits and numbers by the manuals' names
 * (SDM 3A 2.5, APM 2 3.1; MSRs: SDM 4, APM 2 appendix A).
 */
#ifndef BASE_ARCH_H
#define BASE_ARCH_H

#include "host.h"

#define ARCH_CR0_PE BIT_ULL(0)
#define ARCH_CR0_MP BIT_ULL(1)
#define ARCH_CR0_EM BIT_ULL(2)
#define ARCH_CR0_TS BIT_ULL(3)
#define ARCH_CR0_ET BIT_ULL(4)
#define ARCH_CR0_NE BIT_ULL(5)
#define ARCH_CR0_WP BIT_ULL(16)
#define ARCH_CR0_AM BIT_ULL(18)
#define ARCH_CR0_NW BIT_ULL(29)
#define ARCH_CR0_CD BIT_ULL(30)
#define ARCH_CR0_PG BIT_ULL(31)
#define ARCH_CR0_DEFINED                                                                           \
	(ARCH_CR0_PE | ARCH_CR0_MP | ARCH_CR0_EM | ARCH_CR0_TS | ARCH_CR0_ET | ARCH_CR0_NE |       \
	 ARCH_CR0_WP | ARCH_CR0_AM | ARCH_CR0_NW | ARCH_CR0_CD | ARCH_CR0_PG)

#define ARCH_CR4_VME BIT_ULL(0)
#define ARCH_CR4_PVI BIT_ULL(1)
#define ARCH_CR4_TSD BIT_ULL(2)
#define ARCH_CR4_DE BIT_ULL(3)
#define ARCH_CR4_PSE BIT_ULL(4)
#define ARCH_CR4_PAE BIT_ULL(5)
#define ARCH_CR4_MCE BIT_ULL(6)
#define ARCH_CR4_PGE BIT_ULL(7)
#define ARCH_CR4_PCE BIT_ULL(8)
#define ARCH_CR4_OSFXSR BIT_ULL(9)
#define ARCH_CR4_OSXMMEXCPT BIT_ULL(10)
#define ARCH_CR4_UMIP BIT_ULL(11)
#define ARCH_CR4_LA57 BIT_ULL(12)
#define ARCH_CR4_FSGSBASE BIT_ULL(16)
#define ARCH_CR4_PCIDE BIT_ULL(17)
#define ARCH_CR4_OSXSAVE BIT_ULL(18)
#define ARCH_CR4_SMEP BIT_ULL(20)
#define ARCH_CR4_SMAP BIT_ULL(21)
#define ARCH_CR4_PKE BIT_ULL(22)
#define ARCH_CR4_CET BIT_ULL(23)
#define ARCH_CR4_FRED BIT_ULL(32)

#define ARCH_XCR0_PKRU BIT_ULL(9) /* SDM 1 13.1 */

#define ARCH_EFER_SCE BIT_ULL(0)
#define ARCH_EFER_LME BIT_ULL(8)
#define ARCH_EFER_LMA BIT_ULL(10)
#define ARCH_EFER_NXE BIT_ULL(11)
#define ARCH_EFER_SVME BIT_ULL(12)
#define ARCH_EFER_LMSLE BIT_ULL(13)
#define ARCH_EFER_FFXSR BIT_ULL(14)
#define ARCH_EFER_TCE BIT_ULL(15)
#define ARCH_EFER_MCOMMIT BIT_ULL(17)
#define ARCH_EFER_INTWB BIT_ULL(18)
#define ARCH_EFER_UAIE BIT_ULL(20)
#define ARCH_EFER_AIBRSE BIT_ULL(21)

#define ARCH_RFLAGS_CF BIT_ULL(0)
#define ARCH_RFLAGS_FIXED BIT_ULL(1)
#define ARCH_RFLAGS_ARITHMETIC 0x8d5ull /* CF PF AF ZF SF OF */
#define ARCH_RFLAGS_TF BIT_ULL(8)
#define ARCH_RFLAGS_IF BIT_ULL(9)
#define ARCH_RFLAGS_RF BIT_ULL(16)
#define ARCH_RFLAGS_VM BIT_ULL(17)
#define ARCH_RFLAGS_AC BIT_ULL(18)
#define ARCH_RFLAGS_DEFINED 0x3f7fd7ull

#define ARCH_DR7_GD BIT_ULL(13)
#define ARCH_DR7_ENABLES 0xffull
#define ARCH_DR7_FIXED BIT_ULL(10)
#define ARCH_DR6_FIXED 0xffff0ff0ull
#define ARCH_DR6_BD BIT_ULL(13)
#define ARCH_DR6_BS BIT_ULL(14)

#define ARCH_SEG_S BIT(4)
#define ARCH_SEG_P BIT(7)
#define ARCH_SEG_L BIT(9)
#define ARCH_SEG_DB BIT(10)

enum arch_vector {
	ARCH_DB = 1,
	ARCH_NMI = 2,
	ARCH_BP = 3,
	ARCH_OF = 4,
	ARCH_UD = 6,
	ARCH_DF = 8,
	ARCH_GP = 13,
	ARCH_PF = 14,
	ARCH_AC = 17,
	ARCH_MC = 18,
	ARCH_CP = 21,
};

#define ARCH_MSR_TSC 0x10
#define ARCH_MSR_PLATFORM_ID 0x17
#define ARCH_MSR_APIC_BASE 0x1b
#define ARCH_MSR_TSC_ADJUST 0x3b
#define ARCH_MSR_PRED_CMD 0x49
#define ARCH_MSR_UCODE_REV 0x8b
#define ARCH_MSR_MTRRCAP 0xfe
#define ARCH_MSR_ARCH_CAPABILITIES 0x10a
#define ARCH_MSR_SYSENTER_CS 0x174
#define ARCH_MSR_SYSENTER_ESP 0x175
#define ARCH_MSR_SYSENTER_EIP 0x176
#define ARCH_MSR_MCG_CAP 0x179
#define ARCH_MSR_MCG_STATUS 0x17a
#define ARCH_MSR_MISC_ENABLE 0x1a0
#define ARCH_MSR_DEBUGCTL 0x1d9
#define ARCH_MSR_MTRR_PHYS_BASE0 0x200
#define ARCH_MSR_MTRR_PHYS_LAST 0x20f
#define ARCH_MSR_MTRR_FIX64K_00000 0x250
#define ARCH_MSR_MTRR_FIX16K_80000 0x258
#define ARCH_MSR_MTRR_FIX16K_A0000 0x259
#define ARCH_MSR_MTRR_FIX4K_C0000 0x268
#define ARCH_MSR_MTRR_FIX4K_F8000 0x26f
#define ARCH_MSR_PAT 0x277
#define ARCH_MSR_MTRR_DEF_TYPE 0x2ff
#define ARCH_MSR_PERF_GLOBAL_CTRL 0x38f
#define ARCH_MSR_PEBS_ENABLE 0x3f1
#define ARCH_MSR_TSC_DEADLINE 0x6e0
#define ARCH_MSR_EFER 0xc0000080
#define ARCH_MSR_STAR 0xc0000081
#define ARCH_MSR_LSTAR 0xc0000082
#define ARCH_MSR_CSTAR 0xc0000083
#define ARCH_MSR_SFMASK 0xc0000084
#define ARCH_MSR_FS_BASE 0xc0000100
#define ARCH_MSR_GS_BASE 0xc0000101
#define ARCH_MSR_KERNEL_GS_BASE 0xc0000102
#define ARCH_MSR_TSC_RATIO 0xc0000104
#define ARCH_MSR_TSC_AUX 0xc0000103
#define ARCH_MSR_SYSCFG 0xc0010010
#define ARCH_MSR_HWCR 0xc0010015
#define ARCH_MSR_KVM_WALL_CLOCK 0x4b564d00
#define ARCH_MSR_KVM_SYSTEM_TIME 0x4b564d01
#define ARCH_MSR_INT_PENDING 0xc0010055
#define ARCH_MSR_VM_CR 0xc0010114
#define ARCH_MSR_VM_HSAVE_PA 0xc0010117
#define ARCH_MSR_DC_CFG 0xc0011022
#define ARCH_MSR_DE_CFG 0xc0011029

#define ARCH_PAT_RESET 0x0007040600070406ull

/* UC, WC, WT, WP, WB, UC- (SDM 3A 12.12.2, APM 2 7.8.1) */
static inline bool arch_pat_type_valid(u8 type)
{
	return type < 8 && type != 2 && type != 3;
}

/* What DR6 and DR7 hold after a write: the bits that exist, and those that are always 1. */
static inline u64 arch_dr6(u64 value)
{
	return (value & 0xe00f) | ARCH_DR6_FIXED;
}

static inline u64 arch_dr7(u64 value)
{
	return (value & 0xffff2bff) | ARCH_DR7_FIXED;
}

/* Those whose R/W field is 01b or 11b are about data: they lose their enables (SDM 3B 17.2.4). */
static inline u64 arch_dr7_without_data(u64 dr7)
{
	for (u32 i = 0; i < 4; i++)
		if (dr7 >> (16 + 4 * i) & 1)
			dr7 &= ~(3ull << 2 * i);
	return dr7;
}

static inline bool arch_canonical(u64 address, u32 bits)
{
	return (u64)((s64)(address << (64 - bits)) >> (64 - bits)) == address;
}

/* 0, 1, 3-8, 10-14, 16-21, 28-30 (APM 2 8.1): VMRUN refuses others as exceptions (APM 2 15.20). */
#define ARCH_EXCEPTIONS 0x703f7dfbu

static inline bool arch_is_exception(u32 vector)
{
	return vector < 32 && ARCH_EXCEPTIONS >> vector & 1;
}

/* Of those that a rule may inject: a processor refuses the others with a code, and these without. */
static inline bool arch_takes_code(u32 vector)
{
	return vector < 32 && 0x27d00u >> vector & 1; /* 8, 10-14, 17 (SDM 3C 27.2.1.3) */
}

static inline bool arch_has_code(u32 vector)
{
	return vector < 32 && 0x60227d00u >> vector & 1; /* 8, 10-14, 17, 21, 29, 30 */
}

#endif
