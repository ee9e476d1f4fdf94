/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata on, off, events: the rules of a running guest. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/text/rule.h"
#include "cli/text/say.h"
#include "guests.h"

/* ---- on */

static void print_id(struct json_object *answer)
{
	printf("%" PRIu64 "\n", json_number(answer, "id"));
}

static int run_on(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	struct json_object *arguments;
	int status = guest_read(command, argv, &request);

	if (status != OPTIONS_READ)
		return status;
	if (!request.what)
		return fail("on takes a guest's name and a rule; see `fermata on --help`");
	if (!rule_check("on", request.what))
		return STATUS_FAILED;
	arguments = json_object_new_object();
	json_add_text(arguments, "rule", request.what);
	return guest_ask(request.name, "on", arguments, print_id);
}

const struct command command_on = {
	.name = "on",
	.what = "give a running guest a rule: count, log, change or forbid what it does",
	.run = run_on,
	.usage = "NAME 'EVENT [FILTER...] [do ACTION...]'",
	.words = 2,
	.about =
		"EVENT:   rdtsc rdtscp rdpmc rdpru cpuid rdmsr wrmsr in out mov-to-cr mov-from-cr mov-to-dr\n"
		"         mov-from-dr clts lmsw hlt pause monitor mwait invlpg invpcid wbinvd xsetbv rdrand\n"
		"         rdseed sgdt sidt sldt str lgdt lidt lldt ltr exception hypercall cr3-switch syscall\n"
		"         read write exec: of memory, gpa=A..B, or gva=A..B wherever that leads\n"
		"FILTER:  a number or A..B: leaf= (cpuid) msr= port= cr= dr= xcr= counter= vector= nr= (syscall,\n"
		"         hypercall) value= gpa= gva= cpl= cr3= rip=; the first N hits: first=N; one in N: every=N\n"
		"ACTION:  count (the default), log, stop, skip, set REGISTER=VALUE, inject VECTOR[:CODE]\n"
		"\n"
		"The guest cannot see the rule, and what no rule is about is as fast as before. Prints the rule's\n"
		"number, for `fermata off`. More: docs/events.md.\n"
		"\n"
		"exit status: 0 it is in force; 1 there is no such guest, or it is not a rule\n"
		"\n"
		"examples:\n"
		"  fermata on web 'cpuid leaf=1 do log'\n"
		"  fermata on web 'syscall nr=59 do stop'                  the guest holds at its next execve()\n"
		"  fermata on web 'wrmsr msr=0x1a0 do log skip'            such writes have no effect\n"
		"  fermata on web 'write gpa=0x1000..0x1fff first=10 do log'\n"
		"  fermata on web 'rdtsc cpl=3 every=100 do log'\n",
};

/* ---- off */

static int run_off(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	struct json_object *arguments;
	int status = guest_read(command, argv, &request);
	char *end;
	long id;

	if (status != OPTIONS_READ)
		return status;
	if (!request.what)
		return fail(
			"off takes a guest's name and a rule's number; see `fermata off --help`");
	id = strtol(request.what, &end, 10);
	if (*end || id < 1)
		return fail("'%s' is not a rule's number; `fermata events %s` lists them",
			    request.what, request.name);
	arguments = json_object_new_object();
	json_object_object_add(arguments, "id", json_object_new_int64(id));
	return guest_ask(request.name, "off", arguments, NULL);
}

const struct command command_off = {
	.name = "off",
	.what = "remove a rule of a running guest",
	.run = run_off,
	.usage = "NAME ID",
	.words = 2,
	.about = "ID is the number that `fermata on` printed; `fermata events` lists it.\n"
		 "\n"
		 "exit status: 0 it is gone; 1 there is no such guest or rule\n"
		 "\n"
		 "example:\n"
		 "  fermata off web 3\n",
};

/* ---- events */

static void print_rules(struct json_object *answer)
{
	double exits = (double)json_number(answer, "exits");
	struct json_object *rules = json_list(answer, "rules");

	printf("%4s %12s %12s %8s  %s\n", "ID", "HITS", "MATCHES", "EXITS", "RULE");
	for (size_t i = 0; i < json_count(rules); i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		double matches = (double)json_number(rule, "matches");

		printf("%4" PRIu64 " %12" PRIu64 " %12" PRIu64 " %7.2f%%  %s\n",
		       json_number(rule, "id"), json_number(rule, "hits"),
		       json_number(rule, "matches"), exits > 0 ? 100 * matches / exits : 0,
		       json_text(rule, "rule"));
	}
}

static int run_events(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	int status = guest_read(command, argv, &request);

	if (status != OPTIONS_READ)
		return status;
	return guest_ask(request.name, "events", NULL, request.json ? json_print_line : print_rules);
}

static const struct option_row events_options[] = {
	{ "json", NULL, option_flag, GUEST_MEMBER(json), .help = "for programs: one JSON object" },
	{ .name = NULL },
};

const struct command command_events = {
	.name = "events",
	.what = "list the rules of a running guest",
	.run = run_events,
	.usage = "NAME [--json]",
	.options = events_options,
	.words = 1,
	.about = "Shows of each rule its number, its hits, its matches (before first= and every=), their share of all\n"
		 "of the guest's exits, and its text. Rules of `fermata run --on` are among them.\n"
		 "\n"
		 "exit status: 0 shown; 1 there is no such guest\n"
		 "\n"
		 "examples:\n"
		 "  fermata events web\n"
		 "  fermata events web --json | jq '.rules[] | [.id, .hits, .rule]'\n",
};
