/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Memory that rules are about: what must not happen to which frames unseen. Leaves are built so that it
 * faults. A processor's formats know less than RADIX_READ, _WRITE and _EXEC in any combination; where
 * one cannot be taken away alone, more is taken away.
 */
#ifndef MEMORY_CLOSED_H
#define MEMORY_CLOSED_H

#include "memory/radix.h"

struct watch {
	u64 first, last; /* frames, both watched */
	u32 access;	 /* RADIX_READ, _WRITE, _EXEC */
};

/* One frame; those that linear addresses lead to now, and the guest's tables on the way. */
struct watch_frame {
	u64 frame;
	u32 access;
};

struct watches {
	u32 count, room;	   /* of at[], in no order */
	u32 frames;		   /* of frame[], by their numbers, no two the same */
	struct watch_frame *frame; /* behind at[] */
	struct watch at[];
};

/* For at most `room` ranges and `frames` single frames; host_free() it. NULL: no memory. */
struct watches *watches_new(u32 room, u32 frames);
/* Nothing is said twice. What does not fit is left out. */
void watches_add(struct watches *watches, u64 first, u64 last, u32 access);
/* What is watched of any of these frames. watches may be NULL. */
u32 watches_access(const struct watches *watches, u64 first, u64 last);
bool watches_same(const struct watches *a, const struct watches *b);
bool watches_has(const struct watches *watches, const struct watch *watch);
/* What is watched of a single frame, ranges left aside. */
u32 watches_frame(const struct watches *watches, u64 frame);

/* What a leaf of that format that must not allow `denied` can allow, RADIX_READ, _WRITE, _EXEC. */
u32 watch_allowed(const struct radix_format *format, u32 denied);
/* What has to be allowed, so that `access` is. */
u32 watch_needed(const struct radix_format *format, u32 access);

#endif
