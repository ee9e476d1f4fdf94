/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool is_mine(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 0022);
}

static void choose(char *folder, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char session[40];

	snprintf(session, sizeof(session), "/run/user/%u", geteuid());
	if (runtime && runtime[0] == '/' && strlen(runtime) < 200 && is_folder(runtime)) {
		snprintf(folder, size, "%s/fermata", runtime);
	} else if (is_mine(session)) {
		snprintf(folder, size, "%s/fermata", session);
	} else if (geteuid() == 0) {
		mkdir("/run", 0755);
		snprintf(folder, size, FOLDER_OF_ROOT);
	} else {
		snprintf(folder, size, "/tmp/fermata-%u", geteuid());
	}
}

int folder_find(char *folder, size_t size, char *problem, size_t problem_size)
{
	choose(folder, size);
	if (mkdir(folder, 0700) && errno != EEXIST) {
		snprintf(problem, problem_size,
			 "cannot create %s, where guests have their names: %s; set XDG_RUNTIME_DIR to a folder of yours",
			 folder, strerror(errno));
		return -1;
	}
	/* Anyone else's in its place would own our locks and sockets. */
	if (is_mine(folder))
		return 0;
	snprintf(problem, problem_size,
		 "%s is not a folder that only you can write to; remove it, or set XDG_RUNTIME_DIR to a folder of yours",
		 folder);
	return -1;
}
