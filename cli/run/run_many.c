/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * fermata run with several guests: each a machine of its own in this process. Their consoles share
 * standard output line by line; standard input is the first one's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "cli/text/terminal.h"
#include "guest.h"
#include "run.h"
#include "stats.h"

#define LINE_ROOM 1024u /* a longer line is told in pieces */

struct guest {
	const struct run_options *options;
	struct machine *machine; /* NULL: it has ended */
	struct control *control;
	size_t length;
	char line[LINE_ROOM];
};

struct many {
	struct guest guest[GUESTS_MAX];
	unsigned count, turn;
	int epoll_fd; /* of all machines' events */
	int status;
	/* "[name] line" on its way to the user */
	size_t piece_start, piece_length;
	char piece[NAME_MAX_LENGTH + LINE_ROOM + 8];
};

/* A guest that died counts most, then what is larger. */
static int worse(int a, int b)
{
	if (a == STATUS_DIED || b == STATUS_DIED)
		return STATUS_DIED;
	return a > b ? a : b;
}

/* The machine is told to stop, if it has not ended; its numbers are printed, its memory is freed. */
static void finish(struct guest *guest)
{
	machine_stop(guest->machine);
	control_stop(guest->control);
	guest->control = NULL;
	if (guest->options->stats) {
		say("exits of the guest '%s':", guest->options->name);
		stats_print(guest->machine);
	}
	machine_destroy(guest->machine);
	guest->machine = NULL;
}

static void tell_end(struct many *many, struct guest *guest)
{
	struct machine_end end = { 0 };
	int status = guest_status(guest->machine, guest->options);

	machine_ended(guest->machine, &end);
	if (end.kind == MACHINE_POWEROFF)
		say("the guest '%s' powered off", guest->options->name);
	else if (end.kind == MACHINE_DEBUG_EXIT)
		say("the guest '%s' ended itself with status %d", guest->options->name, status);
	many->status = worse(many->status, status);
	finish(guest);
}

/* ---- the console's link */

static void woken(void *opaque)
{
	struct many *many = opaque;

	for (unsigned i = 0; i < many->count; i++)
		if (many->guest[i].machine)
			machine_event_take(many->guest[i].machine);
}

static void make_piece(struct many *many, struct guest *guest, size_t length)
{
	bool whole = guest->line[length - 1] == '\n';

	many->piece_start = 0;
	many->piece_length =
		(size_t)snprintf(many->piece, sizeof(many->piece), "[%s] ", guest->options->name);
	memcpy(many->piece + many->piece_length, guest->line, length);
	many->piece_length += length;
	if (!whole) {
		memcpy(many->piece + many->piece_length, "\r\n", 2);
		many->piece_length += 2;
	}
	guest->length -= length;
	memmove(guest->line, guest->line + length, guest->length);
}

/* Whether the guest had a line to tell, or at its end what there is of one. */
static bool take_line(struct many *many, struct guest *guest)
{
	/* Asked first: what the guest said before it ended is then all there. */
	bool ended = guest->machine && machine_ended(guest->machine, NULL);
	const char *newline;
	size_t got = 1;

	if (!guest->machine)
		return false;
	while (got && guest->length < sizeof(guest->line)) {
		got = machine_console_read(guest->machine, guest->line + guest->length,
					   sizeof(guest->line) - guest->length);
		guest->length += got;
	}
	newline = memchr(guest->line, '\n', guest->length);
	if (newline)
		make_piece(many, guest, (size_t)(newline - guest->line) + 1);
	else if (guest->length && (ended || guest->length == sizeof(guest->line)))
		make_piece(many, guest, guest->length);
	else if (ended)
		tell_end(many, guest);
	return many->piece_length;
}

/* False: nobody has a line now. */
static bool next_piece(struct many *many)
{
	for (unsigned i = 0; i < many->count; i++) {
		many->turn = (many->turn + 1) % many->count;
		if (take_line(many, &many->guest[many->turn]))
			return true;
	}
	return false;
}

static bool all_ended(const struct many *many)
{
	for (unsigned i = 0; i < many->count; i++)
		if (many->guest[i].machine)
			return false;
	return true;
}

static ssize_t read_lines(void *opaque, void *bytes, size_t n)
{
	struct many *many = opaque;

	if (!many->piece_length && !next_piece(many))
		return all_ended(many) ? -1 : 0;
	if (n > many->piece_length)
		n = many->piece_length;
	memcpy(bytes, many->piece + many->piece_start, n);
	many->piece_start += n;
	many->piece_length -= n;
	return (ssize_t)n;
}

/* What is typed for a guest that has ended is lost, as on any terminal whose reader has gone. */
static size_t write_first(void *opaque, const void *bytes, size_t n)
{
	struct machine *first = ((struct many *)opaque)->guest[0].machine;

	return first ? machine_console_write(first, bytes, n) : n;
}

static void end_all(void *opaque)
{
	struct many *many = opaque;

	for (unsigned i = 0; i < many->count; i++)
		if (many->guest[i].machine)
			machine_console_end(many->guest[i].machine);
}

/* ---- the machines */

static bool create(struct many *many, char *problem, size_t size)
{
	for (unsigned i = 0; i < many->count; i++) {
		struct guest *guest = &many->guest[i];
		struct machine_config config = options_machine(guest->options);
		struct epoll_event event = { .events = EPOLLIN };

		guest->machine = machine_create(&config, problem, size);
		if (!guest->machine)
			return false;
		if (epoll_ctl(many->epoll_fd, EPOLL_CTL_ADD, machine_event_fd(guest->machine),
			      &event)) {
			snprintf(problem, size, "cannot watch the guest '%s': %s; free some memory",
				 guest->options->name, strerror(errno));
			return false;
		}
	}
	return true;
}

static bool open_controls(struct many *many)
{
	for (unsigned i = 0; i < many->count; i++) {
		struct guest *guest = &many->guest[i];

		guest->control = guest_control(guest->machine, guest->options);
		if (!guest->control)
			return false;
	}
	return true;
}

static bool start(struct many *many, char *problem, size_t size)
{
	for (unsigned i = 0; i < many->count; i++)
		if (machine_start(many->guest[i].machine, problem, size))
			return false;
	return true;
}

static int converse(struct many *many, struct console *console)
{
	enum console_result result;
	char problem[512];
	int status;

	if (!start(many, problem, sizeof(problem))) {
		terminal_restore();
		return fail("%s", problem);
	}
	result = console_pump(console, -1);
	terminal_restore();
	for (unsigned i = 0; i < many->count; i++) {
		if (many->guest[i].machine) {
			say("the guest '%s' was ended", many->guest[i].options->name);
			finish(&many->guest[i]);
		}
	}
	status = result == CONSOLE_ENDED ? STATUS_OK : console_status(console, result);
	/* What ended us all is what counts. */
	return status ? status : many->status;
}

static int run_machines(struct many *many, enum console_keys keys)
{
	struct console_link link = {
		.opaque = many,
		.event_fd = { many->epoll_fd, -1 },
		.write_fd = -1,
		.woken = woken,
		.read = read_lines,
		.write = write_first,
		.end_of_input = end_all,
	};
	struct console console;
	char problem[512];
	int status;

	if (!create(many, problem, sizeof(problem)))
		return fail("%s", problem);
	if (!console_open(&console, &link, keys))
		return STATUS_FAILED;
	if (!open_controls(many)) {
		console_close(&console);
		return STATUS_FAILED;
	}
	console_take_terminal(&console);
	status = converse(many, &console);
	console_close(&console);
	return status;
}

int run_many(const struct run_options *options, const struct run_options *guest)
{
	struct many *many = calloc(1, sizeof(*many));
	int status;

	if (!many)
		return fail("no memory for the guests' consoles; free some");
	many->count = options->guests;
	for (unsigned i = 0; i < many->count; i++)
		many->guest[i].options = &guest[i];
	many->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (many->epoll_fd < 0) {
		status = fail("cannot watch the guests: %s; raise `ulimit -n`", strerror(errno));
	} else {
		status = run_machines(many, options->keys);
		close(many->epoll_fd);
	}
	for (unsigned i = 0; i < many->count; i++) {
		control_stop(many->guest[i].control);
		machine_destroy(many->guest[i].machine);
	}
	free(many);
	return status;
}
