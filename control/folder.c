/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A folder is opened once, looked at by its descriptor, and used by its descriptor: whoever may rename
 * things around it cannot put another one in its place after the look.
 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_mine(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 0022);
}

/*
 * Opens the folder in which ours is, and sets its name there. The user's word is taken for
 * $XDG_RUNTIME_DIR, links included. But root's guests outlive its sessions, services' above all. -1 with errno.
 */
static int open_base(char *base, size_t size, char *name, size_t name_size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	bool root = geteuid() == 0;
	int fd = -1;

	snprintf(name, name_size, "fermata");
	if (runtime && runtime[0] == '/' && strlen(runtime) < 200 &&
	    !(root && !strcmp(runtime, "/run/user/0"))) {
		snprintf(base, size, "%s", runtime);
		fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	if (!root) {
		snprintf(base, size, "/run/user/%u", geteuid());
		fd = open(base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && is_mine(fd))
			return fd;
		if (fd >= 0)
			close(fd);
		snprintf(base, size, "/tmp");
		snprintf(name, name_size, "fermata-%u", geteuid());
	} else {
		snprintf(base, size, "/run");
		mkdir(base, 0755);
	}
	return open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int folder_open(struct folder *folder, char *problem, size_t problem_size)
{
	char base[FOLDER_ROOM - 30], name[30];
	int at = open_base(base, sizeof(base), name, sizeof(name)), error = 0;

	folder->fd = -1;
	snprintf(folder->path, sizeof(folder->path), "%s/%s", base, name);
	if (at < 0 || (mkdirat(at, name, 0700) && errno != EEXIST)) {
		error = errno;
	} else {
		folder->fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (folder->fd < 0 && errno != ENOTDIR && errno != ELOOP && errno != EACCES)
			error = errno;
	}
	if (at >= 0)
		close(at);
	if (error) {
		snprintf(problem, problem_size,
			 "cannot open %s, where guests have their names: %s; set XDG_RUNTIME_DIR to a folder of yours",
			 folder->path, strerror(error));
		return -1;
	}
	/* Anyone else's in its place would own our locks and sockets. */
	if (folder->fd >= 0 && is_mine(folder->fd))
		return 0;
	folder_close(folder);
	snprintf(problem, problem_size,
		 "%s is not a folder that only you can write to; remove it, or set XDG_RUNTIME_DIR to a folder of yours",
		 folder->path);
	return -1;
}

void folder_close(struct folder *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	folder->fd = -1;
}
