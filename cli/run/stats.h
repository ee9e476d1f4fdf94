/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What --stats prints. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <stddef.h>
#include <stdio.h>

#include "machine.h"

/* The table, as text. tsc_khz 0: the means are in cycles only. */
void stats_format(const struct fermata_stats *stats, uint32_t tsc_khz, FILE *out);
/* Ends the machine's run and prints its table on standard error. */
void stats_print(struct machine *machine);

#endif
