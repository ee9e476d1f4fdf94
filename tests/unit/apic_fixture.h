/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* One local APIC, one clock, and short names for what a guest does to them; each test starts with fresh(). */
#ifndef APIC_FIXTURE_H
#define APIC_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "apic/apic.h"

#define MS 1000000ull

/* At 1,000,000 kHz a tick is a ns, and deadlines can be compared with counts. */
static struct guest_clock guest_clock;
static struct apic apic;
static struct apic_effects effects;
static u64 now;

static u64 random_state = 0x123456789abcdefull;

static inline u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline void write_reg(u32 offset, u32 value)
{
	memset(&effects, 0xa5, sizeof(effects));
	effects.ipi = effects.eoi_level = effects.timer_changed = true;
	apic_write(&apic, offset, value, &guest_clock, now, &effects);
}

static u32 read_reg(u32 offset)
{
	return apic_read(&apic, offset, &guest_clock, now);
}

static inline int write_msr(u32 msr, u64 value)
{
	effects.ipi = effects.eoi_level = effects.timer_changed = true;
	return apic_msr_write(&apic, msr, value, &guest_clock, now, &effects);
}

static inline int read_msr(u32 msr, u64 *value)
{
	return apic_msr_read(&apic, msr, value, &guest_clock, now);
}

static inline void deliver(u8 mode, u8 vector, bool level)
{
	struct apic_message message = {
		.mode = mode, .vector = vector, .level = level, .assert = true
	};

	apic_deliver(&apic, &message);
}

static inline void to_x2apic(struct apic *which)
{
	assert_int_equal(apic_set_base(which, apic_base(which) | LAPIC_BASE_X2APIC), 0);
}

/* An enabled APIC with ID 3. */
static inline int fresh(void **state)
{
	assert_int_equal(clock_init(&guest_clock, 0, 1000000), 0);
	now = 1000;
	apic_init(&apic, 3, false);
	write_reg(LAPIC_SVR, 0x1ff);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

#endif
