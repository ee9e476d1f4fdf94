/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Bochs: out by the parallel port, driven from here, in by the serial line (wire.h). The command has
 * pipes, and the agent stands between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"
#include "relay.h"
#include "wire.h"

#define LINE "/dev/ttyS0"
#define TRIGGER "/sys/class/tty/ttyS0/rx_trig_bytes"
/* IEEE 1284, the "compatibility mode" of the first PCs' printer port. */
#define DATA 0x378
#define CONTROL 0x37a
#define STROBE 0x01
#define SELECTED 0x0c /* the printer is selected and not being reset */

static struct {
	int line;
	int to_command, from_command;
	uint64_t written;		  /* by the command */
	unsigned char input[WIRE_WINDOW]; /* for the command, not yet taken by its pipe */
	size_t input_size;
	unsigned char frame_kind; /* of the frame that is arriving; 0: none */
	bool frame_length;	  /* is known */
	size_t frame_left;
	bool input_ended;
} wire;
static struct relay relay;

static void fail(const char *what)
{
	fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		outb(bytes[i], DATA);
		outb(SELECTED | STROBE, CONTROL);
		outb(SELECTED, CONTROL);
	}
}

static void send_head(unsigned char kind, size_t n)
{
	unsigned char head[WIRE_OUT_HEAD] = { kind, n & 0xff, n >> 8 };

	put(head, sizeof(head));
}

static void send_frame(unsigned char kind, const void *bytes, size_t n)
{
	send_head(kind, n);
	put(bytes, n);
}

static void connect_wire(void)
{
	signal(SIGPIPE, SIG_IGN);
	if (ioperm(DATA, 3, 1) < 0)
		fail("ioperm");
	outb(SELECTED, CONTROL);
}

static void report(const char *text)
{
	char line[1024];

	send_frame(WIRE_STATUS, line, snprintf(line, sizeof(line), "%s\n", text));
}

/*
 * An interrupt for each byte. For less than the trigger Bochs starts a timer, which goes off though the FIFO was
 * emptied meanwhile, and then the last byte is there once more.
 */
static void set_trigger(void)
{
	int fd = open(TRIGGER, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		fail(TRIGGER);
	close(fd);
}

static void streams(int *input, int *output)
{
	int in[2], out[2];
	struct termios raw;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		fail("pipe");
	wire.line = open(LINE, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (wire.line < 0 || tcgetattr(wire.line, &raw) < 0)
		fail(LINE);
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL | CREAD;
	raw.c_cflag &= ~CRTSCTS;
	cfsetspeed(&raw, B115200);
	if (tcsetattr(wire.line, TCSANOW, &raw) < 0)
		fail(LINE);
	set_trigger();
	wire.to_command = in[1];
	wire.from_command = out[0];
	fcntl(wire.to_command, F_SETFL, O_NONBLOCK);
	fcntl(wire.from_command, F_SETFL, O_NONBLOCK);
	*input = in[0];
	*output = out[1];
	relay_init(&relay, true);
	send_head(WIRE_ROOM, WIRE_WINDOW);
	send_head(WIRE_LINE, WIRE_FIFO);
}

/* Bytes of one frame. */
static void take_bytes(const unsigned char *bytes, size_t n)
{
	size_t room = sizeof(wire.input) - wire.input_size;

	if (wire.frame_kind == WIRE_RELAY) {
		/* Our own starter's: it is a relay. */
		relay_take(&relay, bytes, n);
	} else if (!wire.input_ended) {
		/* The starter knows the room; without that, the excess would be lost here. */
		memcpy(wire.input + wire.input_size, bytes, n < room ? n : room);
		wire.input_size += n < room ? n : room;
	}
}

static void take(const unsigned char *bytes, size_t n)
{
	while (n) {
		size_t piece = 1;

		if (!wire.frame_kind) {
			wire.frame_kind = *bytes;
		} else if (!wire.frame_length) {
			wire.frame_length = true;
			wire.frame_left = *bytes;
			if (!*bytes && wire.frame_kind == WIRE_INPUT)
				wire.input_ended = true;
		} else {
			piece = wire.frame_left < n ? wire.frame_left : n;
			take_bytes(bytes, piece);
			wire.frame_left -= piece;
		}
		if (wire.frame_length && !wire.frame_left) {
			wire.frame_kind = 0;
			wire.frame_length = false;
		}
		bytes += piece;
		n -= piece;
	}
}

static void read_line(void)
{
	unsigned char bytes[512];
	ssize_t n;

	while ((n = read(wire.line, bytes, sizeof(bytes))) > 0) {
		send_head(WIRE_LINE, n);
		take(bytes, n);
	}
}

static void close_input(void)
{
	close(wire.to_command);
	wire.to_command = -1;
}

static void feed_command(void)
{
	ssize_t n = 0;

	if (wire.to_command < 0)
		return;
	if (wire.input_size)
		n = write(wire.to_command, wire.input, wire.input_size);
	if (n < 0 && errno == EPIPE) {
		/* Nobody reads: what comes is thrown away. */
		n = wire.input_size;
		close_input();
	}
	if (n > 0) {
		wire.input_size -= n;
		memmove(wire.input, wire.input + n, wire.input_size);
		send_head(WIRE_ROOM, n);
	}
	if (wire.to_command >= 0 && wire.input_ended && !wire.input_size)
		close_input();
}

/* False: nothing is there. */
static bool pass_output(void)
{
	static unsigned char bytes[1 << 14];
	ssize_t n = read(wire.from_command, bytes, sizeof(bytes));

	if (n > 0) {
		send_frame(WIRE_OUTPUT, bytes, n);
		wire.written += n;
	}
	if (n == 0) {
		close(wire.from_command);
		wire.from_command = -1;
	}
	return n > 0;
}

static void send_relayed(void)
{
	const unsigned char *bytes;
	size_t n;

	while ((n = relay_pending(&relay, &bytes))) {
		if (n > WIRE_OUT_MAX)
			n = WIRE_OUT_MAX;
		send_frame(WIRE_RELAY, bytes, n);
		relay_sent(&relay, n);
	}
}

static int serve(pid_t child)
{
	int end = syscall(SYS_pidfd_open, child, 0), result = 0;
	struct pollfd p[4 + RELAY_LINKS];

	if (end < 0)
		fail("pidfd_open");
	for (;;) {
		send_relayed();
		p[0] = (struct pollfd){ .fd = wire.from_command, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = wire.line, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = wire.input_size ? wire.to_command : -1,
					.events = POLLOUT };
		p[3] = (struct pollfd){ .fd = end, .events = POLLIN };
		relay_poll(&relay, p + 4);
		if (poll(p, 4 + RELAY_LINKS, relay_dialling(&relay) ? DIAL_MS : -1) < 0)
			continue;
		if (p[1].revents)
			read_line();
		if (p[1].revents || p[2].revents)
			feed_command();
		if (p[0].revents)
			pass_output();
		relay_polled(&relay, p + 4);
		if (p[3].revents)
			break;
	}
	while (wire.from_command >= 0 && pass_output())
		;
	relay_finish(&relay);
	send_relayed();
	while (waitpid(child, &result, 0) < 0 && errno == EINTR)
		;
	return result;
}

static uint64_t written(void)
{
	return wire.written;
}

/* The streams leave in order, and the starter's end of them outlives the box: there is nothing to wait for. */
const struct channel wire_channel = {
	.name = "wire",
	.connect = connect_wire,
	.report = report,
	.streams = streams,
	.serve = serve,
	.written = written,
};
