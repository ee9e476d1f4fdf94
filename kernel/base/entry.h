/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* For the assembler: what both vendors' world switches do with the general registers. */
#ifndef BASE_ENTRY_H
#define BASE_ENTRY_H

/* clang-format off */
/* Offsets in fermata_run.regs: the processor's numbering, 8 bytes each; R8 to R15 are behind them */
#define AT_RAX 0*8
#define AT_RCX 1*8
#define AT_RDX 2*8
#define AT_RBX 3*8
#define AT_RBP 5*8
#define AT_RSI 6*8
#define AT_RDI 7*8

/* The host's, which a function of C keeps. */
.macro PUSH_HOST
	.irp register, rbp, r15, r14, r13, r12, rbx
	push %\register
	.endr
.endm

.macro POP_HOST
	.irp register, rbx, r12, r13, r14, r15, rbp
	pop %\register
	.endr
.endm

/* The guest's but for RAX and RSP, from fermata_run.regs at RDI, which comes last. */
.macro LOAD_GUEST
	mov AT_RCX(%rdi), %rcx
	mov AT_RDX(%rdi), %rdx
	mov AT_RBX(%rdi), %rbx
	mov AT_RBP(%rdi), %rbp
	mov AT_RSI(%rdi), %rsi
	.irp number, 8, 9, 10, 11, 12, 13, 14, 15
	mov \number*8(%rdi), %r\number
	.endr
	mov AT_RDI(%rdi), %rdi
.endm

/* And to it, at RAX. */
.macro STORE_GUEST
	mov %rcx, AT_RCX(%rax)
	mov %rdx, AT_RDX(%rax)
	mov %rbx, AT_RBX(%rax)
	mov %rbp, AT_RBP(%rax)
	mov %rsi, AT_RSI(%rax)
	mov %rdi, AT_RDI(%rax)
	.irp number, 8, 9, 10, 11, 12, 13, 14, 15
	mov %r\number, \number*8(%rax)
	.endr
.endm

/* The guest's values must not be used in speculation: but for RAX what POP_HOST does not write is cleared. */
.macro CLEAR_GUEST
	.irp register, ecx, edx, esi, edi, r8d, r9d, r10d, r11d
	xor %\register, %\register
	.endr
.endm
/* clang-format on */

#endif
