/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Looks for what is not its own: all memory it can address, MSRs, ports, CPUID, registers, for the number
 * that "pattern" is full of, and writes where it can.
 */
#include "guest.h"

GUEST(.seconds = 150);

#define WINDOW 0x120000000ull /* linear: 2 MiB anywhere in guest-physical space */
#define LARGE 0x200000ull
#define GIB (1ull << 30)
#define POISON 0xbadbadbadbadbadbull

static u64 found, looked;

/* The sum of the two must not be in this guest's memory: the compiler is not to add them up. */
static u64 hidden(u64 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

static void look(u64 value)
{
	looked++;
	found += hidden(value ^ PATTERN_A) == PATTERN_B;
}

/* Half of it is enough where there is no more. */
static void look_half(u32 value)
{
	looked++;
	found += (u32)hidden(value ^ (u32)PATTERN_A) == (u32)PATTERN_B;
	found += (u32)hidden(value ^ (u32)(PATTERN_A >> 32)) == (u32)(PATTERN_B >> 32);
}

static void look_through(u64 from, u64 to)
{
	for (u64 at = from; at < to; at += 8)
		look(*(volatile u64 *)at);
}

static void none(const char *name)
{
	check(found == 0 && looked > 0, name);
	say("# %lx found in %lx places\n", found, looked);
	found = looked = 0;
}

static void registers(void)
{
	u64 x[4];

	asm volatile("movq %%xmm0, %0\n\tmovq %%xmm1, %1\n\tmovq %%xmm7, %2\n\tmovq %%xmm15, %3"
		     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]));
	for (u32 i = 0; i < 4; i++)
		look(x[i]);
	look(read_dr0());
	look(read_dr1());
	look(read_dr2());
	look(read_dr3());
	look(read_cr2());
	none("not in registers");
}

static void search_works(void)
{
	volatile u64 *at = (u64 *)0x900000;

	*at = PATTERN_A;
	asm volatile("xorq %1, %0" : "+m"(*at) : "r"(PATTERN_B));
	look_through(0x900000, 0x901000);
	check_eq(found, 1, "what is there is found");
	*at = 0;
	found = looked = 0;
}

static void memory(void)
{
	look_through(0, RAM_SIZE);
	none("not in RAM");
	look_through(HIGH_BASE, HIGH_BASE + HIGH_SIZE);
	look_through(ROM_BASE, ROM_BASE + ROM_SIZE);
	call_runner(CALL_SLOT_ADD, 0);
	look_through(EXTRA_BASE, EXTRA_BASE + EXTRA_SIZE);
	call_runner(CALL_SLOT_REMOVE, 0);
	none("not in other slots");
}

/* Below 4 GiB, word by word where something begins or ends, and somewhere in each 2 MiB. */
static void holes(void)
{
	static const u64 edge[] = {
		RAM_SIZE,  ROM_BASE + ROM_SIZE,	 EXTRA_BASE, DEVICE_BASE, DEVICE_BASE + DEVICE_SIZE,
		HOLE_BASE, HIGH_BASE + HIGH_SIZE
	};

	for (u32 i = 0; i < sizeof(edge) / sizeof(*edge); i++) {
		look_through(edge[i], edge[i] + 512);
		look_through(edge[i] + 4096 - 64, edge[i] + 4096 + 64);
	}
	for (u64 at = RAM_SIZE; at < 5 * GIB; at += LARGE)
		look(*(volatile u64 *)(at + (at >> 9 & 0x1ff000)));
	for (u32 offset = 0; offset < 0x400; offset += 16)
		look_half(*(volatile u32 *)(APIC_BASE_ADDRESS + offset));
	none("not in holes and devices");
	/* Those are all device memory, or nothing: nobody else's. */
	for (u64 at = RAM_SIZE; at < HIGH_BASE; at += LARGE)
		if (at != (APIC_BASE_ADDRESS & ~(LARGE - 1)))
			*(volatile u64 *)(at + 0x1000) = POISON;
	check(true, "and written to");
}

static void try_beyond(u64 gpa)
{
	volatile u64 *entry = table_entry(WINDOW, 2);

	*entry = (gpa & ~(LARGE - 1)) | PTE_P | PTE_W | PTE_PS;
	invlpg(WINDOW);
	look(*(volatile u64 *)(WINDOW + (gpa & (LARGE - 1))));
	*(volatile u64 *)(WINDOW + (gpa & (LARGE - 1))) = POISON;
}

static void beyond(void)
{
	u32 bits = cpuid(0x80000008, 0).a & 0xff;
	u64 end = 1ull << bits, step = GIB;

	while (end / step > 2048)
		step *= 2;
	for (u64 at = 5 * GIB; at < 9 * GIB; at += LARGE)
		try_beyond(at);
	for (u64 at = 8 * GIB; at < end; at += step)
		try_beyond(at + (at / step * 4096 & (LARGE - 1)));
	for (u32 bit = 33; bit < bits; bit++) {
		try_beyond(BIT(bit) + 0x900000);
		try_beyond(BIT(bit) - 8);
	}
	try_beyond(end - 8);
	*table_entry(WINDOW, 2) = WINDOW | PTE_P | PTE_W | PTE_PS;
	invlpg(WINDOW);
	none("not beyond, up to the last address");
}

static void msrs(void)
{
	static const u32 first[] = { 0, 0x2000, 0x40000000, 0x4b564d00, 0xc0000000, 0xc0010000 };

	for (u32 i = 0; i < sizeof(first) / sizeof(*first); i++)
		for (u32 n = 0; n < 0x2000; n++) {
			u64 value = try_rdmsr(first[i] + n);

			if (fault.vector == NO_FAULT) {
				look(value);
				look_half(value);
				look_half(value >> 32);
			} else {
				try_wrmsr(first[i] + n, POISON);
			}
		}
	for (u64 msr = 0; msr < BIT(32); msr += 0x123457)
		look(try_rdmsr(msr));
	none("not in MSRs");
}

/* Ports of the runner whose meaning would end this guest, or the test */
static bool calls_runner(u32 port)
{
	return port == PORT_PRINT || port == PORT_EXIT || port == PORT_CALL;
}

static void ports(void)
{
	for (u32 port = 0; port <= 0xffff; port++) {
		look_half(inl(port));
		if (!calls_runner(port))
			outb(port, 0xbd);
	}
	none("not at ports");
}

static void leaves(void)
{
	static const u32 first[] = { 0, 0x40000000, 0x80000000, 0x8fffff00, 0xc0000000, 0xffffff00 };

	for (u32 i = 0; i < sizeof(first) / sizeof(*first); i++)
		for (u32 n = 0; n < 0x100; n++)
			for (u32 subleaf = 0; subleaf < (n < 0x20 ? 64 : 2); subleaf++) {
				struct words w = cpuid(first[i] + n, subleaf);

				look_half(w.a);
				look_half(w.b);
				look_half(w.c);
				look_half(w.d);
			}
	none("not in CPUID's leaves");
}

void guest_main(u32 run)
{
	registers();
	memory();
	search_works();
	holes();
	beyond();
	msrs();
	ports();
	leaves();
	memory();
}
