/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The guest's MSRs: the rows are in msr.c. */
#ifndef CORE_MSR_H
#define CORE_MSR_H

#include "core/vcpu.h"

/* In guest context. 0, or -EINVAL where the processor raises #GP(0). */
int msr_read(struct vcpu *v, u32 msr, u64 *value);
int msr_write(struct vcpu *v, u32 msr, u64 value);

/* Those that are in FERMATA_STATE_MSRS, but for the time's and what the backend holds. */
int msr_check_state(const struct cpuid_table *cpuid, const struct fermata_state_msrs *state);
void msr_get_state(const struct vcpu *v, struct fermata_state_msrs *state);
void msr_set_state(struct vcpu *v, const struct fermata_state_msrs *state);

#endif
