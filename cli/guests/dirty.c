/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata dirty: which of its memory a running guest writes to. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "guests.h"
#include "cli/text/say.h"

static int read_words(int argc, char **argv, struct guest_words *words)
{
	int status = guest_words_read(argc, argv, 2, words);

	if (!status && strcmp(words->what, "show") && strcmp(words->what, "on") &&
	    strcmp(words->what, "off"))
		return fail("'%s': give on, off or show; see `fermata dirty --help`", words->what);
	return status;
}

static void print_ranges(struct json_object *dirty, uint64_t page)
{
	struct json_object *list, *range;

	if (!json_object_object_get_ex(dirty, "ranges", &list) || !json_object_array_length(list))
		return;
	printf("\n%-18s %-18s %10s\n", "FROM", "TO", "PAGES");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		uint64_t gpa, pages;

		range = json_object_array_get_idx(list, i);
		gpa = guest_number(range, "gpa");
		pages = guest_number(range, "pages");
		printf("%#-18" PRIx64 " %#-18" PRIx64 " %10" PRIu64 "\n", gpa,
		       gpa + pages * page - 1, pages);
	}
}

static void print_dirty(struct json_object *dirty)
{
	uint64_t pages = guest_number(dirty, "pages"), page = guest_number(dirty, "page_size");
	uint64_t left_out = guest_number(dirty, "left_out"), all = guest_number(dirty, "memory");
	double seconds = (double)guest_number(dirty, "ns") / 1e9;
	double mib = (double)(pages * page) / 1048576;

	printf("written        %" PRIu64 " of %" PRIu64 " pages, %.1f MiB\n", pages,
	       page ? all / page : 0, mib);
	printf("since          %.3f s ago\n", seconds);
	if (seconds > 0)
		printf("per second     %.0f pages, %.1f MiB\n", (double)pages / seconds,
		       mib / seconds);
	print_ranges(dirty, page);
	if (left_out)
		printf("... and %" PRIu64 " ranges more\n", left_out);
}

int command_dirty(int argc, char **argv)
{
	struct guest_words words;
	struct json_object *dirty;
	int status;

	status = read_words(argc, argv, &words);
	if (status)
		return status < 0 ? STATUS_OK : status;
	dirty = guest_words_call("dirty", &words);
	if (!dirty)
		return STATUS_FAILED;
	if (words.json)
		guest_print_json(dirty);
	else if (!strcmp(words.what, "show"))
		print_dirty(dirty);
	json_object_put(dirty);
	return STATUS_OK;
}
