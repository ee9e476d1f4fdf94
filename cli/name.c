/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The user's own folder for run-time files; anyone else's in its place would own our locks. */
static int find_folder(char *folder, size_t size, char *problem, size_t problem_size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (runtime && runtime[0] == '/' && strlen(runtime) < 200 && !stat(runtime, &st) &&
	    S_ISDIR(st.st_mode)) {
		snprintf(folder, size, "%s/fermata", runtime);
	} else if (geteuid() == 0) {
		mkdir("/run", 0755);
		snprintf(folder, size, "/run/fermata");
	} else {
		snprintf(folder, size, "/tmp/fermata-%u", geteuid());
	}
	if (mkdir(folder, 0700) && errno != EEXIST) {
		snprintf(problem, problem_size,
			 "cannot create %s for the guest's name: %s; set XDG_RUNTIME_DIR to a folder of yours",
			 folder, strerror(errno));
		return -1;
	}
	if (lstat(folder, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 0022)) {
		snprintf(problem, problem_size,
			 "%s is not a folder that only you can write to; remove it, or set XDG_RUNTIME_DIR to a folder of yours",
			 folder);
		return -1;
	}
	return 0;
}

/* The file we locked may have been removed by its last owner between open() and flock(). */
static int still_there(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

int name_claim(struct name_claim *claim, const char *name, char *problem, size_t problem_size)
{
	char folder[240], pid[24];
	ssize_t length;
	int error;

	claim->fd = -1;
	if (find_folder(folder, sizeof(folder), problem, problem_size))
		return -1;
	snprintf(claim->path, sizeof(claim->path), "%s/%s.lock", folder, name);
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
