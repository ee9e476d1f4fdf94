/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "apic/internal.h"

u8 apic_highest(const u64 set[4])
{
	int i;

	for (i = 3; i >= 0; i--)
		if (set[i])
			return 64 * i + 63 - __builtin_clzll(set[i]);
	return 0;
}

/* A bit of attention that the owner alone changes; the locked access is for the neighbours' sake. */
static void attention_set(struct apic *apic, u32 bit, bool on)
{
	if (on == !!(READ_ONCE(apic->attention) & BIT_ULL(bit)))
		return;
	if (on)
		host_set_bit(bit, &apic->attention);
	else
		host_clear_bit(bit, &apic->attention);
}

/* SDM 3A 11.8.3.1 */
void apic_update_priority(struct apic *apic)
{
	u8 isr_class = apic->isr_highest & 0xf0;
	u8 ppr = (apic->tpr & 0xf0) >= isr_class ? apic->tpr : isr_class;

	WRITE_ONCE(apic->ppr, ppr);
	attention_set(apic, LAPIC_ATTN_INTERRUPT, (apic->irr_highest & 0xf0) > (ppr & 0xf0));
}

void apic_request(struct apic *apic, u8 vector, bool level)
{
	u64 bit = BIT_ULL(vector & 63);
	u32 word = vector >> 6;

	apic->irr[word] |= bit;
	if (level)
		apic->tmr[word] |= bit;
	else
		apic->tmr[word] &= ~bit;
	if (vector > apic->irr_highest)
		apic->irr_highest = vector;
}

/* An interrupt of the APIC's own: timer or error, or a fixed one of a pin. True when it got in. */
bool apic_request_local(struct apic *apic, u32 entry, bool level)
{
	u32 lvt = apic->lvt[entry];
	u8 vector = lvt;

	if (lvt & LAPIC_LVT_MASKED)
		return false;
	if (vector < 16) {
		apic_found_error(apic, ESR_RECEIVE_ILLEGAL);
		return false;
	}
	apic_request(apic, vector, level);
	return true;
}

/* One interrupt per write of ESR, which rearms it (SDM 3A 11.5.3). */
void apic_found_error(struct apic *apic, u32 error)
{
	bool armed = !apic->esr_found;

	apic->esr_found |= error;
	if (armed)
		apic_request_local(apic, LVT_ERROR, false);
}

/* Returns whether the pin, as it is now, asks for an INTA cycle. */
static bool look_at_pin(struct apic *apic, u32 line)
{
	bool level = READ_ONCE(apic->pins) & BIT_ULL(line);
	bool rose = host_test_and_clear_bit(PIN_ROSE + line, &apic->pins);
	u32 *lvt = &apic->lvt[LVT_LINT0 + line];

	/* Without an APIC the pins are INTR and NMI (SDM 3A 11.4.3). */
	if (!apic_enabled(apic)) {
		if (line == FERMATA_LINE_LINT0)
			return level;
		if (rose)
			host_set_bit(LAPIC_ATTN_NMI, &apic->attention);
		return false;
	}
	if (*lvt & LAPIC_LVT_MASKED)
		return false;
	switch (LVT_MODE(*lvt)) {
	case LAPIC_MODE_FIXED:
		/* LINT1 knows edges only (SDM 3A 11.5.1, "Trigger Mode"). */
		if (!(*lvt & LVT_LEVEL) || line != FERMATA_LINE_LINT0) {
			if (rose)
				apic_request_local(apic, LVT_LINT0 + line, false);
		} else if (level && !(*lvt & LVT_REMOTE_IRR)) {
			if (apic_request_local(apic, LVT_LINT0 + line, true))
				*lvt |= LVT_REMOTE_IRR;
		}
		return false;
	case LAPIC_MODE_NMI:
		if (rose)
			host_set_bit(LAPIC_ATTN_NMI, &apic->attention);
		return false;
	case LAPIC_MODE_INIT:
		if (rose)
			host_set_bit(LAPIC_ATTN_INIT, &apic->attention);
		return false;
	case LAPIC_MODE_EXTINT:
		return level;
	}
	return false;
}

void apic_look_at_pins(struct apic *apic)
{
	bool lint0, lint1;

	host_clear_bit(LAPIC_ATTN_LINES, &apic->attention);
	lint0 = look_at_pin(apic, FERMATA_LINE_LINT0);
	lint1 = look_at_pin(apic, FERMATA_LINE_LINT1);
	attention_set(apic, LAPIC_ATTN_EXTINT, lint0 || lint1);
}

static void merge_posted(struct apic *apic)
{
	u64 bits;
	int i;

	/* Before the words: a poster sets its word first and this bit second. */
	host_clear_bit(LAPIC_ATTN_POSTED, &apic->attention);
	for (i = 0; i < 4; i++) {
		if (!READ_ONCE(apic->posted[i]))
			continue;
		bits = host_exchange(&apic->posted[i], 0);
		apic->irr[i] |= bits;
		apic->tmr[i] = (apic->tmr[i] & ~bits) | (READ_ONCE(apic->posted_level[i]) & bits);
	}
	apic->irr_highest = apic_highest(apic->irr);
}

void apic_merge_slow(struct apic *apic, u64 attention)
{
	if (attention & ATTN(POSTED))
		merge_posted(apic);
	if (attention & ATTN(LINES))
		apic_look_at_pins(apic);
	if (attention & ATTN(ILLEGAL)) {
		host_clear_bit(LAPIC_ATTN_ILLEGAL, &apic->attention);
		apic_found_error(apic, ESR_RECEIVE_ILLEGAL);
	}
	apic_update_priority(apic);
}

/* ------------------------------------------------------------------ what is due */

int apic_pending(struct apic *apic)
{
	apic_merge(apic);
	return READ_ONCE(apic->attention) & ATTN(INTERRUPT) ? apic->irr_highest : -1;
}

void apic_accept(struct apic *apic, u8 vector)
{
	u64 bit = BIT_ULL(vector & 63);
	u32 word = vector >> 6;

	DEBUG_ASSERT(apic->irr[word] & bit);
	apic->irr[word] &= ~bit;
	apic->isr[word] |= bit;
	if (vector == apic->irr_highest)
		apic->irr_highest = apic_highest(apic->irr);
	if (vector > apic->isr_highest)
		apic->isr_highest = vector;
	apic_update_priority(apic);
}

void apic_take_back(struct apic *apic, u8 vector)
{
	u64 bit = BIT_ULL(vector & 63);
	u32 word = vector >> 6;

	if (!(apic->isr[word] & bit))
		return;
	apic->isr[word] &= ~bit;
	apic->isr_highest = apic_highest(apic->isr);
	apic->irr[word] |= bit;
	if (vector > apic->irr_highest)
		apic->irr_highest = vector;
	apic_update_priority(apic);
}

bool apic_extint_pending(struct apic *apic)
{
	apic_merge(apic);
	return READ_ONCE(apic->attention) & (ATTN(EXTINT) | ATTN(EXTINT_MESSAGE));
}

void apic_extint_accept(struct apic *apic)
{
	/* A pin falls when the 8259 has been asked; a message has to be forgotten here. */
	attention_set(apic, LAPIC_ATTN_EXTINT_MESSAGE, false);
}

bool apic_take_nmi(struct apic *apic)
{
	apic_merge(apic);
	return (READ_ONCE(apic->attention) & ATTN(NMI)) &&
	       host_test_and_clear_bit(LAPIC_ATTN_NMI, &apic->attention);
}

bool apic_take_init(struct apic *apic)
{
	apic_merge(apic);
	return (READ_ONCE(apic->attention) & ATTN(INIT)) &&
	       host_test_and_clear_bit(LAPIC_ATTN_INIT, &apic->attention);
}

bool apic_take_sipi(struct apic *apic, u8 *vector)
{
	if (!(READ_ONCE(apic->attention) & ATTN(SIPI)) ||
	    !host_test_and_clear_bit(LAPIC_ATTN_SIPI, &apic->attention))
		return false;
	*vector = READ_ONCE(apic->sipi_vector);
	return true;
}

void apic_post_startup(struct apic *apic, bool init, bool sipi, u8 vector)
{
	if (init)
		host_set_bit(LAPIC_ATTN_INIT, &apic->attention);
	if (!sipi)
		return;
	host_exchange(&apic->sipi_vector, vector);
	host_set_bit(LAPIC_ATTN_SIPI, &apic->attention);
}

bool apic_has_wakeup(struct apic *apic)
{
	apic_merge(apic);
	/* All that is left, or came meanwhile, wakes. */
	return apic_attention(apic);
}

void apic_set_tpr(struct apic *apic, u8 value)
{
	apic->tpr = value << 4;
	apic_update_priority(apic);
}
