// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The control channel against a client that sends what it likes: bytes become lines (control/line.c), and each line
 * has one answer, of one line, which is JSON (control/command.c).
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "control/command.h"
#include "control/line.h"

static bool done;

static int run(struct control_call *call)
{
	call_string(call, "text");
	call_integer(call, "number", -1);
	call_bool(call, "yes");
	done = true;
	return 0;
}

static const struct control_verb plain = { .name = "plain", .what = "p", .run = run };
static const struct control_verb echo = {
	.name = "echo",
	.what = "e",
	.argument = { { "text", CONTROL_STRING, true, "this|that" },
		      { "number", CONTROL_INTEGER },
		      { "yes", CONTROL_BOOL } },
	.run = run,
};
static const struct control_verb *const verbs[] = { &plain, &echo, NULL };

static void answered(const char *text, size_t length)
{
	char *answer = command_answer(verbs, NULL, text, length), *end;
	struct json_object *json, *of;

	fuzz_check(answer, "an answer");
	end = strchr(answer, '\n');
	fuzz_check(end && !end[1], "of one line");
	json = json_tokener_parse(answer);
	fuzz_check(json && json_object_is_type(json, json_type_object), "a JSON object");
	fuzz_check(json_object_object_get_ex(json, "return", &of) !=
			   json_object_object_get_ex(json, "error", &of),
		   "either a result or an error");
	json_object_put(json);
	free(answer);
}

/* In pieces, as a socket gives them. */
static bool commands(const uint8_t *data, size_t size)
{
	struct line line = { 0 };
	struct fuzz_input in = { data, size };
	size_t lines = 0, length, newlines = 0;
	char *text;

	done = false;
	while (in.left) {
		size_t n = 1 + in.at[0] % 61;
		char *piece;

		n = n < in.left ? n : in.left;
		piece = (char *)fuzz_block(in.at, n);
		for (size_t i = 0; i < n; i++)
			newlines += piece[i] == '\n';
		fuzz_check(line_add(&line, piece, n), "room");
		free(piece);
		in.at += n;
		in.left -= n;
		while ((text = line_take(&line, &length))) {
			fuzz_check(!text[length] && !memchr(text, '\n', length), "a line");
			answered(text, length);
			lines++;
		}
		fuzz_check(!line_too_long(&line) || line_half(&line),
			   "one that is too long has begun");
	}
	fuzz_check(lines == newlines, "each line");
	line_free(&line);
	return done;
}

static size_t good(uint8_t *input)
{
	static const char *const texts[] = {
		"{\"execute\":\"plain\"}\n",
		"{\"execute\":\"echo\",\"arguments\":{\"text\":\"this\",\"number\":-7,\"yes\":true}}\n",
		"{\"execute\":\"plain\",\"id\":9223372036854775807}\n{\"execute\":\"plain\"}\n",
		"{\"execute\":\"echo\",\"arguments\":{\"text\":\"\\u0074hat\"},\"id\":[1,{\"a\":null}]}\r\n",
		"{\"execute\":\"plain\",\"id\":1e308}\n\n",
	};
	const char *text = texts[fuzz_random() % (sizeof(texts) / sizeof(texts[0]))];

	memcpy(input, text, strlen(text));
	return strlen(text);
}

const struct fuzz_target fuzz_target = { .name = "command",
					 .one = commands,
					 .good = good,
					 .inputs = 20000 };
