/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Reading and writing a vCPU's registers. What comes from the caller is checked for everything the
 * processor would refuse at the next entry, so that an absurd state is EINVAL and not a dead guest.
 */
#include "core/control.h"
#include "core/exits.h"
#include "core/msr.h"
#include "core/time.h"
#include "core/shadowing.h"
#include "core/pvclock.h"

/* The first four, ES, CS, SS and DS, have bases of 32 bits, the others of `bits` (SDM 3A 3.4.4). */
static int check_segment(const struct fermata_segment *s, u32 bits)
{
	bool usable = !(s->attrib & FERMATA_SEG_UNUSABLE);

	if (s->attrib & ~0x1fff)
		return -EINVAL;
	if (bits == 32)
		return usable && s->base >> 32 ? -EINVAL : 0;
	return arch_canonical(s->base, bits) ? 0 : -EINVAL;
}

static int check_segments(const struct fermata_state_segments *s, u32 bits)
{
	u32 long_and_default = ARCH_SEG_L | ARCH_SEG_DB;

	for (u32 i = 0; i < 8; i++)
		if (check_segment(&s->es + i, i < 4 ? 32 : bits))
			return -EINVAL;
	if (s->cs.attrib & FERMATA_SEG_UNUSABLE || s->tr.attrib & FERMATA_SEG_UNUSABLE ||
	    (s->cs.attrib & long_and_default) == long_and_default)
		return -EINVAL;
	if (s->gdt.limit > 0xffff || s->idt.limit > 0xffff || s->gdt.reserved || s->idt.reserved)
		return -EINVAL;
	return arch_canonical(s->gdt.base, bits) && arch_canonical(s->idt.base, bits) ? 0 : -EINVAL;
}

static int check_control(const struct vm *vm, const struct fermata_state_control *c)
{
	if (c->cr8 > 15 || !control_xcr0_valid(vm, c->xcr0) || c->cr3 >> vm->cpuid.phys_bits ||
	    !(c->cr0 & ARCH_CR0_ET))
		return -EINVAL;
	return control_check(vm, c->cr0, c->cr4, c->efer);
}

/* What is on its way must be something that can go in. */
static int check_pending(const struct fermata_state_pending *p)
{
	struct injection injection;

	if (p->nmi_pending > 1 || p->init_pending > 1 || p->sipi_pending > 1 || p->eoi_pending > 1 ||
	    p->interrupts_blocked > 1 || p->nmi_blocked > 1 || p->injection.cr2 ||
	    p->mp_state > FERMATA_MP_WAIT_FOR_SIPI || (!p->sipi_pending && p->sipi_vector) ||
	    (p->eoi_pending ? p->eoi_vector < 16 : p->eoi_vector != 0))
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_SIZE(p->reserved); i++)
		if (p->reserved[i])
			return -EINVAL;
	return injection_from(&p->injection, &injection);
}

/* The guest's PKRU is not in the thread's area: it changes hands at every turn (core/keys.h). */
static void put_pkru(const struct vcpu *v, u8 *area)
{
	u64 header, value = v->guest.pkru;

	if (!v->vm->config.pkru_at)
		return;
	memcpy(&header, area + 512, sizeof(header));
	header = value ? header | ARCH_XCR0_PKRU : header & ~ARCH_XCR0_PKRU;
	memcpy(area + 512, &header, sizeof(header));
	memcpy(area + v->vm->config.pkru_at, &value, sizeof(value));
}

static u32 get_pkru(const struct vcpu *v, const u8 *area)
{
	u64 header;
	u32 value = 0;

	memcpy(&header, area + 512, sizeof(header));
	if (v->vm->config.pkru_at && header & ARCH_XCR0_PKRU)
		memcpy(&value, area + v->vm->config.pkru_at, sizeof(value));
	return value;
}

/* MXCSR's reserved bits and a header that names components the guest cannot have make XRSTOR fault. */
static int check_xsave(const struct vm *vm, const struct fermata_state_xsave *x)
{
	u64 header[8], known = vm->cpuid.xcr0_allowed | 3;
	u32 mxcsr, i;

	if (vm->cpuid.cr4_allowed & ARCH_CR4_PKE) /* there without XSAVE, too */
		known |= ARCH_XCR0_PKRU;

	memcpy(&mxcsr, x->area + 24, sizeof(mxcsr));
	memcpy(header, x->area + 512, sizeof(header));
	if (mxcsr & ~0xffffu || header[0] & ~known)
		return -EINVAL;
	for (i = 1; i < 8; i++)
		if (header[i])
			return -EINVAL;
	return 0;
}

/* The backend has told what is blocked. */
static void get_pending(struct vcpu *v, struct fermata_state_pending *p)
{
	u64 attention = READ_ONCE(v->apic.attention);

	if (apic_take_nmi(&v->apic))
		v->waiting.nmi = true;
	p->injection = injection_to(v->waiting.valid ? &v->waiting.injection : NULL);
	p->nmi_pending = v->waiting.nmi;
	p->init_pending = attention >> LAPIC_ATTN_INIT & 1;
	p->sipi_pending = attention >> LAPIC_ATTN_SIPI & 1;
	p->sipi_vector = p->sipi_pending ? READ_ONCE(v->apic.sipi_vector) : 0;
	p->eoi_pending = READ_ONCE(v->requests) >> REQUEST_EOI & 1;
	p->eoi_vector = p->eoi_pending ? v->report.eoi_vector : 0;
	p->mp_state = v->mp_state;
	memset(p->reserved, 0, sizeof(p->reserved));
}

static void set_pending(struct vcpu *v, const struct fermata_state_pending *p)
{
	injection_from(&p->injection, &v->waiting.injection);
	v->waiting.valid = p->injection.kind != FERMATA_INJECT_NONE;
	v->waiting.nmi = p->nmi_pending;
	apic_post_startup(&v->apic, p->init_pending, p->sipi_pending, p->sipi_vector);
	v->report.eoi_vector = p->eoi_vector;
	if (p->eoi_pending)
		host_set_bit(REQUEST_EOI, &v->requests);
	else
		host_clear_bit(REQUEST_EOI, &v->requests);
	v->mp_state = p->mp_state;
}

int vcpu_get_state(struct vcpu *v, struct fermata_state *state)
{
	u32 mask = state->mask;
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);

	if (mask & ~FERMATA_STATE_ALL || state->reserved)
		return -EINVAL;
	v->backend->get_state(v, state, mask);
	if (mask & FERMATA_STATE_REGS)
		memcpy(state->regs.regs, v->page->regs, sizeof(state->regs.regs));
	if (mask & FERMATA_STATE_CONTROL) {
		state->control.cr0 = v->guest.cr0;
		state->control.cr4 = v->guest.cr4;
		state->control.cr8 = apic_tpr(&v->apic);
		state->control.efer = v->guest.efer;
		state->control.xcr0 = v->guest.xcr0;
		state->control.apic_base = apic_base(&v->apic);
	}
	if (mask & FERMATA_STATE_DEBUG) {
		memcpy(state->debug.dr, v->guest.dr, sizeof(v->guest.dr));
		state->debug.dr6 = v->guest.dr6;
		state->debug.dr7 = v->guest.dr7;
	}
	if (mask & FERMATA_STATE_MSRS) {
		msr_get_state(v, &state->msrs);
		state->msrs.tsc = now + v->guest.tsc_offset;
		state->msrs.tsc_adjust = v->guest.tsc_adjust;
		state->msrs.tsc_deadline = apic_tsc_deadline(&v->apic, &clock, now);
		state->msrs.kvm_system_time = v->guest.pvclock_time;
		state->msrs.kvm_wall_clock = READ_ONCE(v->vm->time.wall_at);
	}
	if (mask & FERMATA_STATE_PENDING)
		get_pending(v, &state->pending);
	if (mask & FERMATA_STATE_APIC)
		apic_get_state(&v->apic, &state->apic, &clock, now);
	if (mask & FERMATA_STATE_XSAVE) {
		memcpy(state->xsave.area, host_xsave_area(v->thread), FERMATA_XSAVE_SIZE);
		put_pkru(v, state->xsave.area);
	}
	return 0;
}

static int check(struct vm *vm, const struct fermata_state *state)
{
	u32 mask = state->mask;

	if (mask & ~FERMATA_STATE_ALL || state->reserved)
		return -EINVAL;
	if (mask & FERMATA_STATE_REGS && state->regs.rflags & ~ARCH_RFLAGS_DEFINED)
		return -EINVAL;
	if ((mask & FERMATA_STATE_SEGMENTS &&
	     check_segments(&state->segments, vm->cpuid.linear_bits)) ||
	    (mask & FERMATA_STATE_CONTROL && check_control(vm, &state->control)) ||
	    (mask & FERMATA_STATE_DEBUG && (state->debug.dr6 | state->debug.dr7) >> 32) ||
	    (mask & FERMATA_STATE_MSRS &&
	     (msr_check_state(&vm->cpuid, &state->msrs) ||
	      !pvclock_state_valid(vm, state->msrs.kvm_system_time, state->msrs.kvm_wall_clock))) ||
	    (mask & FERMATA_STATE_PENDING && check_pending(&state->pending)) ||
	    (mask & FERMATA_STATE_XSAVE && check_xsave(vm, &state->xsave)))
		return -EINVAL;
	return 0;
}

static int set_apic(struct vcpu *v, const struct fermata_state *state,
		    const struct guest_clock *clock, u64 now)
{
	u32 mask = state->mask;
	int err = 0;

	if (mask & FERMATA_STATE_CONTROL) {
		err = apic_restore_base(&v->apic, state->control.apic_base);
		if (!err)
			apic_set_tpr(&v->apic, state->control.cr8);
	}
	if (!err && mask & FERMATA_STATE_APIC)
		err = apic_set_state(&v->apic, &state->apic, clock, now);
	return err;
}

/* All or nothing but for the APIC, whose own checks come first. */
int vcpu_set_state(struct vcpu *v, const struct fermata_state *state)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);
	struct apic_effects effects;
	u32 mask = state->mask;
	int err = check(v->vm, state);

	if (!err)
		err = set_apic(v, state, &clock, now);
	if (err)
		return err;
	if (mask & FERMATA_STATE_REGS) {
		v->advance = 0;
		memcpy(v->page->regs, state->regs.regs, sizeof(state->regs.regs));
	}
	if (mask & FERMATA_STATE_CONTROL) {
		v->guest.cr0 = state->control.cr0;
		v->guest.cr4 = state->control.cr4;
		v->guest.efer = state->control.efer;
		v->guest.xcr0 = state->control.xcr0;
		v->dirty |= DIRTY_CONTROL;
		rules_space_changed(v);
		if (v->shadow)
			shadowing_changed(v);
		else
			vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_STATE);
	}
	if (mask & FERMATA_STATE_DEBUG) {
		memcpy(v->guest.dr, state->debug.dr, sizeof(v->guest.dr));
		v->guest.dr6 = arch_dr6(state->debug.dr6);
		v->guest.dr7 = arch_dr7(state->debug.dr7);
		v->dirty |= DIRTY_DEBUG;
	}
	if (mask & FERMATA_STATE_MSRS) {
		msr_set_state(v, &state->msrs);
		v->guest.tsc_adjust = state->msrs.tsc_adjust;
		v->guest.tsc_offset = state->msrs.tsc - now;
		v->dirty |= DIRTY_CLOCK;
		apic_set_tsc_adjust(&v->apic, v->guest.tsc_offset);
		apic_set_tsc_deadline(&v->apic, state->msrs.tsc_deadline, &effects);
		pvclock_restore(v, state->msrs.kvm_system_time, state->msrs.kvm_wall_clock);
	}
	if (mask & FERMATA_STATE_PENDING)
		set_pending(v, &state->pending);
	if (mask & FERMATA_STATE_XSAVE) {
		host_xsave_set(v->thread, state->xsave.area);
		v->guest.pkru = get_pkru(v, state->xsave.area);
	}
	vcpu_arm_timer(v);
	return v->backend->set_state(v, state, mask);
}
