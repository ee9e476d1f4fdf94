/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run on this computer: a machine, and the console between it and the terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "rules.h"
#include "run.h"
#include "cli/text/say.h"
#include "stats.h"
#include "cli/text/terminal.h"

static void woken(void *opaque)
{
	struct machine_end end;

	machine_event_take(opaque);
	if (machine_take_stop(opaque, &end))
		rules_say_stop(&end);
}

static ssize_t read_console(void *opaque, void *bytes, size_t n)
{
	/* Asked first: what the guest said before it ended is then all there. */
	bool ended = machine_ended(opaque, NULL);
	size_t got = machine_console_read(opaque, bytes, n);

	return got || !ended ? (ssize_t)got : -1;
}

static size_t write_console(void *opaque, const void *bytes, size_t n)
{
	return machine_console_write(opaque, bytes, n);
}

static void end_console(void *opaque)
{
	machine_console_end(opaque);
}

int run_here(const struct run_options *options)
{
	const struct machine_config config = options_machine(options);
	struct console_link link = {
		.event_fd = { -1, -1 },
		.write_fd = -1,
		.woken = woken,
		.read = read_console,
		.write = write_console,
		.end_of_input = end_console,
	};
	enum console_result result = CONSOLE_ENDED;
	struct machine *machine;
	struct control *control;
	struct console console;
	char problem[512];
	int status;

	machine = machine_create(&config, problem, sizeof(problem));
	if (!machine)
		return fail("%s", problem);
	link.opaque = machine;
	link.event_fd[0] = machine_event_fd(machine);
	if (!console_open(&console, &link, console_keys(options->keys))) {
		machine_destroy(machine);
		return STATUS_FAILED;
	}
	control = guest_control(machine, options);
	if (!control) {
		console_close(&console);
		machine_destroy(machine);
		return STATUS_FAILED;
	}
	console_take_terminal(&console);
	if (machine_start(machine, problem, sizeof(problem))) {
		terminal_restore();
		status = fail("%s", problem);
	} else {
		result = console_pump(&console, -1);
		terminal_restore();
		machine_stop(machine);
		rules_end(machine, options);
		control_stop(control);
		control = NULL;
		if (result == CONSOLE_ENDED)
			status = guest_status(machine, options);
		else
			status = console_status(&console, result);
		if (options->stats)
			stats_print(machine);
	}
	control_stop(control);
	console_close(&console);
	machine_destroy(machine);
	return status;
}
