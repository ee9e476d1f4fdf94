/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The keyboard controller without a keyboard, and the other small ports: 92h, 80h, EDh, F4h. */
#include <errno.h>

#include "device_fuzz.h"

#include "devices/pc/debug_exit.h"
#include "devices/pc/delay.h"
#include "devices/pc/i8042.h"

struct fixture {
	struct i8042 i8042;
	struct debug_exit debug_exit;
	struct bus bus;
	unsigned events;
	enum power_event event;
	uint32_t value;
};

static void event(void *opaque, enum power_event event, uint32_t value)
{
	struct fixture *f = opaque;

	f->events++;
	f->event = event;
	f->value = value;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct power power = { .event = event, .opaque = f };

	bus_init(&f->bus);
	i8042_init(&f->i8042, &power);
	debug_exit_init(&f->debug_exit, &power);
	assert_int_equal(i8042_attach(&f->i8042, &f->bus), 0);
	assert_int_equal(debug_exit_attach(&f->debug_exit, &f->bus, DEBUG_EXIT_PORT), 0);
	assert_int_equal(delay_attach(&f->bus), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void put(struct fixture *f, uint16_t port, uint8_t value)
{
	outb(&f->bus, 0, port, value);
}

static uint8_t get(struct fixture *f, uint16_t port)
{
	return in(&f->bus, 0, port);
}

/* A command's answer; there must be one. */
static uint8_t ask(struct fixture *f, uint8_t command)
{
	put(f, 0x64, command);
	assert_int_equal(get(f, 0x64) & 0x03, 0x01);
	return get(f, 0x60);
}

static void controller(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x64), 0x10); /* nothing to read, and room to write */
	assert_int_equal(ask(f, 0xaa), 0x55);
	assert_int_equal(get(f, 0x64) & 0x05, 0x04); /* system flag after the self test */
	assert_int_equal(ask(f, 0xab), 0x00);
	put(f, 0x64, 0x60);
	put(f, 0x60, 0x65);
	assert_int_equal(ask(f, 0x20), 0x65);
	put(f, 0x64, 0xad);
	assert_int_equal(ask(f, 0x20), 0x75);
	put(f, 0x64, 0xae);
	assert_int_equal(ask(f, 0x20), 0x65);
	put(f, 0x64, 0x65);
	put(f, 0x60, 0x77);
	assert_int_equal(ask(f, 0x25), 0x77);
	put(f, 0x64, 0xa7);
	assert_int_equal(ask(f, 0x20), 0x65);
	put(f, 0x64, 0xa8);
	assert_int_equal(ask(f, 0x20), 0x45);
	put(f, 0x64, 0xa7);
	assert_int_equal(ask(f, 0x20), 0x65);
	assert_int_equal(get(f, 0x64) & 0x08, 0x08); /* the last write was a command */
	put(f, 0x60, 0);
	assert_int_equal(get(f, 0x64) & 0x08, 0x00);
	get(f, 0x60);
	assert_int_equal(ask(f, 0xd0), 0x03);
	assert_int_equal(ask(f, 0xc0), 0x80);
	assert_int_equal(f->events, 0);
}

static void nobody_is_connected(void **state)
{
	struct fixture *f = *state;

	put(f, 0x60, 0xf2);			     /* "identify" to the keyboard */
	assert_int_equal(get(f, 0x64) & 0x41, 0x41); /* timeout */
	assert_int_equal(get(f, 0x60), 0xfe);
	assert_int_equal(get(f, 0x64) & 0x41, 0x00);
	put(f, 0x64, 0xd4);
	put(f, 0x60, 0xf2); /* and to the mouse */
	assert_int_equal(get(f, 0x64) & 0x41, 0x41);
	assert_int_equal(get(f, 0x60), 0xfe);
	assert_int_not_equal(ask(f, 0xa9), 0);
	put(f, 0x64, 0xd3);
	put(f, 0x60, 0x5a);
	assert_int_equal(get(f, 0x64) & 0x21, 0x01); /* not from the mouse's side */
	assert_int_equal(get(f, 0x60), 0x5a);
}

static void resets(void **state)
{
	struct fixture *f = *state;

	put(f, 0x64, 0xff);
	assert_int_equal(f->events, 0);
	put(f, 0x64, 0xfe);
	assert_int_equal(f->events, 1);
	assert_int_equal(f->event, POWER_RESET);
	put(f, 0x64, 0xd1);
	put(f, 0x60, 0xdf);
	assert_int_equal(f->events, 1);
	put(f, 0x64, 0xd1);
	put(f, 0x60, 0xde);
	assert_int_equal(f->events, 2);
	assert_int_equal(ask(f, 0xd0), 0xdf); /* the reset line came back up */
	assert_int_equal(get(f, 0x92), 0x02);
	put(f, 0x92, 0x02);
	assert_int_equal(f->events, 2);
	put(f, 0x92, 0x00); /* A20 stays on */
	assert_int_equal(get(f, 0x92), 0x02);
	put(f, 0x92, 0x03);
	assert_int_equal(f->events, 3);
	put(f, 0x92, 0x03);
	assert_int_equal(f->events, 3);
	bus_reset(&f->bus);
	assert_int_equal(get(f, 0x92), 0x02);
	assert_int_equal(ask(f, 0x20), 0x30);
}

static void debug_exit(void **state)
{
	struct fixture *f = *state;

	bus_write(&f->bus, BUS_PORT, 0, 0xf4, 1, 0x10);
	assert_int_equal(f->events, 1);
	assert_int_equal(f->event, POWER_DEBUG_EXIT);
	assert_int_equal(f->value, 0x10);
	bus_write(&f->bus, BUS_PORT, 0, 0xf4, 4, 0x12345678);
	assert_int_equal(f->events, 2);
	assert_int_equal(f->value, 0x12345678);
	assert_int_equal(bus_read(&f->bus, BUS_PORT, 0, 0xf4, 4), 0xffffffff);
	assert_int_equal(f->events, 2);
}

static void delay(void **state)
{
	struct fixture *f = *state;

	put(f, 0x80, 1);
	put(f, 0xed, 1);
	assert_int_equal(get(f, 0x80), 0xff);
	assert_int_equal(get(f, 0xed), 0xff);
	assert_int_equal(delay_attach(&f->bus), -EEXIST);
	assert_int_equal(f->events, 0);
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;

	fuzz_bus(&f->bus, BUS_PORT, 0x5e, 160, 500000);
	fuzz_bus(&f->bus, BUS_PORT, 0x60, 5, 500000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(controller), T(nobody_is_connected), T(resets), T(debug_exit),
		T(delay),      T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
