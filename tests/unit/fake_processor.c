/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "standin/base/processor.h"
#include "base/arch.h"

struct fake_processor fake_processor;

void fake_processor_reset(void)
{
	memset(&fake_processor, 0, sizeof(fake_processor));
}

/* XSAVE's components as processors lay them out: AVX, the three of AVX-512, PKRU. */
static struct cpu_words xsave_leaf(u32 subleaf)
{
	static const struct cpu_words component[] = {
		[2] = { 256, 576, 0, 0 },   [5] = { 64, 1088, 0, 0 }, [6] = { 512, 1152, 0, 0 },
		[7] = { 1024, 1664, 0, 0 }, [9] = { 8, 2688, 0, 0 },
	};

	if (subleaf == 0)
		return (struct cpu_words){ 0x2e7, 2696, 2696, 0 };
	if (subleaf == 1)
		return (struct cpu_words){ ~0u, 2696, ~0u, ~0u };
	return subleaf < ARRAY_SIZE(component) ? component[subleaf] : (struct cpu_words){ 0 };
}

struct cpu_words fake_cpuid(u32 leaf, u32 subleaf)
{
	static const struct cpu_words all = { ~0u, ~0u, ~0u, ~0u };

	switch (leaf) {
	case 0:
		return (struct cpu_words){ 0x10, 0x68747541, 0x444d4163, 0x69746e65 };
	case 1:
		return (struct cpu_words){ 0x00830f10, 0x05100800, ~0u, ~0u };
	case 7:
		return subleaf == 0 ? (struct cpu_words){ 1, ~0u, ~0u, ~0u } :
		       subleaf == 1 ? all :
				      (struct cpu_words){ 0 };
	case 0xd:
		return xsave_leaf(subleaf);
	case 0x80000000:
		return (struct cpu_words){ 0x80000028, 0x68747541, 0x444d4163, 0x69746e65 };
	case 0x80000008:
		return (struct cpu_words){ 0x00003030, ~0u, 0x400f, 0 };
	case 0x8000001d:
		return subleaf < 4 ? (struct cpu_words){ 0x1c004121, 0x01c0003f, 63, 0 } :
				     (struct cpu_words){ 0 };
	case 0x80000001 ... 0x80000007:
	case 0x80000009 ... 0x8000001c:
	case 0x8000001e ... 0x80000028:
		return all;
	case 2 ... 6:
	case 8 ... 0xc:
	case 0xe ... 0x10:
		return leaf == 4 ? (struct cpu_words){ 0 } : all;
	}
	return (struct cpu_words){ 0 };
}

struct cpu_words cpu_cpuid(u32 leaf, u32 subleaf)
{
	return fake_processor.cpuid ? fake_processor.cpuid(leaf, subleaf) :
				      fake_cpuid(leaf, subleaf);
}

u64 *fake_msr(u32 number)
{
	u32 i;

	for (i = 0; i < fake_processor.msrs; i++)
		if (fake_processor.msr[i].number == number)
			return &fake_processor.msr[i].value;
	if (i == FAKE_MSRS) {
		fprintf(stderr, "fake processor: too many MSRs\n");
		abort();
	}
	fake_processor.msr[i].number = number;
	fake_processor.msrs++;
	return &fake_processor.msr[i].value;
}

u64 cpu_rdmsr(u32 msr)
{
	return *fake_msr(msr);
}

/* By the manuals: SDM 2B WRMSR and 4 2.1, APM 2 3.1.7 and appendix A. */
static bool msr_takes(u32 msr, u64 value)
{
	if (msr == fake_processor.refused_msr)
		return false;
	switch (msr) {
	case ARCH_MSR_LSTAR:
	case ARCH_MSR_CSTAR:
	case ARCH_MSR_FS_BASE:
	case ARCH_MSR_GS_BASE:
	case ARCH_MSR_KERNEL_GS_BASE:
		return arch_canonical(value, 57);
	case ARCH_MSR_SFMASK:
	case ARCH_MSR_TSC_AUX:
		return !(value >> 32);
	case ARCH_MSR_PRED_CMD:
		return value <= 1;
	case ARCH_MSR_TSC_RATIO:
		return !(value >> 40);
	}
	return true;
}

bool cpu_wrmsr_checked(u32 msr, u64 value)
{
	if (!msr_takes(msr, value))
		return false;
	*fake_msr(msr) = value;
	fake_processor.msr_writes++;
	return true;
}

void cpu_wrmsr(u32 msr, u64 value)
{
	if (cpu_wrmsr_checked(msr, value))
		return;
	fprintf(stderr, "fake processor: #GP, WRMSR of %#llx to MSR %#x\n",
		(unsigned long long)value, msr);
	abort();
}

u64 cpu_cr0(void)
{
	return fake_processor.cr0;
}

u64 cpu_cr2(void)
{
	return fake_processor.cr2;
}

void cpu_write_cr2(u64 value)
{
	fake_processor.cr2 = value;
	fake_processor.cr2_writes++;
}

u64 cpu_cr3(void)
{
	return fake_processor.cr3;
}

u64 cpu_cr4(void)
{
	return fake_processor.cr4;
}

void cpu_write_dr(u32 number, u64 value)
{
	fake_processor.dr[number] = value;
	fake_processor.dr_writes++;
}

u32 cpu_rdpkru(void)
{
	return fake_processor.pkru;
}

void cpu_wrpkru(u32 value)
{
	fake_processor.pkru = value;
	fake_processor.pkru_writes++;
}

bool cpu_rdrand(u64 *value)
{
	*value = fake_processor.random;
	return *value;
}

bool cpu_rdseed(u64 *value)
{
	return cpu_rdrand(value);
}

void cpu_nmi(void)
{
	fake_processor.nmis++;
}

static void invalidate(char what, u64 type, u64 tag, u64 address)
{
	if (fake_processor.invalidations == FAKE_INVALIDATIONS) {
		fprintf(stderr, "fake processor: too many invalidations\n");
		abort();
	}
	fake_processor.invalidation[fake_processor.invalidations++] =
		(struct fake_invalidation){ what, type, tag, address };
}

void cpu_vmsave(u64 pa)
{
}

void cpu_vmrun(u64 pa)
{
	invalidate('R', 0, 0, pa);
}

void cpu_stgi(void)
{
	fake_processor.stgis++;
}

void cpu_invlpga(u64 linear, u32 asid)
{
	invalidate('A', 0, asid, linear);
}

bool cpu_invept(u64 type, u64 eptp)
{
	if (fake_processor.refused_invept & BIT(type))
		return false;
	invalidate('E', type, 0, eptp);
	return true;
}

bool cpu_invvpid(u64 type, u16 vpid, u64 linear)
{
	if (fake_processor.refused_invvpid & BIT(type))
		return false;
	invalidate('V', type, vpid, linear);
	return true;
}
