/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about what the processor carries out by itself once they have been asked: descriptor tables,
 * translations, random numbers, exceptions, system calls.
 */
#include "rules.h"

GUEST(.seconds = 8);

/* ---- descriptor tables */

static struct descriptor_table gdt_seen, idt_seen;
static u16 ldt_seen, tr_seen;
static volatile u32 debug_traps;

static void debug_trap(struct frame *frame)
{
	debug_traps++;
}

static void store_tables(void)
{
	asm volatile("sgdt %0\n\tsidt %1" : "=m"(gdt_seen), "=m"(idt_seen));
	asm volatile("sldt %0\n\tstr %1" : "=m"(ldt_seen), "=m"(tr_seen));
}

static void load_all(void)
{
	u64 *descriptor = &gdt[SELECTOR_TSS / 8];

	*descriptor &= ~BIT(41); /* not busy */
	asm volatile("lgdt %0\n\tlidt %1" : : "m"(gdt_pointer), "m"(idt_pointer));
	asm volatile("lldt %w0\n\tltr %w1" : : "r"(0), "r"(SELECTOR_TSS));
}

static bool tables_right(void)
{
	return gdt_seen.base == gdt_pointer.base && gdt_seen.limit == gdt_pointer.limit &&
	       idt_seen.base == idt_pointer.base && idt_seen.limit == idt_pointer.limit &&
	       ldt_seen == 0 && tr_seen == SELECTOR_TSS;
}

static void tables(void)
{
	static const char *const stores[] = { "sgdt", "sidt", "sldt", "str" };
	static const char *const loads[] = { "lgdt", "lidt", "lldt", "ltr" };
	u64 rflags;
	u32 id;

	set_handler(DB, debug_trap);
	for (u32 i = 0; i < 4; i++) {
		memset(&gdt_seen, 0, sizeof(gdt_seen));
		memset(&idt_seen, 0, sizeof(idt_seen));
		ldt_seen = tr_seen = 0xffff;
		fires(stores[i], store_tables, 1);
		check(tables_right(), "and stores what is loaded");
		fires(loads[i], store_tables, 0);
	}
	for (u32 i = 0; i < 4; i++) {
		fires(loads[i], load_all, 1);
		store_tables();
		check(tables_right(), "and loads what it is given");
	}
	asm volatile("pushfq\n\tpop %0" : "=r"(rflags));
	check(!(rflags & RFLAGS_TF) && !debug_traps && !(read_dr6() & BIT(14)),
	      "the guest sees nothing of the step");

	id = rule_on("sgdt do skip");
	if (id != NO_RULE) {
		memset(&gdt_seen, 0x55, sizeof(gdt_seen));
		asm volatile("sgdt %0" : "=m"(gdt_seen));
		rule_off(id);
		check(gdt_seen.limit == 0x5555, "a skipped SGDT stores nothing");
	}
	id = rule_on("str do set rax=0x77");
	if (id != NO_RULE) {
		u64 rax = 0;

		asm volatile("str %%eax" : "+a"(rax));
		rule_off(id);
		check_eq(rax, 0x77, "`set` comes after the step");
	}
	id = rule_on("sgdt");
	if (id == NO_RULE)
		return;
	ATTEMPT("sgdt (%0)", : : "r"(0x7000000000ull) : "memory");
	check(fault.vector == PF && fault.cr2 == 0x7000000000ull,
	      "a fault of a stepped instruction reaches the guest");
	check(!(fault.rflags & RFLAGS_TF), "without the trap flag");
	debug_traps = 0;
	asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
		     "sgdt %0\n\t"
		     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq"
		     : "=m"(gdt_seen)
		     :
		     : "cc", "memory");
	check_eq(debug_traps, 4, "a guest that steps itself gets all of its traps");
	check(rule_off(id) >= 2, "and the rule its hits");
	write_dr6(0xffff0ff0);
}

/* ---- translations */

#define REMAPPED 0x1600000ull
static u64 flushed_page;

static void invalidate(void)
{
	invlpg(flushed_page);
	invlpg(0x1234000);
}

static void remap(void)
{
	u64 a = new_page(), b = new_page(), *entry;

	*(volatile u64 *)a = 1;
	*(volatile u64 *)b = 2;
	entry = split_page(REMAPPED);
	*entry = a | PTE_P | PTE_W;
	invlpg(REMAPPED);
	check_eq(*(volatile u64 *)REMAPPED, 1, "a page");
	*entry = b | PTE_P | PTE_W;
	invlpg(REMAPPED);
	check_eq(*(volatile u64 *)REMAPPED, 2, "another one there after INVLPG");
	*entry = REMAPPED | PTE_P | PTE_W;
	invlpg(REMAPPED);
}

static void invpcid_all(void)
{
	struct {
		u64 pcid, linear;
	} descriptor = { 0, 0 };

	asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(2ull) : "memory");
}

static void translations(void)
{
	flushed_page = 0x555000;
	fires("invlpg", invalidate, 2);
	fires("invlpg gva=0x555000..0x555fff", invalidate, 1);
	fires("invlpg gva=0x1234000", invalidate, 1);
	fires("invlpg", remap, 3);
	if (cpuid(7, 0).b >> 10 & 1)
		fires("invpcid", invpcid_all, 1);
	else
		skip("INVPCID", "the processor has none");
}

/* ---- random numbers */

static void random_numbers(void)
{
	bool rdrand = cpuid(1, 0).c >> 30 & 1, rdseed = cpuid(7, 0).b >> 18 & 1;
	u64 a = 0, b = 0;
	u32 id;
	u8 good = 0;

	if (!rdrand) {
		skip("RDRAND", "the processor has none");
		return;
	}
	id = rule_on("rdrand");
	if (id == NO_RULE)
		return;
	for (u32 i = 0; i < 100 && !good; i++)
		asm volatile("rdrand %0\n\tsetc %1" : "=r"(a), "=r"(good));
	check(good && a, "RDRAND gives a number while a rule is about it");
	for (u32 i = 0; i < 100; i++)
		asm volatile("rdrand %0\n\tsetc %1" : "=r"(b), "=r"(good));
	check(a != b, "and another one");
	b = ~0ull;
	asm volatile("rdrand %%ecx" : "+c"(b));
	check(!(b >> 32), "of 32 bits it clears the upper ones");
	check(rule_off(id) >= 102, "and counts");
	id = rule_on("rdrand do set r10=0x1234");
	asm volatile("rdrand %%r10\n\tmov %%r10, %0" : "=r"(a) : : "r10");
	rule_off(id);
	check_eq(a, 0x1234, "a number that a rule chose");
	if (rdseed) {
		id = rule_on("rdseed");
		asm volatile("rdseed %0\n\tsetc %1" : "=r"(a), "=r"(good));
		if (id != NO_RULE)
			check_eq(rule_off(id), 1, "RDSEED counts");
	}
}

/* ---- exceptions */

static void divide_by_zero(void)
{
	ATTEMPT("div %%ecx", : : "a"(1), "c"(0), "d"(0));
	check_fault(DE, 0, "#DE reaches the guest");
}

static void undefined(void)
{
	ATTEMPT("ud2", : : :);
	check_fault(UD, 0, "#UD reaches the guest");
}

static void page_fault(void)
{
	ATTEMPT("movb $1, (%0)", : : "r"(0x7000000123ull) : "memory");
	check_fault(PF, 2, "#PF reaches the guest");
	check_eq(fault.cr2, 0x7000000123ull, "with its address in CR2");
}

static void breakpoint(void)
{
	u64 here;

	asm volatile("lea 1f(%%rip), %0\n\tmovq %%rsp, catch_sp\n\tmovq $1f, catch_at\n\tint3\n1:"
		     : "=r"(here)
		     :
		     : "memory");
	check(fault.vector == BP && fault.rip == here, "#BP points behind INT3");
	catch_at = 0;
}

static void general(void)
{
	ATTEMPT("mov %w0, %%es", : : "r"(SELECTOR_ABSENT));
	check_fault(NP, SELECTOR_ABSENT, "#NP reaches the guest with its error code");
}

static void exceptions(void)
{
	struct fermata_record r = { 0 };
	u32 id;

	fires("exception vector=de", divide_by_zero, 1);
	fires("exception vector=6", divide_by_zero, 0);
	fires("exception vector=ud", undefined, 1);
	fires("exception", undefined, 1);
	fires("exception vector=pf", page_fault, 1);
	fires("exception vector=pf gva=0x7000000000..0x7000000fff", page_fault, 1);
	fires("exception vector=pf gva=0x123", page_fault, 0);
	fires("exception vector=np", general, 1);
	fires("exception vector=10..14", general, 1);
	breakpoint();
	id = rule_on("exception vector=bp");
	breakpoint();
	rule_off(id); /* QEMU 7.2 does not intercept INT3 */
	id = rule_on("exception vector=ud do inject gp:0x30");
	ATTEMPT("ud2", : : :);
	rule_off(id);
	check_fault(GP, 0x30, "another exception in an exception's place");
	id = rule_on("exception vector=pf do log");
	while (next_record(&r))
		;
	page_fault();
	rule_off(id);
	check(next_record(&r) && r.number == PF && r.value == 0x7000000123ull && r.code == 2,
	      "the log has vector, address and error code");
	check(r.rip >= GUEST_LOAD && r.rip < GUEST_LOAD + 0x100000, "and where");
}

/* ---- system calls */

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define EFER_SCE BIT(0)

extern char syscall_entry[];
u64 syscalls_taken, syscall_rflags, syscall_r11;

/* RAX = number * 2 + RDI, and back. */
asm(".globl syscall_entry\n"
    "syscall_entry:\n\t"
    "incq syscalls_taken\n\t"
    "mov %r11, syscall_r11\n\t"
    "mov %rsp, %r8\n\t"
    "mov $0x8f000, %esp\n\t"
    "pushfq\n\tpopq syscall_rflags\n\t"
    "mov %r8, %rsp\n\t"
    "lea (%rdi,%rax,2), %rax\n\t"
    "sysretq");

extern const char user_calls[], user_calls_end[];
/* Three system calls: 1, 2 and 3; the sum of their results. */
asm("user_calls:\n\t"
    "xor %esi, %esi\n\t"
    "mov $1, %eax\n\tsyscall\n\tadd %rax, %rsi\n\t"
    "mov $2, %eax\n\tsyscall\n\tadd %rax, %rsi\n\t"
    "mov $3, %eax\n\tsyscall\n\tadd %rsi, %rax\n\t"
    "int $0x80\n"
    "user_calls_end:");

static u64 sum;

static void call_thrice(void)
{
	syscalls_taken = 0;
	sum = user_run(user_calls, user_calls_end - user_calls, 100);
}

static void system_calls(void)
{
	struct fermata_record r = { 0 };
	u64 efer = rdmsr(MSR_EFER);
	u32 id;

	wrmsr(MSR_STAR, (u64)SELECTOR_CODE << 32 | (u64)(SELECTOR_USER_CODE - 16) << 48);
	wrmsr(MSR_LSTAR, (u64)syscall_entry);
	wrmsr(MSR_SFMASK, RFLAGS_IF | 0x400);
	wrmsr(MSR_EFER, efer | EFER_SCE);
	call_thrice();
	check_eq(syscalls_taken, 3, "SYSCALL reaches the kernel");
	check_eq(sum, 312, "three system calls without rules");
	fires("syscall", call_thrice, 3);
	check_eq(sum, 312, "and with one");
	check_eq(syscalls_taken, 3, "the kernel takes them all");
	check(!(syscall_rflags & 0x400), "with the flags SFMASK leaves");
	check(syscall_r11 & 2, "and the caller's in R11");
	fires("syscall nr=2", call_thrice, 1);
	check_eq(syscalls_taken, 3, "a filter keeps none from it");
	fires("syscall nr=7", call_thrice, 0);
	fires("syscall cpl=3", call_thrice, 3);
	fires("syscall first=2", call_thrice, 2);
	check_eq(rdmsr(MSR_EFER), efer | EFER_SCE, "EFER reads as the guest has written it");
	id = rule_on("syscall nr=2 do skip set rax=-38");
	call_thrice();
	rule_off(id);
	check_eq(syscalls_taken, 2, "a forbidden system call does not reach the kernel");
	check_eq(sum, 312 - 104 - 38, "and its caller is told so");
	id = rule_on("syscall nr=3 do log");
	while (next_record(&r))
		;
	call_thrice();
	check(next_record(&r) && r.number == 3 && r.regs[0] == 100 && r.cpl == 3,
	      "the log has number, arguments and privilege");
	undefined();
	wrmsr(MSR_EFER, efer & ~EFER_SCE);
	ATTEMPT("syscall", : : : "rcx", "r11", "memory");
	check_fault(UD, 0, "without EFER.SCE it is #UD");
	rule_off(id);
	wrmsr(MSR_EFER, efer | EFER_SCE);
	call_thrice();
	check_eq(sum, 312, "and without the rule all is as before");
}

void guest_main(u32 run)
{
	tables();
	translations();
	random_numbers();
	exceptions();
	system_calls();
}
