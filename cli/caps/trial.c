/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/text/say.h"

#ifndef FERMATA_LIBDIR
#define FERMATA_LIBDIR "/usr/local/lib"
#endif

#define MOST_SECONDS 200       /* for one guest; Bochs needs half of that for the longest */
#define MOST_BYTES (1ul << 20) /* of what one says */

/* ---- where they are */

static bool has_runner(const char *folder, const char *tail, char *out, size_t size)
{
	char path[4200];

	snprintf(out, size, "%s%s", folder, tail);
	snprintf(path, sizeof(path), "%s/runner", out);
	return access(path, R_OK) == 0;
}

static bool find_folder(struct trials *t, const char *folder)
{
	static const char *const tails[] = { "/guests", "/../lib/fermata/guests" };
	size_t size = sizeof(t->folder);
	char self[4000];
	ssize_t n;

	if (folder) {
		if (!has_runner(folder, "", t->folder, size))
			return false;
		/* A file that was carried into the box is no program yet. */
		snprintf(self, sizeof(self), "%s/runner", folder);
		if (access(self, X_OK) && chmod(self, 0755))
			return false;
		return true;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	if (strrchr(self, '/')) {
		*strrchr(self, '/') = 0;
		for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
			if (has_runner(self, tails[i], t->folder, size))
				return true;
	}
	return has_runner(FERMATA_LIBDIR, "/fermata/guests", t->folder, size);
}

/* The build leaves other files beside them. */
static int is_guest(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return name[0] != '.' && !strchr(name, '.') && strcmp(name, "runner") &&
	       entry->d_type != DT_DIR;
}

bool trials_find(struct trials *t, const char *folder)
{
	struct dirent **list = NULL;
	int count;

	memset(t, 0, sizeof(*t));
	if (!find_folder(t, folder)) {
		say("no test guests (runner and its guests) in %s; run make, or install them",
		    t->folder);
		return false;
	}
	count = scandir(t->folder, &list, is_guest, alphasort);
	for (int i = 0; i < count; i++) {
		if (t->count < TRIALS_MAX)
			t->names[t->count++] = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (size_t i = 0; i < t->count; i++)
		if (!t->names[i])
			count = -1;
	if (count > 0)
		return true;
	say(count ? "cannot read %s: %s" : "no guests in %s%s", t->folder,
	    count ? strerror(errno) : "");
	return false;
}

void trials_free(struct trials *t)
{
	while (t->count)
		free(t->names[--t->count]);
}

/* ---- one run */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_guest(const struct trials *t, const char *name, int output)
{
	char runner[4200], guest[4400];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(runner, sizeof(runner), "%s/runner", t->folder);
	snprintf(guest, sizeof(guest), "%s/%s", t->folder, name);
	dup2(output, 1);
	dup2(output, 2);
	execl(runner, runner, guest, (char *)NULL);
	_exit(127);
}

/* All that comes, up to a limit, until its end or the time is up. */
static void listen_to(struct trial *t, int fd, double until)
{
	size_t length = 0, room = 0;
	char rest[4096];

	for (;;) {
		double left = until - now();
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (room - length < 4096 && room < MOST_BYTES) {
			char *more = realloc(t->said, room + 65536 + 1);

			if (more) {
				t->said = more;
				room += 65536;
			}
		}
		if (left <= 0 || (poll(&ready, 1, (int)(left * 1000) + 1) == 0)) {
			t->timeout = true;
			break;
		}
		n = room > length ? read(fd, t->said + length, room - length) :
				    read(fd, rest, sizeof(rest));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (room > length)
			length += (size_t)n;
	}
	if (t->said)
		t->said[length] = 0;
}

static void count_lines(struct trial *t)
{
	const char *line = t->said;

	while (line && *line) {
		if (!strncmp(line, "ok ", 3) || !strncmp(line, "not ok ", 7)) {
			t->checks++;
			t->failed += line[0] == 'n';
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
}

bool trial_run(struct trial *t, const struct trials *trials, const char *name)
{
	double begun = now();
	int ends[2], status = 0;
	pid_t pid;

	memset(t, 0, sizeof(*t));
	if (pipe2(ends, O_CLOEXEC)) {
		say("no pipe for a guest: %s", strerror(errno));
		return false;
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		run_guest(trials, name, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		say("no process for a guest: %s", strerror(errno));
		close(ends[0]);
		return false;
	}
	listen_to(t, ends[0], begun + MOST_SECONDS);
	close(ends[0]);
	if (t->timeout)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	t->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	t->seconds = now() - begun;
	count_lines(t);
	return true;
}

bool trial_good(const struct trial *t)
{
	return t->checks && !t->failed && !t->status && !t->timeout;
}
