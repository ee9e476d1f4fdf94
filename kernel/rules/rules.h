/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules, for kernel/linux. The callers of the first three exclude each other, and the VM's end; they sleep.
 * A module without rules answers -EOPNOTSUPP.
 */
#ifndef RULES_RULES_H
#define RULES_RULES_H

#include <uapi/fermata.h>

struct vm;
struct vcpu;

/* -EINVAL, -EOPNOTSUPP (the processor cannot intercept that), -ENOSPC, -E2BIG, -ENOMEM; else spec->id is set. */
int rules_add(struct vm *vm, struct fermata_rule *spec);
/* -ENOENT */
int rules_remove(struct vm *vm, uint32_t id);
/* The first one whose id is spec->id or greater. -ENOENT */
int rules_get(struct vm *vm, struct fermata_rule *spec);
/* Where the vCPU's records go, from any thread; the memory stays the caller's, and until the vCPU ends. */
int rules_set_ring(struct vcpu *v, struct fermata_ring *ring);

#endif
