/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Where a user's running guests have their locks and sockets. */
#ifndef CONTROL_FOLDER_H
#define CONTROL_FOLDER_H

#include <stddef.h>

#define FOLDER_OF_ROOT "/run/fermata" /* and in a box */
#define FOLDER_ROOM 240		      /* bytes that its path may take */

struct folder {
	int fd;			/* all that is done in the folder is done by it */
	char path[FOLDER_ROOM]; /* for messages alone: another folder may have that path by now */
};

/*
 * $XDG_RUNTIME_DIR/fermata. Without that variable, or if it is that of root's login session, /run/fermata for
 * root; for others /run/user/UID/fermata, where there is such a folder, else /tmp/fermata-UID. It is made if it
 * is not there, and is the user's own, writable for nobody else. 0, or -1 with one line in problem[].
 */
int folder_open(struct folder *folder, char *problem, size_t problem_size);
void folder_close(struct folder *folder);

#endif
