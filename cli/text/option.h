/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Verbs and their options. An option is one row: how it is read, how `--help` explains it, and how `fermata
 * run` carries it into the box. The row names the member of the verb's settings that it sets.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_WORDS 3 /* a verb takes no more words that are no options */

/* What becomes of an option when the guest runs in the box. */
enum option_carry {
	CARRY_SAME, /* the command inside gets it as it was given */
	CARRY_FILE, /* its value is a file of this host, which goes along; inside it has another path */
	CARRY_ANEW, /* the command inside is always told, in words of its own */
	CARRY_WHOLE, /* is about the whole command: not for one guest of several, and not for the box */
};

/* A word that an option's value may be, and what it means. A list ends with the name NULL. */
struct option_word {
	const char *name;
	uint32_t value;
};

struct option_row {
	const char *name;  /* without its dashes */
	const char *value; /* what --help calls its value; NULL: it takes none */
	/* Puts what was given into the settings; false: it is wrong, and a line has been said. */
	bool (*take)(void *settings, const struct option_row *row, const char *text);
	size_t at; /* the member of the settings */
	const char *help;
	const struct option_word *words; /* for option_choice() and option_list() */
	const char *also;		 /* another spelling of its name */
	bool repeats;			 /* each one counts; else the last one does */
	enum option_carry carry;
};

/* The usual ways to take a value, and the type of the member. */
bool option_flag(void *settings, const struct option_row *row, const char *text); /* bool */
bool option_text(void *settings, const struct option_row *row, const char *text); /* const char * */
bool option_choice(void *settings, const struct option_row *row, const char *text); /* uint32_t */
/* Words with commas between: their values are ORed to the member. */
bool option_list(void *settings, const struct option_row *row, const char *text); /* uint32_t */

/* The member that a row sets, for a take() of one's own. */
static inline void *option_member(void *settings, const struct option_row *row)
{
	return (char *)settings + row->at;
}

/* A verb; cli/main.c has the list of them. */
struct command {
	const char *name;
	const char *what; /* it does, in a line */
	/* argv[0] is the verb. Returns the command's exit status. */
	int (*run)(const struct command *command, char **argv);
	const char *usage; /* what may follow the verb; several lines for several ways */
	const struct option_row *options; /* a list that ends with the name NULL; NULL: only --help */
	const char *about;		  /* the rest of its --help */
	unsigned words;			  /* at most so many that are no options */
	bool dash_words; /* a word with one dash is no option: it may be a negative number */
};

/* Every verb's: --help, -h. */
extern const struct option_row option_help;

/* The verb's row number i, --help behind its own; NULL: there are no more. */
const struct option_row *command_option(const struct command *command, size_t i);
void command_help(const struct command *command);

/* Goes through the words of a command. */
struct option_reader {
	const struct command *command;
	char **argv;	   /* what is still to be read */
	const char *value; /* of the option that was read; NULL: it takes none */
	const char *word[OPTION_WORDS];
	unsigned words;
	bool no_more; /* "--" was read: all that follows are words */
	bool wrong;   /* a line has been said */
};

/* argv as a verb's run() gets it. */
void option_begin(struct option_reader *reader, const struct command *command, char **argv);
/* The next option; NULL: there are no more, or `wrong`. */
const struct option_row *option_next(struct option_reader *reader);

#define OPTIONS_READ (-1)
/*
 * Reads all of argv into the settings and the words that are no options into word[OPTION_WORDS] (NULL: the
 * verb takes none). OPTIONS_READ: go on; else the command's exit status.
 */
int options_read(const struct command *command, char **argv, void *settings, const char **word);

#endif
