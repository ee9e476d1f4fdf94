/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Memory that rules are about: what must not happen to which frames unseen. Leaves are built so that it
 * faults. A processor's formats know less than RADIX_READ, _WRITE and _EXEC in any combination; where
 * one cannot be taken away alone, more is taken away.
 */
#ifndef MEMORY_CLOSED_H
#define MEMORY_CLOSED_H

#include "memory/radix.h"

struct closed_range {
	u64 first, last; /* frames, both closed */
	u32 access;	 /* RADIX_READ, _WRITE, _EXEC */
};

/* One frame; those that linear addresses lead to now, and the guest's tables on the way. */
struct closed_frame {
	u64 frame;
	u32 access;
};

struct closed {
	u32 count, room;	    /* of at[], in no order */
	u32 users;		    /* nested.c's, under the memory's lock */
	u32 frames;		    /* of frame[], by their numbers, no two the same */
	struct closed_frame *frame; /* behind at[] */
	struct closed_range at[];
};

/* For at most `room` ranges and `frames` single frames; host_free() it. NULL: no memory. */
struct closed *closed_new(u32 room, u32 frames);
/* Nothing is said twice. What does not fit is left out. */
void closed_add(struct closed *closed, u64 first, u64 last, u32 access);
/* What is closed of any of these frames. closed may be NULL. */
u32 closed_access(const struct closed *closed, u64 first, u64 last);
bool closed_same(const struct closed *a, const struct closed *b);
bool closed_has(const struct closed *closed, const struct closed_range *range);
/* What is closed of a single frame, ranges left aside. */
u32 closed_frame(const struct closed *closed, u64 frame);

/* What a leaf of that format that must not allow `denied` can allow, RADIX_READ, _WRITE, _EXEC. */
u32 closed_allowed(const struct radix_format *format, u32 denied);
/* What has to be allowed, so that `access` is. */
u32 closed_needed(const struct radix_format *format, u32 access);

#endif
