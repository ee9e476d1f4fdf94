/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/acpi.h"
#include "boot/bzimage.h"
#include "internal.h"

/* ---- loading */

static struct boot_memory boot_memory(uint8_t *ram, uint64_t size)
{
	uint64_t low = layout_low_size(size), high = layout_high_size(size);

	return (struct boot_memory){
		.low = ram,
		.low_size = low,
		.high = high ? ram + low : NULL,
		.high_size = high,
	};
}

static int load(const struct machine_config *config, uint8_t *ram, bool gigabyte_pages,
		struct boot_entry *entry, char *error, size_t error_size)
{
	struct boot_request request = {
		.memory = boot_memory(ram, config->memory),
		.kernel_path = config->kernel,
		.initrd_path = config->initrd,
		.cmdline = config->cmdline,
		.gigabyte_pages = gigabyte_pages,
	};
	int result = -1;

	if (boot_file_open(config->kernel, &request.kernel, error, error_size))
		goto out;
	if (config->initrd && boot_file_open(config->initrd, &request.initrd, error, error_size))
		goto out;
	request.rsdp = acpi_build(&request.memory, config->vcpus);
	if (!request.rsdp) {
		snprintf(error, error_size,
			 "%" PRIu64
			 " bytes of memory and %u vCPUs are more or less than a machine can have",
			 config->memory, config->vcpus);
		goto out;
	}
	result = boot_load(&request, entry, error, error_size);
out:
	boot_file_close(&request.kernel);
	boot_file_close(&request.initrd);
	return result;
}

int machine_check(const struct machine_config *config, char *error, size_t error_size)
{
	struct boot_entry entry;
	uint8_t *ram;
	int result;

	/* Only the pages that the loader writes become memory. */
	ram = mmap(NULL, config->memory, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED) {
		snprintf(error, error_size,
			 "no %" PRIu64 "M of address space: %s; give less --memory",
			 config->memory >> 20, strerror(errno));
		return -1;
	}
	result = load(config, ram, true, &entry, error, error_size);
	munmap(ram, config->memory);
	return result;
}

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
	    load(config, machine->ram, gigabyte_pages, &entry, error, error_size))
		return -1;
	if (clock_start(machine, &config->clock))
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
	snprintf(machine->name, sizeof(machine->name), "%s", config->name);
	machine->ram_size = config->memory;
	machine->vcpus = config->vcpus;
	machine->kvmclock = config->kvmclock;
	machine->output.flush_at = NEVER;
	/* Until the timer thread has looked for itself, nothing needs to wake it. */
	machine->armed = 0;
	machine->armed_flush = 0;
	machine->catch_up = NEVER;
	pthread_mutex_init(&machine->lock, NULL);
	pthread_mutex_init(&machine->log_lock, NULL);
	pthread_mutex_init(&machine->dirty_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&machine->timer_wake, &monotonic);
	pthread_cond_init(&machine->output_read, NULL);
	pthread_cond_init(&machine->held_more, NULL);
	pthread_cond_init(&machine->released, NULL);
	pthread_condattr_destroy(&monotonic);
	machine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (machine->event_fd < 0)
		snprintf(error, error_size, "no eventfd: %s; raise `ulimit -n`", strerror(errno));
	else if (build(machine, config, error, error_size) == 0)
		return machine;
	machine_destroy(machine);
	return NULL;
}

/* ---- running */

void machine_finish(struct machine *machine, enum machine_end_kind kind, uint32_t value,
		    const char *why, char *report)
{
	if (machine->stopping) {
		free(report);
		return;
	}
	machine->end.kind = kind;
	machine->end.value = value;
	snprintf(machine->end.why, sizeof(machine->end.why), "%s", why ? why : "");
	machine->end.report = machine->report = report;
	machine->stopping = true;
	machine_kick_all(machine);
	pthread_cond_broadcast(&machine->held_more);
	pthread_cond_broadcast(&machine->released);
	console_raise_event(machine);
	machine_tell(machine, MACHINE_NEWS_ENDED);
}

void machine_stop(struct machine *machine)
{
	pthread_mutex_lock(&machine->lock);
	machine_finish(machine, MACHINE_STOPPED, 0, NULL, NULL);
	pthread_mutex_unlock(&machine->lock);
}

bool machine_ended(struct machine *machine, struct machine_end *end)
{
	bool ended;

	pthread_mutex_lock(&machine->lock);
	ended = machine->end.kind != MACHINE_RUNNING;
	if (ended && end)
		*end = machine->end;
	pthread_mutex_unlock(&machine->lock);
	return ended;
}

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

	if (start_thread(&machine->timer, machine_timer_thread, machine, "timer", error, error_size))
		return -1;
	machine->timer_started = true;
	pthread_mutex_lock(&machine->lock);
	machine->running = machine->vcpus;
	pthread_mutex_unlock(&machine->lock);
	for (i = 0; i < machine->vcpus; i++) {
		snprintf(name, sizeof(name), "vcpu%u", i);
		if (start_thread(&machine->vcpu[i].thread, machine_vcpu_thread, &machine->vcpu[i],
				 name, error, error_size)) {
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
	if (machine->timer_started)
		pthread_join(machine->timer, NULL);
	machine->timer_started = false;
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
	if (machine->event_fd >= 0)
		close(machine->event_fd);
	pthread_cond_destroy(&machine->timer_wake);
	pthread_cond_destroy(&machine->output_read);
	pthread_cond_destroy(&machine->held_more);
	pthread_cond_destroy(&machine->released);
	pthread_mutex_destroy(&machine->lock);
	pthread_mutex_destroy(&machine->log_lock);
	pthread_mutex_destroy(&machine->dirty_lock);
	free(machine->output.bytes);
	free(machine->report);
	free(machine);
}
