/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A machine's life: it is built, its threads are started, waited for, and everything is freed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "boot/bzimage.h"
#include "cpuid.h"
#include "internal.h"

/* ---- building */

static int library_error(char *error, size_t error_size)
{
	snprintf(error, error_size, "%s", fermata_error());
	return -1;
}

static int map_memory(struct machine *machine, char *error, size_t error_size)
{
	uint64_t low = layout_low_size(machine->ram_size);
	uint64_t high = layout_high_size(machine->ram_size);

	machine->ram = fermata_memory_alloc(machine->ram_size);
	if (!machine->ram) {
		snprintf(error, error_size,
			 "no %" PRIu64 "M of memory for the guest: %s; give less --memory",
			 machine->ram_size >> 20, strerror(errno));
		return -1;
	}
	if (fermata_map(machine->vm, 0, 0, low, machine->ram, 0) ||
	    (high && fermata_map(machine->vm, 1, LAYOUT_HIGH_RAM, high, machine->ram + low, 0)))
		return library_error(error, error_size);
	return 0;
}

static int create_vcpus(struct machine *machine, const struct boot_entry *entry, char *error,
			size_t error_size)
{
	struct fermata_state *state;
	uint32_t mask;
	unsigned i;
	int result;

	for (i = 0; i < machine->vcpus; i++) {
		machine->vcpu[i].machine = machine;
		machine->vcpu[i].vcpu = fermata_vcpu_new(machine->vm, i);
		if (!machine->vcpu[i].vcpu)
			return library_error(error, error_size);
	}
	state = malloc(sizeof(*state));
	if (!state) {
		snprintf(error, error_size, "no memory for the vCPU's state");
		return -1;
	}
	boot_state(entry, state, &mask);
	result = fermata_state_set(machine->vcpu[0].vcpu, state, mask);
	free(state);
	return result ? library_error(error, error_size) : 0;
}

#define UNRESTRICTED_GUEST (1u << 7) /* SDM 3C table 25-7 */

/* All but the first vCPU begin in real mode, as processors do (SDM 3A 9.1.4). */
static bool can_have(const struct machine_config *config)
{
	struct fermata_caps caps;

	return config->vcpus == 1 || fermata_caps(&caps) || caps.vendor != FERMATA_VENDOR_INTEL ||
	       caps.vmx[FERMATA_VMX_PROC2] & UNRESTRICTED_GUEST;
}

static int build(struct machine *machine, const struct machine_config *config, char *error,
		 size_t error_size)
{
	struct fermata_vm_config vm = config->vm;
	struct fermata_cpuid *cpuid;
	struct boot_entry entry;
	bool gigabyte_pages;
	int result;

	if (!can_have(config)) {
		snprintf(error, error_size,
			 "this processor's VT-x has no unrestricted guest, so only the first vCPU could start;"
			 " give the guest one vCPU");
		return -1;
	}
	vm.flags |= config->no_tags ? FERMATA_VM_NO_TAGS : 0;
	machine->vm = fermata_vm_new_with(&vm);
	cpuid = calloc(1, sizeof(*cpuid));
	if (!machine->vm || !cpuid || fermata_cpuid_supported(cpuid)) {
		free(cpuid);
		return library_error(error, error_size);
	}
	machine_cpuid_topology(cpuid, machine->vcpus);
	gigabyte_pages = machine_cpuid_has_1g_pages(cpuid);
	result = machine->kvmclock ? fermata_cpuid_kvmclock(cpuid) : 0;
	if (!result)
		result = fermata_cpuid_set(machine->vm, cpuid);
	free(cpuid);
	if (result)
		return library_error(error, error_size);
	if (map_memory(machine, error, error_size) ||
	    board_init(machine, config, error, error_size) ||
	    load_guest(config, machine->ram, gigabyte_pages, &entry, error, error_size))
		return -1;
	if (time_start(machine, &config->clock))
		return library_error(error, error_size);
	return create_vcpus(machine, &entry, error, error_size);
}

struct machine *machine_create(const struct machine_config *config, char *error, size_t error_size)
{
	struct machine *machine;
	pthread_condattr_t monotonic;

	if (config->vcpus < 1 || config->vcpus > FERMATA_MAX_VCPUS || !config->memory ||
	    config->memory % 4096) {
		snprintf(error, error_size,
			 "a machine has 1 to %d vCPUs and memory in multiples of 4096 bytes",
			 FERMATA_MAX_VCPUS);
		return NULL;
	}
	machine = calloc(1, sizeof(*machine));
	if (!machine) {
		snprintf(error, error_size, "no memory for the machine");
		return NULL;
	}
	machine->ram_size = config->memory;
	machine->vcpus = config->vcpus;
	machine->kvmclock = config->kvmclock;
	machine->console.flush_at = NEVER;
	/* Until the timer thread has looked for itself, nothing needs to wake it. */
	machine->timer.armed = 0;
	machine->timer.armed_flush = 0;
	machine->time.catch_up = NEVER;
	pthread_mutex_init(&machine->lock, NULL);
	pthread_mutex_init(&machine->log.lock, NULL);
	pthread_mutex_init(&machine->dirty.lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&machine->timer.wake, &monotonic);
	pthread_cond_init(&machine->console.taken, NULL);
	pthread_cond_init(&machine->hold.more, NULL);
	pthread_cond_init(&machine->hold.released, NULL);
	pthread_condattr_destroy(&monotonic);
	machine->news.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (machine->news.event_fd < 0)
		snprintf(error, error_size, "no eventfd: %s; raise `ulimit -n`", strerror(errno));
	else if (build(machine, config, error, error_size) == 0)
		return machine;
	machine_destroy(machine);
	return NULL;
}

/* ---- running */

static int start_thread(pthread_t *thread, void *(*main)(void *), void *argument, const char *name,
			char *error, size_t error_size)
{
	int result = pthread_create(thread, NULL, main, argument);

	if (result) {
		snprintf(error, error_size, "cannot start a thread: %s; raise `ulimit -u`",
			 strerror(result));
		return -1;
	}
	pthread_setname_np(*thread, name);
	return 0;
}

int machine_start(struct machine *machine, char *error, size_t error_size)
{
	char name[16];
	unsigned i;

	if (start_thread(&machine->timer.thread, timer_thread, machine, "timer", error, error_size))
		return -1;
	machine->timer.started = true;
	pthread_mutex_lock(&machine->lock);
	machine->hold.running = machine->vcpus;
	pthread_mutex_unlock(&machine->lock);
	for (i = 0; i < machine->vcpus; i++) {
		snprintf(name, sizeof(name), "vcpu%u", i);
		if (start_thread(&machine->vcpu[i].thread, vcpu_thread, &machine->vcpu[i], name,
				 error, error_size)) {
			machine_stop(machine);
			return -1;
		}
		machine->vcpu[i].started = true;
	}
	return 0;
}

void machine_wait(struct machine *machine)
{
	unsigned i;

	for (i = 0; i < machine->vcpus; i++) {
		if (machine->vcpu[i].started)
			pthread_join(machine->vcpu[i].thread, NULL);
		machine->vcpu[i].started = false;
	}
	if (machine->timer.started)
		pthread_join(machine->timer.thread, NULL);
	machine->timer.started = false;
}

int machine_stats(struct machine *machine, struct fermata_stats *stats)
{
	struct fermata_stats *one;
	unsigned i, slot;
	int result = 0;

	memset(stats, 0, sizeof(*stats));
	one = malloc(sizeof(*one));
	if (!one)
		return -ENOMEM;
	for (i = 0; i < machine->vcpus && !result; i++) {
		result = fermata_stats(machine->vcpu[i].vcpu, one);
		if (result)
			break;
		stats->vendor = one->vendor;
		stats->entries += one->entries;
		stats->user_exits += one->user_exits;
		stats->injected += one->injected;
		stats->nested_faults += one->nested_faults;
		stats->large_mappings += one->large_mappings;
		stats->shadow_tables += one->shadow_tables;
		stats->shadow_released += one->shadow_released;
		for (slot = 0; slot < FERMATA_FLUSH_KINDS; slot++)
			stats->flush_kind[slot] += one->flush_kind[slot];
		for (slot = 0; slot < FERMATA_FLUSH_CAUSES; slot++)
			stats->flush_cause[slot] += one->flush_cause[slot];
		stats->halts += one->halts;
		stats->halt_cycles += one->halt_cycles;
		stats->guest_cycles += one->guest_cycles;
		for (slot = 0; slot < FERMATA_MAX_EXIT_CODES; slot++) {
			stats->exit[slot].count += one->exit[slot].count;
			stats->exit[slot].cycles += one->exit[slot].cycles;
		}
	}
	free(one);
	return result;
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	machine_stop(machine);
	machine_wait(machine);
	if (machine->vm)
		fermata_vm_free(machine->vm);
	if (machine->ram)
		fermata_memory_free(machine->ram, machine->ram_size);
	if (machine->news.event_fd >= 0)
		close(machine->news.event_fd);
	pthread_cond_destroy(&machine->timer.wake);
	pthread_cond_destroy(&machine->console.taken);
	pthread_cond_destroy(&machine->hold.more);
	pthread_cond_destroy(&machine->hold.released);
	pthread_mutex_destroy(&machine->lock);
	pthread_mutex_destroy(&machine->log.lock);
	pthread_mutex_destroy(&machine->dirty.lock);
	free(machine->console.bytes);
	free((void *)machine->end.report);
	free(machine);
}
