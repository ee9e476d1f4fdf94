/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Where a user's running guests have their locks and sockets. */
#ifndef CONTROL_FOLDER_H
#define CONTROL_FOLDER_H

#include <stddef.h>

#define FOLDER_OF_ROOT "/run/fermata" /* and in a box */
#define FOLDER_ROOM 240		      /* bytes that its path may take */

/*
 * $XDG_RUNTIME_DIR/fermata; without that variable /run/user/UID/fermata, where there is such a folder;
 * else /run/fermata for root and /tmp/fermata-UID for others. It is made if it is not there, and is the
 * user's own, writable for nobody else. 0, or -1 with one line in problem[].
 */
int folder_find(char *folder, size_t size, char *problem, size_t problem_size);

#endif
