/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules about memory. Their pages are kept from the guest by the nested tables, or the shadow; what
 * touches one faults, the rules are asked, and then the instruction runs by itself with the page open,
 * while no other vCPU of the guest runs.
 */
#ifndef RULES_MEMORY_H
#define RULES_MEMORY_H

#include "host.h"
#include "memory/radix.h"
#include <uapi/fermata.h>

struct vm;
struct vcpu;
struct rule_table;

#define WATCH_SEEN_MAX 16

struct vcpu_watch {
	bool stepping;	  /* the step that is under way is for memory */
	bool free;	  /* pages are open until the next exit, whichever it is */
	bool delivering;  /* ... and an event is on its way in, behind which there is one */
	bool opening;	  /* open_gpa is to be opened, outside of guest context */
	bool tables;	  /* what is open are tables on the way of a linear address, too */
	u8 pushed_flags;  /* bytes: the step pushes RFLAGS, with our TF in them */
	bool loads_flags; /* the step loads TF: that one is the guest's */
	u64 open_gpa;
	u32 open_access;
	/* of the instruction at seen_rip: rules have been asked about these */
	u64 seen_rip;
	u32 seen_count;
	struct {
		u64 page; /* linear, inverted; else the frame */
		u32 access;
	} seen[WATCH_SEEN_MAX];
};

/* frames.c: the table has changed. Outside of guest context, may sleep. */
int watch_update(struct vm *vm);
void watch_destroy(struct vm *vm);

/* REQUEST_WATCH. False: out of guest context first. */
bool watch_requested(struct vcpu *v);
/* The page of a nested fault, before it is looked at. False: not now, the guest faults again. */
bool watch_open(struct vcpu *v);
/* The step is over, with the instruction done or not. */
void watch_stepped(struct vcpu *v, bool done);
/* An exit while w->free. False: it belongs to what runs with pages open. */
bool watch_free_ends(struct vcpu *v);
void watch_close(struct vcpu *v);

static inline bool watch_event(u32 event)
{
	return event >= FERMATA_ON_READ && event <= FERMATA_ON_EXEC;
}

/* What such an event closes pages for. */
static inline u8 watch_access(u32 event)
{
	return event == FERMATA_ON_READ	 ? RADIX_READ :
	       event == FERMATA_ON_WRITE ? RADIX_WRITE :
					   RADIX_EXEC;
}

#endif
