/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The control channel of a running guest: a Unix socket that its owner's programs talk to (docs/control.md).
 * It has a thread of its own; the guest does not notice who talks there.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct control;
struct json_object;

/* What verbs are about; the strings and the machine outlive the control. */
struct control_guest {
	const char *name;
	const char *where; /* "here", or "box" and its kind */
	unsigned vcpus;
	uint64_t memory; /* bytes */
	struct machine *machine;
	/* control_start() sets these */
	struct control *control;
	uint32_t vendor, tsc_khz; /* as in struct fermata_caps */
	int64_t since;		  /* seconds since 1970 */
	uint64_t since_ns;	  /* CLOCK_MONOTONIC */
};

/*
 * Opens the socket and listens to the machine's news. The caller holds the claim on the name, and has
 * not started the machine. NULL with one line in problem[].
 */
struct control *control_start(const struct control_guest *guest, char *problem, size_t problem_size);
/*
 * Tells all clients, from any thread, and does not wait: an event is dropped, and told as dropped, when
 * too many wait. data (an object, or NULL) is taken over.
 */
void control_event(struct control *control, const char *name, struct json_object *data);
/* What was said before is sent as far as clients take it; then the socket goes. */
void control_stop(struct control *control);

#endif
