/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is measured. Each body runs between two reads of the TSC, once per iteration, and the
 * difference goes to the results; the reads themselves are 4 instructions of it.
 * Under an emulator whose TSC counts instructions these are instructions.
 */
#include "guest.h"

	.text
	.code64
	.balign 64
	.globl guest_image, guest_image_end, guest_start, guest_page_fault

guest_image:

/* The guest begins here. RCX: a body; RDI, RSI, RDX: its arguments. */
guest_start:
	call *%rcx
	out %al, $PORT_END
	hlt

/* Maps the page of the window that was missing. */
	.balign 16
guest_page_fault:
	push %rax
	mov %cr2, %rax
	sub $GUEST_WINDOW, %rax
	shr $12, %rax
	movq $(GUEST_FRAME | 0x63), GUEST_WINDOW_PT(, %rax, 8) /* present, writable, accessed, dirty */
	pop %rax
	add $8, %rsp /* the error code */
	iretq

.macro BODY name, code:vararg
	.globl body_\name
	.balign 64
body_\name:
	push %rbx
	push %r13
	push %r14
	push %r15
	mov %rdi, %r15
	mov %rdx, %r14
1:	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, %r13
	\code
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	sub %r13, %rax
	mov %rax, (%r14)
	add $8, %r14
	dec %r15
	jnz 1b
	pop %r15
	pop %r14
	pop %r13
	pop %rbx
	ret
.endm

.macro do_cpuid
	xor %eax, %eax
	cpuid
.endm

.macro do_floor
	mov $FLOOR_LEAF, %eax
	cpuid
.endm

.macro do_rdmsr
	mov $0x1b, %ecx /* IA32_APIC_BASE */
	rdmsr
.endm

.macro do_wrmsr
	mov $0x3b, %ecx /* IA32_TSC_ADJUST */
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
.endm

.macro do_vmmcall
	mov $99, %eax /* a call that neither hypervisor has */
	vmmcall
.endm

.macro do_vmcall
	mov $99, %eax
	vmcall
.endm

.macro do_port_out
	mov $PORT_DEVICE, %edx
	out %al, %dx
.endm

.macro do_port_in
	mov $PORT_DEVICE, %edx
	in %dx, %al
.endm

.macro do_mmio_write
	mov %eax, (%rsi)
.endm

.macro do_mmio_read
	mov (%rsi), %eax
.endm

/* Another page each time. */
.macro do_touch
	mov %rsi, (%rsi)
	add $4096, %rsi
.endm

.macro do_mov_cr3
	mov %cr3, %rax
	mov %rax, %cr3
.endm

.macro do_invlpg
	invlpg (%rsi)
.endm

/* On one time, off the next. */
.macro do_cr4_pge
	mov %cr4, %rax
	xor $0x80, %rax
	mov %rax, %cr4
.endm

	BODY floor, do_floor
	BODY cpuid, do_cpuid
	BODY vmmcall, do_vmmcall
	BODY vmcall, do_vmcall
	BODY rdmsr, do_rdmsr
	BODY wrmsr, do_wrmsr
	BODY rdtsc, rdtsc
	BODY out, do_port_out
	BODY in, do_port_in
	BODY mmio_write, do_mmio_write
	BODY mmio_read, do_mmio_read
	BODY touch, do_touch
	BODY mov_cr3, do_mov_cr3
	BODY invlpg, do_invlpg
	BODY cr4_pge, do_cr4_pge

/* Where the reads are what is measured: from one to the next, 9 more instructions. */
	.globl body_rdtsc_chain
	.balign 64
body_rdtsc_chain:
	mov %rdx, %r8
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, %rcx
1:	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	mov %rax, %rdx
	sub %rcx, %rdx
	mov %rdx, (%r8)
	mov %rax, %rcx
	add $8, %r8
	dec %rdi
	jnz 1b
	ret

guest_image_end:

	.section .note.GNU-stack, "", @progbits
