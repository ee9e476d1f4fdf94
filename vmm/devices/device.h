/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What every device model is made of.
 *
 * A device never reads a host clock, never makes a system call and never injects: it is handed
 * `now` (ns of the guest), answers reads and writes, drives wires, and says when it next wants to
 * be called. All calls into the devices of one machine are made under that machine's one lock.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define NEVER UINT64_MAX

struct fields;

/* A wire out of a device. raise/lower are idempotent; an edge is false then true. */
struct wire {
	void (*set)(void *opaque, unsigned line, bool level);
	void *opaque;
	unsigned line;
};

static inline void wire_set(const struct wire *w, bool level)
{
	if (w->set)
		w->set(w->opaque, w->line, level);
}

/*
 * What reads of a register will give as time passes, as struct fermata_forecast describes it; there
 * `ticks` is guest ns * hz / 10^9, rounded down.
 */
struct forecast {
	enum { FORECAST_NONE, FORECAST_COUNTER, FORECAST_STEP } kind;
	uint8_t size;
	uint32_t hz;
	uint64_t from; /* ticks; before that, the device wants to be asked */
	uint64_t base; /* COUNTER: (base +- ticks) & mask; halves: low byte, then high byte, in turn */
	uint32_t mask;
	bool down, halves;
	uint64_t at; /* STEP: before, then from tick `at` on after; every flip_ticks flip changes */
	uint8_t before, after, flip;
	uint32_t flip_ticks;
};

/* Operations of one device on its registers; offset is relative to the range it was placed at. */
struct device_ops {
	const char *name;
	/* The widest access read() and write() understand; the bus splits wider ones. 0: all. */
	unsigned width;
	/* size: 1, 2, 4 (8 in memory). A read of nothing gives all ones. */
	uint64_t (*read)(void *dev, uint64_t now, uint64_t offset, unsigned size);
	void (*write)(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value);
	/* May be NULL. A device with several ranges has the rest in the ops of one of them. */
	/* Does what is due at `now`. Called at or after the time that deadline() named. */
	void (*tick)(void *dev, uint64_t now);
	/* The next guest time at which tick() must be called, or NEVER. */
	uint64_t (*deadline)(void *dev);
	void (*reset)(void *dev);
	/* From which the device is saved and loaded; NULL where there is no device behind the registers. */
	const struct fields *fields;
	/*
	 * For registers that only time changes: what reads of offset give until the next write. Such a
	 * read must have no effect on the device but to turn between halves, and a write turns back.
	 */
	void (*forecast)(void *dev, uint64_t offset, struct forecast *forecast);
};

#endif
