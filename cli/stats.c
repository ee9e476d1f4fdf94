/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fermata.h"
#include "say.h"

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

static const char *const flush_kind[FERMATA_FLUSH_KINDS] = {
	[FERMATA_FLUSH_NEW_TAG] = "new tag",
	[FERMATA_FLUSH_ADDRESS] = "one address",
	[FERMATA_FLUSH_LOCAL] = "tag but global pages",
	[FERMATA_FLUSH_TAG] = "tag",
	[FERMATA_FLUSH_ALL_TAGS] = "all tags",
	[FERMATA_FLUSH_NESTED] = "nested tables",
	[FERMATA_FLUSH_ALL_NESTED] = "all nested tables",
	[FERMATA_FLUSH_ENTRY] = "every entry",
};

static const char *const flush_cause[FERMATA_FLUSH_CAUSES] = {
	[FERMATA_CAUSE_STATE] = "reset",
	[FERMATA_CAUSE_CONTROL] = "guest's control registers",
	[FERMATA_CAUSE_ADDRESS] = "guest's invlpg",
	[FERMATA_CAUSE_HOST] = "host took memory",
	[FERMATA_CAUSE_SLOT] = "slot removed",
	[FERMATA_CAUSE_REMAP] = "mapping replaced",
	[FERMATA_CAUSE_SHADOW] = "shadow table",
	[FERMATA_CAUSE_CPU] = "other CPU",
	[FERMATA_CAUSE_ROLLOVER] = "tags ran out",
	[FERMATA_CAUSE_UNTAGGED] = "no tag",
};

/* Those that there were, in one line. */
static void flushes_format(const char *title, const char *const *name, const __u64 *count,
			   unsigned names, FILE *out)
{
	const char *separator = " ";
	unsigned i;

	fprintf(out, "%s:", title);
	for (i = 0; i < names; i++) {
		if (!count[i])
			continue;
		fprintf(out, "%s%s %llu", separator, name[i], count[i]);
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
	flushes_format("flushes", flush_kind, stats->flush_kind, FERMATA_FLUSH_KINDS, out);
	flushes_format("owed by", flush_cause, stats->flush_cause, FERMATA_FLUSH_CAUSES, out);
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
