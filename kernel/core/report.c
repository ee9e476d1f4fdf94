// SPDX-License-Identifier: MIT OR GPL-2.0
/* What user space hears of an exit: the record in the run page. */
#include "core/report.h"
#include "insn/insn.h"
#include "memory/guest_walk.h"

enum verdict exit_to_user(struct vcpu *v, u32 reason)
{
	describe_exit(v, reason);
	memset(v->page->exit.pad, 0, sizeof(v->page->exit.pad));
	return LEAVE_FOR_USER;
}

enum verdict exit_refused(struct vcpu *v)
{
	v->exit = (struct exit){ .kind = EXIT_FAIL_ENTRY,
				 .code = FERMATA_HW_REFUSED,
				 .rip = v->backend->get_reg(v, HW_RIP),
				 .info1 = v->audit.finding[0].value };
	return exit_to_user(v, FERMATA_EXIT_FAIL_ENTRY);
}

/* The code at RIP. What is shared of it the caller may change at any time, so nothing is read back from there. */
struct code {
	struct where where;
	u8 bytes[15]; /* as many as an instruction has */
	u32 count;
};

/* For exits whose instruction user space decodes. False: the bytes cannot be had now. */
static bool attach_code(struct vcpu *v, struct code *code)
{
	struct fermata_exit *out = &v->page->exit;
	int count;

	memset(code->bytes, 0, sizeof(code->bytes));
	v->backend->where(v, &code->where);
	count = guest_fetch(&v->vm->memory, &code->where.paging, code->where.linear, code->bytes,
			    sizeof(code->bytes), NULL);
	if (count <= 0)
		return false;
	code->count = count;
	static_assert(sizeof(out->insn) == sizeof(code->bytes), "copied whole");
	memcpy(out->insn, code->bytes, sizeof(out->insn));
	out->insn_bytes = count;
	out->cpu_mode = code->where.mode;
	return true;
}

/*
 * The plain MOVs, in 64-bit mode: the processor has checked and translated the operand, so its address
 * is enough to know that this is the instruction that exited. All others are the caller's to decode.
 */
static void describe_access(struct vcpu *v, const struct code *code)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;
	u64 *regs = v->page->regs, linear;
	struct insn insn;

	if (code->where.mode != FERMATA_MODE_LONG || x->fault.table ||
	    insn_decode(code->bytes, code->count, code->where.mode, &insn))
		return;
	if (x->fault.access == RADIX_WRITE ? insn.op != INSN_STORE :
					     insn.op < INSN_LOAD || insn.op > INSN_LOAD_SIGN)
		return;
	if (!insn.memory || insn.segment >= 4 || insn.reg_high)
		return;
	linear = insn_offset(&insn, regs, code->where.rip + insn.length);
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

bool report_code(struct vcpu *v)
{
	struct code code;

	return attach_code(v, &code);
}

int report_mmio(struct vcpu *v, u32 reason)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;
	struct code code;

	exit_to_user(v, reason);
	out->mmio.gpa = x->fault.gpa;
	out->mmio.write = x->fault.access == RADIX_WRITE;
	out->mmio.fetch = x->fault.access == RADIX_EXEC;
	if (attach_code(v, &code))
		describe_access(v, &code);
	else if (reason == FERMATA_EXIT_MMIO && !out->mmio.fetch)
		return GO_ON;
	return LEAVE_FOR_USER;
}
