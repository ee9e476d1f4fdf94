/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The exit table: what the kernel part does about each kind of exit. */
#include "core/exits.h"
#include "core/shadowing.h"
#include "memory/guest_walk.h"

/* -ENOSYS as Linux numbers it: what a guest expects of a call that does not exist. */
#define HYPERCALL_UNKNOWN ((u64)-38)
/* How often an instruction may exit that cannot be decoded, in a row and at one place. */
#define MYSTERIES_MAX 1000

/* ---- the instruction behind an exit */

/* How insn/decode.c calls the instruction that this exit must have been; INSN_NONE: more than one may be. */
static u8 expected_op(const struct exit *x)
{
	switch (x->kind) {
	case EXIT_CPUID:
		return INSN_CPUID;
	case EXIT_MSR_READ:
		return INSN_RDMSR;
	case EXIT_MSR_WRITE:
		return INSN_WRMSR;
	case EXIT_HLT:
		return INSN_HLT;
	case EXIT_XSETBV:
		return INSN_XSETBV;
	case EXIT_RDTSC:
		return INSN_RDTSC;
	case EXIT_RDTSCP:
		return INSN_RDTSCP;
	case EXIT_DR_READ:
		return INSN_MOV_FROM_DR;
	case EXIT_DR_WRITE:
		return INSN_MOV_TO_DR;
	case EXIT_RDPMC:
		return INSN_RDPMC;
	case EXIT_RDPRU:
		return INSN_RDPRU;
	case EXIT_PAUSE:
		return INSN_PAUSE;
	case EXIT_INVPCID:
		return INSN_INVPCID;
	}
	return INSN_NONE;
}

bool exit_fetch(struct vcpu *v, struct insn *insn)
{
	struct where where;
	u8 bytes[15];
	int count;

	v->backend->where(v, &where);
	count = guest_fetch(&v->vm->memory, &where.paging, where.linear, bytes, sizeof(bytes), NULL);
	return count > 0 && !insn_decode(bytes, count, where.mode, insn);
}

u64 exit_operand_address(struct vcpu *v, const struct insn *insn)
{
	const struct fermata_segment *segment = &v->scratch->segments.es + insn->segment;
	struct where where;
	u64 linear;

	v->backend->where(v, &where);
	v->backend->get_state(v, v->scratch, FERMATA_STATE_SEGMENTS);
	linear = insn_offset(insn, v->page->regs, where.rip + insn->length);
	if (where.mode != FERMATA_MODE_LONG || insn->segment >= 4) /* FS and GS keep their base */
		linear += segment->base;
	return where.mode == FERMATA_MODE_LONG ? linear : (u32)linear;
}

/*
 * The memory operand of an instruction that the processor has just found accessible: byte by byte,
 * because it may lie on two pages. False: it is not accessible any more.
 */
static bool copy_operand(struct vcpu *v, const struct insn *insn, u8 *bytes, u32 size, bool write)
{
	u32 access = write ? FERMATA_ACCESS_WRITE : FERMATA_ACCESS_READ, i;
	struct guest_memory *memory = &v->vm->memory;
	struct guest_walk_result walk;
	struct where where;
	u64 linear;

	v->backend->where(v, &where);
	linear = exit_operand_address(v, insn);
	for (i = 0; i < size; i++, linear++) {
		if (where.mode != FERMATA_MODE_LONG)
			linear = (u32)linear;
		if (guest_walk(memory, &where.paging, linear, access, &walk) || walk.fault)
			return false;
		if (write ? guest_memory_write(memory, walk.gpa, &bytes[i], 1) :
			    guest_memory_read(memory, walk.gpa, &bytes[i], 1))
			return false;
	}
	return true;
}

/* False: the operand cannot be had now. */
static bool fill_mov(struct vcpu *v, const struct insn *insn)
{
	struct exit *x = &v->exit;
	u16 word = v->guest.cr0;

	x->mov.reg = insn->rm;
	x->mov.size = 8;
	x->mov.stored = false;
	x->mov.via = MOV_PLAIN;
	switch (insn->op) {
	case INSN_MOV_TO_CR:
	case INSN_MOV_FROM_CR:
	case INSN_MOV_TO_DR:
	case INSN_MOV_FROM_DR:
		x->mov.number = insn->control;
		break;
	case INSN_CLTS:
		x->mov.via = MOV_CLTS;
		x->mov.by_value = true;
		x->mov.value = v->guest.cr0 & ~ARCH_CR0_TS;
		break;
	case INSN_LMSW: /* sets PE, MP, EM, TS; cannot clear PE (SDM 2A LMSW) */
		if (insn->rm != INSN_NO_REG)
			word = v->page->regs[insn->rm];
		else if (!copy_operand(v, insn, (u8 *)&word, sizeof(word), false))
			return false;
		x->mov.via = MOV_LMSW;
		x->mov.by_value = true;
		x->mov.value = (v->guest.cr0 & ~0xeull) | (word & 0xf);
		break;
	case INSN_SMSW: /* bits 15:0 to memory or a 16-bit register; more of them to wider ones */
		x->mov.size = insn->size;
		x->mov.stored = insn->rm == INSN_NO_REG;
		return !x->mov.stored || copy_operand(v, insn, (u8 *)&word, sizeof(word), true);
	}
	return true;
}

/* What the decoder says of the instructions that only rules make exit. False: it is another one. */
static bool fill_plain(struct vcpu *v, const struct insn *insn)
{
	static const u8 tables[] = { INSN_SGDT, INSN_SIDT, INSN_SLDT, INSN_STR,
				     INSN_LGDT, INSN_LIDT, INSN_LLDT, INSN_LTR };
	struct exit *x = &v->exit;

	switch (x->kind) {
	case EXIT_INVLPG:
		x->linear = exit_operand_address(v, insn);
		return insn->op == INSN_INVLPG;
	case EXIT_TABLE:
		return x->table >= FERMATA_ON_SGDT && x->table <= FERMATA_ON_LTR &&
		       insn->op == tables[x->table - FERMATA_ON_SGDT];
	case EXIT_WBINVD: /* QEMU 7.2 gives INVD this reason too */
		if (insn->op == INSN_INVD)
			x->kind = EXIT_CACHE;
		return insn->op == INSN_INVD || insn->op == INSN_WBINVD || insn->op == INSN_WBNOINVD;
	}
	return true;
}

/*
 * The instruction cannot be had or is not the one that exited: it runs again, which faults its page in
 * or runs what another CPU has put there. Not for ever: what stays a mystery ends the vCPU.
 */
static u8 mystery(struct vcpu *v)
{
	if (v->exit.rip != v->mystery.rip)
		v->mystery.count = 0;
	v->mystery.rip = v->exit.rip;
	if (++v->mystery.count >= MYSTERIES_MAX)
		host_set_bit(REQUEST_LOST, &v->requests);
	return 0;
}

u8 exit_decode(struct vcpu *v)
{
	struct exit *x = &v->exit;
	bool mov = x->kind >= EXIT_CR_READ && x->kind <= EXIT_DR_WRITE;
	struct insn insn;
	u8 op;

	if (!exit_fetch(v, &insn))
		return mystery(v);
	/* Another CPU may have rewritten the code since: then the guest runs what is there now. */
	if (x->kind == EXIT_RDTSC && insn.op == INSN_RDTSCP)
		x->kind = EXIT_RDTSCP;
	op = expected_op(x);
	if (op != INSN_NONE && op != insn.op)
		return mystery(v);
	v->mystery.count = 0;
	if (mov && !fill_mov(v, &insn))
		return mystery(v);
	if (mov)
		x->mov.decoded = true;
	else if (!fill_plain(v, &insn))
		return mystery(v);
	x->length = insn.length;
	return x->length;
}

/* ---- to user space */

/* All but what the reason itself has to say. */
static inline void describe_exit(struct vcpu *v, u32 reason)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;

	v->report.reason = reason; /* the page is the caller's to write; this is not */

	out->reason = reason;
	out->hw_reason = x->code;
	out->hw_info1 = x->info1;
	out->hw_info2 = x->info2;
	out->insn_bytes = 0;
	memset(out->insn, 0, sizeof(out->insn));
	out->cpu_mode = 0;
	memset(out->reserved, 0, sizeof(out->reserved));
	out->insn_len = x->length;
}

void exit_to_user(struct vcpu *v, u32 reason)
{
	describe_exit(v, reason);
	memset(v->page->exit.pad, 0, sizeof(v->page->exit.pad));
}

/* For exits whose instruction user space decodes. False: the bytes cannot be had now. */
static bool attach_code(struct vcpu *v, struct where *where)
{
	struct fermata_exit *out = &v->page->exit;
	int count;

	v->backend->where(v, where);
	count = guest_fetch(&v->vm->memory, &where->paging, where->linear, out->insn,
			    sizeof(out->insn), NULL);
	if (count <= 0)
		return false;
	out->insn_bytes = count;
	out->cpu_mode = where->mode;
	return true;
}

/*
 * The plain MOVs, in 64-bit mode: the processor has checked and translated the operand, so its address
 * is enough to know that this is the instruction that exited. All others are the caller's to decode.
 */
static void describe_access(struct vcpu *v, const struct where *where)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;
	u64 *regs = v->page->regs, linear;
	struct insn insn;

	if (where->mode != FERMATA_MODE_LONG || x->fault.table ||
	    insn_decode(out->insn, out->insn_bytes, where->mode, &insn) || !insn.memory ||
	    insn.segment >= 4 || insn.reg_high)
		return;
	if (x->fault.access == RADIX_WRITE ? insn.op != INSN_STORE :
					     insn.op < INSN_LOAD || insn.op > INSN_LOAD_SIGN)
		return;
	linear = insn_offset(&insn, regs, where->rip + insn.length);
	if ((linear ^ x->fault.gpa) & 0xfff || (linear & 0xfff) + insn.size > 4096)
		return;
	out->insn_len = insn.length;
	out->mmio.size = insn.size;
	if (insn.op == INSN_STORE) {
		out->mmio.op = FERMATA_MMIO_STORE;
		out->mmio.value = insn.has_immediate ? insn.immediate : regs[insn.reg];
		return;
	}
	out->mmio.op = insn.op == INSN_LOAD_SIGN ? FERMATA_MMIO_LOAD_SIGN : FERMATA_MMIO_LOAD;
	out->mmio.reg = insn.reg;
	out->mmio.reg_size = insn.reg_size;
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

static noinline bool attach_string(struct vcpu *v)
{
	struct where where;

	return attach_code(v, &where);
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
		if (!attach_string(v))
			return GO_ON; /* runs again, and faults its code in */
	} else if (!x->io.in) {
		out->io.value = v->page->regs[FERMATA_RAX] & (~0u >> (32 - 8 * x->io.size));
	}
	return LEAVE_FOR_USER;
}

static int report_mmio(struct vcpu *v, u32 reason)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;
	struct where where;
	exit_to_user(v, reason);
	out->mmio.gpa = x->fault.gpa;
	out->mmio.write = x->fault.access == RADIX_WRITE;
	out->mmio.fetch = x->fault.access == RADIX_EXEC;
	if (attach_code(v, &where))
		describe_access(v, &where);
	else if (reason == FERMATA_EXIT_MMIO && !out->mmio.fetch)
		return GO_ON;
	return LEAVE_FOR_USER;
}

/* ---- kinds */

static enum verdict handle_cpuid(struct vcpu *v)
{
	u8 length = exit_length(v);

	if (length) {
		cpuid_answer(v);
		v->advance = length;
	}
	return GO_ON;
}

static enum verdict handle_msr_read(struct vcpu *v)
{
	u64 *regs = v->page->regs;
	u8 length = exit_length(v);

	if (!length)
		return GO_ON;
	if (msr_read(v, regs[FERMATA_RCX], &v->msr_value)) {
		vcpu_raise_code(v, ARCH_GP, 0);
		return GO_ON;
	}
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
	u8 length = exit_length(v);

	if (!length)
		return GO_ON;
	v->advance = length;
	v->mp_state = FERMATA_MP_HALTED;
	return LEAVE_FOR_HOST;
}

/* No hypercall is defined: the guest hears so, in RAX, and lives. */
static enum verdict handle_hypercall(struct vcpu *v)
{
	u8 length = exit_length(v);

	if (length) {
		v->page->regs[FERMATA_RAX] = HYPERCALL_UNKNOWN;
		v->advance = length;
	}
	return GO_ON;
}

/*
 * #GP for CR4.TSD comes before the exit (SDM 3C 26.1.1; APM 2 15.9). What it reads is the moment of the
 * exit; nobody changes the clock while a vCPU is in guest context.
 */
static enum verdict handle_rdtsc(struct vcpu *v)
{
	u8 length = exit_length(v);
	u64 *regs = v->page->regs, tsc;

	if (unlikely(!length))
		return GO_ON;
	tsc = clock_guest_tsc(&v->vm->time.clock, v->exit.tsc) + v->guest.tsc_offset;
	regs[FERMATA_RAX] = (u32)tsc;
	regs[FERMATA_RDX] = tsc >> 32;
	if (v->exit.kind == EXIT_RDTSCP)
		regs[FERMATA_RCX] = v->guest.tsc_aux;
	v->advance = length;
	return GO_ON;
}

static enum verdict handle_skip(struct vcpu *v)
{
	v->advance = exit_length(v);
	return GO_ON;
}

/* What is not in the exit's event: CR2, and the step over INT3 and INTO, whose RIP is behind them. */
static bool complete_exception(struct vcpu *v)
{
	const struct exit *x = &v->exit;

	switch (x->exception.vector) {
	case ARCH_PF:
		v->backend->get_state(v, v->scratch, FERMATA_STATE_CONTROL);
		v->scratch->control.cr2 = x->exception_address;
		v->backend->set_state(v, v->scratch, FERMATA_STATE_CONTROL);
		return true;
	case ARCH_BP:
	case ARCH_OF:
		v->advance = exit_length(v);
		return v->advance;
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

static enum verdict handle_nested_fault(struct vcpu *v)
{
	enum verdict verdict;

	if (apic_page_access(v, &verdict))
		return verdict;
	if (!v->rules.watch.opening && guest_memory_near(&v->vm->memory, v->exit.fault.gpa)) {
		v->account.stats.nested_faults++;
		return v->shadow ? shadowing_near(v) : GO_ON;
	}
	return LEAVE_FOR_HOST;
}

/* Outside guest context: bring the page in, or find that it is not RAM. */
int exit_handle_fault(struct vcpu *v)
{
	struct flush owed;
	u8 level = 0;
	int err;

	if (unlikely(v->rules.watch.opening) && !watch_open(v))
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
	vcpu_raise(v, ARCH_UD);
	return GO_ON;
}

static enum verdict handle_protected(struct vcpu *v)
{
	vcpu_raise_code(v, ARCH_GP, 0);
	return GO_ON;
}

/* What only rules make exit and nobody emulates: the processor does it, its intercept lifted for once. */
static enum verdict handle_once(struct vcpu *v)
{
	step_begin(v);
	return GO_ON;
}

static enum verdict handle_shutdown(struct vcpu *v)
{
	exit_to_user(v, FERMATA_EXIT_SHUTDOWN);
	return LEAVE_FOR_USER;
}

static enum verdict handle_unsupported(struct vcpu *v)
{
	exit_to_user(v, FERMATA_EXIT_UNSUPPORTED);
	return LEAVE_FOR_USER;
}

static enum verdict handle_invlpg(struct vcpu *v)
{
	return v->shadow ? shadowing_invlpg(v) : instruction_invlpg(v);
}

static enum verdict handle_invpcid(struct vcpu *v)
{
	return v->shadow ? shadowing_invpcid(v) : handle_once(v);
}

static enum verdict handle_fail_entry(struct vcpu *v)
{
	if (!v->audit.count)
		vcpu_audit(v);
	exit_to_user(v, FERMATA_EXIT_FAIL_ENTRY);
	return LEAVE_FOR_USER;
}

static enum verdict handle_unclaimed(struct vcpu *v)
{
	exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
	return LEAVE_FOR_USER;
}

enum verdict (*const exit_handlers[EXIT_KINDS])(struct vcpu *v) = {
	[EXIT_UNCLAIMED] = handle_unclaimed,
	[EXIT_NOTHING] = handle_nothing,
	[EXIT_CPUID] = handle_cpuid,
	[EXIT_MSR_READ] = handle_msr_read,
	[EXIT_MSR_WRITE] = handle_msr_write,
	[EXIT_HLT] = handle_hlt,
	[EXIT_IO] = handle_io,
	[EXIT_CR_READ] = control_cr_read,
	[EXIT_CR_WRITE] = control_cr_write,
	[EXIT_DR_READ] = control_dr_read,
	[EXIT_DR_WRITE] = control_dr_write,
	[EXIT_XSETBV] = control_xsetbv,
	[EXIT_HYPERCALL] = handle_hypercall,
	[EXIT_RDTSC] = handle_rdtsc,
	[EXIT_RDTSCP] = handle_rdtsc,
	[EXIT_NESTED_FAULT] = handle_nested_fault,
	[EXIT_PAGE_FAULT] = shadowing_fault,
	[EXIT_EXCEPTION] = handle_exception,
	[EXIT_WINDOW] = handle_window,
	[EXIT_CACHE] = handle_skip,
	[EXIT_WBINVD] = handle_skip,
	[EXIT_PAUSE] = handle_skip,
	[EXIT_MONITOR] = handle_undefined,
	[EXIT_MWAIT] = handle_undefined,
	[EXIT_RDPMC] = handle_protected,
	[EXIT_RDPRU] = handle_undefined,
	[EXIT_INVLPG] = handle_invlpg,
	[EXIT_INVPCID] = handle_invpcid,
	[EXIT_RDRAND] = instruction_random,
	[EXIT_RDSEED] = instruction_random,
	[EXIT_TABLE] = handle_once,
	[EXIT_UNDEFINED] = handle_undefined,
	[EXIT_PROTECTED] = handle_protected,
	[EXIT_SHUTDOWN] = handle_shutdown,
	[EXIT_UNSUPPORTED] = handle_unsupported,
	[EXIT_FAIL_ENTRY] = handle_fail_entry,
};
