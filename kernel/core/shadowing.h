/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Shadow paging's part of a vCPU: its page faults, INVLPG, and the root for its CR3. All of it is for
 * vCPUs with v->shadow; under nested paging the processor does these things alone.
 */
#ifndef CORE_SHADOWING_H
#define CORE_SHADOWING_H

#include "core/vcpu.h"

int shadowing_init(struct vcpu *v);
void shadowing_destroy(struct vcpu *v);

/* A VM made for nested paging gets what its vCPUs need to change over. Sleeps. */
int shadowing_prepare(struct vm *vm);
/*
 * From now on the vCPUs may change over. Every vCPU has seen the new rules by then, so no two run the guest under
 * different paging: a shadow would not follow what a vCPU under nested paging writes to a page table.
 */
void shadowing_switch(struct vm *vm, bool shadowed);
/* Rules about linear addresses need it, or do not any more. */
static inline bool shadowing_unsuited(const struct vcpu *v)
{
	return v->backend->set_paging && !v->vm->config.shadow &&
	       v->ruling.wanted.read_only_walks != !!v->shadow;
}
/* Changes the vCPU over, if shadowing_switch() has allowed it. Outside of guest context. -ENOMEM */
int shadowing_change_over(struct vcpu *v);

/* CR3, or what else decides how the guest pages, is another: a root for it before the next entry. */
void shadowing_changed(struct vcpu *v);
/* REQUEST_ROOT, in guest context. */
enum verdict shadowing_root(struct vcpu *v);
/* MOV to CR3, checked but for PAE's PDPTEs. */
enum verdict shadowing_set_cr3(struct vcpu *v, u64 value, bool keep);

/*
 * EXIT_PAGE_FAULT, EXIT_INVLPG, EXIT_INVPCID, and a nested fault whose page has been mapped here. Besides the
 * other verdicts HANDLE_AGAIN: it is a nested fault, or an exception of the guest's that a rule may be about.
 */
enum verdict shadowing_fault(struct vcpu *v);
enum verdict shadowing_invlpg(struct vcpu *v);
enum verdict shadowing_invpcid(struct vcpu *v);
enum verdict shadowing_near(struct vcpu *v);

/* REQUEST_SHADOW, outside of guest context: what was left for it; and a fault whose page is mapped now. */
int shadowing_outside(struct vcpu *v);
int shadowing_mapped(struct vcpu *v);

#endif
