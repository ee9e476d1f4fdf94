/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Runs inside the box: connects a command to the three ports that lead out of it (its input, its
 * output, and the status), reports how it ended, and leaves when all of that has left the box.
 *
 *	agent COMMAND [ARGUMENT...]	"booted", then "status N" when the command has ended
 *	agent --fail TEXT		"fail TEXT"
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"

static void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static int open_named(const char *name, int flags)
{
	char path[300], have[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir = opendir(PORTS);

	while (dir && fd < 0 && (entry = readdir(dir))) {
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), PORTS "/%s/name", entry->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(have, sizeof(have), f)) {
			have[strcspn(have, "\n")] = 0;
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			if (!strcmp(have, name))
				fd = open(path, flags);
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* Ports appear some time after their driver is loaded. */
static int open_port(const char *name, int flags)
{
	int fd = -1;

	for (int tries = 0; tries < 10000; tries++) {
		fd = open_named(name, flags);
		if (fd >= 0)
			return fd;
		sleep_ms(1);
	}
	fprintf(stderr, "agent: no port \"%s\"\n", name);
	exit(1);
}

/*
 * A port not yet connected reads as ended. The status port is the last of the three that QEMU
 * announces, and the announcements arrive in order: once it is connected, all are.
 */
static void wait_connected(int fd)
{
	for (int tries = 0; tries < 10000; tries++) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP))
			return;
		sleep_ms(1);
	}
}

/* A port is writable again when QEMU has taken the previous buffer and passed it on. */
static void wait_sent(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (poll(&p, 1, -1) < 0 || !(p.revents & POLLOUT))
		if (p.revents & POLLHUP)
			return;
}

static void report(int fd, const char *what, const char *text)
{
	char line[1024];
	int length = snprintf(line, sizeof(line), "%s%s%s\n", what, *text ? " " : "", text);

	if (length >= (int)sizeof(line))
		length = sizeof(line) - 1;
	if (write(fd, line, length) != length)
		perror("agent: write");
	wait_sent(fd);
}

int main(int argc, char **argv)
{
	int input, output, status, result = 0;
	char number[16];
	pid_t pid;

	if (argc < 2)
		return 1;
	status = open_port("status", O_RDWR | O_CLOEXEC);
	wait_connected(status);
	if (!strcmp(argv[1], "--fail")) {
		report(status, "fail", argc > 2 ? argv[2] : "");
		return 0;
	}
	input = open_port("input", O_RDONLY | O_CLOEXEC);
	output = open_port("output", O_WRONLY | O_CLOEXEC);
	report(status, "booted", "");

	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(input, 0);
		dup2(output, 1);
		dup2(output, 2);
		execvp(argv[1], argv + 1);
		dprintf(2, "agent: %s: %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	while (pid < 0 || waitpid(pid, &result, 0) != pid)
		if (errno != EINTR) {
			report(status, "fail", strerror(errno));
			return 1;
		}
	wait_sent(output);
	snprintf(number, sizeof(number), "%d",
		 WIFSIGNALED(result) ? 128 + WTERMSIG(result) : WEXITSTATUS(result));
	report(status, "status", number);
	return 0;
}
