/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * bench [OPTION...] kvm|fermata|native [ROW...]: measures those rows, all by default, on the machine it
 * runs on, and prints a line of JSON for each. bench/run starts it in the box.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

static const char usage[] = "usage: bench [OPTION...] kvm|fermata|native [ROW...|none]\n"
			    "  --emulator NAME  what to call this machine in the results\n"
			    "  --shadow         shadow paging; kvm: what its module was told\n"
			    "  --no-tags        without VPID or ASID; likewise\n"
			    "  --list           the names of the rows\n";

void unavailable(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(3);
}

void die(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "bench: %s: %s\n", what, why ? why : strerror(errno));
	exit(1);
}

/* The order and the names are those of bench.json. */
static void print(const char *emulator, const char *system, const char *row, bool tags,
		  const struct result *result)
{
	printf("{\"emulator\": \"%s\", \"system\": \"%s\", \"row\": \"%s\", \"tags\": %s, "
	       "\"instructions\": %llu, \"exits\": %.2f}\n",
	       emulator, system, row, tags ? "true" : "false",
	       (unsigned long long)result->instructions, result->exits);
}

static bool wanted(const struct row *row, char **names)
{
	const char *name = row->name;

	if (!*names)
		return !row->turns;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void check_names(char **names)
{
	for (; *names; names++) {
		size_t i = 0;

		if (!strcmp(*names, "none"))
			continue;
		while (i < row_count && strcmp(rows[i].name, *names))
			i++;
		if (i == row_count)
			die(*names, "no such row; see --list");
	}
}

static void measure_native(const char *emulator, char **names)
{
	struct result result;

	for (size_t i = 0; i < row_count; i++) {
		if (!rows[i].native || !wanted(&rows[i], names))
			continue;
		row_measure_native(&rows[i], &result);
		print(emulator, "native", rows[i].name, true, &result);
	}
}

static void measure(const struct hypervisor *h, const char *emulator, const struct ways *ways,
		    char **names)
{
	struct result result;
	char system[40];

	h->check(ways);
	snprintf(system, sizeof(system), "%s-%s", h->name, ways->shadow ? "shadow" : "nested");
	for (size_t i = 0; i < row_count; i++) {
		if (!wanted(&rows[i], names) || !row_measure(&rows[i], h, ways, &result))
			continue;
		print(emulator, system, rows[i].name, !ways->no_tags, &result);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "emulator", required_argument, NULL, 'e' }, { "shadow", no_argument, NULL, 's' },
		{ "no-tags", no_argument, NULL, 't' },	      { "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },	      { 0 },
	};
	static char buffer[1 << 16];
	const char *emulator = "here", *system;
	struct ways ways = { 0 };
	int option;

	/* Nothing goes out while something is measured. */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (option) {
		case 'e':
			emulator = optarg;
			break;
		case 's':
			ways.shadow = true;
			break;
		case 't':
			ways.no_tags = true;
			break;
		case 'l':
			for (size_t i = 0; i < row_count; i++)
				puts(rows[i].name);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	if (optind == argc) {
		fputs(usage, stderr);
		return 1;
	}
	system = argv[optind];
	argv += optind + 1;
	check_names(argv);
	if (!strcmp(system, "native"))
		measure_native(emulator, argv);
	else if (!strcmp(system, "kvm") || !strcmp(system, "fermata"))
		measure(*system == 'k' ? &kvm : &fermata, emulator, &ways, argv);
	else
		die(system, "not a system; native, kvm or fermata");
	return 0;
}
