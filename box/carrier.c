/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "carrier.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "machine.h"
#include "relay.h"

struct carrier {
	pthread_t thread;
	int port;
	int wake_fd;
	pthread_mutex_t lock; /* of what follows */
	struct relay relay;
	bool stopping;
	bool dead; /* the box's end has gone, or makes no sense */
};

static void wake(struct carrier *carrier)
{
	uint64_t one = 1;

	/* It takes 2^64 - 2 of these before one could fail. */
	if (write(carrier->wake_fd, &one, sizeof(one)) < 0)
		errno = 0;
}

bool carrier_begin(struct carrier *carrier, int fd, const char *path)
{
	bool begun;

	pthread_mutex_lock(&carrier->lock);
	begun = !carrier->dead && relay_begin(&carrier->relay, fd, path);
	pthread_mutex_unlock(&carrier->lock);
	wake(carrier);
	return begun;
}

static void send_pending(struct carrier *carrier)
{
	const unsigned char *bytes;
	size_t n = relay_pending(&carrier->relay, &bytes);
	ssize_t sent;

	if (!n)
		return;
	sent = send(carrier->port, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		relay_sent(&carrier->relay, (size_t)sent);
	else if (sent < 0 && errno != EAGAIN && errno != EINTR)
		carrier->dead = true;
}

static void take(struct carrier *carrier)
{
	unsigned char bytes[1 << 14];
	ssize_t n = 1;

	while (n > 0 && !carrier->dead) {
		n = recv(carrier->port, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0 ? !relay_take(&carrier->relay, bytes, (size_t)n) :
			    n == 0 || (errno != EAGAIN && errno != EINTR))
			carrier->dead = true;
	}
}

static void *carry(void *opaque)
{
	struct pollfd p[2 + RELAY_LINKS];
	struct carrier *carrier = opaque;
	uint64_t wakes;

	pthread_mutex_lock(&carrier->lock);
	while (!carrier->stopping && !carrier->dead) {
		const unsigned char *bytes;

		send_pending(carrier);
		relay_poll(&carrier->relay, p + 2);
		p[0] = (struct pollfd){ .fd = carrier->wake_fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = carrier->port, .events = POLLIN };
		if (relay_pending(&carrier->relay, &bytes))
			p[1].events |= POLLOUT;
		pthread_mutex_unlock(&carrier->lock);
		poll(p, 2 + RELAY_LINKS, -1);
		pthread_mutex_lock(&carrier->lock);
		if (p[0].revents && read(carrier->wake_fd, &wakes, sizeof(wakes)) < 0)
			continue;
		if (p[1].revents & (POLLIN | POLLHUP))
			take(carrier);
		relay_polled(&carrier->relay, p + 2);
	}
	/* The last words of a guest may have come together with the end of its box. */
	take(carrier);
	relay_poll(&carrier->relay, p + 2);
	relay_free(&carrier->relay);
	carrier->dead = true;
	/* Inside, nobody waits any longer for an answer from here. */
	shutdown(carrier->port, SHUT_WR);
	pthread_mutex_unlock(&carrier->lock);
	return NULL;
}

struct carrier *carrier_start(int port, char *error, size_t error_size)
{
	struct carrier *carrier = calloc(1, sizeof(*carrier));
	int result;

	if (!carrier) {
		complain(error, error_size, "no memory for the box");
		return NULL;
	}
	carrier->port = port;
	relay_init(&carrier->relay, false);
	pthread_mutex_init(&carrier->lock, NULL);
	carrier->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = carrier->wake_fd < 0 ? errno :
					pthread_create(&carrier->thread, NULL, carry, carrier);
	if (!result)
		return carrier;
	complain(error, error_size, "no thread for the box: %s", strerror(result));
	if (carrier->wake_fd >= 0)
		close(carrier->wake_fd);
	free(carrier);
	return NULL;
}

void carrier_stop(struct carrier *carrier)
{
	if (!carrier)
		return;
	pthread_mutex_lock(&carrier->lock);
	carrier->stopping = true;
	pthread_mutex_unlock(&carrier->lock);
	wake(carrier);
	pthread_join(carrier->thread, NULL);
	close(carrier->wake_fd);
	pthread_mutex_destroy(&carrier->lock);
	free(carrier);
}
