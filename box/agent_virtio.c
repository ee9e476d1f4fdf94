/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* QEMU: three virtio ports. The command has two of them itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define PORTS "/sys/class/virtio-ports"

static int status, command_output;

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
static void connect_status(void)
{
	status = open_port("status", O_RDWR | O_CLOEXEC);
	for (int tries = 0; tries < 10000; tries++) {
		struct pollfd p = { .fd = status, .events = POLLOUT };

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

static void report(const char *text)
{
	char line[1024];
	int length = snprintf(line, sizeof(line), "%s\n", text);

	if (write(status, line, length) != length)
		perror("agent: write");
	wait_sent(status);
}

static void streams(int *input, int *output)
{
	*input = open_port("input", O_RDONLY | O_CLOEXEC);
	*output = command_output = open_port("output", O_WRONLY | O_CLOEXEC);
}

static int serve(pid_t child)
{
	int result = 0;

	while (waitpid(child, &result, 0) < 0 && errno == EINTR)
		;
	wait_sent(command_output);
	return result;
}

const struct channel virtio_channel = {
	.name = "virtio",
	.connect = connect_status,
	.report = report,
	.streams = streams,
	.serve = serve,
};
