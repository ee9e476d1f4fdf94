/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* MSRs: what is there keeps its value, what is not raises #GP(0), and none kills the VM. */
#include "guest.h"

GUEST(.seconds = 60);

static void reads_back(u32 msr, u64 value, const char *name)
{
	u64 old = try_rdmsr(msr), got;

	if (!check_no_fault(name))
		return;
	try_wrmsr(msr, value);
	got = rdmsr(msr);
	if (fault.vector != NO_FAULT || got != value) {
		check(false, name);
		say("# wrote %lx, vector %u, read %lx\n", value, (u32)fault.vector, got);
	}
	wrmsr(msr, old);
}

static void refuses(u32 msr, u64 value, const char *name)
{
	u64 old = rdmsr(msr);

	try_wrmsr(msr, value);
	if (check_fault(GP, 0, name))
		check_eq(rdmsr(msr), old, "... and it is unchanged");
}

static void absent(u32 msr, const char *name)
{
	try_rdmsr(msr);
	check_fault(GP, 0, name);
	try_wrmsr(msr, 0);
	check_fault(GP, 0, "... on writes too");
}

static void pass_through(void)
{
	reads_back(0xc0000100, 0x00007123456789ab, "FS_BASE");
	reads_back(0xc0000101, 0xffff8123456789ab, "GS_BASE");
	reads_back(0xc0000102, 0x00007fedcba98765, "KERNEL_GS_BASE");
	reads_back(0xc0000081, 0x0023001012345678, "STAR");
	reads_back(0xc0000082, 0xffffffff81000000, "LSTAR");
	reads_back(0xc0000083, 0xffffffff81000040, "CSTAR");
	reads_back(0xc0000084, 0x47700, "SFMASK");
	reads_back(0x174, 0x10, "SYSENTER_CS");
	reads_back(0x175, 0xffffffff82000000, "SYSENTER_ESP");
	reads_back(0x176, 0xffffffff83000000, "SYSENTER_EIP");

	wrmsr(0xc0000101, 0x1111000);
	wrmsr(0xc0000102, 0x2222000);
	asm volatile("swapgs" : : : "memory");
	check(rdmsr(0xc0000101) == 0x2222000 && rdmsr(0xc0000102) == 0x1111000,
	      "SWAPGS exchanges GS_BASE and KERNEL_GS_BASE (SDM 2B SWAPGS)");
	cpuid(0, 0);
	call_runner(CALL_NOTHING, 0);
	check(rdmsr(0xc0000101) == 0x2222000 && rdmsr(0xc0000102) == 0x1111000,
	      "and they survive exits to the kernel and beyond");
}

static void ours(void)
{
	reads_back(MSR_PAT, 0x0007040600070406, "PAT");
	refuses(MSR_PAT, 0x0007040600070402, "PAT: memory type 2 is reserved (SDM 3A 11.12.2)");
	refuses(MSR_PAT, 0x0807040600070406, "PAT: types above 7 are reserved");
	if (cpuid(0x80000001, 0).d >> 27 & 1) {
		reads_back(MSR_TSC_AUX, 0x89abcdef, "TSC_AUX");
		refuses(MSR_TSC_AUX, BIT(32), "TSC_AUX[63:32] is reserved (SDM 4)");
	}
	check_eq(rdmsr(MSR_APIC_BASE), APIC_BASE_ADDRESS | BIT(11) | BIT(8),
		 "APIC_BASE: enabled, boot processor");
	refuses(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1,
		"APIC_BASE[7:0] is reserved (SDM 3A 10.4.4)");
	refuses(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(60),
		"APIC_BASE above MAXPHYADDR is reserved");
	refuses(MSR_APIC_BASE, APIC_BASE_ADDRESS | BIT(8) | BIT(10),
		"x2APIC without enable is illegal (SDM 3A 10.12.5)");
	reads_back(MSR_TSC_ADJUST, 0, "TSC_ADJUST");
	check_eq(try_rdmsr(0x8b), ~0ull, "the microcode is newer than any fix");
}

static void efer(void)
{
	u64 old = rdmsr(MSR_EFER);

	check_eq(old, 0xd01, "EFER has NXE, LMA, LME and SCE");
	refuses(MSR_EFER, old | BIT(12), "EFER.SVME does not exist here (APM 2 3.1.7)");
	refuses(MSR_EFER, old | BIT(1), "EFER[7:1] is reserved");
	refuses(MSR_EFER, old | BIT(9), "EFER[9] is reserved");
	refuses(MSR_EFER, old | BIT(63), "EFER[63] is reserved");
	refuses(MSR_EFER, old & ~EFER_LME, "LME cannot change under paging (SDM 3A 4.1)");
	try_wrmsr(MSR_EFER, old & ~1ull);
	check_eq(rdmsr(MSR_EFER), old & ~1ull, "SCE can be cleared");
	ATTEMPT("syscall", : : : "rcx", "r11", "memory");
	check_fault(UD, 0, "SYSCALL without SCE: #UD (SDM 2B SYSCALL)");
	wrmsr(MSR_EFER, old);
}

static void mtrr(void)
{
	u64 cap;

	if (!(cpuid(1, 0).d >> 12 & 1)) {
		skip("MTRRs", "CPUID has none");
		return;
	}
	cap = rdmsr(0xfe);
	check((cap & 0xff) >= 1, "there are variable-range MTRRs (SDM 3A 11.11.1)");
	try_wrmsr(0xfe, cap);
	check_fault(GP, 0, "MTRRCAP is read-only");
	for (u32 i = 0; i < (cap & 0xff); i++) {
		u64 base = rdmsr(0x200 + 2 * i);

		wrmsr(0x200 + 2 * i, 0x80000000ull + i * 0x1000 + 6);
		if (rdmsr(0x200 + 2 * i) != 0x80000000ull + i * 0x1000 + 6)
			check(false, "a variable MTRR reads back");
		wrmsr(0x200 + 2 * i, base);
	}
	reads_back(0x201, 0xff0000800, "PHYSMASK0");
	refuses(0x200, 0x80000002, "PHYSBASE0: type 2 is reserved (SDM 3A 11.11.2.3)");
	refuses(0x200, 0x80000106, "PHYSBASE0[11:8] is reserved");
	refuses(0x201, BIT(62) | 0x800, "PHYSMASK0 above MAXPHYADDR is reserved");
	refuses(0x201, 1, "PHYSMASK0[10:0] is reserved");
	refuses(0x2ff, 2, "DEF_TYPE: type 2 is reserved (SDM 3A 11.11.2.1)");
	refuses(0x2ff, BIT(12), "DEF_TYPE[63:12] is reserved");
	reads_back(0x250, 0x0606060606060606, "FIX64K_00000");
	reads_back(0x26f, 0x0505050505050505, "FIX4K_F8000");
	refuses(0x26f, 0x0505050505050502, "FIX4K_F8000: type 2 is reserved (SDM 3A 11.11.2.2)");
	try_rdmsr(0x200 + 2 * (cap & 0xff));
	check_fault(GP, 0, "behind the last variable MTRR there is none");
}

static u32 sweep(u32 first, u32 count)
{
	u32 there = 0;

	for (u32 i = 0; i < count; i++) {
		try_rdmsr(first + i);
		if (fault.vector == NO_FAULT) {
			there++;
		} else if (fault.vector != GP || fault.code) {
			check(false, "reading an MSR gives a value or #GP(0)");
			say("# %x: vector %u\n", first + i, (u32)fault.vector);
		}
	}
	return there;
}

/* Unknown writes, all ones and all zeros, everywhere but to what would take the machine apart. */
static u32 write_sweep(u32 first, u32 count)
{
	u32 refused = 0;

	for (u32 i = 0; i < count; i++) {
		u32 msr = first + i;

		try_rdmsr(msr);
		if (fault.vector == NO_FAULT || (msr >= 0x800 && msr < 0x900))
			continue;
		try_wrmsr(msr, ~0ull);
		refused += fault.vector == GP;
	}
	return refused;
}

void guest_main(u32 run)
{
	pass_through();
	ours();
	efer();
	mtrr();
	absent(0x12345, "an MSR in no range: #GP(0)");
	absent(0x4b564d00, "KVM's clock, unless it is asked for: #GP(0)");
	absent(0x4b564d01, "... and its page");
	absent(0x40000000, "another hypervisor's MSR: #GP(0)");
	absent(0xc0010117, "VM_HSAVE_PA is hidden (APM 2 15.30.4)");
	absent(0x3a, "FEATURE_CONTROL is hidden");
	absent(0x480, "VMX_BASIC is hidden");
	absent(0xc1, "PMC0 is hidden");
	absent(0xc0010200, "PERF_CTL0 is hidden");
	absent(0xffffffff, "the last MSR: #GP(0)");
	try_rdmsr(0xc0010114);
	check(fault.vector == GP || (fault.vector == NO_FAULT && rdmsr(0xc0010114) & BIT(4)),
	      "VM_CR says that SVM is off (APM 2 15.30.1)");
	check(sweep(0, 0x2000) > 10, "0..1FFFh can be read");
	check(sweep(0xc0000000, 0x2000) > 5, "C000_0000h..C000_1FFFh can be read");
	check(sweep(0xc0010000, 0x2000) < 0x100,
	      "C001_0000h..C001_1FFFh can be read, and holds few");
	check(write_sweep(0, 0x2000) > 0x1000, "unreadable ones in 0..1FFFh can be written to");
	check(write_sweep(0xc0010000, 0x2000) > 0x1000, "... and in C001_0000h..C001_1FFFh");
}
