/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run/stats.h"

/* What cli/run/stats.c needs of its neighbours; the table itself needs only the names. */
const char *fermata_exit_code_name(uint32_t vendor, uint32_t code)
{
	return code == 0x72  ? "cpuid" :
	       code == 0x400 ? "npf" :
	       code == 0x7b  ? "io" :
	       code == 0x78  ? "hlt" :
			       "?";
}

const char *fermata_flush_kind_name(uint32_t kind)
{
	return kind == FERMATA_FLUSH_NEW_TAG ? "new-tag" : "all-tags";
}

const char *fermata_flush_cause_name(uint32_t cause)
{
	return "host";
}

int fermata_caps(struct fermata_caps *caps)
{
	return -1;
}

int machine_stats(struct machine *machine, struct fermata_stats *stats)
{
	return -1;
}

void machine_stop(struct machine *machine)
{
}

void machine_wait(struct machine *machine)
{
}

void say(const char *format, ...)
{
}

void say_block(const char *lines)
{
}

static char *table(const struct fermata_stats *stats, uint32_t tsc_khz)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	stats_format(stats, tsc_khz, out);
	fclose(out);
	return text;
}

static void sorted_with_shares(void **state)
{
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	char *text, *npf, *io, *cpuid;

	stats->exit[fermata_exit_slot(0x72)] = (struct fermata_exit_count){ 25, 50000 };
	stats->exit[fermata_exit_slot(0x400)] = (struct fermata_exit_count){ 50, 25000 };
	stats->exit[fermata_exit_slot(0x7b)] = (struct fermata_exit_count){ 25, 25000 };
	stats->guest_cycles = 300000;
	stats->flush_kind[FERMATA_FLUSH_NEW_TAG] = 7;
	stats->flush_kind[FERMATA_FLUSH_ALL_TAGS] = 2;
	stats->flush_cause[FERMATA_CAUSE_HOST] = 9;
	text = table(stats, 2000000);
	npf = strstr(text, "npf");
	cpuid = strstr(text, "cpuid");
	io = strstr(text, "io ");
	assert_true(npf && cpuid && io && npf < cpuid && cpuid < io);
	/* count, share of count, share of time, cycles, ns at 2 GHz */
	assert_non_null(strstr(npf, " 50    50.00%   25.00%          500        250\n"));
	assert_non_null(strstr(cpuid, " 25    25.00%   50.00%         2000       1000\n"));
	assert_non_null(strstr(text, "total                           100\n"));
	assert_non_null(strstr(text, "in exits 100000 (25.00%)"));
	assert_non_null(strstr(text, "flushes: new-tag 7, all-tags 2\n"));
	assert_non_null(strstr(text, "owed by: host 9\n"));
	free(text);
	free(stats);
}

/* The time a guest sleeps in HLT is nobody's cost. */
static void sleep_is_idle(void **state)
{
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	char *text;

	stats->vendor = FERMATA_VENDOR_AMD;
	stats->exit[fermata_exit_slot(0x72)] = (struct fermata_exit_count){ 50, 25000 };
	stats->exit[fermata_exit_slot(0x78)] = (struct fermata_exit_count){ 50, 25000 };
	stats->guest_cycles = 150000;
	stats->halt_cycles = 7000000;
	text = table(stats, 2000000);
	assert_non_null(
		strstr(strstr(text, "hlt"), " 50    50.00%   50.00%          500        250\n"));
	assert_non_null(strstr(text, "in exits 50000 (25.00%), idle in hlt 7000000\n"));
	free(text);
	free(stats);
}

static void empty_and_without_frequency(void **state)
{
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	char *text = table(stats, 0);

	assert_non_null(strstr(text, "total                             0\n"));
	assert_non_null(strstr(text, "flushes: none\nowed by: none\n"));
	free(text);
	stats->exit[fermata_exit_slot(0x72)] = (struct fermata_exit_count){ 1, 7 };
	text = table(stats, 0);
	assert_non_null(strstr(text, " 100.00%            7          -\n"));
	free(text);
	free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorted_with_shares),
		cmocka_unit_test(sleep_is_idle),
		cmocka_unit_test(empty_and_without_frequency),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
