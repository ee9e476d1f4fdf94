/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "place.h"

#include <string.h>

#include "box/box.h"
#include "cli/text/say.h"

bool take_place(void *settings, const struct option_row *row, const char *text)
{
	struct place *place = option_member(settings, row);
	char problem[1000];

	*place = PLACE_DEFAULT;
	if (!strcmp(text, "auto"))
		return true;
	if (!strcmp(text, "none")) {
		place->where = PLACE_HERE;
		return true;
	}
	*place = (struct place){ PLACE_BOX, text };
	if (!box_kind(text, problem, sizeof(problem)))
		return true;
	say("--%s %s: %s", row->name, text, problem);
	return false;
}
