/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fields.h"

/* Numbers are copied as they lie in memory: Fermata runs on x86 alone, which is little-endian. */

/* A field that is saved: a row, or one of the rows of its parts. */
struct leaf {
	const struct field *of; /* the row whose elements are structs, or NULL */
	const struct field *row;
};

/* The n-th of them; false: there are fewer. */
static bool find_leaf(const struct fields *fields, unsigned n, struct leaf *leaf)
{
	for (const struct field *row = fields->row; row->name; row++) {
		if (row->wiring)
			continue;
		for (const struct field *part = row->part ? row->part : row; part->name; part++) {
			if (!part->wiring && !n--) {
				*leaf = (struct leaf){ row->part ? row : NULL, part };
				return true;
			}
			if (!row->part)
				break;
		}
	}
	return false;
}

static uint32_t elements(const struct leaf *leaf)
{
	return leaf->row->count * (leaf->of ? leaf->of->count : 1);
}

/* Where element i lies in the device's struct. */
static size_t place(const struct leaf *leaf, uint32_t i)
{
	const struct field *row = leaf->row;
	size_t at = row->offset + (size_t)(i % row->count) * row->size;

	return leaf->of ? at + leaf->of->offset + (size_t)(i / row->count) * leaf->of->size : at;
}

static void name_of(const struct leaf *leaf, char name[256])
{
	snprintf(name, 256, "%s%s%s", leaf->of ? leaf->of->name : "", leaf->of ? "." : "",
		 leaf->row->name);
}

/* ---- saving */

struct writer {
	uint8_t *out;
	size_t size, room;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->size + n <= w->room)
		memcpy(w->out + w->size, bytes, n);
	w->size += n;
}

static void put_name(struct writer *w, const char *name)
{
	uint8_t length = (uint8_t)strlen(name);

	put(w, &length, sizeof(length));
	put(w, name, length);
}

static void put_fields(struct writer *w, const struct fields *fields, const void *dev)
{
	struct leaf leaf;

	for (unsigned n = 0; find_leaf(fields, n, &leaf); n++) {
		uint8_t size = (uint8_t)leaf.row->size;
		uint32_t count = elements(&leaf);
		char name[256];

		name_of(&leaf, name);
		put_name(w, name);
		put(w, &size, sizeof(size));
		put(w, &count, sizeof(count));
		for (uint32_t i = 0; i < count; i++)
			put(w, (const uint8_t *)dev + place(&leaf, i), size);
	}
}

size_t fields_save(const struct fields *fields, const void *dev, uint8_t *out, size_t room)
{
	struct writer body = { 0 }, w = { .out = out, .room = room };
	uint32_t length;

	put_fields(&body, fields, dev);
	length = (uint32_t)body.size;
	put_name(&w, fields->name);
	put(&w, &fields->version, sizeof(fields->version));
	put(&w, &length, sizeof(length));
	put_fields(&w, fields, dev);
	return w.size;
}

/* ---- loading */

struct reader {
	const uint8_t *in;
	size_t left;
	const struct fields *fields;
	char *problem;
	size_t problem_size;
};

/* "device: what is wrong" */
static __attribute__((format(printf, 2, 3))) bool refuse(struct reader *r, const char *what, ...)
{
	char line[200];
	va_list args;

	va_start(args, what);
	vsnprintf(line, sizeof(line), what, args);
	va_end(args);
	snprintf(r->problem, r->problem_size, "%s: %s", r->fields->name, line);
	return false;
}

static bool get(struct reader *r, void *value, size_t n)
{
	if (n > r->left) {
		refuse(r, "the saved state ends too early");
		return false;
	}
	memcpy(value, r->in, n);
	r->in += n;
	r->left -= n;
	return true;
}

/* The name may hold any bytes; as a string it is compared, and shown only when it is known. */
static bool get_name(struct reader *r, char name[256])
{
	uint8_t length;

	if (!get(r, &length, sizeof(length)) || !get(r, name, length))
		return false;
	name[length] = '\0';
	return true;
}

static bool find_named(const struct fields *fields, const char *name, struct leaf *leaf, unsigned *n)
{
	char its[256];

	for (*n = 0; find_leaf(fields, *n, leaf); ++*n) {
		name_of(leaf, its);
		if (!strcmp(name, its))
			return true;
	}
	return false;
}

static bool load_elements(struct reader *r, const struct leaf *leaf, const char *name, void *dev)
{
	const struct field *row = leaf->row;

	for (uint32_t i = 0; i < elements(leaf); i++) {
		uint64_t value = 0;

		if (!get(r, &value, row->size))
			return false;
		if ((row->bits && value & ~row->bits) || (row->max && value > row->max))
			return refuse(r, "%s cannot be %#llx", name, (unsigned long long)value);
		memcpy((uint8_t *)dev + place(leaf, i), &value, row->size);
	}
	return true;
}

/* seen: one bit for each field that was there. */
static bool load_field(struct reader *r, void *dev, uint64_t *seen)
{
	struct leaf leaf;
	char name[256];
	uint32_t count;
	uint8_t size;
	unsigned n;

	if (!get_name(r, name) || !get(r, &size, sizeof(size)) || !get(r, &count, sizeof(count)))
		return false;
	if (!find_named(r->fields, name, &leaf, &n))
		return refuse(r, "the saved state has a field that this version does not know");
	if (*seen >> n & 1)
		return refuse(r, "%s is there twice", name);
	*seen |= 1ull << n;
	if (size != leaf.row->size || count != elements(&leaf))
		return refuse(r, "%s has %u elements of %u bytes, not %u of %u", name,
			      elements(&leaf), leaf.row->size, count, size);
	return load_elements(r, &leaf, name, dev);
}

static bool load_all(struct reader *r, void *dev)
{
	const struct fields *fields = r->fields;
	char name[256];
	uint16_t version;
	uint32_t length;
	uint64_t seen = 0;
	struct leaf leaf;
	const char *wrong;

	if (!get_name(r, name) || !get(r, &version, sizeof(version)) ||
	    !get(r, &length, sizeof(length)))
		return false;
	if (strcmp(name, fields->name))
		return refuse(r, "the saved state is another device's");
	if (version < 1 || version > fields->version)
		return refuse(r, "the saved state has version %u; this program knows 1 to %u",
			      version, fields->version);
	if (length != r->left)
		return refuse(r, "the saved state has %zu bytes, and says that it has %u", r->left,
			      length);
	while (r->left)
		if (!load_field(r, dev, &seen))
			return false;
	for (unsigned n = 0; find_leaf(fields, n, &leaf); n++) {
		name_of(&leaf, name);
		if (!(seen >> n & 1) && leaf.row->since <= version)
			return refuse(r, "%s is missing", name);
	}
	wrong = fields->check ? fields->check(dev) : NULL;
	return wrong ? refuse(r, "%s", wrong) : true;
}

bool fields_load(const struct fields *fields, void *dev, const uint8_t *in, size_t size,
		 char *problem, size_t problem_size)
{
	struct reader r = { .in = in,
			    .left = size,
			    .fields = fields,
			    .problem = problem,
			    .problem_size = problem_size };
	uint8_t before[FIELDS_MAX_SIZE];
	bool good;

	memcpy(before, dev, fields->size);
	good = load_all(&r, dev);
	if (!good)
		memcpy(dev, before, fields->size);
	return good;
}
