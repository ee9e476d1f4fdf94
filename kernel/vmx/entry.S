/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The world switch of VT-x: SDM 3C chapters 27 (VM entries) and 28 (VM exits).
 *
 * VM entry and exit exchange RSP, RIP, RFLAGS, the segment registers, the control registers and the
 * MSRs named in the VMCS. The other general registers are ours.
 */
#include <host_asm.h>
#include "base/entry.h"

#define HOST_RSP 0x6c14 /* the field: SDM 3D appendix B */

/* u32 vmx_enter(u64 *regs, bool launched, u64 *host_rsp); host interrupts are off */
HOST_FUNCTION(vmx_enter)
	PUSH_HOST
	push %rdi
	cmp (%rdx), %rsp	/* the stack is as deep as last time, nearly always */
	je 5f
	mov $HOST_RSP, %eax
6:	vmwrite %rsp, %rax
	mov %rsp, (%rdx)
	/* The host is going down and VMX is off already: the entry below will say so. */
5:	HOST_ON_FAULT(6b, 5b)

	HOST_LEAVING
	HOST_GUEST_SPECULATION	/* no RET from here on */
	bt $0, %esi		/* CF: launched; nothing below changes it */
	mov AT_RAX(%rdi), %rax
	LOAD_GUEST
	HOST_CLEAR_BUFFERS_VMX
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
	mov %eax, %esi
	HOST_OWN_SPECULATION
	mov %esi, %eax
	jmp 3f

	/* HOST_RIP */
HOST_LABEL(vmx_exit_point)
	HOST_LANDING
	push %rax
	mov 8(%rsp), %rax
	pop AT_RAX(%rax)
	STORE_GUEST
	add $8, %rsp

	/* The guest's branch history and return predictions must not steer the host. */
	HOST_OWN_SPECULATION
	HOST_GUARD_RETURNS
	HOST_CLEAR_HISTORY
	xor %eax, %eax

	/* Nor may its values be used in speculation: what is not popped below is cleared. */
3:	CLEAR_GUEST
	POP_HOST
	HOST_RETURN
HOST_FUNCTION_END(vmx_enter)
