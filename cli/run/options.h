/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What `fermata run` was told. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli/text/option.h"
#include "clock_spec.h"
#include "console.h"
#include "machine.h"
#include "place.h"
#include <uapi/fermata.h>

#define DEFAULT_MEMORY (256ull << 20)
#define DEFAULT_APPEND "console=ttyS0"

#define GUESTS_MAX 32 /* of one command */

/* An option as it was given. */
struct option_given {
	const struct option_row *row;
	const char *value;
};

struct run_options {
	const struct command *command;
	const char *kernel, *initrd, *append;
	char name[80];
	uint64_t memory;
	struct place place;
	uint32_t keys; /* enum console_keys */
	struct clock_spec clock;
	bool stats, debug_exit, no_tags, kvmclock;
	uint32_t paging;		     /* FERMATA_VM_SHADOW, FERMATA_VM_NESTED, or neither */
	uint32_t debug;			     /* bits of its words */
	const char *rule[FERMATA_MAX_RULES]; /* of each --on */
	unsigned rules;
	const char *log; /* a file; "-": standard error; "channel": nowhere but there; NULL: not said */
	uint32_t log_format;	       /* enum log_format */
	const char *settings;	       /* the file of options that was named; NULL: none was */
	bool named;		       /* by the user */
	const char *guest[GUESTS_MAX]; /* what each --guest says; what is above is then common to all */
	unsigned guests;	       /* 0: there is one guest, the one above */
	/* What all of this was made from. An option that does not repeat is there once, as it counts. */
	struct option_given *given;
	unsigned given_count;
	char **words; /* of a --guest, or of --settings: where strings of it are; else NULL */
};

/* Of the verb `run`. */
extern const struct option_row run_rows[];
/* How its row --settings is taken, by which options_parse() knows it. */
bool option_settings(void *settings, const struct option_row *row, const char *text);

/*
 * Reads argv (argv[0] is the verb). OPTIONS_READ: go on, and options_free() at the end; else the command's exit
 * status. Checks what can be seen in the words alone: files and memory come later.
 */
int options_parse(struct run_options *options, const struct command *command, char **argv);

/*
 * The command's guests: guest[i] is what --guest number i says on top of `options`; without --guest there
 * is one, guest[0]. How many, options_free() for each; 0: something is wrong, a line has been said, and
 * nothing is to be freed.
 */
unsigned options_guests(const struct run_options *options, struct run_options *guest);

void options_free(struct run_options *options);

/* What the machine of this guest is to be; the strings stay the options'. */
struct machine_config options_machine(const struct run_options *options);

#endif
