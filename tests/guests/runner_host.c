/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What a host does to guests: it takes memory back, moves pages and threads, and has timers. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define MSI_ADDRESS 0xfee00000u /* physical, to APIC ID 0 (SDM 3A 10.11.1) */
#define MSI_LEVEL 0xc000u	/* level-triggered, asserted (SDM 3A 10.11.2) */

static void sleep_us(long us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* Other pages with the same content where `at` is; in between there is nothing the guest could see. */
static void move_pages_of(uint8_t *at, size_t size, int fill)
{
	uint8_t *other =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (other == MAP_FAILED)
		return;
	memset(other, fill, size);
	mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

/*
 * Nothing here changes what the guest reads. While memory is write-protected a guest's write exits as
 * MEMORY_FAULT, and the runner tries again.
 */
static void *churn(void *arg)
{
	struct machine *m = arg;
	int compact = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

	for (unsigned i = 0; !atomic_load(&m->stop) && atomic_load(&m->churning); i++) {
		uint8_t *page = m->extra + (size_t)(i * 37 % (EXTRA_SIZE / 4096)) * 4096;
		pid_t child;

		mprotect(page, 4096, PROT_READ); /* splits a huge page */
		sleep_us(100);
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
		if (i % 8 == 0) { /* every page becomes copy-on-write, for a while */
			child = fork();
			if (child == 0) {
				sleep_us(1000);
				_exit(0);
			}
			if (child > 0)
				waitpid(child, NULL, 0);
		}
		if (i % 32 == 0 && compact >= 0 && write(compact, "1", 1) != 1)
			break;
		sleep_us(500);
	}
	if (compact >= 0)
		close(compact);
	return NULL;
}

static void *migrate(void *arg)
{
	struct machine *m = arg;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (unsigned i = 0; !atomic_load(&m->stop); i++) {
		for (unsigned n = 0; n < MAX_VCPUS; n++) {
			pid_t tid = atomic_load(&m->processor[n].tid);
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET((i + n) % cpus, &set);
			if (tid)
				sched_setaffinity(tid, sizeof(set), &set);
		}
		sleep_us(1000);
	}
	return NULL;
}

bool host_migrate_start(struct machine *m)
{
	m->migrate_started = !pthread_create(&m->migrate, NULL, migrate, m);
	return m->migrate_started;
}

static void now(struct machine *m, uint32_t call, uint32_t vector)
{
	switch (call) {
	case CALL_MSI:
	case CALL_DELAYED_MSI:
		fermata_msi(m->vm, MSI_ADDRESS, vector);
		break;
	case CALL_LEVEL_MSI:
		fermata_msi(m->vm, MSI_ADDRESS, vector | MSI_LEVEL);
		break;
	case CALL_NMI:
	case CALL_DELAYED_NMI:
		fermata_line(m->vm, 0, FERMATA_LINE_LINT1, true);
		fermata_line(m->vm, 0, FERMATA_LINE_LINT1, false);
	}
}

static void *later(void *arg)
{
	struct machine *m = arg;

	sleep_us(5000);
	now(m, m->delayed_call, m->delayed_vector);
	return NULL;
}

static atomic_bool told = true;

static void on_signal(int signal)
{
	atomic_store(&told, true);
}

void host_expect_signal(void)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	atomic_store(&told, false);
	sigaction(SIGUSR1, &action, NULL);
}

static uint32_t slot_add(struct machine *m)
{
	memset(m->extra, 0, EXTRA_SIZE);
	return fermata_map(m->vm, SLOT_EXTRA, EXTRA_BASE, EXTRA_SIZE, m->extra, 0) ? 1 : 0;
}

static void join_delayed(struct machine *m)
{
	if (m->delayed_started)
		pthread_join(m->delayed, NULL);
	m->delayed_started = false;
}

static void join_churn(struct machine *m)
{
	atomic_store(&m->churning, false);
	if (m->churn_started)
		pthread_join(m->churn, NULL);
	m->churn_started = false;
}

static uint32_t rule_add(struct machine *m, uint32_t at)
{
	const char *text = fermata_gpa(m->vm, at, 256);
	struct fermata_rule rule;
	int err;

	if (!text)
		return CALL_FAILED + EFAULT;
	err = fermata_rule_parse(text, &rule, NULL);
	if (!err)
		err = fermata_rule_add(m->vm, &rule);
	if (!err)
		err = fermata_log_open(m->processor[0].vcpu);
	return err ? CALL_FAILED - (uint32_t)err : rule.id;
}

static uint32_t rule_hits(struct machine *m, uint32_t id)
{
	struct fermata_rule rule = { .id = id };

	return fermata_rule_get(m->vm, &rule) || rule.id != id ? CALL_FAILED : (uint32_t)rule.hits;
}

static uint32_t log_next(struct machine *m, uint32_t at)
{
	struct fermata_record *record = fermata_gpa(m->vm, at, sizeof(*record));

	return record && fermata_log_read(m->processor[0].vcpu, record, 1, NULL);
}

/* no_data_breakpoints=1: the processor is an emulator that ends over them */
static bool data_breakpoints(void)
{
	FILE *f = fopen("/sys/module/fermata/parameters/no_data_breakpoints", "r");
	bool armed = !f || fgetc(f) != 'Y';

	if (f)
		fclose(f);
	return armed;
}

uint32_t host_call(struct processor *p, uint32_t call, uint32_t argument)
{
	struct machine *m = p->machine;

	switch ((enum guest_call)call) {
	case CALL_NOTHING:
		return 0;
	case CALL_SLOT_ADD:
		return slot_add(m);
	case CALL_SLOT_REMOVE:
		return fermata_unmap(m->vm, SLOT_EXTRA) ? 1 : 0;
	case CALL_DONTNEED:
		return madvise(m->extra, EXTRA_SIZE, MADV_DONTNEED) ? 1 : 0;
	case CALL_REPLACE:
		move_pages_of(m->extra, EXTRA_SIZE, argument);
		return 0;
	case CALL_POKE:
		for (size_t at = 0; at < EXTRA_SIZE; at += 4096)
			memcpy(m->extra + at, &argument, sizeof(argument));
		return 0;
	case CALL_CHURN:
		atomic_store(&m->churning, true);
		m->churn_started = !pthread_create(&m->churn, NULL, churn, m);
		return !m->churn_started;
	case CALL_CALM:
		join_churn(m);
		return 0;
	case CALL_SLEEP:
		sleep_us(1000l * argument);
		return 0;
	case CALL_MSI:
	case CALL_LEVEL_MSI:
	case CALL_NMI:
		now(m, call, argument);
		return 0;
	case CALL_DELAYED_MSI:
	case CALL_DELAYED_NMI:
		join_delayed(m);
		m->delayed_call = call;
		m->delayed_vector = argument;
		m->delayed_started = !pthread_create(&m->delayed, NULL, later, m);
		return !m->delayed_started;
	case CALL_EOI_COUNT:
		return m->eoi_count;
	case CALL_EOI_VECTOR:
		return m->eoi_vector;
	case CALL_MMIO_COUNT:
		return m->mmio_count;
	case CALL_MMIO_SIZE:
		return m->mmio_size;
	case CALL_MMIO_OFFSET:
		return m->mmio_offset;
	case CALL_MMIO_WRITE:
		return m->mmio_write;
	case CALL_ROM_WRITES:
		return m->rom_writes;
	case CALL_RULE_ADD:
		return rule_add(m, argument);
	case CALL_RULE_REMOVE:
		return (uint32_t)-fermata_rule_remove(m->vm, argument);
	case CALL_RULE_HITS:
		return rule_hits(m, argument);
	case CALL_LOG_NEXT:
		return log_next(m, argument);
	case CALL_STOPS:
		return m->stops;
	case CALL_STOP_EVENT:
		return m->stop_event;
	case CALL_STOP_NUMBER:
		return m->stop_number;
	case CALL_CLOCK:
	case CALL_SPAN:
	case CALL_STORM:
	case CALL_STORM_LEFT:
		return clocks_call(m, call, argument);
	case CALL_LOG_DIRTY:
	case CALL_DIRTY:
	case CALL_IS_DIRTY:
	case CALL_COPY:
	case CALL_COPY_END:
	case CALL_COPIED:
		return dirty_call(m, call, argument);
	case CALL_SHADOW_TABLES:
	case CALL_SHADOW_RELEASED:
	case CALL_DROP:
	case CALL_PRESSURE:
		return pressure_call(m, call, argument);
	case CALL_DATA_BREAKPOINTS:
		return data_breakpoints();
	case CALL_TOLD:
		return atomic_load(&told);
	}
	return ~0u;
}

/* After m->stop is set. */
void host_stop(struct machine *m)
{
	join_churn(m);
	join_delayed(m);
	dirty_stop(m);
	pressure_stop(m);
	clocks_stop(m);
	if (m->migrate_started)
		pthread_join(m->migrate, NULL);
	m->migrate_started = false;
}
