/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run: what can be checked is checked here, before anything starts. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli/guests/events.h"
#include "cli/text/help.h"
#include "host.h"
#include "cli/guests/name.h"
#include "cli/text/parse.h"
#include "cli/text/say.h"

int status_of_console(const struct console *console, enum console_result result)
{
	switch (result) {
	case CONSOLE_SIGNAL:
		return STATUS_SIGNAL + console->signal;
	case CONSOLE_CLOSED:
		return STATUS_SIGNAL + SIGPIPE;
	case CONSOLE_ERROR:
		return fail("cannot write to standard output: %s; the guest was ended",
			    strerror(errno));
	default:
		return STATUS_OK;
	}
}

struct machine_config config_of_options(const struct run_options *options)
{
	return (struct machine_config){
		.kernel = options->kernel,
		.initrd = options->initrd,
		.cmdline = options->append,
		.memory = options->memory,
		.vcpus = 1,
		.clock = options->clock,
		.kvmclock = options->kvmclock,
		.debug_exit = options->debug_exit,
		.no_tags = options->no_tags,
		.vm = options->vm,
	};
}

/* What speaks against running here: the box, or not at all, whatever the user has allowed. */
static int run_elsewhere(const struct run_options *options, const struct machine_config *config,
			 const struct host_obstacle *obstacle)
{
	char problem[512];

	if (options->place == PLACE_HERE)
		return fail("%s; %s", obstacle->what, obstacle->remedy);
	/* A box is not started for what cannot work in it. */
	if (machine_check(config, problem, sizeof(problem)))
		return fail("%s", problem);
	if (options->place == PLACE_AUTO)
		say("%s; running in the box", obstacle->what);
	return run_in_box(options);
}

int command_run(int argc, char **argv)
{
	struct machine_config config;
	struct run_options options;
	struct log_thread *log;
	struct name_claim claim;
	struct host host;
	char problem[512];
	bool failed;
	int status;

	if (!options_parse(&options, argc, argv))
		return STATUS_FAILED;
	if (options.help)
		return help_print("run");
	if (options.guests)
		return run_many(&options);
	config = config_of_options(&options);

	if (!memory_size_valid(options.memory, host_memory_available(), problem, sizeof(problem)))
		return fail("%s", problem);
	if (name_claim(&claim, options.name, problem, sizeof(problem)))
		return fail("%s", problem);
	log = log_start(&options, &failed);
	if (failed) {
		name_release(&claim);
		return STATUS_FAILED;
	}
	if (options.place != PLACE_BOX)
		host_probe(&host);
	if (options.place == PLACE_BOX || host.obstacles)
		status = run_elsewhere(&options, &config, &host.obstacle[0]);
	else
		status = run_here(&options, &config);
	log_stop(log);
	name_release(&claim);
	return status;
}
