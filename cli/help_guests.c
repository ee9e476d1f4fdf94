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
	"usage: fermata pause NAME [--clock HOW]\n"
	"\n"
	"  --clock HOW  what `resume` does about the pause's time when it is not told itself: freeze\n"
	"               (the default) or advance\n"
	"  --help       this text\n"
	"\n"
	"When it returns, the guest executes nothing, until `fermata resume`. What is typed into its\n"
	"console waits. To hold one that is held already does nothing.\n"
	"\n"
	"exit status: 0 it is held; 1 there is no such guest\n";

const char about_resume[] =
	"fermata resume: a guest that is held goes on\n"
	"\n"
	"usage: fermata resume NAME [--clock HOW]\n"
	"\n"
	"  --clock HOW  what of the time that the pause took: freeze: the guest never had it;\n"
	"               advance: it is made up, at 60 times the guest's rate; default: what `pause` was\n"
	"               told, else freeze\n"
	"  --help       this text\n"
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

const char about_clock[] =
	"fermata clock: a running guest's clock\n"
	"\n"
	"usage: fermata clock NAME [show] [--json]\n"
	"       fermata clock NAME freeze|thaw\n"
	"       fermata clock NAME rate X\n"
	"       fermata clock NAME step SPAN\n"
	"       fermata clock NAME jump [+-]SPAN\n"
	"       fermata clock NAME set DATE\n"
	"\n"
	"  show         state and rate, how RDTSC is answered, what each source reads and how far it is\n"
	"               from the clock (the default)\n"
	"  freeze       time stands still: no timer fires, every source keeps its reading\n"
	"  thaw         it goes on from there\n"
	"  rate X       so many seconds of the guest in one of the host: 60, 0.5, 1/3; 1/1000 to 1000;\n"
	"               no source jumps\n"
	"  step SPAN    exactly so much time passes, and then it stands still; steps add up\n"
	"  jump SPAN    as if so much time had passed at once; timers that lie in it fire. Back, with -,\n"
	"               the TSC, the PM timer and the RTC go; timers keep what they had left\n"
	"  set DATE     the date of the RTC: 2030-01-31, 2030-01-31T12:00:00 (UTC), @SECONDS, now\n"
	"  --json       for programs: what show says, as one JSON object\n"
	"  --help       this text\n"
	"\n"
	"A SPAN is a number with ns, us, ms, s, m, h or d: 10ms, 1.5s.\n"
	"\n"
	"exit status: 0 done; 1 there is no such guest, or a word is wrong\n";

const char about_dirty[] =
	"fermata dirty: which of its memory a running guest writes to\n"
	"\n"
	"usage: fermata dirty NAME on|off\n"
	"       fermata dirty NAME [show] [--json]\n"
	"\n"
	"  on      its writes are logged from now on\n"
	"  show    what was written to since this was last asked, or since `on`: how many pages of 4 KiB,\n"
	"          per second, and where, by guest-physical address (the default)\n"
	"  off     no longer\n"
	"  --json  for programs: the answer as one JSON object\n"
	"  --help  this text\n"
	"\n"
	"While it is on, the first write to a page after each question costs the guest an exit, and its\n"
	"memory is mapped in pages of 4 KiB.\n"
	"\n"
	"exit status: 0 done; 1 there is no such guest, no log, or a word is wrong\n";
