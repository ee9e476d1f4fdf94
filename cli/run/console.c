/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/text/say.h"
#include "cli/text/terminal.h"

#define IN_ROOM 8192u
#define IN_ROOM_KEYS (1u << 20)
/* Read at once from the user; in front of the guest each byte may become two. */
#define PIECE 1024u

static const char help[] = "\r\n"
			   "fermata: keys\r\n"
			   "  Ctrl-A x       end the guest\r\n"
			   "  Ctrl-A h       this help\r\n"
			   "  Ctrl-A d       end of the guest's input\r\n"
			   "  Ctrl-A Ctrl-A  send one Ctrl-A to the guest\r\n";

/*
 * A pipe or terminal that is full must not keep us from the keys and signals. O_NONBLOCK belongs to
 * the open file, which we share with our parent: open it a second time instead.
 */
static void open_output(struct console *console)
{
	struct stat st;
	int fd = -1;

	console->output = STDOUT_FILENO;
	console->own_output = false;
	console->output_polls = true;
	if (fstat(STDOUT_FILENO, &st))
		return;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		console->output_polls = false;
	if (S_ISFIFO(st.st_mode) || isatty(STDOUT_FILENO))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0) {
		console->output = fd;
		console->own_output = true;
	}
}

bool console_keys(enum console_keys keys)
{
	return keys == KEYS_ON || (keys == KEYS_AUTO && isatty(STDIN_FILENO));
}

static int take_signals(void)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		struct sigaction action;

		/* What our parent ignores (nohup) stays ignored. */
		if (!sigaction(ending[i], NULL, &action) && action.sa_handler == SIG_IGN)
			continue;
		sigaddset(&set, ending[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool console_open(struct console *console, const struct console_link *link, enum console_keys keys)
{
	memset(console, 0, sizeof(*console));
	console->link = link;
	console->input = STDIN_FILENO;
	console->escape.enabled = console_keys(keys);
	console->muted = keys == KEYS_NONE;
	console->in_room = console->escape.enabled ? IN_ROOM_KEYS : IN_ROOM;
	console->in = malloc(console->in_room);
	console->signal_fd = console->in ? take_signals() : -1;
	if (console->signal_fd < 0) {
		say("cannot watch for signals: %s; raise `ulimit -n`", strerror(errno));
		free(console->in);
		return false;
	}
	open_output(console);
	return true;
}

void console_take_terminal(const struct console *console)
{
	if (console->escape.enabled)
		terminal_raw();
	/* Only the box passes keys through a pipe: the terminal at its other end is raw. */
	say_carriage_return(console->escape.enabled && !isatty(STDIN_FILENO));
}

int console_status(const struct console *console, enum console_result result)
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

void console_close(struct console *console)
{
	if (console->own_output)
		close(console->output);
	if (console->signal_fd >= 0)
		close(console->signal_fd);
	free(console->in);
	console->in = NULL;
	console->own_output = false;
	console->signal_fd = -1;
}

/* ---- guest to user */

/* 0, or -1 with errno. */
static int flush_output(struct console *console)
{
	ssize_t n;

	while (console->out_length) {
		/* A shared description may block: a pipe that polls writable takes this much at once. */
		n = write(console->output, console->out,
			  console->own_output || console->out_length < 4096 ? console->out_length :
									      4096);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		console->out_length -= (size_t)n;
		memmove(console->out, console->out + n, console->out_length);
		if (!console->own_output && console->output_polls)
			break;
	}
	return 0;
}

static void say_keys(struct console *console)
{
	if (sizeof(console->out) - console->out_length < sizeof(help))
		return;
	memcpy(console->out + console->out_length, help, sizeof(help) - 1);
	console->out_length += sizeof(help) - 1;
}

/* False when the guest's side has ended. */
static bool fetch_output(struct console *console)
{
	const struct console_link *link = console->link;
	ssize_t n = 1;

	while (n > 0 && console->out_length < sizeof(console->out)) {
		n = link->read(link->opaque, console->out + console->out_length,
			       sizeof(console->out) - console->out_length);
		if (n > 0)
			console->out_length += (size_t)n;
	}
	return n >= 0;
}

/* ---- user to guest */

/* Beyond the end of the buffer input is lost, as on any terminal whose reader has gone. */
static void put_input(struct console *console, uint8_t byte)
{
	if (console->in_start && console->in_start + console->in_length == console->in_room) {
		memmove(console->in, console->in + console->in_start, console->in_length);
		console->in_start = 0;
	}
	if (console->in_length < console->in_room)
		console->in[console->in_start + console->in_length++] = byte;
}

/* True: the user ended the guest. */
static bool take_input(struct console *console, const uint8_t *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		switch (escape_feed(&console->escape, bytes[i])) {
		case ESCAPE_NOTHING:
			break;
		case ESCAPE_SEND:
			put_input(console, bytes[i]);
			if (bytes[i] == ESCAPE_KEY && console->link->keys_beyond)
				put_input(console, ESCAPE_KEY);
			break;
		case ESCAPE_END:
			return true;
		case ESCAPE_HELP:
			say_keys(console);
			break;
		case ESCAPE_END_OF_INPUT:
			console->end_of_input = true;
			console->input = -1;
			return false;
		}
	}
	return false;
}

static bool read_input(struct console *console)
{
	uint8_t bytes[PIECE];
	ssize_t n = read(console->input, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		console->end_of_input = true;
		console->input = -1;
		return false;
	}
	return take_input(console, bytes, (size_t)n);
}

static void send_input(struct console *console)
{
	const struct console_link *link = console->link;
	size_t n;

	if (console->in_length) {
		n = link->write(link->opaque, console->in + console->in_start, console->in_length);
		console->in_length -= n;
		console->in_start = console->in_length ? console->in_start + n : 0;
	}
	if (!console->in_length && console->end_of_input) {
		console->end_of_input = false;
		link->end_of_input(link->opaque);
	}
}

void console_end_beyond(struct console *console)
{
	static const uint8_t end[] = { ESCAPE_KEY, 'x' };

	console->muted = true;
	console->end_of_input = false;
	if (!console->link->keys_beyond)
		return;
	memcpy(console->in, end, sizeof(end));
	console->in_start = 0;
	console->in_length = sizeof(end);
}

/* ---- both */

/* The number of a signal that wants us to end, or 0. */
static int read_signal(struct console *console)
{
	struct signalfd_siginfo info;

	while (read(console->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTSTP:
			terminal_suspend();
			break;
		case SIGCONT:
			terminal_resume();
			break;
		default:
			return (int)info.ssi_signo;
		}
	}
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum { POLL_SIGNAL, POLL_OUTPUT, POLL_INPUT, POLL_EVENT, POLL_EVENT_2, POLL_WRITE, POLLS };

static void fill_polls(const struct console *console, bool alive, struct pollfd *p)
{
	const struct console_link *link = console->link;
	bool out_room = console->out_length < sizeof(console->out);
	bool in_room = console->escape.enabled || console->in_room - console->in_length >= 2 * PIECE;
	bool listen = console->input >= 0 && !console->muted && alive;

	p[POLL_SIGNAL] = (struct pollfd){ .fd = console->signal_fd, .events = POLLIN };
	/* Even without events poll() says when the reader has gone. */
	p[POLL_OUTPUT] = (struct pollfd){ .fd = console->output_polls ? console->output : -1,
					  .events = console->out_length ? POLLOUT : 0 };
	p[POLL_INPUT] =
		(struct pollfd){ .fd = listen && in_room ? console->input : -1, .events = POLLIN };
	p[POLL_EVENT] = (struct pollfd){ .fd = alive && out_room ? link->event_fd[0] : -1,
					 .events = POLLIN };
	p[POLL_EVENT_2] = (struct pollfd){ .fd = alive && out_room ? link->event_fd[1] : -1,
					   .events = POLLIN };
	p[POLL_WRITE] = (struct pollfd){ .fd = alive && console->in_length ? link->write_fd : -1,
					 .events = POLLOUT };
}

enum console_result console_pump(struct console *console, int timeout_ms)
{
	int64_t until = now_ms() + timeout_ms, left = -1;
	struct pollfd p[POLLS];
	bool alive = true;

	for (;;) {
		if (alive)
			send_input(console);
		if (alive)
			alive = fetch_output(console);
		if (!console->output_polls && flush_output(console))
			return errno == EPIPE ? CONSOLE_CLOSED : CONSOLE_ERROR;
		if (!alive && !console->out_length)
			return CONSOLE_ENDED;
		if (timeout_ms >= 0) {
			left = until - now_ms();
			if (left <= 0)
				return CONSOLE_TIMEOUT;
		}
		fill_polls(console, alive, p);
		if (poll(p, POLLS, (int)left) < 0) {
			if (errno == EINTR)
				continue;
			return CONSOLE_ERROR;
		}
		if (p[POLL_SIGNAL].revents) {
			console->signal = read_signal(console);
			if (console->signal)
				return CONSOLE_SIGNAL;
		}
		if (p[POLL_OUTPUT].revents & (POLLERR | POLLHUP | POLLNVAL))
			return CONSOLE_CLOSED;
		if (p[POLL_OUTPUT].revents && flush_output(console))
			return errno == EPIPE || errno == EIO ? CONSOLE_CLOSED : CONSOLE_ERROR;
		if ((p[POLL_EVENT].revents || p[POLL_EVENT_2].revents) && console->link->woken)
			console->link->woken(console->link->opaque);
		if (p[POLL_INPUT].revents && read_input(console))
			return CONSOLE_USER_END;
	}
}
