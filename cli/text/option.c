/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "option.h"

#include <stdio.h>
#include <string.h>

#include "say.h"

#define HELP_COLUMNS 100

const struct option_row option_help = { "help", .help = "print this text", .carry = CARRY_WHOLE };

const struct option_row *command_option(const struct command *command, size_t i)
{
	size_t count = 0;

	while (command->options && command->options[count].name)
		count++;
	return i < count ? &command->options[i] : i == count ? &option_help : NULL;
}

/* ---- values */

bool option_flag(void *settings, const struct option_row *row, const char *text)
{
	*(bool *)option_member(settings, row) = true;
	return true;
}

bool option_text(void *settings, const struct option_row *row, const char *text)
{
	*(const char **)option_member(settings, row) = text;
	return true;
}

static const struct option_word *find_word(const struct option_row *row, const char *text,
					   size_t length)
{
	char all[200] = "";
	size_t used = 0;

	for (const struct option_word *word = row->words; word->name; word++)
		if (strlen(word->name) == length && !strncmp(word->name, text, length))
			return word;
	for (const struct option_word *word = row->words; word->name; word++) {
		const char *separator = word == row->words ? "" : word[1].name ? ", " : " or ";

		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", separator,
					 word->name);
	}
	say("--%s %.*s: not known; give %s", row->name, (int)length, text, all);
	return NULL;
}

bool option_choice(void *settings, const struct option_row *row, const char *text)
{
	const struct option_word *word = find_word(row, text, strlen(text));

	if (word)
		*(uint32_t *)option_member(settings, row) = word->value;
	return word;
}

bool option_list(void *settings, const struct option_row *row, const char *text)
{
	for (;; text++) {
		size_t length = strcspn(text, ",");
		const struct option_word *word = find_word(row, text, length);

		if (!word)
			return false;
		*(uint32_t *)option_member(settings, row) |= word->value;
		text += length;
		if (!*text)
			return true;
	}
}

/* ---- reading */

void option_begin(struct option_reader *reader, const struct command *command, char **argv)
{
	*reader = (struct option_reader){ .command = command, .argv = argv + 1 };
}

static bool begins(const char *name, const char *text, size_t length)
{
	return name && !strncmp(name, text, length);
}

static bool is(const char *name, const char *text, size_t length)
{
	return begins(name, text, length) && !name[length];
}

/* The option of that name, or the only one whose name begins so. */
static const struct option_row *find_option(const struct command *command, const char *name,
					    size_t length)
{
	const struct option_row *row, *found = NULL;
	unsigned matches = 0;

	for (size_t i = 0; (row = command_option(command, i)); i++) {
		if (is(row->name, name, length) || is(row->also, name, length))
			return row;
		if (begins(row->name, name, length) || begins(row->also, name, length)) {
			found = row;
			matches++;
		}
	}
	return matches == 1 ? found : NULL;
}

static const struct option_row *wrong(struct option_reader *reader)
{
	reader->wrong = true;
	return NULL;
}

static const struct option_row *read_option(struct option_reader *reader, const char *text)
{
	const char *name = text + 2, *verb = reader->command->name, *value = NULL;
	const struct option_row *row = NULL;

	if (!strcmp(text, "-h")) {
		row = &option_help;
	} else if (text[1] == '-') {
		size_t length = strcspn(name, "=");

		row = find_option(reader->command, name, length);
		value = name[length] ? name + length + 1 : NULL;
	}
	if (row && row->value && !value && *reader->argv)
		value = *reader->argv++;
	reader->value = value;
	if (!row)
		say("unknown option '%s'; see `fermata %s --help`", text, verb);
	else if (!row->value && value)
		say("option '--%s' takes no value; see `fermata %s --help`", row->name, verb);
	else if (row->value && !value)
		say("option '--%s' needs a value; see `fermata %s --help`", row->name, verb);
	else
		return row;
	return wrong(reader);
}

static bool keep_word(struct option_reader *reader, const char *text)
{
	const struct command *command = reader->command;

	if (reader->words < command->words) {
		reader->word[reader->words++] = text;
		return true;
	}
	if (!command->words)
		say("'%s' is not an option; see `fermata %s --help`", text, command->name);
	else if (command->words == 1)
		say("'%s': one guest at a time; see `fermata %s --help`", text, command->name);
	else
		say("'%s': one word too many; see `fermata %s --help`", text, command->name);
	return false;
}

static bool is_word(const struct option_reader *reader, const char *text)
{
	if (reader->no_more || text[0] != '-' || !text[1])
		return true;
	return reader->command->dash_words && text[1] != '-' && strcmp(text, "-h");
}

const struct option_row *option_next(struct option_reader *reader)
{
	while (*reader->argv) {
		const char *text = *reader->argv++;

		if (!reader->no_more && !strcmp(text, "--"))
			reader->no_more = true;
		else if (!is_word(reader, text))
			return read_option(reader, text);
		else if (!keep_word(reader, text))
			return wrong(reader);
	}
	return NULL;
}

int options_read(const struct command *command, char **argv, void *settings, const char **word)
{
	const struct option_row *row;
	struct option_reader reader;

	option_begin(&reader, command, argv);
	while ((row = option_next(&reader))) {
		if (row == &option_help) {
			command_help(command);
			return STATUS_OK;
		}
		if (!row->take(settings, row, reader.value))
			return STATUS_FAILED;
	}
	if (word)
		memcpy(word, reader.word, sizeof(reader.word));
	return reader.wrong ? STATUS_FAILED : OPTIONS_READ;
}

/* ---- --help */

static int label(char *text, size_t size, const char *name, const char *value)
{
	return snprintf(text, size, "  --%s%s%s", name, value ? " " : "", value ?: "");
}

/* The help begins in that column; lines end at a blank. */
static void print_option(const struct option_row *row, int column)
{
	const char *help = row->help;
	char left[80];

	label(left, sizeof(left), row->name, row->value);
	if (row->also) {
		puts(left);
		label(left, sizeof(left), row->also, row->value);
	}
	do {
		size_t length = strlen(help), room = (size_t)(HELP_COLUMNS - column);

		if (length > room)
			for (length = room; help[length] != ' '; length--)
				;
		printf("%-*s%.*s\n", column, left, (int)length, help);
		help += length + (help[length] == ' ');
		left[0] = 0;
	} while (*help);
}

void command_help(const struct command *command)
{
	const struct option_row *row;
	int column = 0;

	printf("fermata %s: %s\n\n", command->name, command->what);
	for (const char *line = command->usage, *end; line; line = *end ? end + 1 : NULL) {
		end = line + strcspn(line, "\n");
		printf("%s fermata %s %.*s\n", line == command->usage ? "usage:" : "      ",
		       command->name, (int)(end - line), line);
	}
	printf("\n");
	for (size_t i = 0; (row = command_option(command, i)); i++) {
		char text[80];
		int length = label(text, sizeof(text), row->name, row->value) + 2;

		column = length > column ? length : column;
	}
	for (size_t i = 0; (row = command_option(command, i)); i++)
		print_option(row, column);
	printf("\n%s", command->about);
}
