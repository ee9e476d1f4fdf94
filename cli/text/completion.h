/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Completion of the command's words in bash, made from the lists of verbs and options. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "option.h"

/* Prints the script that bash reads. */
void completion_print(const struct command *const *commands, size_t count);

#endif
