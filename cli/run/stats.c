/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text/say.h"
#include "fermata.h"

struct row {
	uint32_t code;
	uint64_t count, cycles;
};

/* Most frequent first; equal ones in the order of their codes. */
static int by_count(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return a->code < b->code ? -1 : a->code > b->code;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* Those that there were, in one line. */
static void flushes_format(const char *title, const char *(*name)(uint32_t), const __u64 *count,
			   unsigned names, FILE *out)
{
	const char *separator = " ";
	unsigned i;

	fprintf(out, "%s:", title);
	for (i = 0; i < names; i++) {
		if (!count[i])
			continue;
		fprintf(out, "%s%s %llu", separator, name(i), count[i]);
		separator = ", ";
	}
	fprintf(out, "%s\n", *separator == ' ' ? " none" : "");
}

void stats_format(const struct fermata_stats *stats, uint32_t tsc_khz, FILE *out)
{
	struct row row[FERMATA_MAX_EXIT_CODES];
	uint64_t count = 0, cycles = 0;
	unsigned rows = 0, i;

	for (i = 0; i < FERMATA_MAX_EXIT_CODES; i++) {
		if (!stats->exit[i].count)
			continue;
		row[rows].code = fermata_exit_code(i);
		row[rows].count = stats->exit[i].count;
		row[rows].cycles = stats->exit[i].cycles;
		count += row[rows].count;
		cycles += row[rows].cycles;
		rows++;
	}
	qsort(row, rows, sizeof(row[0]), by_count);
	fprintf(out, "%-24s %10s %9s %8s %12s %10s\n", "exit", "count", "count%", "time%",
		"mean cycles", "mean ns");
	for (i = 0; i < rows; i++) {
		double mean = (double)row[i].cycles / (double)row[i].count;

		fprintf(out, "%-24s %10" PRIu64 " %8.2f%% %7.2f%% %12.0f",
			fermata_exit_code_name(stats->vendor, row[i].code), row[i].count,
			percent(row[i].count, count), percent(row[i].cycles, cycles), mean);
		if (tsc_khz)
			fprintf(out, " %10.0f\n", mean * 1e6 / tsc_khz);
		else
			fprintf(out, " %10s\n", "-");
	}
	fprintf(out, "%-24s %10" PRIu64 "\n", "total", count);
	fprintf(out, "entries %llu, exits to user space %llu, events injected %llu, halts %llu\n",
		stats->entries, stats->user_exits, stats->injected, stats->halts);
	fprintf(out, "nested page faults mapped %llu (%llu large)\n", stats->nested_faults,
		stats->large_mappings);
	flushes_format("flushes", fermata_flush_kind_name, stats->flush_kind, FERMATA_FLUSH_KINDS,
		       out);
	flushes_format("owed by", fermata_flush_cause_name, stats->flush_cause,
		       FERMATA_FLUSH_CAUSES, out);
	fprintf(out, "cycles in the guest %llu, in exits %" PRIu64 " (%.2f%%), idle in hlt %llu\n",
		stats->guest_cycles, cycles, percent(cycles, stats->guest_cycles + cycles),
		stats->halt_cycles);
}

void stats_print(struct machine *machine)
{
	struct fermata_caps caps = { 0 };
	struct fermata_stats *stats;
	char *text = NULL;
	size_t length;
	FILE *out;
	int error;

	machine_stop(machine);
	machine_wait(machine);
	stats = malloc(sizeof(*stats));
	if (!stats) {
		say("no memory for the statistics");
		return;
	}
	error = machine_stats(machine, stats);
	if (error) {
		say("no statistics: %s", strerror(-error));
		free(stats);
		return;
	}
	fermata_caps(&caps);
	out = open_memstream(&text, &length);
	if (out) {
		stats_format(stats, caps.tsc_khz, out);
		fclose(out);
		say_block(text);
	}
	free(text);
	free(stats);
}
