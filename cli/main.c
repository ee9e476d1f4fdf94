/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdio.h>
#include <string.h>

#include "box/box.h"
#include "commands.h"
#include "cli/text/help.h"
#include "cli/text/say.h"
#include "cli/text/terminal.h"

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

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "run", command_run },	      { "caps", command_caps },	  { "ps", command_ps },
	{ "stat", command_stat },     { "pause", command_pause }, { "resume", command_resume },
	{ "quit", command_quit },     { "on", command_on },	  { "off", command_off },
	{ "events", command_events }, { "log", command_log },	  { "clock", command_clock },
	{ "dirty", command_dirty },   { "help", help },
};

static int run_verb(int argc, char **argv)
{
	const char *verb = argv[0];

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verb, verbs[i].name))
			return verbs[i].run(argc, argv);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h"))
		return help_print(NULL);
	if (!strcmp(verb, "--version") || !strcmp(verb, "-V")) {
		version_print();
		return STATUS_OK;
	}
	return fail("no %s '%s'; see `fermata help`", verb[0] == '-' ? "option" : "verb", verb);
}

int main(int argc, char **argv)
{
	int status;

	terminal_standard_files();
	if (argc < 2)
		return fail("no verb; try `fermata help`");
	status = run_verb(argc - 1, argv + 1);
	if (fflush(stdout) && !status)
		return fail("cannot write to standard output; is its file system full?");
	return status;
}
