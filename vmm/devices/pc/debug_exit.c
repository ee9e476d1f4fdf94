/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "devices/fields.h"
#include "debug_exit.h"

static void debug_exit_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_exit *debug_exit = dev;

	power_event(&debug_exit->power, POWER_DEBUG_EXIT, value);
}

static const struct field rows[] = {
	WIRING(debug_exit, power),
	{ 0 },
};

static const struct fields fields = {
	.name = "debug_exit",
	.version = 1,
	.size = sizeof(struct debug_exit),
	.row = rows,
};

const struct device_ops debug_exit_ops = {
	.name = "debug_exit",
	.width = 4,
	.write = debug_exit_write,
	.fields = &fields,
};

void debug_exit_init(struct debug_exit *debug_exit, const struct power *power)
{
	debug_exit->power = *power;
}

int debug_exit_attach(struct debug_exit *debug_exit, struct bus *bus, uint16_t port)
{
	return bus_add(bus, BUS_PORT, port, DEBUG_EXIT_PORTS, &debug_exit_ops, debug_exit);
}
