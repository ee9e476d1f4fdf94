/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

struct out {
	unsigned char head[WIRE_OUT_HEAD];
	size_t head_size; /* of the frame that is arriving, so far */
	size_t left;	  /* of its bytes */
};

static void write_all(int fd, const unsigned char *bytes, size_t n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			_exit(1);
		bytes += done;
		n -= done;
	}
}

/* The room that these bytes announce. */
static size_t deliver(struct out *out, const int port[], const unsigned char *bytes, size_t n)
{
	size_t room = 0;

	while (n) {
		size_t length;

		if (out->head_size < WIRE_OUT_HEAD) {
			out->head[out->head_size++] = *bytes++;
			n--;
			if (out->head_size < WIRE_OUT_HEAD)
				continue;
			length = out->head[1] | out->head[2] << 8;
			if (out->head[0] == WIRE_ROOM)
				room += length;
			out->left = out->head[0] == WIRE_ROOM ? 0 : length;
		}
		length = out->left < n ? out->left : n;
		write_all(port[out->head[0] == WIRE_STATUS ? STATUS : OUTPUT], bytes, length);
		bytes += length;
		n -= length;
		out->left -= length;
		if (!out->left)
			out->head_size = 0;
	}
	return room;
}

/* False: that was the end. */
static bool send_input(int to, int input, size_t *room)
{
	unsigned char frame[1 + WIRE_IN_MAX];
	ssize_t n = read(input, frame + 1, *room < WIRE_IN_MAX ? *room : WIRE_IN_MAX);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	frame[0] = n;
	write_all(to, frame, 1 + n);
	*room -= n;
	return n > 0;
}

void wire_pump(int from, int to, const int port[])
{
	struct out out = { .head_size = 0 };
	unsigned char bytes[1 << 14];
	bool open = true;
	size_t room = 0;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = from, .events = POLLIN },
			{ .fd = open && room ? port[INPUT] : -1, .events = POLLIN },
		};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents) {
			ssize_t n = read(from, bytes, sizeof(bytes));

			if (n == 0 || (n < 0 && errno != EINTR))
				_exit(0);
			if (n > 0)
				room += deliver(&out, port, bytes, n);
		}
		if (p[1].revents)
			open = send_input(to, port[INPUT], &room);
	}
}
