/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A clock that passes only while the guest executes. It is held while the vCPU is outside, so exits,
 * handlers, devices and whoever else reads it see the moment of the exit; each turn of the guest
 * releases it, and holds it again. RDTSC exits, so what a turn costs besides the guest's own time need
 * not be hidden from the hardware's answer.
 *
 * Of a turn's length the part that is ours is not the guest's: that of the shortest turn ever seen, in
 * which the guest did next to nothing. Turns that tell the hardware something new have a minimum of
 * their own. The segment of a turn begins so much later, and no reader sees it step back.
 */
#include "core/exits.h"
#include "core/processor.h"

#define TRIES 16
#define NATIVE_MOST 1000 /* ticks: a CPUID that takes longer is not the processor's own */

struct run_only {
	struct backend backend; /* the VM's, with another run() */
	const struct backend *real;
	u64 ours[2]; /* ticks of a turn: with nothing dirty, and with something */
	u64 cpuid;   /* ticks that the instruction takes natively */
};

/* Interrupts are off, and whoever changes the clock otherwise waits until this vCPU is out. */
static void run_only_run(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct run_only *r = vm->run_only;
	u64 *ours = &r->ours[!!v->dirty], entered, left;

	clock_change_begin(&vm->clock, vm->clock_page);
	entered = host_tsc();
	clock_release(&vm->clock, entered + *ours, CLOCK_HELD_OUTSIDE);
	clock_change_end(&vm->clock, vm->clock_page, vm->clock_flags);

	r->real->run(v);

	clock_change_begin(&vm->clock, vm->clock_page);
	left = host_tsc();
	clock_hold(&vm->clock, left, CLOCK_HELD_OUTSIDE);
	/* An instruction was executed or begun; CPUID alone is a slow one. */
	clock_pass(&vm->clock, left, v->exit.kind == EXIT_CPUID ? r->cpuid : 1);
	clock_change_end(&vm->clock, vm->clock_page, vm->clock_flags);
	*ours = min(*ours, left - entered);
}

/* It chose to wait: time passes for it as for the host. */
void run_only_asleep(struct vm *vm, bool asleep)
{
	host_lock(&vm->clock_lock);
	clock_change_begin(&vm->clock, vm->clock_page);
	if (asleep)
		clock_release(&vm->clock, host_tsc_ordered(), CLOCK_HELD_OUTSIDE);
	else
		clock_hold(&vm->clock, host_tsc_ordered(), CLOCK_HELD_OUTSIDE);
	clock_change_end(&vm->clock, vm->clock_page, vm->clock_flags);
	host_unlock(&vm->clock_lock);
}

/* The shortest of some; one that a hypervisor below us makes slow is cut. */
static u64 time_cpuid(void)
{
	u64 least = NATIVE_MOST, before;
	u32 i;

	for (i = 0; i < TRIES; i++) {
		before = host_tsc();
		cpu_cpuid(0, 0);
		least = min(least, host_tsc() - before);
	}
	return least ?: 1;
}

/* No vCPU exists, and none is made meanwhile. */
int run_only_begin(struct vm *vm)
{
	struct run_only *r = host_alloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->real = vm->backend;
	r->backend = *vm->backend;
	r->backend.run = run_only_run;
	r->ours[0] = r->ours[1] = CLOCK_NEVER >> 2;
	r->cpuid = time_cpuid();
	vm->run_only = r;
	vm->backend = &r->backend;
	return 0;
}

void run_only_end(struct vm *vm)
{
	if (!vm->run_only)
		return;
	vm->backend = vm->run_only->real;
	host_free(vm->run_only);
	vm->run_only = NULL;
}
