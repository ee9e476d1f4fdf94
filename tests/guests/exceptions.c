/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Exceptions, their error codes and what they save (SDM 3A 6.15). Runs 1 and 2 end in a triple fault:
 * without an IDT, and with a double fault whose gate is absent.
 */
#include <uapi/fermata.h>
#include "guest.h"

GUEST(.runs = 3, .expect = { 0, FERMATA_EXIT_SHUTDOWN, FERMATA_EXIT_SHUTDOWN });

static void simple(void)
{
	ATTEMPT("xor %%edx, %%edx\n\tdivl %0", : : "r"(0) : "rax", "rdx", "memory");
	check_fault(DE, 0, "#DE");
	ATTEMPT("ud2", : : : "memory");
	check_fault(UD, 0, "#UD");
	ATTEMPT("int3", : : : "memory");
	check_fault(BP, 0, "#BP");
	ATTEMPT("int $4", : : : "memory");
	check_fault(OF, 0, "#OF by INT 4");
	ATTEMPT("mov %0, %%ds", : : "r"(0x1230) : "memory");
	check_fault(GP, 0x1230, "#GP with a selector beyond the GDT");
	ATTEMPT("mov %0, %%ds", : : "r"(SELECTOR_ABSENT) : "memory");
	check_fault(NP, SELECTOR_ABSENT, "#NP");
	ATTEMPT("mov %0, %%ss", : : "r"(SELECTOR_ABSENT | 0) : "memory");
	check_fault(SS, SELECTOR_ABSENT, "#SS by loading an absent stack segment");
	/* The stack it complains of is no place for its frame. QEMU 7.2 raises #GP instead of #SS. */
	idt[SS].ist = idt[GP].ist = 1;
	ATTEMPT("mov %0, %%rsp\n\tpush %%rax", : : "r"(0x0000900000000000) : "memory");
	check((fault.vector == SS || fault.vector == GP) && !fault.code,
	      "#SS by a non-canonical stack");
	idt[SS].ist = idt[GP].ist = 0;
	ATTEMPT("mov (%0), %%eax", : : "r"(0x0000900000000000) : "rax", "memory");
	check_fault(GP, 0, "#GP by a non-canonical address");
	ATTEMPT("movaps (%0), %%xmm0", : : "r"(0x800001ull) : "memory");
	check_fault(GP, 0, "#GP by an unaligned MOVAPS");
}

/*
 * The error code names the gate: index, IDT bit, and EXT, which Intel's processors set when it was an
 * exception that went that way (SDM 3A 6.13). QEMU 7.2 counts gates of 16 bytes and never sets EXT.
 */
static void check_gate_fault(u64 vector, u64 gate, u64 may_have, const char *name)
{
	u64 code = fault.code & ~may_have;
	bool good = fault.vector == vector && (code == gate * 8 + 2 || code == gate * 16 + 2);

	if (!check(good, name))
		say("# got vector %u code %lx\n", (u32)fault.vector, fault.code);
}

static void on_soft(struct frame *frame)
{
	fault.vector = frame->vector;
	fault.rip = frame->rip;
}

static void software(void)
{
	u64 behind;

	set_handler(0x90, on_soft);
	asm volatile("int $0x90\n1:\tlea 1b(%%rip), %0" : "=r"(behind) : : "memory");
	check(fault.vector == 0x90 && fault.rip == behind, "INT n saves the RIP behind it");
	set_handler(BP, on_soft);
	asm volatile("int3\n1:\tlea 1b(%%rip), %0" : "=r"(behind) : : "memory");
	check(fault.vector == BP && fault.rip == behind, "and so does INT3: a trap");
	set_handler(BP, NULL);
}

static void user(void)
{
	static const u8 gate[] = { 0xcd, 0x90 };
	static const u8 done[] = { 0x48, 0x89, 0xf8, 0xcd, USER_DONE }; /* mov %rdi, %rax */
	static const u8 hlt[] = { 0xf4 };
	static const u8 supervisor[] = { 0x8b, 0x07, 0xcd, USER_DONE }; /* mov (%rdi), %eax */
	static const u8 unaligned[] = { /* pushfq; orl $0x40000, (%rsp); popfq; mov 1(%rsp), %eax */
					0x9c, 0x81, 0x0c, 0x24, 0, 0,	 4,	   0,
					0x9d, 0x8b, 0x44, 0x24, 1, 0xcd, USER_DONE
	};

	user_run(done, sizeof(done), 77);
	check_fault(USER_DONE, 0, "privilege 3 and back");
	user_run(gate, sizeof(gate), 0);
	check_gate_fault(GP, 0x90, 0, "INT n through a gate of privilege 0: #GP with the IDT's bit");
	user_run(hlt, sizeof(hlt), 0);
	check_fault(GP, 0, "HLT at privilege 3: #GP(0)");
	user_run(supervisor, sizeof(supervisor), GUEST_LOAD);
	check_fault(PF, 5, "a user's read of a supervisor page: #PF, present, user");
	check_eq(fault.cr2, GUEST_LOAD, "... CR2");
	write_cr0(read_cr0() | BIT(18));
	user_run(unaligned, sizeof(unaligned), 0);
	/* QEMU's TCG checks no alignment. */
	if (fault.vector == USER_DONE)
		skip("#AC", "this processor checks no alignment");
	else
		check_fault(AC, 0, "#AC at privilege 3 with AM and AC");
	write_cr0(read_cr0() & ~BIT(18));
}

static void page_faults(void)
{
	u64 *pte = split_page(0x1000000), base = 0x1000000;
	u64 cr2;

	pte[1] = 0;
	pte[2] &= ~PTE_W;
	pte[3] |= PTE_NX;
	pte[4] |= BIT(51) | BIT(50) | BIT(49) | BIT(48);
	for (u32 i = 1; i < 5; i++)
		invlpg(base + i * 4096);
	ATTEMPT("mov (%0), %%al", : : "r"(base + 0x1234) : "rax", "memory");
	check_fault(PF, 0, "#PF by reading an absent page");
	check_eq(fault.cr2, base + 0x1234, "... CR2");
	ATTEMPT("movb $1, (%0)", : : "r"(base + 0x1fff) : "memory");
	check_fault(PF, 2, "#PF by writing to an absent page");
	ATTEMPT("movl $1, (%0)", : : "r"(base + 0xffe) : "memory");
	check_fault(PF, 2, "#PF by a write over the end of a page");
	cr2 = fault.cr2;
	check_eq(cr2, base + 0x1000, "... CR2 is the page's first byte");
	ATTEMPT("movb $1, (%0)", : : "r"(base + 0x2000) : "memory");
	check_fault(PF, 3, "#PF by writing to a read-only page");
	ATTEMPT("call *%0", : : "r"(base + 0x3000) : "memory");
	check_fault(PF, 0x11, "#PF by running a no-execute page");
	ATTEMPT("call *%0", : : "r"(base + 0x1000) : "memory");
	check_fault(PF, 0x10, "#PF by running an absent page");
	ATTEMPT("mov (%0), %%al", : : "r"(base + 0x4000) : "rax", "memory");
	/* P is set together with RSVD; QEMU 7.2 forgets it. */
	if (cpuid(0x80000008, 0).a % 256 < 52)
		check(fault.vector == PF && (fault.code | 1) == 9,
		      "#PF by a reserved bit in a page table (SDM 3A 4.7)");
	asm volatile("mov %0, %%cr2" : : "r"(0x123456789abc));
	cpuid(0, 0);
	check_eq(read_cr2(), 0x123456789abc, "CR2 can be written, and survives an exit");
}

static void floating_point(void)
{
	u16 control = 0x360; /* zero-divide unmasked */
	u32 mxcsr = 0x1d80;  /* the same */
	u32 quiet = 0x1f80;

	/* clang-format off */
	ATTEMPT("fninit\n\tfldcw %0\n\tfldz\n\tfld1\n\tfdivp\n\tfwait",
		:
		: "m"(control)
		: "memory");
	check_fault(MF, 0, "#MF (CR0.NE)");
	asm volatile("fnclex\n\tfninit");
	ATTEMPT("ldmxcsr %0\n\tmov $1, %%eax\n\tcvtsi2ss %%eax, %%xmm0\n\txorps %%xmm1, %%xmm1\n\tdivss %%xmm1, %%xmm0",
		:
		: "m"(mxcsr)
		: "rax", "memory");
	/* clang-format on */
	/* QEMU's TCG raises no SIMD exceptions. */
	if (fault.vector == NO_FAULT)
		skip("#XM", "this processor raises none");
	else
		check_fault(XM, 0, "#XM");
	asm volatile("ldmxcsr %0" : : "m"(quiet));
}

static void double_fault(void)
{
	u64 *pte = split_page(0x1200000);

	pte[0] = 0;
	invlpg(0x1200000);
	idt[PF].type = 0x0e; /* absent */
	ATTEMPT("mov (%0), %%al", : : "r"(0x1200000ull) : "rax", "memory");
	check_fault(DF, 0, "#DF by a page fault whose gate is absent (SDM 3A 6.15, table 6-5)");
	idt[PF].type = 0x8e;
	ATTEMPT("mov %0, %%rsp\n\tmov (%0), %%al", : : "r"(0x1200100ull) : "rax", "memory");
	check_fault(DF, 0, "#DF by a page fault on an absent stack");
	idt[UD].type = 0x0e;
	ATTEMPT("ud2", : : : "memory");
	check_gate_fault(NP, UD, 1, "#NP by #UD whose gate is absent: no double fault");
	idt[UD].type = 0x8e;
}

void guest_main(u32 run)
{
	static const struct descriptor_table empty;

	if (run == 1) {
		asm volatile("lidt %0\n\tint3" : : "m"(empty));
		return;
	}
	if (run == 2) {
		idt[DF].type = 0x0e;
		idt[GP].type = 0x0e;
		asm volatile("mov (%0), %%al" : : "r"(0x0000900000000000) : "rax");
		return;
	}
	simple();
	software();
	user();
	page_faults();
	floating_point();
	double_fault();
}
