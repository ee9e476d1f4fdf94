/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The local APIC as user space saves and restores it. */
#include "apic/internal.h"

#define REG(state, offset) ((state)->reg[(offset) >> 4])

void apic_get_state(struct apic *apic, struct fermata_state_apic *state,
		    const struct guest_clock *clock, u64 guest_tsc)
{
	u32 i, value;

	memset(state, 0, sizeof(*state));
	/* It may raise the timer's interrupt, which then is in IRR below. */
	REG(state, LAPIC_TIMER_CURRENT) = apic_timer_count(apic, clock, guest_tsc);
	apic_merge(apic);
	for (i = 0; i < ARRAY_SIZE(state->reg); i++)
		if (apic_read_register(apic, i << 4, clock, guest_tsc, &value))
			state->reg[i] = value;
	REG(state, LAPIC_DFR) = apic->dfr;
	REG(state, LAPIC_ICR_HIGH) = apic->icr_high;
}

/* The registers that may be other than 0; PPR and APR follow from others and are not looked at. */
#define HAS(offset) BIT_ULL((offset) >> 4)
#define STATE_REGISTERS                                                                            \
	(HAS(LAPIC_ID) | HAS(LAPIC_VERSION) | HAS(LAPIC_TPR) | HAS(LAPIC_APR) | HAS(LAPIC_PPR) |   \
	 HAS(LAPIC_LDR) | HAS(LAPIC_DFR) | HAS(LAPIC_SVR) | 0xffull << (LAPIC_ISR >> 4) |          \
	 0xffull << (LAPIC_TMR >> 4) | 0xffull << (LAPIC_IRR >> 4) | HAS(LAPIC_ESR) |              \
	 HAS(LAPIC_ICR) | HAS(LAPIC_ICR_HIGH) | 0x3full << (LAPIC_LVT_TIMER >> 4) |                \
	 HAS(LAPIC_TIMER_INITIAL) | HAS(LAPIC_TIMER_CURRENT) | HAS(LAPIC_TIMER_DIVIDE))

static void set_from_words(u64 set[4], const u32 *reg)
{
	int i;

	for (i = 0; i < 4; i++)
		set[i] = reg[2 * i] | (u64)reg[2 * i + 1] << 32;
}

static bool lvt_valid(const struct apic *apic, const struct fermata_state_apic *state, u32 offset)
{
	u32 lvt = REG(state, offset), allowed = apic_lvt_writable(apic, offset);

	if (offset == LAPIC_LVT_LINT0 && LVT_MODE(lvt) == LAPIC_MODE_FIXED && (lvt & LVT_LEVEL))
		allowed |= LVT_REMOTE_IRR;
	if (lvt & ~allowed)
		return false;
	return (lvt & LAPIC_LVT_MASKED) || (REG(state, LAPIC_SVR) & LAPIC_SVR_ENABLE);
}

static bool state_valid(const struct apic *apic, const struct fermata_state_apic *state)
{
	bool x2apic = apic_is_x2apic(apic);
	u32 offset, timer_mode = REG(state, LAPIC_LVT_TIMER) >> 17 & 3;

	for (offset = 0; offset < 0x400; offset += 0x10)
		if (REG(state, offset) && !(STATE_REGISTERS & HAS(offset)))
			return false;
	/* Vectors 0..15 never get in. */
	if ((REG(state, LAPIC_ISR) | REG(state, LAPIC_TMR) | REG(state, LAPIC_IRR)) & 0xffff)
		return false;
	for (offset = LAPIC_LVT_TIMER; offset <= LAPIC_LVT_ERROR; offset += 0x10)
		if (!lvt_valid(apic, state, offset))
			return false;
	if (REG(state, LAPIC_ID) != (x2apic ? apic->id : apic->id << 24) ||
	    REG(state, LAPIC_VERSION) != VERSION || (REG(state, LAPIC_TPR) & ~0xffu) ||
	    (REG(state, LAPIC_SVR) & ~SVR_WRITABLE) ||
	    (REG(state, LAPIC_ESR) & ~(ESR_SEND_ILLEGAL | ESR_RECEIVE_ILLEGAL | ESR_REGISTER)) ||
	    (REG(state, LAPIC_ICR) & ~ICR_WRITABLE) ||
	    (REG(state, LAPIC_TIMER_DIVIDE) & ~DIVIDE_WRITABLE))
		return false;
	if (x2apic ? REG(state, LAPIC_LDR) != x2apic_ldr(apic->id) :
		     (REG(state, LAPIC_LDR) | REG(state, LAPIC_ICR_HIGH)) & 0xffffff)
		return false;
	if ((REG(state, LAPIC_DFR) & DFR_ONES) != DFR_ONES)
		return false;
	if (timer_mode > TIMER_PERIODIC)
		return !REG(state, LAPIC_TIMER_INITIAL) && !REG(state, LAPIC_TIMER_CURRENT);
	return REG(state, LAPIC_TIMER_CURRENT) <= REG(state, LAPIC_TIMER_INITIAL);
}

int apic_set_state(struct apic *apic, const struct fermata_state_apic *state,
		   const struct guest_clock *clock, u64 guest_tsc)
{
	u32 i;

	if (!state_valid(apic, state))
		return -EINVAL;
	/* Posted messages are still on their way and stay; what was merged belongs to the old state. */
	set_from_words(apic->isr, &REG(state, LAPIC_ISR));
	set_from_words(apic->tmr, &REG(state, LAPIC_TMR));
	set_from_words(apic->irr, &REG(state, LAPIC_IRR));
	apic->irr_highest = apic_highest(apic->irr);
	apic->isr_highest = apic_highest(apic->isr);
	apic->tpr = REG(state, LAPIC_TPR);
	WRITE_ONCE(apic->ldr, REG(state, LAPIC_LDR));
	WRITE_ONCE(apic->dfr, REG(state, LAPIC_DFR));
	WRITE_ONCE(apic->svr, REG(state, LAPIC_SVR));
	apic->esr = REG(state, LAPIC_ESR);
	apic->esr_found = 0;
	apic->icr = REG(state, LAPIC_ICR);
	apic->icr_high = REG(state, LAPIC_ICR_HIGH);
	for (i = 0; i < LVT_COUNT; i++)
		apic->lvt[i] = REG(state, LAPIC_LVT_TIMER + (i << 4));
	apic_timer_stop(apic);
	apic->timer_divide = REG(state, LAPIC_TIMER_DIVIDE);
	apic->timer_initial = REG(state, LAPIC_TIMER_INITIAL);
	apic_timer_start(apic, REG(state, LAPIC_TIMER_CURRENT), clock, guest_tsc);
	apic_look_at_pins(apic);
	apic_update_priority(apic);
	return 0;
}
