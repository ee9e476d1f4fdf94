/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the tests of the devices share: a wire that remembers, and random accesses to a bus.
 */
#ifndef UNIT_DEVICE_FUZZ_H
#define UNIT_DEVICE_FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/bus.h"

#define MS 1000000ull
#define S 1000000000ull

struct probe {
	bool level;
	unsigned edges; /* rising */
};

static inline void probe_set(void *opaque, unsigned line, bool level)
{
	struct probe *p = opaque;

	if (level && !p->level)
		p->edges++;
	p->level = level;
}

static inline struct wire probe_wire(struct probe *p)
{
	return (struct wire){ .set = probe_set, .opaque = p };
}

static inline uint64_t in(struct bus *bus, uint64_t now, uint16_t port)
{
	return bus_read(bus, BUS_PORT, now, port, 1);
}

static inline void outb(struct bus *bus, uint64_t now, uint16_t port, uint8_t value)
{
	bus_write(bus, BUS_PORT, now, port, 1, value);
}

static inline uint64_t fuzz_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Random accesses to [base, base + size), with time that mostly creeps, sometimes leaps, at times
 * goes back, and ends at the end of time. After a tick at a deadline the next one must lie later.
 */
static inline void fuzz_bus(struct bus *bus, enum bus_kind kind, uint64_t base, uint64_t size,
			    unsigned steps)
{
	uint64_t state = 88172645463325252ull + base, now = 0, latest = 0;

	while (steps--) {
		uint64_t r = fuzz_next(&state);
		uint64_t addr = base + r % size;
		unsigned width = 1u << (r >> 32 & (kind == BUS_MEMORY ? 3 : 1));
		uint64_t value = fuzz_next(&state);

		if (!(r >> 40 & 15))
			value &= 0x0f0f0f0f0f0f0f0full;
		if (r >> 48 & 1)
			now += r >> 50;
		else if (!(r >> 49 & 0x1ff))
			now += fuzz_next(&state) >> (20 + (r >> 58 & 31));
		else if (!(r >> 49 & 0x3f))
			now -= now > 100 ? 100 : 0;
		latest = now > latest ? now : latest;
		if (r >> 33 & 1)
			bus_write(bus, kind, now, addr, width, value);
		else
			bus_read(bus, kind, now, addr, width);
		for (unsigned i = 0; i < 3; i++) {
			uint64_t at = bus_deadline(bus);

			if (at == NEVER || (!(r >> 36 & 3) && at > latest))
				break;
			latest = at > latest ? at : latest;
			bus_tick(bus, latest);
			assert_true(bus_deadline(bus) > latest);
			now = latest;
		}
		if (!(r >> 34 & 0x3ffff))
			bus_reset(bus);
	}
	bus_tick(bus, UINT64_MAX - 1);
	bus_read(bus, kind, UINT64_MAX, base, 1);
	bus_deadline(bus);
}

#endif
