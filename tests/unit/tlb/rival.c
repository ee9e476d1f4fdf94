/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Another hypervisor that has switched virtualization on, with guests on the same CPUs (KVM). It runs when a CPU is
 * free, under any tag, and does not flush when it comes back: it believes that it is alone. On VT-x it remembers on
 * which CPU its VMCS is current. To move it it sends an IPI to that CPU, which clears it there.
 */
#include "model.h"

/* Of ASIDs it has all that there are, of VPIDs the same as ours come from. */
#define ASIDS 63
#define VPIDS 8

static void rival_main(void *arg)
{
	while (!world.stopping) {
		for (u32 n = below(30); n && !world.stopping; n--)
			yield();
		host_stay();
		if (world.config->intel)
			vmx_model_rival();
		processor_rival(processor_here(), 1 + below(world.config->intel ? VPIDS : ASIDS),
				one_in(2));
		world.out->rivals++;
		host_move();
	}
}

void rival_begin(void)
{
	if (world.config->rival)
		fiber_new(rival_main, NULL, NULL);
}

void rival_interrupt(void)
{
	if (world.config->rival && world.config->intel && one_in(4))
		vmx_model_rival_leaves();
}
