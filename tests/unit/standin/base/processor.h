/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Stands in for kernel/base/processor.h, which is found later along the quote path: the processor of
 * the tests is a struct, and its privileged instructions are recorded.
 */
#ifndef CORE_PROCESSOR_H
#define CORE_PROCESSOR_H

#include "host.h"

struct cpu_words {
	u32 eax, ebx, ecx, edx;
};

#define FAKE_MSRS 32
#define FAKE_INVALIDATIONS 64

/* An INVLPGA, INVEPT, INVVPID, or cpu_vmrun(). */
struct fake_invalidation {
	char what; /* 'A', 'E', 'V'; 'R': a VMRUN, by its VMCB's address */
	u64 type, tag, address;
};

struct fake_processor {
	/* CPUID; NULL: an AMD processor that has every feature bit there is */
	struct cpu_words (*cpuid)(u32 leaf, u32 subleaf);
	u64 cr0, cr2, cr3, cr4;
	u64 dr[8];
	struct {
		u32 number;
		u64 value;
	} msr[FAKE_MSRS]; /* written so far, or set by the test */
	u32 msrs;
	u32 pkru, pkru_writes;
	u64 random; /* what RDRAND and RDSEED give; 0: nothing */
	u32 msr_writes, dr_writes, cr2_writes, nmis, stgis;
	struct fake_invalidation invalidation[FAKE_INVALIDATIONS];
	u32 invalidations;
	u32 refused_msr;		     /* one that takes nothing; 0: none */
	u32 refused_invept, refused_invvpid; /* 1 << type: those that fail */
};
extern struct fake_processor fake_processor;

void fake_processor_reset(void);
struct cpu_words fake_cpuid(u32 leaf, u32 subleaf); /* the default */
u64 *fake_msr(u32 number);			    /* as it is; made, 0, when it is not there */

struct cpu_words cpu_cpuid(u32 leaf, u32 subleaf);
u64 cpu_rdmsr(u32 msr);
void cpu_wrmsr(u32 msr, u64 value); /* ends the test where a processor would raise #GP */
bool cpu_wrmsr_checked(u32 msr, u64 value);
u64 cpu_cr0(void);
u64 cpu_cr2(void);
void cpu_write_cr2(u64 value);
u64 cpu_cr3(void);
u64 cpu_cr4(void);
void cpu_write_dr(u32 number, u64 value);
u32 cpu_rdpkru(void);
void cpu_wrpkru(u32 value);
bool cpu_rdrand(u64 *value);
bool cpu_rdseed(u64 *value);
void cpu_nmi(void);
void cpu_vmsave(u64 pa);
void cpu_vmrun(u64 pa); /* recorded as an invalidation */
void cpu_stgi(void);
void cpu_invlpga(u64 linear, u32 asid);
bool cpu_invept(u64 type, u64 eptp);
bool cpu_invvpid(u64 type, u16 vpid, u64 linear);

#endif
