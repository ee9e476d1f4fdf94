/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The world switch of VT-x: SDM 3C chapters 27 (VM entries) and 28 (VM exits).
 *
 * VM entry and exit exchange RSP, RIP, RFLAGS, the segment registers, the control registers and the
 * MSRs named in the VMCS. The other general registers are ours.
 */
#include <host_asm.h>

/* Offsets in fermata_run.regs: the processor's numbering, 8 bytes each */
#define RAX 0*8
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

#define HOST_RSP 0x6c14

/* u32 vmx_enter(u64 *regs, bool launched, u64 *host_rsp); host interrupts are off */
HOST_FUNCTION(vmx_enter)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	cmp (%rdx), %rsp	/* the stack is as deep as last time, nearly always */
	je 5f
	mov $HOST_RSP, %eax
6:	vmwrite %rsp, %rax
	mov %rsp, (%rdx)
	/* The host is going down and VMX is off already: the entry below will say so. */
5:	HOST_ON_FAULT(6b, 5b)

	HOST_LEAVING
	bt $0, %esi		/* CF: launched; nothing below changes it */
	mov RAX(%rdi), %rax
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
	HOST_CLEAR_BUFFERS
	jnc 1f
4:	vmresume
	jmp 2f
1:	vmlaunch
	HOST_ON_FAULT(4b, 2f)
	HOST_ON_FAULT(1b, 2f)

	/* Only a VMfail comes here, the registers the guest's: CF invalid, ZF valid (SDM 3C 31.2). */
2:	pop %rdi
	mov $1, %eax
	mov $2, %ecx
	cmovc %ecx, %eax
	jmp 3f

	/* HOST_RIP */
HOST_LABEL(vmx_exit_point)
	HOST_LANDING
	push %rax
	mov 8(%rsp), %rax
	pop RAX(%rax)
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
	add $8, %rsp

	/* The guest's branch history and return predictions must not steer the host. */
	HOST_GUARD_RETURNS
	HOST_CLEAR_HISTORY
	xor %eax, %eax

	/* Nor may its values be used in speculation: what is not popped below is cleared. */
3:	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	HOST_RETURN
HOST_FUNCTION_END(vmx_enter)
