/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What `fermata help` and the --help options print. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* verb NULL: about the command itself. Negative: no such verb. */
int help_print(const char *verb);
void version_print(void);

#endif
