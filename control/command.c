/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef FERMATA_VERSION
#define FERMATA_VERSION "unreleased"
#endif

/* ---- for verbs */

bool call_has(const struct control_call *call, const char *name)
{
	return json_object_object_get_ex(call->arguments, name, NULL);
}

const char *call_string(const struct control_call *call, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(call->arguments, name, &value) ?
		       json_object_get_string(value) :
		       "";
}

int64_t call_integer(const struct control_call *call, const char *name, int64_t without)
{
	struct json_object *value;

	return json_object_object_get_ex(call->arguments, name, &value) ?
		       json_object_get_int64(value) :
		       without;
}

bool call_bool(const struct control_call *call, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(call->arguments, name, &value) &&
	       json_object_get_boolean(value);
}

int call_fail(struct control_call *call, const char *class, const char *format, ...)
{
	va_list list;

	call->class = class;
	va_start(list, format);
	vsnprintf(call->why, sizeof(call->why), format, list);
	va_end(list);
	return -1;
}

/* ---- lines out */

/* Frees the object. */
static char *to_line(struct json_object *object)
{
	const char *text;
	char *line = NULL;
	size_t length;

	text = object ? json_object_to_json_string_length(object,
							  JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE,
							  &length) :
			NULL;
	if (text)
		line = malloc(length + 2);
	if (line) {
		memcpy(line, text, length);
		memcpy(line + length, "\n", 2);
	}
	json_object_put(object);
	return line;
}

static void add_string(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

static struct json_object *error_of(const char *class, const char *why)
{
	struct json_object *object = json_object_new_object(), *error = json_object_new_object();

	add_string(error, "class", class);
	add_string(error, "desc", why);
	json_object_object_add(object, "error", error);
	return object;
}

char *command_error(const char *class, const char *why)
{
	return to_line(error_of(class, why));
}

char *command_greeting(const char *name)
{
	struct json_object *object = json_object_new_object(), *about = json_object_new_object();

	add_string(about, "version", FERMATA_VERSION);
	json_object_object_add(about, "protocol", json_object_new_int(CONTROL_PROTOCOL));
	add_string(about, "name", name);
	json_object_object_add(object, "fermata", about);
	return to_line(object);
}

char *command_event(const char *event, struct json_object *data)
{
	struct json_object *object = json_object_new_object(), *when = json_object_new_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	add_string(object, "event", event);
	json_object_object_add(object, "data", data ? data : json_object_new_object());
	json_object_object_add(when, "seconds", json_object_new_int64(now.tv_sec));
	json_object_object_add(when, "microseconds", json_object_new_int64(now.tv_nsec / 1000));
	json_object_object_add(object, "timestamp", when);
	return to_line(object);
}

static const char *type_name(enum control_type type)
{
	switch (type) {
	case CONTROL_STRING:
		return "string";
	case CONTROL_INTEGER:
		return "integer";
	default:
		return "boolean";
	}
}

struct json_object *command_list(const struct control_verb *const *verbs)
{
	struct json_object *list = json_object_new_array();

	for (; *verbs; verbs++) {
		struct json_object *verb = json_object_new_object();
		struct json_object *arguments = json_object_new_array();

		for (const struct control_argument *a = (*verbs)->argument; a->name; a++) {
			struct json_object *one = json_object_new_object();

			add_string(one, "name", a->name);
			add_string(one, "type", type_name(a->type));
			json_object_object_add(one, "required",
					       json_object_new_boolean(a->required));
			if (a->values)
				add_string(one, "values", a->values);
			json_object_array_add(arguments, one);
		}
		add_string(verb, "name", (*verbs)->name);
		add_string(verb, "what", (*verbs)->what);
		json_object_object_add(verb, "arguments", arguments);
		json_object_array_add(list, verb);
	}
	return list;
}

/* ---- lines in */

static bool is_one_of(const char *value, const char *values)
{
	size_t length = strlen(value);

	for (;;) {
		size_t n = strcspn(values, "|");

		if (n == length && !memcmp(values, value, n))
			return true;
		if (!values[n])
			return false;
		values += n + 1;
	}
}

static bool has_type(struct json_object *value, enum control_type type)
{
	switch (type) {
	case CONTROL_STRING:
		/* One with a 0 inside would be another string to whom it is given. */
		return json_object_is_type(value, json_type_string) &&
		       strlen(json_object_get_string(value)) ==
			       (size_t)json_object_get_string_len(value);
	case CONTROL_INTEGER:
		return json_object_is_type(value, json_type_int);
	default:
		return json_object_is_type(value, json_type_boolean);
	}
}

static const struct control_argument *argument_of(const struct control_verb *verb, const char *name)
{
	for (const struct control_argument *a = verb->argument; a->name; a++)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

/* 0, or the -1 of call_fail(). */
static int check_arguments(struct control_call *call, const struct control_verb *verb)
{
	json_object_object_foreach(call->arguments, name, value)
	{
		const struct control_argument *a = argument_of(verb, name);

		if (!a)
			return call_fail(call, ERROR_ARGUMENT, "%s takes no argument '%.80s'",
					 verb->name, name);
		if (!has_type(value, a->type))
			return call_fail(call, ERROR_ARGUMENT, "'%s' is to be of type %s", a->name,
					 type_name(a->type));
		if (a->values && !is_one_of(json_object_get_string(value), a->values))
			return call_fail(call, ERROR_ARGUMENT, "'%s' is to be one of %s", a->name,
					 a->values);
	}
	for (const struct control_argument *a = verb->argument; a->name; a++)
		if (a->required && !call_has(call, a->name))
			return call_fail(call, ERROR_ARGUMENT, "%s needs the argument '%s'",
					 verb->name, a->name);
	return 0;
}

static const struct control_verb *find(const struct control_verb *const *verbs, const char *name)
{
	for (; *verbs; verbs++)
		if (!strcmp((*verbs)->name, name))
			return *verbs;
	return NULL;
}

/* What a line's object may have; 0, or the -1 of call_fail(). */
static int check_members(struct control_call *call, struct json_object *line)
{
	json_object_object_foreach(line, name, value)
	{
		(void)value;
		if (strcmp(name, "execute") && strcmp(name, "arguments") && strcmp(name, "id"))
			return call_fail(call, ERROR_SYNTAX,
					 "'%.80s': a command has execute, arguments and id", name);
	}
	return 0;
}

static int execute(const struct control_verb *const *verbs, struct control_call *call,
		   struct json_object *line)
{
	const struct control_verb *verb;
	struct json_object *name, *arguments;

	if (check_members(call, line))
		return -1;
	if (!json_object_object_get_ex(line, "execute", &name) || !has_type(name, CONTROL_STRING))
		return call_fail(call, ERROR_SYNTAX, "'execute' with a command's name is missing");
	if (!json_object_object_get_ex(line, "arguments", &arguments))
		call->arguments = json_object_new_object();
	else if (json_object_is_type(arguments, json_type_object))
		call->arguments = json_object_get(arguments);
	else
		return call_fail(call, ERROR_SYNTAX, "'arguments' is to be an object");
	verb = find(verbs, json_object_get_string(name));
	if (!verb)
		return call_fail(call, ERROR_UNKNOWN, "no command '%.80s'; see 'commands'",
				 json_object_get_string(name));
	return check_arguments(call, verb) ? -1 : verb->run(call);
}

/* NULL with *why: not an object, all of it, and nothing behind. */
static struct json_object *parse(const char *text, size_t length, const char **why)
{
	struct json_tokener *tokener;
	struct json_object *object;
	enum json_tokener_error error;

	*why = "it has a byte of 0";
	if (memchr(text, 0, length))
		return NULL;
	*why = "no memory";
	tokener = json_tokener_new_ex(COMMAND_DEPTH);
	if (!tokener)
		return NULL;
	while (length && strchr(" \t\r", text[length - 1]))
		length--;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)length);
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		*why = "it is not complete";
	else if (error != json_tokener_success)
		*why = json_tokener_error_desc(error);
	else if (json_tokener_get_parse_end(tokener) != length)
		*why = "there is more behind its end";
	else
		*why = json_object_is_type(object, json_type_object) ? NULL :
								       "it is to be an object";
	json_tokener_free(tokener);
	if (!*why)
		return object;
	json_object_put(object);
	return NULL;
}

char *command_answer(const struct control_verb *const *verbs, const struct control_guest *guest,
		     const char *text, size_t length)
{
	struct control_call call = { .guest = guest };
	struct json_object *line, *answer, *id;
	const char *why;

	line = parse(text, length, &why);
	if (!line) {
		snprintf(call.why, sizeof(call.why), "not a line of JSON: %s", why);
		return command_error(ERROR_SYNTAX, call.why);
	}
	if (execute(verbs, &call, line) == 0) {
		answer = json_object_new_object();
		json_object_object_add(answer, "return",
				       call.result ? json_object_get(call.result) :
						     json_object_new_object());
	} else {
		answer = error_of(call.class, call.why);
	}
	if (json_object_object_get_ex(line, "id", &id))
		json_object_object_add(answer, "id", json_object_get(id));
	json_object_put(call.result);
	json_object_put(call.arguments);
	json_object_put(line);
	return to_line(answer);
}
