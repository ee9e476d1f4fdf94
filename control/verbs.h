/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The commands of the control channel. To add one: define it in a verbs_*.c, name it here and in the list
 * in verbs.c, and describe it in docs/control.md. Arguments are checked against its list before run() is
 * called; run() must not wait for anything that takes long, since all clients of the guest wait with it.
 */
#ifndef CONTROL_VERBS_H
#define CONTROL_VERBS_H

#include "command.h"
#include "control.h"

extern const struct control_verb *const control_verbs[]; /* ends with NULL */

/* verbs_machine.c */
extern const struct control_verb verb_query, verb_pause, verb_resume, verb_quit;
/* verbs_events.c */
extern const struct control_verb verb_on, verb_off, verb_events, verb_log;
struct json_object *verbs_stop(const struct machine_end *end); /* of MACHINE_NEWS_STOPPED */
/* verbs_clock.c */
extern const struct control_verb verb_clock;
struct json_object *verbs_show_clock(struct machine *machine);
/* verbs_dirty.c */
extern const struct control_verb verb_dirty;
/* verbs_stats.c */
extern const struct control_verb verb_stats;

/* The event that tells this news; NULL in *data: none. */
const char *verbs_event(enum machine_news news, const struct machine_end *end,
			struct json_object **data);

uint64_t verbs_now_ns(void); /* CLOCK_MONOTONIC */

#endif
