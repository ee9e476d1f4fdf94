/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The local APIC as the guest sees it: the page, and the MSRs of x2APIC mode. */
#include "apic/internal.h"

/* The 32-bit register word of a 256-bit set. */
static u32 word_of(const u64 set[4], u32 offset)
{
	u32 word = (offset >> 4) & 7;

	return set[word >> 1] >> (32 * (word & 1));
}

/* SDM 3A 11.8.5; the level-triggered pin's own Remote IRR ends here too (11.5.1). */
void apic_eoi(struct apic *apic, struct apic_effects *effects)
{
	u8 vector = apic->isr_highest;
	u64 bit = BIT_ULL(vector & 63);
	u32 word = vector >> 6, *lint0 = &apic->lvt[LVT_LINT0];

	no_effects(effects);
	if (!vector)
		return;
	apic->isr[word] &= ~bit;
	apic->isr_highest = apic_highest(apic->isr);
	if (unlikely(apic->tmr[word] & bit)) {
		effects->eoi_level = true;
		effects->eoi_vector = vector;
		if ((*lint0 & LVT_REMOTE_IRR) && (u8)*lint0 == vector) {
			*lint0 &= ~LVT_REMOTE_IRR;
			apic_look_at_pins(apic);
		}
	}
	apic_update_priority(apic);
}

/* SDM 3A 11.6.2.4, APM 2 16.6.2 */
static u8 arbitration_priority(struct apic *apic)
{
	u8 tpr = apic->tpr & 0xf0, irr, isr = apic->isr_highest & 0xf0;

	apic_merge(apic);
	irr = apic->irr_highest & 0xf0;
	if (tpr >= irr && tpr > isr)
		return apic->tpr;
	return irr > isr ? irr : isr;
}

/* Bits that keep what is written, of the LVT entry at offset. */
u32 apic_lvt_writable(const struct apic *apic, u32 offset)
{
	switch (offset) {
	case LAPIC_LVT_TIMER:
		return apic->allow_deadline ? 0x700ff : 0x300ff;
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
		return 0x107ff;
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		return 0x1a7ff;
	case LAPIC_LVT_ERROR:
		return 0x100ff;
	}
	return 0;
}

static void write_lvt(struct apic *apic, u32 offset, u32 value, const struct guest_clock *clock,
		      u64 guest_tsc, struct apic_effects *effects)
{
	u32 *lvt = &apic->lvt[(offset - LAPIC_LVT_TIMER) >> 4];

	/* What moved a pin before this write belongs to the old entry. */
	apic_merge(apic);
	value &= apic_lvt_writable(apic, offset);
	if (!(apic->svr & LAPIC_SVR_ENABLE))
		value |= LAPIC_LVT_MASKED;
	if (offset == LAPIC_LVT_TIMER) {
		apic_write_lvt_timer(apic, value, clock, guest_tsc);
		effects->timer_changed = true;
		return;
	}
	/* Remote IRR means something for a fixed level only. */
	if ((value & LVT_LEVEL) && LVT_MODE(value) == LAPIC_MODE_FIXED)
		value |= *lvt & LVT_REMOTE_IRR;
	*lvt = value;
	apic_look_at_pins(apic);
	apic_update_priority(apic);
}

static void write_svr(struct apic *apic, u32 value, const struct guest_clock *clock, u64 guest_tsc,
		      struct apic_effects *effects)
{
	u32 i;

	apic_merge(apic);
	WRITE_ONCE(apic->svr, value & SVR_WRITABLE);
	if (value & LAPIC_SVR_ENABLE)
		return;
	apic_timer_advance(apic, clock, guest_tsc);
	for (i = 0; i < LVT_COUNT; i++)
		apic->lvt[i] |= LAPIC_LVT_MASKED;
	apic_timer_arm(apic, clock);
	effects->timer_changed = true;
	apic_look_at_pins(apic);
	apic_update_priority(apic);
}

static void request_self(struct apic *apic, u8 vector)
{
	/* A software-disabled APIC sends, but does not accept (SDM 3A 11.4.7.2). */
	if (!(apic->svr & LAPIC_SVR_ENABLE))
		return;
	if (vector < 16)
		apic_found_error(apic, ESR_RECEIVE_ILLEGAL);
	else
		apic_request(apic, vector, false);
	apic_update_priority(apic);
}

static void send(struct apic *apic, struct apic_effects *effects)
{
	struct apic_message *message = &effects->message;
	u64 icr = (u64)apic->icr_high << 32 | apic->icr;

	if (apic_message_from_icr(icr, apic_is_x2apic(apic), message))
		return;
	if (message->mode <= LAPIC_MODE_LOWEST && message->vector < 16) {
		apic_found_error(apic, ESR_SEND_ILLEGAL);
		apic_update_priority(apic);
	} else if (message->shorthand == LAPIC_TO_SELF) {
		request_self(apic, message->vector);
	} else {
		effects->ipi = true;
	}
}

static void illegal_register(struct apic *apic)
{
	apic_found_error(apic, ESR_REGISTER);
	apic_update_priority(apic);
}

/* A register that both modes have, or xAPIC alone. False: there is none that takes a write. */
static bool write_register(struct apic *apic, u32 offset, u32 value, const struct guest_clock *clock,
			   u64 guest_tsc, struct apic_effects *effects)
{
	u32 count;

	switch (offset) {
	case LAPIC_TPR:
		apic->tpr = value;
		apic_update_priority(apic);
		return true;
	case LAPIC_LDR:
		WRITE_ONCE(apic->ldr, value & 0xff000000u);
		return true;
	case LAPIC_DFR:
		WRITE_ONCE(apic->dfr, value | DFR_ONES);
		return true;
	case LAPIC_SVR:
		write_svr(apic, value, clock, guest_tsc, effects);
		return true;
	case LAPIC_ESR:
		apic_merge(apic);
		apic->esr = apic->esr_found;
		apic->esr_found = 0;
		return true;
	case LAPIC_ICR:
		apic->icr = value & ICR_WRITABLE;
		send(apic, effects);
		return true;
	case LAPIC_ICR_HIGH:
		apic->icr_high = value & 0xff000000u;
		return true;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		write_lvt(apic, offset, value, clock, guest_tsc, effects);
		return true;
	case LAPIC_TIMER_INITIAL:
		/* Not in TSC-deadline mode (SDM 3A 11.5.4.1), nor in one that does not exist. */
		if (TIMER_MODE(apic) > TIMER_PERIODIC)
			return true;
		apic_timer_due(apic, clock, guest_tsc);
		apic->timer_initial = value;
		apic_timer_start(apic, value, clock, guest_tsc);
		effects->timer_changed = true;
		return true;
	case LAPIC_TIMER_DIVIDE:
		/* The count stays, what a tick of it lasts changes. */
		count = apic_timer_count(apic, clock, guest_tsc);
		apic->timer_divide = value & DIVIDE_WRITABLE;
		apic_timer_start(apic, count, clock, guest_tsc);
		effects->timer_changed = true;
		return true;
	}
	return false;
}

/* Registers that exist but do not take writes, or, in case of EOI and SELF IPI, do not give values. */
bool apic_read_register(struct apic *apic, u32 offset, const struct guest_clock *clock,
			u64 guest_tsc, u32 *value)
{
	*value = 0;
	switch (offset) {
	case LAPIC_ID:
		*value = apic_is_x2apic(apic) ? apic->id : apic->id << 24;
		return true;
	case LAPIC_VERSION:
		*value = VERSION;
		return true;
	case LAPIC_TPR:
		*value = apic->tpr;
		return true;
	case LAPIC_PPR:
		*value = apic->ppr;
		return true;
	case LAPIC_LDR:
		*value = apic->ldr;
		return true;
	case LAPIC_SVR:
		*value = apic->svr;
		return true;
	case LAPIC_ISR ... LAPIC_ISR + 0x70:
		*value = word_of(apic->isr, offset);
		return true;
	case LAPIC_TMR ... LAPIC_TMR + 0x70:
		apic_merge(apic);
		*value = word_of(apic->tmr, offset);
		return true;
	case LAPIC_IRR ... LAPIC_IRR + 0x70:
		apic_merge(apic);
		*value = word_of(apic->irr, offset);
		return true;
	case LAPIC_ESR:
		*value = apic->esr;
		return true;
	case LAPIC_ICR:
		*value = apic->icr;
		return true;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		apic_merge(apic);
		*value = apic->lvt[(offset - LAPIC_LVT_TIMER) >> 4];
		return true;
	case LAPIC_TIMER_INITIAL:
		*value = apic->timer_initial;
		return true;
	case LAPIC_TIMER_CURRENT:
		*value = apic_timer_count(apic, clock, guest_tsc);
		return true;
	case LAPIC_TIMER_DIVIDE:
		*value = apic->timer_divide;
		return true;
	}
	return false;
}

u32 apic_read(struct apic *apic, u32 offset, const struct guest_clock *clock, u64 guest_tsc)
{
	u32 value;

	if (apic_read_register(apic, offset, clock, guest_tsc, &value))
		return value;
	switch (offset) {
	case LAPIC_APR:
		return arbitration_priority(apic);
	case LAPIC_DFR:
		return apic->dfr;
	case LAPIC_ICR_HIGH:
		return apic->icr_high;
	case LAPIC_EOI:
	case LAPIC_RRD:
		return 0;
	}
	/* Between the registers, offsets 4..15, anything may be read (SDM 3A 11.4.1). */
	if (!(offset & 0xf))
		illegal_register(apic);
	return 0;
}

void apic_write(struct apic *apic, u32 offset, u32 value, const struct guest_clock *clock,
		u64 guest_tsc, struct apic_effects *effects)
{
	if (likely(offset == LAPIC_EOI)) {
		apic_eoi(apic, effects);
		return;
	}
	no_effects(effects);
	if (write_register(apic, offset, value, clock, guest_tsc, effects) || (offset & 0xf))
		return;
	switch (offset) {
	case LAPIC_ID: /* SDM 3A 11.4.6: not every processor lets software change it */
	case LAPIC_VERSION:
	case LAPIC_APR:
	case LAPIC_PPR:
	case LAPIC_RRD:
	case LAPIC_ISR ... LAPIC_IRR + 0x70:
	case LAPIC_TIMER_CURRENT:
		return;
	}
	illegal_register(apic);
}

/* ------------------------------------------------------------------ x2APIC */

int apic_msr_read(struct apic *apic, u32 msr, u64 *value, const struct guest_clock *clock,
		  u64 guest_tsc)
{
	u32 offset = (msr - LAPIC_MSR_FIRST) << 4, low;

	if (msr < LAPIC_MSR_FIRST || msr > LAPIC_MSR_LAST || !apic_is_x2apic(apic))
		return -EINVAL;
	if (!apic_read_register(apic, offset, clock, guest_tsc, &low))
		return -EINVAL;
	*value = low;
	if (offset == LAPIC_ICR)
		*value |= (u64)apic->icr_high << 32;
	return 0;
}

/* Bits of an x2APIC register that may be 1 in a write; 0 for one that takes 0 only. */
static int msr_allowed(const struct apic *apic, u32 offset, u64 *allowed)
{
	switch (offset) {
	case LAPIC_EOI:
	case LAPIC_ESR:
		*allowed = 0;
		return 0;
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		*allowed = 0xff;
		return 0;
	case LAPIC_SVR:
		*allowed = SVR_WRITABLE;
		return 0;
	case LAPIC_ICR:
		*allowed = 0xffffffff00000000ull | ICR_WRITABLE;
		return 0;
	case LAPIC_TIMER_INITIAL:
		*allowed = 0xffffffff;
		return 0;
	case LAPIC_TIMER_DIVIDE:
		*allowed = DIVIDE_WRITABLE;
		return 0;
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		*allowed = apic_lvt_writable(apic, offset) | LVT_STATUS | LVT_REMOTE_IRR;
		return 0;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_ERROR:
		*allowed = apic_lvt_writable(apic, offset) | LVT_STATUS;
		return 0;
	}
	return -EINVAL;
}

int apic_msr_write(struct apic *apic, u32 msr, u64 value, const struct guest_clock *clock,
		   u64 guest_tsc, struct apic_effects *effects)
{
	u32 offset = (msr - LAPIC_MSR_FIRST) << 4;
	u64 allowed;

	no_effects(effects);
	if (msr < LAPIC_MSR_FIRST || msr > LAPIC_MSR_LAST || !apic_is_x2apic(apic))
		return -EINVAL;
	if (msr_allowed(apic, offset, &allowed) || (value & ~allowed))
		return -EINVAL;
	switch (offset) {
	case LAPIC_EOI:
		apic_eoi(apic, effects);
		return 0;
	case LAPIC_SELF_IPI:
		request_self(apic, value);
		return 0;
	case LAPIC_ICR:
		apic->icr_high = value >> 32;
		break;
	}
	write_register(apic, offset, value, clock, guest_tsc, effects);
	return 0;
}
