/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Device memory, a read-only slot, and holes. Run 1 jumps into a hole. */
#include <uapi/fermata.h>
#include "guest.h"

GUEST(.runs = 2, .expect = { 0, FERMATA_EXIT_MMIO });

#define DEVICE ((volatile u8 *)DEVICE_BASE)
#define D8(n) (*(volatile u8 *)(DEVICE_BASE + (n)))
#define D16(n) (*(volatile u16 *)(DEVICE_BASE + (n)))
#define D32(n) (*(volatile u32 *)(DEVICE_BASE + (n)))
#define D64(n) (*(volatile u64 *)(DEVICE_BASE + (n)))
#define RAM 0x800000ull

/* That the last access to a device was this one. */
static void check_access(u32 write, u32 size, u32 offset, const char *name)
{
	u32 w = call_runner(CALL_MMIO_WRITE, 0), s = call_runner(CALL_MMIO_SIZE, 0);
	u32 o = call_runner(CALL_MMIO_OFFSET, 0);

	if (!check(w == write && s == size && o == offset, name))
		say("# last access: write %u, %u bytes at %x\n", w, s, o);
}

static void moves(void)
{
	u64 rax;

	D64(0) = 0x8877665544332211;
	check_access(1, 8, 0, "a 64-bit store");
	check_eq(D64(0), 0x8877665544332211, "a 64-bit load");
	check_access(0, 8, 0, "... is one access");
	D32(8) = 0xccbbaa99;
	check_access(1, 4, 8, "a 32-bit store");
	D16(12) = 0xeedd;
	check_access(1, 2, 12, "a 16-bit store");
	D8(15) = 0xff;
	check_access(1, 1, 15, "an 8-bit store");
	check_eq(D64(8), 0xff00eeddccbbaa99, "they lie where they belong");
	rax = ~0ull;
	asm volatile("movl (%1), %%eax" : "+a"(rax) : "r"(DEVICE_BASE + 8));
	check_eq(rax, 0xccbbaa99, "a 32-bit load clears the upper half");
	rax = ~0ull;
	asm volatile("movw (%1), %%ax" : "+a"(rax) : "r"(DEVICE_BASE + 8));
	check_eq(rax, 0xffffffffffffaa99, "a 16-bit load does not");
	rax = ~0ull;
	asm volatile("movb (%1), %%ah" : "+a"(rax) : "b"(DEVICE_BASE + 8));
	check_eq(rax, 0xffffffffffff99ff, "a load to AH");
	rax = 0x1234;
	asm volatile("movb %%ah, (%1)" : : "a"(rax), "b"(DEVICE_BASE + 16) : "memory");
	check_eq(D8(16), 0x12, "a store from AH");
	asm volatile("movq $-2, (%0)" : : "r"(DEVICE_BASE + 24) : "memory");
	check_eq(D64(24), 0xfffffffffffffffe, "a sign-extended immediate");
	asm volatile("movzbl (%1), %k0" : "=r"(rax) : "r"(DEVICE_BASE + 7));
	check_eq(rax, 0x88, "MOVZX from 8 to 32 bits");
	asm volatile("movsbq (%1), %0" : "=r"(rax) : "r"(DEVICE_BASE + 7));
	check_eq(rax, 0xffffffffffffff88, "MOVSX from 8 to 64 bits");
	asm volatile("movzwl (%1), %k0" : "=r"(rax) : "r"(DEVICE_BASE + 6));
	check_eq(rax, 0x8877, "MOVZX from 16 to 32 bits");
	asm volatile("movslq (%1), %0" : "=r"(rax) : "r"(DEVICE_BASE + 4));
	check_eq(rax, 0xffffffff88776655, "MOVSXD");
	asm volatile("movl (%1, %2, 4), %k0" : "=r"(rax) : "r"(DEVICE_BASE - 8), "r"(2ull));
	check_eq(rax, 0x44332211, "base and index");
	asm volatile("movabs 0xd0000001, %%al" : "=a"(rax));
	check_eq(rax & 0xff, 0x22, "MOV with an absolute address");
	asm volatile("movbe (%1), %k0" : "=r"(rax) : "r"(DEVICE_BASE));
	check_eq(rax, 0x11223344, "MOVBE");
}

static void arithmetic(void)
{
	u64 rax, flags;
	u8 carry;

	D32(32) = 0xfffffffe;
	asm volatile("addl $3, (%1)\n\tsetc %0"
		     : "=r"(carry)
		     : "r"(DEVICE_BASE + 32)
		     : "memory", "cc");
	check(D32(32) == 1 && carry == 1, "ADD to memory, and its carry");
	asm volatile("lock; subl %2, (%1)\n\tpushfq\n\tpop %0"
		     : "=r"(flags)
		     : "r"(DEVICE_BASE + 32), "r"(2)
		     : "memory", "cc");
	check(D32(32) == ~0u && (flags & 0x8d5) == 0x95, "SUB with LOCK: CF, SF, AF, PF");
	asm volatile("orb $1, (%0)\n\tandw $0xf, (%0)\n\txorq $-1, (%0)"
		     :
		     : "r"(DEVICE_BASE + 32)
		     : "memory", "cc");
	check_eq(D64(32), 0xffffffff0000fff0, "OR, AND, XOR");
	asm volatile("incl (%0)\n\tnotb 2(%0)\n\tnegw 4(%0)\n\tdecb 6(%0)"
		     :
		     : "r"(DEVICE_BASE + 32)
		     : "memory", "cc");
	check_eq(D64(32), 0xfffe000100fffff1, "INC, NOT, NEG, DEC");
	asm volatile("cmpl $0xfffff1, (%1)\n\tpushfq\n\tpop %0"
		     : "=r"(flags)
		     : "r"(DEVICE_BASE + 32)
		     : "cc");
	check(flags & 0x40, "CMP with memory");
	asm volatile("testb $0x0e, (%1)\n\tpushfq\n\tpop %0"
		     : "=r"(flags)
		     : "r"(DEVICE_BASE + 32)
		     : "cc");
	check(flags & 0x40, "TEST with memory");
	rax = 5;
	asm volatile("addl (%1), %k0" : "+r"(rax) : "r"(DEVICE_BASE + 36) : "cc");
	check_eq(rax, 0xfffe0006, "ADD from memory");
	rax = 0x77;
	asm volatile("xchgb %b0, (%1)" : "+q"(rax) : "r"(DEVICE_BASE + 32) : "memory");
	check(rax == 0xf1 && D8(32) == 0x77, "XCHG");
	D32(40) = 10;
	rax = 10;
	asm volatile("lock; cmpxchgl %2, (%1)"
		     : "+a"(rax)
		     : "r"(DEVICE_BASE + 40), "r"(11)
		     : "memory", "cc");
	check(rax == 10 && D32(40) == 11, "CMPXCHG that matches");
	asm volatile("lock; cmpxchgl %2, (%1)"
		     : "+a"(rax)
		     : "r"(DEVICE_BASE + 40), "r"(12)
		     : "memory", "cc");
	check(rax == 11 && D32(40) == 11, "CMPXCHG that does not");
	rax = 4;
	asm volatile("lock; xaddl %k0, (%1)" : "+r"(rax) : "r"(DEVICE_BASE + 40) : "memory", "cc");
	check(rax == 11 && D32(40) == 15, "XADD");
	asm volatile("btsl $5, (%1)\n\tsetc %0"
		     : "=r"(carry)
		     : "r"(DEVICE_BASE + 40)
		     : "memory", "cc");
	check(D32(40) == 47 && !carry, "BTS");
	asm volatile("shll $4, (%0)" : : "r"(DEVICE_BASE + 40) : "memory", "cc");
	check_eq(D32(40), 47 << 4, "SHL");
	asm volatile("pushq (%1)\n\tpop %0" : "=r"(rax) : "r"(DEVICE_BASE + 32));
	check_eq(rax, D64(32), "PUSH from memory");
	asm volatile("push %0\n\tpopq (%1)"
		     :
		     : "r"(0x1122334455667788), "r"(DEVICE_BASE + 48)
		     : "memory");
	check_eq(D64(48), 0x1122334455667788, "POP to memory");
	asm volatile("cmp %0, %0\n\tsete (%1)"
		     :
		     : "r"(rax), "r"(DEVICE_BASE + 48)
		     : "memory", "cc");
	check_eq(D8(48), 1, "SETcc");
}

static void wide(void)
{
	static u64 got[2];

	D64(64) = 0x0123456789abcdef;
	D64(72) = 0xfedcba9876543210;
	asm volatile("movups (%0), %%xmm0\n\tmovups %%xmm0, (%1)"
		     :
		     : "r"(DEVICE_BASE + 64), "r"(got)
		     : "memory");
	check(got[0] == 0x0123456789abcdef && got[1] == 0xfedcba9876543210, "a 16-byte load");
	asm volatile("movups %%xmm0, (%0)" : : "r"(DEVICE_BASE + 88) : "memory");
	check(D64(88) == got[0] && D64(96) == got[1], "a 16-byte store");
	asm volatile("movq (%0), %%xmm1\n\tmovq %%xmm1, (%1)"
		     :
		     : "r"(DEVICE_BASE + 72), "r"(got)
		     : "memory");
	check_eq(got[0], 0xfedcba9876543210, "MOVQ");
}

static void strings(void)
{
	u64 rdi = DEVICE_BASE + 0x100, rsi = RAM, rcx = 1000;
	u8 *ram = (u8 *)RAM;
	bool good = true;

	for (u32 i = 0; i < 5000; i++)
		ram[i] = i * 11 + (i >> 8);
	asm volatile("rep movsb" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	check(rdi == DEVICE_BASE + 0x100 + 1000 && rsi == RAM + 1000 && !rcx,
	      "REP MOVSB to the device");
	for (u32 i = 0; i < 1000; i++)
		good &= D8(0x100 + i) == ram[i];
	check(good, "... arrived");
	rsi = DEVICE_BASE + 0x100;
	rdi = RAM + 0x2ffd; /* across a page */
	rcx = 250;
	asm volatile("rep movsl" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	check(!rcx && !memcmp(ram, ram + 0x2ffd, 1000),
	      "REP MOVSL from the device, over a page's end in RAM");
	rdi = DEVICE_BASE + 0xf80;
	rsi = RAM;
	rcx = 64;
	asm volatile("rep movsq" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	good = !rcx;
	for (u32 i = 0; i < 512; i++)
		good &= D8(0xf80 + i) == ram[i];
	check(good, "REP MOVSQ over a page's end of the device");
	rdi = DEVICE_BASE + 0x2000;
	rcx = 100;
	asm volatile("rep stosl" : "+D"(rdi), "+c"(rcx) : "a"(0xa5a5a5a5) : "memory");
	check(D32(0x2000) == 0xa5a5a5a5 && D32(0x218c) == 0xa5a5a5a5 && D32(0x2190) == 0,
	      "REP STOSL");
	rsi = DEVICE_BASE + 0x100;
	rdi = DEVICE_BASE + 0x3000;
	rcx = 16;
	asm volatile("rep movsb" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	good = !rcx;
	for (u32 i = 0; i < 16; i++)
		good &= D8(0x3000 + i) == ram[i];
	check(good, "REP MOVSB from device to device");
	rsi = DEVICE_BASE + 0x10f;
	rdi = DEVICE_BASE + 0x302f;
	rcx = 16;
	asm volatile("std\n\trep movsb\n\tcld" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	check(D8(0x3020) == ram[0] && D8(0x302f) == ram[15], "REP MOVSB downwards");
	rsi = DEVICE_BASE + 0x100;
	rcx = 0;
	asm volatile("lodsw" : "=a"(rcx), "+S"(rsi) : : "memory");
	check_eq((u16)rcx, *(u16 *)ram, "LODSW");
}

static void straddling(void)
{
	u64 crossing = DEVICE_BASE + 0x1ffd;

	*(volatile u64 *)crossing = 0x1122334455667788;
	check_eq(*(volatile u64 *)crossing, 0x1122334455667788, "8 bytes over a page's end");
	check(D8(0x1fff) == 0x66 && D8(0x2000) == 0x55, "... lie on both sides");
	*(volatile u32 *)(DEVICE_BASE + 0x2801) = 0xcafef00d;
	check_access(1, 4, 0x2801, "unaligned within a page: one access");
	*(volatile u32 *)(DEVICE_BASE + DEVICE_SIZE - 2) = 0x44332211;
	check_eq(D16(DEVICE_SIZE - 2), 0x2211, "half in the device and half in nothing");
}

static void holes(void)
{
	check_eq(*(volatile u64 *)HOLE_BASE, 0, "a hole reads as 0");
	*(volatile u32 *)HOLE_BASE = 5;
	check_eq(*(volatile u32 *)HOLE_BASE, 0, "and keeps nothing");
}

static void read_only(void)
{
	volatile u8 *rom = (volatile u8 *)ROM_BASE;
	u64 rdi = ROM_BASE + 100, rsi = RAM, rcx = 20;
	bool good = true;
	u32 before;

	for (u32 i = 0; i < ROM_SIZE; i++)
		good &= rom[i] == ROM_BYTE(i);
	check(good, "a read-only slot reads");
	before = call_runner(CALL_MMIO_COUNT, 0);
	good = rom[ROM_SIZE - 1] == ROM_BYTE(ROM_SIZE - 1);
	check(good && call_runner(CALL_MMIO_COUNT, 0) == before, "... without exits");
	rom[5] = ~ROM_BYTE(5);
	check_eq(call_runner(CALL_ROM_WRITES, 0), 1, "a write to it comes out");
	check_eq(rom[5], ROM_BYTE(5), "... and changes nothing");
	asm volatile("rep movsb" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	check(!rcx && rom[100] == ROM_BYTE(100) && rom[119] == ROM_BYTE(119),
	      "REP MOVSB to it changes nothing");
	asm volatile("lock; addl $1, (%0)" : : "r"(ROM_BASE + 200) : "memory", "cc");
	check_eq(rom[200], ROM_BYTE(200), "ADD to it changes nothing");
	rsi = ROM_BASE + 300;
	rdi = DEVICE_BASE + 0x400;
	rcx = 10;
	asm volatile("rep movsb" : "+D"(rdi), "+S"(rsi), "+c"(rcx) : : "memory");
	check(D8(0x409) == ROM_BYTE(309), "REP MOVSB from it to the device");
}

void guest_main(u32 run)
{
	if (run == 1) {
		say("# a jump into a hole\n");
		((void (*)(void))HOLE_BASE)();
		return;
	}
	moves();
	arithmetic();
	wide();
	strings();
	straddling();
	holes();
	read_only();
}
