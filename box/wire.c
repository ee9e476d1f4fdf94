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
	int to;		  /* which port they are for */
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

/* What the other side takes more of. */
struct rooms {
	size_t input, line;
};

/* The port of a frame's bytes; -1: it has none, its length is what it says. */
static int port_of(unsigned char kind, size_t length, struct rooms *rooms)
{
	switch (kind) {
	case WIRE_ROOM:
		rooms->input += length;
		return -1;
	case WIRE_LINE:
		rooms->line += length;
		return -1;
	case WIRE_STATUS:
		return STATUS;
	case WIRE_RELAY:
		return RELAY;
	default:
		return OUTPUT;
	}
}

static void deliver(struct out *out, const int port[], const unsigned char *bytes, size_t n,
		    struct rooms *rooms)
{
	while (n) {
		size_t length;

		if (out->head_size < WIRE_OUT_HEAD) {
			out->head[out->head_size++] = *bytes++;
			n--;
			if (out->head_size < WIRE_OUT_HEAD)
				continue;
			length = out->head[1] | out->head[2] << 8;
			out->to = port_of(out->head[0], length, rooms);
			out->left = out->to < 0 ? 0 : length;
		}
		length = out->left < n ? out->left : n;
		if (length)
			write_all(port[out->to], bytes, length);
		bytes += length;
		n -= length;
		out->left -= length;
		if (!out->left)
			out->head_size = 0;
	}
}

/* False: that was the end. */
static bool send_in(int to, int from, unsigned char kind, size_t most, struct rooms *rooms)
{
	unsigned char frame[WIRE_FIFO];
	ssize_t n;

	if (most > rooms->line - WIRE_IN_HEAD)
		most = rooms->line - WIRE_IN_HEAD;
	if (most > sizeof(frame) - WIRE_IN_HEAD)
		most = sizeof(frame) - WIRE_IN_HEAD;
	n = read(from, frame + WIRE_IN_HEAD, most);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	frame[0] = kind;
	frame[1] = (unsigned char)n;
	if (n > 0 || kind == WIRE_INPUT) {
		write_all(to, frame, WIRE_IN_HEAD + n);
		rooms->line -= WIRE_IN_HEAD + n;
	}
	if (kind == WIRE_INPUT)
		rooms->input -= n;
	return n > 0;
}

static bool has_room(const struct rooms *rooms)
{
	return rooms->line > WIRE_IN_HEAD;
}

void wire_pump(int from, int to, const int port[])
{
	struct out out = { .head_size = 0 };
	struct rooms rooms = { 0, 0 };
	unsigned char bytes[1 << 14];
	bool input = true, relay = true;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = from, .events = POLLIN },
			{ .fd = input && rooms.input && has_room(&rooms) ? port[INPUT] : -1,
			  .events = POLLIN },
			{ .fd = relay && has_room(&rooms) ? port[RELAY] : -1, .events = POLLIN },
		};

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents) {
			ssize_t n = read(from, bytes, sizeof(bytes));

			if (n == 0 || (n < 0 && errno != EINTR))
				_exit(0);
			if (n > 0)
				deliver(&out, port, bytes, n, &rooms);
		}
		if (p[1].revents)
			input = send_in(to, port[INPUT], WIRE_INPUT, rooms.input, &rooms);
		if (p[2].revents && has_room(&rooms))
			relay = send_in(to, port[RELAY], WIRE_RELAY, WIRE_FIFO, &rooms);
	}
}
