/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A machine that is none, for the control channel: it says what it was asked to do, and its numbers are always
 * the same. It stands in for vmm/machine.h and for what the channel asks of the library.
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

#define FAKE_RULE 7 /* the number of its rule: it has one */

extern struct fake_machine {
	pthread_mutex_t lock;
	machine_listener *listener;
	void *opaque;
	bool paused, advances, dirty_log;
	struct machine_end end;
	struct fermata_rule rule;
	unsigned records; /* in its log, all alike */
	uint64_t sequence, dropped;
	struct {
		const char *did; /* to the clock, last */
		int64_t number, den;
		int result; /* what the clock then answers */
	} hand;
} fake;

/* What happens to it, told to who listens. */
void fake_news(enum machine_news news);

#endif
