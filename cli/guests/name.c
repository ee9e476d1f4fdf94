/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/folder.h"

/* The file we locked may have been removed by its last owner between open() and flock(). */
static int still_there(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

int name_claim(struct name_claim *claim, const char *name, char *problem, size_t problem_size)
{
	char folder[FOLDER_ROOM], pid[24];
	ssize_t length;
	int error;

	claim->fd = -1;
	if (folder_find(folder, sizeof(folder), problem, problem_size))
		return -1;
	/* No name has a colon: this is not the socket of another guest. */
	snprintf(claim->path, sizeof(claim->path), "%s/%s:lock", folder, name);
	for (;;) {
		claim->fd = open(claim->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (claim->fd < 0) {
			snprintf(problem, problem_size, "cannot create %s: %s; check its folder",
				 claim->path, strerror(errno));
			return -1;
		}
		if (flock(claim->fd, LOCK_EX | LOCK_NB)) {
			error = errno;
			length = pread(claim->fd, pid, sizeof(pid) - 1, 0);
			close(claim->fd);
			claim->fd = -1;
			if (error == EINTR)
				continue;
			pid[length > 0 ? length : 0] = 0;
			pid[strcspn(pid, "\n")] = 0;
			if (error != EWOULDBLOCK)
				snprintf(problem, problem_size,
					 "cannot lock %s: %s; check its file system", claim->path,
					 strerror(error));
			else
				snprintf(problem, problem_size,
					 "the name '%s' is taken by a running guest%s%s; give another --name, or end that guest",
					 name, pid[0] ? ", process " : "", pid);
			return -1;
		}
		if (still_there(claim->fd, claim->path))
			break;
		close(claim->fd);
	}
	length = snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(claim->fd, 0) || pwrite(claim->fd, pid, (size_t)length, 0) != length) {
		snprintf(problem, problem_size, "cannot write %s: %s; make room on its file system",
			 claim->path, strerror(errno));
		name_release(claim);
		return -1;
	}
	return 0;
}

void name_release(struct name_claim *claim)
{
	if (claim->fd < 0)
		return;
	unlink(claim->path);
	close(claim->fd);
	claim->fd = -1;
}
