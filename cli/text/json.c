/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "json.h"

#include <stdio.h>

const char *json_text(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) || !value)
		return "-";
	return json_object_get_string(value);
}

static struct json_object *member(struct json_object *object, const char *name, json_type type)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

struct json_object *json_list(struct json_object *object, const char *name)
{
	return member(object, name, json_type_array);
}

struct json_object *json_part(struct json_object *object, const char *name)
{
	return member(object, name, json_type_object);
}

size_t json_count(struct json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

uint64_t json_number(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) ? json_object_get_uint64(value) : 0;
}

void json_add_text(struct json_object *object, const char *name, const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

void json_print(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_SPACED |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
}

void json_print_line(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
}
