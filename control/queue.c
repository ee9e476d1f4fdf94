/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool queue_put(struct queue *queue, const char *bytes, size_t n)
{
	size_t room = queue->room ? queue->room : 1024;
	char *larger;

	if (n > QUEUE_MOST - queue->length)
		return false;
	if (queue->start) {
		memmove(queue->bytes, queue->bytes + queue->start, queue->length);
		queue->start = 0;
	}
	while (room < queue->length + n)
		room *= 2;
	if (room != queue->room) {
		larger = realloc(queue->bytes, room);
		if (!larger)
			return false;
		queue->bytes = larger;
		queue->room = room;
	}
	memcpy(queue->bytes + queue->length, bytes, n);
	queue->length += n;
	return true;
}

bool queue_send(struct queue *queue, int fd)
{
	while (queue->length) {
		ssize_t n = send(fd, queue->bytes + queue->start, queue->length,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		queue->start += (size_t)n;
		queue->length -= (size_t)n;
	}
	queue->start = 0;
	return true;
}

void queue_free(struct queue *queue)
{
	free(queue->bytes);
	*queue = (struct queue){ NULL, 0, 0, 0 };
}
