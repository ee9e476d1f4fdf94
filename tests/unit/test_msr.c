/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/msr.c: what reads back, what is refused, and what an MSR does. */
#include "core_fixture.h"

#define GP (-EINVAL)

static u64 get(u32 msr)
{
	u64 value = 0xdead;

	assert_int_equal(msr_read(v, msr, &value), 0);
	return value;
}

static void no_read(u32 msr)
{
	u64 value;

	assert_int_equal(msr_read(v, msr, &value), GP);
}

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

#define MSR_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* Every MSR number of the three ranges: nothing outside the list is there, nothing crashes. */
static void unknown(void **state)
{
	static const u32 base[] = { 0, 0xc0000000, 0xc0010000 };
	u32 readable = 0, i, n;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(base); i++) {
		for (n = 0; n < 0x2000; n++)
			readable += !msr_read(v, base[i] + n, &value);
	}
	/* 18 that are listed for AMD, 11 + 16 + 1 MTRRs, and the backend's own */
	assert_int_equal(readable, 18 + 28 + 1);
	no_read(0x17);
	no_read(0x48);
	no_read(0xc0000104);
	no_read(0xc0010117);
	no_read(0xffffffff);
	no_read(0x40000000);
	assert_int_equal(msr_write(v, 0x48, 0), GP);
	assert_int_equal(msr_write(v, 0xda0, 0), GP);
	assert_int_equal(msr_write(v, 0xc0010114, 0), GP);
	assert_int_equal(msr_write(v, 0xc0010117, 0x1000), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_MTRRCAP, 0x508), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_MCG_CAP, 0), GP);
}

static void by_cpuid(void **state)
{
	static const u32 amd[] = { ARCH_MSR_HWCR,   ARCH_MSR_SYSCFG, ARCH_MSR_INT_PENDING,
				   ARCH_MSR_DC_CFG, ARCH_MSR_DE_CFG, ARCH_MSR_VM_CR };
	struct cpuid_table *c = &vm.cpuid;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(amd); i++)
		get(amd[i]);
	no_read(ARCH_MSR_MISC_ENABLE);
	assert_int_equal(msr_write(v, ARCH_MSR_MISC_ENABLE, 1), GP);
	c->amd = false;
	for (i = 0; i < ARRAY_SIZE(amd); i++) {
		no_read(amd[i]);
		assert_int_equal(msr_write(v, amd[i], get(ARCH_MSR_MCG_CAP)), GP);
	}
	assert_int_equal(get(ARCH_MSR_MISC_ENABLE), 1);
	assert_int_equal(get(ARCH_MSR_PLATFORM_ID), 0);

	c->tsc_adjust = c->tsc_deadline = c->rdtscp = c->mtrr = c->mce = c->ibpb = false;
	no_read(ARCH_MSR_TSC_ADJUST);
	no_read(ARCH_MSR_TSC_DEADLINE);
	no_read(ARCH_MSR_TSC_AUX);
	no_read(ARCH_MSR_MTRRCAP);
	no_read(ARCH_MSR_MTRR_DEF_TYPE);
	no_read(ARCH_MSR_MTRR_PHYS_BASE0);
	no_read(ARCH_MSR_MCG_CAP);
	no_read(ARCH_MSR_MCG_STATUS);
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_ADJUST, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_DEADLINE, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_AUX, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_MTRR_DEF_TYPE, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_MCG_STATUS, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_PRED_CMD, 1), GP);
	assert_int_equal(fake_processor.msr_writes, 0);
}

/* IA32_TSC and IA32_TSC_ADJUST move together: SDM 3B 17.17.3. */
static void tsc(void **state)
{
	assert_int_equal(get(ARCH_MSR_TSC), 0); /* the VM was made at this tick */
	host_test.tsc += 1000;
	assert_int_equal(get(ARCH_MSR_TSC), 1000);
	v->dirty = 0;
	assert_int_equal(msr_write(v, ARCH_MSR_TSC, 50000), 0);
	assert_int_equal(get(ARCH_MSR_TSC), 50000);
	assert_int_equal(get(ARCH_MSR_TSC_ADJUST), 49000);
	assert_int_equal(v->guest.tsc_offset, 49000);
	assert_int_equal(v->dirty, DIRTY_TSC_OFFSET);
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_ADJUST, (u64)-500), 0);
	assert_int_equal(get(ARCH_MSR_TSC), 500);
	assert_int_equal(get(ARCH_MSR_TSC_ADJUST), (u64)-500);
	host_test.tsc += 7;
	assert_int_equal(get(ARCH_MSR_TSC), 507);
}

/* A deadline is in the vCPU's TSC, and the host's timer follows it. */
static void deadline(void **state)
{
	assert_int_equal(msr_write(v, ARCH_MSR_TSC, 1000000), 0);
	assert_int_equal(apic_set_base(&v->apic, apic_base(&v->apic) | LAPIC_BASE_X2APIC), 0);
	assert_int_equal(msr_write(v, 0x80f, 0x1ff), 0);
	assert_int_equal(msr_write(v, 0x832, 2u << 17 | 0x40), 0);
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_DEADLINE, 1000300), 0);
	assert_int_equal(get(ARCH_MSR_TSC_DEADLINE), 1000300);
	assert_true(v->timer.armed);
	assert_int_equal(v->timer.host.due_ns - host_test.now_ns, 300);
	/* Moving the TSC moves the distance. */
	assert_int_equal(msr_write(v, ARCH_MSR_TSC, 1000100), 0);
	assert_int_equal(v->timer.host.due_ns - host_test.now_ns, 200);
	host_test_advance(199);
	assert_false(v->requests & BIT(REQUEST_TIMER));
	host_test_advance(1);
	assert_true(v->requests & BIT(REQUEST_TIMER));
	assert_true(host_test.wakes == 1);
}

static void plain(void **state)
{
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_AUX, 0x12345678), 0);
	assert_int_equal(get(ARCH_MSR_TSC_AUX), 0x12345678);
	assert_int_equal(v->thread->tsc_aux, 0x12345678); /* in the CPU as well */
	assert_int_equal(msr_write(v, ARCH_MSR_TSC_AUX, 1ull << 32), GP);
	assert_int_equal(get(ARCH_MSR_TSC_AUX), 0x12345678);

	assert_int_equal(get(ARCH_MSR_PAT), ARCH_PAT_RESET);
	v->dirty = 0;
	assert_int_equal(msr_write(v, ARCH_MSR_PAT, 0x0706050400010600), 0);
	assert_int_equal(get(ARCH_MSR_PAT), 0x0706050400010600);
	assert_int_equal(v->dirty, DIRTY_PAT);
	assert_int_equal(msr_write(v, ARCH_MSR_PAT, 2), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_PAT, 3ull << 56), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_PAT, 8ull << 8), GP);
	assert_int_equal(get(ARCH_MSR_PAT), 0x0706050400010600);

	assert_int_equal(get(ARCH_MSR_MCG_CAP), 0);
	assert_int_equal(msr_write(v, ARCH_MSR_MCG_STATUS, 7), 0);
	assert_int_equal(get(ARCH_MSR_MCG_STATUS), 7);
	assert_int_equal(msr_write(v, ARCH_MSR_MCG_STATUS, 8), GP);

	assert_int_equal(msr_write(v, ARCH_MSR_DEBUGCTL, 3), 0);
	assert_int_equal(get(ARCH_MSR_DEBUGCTL), 3);
	assert_int_equal(msr_write(v, ARCH_MSR_DEBUGCTL, 4), GP);

	assert_int_equal(get(ARCH_MSR_VM_CR), 0x18);
	assert_int_equal(get(ARCH_MSR_UCODE_REV), ~0ull);
	assert_int_equal(msr_write(v, ARCH_MSR_UCODE_REV, 0), 0);
}

static void amd(void **state)
{
	assert_int_equal(get(ARCH_MSR_HWCR), 1u << 24);
	assert_int_equal(msr_write(v, ARCH_MSR_HWCR, get(ARCH_MSR_HWCR) | 8), 0);
	assert_int_equal(get(ARCH_MSR_HWCR), 1u << 24 | 8);
	assert_int_equal(msr_write(v, ARCH_MSR_HWCR, 1), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_SYSCFG, 0x140000), 0);
	assert_int_equal(get(ARCH_MSR_SYSCFG), 0x140000);
	assert_int_equal(msr_write(v, ARCH_MSR_SYSCFG, 0x800000), GP); /* SME's enable */
	assert_int_equal(get(ARCH_MSR_DE_CFG), 2);
	assert_int_equal(msr_write(v, ARCH_MSR_DE_CFG, 2), 0);
	assert_int_equal(msr_write(v, ARCH_MSR_DE_CFG, 0), GP);
}

/* The one MSR write that reaches the processor, and only in the form that was asked for. */
static void ibpb(void **state)
{
	assert_int_equal(msr_write(v, ARCH_MSR_PRED_CMD, 0), 0);
	assert_int_equal(fake_processor.msr_writes, 0);
	assert_int_equal(msr_write(v, ARCH_MSR_PRED_CMD, 2), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_PRED_CMD, 0x81), GP);
	assert_int_equal(fake_processor.msr_writes, 0);
	assert_int_equal(msr_write(v, ARCH_MSR_PRED_CMD, 1), 0);
	assert_int_equal(fake_processor.msr_writes, 1);
	assert_int_equal(*fake_msr(ARCH_MSR_PRED_CMD), 1);
	no_read(ARCH_MSR_PRED_CMD);
}

/* To be read, and by those who are shown it. */
static void arch_capabilities(void **state)
{
	host_test.arch_capabilities = 0x8000060;
	no_read(ARCH_MSR_ARCH_CAPABILITIES);
	vm.cpuid.arch_capabilities = true;
	assert_int_equal(get(ARCH_MSR_ARCH_CAPABILITIES), 0x8000060);
	assert_int_equal(msr_write(v, ARCH_MSR_ARCH_CAPABILITIES, 0x8000060), GP);
}

static void mtrr(void **state)
{
	static const u32 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				     0x26b, 0x26c, 0x26d, 0x26e, 0x26f };
	u64 address = (1ull << vm.cpuid.phys_bits) - 4096;
	u32 i;

	assert_int_equal(get(ARCH_MSR_MTRRCAP), 0x508);
	assert_int_equal(get(ARCH_MSR_MTRR_DEF_TYPE), 0xc06);
	for (i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_int_equal(get(fixed[i]), 0x0606060606060606);
		assert_int_equal(msr_write(v, fixed[i], 0x0006050401000000 + i % 2), 0);
	}
	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		assert_int_equal(get(fixed[i]), 0x0006050401000000 + i % 2);
	assert_int_equal(msr_write(v, 0x250, 7), GP); /* UC- is the PAT's alone */
	assert_int_equal(msr_write(v, 0x250, 2), GP);
	for (i = 0x200; i <= 0x20f; i++) {
		assert_int_equal(get(i), 0);
		assert_int_equal(msr_write(v, i, address | (i & 1 ? 0x800 : 6)), 0);
		assert_int_equal(get(i), address | (i & 1 ? 0x800 : 6));
		assert_int_equal(msr_write(v, i, address << 1 | (i & 1 ? 0x800 : 6)), GP);
	}
	assert_int_equal(msr_write(v, 0x200, 0x100), GP);
	assert_int_equal(msr_write(v, 0x200, 2), GP);
	assert_int_equal(msr_write(v, 0x201, 0x400), GP);
	no_read(0x210);
	no_read(0x251);
	no_read(0x270);
	assert_int_equal(msr_write(v, 0x2ff, 0xc00), 0);
	assert_int_equal(msr_write(v, 0x2ff, 0x100), GP);
	assert_int_equal(msr_write(v, 0x2ff, 0xc02), GP);
	assert_int_equal(get(0x2ff), 0xc00);
}

static void efer(void **state)
{
	v->dirty = 0;
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, ARCH_EFER_SCE | ARCH_EFER_LME), 0);
	assert_int_equal(get(ARCH_MSR_EFER), ARCH_EFER_SCE | ARCH_EFER_LME);
	assert_int_equal(v->dirty, DIRTY_CONTROL);
	assert_int_equal(flushes(), 0);
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, get(ARCH_MSR_EFER) | ARCH_EFER_NXE), 0);
	assert_int_equal(flushes(), 1); /* NXE changes what page tables mean */
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, ARCH_EFER_SVME), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, 1 << 1), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, 1ull << 63), GP);
	/* LMA is not the guest's to write, LME not under paging. */
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, ARCH_EFER_LMA), 0);
	assert_int_equal(get(ARCH_MSR_EFER), 0);
	v->guest.cr0 |= ARCH_CR0_PG;
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, ARCH_EFER_LME), GP);
	v->guest.cr4 |= ARCH_CR4_PAE;
	v->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA;
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_EFER, ARCH_EFER_LME), 0);
	assert_int_equal(get(ARCH_MSR_EFER), ARCH_EFER_LME | ARCH_EFER_LMA);
}

/* x2APIC's MSRs are there in its mode alone; an IPI goes to the vCPU it names. */
static void x2apic(void **state)
{
	u64 base = get(ARCH_MSR_APIC_BASE);

	leave();
	add_vcpu();
	enter();
	no_read(0x802);
	assert_int_equal(msr_write(v, 0x80b, 0), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_APIC_BASE, base | 1ull << 50), GP);
	assert_int_equal(msr_write(v, ARCH_MSR_APIC_BASE, base | LAPIC_BASE_X2APIC), 0);
	assert_int_equal(get(ARCH_MSR_APIC_BASE), base | LAPIC_BASE_X2APIC);
	assert_int_equal(get(0x802), 0);
	no_read(0x80e);
	assert_int_equal(msr_write(v, 0x802, 1), GP);
	assert_int_equal(msr_write(v, 0x830, 1ull << 32 | 0x4500), 0); /* INIT to APIC 1 */
	assert_true(vcpus[1].apic.attention & BIT(LAPIC_ATTN_INIT));
	assert_int_equal(host_test.wakes, 1);
	assert_false(v->apic.attention & BIT(LAPIC_ATTN_INIT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MSR_TEST(unknown),
		MSR_TEST(by_cpuid),
		MSR_TEST(tsc),
		MSR_TEST(deadline),
		MSR_TEST(plain),
		MSR_TEST(amd),
		MSR_TEST(ibpb),
		MSR_TEST(mtrr),
		MSR_TEST(efer),
		MSR_TEST(x2apic),
		MSR_TEST(arch_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
