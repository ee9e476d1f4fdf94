/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a change of translations owes: which of the translations that processors keep must not be
 * used any more. Whoever changes a table states it, the backend pays it before the next entry, with
 * the narrowest instruction that the processor offers (svm/flush.c, vmx/flush.c).
 */
#ifndef FERMATA_MEMORY_FLUSH_H
#define FERMATA_MEMORY_FLUSH_H

#include "host.h"

/* Bits: a change may owe several. */
#define FLUSH_NONE 0u
/*
 * Of one vCPU, kept under its tag: where its linear addresses lead (SDM 3C 29.4: linear and combined
 * mappings; APM 2 15.16: all of an ASID's).
 */
#define FLUSH_ADDRESS (1u << 0) /* those of one page, global or not, as by INVLPG */
#define FLUSH_LOCAL (1u << 1)	/* all but global pages', of every PCID, as by MOV to CR3 */
#define FLUSH_LINEAR (1u << 2)	/* all */
/*
 * Of all vCPUs of a guest: where guest-physical [start, end) leads, and what was combined from it.
 * Neither vendor can drop these by address (INVEPT is per root, SDM 3C 29.4.3; INVLPGA takes a linear
 * address, APM 2 15.16.3): the range is for whoever keeps more than the processor does.
 */
#define FLUSH_NESTED (1u << 3)

struct flush {
	u32 kinds;
	u64 start, end; /* FLUSH_NESTED: guest-physical */
};

/* The union; of ranges, what spans both. */
static inline void flush_add(struct flush *flush, u32 kinds, u64 start, u64 end)
{
	if (kinds & FLUSH_NESTED) {
		bool first = !(flush->kinds & FLUSH_NESTED);

		flush->start = first ? start : min(flush->start, start);
		flush->end = first ? end : max(flush->end, end);
	}
	flush->kinds |= kinds;
}

static inline void flush_merge(struct flush *flush, const struct flush *other)
{
	flush_add(flush, other->kinds, other->start, other->end);
}

#endif
