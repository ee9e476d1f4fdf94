/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A guest's name on this host belongs to one running guest of one user at a time. */
#ifndef CLI_NAME_H
#define CLI_NAME_H

#include <stddef.h>

#include "control/folder.h"

struct name_claim {
	int fd; /* of the locked file; the lock dies with the process */
	struct folder folder;
	char file[80]; /* in the folder */
};

/* 0, or -1 with one line in problem[]: what, why, what to do. */
int name_claim(struct name_claim *claim, const char *name, char *problem, size_t problem_size);
void name_release(struct name_claim *claim);

#endif
