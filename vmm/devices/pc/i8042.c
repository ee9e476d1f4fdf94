/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "i8042.h"

/* Status, port 64h */
#define STATUS_FULL 0x01
#define STATUS_SYSTEM 0x04
#define STATUS_COMMAND 0x08
#define STATUS_UNLOCKED 0x10
#define STATUS_TIMEOUT 0x40

/* Command byte */
#define CONFIG_SYSTEM 0x04
#define CONFIG_NO_KEYBOARD 0x10 /* clock line held low */
#define CONFIG_NO_AUX 0x20

#define OUTPUT_NO_RESET 0x01
#define OUTPUT_A20 0x02

#define PORT92_RESET 0x01
#define PORT92_A20 0x02

/* Commands, port 64h */
enum {
	READ_RAM = 0x20,  /* .. 3fh */
	WRITE_RAM = 0x60, /* .. 7fh */
	DISABLE_AUX = 0xa7,
	ENABLE_AUX,
	TEST_AUX,
	SELF_TEST,
	TEST_KEYBOARD,
	DISABLE_KEYBOARD = 0xad,
	ENABLE_KEYBOARD,
	READ_INPUT = 0xc0,
	READ_OUTPUT = 0xd0,
	WRITE_OUTPUT,
	LOOP_KEYBOARD,
	LOOP_AUX,
	WRITE_AUX,
	READ_TEST = 0xe0,
	PULSE = 0xf0, /* .. ffh */
};

#define SELF_TEST_PASSED 0x55
#define CLOCK_STUCK_HIGH 0x02 /* nothing pulls it low: no port */
#define INPUT_UNLOCKED 0x80
#define RESEND 0xfe

static void answer(struct i8042 *k, uint8_t byte)
{
	k->output = byte;
	k->full = true;
	k->timeout = false;
}

/* There is nobody at the other end: the controller gives up and says so. */
static void no_device(struct i8042 *k)
{
	answer(k, RESEND);
	k->timeout = true;
}

static void set_output_port(struct i8042 *k, uint8_t value)
{
	k->output_port = value | OUTPUT_A20;
	if (!(value & OUTPUT_NO_RESET)) {
		k->output_port |= OUTPUT_NO_RESET;
		power_event(&k->power, POWER_RESET, 0);
	}
}

static void write_command(struct i8042 *k, uint8_t command)
{
	k->command = 0;
	k->last_command = true;
	switch (command) {
	case READ_RAM ... READ_RAM + 31:
		answer(k, k->ram[command & 31]);
		break;
	case WRITE_RAM ... WRITE_RAM + 31:
	case WRITE_OUTPUT:
	case LOOP_KEYBOARD:
	case LOOP_AUX:
	case WRITE_AUX:
		k->command = command;
		break;
	case DISABLE_AUX:
		k->ram[0] |= CONFIG_NO_AUX;
		break;
	case ENABLE_AUX:
		k->ram[0] &= ~CONFIG_NO_AUX;
		break;
	case TEST_AUX:
		answer(k, CLOCK_STUCK_HIGH);
		break;
	case SELF_TEST:
		k->ram[0] |= CONFIG_SYSTEM;
		answer(k, SELF_TEST_PASSED);
		break;
	case TEST_KEYBOARD: /* the controller's own lines are fine */
		answer(k, 0);
		break;
	case DISABLE_KEYBOARD:
		k->ram[0] |= CONFIG_NO_KEYBOARD;
		break;
	case ENABLE_KEYBOARD:
		k->ram[0] &= ~CONFIG_NO_KEYBOARD;
		break;
	case READ_INPUT:
		answer(k, INPUT_UNLOCKED);
		break;
	case READ_OUTPUT:
		answer(k, k->output_port);
		break;
	case READ_TEST:
		answer(k, 0);
		break;
	case PULSE ... PULSE + 15: /* a 0 pulses its line; bit 0 is the processor's reset */
		if (!(command & OUTPUT_NO_RESET))
			power_event(&k->power, POWER_RESET, 0);
		break;
	}
}

static void write_data(struct i8042 *k, uint8_t byte)
{
	uint8_t command = k->command;

	k->command = 0;
	k->last_command = false;
	switch (command) {
	case WRITE_RAM ... WRITE_RAM + 31:
		k->ram[command & 31] = byte;
		break;
	case WRITE_OUTPUT:
		set_output_port(k, byte);
		break;
	case LOOP_KEYBOARD:
	case LOOP_AUX: /* without the mouse's status bit: that is how drivers see there is none */
		answer(k, byte);
		break;
	default: /* for the keyboard, or after WRITE_AUX for the mouse */
		no_device(k);
	}
}

static uint64_t i8042_data_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct i8042 *k = dev;

	k->full = false;
	k->timeout = false;
	return k->output;
}

static void i8042_data_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	write_data(dev, value);
}

static uint64_t i8042_command_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct i8042 *k = dev;
	uint8_t status = STATUS_UNLOCKED;

	if (k->full)
		status |= STATUS_FULL;
	if (k->ram[0] & CONFIG_SYSTEM)
		status |= STATUS_SYSTEM;
	if (k->last_command)
		status |= STATUS_COMMAND;
	if (k->timeout)
		status |= STATUS_TIMEOUT;
	return status;
}

static void i8042_command_write(void *dev, uint64_t now, uint64_t offset, unsigned size,
				uint64_t value)
{
	write_command(dev, value);
}

static uint64_t i8042_port92_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct i8042 *k = dev;

	return k->port92;
}

static void i8042_port92_write(void *dev, uint64_t now, uint64_t offset, unsigned size,
			       uint64_t value)
{
	struct i8042 *k = dev;
	bool reset = (value & ~(uint64_t)k->port92) & PORT92_RESET;

	k->port92 = (value & PORT92_RESET) | PORT92_A20;
	if (reset)
		power_event(&k->power, POWER_RESET, 0);
}

static void i8042_reset(void *dev)
{
	struct i8042 *k = dev;

	*k = (struct i8042){
		.power = k->power,
		.output_port = OUTPUT_NO_RESET | OUTPUT_A20,
		.port92 = PORT92_A20,
	};
	k->ram[0] = CONFIG_NO_KEYBOARD | CONFIG_NO_AUX;
}

static const struct field rows[] = {
	WIRING(i8042, power),
	FIELD(i8042, command),
	ARRAY(i8042, ram),
	FIELD(i8042, output_port),
	FIELD(i8042, output),
	FLAG(i8042, full),
	FLAG(i8042, timeout),
	FLAG(i8042, last_command),
	FIELD(i8042, port92, .bits = PORT92_RESET | PORT92_A20),
	{ 0 },
};

static const struct fields fields = {
	.name = "i8042",
	.version = 1,
	.size = sizeof(struct i8042),
	.row = rows,
};

const struct device_ops i8042_data_ops = {
	.name = "i8042",
	.width = 1,
	.read = i8042_data_read,
	.write = i8042_data_write,
	.reset = i8042_reset,
	.fields = &fields,
};

const struct device_ops i8042_command_ops = {
	.name = "i8042 command",
	.width = 1,
	.read = i8042_command_read,
	.write = i8042_command_write,
};

const struct device_ops i8042_port92_ops = {
	.name = "port92",
	.width = 1,
	.read = i8042_port92_read,
	.write = i8042_port92_write,
};

void i8042_init(struct i8042 *i8042, const struct power *power)
{
	memset(i8042, 0, sizeof(*i8042));
	i8042->power = *power;
	i8042_reset(i8042);
}

int i8042_attach(struct i8042 *i8042, struct bus *bus)
{
	int err = bus_add(bus, BUS_PORT, 0x60, 1, &i8042_data_ops, i8042);

	if (!err)
		err = bus_add(bus, BUS_PORT, 0x64, 1, &i8042_command_ops, i8042);
	if (!err)
		err = bus_add(bus, BUS_PORT, 0x92, 1, &i8042_port92_ops, i8042);
	return err;
}
