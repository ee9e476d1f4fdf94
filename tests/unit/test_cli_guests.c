/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Several guests in one command: quotes, what is each one's and what is common, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "cli/run/options.h"
#include "cli/text/words.h"

#define WORDS 6

static const struct command run = { .name = "run", .options = run_rows };

/* Kinds of boxes are the box's; here there is none. */
int box_kind(const char *kind, char *error, size_t error_size)
{
	return -1;
}

static void splits(void **state)
{
	static const struct {
		const char *text, *word[WORDS];
	} good[] = {
		{ "", { NULL } },
		{ " \t\n ", { NULL } },
		{ "a", { "a" } },
		{ "a b c", { "a", "b", "c" } },
		{ "  a\t\tb\n", { "a", "b" } },
		{ "'a b' c", { "a b", "c" } },
		{ "\"a b\"c d", { "a bc", "d" } },
		{ "''", { "" } },
		{ "a '' \"\"", { "a", "", "" } },
		{ "'\"' \"'\"", { "\"", "'" } },
		{ "'a\\' b", { "a\\", "b" } },
		{ "\"a\\\"b\\\\c\\d\"", { "a\"b\\c\\d" } },
		{ "a\\ b \\'", { "a b", "'" } },
		{ "--append \"console=ttyS0 quiet\"", { "--append", "console=ttyS0 quiet" } },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int count = -1, n = 0;
		char **words = words_split(good[i].text, &count);

		assert_non_null(words);
		for (; n < WORDS && good[i].word[n]; n++)
			assert_string_equal(words[n], good[i].word[n]);
		assert_int_equal(count, n);
		assert_null(words[n]);
		free(words);
	}
}

static void unfinished(void **state)
{
	static const char *const bad[] = { "'",	 "\"",	  "a 'b",    "a \"b",
					   "\\", "a b\\", "\"a\\\"", "'a'b'" };
	int count;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_null(words_split(bad[i], &count));
		assert_int_equal(errno, EINVAL);
	}
}

/* What words_join() makes, words_split() takes apart: any words of these characters. */
static void joins(void **state)
{
	static const char alphabet[] = "a'\"\\ \t$-\n";
	uint32_t chance = 12345;

	for (int round = 0; round < 2000; round++) {
		char word[WORDS][12] = { "" }, *list[WORDS + 1], **again, *text;
		int count, n = round % (WORDS + 1);

		for (int i = 0; i < n; i++) {
			for (int j = 0; j < (round + i) % 11; j++) {
				chance = chance * 1664525 + 1013904223;
				word[i][j] = alphabet[(chance >> 16) % (sizeof(alphabet) - 1)];
			}
			list[i] = word[i];
		}
		list[n] = NULL;
		text = words_join(list);
		assert_non_null(text);
		again = words_split(text, &count);
		assert_non_null(again);
		assert_int_equal(count, n);
		for (int i = 0; i < n; i++)
			assert_string_equal(again[i], list[i]);
		free(again);
		free(text);
	}
}

/* Parses `fermata run LINE` and its guests; how many, 0: one, -1: refused. */
static int parse(const char *line, struct run_options *options, struct run_options *guest)
{
	static char **words; /* stay until the next line: the options point into them */
	int count;

	free(words);
	words = words_split(line, &count);
	assert_non_null(words);
	if (options_parse(options, &run, words) != OPTIONS_READ)
		return -1;
	count = (int)options_guests(options, guest);
	options_free(options);
	if (!options->guests)
		options_free(guest);
	return !count ? -1 : (int)options->guests;
}

static void release(struct run_options *guest, int count)
{
	for (int i = 0; i < count; i++)
		options_free(&guest[i]);
}

static void one(void **state)
{
	struct run_options options, guest[GUESTS_MAX];

	assert_int_equal(parse("run --kernel k --name x", &options, guest), 0);
	assert_string_equal(options.kernel, "k");
	assert_string_equal(options.name, "x");
	assert_string_equal(options.append, DEFAULT_APPEND);
	assert_true(options.memory == DEFAULT_MEMORY);
	assert_false(options.no_tags);
	assert_int_equal(parse("run --kernel k --no-vpid", &options, guest), 0);
	assert_true(options.no_tags);
	assert_int_equal(parse("run --kernel k --no-asid", &options, guest), 0);
	assert_true(options.no_tags);
	assert_int_equal(parse("run", &options, guest), -1);
}

static void several(void **state)
{
	struct run_options options, guest[GUESTS_MAX];
	int n = parse("run --kernel k --guest '--name a --append \"quiet x=1\" --memory 64M' --box none "
		      "--guest '--kernel other --initrd i --debug-exit' --guest '' --stats --memory 32M",
		      &options, guest);

	assert_int_equal(n, 3);
	assert_string_equal(guest[0].kernel, "k");
	assert_string_equal(guest[0].name, "a");
	assert_string_equal(guest[0].append, "quiet x=1");
	assert_true(guest[0].memory == 64ull << 20);
	assert_null(guest[0].initrd);
	assert_false(guest[0].debug_exit);
	assert_false(guest[0].no_tags);
	assert_string_equal(guest[1].kernel, "other");
	assert_string_equal(guest[1].initrd, "i");
	assert_true(guest[1].debug_exit);
	assert_true(guest[1].memory == 32ull << 20);
	assert_string_equal(guest[2].kernel, "k");
	assert_string_equal(guest[2].append, DEFAULT_APPEND);
	assert_string_not_equal(guest[1].name, guest[2].name);
	for (int i = 0; i < n; i++) {
		assert_true(guest[i].stats);
		assert_int_equal(guest[i].place.where, PLACE_HERE);
		assert_int_equal(guest[i].guests, 0);
	}
	release(guest, n);
	n = parse("run --kernel k --guest --stats --guest '--name b'", &options, guest);
	assert_int_equal(n, 2);
	assert_true(guest[0].stats);
	assert_false(guest[1].stats);
	release(guest, n);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"run --guest ''",		       /* no kernel */
		"run --guest '--kernel k' --guest ''", /* for the second one */
		"run --kernel k --guest '--name a' --guest '--name a'",
		"run --kernel k --name a --guest '' --guest ''", /* one name for both */
		"run --kernel k --guest '--box none'",
		"run --kernel k --guest '--keys off'",
		"run --kernel k --guest '--guest x'",
		"run --kernel k --guest '--help'",
		"run --kernel k --guest '-h'",
		"run --kernel k --guest '--memory 1Q'",
		"run --kernel k --guest '--name a/b'",
		"run --kernel k --guest '--nonsense'",
		"run --kernel k --guest '--append'",
		"run --kernel k --guest 'word'",
		"run --kernel k --guest '--stats=1'",
		"run --kernel k --guest \"--append 'x\"", /* a quote without its end */
		"run --kernel k --guest",
	};
	struct run_options options, guest[GUESTS_MAX];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], &options, guest), -1);
}

static void as_many_as_there_can_be(void **state)
{
	struct run_options options, guest[GUESTS_MAX];
	char line[32 + 11 * (GUESTS_MAX + 1)] = "run --kernel k";

	for (int i = 0; i < GUESTS_MAX; i++)
		strcat(line, " --guest ''");
	assert_int_equal(parse(line, &options, guest), GUESTS_MAX);
	release(guest, GUESTS_MAX);
	strcat(line, " --guest ''");
	assert_int_equal(parse(line, &options, guest), -1);
	assert_int_equal(parse("run --kernel k", &options, guest), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits),
		cmocka_unit_test(unfinished),
		cmocka_unit_test(joins),
		cmocka_unit_test(one),
		cmocka_unit_test(several),
		cmocka_unit_test(refused),
		cmocka_unit_test(as_many_as_there_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
