/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The ways to run what the options say; each returns the command's exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "control/control.h"
#include "machine.h"
#include "options.h"

/* Several guests, each a machine of its own; checks them all first */
int run_many(const struct run_options *options);
/* `guest` holds options->guests of them */
int run_many_in_box(const struct run_options *options, const struct run_options *guest);
int run_here(const struct run_options *options, const struct machine_config *config);
int run_in_box(const struct run_options *options);
/* `fermata caps` there */
int caps_in_box(const char *kind, bool json);

/* What the machine of this guest is to be; the strings stay the options'. */
struct machine_config config_of_options(const struct run_options *options);

/* Opens the machine's control channel, before it starts; NULL with a line said. */
struct control *control_of_machine(struct machine *machine, const struct run_options *options);

/* The words of a machine's end, but for those that go without saying, and its exit status */
int status_of_machine(struct machine *machine, const struct run_options *options);

/* "Why the user's side ended" as an exit status. */
int status_of_console(const struct console *console, enum console_result result);

#endif
