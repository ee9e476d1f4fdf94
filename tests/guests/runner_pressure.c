/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A host that is short of memory, and what it got back of shadow paging's tables. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

/* As if there were none left: all that can be given back is asked for (Documentation/admin-guide/sysctl/vm.rst). */
static bool drop(void)
{
	int file = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool good = file >= 0 && write(file, "2", 1) == 1;

	if (file >= 0)
		close(file);
	return good;
}

static void *press(void *arg)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct machine *m = arg;

	while (atomic_load(&m->pressing) && drop())
		nanosleep(&pause, NULL);
	return NULL;
}

void pressure_stop(struct machine *m)
{
	atomic_store(&m->pressing, false);
	if (m->pressure_started)
		pthread_join(m->pressure, NULL);
	m->pressure_started = false;
}

static uint64_t stat_of(struct machine *m, bool released)
{
	struct fermata_stats *stats = calloc(1, sizeof(*stats));
	uint64_t n = 0;

	if (stats && !fermata_stats(m->processor[0].vcpu, stats))
		n = released ? stats->shadow_released : stats->shadow_tables;
	free(stats);
	return n;
}

uint32_t pressure_call(struct machine *m, uint32_t call, uint32_t argument)
{
	switch (call) {
	case CALL_DROP:
		while (argument && drop())
			argument--;
		return argument;
	case CALL_PRESSURE:
		pressure_stop(m);
		atomic_store(&m->pressing, argument);
		m->pressure_started = argument && !pthread_create(&m->pressure, NULL, press, m);
		return argument && !m->pressure_started;
	default:
		return (uint32_t)stat_of(m, call == CALL_SHADOW_RELEASED);
	}
}
