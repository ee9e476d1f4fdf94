/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Between the user and a guest: standard input and output on one side, a machine here or one in the
 * box on the other. Keys, signals and the end of either side are noticed here.
 */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/text/escape.h"

/* The guest's side. Nothing here blocks. */
struct console_link {
	void *opaque;
	int event_fd[2]; /* readable when read() has news, and when write() has room again; -1: none */
	int write_fd;	 /* writable when write() has room; -1: event_fd says it */
	/* event_fd is readable: called before read() and write() are; may be NULL */
	void (*woken)(void *opaque);
	/* Bytes of output: how many, 0: none now, -1: the guest has ended and all was read. */
	ssize_t (*read)(void *opaque, void *bytes, size_t n);
	size_t (*write)(void *opaque, const void *bytes, size_t n);
	void (*end_of_input)(void *opaque);
	bool keys_beyond; /* the other side, too, takes Ctrl-A for its own */
};

enum console_keys {
	KEYS_AUTO, /* on when standard input is a terminal */
	KEYS_ON,
	KEYS_OFF,
	KEYS_NONE, /* standard input is not read */
};
/* Whether Ctrl-A is then for Fermata. */
bool console_keys(enum console_keys keys);

enum console_result {
	CONSOLE_ENDED,	  /* the guest's side ended, and all it said is written */
	CONSOLE_USER_END, /* Ctrl-A x */
	CONSOLE_SIGNAL,	  /* console->signal wants this process to end */
	CONSOLE_CLOSED,	  /* nobody reads standard output any more */
	CONSOLE_TIMEOUT,
	CONSOLE_ERROR, /* a write failed; errno says why */
};

struct console {
	const struct console_link *link;
	struct escape escape;
	int signal_fd;
	int input; /* standard input, -1 after its end */
	int output;
	bool own_output;   /* `output` is a non-blocking description of ours */
	bool output_polls; /* false for a regular file */
	bool end_of_input; /* to be told to the guest when `in` is empty */
	bool muted;	   /* the user's input no longer counts */
	int signal;
	/* For the guest: with keys much larger, so that Ctrl-A x is seen behind what nobody reads. */
	uint8_t *in;
	size_t in_room, in_start, in_length;
	size_t out_length;
	uint8_t out[16384]; /* for the user */
};

/*
 * The signals that end the process are blocked from here on, and read from a descriptor. Call
 * before threads are made, and make the terminal raw before or after. False with a line said.
 */
bool console_open(struct console *console, const struct console_link *link, enum console_keys keys);
/* The terminal and standard error are as a guest of this process needs them. */
void console_take_terminal(const struct console *console);
/* Carries bytes until something of the list above; timeout_ms -1: no limit. */
enum console_result console_pump(struct console *console, int timeout_ms);
/* No more of the user's input; keys_beyond is sent Ctrl-A x instead. */
void console_end_beyond(struct console *console);
/* Why console_pump() came back, as an exit status; where it needs a line, that is said. */
int console_status(const struct console *console, enum console_result result);
void console_close(struct console *console);

#endif
