/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Tags, and the flushes that are owed: SDM 3C 29.4. Linear and combined mappings lie under a VPID, and
 * INVVPID drops them; guest-physical ones lie under the root of the nested tables alone, and INVEPT
 * drops them together with what was combined from them. So neither instruction does the other's work,
 * and what is owed of the nested tables is owed once per CPU, however many vCPUs of the guest run there.
 */
#include "vmx/vmx.h"
#include "base/processor.h"

enum { INVEPT_SINGLE = 1, INVEPT_ALL };
enum { INVVPID_ADDRESS, INVVPID_SINGLE, INVVPID_ALL, INVVPID_LOCAL };

bool vmx_forget(void)
{
	return (!(vmx_controls.proc2 & PROC2_EPT) || cpu_invept(INVEPT_ALL, 0)) &&
	       (!(vmx_controls.proc2 & PROC2_VPID) || cpu_invvpid(INVVPID_ALL, 0, 0));
}

/* ---- what lies under the VPID */

static bool drop_all(struct vcpu *v)
{
	if (!cpu_invvpid(INVVPID_ALL, 0, 0))
		return false;
	vcpu_count_flush(v, FERMATA_FLUSH_ALL_TAGS);
	return true;
}

/*
 * The narrowest type that drops `owed` and that this CPU has. False: there is none, or it was refused,
 * as an address that is not canonical is; a new VPID does it then.
 */
static bool drop_some(struct vcpu *v, u32 owed)
{
	u64 caps = vmx_controls.ept_vpid;

	if (owed == FLUSH_ADDRESS && caps & VPID_CAP_ADDRESS &&
	    cpu_invvpid(INVVPID_ADDRESS, v->tlb.tag.id, v->tlb.linear)) {
		vcpu_count_flush(v, FERMATA_FLUSH_ADDRESS);
		return true;
	}
	if (owed == FLUSH_LOCAL && caps & VPID_CAP_LOCAL &&
	    cpu_invvpid(INVVPID_LOCAL, v->tlb.tag.id, 0)) {
		vcpu_count_flush(v, FERMATA_FLUSH_LOCAL);
		return true;
	}
	if (caps & VPID_CAP_SINGLE && cpu_invvpid(INVVPID_SINGLE, v->tlb.tag.id, 0)) {
		vcpu_count_flush(v, FERMATA_FLUSH_TAG);
		return true;
	}
	return false;
}

static bool pay_linear(struct vcpu *v, struct tag_pool *tags, u32 owed)
{
	bool fresh = vcpu_take_tag(v, tags);

	if (unlikely(backend_options.beside)) {
		/* A VPID that none of ours has used may still be in use elsewhere. */
		if (owed && !drop_some(v, owed))
			tags->flush_all = true;
	} else if (!fresh && owed && !drop_some(v, owed)) {
		tag_drop(&v->tlb.tag);
		vcpu_take_tag(v, tags);
	}
	if (!tags->flush_all)
		return true;
	if (!drop_all(v))
		return false;
	tags->flush_all = false;
	return true;
}

void vmx_forget_linear(struct vcpu *v)
{
	if (!(vmx_controls.ept_vpid & VPID_CAP_SINGLE) ||
	    !cpu_invvpid(INVVPID_SINGLE, v->tlb.tag.id, 0))
		cpu_invvpid(INVVPID_ALL, 0, 0);
}

/* ---- what lies under the root of the nested tables */

static bool pay_nested(struct vcpu *v, bool requested)
{
	u64 *paid = &v->vm->paid[v->cpu], owed = READ_ONCE(v->vm->memory.flush.generation);
	struct vmx_vcpu *s = v->hw;

	if (*paid == owed)
		return true;
	if (vmx_controls.ept_vpid & EPT_CAP_INVEPT_SINGLE && cpu_invept(INVEPT_SINGLE, s->eptp))
		vcpu_count_flush(v, FERMATA_FLUSH_NESTED);
	else if (cpu_invept(INVEPT_ALL, 0))
		vcpu_count_flush(v, FERMATA_FLUSH_ALL_NESTED);
	else
		return false;
	/* Owed while no vCPU of this guest was here, or a root that another guest's was before it. */
	if (!requested)
		v->account.stats.flush_cause[FERMATA_CAUSE_CPU]++;
	*paid = owed;
	return true;
}

/* False: the processor refused, and the guest must not be entered. */
bool vmx_pay(struct vcpu *v)
{
	u32 owed = v->tlb.owed;

	v->tlb.owed = FLUSH_NONE;
	/* Shadow paging has no other translations than those under the VPID. */
	if (v->shadow && owed & FLUSH_NESTED)
		owed |= FLUSH_LINEAR;
	/* Without VPID entries and exits drop these (SDM 3C 29.4.3.1). */
	if (!v->vm->config.untagged && !pay_linear(v, &vmx_cpus[v->cpu].tags, owed & ~FLUSH_NESTED))
		return false;
	return v->shadow || pay_nested(v, owed & FLUSH_NESTED);
}
