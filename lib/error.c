// SPDX-License-Identifier: MIT OR GPL-2.0
/* The calling thread's last failure, in one line. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

static _Thread_local char last_error[256];

const char *fermata_error(void)
{
	return last_error;
}

int fermata_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_error, sizeof(last_error), format, args);
	va_end(args);
	errno = err;
	return -err;
}
