/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The entry in 64-bit mode, and the 256 ways into exception() (SDM 3A 6.14). */
	.text
	.globl _start
_start:
	mov %edi, guest_run
	mov %esi, tsc_khz
	call guest_tables
	mov guest_run, %edi
	call guest_main
	xor %edi, %edi
	call guest_exit

/* void load_tables(gdt, idt): the segment registers anew, too */
	.globl load_tables
load_tables:
	lgdt (%rdi)
	lidt (%rsi)
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	pop %rax
	push $0x08
	push %rax
	lretq

/* Vectors whose exceptions push an error code: 8, 10..14, 17, 21, 29, 30. */
	.globl vector_stubs
	.balign 16
vector_stubs:
	vector = 0
	.rept 256
	.balign 16
	.if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
	push $0
	.endif
	push $vector
	jmp vector_common
	vector = vector + 1
	.endr

vector_common:
	cld
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call exception
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
