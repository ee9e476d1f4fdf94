/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run: what can be checked is checked here, before anything starts. */
#include "run.h"

#include <inttypes.h>

#include "cli/guests/name.h"
#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "host.h"
#include "rules.h"

static bool memory_suffices(const struct run_options *guest, unsigned count)
{
	uint64_t available = host_memory_available(), sum = 0;
	char problem[512], size[32];

	for (unsigned i = 0; i < count; i++) {
		if (!memory_size_valid(guest[i].memory, available, problem, sizeof(problem))) {
			say("%s", problem);
			return false;
		}
		sum += guest[i].memory;
	}
	if (sum > available)
		say("--memory: together the guests want %s, and this host has only %" PRIu64
		    "M free; give less, or free some memory",
		    format_size(sum, size, sizeof(size)), available >> 20);
	return sum <= available;
}

/* This computer, the box, or neither, whatever the user has allowed. */
static int run_somewhere(const struct run_options *options, const struct run_options *guest,
			 unsigned count)
{
	struct host host = { .obstacles = 0 };
	char problem[512];

	if (options->place.where != PLACE_BOX) {
		host_probe(&host);
		if (!host.obstacles)
			return options->guests ? run_many(options, guest) : run_here(guest);
		if (options->place.where == PLACE_HERE)
			return fail("%s; %s", host.obstacle[0].what, host.obstacle[0].remedy);
	}
	/* A box is not started for what cannot work in it. */
	for (unsigned i = 0; i < count; i++) {
		struct machine_config config = options_machine(&guest[i]);

		if (machine_check(&config, problem, sizeof(problem)))
			return fail("%s", problem);
	}
	if (options->place.where == PLACE_AUTO)
		say("%s; running in the box", host.obstacle[0].what);
	return run_in_box(options, guest, count);
}

static int run_guests(const struct run_options *options, const struct run_options *guest,
		      unsigned count)
{
	struct name_claim claim[GUESTS_MAX];
	struct log_thread *log = NULL;
	bool failed = !memory_suffices(guest, count);
	int status = STATUS_FAILED;
	unsigned claimed = 0;
	char problem[512];

	while (claimed < count && !failed) {
		failed = name_claim(&claim[claimed], guest[claimed].name, problem, sizeof(problem));
		if (failed)
			say("%s", problem);
		else
			claimed++;
	}
	/* The log of one of several stays in its channel. */
	if (!failed && !options->guests)
		log = log_start(guest, &failed);
	if (!failed)
		status = run_somewhere(options, guest, count);
	log_stop(log);
	while (claimed)
		name_release(&claim[--claimed]);
	return status;
}

static int run(const struct command *command, char **argv)
{
	struct run_options options, guest[GUESTS_MAX];
	int status = options_parse(&options, command, argv);
	unsigned count;

	if (status != OPTIONS_READ)
		return status;
	count = options_guests(&options, guest);
	status = count ? run_guests(&options, guest, count) : STATUS_FAILED;
	while (count)
		options_free(&guest[--count]);
	options_free(&options);
	return status;
}

const struct command command_run = {
	.name = "run",
	.what = "run a guest with its serial console on this terminal",
	.run = run,
	.usage = "--kernel FILE [OPTION...]\n"
		 "[OPTION...] --guest 'OPTION...' --guest 'OPTION...' ...",
	.options = run_rows,
	.about =
		"keys:  Ctrl-A x  end the guest          Ctrl-A d       end of the guest's input\n"
		"       Ctrl-A h  help                   Ctrl-A Ctrl-A  send one Ctrl-A to the guest\n"
		"\n"
		"exit status:\n"
		"  0    the guest powered off, or asked for a reset, or you ended it with Ctrl-A x\n"
		"  1    it could not start; one line says what, why, and what to do\n"
		"  2    it died; a report on standard error says how\n"
		"  128+N  signal N ended fermata (130: Ctrl-C, 141: standard output was closed)\n"
		"  odd  with --debug-exit: what the guest said, (V << 1) | 1\n"
		"  With several guests the worst of theirs: 2 if one died, else the largest.\n"
		"\n"
		"examples:\n"
		"  fermata run --kernel vmlinuz --initrd initrd.gz --append \"console=ttyS0 quiet\"\n"
		"  fermata run --kernel vmlinuz --initrd initrd.gz --memory 1G --stats\n"
		"  fermata run --kernel vmlinuz --guest '--name a --initrd a.gz' --guest '--name b'\n"
		"  echo 'uname -a; poweroff -f' | fermata run --kernel vmlinuz --initrd initrd.gz --box amd\n"
		"  fermata run --kernel vmlinuz --initrd initrd.gz --on 'rdmsr do log' --log msrs.txt\n"
		"  fermata run --kernel vmlinuz --initrd initrd.gz --clock rate=60,date=2030-01-01\n",
};
