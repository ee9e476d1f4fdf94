/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is left of the keyboard controller (IBM PC AT Technical Reference, "Keyboard Controller")
 * in a machine without keyboard and mouse: it passes its self test, reports both ports as absent,
 * and can reset the machine. And port 92h, fast A20 and reset. A20 is always on.
 */
#ifndef VMM_I8042_H
#define VMM_I8042_H

#include "devices/bus.h"
#include "power.h"

struct i8042 {
	struct power power;
	uint8_t command; /* whose data byte comes next at port 60h, or 0 */
	uint8_t ram[32]; /* [0]: the command byte */
	uint8_t output_port;
	uint8_t output;	   /* what port 60h reads */
	bool full;	   /* status bit 0 */
	bool timeout;	   /* status bit 6 */
	bool last_command; /* status bit 3: the last write went to 64h */
	uint8_t port92;
};

void i8042_init(struct i8042 *i8042, const struct power *power);
int i8042_attach(struct i8042 *i8042, struct bus *bus); /* 60h, 64h, 92h */

extern const struct device_ops i8042_data_ops, i8042_command_ops, i8042_port92_ops;

#endif
