/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The fermata command: the list of its verbs. */
#include <stdio.h>
#include <string.h>

#include "cli/caps/caps.h"
#include "cli/guests/guests.h"
#include "cli/run/run.h"
#include "cli/text/completion.h"
#include "cli/text/say.h"
#include "cli/text/terminal.h"
#include "uapi/fermata.h"

static int run_help(const struct command *command, char **argv);

static const struct command command_help_itself = {
	.name = "help",
	.what = "show this text, or a verb's",
	.run = run_help,
};

static const struct command *const verbs[] = {
	&command_run,	 &command_ps,	 &command_stat,	 &command_pause,    &command_resume,
	&command_quit,	 &command_clock, &command_dirty, &command_on,	    &command_off,
	&command_events, &command_log,	 &command_caps,	 &command_selftest, &command_help_itself,
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct command *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(name, verbs[i]->name))
			return verbs[i];
	return NULL;
}

static void print_verbs(void)
{
	printf("fermata: runs guest operating systems on the processor's virtualization\n"
	       "\n"
	       "usage: fermata VERB [OPTION...]\n"
	       "       fermata --version\n"
	       "\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-8s %s\n", verbs[i]->name, verbs[i]->what);
	printf("\n"
	       "Guests run on AMD-V or VT-x through the module fermata.ko (/dev/fermata). On a computer where\n"
	       "that is not possible they run in \"the box\": an emulated computer with AMD-V or VT-x, slower,\n"
	       "but the same in every other way. `fermata caps` says which of the two it will be, and why.\n"
	       "\n"
	       "A first guest, from the files of a Debian system, and what can be done to it meanwhile:\n"
	       "  fermata run --name web --kernel /boot/vmlinuz-$(uname -r) --initrd /boot/initrd.img-$(uname -r)\n"
	       "  fermata stat web                                its exits, live\n"
	       "  fermata on web 'syscall nr=59 do log'           log each program that it starts from now on\n"
	       "  fermata clock web rate 60                       an hour of it in a minute\n"
	       "\n"
	       "exit status: 0 done; 1 not done, and one line on standard error says what, why and what to do.\n"
	       "Only `run` has more.\n"
	       "\n"
	       "More: `fermata VERB --help`, `man fermata`.\n");
}

static int run_help(const struct command *command, char **argv)
{
	const struct command *about = argv[1] ? find_verb(argv[1]) : command;

	/* For the package, which makes bash's completion of it. */
	if (argv[1] && !strcmp(argv[1], "--completion") && !argv[2]) {
		completion_print(verbs, VERBS);
		return STATUS_OK;
	}
	if (argv[1] && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		about = command;
	if (argv[1] && argv[2])
		return fail("help takes one verb; try `fermata help %s`", argv[1]);
	if (!about)
		return fail("no verb '%s'; see `fermata help`", argv[1]);
	if (about == command)
		print_verbs();
	else
		command_help(about);
	return STATUS_OK;
}

static int run_verb(char **argv)
{
	const struct command *command = find_verb(argv[0]);

	if (command)
		return command->run(command, argv);
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))
		print_verbs();
	else if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-V"))
		printf("fermata " FERMATA_VERSION " (module interface %d)\n", FERMATA_ABI_VERSION);
	else
		return fail("no %s '%s'; see `fermata help`", argv[0][0] == '-' ? "option" : "verb",
			    argv[0]);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	int status;

	terminal_standard_files();
	if (argc < 2)
		return fail("no verb; try `fermata help`");
	status = run_verb(argv + 1);
	if (fflush(stdout) && !status)
		return fail("cannot write to standard output; is its file system full?");
	return status;
}
