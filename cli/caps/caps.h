/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef CLI_CAPS_H
#define CLI_CAPS_H

#include "cli/text/option.h"

extern const struct command command_caps, command_selftest;

struct host;
struct json_object;

/* What `fermata caps` says, for people on standard output, and for programs. */
void caps_print(const struct host *host);
struct json_object *caps_json(const struct host *host);

#endif
