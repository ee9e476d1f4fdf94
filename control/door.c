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

#define BACKLOG 64

/*
 * Sockets have no calls that take a folder's descriptor. /proc leads from the descriptor to the folder
 * itself, whatever has become of its path; and an address has room for 108 bytes only.
 */
static bool address_in(struct sockaddr_un *address, const struct folder *folder, const char *name)
{
	int n;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
		     folder->fd, name);
	return n > 0 && (size_t)n < sizeof(address->sun_path);
}

/* 0, or -1 with errno. */
static int listen_there(struct door *door)
{
	struct sockaddr_un address;

	if (!address_in(&address, &door->folder, door->name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (unlinkat(door->folder.fd, door->name, 0) && errno != ENOENT)
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
	*door = (struct door){ .fd = -1 };
	snprintf(door->name, sizeof(door->name), "%s", name);
	if (folder_open(&door->folder, problem, problem_size))
		return -1;
	if (listen_there(door) == 0)
		return 0;
	snprintf(problem, problem_size, "cannot open the socket %s/%s: %s; check that folder",
		 door->folder.path, name, strerror(errno));
	door_close(door);
	return -1;
}

void door_close(struct door *door)
{
	if (door->fd >= 0) {
		unlinkat(door->folder.fd, door->name, 0);
		close(door->fd);
	}
	door->fd = -1;
	folder_close(&door->folder);
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

/* The socket itself; a link in its place is not followed. -1 with errno. */
static int find_socket(const struct folder *folder, const char *name)
{
	int fd = openat(folder->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static bool connect_to(int fd, int found, pid_t *pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct timeval limit = { .tv_sec = 5 }; /* a stopped process has a full backlog some day */

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", found);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return false;
	*pid = peer.pid;
	return true;
}

int door_knock(const struct folder *folder, const char *name, pid_t *pid)
{
	int found = find_socket(folder, name), fd, error;

	if (found < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect_to(fd, found, pid)) {
		close(found);
		return fd;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	close(found);
	errno = error;
	return -1;
}
