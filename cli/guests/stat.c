/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata stat: a running guest's exits by reason, and where its time goes, as kvm_stat shows it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text/say.h"
#include "guests.h"

#define ROWS 200

struct row {
	const char *name;
	uint64_t code, total;
	uint64_t count, cycles; /* in the interval */
};

/* ---- what happened between two answers; without an earlier one: since the guest was made */

static uint64_t since(struct json_object *now, struct json_object *before, const char *name)
{
	return json_number(now, name) - (before ? json_number(before, name) : 0);
}

static struct json_object *exit_of(struct json_object *stats, uint64_t code)
{
	struct json_object *exits = json_list(stats, "exits");

	for (size_t i = 0; i < json_count(exits); i++)
		if (json_number(json_object_array_get_idx(exits, i), "code") == code)
			return json_object_array_get_idx(exits, i);
	return NULL;
}

static int by_count(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	if (a->total != b->total)
		return a->total < b->total ? 1 : -1;
	return a->code < b->code ? -1 : a->code > b->code;
}

static unsigned make_rows(struct json_object *now, struct json_object *before, struct row *row)
{
	struct json_object *exits = json_list(now, "exits");
	unsigned rows = 0;

	for (size_t i = 0; i < json_count(exits) && rows < ROWS; i++) {
		struct json_object *one = json_object_array_get_idx(exits, i);
		uint64_t code = json_number(one, "code");
		struct json_object *earlier = exit_of(before, code);

		row[rows++] = (struct row){
			.name = json_text(one, "name"),
			.code = code,
			.total = json_number(one, "count"),
			.count = since(one, earlier, "count"),
			.cycles = since(one, earlier, "cycles"),
		};
	}
	qsort(row, rows, sizeof(row[0]), by_count);
	return rows;
}

static double share(uint64_t part, double whole)
{
	return whole > 0 ? 100 * (double)part / whole : 0;
}

static double per_second(uint64_t count, uint64_t ns)
{
	return ns ? (double)count * 1e9 / (double)ns : 0;
}

/* ---- for people */

static void print_row(const char *name, uint64_t total, uint64_t count, uint64_t cycles,
		      uint64_t ns, double all_cycles)
{
	printf("%-24s %12" PRIu64 " %12.0f %8.2f%%", name, total, per_second(count, ns),
	       share(cycles, all_cycles));
	if (count)
		printf(" %12.0f\n", (double)cycles / (double)count);
	else
		printf(" %12s\n", "-");
}

static void print_rates(struct json_object *now, struct json_object *before, uint64_t ns)
{
	static const char *const rates[][2] = {
		{ "entries", "entries" },
		{ "user_exits", "exits to user space" },
		{ "injected", "events injected" },
		{ "halts", "halts" },
		{ "nested_faults", "pages mapped" },
	};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		printf("%-24s %12" PRIu64 " %12.0f\n", rates[i][1], json_number(now, rates[i][0]),
		       per_second(since(now, before, rates[i][0]), ns));
}

/* Counters that are objects: flushes by kind, or by cause. */
static void print_flushes(const char *key, const char *title, struct json_object *now,
			  struct json_object *before, uint64_t ns)
{
	struct json_object *counts = json_part(now, key), *earlier = json_part(before, key);

	if (!counts)
		return;
	json_object_object_foreach(counts, name, value)
	{
		char row[64];

		snprintf(row, sizeof(row), "%s %s", title, name);
		printf("%-24s %12" PRIu64 " %12.0f\n", row, json_object_get_uint64(value),
		       per_second(since(counts, earlier, name), ns));
	}
}

static void print_table(const struct guest_request *request, struct json_object *about,
			struct json_object *now, struct json_object *before)
{
	static struct row row[ROWS];
	unsigned rows = make_rows(now, before, row);
	uint64_t ns = since(now, before, "ns"), total = 0, count = 0, cycles = 0;
	double all = (double)ns * (double)json_number(now, "tsc_khz") / 1e6 *
		     (double)json_number(now, "vcpus");
	double guest = share(since(now, before, "guest_cycles"), all);
	double halted = share(since(now, before, "halt_cycles"), all), exits;

	printf("guest %s, %s, %s, %.1f s\n\n", request->name, json_text(about, "state"),
	       json_text(about, "where"), (double)json_number(now, "ns") / 1e9);
	printf("%-24s %12s %12s %9s %12s\n", "exit", "total", "per second", "time%", "mean cycles");
	for (unsigned i = 0; i < rows; i++) {
		print_row(row[i].name, row[i].total, row[i].count, row[i].cycles, ns, all);
		total += row[i].total;
		count += row[i].count;
		cycles += row[i].cycles;
	}
	print_row("all exits", total, count, cycles, ns, all);
	exits = share(cycles, all);
	printf("\n%-24s %12s %12s\n", "", "total", "per second");
	print_rates(now, before, ns);
	print_flushes("flushes", "flushes,", now, before, ns);
	print_flushes("owed", "owed by", now, before, ns);
	printf("\ntime: in the guest %.2f%%, in exits %.2f%%, asleep in hlt %.2f%%, elsewhere %.2f%%\n",
	       guest, exits, halted,
	       guest + exits + halted < 100 ? 100 - guest - exits - halted : 0.0);
}

/* ---- for programs */

/* The guest's own answer, and in each exit what there was per second. */
static void print_json(const struct guest_request *request, struct json_object *about,
		       struct json_object *now, struct json_object *before)
{
	struct json_object *line = NULL, *exits;
	uint64_t ns = since(now, before, "ns");

	if (json_object_deep_copy(now, &line, NULL))
		return;
	json_object_object_add(line, "name", json_object_new_string(request->name));
	json_object_object_add(line, "state", json_object_new_string(json_text(about, "state")));
	json_object_object_add(line, "interval_ns", json_object_new_uint64(ns));
	exits = json_list(line, "exits");
	for (size_t i = 0; i < json_count(exits); i++) {
		struct json_object *one = json_object_array_get_idx(exits, i);
		struct json_object *earlier = exit_of(before, json_number(one, "code"));

		if (!json_object_is_type(one, json_type_object))
			continue;
		json_object_object_add(one, "per_second",
				       json_object_new_double(
					       per_second(since(one, earlier, "count"), ns)));
	}
	json_print_line(line);
	json_object_put(line);
}

/* ---- */

static bool take_interval(void *settings, const struct option_row *row, const char *text)
{
	double *interval = option_member(settings, row);
	char *end;

	errno = 0;
	*interval = strtod(text, &end);
	if (!errno && end != text && !*end && *interval >= 0.1 && *interval <= 3600)
		return true;
	say("--%s %s: not a time; give seconds, 0.1 to 3600", row->name, text);
	return false;
}

/* 0: all shown; else it is over. */
static int show(const struct guest_request *request, struct client *client,
		struct json_object **before, bool first)
{
	struct json_object *about, *now = NULL;
	char problem[512];

	about = client_call(client, "query", NULL, problem, sizeof(problem));
	if (about)
		now = client_call(client, "stats", NULL, problem, sizeof(problem));
	if (!now) {
		json_object_put(about);
		/* One that ends while it is looked at is nothing wrong. */
		say("%s", problem);
		return first ? STATUS_FAILED : -1;
	}
	if (request->json) {
		print_json(request, about, now, *before);
	} else {
		if (!request->once && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		else if (!first)
			putchar('\n');
		print_table(request, about, now, *before);
	}
	json_object_put(about);
	json_object_put(*before);
	*before = now;
	return fflush(stdout) ? fail("cannot write to standard output: %s", strerror(errno)) : 0;
}

static int watch(const struct guest_request *request)
{
	struct json_object *before = NULL;
	struct client client;
	int result;

	if (guest_open(&client, request->name))
		return STATUS_FAILED;
	result = show(request, &client, &before, true);
	while (!result && !request->once) {
		usleep((useconds_t)(request->interval * 1e6));
		result = show(request, &client, &before, false);
	}
	json_object_put(before);
	client_close(&client);
	return result < 0 ? STATUS_OK : result;
}

static int run(const struct command *command, char **argv)
{
	struct guest_request request = { .interval = 1 };
	int status = guest_read(command, argv, &request);

	return status == OPTIONS_READ ? watch(&request) : status;
}

static const struct option_row options[] = {
	{ "once", NULL, option_flag, GUEST_MEMBER(once),
	  .help = "show the sums since the guest was made, and end" },
	{ "interval", "SECONDS", take_interval, GUEST_MEMBER(interval),
	  .help = "time between two tables: 0.1 to 3600; default: 1" },
	{ "json", NULL, option_flag, GUEST_MEMBER(json),
	  .help = "for programs: one JSON object a line" },
	{ .name = NULL },
};

const struct command command_stat = {
	.name = "stat",
	.what = "show what a running guest does, live",
	.run = run,
	.usage = "NAME [OPTION...]",
	.options = options,
	.words = 1,
	.about =
		"Shows the guest's exits by reason, in total and per second, with their share of the time and their\n"
		"mean cost in cycles of the time-stamp counter; entries, exits to user space, injected events, halts,\n"
		"mapped pages and flushes; and where the time went. The guest runs on.\n"
		"\n"
		"exit status: 0 shown (also when the guest ended meanwhile); 1 there is no such guest\n"
		"\n"
		"examples:\n"
		"  fermata stat web --interval 5\n"
		"  fermata stat web --once --json | jq '.exits | sort_by(-.cycles)[0].name'\n",
};
