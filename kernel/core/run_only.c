/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A clock that passes only while the guest executes. It is held while the vCPU is outside, so exits,
 * handlers, devices and whoever else reads it see the moment of the exit; each turn of the guest
 * releases it, and holds it again. RDTSC exits, so what a turn costs besides the guest's own time need
 * not be hidden from the hardware's answer.
 *
 * Of a turn's length the part that is ours is not the guest's: that of the shortest turn ever seen with
 * this kind of exit, in which the guest did next to nothing; but at most twice that of the shortest of
 * all, since some exits never come soon. Turns that tell the hardware something new are measured by each
 * other. While a turn lasts, its end is not known: readers elsewhere then see the most that can be ours
 * taken off, and never more than the exit will find.
 */
#include "core/time.h"
#include "base/processor.h"

#define TRIES 16
#define NATIVE_MOST 1000 /* ticks: a CPUID that takes longer is not the processor's own */

struct run_only {
	struct backend backend; /* the VM's, with another run() */
	const struct backend *real;
	struct {
		u64 least, by_kind[EXIT_KINDS]; /* ticks of a turn */
	} ours[2];				/* with nothing dirty, and with something */
	u64 cpuid;				/* ticks that the instruction takes natively */
};

/* Interrupts are off, and whoever changes the clock otherwise waits until this vCPU is out. */
static void run_only_run(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct run_only *r = vm->time.run_only;
	bool dirty = v->dirty & ~DIRTY_HOST; /* which is no more than a comparison */
	u64 *least = &r->ours[dirty].least, *by_kind = r->ours[dirty].by_kind;
	u64 entered, length, ours, seen, rest, most = 2 * *least;

	clock_change_begin(&vm->time.clock, vm->time.page);
	entered = host_tsc();
	clock_release(&vm->time.clock, entered + most, CLOCK_HELD_OUTSIDE);
	clock_change_end(&vm->time.clock, vm->time.page, vm->time.flags);

	r->real->run(v);

	clock_change_begin(&vm->time.clock, vm->time.page);
	length = host_tsc() - entered;
	clock_hold(&vm->time.clock, entered + length, CLOCK_HELD_OUTSIDE);
	by_kind += v->exit.kind;
	ours = min(*by_kind, most);
	seen = length > most ? length - most : 0;
	rest = length > ours ? length - ours - seen : 0;
	/* An instruction was executed or begun; CPUID alone is a slow one. */
	clock_pass(&vm->time.clock, entered + length,
		   clock_scaled(rest, vm->time.clock.rate_mult) +
			   (v->exit.kind == EXIT_CPUID ? r->cpuid : 1));
	clock_change_end(&vm->time.clock, vm->time.page, vm->time.flags);
	*least = min(*least, length);
	*by_kind = min(*by_kind, length);
}

/* It chose to wait: time passes for it as for the host. */
void run_only_asleep(struct vm *vm, bool asleep)
{
	host_lock(&vm->time.lock);
	clock_change_begin(&vm->time.clock, vm->time.page);
	if (asleep)
		clock_release(&vm->time.clock, host_tsc_ordered(), CLOCK_HELD_OUTSIDE);
	else
		clock_hold(&vm->time.clock, host_tsc_ordered(), CLOCK_HELD_OUTSIDE);
	clock_change_end(&vm->time.clock, vm->time.page, vm->time.flags);
	host_unlock(&vm->time.lock);
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
	u32 i, kind;

	if (!r)
		return -ENOMEM;
	r->real = vm->backend;
	r->backend = *vm->backend;
	r->backend.run = run_only_run;
	for (i = 0; i < 2; i++) {
		r->ours[i].least = CLOCK_NEVER >> 2;
		for (kind = 0; kind < EXIT_KINDS; kind++)
			r->ours[i].by_kind[kind] = CLOCK_NEVER >> 2;
	}
	r->cpuid = time_cpuid();
	vm->time.run_only = r;
	vm->backend = &r->backend;
	return 0;
}

void run_only_end(struct vm *vm)
{
	if (!vm->time.run_only)
		return;
	vm->backend = vm->time.run_only->real;
	host_free(vm->time.run_only);
	vm->time.run_only = NULL;
}
