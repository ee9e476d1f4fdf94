/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A tour through the processor's modes and back (SDM 3A 9.8.5.4): 64-bit, compatibility, protected
 * without paging, 32-bit paging with PSE, PAE paging, real mode, 64-bit. Each stop leaves words at
 * RESULTS, which are checked at the end.
 */
#include "guest.h"

GUEST();

#define CODE 0x9000ull
#define RESULTS 0xa000ull
#define TABLES 0xb000ull /* the tour's page tables, one page each: PD, PT, PDPT, PD, PD */

extern u8 tour[], tour_end[], tour_call[];

/* Labels count from CODE; results are 32-bit words at RESULTS + 4 * n. */
asm(".pushsection .rodata\n"
    "	.set at, tour - 0x9000\n"
    "	.globl tour, tour_end, tour_call\n"
    "	.balign 16\n"
    "	.code64\n"
    "tour:\n"
    "	push %rbx\n"
    "	push %rbp\n"
    "	push %r12\n"
    "	push %r13\n"
    "	push %r14\n"
    "	push %r15\n"
    "	mov %rsp, 0xa800\n"
    "	sgdt 0xa810\n"
    "	sidt 0xa820\n"
    "	lgdt tour_gdt_pointer - at\n"
    "	pushq $0x18\n"
    "	pushq $(compatibility - at)\n"
    "	lretq\n"

    "	.code32\n"
    "compatibility:\n"
    "	mov $0x10, %eax\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %es\n"
    "	mov %eax, %ss\n"
    "	mov $0x7000, %esp\n"
    "	mov $6, %eax\n"
    "	.byte 0x40\n" /* INC EAX; in 64-bit mode a prefix */
    "	nop\n"
    "	mov %eax, 0xa000\n"
    "	xor %eax, %eax\n"
    "	.byte 0x66\n"
    "	cpuid\n"
    "	mov %ebx, 0xa004\n"
    "	mov $0x500, %edx\n"
    "	mov $0x31323334, %eax\n"
    "	out %eax, %dx\n"
    "	xor %eax, %eax\n"
    "	in %dx, %eax\n"
    "	mov %eax, 0xa008\n"
    "	movl $0x51525354, 0xd0000010\n"
    "	mov 0xd0000010, %eax\n"
    "	mov %eax, 0xa00c\n"

    /* protected mode without paging */
    "	mov %cr0, %eax\n"
    "	and $0x7fffffff, %eax\n"
    "	mov %eax, %cr0\n"
    "	mov $0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	mov %eax, 0xa010\n"
    "	and $0xfffffeff, %eax\n"
    "	wrmsr\n"
    "	movl $0xaaaa0001, 0x800000\n"
    "	movl $0xbbbb0002, 0x801000\n"
    "	movl $0x61626364, 0xd0000020\n"
    "	mov 0xd0000020, %eax\n"
    "	mov %eax, 0xa014\n"
    "	xor %eax, %eax\n"
    "	cpuid\n"
    "	mov %ebx, 0xa018\n"

    /* 32-bit paging: 4 MiB pages and a page table */
    "	mov %cr4, %eax\n"
    "	and $~0x20, %eax\n"
    "	or $0x10, %eax\n"
    "	mov %eax, %cr4\n"
    "	movl $0x83, 0xb000\n"
    "	movl $0x800083, 0xb004\n"
    "	movl $0xc003, 0xb008\n"
    "	movl $0x801003, 0xc000\n"
    "	movl $0xd0000083, 0xb000 + 4 * 0x340\n"
    "	mov $0xb000, %eax\n"
    "	mov %eax, %cr3\n"
    "	mov %cr0, %eax\n"
    "	or $0x80000000, %eax\n"
    "	mov %eax, %cr0\n"
    "	jmp 1f\n"
    "1:	mov 0x400000, %eax\n"
    "	mov %eax, 0xa020\n"
    "	mov 0x401000, %eax\n"
    "	mov %eax, 0xa024\n"
    "	mov 0x800000, %eax\n"
    "	mov %eax, 0xa028\n"
    "	movl $0x71727374, 0xd0000030\n"
    "	mov 0xd0000030, %eax\n"
    "	mov %eax, 0xa02c\n"
    "	movl $0x800003, 0xc000\n" /* another page, and INVLPG */
    "	invlpg 0x800000\n"
    "	mov 0x800000, %eax\n"
    "	mov %eax, 0xa030\n"
    "	mov $0xb000, %esi\n"
    "	mov $0x510, %edx\n"
    "	mov $8, %ecx\n"
    "	rep outsb\n"
    "	mov $0xa034, %edi\n"
    "	mov $2, %ecx\n"
    "	rep insl\n"
    "	xor %eax, %eax\n"
    "	cpuid\n"
    "	mov %ebx, 0xa03c\n"

    /* PAE paging, four PDPTEs */
    "	mov %cr0, %eax\n"
    "	and $0x7fffffff, %eax\n"
    "	mov %eax, %cr0\n"
    "	mov %cr4, %eax\n"
    "	or $0x20, %eax\n"
    "	mov %eax, %cr4\n"
    "	movl $0xe001, 0xd000\n"
    "	movl $0xf001, 0xd018\n"
    "	movl $0x83, 0xe000\n"
    "	movl $0x800083, 0xe010\n"
    "	movl $0xd0000083, 0xf000 + 8 * 0x80\n"
    "	mov $0xd000, %eax\n"
    "	mov %eax, %cr3\n"
    "	mov %cr0, %eax\n"
    "	or $0x80000000, %eax\n"
    "	mov %eax, %cr0\n"
    "	jmp 1f\n"
    "1:	mov 0x400000, %eax\n"
    "	mov %eax, 0xa040\n"
    "	mov 0x401000, %eax\n"
    "	mov %eax, 0xa044\n"
    "	movl $0x81828384, 0xd0000040\n"
    "	mov 0xd0000040, %eax\n"
    "	mov %eax, 0xa048\n"
    "	xor %eax, %eax\n"
    "	cpuid\n"
    "	mov %ebx, 0xa04c\n"

    /* real mode */
    "	mov %cr0, %eax\n"
    "	and $0x7fffffff, %eax\n"
    "	mov %eax, %cr0\n"
    "	ljmp $0x20, $(sixteen - at)\n"
    "	.code16\n"
    "sixteen:\n"
    "	mov $0x28, %ax\n"
    "	mov %ax, %ds\n"
    "	mov %ax, %es\n"
    "	mov %ax, %ss\n"
    "	xor %eax, %eax\n"
    "	cpuid\n"
    "	mov %ebx, 0xa050\n"
    "	lidtl real_idt - at\n"
    "	mov %cr0, %eax\n"
    "	and $0xfe, %al\n"
    "	mov %eax, %cr0\n"
    "	ljmp $0x900, $(real - tour)\n"
    "real:\n"
    "	xor %ax, %ax\n"
    "	mov %ax, %ds\n"
    "	mov %ax, %es\n"
    "	mov %ax, %ss\n"
    "	mov $0x7000, %sp\n"
    "	smsw %ax\n"
    "	mov %ax, 0xa054\n"
    "	mov %cs, 0xa058\n"
    "	movw $(service - tour), 4 * 0x21\n"
    "	movw $0x900, 4 * 0x21 + 2\n"
    "	movw $(undefined - tour), 4 * 6\n"
    "	movw $0x900, 4 * 6 + 2\n"
    "	xor %bp, %bp\n"
    "	int $0x21\n"
    "	int $0x21\n"
    "	ud2\n"
    "	mov %bp, 0xa05c\n"
    "	xor %eax, %eax\n"
    "	cpuid\n"
    "	mov %ebx, 0xa060\n"
    "	mov $0x500, %dx\n"
    "	mov $0x91929394, %eax\n"
    "	out %eax, %dx\n"
    "	in %dx, %eax\n"
    "	mov %eax, 0xa064\n"
    "	mov $0x1000, %ax\n" /* OUTSB from 1000:0 is from 10000h */
    "	mov %ax, %ds\n"
    "	movl $0xa1a2a3a4, 0\n"
    "	xor %si, %si\n"
    "	mov $0x510, %dx\n"
    "	mov $4, %cx\n"
    "	rep outsb\n"
    "	xor %ax, %ax\n"
    "	mov %ax, %ds\n"
    "	mov $0xa068, %di\n"
    "	insl\n"
    "	mov $0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	mov %eax, 0xa06c\n"
    "tour_call: vmmcall\n"
    "	mov %eax, 0xa070\n"

    /* and back to 64-bit mode */
    "	lgdtl tour_gdt_pointer - at\n"
    "	mov %cr0, %eax\n"
    "	or $1, %al\n"
    "	mov %eax, %cr0\n"
    "	ljmpl $0x18, $(protected - at)\n"
    "	.code32\n"
    "protected:\n"
    "	mov $0x10, %eax\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %es\n"
    "	mov %eax, %ss\n"
    "	mov $0x620, %eax\n"
    "	mov %eax, %cr4\n"
    "	mov $0x1000, %eax\n"
    "	mov %eax, %cr3\n"
    "	mov $0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	or $0x100, %eax\n"
    "	wrmsr\n"
    "	mov $0x80010033, %eax\n"
    "	mov %eax, %cr0\n"
    "	ljmp $0x08, $(long_again - at)\n"
    "	.code64\n"
    "long_again:\n"
    "	lgdt 0xa810\n"
    "	lidt 0xa820\n"
    "	mov 0xa800, %rsp\n"
    "	pop %r15\n"
    "	pop %r14\n"
    "	pop %r13\n"
    "	pop %r12\n"
    "	pop %rbp\n"
    "	pop %rbx\n"
    "	ret\n"

    "	.code16\n"
    "service:\n"
    "	inc %bp\n"
    "	iret\n"
    "undefined:\n"
    "	add $0x100, %bp\n"
    "	push %bp\n"
    "	mov %sp, %bp\n"
    "	addw $2, 2(%bp)\n" /* behind the UD2 */
    "	pop %bp\n"
    "	iret\n"

    "	.balign 8\n"
    "real_idt: .word 0x3ff\n"
    "	.long 0\n"
    "	.balign 8\n"
    "tour_gdt_pointer: .word 47\n"
    "	.quad tour_gdt - at\n"
    "	.balign 8\n"
    "tour_gdt: .quad 0\n"
    "	.quad 0x00af9b000000ffff\n" /* 08h 64-bit code */
    "	.quad 0x00cf93000000ffff\n" /* 10h data */
    "	.quad 0x00cf9b000000ffff\n" /* 18h 32-bit code */
    "	.quad 0x00009b000000ffff\n" /* 20h 16-bit code */
    "	.quad 0x000093000000ffff\n" /* 28h 16-bit data */
    "tour_end:\n"
    "	.code64\n"
    ".popsection");

static volatile u32 *result(u32 offset)
{
	return (volatile u32 *)(RESULTS + offset);
}

void guest_main(u32 run)
{
	u32 vendor = cpuid(0, 0).b;

	memcpy((void *)CODE, tour, tour_end - tour);
	if (calls_by_vmcall())
		((volatile u8 *)CODE)[tour_call + 2 - tour] =
			0xc1; /* VMMCALL is 0F 01 D9, VMCALL C1 */
	memset((void *)RESULTS, 0, 0x800);
	memset((void *)TABLES, 0, 0x5000);
	asm volatile("call *%0" : : "r"(CODE) : "rax", "rcx", "rdx", "rsi", "rdi", "memory");
	check_eq(*result(0x00), 7, "compatibility mode decodes as 32-bit code");
	check_eq(*result(0x04), vendor, "CPUID with a prefix there");
	check_eq(*result(0x08), 0x31323334, "OUT and IN there");
	check_eq(*result(0x0c), 0x51525354, "MMIO there");
	check_eq(*result(0x10) & 0xd00, 0x900,
		 "without paging EFER.LMA is 0 and LME still 1 (SDM 3A 4.1.1)");
	check_eq(*result(0x14), 0x61626364, "MMIO without paging");
	check_eq(*result(0x18), vendor, "CPUID without paging");
	check_eq(*result(0x20), 0xaaaa0001, "a 4 MiB page (SDM 3A 4.3)");
	check_eq(*result(0x24), 0xbbbb0002, "... further in");
	check_eq(*result(0x28), 0xbbbb0002, "a 4 KiB page of 32-bit paging");
	check_eq(*result(0x2c), 0x71727374, "MMIO under 32-bit paging");
	check_eq(*result(0x30), 0xaaaa0001, "another page there after INVLPG");
	check_eq(*result(0x34) & ~0x60u, 0x83, "OUTSB and INSL under 32-bit paging");
	check_eq(*result(0x38) & ~0x60u, 0x800083, "... all of it");
	check_eq(*result(0x3c), vendor, "CPUID under 32-bit paging");
	check_eq(*(u32 *)0xb004 & 0x60, 0x20, "the 4 MiB entry has A, not D");
	check_eq(*(u32 *)(0xb000 + 4 * 0x340) & 0x60, 0x60, "the device's has both");
	check_eq(*result(0x40), 0xaaaa0001, "a 2 MiB page of PAE paging (SDM 3A 4.4)");
	check_eq(*result(0x44), 0xbbbb0002, "... further in");
	check_eq(*result(0x48), 0x81828384, "MMIO under PAE paging, by the fourth PDPTE");
	check_eq(*result(0x4c), vendor, "CPUID under PAE paging");
	check_eq(*result(0x50), vendor, "CPUID in 16-bit protected mode");
	check_eq(*result(0x54) & 1, 0, "in real mode CR0.PE is 0");
	check_eq(*result(0x58), 0x900, "CS is a paragraph there");
	check_eq(*result(0x5c), 0x102, "INT and #UD by the IVT (SDM 3B 20.1.4)");
	check_eq(*result(0x60), vendor, "CPUID in real mode");
	check_eq(*result(0x64), 0x91929394, "OUT and IN in real mode");
	check_eq(*result(0x68), 0xa1a2a3a4, "OUTSB and INSL by segments");
	check_eq(*result(0x6c) & 0x500, 0, "RDMSR: neither LMA nor LME");
	check_eq(*result(0x70), (u32)-38, "a hypercall in real mode");
	check_eq(rdmsr(MSR_EFER), 0xd01, "and back in 64-bit mode");
}
