/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the guests of this process have in common, be there one or several. */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include "control/control.h"
#include "machine.h"
#include "options.h"

/*
 * Puts the guest's rules in force and opens its control channel, before the machine starts; NULL with a line
 * said.
 */
struct control *guest_control(struct machine *machine, const struct run_options *options);

/* Tells the user how the machine ended, unless that goes without saying. The exit status. */
int guest_status(struct machine *machine, const struct run_options *options);

#endif
