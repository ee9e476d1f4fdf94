/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * x87, SSE and AVX registers: two VMs at once with different patterns, moved from CPU to CPU, never see
 * the other's, the host's, or anything but their own.
 */
#include "guest.h"
#include "leave.h"

GUEST(.runs = 2, .flags = GUEST_TWINS | GUEST_MIGRATE, .seconds = 60);

static u8 area[4096] __attribute__((aligned(64)));
static bool avx;
static u64 mask;

static void clean_start(void)
{
	bool zero = true;

	asm volatile("fxsave64 %0" : "=m"(area));
	check_eq(*(u16 *)area, 0x37f, "the x87 control word starts as after FNINIT");
	check_eq(*(u16 *)(area + 2), 0, "the status word is clear");
	check_eq(area[4], 0, "the x87 stack is empty");
	check_eq(*(u32 *)(area + 24), 0x1f80, "MXCSR is as after reset (SDM 3A 9.1.1)");
	for (u32 i = 0; i < 16 * 16; i++)
		zero &= area[160 + i] == 0;
	check(zero, "XMM0 to XMM15 are 0: nothing of the host");
	for (u32 i = 0; i < 8; i++)
		for (u32 j = 0; j < 10; j++)
			zero &= area[32 + 16 * i + j] == 0;
	check(zero, "the x87 registers are 0");
	if (!(cpuid(1, 0).c >> 26 & 1))
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	mask = cpuid(0xd, 0).a & 0xe7;
	avx = mask & 4;
	if (!avx)
		mask = 3;
	asm volatile("xsetbv" : : "c"(0), "a"((u32)mask), "d"(0));
	if (!avx)
		return;
	asm volatile("vextractf128 $1, %%ymm0, %0\n\tvextractf128 $1, %%ymm15, %1"
		     : "=m"(*(u8(*)[16])area), "=m"(*(u8(*)[16])(area + 16)));
	zero = true;
	for (u32 i = 0; i < 32; i++)
		zero &= area[i] == 0;
	check(zero, "the upper halves of the YMM registers are 0");
}

/* A value that tells VM, iteration and register apart. */
static u8 pattern(u32 iteration, u32 reg, u32 byte)
{
	return (guest_run ? 0x80 : 0) | ((iteration * 31 + reg * 7 + byte * 3) & 0x7f);
}

static void load(u32 iteration)
{
	/* In XSAVE's format: x87 at 32, XMM at 160, the upper YMM where leaf Dh says. */
	u32 high = avx ? cpuid(0xd, 2).b : 0;

	memset(area, 0, sizeof(area));
	*(u16 *)area = 0x37f;
	area[4] = 0xff; /* all in use */
	*(u32 *)(area + 24) = 0x1f80 | (iteration % 4) << 13;
	for (u32 r = 0; r < 8; r++)
		for (u32 b = 0; b < 10; b++)
			area[32 + 16 * r + b] = pattern(iteration, r + 40, b) | (b == 7 ? 0x80 : 0);
	for (u32 r = 0; r < 16; r++)
		for (u32 b = 0; b < 16; b++) {
			area[160 + 16 * r + b] = pattern(iteration, r, b);
			if (avx)
				area[high + 16 * r + b] = pattern(iteration, r, b + 16);
		}
	if (!mask) {
		asm volatile("fxrstor64 %0" : : "m"(area));
		return;
	}
	*(u64 *)(area + 512) = mask & 7;
	asm volatile("xrstor64 %0" : : "m"(area), "a"((u32)mask & 7), "d"(0));
}

static u32 wrong(u32 iteration)
{
	u32 high = avx ? cpuid(0xd, 2).b : 0, bad = 0;

	memset(area, 0xee, sizeof(area));
	memset(area + 512, 0, 64);
	if (mask)
		asm volatile("xsave64 %0" : "+m"(area) : "a"((u32)mask & 7), "d"(0));
	else
		asm volatile("fxsave64 %0" : "=m"(area));
	bad += *(u16 *)area != 0x37f;
	bad += *(u32 *)(area + 24) != (0x1f80 | (iteration % 4) << 13);
	for (u32 r = 0; r < 8; r++)
		for (u32 b = 0; b < 10; b++)
			bad += area[32 + 16 * r + b] !=
			       (pattern(iteration, r + 40, b) | (b == 7 ? 0x80 : 0));
	for (u32 r = 0; r < 16; r++)
		for (u32 b = 0; b < 16; b++) {
			bad += area[160 + 16 * r + b] != pattern(iteration, r, b);
			if (avx)
				bad += area[high + 16 * r + b] != pattern(iteration, r, b + 16);
		}
	return bad;
}

void guest_main(u32 run)
{
	clean_start();
	leave_prepare();
	for (u32 way = 0; way < EXIT_WAYS; way++) {
		u32 bad = 0, count = way <= EXIT_USER ? 1000 : 60;

		for (u32 i = 0; i < count; i++) {
			load(i);
			leave(way);
			bad += wrong(i);
		}
		if (!check(!bad, leave_names[way]))
			say("# %u bytes differ\n", bad);
	}
	/* With XCR0 = 1 the guest has no way to AVX state, but the state stays (SDM 1 13.5). */
	if (avx) {
		load(5);
		asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
		leave(EXIT_SLEEP);
		asm volatile("xsetbv" : : "c"(0), "a"((u32)mask), "d"(0));
		check_eq(wrong(5), 0, "AVX state survives a time with XCR0 = 1");
	}
}
