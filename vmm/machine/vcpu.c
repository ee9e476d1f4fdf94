/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The thread of one vCPU: run, answer the exit, run. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static void io_read(void *opaque, uint16_t port, unsigned size, uint32_t *value)
{
	struct machine *machine = opaque;
	uint64_t now = board_enter(machine);

	*value = (uint32_t)bus_read(&machine->board.bus, BUS_PORT, now, port, size);
	board_leave(machine);
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct machine *machine = opaque;
	uint64_t now = board_enter(machine);

	bus_write(&machine->board.bus, BUS_PORT, now, port, size, value);
	board_leave(machine);
}

static void mem_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct machine *machine = opaque;
	uint64_t now = board_enter(machine);

	*value = bus_read(&machine->board.bus, BUS_MEMORY, now, gpa, size);
	board_leave(machine);
}

static void mem_write(void *opaque, uint64_t gpa, unsigned size, uint64_t value)
{
	struct machine *machine = opaque;
	uint64_t now = board_enter(machine);

	bus_write(&machine->board.bus, BUS_MEMORY, now, gpa, size, value);
	board_leave(machine);
}

/* The vCPU cannot go on: the machine ends with its report. */
static void die(struct machine_vcpu *v, const char *why)
{
	char line[256], *report;

	/* `why` may be the library's last error, which the report's own calls would change. */
	snprintf(line, sizeof(line), "%s", why);
	/* Taken here, where no other thread drives the vCPU, and before the machine is locked. */
	report = fermata_report(v->vcpu);
	pthread_mutex_lock(&v->machine->lock);
	machine_finish(v->machine, MACHINE_DIED, 0, line, report);
	pthread_mutex_unlock(&v->machine->lock);
}

/* The 8259 is asked for its vector at the last moment, and may have changed its mind. */
static int acknowledge(struct machine_vcpu *v)
{
	struct machine *machine = v->machine;
	struct fermata_injection event = { .kind = FERMATA_INJECT_NONE };

	board_enter(machine);
	if (pic_output(&machine->board.pic)) {
		event.kind = FERMATA_INJECT_EXTINT;
		event.vector = pic_acknowledge(&machine->board.pic);
	}
	board_leave(machine);
	return fermata_inject(v->vcpu, &event);
}

static void halted(struct machine_vcpu *v)
{
	struct machine *machine = v->machine;
	bool all;

	pthread_mutex_lock(&machine->lock);
	all = ++machine->hold.halted == machine->vcpus;
	pthread_mutex_unlock(&machine->lock);
	if (all)
		die(v, "the guest halted with interrupts disabled, and nothing can wake it");
}

/* True: the guest goes on. */
static bool answer(struct machine_vcpu *v, const struct fermata_bus *bus)
{
	const struct fermata_exit *exit = &fermata_vcpu_page(v->vcpu)->exit;
	struct machine *machine = v->machine;
	char why[200];

	switch (exit->reason) {
	case FERMATA_EXIT_IO:
	case FERMATA_EXIT_MMIO:
		if (fermata_emulate(v->vcpu, bus) == 0)
			return true;
		die(v, fermata_error());
		return false;
	case FERMATA_EXIT_INTACK:
		if (acknowledge(v) == 0)
			return true;
		die(v, fermata_error());
		return false;
	case FERMATA_EXIT_EOI:
		board_enter(machine);
		ioapic_eoi(&machine->board.ioapic, (uint8_t)exit->eoi.vector);
		board_leave(machine);
		return true;
	case FERMATA_EXIT_STOPPED:
		log_stopped_by_rule(v, &exit->stop);
		return true;
	case FERMATA_EXIT_SHUTDOWN:
		die(v, "triple fault: an exception in the double fault's handler");
		return false;
	case FERMATA_EXIT_FAIL_ENTRY:
		die(v, "the processor refused to enter the guest's state");
		return false;
	case FERMATA_EXIT_MEMORY_FAULT:
		snprintf(why, sizeof(why),
			 "the host could not provide the guest's memory at %#" PRIx64
			 "; is the host out of memory?",
			 (uint64_t)exit->mmio.gpa);
		die(v, why);
		return false;
	case FERMATA_EXIT_HALTED:
		halted(v);
		return false;
	case FERMATA_EXIT_UNSUPPORTED:
		die(v,
		    exit->hw_reason == FERMATA_VMX_UNPAGED ?
			    "real mode or no paging, which this processor's VT-x cannot run (no unrestricted guest)" :
			    "a hardware task switch, which Fermata does not do on VT-x");
		return false;
	case FERMATA_EXIT_UNCLAIMED:
		snprintf(why, sizeof(why), "exit %#x of the processor is one Fermata does not know",
			 exit->hw_reason);
		die(v, why);
		return false;
	default:
		snprintf(why, sizeof(why), "unknown exit reason %u; do module and command match?",
			 exit->reason);
		die(v, why);
		return false;
	}
}

void *vcpu_thread(void *opaque)
{
	struct machine_vcpu *v = opaque;
	struct machine *machine = v->machine;
	const struct fermata_bus bus = {
		.opaque = machine,
		.io_read = io_read,
		.io_write = io_write,
		.mem_read = mem_read,
		.mem_write = mem_write,
	};
	int result;

	while (!machine->stopping) {
		if (atomic_load_explicit(&machine->hold.on, memory_order_relaxed)) {
			hold_wait_released(machine);
			continue;
		}
		result = fermata_run(v->vcpu);
		if (result == -EINTR)
			continue;
		if (result < 0) {
			die(v, fermata_error());
			break;
		}
		if (!answer(v, &bus))
			break;
		console_throttle(machine);
	}
	hold_vcpu_gone(machine);
	return NULL;
}
