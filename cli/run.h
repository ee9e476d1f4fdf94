/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The two ways to run what the options say; each returns the command's exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "machine.h"
#include "options.h"

int run_here(const struct run_options *options, const struct machine_config *config);
int run_in_box(const struct run_options *options);
/* `fermata caps` there */
int caps_in_box(const char *kind, bool json);

/* "Why the user's side ended" as an exit status. */
int status_of_console(const struct console *console, enum console_result result);

#endif
