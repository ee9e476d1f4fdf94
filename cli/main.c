/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "box/box.h"
#include "commands.h"
#include "help.h"
#include "say.h"
#include "terminal.h"

bool parse_place(const char *text, enum place *place, const char **kind)
{
	char problem[1000];

	*kind = "amd";
	if (!strcmp(text, "auto"))
		*place = PLACE_AUTO;
	else if (!strcmp(text, "none"))
		*place = PLACE_HERE;
	else {
		*place = PLACE_BOX;
		*kind = text;
		if (box_kind(text, problem, sizeof(problem))) {
			say("--box %s: %s", text, problem);
			return false;
		}
	}
	return true;
}

static int help(int argc, char **argv)
{
	if (argc > 2)
		return fail("help takes one verb; try `fermata help %s`", argv[1]);
	if (help_print(argv[1]))
		return fail("no verb '%s'; see `fermata help`", argv[1]);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL;
	int status;

	terminal_standard_files();
	if (!verb)
		return fail("no verb; try `fermata help`");
	if (!strcmp(verb, "run"))
		status = command_run(argc - 1, argv + 1);
	else if (!strcmp(verb, "caps"))
		status = command_caps(argc - 1, argv + 1);
	else if (!strcmp(verb, "help"))
		status = help(argc - 1, argv + 1);
	else if (!strcmp(verb, "--help") || !strcmp(verb, "-h"))
		status = help_print(NULL);
	else if (!strcmp(verb, "--version") || !strcmp(verb, "-V"))
		version_print(), status = STATUS_OK;
	else
		return fail("no %s '%s'; see `fermata help`", verb[0] == '-' ? "option" : "verb",
			    verb);
	if (fflush(stdout) && !status)
		return fail("cannot write to standard output; is its file system full?");
	return status;
}
