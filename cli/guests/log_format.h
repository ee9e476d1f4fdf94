/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The log of rules on its way to a file: as text, as JSON lines, as a trace. */
#ifndef CLI_LOG_FORMAT_H
#define CLI_LOG_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/text/json.h"
#include "cli/text/option.h"

enum log_format { LOG_TEXT, LOG_JSON, LOG_CHROME };

struct log_writer {
	FILE *file;
	enum log_format format;
	uint64_t written;
	uint64_t dropped;		/* as it was last told */
	uint64_t tracks;		/* chrome: bit n: vCPU n has its name */
	uint64_t rate_host, rate_guest; /* chrome: where the clock's rate was taken last, ns */
};

/* Their names, for an option. */
extern const struct option_word log_formats[];

void log_begin(struct log_writer *writer, FILE *file, enum log_format format);
/* A record, as docs/control.md has it. */
void log_record(struct log_writer *writer, struct json_object *record);
/* So many are lost by now. */
void log_dropped(struct log_writer *writer, uint64_t dropped);
void log_end(struct log_writer *writer);

#endif
