/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Where a command runs: the option --box. */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli/text/option.h"

struct place {
	enum { PLACE_AUTO, PLACE_HERE, PLACE_BOX } where;
	const char *box; /* the kind of box (box/box.h) that it is, or with PLACE_AUTO may be */
};

#define PLACE_DEFAULT ((struct place){ PLACE_AUTO, "amd" })

/* For the row of an option: auto, none, or a kind of box. The member is a struct place. */
bool take_place(void *settings, const struct option_row *row, const char *text);

#endif
