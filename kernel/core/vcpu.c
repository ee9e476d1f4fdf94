/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The life of a vCPU, and what other threads may do to it. */
#include "core/exits.h"
#include "core/shadowing.h"
#include "core/pvclock.h"
#include "memory/guest_walk.h"

#define RESET_CR0 (ARCH_CR0_CD | ARCH_CR0_NW | ARCH_CR0_ET)
#define RESET_DATA 0x93
#define RESET_CODE 0x9b
#define RESET_LDT 0x82
#define RESET_TSS 0x8b

/* Registers after RESET or INIT: SDM 3A table 10-1, APM 2 table 14-1. */
static void reset_state(struct vcpu *v, struct fermata_state *state)
{
	struct fermata_segment data = { .limit = 0xffff, .attrib = RESET_DATA };
	struct fermata_state_segments *seg = &state->segments;
	u32 i;

	memset(state, 0, sizeof(*state));
	state->regs.rip = 0xfff0;
	state->regs.rflags = ARCH_RFLAGS_FIXED;
	seg->es = seg->ss = seg->ds = seg->fs = seg->gs = data;
	seg->cs = (struct fermata_segment){
		.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .attrib = RESET_CODE
	};
	seg->ldt = (struct fermata_segment){ .limit = 0xffff, .attrib = RESET_LDT };
	seg->tr = (struct fermata_segment){ .limit = 0xffff, .attrib = RESET_TSS };
	seg->gdt.limit = 0xffff;
	seg->idt.limit = 0xffff;
	for (i = 0; i < FERMATA_REGS; i++)
		v->page->regs[i] = 0;
	v->page->regs[FERMATA_RDX] = 0x600;
	v->backend->set_state(v, state,
			      FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL |
				      FERMATA_STATE_PENDING);
}

void vcpu_reset(struct vcpu *v, bool init_signal)
{
	/* INIT leaves the caches' mode alone. */
	v->guest.cr0 = init_signal ? (v->guest.cr0 & (ARCH_CR0_CD | ARCH_CR0_NW)) | ARCH_CR0_ET :
				     RESET_CR0;
	v->guest.cr4 = 0;
	v->guest.efer = 0;
	v->guest.dr6 = ARCH_DR6_FIXED;
	v->guest.dr7 = ARCH_DR7_FIXED;
	memset(v->guest.dr, 0, sizeof(v->guest.dr));
	v->waiting.valid = false;
	v->waiting.nmi = false;
	v->advance = 0;
	v->mp_state = FERMATA_MP_RUNNABLE;
	if (!init_signal) {
		v->guest.xcr0 = 1;
		v->guest.pkru = 0;
		v->guest.pat = ARCH_PAT_RESET;
		v->guest.misc_enable = 1;
	}
	rules_vcpu_reset(v);
	apic_reset(&v->apic, init_signal);
	v->dirty |= DIRTY_CONTROL | DIRTY_CLOCK | DIRTY_DEBUG | DIRTY_PAT;
	reset_state(v, v->scratch);
	if (v->shadow)
		shadowing_changed(v);
	else
		vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_STATE);
}

static void start_at(struct vcpu *v, u8 sipi_vector)
{
	struct fermata_state *state = v->scratch;

	v->backend->get_state(v, state, FERMATA_STATE_SEGMENTS);
	state->segments.cs.selector = sipi_vector << 8;
	state->segments.cs.base = (u64)sipi_vector << 12;
	v->backend->set_state(v, state, FERMATA_STATE_SEGMENTS);
	v->backend->set_reg(v, HW_RIP, 0);
}

/* INIT and SIPI: SDM 3A 8.4.3. */
void vcpu_startup(struct vcpu *v)
{
	u8 vector;

	if (apic_take_init(&v->apic)) {
		vcpu_reset(v, true);
		if (v->id != 0)
			v->mp_state = FERMATA_MP_WAIT_FOR_SIPI;
	}
	if (!apic_take_sipi(&v->apic, &vector) || v->mp_state != FERMATA_MP_WAIT_FOR_SIPI)
		return;
	start_at(v, vector);
	v->mp_state = FERMATA_MP_RUNNABLE;
}

void vcpu_set_rip(struct vcpu *v, const u64 *rip, const u64 *rflags)
{
	v->backend->set_reg(v, HW_RIP,
			    rip ? READ_ONCE(*rip) : v->backend->get_reg(v, HW_RIP) + v->advance);
	v->advance = 0;
	if (rflags)
		v->backend->set_reg(v, HW_RFLAGS, READ_ONCE(*rflags) & ARCH_RFLAGS_DEFINED);
}

int vcpu_init(struct vcpu *v, struct vm *vm, u32 id, struct host_thread *thread,
	      struct fermata_run *page)
{
	const struct cpuid_table *cpuid = &vm->cpuid;
	int err;

	if (vm->time.run_only && vm->vcpus.count)
		return -EBUSY;
	v->vm = vm;
	v->backend = vm->backend;
	v->id = id;
	v->cpu = ~0u;
	v->thread = thread;
	v->page = page;
	v->account.stats.vendor = vm->backend->vendor;
	v->account.cost = &v->account.uncounted;
	v->guest.mtrr_def_type = 0xc06; /* enabled, fixed ranges too, write-back */
	memset(v->guest.mtrr_fixed, 6, sizeof(v->guest.mtrr_fixed));
	v->scratch = host_alloc(sizeof(*v->scratch));
	if (!v->scratch)
		return -ENOMEM;
	err = rules_vcpu_init(v);
	if (!err && vm->config.shadow)
		err = shadowing_init(v);
	if (!err)
		err = v->backend->vcpu_create(v);
	if (err) {
		rules_vcpu_destroy(v);
		shadowing_destroy(v);
		host_free(v->scratch);
		return err;
	}
	vcpu_timer_init(v);
	apic_init(&v->apic, id, id == 0);
	apic_set_features(&v->apic, cpuid->phys_bits, cpuid->x2apic, cpuid->tsc_deadline);
	vcpu_reset(v, false);
	if (id == 0)
		apic_virtual_wire(&v->apic);
	else
		v->mp_state = FERMATA_MP_WAIT_FOR_SIPI;
	host_lock(&vm->vcpus.lock);
	WRITE_ONCE(vm->vcpus.at[id], v);
	vm->vcpus.count++;
	host_unlock(&vm->vcpus.lock);
	pvclock_changed(v); /* its TSC may not be that of the others */
	return 0;
}

/* The VM is on its way out: nobody sends to this vCPU any more. */
void vcpu_destroy(struct vcpu *v)
{
	host_timer_cancel(&v->timer.host);
	rules_vcpu_destroy(v);
	v->backend->vcpu_destroy(v);
	shadowing_destroy(v);
	radix_cache_drain(&v->cache);
	host_free(v->scratch);
}

int injection_from(const struct fermata_injection *wanted, struct injection *injection)
{
	bool has_code = wanted->kind == FERMATA_INJECT_EXCEPTION_CODE;

	*injection = (struct injection){ .vector = wanted->vector,
					 .has_code = has_code,
					 .code = has_code ? wanted->code : 0 };
	if (wanted->vector > 255 || wanted->reserved)
		return -EINVAL;
	switch (wanted->kind) {
	case FERMATA_INJECT_NONE:
		return 0;
	case FERMATA_INJECT_EXTINT:
		injection->kind = INJECT_INTERRUPT;
		return 0;
	case FERMATA_INJECT_NMI:
		injection->kind = INJECT_NMI;
		injection->vector = ARCH_NMI;
		return 0;
	case FERMATA_INJECT_EXCEPTION:
	case FERMATA_INJECT_EXCEPTION_CODE:
		injection->kind = INJECT_EXCEPTION;
		return arch_is_exception(wanted->vector) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

struct fermata_injection injection_to(const struct injection *injection)
{
	static const u8 kinds[] = {
		[INJECT_NONE] = FERMATA_INJECT_NONE,
		[INJECT_INTERRUPT] = FERMATA_INJECT_EXTINT,
		[INJECT_NMI] = FERMATA_INJECT_NMI,
		[INJECT_EXCEPTION] = FERMATA_INJECT_EXCEPTION,
	};

	if (!injection)
		return (struct fermata_injection){ .kind = FERMATA_INJECT_NONE };
	return (struct fermata_injection){
		.vector = injection->vector,
		.kind = injection->has_code ? FERMATA_INJECT_EXCEPTION_CODE : kinds[injection->kind],
		.code = injection->code,
	};
}

int vcpu_inject(struct vcpu *v, const struct fermata_injection *wanted)
{
	struct injection injection;
	int err = injection_from(wanted, &injection);

	if (err || injection.kind == INJECT_NONE)
		return err;
	if (injection.kind == INJECT_NMI) {
		v->waiting.nmi = true;
		return 0;
	}
	if (v->waiting.valid)
		return -EBUSY;
	if (injection.kind == INJECT_EXCEPTION && injection.vector == ARCH_PF)
		v->backend->set_reg(v, HW_CR2, wanted->cr2);
	v->waiting.injection = injection;
	v->waiting.valid = true;
	return 0;
}

/*
 * The counters have one writer, the vCPU's thread, and are aligned words: read word by word, none is half
 * old and half new. copy_to_user() may go byte by byte, so it gets this copy.
 */
void vcpu_get_stats(const struct vcpu *v, struct fermata_stats *stats)
{
	const u64 *from = (const u64 *)&v->account.stats;
	u64 *to = (u64 *)stats;
	u32 i;

	_Static_assert(sizeof(*stats) % sizeof(u64) == 0, "statistics are words");
	for (i = 0; i < sizeof(*stats) / sizeof(u64); i++)
		to[i] = READ_ONCE(from[i]);
	stats->last = stats->entries % FERMATA_LAST_EXITS;
	if (v->vm->config.shadow && !v->id) {
		struct shadow_stats shadow;

		shadow_get_stats(&v->vm->memory, &shadow);
		stats->shadow_tables = shadow.held;
		stats->shadow_released = shadow.released;
	}
	if (v->vm->config.untagged) {
		stats->flush_kind[FERMATA_FLUSH_ENTRY] = stats->entries;
		stats->flush_cause[FERMATA_CAUSE_UNTAGGED] = stats->entries;
	}
}

int vcpu_translate(struct vcpu *v, struct fermata_translate *t)
{
	struct guest_walk_result result;
	struct where where;
	u32 tries;
	int err;

	if (t->access & ~(FERMATA_ACCESS_WRITE | FERMATA_ACCESS_FETCH | FERMATA_ACCESS_USER |
			  FERMATA_ACCESS_SYSTEM))
		return -EINVAL;
	v->backend->where(v, &where);
	if (where.mode == FERMATA_MODE_LONG &&
	    !arch_canonical(t->linear, v->guest.cr4 & ARCH_CR4_LA57 ? 57 : 48)) {
		t->fault = 1;
		t->code = 0;
		t->gpa = 0;
		return 0;
	}
	for (tries = 0; tries < 8; tries++) {
		err = guest_walk(&v->vm->memory, &where.paging, t->linear, t->access, &result);
		if (err != -EFAULT)
			break;
		err = guest_memory_populate(&v->vm->memory, result.gpa, true);
		if (err)
			break;
	}
	if (err)
		return err;
	t->fault = result.fault;
	t->code = result.error_code;
	t->gpa = result.gpa;
	t->page_size = result.page_size;
	return 0;
}
