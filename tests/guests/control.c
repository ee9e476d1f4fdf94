/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* CR0, CR4, CR8, XCR0: legal values work, illegal ones raise #GP(0). */
#include "guest.h"

GUEST();

static void try_cr0(u64 value)
{
	ATTEMPT("mov %0, %%cr0", : : "r"(value) : "memory");
}

static void try_cr4(u64 value)
{
	ATTEMPT("mov %0, %%cr4", : : "r"(value) : "memory");
}

static void cr0(void)
{
	u64 old = read_cr0();
	u16 word;

	check_eq(old, 0x80010033, "CR0 is what the runner set");
	try_cr0((old ^ CR0_NE) | BIT(32));
	check_fault(GP, 0, "CR0[63:32] is reserved (SDM 3A 2.5)");
	try_cr0(old & ~CR0_PE);
	check_fault(GP, 0, "PG without PE is illegal (SDM 3A 2.5)");
	try_cr0(old | CR0_NW);
	check_fault(GP, 0, "NW without CD is illegal");
	try_cr0(old & ~CR0_PG);
	check_fault(GP, 0, "64-bit code cannot clear PG (SDM 3A 4.1.2)");
	check_eq(read_cr0(), old, "after all that CR0 is unchanged");

	try_cr0(old | CR0_CD);
	check_no_fault("CD can be set");
	check_eq(read_cr0(), old | CR0_CD, "and reads back");
	write_cr0(old | CR0_CD | CR0_NW);
	check_eq(read_cr0(), old | CR0_CD | CR0_NW, "NW with CD reads back");
	asm volatile("wbinvd" : : : "memory");
	asm volatile("smsw %0" : "=r"(word));
	check_eq(word, old & 0xffff, "SMSW under CD");
	asm volatile("clts" : : : "memory");
	check_eq(read_cr0(), old | CR0_CD | CR0_NW, "CLTS under CD");
	write_cr0(old);
	check_eq(read_cr0(), old, "CD and NW can be cleared");
	write_cr0(old & ~CR0_NE & ~BIT(4));
	check_eq(read_cr0(), old & ~CR0_NE, "ET stays 1 (SDM 3A 2.5)");
	write_cr0(old);
}

static void machine_status_word(void)
{
	u64 old = read_cr0(), wide = 0;
	u16 word;

	write_cr0(old | CR0_TS);
	check_eq(read_cr0(), old | CR0_TS, "TS reads back");
	ATTEMPT("fnop", : : : "memory");
	check_fault(NM, 0, "x87 under TS: #NM (SDM 3A 2.5)");
	asm volatile("clts" : : : "memory");
	check_eq(read_cr0(), old, "CLTS clears TS");
	ATTEMPT("fnop", : : : "memory");
	check_no_fault("x87 after CLTS");
	asm volatile("lmsw %w0" : : "r"(0xb) : "memory"); /* PE MP TS */
	check_eq(read_cr0() & 0xf, 0xb, "LMSW sets TS");
	asm volatile("lmsw %w0" : : "r"(2) : "memory");
	check_eq(read_cr0() & 0xf, 3, "LMSW clears TS, but not PE (SDM 2A LMSW)");
	word = 0xb;
	asm volatile("lmsw %0" : : "m"(word) : "memory");
	check_eq(read_cr0() & 0xf, 0xb, "LMSW from memory");
	asm volatile("clts" : : : "memory");
	asm volatile("lmsw %w0" : : "r"(0xfff3) : "memory");
	check_eq(read_cr0(), old, "LMSW changes nothing above bit 3");
	asm volatile("smsw %q0" : "=r"(wide));
	check_eq(wide & 0xffffffff, old, "SMSW");
}

/* TS and MP change without an exit; whoever sets CR4 or EFER must not lose them. */
static void task_switched(void)
{
	write_cr0(read_cr0() | CR0_TS);
	write_cr4(read_cr4() ^ CR4_PGE);
	check(read_cr0() & CR0_TS, "TS survives a write to CR4");
	write_cr4(read_cr4() ^ CR4_PGE);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER));
	check(read_cr0() & CR0_TS, "TS survives a write to EFER");
	asm volatile("clts" : : : "memory");
	write_cr4(read_cr4() ^ CR4_PGE);
	write_cr4(read_cr4() ^ CR4_PGE);
	check(!(read_cr0() & CR0_TS), "and does not come back after CLTS");
}

static void cr4(void)
{
	static const struct {
		u64 bits;
		const char *name;
	} illegal[] = {
		{ BIT(13), "CR4.VMXE does not exist here: #GP(0)" },
		{ BIT(14), "CR4.SMXE does not exist here" },
		{ BIT(15), "CR4[15] is reserved (SDM 3A 2.5)" },
		{ BIT(19), "CR4.KL does not exist here" },
		{ BIT(23), "CR4.CET without CPUID's CET" },
		{ BIT(24), "CR4.PKS without CPUID's PKS" },
		{ BIT(31), "CR4[31] is reserved" },
		{ BIT(40), "CR4[63:32] is reserved" },
	};
	u64 old = read_cr4();

	check_eq(old, 0x620, "CR4 is what the runner set");
	try_cr4(old | CR4_PKE);
	if (cpuid(7, 0).c >> 3 & 1)
		check_no_fault("CR4.PKE with CPUID's PKU");
	else
		check_fault(GP, 0, "CR4.PKE without CPUID's PKU: #GP(0)");
	write_cr4(old);
	for (u32 i = 0; i < sizeof(illegal) / sizeof(*illegal); i++) {
		try_cr4(old | illegal[i].bits);
		check_fault(GP, 0, illegal[i].name);
	}
	try_cr4(old & ~CR4_PAE);
	check_fault(GP, 0, "PAE cannot be cleared in long mode (SDM 3A 2.5)");
	try_cr4(old | CR4_LA57);
	check_fault(GP, 0, "LA57 cannot be set in long mode (SDM 3A 2.5)");
	check_eq(read_cr4(), old, "after all that CR4 is unchanged");
	/* The processor has the host's MCE all the while. */
	check_eq(read_cr4() & BIT(6), 0, "CR4.MCE is clear, as the guest has it");
	write_cr4(old | BIT(6));
	check_eq(read_cr4(), old | BIT(6), "it can be set");
	write_cr4(old);
	check_eq(read_cr4(), old, "and cleared");
	for (u32 bit = 0; bit < 12; bit++) {
		u64 value = old ^ BIT(bit);

		if (bit == 5 || bit == 11)
			continue;
		try_cr4(value);
		if (bit < 2 && !(cpuid(1, 0).d >> 1 & 1)) {
			check_fault(GP, 0, "CR4.VME and CR4.PVI without CPUID's VME");
			continue;
		}
		if (fault.vector != NO_FAULT || read_cr4() != value) {
			check(false, "an old CR4 bit reads back");
			say("# bit %u\n", bit);
		}
		write_cr4(old);
	}
	if (!(cpuid(1, 0).c >> 17 & 1)) {
		try_cr4(old | CR4_PCIDE);
		check_fault(GP, 0, "CR4.PCIDE without CPUID's PCID");
		return;
	}
	write_cr3(read_cr3() | 0x18);
	try_cr4(old | CR4_PCIDE);
	check_fault(GP, 0, "PCIDE cannot be set while CR3[11:0] is not 0 (SDM 3A 4.10.1)");
	write_cr3(read_cr3() & ~0xfffull);
	try_cr4(old | CR4_PCIDE);
	check_no_fault("PCIDE can be set");
	write_cr3(read_cr3() | 5);
	check_eq(read_cr3(), GUEST_PML4 | 5, "a PCID reads back");
	write_cr3(read_cr3() & ~0xfffull);
	write_cr4(old);
}

static void write_protection(void)
{
	u64 *pte = split_page(0x1000000);
	u64 page = 0x1000000 + 5 * 4096;

	pte[5] &= ~PTE_W;
	invlpg(page);
	ATTEMPT("movl $1, (%0)", : : "r"(page) : "memory");
	check_fault(PF, 3, "WP = 1: a supervisor's write to a read-only page faults (SDM 3A 4.6)");
	check_eq(fault.cr2, page, "CR2 is its address");
	write_cr0(read_cr0() & ~CR0_WP);
	ATTEMPT("movl $1, (%0)", : : "r"(page) : "memory");
	check_no_fault("WP = 0: it does not");
	write_cr0(read_cr0() | CR0_WP);
	ATTEMPT("movl $1, (%0)", : : "r"(page) : "memory");
	check_fault(PF, 3, "WP = 1 again: it does again");
}

static void user_protection(void)
{
	static const u8 sgdt[] = { 0x0f, 0x01, 0x44, 0x24, 0xf0, 0xcd, USER_DONE };
	static const u8 str[] = { 0x0f, 0x00, 0xc8, 0xcd, USER_DONE };
	static const u8 ret[] = { 0xc3 };
	struct words seven = cpuid(7, 0);
	u64 old = read_cr4();

	user_run(sgdt, sizeof(sgdt), 0);
	check_fault(USER_DONE, 0, "SGDT at privilege 3 works without UMIP");
	if (seven.c >> 2 & 1) {
		write_cr4(old | CR4_UMIP);
		user_run(sgdt, sizeof(sgdt), 0);
		check_fault(GP, 0, "SGDT at privilege 3 under UMIP: #GP(0) (SDM 3A 2.5)");
		user_run(str, sizeof(str), 0);
		check_fault(GP, 0, "STR under UMIP: #GP(0)");
		write_cr4(old);
	} else {
		try_cr4(old | CR4_UMIP);
		check_fault(GP, 0, "CR4.UMIP without CPUID's UMIP");
	}

	memcpy((void *)USER_BASE, ret, sizeof(ret));
	user_pages(true);
	ATTEMPT("call *%0", : : "r"(USER_BASE) : "memory");
	check_no_fault("a supervisor runs user pages without SMEP");
	if (seven.b >> 7 & 1) {
		write_cr4(old | CR4_SMEP);
		ATTEMPT("call *%0", : : "r"(USER_BASE) : "memory");
		check_fault(PF, 0x11, "under SMEP it does not (SDM 3A 4.6.1)");
		write_cr4(old);
		ATTEMPT("call *%0", : : "r"(USER_BASE) : "memory");
		check_no_fault("without it, it does again");
	}
	if (seven.b >> 20 & 1) {
		write_cr4(old | CR4_SMAP);
		ATTEMPT("mov (%0), %%eax", : : "r"(USER_BASE) : "rax", "memory");
		check_fault(PF, 1,
			    "under SMAP a supervisor does not read user pages (SDM 3A 4.6.1)");
		ATTEMPT("stac\n\tmov (%0), %%eax\n\tclac", : : "r"(USER_BASE) : "rax", "memory");
		check_no_fault("but with AC it does");
		write_cr4(old);
	}
	user_pages(false);
}

static void cr8(void)
{
	for (u64 i = 0; i < 16; i++) {
		write_cr8(i);
		if (read_cr8() != i || apic_read(APIC_TPR) != i << 4)
			check(false, "CR8 is TPR[7:4]");
	}
	check(apic_read(APIC_TPR) == 0xf0, "CR8 shows in the TPR (SDM 3A 10.8.6.1)");
	apic_write(APIC_TPR, 0x5a);
	check_eq(read_cr8(), 5, "the TPR shows in CR8");
	apic_write(APIC_TPR, 0);
	ATTEMPT("mov %0, %%cr8", : : "r"(16ull) : "memory");
	/* QEMU 7.2 drops the reserved bits instead; no exit tells us. */
	check(fault.vector == GP || read_cr8() < 16, "CR8[63:4] is reserved (SDM 3A 10.8.6)");
	write_cr8(0);
}

static void try_xcr0(u32 index, u64 value)
{
	ATTEMPT("xsetbv", : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static void xcr0(void)
{
	static const u8 from_user[] = { 0x31, 0xc9, 0x31, 0xd2, 0xb8, 1,    0,
					0,    0,    0x0f, 0x01, 0xd1, 0xcd, USER_DONE };
	u64 supported;

	if (!(cpuid(1, 0).c >> 26 & 1)) {
		skip("XCR0", "the processor has none");
		return;
	}
	try_xcr0(0, 1);
	check_fault(UD, 0, "XSETBV without CR4.OSXSAVE: #UD (SDM 2D XSETBV)");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	supported = cpuid(0xd, 0).a | (u64)cpuid(0xd, 0).d << 32;
	check_eq(xgetbv(), 1, "XCR0 is 1 after reset (SDM 1 13.3)");
	try_xcr0(0, 0);
	check_fault(GP, 0, "XCR0[0] cannot be cleared");
	try_xcr0(0, BIT(62) | 1);
	check_fault(GP, 0, "XCR0[62] is reserved");
	try_xcr0(1, 1);
	check_fault(GP, 0, "XSETBV knows no XCR1");
	user_run(from_user, sizeof(from_user), 0);
	check_fault(GP, 0, "XSETBV at privilege 3: #GP(0)");
	check_eq(xgetbv(), 1, "after all that XCR0 is unchanged");
	try_xcr0(0, supported);
	check_no_fault("all that CPUID offers can be enabled");
	cpuid(0, 0);
	call_runner(CALL_SLEEP, 2);
	check_eq(xgetbv(), supported, "and stays so over exits");
	try_xcr0(0, 1);
	check_no_fault("and be disabled again");
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

void guest_main(u32 run)
{
	cr0();
	machine_status_word();
	task_switched();
	cr4();
	write_protection();
	user_protection();
	cr8();
	xcr0();
}
