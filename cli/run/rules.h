/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules of `fermata run`, and where their log goes. */
#ifndef CLI_RULES_H
#define CLI_RULES_H

#include "machine.h"
#include "options.h"

/* Does one of the options' rules log? */
bool rules_log(const struct run_options *options);
/* Puts the options' rules in force; false with a line said. */
bool rules_apply(struct machine *machine, const struct run_options *options);
/* After the guest's end: who reads the log gets a moment to have all of it. */
void rules_end(struct machine *machine, const struct run_options *options);

/* That a rule has stopped the guest. */
void rules_say_stop(const struct machine_end *end);

/*
 * A thread that takes the log of the guest, here or in the box, by its control channel and writes it
 * where the options say. NULL: nothing logs, or with *failed set a line was said.
 */
struct log_thread;
struct log_thread *log_start(const struct run_options *options, bool *failed);
/* When the guest has ended. */
void log_stop(struct log_thread *thread);

#endif
