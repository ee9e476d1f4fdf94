/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The local APIC's life: reset, INIT, and IA32_APIC_BASE (SDM 3A 11.4.3, 11.4.7, 11.12.5). */
#include "apic/internal.h"

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
	apic_timer_stop(apic);
	apic_look_at_pins(apic);
	apic_update_priority(apic);
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
	apic_look_at_pins(apic);
	apic_update_priority(apic);
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
	apic_look_at_pins(apic);
	apic_update_priority(apic);
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
