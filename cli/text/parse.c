/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char suffixes[] = "KMGT"; /* each 1024 times the one before */

int parse_size(const char *text, uint64_t *bytes)
{
	uint64_t value = 0;
	const char *p = text, *suffix;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	if (*p) {
		suffix = strchr(suffixes, toupper((unsigned char)*p));
		if (!suffix || p[1])
			return -EINVAL;
		if (__builtin_mul_overflow(value, 1024ull << 10 * (suffix - suffixes), &value))
			return -ERANGE;
	}
	*bytes = value;
	return 0;
}

bool name_valid(const char *name)
{
	size_t length =
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return length && length <= NAME_MAX_LENGTH && !name[length] && strcmp(name, ".") &&
	       strcmp(name, "..");
}

const char *format_size(uint64_t bytes, char *text, size_t text_size)
{
	int unit = -1;

	while (unit < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(text, text_size, "%" PRIu64, bytes);
	else
		snprintf(text, text_size, "%" PRIu64 "%c", bytes, suffixes[unit]);
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
