/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What `fermata run` was told. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "commands.h"
#include "console.h"

#define DEFAULT_MEMORY (256ull << 20)
#define DEFAULT_APPEND "console=ttyS0"

struct run_options {
	const char *kernel, *initrd, *append;
	char name[80];
	uint64_t memory;
	enum place place;
	const char *box; /* its kind, if it is to be one */
	enum console_keys keys;
	bool stats, debug_exit, help;
};

/*
 * Reads argv (argv[0] is the verb). False when something is wrong; a line has been said. Checks what
 * can be seen in the words alone: files and memory come later.
 */
bool options_parse(struct run_options *options, int argc, char **argv);

struct option;
/* getopt_long() without its own messages: returns its value, and '?' after a line was said. */
int options_next(int argc, char **argv, const struct option *list);

#endif
