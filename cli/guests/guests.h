/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the verbs about running guests share. */
#ifndef CLI_GUESTS_H
#define CLI_GUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/client.h"

#define GUEST_GREETING_MS 60000 /* a box on a slow computer starts in that time */

/* NAME [WHAT [VALUE]] [--json] */
struct guest_words {
	const char *name;
	const char *what; /* not given: "show" */
	const char *value;
	bool json;
};

/*
 * Reads them, argv[0] being the verb, at most `most` words. STATUS_OK: go on; STATUS_FAILED: a line has
 * been said; -1: help was asked for and is given.
 */
int guest_words_read(int argc, char **argv, int most, struct guest_words *words);

/* client_open() and client_call(), with the problem said: a status, a result or NULL. */
int guest_open(struct client *client, const char *name);
struct json_object *guest_call(struct client *client, const char *command,
			       struct json_object *arguments);

/* What --json asks for: an object, on standard output. */
void guest_print_json(struct json_object *object);

/* What the words ask of the guest, by that command of its channel: a result or NULL. */
struct json_object *guest_words_call(const char *command, const struct guest_words *words);

/* A member of an object: "-" and 0 when it is not there. */
const char *guest_text(struct json_object *object, const char *name);
uint64_t guest_number(struct json_object *object, const char *name);

#endif
