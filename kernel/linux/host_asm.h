/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the backends' entry.S need of the kernel they are built into. */
#ifndef LINUX_HOST_ASM_H
#define LINUX_HOST_ASM_H

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include <names.h>
#include "compat.h"

#define HOST_FUNCTION(name) SYM_FUNC_START(name)
#define HOST_FUNCTION_END(name) SYM_FUNC_END(name)
#define HOST_RETURN RET
/* Where the CPU comes back, in the middle of a function: an indirect branch in all but name. */
#define HOST_LABEL(name) SYM_INNER_LABEL(name, SYM_L_GLOBAL)
/* As HOST_MAY_FAULT() in C: a fault at `from` goes on at `to`. */
#define HOST_ON_FAULT(from, to) _ASM_EXTABLE(from, to)
#define HOST_LEAVING UNWIND_HINT_SAVE
#define HOST_LANDING                                                                               \
	UNWIND_HINT_RESTORE;                                                                       \
	ENDBR

/*
 * What a kernel does not know is not there. Numbers of features are constants for the assembler too: a feature
 * without a number is a mitigation that would be lost without a word.
 */
#if !defined(X86_FEATURE_CLEAR_CPU_BUF) || !defined(X86_FEATURE_CLEAR_CPU_BUF_VM)
#error "this kernel does not say when VERW is to clear the CPU's buffers: a newer one of its series does"
#endif
#ifndef X86_FEATURE_IBPB_ON_VMEXIT
#error "this kernel does not say when an exit is to be followed by IBPB: a newer one of its series does"
#endif

/* clang-format off */
/*
 * What the CPU's buffers still hold of the host must not reach the guest. Clobbers ZF, and stands after the last
 * load of a general register. AMD's (TSA) have a feature of their own for guests. On Intel's (MDS, TAA, RFDS) the
 * feature is that for user space: a guest is no better.
 */
.pushsection .rodata
	.balign 2
780:	.word __KERNEL_DS
.popsection

#define HOST_CLEAR_BUFFERS_SVM                                                                     \
	ALTERNATIVE "jmp 781f", "", X86_FEATURE_CLEAR_CPU_BUF_VM;                                  \
	verw 780b(%rip);                                                                           \
781:

#define HOST_CLEAR_BUFFERS_VMX                                                                     \
	ALTERNATIVE_2 "jmp 781f", "", X86_FEATURE_CLEAR_CPU_BUF,                                   \
		"", X86_FEATURE_CLEAR_CPU_BUF_VM;                                                  \
	verw 780b(%rip);                                                                           \
781:

/*
 * Intel's CPUs without enhanced IBRS, where the kernel sets IBRS at each entry into it (Retbleed): the guest runs
 * without, and after its exit IBRS must be written again before the first RET, even where it is set. Only Intel's
 * kernels use IBRS so. They clobber RAX, RCX, RDX and flags.
 */
#define HOST_GUEST_SPECULATION                                                                     \
	ALTERNATIVE "jmp 782f", "", X86_FEATURE_KERNEL_IBRS;                                       \
	mov $MSR_IA32_SPEC_CTRL, %ecx;                                                             \
	mov PER_CPU_VAR(fermata_spec_ctrl), %eax;                                                  \
	and $~SPEC_CTRL_IBRS, %eax;                                                                \
	xor %edx, %edx;                                                                            \
	wrmsr;                                                                                     \
782:

#define HOST_OWN_SPECULATION                                                                       \
	ALTERNATIVE "jmp 783f", "", X86_FEATURE_KERNEL_IBRS;                                       \
	mov $MSR_IA32_SPEC_CTRL, %ecx;                                                             \
	mov PER_CPU_VAR(fermata_spec_ctrl), %eax;                                                  \
	xor %edx, %edx;                                                                            \
	wrmsr;                                                                                     \
783:

/* On AMD's first Zen the quotient of the last division by zero can be read: there is a new one. */
#define HOST_CLEAR_DIVIDER                                                                         \
	ALTERNATIVE "", __stringify(xor %eax, %eax; xor %edx, %edx; mov $1, %ecx; div %ecx),       \
		X86_BUG_DIV0

/*
 * The kernel's own mitigations, patched in by it at load time as the CPU needs them: the return stack
 * is refilled, or on CPUs whose IBRS spares us that, one call retires before the first return (PBRSB);
 * on CPUs with the Retbleed or SRSO flaw the return predictor is untrained. The refill is the kernel's
 * FILL_RETURN_BUFFER without its loop, which would be more than half of the instructions in it.
 */
#define HOST_REFILL_RETURNS                                                                        \
	.rept RSB_CLEAR_LOOPS;                                                                     \
	__FILL_RETURN_SLOT;                                                                        \
	.endr;                                                                                     \
	add $8 * RSB_CLEAR_LOOPS, %rsp;                                                            \
	lfence

/* Where IBPB does it, be it for Retbleed or SRSO, the kernel leaves the refill to what stands behind the IBPB. */
#define HOST_UNTRAIN_RETURNS                                                                       \
	CALL_UNTRAIN_RET;                                                                          \
	ALTERNATIVE_2 "jmp 785f", "", X86_FEATURE_ENTRY_IBPB, "", X86_FEATURE_IBPB_ON_VMEXIT;      \
	mov $MSR_IA32_PRED_CMD, %ecx;                                                              \
	mov $PRED_CMD_IBPB, %eax;                                                                  \
	xor %edx, %edx;                                                                            \
	wrmsr;                                                                                     \
	__FILL_RETURN_BUFFER(%rcx, RSB_CLEAR_LOOPS);                                               \
785:

#define HOST_GUARD_RETURNS                                                                         \
	ALTERNATIVE_2 "jmp 784f",                                                                  \
		__stringify(HOST_REFILL_RETURNS), X86_FEATURE_RSB_VMEXIT,                          \
		__stringify(__FILL_ONE_RETURN), X86_FEATURE_RSB_VMEXIT_LITE;                       \
784:	HOST_UNTRAIN_RETURNS
/* clang-format on */

/* Of Intel's CPUs some let a guest's branch history steer the host (BHI). */
#define HOST_CLEAR_HISTORY COMPAT_CLEAR_HISTORY

#endif
