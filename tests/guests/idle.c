/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Hypercalls nobody knows, hints, and HLT with interrupts off (run 1). */
#include <uapi/fermata.h>
#include "guest.h"

GUEST(.runs = 2, .expect = { 0, FERMATA_EXIT_HALTED });

static void hypercalls(void)
{
	bool good = true;

	for (u64 i = 0; i < 64; i++) {
		u64 rax = i, rbx = 1, rcx = 2, rdx = 3;

		if (calls_by_vmcall())
			asm volatile(VMCALL
				     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx)
				     :
				     : "memory");
		else
			asm volatile(VMMCALL
				     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx)
				     :
				     : "memory");
		good &= rax == (u64)-38 && rbx == 1 && rcx == 2 && rdx == 3;
	}
	check(good, "an unknown hypercall answers -ENOSYS and touches nothing else");
}

static void hints(void)
{
	for (u32 i = 0; i < 10000; i++)
		pause();
	check(true, "PAUSE goes on");
	asm volatile("wbinvd" : : : "memory");
	check(true, "WBINVD goes on");
	asm volatile("invd" : : : "memory");
	check(true, "INVD goes on, and loses nothing");
}

void guest_main(u32 run)
{
	if (run == 1) {
		asm volatile("cli\n\thlt");
		return;
	}
	hypercalls();
	hints();
}
