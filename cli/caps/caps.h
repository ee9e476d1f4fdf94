/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef CLI_CAPS_H
#define CLI_CAPS_H

#include "cli/text/option.h"

extern const struct command command_caps;

#endif
