/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/control.c: control and debug registers, with the faults the manuals ask for. */
#include "core_fixture.h"

#define PG_LONG (ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_PG)

static int begin(void **state)
{
	fresh(state);
	enter();
	return 0;
}

static int end(void **state)
{
	leave();
	return done(state);
}

#define CONTROL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void mov_exit(u8 kind, u8 number, u8 reg)
{
	v->exit = (struct exit){ .kind = kind, .length = 3 };
	v->exit.mov.number = number;
	v->exit.mov.reg = reg;
	v->exit.mov.size = 8;
	v->exit.mov.decoded = true;
	v->advance = 0;
	v->dirty = 0;
	forget_flushes();
}

/* MOV to a control register from RBX. */
static void write_cr(u8 number, u64 value)
{
	mov_exit(EXIT_CR_WRITE, number, FERMATA_RBX);
	regs[FERMATA_RBX] = value;
	assert_int_equal(control_cr_write(v), GO_ON);
}

static void accepted(void)
{
	assert_false(v->waiting.valid);
	assert_int_equal(v->advance, 3);
	assert_true(v->dirty & DIRTY_CONTROL);
}

static void refused(void)
{
	assert_int_equal(v->advance, 0);
	assert_int_equal(v->dirty, 0);
	assert_raised(ARCH_GP, true);
}

/* 64-bit mode with paging. */
static void long_mode(void)
{
	v->guest.cr0 = PG_LONG;
	v->guest.cr4 = ARCH_CR4_PAE;
	v->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA;
	fake_hw(v)->mode = FERMATA_MODE_LONG;
}

static void cr0(void **state)
{
	long_mode();
	write_cr(0, PG_LONG | ARCH_CR0_TS);
	accepted();
	assert_int_equal(flushes(), 0);
	assert_int_equal(v->guest.cr0, PG_LONG | ARCH_CR0_TS);
	write_cr(0, PG_LONG | ARCH_CR0_WP);
	accepted();
	assert_int_equal(flushes(), 0); /* nothing that is cached depends on it */
	/* ET is one whatever is written, undefined bits stay zero. */
	write_cr(0, (PG_LONG & ~ARCH_CR0_ET) | 1 << 6);
	accepted();
	assert_int_equal(v->guest.cr0, PG_LONG);
	write_cr(0, PG_LONG | 1ull << 32);
	refused();
	write_cr(0, PG_LONG & ~ARCH_CR0_PE);
	refused();
	write_cr(0, PG_LONG | ARCH_CR0_NW);
	refused();
	write_cr(0, PG_LONG | ARCH_CR0_NW | ARCH_CR0_CD);
	accepted();
	/* 64-bit mode cannot be left by way of PG. */
	write_cr(0, PG_LONG & ~ARCH_CR0_PG);
	refused();
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	v->guest.cr4 |= ARCH_CR4_PCIDE;
	write_cr(0, PG_LONG & ~ARCH_CR0_PG);
	refused();
	v->guest.cr4 &= ~ARCH_CR4_PCIDE;
	write_cr(0, PG_LONG & ~ARCH_CR0_PG);
	accepted();
	assert_int_equal(v->guest.efer, ARCH_EFER_LME);
	assert_int_equal(flushes(), 1);
}

static void into_long_mode(void **state)
{
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	v->guest.efer = ARCH_EFER_LME;
	write_cr(0, PG_LONG);
	refused(); /* without PAE */
	v->guest.cr4 = ARCH_CR4_PAE;
	write_cr(0, PG_LONG);
	accepted();
	assert_int_equal(v->guest.efer, ARCH_EFER_LME | ARCH_EFER_LMA);
	assert_int_equal(flushes(), 1);
}

/* Outside 64-bit mode the operand has 32 bits, whatever an earlier mode left above them. */
static void narrow_operands(void **state)
{
	u64 rest = 0xabcd000000000000;

	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	write_cr(0, rest | ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_WP);
	accepted();
	write_cr(4, rest | ARCH_CR4_PAE);
	accepted();
	mov_exit(EXIT_DR_WRITE, 7, FERMATA_RBX);
	regs[FERMATA_RBX] = rest | 0x401;
	control_dr_write(v);
	assert_false(v->waiting.valid);
	assert_int_equal(v->guest.dr7, 0x401);
	mov_exit(EXIT_DR_WRITE, 0, FERMATA_RBX);
	regs[FERMATA_RBX] = rest | 0x1234;
	control_dr_write(v);
	assert_int_equal(v->guest.dr[0], 0x1234);
	/* Compatibility mode is as narrow, 64-bit mode is not. */
	long_mode();
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	write_cr(0, rest | PG_LONG | ARCH_CR0_WP);
	accepted();
	fake_hw(v)->mode = FERMATA_MODE_LONG;
	write_cr(0, rest | PG_LONG | ARCH_CR0_WP);
	refused();
	v->guest.dr[1] = rest | 5;
	mov_exit(EXIT_DR_READ, 1, FERMATA_RBX);
	control_dr_read(v);
	assert_int_equal(regs[FERMATA_RBX], rest | 5);
	fake_hw(v)->mode = FERMATA_MODE_PROT32;
	mov_exit(EXIT_DR_READ, 1, FERMATA_RBX);
	control_dr_read(v);
	assert_int_equal(regs[FERMATA_RBX], 5);
}

static void cr4(void **state)
{
	static const u64 flushing[] = { ARCH_CR4_PGE, ARCH_CR4_PSE, ARCH_CR4_SMEP, ARCH_CR4_SMAP };
	u32 i;

	long_mode();
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_OSFXSR);
	accepted();
	assert_int_equal(flushes(), 0);
	for (i = 0; i < ARRAY_SIZE(flushing); i++) {
		write_cr(4, ARCH_CR4_PAE | flushing[i]);
		accepted();
		assert_int_equal(flushes(), 1);
		write_cr(4, ARCH_CR4_PAE);
		accepted();
		assert_int_equal(flushes(), 1);
	}
	write_cr(4, 0);
	refused();
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_PKE);
	refused();
	write_cr(4, ARCH_CR4_PAE | 1 << 13); /* VMXE */
	refused();
	write_cr(4, ARCH_CR4_PAE | 1ull << 40);
	refused();
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_LA57);
	refused(); /* not under paging */
	fake_hw(v)->cr3 = 0x1001;
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_PCIDE);
	refused();
	fake_hw(v)->cr3 = 0x1000;
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_PCIDE);
	accepted();
	fake_hw(v)->cr3 = 0x1001; /* set already: CR3's low bits are the PCID */
	write_cr(4, ARCH_CR4_PAE | ARCH_CR4_PCIDE | ARCH_CR4_PGE);
	accepted();
	v->guest.efer = 0;
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	v->guest.cr4 = 0;
	write_cr(4, ARCH_CR4_PCIDE);
	refused(); /* outside long mode */
	write_cr(4, ARCH_CR4_LA57);
	accepted();
	/* What the guest's CPUID does not offer is reserved. */
	vm.cpuid.cr4_allowed &= ~ARCH_CR4_SMEP;
	write_cr(4, ARCH_CR4_SMEP);
	refused();
	vm.cpuid.cr4_allowed |= ARCH_CR4_PKE;
	write_cr(4, ARCH_CR4_PKE);
	accepted();
	assert_int_equal(flushes(), 1);
}

/* CLTS and LMSW, decoded from their bytes. */
static void older_ways(void **state)
{
	static const u8 clts[] = { 0x0f, 0x06 }, lmsw[] = { 0x0f, 0x01, 0xf3 }; /* BX */
	static const u8 smsw[] = { 0x0f, 0x01, 0xe3 };
	struct exit *x = &v->exit;

	v->guest.cr0 |= ARCH_CR0_TS;
	memcpy(ram + 0x1000, clts, sizeof(clts));
	mov_exit(EXIT_CR_WRITE, 0, 0);
	x->mov.decoded = false;
	x->length = 0;
	assert_int_equal(control_cr_write(v), GO_ON);
	assert_int_equal(v->guest.cr0, ARCH_CR0_PE | ARCH_CR0_ET);
	assert_int_equal(v->advance, 2);
	/* LMSW sets PE and cannot clear it; MP, EM and TS come and go. */
	memcpy(ram + 0x1000, lmsw, sizeof(lmsw));
	mov_exit(EXIT_CR_WRITE, 0, 0);
	x->mov.decoded = false;
	x->length = 0;
	regs[FERMATA_RBX] = 0xfffe;
	assert_int_equal(control_cr_write(v), GO_ON);
	assert_int_equal(v->guest.cr0, ARCH_CR0_PE | ARCH_CR0_ET | 0xe);
	assert_int_equal(v->advance, 3);
	memcpy(ram + 0x1000, smsw, sizeof(smsw));
	mov_exit(EXIT_CR_READ, 0, 0);
	x->mov.decoded = false;
	x->length = 0;
	regs[FERMATA_RBX] = ~0ull;
	v->guest.cr0 |= ARCH_CR0_WP;
	assert_int_equal(control_cr_read(v), GO_ON);
	assert_int_equal((u16)regs[FERMATA_RBX], (u16)v->guest.cr0);
	assert_int_equal(v->advance, 3);
}

static void cr0_read(void **state)
{
	mov_exit(EXIT_CR_READ, 0, FERMATA_R9);
	v->guest.cr0 |= ARCH_CR0_CD;
	assert_int_equal(control_cr_read(v), GO_ON);
	assert_int_equal(regs[FERMATA_R9], v->guest.cr0);
	assert_int_equal(v->advance, 3);
	/* There is no CR5; if it does exit, nothing is made up. */
	mov_exit(EXIT_CR_READ, 5, FERMATA_R9);
	assert_int_equal(control_cr_read(v), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_UNCLAIMED);
	mov_exit(EXIT_CR_WRITE, 5, FERMATA_R9);
	assert_int_equal(control_cr_write(v), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_UNCLAIMED);
}

/* CR2, and reads of CR4, exit where a rule is about them. */
static void cr2_and_cr4(void **state)
{
	fake_hw(v)->cr2 = 0x1234567;
	mov_exit(EXIT_CR_READ, 2, FERMATA_R9);
	assert_int_equal(control_cr_read(v), GO_ON);
	assert_int_equal(regs[FERMATA_R9], 0x1234567);
	assert_int_equal(v->advance, 3);
	mov_exit(EXIT_CR_WRITE, 2, FERMATA_R9);
	regs[FERMATA_R9] = 0x7654321;
	assert_int_equal(control_cr_write(v), GO_ON);
	assert_int_equal(fake_hw(v)->cr2, 0x7654321);
	assert_int_equal(v->advance, 3);
	mov_exit(EXIT_CR_READ, 4, FERMATA_R9);
	v->guest.cr4 = ARCH_CR4_PAE;
	assert_int_equal(control_cr_read(v), GO_ON);
	assert_int_equal(regs[FERMATA_R9], ARCH_CR4_PAE);
}

/* CR3 exits where the CPU cannot let it be. */
static void cr3(void **state)
{
	u32 before = flushes();

	mov_exit(EXIT_CR_WRITE, 3, FERMATA_R9);
	regs[FERMATA_R9] = 0x12345000;
	assert_int_equal(control_cr_write(v), GO_ON);
	assert_int_equal(fake_hw(v)->cr3, 0x12345000);
	assert_int_equal(v->advance, 3);
	assert_true(flushes() > before);
	assert_int_equal(v->tlb.owed, FLUSH_LOCAL);
	mov_exit(EXIT_CR_READ, 3, FERMATA_R9);
	regs[FERMATA_R9] = 0;
	assert_int_equal(control_cr_read(v), GO_ON);
	assert_int_equal(regs[FERMATA_R9], 0x12345000);
	/* beyond the physical width */
	v->guest.efer |= ARCH_EFER_LMA | ARCH_EFER_LME;
	v->waiting.valid = false;
	mov_exit(EXIT_CR_WRITE, 3, FERMATA_R9);
	regs[FERMATA_R9] = 1ull << 60;
	fake_hw(v)->mode = FERMATA_MODE_LONG;
	assert_int_equal(control_cr_write(v), GO_ON);
	assert_true(v->waiting.valid && v->waiting.injection.vector == ARCH_GP);
	assert_int_equal(fake_hw(v)->cr3, 0x12345000);
}

static void debug(u8 number, bool write)
{
	mov_exit(write ? EXIT_DR_WRITE : EXIT_DR_READ, number, FERMATA_RBX);
	assert_int_equal(write ? control_dr_write(v) : control_dr_read(v), GO_ON);
}

static void debug_registers(void **state)
{
	u32 i;

	long_mode();
	for (i = 0; i < 4; i++) {
		regs[FERMATA_RBX] = 0x1000 * (i + 1);
		debug(i, true);
		assert_int_equal(v->dirty, DIRTY_DEBUG);
		assert_int_equal(v->advance, 3);
	}
	for (i = 0; i < 4; i++) {
		debug(i, false);
		assert_int_equal(regs[FERMATA_RBX], 0x1000 * (i + 1));
		assert_int_equal(v->dirty, 0);
	}
	regs[FERMATA_RBX] = 0xffffffff;
	debug(6, true);
	debug(6, false);
	assert_int_equal(regs[FERMATA_RBX], 0xffffefff);
	regs[FERMATA_RBX] = 0;
	debug(4, true); /* is DR6 without CR4.DE */
	debug(6, false);
	assert_int_equal(regs[FERMATA_RBX], ARCH_DR6_FIXED);
	regs[FERMATA_RBX] = 0xffffffff & ~ARCH_DR7_GD;
	debug(5, true);
	debug(7, false);
	assert_int_equal(regs[FERMATA_RBX] & 0xd400, 0x400);
	for (i = 6; i < 8; i++) {
		regs[FERMATA_RBX] = 1ull << 32;
		debug(i, true);
		refused();
	}
	v->guest.cr4 |= ARCH_CR4_DE;
	for (i = 4; i < 6; i++) {
		debug(i, false);
		assert_int_equal(v->advance, 0);
		assert_raised(ARCH_UD, false);
	}
}

/* General detect comes before the access, and switches itself off: SDM 3B 17.2.4. */
static void general_detect(void **state)
{
	long_mode();
	v->guest.dr[2] = 77;
	v->guest.dr7 = ARCH_DR7_FIXED | ARCH_DR7_GD;
	regs[FERMATA_RBX] = 5;
	debug(2, false);
	assert_int_equal(regs[FERMATA_RBX], 5);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_DB, false);
	assert_true(v->guest.dr6 & ARCH_DR6_BD);
	assert_false(v->guest.dr7 & ARCH_DR7_GD);
	assert_int_equal(v->dirty, DIRTY_DEBUG);
	debug(2, false);
	assert_int_equal(regs[FERMATA_RBX], 77);
}

static void set_xcr0(u32 number, u64 value)
{
	v->exit = (struct exit){ .kind = EXIT_XSETBV, .length = 3 };
	v->advance = 0;
	v->dirty = 0;
	regs[FERMATA_RCX] = number;
	regs[FERMATA_RAX] = 0xffffffff00000000 | (u32)value;
	regs[FERMATA_RDX] = 0xffffffff00000000 | value >> 32;
	assert_int_equal(control_xsetbv(v), GO_ON);
}

static void xsetbv(void **state)
{
	static const u64 good[] = { 1, 3, 7, 0xe7 };
	static const u64 bad[] = { 0,	 2,    5,    6,	    0x20,	    0x27,
				   0x67, 0xa7, 0xe3, 0x207, 1ull << 62 | 7, 0xf };
	u32 i;

	long_mode();
	set_xcr0(0, 7);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_UD, false);
	v->guest.cr4 |= ARCH_CR4_OSXSAVE;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		set_xcr0(0, good[i]);
		assert_int_equal(v->advance, 3);
		assert_int_equal(v->guest.xcr0, good[i]);
		assert_int_equal(v->thread->xcr0, good[i]); /* in the CPU as well */
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		set_xcr0(0, bad[i]);
		refused();
		assert_int_equal(v->guest.xcr0, 0xe7);
		assert_int_equal(v->thread->xcr0, 0xe7);
	}
	set_xcr0(1, 1);
	refused();
	vm.cpuid.xcr0_allowed |= ARCH_XCR0_PKRU; /* needs nothing but x87 */
	set_xcr0(0, 0x201);
	assert_int_equal(v->advance, 3);
	assert_int_equal(v->guest.xcr0, 0x201);
	set_xcr0(0, 0x200);
	refused();
	fake_hw(v)->cpl = 3;
	set_xcr0(0, 1);
	refused();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(cr0),
		CONTROL_TEST(into_long_mode),
		CONTROL_TEST(narrow_operands),
		CONTROL_TEST(cr4),
		CONTROL_TEST(older_ways),
		CONTROL_TEST(cr0_read),
		CONTROL_TEST(cr2_and_cr4),
		CONTROL_TEST(cr3),
		CONTROL_TEST(debug_registers),
		CONTROL_TEST(general_detect),
		CONTROL_TEST(xsetbv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
