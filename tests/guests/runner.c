/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * runner [-w | -u] GUEST...: runs test guests, prints their checks as one TAP stream, and for each run whether
 * it ended as the guest's header says. Exit status 1 when anything is not ok. -w: guests that ask whether
 * to go on (CALL_TOLD) do so until the runner receives SIGUSR1. -u: they run without tags.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static unsigned tests, failures;
uint32_t vm_flags;

static void result(bool good, const char *name, const char *text)
{
	pthread_mutex_lock(&output);
	tests++;
	failures += !good;
	printf("%sok %u - %s: %s\n", good ? "" : "not ", tests, name, text);
	fflush(stdout);
	pthread_mutex_unlock(&output);
}

/* One line from a guest: a result, or something to read. */
void tap_line(const char *name, const char *line)
{
	if (!strncmp(line, "ok - ", 5)) {
		result(true, name, line + 5);
		return;
	}
	if (!strncmp(line, "not ok - ", 9)) {
		result(false, name, line + 9);
		return;
	}
	pthread_mutex_lock(&output);
	printf("# %s: %s\n", name, line[0] == '#' ? line + 1 + strspn(line + 1, " ") : line);
	fflush(stdout);
	pthread_mutex_unlock(&output);
}

static void explain(const char *name, const char *text)
{
	const char *end;
	char line[400];

	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
		tap_line(name, line);
	}
}

/* ---- a processor */

static void finish(struct processor *p)
{
	struct machine *m = p->machine;

	pthread_mutex_lock(&m->lock);
	m->finished = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

static void die(struct processor *p, uint32_t reason, const char *why)
{
	p->ended = true;
	p->reason = reason;
	if (why)
		p->why = strdup(why);
	p->report = fermata_report(p->vcpu);
}

static void answer(struct processor *p, const struct fermata_bus *bus)
{
	const struct fermata_exit *exit = &fermata_vcpu_page(p->vcpu)->exit;
	struct machine *m = p->machine;

	switch (exit->reason) {
	case FERMATA_EXIT_IO:
	case FERMATA_EXIT_MMIO:
		if (fermata_emulate(p->vcpu, bus))
			die(p, exit->reason, fermata_error());
		return;
	case FERMATA_EXIT_EOI:
		pthread_mutex_lock(&m->device_lock);
		m->eoi_count++;
		m->eoi_vector = exit->eoi.vector;
		pthread_mutex_unlock(&m->device_lock);
		return;
	case FERMATA_EXIT_STOPPED:
		m->stops++;
		m->stop_event = exit->stop.event;
		m->stop_number = (uint32_t)exit->stop.number;
		return;
	case FERMATA_EXIT_MEMORY_FAULT:
		if (atomic_load(&m->churning)) {
			usleep(100);
			return;
		}
		break;
	}
	die(p, exit->reason, NULL);
}

/* This thread's PKRU, which guests have one of their own of; 0 where the kernel uses none. */
static uint32_t own_keys(void)
{
	uint32_t a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c >> 4 & 1)) /* OSPKE */
		return 0;
	asm volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0));
	return a;
}

static void *drive(void *arg)
{
	struct processor *p = arg;
	struct machine *m = p->machine;
	struct fermata_bus bus = machine_bus(p);
	uint32_t keys = own_keys();

	atomic_store(&p->tid, (pid_t)syscall(SYS_gettid));
	while (!p->ended && !atomic_load(&m->stop)) {
		int err = fermata_run(p->vcpu);

		if (!err)
			answer(p, &bus);
		else if (err != -EINTR)
			die(p, ~0u, fermata_error());
		if (own_keys() != keys)
			die(p, ~0u, "the guest's PKRU has become the runner's");
	}
	if (!p->ended)
		p->report = fermata_report(p->vcpu);
	atomic_store(&p->tid, 0);
	finish(p);
	return NULL;
}

/* ---- a run */

static struct timespec in_seconds(unsigned seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += seconds;
	return t;
}

static bool start(struct machine *m, const uint8_t *image, size_t size)
{
	if (!machine_make(m, image, size))
		return false;
	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		struct processor *p = &m->processor[i];

		if (p->vcpu)
			p->started = !pthread_create(&p->thread, NULL, drive, p);
	}
	return !(m->header->flags & GUEST_MIGRATE) || host_migrate_start(m);
}

/* Waits for the first processor that ends, then ends the others. False: the time was up. */
static bool wait_for(struct machine *m)
{
	struct timespec limit = in_seconds(m->header->seconds ? m->header->seconds : GUEST_SECONDS);
	bool finished;

	pthread_mutex_lock(&m->lock);
	while (!m->finished && pthread_cond_timedwait(&m->changed, &m->lock, &limit) != ETIMEDOUT)
		;
	finished = m->finished;
	pthread_mutex_unlock(&m->lock);
	atomic_store(&m->stop, true);
	for (unsigned i = 0; i < MAX_VCPUS; i++)
		if (m->processor[i].started)
			fermata_kick(m->processor[i].vcpu);
	for (unsigned i = 0; i < MAX_VCPUS; i++)
		if (m->processor[i].started)
			pthread_join(m->processor[i].thread, NULL);
	host_stop(m);
	return finished;
}

static void tell_reports(const struct machine *m)
{
	for (unsigned i = 0; i < MAX_VCPUS; i++) {
		if (m->processor[i].why)
			explain(m->name, m->processor[i].why);
		if (m->processor[i].report)
			explain(m->name, m->processor[i].report);
	}
}

static void judge(struct machine *m, bool finished)
{
	uint32_t wanted = m->header->expect[m->run % GUEST_RUNS], reason = 0;
	bool good = false;
	char text[200];

	for (unsigned i = 0; i < MAX_VCPUS; i++)
		if (m->processor[i].reason)
			reason = m->processor[i].reason;
	if (m->line_length)
		tap_line(m->name, m->line);
	if (!finished) {
		snprintf(text, sizeof(text), "run %u ends in time", m->run);
	} else if (wanted) {
		good = !m->exited && reason == wanted;
		snprintf(text, sizeof(text), "run %u ends by exit %s", m->run,
			 fermata_exit_reason_name(wanted));
	} else {
		good = m->exited && !m->status && !reason;
		snprintf(text, sizeof(text), "run %u comes to its end", m->run);
	}
	result(good, m->name, text);
	if (good)
		return;
	if (finished && !m->exited)
		tap_line(m->name, fermata_exit_reason_name(reason));
	tell_reports(m);
}

static void run_guest(const char *name, const uint8_t *image, size_t size)
{
	const struct guest_header *header = (const void *)image;
	uint32_t runs = header->runs ? header->runs : 1;
	struct machine *machine[GUEST_RUNS] = { NULL };
	bool twins = header->flags & GUEST_TWINS;

	for (uint32_t i = 0; i < runs; i++) {
		struct machine *m = calloc(1, sizeof(*m));

		if (!m)
			abort();
		m->name = name;
		m->header = header;
		m->run = i;
		machine[i] = m;
		if (!start(m, image, size)) {
			result(false, name, fermata_error());
			m->finished = true;
		}
		if (!twins)
			judge(m, wait_for(m));
	}
	for (uint32_t i = 0; i < runs; i++) {
		if (twins)
			judge(machine[i], wait_for(machine[i]));
		machine_free(machine[i]);
	}
}

static uint8_t *load(const char *path, size_t *size)
{
	const struct guest_header *header;
	uint8_t *image = NULL;
	FILE *f = fopen(path, "re");
	long length = -1;

	if (f && !fseek(f, 0, SEEK_END))
		length = ftell(f);
	if (length >= (long)sizeof(*header) && length < 0x100000) {
		rewind(f);
		image = malloc(length);
		if (image && fread(image, 1, length, f) != (size_t)length)
			length = 0;
	}
	if (f)
		fclose(f);
	header = (const void *)image;
	if (image && length && header->magic == GUEST_MAGIC && header->runs <= GUEST_RUNS) {
		*size = length;
		return image;
	}
	free(image);
	return NULL;
}

int main(int argc, char **argv)
{
	bool wait = argc > 1 && !strcmp(argv[1], "-w");
	bool untagged = argc > 1 && !strcmp(argv[1], "-u");

	if (wait)
		host_expect_signal();
	if (untagged)
		vm_flags = FERMATA_VM_NO_TAGS;
	for (int i = 1 + wait + untagged; i < argc; i++) {
		const char *name = strrchr(argv[i], '/');
		size_t size;
		uint8_t *image = load(argv[i], &size);

		name = name ? name + 1 : argv[i];
		if (!image) {
			result(false, name, "is a test guest");
			continue;
		}
		run_guest(name, image, size);
		free(image);
	}
	printf("1..%u\n", tests);
	return failures != 0;
}
