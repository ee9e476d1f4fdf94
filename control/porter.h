/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The doors of guests that are elsewhere: a thread admits clients, and the caller takes them there. */
#ifndef CONTROL_PORTER_H
#define CONTROL_PORTER_H

#include <stdbool.h>
#include <stddef.h>

struct porter;

/* Takes over the connection of a client for this guest; false: there are too many. By the porter's thread. */
typedef bool porter_take(void *opaque, const char *name, int fd);

/*
 * Opens a door for each name (as door_open()); the names stay the caller's. NULL with one line in problem[].
 */
struct porter *porter_start(const char *const *names, unsigned count, porter_take *take,
			    void *opaque, char *problem, size_t problem_size);
void porter_stop(struct porter *porter);

#endif
