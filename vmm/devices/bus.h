/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Which device answers which port or guest-physical address of one machine.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include "device.h"

#define BUS_RANGES 32
#define BUS_PORTS 0x10000u

enum bus_kind { BUS_PORT, BUS_MEMORY, BUS_KINDS };

struct bus_range {
	uint64_t base;
	uint64_t size;
	const struct device_ops *ops;
	void *dev;
	unsigned width;			 /* the widest access, in bytes */
	uint64_t (*deadline)(void *dev); /* dev's, whichever of its ranges has it; or NULL */
};

/* Index 0 of each kind is where nobody answers. */
struct bus {
	struct bus_range range[BUS_KINDS][BUS_RANGES + 1];
	unsigned count[BUS_KINDS];
	unsigned last;	     /* the memory range that was found last */
	uint64_t nearest;    /* see bus_nearest() */
	const void *written; /* a device with forecasts, written since bus_forecasts() */
	uint8_t port[BUS_PORTS];
};

void bus_init(struct bus *bus);
/*
 * [base, base + size) becomes dev's. -EEXIST: overlaps another range; -EINVAL: empty, wrapping, or
 * beyond port FFFFh; -ENOSPC: BUS_RANGES are taken.
 */
int bus_add(struct bus *bus, enum bus_kind kind, uint64_t base, uint64_t size,
	    const struct device_ops *ops, void *dev);
/*
 * size: 1 to 8 bytes. An access that is wider than the device, or lies on several devices, is
 * performed as several narrower ones from the low address up, as an ISA or PCI bridge does; bytes
 * that nobody answers read as ones and swallow writes.
 */
uint64_t bus_read(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, enum bus_kind kind, uint64_t now, uint64_t addr, unsigned size,
	       uint64_t value);
/* The earliest deadline of any device; it may change with every read, write and input. */
uint64_t bus_deadline(struct bus *bus);
/*
 * No deadline is earlier than this: what bus_deadline() last said, or that of a device which was
 * accessed or touched since then. One comparison tells whether somebody has to be woken.
 */
static inline uint64_t bus_nearest(const struct bus *bus)
{
	return bus->nearest;
}
/* dev was changed by other means than bus_read() and bus_write(). */
void bus_touch(struct bus *bus, const void *dev);
/*
 * Tells what each port foretells, after a device with forecasts was written; dev NULL: at all. Kind
 * FORECAST_NONE: nothing.
 */
void bus_forecasts(struct bus *bus, const void *dev,
		   void (*tell)(void *opaque, uint16_t port, const struct forecast *forecast),
		   void *opaque);
void bus_tick(struct bus *bus, uint64_t now);
void bus_reset(struct bus *bus);

#endif
