/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Members of JSON objects, as guests send them. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdint.h>

#include <json-c/json.h>

/* A member of an object: "-" and 0 when it is not there. */
const char *json_text(struct json_object *object, const char *name);
uint64_t json_number(struct json_object *object, const char *name);
/* Adds a member that is a text. */
void json_add_text(struct json_object *object, const char *name, const char *text);
/* On standard output: over several lines, for people too; in one line. */
void json_print(struct json_object *object);
void json_print_line(struct json_object *object);

#endif
