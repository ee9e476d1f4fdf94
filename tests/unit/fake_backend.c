/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "fake_backend.h"
#include "host_test.h"

struct fake_script fake;

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fake backend: %s\n", what);
	abort();
}

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
}

struct exit *fake_exit(u8 kind, u8 length)
{
	struct exit *x = &fake.exit[fake.count];

	check(fake.count < FAKE_EXITS, "the script is too long");
	fake.count++;
	*x = (struct exit){ .kind = kind, .length = length, .code = kind };
	return x;
}

static void fake_detect(struct fermata_caps *caps)
{
	caps->vendor = FERMATA_VENDOR_AMD;
}

static const struct radix_format *fake_format(void)
{
	return &npt_format;
}

static int fake_vcpu_create(struct vcpu *v)
{
	v->hw = host_alloc(sizeof(struct fake_hw));
	return v->hw ? 0 : -ENOMEM;
}

static void fake_vcpu_destroy(struct vcpu *v)
{
	host_free(v->hw);
	v->hw = NULL;
}

static void fake_load(struct vcpu *v, u32 cpu)
{
	v->cpu = cpu;
	fake.loads++;
}

static void fake_run(struct vcpu *v)
{
	struct fake_hw *hw = v->hw;
	u32 turn = fake.played;

	check(v->mode == VCPU_IN_GUEST, "run() while the mode says that the vCPU is outside");
	check(v->exit.kind == EXIT_UNCLAIMED, "the exit record does not start as unclaimed");
	check(turn < fake.count, "run() after the script's end");
	check(v->advance <= 15, "a step of more than an instruction");
	if (v->advance)
		hw->shadow = false;
	hw->rip += v->advance;
	v->advance = 0;
	fake.dirty[turn] = v->dirty;
	v->dirty = 0;
	if (v->tlb.owed) {
		fake.flushes++;
		fake.paid = v->tlb.owed;
		v->tlb.owed = FLUSH_NONE;
	}
	fake.entry_rip[turn] = hw->rip;
	v->exit = fake.exit[turn];
	v->exit.rip = hw->rip;
	fake.played++;
	if (fake.guest)
		fake.guest(v, turn);
	if (fake.played == fake.count) {
		host_test.must_leave = true;
		host_test.leave_error = -EINTR;
	}
}

static u32 fake_audit(struct vcpu *v, struct audit_finding *out, u32 room)
{
	u32 i, count = 0;

	fake.audits++;
	for (i = 0; i < fake.broken_rules; i++)
		audit_add(out, room, &count,
			  &(struct audit_finding){ "a rule", "APM 2 1.1", "CR0", 0x1234 + i });
	return count;
}

static void fake_get_state(struct vcpu *v, struct fermata_state *state, u32 mask)
{
	const struct fake_hw *hw = v->hw;

	if (mask & FERMATA_STATE_REGS) {
		state->regs.rip = hw->rip + v->advance;
		state->regs.rflags = hw->rflags;
	}
	if (mask & FERMATA_STATE_SEGMENTS)
		state->segments = hw->segments;
	if (mask & FERMATA_STATE_CONTROL) {
		state->control.cr2 = hw->cr2;
		state->control.cr3 = hw->cr3;
	}
	if (mask & FERMATA_STATE_MSRS)
		state->msrs = hw->msrs;
	if (mask & FERMATA_STATE_PENDING) {
		state->pending.interrupts_blocked = hw->shadow;
		state->pending.nmi_blocked = hw->nmi_masked;
	}
}

static int fake_set_state(struct vcpu *v, const struct fermata_state *state, u32 mask)
{
	struct fake_hw *hw = v->hw;

	if (mask & FERMATA_STATE_REGS) {
		hw->rip = state->regs.rip;
		hw->rflags = state->regs.rflags;
	}
	if (mask & FERMATA_STATE_SEGMENTS)
		hw->segments = state->segments;
	if (mask & FERMATA_STATE_CONTROL) {
		hw->cr2 = state->control.cr2;
		hw->cr3 = state->control.cr3;
	}
	if (mask & FERMATA_STATE_MSRS)
		hw->msrs = state->msrs;
	if (mask & FERMATA_STATE_PENDING) {
		hw->shadow = state->pending.interrupts_blocked;
		hw->nmi_masked = state->pending.nmi_blocked;
	}
	return 0;
}

static u64 *register_at(struct vcpu *v, enum hw_reg reg)
{
	struct fake_hw *hw = v->hw;

	switch (reg) {
	case HW_RIP:
		return &hw->rip;
	case HW_RFLAGS:
		return &hw->rflags;
	case HW_CR2:
		return &hw->cr2;
	case HW_CR3:
		return v->shadow ? &v->shadow->cr3 : &hw->cr3;
	default:
		return &(&hw->segments.es)[reg - HW_ES_BASE].base;
	}
}

static void fake_position(struct vcpu *v, u64 *rip, u64 *rflags)
{
	*rip = fake_hw(v)->rip;
	*rflags = fake_hw(v)->rflags;
}

static u64 fake_get_reg(struct vcpu *v, enum hw_reg reg)
{
	return reg == HW_BLOCKED ? fake_hw(v)->shadow : *register_at(v, reg);
}

static void fake_set_reg(struct vcpu *v, enum hw_reg reg, u64 value)
{
	if (reg == HW_BLOCKED)
		fake_hw(v)->shadow = value;
	else
		*register_at(v, reg) = value;
}

static void fake_where(struct vcpu *v, struct where *where)
{
	const struct fake_hw *hw = v->hw;

	memset(where, 0, sizeof(*where));
	where->paging.cr0 = v->guest.cr0;
	where->paging.cr3 = v->shadow ? v->shadow->cr3 : hw->cr3;
	where->paging.has_pdptes = v->shadow;
	if (v->shadow)
		memcpy(where->paging.pdpte, v->shadow->pdpte, sizeof(where->paging.pdpte));
	where->paging.cr4 = v->guest.cr4;
	where->paging.efer = v->guest.efer;
	where->paging.cpl = hw->cpl;
	where->rip = hw->rip;
	where->rflags = hw->rflags;
	where->linear = hw->segments.cs.base + hw->rip;
	where->mode = hw->mode;
}

static bool fake_can_take(struct vcpu *v, u8 kind)
{
	const struct fake_hw *hw = v->hw;

	if (hw->shadow && !v->advance)
		return false;
	return kind == INJECT_NMI ? !hw->nmi_masked : hw->rflags & ARCH_RFLAGS_IF;
}

static void fake_inject(struct vcpu *v, const struct injection *event)
{
	struct fake_hw *hw = v->hw;

	check(event->kind != INJECT_NONE, "nothing was injected");
	check(!fake.injections || fake.injected_turn[fake.injections - 1] != fake.played,
	      "two events were injected at once");
	check(fake.injections < FAKE_EVENTS, "too many events");
	fake.injected[fake.injections] = *event;
	fake.injected_turn[fake.injections++] = fake.played;
	if (event->kind == INJECT_NMI)
		hw->nmi_masked = true;
}

static void fake_window(struct vcpu *v, u32 kinds)
{
	fake_hw(v)->windows = kinds;
	fake.windows++;
	fake.asked_window += kinds != 0;
}

static int fake_can_intercept(u32 event, u64 first, u64 last)
{
	return event == FERMATA_ON_RDRAND ? -EOPNOTSUPP : 0;
}

static const u32 fake_direct_msrs[] = { ARCH_MSR_KERNEL_GS_BASE, 0 };

static int fake_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	u64 *slot = &fake_hw(v)->msrs.kernel_gs_base;

	if (msr != ARCH_MSR_KERNEL_GS_BASE)
		return -EINVAL;
	if (write)
		*slot = *value;
	*value = *slot;
	return 0;
}

const struct backend fake_backend = {
	.name = "fake",
	.vendor = FERMATA_VENDOR_AMD,
	.dirty_by_host = DIRTY_HOST,
	.detect = fake_detect,
	.format = fake_format,
	.vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy,
	.load = fake_load,
	.run = fake_run,
	.audit = fake_audit,
	.get_state = fake_get_state,
	.set_state = fake_set_state,
	.get_reg = fake_get_reg,
	.position = fake_position,
	.set_reg = fake_set_reg,
	.where = fake_where,
	.can_intercept = fake_can_intercept,
	.direct_msrs = fake_direct_msrs,
	.direct_msr = fake_direct_msr,
	.can_take = fake_can_take,
	.inject = fake_inject,
	.window = fake_window,
};
