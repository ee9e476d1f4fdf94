/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* box/relay.c: both ends in one process, and a stream between them that breaks frames anywhere. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "box/relay.h"

static struct relay outer, inner;
static char path[] = "/tmp/fermata-test-relay-XXXXXX";
static int door = -1;
static unsigned seed = 1;

static unsigned chance(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static void open_door(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(door, 2), 0);
}

static void close_door(void)
{
	close(door);
	unlink(path);
	door = -1;
}

static void pass(struct relay *from, struct relay *to)
{
	const unsigned char *bytes;
	size_t n;

	while ((n = relay_pending(from, &bytes))) {
		n = 1 + chance(n < 9000 ? (unsigned)n : 9000);
		assert_true(relay_take(to, bytes, n));
		relay_sent(from, n);
	}
}

static void serve(struct relay *relay, bool late)
{
	struct pollfd p[RELAY_LINKS];

	relay_poll(relay, p);
	assert_true(poll(p, RELAY_LINKS, 0) >= 0);
	/* Both owners take what the other side said between the two. */
	if (late)
		pass(relay == &inner ? &outer : &inner, relay);
	relay_polled(relay, p);
}

static void turn(void)
{
	serve(&outer, false);
	serve(&inner, false);
	pass(&outer, &inner);
	pass(&inner, &outer);
}

static void turns(unsigned n)
{
	while (n--)
		turn();
}

/* One side or the other, whichever comes first. */
static void turns_by_chance(unsigned n)
{
	while (n--)
		serve(chance(2) ? &inner : &outer, chance(2));
}

static unsigned used(const struct relay *relay)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RELAY_LINKS; i++)
		n += relay->link[i].used;
	return n;
}

static int setup(void **state)
{
	relay_init(&outer, false);
	relay_init(&inner, true);
	open_door();
	return 0;
}

static int teardown(void **state)
{
	close_door();
	relay_free(&outer);
	relay_free(&inner);
	return 0;
}

/* A client's end of a connection that is carried. */
static int begin(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(relay_begin(&outer, pair[1], path));
	return pair[0];
}

static int answer(void)
{
	int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

static bool at_end(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Sends random bytes from one end to the other; all arrive. */
static void carries(int from, int to, size_t total)
{
	unsigned char out[3000], in[3000];
	unsigned sum_out = 0, sum_in = 0;
	size_t sent = 0, got = 0;

	while (got < total) {
		size_t n = 1 + chance(sizeof(out));
		ssize_t r;

		if (n > total - sent)
			n = total - sent;
		for (size_t i = 0; i < n; i++)
			out[i] = (unsigned char)chance(256);
		r = n ? send(from, out, n, MSG_DONTWAIT) : 0;
		for (ssize_t i = 0; i < r; i++)
			sum_out = sum_out * 31 + out[i];
		sent += r > 0 ? (size_t)r : 0;
		turn();
		r = recv(to, in, sizeof(in), MSG_DONTWAIT);
		for (ssize_t i = 0; i < r; i++)
			sum_in = sum_in * 31 + in[i];
		got += r > 0 ? (size_t)r : 0;
	}
	assert_int_equal(sum_in, sum_out);
}

static void both_ways(void **state)
{
	int client = begin(), server;

	turns(2);
	server = answer();
	carries(client, server, 3000000);
	carries(server, client, 3000000);
	/* Who has nothing more to say still listens. */
	shutdown(client, SHUT_WR);
	turns(2);
	assert_true(at_end(server));
	carries(server, client, 100000);
	assert_int_equal(send(server, "bye", 3, 0), 3);
	close(server);
	turns(3);
	{
		char bytes[10];

		assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 3);
	}
	turns(3);
	assert_true(at_end(client));
	close(client);
	turns(3);
	assert_int_equal(used(&outer) + used(&inner), 0);
}

static void client_leaves(void **state)
{
	for (unsigned i = 0; i < 300; i++) {
		int client = begin(), server;

		turns(chance(3) + 1);
		if (chance(2))
			assert_int_equal(send(client, "hello", 5, 0), 5);
		turns(chance(3));
		close(client);
		turns(6);
		server = answer();
		while (recv(server, &(char[10]){ 0 }, 10, MSG_DONTWAIT) > 0)
			;
		assert_true(at_end(server));
		close(server);
		turns(3);
		assert_int_equal(used(&outer) + used(&inner), 0);
	}
}

/* Nobody listens yet: what the client said first waits. He may also lose patience. */
static void dialled_later(void **state)
{
	int client, other, server;
	char bytes[10];

	close_door();
	client = begin();
	other = begin();
	assert_int_equal(send(client, "early", 5, 0), 5);
	turns(3);
	assert_true(relay_dialling(&inner));
	close(other);
	turns(3);
	assert_int_equal(used(&outer), 1);
	open_door();
	turns(3);
	assert_false(relay_dialling(&inner));
	server = answer();
	assert_int_equal(recv(server, bytes, sizeof(bytes), 0), 5);
	close(server);
	turns(3);
	assert_true(at_end(client));
	close(client);
	turns(3);
	assert_int_equal(used(&outer) + used(&inner), 0);
}

/* Both ends go at the same moment, again and again: no frame of one connection meets the next. */
static void both_leave(void **state)
{
	for (unsigned i = 0; i < 1000; i++) {
		int client = begin(), server;

		turns(2);
		server = answer();
		if (chance(2))
			assert_int_equal(send(client, "hello", 5, 0), 5);
		if (chance(2))
			assert_int_equal(send(server, "hello", 5, 0), 5);
		if (chance(2)) {
			close(server);
			turns_by_chance(chance(4));
			close(client);
		} else {
			close(client);
			turns_by_chance(chance(4));
			close(server);
		}
		turns_by_chance(chance(12));
	}
	turns(6);
	assert_int_equal(used(&outer) + used(&inner), 0);
}

/* One that does not read is dropped at a bound, with others beside it undisturbed. */
static void deaf_client(void **state)
{
	int deaf = begin(), client, one, other;
	static char piece[4096];
	size_t sent = 0;

	turns(2);
	one = answer();
	client = begin();
	turns(2);
	other = answer();
	for (;;) {
		ssize_t n = send(one, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EPIPE)
			break;
		sent += n > 0 ? (size_t)n : 0;
		assert_true(sent < 8u << 20);
		turn();
	}
	carries(other, client, 100000);
	carries(client, other, 100000);
	close(one);
	close(other);
	close(deaf);
	close(client);
	turns(6);
	assert_int_equal(used(&outer) + used(&inner), 0);
}

/* The server goes while a client goes on talking: he still hears what it said last. */
static void server_leaves(void **state)
{
	static char piece[4096];
	int client = begin(), server;
	char bytes[10];

	turns(2);
	server = answer();
	assert_int_equal(send(client, piece, sizeof(piece), 0), sizeof(piece));
	turns(2);
	assert_int_equal(send(server, "go away", 7, 0), 7);
	close(server);
	for (unsigned i = 0; i < 10; i++) {
		send(client, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
		turn();
	}
	assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 7);
	assert_true(recv(client, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0);
	close(client);
	turns(3);
	assert_int_equal(used(&outer) + used(&inner), 0);
}

static void too_many(void **state)
{
	int client[RELAY_LINKS], pair[2];

	for (unsigned i = 0; i < RELAY_LINKS; i++)
		client[i] = begin();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_false(relay_begin(&outer, pair[1], path));
	close(client[7]);
	for (unsigned i = 0; i < 2 * RELAY_LINKS; i++) {
		int server;

		turns(3);
		server = accept4(door, NULL, NULL, SOCK_NONBLOCK);
		if (server >= 0)
			close(server);
	}
	assert_true(relay_begin(&outer, pair[1], path));
	for (unsigned i = 0; i < RELAY_LINKS; i++)
		if (i != 7)
			close(client[i]);
	close(pair[0]);
	turns(6);
	assert_int_equal(used(&outer), used(&inner));
}

/* The command has ended: what it said last arrives, and all connections end. */
static void finishes(void **state)
{
	int client = begin(), waiting, server;
	char bytes[10];

	turns(2);
	server = answer();
	close_door();
	waiting = begin();
	turns(2);
	assert_int_equal(send(server, "ended", 5, 0), 5);
	close(server);
	relay_finish(&inner);
	pass(&inner, &outer);
	assert_true(relay_linked(&inner));
	turns(3);
	assert_false(relay_linked(&inner));
	assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 5);
	assert_true(at_end(client));
	assert_true(at_end(waiting));
	close(client);
	close(waiting);
	turns(3);
	assert_int_equal(used(&outer) + used(&inner), 0);
	open_door();
}

/* A stream that is none is noticed, whatever it is, and does no harm. */
static void nonsense(void **state)
{
	static const unsigned char bad[][8] = {
		{ RELAY_LINKS, RELAY_OPEN, 1, 0, '/' }, /* no such connection */
		{ 0, RELAY_OPEN, 0, 0 },		/* no path */
		{ 0, RELAY_DATA, 1, 0, 'x' },		/* not open */
		{ 0, RELAY_BREAK, 0, 0 },
		{ 0, RELAY_END, 0, 0 },
		{ 0, 9, 0, 0 },
		{ 0, RELAY_OPEN, 1, 0x80 }, /* too long */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(relay_take(&inner, bad[i], 5));
		relay_free(&inner);
		relay_init(&inner, true);
	}
	/* Who is outside is not told whom to dial. */
	assert_false(relay_take(&outer, (const unsigned char *)"\0\1\1\0/", 5));
	for (unsigned i = 0; i < 3000; i++) {
		struct relay *relay = i % 2 ? &inner : &outer;
		unsigned char bytes[600];

		relay_free(relay);
		relay_init(relay, i % 2);
		for (unsigned n = 0; n < sizeof(bytes); n++)
			bytes[n] = (unsigned char)chance(chance(3) ? 6 : 256);
		relay_take(relay, bytes, sizeof(bytes));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_ways),   TEST(client_leaves), TEST(dialled_later),
		TEST(deaf_client), TEST(both_leave),	TEST(server_leaves),
		TEST(too_many),	   TEST(finishes),	TEST(nonsense),
	};
	int fd = mkstemp(path);

	close(fd);
	unlink(path);
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
