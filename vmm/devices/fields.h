/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The list of a device's fields, from which its state is saved and loaded.
 *
 * Every member of a device's struct has a row: what the guest or time can change is saved; what the board sets when
 * it builds the machine (wires, callbacks) is wiring, which is not saved and survives a load. A device is
 * loaded into one that was built in the same way. No wire is driven by that: the other end of it is a
 * device that is loaded, too. Deadlines and forecasts are others afterwards: bus_touch(), bus_forecasts().
 *
 * One device's saved state is, all numbers little-endian:
 *
 *	u8 length, name of the device	u16 version	u32 bytes that follow
 *	for each field, in any order:
 *	u8 length, name of the field	u8 bytes of one element	u32 elements	the elements
 *
 * The field x of an array c of structs has the name "c.x", and the elements of all of c together. Names and
 * sizes are there to stay. A field that is added later says in `since` which version has it, and the list's
 * version is raised: a state that was saved before leaves such a field as the device was built.
 */
#ifndef VMM_FIELDS_H
#define VMM_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field {
	const char *name;
	uint32_t offset, size, count; /* size: of one element, in bytes */
	bool wiring;
	uint16_t since;		  /* the first version that has it; 0: all */
	uint64_t bits;		  /* a saved value has no others; 0: it may have all */
	uint64_t max;		  /* a saved value is not larger; 0: it may be */
	const struct field *part; /* the rows of an element, which is a struct without parts of its own */
};

/* Rows of a table, which ends with a row of zeroes. What follows `member`: .bits = ..., .max = ..., .part = ... */
#define FIELD_SIZED(type, member, element, ...)                                                    \
	{ .name = #member,                                                                         \
	  .offset = offsetof(struct type, member),                                                 \
	  .size = sizeof(((struct type *)0)->element),                                             \
	  .count = sizeof(((struct type *)0)->member) / sizeof(((struct type *)0)->element),       \
	  __VA_ARGS__ }
#define FIELD(type, member, ...) FIELD_SIZED(type, member, member, __VA_ARGS__)
#define ARRAY(type, member, ...) FIELD_SIZED(type, member, member[0], __VA_ARGS__)
#define FLAG(type, member) FIELD(type, member, .bits = 1)
#define WIRING(type, member) FIELD(type, member, .wiring = true)

struct fields {
	const char *name; /* of the device */
	uint16_t version; /* from 1 */
	uint32_t size;	  /* of its struct; at most FIELDS_MAX_SIZE */
	const struct field *row;
	/* What limits of single fields cannot say: NULL, or what is wrong with dev; may be NULL. */
	const char *(*check)(const void *dev);
};
#define FIELDS_MAX_SIZE 8192
#define FIELDS_MAX 64 /* that are saved of one device */

/* How many bytes the state is. out[] holds it when there is so much room, and else nothing of use. */
size_t fields_save(const struct fields *fields, const void *dev, uint8_t *out, size_t room);
/*
 * False: problem[] holds one line without newline that says what is wrong, and dev is as it was. The bytes may
 * come from anywhere: what is accepted cannot make the device misbehave.
 */
bool fields_load(const struct fields *fields, void *dev, const uint8_t *in, size_t size,
		 char *problem, size_t problem_size);

#endif
