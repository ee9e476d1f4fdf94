/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The timer, in its three modes. */
#include "apic_fixture.h"

static void test_divide(void **state)
{
	static const struct {
		u8 reg;
		u32 divide;
	} values[] = { { 0, 2 },  { 1, 4 },  { 2, 8 },	  { 3, 16 },
		       { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 } };
	u32 i;

	write_reg(LAPIC_LVT_TIMER, 0x40);
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		write_reg(LAPIC_TIMER_DIVIDE, values[i].reg);
		write_reg(LAPIC_TIMER_INITIAL, 1000);
		assert_true(effects.timer_changed);
		assert_true(apic_timer_deadline(&apic) == now + 1000 * values[i].divide);
		now += 400 * values[i].divide;
		assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 600);
		now += 600 * values[i].divide - 1;
		assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 1);
		assert_false(apic_timer_due(&apic, &guest_clock, now));
		now++;
		assert_true(apic_timer_due(&apic, &guest_clock, now));
		assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 0);
		assert_false(apic_timer_due(&apic, &guest_clock, now + 1000000));
		assert_int_equal(apic_pending(&apic), 0x40);
		apic_accept(&apic, 0x40);
		write_reg(LAPIC_EOI, 0);
	}
	/* A change on the way keeps the count. */
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	now += 250;
	write_reg(LAPIC_TIMER_DIVIDE, 0);
	assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 750);
	assert_true(apic_timer_deadline(&apic) == now + 1500);
	write_reg(LAPIC_TIMER_INITIAL, 0);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
}

static void test_one_shot_mask(void **state)
{
	write_reg(LAPIC_TIMER_DIVIDE, 0xb);
	write_reg(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | 0x40);
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	now += 300;
	assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 700); /* it counts nevertheless */
	write_reg(LAPIC_LVT_TIMER, 0x40);
	assert_true(apic_timer_deadline(&apic) == now + 700);
	write_reg(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | 0x40);
	now += 5000;
	write_reg(LAPIC_LVT_TIMER, 0x40); /* what it reached while masked is over */
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	assert_int_equal(apic_pending(&apic), -1);
	/* Restarted just when it was due: the old one still counts. */
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	now += 1000;
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	assert_int_equal(apic_pending(&apic), 0x40);
	assert_true(apic_timer_deadline(&apic) == now + 1000);
}

/* However late it is asked, the n-th period ends n periods after the start. */
static void test_periodic_drift(void **state)
{
	u64 start = now, fired = 0, due;

	write_reg(LAPIC_TIMER_DIVIDE, 0xb);
	write_reg(LAPIC_LVT_TIMER, 0x20000 | 0x40);
	write_reg(LAPIC_TIMER_INITIAL, MS);
	while (fired < 5000) {
		due = apic_timer_deadline(&apic);
		assert_true((due - start) % MS == 0);
		assert_true(due > now && due - now <= MS);
		assert_false(apic_timer_due(&apic, &guest_clock, due - 1));
		now = due + random64() % (MS / 2);
		assert_true(apic_timer_due(&apic, &guest_clock, now));
		assert_true(read_reg(LAPIC_TIMER_CURRENT) == MS - (now - start) % MS);
		fired++;
	}
	assert_true((now - start) / MS == fired);
	/* A long sleep: one interrupt, and back in phase. */
	now += 1000 * MS + 17;
	assert_true(apic_timer_due(&apic, &guest_clock, now));
	assert_false(apic_timer_due(&apic, &guest_clock, now));
	due = apic_timer_deadline(&apic);
	assert_true(due > now && due - now <= MS && (due - start) % MS == 0);
}

static void test_periodic_storm(void **state)
{
	static const u32 counts[] = { 1, 3, 10, 999, 70001, 199999, 200000 };
	u64 start, before, fired;
	u32 i;

	write_reg(LAPIC_TIMER_DIVIDE, 0xb);
	write_reg(LAPIC_LVT_TIMER, 0x20000 | 0x40);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		write_reg(LAPIC_TIMER_INITIAL, counts[i]);
		start = now;
		for (fired = 0; now < start + 100 * MS; fired++) {
			before = now;
			now = apic_timer_deadline(&apic);
			if (fired)
				assert_true(now - before >= LAPIC_TIMER_MIN_NS);
			assert_true(now - before < LAPIC_TIMER_MIN_NS + counts[i]);
			assert_true((now - start) % counts[i] == 0);
			assert_true(apic_timer_due(&apic, &guest_clock, now));
		}
		assert_in_range(fired, 100 * MS / (LAPIC_TIMER_MIN_NS + counts[i]),
				100 * MS / LAPIC_TIMER_MIN_NS + 1);
		/* The count itself runs as fast as it was told. */
		now = start + 200 * MS;
		assert_in_range(read_reg(LAPIC_TIMER_CURRENT), 1, counts[i]);
	}
}

static void test_timer_modes(void **state)
{
	write_reg(LAPIC_TIMER_DIVIDE, 0xb);
	write_reg(LAPIC_LVT_TIMER, 0x20000 | 0x40);
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	now += 200;
	write_reg(LAPIC_LVT_TIMER, 0x40); /* to one-shot: counts on */
	assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 800);
	now += 800;
	assert_true(apic_timer_due(&apic, &guest_clock, now));
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	write_reg(LAPIC_LVT_TIMER, 0x20000 | 0x40); /* a count at 0 does not start again */
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	write_reg(LAPIC_TIMER_INITIAL, 1000);
	write_reg(LAPIC_LVT_TIMER, 0x40000 | 0x40); /* to TSC-deadline: disarmed */
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	assert_int_equal(read_reg(LAPIC_TIMER_CURRENT), 0);
	write_reg(LAPIC_TIMER_INITIAL, 77);
	assert_int_equal(read_reg(LAPIC_TIMER_INITIAL), 0);
	write_reg(LAPIC_LVT_TIMER, 0x60000 | 0x40); /* reserved */
	write_reg(LAPIC_TIMER_INITIAL, 77);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	now += 100000;
	assert_false(apic_timer_due(&apic, &guest_clock, ~0ull));
}

static void test_tsc_deadline(void **state)
{
	apic_set_tsc_deadline(&apic, now + 5, &effects); /* not in this mode */
	assert_false(effects.timer_changed);
	assert_true(apic_tsc_deadline(&apic, &guest_clock, now) == 0);
	write_reg(LAPIC_LVT_TIMER, 0x40000 | 0x40);
	apic_set_tsc_deadline(&apic, now + 500, &effects);
	assert_true(effects.timer_changed);
	assert_true(apic_timer_deadline(&apic) == now + 500);
	assert_true(apic_tsc_deadline(&apic, &guest_clock, now) == now + 500);
	assert_false(apic_timer_due(&apic, &guest_clock, now + 499));
	assert_true(apic_timer_due(&apic, &guest_clock, now + 500));
	assert_true(apic_tsc_deadline(&apic, &guest_clock, now + 500) == 0);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	apic_accept(&apic, 0x40);
	write_reg(LAPIC_EOI, 0);
	/* in the past: at once */
	apic_set_tsc_deadline(&apic, 1, &effects);
	assert_true(apic_timer_deadline(&apic) <= now);
	assert_true(apic_timer_due(&apic, &guest_clock, now));
	assert_false(apic_timer_due(&apic, &guest_clock, now));
	/* 0 disarms */
	apic_set_tsc_deadline(&apic, now + 500, &effects);
	apic_set_tsc_deadline(&apic, 0, &effects);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	/* leaving the mode disarms */
	apic_set_tsc_deadline(&apic, now + 500, &effects);
	write_reg(LAPIC_LVT_TIMER, 0x40);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
	write_reg(LAPIC_LVT_TIMER, 0x40000 | 0x40);
	assert_true(apic_tsc_deadline(&apic, &guest_clock, now) == 0);
}

static void test_tsc_adjust(void **state)
{
	write_reg(LAPIC_LVT_TIMER, 0x40000 | 0x40);
	apic_set_tsc_adjust(&apic, 700);
	apic_set_tsc_deadline(&apic, now + 700 + 50, &effects);
	assert_true(apic_timer_deadline(&apic) == now + 50);
	apic_set_tsc_adjust(&apic, 720);
	assert_true(apic_timer_deadline(&apic) == now + 30);
	assert_true(apic_tsc_deadline(&apic, &guest_clock, now) == now + 750);
	apic_set_tsc_adjust(&apic, 0 - 100ull);
	assert_true(apic_timer_deadline(&apic) == now + 850);
	apic_set_tsc_adjust(&apic, 1ull << 62);
	assert_true(apic_timer_deadline(&apic) == 0);
	apic_set_tsc_deadline(&apic, ~0ull - 5, &effects);
	apic_set_tsc_adjust(&apic, 0 - 100ull);
	assert_true(apic_timer_deadline(&apic) == CLOCK_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_divide),	   TEST(test_one_shot_mask), TEST(test_periodic_drift),
		TEST(test_periodic_storm), TEST(test_timer_modes),   TEST(test_tsc_deadline),
		TEST(test_tsc_adjust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
