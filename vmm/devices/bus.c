/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <errno.h>
#include <string.h>

#include "bus.h"

void bus_init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	bus->nearest = NEVER;
}

static bool covers(const struct bus_range *r, uint64_t addr)
{
	return addr - r->base < r->size;
}

/* Ports are looked up on nearly every exit of a guest, device memory hardly ever. */
static struct bus_range *bus_find(struct bus *bus, enum bus_kind kind, uint64_t addr)
{
	struct bus_range *range = bus->range[kind];

	if (kind == BUS_PORT)
		return &range[bus->port[addr]];
	if (covers(&range[bus->last], addr))
		return &range[bus->last];
	for (unsigned i = 1; i <= bus->count[kind]; i++) {
		if (covers(&range[i], addr)) {
			bus->last = i;
			return &range[i];
		}
	}
	return &range[0];
}

/* A device's deadline stands in the operations of one of its ranges, and changes with any of them. */
static void share_deadline(struct bus *bus, const struct bus_range *new)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];

			if (r->dev == new->dev && !r->deadline)
				r->deadline = new->deadline;
		}
	}
}

static uint64_t (*find_deadline(const struct bus *bus, const void *dev))(void *)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			const struct bus_range *r = &bus->range[kind][i];

			if (r->dev == dev && r->deadline)
				return r->deadline;
		}
	}
	return NULL;
}

int bus_add(struct bus *bus, enum bus_kind kind, uint64_t base, uint64_t size,
	    const struct device_ops *ops, void *dev)
{
	struct bus_range *range = bus->range[kind];
	unsigned n = bus->count[kind];
	struct bus_range *r;

	if (!size || base + size - 1 < base)
		return -EINVAL;
	if (kind == BUS_PORT && base + size - 1 >= BUS_PORTS)
		return -EINVAL;
	for (unsigned i = 1; i <= n; i++) {
		if (covers(&range[i], base) || base + size - 1 - range[i].base < size)
			return -EEXIST;
	}
	if (n == BUS_RANGES)
		return -ENOSPC;
	r = &range[++bus->count[kind]];
	*r = (struct bus_range){
		.base = base,
		.size = size,
		.ops = ops,
		.dev = dev,
		.width = ops->width ? ops->width : 8,
		.deadline = ops->deadline ? ops->deadline : find_deadline(bus, dev),
	};
	share_deadline(bus, r);
	if (kind == BUS_PORT)
		memset(&bus->port[base], (int)bus->count[kind], size);
	return 0;
}

/*
 * How many of `size` bytes at addr go to r in one piece: a power of two, inside the range, no wider
 * than the device, and inside one aligned double word (quad word for a device that takes those).
 */
static unsigned bus_piece(const struct bus_range *r, uint64_t addr, unsigned size)
{
	unsigned line = r->width == 8 && size == 8 && !(addr & 7) ? 8 : 4;
	uint64_t room = r->size - (addr - r->base);
	unsigned n = 8;

	while (n > size || n > r->width || n > room || n > line - (addr & (line - 1)))
		n /= 2;
	return n;
}

/*
 * The piece is all there is, as nearly always: an aligned access inside r that r understands. Both
 * sizes of the range where nobody answers are 0.
 */
static bool bus_whole(const struct bus_range *r, uint64_t addr, unsigned size)
{
	return size <= r->width && !(size & (size - 1)) && !(addr & (size - 1)) &&
	       addr - r->base <= r->size - size && size <= r->size;
}

static uint64_t bus_address(enum bus_kind kind, uint64_t addr)
{
	return kind == BUS_PORT ? addr & (BUS_PORTS - 1) : addr;
}

/* r has been accessed: its deadline may have come nearer. */
static void bus_note(struct bus *bus, const struct bus_range *r)
{
	uint64_t at;

	if (!r->deadline)
		return;
	at = r->deadline(r->dev);
	if (at < bus->nearest)
		bus->nearest = at;
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

static uint64_t read_piece(struct bus *bus, const struct bus_range *r, uint64_t now, uint64_t addr,
			   unsigned size)
{
	uint64_t value;

	if (!r->size || !r->ops->read)
		return ones(size);
	value = r->ops->read(r->dev, now, addr - r->base, size) & ones(size);
	bus_note(bus, r);
	return value;
}

static void write_piece(struct bus *bus, const struct bus_range *r, uint64_t now, uint64_t addr,
			unsigned size, uint64_t value)
{
	if (!r->size || !r->ops->write)
		return;
	r->ops->write(r->dev, now, addr - r->base, size, value & ones(size));
	bus_note(bus, r);
	if (r->ops->forecast)
		bus->written = r->dev;
}

static __attribute__((noinline)) uint64_t read_pieces(struct bus *bus, enum bus_kind kind,
						      uint64_t now, uint64_t addr, unsigned size)
{
	uint64_t value = 0;

	if (size > 8)
		size = 8;
	for (unsigned done = 0, n; done < size; done += n) {
		uint64_t at = bus_address(kind, addr + done);
		const struct bus_range *r = bus_find(bus, kind, at);

		n = r->size ? bus_piece(r, at, size - done) : 1;
		value |= read_piece(bus, r, now, at, n) << done * 8;
	}
	return value;
}

uint64_t bus_read(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size)
{
	const struct bus_range *r;

	addr = bus_address(kind, addr);
	r = bus_find(bus, kind, addr);
	if (bus_whole(r, addr, size))
		return read_piece(bus, r, now, addr, size);
	return read_pieces(bus, kind, now, addr, size);
}

static __attribute__((noinline)) void write_pieces(struct bus *bus, enum bus_kind kind, uint64_t now,
						   uint64_t addr, unsigned size, uint64_t value)
{
	if (size > 8)
		size = 8;
	for (unsigned done = 0, n; done < size; done += n) {
		uint64_t at = bus_address(kind, addr + done);
		const struct bus_range *r = bus_find(bus, kind, at);

		n = r->size ? bus_piece(r, at, size - done) : 1;
		write_piece(bus, r, now, at, n, value >> done * 8);
	}
}

void bus_write(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size,
	       uint64_t value)
{
	const struct bus_range *r;

	addr = bus_address(kind, addr);
	r = bus_find(bus, kind, addr);
	if (bus_whole(r, addr, size))
		write_piece(bus, r, now, addr, size, value);
	else
		write_pieces(bus, kind, now, addr, size, value);
}

void bus_touch(struct bus *bus, const void *dev)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			if (bus->range[kind][i].dev == dev) {
				bus_note(bus, &bus->range[kind][i]);
				return;
			}
		}
	}
}

void bus_forecasts(struct bus *bus, const void *dev,
		   void (*tell)(void *opaque, uint16_t port, const struct forecast *forecast),
		   void *opaque)
{
	for (unsigned i = 1; i <= bus->count[BUS_PORT]; i++) {
		const struct bus_range *r = &bus->range[BUS_PORT][i];

		if (!r->ops->forecast || (dev && r->dev != dev))
			continue;
		for (uint64_t offset = 0; offset < r->size; offset++) {
			struct forecast forecast = { .kind = FORECAST_NONE };

			r->ops->forecast(r->dev, offset, &forecast);
			tell(opaque, (uint16_t)(r->base + offset), &forecast);
		}
	}
	bus->written = NULL;
}

uint64_t bus_deadline(struct bus *bus)
{
	uint64_t first = NEVER;

	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];
			uint64_t at = r->ops->deadline ? r->ops->deadline(r->dev) : NEVER;

			if (at < first)
				first = at;
		}
	}
	bus->nearest = first;
	return first;
}

void bus_tick(struct bus *bus, uint64_t now)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];

			if (r->ops->tick && (!r->ops->deadline || r->ops->deadline(r->dev) <= now))
				r->ops->tick(r->dev, now);
		}
	}
}

void bus_reset(struct bus *bus)
{
	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= bus->count[kind]; i++) {
			struct bus_range *r = &bus->range[kind][i];

			if (r->ops->reset)
				r->ops->reset(r->dev);
		}
	}
	bus_deadline(bus);
}
