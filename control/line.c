/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "line.h"

#include <stdlib.h>
#include <string.h>

bool line_add(struct line *line, const char *bytes, size_t n)
{
	size_t room = line->room ? line->room : 512;
	char *larger;

	if (line->start) {
		memmove(line->bytes, line->bytes + line->start, line->length);
		line->start = 0;
	}
	while (room < line->length + n)
		room *= 2;
	if (room != line->room) {
		larger = realloc(line->bytes, room);
		if (!larger)
			return false;
		line->bytes = larger;
		line->room = room;
	}
	memcpy(line->bytes + line->length, bytes, n);
	line->length += n;
	return true;
}

char *line_take(struct line *line, size_t *length)
{
	char *text = line->bytes + line->start;
	char *newline = line->length ? memchr(text, '\n', line->length) : NULL;

	if (!newline || newline - text > (ptrdiff_t)LINE_LONGEST)
		return NULL;
	*newline = 0;
	*length = (size_t)(newline - text);
	line->start += *length + 1;
	line->length -= *length + 1;
	return text;
}

bool line_half(const struct line *line)
{
	return line->length;
}

bool line_too_long(const struct line *line)
{
	return line->length > LINE_LONGEST;
}

void line_free(struct line *line)
{
	free(line->bytes);
	*line = (struct line){ NULL, 0, 0, 0 };
}
