/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A guest that has everything that two hypervisors on one CPU could mix up, and looks again and again whether it is
 * still its own. It is the bench's small guest with this body; RDI: rounds, RSI: a number that tells it from others,
 * RDX: where the results go, 8 bytes each: what was wrong (WRONG_*), and how many rounds there were.
 */
#include "bench/guest.h"
#include "beside.h"

#define EFER 0xc0000080
#define STAR 0xc0000081
#define LSTAR 0xc0000082
#define CSTAR 0xc0000083
#define SFMASK 0xc0000084
#define KERNEL_GS_BASE 0xc0000102
#define TSC_AUX 0xc0000103

	.text
	.code64
	.globl beside_body, beside_end

.macro WRITE_MSR number /* RAX */
	mov $\number, %ecx
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
.endm

.macro EXPECT register, value, wrong
	cmp \value, \register
	je 9f
	or $\wrong, %r13
9:
.endm

.macro EXPECT_MSR number, value, wrong
	mov $\number, %ecx
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	EXPECT %rax, \value, \wrong
.endm

	.balign 64
beside_body:
	mov %rdi, %r15
	mov %rsi, %r12
	mov %rdx, %r14
	xor %r13d, %r13d

	mov $EFER, %ecx
	rdmsr
	or $1, %eax
	wrmsr
	mov $GUEST_CS, %eax /* SYSCALL's, and 8 more is SS */
	shl $32, %rax
	WRITE_MSR STAR
	lea system_calls(%rip), %rbp /* by the number another one */
	mov %r12, %rax
	and $7, %eax
	shl $4, %eax
	add %rax, %rbp
	mov %rbp, %rax
	WRITE_MSR LSTAR
	mov %r12, %rax
	shl $12, %rax
	WRITE_MSR CSTAR
	mov %r12, %rax
	shl $12, %rax
	WRITE_MSR KERNEL_GS_BASE
	mov %r12, %rax
	and $0xff00, %eax
	WRITE_MSR SFMASK
	mov %r12, %rax
	WRITE_MSR TSC_AUX
	movq %r12, %xmm7
	mov %r12, %rax
	shl $16, %rax
	mov %rax, %dr0
	mov $0x401, %eax /* armed, at an address where there is no code */
	mov %rax, %dr7

1:	/* pages, through translations that the hypervisor made */
	mov $GUEST_SPARE, %edi
	mov $16, %ecx
	mov %r12, %rax
	xor %r15, %rax
2:	mov %rax, (%rdi)
	add $0x1008, %rdi
	add $3, %rax
	loop 2b
	xor %eax, %eax
	cpuid
	mov $GUEST_SPARE, %edi
	mov $16, %esi
	mov %r12, %rax
	xor %r15, %rax
3:	EXPECT (%rdi), %rax, WRONG_MEMORY
	add $0x1008, %rdi
	add $3, %rax
	dec %esi
	jnz 3b

	mov %r12, %rax
	and $7, %eax
	xor %ebx, %ebx
	syscall
	EXPECT %rbx, %rax, WRONG_SYSCALL
	rdtscp
	EXPECT %rcx, %r12, WRONG_TSC_AUX
	movq %xmm7, %rax
	EXPECT %rax, %r12, WRONG_XMM
	mov %dr0, %rax
	shr $16, %rax
	EXPECT %rax, %r12, WRONG_DEBUG
	EXPECT_MSR LSTAR, %rbp, WRONG_LSTAR
	mov %r12, %rbx
	shl $12, %rbx
	EXPECT_MSR CSTAR, %rbx, WRONG_CSTAR
	EXPECT_MSR KERNEL_GS_BASE, %rbx, WRONG_GS
	mov %r12, %rbx
	and $0xff00, %ebx
	EXPECT_MSR SFMASK, %rbx, WRONG_SFMASK

	test $15, %r15
	jnz 4f
	mov %cr3, %rax
	mov %rax, %cr3
4:	incq 8(%r14)
	dec %r15
	jnz 1b
	mov %r13, (%r14)
	ret

	.balign 16
system_calls: /* each is 16 bytes long, and counts as another number */
	.irp number, 0, 1, 2, 3, 4, 5, 6, 7
	mov $\number, %ebx
	jmp *%rcx
	.balign 16
	.endr
beside_end:

	.section .note.GNU-stack, "", @progbits
