/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Members of JSON objects, as guests send them. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdint.h>

#include <json-c/json.h>

/*
 * A member of an object, which may be anything, as a guest's server may: "-", 0 or NULL when it is not there or not
 * of that kind.
 */
const char *json_text(struct json_object *object, const char *name);
uint64_t json_number(struct json_object *object, const char *name);
struct json_object *json_list(struct json_object *object, const char *name);
struct json_object *json_part(struct json_object *object, const char *name); /* an object */
size_t json_count(struct json_object *list); /* of a json_list(): its elements */
/* Adds a member that is a text. */
void json_add_text(struct json_object *object, const char *name, const char *text);
/* On standard output: over several lines, for people too; in one line. */
void json_print(struct json_object *object);
void json_print_line(struct json_object *object);

#endif
