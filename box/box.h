/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The box: an emulated machine with AMD-V or VT-x that boots Debian's kernel with fermata.ko in it and
 * runs one command there. It is a child process, dies with the thread that called box_start(), and leaves
 * no files behind, but for gdb's socket.
 */
#ifndef BOX_H
#define BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct box;

/* A file of this machine that the command finds inside as /in/NAME. name has no slash. */
struct box_file {
	const char *host_path;
	const char *name;
};

struct box_request {
	const char *kind;  /* "amd"; "intel"; "bochs:MODEL" */
	char *const *argv; /* the command inside, NULL-terminated; argv[0]: "fermata", or any */
	const struct box_file *files; /* NULL with file_count 0 */
	size_t file_count;
	uint64_t guest_memory;	    /* bytes the command will hand to its guests */
	unsigned cpus;		    /* of the box; 0: one, with `turns` two */
	const char *log_path;	    /* where the box's kernel log stays; NULL: nowhere */
	const char *kernel_options; /* more of the box's kernel command line; NULL: none */
	const char *module_options; /* for fermata.ko; NULL: none */
	/*
	 * QEMU: the box's CPUs take turns on one thread. In parallel QEMU 7.2 makes mistakes as soon as one of
	 * them runs guests (README.md).
	 */
	bool turns;
	bool count; /* time is the number of instructions executed, one CPU: to measure; slower */
	bool no_module;	      /* leave fermata.ko unloaded */
	const char *gdb_path; /* QEMU: makes a socket there, on which gdb controls the box; NULL: none */
};

/* Whether there is a box of that name: 0, or -1 with the line that error[] then holds. */
int box_kind(const char *kind, char *error, size_t error_size);

/*
 * Says in one line, without newline, whether a box can be had at all: emulator installed, images
 * found. 0, or -1 with error[] set.
 */
int box_check(const char *kind, char *error, size_t error_size);

/* NULL: error[] holds one line without newline: what, why, what to do. Takes milliseconds. */
struct box *box_start(const struct box_request *request, char *error, size_t error_size);

/*
 * Standard input of the command inside: a socket, non-blocking, for the caller's write() and poll().
 * box_close_input() lets the command see the end of its input after all that was written. The
 * command's input and output are streams, not terminals: raw mode and keys are the caller's affair.
 */
int box_input(struct box *box);
void box_close_input(struct box *box);

/*
 * Standard output and error of the command inside: readable when box_read() has news. box_read() is as
 * read() of a non-blocking socket. Its end, 0, comes when the box has ended; read until then to have
 * everything the command wrote.
 */
int box_output(struct box *box);
ssize_t box_read(struct box *box, void *bytes, size_t n);

/* Readable when box_booted() or box_wait() may have news. */
int box_events(struct box *box);

/*
 * Takes over a connected socket: what comes there is carried to the Unix socket `path` inside, dialled until
 * somebody listens, and what is said there comes back. -1: RELAY_LINKS (64) are carried already, or the box
 * is not one that can; the socket stays the caller's. From any thread.
 */
int box_relay(struct box *box, int fd, const char *path);

/* True once the command inside has been started. */
bool box_booted(struct box *box);

/*
 * 1: the box has ended and *status is the command's exit status (128 + n for a signal), or -1 when
 * the box ended without a word from it: box_error() says why. 0: timeout_ms passed (-1: no limit).
 * The box ends when the command has, and box_read() has given all that it wrote: box_wait() does not read.
 */
int box_wait(struct box *box, int timeout_ms, int *status);

/*
 * Why box_wait() gave -1: a line, and the last lines of the box's log when there are any. Nothing but
 * printable ASCII, tabs and newlines, whatever the box had in mind.
 */
const char *box_error(struct box *box);

void box_kill(struct box *box);
void box_free(struct box *box); /* kills it if it still runs */

#endif
