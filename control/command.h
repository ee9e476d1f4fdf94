/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The lines of docs/control.md: what a client's says, and what it is answered. Nothing here waits. */
#ifndef CONTROL_COMMAND_H
#define CONTROL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#define CONTROL_PROTOCOL 1
#define COMMAND_DEPTH 32 /* of a line's JSON */

struct control_guest;

/* Classes of errors. */
#define ERROR_SYNTAX "syntax"	  /* not a line of this protocol */
#define ERROR_UNKNOWN "unknown"	  /* no such command */
#define ERROR_ARGUMENT "argument" /* an argument that is wrong, missing or too many */
#define ERROR_STATE "state"	  /* not now: the guest has ended, ... */
#define ERROR_FAILED "failed"	  /* it was tried */

/* A command under way. */
struct control_call {
	const struct control_guest *guest;
	struct json_object *arguments; /* an object; checked against the verb's list */
	struct json_object *result;    /* the verb's to make; NULL: {} */
	const char *class;	       /* of the error; NULL: none */
	char why[400];
};

enum control_type { CONTROL_STRING, CONTROL_INTEGER, CONTROL_BOOL };

struct control_argument {
	const char *name; /* NULL: the list ends */
	enum control_type type;
	bool required;
	const char *values; /* of a string: "this|that" and no other; NULL: any */
};

struct control_verb {
	const char *name;
	const char *what; /* one line for `commands` */
	struct control_argument argument[8];
	/* 0, perhaps with call->result; else call_fail()'s -1. Called by the guest's control thread. */
	int (*run)(struct control_call *call);
};

/* ---- for verbs */

/* A string argument; what = "" when it was not given. */
const char *call_string(const struct control_call *call, const char *name);
bool call_has(const struct control_call *call, const char *name);
int64_t call_integer(const struct control_call *call, const char *name, int64_t without);
bool call_bool(const struct control_call *call, const char *name);
/* -1, for the verb to return. */
int call_fail(struct control_call *call, const char *class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- for the server; lines end with a newline and are to be freed; NULL: no memory */

/* The answer to a line; verbs: a list that ends with NULL. */
char *command_answer(const struct control_verb *const *verbs, const struct control_guest *guest,
		     const char *text, size_t length);
char *command_greeting(const char *name);
/* Takes over data, which may be NULL. */
char *command_event(const char *event, struct json_object *data);
char *command_error(const char *class, const char *why);
/* What `commands` answers. */
struct json_object *command_list(const struct control_verb *const *verbs);

#endif
