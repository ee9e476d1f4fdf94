/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "machine.h"

#define NOBODY 65534 /* nobody and nogroup, on every Debian */

void complain(char *error, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
}

bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char candidate[4200];

	if (!path)
		path = "/usr/bin:/bin";
	while (*path) {
		size_t n = strcspn(path, ":");

		snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)n, path, program);
		if (access(candidate, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

pid_t fork_child(int log)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	sigset_t none;
	int null;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* The terminal's signals are for the caller to act on. */
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	dup2(log, 2);
	return 0;
}

void leave_rights(void)
{
	pid_t parent = getppid();

	/* An ordinary user may have a network of his own if it is in a user namespace. */
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		errno = 0; /* some systems allow neither */
	/* Where root may not do that, as in some containers, the emulator stays what its user is. */
	if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	    setresuid(NOBODY, NOBODY, NOBODY) != 0)
		dprintf(2, "the emulator runs as root: %s\n", strerror(errno));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/* A change of the user takes the tie to the parent away (prctl(2)). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

int copy_file(const char *path, char *error, size_t error_size)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("fermata-box-file", MFD_CLOEXEC);
	ssize_t n = -1;

	if (from >= 0 && to >= 0)
		while ((n = sendfile(to, from, NULL, 1 << 30)) > 0)
			;
	if (n < 0) {
		complain(error, error_size, "cannot read %s: %s", path, strerror(errno));
		if (to >= 0)
			close(to);
		to = -1;
	}
	if (from >= 0)
		close(from);
	return to;
}

void keep_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

void close_others(const int keep[], size_t count)
{
	unsigned int from = 3;

	for (;;) {
		unsigned int next = ~0u;

		for (size_t i = 0; i < count; i++)
			if (keep[i] >= (int)from && (unsigned int)keep[i] < next)
				next = keep[i];
		if (next > from)
			close_range(from, next - 1, 0);
		if (next == ~0u)
			return;
		from = next + 1;
	}
}

void add(struct command *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (c->count < sizeof(c->argv) / sizeof(c->argv[0]) - 1 &&
	    vasprintf(&c->argv[c->count], format, args) >= 0)
		c->argv[++c->count] = NULL;
	va_end(args);
}

void free_command(struct command *c)
{
	while (c->count)
		free(c->argv[--c->count]);
}

void run_command(struct command *c)
{
	execvp(c->argv[0], c->argv);
	dprintf(2, "%s: %s\n", c->argv[0], strerror(errno));
	_exit(127);
}
