/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* KVM's paravirtual clock as a guest reads it: Linux' Documentation/virt/kvm/x86/msr.rst. */
#ifndef GUESTS_PVCLOCK_H
#define GUESTS_PVCLOCK_H

#include "guest.h"

struct pvclock {
	u32 version, pad;
	u64 tsc, ns;
	u32 mult;
	signed char shift;
	u8 flags, pad2[2];
} __attribute__((packed, aligned(4)));

struct pvclock_wall {
	u32 version, s, ns;
};

#define PVCLOCK_STABLE 1

static inline u64 pvclock_ns(const struct pvclock *page)
{
	const volatile struct pvclock *p = page;
	u64 ticks, ns;
	u32 version;

	do {
		version = p->version;
		ticks = rdtsc() - p->tsc;
		ticks = p->shift < 0 ? ticks >> -p->shift : ticks << p->shift;
		ns = p->ns + (u64)((unsigned __int128)ticks * p->mult >> 32);
	} while (version & 1 || p->version != version);
	return ns;
}

#endif
