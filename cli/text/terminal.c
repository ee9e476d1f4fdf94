/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t is_raw;
static bool wanted; /* terminal_raw() was called and `saved` is set */

bool terminal_is_raw(void)
{
	return is_raw;
}

/* A background process that touches its terminal gets SIGTTOU, which would stop it. */
static void set_attributes(const struct termios *attributes)
{
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	/* TCSANOW: what the user has typed ahead stays, and a stuck terminal cannot hold us up. */
	while (tcsetattr(STDIN_FILENO, TCSANOW, attributes) && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	set_attributes(&saved);
}

static void restore_and_die(int signal_number)
{
	int error = errno;

	terminal_restore();
	errno = error;
	/* SA_RESETHAND: this time it kills, with the core and the status it would have had. */
	raise(signal_number);
}

static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	/* A serial line that is nobody's controlling terminal has no foreground. */
	return group < 0 || group == getpgrp();
}

static void make_raw(void)
{
	struct termios raw = saved;

	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_raw = 1;
	set_attributes(&raw);
}

bool terminal_raw(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP };
	size_t i;

	if (!isatty(STDIN_FILENO))
		return false;
	if (is_raw)
		return true;
	if (!wanted) {
		struct sigaction action = { .sa_handler = restore_and_die };

		if (tcgetattr(STDIN_FILENO, &saved))
			return false;
		action.sa_flags = (int)SA_RESETHAND;
		for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
			sigaction(crashes[i], &action, NULL);
		atexit(terminal_restore);
		wanted = true;
	}
	if (in_foreground())
		make_raw();
	return true;
}

void terminal_suspend(void)
{
	terminal_restore();
	raise(SIGSTOP);
}

void terminal_resume(void)
{
	if (wanted && in_foreground())
		make_raw();
}

void terminal_standard_files(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd)
			_exit(1);
	}
}
