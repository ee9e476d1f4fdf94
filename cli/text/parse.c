/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int suffix_shift(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	case 't':
	case 'T':
		return 40;
	default:
		return -1;
	}
}

int parse_size(const char *text, uint64_t *bytes)
{
	uint64_t value = 0;
	const char *p = text;
	int shift;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	if (*p) {
		shift = suffix_shift(*p);
		if (shift < 0 || p[1])
			return -EINVAL;
		if (value > UINT64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
	}
	*bytes = value;
	return 0;
}

bool name_valid(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++) {
		char c = name[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';

		if (!good || i >= NAME_MAX_LENGTH)
			return false;
	}
	return i > 0 && strcmp(name, ".") && strcmp(name, "..");
}

const char *format_size(uint64_t bytes, char *text, size_t text_size)
{
	static const char suffix[] = "KMGT";
	int unit = -1;

	while (unit < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(text, text_size, "%" PRIu64, bytes);
	else
		snprintf(text, text_size, "%" PRIu64 "%c", bytes, suffix[unit]);
	return text;
}

bool memory_size_valid(uint64_t bytes, uint64_t available, char *problem, size_t problem_size)
{
	char size[32];

	format_size(bytes, size, sizeof(size));
	if (bytes % 4096)
		snprintf(problem, problem_size,
			 "--memory %s: guest memory comes in pages of 4096 bytes; give a multiple of 4K, such as 256M",
			 size);
	else if (bytes < MEMORY_MIN)
		snprintf(problem, problem_size,
			 "--memory %s: too small for a guest to start in; give at least 16M", size);
	else if (bytes > MEMORY_MAX)
		snprintf(problem, problem_size,
			 "--memory %s: more than a machine can have; give at most 1T", size);
	else if (bytes > available)
		snprintf(problem, problem_size,
			 "--memory %s: this host has only %" PRIu64
			 "M free; give less, or free some memory",
			 size, available >> 20);
	else
		return true;
	return false;
}
