/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Bytes on their way to a reader, who may be slow: up to a bound. */
#ifndef CONTROL_QUEUE_H
#define CONTROL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#define QUEUE_MOST (256u << 10) /* bytes that may wait */

struct queue {
	char *bytes;
	size_t start, length, room;
};

/* False, with the queue as it was: it would become too long, or there is no memory. */
bool queue_put(struct queue *queue, const char *bytes, size_t n);
/* Writes what the descriptor, which does not block, takes now. False: nobody will read there any more. */
bool queue_send(struct queue *queue, int fd);
void queue_free(struct queue *queue);

#endif
