// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A machine check that ended a guest's turn. The processor has not called its handler, so we do, and it finds the
 * error in the banks. It must take the guest for a program of its thread's: an error in the guest's memory is then
 * repaired, or costs that process a SIGBUS. In the kernel it would be the host's end.
 */
#include <linux/sched/signal.h>
#include <asm/asm.h>
#include <asm/mce.h>
#include <asm/ptrace.h>

#include "device.h"

#ifdef FERMATA_DO_MACHINE_CHECK

/* As KVM does it, whatever the guest ran in: registers of user space. */
void host_machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
}

#else

/* clang-format off */
#define SURVIVES_TO(label) _ASM_EXTABLE_TYPE(1b, %l[label], EX_TYPE_DEFAULT_MCE_SAFE)
/* clang-format on */

/*
 * Where Linux does not export its handler, by its gate: INT takes the stack that the gate names, as the exception
 * would. The handler finds the kernel at the instruction after INT, and by the exception table that this one
 * survives an error in what it used. Then it goes on at `lost`, and the process ends as it would have by itself.
 */
void host_machine_check(void)
{
	asm goto("int $18\n"
		 "1: nop\n" SURVIVES_TO(lost)
		 :
		 :
		 : "memory"
		 : lost);
	return;
lost:
	force_sig(SIGBUS);
}

#endif
