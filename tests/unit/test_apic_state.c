/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Saving and restoring, hostile state and hostile guests. */
#include "apic_fixture.h"

static void test_state_round_trip(void **state)
{
	struct fermata_state_apic saved, again;
	struct apic twin;
	bool x2apic;

	for (x2apic = false;; x2apic = true) {
		fresh(NULL);
		if (x2apic)
			to_x2apic(&apic);
		else
			write_reg(LAPIC_LDR, 0x08000000);
		apic_set_tpr(&apic, 2);
		apic_write(&apic, LAPIC_TIMER_DIVIDE, 0xb, &guest_clock, now, &effects);
		apic_write(&apic, LAPIC_LVT_TIMER, 0x20041, &guest_clock, now, &effects);
		apic_write(&apic, LAPIC_LVT_LINT0, 0x8050, &guest_clock, now, &effects);
		apic_write(&apic, LAPIC_TIMER_INITIAL, 10000, &guest_clock, now, &effects);
		apic_set_line(&apic, FERMATA_LINE_LINT0, true);
		deliver(LAPIC_MODE_FIXED, 0x91, true);
		deliver(LAPIC_MODE_FIXED, 0xa2, false);
		apic_accept(&apic, apic_pending(&apic));
		deliver(LAPIC_MODE_FIXED, 0x33, false);
		now += 1234;
		apic_get_state(&apic, &saved, &guest_clock, now);
		assert_int_equal(saved.reg[LAPIC_TIMER_CURRENT >> 4], 10000 - 1234);
		apic_init(&twin, 3, false);
		assert_int_equal(apic_restore_base(&twin, apic_base(&apic)), 0);
		assert_int_equal(apic_set_state(&twin, &saved, &guest_clock, now), 0);
		apic_get_state(&twin, &again, &guest_clock, now);
		assert_memory_equal(&saved, &again, sizeof(saved));
		assert_int_equal(apic_pending(&twin), apic_pending(&apic));
		assert_true(apic_timer_deadline(&twin) == apic_timer_deadline(&apic));
		assert_memory_equal(apic.irr, twin.irr, sizeof(twin.irr));
		assert_memory_equal(apic.isr, twin.isr, sizeof(twin.isr));
		assert_memory_equal(apic.tmr, twin.tmr, sizeof(twin.tmr));
		if (x2apic)
			break;
	}
}

/* One field of a good state made bad at a time; and what was posted meanwhile is not lost. */
static void test_state_hostile(void **state)
{
	static const struct {
		u32 offset, value;
	} bad[] = {
		{ 0x000, 1 },
		{ LAPIC_ID, 4u << 24 },
		{ LAPIC_ID, 3 },
		{ LAPIC_VERSION, 0 },
		{ LAPIC_TPR, 0x100 },
		{ LAPIC_EOI, 1 },
		{ LAPIC_RRD, 1 },
		{ LAPIC_LDR, 1 },
		{ LAPIC_DFR, 0 },
		{ LAPIC_SVR, 0x400 },
		{ LAPIC_SVR, 0xff },
		{ LAPIC_ISR, 1 },
		{ LAPIC_ISR, 0x8000 },
		{ LAPIC_IRR, 0x8000 },
		{ LAPIC_TMR, 1 },
		{ LAPIC_ESR, 1 },
		{ LAPIC_LVT_CMCI, 0x10000 },
		{ LAPIC_ICR, 0x1000 },
		{ LAPIC_ICR_HIGH, 1 },
		{ LAPIC_LVT_TIMER, 0x80000 },
		{ LAPIC_LVT_TIMER, 0x1000 },
		{ LAPIC_LVT_TIMER, 0x40040 },
		{ LAPIC_LVT_ERROR, 0x20000 },
		{ LAPIC_LVT_LINT0, 0x4000 },
		{ LAPIC_LVT_LINT1, 0xc050 },
		{ LAPIC_LVT_PERF, 0x800 },
		{ LAPIC_TIMER_DIVIDE, 4 },
		{ LAPIC_TIMER_CURRENT, 1001 },
		{ LAPIC_SELF_IPI, 1 },
		{ 0x3a0, 1 },
		{ 0x290, 1 },
		{ 0x040, 1 },
	};
	struct fermata_state_apic good, copy;
	struct apic before;
	u32 i;

	write_reg(LAPIC_LVT_TIMER, 0x40);
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	apic_get_state(&apic, &good, &guest_clock, now);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		copy = good;
		copy.reg[bad[i].offset >> 4] = bad[i].value;
		before = apic;
		assert_int_equal(apic_set_state(&apic, &copy, &guest_clock, now), -EINVAL);
		assert_memory_equal(&before, &apic, sizeof(apic));
	}
	deliver(LAPIC_MODE_FIXED, 0x99, false);
	assert_int_equal(apic_set_state(&apic, &good, &guest_clock, now), 0);
	assert_int_equal(apic_pending(&apic), 0x99);
	/* x2APIC: another form of the ID, and an LDR that cannot be chosen. */
	to_x2apic(&apic);
	assert_int_equal(apic_set_state(&apic, &good, &guest_clock, now), -EINVAL);
	good.reg[LAPIC_ID >> 4] = 3;
	assert_int_equal(apic_set_state(&apic, &good, &guest_clock, now), -EINVAL);
	good.reg[LAPIC_LDR >> 4] = 1 << 3;
	assert_int_equal(apic_set_state(&apic, &good, &guest_clock, now), 0);
}

/* Whatever state is accepted, the APIC can be used, and gives it back. */
static void test_state_random(void **state)
{
	struct fermata_state_apic good, copy, again;
	u32 round, i, taken = 0;
	int vector;

	apic_get_state(&apic, &good, &guest_clock, now);
	for (round = 0; round < 100000; round++) {
		copy = good;
		for (i = random64() % 6; i; i--)
			copy.reg[random64() % 64] ^= 1u << random64() % 32;
		if (apic_set_state(&apic, &copy, &guest_clock, now))
			continue;
		taken++;
		apic_get_state(&apic, &again, &guest_clock, now);
		copy.reg[LAPIC_PPR >> 4] = again.reg[LAPIC_PPR >> 4];
		copy.reg[LAPIC_APR >> 4] = 0;
		assert_memory_equal(&copy, &again, sizeof(copy));
		now += random64() >> 40;
		apic_timer_due(&apic, &guest_clock, now);
		while ((vector = apic_pending(&apic)) >= 0)
			apic_accept(&apic, vector);
		write_reg(random64() % 64 << 4, random64());
		read_reg(random64() % 64 << 4);
	}
	assert_true(taken > 1000);
}

/* A guest that writes anything anywhere, in both modes, while time and messages pass. */
static void test_random_guest(void **state)
{
	struct fermata_state_apic saved;
	u32 round, msr;
	u64 value, tsc;
	int vector;

	for (round = 0; round < 300000; round++) {
		value = random64() >> random64() % 64;
		msr = 0x800 + random64() % 64;
		switch (random64() % 12) {
		case 0:
			apic_set_base(&apic, LAPIC_BASE_DEFAULT | (value & 3) << 10);
			break;
		case 1:
			apic_set_tsc_deadline(&apic, value, &effects);
			break;
		case 2:
			apic_set_tsc_adjust(&apic, value);
			break;
		case 3:
			now += random64() >> (24 + random64() % 40);
			apic_timer_due(&apic, &guest_clock, now);
			break;
		case 4:
			deliver(value & 7, random64(), value & 8);
			break;
		case 5:
			apic_set_line(&apic, value & 1, value & 2);
			break;
		case 6:
			if ((vector = apic_pending(&apic)) >= 0)
				apic_accept(&apic, vector);
			break;
		case 7:
			write_reg(LAPIC_SVR, 0x1ff);
			break;
		default:
			if (apic_is_x2apic(&apic)) {
				write_msr(msr, value);
				read_msr(msr, &value);
			} else if (apic_enabled(&apic)) {
				write_reg((msr & 0x3f) << 4, value);
				read_reg((msr & 0x3f) << 4);
			}
		}
		tsc = apic_timer_deadline(&apic);
		if (tsc != CLOCK_NEVER && tsc <= now) {
			apic_timer_due(&apic, &guest_clock, now);
			assert_true(apic_timer_deadline(&apic) > now);
		}
		if (round % 16)
			continue;
		apic_get_state(&apic, &saved, &guest_clock, now);
		assert_int_equal((saved.reg[LAPIC_IRR >> 4] | saved.reg[LAPIC_ISR >> 4]) & 0xffff,
				 0);
		assert_int_equal(apic_set_state(&apic, &saved, &guest_clock, now), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_state_round_trip),
		TEST(test_state_hostile),
		TEST(test_state_random),
		TEST(test_random_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
