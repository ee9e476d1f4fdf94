/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <errno.h>
#include <string.h>

#include "bus.h"

#define PORTS 0x10000ull

void bus_init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
}

/* Index of the first range that ends above addr. */
static unsigned bus_search(const struct bus *bus, enum bus_kind kind, uint64_t addr)
{
	unsigned low = 0, high = bus->count[kind];

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct bus_range *r = &bus->range[kind][mid];

		if (addr > r->base && addr - r->base >= r->size)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct bus_range *bus_find(struct bus *bus, enum bus_kind kind, uint64_t addr)
{
	unsigned i = bus_search(bus, kind, addr);
	struct bus_range *r = &bus->range[kind][i];

	return i < bus->count[kind] && addr >= r->base ? r : NULL;
}

int bus_add(struct bus *bus, enum bus_kind kind, uint64_t base, uint64_t size,
	    const struct device_ops *ops, void *dev)
{
	struct bus_range *range = bus->range[kind];
	unsigned n = bus->count[kind];
	unsigned i;

	if (!size || base + size - 1 < base)
		return -EINVAL;
	if (kind == BUS_PORT && base + size - 1 >= PORTS)
		return -EINVAL;
	i = bus_search(bus, kind, base);
	if (i < n && range[i].base <= base + size - 1)
		return -EEXIST;
	if (n == BUS_RANGES)
		return -ENOSPC;
	memmove(&range[i + 1], &range[i], (n - i) * sizeof(*range));
	range[i] = (struct bus_range){ .base = base, .size = size, .ops = ops, .dev = dev };
	bus->count[kind]++;
	return 0;
}

/*
 * How many of `size` bytes at addr go to r in one piece: a power of two, inside the range, no wider
 * than the device, and inside one aligned double word (quad word for a device that takes those).
 */
static unsigned bus_piece(const struct bus_range *r, uint64_t addr, unsigned size)
{
	unsigned width = r->ops->width ? r->ops->width : 8;
	unsigned line = width == 8 && size == 8 && !(addr & 7) ? 8 : 4;
	uint64_t room = r->size - (addr - r->base);
	unsigned n = 8;

	while (n > size || n > width || n > room || n > line - (addr & (line - 1)))
		n /= 2;
	return n;
}

static uint64_t bus_address(enum bus_kind kind, uint64_t addr)
{
	return kind == BUS_PORT ? addr & (PORTS - 1) : addr;
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

uint64_t bus_read(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size)
{
	uint64_t value = 0;
	unsigned done = 0;

	if (size > 8)
		size = 8;
	while (done < size) {
		uint64_t at = bus_address(kind, addr + done);
		struct bus_range *r = bus_find(bus, kind, at);
		unsigned n = r ? bus_piece(r, at, size - done) : 1;
		uint64_t part = ones(n);

		if (r && r->ops->read)
			part &= r->ops->read(r->dev, now, at - r->base, n);
		value |= part << done * 8;
		done += n;
	}
	return value;
}

void bus_write(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size,
	       uint64_t value)
{
	unsigned done = 0;

	if (size > 8)
		size = 8;
	while (done < size) {
		uint64_t at = bus_address(kind, addr + done);
		struct bus_range *r = bus_find(bus, kind, at);
		unsigned n = r ? bus_piece(r, at, size - done) : 1;

		if (r && r->ops->write)
			r->ops->write(r->dev, now, at - r->base, n, value >> done * 8 & ones(n));
		done += n;
	}
}

uint64_t bus_deadline(struct bus *bus)
{
	uint64_t first = NEVER;

	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 0; i < bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];
			uint64_t at = r->ops->deadline ? r->ops->deadline(r->dev) : NEVER;

			if (at < first)
				first = at;
		}
	}
	return first;
}

void bus_tick(struct bus *bus, uint64_t now)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 0; i < bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];

			if (r->ops->tick && (!r->ops->deadline || r->ops->deadline(r->dev) <= now))
				r->ops->tick(r->dev, now);
		}
	}
}

void bus_reset(struct bus *bus)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 0; i < bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];

			if (r->ops->reset)
				r->ops->reset(r->dev);
		}
	}
}
