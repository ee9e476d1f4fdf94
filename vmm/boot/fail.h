/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* How the loader reports a failure: one line, whatever the user's file is called. */
#ifndef VMM_BOOT_FAIL_H
#define VMM_BOOT_FAIL_H

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 4))) static inline int boot_fail(char *error, size_t error_size,
								  const char *format, ...)
{
	va_list args;
	char *c;

	if (!error_size)
		return -1;
	va_start(args, format);
	vsnprintf(error, error_size, format, args);
	va_end(args);
	for (c = error; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -1;
}

#endif
