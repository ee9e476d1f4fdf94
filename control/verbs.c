/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "verbs.h"

static int run_commands(struct control_call *call)
{
	call->result = command_list(control_verbs);
	return 0;
}

static const struct control_verb verb_commands = {
	.name = "commands",
	.what = "the commands and their arguments",
	.run = run_commands,
};

const struct control_verb *const control_verbs[] = {
	&verb_commands, &verb_query, &verb_stats, &verb_pause, &verb_resume,
	&verb_quit,	&verb_clock, &verb_on,	  &verb_off,   &verb_events,
	&verb_log,	&verb_dirty, NULL,
};
