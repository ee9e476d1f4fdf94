/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* IN, OUT, INS and OUTS in all sizes and directions (SDM 2A IN, INS; 2B OUT, OUTS). */
#include "guest.h"

GUEST();

#define BUFFER 0x800000ull
#define BUFFER2 0xa00000ull

static void sizes(void)
{
	u64 rax = ~0ull;

	asm volatile("outl %%eax, %%dx" : : "a"(0x89abcdef), "d"(PORT_ECHO));
	asm volatile("outl %%eax, %%dx" : : "a"(0x01234567), "d"(PORT_ECHO + 4));
	asm volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(PORT_ECHO));
	check_eq(rax, 0x89abcdef, "a 32-bit IN clears RAX[63:32]");
	rax = ~0ull;
	asm volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(PORT_ECHO + 2));
	check_eq(rax, 0xffffffffffff89ab, "a 16-bit IN leaves RAX[63:16] alone");
	rax = ~0ull;
	asm volatile("inb %%dx, %%al" : "+a"(rax) : "d"(PORT_ECHO + 1));
	check_eq(rax, 0xffffffffffffffcd, "an 8-bit IN leaves RAX[63:8] alone");
	asm volatile("outb %%al, %%dx" : : "a"(0xffffff55), "d"(PORT_ECHO + 3));
	asm volatile("outw %%ax, %%dx" : : "a"(0xffff6677), "d"(PORT_ECHO));
	check_eq(inl(PORT_ECHO), 0x55ab6677, "OUT writes its size, no more");
	check_eq(inl(PORT_ECHO + 1), 0x6755ab66, "an unaligned port");
	asm volatile("rex64 inl %%dx, %%eax" : "+a"(rax) : "d"(PORT_ECHO));
	check_eq(rax, 0x55ab6677, "REX.W makes it no wider");
	rax = 0x1234567811223344;
	asm volatile("outb %%al, %[port]" : : "a"(rax), [port] "i"(0x80));
	check(true, "OUT to an immediate port nobody has");
	asm volatile("inb %[port], %%al" : "+a"(rax) : [port] "i"(0x80));
	check_eq(rax, 0x12345678112233ff, "IN from an immediate port nobody has reads all ones");
	rax = 0;
	asm volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(PORT_NOBODY));
	check_eq(rax, 0xffff, "16 bits from nobody");
	check_eq(inl(PORT_NOBODY), 0xffffffff, "32 bits from nobody");
}

static void fill(u64 at, u32 count, u8 seed)
{
	for (u32 i = 0; i < count; i++)
		((u8 *)at)[i] = seed + i * 7 + (i >> 8);
}

static bool same(u64 at, u32 count, u8 seed)
{
	for (u32 i = 0; i < count; i++)
		if (((u8 *)at)[i] != (u8)(seed + i * 7 + (i >> 8))) {
			say("# byte %u is %x\n", i, ((u8 *)at)[i]);
			return false;
		}
	return true;
}

#define STRINGS(suffix, bytes)                                                                     \
	static void strings_##suffix(u64 from, u64 to, u32 count, const char *name)                \
	{                                                                                          \
		u64 rsi = from, rdi = to, rcx = count;                                             \
                                                                                                   \
		fill(from, count *bytes, bytes);                                                   \
		memset((void *)(to - 8), 0x5a, count *bytes + 16);                                 \
		asm volatile("rep outs" #suffix                                                    \
			     : "+S"(rsi), "+c"(rcx)                                                \
			     : "d"(PORT_FIFO)                                                      \
			     : "memory");                                                          \
		check(rsi == from + count * bytes && rcx == 0, name);                              \
		rcx = count;                                                                       \
		asm volatile("rep ins" #suffix                                                     \
			     : "+D"(rdi), "+c"(rcx)                                                \
			     : "d"(PORT_FIFO)                                                      \
			     : "memory");                                                          \
		check(rdi == to + count * bytes && rcx == 0 && same(to, count * bytes, bytes),     \
		      "... and what comes back is what went out");                                 \
		check(*(u8 *)(to - 1) == 0x5a && *(u8 *)(to + count * bytes) == 0x5a,              \
		      "... with nothing around it touched");                                       \
	}
STRINGS(b, 1)
STRINGS(w, 2)
STRINGS(l, 4)

static void backwards(void)
{
	u64 rsi = BUFFER + 98, rdi = BUFFER2 + 98, rcx = 50;

	fill(BUFFER, 100, 9);
	memset((void *)BUFFER2, 0, 200);
	asm volatile("std\n\trep outsw\n\tcld" : "+S"(rsi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check(rsi == BUFFER - 2 && rcx == 0, "OUTSW goes down under DF (SDM 1 7.3.9.1)");
	rcx = 50;
	asm volatile("std\n\trep insw\n\tcld" : "+D"(rdi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check(rdi == BUFFER2 - 2 && rcx == 0 && same(BUFFER2, 100, 9), "and so does INSW");
}

static void single(void)
{
	u64 rsi = BUFFER, rdi = BUFFER2, rcx = 0;

	fill(BUFFER, 8, 1);
	asm volatile("outsb" : "+S"(rsi) : "d"(PORT_FIFO) : "memory");
	asm volatile("outsl" : "+S"(rsi) : "d"(PORT_FIFO) : "memory");
	check_eq(rsi, BUFFER + 5, "OUTS without REP is one");
	asm volatile("insb" : "+D"(rdi) : "d"(PORT_FIFO) : "memory");
	asm volatile("insl" : "+D"(rdi) : "d"(PORT_FIFO) : "memory");
	check(rdi == BUFFER2 + 5 && same(BUFFER2, 5, 1), "INS without REP is one");
	rsi = BUFFER;
	asm volatile("rep outsb" : "+S"(rsi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check(rsi == BUFFER && rcx == 0, "REP with RCX = 0 does nothing");
	asm volatile("inb %%dx, %%al" : "=a"(rcx) : "d"(PORT_FIFO));
	check_eq(rcx & 0xff, 0xff, "... and nothing arrived");

	rsi = BUFFER | 0xffff00000000ull;
	rcx = 3 | 0xffff00000000ull;
	asm volatile("rep addr32 outsb" : "+S"(rsi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check(rsi == BUFFER + 3 && rcx == 0, "with 67h, ESI and ECX count (SDM 2B OUTS)");
	wrmsr(0xc0000100, BUFFER);
	rsi = 1;
	asm volatile("fs outsb" : "+S"(rsi) : "d"(PORT_FIFO) : "memory");
	rdi = BUFFER2;
	rcx = 4;
	asm volatile("rep insb" : "+D"(rdi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check(!memcmp((void *)BUFFER2, (u8[]){ 1, 8, 15, 8 }, 4), "OUTS takes a segment override");
	wrmsr(0xc0000100, 0);
}

/* A fault in the middle leaves registers at the element that faulted (SDM 2B REP). */
static void faults(void)
{
	u64 *pte = split_page(0xc00000), page = 0xc00000 + 3 * 4096;
	u64 rdi = page - 6, rsi = page - 6, rcx = 10;

	pte[3] = 0;
	invlpg(page);
	fill(page - 6, 6, 3);
	ATTEMPT("rep outsb", : "+S"(rsi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check_fault(PF, 0, "OUTSB runs into an absent page: #PF");
	check(rsi == page && rcx == 4 && fault.cr2 == page, "... after 6 bytes");
	rcx = 10;
	ATTEMPT("rep insb", : "+D"(rdi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check_fault(PF, 2, "INSB runs into an absent page: #PF, a write");
	check(rdi == page && rcx == 4 && fault.cr2 == page && same(page - 6, 6, 3),
	      "... after 6 bytes");

	pte[3] = page | PTE_P; /* read-only */
	rdi = page;
	rcx = 1;
	ATTEMPT("rep insb", : "+D"(rdi), "+c"(rcx) : "d"(PORT_FIFO) : "memory");
	check_fault(PF, 3, "INSB to a read-only page: #PF, present and a write");
	rsi = 0x0000900000000000;
	ATTEMPT("outsb", : "+S"(rsi) : "d"(PORT_FIFO) : "memory");
	check_fault(GP, 0, "OUTSB from a non-canonical address: #GP(0)");
}

static void privilege(void)
{
	static const u8 in[] = { 0xe4, 0x80, 0xcd, USER_DONE };
	static const u8 outs[] = { 0x66, 0xba, 0x10, 0x05, 0x6e, 0xcd, USER_DONE };

	user_run(in, sizeof(in), 0);
	check_fault(GP, 0, "IN at privilege 3 with IOPL 0: #GP(0) (SDM 1 19.5)");
	user_run(outs, sizeof(outs), 0);
	check_fault(GP, 0, "OUTS at privilege 3 with IOPL 0: #GP(0)");
}

void guest_main(u32 run)
{
	sizes();
	strings_b(BUFFER, BUFFER2, 13, "REP OUTSB");
	strings_w(BUFFER, BUFFER2, 13, "REP OUTSW");
	strings_l(BUFFER, BUFFER2, 13, "REP OUTSL");
	strings_b(BUFFER + 4090, BUFFER2 + 4093, 5000, "REP OUTSB over pages");
	strings_w(BUFFER + 4095, BUFFER2 + 4093, 5000,
		  "REP OUTSW over pages, an element across each");
	strings_l(BUFFER + 4093, BUFFER2 + 4095, 5000,
		  "REP OUTSL over pages, an element across each");
	strings_l(BUFFER, BUFFER2, 16000, "a long REP OUTSL");
	backwards();
	single();
	faults();
	privilege();
}
