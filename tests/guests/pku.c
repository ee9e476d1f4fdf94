/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Protection keys (SDM 3A 4.6.2): which accesses they refuse and with which error code, in small and large
 * pages; and PKRU, which each of two vCPUs has for itself, whatever the host does meanwhile.
 */
#include "guest.h"
#include "leave.h"

static void other_main(u64 run, u64 khz);
GUEST(.vcpus = 2, .flags = GUEST_MIGRATE, .seconds = 60, .others = (u64)other_main);

#define XCR0_PKRU BIT(9)
#define PFERR_KEY 0x20u
#define DENY_ACCESS(key) (1u << 2 * (key))
#define DENY_WRITES(key) (2u << 2 * (key))
#define PTE_KEY(key) ((u64)(key) << 59)

#define SMALL 0x1a00000ul    /* 512 pages of 4 KiB */
#define LARGE 0x1c00000ul    /* one of 2 MiB */
#define KEY_0 DENY_ACCESS(0) /* refuses what has no key of its own */

static u64 *small;

static u32 rdpkru(void)
{
	u32 value, zero;

	asm volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
	return value;
}

static void wrpkru(u32 value)
{
	asm volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

/* ---- the instructions, and what CPUID says of them */

static bool offered(void)
{
	struct words seven = cpuid(7, 0);

	if (seven.c >> 3 & 1)
		return true;
	check(!(seven.c >> 4 & 1), "without PKU, CPUID has no OSPKE");
	ATTEMPT("mov %0, %%cr4", : : "r"(read_cr4() | CR4_PKE) : "memory");
	check_fault(GP, 0, "... and CR4.PKE is reserved");
	skip("protection keys", "the processor has none, or its kernel does not use them");
	return false;
}

static void instructions(void)
{
	check(!(cpuid(7, 0).c >> 4 & 1), "OSPKE is 0 while CR4.PKE is (SDM 2A CPUID)");
	ATTEMPT("rdpkru", : : "c"(0) : "rax", "rdx", "memory");
	check_fault(UD, 0, "RDPKRU without CR4.PKE: #UD");
	ATTEMPT("wrpkru", : : "a"(0), "c"(0), "d"(0) : "memory");
	check_fault(UD, 0, "WRPKRU without CR4.PKE: #UD");
	write_cr4(read_cr4() | CR4_PKE);
	check(read_cr4() & CR4_PKE, "CR4.PKE can be set");
	check(cpuid(7, 0).c >> 4 & 1, "OSPKE is 1 while CR4.PKE is");
	check_eq(rdpkru(), 0, "PKRU is 0 after reset (SDM 3A table 9-1)");
	ATTEMPT("rdpkru", : : "c"(1) : "rax", "rdx", "memory");
	check_fault(GP, 0, "RDPKRU with ECX = 1: #GP(0)");
	ATTEMPT("wrpkru", : : "a"(0), "c"(0), "d"(1) : "memory");
	check_fault(GP, 0, "WRPKRU with EDX = 1: #GP(0)");
	wrpkru(0x87654321);
	check_eq(rdpkru(), 0x87654321, "PKRU reads back");
	wrpkru(0);
}

/* ---- accesses */

enum { AS_USER = 1, AS_WRITE = 2 };

struct place {
	u64 at;
	u64 *entry;
	bool user, writable;
	const char *name;
};

/* With that in PKRU, and 0 again after it: the library does not count on keys. */
static void try_access(u64 at, u32 how, u32 pkru)
{
	u8 code[] = {
		0x48, 0x89,	 0xf8,	     /* mov %rdi,%rax */
		0x48, 0xc1,	 0xe8, 0x20, /* shr $32,%rax */
		0x31, 0xc9,	 0x31, 0xd2, /* xor %ecx,%ecx; xor %edx,%edx */
		0x0f, 0x01,	 0xef,	     /* wrpkru */
		0x89, 0xff,		     /* mov %edi,%edi */
		0x8a, 0x07,		     /* mov (%rdi),%al; or the other way */
		0xcd, USER_DONE,
	};

	if (how & AS_WRITE)
		code[sizeof(code) - 4] = 0x88;
	if (how & AS_USER) {
		user_run(code, sizeof(code), at | (u64)pkru << 32);
		wrpkru(0);
		user_pages(true);
		return;
	}
	wrpkru(pkru);
	if (how & AS_WRITE)
		ATTEMPT("movb $1, (%0)", : : "r"(at) : "memory");
	else
		ATTEMPT("movb (%0), %%al", : : "r"(at) : "rax", "memory");
	wrpkru(0);
}

/* The error code that the manual wants; 0: no fault. */
static u64 wanted(const struct place *p, u32 how, bool wp, u32 rights)
{
	bool user = how & AS_USER, write = how & AS_WRITE, bound = user || wp, denied, key;

	key = p->user && (rights & 1 || (write && rights & 2 && bound));
	denied = key || (user && !p->user) || (write && bound && !p->writable);
	return denied ? 1 | write << 1 | user << 2 | (key ? PFERR_KEY : 0) : 0;
}

static bool as_wanted(const struct place *p, u32 how, bool wp, u32 key, u32 rights)
{
	/* of all other keys, what this one may not */
	u32 pkru = rights << 2 * key | (0x55555555 & ~DENY_ACCESS(key));
	u64 code = wanted(p, how, wp, rights);
	bool good;

	try_access(p->at, how, pkru);
	if (code)
		good = fault.vector == PF && fault.code == code && fault.cr2 == p->at;
	else
		good = fault.vector == (how & AS_USER ? USER_DONE : NO_FAULT);
	if (!good)
		say("# %s: access %u, WP %u, rights %u: vector %u code %lx, wanted code %lx\n",
		    p->name, how, (u32)wp, rights, (u32)fault.vector, fault.code, code);
	return good;
}

/*
 * What refuses reads comes first: with WP = 0 under shadow paging that is not looked at in a page that
 * the supervisor has written to against the user's rights (docs/paging.md).
 */
static void matrix(const struct place *p, bool wp)
{
	static const u8 rights[] = { 1, 3, 2, 0, 2 };
	bool good = true;

	write_cr0(wp ? read_cr0() | CR0_WP : read_cr0() & ~CR0_WP);
	for (u32 key = 0; key < 16; key += 5) {
		*p->entry = (*p->entry & ~PTE_KEY(15)) | PTE_KEY(key);
		invlpg(p->at);
		for (u32 i = 0; i < sizeof(rights); i++)
			for (u32 how = 0; how < 4; how++)
				good &= as_wanted(p, how, wp, key, rights[i]);
		/* By the user, with all rights: the page is the user's again. */
		good &= as_wanted(p, AS_USER, wp, key, 0);
	}
	write_cr0(read_cr0() | CR0_WP);
	say("%sok - WP = %u: keys in %s refuse what the manual says (SDM 3A 4.6.2)\n",
	    good ? "" : "not ", (u32)wp, p->name);
}

static void accesses(void)
{
	const struct place places[] = {
		{ SMALL + 0x3008, &small[3], true, true, "a small page" },
		{ SMALL + 0x4008, &small[4], true, false, "a small page that is read-only" },
		{ SMALL + 0x5008, &small[5], false, true, "a supervisor's page" },
		{ LARGE + 0x5008, table_entry(LARGE, 2), true, true, "a large page" },
	};

	user_pages(true);
	for (u32 i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const struct place *p = &places[i];

		*p->entry = (*p->entry & ~(PTE_U | PTE_W)) | (p->user ? PTE_U : 0) |
			    (p->writable ? PTE_W : 0);
		invlpg(p->at);
		matrix(p, true);
		matrix(p, false);
	}
	user_pages(false);
}

/* Only the leaf's bits are a key, only with PKE, and not for fetches. */
static void not_keys(void)
{
	static const u8 jump[] = { 0xff, 0xe7 }, done[] = { 0xcd, USER_DONE };
	static const u8 write[] = { 0x88, 0x07, 0xcd, USER_DONE }; /* mov %al,(%rdi); int */
	u64 *pde = table_entry(SMALL, 2);

	user_pages(true);
	memcpy((void *)(SMALL + 0x6000), done, sizeof(done));
	*pde |= PTE_KEY(3);
	small[6] |= PTE_U | PTE_KEY(4);
	invlpg(SMALL + 0x6000);
	try_access(SMALL + 0x6000, 0, DENY_ACCESS(3));
	check_no_fault("bits 62:59 of an entry that leads to a table are no key");
	try_access(SMALL + 0x6000, 0, DENY_ACCESS(4));
	check_fault(PF, 1 | PFERR_KEY, "those of the page's entry are");
	wrpkru(DENY_ACCESS(4));
	user_run(jump, sizeof(jump), SMALL + 0x6000);
	check(fault.vector == USER_DONE && fault.rip == SMALL + 0x6002,
	      "a user executes what it may not read");
	user_pages(true);
	write_cr4(read_cr4() & ~CR4_PKE);
	ATTEMPT("movb $0xcd, (%0)", : : "r"(SMALL + 0x6000) : "memory");
	check_no_fault("without CR4.PKE the supervisor has access, whatever PKRU says");
	user_run(write, sizeof(write), SMALL + 0x6000);
	check_fault(USER_DONE, 0, "... and the user");
	user_pages(true);
	write_cr4(read_cr4() | CR4_PKE);
	check_eq(rdpkru(), DENY_ACCESS(4), "PKRU has kept its value");
	user_run(write, sizeof(write), SMALL + 0x6000);
	check_fault(PF, 7 | PFERR_KEY, "with CR4.PKE again, it counts again");
	user_pages(true);
	*pde &= ~PTE_KEY(15);
	small[6] &= ~PTE_KEY(15);
	invlpg(SMALL + 0x6000);
	ATTEMPT("movb (%0), %%al", : : "r"(SMALL + 0x6000) : "rax", "memory");
	check_no_fault("another key in the entry, another right");
	wrpkru(0);
	user_pages(false);
}

/* No exit tells of WRPKRU: each access goes by what it says at that moment. */
static void at_once(void)
{
	volatile u8 *byte = (u8 *)(SMALL + 0x7000);
	u32 wrong = 0;

	user_pages(true);
	small[7] |= PTE_U | PTE_KEY(9);
	invlpg((u64)byte);
	*byte = 1;
	for (u32 i = 0; i < 1000; i++) {
		try_access((u64)byte, 0, i % 3 ? DENY_ACCESS(9) : DENY_ACCESS(8));
		wrong += (fault.vector == PF) != !!(i % 3);
	}
	check_eq(wrong, 0, "each of a thousand WRPKRU counts at once");
	user_pages(false);
}

/* Device memory in a user's page: an access the key refuses is the guest's own fault, not the device's. */
static void device(void)
{
	u64 *pde = table_entry(DEVICE_BASE, 2), *pdpte = table_entry(DEVICE_BASE, 3);
	u32 count;

	user_pages(true);
	*pdpte |= PTE_U;
	*pde |= PTE_U | PTE_KEY(6);
	write_cr3(read_cr3());
	wrpkru(KEY_0 | DENY_WRITES(6));
	count = call_runner(CALL_MMIO_COUNT, 0);
	ATTEMPT("movl $5, (%0)", : : "r"(DEVICE_BASE) : "memory");
	check_fault(PF, 3 | PFERR_KEY, "a write to a device that the key refuses faults");
	check_eq(call_runner(CALL_MMIO_COUNT, 0), count, "... and does not reach the device");
	wrpkru(KEY_0);
	ATTEMPT("movl $5, (%0)", : : "r"(DEVICE_BASE) : "memory");
	check_no_fault("one that it does not refuse");
	check_eq(call_runner(CALL_MMIO_COUNT, 0), count + 1, "... does");
	check_eq(rdpkru(), KEY_0, "PKRU is what it was");
	wrpkru(0);
	*pde &= ~(PTE_U | PTE_KEY(15));
	*pdpte &= ~PTE_U;
	user_pages(false);
}

/* ---- XSAVE */

static u8 area[4096] __attribute__((aligned(64)));

static void xsave(void)
{
	u64 mask = XCR0_PKRU;
	u32 at = cpuid(0xd, 9).b;

	write_cr4(read_cr4() | CR4_OSXSAVE);
	check(cpuid(0xd, 0).a >> 9 & 1, "where there are keys, XCR0[9] can be set");
	ATTEMPT("xsetbv", : : "c"(0), "a"((u32)mask | 1), "d"(0) : "memory");
	check_no_fault("PKRU is enabled with nothing but x87 (SDM 1 13.3)");
	check_eq(cpuid(0xd, 9).a, 8, "its component has 8 bytes (SDM 1 13.5.7)");
	check_eq(cpuid(0xd, 0).b, at + 8, "the area ends behind it");
	check_eq(cpuid(0xd, 1).a >> 1 & 1 ? cpuid(0xd, 1).b : 584, 584,
		 "compacted, it comes behind the header");
	wrpkru(0x12345678);
	asm volatile("xsave64 %0" : "+m"(area) : "a"((u32)mask), "d"(0));
	check_eq(*(u32 *)(area + at), 0x12345678, "XSAVE stores PKRU");
	wrpkru(0);
	write_cr4(read_cr4() & ~CR4_PKE);
	cpuid(0, 0);
	asm volatile("xrstor64 %0" : : "m"(area), "a"((u32)mask), "d"(0));
	call_runner(CALL_SLEEP, 1);
	write_cr4(read_cr4() | CR4_PKE);
	check_eq(rdpkru(), 0x12345678, "XRSTOR loads it, without CR4.PKE too");
	*(u64 *)(area + 512) = 0;
	asm volatile("xrstor64 %0" : : "m"(area), "a"((u32)mask), "d"(0));
	check_eq(rdpkru(), 0, "... and 0 where the header has none");
	asm volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	wrpkru(0x777);
	write_cr4(read_cr4() & ~CR4_OSXSAVE);
	call_runner(CALL_SLEEP, 1);
	check_eq(rdpkru(), 0x777, "PKRU stays, with XCR0[9] and OSXSAVE clear again");
	wrpkru(0);
}

/* ---- over exits */

static volatile u32 other_wrong, other_rounds, other_state;

static u32 survives(u32 way, u32 count, u32 first)
{
	u32 wrong = 0, value = first;

	for (u32 i = 0; i < count; i++, value = value * 5 + 1) {
		wrpkru(value);
		leave(way);
		wrong += rdpkru() != value;
	}
	/* Everything is refused to keys: the host still reads our code where it must. */
	wrpkru(~0u);
	leave(way);
	wrong += rdpkru() != ~0u;
	wrpkru(0);
	return wrong;
}

static void other_main(u64 run, u64 khz)
{
	u32 value = 0xdeadbeef;

	while (!READ(other_state))
		pause();
	if (READ(other_state) == 1) {
		write_cr4(read_cr4() | CR4_PKE);
		other_wrong += rdpkru() != 0;
		while (READ(other_state) == 1) {
			wrpkru(value);
			leave(other_rounds % 16 ? EXIT_KERNEL : EXIT_USER);
			other_wrong += rdpkru() != value;
			value = value * 7 + 3;
			other_rounds++;
		}
		other_state = 3;
	}
	for (;;)
		asm volatile("cli\n\thlt");
}

static void over_exits(void)
{
	leave_prepare();
	other_state = 1;
	for (u32 way = 0; way < EXIT_WAYS; way++)
		check_eq(survives(way, way <= EXIT_USER ? 1000 : 40, 0x1234567 + way), 0,
			 leave_names[way]);
	WAIT_FOR(READ(other_rounds) > 200, 20000);
	other_state = 2;
	check(WAIT_FOR(READ(other_state) == 3, 5000), "another vCPU ran meanwhile");
	check(other_rounds > 200, "... and had many exits");
	check_eq(other_wrong, 0, "its PKRU was its own");
}

void guest_main(u32 run)
{
	if (!offered()) {
		other_state = 2;
		return;
	}
	instructions();
	small = split_page(SMALL);
	*table_entry(SMALL, 2) |= PTE_U;
	*table_entry(LARGE, 2) |= PTE_U;
	accesses();
	not_keys();
	at_once();
	device();
	xsave();
	over_exits();
}
