/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * box-sh [OPTION...] SCRIPT [FILE...]: boots the box, runs a shell script in it with the files in
 * /in, and ends with its exit status. For tests.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "box.h"

static const char usage[] =
	"usage: box-sh [OPTION...] SCRIPT [FILE...]\n"
	"Boots the box and runs SCRIPT in it with sh; each FILE is there as /in/NAME.\n"
	"  -b KIND     amd (default), intel, bochs:MODEL\n"
	"  -m MIB      memory for guests, default 512\n"
	"  -c N        processors of the box, default 1\n"
	"  -l FILE     keep the box's kernel log\n"
	"  -k OPTIONS  more of its kernel's command line\n"
	"  -o OPTIONS  options of fermata.ko\n"
	"  -i          time is the number of instructions executed; one processor\n"
	"  -n          do not load fermata.ko\n"
	"  -s          the script's standard input is this command's; else it is at its end\n"
	"  -g SOCKET   QEMU: make a socket there, on which gdb controls the box\n"
	"  -1          QEMU: its processors, two by default, take turns on one thread\n"
	"  -t SECONDS  end it after that time, default 300\n"
	"Exit status: the script's; 124 when the time was up; 125 when the box failed.\n";

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 0 || n > 1 << 20) {
		fprintf(stderr, "box-sh: %s is not a number it could take\n", text);
		exit(125);
	}
	return n;
}

/* Copies what is there to standard output; false at its end. */
static bool pass_on(struct box *box)
{
	char buffer[1 << 14];
	ssize_t n;

	while ((n = box_read(box, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0, wrote; done < n; done += wrote) {
			wrote = write(1, buffer + done, n - done);
			if (wrote < 0)
				exit(125);
		}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

struct input {
	bool open;
	char bytes[1 << 12];
	size_t size, sent;
};

static int wants_to_read(const struct input *in)
{
	return in->open && in->sent == in->size ? 0 : -1;
}

/* Reads when all that was read before is sent. */
static void carry_input(struct input *in, struct box *box)
{
	ssize_t n;

	if (in->sent == in->size) {
		n = read(0, in->bytes, sizeof(in->bytes));
		if (n <= 0) {
			in->open = false;
			box_close_input(box);
			return;
		}
		in->size = n;
		in->sent = 0;
	}
	n = write(box_input(box), in->bytes + in->sent, in->size - in->sent);
	if (n > 0)
		in->sent += n;
}

/* QEMU leaves it when the box powers off. */
static void remove_socket(const struct box_request *request)
{
	if (request->gdb_path)
		unlink(request->gdb_path);
}

int main(int argc, char **argv)
{
	struct box_request request = { .kind = "amd", .guest_memory = 512ull << 20 };
	char *inside[] = { "sh", NULL, NULL };
	char script[300], error[1000];
	struct input input = { .open = false };
	struct box_file *files;
	long seconds = 300;
	struct box *box;
	int option, status = 0, ended = 0;
	time_t limit;

	while ((option = getopt(argc, argv, "1b:m:c:l:k:o:g:inst:h")) != -1)
		switch (option) {
		case 'b':
			request.kind = optarg;
			break;
		case 'm':
			request.guest_memory = (uint64_t)number(optarg) << 20;
			break;
		case 'c':
			request.cpus = number(optarg);
			break;
		case 'l':
			request.log_path = optarg;
			break;
		case 'k':
			request.kernel_options = optarg;
			break;
		case 'o':
			request.module_options = optarg;
			break;
		case 'g':
			request.gdb_path = optarg;
			break;
		case 'i':
			request.count = true;
			break;
		case '1':
			request.turns = true;
			break;
		case 'n':
			request.no_module = true;
			break;
		case 's':
			input.open = true;
			break;
		case 't':
			seconds = number(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 125;
		}
	if (optind == argc) {
		fputs(usage, stderr);
		return 125;
	}

	files = calloc(argc, sizeof(*files));
	if (!files)
		return 125;
	for (int i = optind; i < argc; i++)
		files[i - optind] = (struct box_file){ argv[i], base_name(argv[i]) };
	request.files = files;
	request.file_count = argc - optind;
	snprintf(script, sizeof(script), "/in/%s", files[0].name);
	inside[1] = script;
	request.argv = inside;

	box = box_start(&request, error, sizeof(error));
	if (!box) {
		fprintf(stderr, "box-sh: %s\n", error);
		return 125;
	}
	if (!input.open)
		box_close_input(box);
	limit = time(NULL) + seconds;
	while (!ended) {
		struct pollfd p[] = {
			{ .fd = box_output(box), .events = POLLIN },
			{ .fd = box_events(box), .events = POLLIN },
			{ .fd = wants_to_read(&input), .events = POLLIN },
			{ .fd = input.sent < input.size ? box_input(box) : -1, .events = POLLOUT },
		};

		poll(p, 4, 1000);
		if (p[2].revents || p[3].revents)
			carry_input(&input, box);
		if (!pass_on(box))
			break;
		ended = box_wait(box, 0, &status);
		if (!ended && time(NULL) >= limit) {
			fprintf(stderr, "box-sh: not done after %ld s, ended\n", seconds);
			box_free(box);
			remove_socket(&request);
			return 124;
		}
	}
	pass_on(box);
	if (!ended)
		box_wait(box, -1, &status);
	if (status < 0) {
		fprintf(stderr, "box-sh: %s\n", box_error(box));
		status = 125;
	}
	box_free(box);
	remove_socket(&request);
	free(files);
	return status;
}
