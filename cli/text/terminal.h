/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The user's terminal: raw while a guest has it, restored however the process ends. A process has
 * one terminal, so this state is the process's.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/*
 * Makes standard input raw when it is a terminal (and this process is in its foreground), and sees
 * to it that exit() and crashes restore it. True when it is a terminal.
 */
bool terminal_raw(void);
/* Back to what it was. Async-signal-safe; harmless when it is not raw. */
void terminal_restore(void);
bool terminal_is_raw(void);
/* What SIGTSTP asks for: restore and stop. Comes back with SIGCONT. */
void terminal_suspend(void);
/* What SIGCONT asks for: raw again, if it was and we are in the foreground. */
void terminal_resume(void);

/* Makes sure that descriptors 0, 1 and 2 are open, so that no other file becomes one of them. */
void terminal_standard_files(void);

#endif
