/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Options and words of a command: how they are read, what is refused, and what --help makes of the rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/text/option.h"

#define WORDS 8

struct settings {
	const char *text;
	uint32_t choice, list;
	bool flag;
};

static const struct option_word words[] = { { "one", 1 },
					    { "two", 2 },
					    { "four", 4 },
					    { .name = NULL } };

#define AT(member) offsetof(struct settings, member)
static const struct option_row rows[] = {
	{ "text", "TEXT", option_text, AT(text), .help = "a text" },
	{ "choice", "WORD", option_choice, AT(choice), .help = "one of several", .words = words },
	{ "list", "WORDS", option_list, AT(list), .help = "several", .words = words },
	{ "flag", NULL, option_flag, AT(flag),
	  .help = "an explanation that does not end before its line has no room for more of its many "
		  "words, and goes on in another",
	  .also = "banner" },
	{ "flags", "TEXT", option_text, AT(text), .help = "begins as another does" },
	{ .name = NULL },
};

static struct command command(unsigned words_at_most, bool dash_words)
{
	return (struct command){
		.name = "verb",
		.what = "does something",
		.usage = "NAME\nNAME again",
		.options = rows,
		.about = "The end.\n",
		.words = words_at_most,
		.dash_words = dash_words,
	};
}

static int read_words(const struct command *c, const char *const *given, struct settings *settings,
		      const char **word)
{
	char *argv[WORDS + 2] = { "verb" };

	for (int i = 0; i < WORDS && given[i]; i++)
		argv[i + 1] = (char *)given[i];
	memset(settings, 0, sizeof(*settings));
	return options_read(c, argv, settings, word);
}

static void reads(void **state)
{
	static const struct {
		const char *given[WORDS];
		struct settings settings;
		const char *word[OPTION_WORDS];
	} good[] = {
		{ .given = { NULL } },
		{ { "--text", "a" }, .settings = { .text = "a" } },
		{ { "--text=a" }, .settings = { .text = "a" } },
		{ { "--text=" }, .settings = { .text = "" } },
		{ { "--text=a=b" }, .settings = { .text = "a=b" } },
		{ { "--text", "--flag" }, .settings = { .text = "--flag" } },
		{ { "--te", "a" }, .settings = { .text = "a" } }, /* no other begins so */
		{ { "--text", "a", "--text", "b" }, .settings = { .text = "b" } },
		{ { "--flag" }, .settings = { .flag = true } }, /* though "flags" begins so */
		{ { "--banner" }, .settings = { .flag = true } },
		{ { "--b" }, .settings = { .flag = true } },
		{ { "--choice", "two" }, .settings = { .choice = 2 } },
		{ { "--choice=two", "--choice=one" }, .settings = { .choice = 1 } },
		{ { "--list", "one,four" }, .settings = { .list = 5 } },
		{ { "--list", "one", "--list", "four" }, .settings = { .list = 5 } },
		{ { "a" }, .word = { "a" } },
		{ { "a", "--flag", "b", "-" },
		  .settings = { .flag = true },
		  .word = { "a", "b", "-" } },
		{ { "--", "--flag", "--" }, .word = { "--flag", "--" } },
	};
	const struct command c = command(OPTION_WORDS, false);

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *word[OPTION_WORDS];
		struct settings s;

		assert_int_equal(read_words(&c, good[i].given, &s, word), OPTIONS_READ);
		assert_int_equal(!s.text, !good[i].settings.text);
		if (s.text)
			assert_string_equal(s.text, good[i].settings.text);
		assert_int_equal(s.choice, good[i].settings.choice);
		assert_int_equal(s.list, good[i].settings.list);
		assert_int_equal(s.flag, good[i].settings.flag);
		for (int n = 0; n < OPTION_WORDS; n++) {
			assert_int_equal(!word[n], !good[i].word[n]);
			if (word[n])
				assert_string_equal(word[n], good[i].word[n]);
		}
	}
}

static void refuses(void **state)
{
	static const char *const bad[][WORDS] = {
		{ "--text" },
		{ "--nonsense" },
		{ "--fla" }, /* two begin so */
		{ "--flag=1" },
		{ "--flag=" },
		{ "-z" },
		{ "-f" },
		{ "--choice", "six" },
		{ "--choice", "" },
		{ "--choice", "on" },
		{ "--list", "one," },
		{ "--list", "one,,two" },
		{ "--list", "" },
		{ "a", "b", "c", "d" },
		{ "--=a" },
	};
	const struct command c = command(OPTION_WORDS, false);
	struct settings s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_words(&c, bad[i], &s, NULL), 1);
}

static void numbers_are_words(void **state)
{
	const struct command dashes = command(2, true), none = command(2, false);
	const char *word[OPTION_WORDS];
	struct settings s;

	assert_int_equal(read_words(&dashes, (const char *[WORDS]){ "jump", "-1s" }, &s, word),
			 OPTIONS_READ);
	assert_string_equal(word[1], "-1s");
	assert_int_equal(read_words(&none, (const char *[WORDS]){ "jump", "-1s" }, &s, word), 1);
	assert_int_equal(read_words(&dashes, (const char *[WORDS]){ "--nonsense" }, &s, word), 1);
}

/* What it prints on standard output. */
static char *help_of(const struct command *c, const char *option)
{
	char *text = calloc(1, 4096);
	FILE *file = tmpfile();
	int old = dup(STDOUT_FILENO);
	struct settings s;

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	assert_int_equal(read_words(c, (const char *[WORDS]){ "a", option, "--nonsense" }, &s, NULL),
			 0);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	rewind(file);
	assert_int_not_equal(fread(text, 1, 4095, file), 0);
	fclose(file);
	return text;
}

static void helps(void **state)
{
	static const char expected[] =
		"fermata verb: does something\n"
		"\n"
		"usage: fermata verb NAME\n"
		"       fermata verb NAME again\n"
		"\n"
		"  --text TEXT    a text\n"
		"  --choice WORD  one of several\n"
		"  --list WORDS   several\n"
		"  --flag\n"
		"  --banner       an explanation that does not end before its line has no room for more of its many\n"
		"                 words, and goes on in another\n"
		"  --flags TEXT   begins as another does\n"
		"  --help         print this text\n"
		"\n"
		"The end.\n";
	const struct command c = command(1, false), dashes = command(1, true);
	const struct command *commands[] = { &c, &dashes };

	for (int i = 0; i < 2; i++) {
		for (const char *const *option = (const char *[]){ "--help", "-h", "--he", NULL };
		     *option; option++) {
			char *text = help_of(commands[i], *option);

			assert_string_equal(text, expected);
			free(text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(refuses),
		cmocka_unit_test(numbers_are_words),
		cmocka_unit_test(helps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
