/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata clock: a running guest's clock, shown and changed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock_spec.h"
#include "cli/commands.h"
#include "guests.h"
#include "cli/text/say.h"

/* A wrong word is found here, before the guest is asked, and in a box before it is even reached. */
static bool value_is_good(const struct guest_words *words)
{
	uint32_t num, den;
	char problem[300];
	int64_t number;
	bool good;

	if (!strcmp(words->what, "rate"))
		good = clock_parse_rate(words->value, &num, &den, problem, sizeof(problem));
	else if (!strcmp(words->what, "set"))
		good = clock_parse_date(words->value, &number, problem, sizeof(problem));
	else
		good = clock_parse_span(words->value, !strcmp(words->what, "jump"), &number,
					problem, sizeof(problem));
	if (!good)
		say("clock %s: %s", words->what, problem);
	return good;
}

static bool check_words(struct guest_words *words)
{
	static const struct {
		const char *what;
		const char *value; /* NULL: none */
	} known[] = {
		{ "show", NULL },   { "freeze", NULL },	  { "thaw", NULL },  { "rate", "X" },
		{ "step", "SPAN" }, { "jump", "+-SPAN" }, { "set", "DATE" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(words->what, known[i].what))
			continue;
		if (!known[i].value && words->value)
			say("'%s': clock %s takes no value; see `fermata clock --help`",
			    words->value, words->what);
		else if (known[i].value && !words->value)
			say("clock %s needs a value, %s; see `fermata clock --help`", words->what,
			    known[i].value);
		else
			return !words->value || value_is_good(words);
		return false;
	}
	say("'%s' is nothing that a clock does; give show, freeze, thaw, rate, step, jump or set",
	    words->what);
	return false;
}

/* argv without a span, which may begin with a dash and is no option then (or is one that is wrong). */
static const char *take_span(int *argc, char **argv)
{
	const char *value;

	for (int i = 2; i + 1 < *argc; i++) {
		if ((strcmp(argv[i], "jump") && strcmp(argv[i], "step")) || argv[i + 1][0] != '-' ||
		    argv[i + 1][1] == '-')
			continue;
		value = argv[i + 1];
		memmove(&argv[i + 1], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		(*argc)--;
		return value;
	}
	return NULL;
}

static int read_words(int argc, char **argv, struct guest_words *words)
{
	const char *span = take_span(&argc, argv);
	int status = guest_words_read(argc, argv, span ? 2 : 3, words);

	if (status)
		return status;
	if (span)
		words->value = span;
	return check_words(words) ? STATUS_OK : STATUS_FAILED;
}

static void print_sources(struct json_object *clock)
{
	struct json_object *list, *source;

	if (!json_object_object_get_ex(clock, "sources", &list))
		return;
	printf("\n%-14s %22s  %-22s %12s\n", "SOURCE", "READS", "UNIT", "ERROR, NS");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		source = json_object_array_get_idx(list, i);
		printf("%-14s %22s  %-22s %12s\n", guest_text(source, "name"),
		       guest_text(source, "value"), guest_text(source, "unit"),
		       guest_text(source, "error_ns"));
	}
}

static void print_clock(struct json_object *clock)
{
	const char *rdtsc = guest_text(clock, "rdtsc");
	uint64_t ns = guest_number(clock, "ns");

	printf("state          %s\n", guest_text(clock, "state"));
	printf("rate           %s%s\n", guest_text(clock, "rate"),
	       strcmp(guest_text(clock, "run_only"), "true") ? "" : ", only while the guest runs");
	printf("RDTSC          %s\n",
	       !strcmp(rdtsc, "exiting") ? "exits, and is answered by the kernel part" :
	       !strcmp(rdtsc, "scaling") ? "does not exit: the processor scales and adds an offset" :
					   "does not exit: the processor adds an offset");
	printf("date           %s\n", guest_text(clock, "date"));
	printf("guest time     %" PRIu64 ".%09" PRIu64 " s since it was made\n", ns / 1000000000u,
	       ns % 1000000000u);
	printf("changes        %s\n", guest_text(clock, "changes"));
	print_sources(clock);
}

int command_clock(int argc, char **argv)
{
	struct guest_words words;
	struct json_object *clock;
	int status;

	status = read_words(argc, argv, &words);
	if (status)
		return status < 0 ? STATUS_OK : status;
	clock = guest_words_call("clock", &words);
	if (!clock)
		return STATUS_FAILED;
	if (words.json)
		guest_print_json(clock);
	else if (!strcmp(words.what, "show"))
		print_clock(clock);
	json_object_put(clock);
	return STATUS_OK;
}
