/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The exit table: what the kernel part does about each kind of exit. */
#include "core/exits.h"
#include "core/control.h"
#include "core/instruction.h"
#include "core/msr.h"
#include "core/report.h"
#include "core/shadowing.h"
#include "base/processor.h"

/* -ENOSYS as Linux numbers it: what a guest expects of a call that does not exist. */
#define HYPERCALL_UNKNOWN ((u64) - 38)

static enum verdict handle_cpuid(struct vcpu *v)
{
	if (exit_step_over(v))
		cpuid_answer(v);
	return GO_ON;
}

static enum verdict handle_msr_read(struct vcpu *v)
{
	u64 *regs = v->page->regs;
	u8 length = exit_length(v);

	if (!length)
		return GO_ON;
	if (msr_read(v, regs[FERMATA_RCX], &v->msr_value))
		return vcpu_raise_code(v, ARCH_GP, 0);
	regs[FERMATA_RAX] = (u32)v->msr_value;
	regs[FERMATA_RDX] = v->msr_value >> 32;
	v->advance = length;
	return GO_ON;
}

static enum verdict handle_msr_write(struct vcpu *v)
{
	u64 *regs = v->page->regs;
	u8 length = exit_length(v);

	if (!length)
		return GO_ON;
	if (msr_write(v, regs[FERMATA_RCX], (u32)regs[FERMATA_RAX] | regs[FERMATA_RDX] << 32))
		vcpu_raise_code(v, ARCH_GP, 0);
	else
		v->advance = length;
	return GO_ON;
}

static enum verdict handle_hlt(struct vcpu *v)
{
	if (!exit_step_over(v))
		return GO_ON;
	v->mp_state = FERMATA_MP_HALTED;
	return LEAVE_FOR_HOST;
}

/* No hypercall is defined: the guest hears so, in RAX, and lives. */
static enum verdict handle_hypercall(struct vcpu *v)
{
	if (exit_step_over(v))
		v->page->regs[FERMATA_RAX] = HYPERCALL_UNKNOWN;
	return GO_ON;
}

/*
 * #GP for CR4.TSD comes before the exit (SDM 3C 26.1.1; APM 2 15.9). What it reads is the moment of the
 * exit; nobody changes the clock while a vCPU is in guest context.
 */
static enum verdict handle_rdtsc(struct vcpu *v)
{
	u64 *regs = v->page->regs, tsc;

	if (unlikely(!exit_step_over(v)))
		return GO_ON;
	tsc = clock_guest_tsc(&v->vm->time.clock, v->exit.tsc) + v->guest.tsc_offset;
	regs[FERMATA_RAX] = (u32)tsc;
	regs[FERMATA_RDX] = tsc >> 32;
	if (v->exit.kind == EXIT_RDTSCP)
		regs[FERMATA_RCX] = v->guest.tsc_aux;
	return GO_ON;
}

/* IN from a timer whose course the caller has foretold. A 32-bit IN clears RAX's upper half. */
static noinline bool foretold(struct vcpu *v)
{
	const struct exit *x = &v->exit;
	u64 *rax = &v->page->regs[FERMATA_RAX];
	u64 mask = ~0ull << (8 * x->io.size);
	u32 value;

	if (x->io.string || !x->length ||
	    !forecast_read(&v->vm->forecasts, x->io.port, x->io.size, &v->vm->time.clock, &value))
		return false;
	*rax = (x->io.size == 4 ? 0 : *rax & mask) | value;
	v->advance = x->length;
	return true;
}

static enum verdict handle_io(struct vcpu *v)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;

	if (x->io.in && foretold(v))
		return GO_ON;

	describe_exit(v, FERMATA_EXIT_IO);
	out->io = x->io;
	out->pad[2] = out->pad[3] = 0;
	if (unlikely(x->io.string)) {
		if (!report_code(v))
			return GO_ON; /* runs again, and faults its code in */
	} else if (!x->io.in) {
		out->io.value = v->page->regs[FERMATA_RAX] & (~0u >> (32 - 8 * x->io.size));
	}
	return LEAVE_FOR_USER;
}

static enum verdict handle_skip(struct vcpu *v)
{
	exit_step_over(v);
	return GO_ON;
}

/* What is not in the exit's event: CR2, and the step over INT3 and INTO, whose RIP is behind them. */
static bool complete_exception(struct vcpu *v)
{
	switch (v->exit.exception.vector) {
	case ARCH_PF:
		v->backend->set_reg(v, HW_CR2, v->exit.exception_address);
		return true;
	case ARCH_BP:
	case ARCH_OF:
		return exit_step_over(v);
	}
	return true;
}

/*
 * An exception, to be given to the guest as it came. Delivering #DB clears DR7.GD (SDM 3B 17.2.4). When
 * it came while an interrupt was on its way in, that one is pending again and the exception goes: the
 * delivery runs again and raises it again.
 */
static enum verdict handle_exception(struct vcpu *v)
{
	if (v->waiting.valid && v->waiting.injection.kind != INJECT_EXCEPTION)
		return GO_ON;
	if (v->exit.exception.vector == ARCH_DB && v->guest.dr7 & ARCH_DR7_GD) {
		v->guest.dr7 &= ~ARCH_DR7_GD;
		v->dirty |= DIRTY_DEBUG;
	}
	if (!complete_exception(v))
		return GO_ON;
	v->waiting.injection = v->exit.exception;
	v->waiting.valid = true;
	return GO_ON;
}

/* HANDLE_AGAIN, out of line: the common paths of those that may answer it stay short. */
static noinline enum verdict handle_again(struct vcpu *v)
{
	return exit_handle(v);
}

static inline enum verdict settle(struct vcpu *v, enum verdict verdict)
{
	return unlikely(verdict == HANDLE_AGAIN) ? handle_again(v) : verdict;
}

static enum verdict handle_page_fault(struct vcpu *v)
{
	return settle(v, shadowing_fault(v));
}

static enum verdict handle_nested_fault(struct vcpu *v)
{
	enum verdict verdict;

	if (apic_page_access(v, &verdict))
		return verdict;
	if (!v->ruling.opening && guest_memory_near(&v->vm->memory, v->exit.fault.gpa)) {
		v->account.stats.nested_faults++;
		return v->shadow ? settle(v, shadowing_near(v)) : GO_ON;
	}
	return LEAVE_FOR_FAULT;
}

/* Outside guest context: bring the page in, or find that it is not RAM. */
int exit_handle_fault(struct vcpu *v)
{
	struct flush owed;
	u8 level = 0;
	int err;

	DEBUG_ASSERT(v->exit.kind == EXIT_NESTED_FAULT);
	if (unlikely(v->ruling.opening) && !rules_open(v))
		return GO_ON;
	err = guest_memory_fault(&v->vm->memory, v->exit.fault.gpa, v->exit.fault.access, &v->cache,
				 &owed, &level);
	vm_flush(v->vm, &owed, FERMATA_CAUSE_REMAP);
	switch (err) {
	case 0:
		v->account.stats.nested_faults++;
		if (level > 1)
			v->account.stats.large_mappings++;
		return v->shadow ? shadowing_mapped(v) : GO_ON;
	case -EAGAIN:
		return GO_ON;
	case -ENOENT:
	case -EACCES:
		if (v->exit.fault.table) /* page tables in device memory: nothing can walk them */
			return report_mmio(v, FERMATA_EXIT_MEMORY_FAULT);
		return report_mmio(v, FERMATA_EXIT_MMIO);
	case -ENOMEM:
	case -EINTR:
		return err;
	}
	return report_mmio(v, FERMATA_EXIT_MEMORY_FAULT);
}

static enum verdict handle_nothing(struct vcpu *v)
{
	return SERVE_HOST;
}

static enum verdict handle_window(struct vcpu *v)
{
	v->backend->window(v, 0);
	return GO_ON;
}

static enum verdict handle_undefined(struct vcpu *v)
{
	return vcpu_raise(v, ARCH_UD);
}

static enum verdict handle_protected(struct vcpu *v)
{
	return vcpu_raise_code(v, ARCH_GP, 0);
}

/* What only rules make exit and nobody emulates: the processor does it, its intercept lifted for once. */
static enum verdict handle_once(struct vcpu *v)
{
	rules_once(v);
	return GO_ON;
}

static enum verdict handle_shutdown(struct vcpu *v)
{
	return exit_to_user(v, FERMATA_EXIT_SHUTDOWN);
}

static enum verdict handle_unsupported(struct vcpu *v)
{
	return exit_to_user(v, FERMATA_EXIT_UNSUPPORTED);
}

/*
 * Under nested paging all translations go: more than asked for, which a processor may do at any time
 * (SDM 3A 4.10.2).
 */
static enum verdict handle_invlpg(struct vcpu *v)
{
	if (v->shadow)
		return shadowing_invlpg(v);
	if (exit_step_over(v))
		vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_ADDRESS);
	return GO_ON;
}

static enum verdict handle_invpcid(struct vcpu *v)
{
	return v->shadow ? settle(v, shadowing_invpcid(v)) : handle_once(v);
}

/* A write of 32 bits clears the upper half of a register, one of 16 leaves the rest (SDM 1 3.4.1.1). */
static void set_register(u64 *reg, u64 value, u8 size)
{
	if (size == 2)
		*reg = (*reg & ~0xffffull) | (u16)value;
	else
		*reg = size == 4 ? (u32)value : value;
}

/* CF says whether there was a number; the other arithmetic flags are cleared (SDM 2B RDRAND). */
static enum verdict handle_random(struct vcpu *v)
{
	struct exit *x = &v->exit;
	u64 rflags = v->backend->get_reg(v, HW_RFLAGS) & ~ARCH_RFLAGS_ARITHMETIC, value = 0;
	bool good = x->kind == EXIT_RDSEED ? cpu_rdseed(&value) : cpu_rdrand(&value);

	v->backend->set_reg(v, HW_RFLAGS, rflags | (good ? ARCH_RFLAGS_CF : 0));
	set_register(&v->page->regs[x->random.reg & 15], good ? value : 0, x->random.size);
	v->advance = x->length;
	return GO_ON;
}

static enum verdict handle_fail_entry(struct vcpu *v)
{
	if (!v->audit.count)
		vcpu_audit(v);
	return exit_to_user(v, FERMATA_EXIT_FAIL_ENTRY);
}

static enum verdict handle_unclaimed(struct vcpu *v)
{
	return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
}

enum verdict (*const exit_handlers[EXIT_KINDS])(struct vcpu *v) = {
#define EXIT(kind, handler, ...) [EXIT_##kind] = handler,
#include "core/exit_kinds.h"
};
