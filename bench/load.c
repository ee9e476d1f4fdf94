/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a guest's Linux does, as rows of the bench: the first and only program of its initial file system,
 * which finds in the environment (the kernel's command line) what load= to run, and ends the machine by
 * a write to the isa-debug-exit port. It says "load NAME TICKS" on the serial port, TICKS of the TSC for
 * one operation; of load=boot nothing is wanted but its end. As a process, `load NAME` says it on standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define SERIAL 0x3f8
#define SERIAL_STATUS (SERIAL + 5)
#define SERIAL_EMPTY 0x20
#define PORT_END 0xf4

#define PAGE 4096
#define RING 3
#define HEAP (2u << 20)
#define TREE (1u << 20)

static bool machine; /* a guest's only process */
static const char *self;

static void say(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!machine) {
		fputs(text, stdout);
		return;
	}
	for (const char *c = text; *c; c++) {
		while (!(inb(SERIAL_STATUS) & SERIAL_EMPTY))
			;
		outb(*c, SERIAL);
	}
}

static void end(void) __attribute__((noreturn));
static void end(void)
{
	if (machine) {
		outb(0, PORT_END);
		reboot(RB_AUTOBOOT); /* there is no such port */
	}
	fflush(stdout);
	_exit(0);
}

static void die(const char *what)
{
	say("\nload failed: %s: %s\n", what, strerror(errno));
	end();
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die("a child");
}

static void run_self(void)
{
	execl(self, self, "exit", NULL);
	_exit(1);
}

/* ---- the loads: one operation each */

static void fork_exec(void)
{
	pid_t pid = child();

	if (pid == 0)
		run_self();
	reap(pid);
}

static int ring[RING][2];
static pid_t member[RING];

static void pass_on(int i)
{
	char token;

	close(ring[i][1]); /* so that the end of the first is everyone's */
	for (int j = 0; j < RING; j++)
		if (j != i && j != (i + 1) % RING)
			close(ring[j][0]), close(ring[j][1]);
	while (read(ring[i][0], &token, 1) == 1)
		if (write(ring[(i + 1) % RING][1], &token, 1) != 1)
			_exit(1);
	_exit(0);
}

static void open_ring(void)
{
	for (int i = 0; i < RING; i++)
		if (pipe(ring[i]))
			die("pipe");
	for (int i = 1; i < RING; i++) {
		member[i] = child();
		if (member[i] == 0)
			pass_on(i);
	}
}

/* A token from this process by two others and back. */
static void pipe_ring(void)
{
	char token = 1;

	if (write(ring[1][1], &token, 1) != 1 || read(ring[0][0], &token, 1) != 1)
		die("the ring");
}

static void close_ring(void)
{
	for (int i = 0; i < RING; i++)
		close(ring[i][1]);
	for (int i = 1; i < RING; i++)
		reap(member[i]);
}

static void touch(volatile uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		p[i]++;
}

static uint8_t *map(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

/* A compiler, as the page tables see it: a process that maps, fills, protects and drops memory. */
static void translate_unit(void)
{
	uint8_t *heap = map(HEAP), *tree;
	char name[] = "/tmp/load.XXXXXX";
	int file = mkstemp(name);

	touch(heap, HEAP);
	for (int pass = 0; pass < 4; pass++) {
		tree = map(TREE);
		touch(tree, TREE);
		mprotect(tree, TREE / 2, PROT_READ);
		if (file < 0 || write(file, tree, TREE / 8) != TREE / 8)
			_exit(1);
		munmap(tree, TREE);
	}
	tree = mmap(NULL, TREE / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	if (tree == MAP_FAILED)
		_exit(1);
	touch(tree, TREE / 2);
	unlink(name);
	run_self();
}

/* make, the compiler, and behind it the assembler: copies on write after each fork. */
static void compile(void)
{
	static uint8_t *rules;
	pid_t pid;

	if (!rules)
		rules = map(HEAP);
	touch(rules, HEAP);
	pid = child();
	if (pid == 0) {
		touch(rules, HEAP / 4);
		fork_exec();
		translate_unit();
	}
	reap(pid);
}

static const struct load {
	const char *name;
	void (*operation)(void);
	unsigned int count;
	void (*before)(void), (*after)(void);
} loads[] = {
	{ "fork-exec", fork_exec, 200, NULL, NULL },
	{ "pipe-ring", pipe_ring, 1000, open_ring, close_ring },
	{ "compile", compile, 20, NULL, NULL },
};

static void run(const struct load *load)
{
	uint64_t start;

	if (load->before)
		load->before();
	load->operation(); /* the first finds caches empty that the others find filled */
	start = __rdtsc();
	for (unsigned int i = 0; i < load->count; i++)
		load->operation();
	start = __rdtsc() - start;
	if (load->after)
		load->after();
	say("\nload %s %llu of %u\n", load->name, (unsigned long long)(start / load->count),
	    load->count);
}

int main(int argc, char **argv)
{
	uint64_t born = __rdtsc();
	const char *name;

	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	self = argv[0];
	machine = getpid() == 1;
	name = machine ? getenv("load") : argv[1];
	if (machine && iopl(3))
		return 1;
	if (!name)
		die("load=NAME, or an argument");
	if (!strcmp(name, "boot"))
		end();
	/* For machines whose TSC counts from power-on. */
	if (!strcmp(name, "boot-said")) {
		say("\nload boot %llu of 1\n", (unsigned long long)born);
		end();
	}
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (!strcmp(loads[i].name, name)) {
			run(&loads[i]);
			end();
		}
	errno = ENOENT;
	die(name);
}
