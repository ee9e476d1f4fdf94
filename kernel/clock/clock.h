/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest clock: what the guest's TSC reads, and what time that is. Arithmetic only; nobody else
 * computes with these fields, so a clock that is scaled or stands still changes this file alone.
 *
 * "guest TSC" is the VM's. A vCPU that wrote IA32_TSC or IA32_TSC_ADJUST reads it plus its own
 * adjustment, which the vCPU keeps.
 */
#ifndef FERMATA_CLOCK_H
#define FERMATA_CLOCK_H

#include "host.h"
#include <uapi/fermata.h>

#define CLOCK_NEVER (~0ull)

struct guest_clock {
	u64 tsc_offset; /* guest TSC = host TSC + this, modulo 2^64 */
	u64 tsc_origin; /* guest TSC at which guest time is 0 */
	u64 ns_mult;	/* ns per tick, as a fraction of 2^32 */
	u32 tsc_khz;	/* the guest's TSC frequency; not 0 */
};

/* The guest's TSC starts at 0 now, at the host's rate. -EINVAL when host_tsc_khz is 0. */
int clock_init(struct guest_clock *clock, u64 host_tsc, u32 host_tsc_khz);

static inline u64 clock_guest_tsc(const struct guest_clock *clock, u64 host_tsc)
{
	return host_tsc + clock->tsc_offset;
}

/* Guest ns since the VM was created; 0 for a TSC before that, saturating. */
u64 clock_ns(const struct guest_clock *clock, u64 guest_tsc);

/* The first guest TSC at which clock_ns() is at least ns; CLOCK_NEVER when there is none. */
u64 clock_tsc_at_ns(const struct guest_clock *clock, u64 ns);

/*
 * How many ns of the host pass until the guest's TSC reads deadline: 0 when it has, rounded up so
 * that a timer armed with it never fires early, CLOCK_NEVER for a deadline of CLOCK_NEVER.
 */
u64 clock_ns_until(const struct guest_clock *clock, u64 guest_tsc, u64 deadline);

/* Write the page that user space reads. One writer at a time. */
void clock_publish(const struct guest_clock *clock, struct fermata_clock *page);

#endif
