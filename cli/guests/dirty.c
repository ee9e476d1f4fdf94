/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata dirty: which of its memory a running guest writes to. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/text/say.h"
#include "guests.h"

static void print_ranges(struct json_object *dirty, uint64_t page)
{
	struct json_object *list = json_list(dirty, "ranges"), *range;

	if (!json_count(list))
		return;
	printf("\n%-18s %-18s %10s\n", "FROM", "TO", "PAGES");
	for (size_t i = 0; i < json_count(list); i++) {
		uint64_t gpa, pages;

		range = json_object_array_get_idx(list, i);
		gpa = json_number(range, "gpa");
		pages = json_number(range, "pages");
		printf("%#-18" PRIx64 " %#-18" PRIx64 " %10" PRIu64 "\n", gpa,
		       gpa + pages * page - 1, pages);
	}
}

static void print_dirty(struct json_object *dirty)
{
	uint64_t pages = json_number(dirty, "pages"), page = json_number(dirty, "page_size");
	uint64_t left_out = json_number(dirty, "left_out"), all = json_number(dirty, "memory");
	double seconds = (double)json_number(dirty, "ns") / 1e9;
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

static int run(const struct command *command, char **argv)
{
	struct guest_request request = { 0 };
	int status = guest_read(command, argv, &request);
	bool show;

	if (status != OPTIONS_READ)
		return status;
	request.what = request.what ?: "show";
	show = !strcmp(request.what, "show");
	if (!show && strcmp(request.what, "on") && strcmp(request.what, "off"))
		return fail("dirty %s: not known; give on, off or show", request.what);
	return guest_do(&request, "dirty", request.json ? json_print : show ? print_dirty : NULL);
}

static const struct option_row options[] = {
	{ "json", NULL, option_flag, GUEST_MEMBER(json),
	  .help = "for programs: the answer as one JSON object" },
	{ .name = NULL },
};

const struct command command_dirty = {
	.name = "dirty",
	.what = "show which memory a running guest writes to",
	.run = run,
	.usage = "NAME on|off\n"
		 "NAME [show] [--json]",
	.options = options,
	.words = 2,
	.about =
		"  on      log the guest's writes from now on\n"
		"  show    what the guest has written to since the last show, or since `on`: how many pages of 4 KiB,\n"
		"          how many per second, and where, by guest-physical address (the default)\n"
		"  off     stop logging\n"
		"\n"
		"While the log is on, the first write to a page after each show costs the guest an exit, and its\n"
		"memory is mapped in pages of 4 KiB.\n"
		"\n"
		"exit status: 0 done; 1 there is no such guest, no log, or a word is wrong\n"
		"\n"
		"examples:\n"
		"  fermata dirty web on\n"
		"  fermata dirty web; sleep 10; fermata dirty web\n"
		"  fermata dirty web --json\n",
};
