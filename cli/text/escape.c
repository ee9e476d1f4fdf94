/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "escape.h"

enum escape_action escape_feed(struct escape *escape, uint8_t byte)
{
	if (!escape->enabled)
		return ESCAPE_SEND;
	if (!escape->armed) {
		if (byte != ESCAPE_KEY)
			return ESCAPE_SEND;
		escape->armed = true;
		return ESCAPE_NOTHING;
	}
	escape->armed = false;
	switch (byte) {
	case ESCAPE_KEY:
		return ESCAPE_SEND;
	case 'x':
	case 'X':
		return ESCAPE_END;
	case 'h':
	case 'H':
	case '?':
		return ESCAPE_HELP;
	case 'd':
	case 'D':
		return ESCAPE_END_OF_INPUT;
	default:
		return ESCAPE_NOTHING;
	}
}
