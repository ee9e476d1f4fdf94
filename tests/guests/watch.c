/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about memory: an access is seen when a byte of it lies in the range and not otherwise; the guest's
 * memory is what it is without rules.
 */
#include "rules.h"

GUEST(.seconds = 60);

#define PAGE 0x900000ul
#define word(at) (*(volatile u64 *)(PAGE + (at)))
#define byte(at) (*(volatile u8 *)(PAGE + (at)))

static void empty_log(void)
{
	struct fermata_record record;

	while (next_record(&record))
		;
}

/* ---- which accesses */

static void reads(void)
{
	word(0x100);
	byte(0x107);
	byte(0x108);
	byte(0xff);
	*(volatile u32 *)(PAGE + 0xfe);
}

static void writes(void)
{
	word(0x100) = 1;
	byte(0x107) = 2;
	byte(0x108) = 3;
	byte(0xff) = 4;
	*(volatile u32 *)(PAGE + 0xfe) = 5;
}

static void adds(void)
{
	asm volatile("addq $1, %0" : "+m"(word(0x100)));
}

static void copies(void)
{
	void *from = (void *)(PAGE + 0x100), *to = (void *)(PAGE + 0x300);
	u64 count = 16;

	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
}

static void stacks(void)
{
	asm volatile("movq %%rsp, %%rbx\n\t"
		     "movq %0, %%rsp\n\t"
		     "pushq $5\n\t"
		     "pushfq\n\t"
		     "popq %%rcx\n\t"
		     "popq %%rdx\n\t"
		     "movq %%rbx, %%rsp"
		     :
		     : "r"(PAGE + 0x110)
		     : "rbx", "rcx", "rdx", "memory");
}

static void ranges(void)
{
	fires("read gpa=0x900100..0x900107", reads, 3);
	fires("read gpa=0x900100..0x900107 cpl=3", reads, 0);
	fires("read gpa=0x900108", reads, 1);
	fires("read gpa=0x900200..0x900fff", reads, 0);
	fires("read gpa=0x900000..0x900fff", writes, 0);
	fires("read gpa=0x900100 every=2", reads, 1);
	fires("read gpa=0x900000..0x900fff gva=0x900100", reads, 2);
	fires("read gpa=0x900000..0x900fff gva=0x800100", reads, 0);
	fires("write gpa=0x900100..0x900107", writes, 3);
	fires("write gpa=0x900108", writes, 1);
	fires("write gpa=0x900000..0x900fff", reads, 0);
	fires("write gpa=0x800000..0xafffff", writes, 5);
	fires("read gpa=0x900100", adds, 1);
	fires("write gpa=0x900100", adds, 1);
	fires("read gpa=0x900100..0x90010f", copies, 16);
	fires("write gpa=0x900300..0x900307", copies, 8);
	fires("write gpa=0x900100..0x900107", stacks, 1);
	fires("write gpa=0x900100..0x90010f", stacks, 2);
	fires("read gpa=0x900100..0x90010f", stacks, 2);
}

static void data(void)
{
	u32 id = rule_on("write gpa=0x900000..0x901fff"), other;
	bool same = true;

	for (u32 i = 0; i < 8192; i += 8)
		word(i) = i * 0x1234567;
	for (u32 i = 0; i < 8192; i += 8)
		same &= word(i) == i * 0x1234567;
	check(same, "watched memory holds what is written there");
	other = rule_on("read gpa=0x900010");
	check_eq(word(0x10), 0x10 * 0x1234567, "one more rule about the page");
	check_eq(rule_off(other), 1, "sees what it is about");
	check_eq(rule_off(id), 1024, "every write was seen");
	stacks();
	u64 flags;
	id = rule_on("write gpa=0x900000..0x900fff");
	asm volatile("movq %%rsp, %%rbx\n\tmovq %1, %%rsp\n\tpushfq\n\tpopq %0\n\tmovq %%rbx, %%rsp"
		     : "=&r"(flags)
		     : "r"(PAGE + 0x110)
		     : "rbx", "memory");
	check_eq(rule_off(id), 1, "PUSHF is a write");
	check(!(flags & 0x100), "and pushes the guest's flags");
}

static void nobody_writes(void)
{
	*(volatile u8 *)(RAM_SIZE + 0x10) = 1;
	*(volatile u8 *)(RAM_SIZE + 0x20) = 1;
}

static void ends_interrupts(void)
{
	*(volatile u32 *)0xfee000b0 = 0;
}

static void elsewhere(void)
{
	u32 before = call_runner(CALL_MMIO_COUNT, 0);
	char text[] = "write gpa=0x00000010";
	u64 at = RAM_SIZE + 0x10;

	for (u32 i = 19; i > 11; i--, at >>= 4)
		text[i] = "0123456789abcdef"[at & 15];
	fires(text, nobody_writes, 1);
	check_eq(call_runner(CALL_MMIO_COUNT, 0), before + 2, "device memory gets what is written");
	fires("write gpa=0xfee000b0", ends_interrupts, 1);
}

/* ---- execution */

typedef u32 (*function)(void);

static u32 called;

static void call_it(void)
{
	called = ((function)(PAGE + 0x800))();
}

static void executes(void)
{
	static const u8 code[] = {
		0xb8, 0x2a, 0, 0, 0, 0xff, 0xc0, 0xc3
	}; /* mov eax, 42; inc eax; ret */
	static const u8 reader[] = { 0x8b, 0x04, 0x25, 0, 9, 0x90, 0, 0xc3 };
	u32 id;

	for (u32 i = 0; i < sizeof(code); i++)
		byte(0x800 + i) = code[i];
	fires("exec gpa=0x900800", call_it, 1);
	check_eq(called, 43, "watched code does what it does");
	fires("exec gpa=0x900000..0x900fff", call_it, 3);
	fires("exec gpa=0x900805..0x900807", call_it, 2);
	fires("exec gpa=0x900801..0x900804", call_it, 0);
	fires("exec gpa=0x900000..0x900fff", reads, 0);
	fires("exec gpa=0x900805 rip=0x900805", call_it, 1);
	/* mov 0x900900, %eax; ret */
	for (u32 i = 0; i < sizeof(reader); i++)
		byte(0x800 + i) = reader[i];
	fires("exec gpa=0x900900..0x900903", call_it, 0);
	fires("read gpa=0x900900..0x900903", call_it, 1);
	fires("exec gpa=0x900800..0x900807", call_it, 2);
	for (u32 i = 0; i < sizeof(code); i++)
		byte(0x800 + i) = code[i];
	id = rule_on("exec gpa=0x900805 do skip");
	call_it();
	check_eq(rule_off(id), 1, "an instruction is skipped");
	check_eq(called, 42, "where it is");
}

/* ---- actions */

static void actions(void)
{
	struct fermata_record r = { 0 };
	u32 id, before;
	u64 value;

	word(0x100) = 11;
	id = rule_on("write gpa=0x900100..0x900107 do skip");
	word(0x100) = 12;
	word(0x108) = 13;
	rule_off(id);
	check_eq(word(0x100), 11, "a skipped write writes nothing");
	check_eq(word(0x108), 13, "its neighbour does");
	id = rule_on("read gpa=0x900100 do set rax=0x77");
	asm volatile("movq %1, %0" : "=a"(value) : "m"(word(0x100)));
	rule_off(id);
	check_eq(value, 0x77, "`set` after a read");
	id = rule_on("read gpa=0x900100 do inject gp:0x20");
	ATTEMPT("movq 0x900100, %%rax", : : : "rax", "memory");
	rule_off(id);
	check_fault(GP, 0x20, "`inject` instead of a read");
	before = call_runner(CALL_STOPS, 0);
	id = rule_on("write gpa=0x900100 do stop");
	word(0x100) = 14;
	rule_off(id);
	check_eq(call_runner(CALL_STOPS, 0), before + 1, "`stop` before a write, once");
	check_eq(word(0x100), 14, "which is carried out afterwards");

	empty_log();
	id = rule_on("write gpa=0x900100..0x900107 do log");
	*(volatile u16 *)(PAGE + 0x102) = 0x5566;
	rule_off(id);
	check(next_record(&r), "a record");
	check(r.event == FERMATA_ON_WRITE && r.number == PAGE + 0x102 && r.linear == PAGE + 0x102 &&
		      r.code == 2,
	      "says where, and how many bytes");
	check_eq(r.old, 0, "what was there");
	check_eq(r.value, 0x5566, "and what is");
}

void guest_main(u32 run)
{
	ranges();
	data();
	elsewhere();
	executes();
	actions();
}
