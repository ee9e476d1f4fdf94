/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about linear addresses alone. What memory is behind one the guest's tables say, and may say
 * otherwise at any time. So what is closed is, for each vCPU, the frames that the addresses lead to in the
 * address space where it is, and for writing the tables on the way, as far as there is one. Who writes to
 * such a table, loads CR3 or changes how it pages translates the addresses anew before the guest runs on.
 */
#ifndef RULES_LINEAR_H
#define RULES_LINEAR_H

#include "rules/internal.h"

/* A frame that is closed for some vCPU, or was for the last ones that were in another address space. */
struct linear_frame {
	u64 frame;
	u64 users[3]; /* by access (RADIX_*, by bit): for which vCPUs, by their ids */
	u8 closed;    /* RADIX_*: for what */
	u8 settled;   /* ... and nobody has older translations any more */
	bool table;
};

struct linear_frames {
	u32 count;
	struct linear_frame at[]; /* by frame */
};

/* Pages of all rules together, a table each on every level, and a root. */
#define NEEDS_MAX (FERMATA_MAX_GVA_PAGES_ALL * RADIX_LEVELS_MAX + 1)

struct need {
	u64 frame;
	u8 access;
	bool table;
};

/* What is to be closed for a vCPU; for its own thread. */
struct vcpu_linear {
	u64 edits;  /* vm->rules->edits as of the last translation that was good */
	u64 absent; /* guest-physical: of a table whose host page is not present */
	u64 lost;   /* ... and cannot be had */
	u32 ranges, count;
	struct {
		u64 first, last;
		u8 access;
	} range[FERMATA_MAX_RULES];
	struct need need[NEEDS_MAX];
	struct where where;
	struct guest_walk_path path;
};

static inline bool linear_rule(const struct fermata_rule *spec)
{
	return spec->event >= FERMATA_ON_READ && spec->event <= FERMATA_ON_EXEC &&
	       !(spec->filters & BIT(FERMATA_FILTER_GPA));
}

/* How many pages its range lies in. */
static inline u64 linear_pages(const struct fermata_rule *spec)
{
	const struct fermata_range *range = &spec->range[FERMATA_FILTER_GVA];

	return (range->last >> 12) - (range->first >> 12) + 1;
}

/* The rules have changed, or tables behind the guest's back: all vCPUs look anew. */
void linear_edited(struct vm *vm);
/* REQUEST_LINEAR, in guest context. False: out of it first. */
bool linear_requested(struct vcpu *v);
/* ... and there: closes what is not yet. Sleeps. GO_ON, -EINTR, -ENOMEM. */
int linear_outside(struct vcpu *v);

/* frames.c: in guest context, is all closed that the vCPU needs, and nothing that nobody needs any more? */
bool linear_take(struct vcpu *v, struct vcpu_linear *l, u64 edits);
/* A frame is about to be opened. True: it is one of the tables, and may lead elsewhere afterwards. */
bool linear_opened(struct vcpu *v, u64 frame);

/* What v needs is to be closed, too. Sleeps. -ENOMEM. */
int watch_update_for(struct vm *vm, struct vcpu *v);

#endif
