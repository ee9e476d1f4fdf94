/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Control, debug and extended control registers. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "core/vcpu.h"

/* 0, or -EINVAL where the processor raises #GP(0). */
int control_check(const struct vm *vm, u64 cr0, u64 cr4, u64 efer);
int control_set_efer(struct vcpu *v, u64 value);
bool control_xcr0_valid(const struct vm *vm, u64 xcr0);
u64 control_operand(struct vcpu *v, u64 value); /* as MOV to CR and DR see it in this mode */
/* In guest context, where the guest may have changed XCR0 unseen. */
void vcpu_sync_xcr0(struct vcpu *v);

/* Handlers of exits. */
enum verdict control_cr_read(struct vcpu *v);
enum verdict control_cr_write(struct vcpu *v);
enum verdict control_dr_read(struct vcpu *v);
enum verdict control_dr_write(struct vcpu *v);
enum verdict control_xsetbv(struct vcpu *v);

#endif
