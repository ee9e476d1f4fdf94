/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The help of the verbs about running guests. */
#include "help.h"

const char about_ps[] =
	"fermata ps: the guests that run\n"
	"\n"
	"usage: fermata ps [--json]\n"
	"\n"
	"  --json  for programs: a JSON list of objects\n"
	"  --help  this text\n"
	"\n"
	"Lists the user's guests: name, state (running, paused, ended, or silent: its process does not\n"
	"answer, as while a box starts), the processor's virtualization, virtual CPUs, memory, since\n"
	"when and where it runs (here, or box and its kind), and the process that has it.\n"
	"\n"
	"exit status: 0, also when there are none; 1 the list could not be had\n";

const char about_stat[] =
	"fermata stat: what a running guest does\n"
	"\n"
	"usage: fermata stat NAME [OPTION...]\n"
	"\n"
	"  --once              show the sums since the guest was made, and end\n"
	"  --interval SECONDS  how often it is shown anew: 0.1 to 3600; default: 1\n"
	"  --json              for programs: one JSON object a line\n"
	"  --help              this text\n"
	"\n"
	"Shows the guest's exits by reason, in total and per second, their share of the time and mean\n"
	"cost in cycles of the time-stamp counter; entries, exits to user space, injected events,\n"
	"halts, pages mapped, flushes, tag generations; and where the time went. The guest runs on.\n"
	"\n"
	"exit status: 0 shown (also when the guest ended meanwhile); 1 there is no such guest\n";

const char about_pause[] =
	"fermata pause: hold a running guest\n"
	"\n"
	"usage: fermata pause NAME\n"
	"\n"
	"  --help  this text\n"
	"\n"
	"When it returns, the guest executes nothing, until `fermata resume`. What is typed into its\n"
	"console waits. To hold one that is held already does nothing.\n"
	"\n"
	"exit status: 0 it is held; 1 there is no such guest\n";

const char about_resume[] = "fermata resume: a guest that is held goes on\n"
			    "\n"
			    "usage: fermata resume NAME\n"
			    "\n"
			    "  --help  this text\n"
			    "\n"
			    "exit status: 0 it runs; 1 there is no such guest\n";

const char about_quit[] =
	"fermata quit: end a running guest at once\n"
	"\n"
	"usage: fermata quit NAME\n"
	"\n"
	"  --help  this text\n"
	"\n"
	"As Ctrl-A x on its console: the guest is not asked. When it returns, the guest has ended.\n"
	"\n"
	"exit status: 0 it has ended; 1 there is no such guest\n";
