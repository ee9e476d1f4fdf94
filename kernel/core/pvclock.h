/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* KVM's paravirtual clock, for guests whose CPUID offers it. */
#ifndef CORE_PVCLOCK_H
#define CORE_PVCLOCK_H

#include "core/vcpu.h"

/* The MSRs. -EINVAL: there is no memory that the guest may write. */
int pvclock_set_time(struct vcpu *v, u64 value);
int pvclock_set_wall(struct vcpu *v, u64 value);

/* SET_STATE: before the guest goes on, the clock's pages are written; the date's page is not. */
bool pvclock_state_valid(struct vm *vm, u64 time, u64 wall);
void pvclock_restore(struct vcpu *v, u64 time, u64 wall);

/* The vCPU's TSC moved: before it goes on, with REQUEST_PVCLOCK, all pages are written. */
void pvclock_changed(struct vcpu *v);
/* Outside of guest context, by the vCPU's thread. Sleeps. GO_ON. */
int pvclock_write(struct vcpu *v);

#endif
