/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The local APIC of one vCPU, xAPIC and x2APIC (SDM 3A chapter 11, APM 2 chapter 16), as a state
 * machine: it is told what happened and what the guest's TSC reads, and answers what is due. It
 * never injects, never reads a clock and never arms a timer.
 *
 * Two kinds of callers. The owner is the thread that runs the vCPU; everything below is the owner's
 * unless marked [any]. Other threads post: into `posted` and `attention`, atomically, and the owner
 * merges what they posted when it next asks. A poster that gets true back must kick the vCPU.
 *
 * Guest TSCs here are the VM's (clock_guest_tsc()), without the vCPU's own adjustment.
 */
#ifndef APIC_APIC_H
#define APIC_APIC_H

#include "host.h"
#include <uapi/fermata.h>
#include "clock/clock.h"

/* Register offsets in the xAPIC page; an x2APIC MSR is 800h + (offset >> 4) (SDM 3A 11.12.1.2). */
#define LAPIC_ID 0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TPR 0x080
#define LAPIC_APR 0x090
#define LAPIC_PPR 0x0a0
#define LAPIC_EOI 0x0b0
#define LAPIC_RRD 0x0c0
#define LAPIC_LDR 0x0d0
#define LAPIC_DFR 0x0e0
#define LAPIC_SVR 0x0f0
#define LAPIC_ISR 0x100
#define LAPIC_TMR 0x180
#define LAPIC_IRR 0x200
#define LAPIC_ESR 0x280
#define LAPIC_LVT_CMCI 0x2f0
#define LAPIC_ICR 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_THERMAL 0x330
#define LAPIC_LVT_PERF 0x340
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LAPIC_SELF_IPI 0x3f0

#define LAPIC_MSR_FIRST 0x800u
#define LAPIC_MSR_LAST 0x8ffu

#define LAPIC_SVR_ENABLE (1u << 8)
#define LAPIC_LVT_MASKED (1u << 16)

/* IA32_APIC_BASE (SDM 3A 11.4.4, 11.12.1) */
#define LAPIC_BASE_BSP (1ull << 8)
#define LAPIC_BASE_X2APIC (1ull << 10)
#define LAPIC_BASE_ENABLE (1ull << 11)
#define LAPIC_BASE_DEFAULT 0xfee00000ull

/* Delivery modes: the same numbers in ICR, LVT, MSI data and I/O APIC entries. */
enum apic_mode {
	LAPIC_MODE_FIXED = 0,
	LAPIC_MODE_LOWEST = 1,
	LAPIC_MODE_SMI = 2, /* there is no SMM: dropped */
	LAPIC_MODE_REMOTE_READ = 3,
	LAPIC_MODE_NMI = 4,
	LAPIC_MODE_INIT = 5,
	LAPIC_MODE_SIPI = 6,
	LAPIC_MODE_EXTINT = 7,
};

enum apic_shorthand {
	LAPIC_TO_DESTINATION = 0,
	LAPIC_TO_SELF = 1,
	LAPIC_TO_ALL = 2,
	LAPIC_TO_OTHERS = 3,
};

/* As a physical destination, and a logical one of x2APIC: everyone. */
#define LAPIC_BROADCAST 0xffffffffu

struct apic_message {
	u32 destination; /* 8-bit forms are zero-extended, except that physical FFh is LAPIC_BROADCAST */
	bool logical;
	u8 shorthand; /* enum apic_shorthand */
	u8 mode;      /* enum apic_mode */
	u8 vector;
	bool level;
	bool assert;
};

/* What the caller of a register write has to do; set by every call that takes one. */
struct apic_effects {
	bool ipi;	    /* send `message` to every APIC that matches */
	bool eoi_level;	    /* tell the I/O APICs: level-triggered eoi_vector is done */
	bool timer_changed; /* apic_timer_deadline() may have moved */
	u8 eoi_vector;
	struct apic_message message;
};

/* Bits of apic.attention. While any is set the owner has something to look at. */
#define LAPIC_ATTN_POSTED 0	    /* posted[] is not empty */
#define LAPIC_ATTN_NMI 1	    /* apic_take_nmi() */
#define LAPIC_ATTN_INIT 2	    /* apic_take_init(), before ... */
#define LAPIC_ATTN_SIPI 3	    /* ... apic_take_sipi() */
#define LAPIC_ATTN_LINES 4	    /* a pin moved and the owner has not looked yet */
#define LAPIC_ATTN_ILLEGAL 5	    /* a message with a vector below 16 came in */
#define LAPIC_ATTN_EXTINT_MESSAGE 6 /* an ExtINT that came as a message */
#define LAPIC_ATTN_INTERRUPT 7	    /* owner: a vector in IRR is above PPR */
#define LAPIC_ATTN_EXTINT 8	    /* owner: the LINT0 pin asks for an INTA cycle */

struct apic {
	/* [any] atomically */
	u64 attention;
	u64 posted[4];
	u64 posted_level[4]; /* trigger mode of the vectors in posted[] */
	u64 pins;	     /* bit FERMATA_LINE_*: level; bit 8 + FERMATA_LINE_*: it rose */
	u64 sipi_vector;

	/* [owner]; others read id, base, ldr, dfr, svr and ppr without ordering, to address messages */
	u64 irr[4] __attribute__((aligned(64)));
	u64 isr[4];
	u64 tmr[4];
	u8 irr_highest; /* 0: none; vectors below 16 never get in */
	u8 isr_highest;
	u8 tpr;
	u8 ppr;
	u32 id; /* initial APIC ID, also the x2APIC ID; fixed */
	u64 base;
	u32 ldr, dfr, svr;
	u32 esr, esr_found; /* as last latched; found since */
	u32 icr, icr_high;
	u32 lvt[6]; /* from LAPIC_LVT_TIMER on */

	u32 timer_initial;
	u32 timer_divide;
	u64 timer_ns;	  /* when the count next reaches 0, guest ns; CLOCK_NEVER: stopped */
	u64 timer_tsc;	  /* when to look next, guest TSC; CLOCK_NEVER: not */
	u64 tsc_deadline; /* IA32_TSC_DEADLINE */
	u64 tsc_adjust;	  /* the vCPU's TSC is the VM's plus this */

	u8 phys_bits;
	bool allow_x2apic;
	bool allow_deadline;
	bool bsp;
};

/* ---- life. Features: what the guest's CPUID says; after apic_init(): 48, true, true. */
void apic_init(struct apic *apic, u32 id, bool bsp);
void apic_set_features(struct apic *apic, u32 phys_bits, bool x2apic, bool tsc_deadline);
/* RESET, or INIT, which keeps IA32_APIC_BASE (SDM 3A 11.4.7.1, 11.4.7.3). Pins keep their level. */
void apic_reset(struct apic *apic, bool init_signal);
/* What firmware leaves in the boot processor: LINT0 ExtINT, LINT1 NMI (MP 1.4 3.6.2.2). */
void apic_virtual_wire(struct apic *apic);

/* ---- IA32_APIC_BASE. -EINVAL: #GP. restore: the same checks but for the order of modes. */
int apic_set_base(struct apic *apic, u64 value);
int apic_restore_base(struct apic *apic, u64 value);

static inline u64 apic_base(const struct apic *apic)
{
	return apic->base;
}

static inline bool apic_enabled(const struct apic *apic)
{
	return READ_ONCE(apic->base) & LAPIC_BASE_ENABLE;
}

static inline bool apic_is_x2apic(const struct apic *apic)
{
	return READ_ONCE(apic->base) & LAPIC_BASE_X2APIC;
}

/*
 * ---- registers. xAPIC: aligned 32-bit accesses at offset 0..FFFh into the page; the caller checks
 * apic_enabled() && !apic_is_x2apic() before it treats the page as an APIC. Nothing there faults.
 * x2APIC: MSR 800h..8FFh; -EINVAL where the processor raises #GP.
 */
u32 apic_read(struct apic *apic, u32 offset, const struct guest_clock *clock, u64 guest_tsc);
void apic_write(struct apic *apic, u32 offset, u32 value, const struct guest_clock *clock,
		u64 guest_tsc, struct apic_effects *effects);
int apic_msr_read(struct apic *apic, u32 msr, u64 *value, const struct guest_clock *clock,
		  u64 guest_tsc);
int apic_msr_write(struct apic *apic, u32 msr, u64 value, const struct guest_clock *clock,
		   u64 guest_tsc, struct apic_effects *effects);
/* A write of EOI, without the detour over the offset. */
void apic_eoi(struct apic *apic, struct apic_effects *effects);

/* CR8 is TPR's upper half (SDM 3A 11.8.6): value 0..15. */
static inline u8 apic_tpr(const struct apic *apic)
{
	return apic->tpr >> 4;
}
void apic_set_tpr(struct apic *apic, u8 value);

/* ---- messages. -EINVAL: not an interrupt message, drop it. */
int apic_message_from_msi(const struct fermata_msi *msi, struct apic_message *message);
int apic_message_from_icr(u64 icr, bool x2apic, struct apic_message *message);
/* [any] Is target addressed? sender: NULL for a device. */
bool apic_match(const struct apic *target, const struct apic_message *message,
		const struct apic *sender);
/* [any] Of the targets that match, the one a lowest-priority message goes to; NULL entries are skipped. */
struct apic *apic_lowest_priority(struct apic *const *targets, u32 count,
				  const struct apic_message *message, const struct apic *sender);
/* [any] True: kick the target. */
bool apic_deliver(struct apic *target, const struct apic_message *message);
/* [any] The wires LINT0 and LINT1, line FERMATA_LINE_*. True: kick the target. */
bool apic_set_line(struct apic *apic, u32 line, bool level);

/* ---- what is due */
/* The one load before an entry. Stays true while anything is undelivered, masked by IF or not. */
static inline bool apic_attention(const struct apic *apic)
{
	return READ_ONCE(apic->attention) != 0;
}

/* Highest vector above PPR, or -1. */
int apic_pending(struct apic *apic);
/* INTA: vector, as apic_pending() returned it, moves from IRR to ISR. */
void apic_accept(struct apic *apic, u8 vector);
/*
 * It was accepted and could not be delivered: it is pending again. An interrupt that was not this APIC's,
 * an 8259's, is lost here: its INTA cycle cannot be taken back.
 */
void apic_take_back(struct apic *apic, u8 vector);
/* An 8259 wants its INTA cycle: ask it for the vector, after apic_extint_accept(). */
bool apic_extint_pending(struct apic *apic);
void apic_extint_accept(struct apic *apic);
/* Take the event if it is there. INIT before SIPI; a SIPI outside wait-for-SIPI is dropped. */
bool apic_take_nmi(struct apic *apic);
bool apic_take_init(struct apic *apic);
bool apic_take_sipi(struct apic *apic, u8 *vector);
/* As if another processor had sent them: for SET_STATE. */
void apic_post_startup(struct apic *apic, bool init, bool sipi, u8 vector);
/* Anything that ends HLT when the guest has interrupts enabled; NMI and INIT do in any case. */
bool apic_has_wakeup(struct apic *apic);

/*
 * ---- the timer. Its input is 1 GHz of guest time: one bus cycle is one guest ns. When
 * apic_timer_deadline() comes, or later, call apic_timer_due(): true when it fired.
 * A periodic timer keeps its phase however late it is asked, has at most one interrupt pending, and
 * fires no more often than every LAPIC_TIMER_MIN_NS.
 */
#define LAPIC_TIMER_MIN_NS 200000ull
bool apic_timer_due(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc);
/* The guest's TSC has another relation to its ns now; apic_timer_deadline() may have moved. */
void apic_clock_changed(struct apic *apic, const struct guest_clock *clock);

static inline u64 apic_timer_deadline(const struct apic *apic)
{
	return apic->timer_tsc; /* guest TSC, CLOCK_NEVER: nothing will fire */
}

/* IA32_TSC_DEADLINE, in the vCPU's own TSC (SDM 3A 11.5.4.1). */
u64 apic_tsc_deadline(struct apic *apic, const struct guest_clock *clock, u64 guest_tsc);
void apic_set_tsc_deadline(struct apic *apic, u64 value, struct apic_effects *effects);
/* The vCPU's IA32_TSC_ADJUST changed: the deadline moves with it; arm the host's timer anew. */
void apic_set_tsc_adjust(struct apic *apic, u64 adjust);

/*
 * ---- state. Set IA32_APIC_BASE first, IA32_TSC_DEADLINE and pending NMIs afterwards. -EINVAL: no
 * APIC can be in that state; nothing is changed then.
 */
void apic_get_state(struct apic *apic, struct fermata_state_apic *state,
		    const struct guest_clock *clock, u64 guest_tsc);
int apic_set_state(struct apic *apic, const struct fermata_state_apic *state,
		   const struct guest_clock *clock, u64 guest_tsc);

#endif
