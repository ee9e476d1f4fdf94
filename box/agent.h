/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The ways out of the box; which one there is, the starter says in /box/options. */
#ifndef BOX_AGENT_H
#define BOX_AGENT_H

#include <stdint.h>
#include <sys/types.h>

struct channel {
	const char *name;
	void (*connect)(void);
	/* A line without newline for the starter. */
	void (*report)(const char *line);
	/* The ends that the command gets. */
	void (*streams)(int *input, int *output);
	/*
	 * Carries them, and the relay's connections (relay.h), until the child has ended; its wait status.
	 * What was said on those connections has then arrived, or is ahead of every later report.
	 */
	int (*serve)(pid_t child);
	/* The bytes of the command's output so far. */
	uint64_t (*written)(void);
	/* Returns when the box may power off without losing what was written; NULL: it always may. */
	void (*leave)(void);
};

extern const struct channel virtio_channel, wire_channel;

void sleep_ms(long ms);

#define DIAL_MS 50 /* how soon a socket that is not there is dialled again */

#endif
