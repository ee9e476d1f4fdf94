/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Registers, priorities, IA32_APIC_BASE, x2APIC. */
#include "apic_fixture.h"

/* ------------------------------------------------------------------ registers */

static void test_reset_values(void **state)
{
	u32 offset;

	apic_init(&apic, 5, true);
	assert_true(apic_base(&apic) == (LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | LAPIC_BASE_BSP));
	assert_int_equal(read_reg(LAPIC_ID), 5u << 24);
	assert_int_equal(read_reg(LAPIC_VERSION), 0x50014);
	assert_int_equal(read_reg(LAPIC_SVR), 0xff);
	assert_int_equal(read_reg(LAPIC_DFR), 0xffffffff);
	assert_int_equal(read_reg(LAPIC_LDR), 0);
	assert_int_equal(read_reg(LAPIC_TPR), 0);
	assert_int_equal(read_reg(LAPIC_PPR), 0);
	for (offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 0x10)
		assert_int_equal(read_reg(offset), LAPIC_LVT_MASKED);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	assert_int_equal(apic_pending(&apic), -1);
	assert_false(apic_attention(&apic));
}

static void test_read_only(void **state)
{
	write_reg(LAPIC_ID, 0xff000000);
	write_reg(LAPIC_VERSION, 0);
	write_reg(LAPIC_PPR, 0xff);
	write_reg(LAPIC_ISR, ~0u);
	write_reg(LAPIC_IRR + 0x70, ~0u);
	write_reg(LAPIC_TIMER_CURRENT, 99);
	assert_int_equal(read_reg(LAPIC_ID), 3u << 24);
	assert_int_equal(read_reg(LAPIC_VERSION), 0x50014);
	assert_int_equal(read_reg(LAPIC_PPR), 0);
	assert_int_equal(read_reg(LAPIC_ISR), 0);
	assert_int_equal(read_reg(LAPIC_IRR + 0x70), 0);
	/* Reading what is only written, and writing what is only read, is no error. */
	assert_int_equal(read_reg(LAPIC_EOI), 0);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0);
}

static void test_writable_bits(void **state)
{
	write_reg(LAPIC_SVR, ~0u);
	assert_int_equal(read_reg(LAPIC_SVR), 0x3ff);
	write_reg(LAPIC_LDR, ~0u);
	assert_int_equal(read_reg(LAPIC_LDR), 0xff000000);
	write_reg(LAPIC_DFR, 0);
	assert_int_equal(read_reg(LAPIC_DFR), 0x0fffffff);
	write_reg(LAPIC_LVT_TIMER, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_TIMER), 0x700ff);
	write_reg(LAPIC_LVT_THERMAL, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_THERMAL), 0x107ff);
	write_reg(LAPIC_LVT_PERF, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_PERF), 0x107ff);
	write_reg(LAPIC_LVT_LINT0, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_LINT0), 0x1a7ff);
	write_reg(LAPIC_LVT_ERROR, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_ERROR), 0x100ff);
	write_reg(LAPIC_TIMER_DIVIDE, ~0u);
	assert_int_equal(read_reg(LAPIC_TIMER_DIVIDE), 0xb);
	write_reg(LAPIC_ICR_HIGH, ~0u);
	assert_int_equal(read_reg(LAPIC_ICR_HIGH), 0xff000000);
	write_reg(LAPIC_ICR, 0x000c4000 | 0x1000 | 0x80); /* busy is never seen */
	assert_int_equal(read_reg(LAPIC_ICR), 0x000c4080);
	write_reg(LAPIC_TPR, 0x1234);
	assert_int_equal(read_reg(LAPIC_TPR), 0x34);
	apic_set_features(&apic, 40, false, false);
	write_reg(LAPIC_LVT_TIMER, ~0u);
	assert_int_equal(read_reg(LAPIC_LVT_TIMER), 0x300ff);
}

static void test_software_disable(void **state)
{
	u32 offset;

	write_reg(LAPIC_LVT_TIMER, 0x40);
	write_reg(LAPIC_LVT_LINT0, 0x700);
	write_reg(LAPIC_TIMER_INITIAL, 500);
	deliver(LAPIC_MODE_FIXED, 0x50, false);
	assert_int_equal(apic_pending(&apic), 0x50);
	write_reg(LAPIC_SVR, 0xff);
	assert_true(effects.timer_changed);
	for (offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 0x10) {
		assert_true(read_reg(offset) & LAPIC_LVT_MASKED);
		write_reg(offset, 0x41);
		assert_int_equal(read_reg(offset), LAPIC_LVT_MASKED | 0x41);
	}
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	/* What was accepted before stays. */
	assert_int_equal(apic_pending(&apic), 0x50);
	write_reg(LAPIC_SVR, 0x1ff);
	assert_true(read_reg(LAPIC_LVT_LINT0) & LAPIC_LVT_MASKED);
}

static void test_errors(void **state)
{
	write_reg(LAPIC_LVT_ERROR, 0x70);
	read_reg(0x40);
	assert_int_equal(apic_pending(&apic), 0x70);
	assert_int_equal(read_reg(LAPIC_ESR), 0); /* not before a write latches it */
	apic_accept(&apic, 0x70);
	write_reg(LAPIC_EOI, 0);
	/* Found again before ESR was written: no second interrupt. */
	write_reg(0x400, 1);
	assert_int_equal(apic_pending(&apic), -1);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x80);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0);
	/* Send illegal vector, which sends nothing. */
	write_reg(LAPIC_ICR, 0x4000 | 15);
	assert_false(effects.ipi);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x20);
	assert_int_equal(apic_pending(&apic), 0x70);
	apic_accept(&apic, 0x70);
	write_reg(LAPIC_EOI, 0);
	/* Receive illegal vector: by message, and by the APIC's own LVT. */
	deliver(LAPIC_MODE_FIXED, 3, false);
	assert_true(apic_attention(&apic));
	assert_int_equal(apic_pending(&apic), 0x70);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x40);
	write_reg(LAPIC_LVT_TIMER, 5);
	write_reg(LAPIC_TIMER_INITIAL, 1);
	now += 100;
	assert_false(apic_timer_due(&apic, &guest_clock, now));
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x40);
	/* An illegal vector in the error entry itself. */
	write_reg(LAPIC_LVT_ERROR, 2);
	read_reg(0x40);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0xc0);
	write_reg(LAPIC_LVT_ERROR, 0x70);
	/* CMCI, SELF IPI and the extended space do not exist in xAPIC mode. */
	write_reg(LAPIC_LVT_CMCI, 0);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x80);
	write_reg(LAPIC_SELF_IPI, 0x60);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0x80);
	assert_int_equal(read_reg(LAPIC_IRR + 0x30) & 1, 0);
	/* Between registers nothing happens. */
	read_reg(0x84);
	write_reg(0x84, 0xff);
	write_reg(LAPIC_ESR, 0);
	assert_int_equal(read_reg(LAPIC_ESR), 0);
}

/* ------------------------------------------------------------------ priorities, against a naive model */

struct model {
	bool irr[256], isr[256], tmr[256];
	u8 tpr;
};

static int model_highest(const bool set[256])
{
	int i;

	for (i = 255; i >= 0; i--)
		if (set[i])
			return i;
	return -1;
}

static u8 model_ppr(const struct model *model)
{
	int isr = model_highest(model->isr);

	if (isr < 0 || model->tpr >> 4 >= isr >> 4)
		return model->tpr;
	return isr & 0xf0;
}

static int model_pending(const struct model *model)
{
	int irr = model_highest(model->irr);

	return irr >= 0 && irr >> 4 > model_ppr(model) >> 4 ? irr : -1;
}

static void test_priorities(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	u32 round, i;
	int vector;
	bool level;

	for (round = 0; round < 200000; round++) {
		vector = 16 + random64() % 240;
		level = random64() & 1;
		switch (random64() % 8) {
		case 0:
		case 1:
			deliver(random64() & 1, vector, level);
			model->irr[vector] = true;
			model->tmr[vector] = level;
			break;
		case 2:
			write_reg(LAPIC_ICR, 1u << 18 | 1u << 14 | vector);
			assert_false(effects.ipi);
			model->irr[vector] = true;
			/* Posted ones are merged when they are asked for, and may be older than this. */
			model->tmr[vector] = false;
			apic_pending(&apic);
			break;
		case 3:
			if (random64() & 1) {
				model->tpr = random64();
				write_reg(LAPIC_TPR, model->tpr);
			} else {
				model->tpr = random64() << 4;
				apic_set_tpr(&apic, model->tpr >> 4);
			}
			assert_int_equal(apic_tpr(&apic), model->tpr >> 4);
			break;
		case 4:
		case 5:
			vector = model_pending(model);
			assert_int_equal(apic_pending(&apic), vector);
			if (vector < 0)
				break;
			apic_accept(&apic, vector);
			model->irr[vector] = false;
			model->isr[vector] = true;
			break;
		default:
			vector = model_highest(model->isr);
			apic_pending(&apic);
			write_reg(LAPIC_EOI, 0);
			if (vector < 0) {
				assert_false(effects.eoi_level);
				break;
			}
			model->isr[vector] = false;
			assert_int_equal(effects.eoi_level, model->tmr[vector]);
			if (effects.eoi_level)
				assert_int_equal(effects.eoi_vector, vector);
		}
		assert_int_equal(apic_pending(&apic), model_pending(model));
		assert_int_equal(read_reg(LAPIC_PPR), model_ppr(model));
		assert_int_equal(apic_attention(&apic), model_pending(model) >= 0);
		if (round % 64)
			continue;
		for (i = 0; i < 256; i++) {
			u32 word = i >> 5 << 4, bit = i & 31;

			assert_int_equal(read_reg(LAPIC_IRR + word) >> bit & 1, model->irr[i]);
			assert_int_equal(read_reg(LAPIC_ISR + word) >> bit & 1, model->isr[i]);
			assert_int_equal(read_reg(LAPIC_TMR + word) >> bit & 1, model->tmr[i]);
		}
	}
	free(model);
}

static void test_arbitration_priority(void **state)
{
	write_reg(LAPIC_TPR, 0x35);
	assert_int_equal(read_reg(LAPIC_APR), 0x35);
	deliver(LAPIC_MODE_FIXED, 0x47, false);
	assert_int_equal(read_reg(LAPIC_APR), 0x40);
	apic_accept(&apic, 0x47);
	assert_int_equal(read_reg(LAPIC_APR), 0x40);
	write_reg(LAPIC_TPR, 0x52);
	assert_int_equal(read_reg(LAPIC_APR), 0x52);
}

/* ------------------------------------------------------------------ IA32_APIC_BASE */

static void test_base_modes(void **state)
{
	/* from, to: 0 disabled, 1 xAPIC, 2 x2APIC, 3 the mode that is none; SDM 3A figure 11-27 */
	static const bool allowed[3][4] = {
		{ true, true, false, false },
		{ true, true, true, false },
		{ true, false, true, false },
	};
	static const u64 value[4] = { LAPIC_BASE_DEFAULT, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE,
				      LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC,
				      LAPIC_BASE_DEFAULT | LAPIC_BASE_X2APIC };
	u32 from, to;

	for (from = 0; from < 3; from++)
		for (to = 0; to < 4; to++) {
			assert_int_equal(apic_restore_base(&apic, value[from]), 0);
			assert_int_equal(apic_set_base(&apic, value[to]),
					 allowed[from][to] ? 0 : -EINVAL);
			assert_true(apic_base(&apic) == value[allowed[from][to] ? to : from]);
		}
	assert_int_equal(apic_restore_base(&apic, value[3]), -EINVAL);
}

static void test_base_bits(void **state)
{
	u64 good = LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE;
	u32 bit;

	apic_set_features(&apic, 40, true, true);
	for (bit = 0; bit < 64; bit++) {
		bool reserved = bit < 8 || bit == 9 || bit >= 40;

		if (bit >= 10 && bit <= 11)
			continue;
		assert_int_equal(apic_set_base(&apic, good ^ 1ull << bit), reserved ? -EINVAL : 0);
		/* Who is the boot processor is not the guest's to say. */
		assert_false(apic_base(&apic) & LAPIC_BASE_BSP);
	}
	apic_set_features(&apic, 40, false, true);
	assert_int_equal(apic_set_base(&apic, good | LAPIC_BASE_X2APIC), -EINVAL);
}

static void test_base_disable(void **state)
{
	struct apic_message message = {
		.mode = LAPIC_MODE_FIXED, .vector = 0x55, .destination = 3, .assert = true
	};

	deliver(LAPIC_MODE_FIXED, 0x60, false);
	assert_true(apic_match(&apic, &message, NULL));
	assert_int_equal(apic_set_base(&apic, LAPIC_BASE_DEFAULT), 0);
	assert_int_equal(apic_pending(&apic), -1);
	assert_false(apic_match(&apic, &message, NULL));
	assert_false(apic_deliver(&apic, &message));
	message.mode = LAPIC_MODE_NMI;
	assert_false(apic_match(&apic, &message, NULL));
	assert_false(apic_attention(&apic));
	/* The pins go straight to the core. */
	assert_true(apic_set_line(&apic, FERMATA_LINE_LINT0, true));
	assert_true(apic_extint_pending(&apic));
	assert_false(apic_set_line(&apic, FERMATA_LINE_LINT0, false));
	assert_false(apic_extint_pending(&apic));
	assert_true(apic_set_line(&apic, FERMATA_LINE_LINT1, true));
	assert_true(apic_take_nmi(&apic));
	assert_false(apic_take_nmi(&apic));
	/* Back again: as after a reset. */
	assert_int_equal(apic_set_base(&apic, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE), 0);
	assert_int_equal(read_reg(LAPIC_SVR), 0xff);
	assert_false(apic_extint_pending(&apic));
}

/* ------------------------------------------------------------------ x2APIC */

static void test_x2apic_access(void **state)
{
	static const u32 readable[] = { 0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f,
					0x828, 0x830, 0x832, 0x833, 0x834, 0x835,
					0x836, 0x837, 0x838, 0x839, 0x83e };
	static const u32 writable[] = { 0x808, 0x80b, 0x80f, 0x828, 0x830, 0x832, 0x833,
					0x834, 0x835, 0x836, 0x837, 0x838, 0x83e, 0x83f };
	u32 msr, i;
	u64 value;
	bool want;

	assert_int_equal(read_msr(0x802, &value), -EINVAL); /* xAPIC mode */
	assert_int_equal(write_msr(0x808, 0), -EINVAL);
	to_x2apic(&apic);
	for (msr = 0x7f0; msr <= 0x910; msr++) {
		want = msr >= 0x810 && msr <= 0x827;
		for (i = 0; i < ARRAY_SIZE(readable); i++)
			want |= readable[i] == msr;
		assert_int_equal(read_msr(msr, &value), want ? 0 : -EINVAL);
		want = false;
		for (i = 0; i < ARRAY_SIZE(writable); i++)
			want |= writable[i] == msr;
		assert_int_equal(write_msr(msr, 0), want ? 0 : -EINVAL);
	}
	assert_int_equal(read_msr(0x802, &value), 0);
	assert_int_equal(value, 3);
}

static void test_x2apic_reserved_bits(void **state)
{
	static const struct {
		u32 msr;
		u64 allowed;
	} regs[] = {
		{ 0x808, 0xff },    { 0x80b, 0 },
		{ 0x80f, 0x3ff },   { 0x828, 0 },
		{ 0x832, 0x710ff }, { 0x833, 0x117ff },
		{ 0x834, 0x117ff }, { 0x835, 0x1f7ff },
		{ 0x836, 0x1f7ff }, { 0x837, 0x110ff },
		{ 0x838, ~0u },	    { 0x83e, 0xb },
		{ 0x83f, 0xff },    { 0x830, 0xffffffff000ccfff },
	};
	u32 i, bit;

	to_x2apic(&apic);
	for (i = 0; i < ARRAY_SIZE(regs); i++)
		for (bit = 0; bit < 64; bit++)
			assert_int_equal(write_msr(regs[i].msr, 1ull << bit),
					 regs[i].allowed >> bit & 1 ? 0 : -EINVAL);
}

static void test_x2apic_icr(void **state)
{
	u64 value;

	to_x2apic(&apic);
	assert_int_equal(write_msr(0x830, 0x1234567800004000ull | 0x41), 0);
	assert_true(effects.ipi);
	assert_true(effects.message.destination == 0x12345678);
	assert_int_equal(effects.message.vector, 0x41);
	assert_int_equal(effects.message.mode, LAPIC_MODE_FIXED);
	assert_int_equal(read_msr(0x830, &value), 0);
	assert_true(value == (0x1234567800004000ull | 0x41));
	/* FFh is an ID like others here */
	write_msr(0x830, 0xff00004041ull);
	assert_true(effects.message.destination == 0xff);
	/* SELF IPI */
	assert_int_equal(write_msr(0x83f, 0x77), 0);
	assert_false(effects.ipi);
	assert_int_equal(apic_pending(&apic), 0x77);
	assert_int_equal(write_msr(0x83f, 0x0f), 0);
	write_msr(0x828, 0);
	read_msr(0x828, &value);
	assert_int_equal(value, 0x40);
	/* EOI */
	apic_accept(&apic, 0x77);
	assert_int_equal(write_msr(0x80b, 0), 0);
	read_msr(0x813, &value);
	assert_int_equal(value, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reset_values),
		TEST(test_read_only),
		TEST(test_writable_bits),
		TEST(test_software_disable),
		TEST(test_errors),
		TEST(test_priorities),
		TEST(test_arbitration_priority),
		TEST(test_base_modes),
		TEST(test_base_bits),
		TEST(test_base_disable),
		TEST(test_x2apic_access),
		TEST(test_x2apic_reserved_bits),
		TEST(test_x2apic_icr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
