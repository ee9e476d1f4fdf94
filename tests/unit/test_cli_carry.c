/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Into the box: what `fermata run` was told, the command there is told, whatever the option and its spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/carry.h"

static const struct command run = { .name = "run", .options = run_rows };

int box_kind(const char *kind, char *error, size_t error_size)
{
	return strcmp(kind, "amd");
}

/* A value for each row that takes one, none of them the default. */
static const struct {
	const char *name, *value;
} samples[] = {
	{ "kernel", "/some where/vmlinuz" },
	{ "initrd", "it's an initrd" },
	{ "append", "quiet \"two words\" it's $HOME \\ \t=" },
	{ "memory", "1G" },
	{ "name", "web-1.x" },
	{ "box", "amd" },
	{ "keys", "on" },
	{ "clock", "rate=1/3,frozen,date=2030-01-01" },
	{ "paging", "shadow" },
	{ "debug", "shadow-audit,no-shadow-pcids" },
	{ "on", "cpuid leaf=1 do log" },
	{ "log", "file" },
	{ "log-format", "chrome" },
	{ "settings", "/dev/null" },
};

static const char *sample(const struct option_row *row)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		if (!strcmp(samples[i].name, row->name))
			return samples[i].value;
	fail_msg("--%s: a new option needs a sample here", row->name);
	return NULL;
}

struct command_line {
	struct run_options options, guest[GUESTS_MAX];
	unsigned count;
};

static void read_line(struct command_line *line, char **argv)
{
	assert_int_equal(options_parse(&line->options, &run, argv), OPTIONS_READ);
	line->count = options_guests(&line->options, line->guest);
	assert_int_not_equal(line->count, 0);
}

static void release(struct command_line *line)
{
	for (unsigned i = 0; i < line->count; i++)
		options_free(&line->guest[i]);
	options_free(&line->options);
}

static void same_text(const char *outside, const char *inside)
{
	assert_int_equal(!outside, !inside);
	if (outside)
		assert_string_equal(outside, inside);
}

/* A file inside is the one that was named outside. */
static void same_file(const struct cargo *cargo, const char *outside, const char *inside)
{
	assert_int_equal(!outside, !inside);
	for (size_t i = 0; outside && i < cargo->file_count; i++) {
		char path[80];

		snprintf(path, sizeof(path), "/in/%s", cargo->files[i].name);
		if (!strcmp(path, inside)) {
			assert_string_equal(outside, cargo->files[i].host_path);
			return;
		}
	}
	assert_null(outside);
}

/* What is left of the settings when texts, files and what is for the whole command are away. */
static struct run_options *rest(const struct run_options *guest)
{
	struct run_options *copy = malloc(sizeof(*copy));

	*copy = *guest;
	copy->command = NULL;
	copy->kernel = copy->initrd = copy->append = copy->log = copy->settings = NULL;
	memset(copy->name, 0, sizeof(copy->name));
	memset(copy->rule, 0, sizeof(copy->rule));
	memset(copy->guest, 0, sizeof(copy->guest));
	memset(&copy->place, 0, sizeof(copy->place));
	copy->keys = copy->log_format = 0;
	copy->named = false;
	copy->given = NULL;
	copy->given_count = 0;
	copy->words = NULL;
	return copy;
}

static void same_guest(const struct cargo *cargo, const struct run_options *outside,
		       const struct run_options *inside)
{
	struct run_options *left = rest(outside), *right = rest(inside);

	same_file(cargo, outside->kernel, inside->kernel);
	same_file(cargo, outside->initrd, inside->initrd);
	same_text(outside->append, inside->append);
	same_text(outside->name, inside->name);
	assert_int_equal(outside->rules, inside->rules);
	for (unsigned i = 0; i < outside->rules; i++)
		same_text(outside->rule[i], inside->rule[i]);
	assert_memory_equal(left, right, sizeof(*left));
	free(left);
	free(right);
}

/* `fermata run ARGV`, and the command that the box has of it, say the same. */
static void goes_into_the_box(char **argv, bool keys)
{
	struct command_line *outside = calloc(1, sizeof(*outside));
	struct command_line *inside = calloc(1, sizeof(*inside));
	struct cargo cargo;
	uint64_t memory = 0;

	read_line(outside, argv);
	assert_true(cargo_pack(&cargo, &outside->options, outside->guest, outside->count, keys));
	assert_string_equal(cargo.argv[0], "fermata");
	assert_string_equal(cargo.argv[1], "run");
	read_line(inside, cargo.argv + 1);
	assert_int_equal(inside->count, outside->count);
	assert_int_equal(inside->options.guests, outside->options.guests);
	for (unsigned i = 0; i < inside->count; i++) {
		same_guest(&cargo, &outside->guest[i], &inside->guest[i]);
		memory += outside->guest[i].memory;
	}
	assert_true(cargo.memory == memory);
	assert_int_equal(inside->options.place.where, PLACE_HERE);
	assert_int_equal(inside->options.keys, keys ? KEYS_ON : KEYS_OFF);
	if (!inside->options.guests)
		assert_string_equal(inside->options.log, "channel");
	cargo_free(&cargo);
	release(inside);
	release(outside);
	free(inside);
	free(outside);
}

/* The same as one guest's options; as those of one of several; as what is common to several. */
static void goes_every_way(const char *option, const char *value)
{
	char *alone[] = { "run", "--kernel", "k", (char *)option, (char *)value, NULL };
	char *quoted = NULL,
	     *own[] = { "run", "--kernel", "k", "--guest", NULL, "--guest", "", NULL };
	char *common[] = { "run",	  "--kernel", "k",	    "--guest",
			   "--stats",	  "--guest",  "--initrd=i", (char *)option,
			   (char *)value, NULL };
	FILE *f;
	size_t size;

	goes_into_the_box(alone, false);
	goes_into_the_box(alone, true);
	f = open_memstream(&quoted, &size);
	for (char **word = &alone[3]; *word; word++) {
		fputs(" '", f);
		for (const char *c = *word; *c; c++)
			fputs(*c == '\'' ? "'\\''" : (char[]){ *c, 0 }, f);
		fputc('\'', f);
	}
	fclose(f);
	own[4] = quoted;
	goes_into_the_box(own, false);
	if (strncmp(option, "--name", 6))
		goes_into_the_box(common, true);
	free(quoted);
}

/* --NAME VALUE, --NAME=VALUE */
static void both_forms(const char *name, const char *value)
{
	char option[100], whole[4096];

	snprintf(option, sizeof(option), "--%s", name);
	goes_every_way(option, value);
	if (!value)
		return;
	snprintf(whole, sizeof(whole), "--%s=%s", name, value);
	goes_every_way(whole, NULL);
}

static void every_row_and_spelling(void **state)
{
	for (const struct option_row *row = run_rows; row->name; row++) {
		const char *value;

		if (row->carry == CARRY_WHOLE)
			continue;
		value = row->value ? sample(row) : NULL;
		both_forms(row->name, value);
		if (row->also)
			both_forms(row->also, value);
	}
	/* The beginning of a name that no other has. */
	both_forms("mem", "64M");
	both_forms("no-a", NULL);
}

/* What is for the whole command does not reach the command inside. */
static void the_whole_command(void **state)
{
	for (const struct option_row *row = run_rows; row->name; row++) {
		char option[100], *argv[] = { "run", "--kernel", "k", option, NULL };

		if (row->carry != CARRY_WHOLE || !strcmp(row->name, "guest"))
			continue;
		snprintf(option, sizeof(option), "--%s=%s", row->name, sample(row));
		goes_into_the_box(argv, false);
	}
}

static void every_word(void **state)
{
	for (const struct option_row *row = run_rows; row->name; row++) {
		for (const struct option_word *word = row->words; word && word->name; word++) {
			if (row->carry != CARRY_WHOLE)
				both_forms(row->name, word->name);
		}
	}
}

static char settings_file[] = "/tmp/fermata-test-settings-XXXXXX";

static void settings(const char *text)
{
	FILE *f = fopen(settings_file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void refuses(char **argv)
{
	struct run_options *options = calloc(1, sizeof(*options));

	assert_int_equal(options_parse(options, &run, argv), 1);
	free(options);
}

static void a_file_of_options(void **state)
{
	char *argv[] = { "run",		"--memory", "32M", "--settings",
			 settings_file, "--name",   "web", NULL };
	char *twice[] = { "run", "--settings", settings_file, "--settings", settings_file, NULL };
	static const char *const wrong[] = { "--kernel 'k",
					     "--kernel k --help",
					     "--kernel k --fast",
					     "--kernel k word",
					     "--kernel k --settings /dev/null",
					     "" };
	struct command_line *line = calloc(1, sizeof(*line));
	int fd = mkstemp(settings_file);

	assert_true(fd >= 0);
	close(fd);
	settings("# A guest.\n--kernel '/a b'\n\t # --initrd not\n--append \"it's #1\"\n--memory=64M \\\n"
		 "--name other --on 'cpuid do log' --on 'hlt'");
	read_line(line, argv);
	assert_string_equal(line->guest[0].kernel, "/a b");
	assert_string_equal(line->guest[0].append, "it's #1");
	assert_null(line->guest[0].initrd);
	assert_true(line->guest[0].memory == 64 << 20);
	assert_string_equal(line->guest[0].name, "web");
	assert_int_equal(line->guest[0].rules, 2);
	release(line);
	free(line);
	goes_into_the_box(argv, false);
	settings("--kernel k --guest '--name a' --guest '--name b'");
	argv[5] = NULL;
	goes_into_the_box(argv, false);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		settings(wrong[i]);
		refuses(argv);
	}
	settings("--kernel k");
	goes_into_the_box(argv, false);
	refuses(twice);
	unlink(settings_file);
	refuses(argv);
}

static unsigned debug_of(char **argv)
{
	struct command_line *line = calloc(1, sizeof(*line));
	unsigned debug;

	read_line(line, argv);
	debug = line->guest[0].debug;
	release(line);
	free(line);
	return debug;
}

static void several_debug_options(void **state)
{
	char *one[] = { "run", "--kernel", "k", "--debug", "shadow-audit,no-shadow-keep", NULL };
	char *two[] = { "run",	   "--kernel",	     "k", "--debug", "shadow-audit",
			"--debug", "no-shadow-keep", NULL };
	char *shared[] = { "run",
			   "--kernel",
			   "k",
			   "--debug",
			   "shadow-audit",
			   "--guest",
			   "--debug no-shadow-keep",
			   "--guest",
			   "",
			   NULL };

	assert_int_not_equal(debug_of(one), 0);
	assert_int_equal(debug_of(two), debug_of(one));
	assert_int_equal(debug_of(shared), debug_of(one));
	goes_into_the_box(two, false);
	goes_into_the_box(shared, false);
}

static void long_values(void **state)
{
	static char list[4000], append[100000];

	for (int round = 0; round < 4; round++)
		for (const struct option_row *row = run_rows; row->name; row++)
			for (const struct option_word *word = row->words; word && word->name; word++)
				if (!strcmp(row->name, "debug"))
					sprintf(list + strlen(list), "%s%s", list[0] ? "," : "",
						word->name);
	assert_true(strlen(list) > 512);
	both_forms("debug", list);
	memset(append, 'a', sizeof(append) - 1);
	goes_every_way("--append", append);
	memset(append, '\'', sizeof(append) - 1);
	goes_every_way("--append", append);
}

static void as_many_rules_as_there_can_be(void **state)
{
	char *argv[3 + 2 * FERMATA_MAX_RULES + 1] = { "run", "--kernel", "k" };
	unsigned argc = 3;

	for (int i = 0; i < FERMATA_MAX_RULES; i++) {
		argv[argc++] = "--on";
		argv[argc++] = i & 1 ? "cpuid leaf=1 do log" : "rdmsr do set rax=1 skip";
	}
	goes_into_the_box(argv, false);
}

/* The last of several counts, and a file that is not used stays outside. */
static void the_last_one(void **state)
{
	char *argv[] = { "run",	     "--kernel", "a",	     "--memory", "64M",
			 "--kernel", "b",	 "--memory", "128M",	 "--paging",
			 "shadow",   "--paging", "auto",     NULL };
	struct command_line *line = calloc(1, sizeof(*line));
	struct cargo cargo;

	goes_into_the_box(argv, false);
	read_line(line, argv);
	assert_true(cargo_pack(&cargo, &line->options, line->guest, line->count, false));
	assert_int_equal(cargo.file_count, 1);
	assert_string_equal(cargo.files[0].host_path, "b");
	cargo_free(&cargo);
	release(line);
	free(line);
}

/* A file that several guests have in common goes along once. */
static void common_files(void **state)
{
	char *argv[] = { "run",	       "--kernel", "k", "--initrd", "i",	  "--guest",
			 "--initrd j", "--guest",  "",	"--guest",  "--kernel i", NULL };
	struct command_line *line = calloc(1, sizeof(*line));
	struct cargo cargo;

	goes_into_the_box(argv, false);
	read_line(line, argv);
	assert_true(cargo_pack(&cargo, &line->options, line->guest, line->count, false));
	assert_int_equal(cargo.file_count, 3);
	for (size_t i = 0; i < cargo.file_count; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(cargo.files[i].name, cargo.files[j].name);
	cargo_free(&cargo);
	release(line);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_and_spelling),
		cmocka_unit_test(the_whole_command),
		cmocka_unit_test(every_word),
		cmocka_unit_test(a_file_of_options),
		cmocka_unit_test(several_debug_options),
		cmocka_unit_test(long_values),
		cmocka_unit_test(as_many_rules_as_there_can_be),
		cmocka_unit_test(the_last_one),
		cmocka_unit_test(common_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
