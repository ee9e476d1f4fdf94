/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* control/line.c and queue.c: lines however they arrive, and the bounds of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/line.h"
#include "control/queue.h"

static const char text[] = "one\n\ntwo and \0 more\r\nthree\nhalf";
#define TEXT (sizeof(text) - 1)

static const struct {
	const char *bytes;
	size_t length;
} lines[] = { { "one", 3 }, { "", 0 }, { "two and \0 more\r", 15 }, { "three", 5 } };

static void in_pieces(void **state)
{
	for (size_t piece = 1; piece <= TEXT; piece++) {
		struct line line = { NULL };
		size_t at, length, n = 0;
		char *whole;

		for (at = 0; at < TEXT; at += piece) {
			size_t left = TEXT - at;

			assert_true(line_add(&line, text + at, piece < left ? piece : left));
			while ((whole = line_take(&line, &length))) {
				assert_true(n < 4);
				assert_int_equal(length, lines[n].length);
				assert_memory_equal(whole, lines[n].bytes, length + 1);
				n++;
			}
		}
		assert_int_equal(n, 4);
		assert_true(line_half(&line));
		assert_false(line_too_long(&line));
		line_free(&line);
		assert_false(line_half(&line));
	}
}

/* Of exactly the longest length it is a line; of one byte more it never is, newline or not. */
static void longest(void **state)
{
	static char bytes[4096];
	struct line line = { NULL };
	size_t length;
	char *whole;

	memset(bytes, 'x', sizeof(bytes));
	for (size_t n = 0; n < LINE_LONGEST; n += sizeof(bytes)) {
		assert_null(line_take(&line, &length));
		assert_true(line_add(&line, bytes, sizeof(bytes)));
	}
	assert_false(line_too_long(&line));
	assert_true(line_add(&line, "\nnext\n", 6));
	whole = line_take(&line, &length);
	assert_non_null(whole);
	assert_int_equal(length, LINE_LONGEST);
	whole = line_take(&line, &length);
	assert_string_equal(whole, "next");
	assert_null(line_take(&line, &length));

	for (size_t n = 0; n < LINE_LONGEST; n += sizeof(bytes))
		assert_true(line_add(&line, bytes, sizeof(bytes)));
	assert_null(line_take(&line, &length));
	assert_true(line_add(&line, "x\n", 2));
	assert_null(line_take(&line, &length));
	assert_true(line_too_long(&line));
	line_free(&line);
}

static void queue_is_bounded(void **state)
{
	struct queue queue = { NULL };
	static char piece[1000];
	size_t put = 0;

	while (queue_put(&queue, piece, sizeof(piece)))
		put += sizeof(piece);
	assert_true(put <= QUEUE_MOST && put > QUEUE_MOST - sizeof(piece));
	assert_int_equal(queue.length, put);
	assert_true(queue.room <= QUEUE_MOST);
	assert_false(queue_put(&queue, piece, QUEUE_MOST));
	assert_true(queue_put(&queue, piece, QUEUE_MOST - put));
	assert_false(queue_put(&queue, piece, 1));
	queue_free(&queue);
}

/* What a slow reader gets is what was put, in order; when he has gone it is said. */
static void queue_sends(void **state)
{
	static unsigned char sent[3 << 20], got[3 << 20];
	size_t put = 0, taken = 0;
	struct queue queue = { NULL };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 7 + i / 251);
	while (taken < sizeof(sent)) {
		size_t n = 1 + (put * 31) % 70000;
		ssize_t r;

		if (n > sizeof(sent) - put)
			n = sizeof(sent) - put;
		if (n && queue_put(&queue, (char *)sent + put, n))
			put += n;
		assert_true(queue_send(&queue, pair[0]));
		r = recv(pair[1], got + taken, 1 + (taken * 17) % 50000, MSG_DONTWAIT);
		if (r > 0)
			taken += (size_t)r;
	}
	assert_memory_equal(sent, got, sizeof(sent));
	close(pair[1]);
	assert_true(queue_put(&queue, "x", 1));
	assert_false(queue_send(&queue, pair[0]));
	close(pair[0]);
	queue_free(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(longest),
		cmocka_unit_test(queue_is_bounded),
		cmocka_unit_test(queue_sends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
