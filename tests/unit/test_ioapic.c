/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "device_fuzz.h"

#include "devices/pc/ioapic.h"

struct fixture {
	struct ioapic ioapic;
	struct bus bus;
	unsigned messages;
	uint64_t address;
	uint32_t data;
};

static void msi(void *opaque, uint64_t address, uint32_t data)
{
	struct fixture *f = opaque;

	f->messages++;
	f->address = address;
	f->data = data;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	bus_init(&f->bus);
	ioapic_init(&f->ioapic, 5, msi, f);
	ioapic_attach(&f->ioapic, &f->bus, IOAPIC_BASE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static uint32_t get(struct fixture *f, uint8_t reg)
{
	bus_write(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE, 4, reg);
	return bus_read(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE + 0x10, 4);
}

static void put(struct fixture *f, uint8_t reg, uint32_t value)
{
	bus_write(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE, 4, reg);
	bus_write(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE + 0x10, 4, value);
}

static void route(struct fixture *f, unsigned pin, uint32_t low, uint8_t dest)
{
	put(f, 0x11 + 2 * pin, (uint32_t)dest << 24);
	put(f, 0x10 + 2 * pin, low);
}

static void registers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0), 0x05000000);
	put(f, 0, 0xffffffff);
	assert_int_equal(get(f, 0), 0x0f000000);
	assert_int_equal(get(f, 1), 0x00170020);
	put(f, 1, 0);
	assert_int_equal(get(f, 1), 0x00170020);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(get(f, 0x10 + 2 * pin), 0x10000);
		assert_int_equal(get(f, 0x11 + 2 * pin), 0);
	}
	assert_int_equal(get(f, 0x40), 0xffffffff);
	assert_int_equal(get(f, 0x0f), 0xffffffff);
	put(f, 0x40, 0);
	put(f, 0xff, 0);
	put(f, 0x3e, 0xffffffff);
	assert_int_equal(get(f, 0x3e), 0x0001afff); /* delivery status and remote IRR read only */
	put(f, 0x3f, 0xffffffff);
	assert_int_equal(get(f, 0x3f), 0xff000000);
	assert_int_equal(bus_read(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE, 1), 0x3f);
	assert_int_equal(bus_read(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE + 0x13, 1), 0xff);
	assert_int_equal(bus_read(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE + 0x20, 4), 0xffffffff);
}

static void an_edge_becomes_a_message(void **state)
{
	struct fixture *f = *state;

	route(f, 4, 0x0041, 3);
	ioapic_set_pin(&f->ioapic, 4, true);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->address, 0xfee03000);
	assert_int_equal(f->data, 0x4041);
	ioapic_set_pin(&f->ioapic, 4, true); /* no edge */
	assert_int_equal(f->messages, 1);
	ioapic_set_pin(&f->ioapic, 4, false);
	assert_int_equal(f->messages, 1);
	ioapic_wire(&f->ioapic, 4, true); /* needs no EOI in between */
	assert_int_equal(f->messages, 2);
	assert_int_equal(get(f, 0x18), 0x0041);
}

static void message_fields(void **state)
{
	struct fixture *f = *state;

	route(f, 1, 0x0930, 0x0f); /* lowest priority, logical */
	ioapic_set_pin(&f->ioapic, 1, true);
	assert_int_equal(f->address, 0xfee0f00c);
	assert_int_equal(f->data, 0x4130);
	route(f, 2, 0x2431, 0xff); /* NMI, active low: polarity means nothing */
	ioapic_set_pin(&f->ioapic, 2, true);
	assert_int_equal(f->address, 0xfeeff000);
	assert_int_equal(f->data, 0x4431);
	route(f, 3, 0x8732, 0); /* ExtINT set to level gets no EOI: it acts as an edge */
	ioapic_set_pin(&f->ioapic, 3, true);
	assert_int_equal(f->data, 0x4732);
	assert_int_equal(get(f, 0x16), 0x8732);
}

static void masked(void **state)
{
	struct fixture *f = *state;

	ioapic_set_pin(&f->ioapic, 4, true);
	route(f, 4, 0x0041, 0);
	assert_int_equal(f->messages, 0); /* an edge on a masked pin is lost */
	ioapic_set_pin(&f->ioapic, 9, true);
	route(f, 9, 0x18042, 0);
	assert_int_equal(f->messages, 0);
	route(f, 9, 0x8042, 0);
	assert_int_equal(f->messages, 1); /* a level is not */
	assert_int_equal(f->data, 0xc042);
}

static void level_until_eoi(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0x8055, 0);
	ioapic_set_pin(&f->ioapic, 9, true);
	assert_int_equal(f->messages, 1);
	assert_int_equal(get(f, 0x22), 0xc055); /* remote IRR */
	ioapic_set_pin(&f->ioapic, 9, false);
	ioapic_set_pin(&f->ioapic, 9, true);
	assert_int_equal(f->messages, 1);
	ioapic_eoi(&f->ioapic, 0x54);
	assert_int_equal(f->messages, 1);
	ioapic_eoi(&f->ioapic, 0x55); /* asserted still: again */
	assert_int_equal(f->messages, 2);
	assert_int_equal(get(f, 0x22), 0xc055);
	ioapic_set_pin(&f->ioapic, 9, false);
	ioapic_eoi(&f->ioapic, 0x55);
	assert_int_equal(f->messages, 2);
	assert_int_equal(get(f, 0x22), 0x8055);
}

static void eoi_register(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0x8055, 0);
	route(f, 10, 0x8055, 1);
	ioapic_set_pin(&f->ioapic, 9, true);
	ioapic_set_pin(&f->ioapic, 10, true);
	ioapic_set_pin(&f->ioapic, 9, false);
	ioapic_set_pin(&f->ioapic, 10, false);
	bus_write(&f->bus, BUS_MEMORY, 0, IOAPIC_BASE + 0x40, 4, 0x55);
	assert_int_equal(get(f, 0x22), 0x8055); /* all pins with the vector */
	assert_int_equal(get(f, 0x24), 0x8055);
}

static void eoi_by_edge_mode(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0x8055, 0);
	ioapic_set_pin(&f->ioapic, 9, true);
	put(f, 0x22, 0x10055); /* masked edge: what Linux does for version 11h */
	assert_int_equal(get(f, 0x22), 0x10055);
	put(f, 0x22, 0x18055);
	assert_int_equal(f->messages, 1);
	put(f, 0x22, 0x8055);
	assert_int_equal(f->messages, 2);
}

static void pins_do_not_disturb_each_other(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0x8059, 0);
	route(f, 10, 0x805a, 0);
	ioapic_set_pin(&f->ioapic, 9, true);
	ioapic_set_pin(&f->ioapic, 10, true);
	ioapic_eoi(&f->ioapic, 0x59);
	assert_int_equal(f->messages, 3);
	ioapic_set_pin(&f->ioapic, 10, false);
	ioapic_eoi(&f->ioapic, 0x5a);
	assert_int_equal(f->messages, 3);
	ioapic_eoi(&f->ioapic, 0x59);
	assert_int_equal(f->messages, 4);
}

static void reset_masks(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0x8055, 0);
	ioapic_set_pin(&f->ioapic, 9, true);
	bus_reset(&f->bus);
	assert_int_equal(get(f, 0x22), 0x10000);
	ioapic_eoi(&f->ioapic, 0x55);
	assert_int_equal(f->messages, 1);
}

static void bad_pins(void **state)
{
	struct fixture *f = *state;

	ioapic_set_pin(&f->ioapic, 24, true);
	ioapic_set_pin(&f->ioapic, ~0u, true);
	assert_int_equal(f->ioapic.lines, 0);
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 3;

	fuzz_bus(&f->bus, BUS_MEMORY, IOAPIC_BASE, IOAPIC_SIZE, 300000);
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r = fuzz_next(&seed);

		if (r & 1)
			put(f, r >> 8, r >> 16);
		else if (r & 2)
			ioapic_set_pin(&f->ioapic, r >> 8 & 31, r >> 16 & 1);
		else if (r & 4)
			ioapic_eoi(&f->ioapic, r >> 8);
		else
			get(f, r >> 8);
		assert_int_equal(f->address >> 20, f->messages ? 0xfee : 0);
		assert_int_equal(f->data & ~0xc7ffu, 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(registers),	     T(an_edge_becomes_a_message),
		T(message_fields),   T(masked),
		T(level_until_eoi),  T(eoi_register),
		T(eoi_by_edge_mode), T(pins_do_not_disturb_each_other),
		T(reset_masks),	     T(bad_pins),
		T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
