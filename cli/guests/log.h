/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Taking the log of a guest's rules through its control channel. */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include "control/client.h"
#include "log_format.h"

#define LOG_POLL_US 20000 /* between two looks at an empty log */

/* 1: there were records, and they are written; 0: none; -1: the guest has gone, or as problem[] says. */
int log_take(struct client *client, struct log_writer *writer, char *problem, size_t problem_size);

#endif
