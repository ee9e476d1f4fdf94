/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The test guests (tests/guests) as programs of this computer: where they are, and one run of one of them. */
#ifndef CLI_TRIAL_H
#define CLI_TRIAL_H

#include <stdbool.h>
#include <stddef.h>

#define TRIALS_MAX 64

struct trials {
	char folder[4096];
	char *names[TRIALS_MAX]; /* of guests, sorted; the runner is none */
	size_t count;
};

/*
 * Of `folder`; NULL: beside the command, or where `make install` puts them. False with a line said. trials_free()
 * either way.
 */
bool trials_find(struct trials *trials, const char *folder);
void trials_free(struct trials *trials);

struct trial {
	unsigned checks, failed; /* lines of its TAP stream */
	bool timeout;
	int status; /* the runner's exit status, 128 + n for a signal */
	double seconds;
	char *said; /* all of it; to be freed */
};

/* Runs it by the runner; false with a line said: it could not be started. */
bool trial_run(struct trial *trial, const struct trials *trials, const char *name);
bool trial_good(const struct trial *trial);

#endif
