/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "cli/text/words.h"
#include "settings.h"

/* Takes an option and keeps it; false with a line said. `given` has room. */
static bool give(struct run_options *options, const struct option_row *row, const char *value)
{
	unsigned i = 0;

	if (!row->take(options, row, value))
		return false;
	while (i < options->given_count && (row->repeats || options->given[i].row != row))
		i++;
	options->given[i] = (struct option_given){ row, value };
	if (i == options->given_count)
		options->given_count++;
	return true;
}

/* Room for what is given already, and for all of argv and argv2 (NULL: there is none). */
static bool make_room(struct run_options *options, char **argv, char **argv2)
{
	struct option_given *given;
	size_t room = options->given_count + 1;

	while (*argv++)
		room++;
	while (argv2 && *argv2++)
		room++;
	given = malloc(room * sizeof(*given));
	if (!given) {
		say("no memory for the options; free some");
		return false;
	}
	if (options->given_count)
		memcpy(given, options->given, options->given_count * sizeof(*given));
	options->given = given;
	return true;
}

/* The file's options count as if they stood where --settings does. argv: of the whole command. */
static bool read_settings(struct run_options *options, char **argv)
{
	struct option_given *given = options->given;
	const struct option_row *row;
	struct option_reader reader;

	if (options->words) {
		say("--settings twice, or in a file of settings; give one file");
		return false;
	}
	options->words = settings_read(options->settings);
	if (!options->words || !make_room(options, argv, options->words))
		return false;
	free(given);
	option_begin(&reader, options->command, options->words);
	while ((row = option_next(&reader))) {
		if (row == &option_help) {
			say("--help in %s; a file of settings is for guests", options->settings);
			return false;
		}
		if (row->take == option_settings)
			return read_settings(options, argv);
		if (!give(options, row, reader.value))
			return false;
	}
	return !reader.wrong;
}

static int read_options(struct run_options *options, char **argv)
{
	const struct option_row *row;
	struct option_reader reader;

	option_begin(&reader, options->command, argv);
	while ((row = option_next(&reader))) {
		if (row == &option_help) {
			command_help(options->command);
			return STATUS_OK;
		}
		if (!give(options, row, reader.value) ||
		    (row->take == option_settings && !read_settings(options, argv)))
			return STATUS_FAILED;
	}
	if (reader.wrong)
		return STATUS_FAILED;
	if (options->log && options->guests)
		return fail(
			"--log with several guests: take it with `fermata log NAME`, one for each");
	if (!options->kernel && !options->guests)
		return fail("no kernel; give --kernel FILE, a Linux bzImage such as /boot/vmlinuz");
	return OPTIONS_READ;
}

int options_parse(struct run_options *options, const struct command *command, char **argv)
{
	int status;

	memset(options, 0, sizeof(*options));
	options->command = command;
	options->append = DEFAULT_APPEND;
	options->place = PLACE_DEFAULT;
	options->memory = DEFAULT_MEMORY;
	snprintf(options->name, sizeof(options->name), "guest-%d", getpid());
	if (!make_room(options, argv, NULL))
		return STATUS_FAILED;
	status = read_options(options, argv);
	if (status != OPTIONS_READ)
		options_free(options);
	return status;
}

void options_free(struct run_options *options)
{
	free(options->given);
	free(options->words);
	options->given = NULL;
	options->words = NULL;
}

/* ---- several guests */

static bool read_guest(struct run_options *guest)
{
	const struct option_row *row;
	struct option_reader reader;

	option_begin(&reader, guest->command, guest->words);
	while ((row = option_next(&reader))) {
		if (row->carry == CARRY_WHOLE) {
			say("--%s in --guest: it is for the whole command; give it outside",
			    row->name);
			return false;
		}
		if (!give(guest, row, reader.value))
			return false;
	}
	if (!reader.wrong && !guest->kernel)
		say("no kernel for the guest '%s'; give --kernel FILE in its --guest, or outside for all",
		    guest->name);
	return !reader.wrong && guest->kernel;
}

/* The words of a --guest, as a command has them: behind the verb. NULL with a line said. */
static char **split_guest(const char *text)
{
	char *line, **words = NULL;
	int count;

	if (asprintf(&line, "run %s", text) >= 0) {
		words = words_split(line, &count);
		free(line);
	}
	if (!words && errno == EINVAL)
		say("--guest %s: a quote or backslash without its end; close it", text);
	else if (!words)
		say("no memory for the words of --guest; free some");
	return words;
}

static bool name_is_new(const struct run_options *guest, unsigned number)
{
	for (unsigned i = 0; i < number; i++) {
		if (!strcmp(guest[i].name, guest[number].name)) {
			say("two guests have the name '%s'; give each its own --name in its --guest",
			    guest[i].name);
			return false;
		}
	}
	return true;
}

/* What `text` says on top of the options, which are there already. */
static bool make_guest(struct run_options *guest, const char *text)
{
	guest->words = split_guest(text);
	if (guest->words && make_room(guest, guest->words, NULL)) {
		if (read_guest(guest))
			return true;
		free(guest->given);
	}
	free(guest->words);
	return false;
}

unsigned options_guests(const struct run_options *options, struct run_options *guest)
{
	unsigned count = options->guests ?: 1, i;

	for (i = 0; i < count; i++) {
		guest[i] = *options;
		guest[i].guests = 0;
		if (options->guests && !options->named)
			snprintf(guest[i].name, sizeof(guest[i].name), "%.64s-%u", options->name,
				 i + 1);
		if (!make_guest(&guest[i], options->guests ? options->guest[i] : ""))
			break;
		if (!name_is_new(guest, i)) {
			options_free(&guest[i]);
			break;
		}
	}
	if (i == count)
		return count;
	while (i)
		options_free(&guest[--i]);
	return 0;
}
