/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run: what can be checked is checked here, before anything starts. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "help.h"
#include "host.h"
#include "name.h"
#include "parse.h"
#include "say.h"

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

/* True: in the box. On failure *status is not STATUS_OK. */
static bool choose_place(enum place wanted, int *status)
{
	struct host host;

	*status = STATUS_OK;
	if (wanted == PLACE_BOX)
		return true;
	host_probe(&host);
	if (!host.obstacles)
		return false;
	if (wanted == PLACE_HERE)
		*status = fail("%s; %s", host.obstacle[0].what, host.obstacle[0].remedy);
	else
		say("%s; running in the box", host.obstacle[0].what);
	return true;
}

int command_run(int argc, char **argv)
{
	struct machine_config config = { .vcpus = 1 };
	struct run_options options;
	struct name_claim claim;
	char problem[512];
	int status;
	bool box;

	if (!options_parse(&options, argc, argv))
		return STATUS_FAILED;
	if (options.help)
		return help_print("run");
	config.name = options.name;
	config.kernel = options.kernel;
	config.initrd = options.initrd;
	config.cmdline = options.append;
	config.memory = options.memory;
	config.debug_exit = options.debug_exit;

	if (!memory_size_valid(options.memory, host_memory_available(), problem, sizeof(problem)))
		return fail("%s", problem);
	if (name_claim(&claim, options.name, problem, sizeof(problem)))
		return fail("%s", problem);
	box = choose_place(options.place, &status);
	/* Here, making the machine checks the same; a box is not started for what cannot work in it. */
	if (status == STATUS_OK && box && machine_check(&config, problem, sizeof(problem)))
		status = fail("%s", problem);
	if (status == STATUS_OK)
		status = box ? run_in_box(&options) : run_here(&options, &config);
	name_release(&claim);
	return status;
}
