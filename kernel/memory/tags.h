/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * TLB tags: ASIDs (APM 2 15.16) and VPIDs (SDM 3C 29.1) on one allocator, one pool per CPU.
 *
 * A vCPU keeps the tag it has on the CPU it ran on. To flush a vCPU's translations, drop its tag: the
 * next entry gets one that nobody used since the last flush of all tags. When a CPU runs out, it starts
 * a new generation: every older tag of that CPU is void, and the caller flushes all of them once.
 *
 * Guests without tags (struct vm's `untagged`) share one, under which nothing survives an entry: the
 * processor's own 0 on VT-x, the pool's `shared` on AMD-V, which wants an ASID from every guest.
 */
#ifndef FERMATA_MEMORY_TAGS_H
#define FERMATA_MEMORY_TAGS_H

#include "host.h"

struct tag_pool {
	u64 generation; /* never 0 */
	u32 next;	/* the next tag to give out */
	u32 first;	/* at least 1: tag 0 is the host's */
	u32 end;	/* behind the last one */
	u32 shared;	/* the untagged guests' */
	bool flush_all; /* flush all tags of this CPU before the next entry, then clear this */
	u64 rollovers;
};

/* Whether a vCPU keeps its tag, and if not, why. */
enum tag_news {
	TAG_KEPT,
	TAG_DROPPED, /* tag_drop(), or it had none */
	TAG_MOVED,   /* the vCPU comes from another CPU */
	TAG_EXPIRED, /* the CPU ran out of tags since */
};

/* All zero: no tag yet. Owned by its vCPU; only ever looked at on the CPU about to enter. */
struct tag {
	u64 generation;
	u32 id;
	u32 cpu;
};

/*
 * count: as the CPU reports it, tag 0 included. limit: give out no more than so many; 0: all there are.
 * shared: untagged guests need one of them. A CPU with too few for both gives the shared one out, too;
 * see tag_shared(). flush_all starts set: whoever had the CPU before may have left translations. The
 * pool is zeroed before the first time and kept while its CPU is off.
 */
void tag_pool_init(struct tag_pool *pool, u32 count, u32 limit, bool shared);

/* From here on there is this one, for tagged and untagged guests; each use of it is preceded by its flush. */
void tag_pool_alone(struct tag_pool *pool, u32 id);

/*
 * Make tag valid on this CPU (its pool, its number), with interrupts or preemption off. But for
 * TAG_KEPT nothing is cached under it once pool->flush_all, if set, is paid.
 */
enum tag_news tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag);

/* The tag for an untagged guest's stay on this CPU; every entry with it is preceded by its flush. */
u32 tag_shared(struct tag_pool *pool);

/* The next tag_get() gives out a new one: the cheap way to flush. */
static inline void tag_drop(struct tag *tag)
{
	tag->generation = 0;
}

#endif
