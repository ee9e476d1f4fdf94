/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The world switch of AMD-V: APM 2 15.5 (VMRUN) and 15.6 (#VMEXIT).
 *
 * VMRUN and #VMEXIT exchange RAX, RSP, RIP, RFLAGS, the segment registers and the control registers;
 * VMLOAD and VMSAVE exchange FS, GS, TR, LDTR, KernelGSBase and the syscall MSRs. The other general
 * registers are ours.
 */
#include <host_asm.h>
#include "base/entry.h"

/* bool svm_enter(u64 *regs, u64 vmcb_pa, u64 host_pa); host interrupts are off. True: SVM is off, and nothing is done */
HOST_FUNCTION(svm_enter)
	PUSH_HOST
	push %rdi
	push %rdx
	HOST_CLEAR_DIVIDER
	mov %rsi, %rax

	LOAD_GUEST

	/*
	 * With V_INTR_MASKING the host's IF decides whether a host interrupt ends the guest's turn
	 * (APM 2 15.21.1): it must be 1 at VMRUN. GIF = 0 keeps interrupts and NMIs away until then.
	 */
1:	clgi
	HOST_ON_FAULT(1b, 2f)
	/* From here to STGI nobody can switch SVM off. */
	sti
	vmload %rax
	HOST_CLEAR_BUFFERS_SVM
	vmrun %rax
	vmsave %rax

	pop %rax
	vmload %rax

	pop %rax
	STORE_GUEST

	/* The guest's branch history and return predictions must not steer the host. */
	HOST_GUARD_RETURNS

	/* Nor may its values be used in speculation: what is not popped below is cleared. */
	xor %eax, %eax
	CLEAR_GUEST

	cli
	stgi	/* a pending NMI is taken here; interrupts when the caller enables them */

3:	POP_HOST
	HOST_RETURN

2:	add $16, %rsp
	CLEAR_GUEST
	mov $1, %eax
	jmp 3b
HOST_FUNCTION_END(svm_enter)
