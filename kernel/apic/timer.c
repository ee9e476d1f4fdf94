/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The local APIC's timer (SDM 3A 11.5.4). */
#include "apic/internal.h"

static u32 timer_shift(const struct apic *apic)
{
	u32 divide = apic->timer_divide;

	/* 000b: 2, 001b: 4, ... 110b: 128, 111b: 1 (SDM 3A figure 11-10) */
	return (((divide & 3) | (divide >> 1 & 4)) + 1) & 7;
}

/* IA32_TSC_DEADLINE as a TSC of the VM. */
static u64 deadline_tsc(const struct apic *apic)
{
	u64 adjust = apic->tsc_adjust, deadline = apic->tsc_deadline;

	if ((s64)adjust >= 0)
		return deadline > adjust ? deadline - adjust : 0;
	return deadline - adjust < deadline ? CLOCK_NEVER : deadline - adjust;
}

/* Work out timer_tsc anew. clock is not looked at in TSC-deadline mode. */
void apic_timer_arm(struct apic *apic, const struct guest_clock *clock)
{
	apic->timer_tsc = CLOCK_NEVER;
	if (apic->lvt[LVT_TIMER] & LAPIC_LVT_MASKED)
		return;
	if (TIMER_MODE(apic) == TIMER_DEADLINE) {
		if (apic->tsc_deadline)
			apic->timer_tsc = deadline_tsc(apic);
	} else if (apic->timer_ns != CLOCK_NEVER) {
		apic->timer_tsc = clock_tsc_at_ns(clock, apic->timer_ns);
	}
}

void apic_timer_stop(struct apic *apic)
{
	apic->timer_initial = 0;
	apic->timer_ns = CLOCK_NEVER;
	apic->timer_tsc = CLOCK_NEVER;
	apic->tsc_deadline = 0;
}

/*
 * The next zero of a periodic count after now that is worth an interrupt: zeroes lie a period apart
 * and are never moved, so nothing drifts; those closer together than LAPIC_TIMER_MIN_NS are taken
 * several at a time, as the guest would see them with interrupts off. 200 us is the bound that
 * Linux' KVM sets by default (min_timer_period_us): 5,000 timer interrupts a second on the host.
 */
static u64 next_zero(u64 zero, u64 period, u64 now)
{
	u64 stride = period;

	if (period < LAPIC_TIMER_MIN_NS)
		stride = (LAPIC_TIMER_MIN_NS + period - 1) / period * period;
	return zero + ((now - zero) / stride + 1) * stride;
}

/* Bring the timer up to date, masked or not. True when its interrupt got into IRR. */
bool apic_timer_advance(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	u64 now;

	switch (TIMER_MODE(apic)) {
	case TIMER_DEADLINE:
		if (!apic->tsc_deadline || guest_tsc < deadline_tsc(apic))
			return false;
		apic->tsc_deadline = 0;
		break;
	case TIMER_ONE_SHOT:
		if (apic->timer_ns == CLOCK_NEVER || clock_ns(clock, guest_tsc) < apic->timer_ns)
			return false;
		apic->timer_ns = CLOCK_NEVER;
		break;
	case TIMER_PERIODIC:
		now = clock_ns(clock, guest_tsc);
		if (apic->timer_ns == CLOCK_NEVER || now < apic->timer_ns)
			return false;
		apic->timer_ns = next_zero(apic->timer_ns,
					   (u64)apic->timer_initial << timer_shift(apic), now);
		break;
	default:
		return false;
	}
	apic_timer_arm(apic, clock);
	if (!apic_request_local(apic, LVT_TIMER, false))
		return false;
	apic_update_priority(apic);
	return true;
}

/* The current count; never 0 before the timer is due. */
u32 apic_timer_count(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	u32 shift = timer_shift(apic);
	u64 rest, period;

	apic_timer_advance(apic, clock, guest_tsc);
	if (apic->timer_ns == CLOCK_NEVER || TIMER_MODE(apic) > TIMER_PERIODIC)
		return 0;
	rest = apic->timer_ns - clock_ns(clock, guest_tsc);
	if (TIMER_MODE(apic) == TIMER_PERIODIC) {
		period = (u64)apic->timer_initial << shift;
		rest = (rest - 1) % period + 1;
	}
	return (rest + BIT_ULL(shift) - 1) >> shift;
}

void apic_timer_start(struct apic *apic, u32 count, const struct guest_clock *clock, u64 guest_tsc)
{
	apic->timer_ns = CLOCK_NEVER;
	if (count)
		apic->timer_ns = clock_ns(clock, guest_tsc) + ((u64)count << timer_shift(apic));
	apic_timer_arm(apic, clock);
}

bool apic_timer_due(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	if (guest_tsc < apic->timer_tsc)
		return false;
	return apic_timer_advance(apic, clock, guest_tsc);
}

void apic_write_lvt_timer(struct apic *apic, u32 value, const struct guest_clock *clock,
			  u64 guest_tsc)
{
	u32 changed = apic->lvt[LVT_TIMER] ^ value;
	u32 count = apic_timer_count(apic, clock, guest_tsc);

	apic->lvt[LVT_TIMER] = value;
	/* SDM 3A 11.5.4.1: going to or from TSC-deadline mode disarms the timer. */
	if (changed & LVT_TIMER_DEADLINE)
		apic_timer_stop(apic);
	else if (changed & (3u << 17))
		apic_timer_start(apic, count, clock, guest_tsc);
	else
		apic_timer_arm(apic, clock);
}

u64 apic_tsc_deadline(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	apic_timer_advance(apic, clock, guest_tsc);
	return apic->tsc_deadline;
}

void apic_set_tsc_deadline(struct apic *apic, u64 value, struct apic_effects *effects)
{
	no_effects(effects);
	if (TIMER_MODE(apic) != TIMER_DEADLINE)
		return;
	apic->tsc_deadline = value;
	apic_timer_arm(apic, NULL);
	effects->timer_changed = true;
}

void apic_set_tsc_adjust(struct apic *apic, u64 adjust)
{
	apic->tsc_adjust = adjust;
	if (TIMER_MODE(apic) == TIMER_DEADLINE)
		apic_timer_arm(apic, NULL);
}

void apic_clock_changed(struct apic *apic, const struct guest_clock *clock)
{
	apic_timer_arm(apic, clock);
}
