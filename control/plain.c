/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "plain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define DEPTH_MOST JSON_TOKENER_DEFAULT_DEPTH

static bool continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the well-formed and printable character that begins there (Unicode, table 3-7); 0: none does. */
static size_t printable(const unsigned char *c)
{
	if (c[0] < 0x80)
		return c[0] >= ' ' && c[0] != 0x7f;
	if (c[0] < 0xc2 || c[0] > 0xf4 || !continues(c[1]))
		return 0;
	if (c[0] < 0xe0)
		return c[0] == 0xc2 && c[1] < 0xa0 ? 0 : 2; /* C1 */
	if (!continues(c[2]))
		return 0;
	if (c[0] < 0xf0) {
		bool overlong = c[0] == 0xe0 && c[1] < 0xa0,
		     surrogate = c[0] == 0xed && c[1] >= 0xa0;

		return overlong || surrogate ? 0 : 3;
	}
	if (!continues(c[3]) || (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] >= 0x90))
		return 0;
	return 4;
}

void plain_text(char *text)
{
	unsigned char *c = (unsigned char *)text;

	while (*c) {
		size_t n = printable(c);

		if (!n)
			*c = '?';
		c += n ? n : 1;
	}
}

static struct json_object *copy(struct json_object *object, int depth);

static struct json_object *copy_string(struct json_object *object)
{
	/* A 0 in it would hide what follows; the copy ends there. */
	char *text = strdup(json_object_get_string(object));
	struct json_object *result;

	if (!text)
		return NULL;
	plain_text(text);
	result = json_object_new_string(text);
	free(text);
	return result;
}

static struct json_object *copy_array(struct json_object *object, int depth)
{
	struct json_object *result = json_object_new_array();

	for (size_t i = 0; result && i < json_object_array_length(object); i++) {
		struct json_object *from = json_object_array_get_idx(object, i);
		struct json_object *item = copy(from, depth);

		if ((from && !item) || json_object_array_add(result, item)) {
			json_object_put(item);
			json_object_put(result);
			return NULL;
		}
	}
	return result;
}

static struct json_object *copy_members(struct json_object *object, int depth)
{
	struct json_object *result = json_object_new_object();

	json_object_object_foreach(object, name, from)
	{
		char *plain = strdup(name);
		struct json_object *item = copy(from, depth);
		bool done = result && plain && (!from || item);

		if (done) {
			plain_text(plain);
			done = !json_object_object_add(result, plain, item);
		}
		free(plain);
		if (!done) {
			json_object_put(item);
			json_object_put(result);
			return NULL;
		}
	}
	return result;
}

static struct json_object *copy(struct json_object *object, int depth)
{
	if (depth > DEPTH_MOST)
		return NULL;
	switch (json_object_get_type(object)) {
	case json_type_string:
		return copy_string(object);
	case json_type_array:
		return copy_array(object, depth + 1);
	case json_type_object:
		return copy_members(object, depth + 1);
	default:
		return json_object_get(object);
	}
}

struct json_object *plain_object(struct json_object *object)
{
	struct json_object *result = copy(object, 0);

	json_object_put(object);
	return result;
}
