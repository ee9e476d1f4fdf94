/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "core/shadowing.h"
#include "core/instruction.h"
#include "core/report.h"
#include "memory/shadow/shadow.h"

#define PDPTE_P BIT_ULL(0)

/* Outside of guest context there is something to do: shadowing_outside(). */
static enum verdict leave(struct vcpu *v)
{
	host_set_bit(REQUEST_SHADOW, &v->requests);
	return LEAVE_FOR_HOST;
}

/*
 * What all vCPUs owe cannot be waited for in guest context, where they might wait for this one. With
 * only one vCPU there is nobody to wait for.
 */
static enum verdict pay(struct vcpu *v, const struct flush *owed)
{
	if (likely(!owed->kinds))
		return GO_ON;
	if (v->vm->vcpus.count > 1) {
		DEBUG_ASSERT(!v->shadow->owed.kinds);
		v->shadow->owed = *owed;
		return leave(v);
	}
	vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_SHADOW);
	guest_memory_reap(&v->vm->memory);
	return GO_ON;
}

/* ---- roots */

void shadowing_changed(struct vcpu *v)
{
	memset(v->shadow->last_cr3, 0, sizeof(v->shadow->last_cr3));
	host_set_bit(REQUEST_ROOT, &v->requests);
}

static bool pae(const struct vcpu *v)
{
	return v->guest.cr0 & ARCH_CR0_PG && v->guest.cr4 & ARCH_CR4_PAE &&
	       !(v->guest.efer & ARCH_EFER_LMA);
}

/*
 * PAE's four top entries are read here and kept, as processors do (SDM 3A 4.4.1). -EINVAL: reserved bits
 * are set in one that is present.
 */
static int read_pdptes(struct vcpu *v, u64 cr3, u64 pdpte[4])
{
	u64 reserved = ~0ull << v->vm->cpuid.phys_bits | 0x1e6, at = cr3 & 0xffffffe0;
	u32 i;

	if (guest_memory_read(&v->vm->memory, at, pdpte, 4 * sizeof(*pdpte))) {
		v->shadow->absent = at;
		return -EFAULT;
	}
	for (i = 0; i < 4; i++)
		if (pdpte[i] & PDPTE_P && pdpte[i] & reserved)
			return -EINVAL;
	return 0;
}

/* FERMATA_VM_SHADOW_AUDIT: so many shadow pages at each root, one after the other. */
#define AUDIT_PAGES 2

static void audit(struct vcpu *v)
{
	struct shadow_finding f;

	if (!shadow_audit(&v->vm->memory, &v->shadow->audit_hand, AUDIT_PAGES, &f))
		return;
	host_log("shadow audit: %u entries differ; %s: role %#x of the guest table at %#llx, slot %u: %#llx from %#llx",
		 f.count, f.what, f.role, f.table, f.slot, f.entry, f.origin);
	host_set_bit(REQUEST_LOST, &v->requests);
}

static enum verdict load_root(struct vcpu *v, bool keep)
{
	struct shadow_answer answer;
	struct where where;

	v->backend->where(v, &where);
	if (shadow_load(&v->vm->memory, &v->shadow->cpu, &where.paging, keep, &answer) ==
	    SHADOW_REFILL) {
		shadowing_changed(v);
		return leave(v);
	}
	v->dirty |= DIRTY_CR3;
	if (unlikely(v->vm->config.shadow_audit))
		audit(v);
	vcpu_owe(v, FLUSH_LOCAL, 0, FERMATA_CAUSE_CONTROL);
	return pay(v, &answer.owed);
}

enum verdict shadowing_root(struct vcpu *v)
{
	u64 pdpte[4];

	/* What a processor would refuse with #GP here came from the caller: the walks will say. */
	if (pae(v)) {
		if (read_pdptes(v, v->shadow->cr3, pdpte) == -EFAULT)
			return leave(v);
		memcpy(v->shadow->pdpte, pdpte, sizeof(pdpte));
	}
	host_clear_bit(REQUEST_ROOT, &v->requests);
	return load_root(v, false);
}

/* Linux counts PCIDs from 1, and with page-table isolation bit 11 tells user space's from the kernel's. */
static u64 *last_cr3(struct vcpu *v, u64 cr3)
{
	return &v->shadow->last_cr3[(cr3 & 0xf) | (cr3 >> 7 & 0x10)];
}

/*
 * keep: bit 63, which lets what is cached for the PCID stay. That is of the tables that the PCID had last;
 * others are read anew.
 */
enum verdict shadowing_set_cr3(struct vcpu *v, u64 value, bool keep)
{
	u64 *last = last_cr3(v, value), pdpte[4];

	if (pae(v)) {
		switch (read_pdptes(v, value, pdpte)) {
		case -EFAULT:
			return leave(v);
		case -EINVAL:
			return vcpu_raise_code(v, ARCH_GP, 0);
		}
		memcpy(v->shadow->pdpte, pdpte, sizeof(pdpte));
	}
	v->shadow->cr3 = value;
	v->advance = v->exit.length;
	keep = keep && *last == value;
	*last = value;
	return load_root(v, keep);
}

/* ---- faults */

/* SDM 3A table 6-5: what becomes of a page fault on the way into another event. */
static enum verdict raise_fault(struct vcpu *v, u64 linear, u32 code)
{
	bool was = v->waiting.valid;
	struct injection first = v->waiting.injection;
	struct exit *x = &v->exit;

	if (unlikely(v->ruled >> EXIT_EXCEPTION & 1)) { /* a rule may be about it */
		x->kind = EXIT_EXCEPTION;
		x->exception = (struct injection){
			.kind = INJECT_EXCEPTION, .vector = ARCH_PF, .has_code = true, .code = code
		};
		x->exception_address = linear;
		return HANDLE_AGAIN;
	}

	v->guest.cr2 = linear;
	v->dirty |= DIRTY_CR2;
	if (was && first.kind == INJECT_EXCEPTION && first.vector == ARCH_DF)
		return exit_to_user(v, FERMATA_EXIT_SHUTDOWN);
	if (was && first.kind == INJECT_EXCEPTION && first.vector == ARCH_PF)
		return vcpu_raise_code(v, ARCH_DF, 0);
	/* An interrupt or NMI is delivered after the handler; an exception comes again by itself. */
	if (was && first.kind == INJECT_NMI)
		v->waiting.nmi = true;
	else if (was && first.kind == INJECT_INTERRUPT)
		apic_take_back(&v->apic, first.vector);
	return vcpu_raise_code(v, ARCH_PF, code);
}

/*
 * The processor refuses what the tables allow. A TLB that was late has dropped its entry by the fault.
 * If it happens again at once, it was an implicit access to a user page with SMAP, for which RFLAGS.AC
 * does not count (SDM 3A 4.6.1), and which the error code does not tell from an explicit one.
 */
static bool refused_again(struct vcpu *v, u64 linear)
{
	bool again = v->shadow->cpu.odd_linear == linear && v->shadow->cpu.odd_rip == v->exit.rip;

	v->shadow->cpu.odd_linear = linear;
	v->shadow->cpu.odd_rip = v->exit.rip;
	return again;
}

static u32 access_of(const struct exit *x, u8 cpl)
{
	u32 access = 0;

	access |= x->fault.code & PFERR_WRITE ? FERMATA_ACCESS_WRITE : 0;
	access |= x->fault.code & PFERR_FETCH ? FERMATA_ACCESS_FETCH : 0;
	if (x->fault.code & PFERR_USER)
		access |= FERMATA_ACCESS_USER;
	else if (cpl == 3)
		access |= FERMATA_ACCESS_SYSTEM; /* as for a descriptor table */
	return access;
}

/*
 * inside: in guest context, where the guest's own faults are raised. again: it is the same one, now that
 * the memory is there.
 */
static enum verdict fault(struct vcpu *v, bool inside, bool again)
{
	struct guest_memory *memory = &v->vm->memory;
	struct exit *x = &v->exit;
	struct shadow_answer answer;
	enum shadow_result result;
	struct where where;
	u32 access;

	v->backend->where(v, &where);
	access = access_of(x, where.paging.cpl);
	if (again && v->vm->vcpus.count == 1)
		access |= SHADOW_REPEAT;
	if (again && !inside)
		access |= SHADOW_ALONE;
	result = shadow_fault(memory, &v->shadow->cpu, &where.paging, x->fault.linear, access,
			      &answer);
	if (result == SHADOW_SAME && !answer.owed.kinds && refused_again(v, x->fault.linear) &&
	    !(access & (FERMATA_ACCESS_USER | FERMATA_ACCESS_SYSTEM)))
		result = shadow_fault(memory, &v->shadow->cpu, &where.paging, x->fault.linear,
				      access | FERMATA_ACCESS_SYSTEM, &answer);
	if (!inside)
		vm_flush(v->vm, &answer.owed, FERMATA_CAUSE_SHADOW);
	else if (unlikely(pay(v, &answer.owed) != GO_ON))
		return LEAVE_FOR_HOST; /* first of all; what else is to be done the guest asks for again */
	switch (result) {
	case SHADOW_DONE:
	case SHADOW_SAME:
		v->account.stats.shadow_faults++;
		return GO_ON;
	case SHADOW_GUEST_FAULT:
		return inside ? raise_fault(v, x->fault.linear, answer.error_code) : GO_ON;
	case SHADOW_MEMORY:
		x->kind = EXIT_NESTED_FAULT;
		x->fault.gpa = answer.gpa;
		x->fault.access = answer.access;
		x->fault.table = false;
		x->fault.linear_known = true;
		return again ? LEAVE_FOR_FAULT : HANDLE_AGAIN;
	case SHADOW_LOST:
		x->kind = EXIT_NESTED_FAULT;
		x->fault.gpa = answer.gpa;
		x->fault.access = RADIX_WRITE; /* of its accessed bit, where there is memory */
		x->fault.table = true;
		return again ? LEAVE_FOR_FAULT : HANDLE_AGAIN;
	case SHADOW_TABLE:
		v->shadow->absent = answer.gpa;
		break;
	case SHADOW_AGAIN:
		if (!v->shadow->cpu.root_phys)
			shadowing_changed(v);
		return GO_ON;
	case SHADOW_REFILL:
		break;
	}
	return leave(v);
}

enum verdict shadowing_fault(struct vcpu *v)
{
	return fault(v, true, false);
}

/* The same for a fault whose memory has been found by then. */
enum verdict shadowing_near(struct vcpu *v)
{
	v->exit.kind = EXIT_PAGE_FAULT;
	return fault(v, true, true);
}

/* ---- outside of guest context */

static int refill(struct vcpu *v)
{
	struct flush owed;
	int err = shadow_refill(&v->vm->memory, &owed);

	vm_flush(v->vm, &owed, FERMATA_CAUSE_SHADOW);
	return err;
}

int shadowing_outside(struct vcpu *v)
{
	struct flush owed = v->shadow->owed;
	u32 access = RADIX_WRITE; /* of its accessed bits */
	int err = 0;

	host_clear_bit(REQUEST_SHADOW, &v->requests);
	if (owed.kinds) {
		v->shadow->owed.kinds = FLUSH_NONE;
		vm_flush(v->vm, &owed, FERMATA_CAUSE_SHADOW);
	}
	if (v->shadow->absent != SHADOWING_NONE) {
		v->exit.fault.gpa = v->shadow->absent;
		err = guest_memory_populate(&v->vm->memory, v->shadow->absent, true);
	}
	if (err == -EACCES) { /* a table in ROM */
		access = RADIX_READ;
		err = guest_memory_populate(&v->vm->memory, v->shadow->absent, false);
	}
	if (err == -ENOENT || err == -EACCES)
		err = 0; /* the walk will say so */
	v->shadow->absent = SHADOWING_NONE;
	if (err == -ENOMEM || err == -EINTR)
		return err;
	if (err) { /* memory that cannot be had: as if the guest had touched it */
		v->exit.kind = EXIT_NESTED_FAULT;
		v->exit.fault.access = access;
		v->exit.fault.table = true;
		host_set_bit(REQUEST_FAULT, &v->requests);
		return GO_ON;
	}
	return refill(v);
}

/* The memory behind the fault is there now: no need to enter the guest to hear of the same fault. */
int shadowing_mapped(struct vcpu *v)
{
	enum verdict verdict;
	int err = refill(v);

	if (err)
		return err;
	v->exit.kind = EXIT_PAGE_FAULT;
	verdict = fault(v, false, true);
	return verdict == LEAVE_FOR_USER ? LEAVE_FOR_USER : GO_ON;
}

/* ---- INVLPG */

enum verdict shadowing_invlpg(struct vcpu *v)
{
	u64 linear;

	if (!exit_step_over(v))
		return GO_ON; /* runs again, and faults its code in */
	linear = v->exit.linear;
	if (v->guest.efer & ARCH_EFER_LMA &&
	    !arch_canonical(linear, v->guest.cr4 & ARCH_CR4_LA57 ? 57 : 48))
		return GO_ON;
	if (shadow_invlpg(&v->vm->memory, &v->shadow->cpu, linear))
		vcpu_owe(v, FLUSH_LOCAL, 0, FERMATA_CAUSE_ADDRESS);
	else
		vcpu_owe(v, FLUSH_ADDRESS, linear, FERMATA_CAUSE_ADDRESS);
	return GO_ON;
}

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_NOT_GLOBAL };

/* The descriptor, byte by byte, since it may lie in two pages. GO_ON: it is there, or v->waiting.valid. */
static enum verdict read_descriptor(struct vcpu *v, u64 linear, u64 descriptor[2])
{
	struct guest_walk_result walk;
	u8 *to = (u8 *)descriptor;
	struct where where;

	v->backend->where(v, &where);
	for (u32 i = 0; i < 16; i++) {
		u64 at = where.mode == FERMATA_MODE_LONG ? linear + i : (u32)(linear + i);
		int err = guest_walk(&v->vm->memory, &where.paging, at, 0, &walk);

		if (!err && walk.fault)
			return raise_fault(v, at, walk.error_code);
		if (!err)
			err = guest_memory_read(&v->vm->memory, walk.gpa, &to[i], 1);
		if (err == -EFAULT) {
			v->shadow->absent = walk.gpa;
			return leave(v);
		}
		if (err)
			return vcpu_raise_code(v, ARCH_GP, 0);
	}
	return GO_ON;
}

/*
 * SDM 2A INVPCID, APM 3 INVPCID. The processor has current translations only; shadows that other PCIDs have
 * are looked through at the next load of CR3.
 */
enum verdict shadowing_invpcid(struct vcpu *v)
{
	u64 descriptor[2], type;
	enum verdict verdict;
	struct where where;
	struct insn insn;

	v->backend->where(v, &where);
	if (where.paging.cpl)
		return vcpu_raise_code(v, ARCH_GP, 0);
	if (!exit_fetch(v, &insn) || insn.op != INSN_INVPCID || !insn.memory)
		return GO_ON; /* runs again, and faults its code in */
	verdict = read_descriptor(v, exit_operand_address(v, &insn), descriptor);
	if (verdict != GO_ON || v->waiting.valid)
		return verdict;
	type = v->page->regs[insn.reg & 15];
	if (where.mode != FERMATA_MODE_LONG)
		type = (u32)type;
	if (type > INVPCID_NOT_GLOBAL || descriptor[0] >> 12 ||
	    (type <= INVPCID_CONTEXT && descriptor[0] && !(v->guest.cr4 & ARCH_CR4_PCIDE)) ||
	    (type == INVPCID_ADDRESS && v->guest.efer & ARCH_EFER_LMA &&
	     !arch_canonical(descriptor[1], v->guest.cr4 & ARCH_CR4_LA57 ? 57 : 48)))
		return vcpu_raise_code(v, ARCH_GP, 0);
	v->advance = insn.length;
	v->shadow->cpu.stale = true;
	if (type <= INVPCID_CONTEXT && descriptor[0] != (where.paging.cr3 & 0xfff) &&
	    v->guest.cr4 & ARCH_CR4_PCIDE)
		return GO_ON;
	vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_CONTROL);
	return load_root(v, false);
}

/* ---- from nested paging to shadow paging, and back */

int shadowing_prepare(struct vm *vm)
{
	struct flush owed;

	if (vm->memory.shadow)
		return 0;
	guest_memory_limit_leaves(&vm->memory, 2, &owed);
	vm_flush(vm, &owed, FERMATA_CAUSE_REMAP);
	return shadow_init(&vm->memory, SHADOW_ALL, 0);
}

void shadowing_switch(struct vm *vm, bool shadowed)
{
	struct flush owed;

	if (!vm->backend->set_paging || vm->config.shadow || vm->shadowed == shadowed)
		return;
	if (shadowed) { /* what is left of the last time has not followed the guest's tables since */
		shadow_forget_all(&vm->memory, &owed);
		vm_flush(vm, &owed, FERMATA_CAUSE_SHADOW);
	}
	host_full_barrier();
	WRITE_ONCE(vm->shadowed, shadowed);
}

/* Nothing of an exit is left to be done: the guest is between two instructions. */
int shadowing_change_over(struct vcpu *v)
{
	bool to_shadow = !v->shadow;
	u64 cr3;
	int err;

	if (READ_ONCE(v->vm->shadowed) != to_shadow)
		return 0;
	cr3 = v->backend->get_reg(v, HW_CR3);
	if (to_shadow) {
		err = shadowing_init(v);
		if (err)
			return err;
	} else {
		shadowing_destroy(v);
		host_clear_bit(REQUEST_ROOT, &v->requests);
		host_clear_bit(REQUEST_SHADOW, &v->requests);
	}
	v->backend->set_paging(v);
	v->backend->set_reg(v, HW_CR3, cr3);
	if (to_shadow)
		shadowing_changed(v);
	vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_CONTROL);
	return 0;
}

/* ---- life */

int shadowing_init(struct vcpu *v)
{
	int err;

	v->shadow = host_alloc(sizeof(*v->shadow));
	if (!v->shadow)
		return -ENOMEM;
	v->shadow->absent = SHADOWING_NONE;
	err = shadow_cpu_init(&v->shadow->cpu);
	if (err) {
		host_free(v->shadow);
		v->shadow = NULL;
	}
	return err;
}

void shadowing_destroy(struct vcpu *v)
{
	if (!v->shadow)
		return;
	shadow_cpu_destroy(&v->vm->memory, &v->shadow->cpu);
	host_free(v->shadow);
	v->shadow = NULL;
}
