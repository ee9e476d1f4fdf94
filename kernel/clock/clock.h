/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest clock: what the guest's TSC reads, and what time that is. Arithmetic only; nobody else
 * computes with these fields.
 *
 * The clock is a straight line from the host's TSC to the guest's, and another one from the guest's TSC
 * to guest ns. The second never changes; the first does whenever the rate does. A *segment* is the time
 * between two changes: it starts exactly where the one before it was at that moment, and may have an
 * end at which the guest's time stands still.
 *
 * "guest TSC" is the VM's. A vCPU that wrote IA32_TSC or IA32_TSC_ADJUST reads it plus its own
 * adjustment, which the vCPU keeps.
 */
#ifndef FERMATA_CLOCK_H
#define FERMATA_CLOCK_H

#include "host.h"
#include <uapi/fermata.h>

#define CLOCK_NEVER (~0ull)
#define CLOCK_RATE_1 (1ull << FERMATA_CLOCK_FRACTION)

#define CLOCK_HELD_USER BIT(0)
#define CLOCK_HELD_OUTSIDE BIT(1) /* "run-only", and nobody runs */

/*
 * Who changes it makes seq odd, changes, and makes it even again, all without sleeping. Readers who
 * may meet a change take a copy with clock_snapshot().
 */
struct guest_clock {
	u32 seq;
	u32 tsc_khz;	 /* the guest's TSC frequency; not 0 */
	u64 tsc_mult;	 /* guest ticks per host tick, of 2^48; 0: it stands still */
	u64 tsc_offset;	 /* guest TSC = (host TSC * tsc_mult >> 48) + this, modulo 2^64 */
	u64 tsc_start;	 /* of this segment: the guest's TSC is not before it */
	u64 tsc_ticks;	 /* ... and at most so many ticks behind it; CLOCK_NEVER: no end */
	u64 host_end;	 /* host TSC at which it surely is there: later, the product would wrap */
	u64 ns_start;	 /* guest ns at tsc_start ... */
	u64 ns_mult;	 /* ns per tick, of 2^32; as clock_init() rounds it */
	u32 ns_fraction; /* ... and 2^-32 ns of them */
	bool frozen;	 /* it stands still at the end of this segment, until it is thawed */
	u8 held; /* CLOCK_HELD_*: it stands still until it is released, whatever else it is told */
	u64 rate_mult; /* tsc_mult while it runs */
	u32 num, den;  /* the rate as the caller said it */
	u64 changes;
};

/* The guest's TSC starts at 0 now, at the host's rate. -EINVAL when host_tsc_khz is 0. */
int clock_init(struct guest_clock *clock, u64 host_tsc, u32 host_tsc_khz);

/* ---- reading */

/* host * mult >> 48, as processors with TSC scaling compute it (SDM 3C 26.3), modulo 2^64. */
static inline u64 clock_scaled(u64 host_tsc, u64 mult)
{
	u64 low, high;

	/* In a kernel, each function with an __int128 aligns its stack first. */
	__asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(host_tsc), "rm"(mult) : "cc");
	return high << (64 - FERMATA_CLOCK_FRACTION) | low >> FERMATA_CLOCK_FRACTION;
}

static inline u64 clock_guest_tsc(const struct guest_clock *clock, u64 host_tsc)
{
	u64 ticks = clock_scaled(host_tsc, clock->tsc_mult) + clock->tsc_offset - clock->tsc_start;

	if (unlikely(host_tsc >= clock->host_end))
		return clock->tsc_start + clock->tsc_ticks;
	/* Half the range lies before the segment: a CPU whose TSC lags behind the one that began it. */
	if (unlikely((s64)ticks < 0))
		ticks = 0;
	if (unlikely(ticks > clock->tsc_ticks))
		ticks = clock->tsc_ticks;
	return clock->tsc_start + ticks;
}

/* A copy that no change tears, and what the guest's TSC reads by it now. */
u64 clock_snapshot(const struct guest_clock *clock, struct guest_clock *copy);
/* The TSC alone. */
u64 clock_read_tsc(const struct guest_clock *clock);

/* Guest ns since the VM was created; saturating. A TSC before the segment is its start. */
u64 clock_ns(const struct guest_clock *clock, u64 guest_tsc);

/*
 * The first guest TSC at which clock_ns() is at least ns, or the segment's start for what lies before
 * it; CLOCK_NEVER when there is none.
 */
u64 clock_tsc_at_ns(const struct guest_clock *clock, u64 ns);

/*
 * How many ns of the host pass until the guest's TSC reads deadline: 0 when it has, rounded up so
 * that a timer armed with it never fires early, CLOCK_NEVER when it never will by itself. A clock that
 * runs only while a vCPU does: if one did from now on.
 */
u64 clock_ns_until(const struct guest_clock *clock, u64 guest_tsc, u64 deadline);

/* ---- changing; host_tsc is now, and not before that of the change before */

/* num / den of 2^48, to the nearest; 0: above FERMATA_CLOCK_RATE_MAX, or below 1 / that. */
u64 clock_rate_mult(u32 num, u32 den);

/* mult is clock_rate_mult(), or what the processor can do that is nearest to it. */
void clock_set_rate(struct guest_clock *clock, u64 host_tsc, u32 num, u32 den, u64 mult);
void clock_freeze(struct guest_clock *clock, u64 host_tsc);
void clock_thaw(struct guest_clock *clock, u64 host_tsc);
/* It runs for ns, rounded up to ticks, and then stands still. What was left of a step comes on top. */
void clock_step(struct guest_clock *clock, u64 host_tsc, u64 ns);
void clock_hold(struct guest_clock *clock, u64 host_tsc, u8 by);
void clock_release(struct guest_clock *clock, u64 host_tsc, u8 by);
/* So many ticks pass now, unless it stands still, or as many of them as are left. */
void clock_pass(struct guest_clock *clock, u64 host_tsc, u64 ticks);
/*
 * Forward: as if so much time had passed at once. Back: the guest's TSC goes back, but not below 0, and
 * its ns stay. Returns how far it went, in ns.
 */
s64 clock_jump(struct guest_clock *clock, u64 host_tsc, s64 ns);
/*
 * The host's TSC is another one: it read `then` at the moment at which it now reads host_tsc, and what it did in
 * between is of no account. The guest's stands where it stood, and goes on.
 */
void clock_rebase(struct guest_clock *clock, u64 then, u64 host_tsc);
/* Nothing but a new start of the segment. After half the TSC's range it would look unborn. */
void clock_renew(struct guest_clock *clock, u64 host_tsc);
bool clock_is_old(const struct guest_clock *clock, u64 guest_tsc);

/* Around a change of *clock; the second writes the page that user space reads, too. */
void clock_change_begin(struct guest_clock *clock, struct fermata_clock *page);
void clock_change_end(struct guest_clock *clock, struct fermata_clock *page, u32 flags);

#endif
