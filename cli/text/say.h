/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Words for the user, on standard error. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <stdbool.h>

/* Exit statuses of `fermata run`; docs/fermata.1 lists them. */
#define STATUS_OK 0
#define STATUS_FAILED 1
#define STATUS_DIED 2
#define STATUS_SIGNAL 128 /* plus the signal's number */

/* "fermata: ..." and a newline. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* say(), and STATUS_FAILED to return. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lines as they are, on standard error. */
void say_block(const char *lines);

/* Standard error ends at a raw terminal that is not ours to ask: lines end with CR LF. */
void say_carriage_return(bool on);

#endif
