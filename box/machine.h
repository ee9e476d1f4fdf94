/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What box.c asks of an emulator; qemu.c and bochs.c are twins behind it. */
#ifndef BOX_MACHINE_H
#define BOX_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "box.h"

#define MIB (1ull << 20)

/*
 * Four sockets: the command's standard streams, the relay's frames both ways, and what the agent says. The
 * last is the one whose being connected means that all are.
 */
enum { INPUT, OUTPUT, RELAY, STATUS, PORTS };

struct box_boot {
	const struct box_request *request;
	const char *dir; /* of the images */
	int initrd;
	uint64_t initrd_size;
	uint64_t memory; /* bytes */
	int log;	 /* appended to: the kernel's log, the emulator's complaints */
	const int *port; /* PORTS of them, the box's side */
};

struct box_machine {
	const char *name;
	const char *ports;	    /* the agent's name for the way out */
	const char *module_options; /* for fermata.ko, before those that the request has */
	const char *complaint; /* a log that begins so, in a box that never booted, explains it */
	/* 1: that is one of mine; 0: it is not; -1: it would be, but error[] says what is wrong */
	int (*takes)(const char *kind, char *error, size_t error_size);
	bool (*installed)(char *error, size_t error_size);
	/* A child that dies with us and ends when the box does; -1 with error[] set. */
	pid_t (*start)(const struct box_boot *boot, char *error, size_t error_size);
};

extern const struct box_machine box_qemu, box_bochs;

/*
 * More of the kernel's options would serve both, but these are what any box needs: see README.md for
 * what each saves.
 */
#define BOX_KERNEL_OPTIONS                                                                         \
	"quiet panic=-1 oops=panic tsc=reliable no_timer_check nokaslr init_on_alloc=0 "           \
	"random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1 noresume"

/* ---- what both use (process.c) */

void complain(char *error, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

bool in_path(const char *program);

/*
 * fork(); the child dies with the thread that called it, has no terminal, the default signals, and
 * none of our files beyond an exec() except those it then keeps. log: its standard error.
 */
pid_t fork_child(int log);
void keep_open(int fd);
/*
 * In a child: it has no network but one of its own, with nothing in it, where the system allows that; it becomes
 * nobody if it is root and may do so, and gets no new rights by an exec(). What it opens afterwards it opens as
 * nobody. It still dies with its parent.
 */
void leave_rights(void);
/* A copy of a file without a name, which nobody may open, too: by /proc/self/fd. -1 with error[] set. */
int copy_file(const char *path, char *error, size_t error_size);
/* In a child that does not exec(): what of our files it has would outlive us. */
void close_others(const int keep[], size_t count);

struct command {
	char *argv[64];
	unsigned int count;
};

void add(struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void free_command(struct command *c);
/* In the child: does not return. */
void run_command(struct command *c) __attribute__((noreturn));

#endif
