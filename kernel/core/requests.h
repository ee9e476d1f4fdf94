/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * vcpu->requests, by bit: what is to be done before the next entry. They are served in this order; what is done
 * about each is its row in requests.c.
 */
#ifndef CORE_REQUESTS_H
#define CORE_REQUESTS_H

#include "core/exit.h"

struct vcpu;

enum {
	REQUEST_REFUSED, /* the processor does not take a value of the guest's: the vCPU ends */
	/* What an exit left for outside of guest context, where it is done at once. */
	REQUEST_SHADOW,	    /* shadow paging: what it owes, lacks, or is short of */
	REQUEST_FAULT,	    /* what it lacks is a nested fault of its own: exit_handle_fault() */
	REQUEST_SPLIT_LOCK, /* the guest made one, which the host does not like */
	/* What other threads and exits ask for. */
	REQUEST_CLOCK,	 /* the clock was changed, or is being changed */
	REQUEST_PVCLOCK, /* pages of the paravirtual clock are to be written */
	REQUEST_TRIM,	 /* the pages kept for the next faults are to go */
	REQUEST_FLUSH_LINEAR,
	REQUEST_FLUSH_NESTED,
	REQUEST_TIMER,	/* the APIC's */
	REQUEST_RULES,	/* the table of rules has changed */
	REQUEST_ROOT,	/* shadow paging: CR3 or the mode is another */
	REQUEST_LINEAR, /* rules are about linear addresses, which may lead elsewhere now */
	REQUEST_WATCH,	/* pages are open for another vCPU: this one waits outside */
	REQUEST_AFTER,	/* an instruction that a rule was about has been carried out */
	REQUEST_LOST,	/* an exit's instruction stays a mystery: the vCPU ends */
	REQUEST_EOI, /* a level-triggered vector is done: eoi_vector; the caller must hear of it */
	REQUESTS,

	REQUEST_CAUSE = 32, /* + FERMATA_CAUSE_*: why a flush is requested. No request by itself */
};
#define REQUESTS_ALL (BIT_ULL(REQUESTS) - 1)

/* What is requested is done, in order. In guest context, before an entry. */
enum verdict requests_inside(struct vcpu *v);
/* After LEAVE_FOR_HOST. Sleeps. GO_ON, LEAVE_FOR_USER, or -errno. */
int requests_outside(struct vcpu *v);
/*
 * Before and after the vCPU's thread sleeps. They return the same; after_sleep also LEAVE_FOR_HOST: the thread
 * lets others run, and asks again.
 */
int requests_before_sleep(struct vcpu *v);
int requests_after_sleep(struct vcpu *v);

#endif
