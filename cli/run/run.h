/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The ways to run what the options say; each returns the command's exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "options.h"

extern const struct command command_run;

/* One guest of this process, with the terminal to itself. */
int run_here(const struct run_options *options);
/* Those of each --guest, in this process. */
int run_many(const struct run_options *options, const struct run_options *guest);
/* The same guests, or the one, in a box. */
int run_in_box(const struct run_options *options, const struct run_options *guest, unsigned count);
/* `fermata caps` in a box of that kind. */
int caps_in_box(const char *kind, bool json);
/* `fermata selftest` there, with the test guests of that folder; word[]: those that were asked for, up to NULL. */
int selftest_in_box(const char *kind, const char *folder, char *const *names, size_t count,
		    const char *const *word, bool json);

#endif
