/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The bench's guest on Fermata, by libfermata. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fermata.h>

#include "guest.h"
#include "hypervisor.h"

struct vm {
	fermata_vm *vm;
	fermata_vcpu *vcpu;
};

static void check(const struct ways *ways)
{
	struct fermata_caps caps;

	if (fermata_caps(&caps))
		die("fermata", fermata_error());
	if (caps.blocked & ~FERMATA_BLOCK_BUSY) /* KVM: beside it */
		unavailable("fermata", "this processor cannot run guests; see fermata caps");
}

static void set_state(struct vm *vm)
{
	static const struct fermata_segment code = { .selector = GUEST_CS,
						     .attrib = 0xa9b,
						     .limit = ~0u };
	static const struct fermata_segment data = { .selector = GUEST_DS,
						     .attrib = 0xc93,
						     .limit = ~0u };
	static struct fermata_state s;
	uint32_t mask = FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL;

	if (fermata_state_get(vm->vcpu, &s, mask))
		die("fermata", fermata_error());
	s.segments.cs = code;
	s.segments.ds = s.segments.es = s.segments.ss = data;
	s.segments.fs = s.segments.gs = data;
	s.segments.gdt = (struct fermata_table){ .base = GUEST_GDT, .limit = 3 * 8 - 1 };
	s.segments.idt = (struct fermata_table){ .base = GUEST_IDT, .limit = 256 * 16 - 1 };
	s.control.cr0 = GUEST_CR0;
	s.control.cr3 = GUEST_PML4;
	s.control.cr4 = GUEST_CR4;
	s.control.efer = GUEST_EFER;
	if (fermata_state_set(vm->vcpu, &s, mask))
		die("fermata", fermata_error());
}

static void destroy(struct vm *vm)
{
	fermata_vm_free(vm->vm);
	free(vm);
}

static bool change_rate(struct vm *vm, unsigned int rate)
{
	struct fermata_clock_change change = { .verb = FERMATA_CLOCK_RATE, .num = rate, .den = 1 };
	struct fermata_reading reading;

	if (fermata_clock_change(vm->vm, &change))
		die("fermata", fermata_error());
	fermata_clock(vm->vm, &reading);
	return reading.clock.flags & FERMATA_CLOCK_TRAPPED;
}

/*
 * A clock at another rate traps, where the processor cannot scale its TSC. Where it can, one does that is
 * to stand still at some time, here in an hour.
 */
static bool trap(struct vm *vm, unsigned int *rate)
{
	struct fermata_clock_change freeze = { .verb = FERMATA_CLOCK_FREEZE };
	struct fermata_clock_change step = { .verb = FERMATA_CLOCK_STEP, .ns = 3600 * 1000000000ll };

	*rate = 2;
	if (change_rate(vm, *rate))
		return true;
	*rate = 1;
	change_rate(vm, *rate);
	return !fermata_clock_change(vm->vm, &freeze) && !fermata_clock_change(vm->vm, &step);
}

static struct vm *create(const struct ways *ways, bool trap_rdtsc, const struct region *region,
			 size_t regions, unsigned int *rate)
{
	const struct fermata_vm_config config = {
		.flags = (ways->shadow ? FERMATA_VM_SHADOW : 0) |
			 (ways->no_tags ? FERMATA_VM_NO_TAGS : 0),
	};
	struct vm *vm;

	*rate = 1;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		die("memory", NULL);
	vm->vm = fermata_vm_new_with(&config);
	if (!vm->vm)
		die("fermata", fermata_error());
	for (size_t i = 0; i < regions; i++)
		if (fermata_map(vm->vm, i, region[i].gpa, region[i].size, region[i].memory, 0))
			die("fermata", fermata_error());
	vm->vcpu = fermata_vcpu_new(vm->vm, 0);
	if (!vm->vcpu)
		die("fermata", fermata_error());
	set_state(vm);
	if (trap_rdtsc && !trap(vm, rate)) {
		destroy(vm);
		return NULL;
	}
	return vm;
}

static void start(struct vm *vm, uint64_t body, uint64_t iterations, uint64_t argument)
{
	struct fermata_run *page = fermata_vcpu_page(vm->vcpu);

	page->regs[FERMATA_RCX] = body;
	page->regs[FERMATA_RDI] = iterations;
	page->regs[FERMATA_RSI] = argument;
	page->regs[FERMATA_RDX] = GUEST_RESULTS;
	page->regs[FERMATA_RSP] = GUEST_STACK;
	page->rip = GUEST_CODE;
	page->rflags = 2;
	page->set = FERMATA_RUN_SET_RIP | FERMATA_RUN_SET_RFLAGS;
}

static void read_port(void *opaque, uint16_t port, unsigned size, uint32_t *value)
{
	*value = 0;
}

static void write_port(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
}

static void read_device(void *opaque, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0;
}

static void write_device(void *opaque, uint64_t gpa, unsigned size, uint64_t value)
{
}

static void run(struct vm *vm, uint64_t body, uint64_t iterations, uint64_t argument)
{
	static const struct fermata_bus bus = {
		.io_read = read_port,
		.io_write = write_port,
		.mem_read = read_device,
		.mem_write = write_device,
	};
	const struct fermata_exit *exit = &fermata_vcpu_page(vm->vcpu)->exit;
	int ret;

	start(vm, body, iterations, argument);
	for (;;) {
		ret = fermata_run(vm->vcpu);
		if (ret == -EINTR)
			continue;
		if (ret)
			die("fermata", fermata_error());
		if (exit->reason == FERMATA_EXIT_IO && exit->io.port == PORT_END)
			return;
		if (exit->reason != FERMATA_EXIT_IO && exit->reason != FERMATA_EXIT_MMIO)
			die("fermata: an exit", fermata_exit_reason_name(exit->reason));
		if (fermata_emulate(vm->vcpu, &bus))
			die("fermata", fermata_error());
	}
}

static uint64_t exits(struct vm *vm)
{
	static struct fermata_stats stats;

	if (fermata_stats(vm->vcpu, &stats))
		die("fermata", fermata_error());
	return stats.entries;
}

const struct hypervisor fermata = {
	.name = "fermata",
	.check = check,
	.create = create,
	.run = run,
	.exits = exits,
	.destroy = destroy,
};
