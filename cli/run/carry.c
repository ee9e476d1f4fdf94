/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text/words.h"

/* Words of a command, each allocated. */
struct list {
	char **word; /* ends with NULL; there is room for all that will be added */
	unsigned count;
};

static void free_words(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

static bool list_make(struct list *list, size_t room)
{
	*list = (struct list){ .word = calloc(room + 1, sizeof(*list->word)) };
	return list->word;
}

/* An option as one word: --NAME=VALUE, or --NAME. */
static bool add_option(struct list *list, const char *name, const char *value)
{
	char *word;

	if (asprintf(&word, "--%s%s%s", name, value ? "=" : "", value ?: "") < 0)
		return false;
	list->word[list->count++] = word;
	return true;
}

/* A file goes along once, whoever wants it. */
static bool add_file(struct cargo *cargo, struct list *list, const struct option_given *given)
{
	size_t i = 0;
	char path[80], *name;

	while (i < cargo->file_count && strcmp(cargo->files[i].host_path, given->value))
		i++;
	if (i == cargo->file_count) {
		if (asprintf(&name, "%s-%zu", given->row->name, i + 1) < 0)
			return false;
		cargo->files[i] = (struct box_file){ given->value, name };
		cargo->file_count++;
	}
	snprintf(path, sizeof(path), "/in/%s", cargo->files[i].name);
	return add_option(list, given->row->name, path);
}

/* What the guest was told, as it was told. */
static bool add_guest(struct cargo *cargo, struct list *list, const struct run_options *guest)
{
	bool good = add_option(list, "name", guest->name);

	for (unsigned i = 0; i < guest->given_count && good; i++) {
		const struct option_given *given = &guest->given[i];

		if (given->row->carry == CARRY_SAME)
			good = add_option(list, given->row->name, given->value);
		else if (given->row->carry == CARRY_FILE)
			good = add_file(cargo, list, given);
	}
	cargo->memory += guest->memory;
	return good;
}

/* The guest as one of several: its words are one word of the command. */
static bool add_one_of_several(struct cargo *cargo, struct list *list,
			       const struct run_options *guest)
{
	struct list own;
	char *text = NULL;
	bool good;

	if (!list_make(&own, guest->given_count + 1u))
		return false;
	good = add_guest(cargo, &own, guest) && (text = words_join(own.word)) &&
	       add_option(list, "guest", text);
	free(text);
	free_words(own.word);
	return good;
}

static bool add_start(struct list *list, bool keys)
{
	list->word[0] = strdup("fermata");
	list->word[1] = list->word[0] ? strdup("run") : NULL;
	list->count = 2;
	return list->word[1] && add_option(list, "box", "none") &&
	       add_option(list, "keys", keys ? "on" : "off");
}

bool cargo_pack(struct cargo *cargo, const struct run_options *options,
		const struct run_options *guest, unsigned count, bool keys)
{
	/* Beside what was given: the start, the log, and a name or --guest each. */
	size_t given = 0, room = 5 + count;
	struct list list;
	bool good;

	*cargo = (struct cargo){ 0 };
	for (unsigned i = 0; i < count; i++)
		given += guest[i].given_count;
	cargo->files = calloc(given, sizeof(*cargo->files));
	if (!cargo->files || !list_make(&list, room + given))
		return false;
	cargo->argv = list.word;
	good = add_start(&list, keys);
	/* Its log is taken from outside, through the channel. */
	if (!options->guests)
		good = good && add_option(&list, "log", "channel") &&
		       add_guest(cargo, &list, &guest[0]);
	for (unsigned i = 0; i < options->guests && good; i++)
		good = add_one_of_several(cargo, &list, &guest[i]);
	return good;
}

void cargo_free(struct cargo *cargo)
{
	free_words(cargo->argv);
	for (size_t i = 0; i < cargo->file_count; i++)
		free((char *)cargo->files[i].name);
	free(cargo->files);
}
