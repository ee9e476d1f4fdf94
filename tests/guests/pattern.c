/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Full of one number: memory, registers, MSRs, devices. It stays so until the runner is told to end
 * (runner -w), whatever "hostile" does meanwhile.
 */
#include "guest.h"

GUEST(.seconds = 150);

#define PATTERN (PATTERN_A ^ PATTERN_B)
#define MSR_STAR 0xc0000081
#define FREE_BASE 0x800000ull /* behind image and tables */

static void fill(u64 from, u64 to)
{
	for (u64 at = from; at < to; at += 8)
		*(volatile u64 *)at = PATTERN;
}

static u64 wrong_in(u64 from, u64 to)
{
	u64 wrong = 0;

	for (u64 at = from; at < to; at += 8)
		wrong += *(volatile u64 *)at != PATTERN;
	return wrong;
}

static void fill_registers(void)
{
	write_dr0(PATTERN);
	write_dr1(PATTERN);
	write_dr2(PATTERN);
	write_dr3(PATTERN);
	write_cr2(PATTERN);
	wrmsr(MSR_STAR, PATTERN);
	outl(PORT_ECHO, (u32)PATTERN);
	outl(PORT_ECHO + 4, PATTERN >> 32);
	for (u64 at = DEVICE_BASE; at < DEVICE_BASE + 256; at += 8)
		*(volatile u64 *)at = PATTERN;
	asm volatile("movq %0, %%xmm0\n\tmovq %0, %%xmm7\n\tmovq %0, %%xmm15" : : "r"(PATTERN));
}

static bool registers_intact(void)
{
	u64 a, b, c;

	asm volatile("movq %%xmm0, %0\n\tmovq %%xmm7, %1\n\tmovq %%xmm15, %2"
		     : "=r"(a), "=r"(b), "=r"(c));
	return a == PATTERN && b == PATTERN && c == PATTERN && read_dr0() == PATTERN &&
	       read_dr1() == PATTERN && read_dr2() == PATTERN && read_dr3() == PATTERN &&
	       read_cr2() == PATTERN && rdmsr(MSR_STAR) == PATTERN;
}

void guest_main(u32 run)
{
	u64 wrong_ram = 0, wrong_devices = 0;
	bool good = true;
	u32 passes = 0;

	check_eq(call_runner(CALL_SLOT_ADD, 0), 0, "one more slot");
	fill(FREE_BASE, RAM_SIZE);
	fill(HIGH_BASE, HIGH_BASE + HIGH_SIZE);
	fill(EXTRA_BASE, EXTRA_BASE + EXTRA_SIZE);
	fill_registers();
	say("# the pattern is everywhere\n");
	do {
		wrong_ram += wrong_in(FREE_BASE, RAM_SIZE);
		wrong_ram += wrong_in(HIGH_BASE, HIGH_BASE + HIGH_SIZE);
		wrong_ram += wrong_in(EXTRA_BASE, EXTRA_BASE + EXTRA_SIZE);
		wrong_devices += wrong_in(DEVICE_BASE, DEVICE_BASE + 256);
		wrong_devices += inl(PORT_ECHO) != (u32)PATTERN;
		wrong_devices += inl(PORT_ECHO + 4) != PATTERN >> 32;
		good &= registers_intact();
		passes++;
	} while (!call_runner(CALL_TOLD, 0));
	check_eq(wrong_ram, 0, "all memory keeps the pattern");
	check_eq(wrong_devices, 0, "so do the devices");
	check(good, "so do registers and MSRs");
	say("# %u times\n", passes);
}
