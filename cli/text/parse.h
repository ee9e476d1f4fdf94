/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What users type, read strictly: sizes, names. Pure functions. */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LENGTH 64
#define MEMORY_MIN (16ull << 20)
/* The loader's e820 and MTRRs of one machine end here: 1 TiB. */
#define MEMORY_MAX (1ull << 40)

/*
 * A decimal number, alone (bytes) or with one suffix K, M, G or T (powers of 1024, either case).
 * 0; -EINVAL: not of that form; -ERANGE: does not fit in 64 bits.
 */
int parse_size(const char *text, uint64_t *bytes);

/* 1 to 64 characters of A-Z a-z 0-9 . _ - ; "." and ".." are no names, they are folders. */
bool name_valid(const char *name);

/*
 * Why a guest cannot have `bytes` of memory on a host with `available` bytes free, as one line in
 * problem[] (what, why, what to do); true when it can.
 */
bool memory_size_valid(uint64_t bytes, uint64_t available, char *problem, size_t problem_size);

/* "256M", "1G", "12345": the shortest exact form. */
const char *format_size(uint64_t bytes, char *text, size_t text_size);

#endif
