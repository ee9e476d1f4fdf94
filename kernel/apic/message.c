/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Interrupt messages: whom they address, and how they get there. All of it from any thread. */
#include "apic/internal.h"

/* SDM 3A 11.11.1, 11.11.2 */
int apic_message_from_msi(const struct fermata_msi *msi, struct apic_message *message)
{
	u32 address = msi->address;

	if (msi->address >> 20 != 0xfee)
		return -EINVAL;
	message->destination = address >> 12 & 0xff;
	message->logical = address & BIT(2);
	message->shorthand = LAPIC_TO_DESTINATION;
	message->vector = msi->data;
	message->mode = msi->data >> 8 & 7;
	message->assert = msi->data & BIT(14);
	message->level = msi->data & BIT(15);
	if (!message->level)
		message->assert = true;
	if (!message->logical && message->destination == 0xff)
		message->destination = LAPIC_BROADCAST;
	if (message->mode == LAPIC_MODE_REMOTE_READ || message->mode == LAPIC_MODE_SIPI)
		return -EINVAL;
	/* Redirection hint: one of those addressed. */
	if ((address & BIT(3)) && message->mode == LAPIC_MODE_FIXED)
		message->mode = LAPIC_MODE_LOWEST;
	return 0;
}

/* Which combinations there are: SDM 3A table 11-3. */
int apic_message_from_icr(u64 icr, bool x2apic, struct apic_message *message)
{
	u32 low = icr;

	message->destination = x2apic ? icr >> 32 : icr >> 56;
	message->logical = low & ICR_LOGICAL;
	message->shorthand = low >> 18 & 3;
	message->vector = low;
	message->mode = low >> 8 & 7;
	/* A level that is asserted counts as an edge; one that is not, INIT's included, as nothing. */
	message->level = false;
	message->assert = true;
	if (!x2apic && !message->logical && message->destination == 0xff)
		message->destination = LAPIC_BROADCAST;
	if ((low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return -EINVAL;
	switch (message->mode) {
	case LAPIC_MODE_FIXED:
		return 0;
	case LAPIC_MODE_LOWEST:
	case LAPIC_MODE_NMI:
	case LAPIC_MODE_INIT:
	case LAPIC_MODE_SIPI:
		if (message->shorthand == LAPIC_TO_SELF || message->shorthand == LAPIC_TO_ALL)
			return -EINVAL;
		return 0;
	}
	return -EINVAL;
}

/* SDM 3A 11.6.2.2, 11.12.10.1 */
static bool match_logical(const struct apic *target, u32 destination)
{
	u32 ldr = READ_ONCE(target->ldr);

	if (destination == LAPIC_BROADCAST)
		return true;
	if (apic_is_x2apic(target))
		return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
	if (destination >= 0xff)
		return destination == 0xff;
	ldr >>= 24;
	switch (READ_ONCE(target->dfr) >> 28) {
	case DFR_FLAT:
		return destination & ldr;
	case DFR_CLUSTER:
		return destination >> 4 == ldr >> 4 && (destination & ldr & 0xf);
	}
	return false;
}

bool apic_match(const struct apic *target, const struct apic_message *message,
		const struct apic *sender)
{
	if (!apic_enabled(target))
		return false;
	/* SDM 3A 11.4.7.2 */
	if (message->mode <= LAPIC_MODE_LOWEST && !(READ_ONCE(target->svr) & LAPIC_SVR_ENABLE))
		return false;
	switch (message->shorthand) {
	case LAPIC_TO_SELF:
		return target == sender;
	case LAPIC_TO_ALL:
		return true;
	case LAPIC_TO_OTHERS:
		return target != sender;
	}
	if (message->logical)
		return match_logical(target, message->destination);
	return message->destination == LAPIC_BROADCAST || message->destination == target->id;
}

/* Equals take turns by vector, so that a machine full of idle CPUs spreads its devices. */
struct apic *apic_lowest_priority(struct apic *const *targets, u32 count,
				  const struct apic_message *message, const struct apic *sender)
{
	u32 lowest = ~0u, equal = 0, turn, i, priority;

	for (i = 0; i < count; i++) {
		if (!targets[i] || !apic_match(targets[i], message, sender))
			continue;
		priority = READ_ONCE(targets[i]->ppr) >> 4;
		if (priority < lowest) {
			lowest = priority;
			equal = 0;
		}
		equal += priority == lowest;
	}
	if (!equal)
		return NULL;
	turn = message->vector % equal;
	for (i = 0; i < count; i++) {
		if (!targets[i] || !apic_match(targets[i], message, sender))
			continue;
		if (READ_ONCE(targets[i]->ppr) >> 4 <= lowest && !turn--)
			return targets[i];
	}
	/* Priorities moved in between: any that matches will do. */
	for (i = 0; i < count; i++)
		if (targets[i] && apic_match(targets[i], message, sender))
			return targets[i];
	return NULL;
}

static bool post(struct apic *target, u8 vector, bool level)
{
	u32 bit = vector & 63, word = vector >> 6;

	if (level != !!(READ_ONCE(target->posted_level[word]) & BIT_ULL(bit))) {
		if (level)
			host_set_bit(bit, &target->posted_level[word]);
		else
			host_clear_bit(bit, &target->posted_level[word]);
	}
	/* Whoever set it first announces it. */
	if (host_test_and_set_bit(bit, &target->posted[word]))
		return false;
	return !host_test_and_set_bit(LAPIC_ATTN_POSTED, &target->attention);
}

bool apic_deliver(struct apic *target, const struct apic_message *message)
{
	u32 bit;

	if (!apic_enabled(target) || (message->level && !message->assert))
		return false;
	switch (message->mode) {
	case LAPIC_MODE_FIXED:
	case LAPIC_MODE_LOWEST:
		if (message->vector >= 16)
			return post(target, message->vector, message->level);
		bit = LAPIC_ATTN_ILLEGAL;
		break;
	case LAPIC_MODE_NMI:
		bit = LAPIC_ATTN_NMI;
		break;
	case LAPIC_MODE_INIT:
		/* A SIPI from before is for the past: it must not start what this INIT stops. */
		host_clear_bit(LAPIC_ATTN_SIPI, &target->attention);
		bit = LAPIC_ATTN_INIT;
		break;
	case LAPIC_MODE_SIPI:
		host_exchange(&target->sipi_vector, message->vector);
		bit = LAPIC_ATTN_SIPI;
		break;
	case LAPIC_MODE_EXTINT:
		bit = LAPIC_ATTN_EXTINT_MESSAGE;
		break;
	default:
		return false;
	}
	return !host_test_and_set_bit(bit, &target->attention);
}

bool apic_set_line(struct apic *apic, u32 line, bool level)
{
	if (line > FERMATA_LINE_LINT1)
		return false;
	if (!level) {
		if (host_test_and_clear_bit(line, &apic->pins))
			host_set_bit(LAPIC_ATTN_LINES, &apic->attention);
		return false;
	}
	if (host_test_and_set_bit(line, &apic->pins))
		return false;
	host_set_bit(PIN_ROSE + line, &apic->pins);
	/* Kicked whether LINES was set or not: a fall sets it without a kick. */
	host_set_bit(LAPIC_ATTN_LINES, &apic->attention);
	return true;
}
