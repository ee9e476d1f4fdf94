/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Paging in 64-bit mode: page sizes, A and D bits, remapping, address spaces, global pages, NX. */
#include "guest.h"

GUEST();

#define WINDOW 0x1000000ull /* 2 MiB of linear addresses to play with */

static volatile u64 *pte;

static void sizes(void)
{
	u64 *pde = table_entry(WINDOW, 2), old = *pde, *pdpte = (u64 *)GUEST_PDPT;

	*(volatile u64 *)0x800000 = 0x2222;
	*(volatile u64 *)(0x800000 + 0x1ff000) = 0x3333;
	*pde = 0x800000 | PTE_PS | PTE_W | PTE_P;
	invlpg(WINDOW);
	check_eq(*(volatile u64 *)WINDOW, 0x2222, "a 2 MiB page");
	check_eq(*(volatile u64 *)(WINDOW + 0x1ff000), 0x3333, "... to its end");
	*pde = old;
	write_cr3(read_cr3());
	if (cpuid(0x80000001, 0).d >> 26 & 1) {
		pdpte[100] = 0 | PTE_PS | PTE_W | PTE_P;
		check_eq(*(volatile u64 *)((100ull << 30) + 0x800000), 0x2222, "a 1 GiB page");
		pdpte[100] = HIGH_BASE | PTE_PS | PTE_W | PTE_P;
		write_cr3(read_cr3());
		*(volatile u64 *)((100ull << 30) + 0x1000) = 0x4444;
		check_eq(*(volatile u64 *)(HIGH_BASE + 0x1000), 0x4444, "a 1 GiB page above 4 GiB");
		pdpte[100] = 0;
		write_cr3(read_cr3());
	} else {
		skip("1 GiB pages", "CPUID has none");
	}
}

static void accessed_dirty(void)
{
	volatile u64 *pde = table_entry(0x1400000, 2);

	pte[1] = 0x800000 | PTE_W | PTE_P;
	invlpg(WINDOW + 0x1000);
	(void)*(volatile u8 *)(WINDOW + 0x1000);
	check_eq(pte[1] & (PTE_A | PTE_D), PTE_A, "a read sets A (SDM 3A 4.8)");
	*(volatile u8 *)(WINDOW + 0x1000) = 1;
	check_eq(pte[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "a write sets D");
	pte[1] &= ~(PTE_A | PTE_D);
	invlpg(WINDOW + 0x1000);
	*(volatile u8 *)(WINDOW + 0x1000) = 1;
	check_eq(pte[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "a first write sets both");
	*pde &= ~(PTE_A | PTE_D);
	write_cr3(read_cr3());
	(void)*(volatile u8 *)0x1400000;
	check_eq(*pde & (PTE_A | PTE_D), PTE_A, "A of a 2 MiB page");
	*(volatile u8 *)0x1400000 = 1;
	check_eq(*pde & (PTE_A | PTE_D), PTE_A | PTE_D, "D of a 2 MiB page");
}

static void remap(void)
{
	u64 first = new_page(), second = new_page();
	volatile u64 *window = (volatile u64 *)(WINDOW + 0x2000);
	bool good = true;

	*(u64 *)first = 1;
	*(u64 *)second = 2;
	for (u32 i = 0; i < 200; i++) {
		pte[2] = (i & 1 ? second : first) | PTE_W | PTE_P;
		invlpg((u64)window);
		good &= *window == 1 + (i & 1);
		if (i % 16 == 0)
			cpuid(0, 0);
	}
	check(good, "after INVLPG the new page is seen (SDM 3A 4.10.4.1)");
	good = true;
	for (u32 i = 0; i < 200; i++) {
		pte[2] = (i & 1 ? second : first) | PTE_W | PTE_P;
		write_cr3(read_cr3());
		good &= *window == 1 + (i & 1);
	}
	check(good, "and after a load of CR3");
	pte[2] = 0;
	invlpg((u64)window);
	ATTEMPT("mov (%0), %%al", : : "r"(window) : "rax", "memory");
	check_fault(PF, 0, "an unmapped page faults");
}

static void spaces(void)
{
	u64 root = new_page(), table = new_page(), page = new_page(), old = read_cr3();
	volatile u64 *there = (volatile u64 *)(200ull << 39);
	bool good = true;

	memcpy((void *)root, (void *)GUEST_PML4, 4096);
	((u64 *)root)[200] = table | PTE_W | PTE_P;
	((u64 *)table)[0] = (table + 0) | PTE_W | PTE_P; /* each level is the same table */
	((u64 *)table)[1] = page | PTE_W | PTE_P;
	*(u64 *)page = 0x77;
	write_cr3(root);
	/* index 0 three times leads to the table itself, and its entry 1 to the page */
	check_eq(*(volatile u64 *)(200ull << 39 | 0x1000), 0x77, "another address space");
	check_eq(*there, table | PTE_W | PTE_P | PTE_A | (*there & PTE_D),
		 "a table that maps itself");
	write_cr3(old);
	ATTEMPT("mov (%0), %%al", : : "r"(there) : "rax", "memory");
	check_fault(PF, 0, "... is gone after the switch back");
	for (u32 i = 0; i < 500; i++) {
		write_cr3(i & 1 ? old : root);
		if (i % 50 == 0)
			cpuid(0, 0);
		good &= (read_cr3() == (i & 1 ? old : root));
	}
	check(good, "CR3 reads back over many switches");
	write_cr3(old);
}

static void global_pages(void)
{
	u64 first = new_page(), second = new_page();
	volatile u64 *window = (volatile u64 *)(WINDOW + 0x3000);

	*(u64 *)first = 1;
	*(u64 *)second = 2;
	write_cr4(read_cr4() | CR4_PGE);
	pte[3] = first | PTE_G | PTE_W | PTE_P;
	invlpg((u64)window);
	check_eq(*window, 1, "a global page");
	pte[3] = second | PTE_G | PTE_W | PTE_P;
	write_cr4(read_cr4() & ~CR4_PGE);
	write_cr4(read_cr4() | CR4_PGE);
	check_eq(*window, 2, "a toggle of CR4.PGE drops it (SDM 3A 4.10.4.1)");
	pte[3] = first | PTE_G | PTE_W | PTE_P;
	invlpg((u64)window);
	check_eq(*window, 1, "and so does INVLPG");
	write_cr4(read_cr4() & ~CR4_PGE);
}

static void no_execute(void)
{
	u64 page = new_page();

	*(u8 *)page = 0xc3;
	pte[4] = page | PTE_W | PTE_P;
	invlpg(WINDOW + 0x4000);
	ATTEMPT("call *%0", : : "r"(WINDOW + 0x4000) : "memory");
	check_no_fault("a page without NX runs");
	pte[4] |= PTE_NX;
	invlpg(WINDOW + 0x4000);
	ATTEMPT("call *%0", : : "r"(WINDOW + 0x4000) : "memory");
	check_fault(PF, 0x11, "with NX it does not (SDM 3A 4.6)");
	pte[4] &= ~PTE_NX;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	pte[4] |= PTE_NX;
	invlpg(WINDOW + 0x4000);
	ATTEMPT("mov (%0), %%al", : : "r"(WINDOW + 0x4000) : "rax", "memory");
	/* P is set together with RSVD; QEMU 7.2 forgets it. */
	check(fault.vector == PF && (fault.code | 1) == 9, "without EFER.NXE that bit is reserved");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	pte[4] = 0;
	invlpg(WINDOW + 0x4000);
}

/* The emulator walks the same tables: an access to a device through other mappings. */
static void device_mappings(void)
{
	pte[5] = DEVICE_BASE | PTE_W | PTE_P;
	pte[6] = (DEVICE_BASE + 0x1000) | PTE_P;
	invlpg(WINDOW + 0x5000);
	invlpg(WINDOW + 0x6000);
	*(volatile u32 *)(WINDOW + 0x5010) = 0x12345678;
	check_eq(*(volatile u32 *)(DEVICE_BASE + 0x10), 0x12345678, "a device through a 4 KiB page");
	check_eq(pte[5] & (PTE_A | PTE_D), PTE_A | PTE_D, "... sets A and D");
	ATTEMPT("movl $1, (%0)", : : "r"(WINDOW + 0x6000) : "memory");
	check_fault(PF, 3, "a write to a read-only page of a device: #PF");
	ATTEMPT("movl $1, (%0)", : : "r"(WINDOW + 0x5ffe) : "memory");
	check_fault(PF, 3, "a write over the end of one into the other: #PF");
	check_eq(fault.cr2, WINDOW + 0x6000, "... CR2");
	check_eq(*(volatile u16 *)(DEVICE_BASE + 0xffe), 0, "... and nothing was written");
	pte[5] = 0x800000 | PTE_W | PTE_P;
	invlpg(WINDOW + 0x5000);
	*(volatile u32 *)(WINDOW + 0x5010) = 9;
	check(*(volatile u32 *)0x800010 == 9 && *(volatile u32 *)(DEVICE_BASE + 0x10) == 0x12345678,
	      "the same address is RAM after INVLPG");
}

static void context_identifiers(void)
{
	u64 root = GUEST_PML4;

	if (!(cpuid(1, 0).c >> 17 & 1)) {
		skip("PCIDs", "CPUID has none");
		return;
	}
	write_cr4(read_cr4() | CR4_PCIDE);
	for (u64 i = 0; i < 200; i++)
		write_cr3(root | (i % 8) | (i % 3 ? BIT(63) : 0));
	check_eq(read_cr3(), root | (199 % 8), "PCIDs, with and without a flush");
	write_cr3(root);
	write_cr4(read_cr4() & ~CR4_PCIDE);
}

void guest_main(u32 run)
{
	sizes();
	pte = split_page(WINDOW);
	accessed_dirty();
	remap();
	spaces();
	global_pages();
	no_execute();
	device_mappings();
	context_identifiers();
}
