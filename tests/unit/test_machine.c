/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The machine over a library whose guest is a list of exits: threads, console, interrupts, ends.
 * The devices and the loader are the real ones.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bzimage_image.h"
#include "fermata.h"
#include "machine.h"
#include "machine/internal.h"

/* ---- the guest */

enum op {
	OP_OUT,	   /* port, value */
	OP_TEXT,   /* text to COM1 */
	OP_FLOOD,  /* value bytes to COM1 */
	OP_ECHO,   /* reads COM1 and writes it back, up to the byte `value` */
	OP_REASON, /* exit with reason value */
	OP_LINT0,  /* sleeps until LINT0 is raised */
	OP_SLEEP,  /* until kicked */
};

struct step {
	enum op op;
	uint32_t port, value;
	const char *text;
};

#define OUT(p, v) { .op = OP_OUT, .port = (p), .value = (v) }
#define POWER_OFF OUT(0x605, 0x34) /* PM1 control: SLP_EN, SLP_TYP 5 */
#define RESET OUT(0x64, 0xfe)
#define SLEEP { .op = OP_SLEEP }
#define TEXT(t) { .op = OP_TEXT, .text = (t) }
#define REASON(r) { .op = OP_REASON, .value = (r) }

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct step *step;
	size_t at; /* within the step */
	bool kicked, lint0;
	uint32_t in;
	struct fermata_injection event;
	struct fermata_run page;
	struct fermata_state state;
	unsigned runs;
} guest = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- the library */

const char *fermata_error(void)
{
	return "the library's error";
}

static struct fermata_caps caps;

int fermata_caps(struct fermata_caps *out)
{
	*out = caps;
	return 0;
}

fermata_vm *fermata_vm_new_with(const struct fermata_vm_config *config)
{
	return (fermata_vm *)&guest;
}

void fermata_vm_free(fermata_vm *vm)
{
}

fermata_vcpu *fermata_vcpu_new(fermata_vm *vm, unsigned id)
{
	return (fermata_vcpu *)&guest;
}

struct fermata_run *fermata_vcpu_page(fermata_vcpu *vcpu)
{
	return &guest.page;
}

int fermata_map(fermata_vm *vm, unsigned slot, uint64_t gpa, uint64_t size, void *addr,
		uint32_t flags)
{
	return 0;
}

static struct {
	bool on;
	const uint64_t *page; /* these are dirty, up to a 0 */
} dirty_log;

int fermata_memory_log_dirty(fermata_vm *vm, unsigned slot, bool on)
{
	assert_int_equal(slot, 0);
	dirty_log.on = on;
	return 0;
}

int fermata_memory_dirty(fermata_vm *vm, unsigned slot, uint64_t first, uint64_t count,
			 uint64_t *bitmap, uint64_t *dirty)
{
	assert_true(dirty_log.on && !slot && !first);
	memset(bitmap, 0, (count + 63) / 64 * 8);
	for (*dirty = 0; dirty_log.page[*dirty]; ++*dirty) {
		uint64_t page = dirty_log.page[*dirty];

		assert_true(page < count);
		bitmap[page / 64] |= 1ull << page % 64;
	}
	return 0;
}

void *fermata_memory_alloc(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void fermata_memory_free(void *addr, uint64_t size)
{
	munmap(addr, size);
}

int fermata_cpuid_supported(struct fermata_cpuid *cpuid)
{
	return 0;
}

int fermata_cpuid_kvmclock(struct fermata_cpuid *cpuid)
{
	return 0;
}

int fermata_cpuid_set(fermata_vm *vm, const struct fermata_cpuid *cpuid)
{
	return 0;
}

int fermata_state_set(fermata_vcpu *vcpu, const struct fermata_state *state, uint32_t mask)
{
	guest.state = *state;
	return 0;
}

int fermata_stats(fermata_vcpu *vcpu, struct fermata_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->vendor = FERMATA_VENDOR_AMD;
	stats->exit[3] = (struct fermata_exit_count){ .count = 5, .cycles = 50 };
	return 0;
}

char *fermata_report(fermata_vcpu *vcpu)
{
	return strdup("the report\n");
}

uint64_t fermata_now(const fermata_vm *vm)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t fermata_until(const fermata_vm *vm, uint64_t guest_ns)
{
	uint64_t now = fermata_now(vm);

	return guest_ns > now ? guest_ns - now : 0;
}

void fermata_clock(const fermata_vm *vm, struct fermata_reading *reading)
{
	memset(reading, 0, sizeof(*reading));
	reading->clock.num = reading->clock.den = 1;
	reading->guest_ns = fermata_now(vm);
}

int fermata_clock_change(fermata_vm *vm, struct fermata_clock_change *change)
{
	return 0;
}

/* ---- rules: the kernel's */

int fermata_rule_add(fermata_vm *vm, struct fermata_rule *rule)
{
	rule->id = 1;
	return 0;
}

int fermata_rule_remove(fermata_vm *vm, unsigned id)
{
	return id == 1 ? 0 : -ENOENT;
}

int fermata_rule_get(fermata_vm *vm, struct fermata_rule *rule)
{
	return -ENOENT;
}

int fermata_log_open(fermata_vcpu *vcpu)
{
	return 0;
}

unsigned fermata_log_read(fermata_vcpu *vcpu, struct fermata_record *out, unsigned room,
			  uint64_t *dropped)
{
	*dropped = 0;
	return 0;
}

bool fermata_log_waiting(fermata_vcpu *vcpu)
{
	return false;
}

int fermata_msi(fermata_vm *vm, uint64_t address, uint32_t data)
{
	return 0;
}

int fermata_forecast(fermata_vm *vm, const struct fermata_forecast *forecast)
{
	return 0; /* the guest's reads come here all the same */
}

int fermata_line(fermata_vm *vm, unsigned vcpu, unsigned line, bool level)
{
	pthread_mutex_lock(&guest.lock);
	guest.lint0 = level;
	pthread_cond_broadcast(&guest.changed);
	pthread_mutex_unlock(&guest.lock);
	return 0;
}

int fermata_inject(fermata_vcpu *vcpu, const struct fermata_injection *event)
{
	guest.event = *event;
	return 0;
}

void fermata_kick(fermata_vcpu *vcpu)
{
	pthread_mutex_lock(&guest.lock);
	guest.kicked = true;
	pthread_cond_broadcast(&guest.changed);
	pthread_mutex_unlock(&guest.lock);
}

static void io_exit(uint16_t port, bool in, uint32_t value)
{
	guest.page.exit.reason = FERMATA_EXIT_IO;
	guest.page.exit.io = (struct fermata_exit_io){
		.port = port,
		.size = 1,
		.in = in,
		.value = value,
	};
}

int fermata_emulate(fermata_vcpu *vcpu, const struct fermata_bus *bus)
{
	const struct fermata_exit_io *io = &guest.page.exit.io;

	if (guest.page.exit.reason != FERMATA_EXIT_IO)
		return -ENOSYS;
	if (io->in)
		bus->io_read(bus->opaque, io->port, io->size, &guest.in);
	else
		bus->io_write(bus->opaque, io->port, io->size, io->value);
	return 0;
}

static void next(void)
{
	guest.step++;
	guest.at = 0;
	guest.in = ~0u;
}

#define COM1 0x3f8
#define LSR (COM1 + 5)

/* Sets up the exit of the current step; false: it has to wait. */
static bool step_exit(void)
{
	const struct step *s = guest.step;

	switch (s->op) {
	case OP_OUT:
		io_exit(s->port, false, s->value);
		next();
		return true;
	case OP_TEXT:
		io_exit(COM1, false, (uint8_t)s->text[guest.at++]);
		if (!s->text[guest.at])
			next();
		return true;
	case OP_FLOOD:
		io_exit(COM1, false, 'a' + guest.at++ % 26);
		if (guest.at == s->value)
			next();
		return true;
	case OP_ECHO: /* at: 0 reads LSR, 1 looks at it and reads RBR, 2 writes it back */
		if (guest.at == 2) {
			io_exit(COM1, false, guest.in);
			guest.at = 0;
			if ((guest.in & 0xff) == s->value)
				next();
		} else if (guest.at == 1 && guest.in & 1) {
			io_exit(COM1, true, 0);
			guest.at = 2;
		} else {
			io_exit(LSR, true, 0);
			guest.at = 1;
		}
		return true;
	case OP_REASON:
		guest.page.exit.reason = s->value;
		guest.page.exit.eoi.vector = s->port;
		next();
		return true;
	case OP_LINT0:
		if (!guest.lint0)
			return false;
		next();
		return step_exit();
	case OP_SLEEP:
		return false;
	}
	abort();
}

int fermata_run(fermata_vcpu *vcpu)
{
	int result = 0;

	pthread_mutex_lock(&guest.lock);
	guest.runs++;
	while (!guest.kicked && !step_exit())
		pthread_cond_wait(&guest.changed, &guest.lock);
	if (guest.kicked) {
		guest.kicked = false;
		result = -EINTR;
	}
	pthread_mutex_unlock(&guest.lock);
	return result;
}

/* ---- the tests */

static char kernel[] = "/tmp/fermata-test-machine-XXXXXX";

static int group_setup(void **state)
{
	static uint8_t image[IMAGE_SIZE];
	int fd = mkstemp(kernel);

	good_image(image);
	if (fd < 0 || write(fd, image, sizeof(image)) != sizeof(image))
		return -1;
	close(fd);
	return 0;
}

static int group_teardown(void **state)
{
	return unlink(kernel);
}

static struct machine *start(const struct step *steps, bool debug_exit)
{
	struct machine_config config = {
		.kernel = kernel,
		.cmdline = "console=ttyS0",
		.memory = 64u << 20,
		.vcpus = 1,
		.debug_exit = debug_exit,
	};
	struct machine *machine;
	char error[256];

	guest.step = steps;
	guest.at = guest.runs = 0;
	guest.in = ~0u;
	guest.kicked = guest.lint0 = false;
	machine = machine_create(&config, error, sizeof(error));
	if (!machine)
		fail_msg("%s", error);
	assert_int_equal(machine_start(machine, error, sizeof(error)), 0);
	return machine;
}

/* Reads the console until the machine ends (or, with `until`, until that much came). */
static size_t read_all(struct machine *machine, char *text, size_t size, size_t until)
{
	struct pollfd p = { .fd = machine_event_fd(machine), .events = POLLIN };
	size_t length = 0, n;
	bool ended;

	do {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("nothing happened for 20 s; %zu bytes so far", length);
		machine_event_take(machine);
		ended = machine_ended(machine, NULL);
		while ((n = machine_console_read(machine, text + length, size - 1 - length)))
			length += n;
	} while (!ended && !(until && length >= until));
	text[length] = 0;
	return length;
}

static struct machine_end end_of(struct machine *machine)
{
	struct machine_end end;

	assert_true(machine_ended(machine, &end));
	return end;
}

static void says_and_powers_off(void **state)
{
	static const struct step steps[] = {
		TEXT("hello\r\nworld"),
		POWER_OFF,
		SLEEP,
	};
	struct machine *machine = start(steps, false);
	char text[64];

	read_all(machine, text, sizeof(text), 0);
	assert_string_equal(text, "hello\r\nworld");
	assert_int_equal(end_of(machine).kind, MACHINE_POWEROFF);
	assert_true(guest.state.regs.rip >= 0x100000);
	machine_destroy(machine);
}

/* A prompt has no newline: it is shown all the same, without another exit. */
static void prompt_is_shown(void **state)
{
	static const struct step steps[] = { TEXT("login: "), SLEEP };
	struct machine *machine = start(steps, false);
	char text[64];

	read_all(machine, text, sizeof(text), 7);
	assert_string_equal(text, "login: ");
	assert_false(machine_ended(machine, NULL));
	machine_stop(machine);
	assert_int_equal(end_of(machine).kind, MACHINE_STOPPED);
	machine_destroy(machine);
}

static void resets(void **state)
{
	static const struct step keyboard[] = { RESET, SLEEP };
	static const struct step cf9[] = { OUT(0xcf9, 0x02), OUT(0xcf9, 0x06), SLEEP };
	static const struct step *const both[] = { keyboard, cf9 };
	char text[8];
	size_t i;

	for (i = 0; i < 2; i++) {
		struct machine *machine = start(both[i], false);

		read_all(machine, text, sizeof(text), 0);
		assert_int_equal(end_of(machine).kind, MACHINE_RESET);
		machine_destroy(machine);
	}
}

static void debug_exit(void **state)
{
	static const struct step steps[] = {
		OUT(0xf4, 0x2a),
		TEXT("on"),
		RESET,
		SLEEP,
	};
	struct machine *machine = start(steps, true);
	char text[8];

	read_all(machine, text, sizeof(text), 0);
	assert_int_equal(end_of(machine).kind, MACHINE_DEBUG_EXIT);
	assert_int_equal(end_of(machine).value, 0x2a);
	machine_destroy(machine);
	/* Without the option the port is nobody's, and the guest goes on. */
	machine = start(steps, false);
	read_all(machine, text, sizeof(text), 0);
	assert_string_equal(text, "on");
	assert_int_equal(end_of(machine).kind, MACHINE_RESET);
	machine_destroy(machine);
}

static void deaths(void **state)
{
	static const struct {
		uint32_t reason;
		const char *why;
	} death[] = {
		{ FERMATA_EXIT_UNCLAIMED, "does not know" },
		{ FERMATA_EXIT_SHUTDOWN, "triple fault" },
		{ FERMATA_EXIT_UNSUPPORTED, "task switch" },
		{ FERMATA_EXIT_FAIL_ENTRY, "refused" },
		{ FERMATA_EXIT_MEMORY_FAULT, "memory" },
		{ FERMATA_EXIT_HALTED, "interrupts disabled" },
		{ FERMATA_EXIT_MMIO, "the library's error" },
		{ FERMATA_EXIT_REASONS, "unknown exit reason" },
	};
	struct step steps[] = { TEXT("x"), REASON(0), SLEEP };
	char text[8];
	size_t i;

	for (i = 0; i < sizeof(death) / sizeof(death[0]); i++) {
		struct machine *machine;

		steps[1].value = death[i].reason;
		machine = start(steps, false);
		read_all(machine, text, sizeof(text), 0);
		assert_string_equal(text, "x");
		assert_int_equal(end_of(machine).kind, MACHINE_DIED);
		assert_non_null(strstr(end_of(machine).why, death[i].why));
		assert_string_equal(end_of(machine).report, "the report\n");
		machine_destroy(machine);
	}
}

static unsigned runs(void)
{
	unsigned n;

	pthread_mutex_lock(&guest.lock);
	n = guest.runs;
	pthread_mutex_unlock(&guest.lock);
	return n;
}

/* A guest that floods the console waits for its reader, and nothing is lost. */
static void flood(void **state)
{
	static const struct step steps[] = {
		{ .op = OP_FLOOD, .value = 300000 },
		POWER_OFF,
		SLEEP,
	};
	struct machine *machine = start(steps, false);
	struct timespec pause = { .tv_nsec = 1000000 };
	char *text = malloc(300002);
	size_t i;

	while (runs() < 65536)
		nanosleep(&pause, NULL);
	assert_false(machine_ended(machine, NULL));
	assert_int_equal(read_all(machine, text, 300002, 0), 300000);
	for (i = 0; i < 300000; i++)
		assert_int_equal(text[i], 'a' + i % 26);
	machine_destroy(machine);
	/* One that nobody reads waits, and can be ended. */
	machine = start(steps, false);
	while (runs() < 65536)
		nanosleep(&pause, NULL);
	nanosleep(&pause, NULL);
	machine_destroy(machine);
	assert_int_equal(guest.runs, 65536);
	free(text);
}

/* More input than the UART holds arrives in order, then the end of input. */
static void input(void **state)
{
	static const struct step steps[] = {
		OUT(COM1 + 2, 0x07),
		OUT(COM1 + 1, 0x01),
		{ .op = OP_ECHO, .value = 4 },
		POWER_OFF,
		SLEEP,
	};
	struct machine *machine = start(steps, false);
	struct pollfd p = { .fd = machine_event_fd(machine), .events = POLLIN };
	static char sent[5000], got[6000];
	size_t length = 0, at = 0, i;

	for (i = 0; i < sizeof(sent); i++)
		sent[i] = (char)('0' + i % 64);
	while (at < sizeof(sent)) {
		size_t n = machine_console_write(machine, sent + at, sizeof(sent) - at);

		at += n;
		if (!n && poll(&p, 1, 20000) != 1)
			fail_msg("no room for 20 s after %zu bytes", at);
		if (!n)
			machine_event_take(machine);
		length += machine_console_read(machine, got + length, sizeof(got) - length);
	}
	machine_console_end(machine);
	length += read_all(machine, got + length, sizeof(got) - length, 0);
	assert_int_equal(length, sizeof(sent) + 1);
	assert_memory_equal(got, sent, sizeof(sent));
	assert_int_equal(got[sizeof(sent)], 4);
	machine_destroy(machine);
}

/* The timer thread wakes for a deadline that a write has just made, and wires reach both chips. */
static void timer_interrupts(void **state)
{
	static const struct step pic[] = {
		OUT(0x20, 0x11),
		OUT(0x21, 0x30),
		OUT(0x21, 0x04),
		OUT(0x21, 0x01),
		OUT(0x21, 0xfe), /* only IRQ 0 */
		OUT(0x43, 0x34),
		OUT(0x40, 0x00),
		OUT(0x40, 0x10),
		{ .op = OP_LINT0 },
		REASON(FERMATA_EXIT_INTACK),
		RESET,
		SLEEP,
	};
	struct machine *machine = start(pic, false);
	char text[8];

	read_all(machine, text, sizeof(text), 0);
	assert_int_equal(guest.event.kind, FERMATA_INJECT_EXTINT);
	assert_int_equal(guest.event.vector, 0x30);
	machine_destroy(machine);
}

static void spurious_acknowledge(void **state)
{
	static const struct step steps[] = {
		REASON(FERMATA_EXIT_INTACK),
		{ .op = OP_REASON, .value = FERMATA_EXIT_EOI, .port = 0x30 },
		RESET,
		SLEEP,
	};
	struct machine *machine = start(steps, false);
	char text[8];

	read_all(machine, text, sizeof(text), 0);
	assert_int_equal(guest.event.kind, FERMATA_INJECT_NONE);
	machine_destroy(machine);
}

static void statistics(void **state)
{
	static const struct step steps[] = { SLEEP };
	struct machine *machine = start(steps, false);
	struct fermata_stats *stats = calloc(1, sizeof(*stats));

	assert_int_equal(machine_stats(machine, stats), 0);
	assert_int_equal(stats->exit[3].count, 5);
	assert_int_equal(stats->vendor, FERMATA_VENDOR_AMD);
	assert_false(machine_ended(machine, NULL));
	machine_destroy(machine);
	free(stats);
}

/* Ranges are put together, also across words of the bitmap, and those that have no room are counted. */
static void dirty_pages(void **state)
{
	static const struct step steps[] = { SLEEP };
	static const uint64_t few[] = { 5, 62, 63, 64, 65, 129, 4000, 4001, 0 };
	static const struct machine_dirty_range expected[] = {
		{ 0x5000, 1 }, { 62 * 4096, 4 }, { 129 * 4096, 1 }, { 4000 * 4096, 2 }
	};
	uint64_t many[MACHINE_DIRTY_RANGES + 11] = { 0 };
	struct machine *machine = start(steps, false);
	struct machine_dirty *dirty = malloc(sizeof(*dirty));

	assert_int_equal(machine_dirty(machine, dirty), -ENOENT);
	assert_int_equal(machine_log_dirty(machine, true), 0);
	dirty_log.page = few;
	usleep(2000);
	assert_int_equal(machine_dirty(machine, dirty), 0);
	assert_int_equal(dirty->pages, 8);
	assert_true(dirty->ns >= 2000000);
	assert_int_equal(dirty->ranges, 4);
	assert_memory_equal(dirty->range, expected, sizeof(expected));
	for (unsigned i = 0; i < MACHINE_DIRTY_RANGES + 10; i++)
		many[i] = 2 * i + 1;
	dirty_log.page = many;
	assert_int_equal(machine_dirty(machine, dirty), 0);
	assert_int_equal(dirty->pages, MACHINE_DIRTY_RANGES + 10);
	assert_int_equal(dirty->ranges, MACHINE_DIRTY_RANGES);
	assert_int_equal(dirty->left_out, 10);
	assert_int_equal(machine_log_dirty(machine, false), 0);
	assert_false(dirty_log.on);
	assert_int_equal(machine_dirty(machine, dirty), -ENOENT);
	machine_destroy(machine);
	free(dirty);
}

static unsigned heard[3];

static void listener(void *opaque, enum machine_news news, const struct machine_end *end)
{
	heard[news]++;
}

/* A guest that polls without end stands still in a pause, and goes on after it as if nothing had been. */
static void pauses(void **state)
{
	static const struct step steps[] = {
		OUT(COM1 + 2, 0x07),	       OUT(COM1 + 1, 0x01), TEXT("ready"),
		{ .op = OP_ECHO, .value = 4 }, POWER_OFF,	    SLEEP,
	};
	struct machine *machine = start(steps, false);
	char text[64];
	unsigned before;

	memset(heard, 0, sizeof(heard));
	machine_listen(machine, listener, NULL);
	read_all(machine, text, sizeof(text), 5);
	assert_false(machine_paused(machine));
	for (unsigned i = 1; i <= 50; i++) {
		assert_int_equal(machine_pause(machine), 0);
		assert_true(machine_paused(machine));
		before = runs();
		assert_int_equal(machine_console_write(machine, "x", 1), 1);
		assert_int_equal(machine_pause(machine), 0);
		assert_int_equal(runs(), before);
		assert_int_equal(machine_console_read(machine, text, sizeof(text)), 0);
		assert_int_equal(machine_resume(machine), 0);
		assert_int_equal(machine_resume(machine), 0);
		assert_int_equal(read_all(machine, text, sizeof(text), 1), 1);
		assert_string_equal(text, "x");
		assert_int_equal(heard[MACHINE_NEWS_PAUSED], i);
		assert_int_equal(heard[MACHINE_NEWS_RESUMED], i);
	}
	assert_int_equal(machine_console_write(machine, "\4", 1), 1);
	read_all(machine, text, sizeof(text), 0);
	assert_int_equal(end_of(machine).kind, MACHINE_POWEROFF);
	assert_int_equal(heard[MACHINE_NEWS_ENDED], 1);
	assert_int_equal(machine_pause(machine), -ESRCH);
	assert_int_equal(machine_resume(machine), -ESRCH);
	assert_false(machine_paused(machine));
	machine_destroy(machine);
}

/* Paused while its thread waits for somebody to read the console; and ended while it is paused. */
static void pauses_a_full_console(void **state)
{
	static const struct step steps[] = { { .op = OP_FLOOD, .value = 300000 }, SLEEP };
	struct machine *machine = start(steps, false);
	struct timespec moment = { .tv_nsec = 1000000 };
	unsigned before;

	do {
		before = runs();
		nanosleep(&moment, NULL);
	} while (!before || runs() != before);
	assert_int_equal(machine_pause(machine), 0);
	machine_stop(machine);
	machine_wait(machine);
	assert_int_equal(end_of(machine).kind, MACHINE_STOPPED);
	machine_destroy(machine);
}

static void refusals(void **state)
{
	struct machine_config config = {
		.kernel = "/nonexistent",
		.memory = 64u << 20,
		.vcpus = 1,
	};
	char error[256] = "";

	assert_null(machine_create(&config, error, sizeof(error)));
	assert_non_null(strstr(error, "/nonexistent"));
	assert_int_equal(machine_check(&config, error, sizeof(error)), -1);
	config.kernel = kernel;
	assert_int_equal(machine_check(&config, error, sizeof(error)), 0);
	config.memory = 4097;
	assert_null(machine_create(&config, error, sizeof(error)));
	config.memory = 64u << 20;
	config.vcpus = 65;
	assert_null(machine_create(&config, error, sizeof(error)));
}

/* What has state on the board has a list of it, one for all its registers. */
static void devices_have_their_fields(void **state)
{
	struct machine *machine = start((const struct step[]){ SLEEP }, true);
	const struct bus *bus = &machine->board.bus;
	unsigned lists = 0;

	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			const struct bus_range *range = &bus->range[kind][i], *r;
			unsigned own = 0;

			for (unsigned k = 0; k < BUS_KINDS; k++)
				for (r = &bus->range[k][1]; r <= &bus->range[k][bus->count[k]]; r++)
					own += r->dev == range->dev && r->ops->fields;
			assert_int_equal(own, range->dev ? 1 : 0);
			lists += range->ops->fields != NULL;
		}
	}
	assert_int_equal(lists, 9);
	machine_destroy(machine);
}

/* Processors after the first begin in real mode. */
static void real_mode_is_needed_for_more(void **state)
{
	struct machine_config config = { .kernel = "/nonexistent", .memory = 64 << 20 };
	char error[256];

	caps.vendor = FERMATA_VENDOR_INTEL;
	for (config.vcpus = 1; config.vcpus <= 2; config.vcpus++) {
		assert_null(machine_create(&config, error, sizeof(error)));
		assert_int_equal(!!strstr(error, "no unrestricted guest"), config.vcpus == 2);
	}
	config.vcpus = 2;
	caps.vmx[FERMATA_VMX_PROC2] = 1 << 7;
	assert_null(machine_create(&config, error, sizeof(error)));
	assert_null(strstr(error, "no unrestricted guest"));
	memset(&caps, 0, sizeof(caps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_and_powers_off),
		cmocka_unit_test(prompt_is_shown),
		cmocka_unit_test(resets),
		cmocka_unit_test(real_mode_is_needed_for_more),
		cmocka_unit_test(debug_exit),
		cmocka_unit_test(deaths),
		cmocka_unit_test(flood),
		cmocka_unit_test(input),
		cmocka_unit_test(timer_interrupts),
		cmocka_unit_test(spurious_acknowledge),
		cmocka_unit_test(statistics),
		cmocka_unit_test(dirty_pages),
		cmocka_unit_test(pauses),
		cmocka_unit_test(pauses_a_full_console),
		cmocka_unit_test(refusals),
		cmocka_unit_test(devices_have_their_fields),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
