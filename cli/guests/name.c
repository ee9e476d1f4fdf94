/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file we locked may have been removed by its last owner between openat() and flock(). */
static bool still_there(const struct name_claim *claim)
{
	struct stat ours, there;

	return !fstat(claim->fd, &ours) &&
	       !fstatat(claim->folder.fd, claim->file, &there, AT_SYMLINK_NOFOLLOW) &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static void say_taken(const struct name_claim *claim, const char *name, char *problem,
		      size_t problem_size)
{
	char pid[24];
	ssize_t length = pread(claim->fd, pid, sizeof(pid) - 1, 0);

	pid[length > 0 ? length : 0] = 0;
	pid[strspn(pid, "0123456789")] = 0;
	snprintf(problem, problem_size,
		 "the name '%s' is taken by a running guest%s%s; give another --name, or end that guest",
		 name, pid[0] ? ", process " : "", pid);
}

/* The file, locked; false with problem[] set. */
static bool lock(struct name_claim *claim, const char *name, char *problem, size_t problem_size)
{
	for (;;) {
		claim->fd = openat(claim->folder.fd, claim->file,
				   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (claim->fd < 0) {
			snprintf(problem, problem_size, "cannot create %s/%s: %s; check its folder",
				 claim->folder.path, claim->file, strerror(errno));
			return false;
		}
		if (flock(claim->fd, LOCK_EX | LOCK_NB)) {
			if (errno == EWOULDBLOCK)
				say_taken(claim, name, problem, problem_size);
			else
				snprintf(problem, problem_size,
					 "cannot lock %s/%s: %s; check its file system",
					 claim->folder.path, claim->file, strerror(errno));
			close(claim->fd);
			claim->fd = -1;
			return false;
		}
		if (still_there(claim))
			return true;
		close(claim->fd);
	}
}

int name_claim(struct name_claim *claim, const char *name, char *problem, size_t problem_size)
{
	char pid[24];
	int length;

	claim->fd = -1;
	if (folder_open(&claim->folder, problem, problem_size))
		return -1;
	/* No name has a colon: this is not the socket of another guest. */
	snprintf(claim->file, sizeof(claim->file), "%s:lock", name);
	if (!lock(claim, name, problem, problem_size)) {
		folder_close(&claim->folder);
		return -1;
	}
	length = snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(claim->fd, 0) || pwrite(claim->fd, pid, (size_t)length, 0) != length) {
		snprintf(problem, problem_size,
			 "cannot write %s/%s: %s; make room on its file system", claim->folder.path,
			 claim->file, strerror(errno));
		name_release(claim);
		return -1;
	}
	return 0;
}

void name_release(struct name_claim *claim)
{
	if (claim->fd < 0)
		return;
	unlinkat(claim->folder.fd, claim->file, 0);
	close(claim->fd);
	claim->fd = -1;
	folder_close(&claim->folder);
}
