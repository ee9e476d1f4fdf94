/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata clock: a running guest's clock, shown and changed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/text/say.h"
#include "clock_spec.h"
#include "guests.h"

/* A wrong word is found here, before the guest is asked, and in a box before it is even reached. */
static bool value_is_good(const struct guest_request *request)
{
	uint32_t num, den;
	char problem[300];
	int64_t number;
	bool good;

	if (!strcmp(request->what, "rate"))
		good = clock_parse_rate(request->value, &num, &den, problem, sizeof(problem));
	else if (!strcmp(request->what, "set"))
		good = clock_parse_date(request->value, &number, problem, sizeof(problem));
	else
		good = clock_parse_span(request->value, !strcmp(request->what, "jump"), &number,
					problem, sizeof(problem));
	if (!good)
		say("clock %s: %s", request->what, problem);
	return good;
}

static bool check_words(struct guest_request *request)
{
	static const struct {
		const char *what;
		const char *value; /* NULL: none */
	} known[] = {
		{ "show", NULL },   { "freeze", NULL },	  { "thaw", NULL },  { "rate", "X" },
		{ "step", "SPAN" }, { "jump", "+-SPAN" }, { "set", "DATE" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(request->what, known[i].what))
			continue;
		if (!known[i].value && request->value)
			say("'%s': clock %s takes no value; see `fermata clock --help`",
			    request->value, request->what);
		else if (known[i].value && !request->value)
			say("clock %s needs a value, %s; see `fermata clock --help`", request->what,
			    known[i].value);
		else
			return !request->value || value_is_good(request);
		return false;
	}
	say("clock %s: not known; give show, freeze, thaw, rate, step, jump or set", request->what);
	return false;
}

static void print_sources(struct json_object *clock)
{
	struct json_object *list = json_list(clock, "sources"), *source;

	if (!list)
		return;
	printf("\n%-14s %22s  %-22s %12s\n", "SOURCE", "READS", "UNIT", "ERROR, NS");
	for (size_t i = 0; i < json_count(list); i++) {
		source = json_object_array_get_idx(list, i);
		printf("%-14s %22s  %-22s %12s\n", json_text(source, "name"),
		       json_text(source, "value"), json_text(source, "unit"),
		       json_text(source, "error_ns"));
	}
}

static void print_clock(struct json_object *clock)
{
	const char *rdtsc = json_text(clock, "rdtsc");
	uint64_t ns = json_number(clock, "ns");

	printf("state          %s\n", json_text(clock, "state"));
	printf("rate           %s%s\n", json_text(clock, "rate"),
	       strcmp(json_text(clock, "run_only"), "true") ? "" : ", only while the guest runs");
	printf("RDTSC          %s\n",
	       !strcmp(rdtsc, "exiting") ? "exits, and is answered by the kernel part" :
	       !strcmp(rdtsc, "scaling") ? "does not exit: the processor scales and adds an offset" :
					   "does not exit: the processor adds an offset");
	printf("date           %s\n", json_text(clock, "date"));
	printf("guest time     %" PRIu64 ".%09" PRIu64 " s since it was made\n", ns / 1000000000u,
	       ns % 1000000000u);
	printf("changes        %s\n", json_text(clock, "changes"));
	print_sources(clock);
}

static int run(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	int status = guest_read(command, argv, &request);

	if (status != OPTIONS_READ)
		return status;
	request.what = request.what ?: "show";
	if (!check_words(&request))
		return STATUS_FAILED;
	return guest_do(&request, "clock",
			request.json		     ? json_print :
			strcmp(request.what, "show") ? NULL :
						       print_clock);
}

static const struct option_row options[] = {
	{ "json", NULL, option_flag, GUEST_MEMBER(json),
	  .help = "for programs: what show says, as one JSON object" },
	{ .name = NULL },
};

const struct command command_clock = {
	.name = "clock",
	.what = "show or change a running guest's clock",
	.run = run,
	.usage = "NAME [show] [--json]\n"
		 "NAME freeze|thaw\n"
		 "NAME rate X\n"
		 "NAME step SPAN\n"
		 "NAME jump [+-]SPAN\n"
		 "NAME set DATE",
	.options = options,
	.words = 3,
	.dash_words = true,
	.about =
		"  show         state and rate, how RDTSC is answered, what each source reads and how far that is\n"
		"               from the clock (the default)\n"
		"  freeze       time stands still: no timer fires, every source keeps its reading\n"
		"  thaw         time goes on from there\n"
		"  rate X       so many seconds of the guest pass in one of the host: 60, 0.5, 1/3; 1/1000 to 1000;\n"
		"               no source jumps\n"
		"  step SPAN    exactly so much time passes, then time stands still; steps add up\n"
		"  jump SPAN    as if so much time had passed at once; timers that lie in it fire. A jump back, with\n"
		"               -, sets back the TSC, the PM timer and the RTC; timers keep what they had left\n"
		"  set DATE     the date of the RTC: 2030-01-31, 2030-01-31T12:00:00 (UTC), @SECONDS, now\n"
		"\n"
		"A SPAN is a number with ns, us, ms, s, m, h or d: 10ms, 1.5s.\n"
		"\n"
		"exit status: 0 done; 1 there is no such guest, or a word is wrong\n"
		"\n"
		"examples:\n"
		"  fermata clock web\n"
		"  fermata clock web rate 60\n"
		"  fermata clock web freeze; fermata clock web step 10ms; fermata clock web thaw\n"
		"  fermata clock web --json | jq -r '.sources[] | [.name, .value, .error_ns] | @tsv'\n",
};
