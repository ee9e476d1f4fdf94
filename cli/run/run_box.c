/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run in the box: the same command, in an emulated machine, with the user's own files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "box/box.h"
#include "carry.h"
#include "cli/text/parse.h"
#include "cli/text/say.h"
#include "cli/text/terminal.h"
#include "control/folder.h"
#include "control/porter.h"
#include "run.h"

#define BOX_END_MS 3000 /* what the command inside gets for ending its guest itself */

#define PROGRESS_MS 1000

struct box_link {
	struct box *box;
	bool progress; /* the terminal's line shows it */
	bool words;    /* what comes is the command's own words and no guest's console */
};

/* While the box starts, the user sees that it does. */
static void show_progress(struct box_link *l, int seconds)
{
	fprintf(stderr, "\rfermata: the box starts, %d s", seconds);
	l->progress = true;
}

static void clear_progress(struct box_link *l)
{
	if (l->progress)
		fputs("\r\033[K", stderr);
	l->progress = false;
}

static enum console_result pump(struct console *console, struct box_link *l)
{
	enum console_result result = CONSOLE_TIMEOUT;
	bool shown = isatty(2);

	for (int seconds = 1; shown && result == CONSOLE_TIMEOUT; seconds++) {
		result = console_pump(console, PROGRESS_MS);
		shown = !box_booted(l->box);
		if (shown && result == CONSOLE_TIMEOUT)
			show_progress(l, seconds);
	}
	clear_progress(l);
	return result == CONSOLE_TIMEOUT ? console_pump(console, -1) : result;
}

/* A guest may give its terminal orders; a box in whose words nobody should find any may not. */
static void make_plain(char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = bytes[i];

		if ((c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t')
			bytes[i] = '?';
	}
}

static ssize_t read_box(void *opaque, void *bytes, size_t n)
{
	struct box_link *l = opaque;
	ssize_t got;
	int status;

	/* Takes in what the box has to say beside the output. */
	box_wait(l->box, 0, &status);
	got = box_read(l->box, bytes, n);
	if (got > 0) {
		clear_progress(l);
		if (l->words)
			make_plain(bytes, (size_t)got);
		return got;
	}
	return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static size_t write_box(void *opaque, const void *bytes, size_t n)
{
	struct box_link *l = opaque;
	ssize_t sent = write(box_input(l->box), bytes, n);

	if (sent >= 0)
		return (size_t)sent;
	/* A box that has gone takes everything; its end is read from its output. */
	return errno == EAGAIN || errno == EINTR ? 0 : n;
}

static void end_box_input(void *opaque)
{
	struct box_link *l = opaque;

	box_close_input(l->box);
}

/* A line; behind it there may be the end of the box's log. */
static void say_error(const char *error)
{
	int line = (int)strcspn(error, "\n");

	say("%.*s", line, error);
	if (!error[line])
		return;
	say_block(error + line + 1);
	say_block("\n");
}

static int status_of_box(struct box *box)
{
	bool booted = box_booted(box);
	int status;

	if (!box_wait(box, BOX_END_MS, &status)) {
		box_kill(box);
		return booted ? STATUS_DIED : fail("the box does not end; its log may say why");
	}
	if (status >= 0)
		return status;
	say_error(box_error(box));
	return booted ? STATUS_DIED : STATUS_FAILED;
}

/* The user wants the end: the command inside may still restore, count and report. */
static void end_guest(struct console *console, struct box *box)
{
	if (console->link->keys_beyond && box_booted(box)) {
		console_end_beyond(console);
		console_pump(console, BOX_END_MS);
	}
	box_kill(box);
}

/* A client of the guest inside. */
static bool relay_client(void *opaque, const char *name, int fd)
{
	char path[sizeof(FOLDER_OF_ROOT) + NAME_MAX_LENGTH + 1];

	snprintf(path, sizeof(path), FOLDER_OF_ROOT "/%s", name);
	return box_relay(opaque, fd, path) == 0;
}

/* NULL with a line said. */
static struct porter *open_doors(struct box *box, const char *const *names, unsigned count)
{
	char problem[512];
	struct porter *porter;

	porter = porter_start(names, count, relay_client, box, problem, sizeof(problem));
	if (!porter)
		say("%s", problem);
	return porter;
}

/*
 * Runs the request's command in a box, on the user's terminal. names: of the guests that it has, whose control
 * channels open here; 0 of them: it has no console.
 */
static int run_command(const struct box_request *request, enum console_keys keys,
		       const char *const *names, unsigned count)
{
	struct box_link l = { .words = !count };
	struct console_link link = {
		.opaque = &l,
		.read = read_box,
		.write = write_box,
		.end_of_input = end_box_input,
		.keys_beyond = console_keys(keys),
	};
	struct porter *porter = NULL;
	enum console_result result;
	int status = STATUS_FAILED;
	struct console console;
	char problem[512];
	struct box *box;

	/* Signals are blocked first: one that comes while the box starts must find us listening. */
	if (!console_open(&console, &link, keys))
		return STATUS_FAILED;
	box = box_start(request, problem, sizeof(problem));
	if (!box) {
		say("%s", problem);
		goto close;
	}
	l.box = box;
	link.event_fd[0] = box_output(box);
	link.event_fd[1] = box_events(box);
	link.write_fd = box_input(box);
	if (count) {
		porter = open_doors(box, names, count);
		if (!porter)
			goto end;
	}
	if (console_keys(keys))
		terminal_raw();
	result = pump(&console, &l);
	if (result == CONSOLE_CLOSED || result == CONSOLE_ERROR)
		box_kill(box);
	else if (result != CONSOLE_ENDED)
		end_guest(&console, box);
	terminal_restore();
	status = result == CONSOLE_ENDED ? status_of_box(box) : console_status(&console, result);
	porter_stop(porter);
end:
	box_free(box);
close:
	console_close(&console);
	return status;
}

int run_in_box(const struct run_options *options, const struct run_options *guest, unsigned count)
{
	bool keys = console_keys(options->keys);
	const char *names[GUESTS_MAX];
	struct cargo cargo;
	int status;

	for (unsigned i = 0; i < count; i++)
		names[i] = guest[i].name;
	if (cargo_pack(&cargo, options, guest, count, keys)) {
		const struct box_request request = {
			.kind = options->place.box,
			.argv = cargo.argv,
			.files = cargo.files,
			.file_count = cargo.file_count,
			.guest_memory = cargo.memory,
		};

		status = run_command(&request, options->keys, names, count);
	} else {
		status = fail("no memory for the command in the box; free some");
	}
	cargo_free(&cargo);
	return status;
}

int caps_in_box(const char *kind, bool json)
{
	char *argv[] = { "fermata", "caps", json ? "--json" : NULL, NULL };
	const struct box_request request = { .kind = kind, .argv = argv };

	return run_command(&request, KEYS_NONE, NULL, 0);
}

#define GUESTS_MEMORY (512ull << 20) /* more than any test guest has */

int selftest_in_box(const char *kind, const char *folder, char *const *names, size_t count,
		    const char *const *word, bool json)
{
	char *argv[6 + OPTION_WORDS] = { "fermata", "selftest", "--guests", "/in" };
	struct box_file *files = calloc(count + 1, sizeof(*files));
	const struct box_request request = {
		.kind = kind,
		.argv = argv,
		.files = files,
		.file_count = count + 1,
		.guest_memory = GUESTS_MEMORY,
	};
	char **paths = calloc(count + 1, sizeof(*paths));
	int words = 4, status = STATUS_FAILED;
	bool good = files && paths;

	if (json)
		argv[words++] = "--json";
	for (unsigned i = 0; i < OPTION_WORDS && word[i]; i++)
		argv[words++] = (char *)word[i];
	for (size_t i = 0; good && i <= count; i++) {
		const char *name = i < count ? names[i] : "runner";

		good = asprintf(&paths[i], "%s/%s", folder, name) > 0;
		if (good)
			files[i] = (struct box_file){ .host_path = paths[i], .name = name };
		else
			paths[i] = NULL;
	}
	if (good)
		status = run_command(&request, KEYS_NONE, NULL, 0);
	else
		say("no memory for the command in the box; free some");
	for (size_t i = 0; paths && i <= count; i++)
		free(paths[i]);
	free(paths);
	free(files);
	return status;
}
