// SPDX-License-Identifier: MIT OR GPL-2.0
/* A module without rules (make RULES=0): core asks for nothing, and whoever adds a rule hears that there are none. */
#include "core/vcpu.h"
#include "rules/rules.h"

int rules_vm_init(struct vm *vm)
{
	return 0;
}

void rules_vm_destroy(struct vm *vm)
{
}

int rules_vcpu_init(struct vcpu *v)
{
	return 0;
}

void rules_vcpu_destroy(struct vcpu *v)
{
}

void rules_vcpu_reset(struct vcpu *v)
{
}

/* Nothing sets v->ruled, or asks for an intercept. Should either be there, the vCPU ends as if it were lost. */
enum verdict rules_exit(struct vcpu *v)
{
	host_set_bit(REQUEST_LOST, &v->requests);
	return GO_ON;
}

void rules_once(struct vcpu *v)
{
	host_set_bit(REQUEST_LOST, &v->requests);
}

enum verdict rules_requested(struct vcpu *v, u32 request)
{
	return GO_ON;
}

int rules_outside(struct vcpu *v)
{
	return GO_ON;
}

bool rules_open(struct vcpu *v)
{
	return true;
}

void rules_space_changed(struct vcpu *v)
{
}

void rules_memory_changed(struct vm *vm)
{
}

int rules_add(struct vm *vm, struct fermata_rule *spec)
{
	return -EOPNOTSUPP;
}

int rules_remove(struct vm *vm, u32 id)
{
	return -EOPNOTSUPP;
}

int rules_get(struct vm *vm, struct fermata_rule *spec)
{
	return -EOPNOTSUPP;
}

int rules_set_ring(struct vcpu *v, struct fermata_ring *ring)
{
	return -EOPNOTSUPP;
}
