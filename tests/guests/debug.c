/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Debug registers, breakpoints, single steps (SDM 3B 17.2, 17.3). */
#include "guest.h"

GUEST();

#define DR6_CLEAR 0xffff0ff0ull
#define DR7_CLEAR 0x400ull
#define DR7_GD BIT(13)
#define MAX_STEPS 32

static volatile u64 step_rip[MAX_STEPS], step_dr6[MAX_STEPS];
static volatile u32 steps;
static volatile bool trap_flag_off;

static void on_debug(struct frame *frame)
{
	u64 dr6 = read_dr6();

	if (steps < MAX_STEPS) {
		step_rip[steps] = frame->rip;
		step_dr6[steps] = dr6;
	}
	steps++;
	write_dr6(DR6_CLEAR);
	frame->rflags |= BIT(16); /* RF: the instruction at a breakpoint runs this time */
	if (trap_flag_off || steps >= MAX_STEPS)
		frame->rflags &= ~RFLAGS_TF;
}

static void registers(void)
{
	write_dr0(0x123456789abcdef0);
	write_dr1(0xffff800000000001);
	write_dr2(0x1000);
	write_dr3(~0ull);
	cpuid(0, 0);
	call_runner(CALL_SLEEP, 2);
	check(read_dr0() == 0x123456789abcdef0 && read_dr1() == 0xffff800000000001 &&
		      read_dr2() == 0x1000 && read_dr3() == ~0ull,
	      "DR0 to DR3 read back, over exits");
	write_dr6(0);
	check_eq(read_dr6(), DR6_CLEAR, "DR6's fixed bits are 1 (SDM 3B 17.2.3)");
	write_dr6(0xe00f);
	check_eq(read_dr6(), 0xffffefff, "DR6's others read back");
	write_dr6(DR6_CLEAR);
	check_eq(read_dr7(), DR7_CLEAR, "DR7 after reset (SDM 3A 9.1.1)");
	write_dr7(0);
	check_eq(read_dr7(), DR7_CLEAR, "DR7[10] is 1");
	ATTEMPT("mov %0, %%dr6", : : "r"(BIT(32)) : "memory");
	check_fault(GP, 0, "DR6[63:32] is reserved: #GP(0) (SDM 3B 17.2.6)");
	ATTEMPT("mov %0, %%dr7", : : "r"(BIT(32) | DR7_CLEAR) : "memory");
	check_fault(GP, 0, "DR7[63:32] is reserved: #GP(0)");
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
}

static void aliases(void)
{
	u64 value = 0;

	ATTEMPT("mov %%dr4, %0", : "=r"(value) : : "memory");
	check(fault.vector == NO_FAULT && value == read_dr6(),
	      "DR4 is DR6 while CR4.DE is 0 (SDM 3B 17.2.2)");
	ATTEMPT("mov %%dr5, %0", : "=r"(value) : : "memory");
	check(fault.vector == NO_FAULT && value == read_dr7(), "DR5 is DR7 while CR4.DE is 0");
	write_cr4(read_cr4() | CR4_DE);
	ATTEMPT("mov %%dr4, %0", : "=r"(value) : : "memory");
	check_fault(UD, 0, "DR4 under CR4.DE: #UD");
	ATTEMPT("mov %0, %%dr5", : : "r"(DR7_CLEAR) : "memory");
	check_fault(UD, 0, "DR5 under CR4.DE: #UD");
	write_cr4(read_cr4() & ~CR4_DE);
}

static void privilege(void)
{
	static const u8 read[] = { 0x0f, 0x21, 0xc0, 0xcd, USER_DONE };

	user_run(read, sizeof(read), 0);
	check_fault(GP, 0, "MOV from DR at privilege 3: #GP(0)");
}

/* The guest writes DR6 without an exit; a write to DR7 must not bring an old DR6 back. */
static void status_kept(void)
{
	write_dr6(DR6_CLEAR | 5);
	write_dr7(DR7_CLEAR);
	write_dr0(0);
	check_eq(read_dr6(), DR6_CLEAR | 5, "DR6 survives writes to DR7 and DR0");
	write_dr6(DR6_CLEAR);
	write_dr7(DR7_CLEAR);
	cpuid(0, 0);
	check_eq(read_dr6(), DR6_CLEAR, "and stays clear");
}

static void general_detect(void)
{
	u64 value;

	write_dr7(DR7_CLEAR | DR7_GD);
	ATTEMPT("mov %%dr0, %0", : "=r"(value) : : "memory");
	check_fault(DB, 0, "MOV from DR0 under DR7.GD: #DB (SDM 3B 17.2.4)");
	check_eq(read_dr6(), DR6_CLEAR | BIT(13), "DR6.BD says so");
	check_eq(read_dr7(), DR7_CLEAR, "and GD is clear in the handler");
	write_dr6(DR6_CLEAR);
	write_dr7(DR7_CLEAR | DR7_GD);
	ATTEMPT("mov %0, %%dr7", : : "r"(DR7_CLEAR) : "memory");
	check_fault(DB, 0, "MOV to DR7 under DR7.GD: #DB");
	write_dr6(DR6_CLEAR);
	write_dr7(DR7_CLEAR);
}

/*
 * A processor whose VMRUN does not arm the breakpoints of the DR7 it loads (QEMU 7.2's does not) cannot
 * show the rest.
 */
static bool breakpoints_work(void)
{
	if (steps)
		return true;
	skip("breakpoints", "this processor arms none at VMRUN");
	return false;
}

static bool instruction_breakpoint(void)
{
	u64 at;

	steps = 0;
	asm volatile("lea 1f(%%rip), %0\n\tmov %0, %%dr0\n\tmov %1, %%dr7\n\tnop\n1:\tnop\n\tmov %2, %%dr7"
		     : "=&r"(at)
		     : "r"(DR7_CLEAR | 1), "r"(DR7_CLEAR)
		     : "memory");
	if (!breakpoints_work())
		return false;
	check(steps == 1 && step_rip[0] == at,
	      "an instruction breakpoint is a fault at it (SDM 3B 17.3.1.1)");
	check_eq(step_dr6[0], DR6_CLEAR | 1, "DR6.B0 says which");
	if (steps != 1)
		say("# %u times, at %lx, wanted %lx\n", steps, step_rip[0], at);
	return true;
}

static void data_breakpoints(void)
{
	static volatile u64 cell;
	u64 behind;

	write_dr1((u64)&cell);
	write_dr7(DR7_CLEAR | BIT(2) | 1ull << 20 | 2ull << 22); /* L1, writes, 8 bytes */
	steps = 0;
	if (!call_runner(CALL_DATA_BREAKPOINTS, 0)) {
		cell = 1;
		check(!steps && read_dr7() == (DR7_CLEAR | BIT(2) | 1ull << 20 | 2ull << 22),
		      "no_data_breakpoints: a data breakpoint reads back, and is not armed");
		write_dr7(DR7_CLEAR);
		return;
	}
	asm volatile("mov %0, %%rax" : : "m"(cell) : "rax", "memory");
	check_eq(steps, 0, "a write breakpoint lets reads pass");
	asm volatile("movl $1, %1\n1:\tlea 1b(%%rip), %0" : "=&r"(behind), "=m"(cell) : : "memory");
	check(steps == 1 && step_rip[0] == behind,
	      "a write to it is a trap behind it (SDM 3B 17.3.1.2)");
	check_eq(step_dr6[0], DR6_CLEAR | 2, "DR6.B1 says which");
	write_dr7(DR7_CLEAR | BIT(2) | 3ull << 20 | 2ull << 22); /* reads and writes */
	cpuid(0, 0);
	call_runner(CALL_SLEEP, 2);
	steps = 0;
	asm volatile("mov %0, %%rax\n\tnop" : : "m"(cell) : "rax", "memory");
	check_eq(steps, 1, "a read breakpoint works after exits and a sleep");
	write_dr7(DR7_CLEAR);
	steps = 0;
	cell = 2;
	check_eq(steps, 0, "a cleared breakpoint is gone");
}

/* Steps through `text`; `lengths` are those of its instructions, each of which must trap once. */
#define STEP(name, text, count, ...)                                                                  \
	do {                                                                                          \
		static const u8 length[] = { __VA_ARGS__ };                                           \
		u64 first, at;                                                                        \
		bool good;                                                                            \
                                                                                                      \
		steps = 0;                                                                            \
		asm volatile("pushfq\n\torl $0x100, (%%rsp)\n\tlea 1f(%%rip), %0\n\tpopfq\n1:\t" text \
			     "\n\tpushfq\n\tandl $0xfffffeff, (%%rsp)\n\tpopfq"                       \
			     : "=&b"(first)                                                           \
			     :                                                                        \
			     : "rax", "rcx", "rdx", "r8", "memory");                                  \
		at = first;                                                                           \
		good = steps >= count;                                                                \
		for (u32 i = 0; i < count && good; i++) {                                             \
			at += length[i];                                                              \
			good = step_rip[i] == at && step_dr6[i] == (DR6_CLEAR | BIT(14));             \
		}                                                                                     \
		check(good, name);                                                                    \
		for (u32 i = 0; !good && i < steps && i < count + 2; i++)                             \
			say("# step %u: at +%x, dr6 %lx\n", i, (u32)(step_rip[i] - first),            \
			    step_dr6[i]);                                                             \
	} while (0)

static void single_steps(void)
{
	STEP("TF steps through NOPs (SDM 3B 17.3.1.4)", "nop\n\tnop\n\tnop", 3, 1, 1, 1);
	STEP("TF steps through CPUID, which the kernel part emulates",
	     "mov %%rbx, %%r8\n\txor %%eax, %%eax\n\tcpuid\n\tnop\n\tmov %%r8, %%rbx", 5, 3, 2, 2,
	     1, 3);
	STEP("TF steps through RDMSR", "mov $0x277, %%ecx\n\trdmsr\n\tnop", 3, 5, 2, 1);
	if (calls_by_vmcall())
		STEP("TF steps through a hypercall", VMCALL "\n\tnop", 2, 3, 1);
	else
		STEP("TF steps through a hypercall", VMMCALL "\n\tnop", 2, 3, 1);
	STEP("TF steps through MOV from CR4 and to CR4",
	     "mov %%cr4, %%rax\n\tmov %%rax, %%cr4\n\tnop", 3, 3, 3, 1);
	STEP("TF steps through IN and OUT, which user space answers",
	     "mov $0x500, %%edx\n\tin %%dx, %%al\n\tout %%al, %%dx\n\tnop", 4, 5, 1, 1, 1);
	STEP("TF steps through MMIO",
	     "mov $0xd0000000, %%eax\n\tmov (%%rax), %%ecx\n\tmov %%ecx, (%%rax)\n\tnop", 4, 5, 2,
	     2, 1);
}

void guest_main(u32 run)
{
	registers();
	aliases();
	privilege();
	general_detect();
	status_kept();
	set_handler(DB, on_debug);
	if (instruction_breakpoint())
		data_breakpoints();
	write_dr7(DR7_CLEAR);
	single_steps();
}
