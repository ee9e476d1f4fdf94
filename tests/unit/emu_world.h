/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A vCPU made of plain memory for the emulator: WORLD_PAGES linear pages at `linear`, scattered over
 * guest-physical ones; pages 1 and 2 are a device, the others RAM.
 */
#ifndef TESTS_EMU_WORLD_H
#define TESTS_EMU_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emulate.h"
#include "plain.h"

#define WORLD_PAGES 5
#define WORLD_SIZE (WORLD_PAGES * 4096u)

struct world {
	struct emu emu;
	struct emu_ops ops;
	struct fermata_bus bus;
	struct fermata_run run;
	struct emu_retry retry;
	struct fermata_state state;
	uint64_t linear;	    /* of the first page */
	uint8_t memory[WORLD_SIZE]; /* in linear order */
	bool absent[WORLD_PAGES], readonly[WORLD_PAGES];
	bool anything; /* linear addresses outside count as device: for random code */
	struct fermata_injection event;
	unsigned events, translations, device_reads, device_writes;
	uint8_t *handed; /* memory given out to be written to, of which nothing has been said yet */
	size_t handed_size;
	uint8_t handed_bytes[64];    /* as it was */
	uint8_t in[8192], out[8192]; /* the port's stream */
	unsigned in_at, out_at;
	unsigned port_size;
	uint16_t port;
};

static const uint64_t world_gpa[WORLD_PAGES] = {
	0x5000, 0xfee03000, 0xfec00000, 0x100001000, 0x2000,
};

static bool world_is_device(unsigned page)
{
	return page == 1 || page == 2;
}

/* The page of a guest-physical address, or -1. */
static int world_page(uint64_t gpa)
{
	for (int i = 0; i < WORLD_PAGES; i++)
		if (world_gpa[i] == (gpa & ~4095ull))
			return i;
	return -1;
}

static uint64_t world_to_gpa(struct world *w, uint64_t linear)
{
	return world_gpa[(linear - w->linear) >> 12] | (linear & 4095);
}

static int world_translate(void *opaque, struct fermata_translate *t)
{
	struct world *w = opaque;
	uint64_t page = (t->linear - w->linear) >> 12;

	w->translations++;
	if (page >= WORLD_PAGES && w->anything) {
		t->gpa = t->linear & 0xffffffffffull;
		return 0;
	}
	if (page >= WORLD_PAGES || w->absent[page]) {
		t->fault = 1;
		t->code = t->access & FERMATA_ACCESS_WRITE ? 2 : 0;
		return -EFAULT;
	}
	t->gpa = world_to_gpa(w, t->linear);
	return 0;
}

/* Nothing is written to memory without a word. */
static void world_check(struct world *w)
{
	if (w->handed)
		assert_memory_equal(w->handed, w->handed_bytes, w->handed_size);
	w->handed = NULL;
}

static void *world_ram(void *opaque, uint64_t gpa, uint64_t size, bool write)
{
	struct world *w = opaque;
	int page = world_page(gpa);

	if (page < 0 || world_is_device(page) || (write && w->readonly[page]))
		return NULL;
	assert_true((gpa & 4095) + size <= 4096);
	world_check(w);
	if (write && size <= sizeof(w->handed_bytes)) {
		w->handed = w->memory + 4096 * page + (gpa & 4095);
		w->handed_size = size;
		memcpy(w->handed_bytes, w->handed, size);
	}
	return w->memory + 4096 * page + (gpa & 4095);
}

/* What was just given out has been written to: exactly that, and only then it is said. */
static void world_wrote(void *opaque, uint64_t gpa, uint64_t size)
{
	struct world *w = opaque;

	if (w->handed)
		assert_ptr_equal(w->handed, w->memory + 4096 * world_page(gpa) + (gpa & 4095));
	assert_true(!w->handed || w->handed_size == size);
	w->handed = NULL;
}

static uint8_t *world_device(struct world *w, uint64_t gpa, unsigned size, bool write)
{
	static uint8_t nowhere[8];
	int page = world_page(gpa);

	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	assert_true((gpa & 4095) + size <= 4096);
	if (page < 0) {
		assert_true(w->anything);
		return nowhere;
	}
	assert_true(world_is_device(page) || (write && w->readonly[page]));
	return w->memory + 4096 * page + (gpa & 4095);
}

static void world_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct world *w = opaque;

	w->device_reads++;
	memcpy(value, world_device(w, gpa, size, false), size);
}

static void world_write(void *opaque, uint64_t gpa, unsigned size, uint64_t value)
{
	struct world *w = opaque;

	w->device_writes++;
	memcpy(world_device(w, gpa, size, true), &value, size);
}

static void world_in(void *opaque, uint16_t port, unsigned size, uint32_t *value)
{
	struct world *w = opaque;

	w->port = port;
	w->port_size = size;
	memcpy(value, w->in + w->in_at, size);
	w->in_at = (w->in_at + size) % 8192;
}

static void world_out(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct world *w = opaque;

	w->port = port;
	w->port_size = size;
	memcpy(w->out + w->out_at, &value, size);
	w->out_at = (w->out_at + size) % 8192;
}

static int world_inject(void *opaque, const struct fermata_injection *event)
{
	struct world *w = opaque;

	w->event = *event;
	w->events++;
	return 0;
}

static int world_state_get(void *opaque, struct fermata_state *state, uint32_t mask)
{
	struct world *w = opaque;

	/* the groups not asked for must not be relied upon */
	memset(state, 0xa5, sizeof(*state));
	if (mask & FERMATA_STATE_SEGMENTS)
		state->segments = w->state.segments;
	if (mask & FERMATA_STATE_CONTROL)
		state->control = w->state.control;
	if (mask & FERMATA_STATE_XSAVE)
		state->xsave = w->state.xsave;
	return 0;
}

static int world_state_set(void *opaque, const struct fermata_state *state, uint32_t mask)
{
	struct world *w = opaque;

	assert_int_equal(mask, FERMATA_STATE_XSAVE);
	w->state.xsave = state->xsave;
	return 0;
}

static void world_init(struct world *w, uint64_t linear, uint8_t cpu_mode)
{
	struct fermata_segment flat = { .limit = UINT32_MAX, .attrib = 0xc93 };

	memset(w, 0, sizeof(*w));
	w->linear = linear;
	w->ops = (struct emu_ops){
		.translate = world_translate,
		.ram = world_ram,
		.wrote = world_wrote,
		.inject = world_inject,
		.state_get = world_state_get,
		.state_set = world_state_set,
	};
	w->bus = (struct fermata_bus){
		.opaque = w,
		.io_read = world_in,
		.io_write = world_out,
		.mem_read = world_read,
		.mem_write = world_write,
	};
	w->state.segments = (struct fermata_state_segments){
		.es = flat,
		.cs = flat,
		.ss = flat,
		.ds = flat,
		.fs = flat,
		.gs = flat,
	};
	w->state.segments.cs.attrib = 0xc9b;
	w->state.control.cr0 = cpu_mode == FERMATA_MODE_REAL ? 0 : 1;
	w->run.rflags = 2;
	w->run.exit.cpu_mode = cpu_mode;
	for (unsigned i = 0; i < sizeof(w->in); i++)
		w->in[i] = (uint8_t)(i * 7 + 3);
}

static void world_code(struct world *w, const uint8_t *bytes, unsigned length)
{
	memcpy(w->run.exit.insn, bytes, length);
	w->run.exit.insn_bytes = length;
}

/* The exit that an access to the device makes. */
static void world_mmio(struct world *w, uint64_t linear, bool write)
{
	w->run.exit.reason = FERMATA_EXIT_MMIO;
	w->run.exit.mmio =
		(struct fermata_exit_mmio){ .gpa = world_to_gpa(w, linear), .write = write };
}

static int world_run(struct world *w)
{
	int ret;

	w->run.advance = 0;
	w->run.set = 0;
	memset(&w->emu, 0x5a, sizeof(w->emu)); /* emu_run() must set what it uses */
	w->emu.ops = &w->ops;
	w->emu.opaque = w;
	w->emu.bus = &w->bus;
	w->emu.run = &w->run;
	ret = emu_plain(&w->run, &w->bus);
	if (ret == EMU_OTHER)
		ret = emu_run(&w->emu, &w->retry);
	world_check(w);
	return ret;
}

#endif
