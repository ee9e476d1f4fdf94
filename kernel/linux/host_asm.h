/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the backends' entry.S need of the kernel they are built into. */
#ifndef LINUX_HOST_ASM_H
#define LINUX_HOST_ASM_H

#include <linux/linkage.h>
#include <linux/version.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

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

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define HOST_UNTRAIN_RETURNS UNTRAIN_RET_VM
#else
#define HOST_UNTRAIN_RETURNS UNTRAIN_RET
#endif

/*
 * What the CPU's buffers still hold of the host must not reach the guest (TSA, MDS). Clobbers ZF, and
 * stands after the last load of a general register.
 */
#ifdef VM_CLEAR_CPU_BUFFERS
#define HOST_CLEAR_BUFFERS VM_CLEAR_CPU_BUFFERS
#else
#define HOST_CLEAR_BUFFERS
#endif

/*
 * The kernel's own mitigations, patched in by it at load time as the CPU needs them: the return stack
 * is refilled, or on CPUs whose IBRS spares us that, one call retires before the first return (PBRSB);
 * on CPUs with the Retbleed or SRSO flaw the return predictor is untrained. The refill is the kernel's
 * FILL_RETURN_BUFFER without its loop, which would be more than half of the instructions in it.
 */
/* clang-format off */
#define HOST_REFILL_RETURNS                                                                        \
	.rept RSB_CLEAR_LOOPS;                                                                     \
	__FILL_RETURN_SLOT;                                                                        \
	.endr;                                                                                     \
	add $8 * RSB_CLEAR_LOOPS, %rsp;                                                            \
	lfence

#define HOST_GUARD_RETURNS                                                                         \
	ALTERNATIVE_2 "jmp 770f",                                                                  \
		__stringify(HOST_REFILL_RETURNS), X86_FEATURE_RSB_VMEXIT,                          \
		__stringify(__FILL_ONE_RETURN), X86_FEATURE_RSB_VMEXIT_LITE;                       \
770:	HOST_UNTRAIN_RETURNS
/* clang-format on */

/* Of Intel's CPUs some let a guest's branch history steer the host (BHI). */
#ifdef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#define HOST_CLEAR_HISTORY CLEAR_BRANCH_HISTORY_VMEXIT
#else
#define HOST_CLEAR_HISTORY
#endif

#endif
