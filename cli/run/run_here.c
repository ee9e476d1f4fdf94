/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run on this computer: a machine, and the console between it and the terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/guests/events.h"
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

/* In a box the command finds its kind in the environment (box/README.md). */
static const char *where(void)
{
	static char text[80];
	const char *kind = getenv("BOX_KIND");

	if (!kind || !*kind)
		return "here";
	snprintf(text, sizeof(text), "box %s", kind);
	return text;
}

struct control *control_of_machine(struct machine *machine, const struct run_options *options)
{
	const struct control_guest guest = {
		.name = options->name,
		.where = where(),
		.vcpus = config_of_options(options).vcpus,
		.memory = options->memory,
		.machine = machine,
	};
	struct control *control;
	char problem[512];

	control = control_start(&guest, problem, sizeof(problem));
	if (!control)
		say("%s", problem);
	return control;
}

int status_of_machine(struct machine *machine, const struct run_options *options)
{
	struct machine_end end = { 0 };

	machine_ended(machine, &end);
	switch (end.kind) {
	case MACHINE_POWEROFF:
		return STATUS_OK;
	case MACHINE_RESET:
		say("the guest '%s' asked for a reset; run it again to start it anew",
		    options->name);
		return STATUS_OK;
	case MACHINE_DEBUG_EXIT:
		return (int)((end.value << 1 | 1) & 0xff);
	case MACHINE_DIED:
		say("the guest '%s' died: %s", options->name, end.why);
		if (end.report)
			say_block(end.report);
		return STATUS_DIED;
	default:
		return STATUS_OK;
	}
}

int run_here(const struct run_options *options, const struct machine_config *config)
{
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

	machine = machine_create(config, problem, sizeof(problem));
	if (!machine)
		return fail("%s", problem);
	link.opaque = machine;
	link.event_fd[0] = machine_event_fd(machine);
	if (console_open(&console, &link, options->keys)) {
		machine_destroy(machine);
		return fail("cannot watch for signals: %s; raise `ulimit -n`", strerror(errno));
	}
	control = rules_apply(machine, options) ? control_of_machine(machine, options) : NULL;
	if (!control) {
		console_close(&console);
		machine_destroy(machine);
		return STATUS_FAILED;
	}
	if (console.escape.enabled)
		terminal_raw();
	/* Only the box passes keys through a pipe: the terminal at its other end is raw. */
	say_carriage_return(console.escape.enabled && !isatty(STDIN_FILENO));
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
			status = status_of_machine(machine, options);
		else
			status = status_of_console(&console, result);
		if (options->stats)
			stats_print(machine);
	}
	control_stop(control);
	console_close(&console);
	machine_destroy(machine);
	return status;
}
