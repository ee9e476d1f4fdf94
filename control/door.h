/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The Unix socket of a guest: who opens it, who may come in, how it is found. */
#ifndef CONTROL_DOOR_H
#define CONTROL_DOOR_H

#include <stddef.h>
#include <sys/types.h>

#include "folder.h"

struct door {
	int fd; /* listens; does not block */
	struct folder folder;
	char name[80];
};

/*
 * The caller holds the claim on the name (cli/guests/name.h): a socket that is there already was left by a
 * process that died, and goes. 0, or -1 with one line in problem[].
 */
int door_open(struct door *door, const char *name, char *problem, size_t problem_size);
/* Removes the socket, too. */
void door_close(struct door *door);

/*
 * The next who wants to come in, if the guest's owner or root: a descriptor that does not block. -1:
 * nobody is there now. Others are told why not.
 */
int door_admit(struct door *door);
/* Tells one who came in that he cannot stay, and why, and closes. */
void door_refuse(int fd, const char *class, const char *why);

/*
 * The socket of a running guest: a descriptor that blocks, and in *pid its process; -1 with errno:
 * ENOENT: no such guest; ECONNREFUSED: its process died; EPERM: what is there is no socket of ours; or
 * another.
 */
int door_knock(const struct folder *folder, const char *name, pid_t *pid);

#endif
