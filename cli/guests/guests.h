/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The verbs about running guests, and what they share. */
#ifndef CLI_GUESTS_H
#define CLI_GUESTS_H

#include "cli/text/json.h"
#include "cli/text/option.h"
#include "control/client.h"

extern const struct command command_ps;					 /* ps.c */
extern const struct command command_stat;				 /* stat.c */
extern const struct command command_pause, command_resume, command_quit; /* steer.c */
extern const struct command command_clock;				 /* clock.c */
extern const struct command command_dirty;				 /* dirty.c */
extern const struct command command_on, command_off, command_events;	 /* events.c */
extern const struct command command_log;				 /* log.c */

/* What such a verb was told; each has rows for some of it. */
struct guest_request {
	const char *name, *what, *value; /* its words */
	bool json, once, follow;
	uint32_t format; /* enum log_format */
	uint32_t clock;	 /* of pause, resume; 0: nothing was said */
	double interval; /* seconds */
};

#define GUEST_MEMBER(member) offsetof(struct guest_request, member)

/*
 * Reads argv into *request, which has its defaults. OPTIONS_READ: go on, and there is a name; else the
 * command's exit status.
 */
int guest_read(const struct command *command, char **argv, struct guest_request *request);

/* client_open() and client_call(), with the problem said: a status, a result or NULL. */
int guest_open(struct client *client, const char *name);
struct json_object *guest_call(struct client *client, const char *command,
			       struct json_object *arguments);

/*
 * Sends the guest of that name one command and prints its result (NULL: it is not printed). arguments (NULL:
 * none) is taken over. The exit status.
 */
int guest_ask(const char *name, const char *command, struct json_object *arguments,
	      void (*print)(struct json_object *result));
/* The same with the arguments "do" and "value", from the words `what` and `value`. */
int guest_do(const struct guest_request *request, const char *command,
	     void (*print)(struct json_object *result));

#endif
