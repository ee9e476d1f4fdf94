/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The verbs of the command: each takes its own argv, argv[0] being the verb. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>

int command_run(int argc, char **argv);
int command_caps(int argc, char **argv);
/* guests.c: of those that run */
int command_ps(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_quit(int argc, char **argv);
/* clock.c */
int command_clock(int argc, char **argv);
/* dirty.c */
int command_dirty(int argc, char **argv);
/* events.c */
int command_on(int argc, char **argv);
int command_off(int argc, char **argv);
int command_events(int argc, char **argv);
int command_log(int argc, char **argv);
/* stat.c */
int command_stat(int argc, char **argv);

/* Where a command runs. */
enum place { PLACE_AUTO, PLACE_HERE, PLACE_BOX };

/*
 * "auto", "none", or a kind of box (box/box.h), which *kind then is; the one that "auto" would take
 * otherwise. False with a line said: unknown.
 */
bool parse_place(const char *text, enum place *place, const char **kind);

#endif
