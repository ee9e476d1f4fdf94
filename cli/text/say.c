/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#include "terminal.h"

static bool carriage_return;

void say_carriage_return(bool on)
{
	carriage_return = on;
}

void say_block(const char *lines)
{
	bool raw = carriage_return || terminal_is_raw();

	for (; *lines; lines++) {
		if (*lines == '\n' && raw)
			fputc('\r', stderr);
		fputc(*lines, stderr);
	}
	fflush(stderr);
}

static void say_list(const char *format, va_list list)
{
	char line[2048], *c;

	vsnprintf(line, sizeof(line), format, list);
	/* One line it stays, whatever a file is called, and no commands to the terminal (C1: C2 80 to C2 9F). */
	for (c = line; *c; c++) {
		bool c1 = c[0] == '\xc2' && (c[1] & 0xe0) == 0x80;

		if ((unsigned char)*c < ' ' || *c == 0x7f || c1)
			*c = '?';
	}
	fprintf(stderr, "fermata: %s%s\n", line, carriage_return || terminal_is_raw() ? "\r" : "");
}

void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

int fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
	return STATUS_FAILED;
}
