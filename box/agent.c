/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Runs inside the box: connects a command to the streams that lead out of it (its input, its output,
 * and the status), reports how it ended, and leaves when all of that has arrived outside.
 * BOX_PORTS in the environment names the way out; with BOX_COUNT time is the number of instructions.
 *
 *	agent COMMAND [ARGUMENT...]	"booted", then "status N BYTES" when the command has ended:
 *					so many bytes of output it wrote
 *	agent --fail TEXT		"fail TEXT"
 */
#include "agent.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static const struct channel *channel(void)
{
	static const struct channel *const channels[] = { &virtio_channel, &wire_channel };
	const char *name = getenv("BOX_PORTS");

	for (size_t i = 0; name && i < sizeof(channels) / sizeof(channels[0]); i++)
		if (!strcmp(name, channels[i]->name))
			return channels[i];
	fprintf(stderr, "agent: no way out is called \"%s\"\n", name ? name : "");
	exit(1);
}

static void report(const struct channel *c, const char *what, const char *text)
{
	char line[1000];

	snprintf(line, sizeof(line), "%s%s%s", what, *text ? " " : "", text);
	c->report(line);
}

static void report_last(const struct channel *c, const char *what, const char *text)
{
	report(c, what, text);
	if (c->leave)
		c->leave();
}

int main(int argc, char **argv)
{
	const struct channel *c = channel();
	int input, output, result;
	char numbers[40];
	pid_t pid;

	if (argc < 2)
		return 1;
	c->connect();
	if (!strcmp(argv[1], "--fail")) {
		report_last(c, "fail", argc > 2 ? argv[2] : "");
		return 0;
	}
	c->streams(&input, &output);
	report(c, "booted", "");

	pid = fork();
	if (pid < 0) {
		report_last(c, "fail", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		unsetenv("BOX_PORTS");
		unsetenv("BOX_COUNT");
		signal(SIGPIPE, SIG_DFL);
		setsid();
		dup2(input, 0);
		dup2(output, 1);
		dup2(output, 2);
		execvp(argv[1], argv + 1);
		dprintf(2, "agent: %s: %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	close(input);
	result = c->serve(pid);
	snprintf(numbers, sizeof(numbers), "%d %" PRIu64,
		 WIFSIGNALED(result) ? 128 + WTERMSIG(result) : WEXITSTATUS(result), c->written());
	report_last(c, "status", numbers);
	return 0;
}
