/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The 8254 interval timer (Intel 8254 datasheet, 231164-005) and the PC's port 61h beside it.
 *
 * Every count is computed from the guest's time, so it cannot drift: tick n of the 1,193,182 Hz
 * clock is at n * 10^9 / 1,193,182 ns. When the caller is late, the edges of channel 0 that were
 * missed become one: an interrupt controller would have merged them, and a guest that was not
 * running must not be drowned afterwards. Nor does tick() want to be called more often than every
 * 100 us, however short a period the guest chose.
 */
#ifndef VMM_PIT_H
#define VMM_PIT_H

#include "devices/bus.h"

#define PIT_HZ 1193182u

struct pit_channel {
	uint8_t mode;	/* 0..5 */
	uint8_t access; /* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool loaded;	  /* the counting element holds a count (or will, at `start`) */
	bool counting;	  /* and is not stopped by the gate or half a written count */
	bool out_before;  /* OUT until `start`, and while nothing is loaded */
	uint32_t count;	  /* what was loaded, 1..65536 */
	uint64_t start;	  /* PIT tick at which it was loaded */
	uint64_t held;	  /* ticks since `start`, while not counting */
	uint32_t next;	  /* written, not yet loaded (modes 1, 2, 3, 5); 0: none */
	uint64_t next_at; /* when it will be, without a trigger (modes 2, 3) */
	/* access to the count, byte by byte */
	bool write_high, read_high;
	uint8_t write_low;
	bool latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct pit {
	struct wire irq; /* OUT of channel 0 */
	struct pit_channel channel[3];
	uint8_t port61; /* its writable bits */
	bool out;	/* level on the wire */
	uint64_t seen;	/* PIT tick up to which channel 0's edges were delivered */
	uint64_t last_edge;
};

void pit_init(struct pit *pit, struct wire irq0);
int pit_attach(struct pit *pit, struct bus *bus); /* 40h, 61h */

/* A channel's count, without a trace; moment: the guest's ns at which the tick of now began. */
uint16_t pit_count(const struct pit *pit, unsigned channel, uint64_t now, uint64_t *moment);

extern const struct device_ops pit_ops, pit_port61_ops;

#endif
