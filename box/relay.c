/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PENDING_ENOUGH (64u << 10) /* for the other side: no more is read until that has gone */
#define UNREAD_MOST (512u << 10)   /* for a socket: then it is closed */

/* ---- buffers */

static bool put(struct relay_buffer *buffer, const void *bytes, size_t n)
{
	size_t room = buffer->room ? buffer->room : 1024;
	unsigned char *larger;

	if (buffer->start) {
		memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->length);
		buffer->start = 0;
	}
	while (room < buffer->length + n)
		room *= 2;
	if (room != buffer->room) {
		larger = realloc(buffer->bytes, room);
		if (!larger)
			return false;
		buffer->bytes = larger;
		buffer->room = room;
	}
	memcpy(buffer->bytes + buffer->length, bytes, n);
	buffer->length += n;
	return true;
}

static void take_away(struct relay_buffer *buffer, size_t n)
{
	buffer->start += n;
	buffer->length -= n;
	if (!buffer->length)
		buffer->start = 0;
}

static void clear(struct relay_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct relay_buffer){ NULL, 0, 0, 0 };
}

/* ---- frames out */

static void send_frame(struct relay *relay, const struct relay_link *link, unsigned char kind,
		       const void *bytes, size_t n)
{
	unsigned char frame[RELAY_HEAD + RELAY_LONGEST] = { (unsigned char)(link - relay->link),
							    kind, n & 0xff, n >> 8 };

	if (n)
		memcpy(frame + RELAY_HEAD, bytes, n);
	/* Without memory for this the stream would have a hole. */
	if (!put(&relay->out, frame, RELAY_HEAD + n))
		abort();
}

size_t relay_pending(const struct relay *relay, const unsigned char **bytes)
{
	*bytes = relay->out.bytes + relay->out.start;
	return relay->out.length;
}

void relay_sent(struct relay *relay, size_t n)
{
	take_away(&relay->out, n);
}

/* ---- one connection */

static void release(struct relay_link *link)
{
	if (link->used && link->broken && link->break_came && link->fd < 0) {
		clear(&link->out);
		*link = (struct relay_link){ .fd = -1 };
	}
}

static void say_break(struct relay *relay, struct relay_link *link)
{
	if (!link->broken)
		send_frame(relay, link, RELAY_BREAK, NULL, 0);
	link->broken = true;
}

static void close_link(struct relay *relay, struct relay_link *link)
{
	say_break(relay, link);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->path[0] = 0;
	clear(&link->out);
	release(link);
}

bool relay_begin(struct relay *relay, int fd, const char *path)
{
	size_t length = strlen(path);

	for (unsigned i = 0; i < RELAY_LINKS && length < RELAY_PATH; i++) {
		struct relay_link *link = &relay->link[i];

		if (link->used)
			continue;
		*link = (struct relay_link){ .used = true, .fd = fd };
		send_frame(relay, link, RELAY_OPEN, path, length);
		return true;
	}
	return false;
}

static void dial(struct relay *relay, struct relay_link *link)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		close_link(relay, link);
		return;
	}
	memcpy(address.sun_path, link->path, sizeof(address.sun_path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		/* Who listens there may not have begun, or has more callers than he can count. */
		close(fd);
		return;
	}
	link->fd = fd;
	link->path[0] = 0;
}

/* Bytes for the socket, as far as it takes them; then what is to happen behind them. */
static void write_out(struct relay *relay, struct relay_link *link)
{
	while (link->fd >= 0 && link->out.length && !link->deaf) {
		ssize_t n = send(link->fd, link->out.bytes + link->out.start, link->out.length,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			/* What was said from there before is still to be read. */
			link->deaf = true;
			take_away(&link->out, link->out.length);
			break;
		}
		take_away(&link->out, (size_t)n);
	}
	if (link->fd < 0)
		return;
	if (link->break_came)
		close_link(relay, link);
	else if (link->deaf && !relay->inside)
		close_link(relay, link);
	else if (link->end_came && !link->end) {
		shutdown(link->fd, SHUT_WR);
		link->end = true;
	}
}

/* False: nothing is there now. */
static bool read_in(struct relay *relay, struct relay_link *link)
{
	unsigned char bytes[RELAY_LONGEST];
	ssize_t n = recv(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0) {
		send_frame(relay, link, RELAY_DATA, bytes, (size_t)n);
		return true;
	}
	/* A client may still listen; a server that closed its end has closed both. */
	if (n == 0 && !relay->inside) {
		send_frame(relay, link, RELAY_END, NULL, 0);
		link->end = true;
	} else {
		close_link(relay, link);
	}
	return false;
}

/* ---- frames in */

static bool take_frame(struct relay *relay, const unsigned char *frame, size_t n)
{
	const unsigned char *bytes = frame + RELAY_HEAD;
	struct relay_link *link = &relay->link[frame[0] % RELAY_LINKS];

	if (frame[0] >= RELAY_LINKS)
		return false;
	switch (frame[1]) {
	case RELAY_OPEN:
		if (!relay->inside || link->used || !n || n >= RELAY_PATH)
			return false;
		*link = (struct relay_link){ .used = true, .fd = -1 };
		memcpy(link->path, bytes, n);
		return true;
	case RELAY_DATA:
		if (!link->used || link->break_came || link->end_came)
			return false;
		if (link->broken || link->deaf)
			return true;
		if (link->out.length + n > UNREAD_MOST || !put(&link->out, bytes, n))
			close_link(relay, link);
		return true;
	case RELAY_END:
		if (!relay->inside || !link->used || link->break_came || link->end_came)
			return false;
		link->end_came = true;
		return true;
	case RELAY_BREAK:
		if (!link->used || link->break_came)
			return false;
		link->break_came = true;
		/* A client still gets what was for him. */
		if (relay->inside || link->fd < 0)
			close_link(relay, link);
		else
			say_break(relay, link);
		return true;
	default:
		return false;
	}
}

bool relay_take(struct relay *relay, const unsigned char *bytes, size_t n)
{
	while (n) {
		size_t length = RELAY_HEAD, piece;

		if (relay->frame_size >= RELAY_HEAD)
			length += relay->frame[2] | relay->frame[3] << 8;
		if (length > sizeof(relay->frame))
			return false;
		piece = length - relay->frame_size < n ? length - relay->frame_size : n;
		memcpy(relay->frame + relay->frame_size, bytes, piece);
		relay->frame_size += piece;
		bytes += piece;
		n -= piece;
		if (relay->frame_size < length)
			return true;
		length -= RELAY_HEAD;
		/* The head alone: its length is known only now. */
		if (!length && (relay->frame[2] || relay->frame[3]))
			continue;
		relay->frame_size = 0;
		if (!take_frame(relay, relay->frame, length))
			return false;
	}
	return true;
}

/* ---- all of them */

void relay_poll(struct relay *relay, struct pollfd *p)
{
	bool room = relay->out.length < PENDING_ENOUGH;

	for (unsigned i = 0; i < RELAY_LINKS; i++) {
		struct relay_link *link = &relay->link[i];
		bool listen;

		if (link->path[0])
			dial(relay, link);
		if (link->fd >= 0)
			write_out(relay, link);
		listen = room && !link->broken && (relay->inside || !link->end);
		p[i] = (struct pollfd){
			.fd = link->fd,
			.events = (short)((listen ? POLLIN : 0) | (link->out.length ? POLLOUT : 0)),
		};
		/* Of one that is to wait, poll() would tell over and over that its other end has gone. */
		if (!p[i].events && (!room || relay->inside))
			p[i].fd = -1;
	}
}

bool relay_dialling(const struct relay *relay)
{
	for (unsigned i = 0; i < RELAY_LINKS; i++)
		if (relay->link[i].path[0])
			return true;
	return false;
}

void relay_polled(struct relay *relay, const struct pollfd *p)
{
	for (unsigned i = 0; i < RELAY_LINKS; i++) {
		struct relay_link *link = &relay->link[i];

		/* Since poll() the other side may have ended it: behind RELAY_BREAK nothing is said. */
		if (link->fd < 0 || p[i].fd != link->fd || !p[i].revents || link->broken)
			continue;
		if (p[i].events & POLLIN)
			read_in(relay, link);
		else if (!relay->inside && p[i].revents & (POLLHUP | POLLERR))
			close_link(relay, link);
	}
}

void relay_finish(struct relay *relay)
{
	for (unsigned i = 0; i < RELAY_LINKS; i++) {
		struct relay_link *link = &relay->link[i];

		while (link->fd >= 0 && read_in(relay, link))
			;
		if (link->used && !link->broken)
			close_link(relay, link);
	}
}

bool relay_linked(const struct relay *relay)
{
	for (unsigned i = 0; i < RELAY_LINKS; i++)
		if (relay->link[i].used)
			return true;
	return false;
}

void relay_init(struct relay *relay, bool inside)
{
	memset(relay, 0, sizeof(*relay));
	relay->inside = inside;
	for (unsigned i = 0; i < RELAY_LINKS; i++)
		relay->link[i].fd = -1;
}

void relay_free(struct relay *relay)
{
	for (unsigned i = 0; i < RELAY_LINKS; i++) {
		if (relay->link[i].fd >= 0)
			close(relay->link[i].fd);
		clear(&relay->link[i].out);
	}
	clear(&relay->out);
}
