// SPDX-License-Identifier: MIT OR GPL-2.0
/* fermata_emulate(): the instruction emulator put on a real vCPU. */
#include "emulate.h"
#include "plain.h"

static int vcpu_translate(void *opaque, struct fermata_translate *t)
{
	return fermata_translate(opaque, t);
}

static void *vcpu_ram(void *opaque, uint64_t gpa, uint64_t size, bool write)
{
	return fermata_slot_address(((fermata_vcpu *)opaque)->vm, gpa, size, write);
}

static void vcpu_wrote(void *opaque, uint64_t gpa, uint64_t size)
{
	fermata_memory_wrote(((fermata_vcpu *)opaque)->vm, gpa, size);
}

static int vcpu_inject(void *opaque, const struct fermata_injection *event)
{
	return fermata_inject(opaque, event);
}

static int vcpu_state_get(void *opaque, struct fermata_state *state, uint32_t mask)
{
	return fermata_state_get(opaque, state, mask);
}

static int vcpu_state_set(void *opaque, const struct fermata_state *state, uint32_t mask)
{
	return fermata_state_set(opaque, state, mask);
}

static const struct emu_ops vcpu_ops = {
	.translate = vcpu_translate,
	.ram = vcpu_ram,
	.wrote = vcpu_wrote,
	.inject = vcpu_inject,
	.state_get = vcpu_state_get,
	.state_set = vcpu_state_set,
};

static __attribute__((noinline)) int emulate(fermata_vcpu *vcpu, const struct fermata_bus *bus)
{
	struct emu e; /* large and mostly unused by most exits: emu_run() sets what it reads */

	e.ops = &vcpu_ops;
	e.opaque = vcpu;
	e.bus = bus;
	e.run = vcpu->run;
	return emu_run(&e, &vcpu->retry);
}

int fermata_emulate(fermata_vcpu *vcpu, const struct fermata_bus *bus)
{
	int result = emu_plain(vcpu->run, bus);

	return result == EMU_OTHER ? emulate(vcpu, bus) : result;
}
