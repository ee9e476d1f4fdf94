/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* All the ways in which a vCPU leaves the guest and comes back; for guests that look for what changed meanwhile. */
#ifndef GUESTS_LEAVE_H
#define GUESTS_LEAVE_H

#include "guest.h"

enum { EXIT_KERNEL, EXIT_USER, EXIT_SLEEP, EXIT_HALT, EXIT_SPIN, EXIT_WAYS };

static const char *const leave_names[EXIT_WAYS] = {
	"registers survive exits to the kernel", "... to user space",
	"... while user space sleeps",		 "... in HLT",
	"... and while the host preempts",
};

#define LEAVE_TICK 0x71

static volatile u32 leave_ticks;

static void leave_on_tick(struct frame *frame)
{
	leave_ticks++;
	apic_eoi();
}

/* Before the first EXIT_HALT. */
static void leave_prepare(void)
{
	apic_on(false);
	set_handler(LEAVE_TICK, leave_on_tick);
	apic_write(APIC_LVT_TIMER, LEAVE_TICK);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
}

static void leave(u32 way)
{
	switch (way) {
	case EXIT_KERNEL:
		cpuid(0, 0);
		break;
	case EXIT_USER:
		inl(PORT_ECHO);
		break;
	case EXIT_SLEEP:
		call_runner(CALL_SLEEP, 1);
		break;
	case EXIT_HALT:
		leave_ticks = 0;
		apic_write(APIC_TIMER_INITIAL, 300000);
		while (!leave_ticks)
			asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		break;
	case EXIT_SPIN:
		spin_us(1500);
		break;
	}
}

#endif
