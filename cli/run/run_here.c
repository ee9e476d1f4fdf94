/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run on this computer: a machine, and the console between it and the terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text/say.h"
#include "cli/text/terminal.h"
#include "guest.h"
#include "rules.h"
#include "run.h"
#include "stats.h"

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

/* From the machine's start to its end. */
static int converse(const struct run_options *options, struct machine *machine,
		    struct control *control, struct console *console)
{
	enum console_result result;
	char problem[512];
	int status;

	console_take_terminal(console);
	if (machine_start(machine, problem, sizeof(problem))) {
		terminal_restore();
		control_stop(control);
		return fail("%s", problem);
	}
	result = console_pump(console, -1);
	terminal_restore();
	machine_stop(machine);
	rules_end(machine, options);
	control_stop(control);
	status = result == CONSOLE_ENDED ? guest_status(machine, options) :
					   console_status(console, result);
	if (options->stats)
		stats_print(machine);
	return status;
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
	struct control *control;
	struct console console;
	int status = STATUS_FAILED;
	char problem[512];

	link.opaque = machine_create(&config, problem, sizeof(problem));
	if (!link.opaque)
		return fail("%s", problem);
	link.event_fd[0] = machine_event_fd(link.opaque);
	if (console_open(&console, &link, options->keys)) {
		control = guest_control(link.opaque, options);
		if (control)
			status = converse(options, link.opaque, control, &console);
		console_close(&console);
	}
	machine_destroy(link.opaque);
	return status;
}
