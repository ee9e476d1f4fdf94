/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What `fermata run` was told. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "clock_spec.h"
#include "cli/commands.h"
#include "console.h"
#include "cli/guests/log_format.h"
#include <uapi/fermata.h>

#define DEFAULT_MEMORY (256ull << 20)
#define DEFAULT_APPEND "console=ttyS0"

#define GUESTS_MAX 32 /* of one command */

struct run_options {
	const char *kernel, *initrd, *append;
	char name[80];
	uint64_t memory;
	enum place place;
	const char *box; /* its kind, if it is to be one */
	enum console_keys keys;
	const char *clock_words; /* as the user gave them; NULL: nothing was said */
	struct clock_spec clock;
	bool stats, debug_exit, no_tags, kvmclock, help;
	const char *paging, *debug;	     /* as given; NULL: not */
	struct fermata_vm_config vm;	     /* what they mean */
	const char *rule[FERMATA_MAX_RULES]; /* of each --on */
	unsigned rules;
	const char *log; /* a file; "-": standard error; "channel": nowhere but there; NULL: not said */
	enum log_format log_format;
	bool named;		       /* by the user */
	char **words;		       /* of a --guest: where its strings are; else NULL */
	const char *guest[GUESTS_MAX]; /* what each --guest says; what is above is then common to all */
	unsigned guests;	       /* 0: there is one guest, the one above */
};

/*
 * Reads argv (argv[0] is the verb). False when something is wrong; a line has been said. Checks what
 * can be seen in the words alone: files and memory come later.
 */
bool options_parse(struct run_options *options, int argc, char **argv);

/*
 * The guests of several: guest[i] is what --guest number i says on top of `options`; the caller
 * frees guest[i].words. False when something is wrong; a line has been said, nothing is to be freed.
 */
bool options_guests(const struct run_options *options, struct run_options *guest);

struct option;
/* getopt_long() without its own messages: returns its value, and '?' after a line was said. */
int options_next(int argc, char **argv, const struct option *list);
/* The same where words that are no options may stand anywhere: at -1 they are argv[optind] and on. */
int options_next_mixed(int argc, char **argv, const struct option *list);
/* After options_next_mixed() gave -1: the one word, a guest's name; NULL with a line said. */
const char *options_guest_name(int argc, char **argv);

#endif
