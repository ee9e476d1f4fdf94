/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The help of the verbs about rules and their log. */
#include "help.h"

#define RULE_WORDS                                                                                            \
	"EVENT:   rdtsc rdtscp rdpmc rdpru cpuid rdmsr wrmsr in out mov-to-cr mov-from-cr mov-to-dr\n"        \
	"         mov-from-dr clts lmsw hlt pause monitor mwait invlpg invpcid wbinvd xsetbv rdrand\n"        \
	"         rdseed sgdt sidt sldt str lgdt lidt lldt ltr exception hypercall cr3-switch syscall\n"      \
	"         read write exec: of memory, gpa=A..B, or gva=A..B wherever that leads\n"                    \
	"FILTER:  a number or A..B: leaf= (cpuid) msr= port= cr= dr= xcr= counter= vector= nr= (syscall,\n"   \
	"         hypercall) value= gpa= gva= cpl= cr3= rip=; the first N hits: first=N; one in N: every=N\n" \
	"ACTION:  count (the default), log, stop, skip, set REGISTER=VALUE, inject VECTOR[:CODE]\n"

const char about_on[] =
	"fermata on: a rule about what a running guest does\n"
	"\n"
	"usage: fermata on NAME 'EVENT [FILTER...] [do ACTION...]'\n"
	"\n"
	"  --help  this text\n"
	"\n" RULE_WORDS "\n"
	"The guest knows nothing of it, and what no rule is about is as fast as before. Prints the\n"
	"rule's number, for `fermata off`. More: docs/events.md.\n"
	"\n"
	"exit status: 0 it is in force; 1 there is no such guest, or it is not a rule\n"
	"\n"
	"examples:\n"
	"  fermata on web 'cpuid leaf=1 do log'\n"
	"  fermata on web 'syscall nr=59 do stop'                  the guest holds at its next execve()\n"
	"  fermata on web 'wrmsr msr=0x1a0 do log skip'            such writes come to nothing\n"
	"  fermata on web 'write gpa=0x1000..0x1fff first=10 do log'\n"
	"  fermata on web 'rdtsc cpl=3 every=100 do log'\n";

const char about_off[] = "fermata off: remove a rule\n"
			 "\n"
			 "usage: fermata off NAME ID\n"
			 "\n"
			 "  --help  this text\n"
			 "\n"
			 "ID is what `fermata on` printed and `fermata events` lists.\n"
			 "\n"
			 "exit status: 0 it is gone; 1 there is no such guest or rule\n"
			 "\n"
			 "example:\n"
			 "  fermata off web 3\n";

const char about_events[] =
	"fermata events: the rules in force\n"
	"\n"
	"usage: fermata events NAME [--json]\n"
	"\n"
	"  --json  for programs: one JSON object\n"
	"  --help  this text\n"
	"\n"
	"Shows each rule's number, its hits, its matches (before first= and every=), their share of\n"
	"all of the guest's exits, and the rule. Rules of `fermata run --on` are among them.\n"
	"\n"
	"exit status: 0 shown; 1 there is no such guest\n"
	"\n"
	"examples:\n"
	"  fermata events web\n"
	"  fermata events web --json | jq '.rules[] | [.id, .hits, .rule]'\n";

const char about_log[] =
	"fermata log: what rules with the action log have logged\n"
	"\n"
	"usage: fermata log NAME [--follow] [--json | --format FORMAT]\n"
	"\n"
	"  --follow         go on until the guest ends\n"
	"  --json           for programs: one JSON object a line\n"
	"  --format FORMAT  text (the default), json, or chrome: a trace for ui.perfetto.dev and\n"
	"                   chrome://tracing, one track for each virtual CPU\n"
	"  --help           this text\n"
	"\n"
	"What is shown is taken out of the log. A log that is full loses the newest, and says so.\n"
	"A guest that `fermata run` started with rules that log, and without --log channel, logs there.\n"
	"\n"
	"exit status: 0 shown; 1 there is no such guest\n"
	"\n"
	"examples:\n"
	"  fermata log web\n"
	"  fermata log web --follow --json | jq -r 'select(.event == \"cpuid\") | .rip'\n"
	"  fermata log web --follow --format chrome >web.trace.json\n";
