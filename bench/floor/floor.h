/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef FLOOR_H
#define FLOOR_H

#include "core/vcpu.h"
#include "leaf.h"

void floor_svm(struct vcpu *v);
void floor_vmx(struct vcpu *v);

#endif
