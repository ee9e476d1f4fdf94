/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Instructions that C has no word for. */
#ifndef CORE_PROCESSOR_H
#define CORE_PROCESSOR_H

#include "host.h"

struct cpu_words {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpu_words cpu_cpuid(u32 leaf, u32 subleaf)
{
	struct cpu_words r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

static inline u64 cpu_rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void cpu_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 cpu_cr0(void)
{
	u64 value;

	asm volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline u64 cpu_cr2(void)
{
	u64 value;

	asm volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline void cpu_write_cr2(u64 value)
{
	asm volatile("mov %0, %%cr2" : : "r"(value));
}

static inline u64 cpu_cr3(void)
{
	u64 value;

	asm volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline u64 cpu_cr4(void)
{
	u64 value;

	asm volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void cpu_write_dr(u32 number, u64 value)
{
	switch (number) {
	case 0:
		asm volatile("mov %0, %%dr0" : : "r"(value));
		break;
	case 1:
		asm volatile("mov %0, %%dr1" : : "r"(value));
		break;
	case 2:
		asm volatile("mov %0, %%dr2" : : "r"(value));
		break;
	case 3:
		asm volatile("mov %0, %%dr3" : : "r"(value));
		break;
	case 7:
		asm volatile("mov %0, %%dr7" : : "r"(value));
		break;
	}
}

/* False: there is no number now. */
static inline bool cpu_rdrand(u64 *value)
{
	bool good;

	asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
	return good;
}

static inline bool cpu_rdseed(u64 *value)
{
	bool good;

	asm volatile("rdseed %0" : "=r"(*value), "=@ccc"(good));
	return good;
}

/* Hands an NMI that ended a guest's turn to the host's handler. */
static inline void cpu_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

/* Hands a machine check that arrived while a guest ran to the host's handler. */
static inline void cpu_machine_check(void)
{
	asm volatile("int $18" : : : "memory");
}

#endif
