/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata run in the box: the same command, in an emulated machine, with the user's own files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "box/box.h"
#include "control/folder.h"
#include "control/porter.h"
#include "cli/text/parse.h"
#include "run.h"
#include "cli/text/say.h"
#include "cli/text/terminal.h"
#include "cli/text/words.h"

#define BOX_END_MS 3000 /* what the command inside gets for ending its guest itself */

#define PROGRESS_MS 1000

struct box_link {
	struct box *box;
	bool ended;
	bool progress; /* the terminal's line shows it */
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

static ssize_t read_box(void *opaque, void *bytes, size_t n)
{
	struct box_link *l = opaque;
	ssize_t got;
	int status;

	/* Asked first: the command's status follows all of its output. */
	if (!l->ended)
		l->ended = box_wait(l->box, 0, &status);
	got = read(box_output(l->box), bytes, n);
	if (got > 0)
		clear_progress(l);
	if (got > 0)
		return got;
	return got < 0 && (errno == EAGAIN || errno == EINTR) && !l->ended ? 0 : -1;
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

/* The console's other side is `l`, whose box is still to be set. */
static void link_init(struct console_link *link, struct box_link *l)
{
	*link = (struct console_link){
		.opaque = l,
		.event_fd = { -1, -1 },
		.write_fd = -1,
		.read = read_box,
		.write = write_box,
		.end_of_input = end_box_input,
	};
}

static void link_box(struct console_link *link, struct box_link *l, struct box *box)
{
	l->box = box;
	l->ended = false;
	l->progress = false;
	link->event_fd[0] = box_output(box);
	link->event_fd[1] = box_events(box);
	link->write_fd = box_input(box);
}

/* Starts the box with what the command inside is told; `what` is the caller's. */
typedef struct box *starter(const struct run_options *options, const void *what, bool keys,
			    char *problem, size_t size);

/* The same, with the files where it finds them. */
static struct box *start(const struct run_options *options, const void *unused, bool keys,
			 char *problem, size_t size)
{
	struct box_file files[2] = {
		{ .host_path = options->kernel, .name = "kernel" },
		{ .host_path = options->initrd, .name = "initrd" },
	};
	char memory[32], name[80], clock[200], paging[16], debug[256], append[65536];
	char *argv[35 + 2 * FERMATA_MAX_RULES] = { "fermata", "run",	  "--box",
						   "none",    "--kernel", "/in/kernel" };
	struct box_request request = {
		.kind = options->box,
		.argv = argv,
		.files = files,
		.file_count = options->initrd ? 2 : 1,
		.guest_memory = options->memory,
	};
	unsigned argc = 6;

	snprintf(memory, sizeof(memory), "%" PRIu64, options->memory);
	snprintf(name, sizeof(name), "%s", options->name);
	/* machine_check() has seen that the kernel takes a command line of this length. */
	snprintf(append, sizeof(append), "%s", options->append);
	snprintf(paging, sizeof(paging), "%s", options->paging ?: "");
	snprintf(debug, sizeof(debug), "%s", options->debug ?: "");
	if (options->initrd) {
		argv[argc++] = "--initrd";
		argv[argc++] = "/in/initrd";
	}
	argv[argc++] = "--append";
	argv[argc++] = append;
	argv[argc++] = "--memory";
	argv[argc++] = memory;
	argv[argc++] = "--name";
	argv[argc++] = name;
	argv[argc++] = "--keys";
	argv[argc++] = keys ? "on" : "off";
	if (options->clock_words) {
		snprintf(clock, sizeof(clock), "%s", options->clock_words);
		argv[argc++] = "--clock";
		argv[argc++] = clock;
	}
	if (options->stats)
		argv[argc++] = "--stats";
	if (options->no_tags)
		argv[argc++] = "--no-asid";
	if (options->kvmclock)
		argv[argc++] = "--kvmclock";
	if (options->debug_exit)
		argv[argc++] = "--debug-exit";
	if (options->paging) {
		argv[argc++] = "--paging";
		argv[argc++] = paging;
	}
	if (options->debug) {
		argv[argc++] = "--debug";
		argv[argc++] = debug;
	}
	for (unsigned i = 0; i < options->rules; i++) {
		argv[argc++] = "--on";
		argv[argc++] = (char *)options->rule[i];
	}
	if (options->rules) {
		argv[argc++] = "--log";
		argv[argc++] = "channel";
	}
	argv[argc] = NULL;
	return box_start(&request, problem, size);
}

/* Files that several guests have in common go in once. */
struct cargo {
	struct box_file files[2 * GUESTS_MAX];
	char name[2 * GUESTS_MAX][16];
	size_t count;
};

/* What the file is called inside: its `path` has room for that. */
static void carry(struct cargo *cargo, const char *host_path, char *path, size_t size)
{
	size_t i = 0;

	while (i < cargo->count && strcmp(cargo->files[i].host_path, host_path))
		i++;
	if (i == cargo->count) {
		snprintf(cargo->name[i], sizeof(cargo->name[i]), "file-%zu", i + 1);
		cargo->files[i].host_path = host_path;
		cargo->files[i].name = cargo->name[i];
		cargo->count++;
	}
	snprintf(path, size, "/in/%s", cargo->files[i].name);
}

/* The text of one --guest inside; NULL: no memory. */
static char *guest_words(const struct run_options *guest, struct cargo *cargo)
{
	char memory[32], name[80], kernel[32], initrd[32], clock[200], paging[16], debug[128],
		*append, *text;
	char *words[27 + 2 * FERMATA_MAX_RULES] = { "--kernel", kernel, "--memory", memory,
						    "--name",	name,	"--append" };
	unsigned n = 7;

	append = strdup(guest->append);
	if (!append)
		return NULL;
	carry(cargo, guest->kernel, kernel, sizeof(kernel));
	snprintf(memory, sizeof(memory), "%" PRIu64, guest->memory);
	snprintf(name, sizeof(name), "%s", guest->name);
	words[n++] = append;
	if (guest->initrd) {
		carry(cargo, guest->initrd, initrd, sizeof(initrd));
		words[n++] = "--initrd";
		words[n++] = initrd;
	}
	if (guest->clock_words) {
		snprintf(clock, sizeof(clock), "%s", guest->clock_words);
		words[n++] = "--clock";
		words[n++] = clock;
	}
	if (guest->stats)
		words[n++] = "--stats";
	if (guest->no_tags)
		words[n++] = "--no-asid";
	if (guest->kvmclock)
		words[n++] = "--kvmclock";
	if (guest->debug_exit)
		words[n++] = "--debug-exit";
	if (guest->paging) {
		snprintf(paging, sizeof(paging), "%s", guest->paging);
		words[n++] = "--paging";
		words[n++] = paging;
	}
	if (guest->debug) {
		snprintf(debug, sizeof(debug), "%s", guest->debug);
		words[n++] = "--debug";
		words[n++] = debug;
	}
	for (unsigned i = 0; i < guest->rules; i++) {
		words[n++] = "--on";
		words[n++] = (char *)guest->rule[i];
	}
	words[n] = NULL;
	text = words_join(words);
	free(append);
	return text;
}

static struct box *start_many(const struct run_options *options, const void *what, bool keys,
			      char *problem, size_t size)
{
	const struct run_options *guest = what;
	struct cargo cargo = { .count = 0 };
	char *argv[8 + 2 * GUESTS_MAX] = { "fermata", "run",	"--box",
					   "none",    "--keys", keys ? "on" : "off" };
	struct box_request request = {
		.kind = options->box,
		.argv = argv,
		.files = cargo.files,
	};
	unsigned argc = 6, i;
	struct box *box = NULL;
	bool good = true;

	for (i = 0; i < options->guests && good; i++) {
		char *text = guest_words(&guest[i], &cargo);

		argv[argc++] = "--guest";
		argv[argc++] = text;
		request.guest_memory += guest[i].memory;
		good = text;
	}
	request.file_count = cargo.count;
	if (good)
		box = box_start(&request, problem, size);
	else
		snprintf(problem, size, "no memory for the command in the box; free some");
	for (i = 7; i < argc; i += 2)
		free(argv[i]);
	return box;
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
	fail("%s", box_error(box));
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

static int run_with(const struct run_options *options, starter *start, const void *what,
		    const char *const *names, unsigned count)
{
	enum console_result result;
	struct console_link link;
	struct console console;
	struct porter *porter;
	struct box_link l;
	char problem[512];
	struct box *box;
	int status;

	link_init(&link, &l);
	/* Signals are blocked first: one that comes while the box starts must find us listening. */
	if (console_open(&console, &link, options->keys))
		return fail("cannot watch for signals: %s; raise `ulimit -n`", strerror(errno));
	link.keys_beyond = console.escape.enabled;
	box = start(options, what, link.keys_beyond, problem, sizeof(problem));
	if (!box) {
		console_close(&console);
		return fail("%s", problem);
	}
	link_box(&link, &l, box);
	porter = open_doors(box, names, count);
	if (!porter) {
		box_free(box);
		console_close(&console);
		return STATUS_FAILED;
	}
	if (console.escape.enabled)
		terminal_raw();
	result = pump(&console, &l);
	if (result == CONSOLE_ENDED) {
		terminal_restore();
		status = status_of_box(box);
	} else {
		if (result == CONSOLE_CLOSED || result == CONSOLE_ERROR)
			box_kill(box);
		else
			end_guest(&console, box);
		terminal_restore();
		status = status_of_console(&console, result);
	}
	porter_stop(porter);
	box_free(box);
	console_close(&console);
	return status;
}

int run_in_box(const struct run_options *options)
{
	const char *name = options->name;

	return run_with(options, start, NULL, &name, 1);
}

int run_many_in_box(const struct run_options *options, const struct run_options *guest)
{
	const char *names[GUESTS_MAX];

	for (unsigned i = 0; i < options->guests; i++)
		names[i] = guest[i].name;
	return run_with(options, start_many, guest, names, options->guests);
}

int caps_in_box(const char *kind, bool json)
{
	char *argv[] = { "fermata", "caps", json ? "--json" : NULL, NULL };
	struct box_request request = { .kind = kind, .argv = argv };
	enum console_result result;
	struct console_link link;
	struct console console;
	struct box_link l;
	char problem[512];
	struct box *box;
	int status;

	link_init(&link, &l);
	if (console_open(&console, &link, KEYS_OFF))
		return fail("cannot watch for signals: %s; raise `ulimit -n`", strerror(errno));
	box = box_start(&request, problem, sizeof(problem));
	if (!box) {
		console_close(&console);
		return fail("%s", problem);
	}
	link_box(&link, &l, box);
	console.muted = true;
	result = pump(&console, &l);
	status = result == CONSOLE_ENDED ? status_of_box(box) : status_of_console(&console, result);
	box_free(box);
	console_close(&console);
	return status;
}
