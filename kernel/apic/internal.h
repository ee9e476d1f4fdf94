/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of the local APIC share: apic.c, life.c, timer.c, message.c, registers.c, state.c. */
#ifndef APIC_INTERNAL_H
#define APIC_INTERNAL_H

#include "apic/apic.h"

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

/* apic.c */
u8 apic_highest(const u64 set[4]);
void apic_update_priority(struct apic *apic);
/* Into IRR; apic_update_priority() afterwards is the caller's. */
void apic_request(struct apic *apic, u8 vector, bool level);
bool apic_request_local(struct apic *apic, u32 entry, bool level);
void apic_found_error(struct apic *apic, u32 error);
void apic_look_at_pins(struct apic *apic);
void apic_merge_slow(struct apic *apic, u64 attention);

static inline void apic_merge(struct apic *apic)
{
	u64 attention = READ_ONCE(apic->attention);

	if (attention & ATTN_MERGE)
		apic_merge_slow(apic, attention);
}

static inline void no_effects(struct apic_effects *effects)
{
	effects->ipi = false;
	effects->eoi_level = false;
	effects->timer_changed = false;
}

/* SDM 3A 11.12.10.2: cluster in 31:16, one bit of 16 in 15:0. */
static inline u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

/* timer.c */
void apic_timer_arm(struct apic *apic, const struct guest_clock *clock);
void apic_timer_stop(struct apic *apic);
bool apic_timer_advance(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc);
u32 apic_timer_count(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc);
void apic_timer_start(struct apic *apic, u32 count, const struct guest_clock *clock, u64 guest_tsc);
void apic_write_lvt_timer(struct apic *apic, u32 value, const struct guest_clock *clock,
			  u64 guest_tsc);

/* registers.c */
u32 apic_lvt_writable(const struct apic *apic, u32 offset);
bool apic_read_register(struct apic *apic, u32 offset, const struct guest_clock *clock,
			u64 guest_tsc, u32 *value);

#endif
