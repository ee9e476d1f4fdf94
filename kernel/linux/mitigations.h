/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the kernels that we are built for call flaws of processors and what they do about them. A name that the
 * headers at hand do not have is one that this kernel knows nothing of.
 */
#ifndef LINUX_MITIGATIONS_H
#define LINUX_MITIGATIONS_H

#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>

#define UNKNOWN_BIT (-1)

/* Not a constant for the compiler: nothing is patched. For what is asked once. */
static inline bool cpu_shows(int bit)
{
	return bit != UNKNOWN_BIT && test_cpu_cap(&boot_cpu_data, bit);
}

#ifndef X86_FEATURE_SRSO
#define X86_FEATURE_SRSO UNKNOWN_BIT
#endif
#ifndef X86_FEATURE_SRSO_ALIAS
#define X86_FEATURE_SRSO_ALIAS UNKNOWN_BIT
#endif
#ifndef X86_FEATURE_SRSO_BP_SPEC_REDUCE
#define X86_FEATURE_SRSO_BP_SPEC_REDUCE UNKNOWN_BIT
#endif
#ifndef X86_FEATURE_INDIRECT_THUNK_ITS
#define X86_FEATURE_INDIRECT_THUNK_ITS UNKNOWN_BIT
#endif
#ifndef X86_FEATURE_CLEAR_BHB_HW
#define X86_FEATURE_CLEAR_BHB_HW UNKNOWN_BIT
#endif
#ifdef X86_FEATURE_CLEAR_BHB_VMEXIT
#define FEATURE_CLEAR_HISTORY X86_FEATURE_CLEAR_BHB_VMEXIT
#else
#define FEATURE_CLEAR_HISTORY X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#endif
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
#define FEATURE_IBPB_TO_USER X86_FEATURE_IBPB_EXIT_TO_USER
#else
#define FEATURE_IBPB_TO_USER UNKNOWN_BIT
#endif

#ifndef X86_BUG_SMT_RSB
#define X86_BUG_SMT_RSB UNKNOWN_BIT
#endif
#ifndef X86_BUG_SRSO
#define X86_BUG_SRSO UNKNOWN_BIT
#endif
#ifndef X86_BUG_GDS
#define X86_BUG_GDS UNKNOWN_BIT
#endif
#ifndef X86_BUG_RFDS
#define X86_BUG_RFDS UNKNOWN_BIT
#endif
#ifndef X86_BUG_BHI
#define X86_BUG_BHI UNKNOWN_BIT
#endif
#ifndef X86_BUG_ITS
#define X86_BUG_ITS UNKNOWN_BIT
#endif
#ifndef X86_BUG_ITS_NATIVE_ONLY
#define X86_BUG_ITS_NATIVE_ONLY UNKNOWN_BIT
#endif
#ifndef X86_BUG_TSA
#define X86_BUG_TSA UNKNOWN_BIT
#endif
#ifndef X86_BUG_VMSCAPE
#define X86_BUG_VMSCAPE UNKNOWN_BIT
#endif

#endif
