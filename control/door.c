/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "folder.h"

#define BACKLOG 64

/* A socket's address has room for 108 bytes only: the folder goes in as a descriptor. */
static bool address_of(struct sockaddr_un *address, int folder, const char *name)
{
	int n;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", folder,
		     name);
	return n > 0 && (size_t)n < sizeof(address->sun_path);
}

static int open_folder(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* 0, or -1 with errno. */
static int listen_there(struct door *door)
{
	struct sockaddr_un address;

	if (!address_of(&address, door->folder, door->name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (unlinkat(door->folder, door->name, 0) && errno != ENOENT)
		return -1;
	door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Its mode now becomes that of the file which bind() makes: at no moment is it wider. */
	if (door->fd < 0 || fchmod(door->fd, 0600) ||
	    bind(door->fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	return listen(door->fd, BACKLOG);
}

int door_open(struct door *door, const char *name, char *problem, size_t problem_size)
{
	char folder[FOLDER_ROOM];
	int error;

	*door = (struct door){ .fd = -1, .folder = -1 };
	snprintf(door->name, sizeof(door->name), "%s", name);
	if (folder_find(folder, sizeof(folder), problem, problem_size))
		return -1;
	door->folder = open_folder(folder);
	if (door->folder >= 0 && listen_there(door) == 0)
		return 0;
	error = errno;
	snprintf(problem, problem_size, "cannot open the socket %s/%s: %s; check that folder",
		 folder, name, strerror(error));
	door_close(door);
	return -1;
}

void door_close(struct door *door)
{
	if (door->fd >= 0) {
		unlinkat(door->folder, door->name, 0);
		close(door->fd);
	}
	if (door->folder >= 0)
		close(door->folder);
	door->fd = door->folder = -1;
}

void door_refuse(int fd, const char *class, const char *why)
{
	char line[300];
	int n = snprintf(line, sizeof(line), "{\"error\":{\"class\":\"%s\",\"desc\":\"%s\"}}\n",
			 class, why);

	/* A new connection has room for it; one that has gone misses nothing. */
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;
	close(fd);
}

static bool may_come_in(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

int door_admit(struct door *door)
{
	for (;;) {
		int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return -1;
		if (may_come_in(fd))
			return fd;
		door_refuse(fd, "denied", "this guest belongs to another user");
	}
}

int door_knock(const char *folder, const char *name, pid_t *pid)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct timeval limit = { .tv_sec = 5 }; /* a stopped process has a full backlog some day */
	int at, fd, error;

	at = open_folder(folder);
	if (at < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && address_of(&address, at, name) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) &&
	    !connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length)) {
		close(at);
		*pid = peer.pid;
		return fd;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	close(at);
	errno = error;
	return -1;
}
