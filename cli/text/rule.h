/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A rule as the user has written it. */
#ifndef CLI_RULE_H
#define CLI_RULE_H

#include <stdbool.h>

/* Is it one? If not, two lines have been said: what is wrong, and where. `what` is the option or verb. */
bool rule_check(const char *what, const char *text);

#endif
