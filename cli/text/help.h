/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What `fermata help` and the --help options print. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* verb NULL: about the command itself. Negative: no such verb. */
int help_print(const char *verb);
void version_print(void);

/* help_guests.c */
extern const char about_on[], about_off[], about_events[], about_log[]; /* help_events.c */
extern const char about_ps[], about_stat[], about_pause[], about_resume[], about_clock[],
	about_dirty[], about_quit[];

#endif
