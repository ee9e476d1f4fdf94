/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The first sector of the box's disk on Bochs: asks the BIOS for the memory map, copies what lies on
 * the disk to where the table behind this sector says, and enters an uncompressed Linux by the
 * 64-bit boot protocol (Documentation/x86/boot.rst). Nothing is left to unpack for an emulated
 * processor, and no boot manager has to be found, read and started by one.
 *
 * bochs.c writes the disk; the two share boot.h.
 */
#include "boot.h"

#define PIO_DATA 0x1f0
#define PIO_COUNT 0x1f2
#define PIO_COMMAND 0x1f7
#define PIO_CONTROL 0x3f6
#define READ_SECTORS 0x20
#define ENTRY_SIZE 20

	.code16
	.globl	_start
_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp

	/* ACPI specification, INT 15h E820h */
	xorl	%ebx, %ebx
	movw	$BOOT_MAP, %di
1:	movl	$0xe820, %eax
	movl	$ENTRY_SIZE, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	2f
	addw	$ENTRY_SIZE, %di
	testl	%ebx, %ebx
	jnz	1b
2:	movzwl	%di, %ebp

	cli
	inb	$0x92, %al /* A20 */
	orb	$2, %al
	outb	%al, $0x92
	lgdtl	gdtr
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x08, $protected

	.code32
protected:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movw	$PIO_CONTROL, %dx
	movb	$2, %al /* no interrupts: the status is polled */
	outb	%al, %dx

	movl	$BOOT_HEAD, %edi
	movl	$1, %ebx
	movl	$BOOT_HEAD_SECTORS, %ecx
	call	read

	/* struct boot_params: e820_table, e820_entries */
	movl	$BOOT_MAP, %esi
	movl	%ebp, %ecx
	subl	%esi, %ecx
	movl	%ecx, %eax
	movl	$BOOT_HEAD + 0x2d0, %edi
	rep movsb
	xorl	%edx, %edx
	movl	$ENTRY_SIZE, %ecx
	divl	%ecx
	movb	%al, BOOT_HEAD + 0x1e8

	movl	$BOOT_TABLE, %ebp
3:	movl	BOOT_TABLE_TO(%ebp), %edi
	movl	BOOT_TABLE_SECTOR(%ebp), %ebx
	movl	BOOT_TABLE_COUNT(%ebp), %ecx
	jecxz	4f
	call	read
	addl	$BOOT_TABLE_SIZE, %ebp
	jmp	3b
4:	movl	%edi, %ebp /* the last row: the entry point */

	/* The first 4 GiB at their own addresses, in pages of 2 MiB. */
	movl	$BOOT_PAGES, %edi
	movl	%edi, %cr3
	leal	0x1003(%edi), %eax
	movl	%eax, (%edi)
	movl	$4, %ecx
	addl	$0x1000, %edi
5:	addl	$0x1000, %eax
	movl	%eax, (%edi)
	addl	$8, %edi
	loop	5b
	movl	$BOOT_PAGES + 0x2000, %edi
	movl	$0x83, %eax
	movl	$2048, %ecx
6:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	6b

	movl	%cr4, %eax
	orl	$0x20, %eax /* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx /* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$0x10, $long_mode

/* ebx: sector, ecx: how many, edi: to where */
read:
	movl	%ecx, %esi
	cmpl	$256, %esi
	jbe	1f
	movl	$256, %esi
1:	subl	%esi, %ecx
	pushl	%ecx
	movl	%esi, %eax
	movw	$PIO_COUNT, %dx
	outb	%al, %dx /* 256 is written as 0 */
	movl	%ebx, %eax
	orl	$0xe0000000, %eax /* sectors are counted, not cylinders */
	movl	$4, %ecx
2:	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	loop	2b
	movw	$PIO_COMMAND, %dx
	movb	$READ_SECTORS, %al
	outb	%al, %dx
	addl	%esi, %ebx
3:	movw	$PIO_COMMAND, %dx
4:	inb	%dx, %al
	andb	$0x88, %al /* BSY, DRQ */
	cmpb	$0x08, %al
	jne	4b
	movw	$PIO_DATA, %dx
	movl	$128, %ecx
	rep insl
	decl	%esi
	jnz	3b
	popl	%ecx
	testl	%ecx, %ecx
	jnz	read
	ret

	.code64
long_mode:
	movl	$BOOT_HEAD, %esi
	movl	%ebp, %eax
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	jmp	*%rax

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9a000000ffff /* 08h: code, 32 bits */
	.quad	0x00af9a000000ffff /* 10h, 18h: what the boot protocol asks for */
	.quad	0x00cf92000000ffff
gdtr:
	.word	. - gdt - 1
	.long	gdt

	.org	510
	.word	0xaa55
