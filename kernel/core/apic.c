/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "apic.h"

/* Version 14h, six LVT entries, no suppression of EOI broadcasts, no extended space (SDM 3A 11.4.8). */
#define VERSION 0x00050014u

#define SVR_WRITABLE 0x3ffu
#define DIVIDE_WRITABLE 0xbu
#define DFR_ONES 0x0fffffffu
#define DFR_FLAT 0xfu
#define DFR_CLUSTER 0x0u

/* ESR (SDM 3A 11.5.3) */
#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_REGISTER (1u << 7)

/* LVT (SDM 3A 11.5.1) */
#define LVT_TIMER 0
#define LVT_LINT0 3
#define LVT_ERROR 5
#define LVT_COUNT 6
#define LVT_STATUS (1u << 12) /* delivery status: read-only, always idle here */
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_LEVEL (1u << 15)
#define LVT_TIMER_DEADLINE (1u << 18)
#define LVT_MODE(lvt) (((lvt) >> 8) & 7)

enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE, TIMER_RESERVED };
#define TIMER_MODE(apic) (((apic)->lvt[LVT_TIMER] >> 17) & 3)

/* ICR (SDM 3A 11.6.1, 11.12.9) */
#define ICR_WRITABLE 0x000ccfffu
#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)

#define PIN_ROSE 8

#define ATTN(name) BIT_ULL(LAPIC_ATTN_##name)
#define ATTN_MERGE (ATTN(POSTED) | ATTN(LINES) | ATTN(ILLEGAL))

static u8 highest(const u64 set[4])
{
	int i;

	for (i = 3; i >= 0; i--)
		if (set[i])
			return 64 * i + 63 - __builtin_clzll(set[i]);
	return 0;
}

/* The 32-bit register word of a 256-bit set. */
static u32 word_of(const u64 set[4], u32 offset)
{
	u32 word = (offset >> 4) & 7;

	return set[word >> 1] >> (32 * (word & 1));
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
static void update_priority(struct apic *apic)
{
	u8 isr_class = apic->isr_highest & 0xf0;
	u8 ppr = (apic->tpr & 0xf0) >= isr_class ? apic->tpr : isr_class;

	WRITE_ONCE(apic->ppr, ppr);
	attention_set(apic, LAPIC_ATTN_INTERRUPT, (apic->irr_highest & 0xf0) > (ppr & 0xf0));
}

static void request(struct apic *apic, u8 vector, bool level)
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

static void found_error(struct apic *apic, u32 error);

/* An interrupt of the APIC's own: timer or error, or a fixed one of a pin. True when it got in. */
static bool request_local(struct apic *apic, u32 entry, bool level)
{
	u32 lvt = apic->lvt[entry];
	u8 vector = lvt;

	if (lvt & LAPIC_LVT_MASKED)
		return false;
	if (vector < 16) {
		found_error(apic, ESR_RECEIVE_ILLEGAL);
		return false;
	}
	request(apic, vector, level);
	return true;
}

/* One interrupt per write of ESR, which rearms it (SDM 3A 11.5.3). */
static void found_error(struct apic *apic, u32 error)
{
	bool armed = !apic->esr_found;

	apic->esr_found |= error;
	if (armed)
		request_local(apic, LVT_ERROR, false);
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
				request_local(apic, LVT_LINT0 + line, false);
		} else if (level && !(*lvt & LVT_REMOTE_IRR)) {
			if (request_local(apic, LVT_LINT0 + line, true))
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

static void look_at_pins(struct apic *apic)
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
	apic->irr_highest = highest(apic->irr);
}

static void merge_slow(struct apic *apic, u64 attention)
{
	if (attention & ATTN(POSTED))
		merge_posted(apic);
	if (attention & ATTN(LINES))
		look_at_pins(apic);
	if (attention & ATTN(ILLEGAL)) {
		host_clear_bit(LAPIC_ATTN_ILLEGAL, &apic->attention);
		found_error(apic, ESR_RECEIVE_ILLEGAL);
	}
	update_priority(apic);
}

static inline void merge(struct apic *apic)
{
	u64 attention = READ_ONCE(apic->attention);

	if (attention & ATTN_MERGE)
		merge_slow(apic, attention);
}

/* ------------------------------------------------------------------ timer */

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
static void timer_arm(struct apic *apic, const struct guest_clock *clock)
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

static void timer_stop(struct apic *apic)
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
static bool timer_advance(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
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
	timer_arm(apic, clock);
	if (!request_local(apic, LVT_TIMER, false))
		return false;
	update_priority(apic);
	return true;
}

/* The current count; never 0 before the timer is due. */
static u32 timer_count(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	u32 shift = timer_shift(apic);
	u64 rest, period;

	timer_advance(apic, clock, guest_tsc);
	if (apic->timer_ns == CLOCK_NEVER || TIMER_MODE(apic) > TIMER_PERIODIC)
		return 0;
	rest = apic->timer_ns - clock_ns(clock, guest_tsc);
	if (TIMER_MODE(apic) == TIMER_PERIODIC) {
		period = (u64)apic->timer_initial << shift;
		rest = (rest - 1) % period + 1;
	}
	return (rest + BIT_ULL(shift) - 1) >> shift;
}

static void timer_start(struct apic *apic, u32 count, const struct guest_clock *clock, u64 guest_tsc)
{
	apic->timer_ns = CLOCK_NEVER;
	if (count)
		apic->timer_ns = clock_ns(clock, guest_tsc) + ((u64)count << timer_shift(apic));
	timer_arm(apic, clock);
}

bool apic_timer_due(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	if (guest_tsc < apic->timer_tsc)
		return false;
	return timer_advance(apic, clock, guest_tsc);
}

static void write_lvt_timer(struct apic *apic, u32 value, const struct guest_clock *clock,
			    u64 guest_tsc)
{
	u32 changed = apic->lvt[LVT_TIMER] ^ value;
	u32 count = timer_count(apic, clock, guest_tsc);

	apic->lvt[LVT_TIMER] = value;
	/* SDM 3A 11.5.4.1: going to or from TSC-deadline mode disarms the timer. */
	if (changed & LVT_TIMER_DEADLINE)
		timer_stop(apic);
	else if (changed & (3u << 17))
		timer_start(apic, count, clock, guest_tsc);
	else
		timer_arm(apic, clock);
}

u64 apic_tsc_deadline(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc)
{
	timer_advance(apic, clock, guest_tsc);
	return apic->tsc_deadline;
}

void apic_set_tsc_deadline(struct apic *apic, u64 value, struct apic_effects *effects)
{
	effects->ipi = false;
	effects->eoi_level = false;
	effects->timer_changed = false;
	if (TIMER_MODE(apic) != TIMER_DEADLINE)
		return;
	apic->tsc_deadline = value;
	timer_arm(apic, NULL);
	effects->timer_changed = true;
}

void apic_set_tsc_adjust(struct apic *apic, u64 adjust)
{
	apic->tsc_adjust = adjust;
	if (TIMER_MODE(apic) == TIMER_DEADLINE)
		timer_arm(apic, NULL);
}

/* ------------------------------------------------------------------ life, IA32_APIC_BASE */

/* SDM 3A 11.12.10.2: cluster in 31:16, one bit of 16 in 15:0. */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

void apic_init(struct apic *apic, u32 id, bool bsp)
{
	memset(apic, 0, sizeof(*apic));
	apic->id = id;
	apic->bsp = bsp;
	apic_set_features(apic, 48, true, true);
	apic_reset(apic, false);
}

void apic_set_features(struct apic *apic, u32 phys_bits, bool x2apic, bool tsc_deadline)
{
	apic->phys_bits = phys_bits;
	apic->allow_x2apic = x2apic;
	apic->allow_deadline = tsc_deadline;
}

static void reset_registers(struct apic *apic)
{
	static const u32 forgotten[] = { LAPIC_ATTN_POSTED, LAPIC_ATTN_NMI, LAPIC_ATTN_ILLEGAL,
					 LAPIC_ATTN_EXTINT_MESSAGE };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(forgotten); i++)
		host_clear_bit(forgotten[i], &apic->attention);
	for (i = 0; i < 4; i++)
		host_exchange(&apic->posted[i], 0);
	memset(apic->irr, 0, sizeof(apic->irr));
	memset(apic->isr, 0, sizeof(apic->isr));
	memset(apic->tmr, 0, sizeof(apic->tmr));
	apic->irr_highest = 0;
	apic->isr_highest = 0;
	apic->tpr = 0;
	WRITE_ONCE(apic->ldr, apic_is_x2apic(apic) ? x2apic_ldr(apic->id) : 0);
	WRITE_ONCE(apic->dfr, ~0u);
	WRITE_ONCE(apic->svr, 0xff);
	apic->esr = 0;
	apic->esr_found = 0;
	apic->icr = 0;
	apic->icr_high = 0;
	for (i = 0; i < LVT_COUNT; i++)
		apic->lvt[i] = LAPIC_LVT_MASKED;
	apic->timer_divide = 0;
	timer_stop(apic);
	look_at_pins(apic);
	update_priority(apic);
}

void apic_reset(struct apic *apic, bool init_signal)
{
	if (!init_signal) {
		WRITE_ONCE(apic->base, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE |
					       (apic->bsp ? LAPIC_BASE_BSP : 0));
		host_clear_bit(LAPIC_ATTN_INIT, &apic->attention);
		host_clear_bit(LAPIC_ATTN_SIPI, &apic->attention);
		apic->tsc_adjust = 0;
	}
	reset_registers(apic);
}

void apic_virtual_wire(struct apic *apic)
{
	WRITE_ONCE(apic->svr, LAPIC_SVR_ENABLE | 0x0f);
	apic->lvt[LVT_LINT0] = LAPIC_MODE_EXTINT << 8;
	apic->lvt[LVT_LINT0 + 1] = LAPIC_MODE_NMI << 8;
	look_at_pins(apic);
	update_priority(apic);
}

#define BASE_MODES (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)

static bool base_valid(const struct apic *apic, u64 value)
{
	u64 address = ((1ull << apic->phys_bits) - 1) & ~0xfffull;

	if (value & ~(address | LAPIC_BASE_BSP | BASE_MODES))
		return false;
	if (!(value & LAPIC_BASE_X2APIC))
		return true;
	return apic->allow_x2apic && (value & LAPIC_BASE_ENABLE);
}

static void base_store(struct apic *apic, u64 value)
{
	u64 changed = (apic->base ^ value) & BASE_MODES;

	value &= ~LAPIC_BASE_BSP;
	WRITE_ONCE(apic->base, value | (apic->bsp ? LAPIC_BASE_BSP : 0));
	if (!(value & LAPIC_BASE_ENABLE)) {
		if (changed)
			reset_registers(apic);
		return;
	}
	if (changed & LAPIC_BASE_X2APIC) {
		WRITE_ONCE(apic->ldr, value & LAPIC_BASE_X2APIC ? x2apic_ldr(apic->id) : 0);
		apic->icr_high = 0;
	}
	look_at_pins(apic);
	update_priority(apic);
}

/* The arrows of SDM 3A figure 11-27: into x2APIC only from xAPIC, out of it only to disabled. */
int apic_set_base(struct apic *apic, u64 value)
{
	u64 from = apic->base & BASE_MODES, to = value & BASE_MODES;

	if (!base_valid(apic, value))
		return -EINVAL;
	if (to == BASE_MODES && !from)
		return -EINVAL;
	if (from == BASE_MODES && to == LAPIC_BASE_ENABLE)
		return -EINVAL;
	base_store(apic, value);
	return 0;
}

int apic_restore_base(struct apic *apic, u64 value)
{
	if (!base_valid(apic, value))
		return -EINVAL;
	base_store(apic, value);
	return 0;
}

/* ------------------------------------------------------------------ messages */

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

/* ------------------------------------------------------------------ what is due */

int apic_pending(struct apic *apic)
{
	merge(apic);
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
		apic->irr_highest = highest(apic->irr);
	if (vector > apic->isr_highest)
		apic->isr_highest = vector;
	update_priority(apic);
}

bool apic_extint_pending(struct apic *apic)
{
	merge(apic);
	return READ_ONCE(apic->attention) & (ATTN(EXTINT) | ATTN(EXTINT_MESSAGE));
}

void apic_extint_accept(struct apic *apic)
{
	/* A pin falls when the 8259 has been asked; a message has to be forgotten here. */
	attention_set(apic, LAPIC_ATTN_EXTINT_MESSAGE, false);
}

bool apic_take_nmi(struct apic *apic)
{
	merge(apic);
	return (READ_ONCE(apic->attention) & ATTN(NMI)) &&
	       host_test_and_clear_bit(LAPIC_ATTN_NMI, &apic->attention);
}

bool apic_take_init(struct apic *apic)
{
	merge(apic);
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

bool apic_has_wakeup(struct apic *apic)
{
	merge(apic);
	/* All that is left, or came meanwhile, wakes. */
	return apic_attention(apic);
}

void apic_set_tpr(struct apic *apic, u8 value)
{
	apic->tpr = value << 4;
	update_priority(apic);
}

/* ------------------------------------------------------------------ registers */

/* SDM 3A 11.8.5; the level-triggered pin's own Remote IRR ends here too (11.5.1). */
void apic_eoi(struct apic *apic, struct apic_effects *effects)
{
	u8 vector = apic->isr_highest;
	u64 bit = BIT_ULL(vector & 63);
	u32 word = vector >> 6, *lint0 = &apic->lvt[LVT_LINT0];

	effects->ipi = false;
	effects->eoi_level = false;
	effects->timer_changed = false;
	if (!vector)
		return;
	apic->isr[word] &= ~bit;
	apic->isr_highest = highest(apic->isr);
	if (unlikely(apic->tmr[word] & bit)) {
		effects->eoi_level = true;
		effects->eoi_vector = vector;
		if ((*lint0 & LVT_REMOTE_IRR) && (u8)*lint0 == vector) {
			*lint0 &= ~LVT_REMOTE_IRR;
			look_at_pins(apic);
		}
	}
	update_priority(apic);
}

/* SDM 3A 11.6.2.4, APM 2 16.6.2 */
static u8 arbitration_priority(struct apic *apic)
{
	u8 tpr = apic->tpr & 0xf0, irr, isr = apic->isr_highest & 0xf0;

	merge(apic);
	irr = apic->irr_highest & 0xf0;
	if (tpr >= irr && tpr > isr)
		return apic->tpr;
	return irr > isr ? irr : isr;
}

/* Bits that keep what is written, of the LVT entry at offset. */
static u32 lvt_writable(const struct apic *apic, u32 offset)
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
	merge(apic);
	value &= lvt_writable(apic, offset);
	if (!(apic->svr & LAPIC_SVR_ENABLE))
		value |= LAPIC_LVT_MASKED;
	if (offset == LAPIC_LVT_TIMER) {
		write_lvt_timer(apic, value, clock, guest_tsc);
		effects->timer_changed = true;
		return;
	}
	/* Remote IRR means something for a fixed level only. */
	if ((value & LVT_LEVEL) && LVT_MODE(value) == LAPIC_MODE_FIXED)
		value |= *lvt & LVT_REMOTE_IRR;
	*lvt = value;
	look_at_pins(apic);
	update_priority(apic);
}

static void write_svr(struct apic *apic, u32 value, const struct guest_clock *clock, u64 guest_tsc,
		      struct apic_effects *effects)
{
	u32 i;

	merge(apic);
	WRITE_ONCE(apic->svr, value & SVR_WRITABLE);
	if (value & LAPIC_SVR_ENABLE)
		return;
	timer_advance(apic, clock, guest_tsc);
	for (i = 0; i < LVT_COUNT; i++)
		apic->lvt[i] |= LAPIC_LVT_MASKED;
	timer_arm(apic, clock);
	effects->timer_changed = true;
	look_at_pins(apic);
	update_priority(apic);
}

static void request_self(struct apic *apic, u8 vector)
{
	/* A software-disabled APIC sends, but does not accept (SDM 3A 11.4.7.2). */
	if (!(apic->svr & LAPIC_SVR_ENABLE))
		return;
	if (vector < 16)
		found_error(apic, ESR_RECEIVE_ILLEGAL);
	else
		request(apic, vector, false);
	update_priority(apic);
}

static void send(struct apic *apic, struct apic_effects *effects)
{
	struct apic_message *message = &effects->message;
	u64 icr = (u64)apic->icr_high << 32 | apic->icr;

	if (apic_message_from_icr(icr, apic_is_x2apic(apic), message))
		return;
	if (message->mode <= LAPIC_MODE_LOWEST && message->vector < 16) {
		found_error(apic, ESR_SEND_ILLEGAL);
		update_priority(apic);
	} else if (message->shorthand == LAPIC_TO_SELF) {
		request_self(apic, message->vector);
	} else {
		effects->ipi = true;
	}
}

static void illegal_register(struct apic *apic)
{
	found_error(apic, ESR_REGISTER);
	update_priority(apic);
}

/* A register that both modes have, or xAPIC alone. False: there is none that takes a write. */
static bool write_register(struct apic *apic, u32 offset, u32 value, const struct guest_clock *clock,
			   u64 guest_tsc, struct apic_effects *effects)
{
	u32 count;

	switch (offset) {
	case LAPIC_TPR:
		apic->tpr = value;
		update_priority(apic);
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
		merge(apic);
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
		/* Not in TSC-deadline mode (SDM 3A 11.5.4.1). */
		if (TIMER_MODE(apic) == TIMER_DEADLINE)
			return true;
		apic_timer_due(apic, clock, guest_tsc);
		apic->timer_initial = value;
		timer_start(apic, value, clock, guest_tsc);
		effects->timer_changed = true;
		return true;
	case LAPIC_TIMER_DIVIDE:
		/* The count stays, what a tick of it lasts changes. */
		count = timer_count(apic, clock, guest_tsc);
		apic->timer_divide = value & DIVIDE_WRITABLE;
		timer_start(apic, count, clock, guest_tsc);
		effects->timer_changed = true;
		return true;
	}
	return false;
}

/* Registers that exist but do not take writes, or, in case of EOI and SELF IPI, do not give values. */
static bool read_register(struct apic *apic, u32 offset, const struct guest_clock *clock,
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
		merge(apic);
		*value = word_of(apic->tmr, offset);
		return true;
	case LAPIC_IRR ... LAPIC_IRR + 0x70:
		merge(apic);
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
		merge(apic);
		*value = apic->lvt[(offset - LAPIC_LVT_TIMER) >> 4];
		return true;
	case LAPIC_TIMER_INITIAL:
		*value = apic->timer_initial;
		return true;
	case LAPIC_TIMER_CURRENT:
		*value = timer_count(apic, clock, guest_tsc);
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

	if (read_register(apic, offset, clock, guest_tsc, &value))
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
	effects->ipi = false;
	effects->eoi_level = false;
	effects->timer_changed = false;
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
	if (!read_register(apic, offset, clock, guest_tsc, &low))
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
		*allowed = lvt_writable(apic, offset) | LVT_STATUS | LVT_REMOTE_IRR;
		return 0;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_ERROR:
		*allowed = lvt_writable(apic, offset) | LVT_STATUS;
		return 0;
	}
	return -EINVAL;
}

int apic_msr_write(struct apic *apic, u32 msr, u64 value, const struct guest_clock *clock,
		   u64 guest_tsc, struct apic_effects *effects)
{
	u32 offset = (msr - LAPIC_MSR_FIRST) << 4;
	u64 allowed;

	effects->ipi = false;
	effects->eoi_level = false;
	effects->timer_changed = false;
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

/* ------------------------------------------------------------------ state */

#define REG(state, offset) ((state)->reg[(offset) >> 4])

void apic_get_state(struct apic *apic, struct fermata_state_apic *state,
		    const struct guest_clock *clock, u64 guest_tsc)
{
	u32 i, value;

	memset(state, 0, sizeof(*state));
	/* It may raise the timer's interrupt, which then is in IRR below. */
	REG(state, LAPIC_TIMER_CURRENT) = timer_count(apic, clock, guest_tsc);
	merge(apic);
	for (i = 0; i < ARRAY_SIZE(state->reg); i++)
		if (read_register(apic, i << 4, clock, guest_tsc, &value))
			state->reg[i] = value;
	REG(state, LAPIC_DFR) = apic->dfr;
	REG(state, LAPIC_ICR_HIGH) = apic->icr_high;
}

/* The registers that may be other than 0; PPR and APR follow from others and are not looked at. */
#define HAS(offset) BIT_ULL((offset) >> 4)
#define STATE_REGISTERS                                                                            \
	(HAS(LAPIC_ID) | HAS(LAPIC_VERSION) | HAS(LAPIC_TPR) | HAS(LAPIC_APR) | HAS(LAPIC_PPR) |         \
	 HAS(LAPIC_LDR) | HAS(LAPIC_DFR) | HAS(LAPIC_SVR) | 0xffull << (LAPIC_ISR >> 4) |               \
	 0xffull << (LAPIC_TMR >> 4) | 0xffull << (LAPIC_IRR >> 4) | HAS(LAPIC_ESR) | HAS(LAPIC_ICR) |  \
	 HAS(LAPIC_ICR_HIGH) | 0x3full << (LAPIC_LVT_TIMER >> 4) | HAS(LAPIC_TIMER_INITIAL) |          \
	 HAS(LAPIC_TIMER_CURRENT) | HAS(LAPIC_TIMER_DIVIDE))

static void set_from_words(u64 set[4], const u32 *reg)
{
	int i;

	for (i = 0; i < 4; i++)
		set[i] = reg[2 * i] | (u64)reg[2 * i + 1] << 32;
}

static bool lvt_valid(const struct apic *apic, const struct fermata_state_apic *state, u32 offset)
{
	u32 lvt = REG(state, offset), allowed = lvt_writable(apic, offset);

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
	apic->irr_highest = highest(apic->irr);
	apic->isr_highest = highest(apic->isr);
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
	timer_stop(apic);
	apic->timer_divide = REG(state, LAPIC_TIMER_DIVIDE);
	apic->timer_initial = REG(state, LAPIC_TIMER_INITIAL);
	timer_start(apic, REG(state, LAPIC_TIMER_CURRENT), clock, guest_tsc);
	look_at_pins(apic);
	update_priority(apic);
	return 0;
}
