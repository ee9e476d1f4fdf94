// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The outer end of the relay against a box that says what it likes: box/relay.c. Whoever has taken over the box talks to
 * the command with the user's rights this way.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "box/relay.h"

#define CLIENTS 2

static void serve(struct relay *relay, const int client[])
{
	struct pollfd p[RELAY_LINKS];
	char bytes[512];

	relay_poll(relay, p);
	fuzz_check(poll(p, RELAY_LINKS, 0) >= 0, "poll");
	relay_polled(relay, p);
	for (unsigned i = 0; i < CLIENTS; i++)
		while (recv(client[i], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
}

static bool relayed(const uint8_t *data, size_t size)
{
	static struct relay relay;
	struct fuzz_input in = { data, size };
	int client[CLIENTS], pair[2];
	const unsigned char *bytes;
	bool taken = true;
	size_t n;

	relay_init(&relay, false);
	for (unsigned i = 0; i < CLIENTS; i++) {
		fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			   "a pair of sockets");
		fuzz_check(relay_begin(&relay, pair[0], "/tmp/x"), "room for it");
		client[i] = pair[1];
		fuzz_check(write(pair[1], "hello", 5) == 5, "hello");
	}
	while (in.left && taken) {
		uint8_t *piece;

		n = 1 + in.at[0] % 97;
		n = n < in.left ? n : in.left;
		piece = fuzz_block(in.at, n);
		taken = relay_take(&relay, piece, n);
		free(piece);
		in.at += n;
		in.left -= n;
		n = relay_pending(&relay, &bytes);
		relay_sent(&relay, n > 1 ? n / 2 : n);
		serve(&relay, client);
	}
	relay_free(&relay);
	for (unsigned i = 0; i < CLIENTS; i++) {
		char byte[512];

		while ((n = recv(client[i], byte, sizeof(byte), MSG_DONTWAIT)) && (ssize_t)n > 0)
			;
		fuzz_check(!n || errno == ECONNRESET, "its end has been closed");
		close(client[i]);
	}
	return taken;
}

static size_t frame(uint8_t *to, unsigned kind, unsigned link, size_t length)
{
	to[0] = link;
	to[1] = kind;
	to[2] = length;
	to[3] = length >> 8;
	memset(to + RELAY_HEAD, 'x', length);
	return RELAY_HEAD + length;
}

static size_t good(uint8_t *input)
{
	unsigned frames = 1 + fuzz_random() % 8;
	size_t size = 0;

	while (frames--) {
		uint64_t r = fuzz_random();
		unsigned kind = r % 4 ? RELAY_DATA : RELAY_DATA + (r >> 4) % 3;

		size += frame(input + size, kind, (r >> 8) % CLIENTS,
			      kind == RELAY_DATA ? 1 + (r >> 16) % 300 : 0);
	}
	return size;
}

const struct fuzz_target fuzz_target = { .name = "relay",
					 .one = relayed,
					 .good = good,
					 .inputs = 10000 };
