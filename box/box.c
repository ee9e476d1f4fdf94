/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "carrier.h"
#include "cpio.h"
#include "machine.h"

#ifndef FERMATA_LIBDIR
#define FERMATA_LIBDIR "/usr/local/lib"
#endif

/* The box's own kernel and userland, and what the command needs beside its guests' memory. */
#define OVERHEAD (224ull << 20)
#define LOG_TAIL 4000

struct box {
	const struct box_machine *machine;
	pid_t pid;
	int port[PORTS];
	struct carrier *carrier; /* of port[RELAY] */
	int log;		 /* the box's kernel log, and what the emulator says */
	bool keep_log;
	bool booted;
	bool ended; /* the command has */
	int status;
	uint64_t output_read, output_size; /* bytes; the size is known when the command has ended */
	char line[1024];		   /* of the status port, so far */
	size_t line_size;
	char *failure; /* what the agent said instead of a status */
	char *error;
};

/* ---- where things are */

/* True, with *dir set, when the images are in the folder named by base and tail. */
static bool images_in(char *dir, size_t size, const char *base, const char *tail)
{
	char path[4200];

	if (snprintf(dir, size, "%s%s", base, tail) >= (int)size)
		return false;
	snprintf(path, sizeof(path), "%s/vmlinuz", dir);
	if (access(path, R_OK) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/initrd.cpio", dir);
	return access(path, R_OK) == 0;
}

/*
 * $FERMATA_BOX; else box/ beside the executable; the executable's own folder (box-sh); lib/fermata/box
 * beside its bin/; the place of `make install`.
 */
static bool find_images(char *dir, size_t size, char *error, size_t error_size)
{
	static const char *const tails[] = { "/box", "", "/../lib/fermata/box" };
	const char *wanted = getenv("FERMATA_BOX");
	char self[4096];
	ssize_t n;

	if (wanted && *wanted) {
		if (images_in(dir, size, wanted, ""))
			return true;
		complain(error, error_size,
			 "no box in FERMATA_BOX=%s: vmlinuz and initrd.cpio are expected there",
			 wanted);
		return false;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	if (strrchr(self, '/')) {
		*strrchr(self, '/') = 0;
		for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
			if (images_in(dir, size, self, tails[i]))
				return true;
	}
	if (images_in(dir, size, FERMATA_LIBDIR, "/fermata/box"))
		return true;
	complain(error, error_size,
		 "no box image (vmlinuz, initrd.cpio) beside the command or in %s; run make, "
		 "or set FERMATA_BOX",
		 dir);
	return false;
}

static const struct box_machine *machine_of(const char *kind, char *error, size_t error_size)
{
	static const struct box_machine *const machines[] = { &box_qemu, &box_bochs };

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		switch (machines[i]->takes(kind, error, error_size)) {
		case 1:
			return machines[i];
		case -1:
			return NULL;
		}
	complain(error, error_size, "there is no such box; give amd, intel or bochs:MODEL");
	return NULL;
}

static const struct box_machine *check(const char *kind, char *dir, size_t size, char *error,
				       size_t error_size)
{
	const struct box_machine *machine = machine_of(kind, error, error_size);

	if (machine && machine->installed(error, error_size) &&
	    find_images(dir, size, error, error_size))
		return machine;
	return NULL;
}

int box_kind(const char *kind, char *error, size_t error_size)
{
	return machine_of(kind, error, error_size) ? 0 : -1;
}

int box_check(const char *kind, char *error, size_t error_size)
{
	char dir[4096];

	return check(kind, dir, sizeof(dir), error, error_size) ? 0 : -1;
}

/* ---- the archive the box boots from: the common one, and behind it what this start needs */

static int put_quoted(FILE *f, const char *text)
{
	fputc('\'', f);
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", f);
		else
			fputc(*text, f);
	return fputc('\'', f);
}

static int put_command(int fd, const struct box_request *r)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int err;

	if (!f)
		return -ENOMEM;
	fputs("exec", f);
	for (char *const *arg = r->argv; *arg; arg++) {
		fputc(' ', f);
		put_quoted(f, *arg);
	}
	fputc('\n', f);
	fclose(f);
	err = cpio_file(fd, "box/command", 0644, text, size);
	free(text);
	return err;
}

static int put_options(int fd, const struct box_request *r, const struct box_machine *machine)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int err;

	if (!f)
		return -ENOMEM;
	fprintf(f, "export BOX_PORTS=%s %sBOX_KIND=", machine->ports,
		r->count ? "BOX_COUNT=yes " : "");
	put_quoted(f, r->kind);
	fputc('\n', f);
	fprintf(f, "module=%s\nmodule_options='%s '", r->no_module ? "no" : "yes",
		machine->module_options);
	put_quoted(f, r->module_options ? r->module_options : "");
	fputc('\n', f);
	fclose(f);
	err = cpio_file(fd, "box/options", 0644, text, size);
	free(text);
	return err;
}

static int put_file(int fd, const struct box_file *file, char *error, size_t error_size)
{
	int from = open(file->host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char name[300];
	struct stat st;
	int err;

	if (from < 0) {
		complain(error, error_size, "cannot read %s: %s", file->host_path, strerror(errno));
		return -1;
	}
	if (fstat(from, &st) == 0 && !S_ISREG(st.st_mode)) {
		complain(error, error_size, "%s is not a regular file; the box takes only those",
			 file->host_path);
		close(from);
		return -1;
	}
	snprintf(name, sizeof(name), "in/%s", file->name);
	err = cpio_copy(fd, name, 0755, from);
	close(from);
	if (err) {
		complain(error, error_size, "cannot carry %s into the box: %s", file->host_path,
			 strerror(-err));
		return -1;
	}
	return 0;
}

/* A file without a name, so that nothing is left behind however this ends. */
static int make_initrd(const char *dir, const struct box_request *r,
		       const struct box_machine *machine, char *error, size_t size)
{
	char path[4200];
	int base, err, fd;

	snprintf(path, sizeof(path), "%s/initrd.cpio", dir);
	base = open(path, O_RDONLY | O_CLOEXEC);
	fd = memfd_create("fermata-box-initrd", MFD_CLOEXEC);
	if (base < 0 || fd < 0) {
		complain(error, size, "cannot read %s: %s", path, strerror(errno));
		goto fail;
	}
	err = cpio_append(fd, base);
	if (!err)
		err = put_options(fd, r, machine);
	if (!err)
		err = put_command(fd, r);
	if (!err)
		err = cpio_directory(fd, "in");
	if (err) {
		complain(error, size, "cannot prepare the box's files: %s", strerror(-err));
		goto fail;
	}
	for (size_t i = 0; i < r->file_count; i++)
		if (put_file(fd, &r->files[i], error, size) < 0)
			goto fail;
	err = cpio_end(fd);
	if (err) {
		complain(error, size, "cannot prepare the box's files: %s", strerror(-err));
		goto fail;
	}
	close(base);
	return fd;
fail:
	if (base >= 0)
		close(base);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- its start */

static void close_ports(int port[PORTS])
{
	for (int i = 0; i < PORTS; i++)
		if (port[i] >= 0) {
			close(port[i]);
			port[i] = -1;
		}
}

static int open_ports(int ours[PORTS], int theirs[PORTS])
{
	for (int i = 0; i < PORTS; i++)
		ours[i] = theirs[i] = -1;
	for (int i = 0; i < PORTS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
			close_ports(ours);
			close_ports(theirs);
			return -1;
		}
		ours[i] = pair[0];
		theirs[i] = pair[1];
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int open_log(const char *path)
{
	int fd;

	if (!path) {
		fd = memfd_create("fermata-box-log", MFD_CLOEXEC);
		if (fd >= 0)
			fcntl(fd, F_SETFL, O_APPEND);
		return fd;
	}
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
}

struct box *box_start(const struct box_request *r, char *error, size_t error_size)
{
	const struct box_machine *machine;
	int theirs[PORTS] = { -1, -1, -1, -1 };
	struct box_boot boot;
	struct box *box;
	char dir[4096];
	struct stat st;
	int initrd;

	machine = check(r->kind, dir, sizeof(dir), error, error_size);
	if (!machine)
		return NULL;
	box = calloc(1, sizeof(*box));
	if (!box) {
		complain(error, error_size, "no memory for the box");
		return NULL;
	}
	box->log = -1;
	box->machine = machine;
	initrd = make_initrd(dir, r, machine, error, error_size);
	if (initrd < 0 || fstat(initrd, &st) < 0)
		goto fail;
	box->keep_log = r->log_path;
	box->log = open_log(r->log_path);
	if (box->log < 0) {
		complain(error, error_size, "cannot write the box's log %s: %s",
			 r->log_path ? r->log_path : "", strerror(errno));
		goto fail;
	}
	if (open_ports(box->port, theirs) < 0) {
		complain(error, error_size, "no sockets for the box: %s", strerror(errno));
		goto fail;
	}
	boot = (struct box_boot){
		.request = r,
		.dir = dir,
		.initrd = initrd,
		.initrd_size = st.st_size,
		.memory = r->guest_memory + OVERHEAD + 2 * st.st_size,
		.log = box->log,
		.port = theirs,
	};
	box->pid = machine->start(&boot, error, error_size);
	if (box->pid < 0)
		goto fail;
	close_ports(theirs);
	/* Not before the fork: the child has no threads, and must not find their locks taken. */
	box->carrier = carrier_start(box->port[RELAY], error, error_size);
	if (!box->carrier) {
		close(initrd);
		box_free(box);
		return NULL;
	}
	close(initrd);
	return box;
fail:
	if (initrd >= 0)
		close(initrd);
	if (box->log >= 0) {
		close_ports(theirs);
		close(box->log);
	}
	free(box);
	return NULL;
}

/* ---- its life */

int box_relay(struct box *box, int fd, const char *path)
{
	return carrier_begin(box->carrier, fd, path) ? 0 : -1;
}

int box_input(struct box *box)
{
	return box->port[INPUT];
}

void box_close_input(struct box *box)
{
	shutdown(box->port[INPUT], SHUT_WR);
}

int box_output(struct box *box)
{
	return box->port[OUTPUT];
}

int box_events(struct box *box)
{
	return box->port[STATUS];
}

/*
 * Ends the box when it has nothing more to give: its last output may come behind the command's status. A log
 * someone keeps is complete only once the box has powered off; the agent waits for a byte before it does.
 */
static void dismiss(struct box *box)
{
	if (!box->ended || box->output_read < box->output_size)
		return;
	if (box->keep_log)
		send(box->port[STATUS], "\n", 1, MSG_NOSIGNAL);
	else
		box_kill(box);
}

ssize_t box_read(struct box *box, void *bytes, size_t n)
{
	ssize_t got = read(box->port[OUTPUT], bytes, n);

	if (got > 0) {
		box->output_read += (uint64_t)got;
		dismiss(box);
	}
	return got;
}

static void take_line(struct box *box, const char *line)
{
	if (!strcmp(line, "booted")) {
		box->booted = true;
	} else if (sscanf(line, "status %d %" SCNu64, &box->status, &box->output_size) == 2) {
		box->ended = true;
		dismiss(box);
	} else if (!strncmp(line, "fail ", 5)) {
		free(box->failure);
		box->failure = strdup(line + 5);
		box->status = -1;
		box->ended = true;
		dismiss(box);
	}
}

/* What comes from the box is no order to a terminal. */
static char plain(char byte)
{
	return byte == '\n' || byte == '\t' || (byte >= ' ' && byte <= '~') ? byte : '?';
}

/* Reads what the agent has sent; false when there will be no more. */
static bool read_status(struct box *box)
{
	for (;;) {
		char byte;
		ssize_t n = read(box->port[STATUS], &byte, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		if (byte == '\n') {
			box->line[box->line_size] = 0;
			take_line(box, box->line);
			box->line_size = 0;
		} else if (box->line_size < sizeof(box->line) - 1) {
			box->line[box->line_size++] = plain(byte);
		}
	}
}

bool box_booted(struct box *box)
{
	if (box->pid > 0)
		read_status(box);
	return box->booted;
}

static void reap(struct box *box)
{
	int status;

	while (box->pid > 0 && waitpid(box->pid, &status, 0) < 0 && errno == EINTR)
		;
	box->pid = 0;
}

/* The log's last lines, each whole, in plain characters. */
static char *log_tail(struct box *box)
{
	char *text = calloc(1, LOG_TAIL + 1), *start = text, *to;
	struct stat st;
	off_t from = 0;
	ssize_t n;

	if (!text || fstat(box->log, &st) < 0)
		return text;
	if (st.st_size > LOG_TAIL)
		from = st.st_size - LOG_TAIL;
	n = pread(box->log, text, LOG_TAIL, from);
	text[n > 0 ? n : 0] = 0;
	for (to = start; *start; start++)
		if (*start != '\r')
			*to++ = plain(*start);
	*to = 0;
	start = text;
	if (from && strchr(text, '\n'))
		start = strchr(text, '\n') + 1;
	memmove(text, start, strlen(start) + 1);
	for (n = strlen(text); n && text[n - 1] == '\n'; n--)
		text[n - 1] = 0;
	return text;
}

static void explain(struct box *box)
{
	const char *prefix = box->machine->complaint;
	char *tail = log_tail(box);
	int n;

	if (box->failure)
		n = asprintf(&box->error, "the box could not start the command: %s", box->failure);
	else if (tail && !box->booted && !strncmp(tail, prefix, strlen(prefix)))
		n = asprintf(&box->error, "%s could not start the box: %s", box->machine->name,
			     tail + strlen(prefix));
	else if (tail && *tail)
		n = asprintf(&box->error,
			     "the box ended before the command did; the end of its log:\n%s", tail);
	else
		n = asprintf(&box->error, "the box ended before the command did, and said nothing");
	if (n < 0)
		box->error = NULL;
	free(tail);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

int box_wait(struct box *box, int timeout_ms, int *status)
{
	long long limit = now_ms() + timeout_ms;

	while (box->pid > 0) {
		struct pollfd p = { .fd = box->port[STATUS], .events = POLLIN };
		long long left = limit - now_ms();

		if (!read_status(box))
			break;
		if (timeout_ms >= 0 && left <= 0)
			return 0;
		poll(&p, 1, timeout_ms < 0 ? -1 : (int)left);
	}
	if (box->pid > 0) {
		kill(box->pid, SIGKILL);
		reap(box);
		if (!box->ended)
			box->status = -1;
		if (box->status < 0)
			explain(box);
	}
	*status = box->status;
	return 1;
}

const char *box_error(struct box *box)
{
	return box->error ? box->error : "the box ended";
}

void box_kill(struct box *box)
{
	if (box->pid > 0)
		kill(box->pid, SIGKILL);
}

void box_free(struct box *box)
{
	if (!box)
		return;
	box_kill(box);
	reap(box);
	carrier_stop(box->carrier);
	close_ports(box->port);
	close(box->log);
	free(box->failure);
	free(box->error);
	free(box);
}
