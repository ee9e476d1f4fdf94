/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* CPUID: what is hidden, what follows the processor's state, and its length with prefixes. */
#include "guest.h"

GUEST();

static bool has(u32 word, u32 bit)
{
	return word >> bit & 1;
}

static void hidden(void)
{
	struct words one = cpuid(1, 0), seven = cpuid(7, 0), extended = cpuid(0x80000001, 0);

	check(has(one.c, 31), "a hypervisor is announced (APM 3 E.3.2)");
	check(!has(one.c, 5), "VMX is hidden");
	check(!has(one.c, 3), "MONITOR is hidden");
	check(!has(one.c, 2) && !has(one.c, 4) && !has(one.c, 15),
	      "DTES64, DS-CPL and PDCM are hidden");
	check(has(one.c, 21) && has(one.c, 24), "x2APIC and TSC-deadline are there");
	check_eq(one.b >> 24, 0, "the initial APIC ID is the vCPU's");
	check(has(seven.c, 3) == has(cpuid(0xd, 0).a, 9), "PKU comes with its state in XSAVE");
	check(!has(seven.c, 4), "OSPKE is 0 while CR4.PKE is");
	check(!has(seven.c, 5) && !has(seven.c, 7) && !has(seven.d, 20),
	      "WAITPKG and CET are hidden");
	check(!has(seven.b, 2) && !has(seven.b, 12) && !has(seven.b, 14) && !has(seven.b, 25),
	      "SGX, RDT, MPX and PT are hidden");
	check(!has(extended.c, 2) && !has(extended.c, 10) && !has(extended.c, 12),
	      "SVM, IBS, SKINIT are hidden");
	check(has(extended.d, 29), "long mode is there");
	check_eq(cpuid(0xa, 0).a & 0xff, 0, "no performance monitoring in leaf Ah (SDM 2A CPUID)");
	check_eq(cpuid(5, 0).a | cpuid(5, 0).b, 0, "no MONITOR lines in leaf 5");
	check_eq(cpuid(0x8000000a, 0).d, 0, "no SVM features in leaf 8000_000Ah");
	check_eq(cpuid(0x40000000, 0).a, 0x40000000, "the hypervisor's leaves end where they begin");
	check(!has(cpuid(0xd, 1).a, 3), "XSAVES is hidden");
}

static void unavailable(void)
{
	ATTEMPT("rdpmc", : : "c"(0) : "rax", "rdx", "memory");
	check_fault(GP, 0, "RDPMC without counters: #GP(0)");
	ATTEMPT("monitor", : : "a"(USER_BASE), "c"(0), "d"(0) : "memory");
	check_fault(UD, 0, "MONITOR: #UD");
	ATTEMPT("mwait", : : "a"(0), "c"(0) : "memory");
	check_fault(UD, 0, "MWAIT: #UD");
	ATTEMPT(".byte 0x0f,0x01,0xd8", : : "a"(0x5000) : "memory");
	check_fault(UD, 0, "VMRUN: #UD");
	ATTEMPT(".byte 0x0f,0x01,0xda", : : "a"(0x5000) : "memory");
	check_fault(UD, 0, "VMLOAD: #UD");
	ATTEMPT(".byte 0x0f,0x01,0xdd", : : : "memory");
	check_fault(UD, 0, "CLGI: #UD");
	ATTEMPT(".byte 0x0f,0x01,0xc1", : : : "memory", "rax");
	check(fault.vector == UD || fault.vector == NO_FAULT,
	      "VMCALL is an unknown instruction or a call");
	ATTEMPT(".byte 0x0f,0x01,0xfd", : : "c"(0) : "rax", "rdx", "memory");
	check_fault(UD, 0, "RDPRU: #UD");
	ATTEMPT(".byte 0x0f,0x01,0xee", : : "c"(0) : "rax", "rdx", "memory");
	check_fault(UD, 0, "RDPKRU without CR4.PKE: #UD");
}

static void follows_state(void)
{
	u32 full;

	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	check(!has(cpuid(1, 0).c, 27), "OSXSAVE is 0 while CR4.OSXSAVE is (SDM 2A CPUID)");
	if (!has(cpuid(1, 0).c, 26)) {
		skip("XSAVE", "the processor has none");
		return;
	}
	write_cr4(read_cr4() | CR4_OSXSAVE);
	check(has(cpuid(1, 0).c, 27), "OSXSAVE is 1 while CR4.OSXSAVE is");
	full = cpuid(0xd, 0).a;
	check((full & 3) == 3, "x87 and SSE state can be enabled");
	check(!(full & ~0x2e7u), "nothing but x87, SSE, AVX, AVX-512 and PKRU can be enabled");
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	check_eq(cpuid(0xd, 0).b, 576, "XCR0 = 1: the area has 576 bytes (SDM 1 13.4.3)");
	asm volatile("xsetbv" : : "c"(0), "a"(3), "d"(0));
	check_eq(cpuid(0xd, 0).b, 576, "XCR0 = 3: the area has 576 bytes");
	if (full & 4) {
		u32 end = cpuid(0xd, 2).a + cpuid(0xd, 2).b;

		asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
		check_eq(cpuid(0xd, 2).a, 256, "the AVX component has 256 bytes");
		check_eq(cpuid(0xd, 0).b, end, "XCR0 = 7: the area ends behind AVX");
		check_eq(xgetbv(), 7, "XGETBV reads what XSETBV wrote");
		asm volatile("xsetbv" : : "c"(0), "a"(3), "d"(0));
	}
	check(cpuid(0xd, 0).c >= cpuid(0xd, 0).b,
	      "ECX is the size for everything that could be enabled");
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* Runs the bytes with EAX = 0 as a function; 1 when it came back with CPUID's answer. */
static void prefixed(const char *name, const u8 *bytes, size_t size, u64 at)
{
	struct words wanted = cpuid(0, 0);
	u64 a = ~0xffffffffull, b, c = ~0xffffffffull, d, marker = 0;
	static const u8 tail[] = { 0x49, 0xff, 0xc0, 0xc3 }; /* inc %r8; ret */

	memcpy((void *)at, bytes, size);
	memcpy((void *)(at + size), tail, sizeof(tail));
	asm volatile("xor %%r8d, %%r8d\n\tcall *%[at]\n\tmov %%r8, %[marker]"
		     : "+a"(a), "=b"(b), "+c"(c), "=d"(d), [marker] "=r"(marker)
		     : [at] "r"(at)
		     : "r8", "memory");
	check(marker == 1 && a == wanted.a && b == wanted.b && c == wanted.c && d == wanted.d, name);
}

#define PREFIXED(name, at, ...)                                                                    \
	prefixed(name, (const u8[]){ __VA_ARGS__, 0x0f, 0xa2 }, sizeof((u8[]){ __VA_ARGS__ }) + 2, \
		 at)

static void prefixes(void)
{
	static const u8 plain[] = { 0x0f, 0xa2 };

	prefixed("plain CPUID clears the upper halves (SDM 1 3.4.1.1)", plain, 2, 0x700000);
	PREFIXED("66 CPUID", 0x700000, 0x66);
	PREFIXED("F2 CPUID", 0x700000, 0xf2);
	PREFIXED("F3 CPUID", 0x700000, 0xf3);
	PREFIXED("REX.W CPUID", 0x700000, 0x48);
	PREFIXED("67 CPUID", 0x700000, 0x67);
	PREFIXED("66 2E REX.WRXB CPUID", 0x700000, 0x66, 0x2e, 0x4f);
	PREFIXED("13 prefixes before CPUID: the longest instruction (SDM 2A 2.3.11)", 0x700000,
		 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x48);
	prefixed("CPUID across a page's end", plain, 2, 0x700fff);
	PREFIXED("66 REX CPUID across a large page's end", 0x7fffff - 1, 0x66, 0x48);
}

static void survey(void)
{
	u32 sum = 0;

	for (u32 leaf = 0; leaf < 0x30; leaf++)
		for (u32 subleaf = 0; subleaf < 4; subleaf++) {
			sum += cpuid(leaf, subleaf).a;
			sum += cpuid(0x80000000 + leaf, subleaf).a;
			sum += cpuid(0x40000000 + leaf, subleaf).a;
			sum += cpuid(0xfffffff0 + leaf, subleaf).a;
		}
	check(sum != 0, "every leaf can be asked for");
}

void guest_main(u32 run)
{
	hidden();
	unavailable();
	follows_state();
	prefixes();
	survey();
}
