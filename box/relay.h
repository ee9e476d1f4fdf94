/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Connections carried over one stream: sockets outside the box, and what is dialled for each inside. Both
 * ends run this; only the outer one begins connections, and numbers them.
 *
 * A frame: number of the connection, kind, length (two bytes, low first), so many bytes. Each side says
 * RELAY_BREAK once, when its socket is closed; when both have, the number is free.
 */
#ifndef BOX_RELAY_H
#define BOX_RELAY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define RELAY_LINKS 64 /* connections at a time */
#define RELAY_PATH 108 /* of a socket inside, with its 0 */

#define RELAY_OPEN 1 /* outside: the bytes are the path of the socket to dial */
#define RELAY_DATA 2
#define RELAY_END 3 /* outside: nothing more comes from there, but it listens */
#define RELAY_BREAK 4

#define RELAY_HEAD 4
#define RELAY_LONGEST 4096 /* bytes of a frame */

struct relay_buffer {
	unsigned char *bytes;
	size_t start, length, room;
};

struct relay_link {
	bool used;
	bool broken, break_came; /* RELAY_BREAK was sent, has come */
	bool deaf;		 /* nobody reads at fd's other end */
	bool end, end_came;	 /* RELAY_END was sent; has come */
	int fd;			 /* -1: closed, or not dialled yet */
	struct relay_buffer out; /* for fd */
	char path[RELAY_PATH];	 /* inside: to be dialled; "": has been */
};

struct relay {
	bool inside;
	struct relay_link link[RELAY_LINKS];
	struct relay_buffer out;			 /* for the other side */
	unsigned char frame[RELAY_HEAD + RELAY_LONGEST]; /* that is arriving */
	size_t frame_size;
};

void relay_init(struct relay *relay, bool inside);
void relay_free(struct relay *relay);

/* Outside: takes over a connected socket. False, and it stays the caller's: there are RELAY_LINKS. */
bool relay_begin(struct relay *relay, int fd, const char *path);

/* What came from the other side. False: that was no relay. */
bool relay_take(struct relay *relay, const unsigned char *bytes, size_t n);
/* What is for the other side; relay_sent() of them have gone. */
size_t relay_pending(const struct relay *relay, const unsigned char **bytes);
void relay_sent(struct relay *relay, size_t n);

/*
 * Fills in RELAY_LINKS entries for poll(). Inside, a socket that is not there yet is dialled here again:
 * relay_dialling() says that it should not be long until the next time.
 */
void relay_poll(struct relay *relay, struct pollfd *p);
bool relay_dialling(const struct relay *relay);
/* Serves what poll() found. */
void relay_polled(struct relay *relay, const struct pollfd *p);
/* Inside, when who listened there has gone: reads what he left, ends all connections. */
void relay_finish(struct relay *relay);
/* A connection has not been ended from both sides. */
bool relay_linked(const struct relay *relay);

#endif
