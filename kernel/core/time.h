/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What time it is in a VM, and the changes of its clock. */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include "core/vcpu.h"

/* ---- time.c */
int vm_clock_init(struct vm *vm, u32 tsc_khz);
int vm_set_clock(struct vm *vm, struct fermata_clock_change *change);
/* Outside the guest: if the clock is too old for its arithmetic, a new segment begins. */
void vm_clock_renew(struct vm *vm);

/*
 * The computer slept, and its TSC went its own way meanwhile: `then` is what it read before. No vCPU is in guest
 * context. Interrupts may be off; does not sleep.
 */
void vm_clock_rebase(struct vm *vm, u64 then);

/* ---- run_only.c */
int run_only_begin(struct vm *vm);
void run_only_end(struct vm *vm);
/* The one vCPU goes to sleep in HLT, and wakes up. */
void run_only_asleep(struct vm *vm, bool asleep);

/* ---- inline */
/* The VM's TSC, which its clock and its APICs count in, with the clock that it was read by. */
static inline u64 vm_time(const struct vm *vm, struct guest_clock *clock)
{
	return clock_snapshot(&vm->time.clock, clock);
}

/* Its TSC, as it reads it. */
static inline u64 vcpu_tsc(const struct vcpu *v)
{
	return clock_read_tsc(&v->vm->time.clock) + v->guest.tsc_offset;
}

#endif
