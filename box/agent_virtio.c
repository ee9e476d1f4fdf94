/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * QEMU: four virtio ports. The command has two of them itself. What is written to a port may wait in its
 * queue of 128 buffers, for which QEMU may take its time, and is lost there when the box ends. Neither
 * poll() nor close() tells when the queue is empty: the starter does, who counts what arrives.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/rtc.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "relay.h"

#define PORTS "/sys/class/virtio-ports"
#define COUNTS "/sys/kernel/debug/virtio-ports"

static int status, command_output, relay_port;
static struct relay relay;

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
 * A port not yet connected reads as ended. The status port is the last of those that QEMU
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

static void report(const char *text)
{
	char line[1024];
	int length = snprintf(line, sizeof(line), "%s\n", text);

	if (write(status, line, length) != length)
		perror("agent: write");
}

/* The starter says one byte when he has everything. */
static void leave(void)
{
	char byte;

	while (read(status, &byte, 1) < 0 && errno == EINTR)
		;
}

/* By whomever: what the command has started may write, too. */
static uint64_t written(void)
{
	char link[64], device[64] = "", path[128], line[128];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", command_output);
	if (readlink(link, device, sizeof(device) - 1) < 0)
		perror(link);
	snprintf(path, sizeof(path), COUNTS "/%s", basename(device));
	f = fopen(path, "re");
	if (!f) {
		perror(path);
		return 0;
	}
	while (fgets(line, sizeof(line), f))
		sscanf(line, "bytes_sent: %" SCNu64, &bytes);
	fclose(f);
	return bytes;
}

/*
 * QEMU may forget that an interrupt is pending, until the next one comes (box/README.md): so those of the
 * machine's clock come as long as this descriptor is open. Where instructions are counted there is one
 * thread, which does not forget, and the count is to be of nothing else.
 */
static void keep_awake(void)
{
	int rtc;

	if (getenv("BOX_COUNT"))
		return;
	rtc = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	if (rtc < 0 || ioctl(rtc, RTC_UIE_ON, 0))
		perror("agent: /dev/rtc0");
}

static void streams(int *input, int *output)
{
	*input = open_port("input", O_RDONLY | O_CLOEXEC);
	*output = command_output = open_port("output", O_WRONLY | O_CLOEXEC);
	relay_port = open_port("relay", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	relay_init(&relay, true);
	keep_awake();
}

static void send_relayed(void)
{
	const unsigned char *bytes;
	size_t n = relay_pending(&relay, &bytes);
	ssize_t sent = n ? write(relay_port, bytes, n) : 0;

	if (sent > 0)
		relay_sent(&relay, (size_t)sent);
}

/* False: nothing that makes sense comes there any more. */
static bool take_relayed(void)
{
	unsigned char bytes[4096];
	ssize_t n = read(relay_port, bytes, sizeof(bytes));

	return n > 0 ? relay_take(&relay, bytes, (size_t)n) :
		       n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Until the child has ended. */
static void carry(int end)
{
	struct pollfd p[2 + RELAY_LINKS];
	bool listening = true;

	for (;;) {
		const unsigned char *bytes;

		send_relayed();
		relay_poll(&relay, p + 2);
		p[0] = (struct pollfd){ .fd = end, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = listening ? relay_port : -1, .events = POLLIN };
		if (relay_pending(&relay, &bytes))
			p[1].events |= POLLOUT;
		if (poll(p, 2 + RELAY_LINKS, relay_dialling(&relay) ? DIAL_MS : -1) < 0)
			continue;
		if (p[0].revents)
			return;
		if (p[1].revents & (POLLIN | POLLHUP))
			listening = take_relayed();
		relay_polled(&relay, p + 2);
	}
}

/* Each connection is ended from both sides: what was said inside has arrived when the answer comes. */
static void finish_relay(void)
{
	const unsigned char *bytes;

	relay_finish(&relay);
	while (relay_linked(&relay) || relay_pending(&relay, &bytes)) {
		struct pollfd p = { .fd = relay_port, .events = POLLIN };

		if (relay_pending(&relay, &bytes))
			p.events |= POLLOUT;
		if (poll(&p, 1, -1) < 0)
			continue;
		if (p.revents & (POLLHUP | POLLERR) || (p.revents & POLLIN && !take_relayed()))
			return;
		relay_finish(&relay);
		send_relayed();
	}
}

static int serve(pid_t child)
{
	int end = syscall(SYS_pidfd_open, child, 0), result = 0;

	if (end >= 0)
		carry(end);
	while (waitpid(child, &result, 0) < 0 && errno == EINTR)
		;
	finish_relay();
	return result;
}

const struct channel virtio_channel = {
	.name = "virtio",
	.connect = connect_status,
	.report = report,
	.streams = streams,
	.serve = serve,
	.written = written,
	.leave = leave,
};
