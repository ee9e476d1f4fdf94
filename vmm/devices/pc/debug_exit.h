/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A port through which a test guest ends its machine with a value, as QEMU's isa-debug-exit: the
 * process is expected to exit with (value << 1) | 1.
 */
#ifndef VMM_DEBUG_EXIT_H
#define VMM_DEBUG_EXIT_H

#include "devices/bus.h"
#include "power.h"

#define DEBUG_EXIT_PORT 0xf4
#define DEBUG_EXIT_PORTS 4

struct debug_exit {
	struct power power;
};

void debug_exit_init(struct debug_exit *debug_exit, const struct power *power);
int debug_exit_attach(struct debug_exit *debug_exit, struct bus *bus, uint16_t port);

extern const struct device_ops debug_exit_ops;

#endif
