/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/state.c: what comes out goes in again, and no absurd state gets in at all. */
#include "core_fixture.h"

static struct fermata_state s, t;

static void get_all(struct fermata_state *out)
{
	memset(out, 0xa5, sizeof(*out));
	out->mask = FERMATA_STATE_ALL;
	out->reserved = 0;
	assert_int_equal(vcpu_get_state(v, out), 0);
}

static int set(u32 mask)
{
	s.mask = mask;
	return vcpu_set_state(v, &s);
}

static int begin(void **state)
{
	fresh(state);
	get_all(&s);
	return 0;
}

#define STATE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, done)

/* SDM 3A table 10-1. */
static void after_reset(void **state)
{
	vcpu_reset(v, false);
	get_all(&s);
	assert_int_equal(s.regs.rip, 0xfff0);
	assert_int_equal(s.regs.rflags, 2);
	assert_int_equal(s.segments.cs.selector, 0xf000);
	assert_int_equal(s.segments.cs.base, 0xffff0000);
	assert_int_equal(s.segments.cs.attrib, 0x9b);
	assert_int_equal(s.segments.ss.attrib, 0x93);
	assert_int_equal(s.segments.ss.limit, 0xffff);
	assert_int_equal(s.segments.tr.attrib, 0x8b);
	assert_int_equal(s.segments.idt.limit, 0xffff);
	assert_int_equal(s.control.cr0, 0x60000010);
	assert_int_equal(s.control.cr2 | s.control.cr3 | s.control.cr4 | s.control.efer, 0);
	assert_int_equal(s.control.xcr0, 1);
	assert_int_equal(s.control.apic_base, 0xfee00900);
	assert_int_equal(s.debug.dr6, 0xffff0ff0);
	assert_int_equal(s.debug.dr7, 0x400);
	assert_int_equal(s.msrs.pat, ARCH_PAT_RESET);
	assert_int_equal(s.pending.mp_state, FERMATA_MP_RUNNABLE);
}

/* INIT: the same, but for the caches' mode, XCR0, the MSRs and the FPU. */
static void after_init(void **state)
{
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_CD | ARCH_CR0_PG;
	v->guest.xcr0 = 7;
	v->guest.pat = 0;
	v->guest.dr7 = 0x401;
	v->waiting.nmi = true;
	v->advance = 3;
	fake_hw(v)->nmi_masked = fake_hw(v)->shadow = true;
	vcpu_raise(v, ARCH_UD);
	vcpu_reset(v, true);
	get_all(&s);
	assert_int_equal(s.control.cr0, ARCH_CR0_CD | ARCH_CR0_ET);
	assert_int_equal(s.control.xcr0, 7);
	assert_int_equal(s.msrs.pat, 0);
	assert_int_equal(s.regs.rip, 0xfff0);
	assert_int_equal(s.debug.dr7, 0x400);
	assert_int_equal(s.pending.injection.kind, FERMATA_INJECT_NONE);
	assert_int_equal(s.pending.nmi_pending, 0);
	assert_int_equal(s.pending.nmi_blocked | s.pending.interrupts_blocked, 0);
}

static void round_trip(void **state)
{
	struct fermata_state_segments *g = &s.segments;
	u32 i;

	for (i = 0; i < FERMATA_REGS; i++)
		s.regs.regs[i] = 0x1111111111111111ull * i;
	s.regs.rip = 0xffffffff81000000;
	s.regs.rflags = 0x246;
	g->cs = (struct fermata_segment){ 0x10, 0x29b, 0xffffffff, 0 };
	g->fs.base = 0x7fff12345000;
	g->gs.base = 0xffff888000000000;
	g->gdt = (struct fermata_table){ 0xfffffe0000001000, 0x7f, 0 };
	s.control.cr0 = 0x80050033;
	s.control.cr2 = 0x1234;
	s.control.cr3 = 0x2000;
	s.control.cr4 = ARCH_CR4_PAE | ARCH_CR4_PGE | ARCH_CR4_OSXSAVE;
	s.control.cr8 = 5;
	s.control.efer = ARCH_EFER_SCE | ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE;
	s.control.xcr0 = 7;
	s.debug.dr[3] = 0xffffffff81234567;
	s.debug.dr6 = 0xffff4ff1;
	s.debug.dr7 = 0x4c0;
	s.msrs.lstar = 0xffffffff81800000;
	s.msrs.kernel_gs_base = 0xffff888000000000;
	s.msrs.star = 0x0023001000000000;
	s.msrs.pat = 0x0407050600070106;
	s.msrs.tsc = 0x123456789a;
	s.msrs.tsc_adjust = 0x77;
	s.msrs.tsc_aux = 9;
	s.pending.injection.kind = FERMATA_INJECT_EXCEPTION_CODE;
	s.pending.injection.vector = ARCH_PF;
	s.pending.injection.code = 2;
	s.pending.interrupts_blocked = 1;
	s.pending.nmi_pending = 1;
	s.pending.nmi_blocked = 1;
	s.pending.mp_state = FERMATA_MP_HALTED;
	for (i = 0; i < 512; i++)
		s.xsave.area[i] = i;
	memset(s.xsave.area + 24, 0, 4);
	s.xsave.area[512] = 7;
	s.apic.reg[LAPIC_TPR >> 4] = 0x50; /* is CR8 */
	assert_int_equal(set(FERMATA_STATE_ALL), 0);
	assert_true(flushes() >= 1);
	assert_int_equal(v->dirty & (DIRTY_CONTROL | DIRTY_DEBUG | DIRTY_PAT | DIRTY_CLOCK),
			 DIRTY_CONTROL | DIRTY_DEBUG | DIRTY_PAT | DIRTY_CLOCK);
	get_all(&t);
	t.mask = s.mask;
	assert_memory_equal(&s.regs, &t.regs, sizeof(s.regs));
	assert_memory_equal(&s.segments, &t.segments, sizeof(s.segments));
	assert_memory_equal(&s.control, &t.control, sizeof(s.control));
	assert_memory_equal(&s.debug, &t.debug, sizeof(s.debug));
	assert_memory_equal(&s.msrs, &t.msrs, sizeof(s.msrs));
	assert_memory_equal(&s.pending, &t.pending, sizeof(s.pending));
	assert_memory_equal(&s.xsave, &t.xsave, sizeof(s.xsave));
}

/* The caller's word about RIP ends a step that was pending. */
static void pending_step(void **state)
{
	v->advance = 2;
	get_all(&t);
	assert_int_equal(t.regs.rip, 0x1002);
	s.regs.rip = 0x5000;
	assert_int_equal(set(FERMATA_STATE_REGS), 0);
	assert_int_equal(v->advance, 0);
	assert_int_equal(fake_hw(v)->rip, 0x5000);
}

static void waits(u32 kind, u32 vector, u32 code)
{
	get_all(&t);
	assert_int_equal(t.pending.injection.kind, kind);
	assert_int_equal(t.pending.injection.vector, vector);
	assert_int_equal(t.pending.injection.code, code);
}

/* What an exit interrupted on its way in is still to be delivered, whatever it is: it comes out, and goes in again. */
static void waiting_injections(void **state)
{
	static const struct injection kinds[] = {
		{ .kind = INJECT_INTERRUPT, .vector = 0xe1 },
		{ .kind = INJECT_NMI, .vector = ARCH_NMI },
		{ .kind = INJECT_EXCEPTION, .vector = ARCH_UD },
		{ .kind = INJECT_EXCEPTION, .vector = ARCH_PF, .has_code = true, .code = 2 },
	};
	static const u32 told[] = { FERMATA_INJECT_EXTINT, FERMATA_INJECT_NMI,
				    FERMATA_INJECT_EXCEPTION, FERMATA_INJECT_EXCEPTION_CODE };

	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
		v->waiting.injection = kinds[i];
		v->waiting.valid = true;
		waits(told[i], kinds[i].vector, kinds[i].code);
		assert_int_equal(set(FERMATA_STATE_PENDING), 0); /* s has none */
		assert_false(v->waiting.valid);
		t.mask = FERMATA_STATE_PENDING;
		assert_int_equal(vcpu_set_state(v, &t), 0);
		assert_true(v->waiting.valid);
		assert_memory_equal(&v->waiting.injection, &kinds[i], sizeof(kinds[i]));
	}
	v->waiting.valid = false;
	waits(FERMATA_INJECT_NONE, 0, 0);
}

/* What other processors and the APIC have posted, and nobody has taken yet. */
static void waiting_messages(void **state)
{
	struct apic_message message = { .mode = LAPIC_MODE_NMI, .assert = true };
	u8 vector;

	apic_deliver(&v->apic, &message);
	message.mode = LAPIC_MODE_INIT;
	apic_deliver(&v->apic, &message);
	message.mode = LAPIC_MODE_SIPI;
	message.vector = 0x9a;
	apic_deliver(&v->apic, &message);
	host_set_bit(REQUEST_EOI, &v->requests);
	v->report.eoi_vector = 0x31;
	get_all(&t);
	assert_int_equal(t.pending.nmi_pending, 1);
	assert_int_equal(t.pending.init_pending, 1);
	assert_int_equal(t.pending.sipi_pending, 1);
	assert_int_equal(t.pending.sipi_vector, 0x9a);
	assert_int_equal(t.pending.eoi_pending, 1);
	assert_int_equal(t.pending.eoi_vector, 0x31);
	/* as into a new vCPU */
	assert_true(apic_take_init(&v->apic) && apic_take_sipi(&v->apic, &vector));
	assert_int_equal(set(FERMATA_STATE_PENDING), 0); /* s has none */
	assert_false(v->waiting.nmi || v->requests & BIT(REQUEST_EOI));
	assert_false(apic_take_nmi(&v->apic) || apic_take_init(&v->apic));
	t.mask = FERMATA_STATE_PENDING;
	assert_int_equal(vcpu_set_state(v, &t), 0);
	assert_true(v->waiting.nmi && v->requests & BIT(REQUEST_EOI));
	assert_int_equal(v->report.eoi_vector, 0x31);
	assert_true(apic_take_init(&v->apic) && apic_take_sipi(&v->apic, &vector));
	assert_int_equal(vector, 0x9a);
}

/* Those that have another place in the state, or are a moment's. */
static bool elsewhere(u32 msr)
{
	switch (msr) {
	case ARCH_MSR_TSC:
	case ARCH_MSR_TSC_ADJUST:
	case ARCH_MSR_TSC_DEADLINE:
	case ARCH_MSR_APIC_BASE:
	case ARCH_MSR_EFER:
	case ARCH_MSR_FS_BASE:
	case ARCH_MSR_GS_BASE:
		return true;
	}
	return false;
}

/* Whatever a guest can write to an MSR and reads back is saved, and comes back. */
static void each_msr(void **state)
{
	static const u64 values[] = { 0, 6, 3, 0x800, 0x0605040100060504, 0x40000, 0xc06, 0x1234567 };
	static const u32 base[] = { 0, 0xc0000000, 0xc0010000 };
	u32 saved = 0;

	enter();
	for (u32 n = 0; n < 3 * 0x2000; n++) {
		u32 msr = base[n / 0x2000] + n % 0x2000;
		bool kept = false;

		for (u32 i = 0; i < ARRAY_SIZE(values) && !elsewhere(msr); i++) {
			u64 before, value;

			if (msr_read(v, msr, &before) || before == values[i] ||
			    msr_write(v, msr, values[i]) || msr_read(v, msr, &value) ||
			    value == before)
				continue;
			get_all(&t);
			v->guest.mtrr_def_type = 0;
			memset(v->guest.mtrr_fixed, 0, sizeof(v->guest.mtrr_fixed));
			memset(v->guest.mtrr_variable, 0, sizeof(v->guest.mtrr_variable));
			v->guest.misc_enable = v->guest.debugctl = v->guest.mcg_status =
				v->guest.hwcr = v->guest.syscfg = v->guest.pat = v->guest.tsc_aux =
					0;
			msr_write(v, msr, before);
			t.mask = FERMATA_STATE_MSRS;
			assert_int_equal(vcpu_set_state(v, &t), 0);
			assert_int_equal(msr_read(v, msr, &before), 0);
			assert_int_equal(before, value);
			kept = true;
		}
		saved += kept;
	}
	leave();
	/* PAT, TSC_AUX, DEBUGCTL, MCG_STATUS; MTRRs; by vendor HWCR and SYSCFG, or MISC_ENABLE; the backend's one */
	assert_int_equal(saved, 4 + 28 + (vm.cpuid.amd ? 2 : 1) + 1);
}

#define REFUSED(group, change)                                                                     \
	do {                                                                                       \
		struct fermata_state before;                                                       \
                                                                                                   \
		begin_again();                                                                     \
		get_all(&before);                                                                  \
		change;                                                                            \
		assert_int_equal(set(group), -EINVAL);                                             \
		get_all(&t);                                                                       \
		assert_memory_equal(&before, &t, sizeof(t)); /* nothing has changed */             \
	} while (0)

static void begin_again(void)
{
	get_all(&s);
}

static void absurd_control(void **state)
{
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr0 |= 1ull << 40);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr0 &= ~ARCH_CR0_ET);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr0 = ARCH_CR0_ET | ARCH_CR0_PG);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr0 |= ARCH_CR0_NW);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr3 = 1ull << 63);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr3 = 1ull << vm.cpuid.phys_bits);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr4 = ARCH_CR4_PKE);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr4 = 1 << 13);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr4 = ARCH_CR4_PCIDE);
	REFUSED(FERMATA_STATE_CONTROL, s.control.cr8 = 16);
	REFUSED(FERMATA_STATE_CONTROL, s.control.efer = ARCH_EFER_SVME);
	REFUSED(FERMATA_STATE_CONTROL, s.control.efer = ARCH_EFER_LMA | ARCH_EFER_LME);
	REFUSED(FERMATA_STATE_CONTROL, s.control.efer = 1ull << 20);
	REFUSED(FERMATA_STATE_CONTROL, s.control.xcr0 = 0);
	REFUSED(FERMATA_STATE_CONTROL, s.control.xcr0 = 5);
	REFUSED(FERMATA_STATE_CONTROL, s.control.xcr0 = 0x207);
	REFUSED(FERMATA_STATE_CONTROL, s.control.apic_base |= 1ull << 60);
}

static void absurd_rest(void **state)
{
	REFUSED(FERMATA_STATE_REGS, s.regs.rflags = 1 << 3);
	REFUSED(FERMATA_STATE_REGS, s.regs.rflags = 1ull << 32);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.cs.attrib = FERMATA_SEG_UNUSABLE);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.tr.attrib = FERMATA_SEG_UNUSABLE);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.cs.attrib |= ARCH_SEG_L | ARCH_SEG_DB);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.ds.attrib = 0x2000);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.gs.base = 1ull << 60);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.gdt.limit = 0x10000);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.idt.base = 1ull << 60);
	REFUSED(FERMATA_STATE_SEGMENTS, s.segments.idt.reserved = 1);
	REFUSED(FERMATA_STATE_DEBUG, s.debug.dr6 = 1ull << 32);
	REFUSED(FERMATA_STATE_DEBUG, s.debug.dr7 = 1ull << 32);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.pat = 2);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.tsc_aux = 1ull << 32);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.lstar = 1ull << 60);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.reserved = 1);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.kvm_system_time = 0x1001);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.kvm_wall_clock = 0x1000);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.sfmask = 1ull << 32);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.mtrr_def_type = 2);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.mtrr_fixed[10] = 2);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.mtrr_variable[14] = 2);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.mtrr_variable[15] = 1);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.mcg_status = 8);
	REFUSED(FERMATA_STATE_MSRS, s.msrs.debugctl = 4);
	REFUSED(FERMATA_STATE_MSRS, vm.cpuid.amd ? (s.msrs.misc_enable = 1) : (s.msrs.hwcr = 8));
	REFUSED(FERMATA_STATE_PENDING, s.pending.injection.kind = FERMATA_INJECT_EXCEPTION_CODE + 1);
	REFUSED(FERMATA_STATE_PENDING, s.pending.injection.vector = 256);
	REFUSED(FERMATA_STATE_PENDING, s.pending.injection.reserved = 1);
	REFUSED(FERMATA_STATE_PENDING, s.pending.injection.cr2 = 1);
	REFUSED(FERMATA_STATE_PENDING, (s.pending.injection.kind = FERMATA_INJECT_EXCEPTION,
					s.pending.injection.vector = 2));
	REFUSED(FERMATA_STATE_PENDING, s.pending.nmi_pending = 2);
	REFUSED(FERMATA_STATE_PENDING, s.pending.init_pending = 2);
	REFUSED(FERMATA_STATE_PENDING, s.pending.sipi_vector = 1);
	REFUSED(FERMATA_STATE_PENDING, (s.pending.eoi_pending = 1, s.pending.eoi_vector = 15));
	REFUSED(FERMATA_STATE_PENDING, s.pending.eoi_vector = 16);
	REFUSED(FERMATA_STATE_PENDING, s.pending.mp_state = FERMATA_MP_DEAD);
	REFUSED(FERMATA_STATE_PENDING, s.pending.nmi_blocked = 2);
	REFUSED(FERMATA_STATE_PENDING, s.pending.reserved[6] = 1);
	REFUSED(FERMATA_STATE_ALL + 1, (void)0);
	REFUSED(FERMATA_STATE_REGS, s.reserved = 1);
}

/* What XRSTOR would fault on in the host: SDM 1 13.8.1. */
static void absurd_xsave(void **state)
{
	u32 i;

	REFUSED(FERMATA_STATE_XSAVE, s.xsave.area[26] = 1);  /* MXCSR[16] */
	REFUSED(FERMATA_STATE_XSAVE, s.xsave.area[513] = 2); /* PKRU */
	REFUSED(FERMATA_STATE_XSAVE, s.xsave.area[519] = 0x80);
	for (i = 520; i < 576; i++)
		REFUSED(FERMATA_STATE_XSAVE, s.xsave.area[i] = 1);
}

static void put(u32 at, u64 value)
{
	memcpy(s.xsave.area + at, &value, sizeof(value));
}

static u64 got(u32 at)
{
	u64 value;

	get_all(&t);
	memcpy(&value, t.xsave.area + at, sizeof(value));
	return value;
}

/* PKRU is part of XSAVE's area for the caller alone: component 9, in use when it is not 0. */
static void protection_keys(void **state)
{
	struct fermata_cpuid cpuid;
	u32 i;

	assert_int_equal(got(512) & ARCH_XCR0_PKRU, 0);
	put(512, 3 | ARCH_XCR0_PKRU);
	put(2688, 0xffffffff55555554);
	assert_int_equal(set(FERMATA_STATE_XSAVE), 0);
	assert_int_equal(v->guest.pkru, 0x55555554);
	assert_int_equal(got(512), 3 | ARCH_XCR0_PKRU);
	assert_int_equal(got(2688), 0x55555554);
	v->guest.pkru = 4; /* the guest has been at it */
	assert_int_equal(got(2688), 4);
	v->guest.pkru = 0;
	assert_int_equal(got(512), 3);
	assert_int_equal(got(2688), 0);
	/* What the header does not name is 0. */
	v->guest.pkru = 4;
	put(512, 3);
	assert_int_equal(set(FERMATA_STATE_XSAVE), 0);
	assert_int_equal(v->guest.pkru, 0);
	/* INIT leaves it, reset does not. */
	v->guest.pkru = 5;
	vcpu_reset(v, true);
	assert_int_equal(got(2688), 5);
	vcpu_reset(v, false);
	assert_int_equal(got(2688), 0);
	/* With PKU and without XCR0's bit it can still be moved; without both it cannot. */
	vcpu_destroy(v);
	created = vm.vcpus.count = 0;
	cpuid = *vm.cpuid_supported;
	for (i = 0; i < cpuid.count; i++)
		if (cpuid.entry[i].leaf == 0xd && !cpuid.entry[i].subleaf)
			cpuid.entry[i].eax &= ~ARCH_XCR0_PKRU;
	assert_int_equal(vm_set_cpuid(&vm, &cpuid), 0);
	put(512, 3 | ARCH_XCR0_PKRU);
	add_vcpu();
	assert_int_equal(set(FERMATA_STATE_XSAVE), 0);
	assert_int_equal(v->guest.pkru, 0x55555554);
	vm.cpuid.cr4_allowed &= ~ARCH_CR4_PKE;
	assert_int_equal(set(FERMATA_STATE_XSAVE), -EINVAL);
}

/* The exit of a vCPU in V86 mode or protected mode has an error code, in real mode there is none. */
static void error_codes(void **state)
{
	vcpu_raise_code(v, ARCH_GP, 0x18);
	assert_true(v->waiting.injection.has_code);
	assert_int_equal(v->waiting.injection.code, 0x18);
	v->guest.cr0 &= ~ARCH_CR0_PE;
	vcpu_raise_code(v, ARCH_GP, 0x18);
	assert_int_equal(v->waiting.injection.vector, ARCH_GP);
	assert_false(v->waiting.injection.has_code);
	assert_int_equal(v->waiting.injection.code, 0);
}

/*
 * As if a check above had let all of it through: what reaches XSETBV and XRSTOR is what the host exchanges. The
 * host of the tests refuses what the instructions fault on.
 */
static void unchecked_xsave(void **state)
{
	u64 components = BIT_ULL(62) | BIT_ULL(9) | 7;

	vm.cpuid.xcr0_allowed = ~0ull;
	get_all(&s);
	s.control.cr4 |= ARCH_CR4_OSXSAVE;
	s.control.xcr0 = 0x8000000000060007;
	memcpy(s.xsave.area + 512, &components, sizeof(components));
	vm.cpuid.cr4_allowed = ~0ull;
	assert_int_equal(set(FERMATA_STATE_CONTROL | FERMATA_STATE_XSAVE), 0);
	fake_exit(EXIT_NOTHING, 0);
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.played, 1);
	assert_int_equal(v->thread->xcr0, 7);
	get_all(&t);
	memcpy(&components, t.xsave.area + 512, sizeof(components));
	assert_int_equal(components & ~0x2e7ull, 0);
}

static int begin_with_keys(void **state)
{
	vm_xcr0 = 0x2e7;
	begin(state);
	vm_xcr0 = 0xe7;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STATE_TEST(after_reset),
		STATE_TEST(after_init),
		STATE_TEST(round_trip),
		STATE_TEST(pending_step),
		STATE_TEST(waiting_injections),
		STATE_TEST(waiting_messages),
		STATE_TEST(each_msr),
		STATE_TEST(absurd_control),
		STATE_TEST(absurd_rest),
		STATE_TEST(absurd_xsave),
		cmocka_unit_test_setup_teardown(protection_keys, begin_with_keys, done),
		STATE_TEST(unchecked_xsave),
		STATE_TEST(error_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
