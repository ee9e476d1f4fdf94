/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Lines out of a stream of bytes, of a bounded length. */
#ifndef CONTROL_LINE_H
#define CONTROL_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_LONGEST 65536u /* bytes, without its newline */

struct line {
	char *bytes; /* what has come and was not taken */
	size_t start, length, room;
};

/*
 * False: no memory. Who adds only when line_take() gave NULL holds never more than the longest line and
 * what was added last.
 */
bool line_add(struct line *line, const char *bytes, size_t n);
/*
 * The first whole line: without its newline, with a 0 behind it that *length does not count; good until
 * the next call. NULL: none has arrived.
 */
char *line_take(struct line *line, size_t *length);
/* After line_take() gave NULL: the line that has begun, if any, and is too long already. */
bool line_half(const struct line *line);
bool line_too_long(const struct line *line);
void line_free(struct line *line);

#endif
