// SPDX-License-Identifier: MIT OR GPL-2.0
/* The report of a dead guest: what the hardware said, in words, and the state it left behind. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "internal.h"

#define EFER_LMA (1u << 10)
#define CODE_SHOWN 6 /* instructions */

struct flag {
	unsigned bit;
	const char *name;
};

/* SDM 3A 2.3, 2.5, APM 2 3.1; SDM 1 3.4.3 */
static const struct flag rflags_names[] = {
	{ 0, "CF" },  { 2, "PF" },   { 4, "AF" },   { 6, "ZF" },  { 7, "SF" },	{ 8, "TF" },
	{ 9, "IF" },  { 10, "DF" },  { 11, "OF" },  { 14, "NT" }, { 16, "RF" }, { 17, "VM" },
	{ 18, "AC" }, { 19, "VIF" }, { 20, "VIP" }, { 21, "ID" }, { 0, NULL },
};
static const struct flag cr0_names[] = {
	{ 0, "PE" },  { 1, "MP" },  { 2, "EM" },  { 3, "TS" },	{ 4, "ET" },  { 5, "NE" },
	{ 16, "WP" }, { 18, "AM" }, { 29, "NW" }, { 30, "CD" }, { 31, "PG" }, { 0, NULL },
};
static const struct flag cr4_names[] = {
	{ 0, "VME" },	      { 1, "PVI" },    { 2, "TSD" },	  { 3, "DE" },	  { 4, "PSE" },
	{ 5, "PAE" },	      { 6, "MCE" },    { 7, "PGE" },	  { 8, "PCE" },	  { 9, "OSFXSR" },
	{ 10, "OSXMMEXCPT" }, { 11, "UMIP" },  { 12, "LA57" },	  { 13, "VMXE" }, { 14, "SMXE" },
	{ 16, "FSGSBASE" },   { 17, "PCIDE" }, { 18, "OSXSAVE" }, { 20, "SMEP" }, { 21, "SMAP" },
	{ 22, "PKE" },	      { 23, "CET" },   { 24, "PKS" },	  { 0, NULL },
};
static const struct flag efer_names[] = {
	{ 0, "SCE" },	 { 8, "LME" },	  { 10, "LMA" }, { 11, "NXE" }, { 12, "SVME" },
	{ 13, "LMSLE" }, { 14, "FFXSR" }, { 15, "TCE" }, { 0, NULL },
};

static void print_flags(FILE *out, uint64_t value, const struct flag *names)
{
	const char *space = "  ";

	for (; names->name; names++) {
		if (!(value >> names->bit & 1))
			continue;
		fprintf(out, "%s%s", space, names->name);
		space = " ";
	}
}

static void print_flagged(FILE *out, const char *what, uint64_t value, const struct flag *names)
{
	fprintf(out, "  %-6s %016" PRIx64, what, value);
	print_flags(out, value, names);
	fputc('\n', out);
}

#define VMX_EPT_MISCONFIG 49 /* as an exit reason; no exit code of AMD-V's that is unclaimed */

static const char *what_it_means(const struct fermata_exit *exit)
{
	switch (exit->reason) {
	case FERMATA_EXIT_SHUTDOWN:
		return "The processor shut the guest down: a triple fault. An exception could not be delivered,\n"
		       "the double fault made of it could not either. Usual causes: no valid IDT or stack yet,\n"
		       "page tables that do not map them, or a guest that resets the machine this way.";
	case FERMATA_EXIT_FAIL_ENTRY:
		if (exit->hw_reason == FERMATA_HW_REFUSED)
			return "The guest was not entered: a register that is loaded before did not take the guest's value.\n"
			       "A check of Fermata's is missing, and this is a bug: please report it with all of the following.";
		return "The processor refused to enter the guest: its state is not one a processor can be in,\n"
		       "or Fermata asked for what the processor does not do (APM 2 15.5.1, SDM 3C 27.2, 27.3).";
	case FERMATA_EXIT_UNSUPPORTED:
		return exit->hw_reason == FERMATA_VMX_UNPAGED ?
			       "The guest entered real mode, or switched paging off. This processor's VT-x cannot run\n"
			       "that: it has no \"unrestricted guest\" (SDM 3C 25.6.2), so guests must stay in protected\n"
			       "mode with paging, from Linux's 64-bit entry on, and with one vCPU: a second one begins\n"
			       "in real mode." :
			       "The guest switched tasks by hardware: a far jump, CALL, IRET or interrupt through a task\n"
			       "gate or TSS. VT-x leaves that to the hypervisor (SDM 3C 26.2), and Fermata does not do it.";
	case FERMATA_EXIT_UNCLAIMED:
		if (exit->hw_reason == VMX_EPT_MISCONFIG)
			return "The processor found an entry of the nested page tables that no entry can look like\n"
			       "(SDM 3C 29.3.3.1), on its way to the guest-physical address below. This is a bug of\n"
			       "Fermata's, or the host's memory is damaged.";
		return "The guest left for a reason no part of Fermata knows. This is a bug of Fermata's:\n"
		       "please report it with all of the following.";
	case FERMATA_EXIT_MEMORY_FAULT:
		return "The host could not provide the memory behind this guest-physical address:\n"
		       "it was unmapped in this process, its file is too short, or the host is out of memory.";
	case FERMATA_EXIT_HALTED:
		return "The guest halted with interrupts off: nothing can wake it any more.";
	case FERMATA_EXIT_MMIO:
		return exit->mmio.fetch ?
			       "The guest tried to execute where no memory is." :
			       "The guest accessed guest-physical memory that nobody answers for.";
	default:
		return "The guest had not died when this was written.";
	}
}

/* Exit qualification of a task switch (SDM 3C table 28-2). */
static void print_task_switch(FILE *out, uint64_t qualification)
{
	static const char *const from[] = { "CALL", "IRET", "JMP", "a task gate in the IDT" };

	fprintf(out, "To the TSS with selector %#x, by %s.\n", (unsigned)(qualification & 0xffff),
		from[qualification >> 30 & 3]);
}

static void print_reason(FILE *out, fermata_vcpu *vcpu)
{
	const struct fermata_exit *exit = &vcpu->run->exit;

	fprintf(out, "vCPU %u: exit %s, hardware reason %#x (%s), info %#" PRIx64 " %#" PRIx64 "\n",
		vcpu->id, fermata_exit_reason_name(exit->reason), exit->hw_reason,
		fermata_exit_code_name(vcpu->vm->caps.vendor, exit->hw_reason),
		(uint64_t)exit->hw_info1, (uint64_t)exit->hw_info2);
	if (exit->reason == FERMATA_EXIT_MMIO || exit->reason == FERMATA_EXIT_MEMORY_FAULT)
		fprintf(out, "guest-physical %#" PRIx64 ", %s\n", (uint64_t)exit->mmio.gpa,
			exit->mmio.fetch ? "fetch" :
			exit->mmio.write ? "write" :
					   "read");
	if (exit->reason == FERMATA_EXIT_IO)
		fprintf(out, "port %#x, %u bytes, %s\n", exit->io.port, exit->io.size,
			exit->io.in ? "in" : "out");
	fprintf(out, "%s\n", what_it_means(exit));
	if (exit->reason == FERMATA_EXIT_UNSUPPORTED && exit->hw_reason != FERMATA_VMX_UNPAGED)
		print_task_switch(out, exit->hw_info1);
	if (exit->reason == FERMATA_EXIT_UNSUPPORTED && exit->hw_reason == FERMATA_VMX_UNPAGED)
		fprintf(out, "CR0 is to be %#" PRIx64 ".\n", (uint64_t)exit->hw_info1);
	if (exit->reason == FERMATA_EXIT_UNCLAIMED && exit->hw_reason == VMX_EPT_MISCONFIG)
		fprintf(out, "guest-physical %#" PRIx64 "\n", (uint64_t)exit->hw_info2);
}

/* Basic exit reasons of entries that failed (SDM 3C 27.8) */
#define VMX_INVALID_GUEST_STATE 33
#define VMX_MSR_LOADING 34
#define VMX_MACHINE_CHECK 41

/* What the exit qualification of an entry that found the guest's state invalid adds. */
static const char *qualified(uint64_t qualification)
{
	switch (qualification) {
	case 2:
		return ": the page-directory-pointer-table entries";
	case 3:
		return ": an NMI was injected while STI blocks events";
	case 4:
		return ": the VMCS link pointer";
	}
	return "";
}

static void print_vmx_failure(FILE *out, const struct fermata_exit *exit)
{
	switch (exit->hw_reason) {
	case FERMATA_VMX_FAIL:
		if (exit->hw_info1)
			fprintf(out, "VM-instruction error %" PRIu64 ": %s.\n",
				(uint64_t)exit->hw_info1, fermata_vmx_error(exit->hw_info1));
		else
			fputs("VMLAUNCH or VMRESUME found no current VMCS.\n", out);
		return;
	case VMX_INVALID_GUEST_STATE:
		fprintf(out, "Invalid guest state%s.\n", qualified(exit->hw_info1));
		return;
	case VMX_MSR_LOADING:
		fprintf(out, "Entry %" PRIu64 " of the VM-entry MSR-load area cannot be loaded.\n",
			(uint64_t)exit->hw_info1);
		return;
	case VMX_MACHINE_CHECK:
		fputs("A machine check happened during the entry: look at the host's log.\n", out);
	}
}

static void print_audit(FILE *out, fermata_vcpu *vcpu)
{
	struct fermata_audit audit;

	if (vcpu->vm->caps.vendor == FERMATA_VENDOR_INTEL)
		print_vmx_failure(out, &vcpu->run->exit);
	if (fermata_audit(vcpu, &audit)) {
		fprintf(out, "%s\n", fermata_error());
		return;
	}
	fprintf(out, "Rules broken: %u%s\n", audit.count,
		audit.count ? "" : ", of those that Fermata knows");
	for (unsigned i = 0; i < audit.count && i < FERMATA_AUDIT_LINES; i++)
		fprintf(out, "  %.*s\n", FERMATA_AUDIT_TEXT, audit.line[i]);
	if (audit.count > FERMATA_AUDIT_LINES)
		fprintf(out, "  and %u more\n", audit.count - FERMATA_AUDIT_LINES);
}

static void print_registers(FILE *out, const struct fermata_run *run)
{
	static const char *const names[FERMATA_REGS] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
		"R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15",
	};

	fputs("Registers\n", out);
	for (unsigned i = 0; i < FERMATA_REGS; i++)
		fprintf(out, "  %-3s %016" PRIx64 "%s", names[i], (uint64_t)run->regs[i],
			i % 4 == 3 ? "\n" : "");
	fprintf(out, "  RIP %016" PRIx64 "\n", (uint64_t)run->rip);
	print_flagged(out, "RFLAGS", run->rflags, rflags_names);
}

static void print_segment(FILE *out, const char *name, const struct fermata_segment *s)
{
	fprintf(out, "  %-4s %04x  base %016" PRIx64 "  limit %08x  ", name, s->selector,
		(uint64_t)s->base, s->limit);
	if (s->attrib & FERMATA_SEG_UNUSABLE || !(s->attrib & 0x80)) {
		fprintf(out, "attrib %04x unusable\n", s->attrib);
		return;
	}
	fprintf(out, "attrib %04x DPL %u", s->attrib, s->attrib >> 5 & 3);
	if (!(s->attrib & 0x10))
		fprintf(out, " system type %x\n", s->attrib & 15);
	else if (s->attrib & 8)
		fprintf(out, " code%s%s\n", s->attrib & 2 ? " readable" : "",
			s->attrib & 0x200 ? " 64-bit" :
			s->attrib & 0x400 ? " 32-bit" :
					    " 16-bit");
	else
		fprintf(out, " data%s%s%s\n", s->attrib & 2 ? " writable" : "",
			s->attrib & 4 ? " down" : "", s->attrib & 0x400 ? " big" : "");
}

static void print_state(FILE *out, const struct fermata_state *state)
{
	const struct fermata_state_segments *s = &state->segments;
	const struct fermata_state_control *c = &state->control;
	const struct fermata_state_pending *v = &state->pending;

	fputs("Segments\n", out);
	print_segment(out, "CS", &s->cs);
	print_segment(out, "SS", &s->ss);
	print_segment(out, "DS", &s->ds);
	print_segment(out, "ES", &s->es);
	print_segment(out, "FS", &s->fs);
	print_segment(out, "GS", &s->gs);
	print_segment(out, "LDTR", &s->ldt);
	print_segment(out, "TR", &s->tr);
	fprintf(out, "  GDTR       base %016" PRIx64 "  limit %08x\n", (uint64_t)s->gdt.base,
		s->gdt.limit);
	fprintf(out, "  IDTR       base %016" PRIx64 "  limit %08x\n", (uint64_t)s->idt.base,
		s->idt.limit);
	fputs("Control\n", out);
	print_flagged(out, "CR0", c->cr0, cr0_names);
	fprintf(out, "  %-6s %016" PRIx64 "\n", "CR2", (uint64_t)c->cr2);
	fprintf(out, "  %-6s %016" PRIx64 "\n", "CR3", (uint64_t)c->cr3);
	print_flagged(out, "CR4", c->cr4, cr4_names);
	fprintf(out, "  %-6s %" PRIx64 "\n", "CR8", (uint64_t)c->cr8);
	print_flagged(out, "EFER", c->efer, efer_names);
	fprintf(out, "  %-6s %" PRIx64 "\n", "XCR0", (uint64_t)c->xcr0);
	if (v->injection.kind != FERMATA_INJECT_NONE)
		fprintf(out, "Pending %s %u, code %#x\n",
			v->injection.kind == FERMATA_INJECT_NMI	   ? "NMI" :
			v->injection.kind == FERMATA_INJECT_EXTINT ? "interrupt" :
								     "exception",
			v->injection.vector, v->injection.code);
	if (v->nmi_pending || v->nmi_blocked || v->interrupts_blocked)
		fprintf(out, "Blocked or due:%s%s%s\n", v->nmi_pending ? " NMI pending" : "",
			v->nmi_blocked ? " NMI blocked" : "",
			v->interrupts_blocked ? " interrupts blocked by STI or MOV SS" : "");
}

/* What lies at RIP as the guest's page tables are now; the exit's own bytes when that fails. */
static unsigned read_code(fermata_vcpu *vcpu, uint64_t linear, uint8_t *code, unsigned room)
{
	const struct fermata_exit *exit = &vcpu->run->exit;
	unsigned done = 0;

	while (done < room) {
		struct fermata_translate t = { .linear = linear + done,
					       .access = FERMATA_ACCESS_FETCH };
		unsigned left = 4096 - (t.linear & 4095);
		unsigned n = left < room - done ? left : room - done;
		const void *ram;

		/* not executable may be just what killed it, so reading will do */
		if (fermata_translate(vcpu, &t)) {
			t.access = FERMATA_ACCESS_READ;
			if (fermata_translate(vcpu, &t))
				break;
		}
		ram = fermata_gpa(vcpu->vm, t.gpa, n);
		if (!ram)
			break;
		memcpy(code + done, ram, n);
		done += n;
	}
	if (!done && exit->insn_bytes && exit->insn_bytes <= sizeof(exit->insn)) {
		done = exit->insn_bytes < room ? exit->insn_bytes : room;
		memcpy(code, exit->insn, done);
	}
	return done;
}

static ZydisMachineMode code_mode(const struct fermata_state *state)
{
	uint16_t cs = state->segments.cs.attrib;

	if (!(state->control.cr0 & 1))
		return ZYDIS_MACHINE_MODE_REAL_16;
	if ((state->control.efer & EFER_LMA) && (cs & 0x200))
		return ZYDIS_MACHINE_MODE_LONG_64;
	return cs & 0x400 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
}

static void print_code(FILE *out, fermata_vcpu *vcpu, const struct fermata_state *state)
{
	ZydisMachineMode mode = code_mode(state);
	uint64_t rip = vcpu->run->rip, linear = rip;
	uint8_t code[15 * CODE_SHOWN];
	unsigned size, at = 0;

	if (mode != ZYDIS_MACHINE_MODE_LONG_64)
		linear = (uint32_t)(linear + state->segments.cs.base);
	size = read_code(vcpu, linear, code, sizeof(code));
	fputs("Code at RIP\n", out);
	if (!size)
		fprintf(out, "  nothing readable at linear address %#" PRIx64 "\n", linear);
	for (unsigned i = 0; i < CODE_SHOWN && at < size; i++) {
		ZydisDisassembledInstruction insn;
		bool good = ZYAN_SUCCESS(
			ZydisDisassembleIntel(mode, rip + at, code + at, size - at, &insn));
		unsigned n = good ? insn.info.length : 1;

		fprintf(out, "  %016" PRIx64 " ", rip + at);
		for (unsigned b = 0; b < 10 || b < n; b++)
			fprintf(out, b < n ? " %02x" : "   ", b < n ? code[at + b] : 0);
		fprintf(out, "  %s\n", good ? insn.text : "(bad)");
		at += n;
	}
}

static void print_last_exits(FILE *out, const struct fermata_stats *stats)
{
	fputs("Last exits, the newest last\n", out);
	for (unsigned i = 0; i < FERMATA_LAST_EXITS; i++) {
		const struct fermata_last_exit *x =
			&stats->last_exit[(stats->last + i) % FERMATA_LAST_EXITS];

		if (!x->rip && !x->code && !x->info1 && !x->info2)
			continue; /* fewer exits than room */
		fprintf(out, "  RIP %016" PRIx64 "  %-22s info %" PRIx64 " %" PRIx64 "\n",
			(uint64_t)x->rip, fermata_exit_code_name(stats->vendor, x->code),
			(uint64_t)x->info1, (uint64_t)x->info2);
	}
}

char *fermata_report(fermata_vcpu *vcpu)
{
	const uint32_t mask = FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL | FERMATA_STATE_PENDING;
	struct fermata_state *state = calloc(1, sizeof(*state));
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	char *text = NULL;
	size_t size;
	FILE *out = state && stats ? open_memstream(&text, &size) : NULL;

	if (!out) {
		free(state);
		free(stats);
		fermata_fail(ENOMEM, "no memory for a report");
		return NULL;
	}
	print_reason(out, vcpu);
	if (vcpu->run->exit.reason == FERMATA_EXIT_FAIL_ENTRY)
		print_audit(out, vcpu);
	print_registers(out, vcpu->run);
	if (fermata_state_get(vcpu, state, mask)) {
		fprintf(out, "%s\n", fermata_error());
	} else {
		print_state(out, state);
		print_code(out, vcpu, state);
	}
	if (fermata_stats(vcpu, stats))
		fprintf(out, "%s\n", fermata_error());
	else
		print_last_exits(out, stats);
	if (fclose(out)) {
		free(text);
		text = NULL;
		fermata_fail(ENOMEM, "no memory for a report");
	}
	free(state);
	free(stats);
	return text;
}
