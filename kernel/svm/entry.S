/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The world switch of AMD-V: APM 2 15.5 (VMRUN) and 15.6 (#VMEXIT).
 *
 * VMRUN and #VMEXIT exchange RAX, RSP, RIP, RFLAGS, the segment registers and the control registers;
 * VMLOAD and VMSAVE exchange FS, GS, TR, LDTR, KernelGSBase and the syscall MSRs. The other general
 * registers are ours.
 */
#include <host_asm.h>

/* Offsets in fermata_run.regs: the processor's numbering, 8 bytes each */
#define RCX 1*8
#define RDX 2*8
#define RBX 3*8
#define RBP 5*8
#define RSI 6*8
#define RDI 7*8
#define R8 8*8
#define R9 9*8
#define R10 10*8
#define R11 11*8
#define R12 12*8
#define R13 13*8
#define R14 14*8
#define R15 15*8

/* void svm_enter(u64 *regs, u64 vmcb_pa, u64 host_pa); host interrupts are off */
HOST_FUNCTION(svm_enter)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	push %rdx
	mov %rsi, %rax

	mov RCX(%rdi), %rcx
	mov RDX(%rdi), %rdx
	mov RBX(%rdi), %rbx
	mov RBP(%rdi), %rbp
	mov RSI(%rdi), %rsi
	mov R8(%rdi), %r8
	mov R9(%rdi), %r9
	mov R10(%rdi), %r10
	mov R11(%rdi), %r11
	mov R12(%rdi), %r12
	mov R13(%rdi), %r13
	mov R14(%rdi), %r14
	mov R15(%rdi), %r15
	mov RDI(%rdi), %rdi

	/*
	 * With V_INTR_MASKING the host's IF decides whether a host interrupt ends the guest's turn
	 * (APM 2 15.21.1): it must be 1 at VMRUN. GIF = 0 keeps interrupts and NMIs away until then.
	 */
	clgi
	sti
	vmload %rax
	HOST_CLEAR_BUFFERS
	vmrun %rax
	vmsave %rax

	pop %rax
	vmload %rax

	pop %rax
	mov %rcx, RCX(%rax)
	mov %rdx, RDX(%rax)
	mov %rbx, RBX(%rax)
	mov %rbp, RBP(%rax)
	mov %rsi, RSI(%rax)
	mov %rdi, RDI(%rax)
	mov %r8, R8(%rax)
	mov %r9, R9(%rax)
	mov %r10, R10(%rax)
	mov %r11, R11(%rax)
	mov %r12, R12(%rax)
	mov %r13, R13(%rax)
	mov %r14, R14(%rax)
	mov %r15, R15(%rax)

	/* The guest's branch history and return predictions must not steer the host. */
	HOST_GUARD_RETURNS

	/* Nor may its values be used in speculation: what is not popped below is cleared. */
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d

	cli
	stgi	/* a pending NMI is taken here; interrupts when the caller enables them */

	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	HOST_RETURN
HOST_FUNCTION_END(svm_enter)
