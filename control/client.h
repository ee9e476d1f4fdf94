/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The other end of a guest's control channel: for programs that ask. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <sys/types.h>

#include <json-c/json.h>

#include "line.h"

struct client {
	int fd;
	pid_t pid; /* of the process that has the guest, or its box */
	struct line in;
	char name[80];
};

/*
 * Waits up to limit_ms for the guest's greeting: a box that starts answers when its guest does. 0, or -1
 * with one line in problem[] and in errno: ENOENT: no such guest; ECONNREFUSED: its process has died;
 * ETIMEDOUT: no greeting; EPROTO: refused, or no guest of ours.
 */
int client_open(struct client *client, const char *name, int limit_ms, char *problem,
		size_t problem_size);
/*
 * What the command returns, an object, the caller's to json_object_put(). arguments (NULL: none) is taken over. NULL
 * with one line in problem[]. Events that come meanwhile are passed over.
 */
struct json_object *client_call(struct client *client, const char *command,
				struct json_object *arguments, char *problem, size_t problem_size);
/*
 * The next event, as the guest sent it, the caller's to json_object_put(). NULL: limit_ms (-1: no limit)
 * passed, and errno is ETIMEDOUT; or the guest has gone.
 */
struct json_object *client_event(struct client *client, int limit_ms);
void client_close(struct client *client);

#endif
