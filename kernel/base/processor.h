/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Instructions that C has no word for. */
#ifndef BASE_PROCESSOR_H
#define BASE_PROCESSOR_H

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

/* Of an MSR that may not be there. */
static inline u64 cpu_rdmsr_or_zero(u32 msr)
{
	u32 low = 0, high = 0;

	asm volatile(HOST_MAY_FAULT("rdmsr") : "+a"(low), "+d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void cpu_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* As cpu_wrmsr(), for a value that came from a guest or a caller. False: the processor does not take it. */
static inline bool cpu_wrmsr_checked(u32 msr, u64 value)
{
	asm goto(HOST_FAULT_TO(refused, "wrmsr")
		 :
		 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
		 : "memory"
		 : refused);
	return true;
refused:
	return false;
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

/* With CR4.PKE (SDM 2B RDPKRU, WRPKRU). */
static inline u32 cpu_rdpkru(void)
{
	u32 value, zero;

	asm volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
	return value;
}

static inline void cpu_wrpkru(u32 value)
{
	asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
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

/* SVM: what is cached of one page's linear address under an ASID (APM 3 INVLPGA). */
static inline void cpu_invlpga(u64 linear, u32 asid)
{
	asm volatile(HOST_MAY_FAULT("invlpga %%rax, %%ecx") : : "a"(linear), "c"(asid) : "memory");
}

/* SVM: of the host's registers what VMLOAD brings back: FS, GS, TR, LDTR, the syscall MSRs (APM 3 VMSAVE). */
static inline void cpu_vmsave(u64 pa)
{
	asm volatile(HOST_MAY_FAULT("vmsave %%rax") : : "a"(pa) : "memory");
}

/*
 * SVM: of a guest that exits before its first instruction, for what VMRUN itself does; interrupts are off. Of the
 * host's registers but DR7 nothing changes that the exit does not bring back (APM 2 15.6).
 */
static inline void cpu_vmrun(u64 pa)
{
	asm volatile(HOST_MAY_FAULT("clgi") "\n" HOST_MAY_FAULT("vmrun %%rax") "\n" HOST_MAY_FAULT(
			     "stgi")
		     :
		     : "a"(pa)
		     : "cc", "memory");
}

/* SVM: interrupts, NMIs and INIT come again (APM 3 STGI). */
static inline void cpu_stgi(void)
{
	asm volatile(HOST_MAY_FAULT("stgi") : : : "memory");
}

/* VT-x: SDM 3C 31.3, INVEPT and INVVPID. False: the processor refused. */
static inline bool cpu_invept(u64 type, u64 eptp)
{
	u64 descriptor[2] = { eptp, 0 };
	bool refused;

	asm volatile(HOST_MAY_FAULT("invept %1, %2")
		     : "=@ccna"(refused)
		     : "m"(descriptor), "r"(type)
		     : "cc", "memory");
	return !refused;
}

static inline bool cpu_invvpid(u64 type, u16 vpid, u64 linear)
{
	u64 descriptor[2] = { vpid, linear };
	bool refused;

	asm volatile(HOST_MAY_FAULT("invvpid %1, %2")
		     : "=@ccna"(refused)
		     : "m"(descriptor), "r"(type)
		     : "cc", "memory");
	return !refused;
}

/*
 * VT-x: hands an NMI that ended a guest's turn to the host's handler. NMIs are blocked as they would be in it (SDM
 * 3C 28.3.3), INT takes the stack that the gate names, as an NMI does, and the handler's IRET unblocks them. Under
 * FRED there is no gate, and an INT of the kernel's is an error: such hosts are refused (FERMATA_BLOCK_FRED).
 */
static inline void cpu_nmi(void)
{
	asm volatile("int $2" : : : "memory");
}

#endif
