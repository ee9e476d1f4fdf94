/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* control/command.c: what a line may be, which verb it reaches, how arguments are checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/command.h"

static unsigned runs;

static int run_plain(struct control_call *call)
{
	runs++;
	return 0;
}

static int run_echo(struct control_call *call)
{
	char text[200];

	runs++;
	snprintf(text, sizeof(text), "%s %lld %d %d", call_string(call, "text"),
		 (long long)call_integer(call, "number", -1), call_bool(call, "yes"),
		 call_has(call, "number"));
	call->result = json_object_new_string(text);
	return 0;
}

static int run_fails(struct control_call *call)
{
	runs++;
	call->result = json_object_new_object();
	return call_fail(call, ERROR_STATE, "not %s", "now");
}

static const struct control_verb plain = { .name = "plain", .what = "p", .run = run_plain };
static const struct control_verb echo = {
	.name = "echo",
	.what = "e",
	.argument = { { "text", CONTROL_STRING, true, "this|that|th" },
		      { "number", CONTROL_INTEGER },
		      { "yes", CONTROL_BOOL } },
	.run = run_echo,
};
static const struct control_verb fails = { .name = "fails", .what = "f", .run = run_fails };
static const struct control_verb *const verbs[] = { &plain, &echo, &fails, NULL };

static void answers(const char *line, size_t length, const char *wanted)
{
	char *answer = command_answer(verbs, NULL, line, length);

	assert_non_null(answer);
	if (strcmp(answer, wanted))
		fail_msg("%.80s: %s instead of %s", line, answer, wanted);
	free(answer);
}

static void good_lines(void **state)
{
	static const struct {
		const char *line, *answer;
	} good[] = {
		{ "{\"execute\":\"plain\"}", "{\"return\":{}}\n" },
		{ " { \"execute\" : \"plain\" , \"arguments\" : { } } \r", "{\"return\":{}}\n" },
		{ "{\"execute\":\"plain\",\"id\":null}", "{\"return\":{},\"id\":null}\n" },
		{ "{\"id\":{\"a\":[1,\"/\"]},\"execute\":\"plain\"}",
		  "{\"return\":{},\"id\":{\"a\":[1,\"/\"]}}\n" },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"that\"}}",
		  "{\"return\":\"that -1 0 0\"}\n" },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"th\",\"number\":-5,\"yes\":true}}",
		  "{\"return\":\"th -5 1 1\"}\n" },
		{ "{\"execute\":\"fails\",\"id\":\"x\"}",
		  "{\"error\":{\"class\":\"state\",\"desc\":\"not now\"},\"id\":\"x\"}\n" },
	};

	runs = 0;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		answers(good[i].line, strlen(good[i].line), good[i].answer);
	assert_int_equal(runs, sizeof(good) / sizeof(good[0]));
}

static void refuses(const char *line, size_t length, const char *class)
{
	struct json_object *object, *error, *text;
	char *answer;

	runs = 0;
	answer = command_answer(verbs, NULL, line, length);
	assert_non_null(answer);
	assert_int_equal(answer[strlen(answer) - 1], '\n');
	assert_null(memchr(answer, '\n', strlen(answer) - 1));
	object = json_tokener_parse(answer);
	if (!object || !json_object_object_get_ex(object, "error", &error) ||
	    !json_object_object_get_ex(error, "class", &text) ||
	    strcmp(json_object_get_string(text), class) ||
	    !json_object_object_get_ex(error, "desc", &text) || !json_object_get_string_len(text))
		fail_msg("%.80s: not refused as %s: %s", line, class, answer);
	assert_int_equal(runs, 0);
	json_object_put(object);
	free(answer);
}

static void bad_lines(void **state)
{
	static const struct {
		const char *line, *class;
	} bad[] = {
		{ "hello", ERROR_SYNTAX },
		{ "\x16\x03\x01\xff\xfe", ERROR_SYNTAX },
		{ "{", ERROR_SYNTAX },
		{ "}", ERROR_SYNTAX },
		{ "null", ERROR_SYNTAX },
		{ "[]", ERROR_SYNTAX },
		{ "17", ERROR_SYNTAX },
		{ "\"plain\"", ERROR_SYNTAX },
		{ "{}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\"} {\"execute\":\"plain\"}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\"}x", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\",}", ERROR_SYNTAX },
		{ "{'execute':'plain'}", ERROR_SYNTAX },
		{ "{\"execute\":\"pl\xff\xfe\"}", ERROR_SYNTAX },
		{ "{\"execute\":7}", ERROR_SYNTAX },
		{ "{\"execute\":null}", ERROR_SYNTAX },
		{ "{\"execute\":[\"plain\"]}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\\u0000x\"}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\",\"arguments\":[]}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\",\"arguments\":null}", ERROR_SYNTAX },
		{ "{\"execute\":\"plain\",\"control\":1}", ERROR_SYNTAX },
		{ "{\"exec\":\"plain\"}", ERROR_SYNTAX },
		{ "{\"execute\":\"\"}", ERROR_UNKNOWN },
		{ "{\"execute\":\"Plain\"}", ERROR_UNKNOWN },
		{ "{\"execute\":\"plainer\"}", ERROR_UNKNOWN },
		{ "{\"execute\":\"plain\",\"arguments\":{\"a\":1}}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\"}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":7}}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"\"}}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"this|that\"}}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"tha\"}}", ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"this\\u0000\"}}",
		  ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"this\",\"number\":\"1\"}}",
		  ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"this\",\"number\":1.5}}",
		  ERROR_ARGUMENT },
		{ "{\"execute\":\"echo\",\"arguments\":{\"text\":\"this\",\"yes\":1}}",
		  ERROR_ARGUMENT },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i].line, strlen(bad[i].line), bad[i].class);
	refuses("{\"execute\":\"plain\"}\0", 20, ERROR_SYNTAX);
	refuses("{\"execute\":\"pl\0ain\"}", 20, ERROR_SYNTAX);
	refuses("\0", 1, ERROR_SYNTAX);
}

static void deep_lines(void **state)
{
	static char deep[60000];
	size_t n = sizeof(deep) - 1;

	memset(deep, '[', n);
	refuses(deep, n, ERROR_SYNTAX);
	for (size_t i = 0; i + 5 < n; i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	refuses(deep, n, ERROR_SYNTAX);
	n = (size_t)sprintf(deep, "{\"execute\":\"plain\",\"id\":");
	for (unsigned i = 0; i < COMMAND_DEPTH; i++)
		deep[n++] = '[';
	for (unsigned i = 0; i < COMMAND_DEPTH; i++)
		deep[n++] = ']';
	deep[n++] = '}';
	refuses(deep, n, ERROR_SYNTAX);
}

/* Each line of bytes is answered by one line, whatever is in it. */
static void random_lines(void **state)
{
	static const char alphabet[] = "{}[]\":,\\ execute plain u0 1e9.-+\t\r\x01\x7f\x80\xff";
	unsigned seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		char line[100], *answer;
		size_t n = i % sizeof(line);

		for (size_t j = 0; j < n; j++) {
			seed = seed * 1103515245u + 12345u;
			line[j] = alphabet[(seed >> 16) % sizeof(alphabet)];
		}
		answer = command_answer(verbs, NULL, line, n);
		assert_non_null(answer);
		assert_int_equal(strcspn(answer, "\n"), strlen(answer) - 1);
		free(answer);
	}
}

static void lists_itself(void **state)
{
	struct json_object *list = command_list(verbs);

	assert_string_equal(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
			    "[{\"name\":\"plain\",\"what\":\"p\",\"arguments\":[]},"
			    "{\"name\":\"echo\",\"what\":\"e\",\"arguments\":["
			    "{\"name\":\"text\",\"type\":\"string\",\"required\":true,\"values\":\"this|that|th\"},"
			    "{\"name\":\"number\",\"type\":\"integer\",\"required\":false},"
			    "{\"name\":\"yes\",\"type\":\"boolean\",\"required\":false}]},"
			    "{\"name\":\"fails\",\"what\":\"f\",\"arguments\":[]}]");
	json_object_put(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_lines),	cmocka_unit_test(bad_lines),
		cmocka_unit_test(deep_lines),	cmocka_unit_test(random_lines),
		cmocka_unit_test(lists_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
