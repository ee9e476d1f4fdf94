/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rules are those of the PCI Local Bus Specification 3.0, sections 3.2.2.3.2 and 6. */
#include <errno.h>

#include "device_fuzz.h"

#include "devices/pc/pci.h"

struct fixture {
	struct pci pci;
	struct pci_function card;
	struct bus bus;
	unsigned resets, writes, last_offset, last_size;
};

static void event(void *opaque, enum power_event event, uint32_t value)
{
	struct fixture *f = opaque;

	assert_int_equal(event, POWER_RESET);
	f->resets++;
}

static void written(void *opaque, uint64_t now, unsigned offset, unsigned size)
{
	struct fixture *f = opaque;

	assert_true(offset + size <= PCI_CONFIG_SIZE);
	f->writes++;
	f->last_offset = offset;
	f->last_size = size;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct power power = { .event = event, .opaque = f };

	bus_init(&f->bus);
	pci_init(&f->pci, &power);
	pci_attach(&f->pci, &f->bus);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static uint32_t get(struct fixture *f, uint16_t port, unsigned size)
{
	return bus_read(&f->bus, BUS_PORT, 0, port, size);
}

static void put(struct fixture *f, uint16_t port, unsigned size, uint32_t value)
{
	bus_write(&f->bus, BUS_PORT, 0, port, size, value);
}

static void point(struct fixture *f, unsigned device, unsigned function, unsigned offset)
{
	put(f, 0xcf8, 4, 0x80000000 | device << 11 | function << 8 | (offset & 0xfc));
}

/* Two BARs, a capability byte that can be written. */
static void insert(struct fixture *f, unsigned device)
{
	f->card.config[0] = 0xf4;
	f->card.config[1] = 0x1a;
	f->card.writable[0x45] = 0x0f;
	f->card.written = written;
	f->card.opaque = f;
	assert_int_equal(pci_bar(&f->card, 0, 64, true), 0);
	assert_int_equal(pci_bar(&f->card, 1, 0x4000, false), 0);
	assert_int_equal(pci_add(&f->pci, device, 0, &f->card), 0);
}

static void address_port(void **state)
{
	struct fixture *f = *state;

	put(f, 0xcfb, 1, 0x01); /* Linux' probe: a byte must not be the address */
	assert_int_equal(get(f, 0xcf8, 4), 0);
	put(f, 0xcf8, 4, 0x80000000);
	assert_int_equal(get(f, 0xcf8, 4), 0x80000000);
	put(f, 0xcf8, 2, 0xffff);
	put(f, 0xcfa, 2, 0xffff);
	assert_int_equal(get(f, 0xcf8, 4), 0x80000000);
	assert_int_equal(get(f, 0xcf8, 1), 0xff);
	put(f, 0xcf8, 4, 0xffffffff);
	assert_int_equal(get(f, 0xcf8, 4), 0x80fffffc); /* reserved bits read as 0 */
	assert_int_equal(f->resets, 0);
}

static void host_bridge(void **state)
{
	struct fixture *f = *state;

	point(f, 0, 0, 0);
	assert_int_equal(get(f, 0xcfc, 4), 0x00081b36);
	assert_int_equal(get(f, 0xcfc, 2), 0x1b36);
	assert_int_equal(get(f, 0xcfe, 2), 0x0008);
	assert_int_equal(get(f, 0xcff, 1), 0x00);
	put(f, 0xcfc, 4, 0);
	assert_int_equal(get(f, 0xcfc, 4), 0x00081b36);
	point(f, 0, 0, 8);
	assert_int_equal(get(f, 0xcfc, 4), 0x06000000);
	point(f, 0, 0, 0x0c);
	assert_int_equal(get(f, 0xcfe, 1), 0x00); /* single function, header type 0 */
	put(f, 0xcf8, 4, 0);			  /* not enabled */
	assert_int_equal(get(f, 0xcfc, 4), 0xffffffff);
}

static void absent_functions(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 1; i < 256; i++) {
		put(f, 0xcf8, 4, 0x80000000 | i << 8);
		assert_int_equal(get(f, 0xcfc, 4), 0xffffffff);
		assert_int_equal(get(f, 0xcfe, 2), 0xffff);
		put(f, 0xcfc, 4, 0);
	}
	put(f, 0xcf8, 4, 0x80010000); /* bus 1 */
	assert_int_equal(get(f, 0xcfc, 4), 0xffffffff);
}

static void adding(void **state)
{
	struct fixture *f = *state;

	insert(f, 3);
	assert_int_equal(pci_add(&f->pci, 3, 0, &f->card), -EEXIST);
	assert_int_equal(pci_add(&f->pci, 0, 0, &f->card), -EEXIST);
	assert_int_equal(pci_add(&f->pci, 32, 0, &f->card), -EINVAL);
	assert_int_equal(pci_add(&f->pci, 3, 8, &f->card), -EINVAL);
	assert_int_equal(pci_add(&f->pci, 4, 1, &f->card), -EINVAL); /* no function 0 */
	assert_int_equal(pci_add(&f->pci, 3, 1, &f->card), 0);
	assert_int_equal(pci_bar(&f->card, 6, 64, false), -EINVAL);
	assert_int_equal(pci_bar(&f->card, 2, 48, false), -EINVAL);
	assert_int_equal(pci_bar(&f->card, 2, 8, false), -EINVAL);
	assert_int_equal(pci_bar(&f->card, 2, 0, false), -EINVAL);
	assert_int_equal(pci_bar(&f->card, 2, 512, true), -EINVAL);
	assert_int_equal(pci_bar(&f->card, 2, 2, true), -EINVAL);
}

static void bars(void **state)
{
	struct fixture *f = *state;

	insert(f, 3);
	point(f, 3, 0, 0x10);
	assert_int_equal(get(f, 0xcfc, 4), 0x00000001);
	put(f, 0xcfc, 4, 0xffffffff);
	assert_int_equal(get(f, 0xcfc, 4), 0xffffffc1);
	put(f, 0xcfc, 4, 0xc055);
	assert_int_equal(get(f, 0xcfc, 4), 0xc041);
	point(f, 3, 0, 0x14);
	put(f, 0xcfc, 4, 0xffffffff);
	assert_int_equal(get(f, 0xcfc, 4), 0xffffc000);
	put(f, 0xcfc, 4, 0xe0004000);
	point(f, 3, 0, 0x18);
	put(f, 0xcfc, 4, 0xffffffff);
	assert_int_equal(get(f, 0xcfc, 4), 0); /* there is none */
	assert_int_equal(pci_bar_address(&f->card, 0), 0);
	point(f, 3, 0, 0x04);
	put(f, 0xcfc, 2, 0x0001);
	assert_int_equal(pci_bar_address(&f->card, 0), 0xc040);
	assert_int_equal(pci_bar_address(&f->card, 1), 0);
	put(f, 0xcfc, 2, 0x0002);
	assert_int_equal(pci_bar_address(&f->card, 0), 0);
	assert_int_equal(pci_bar_address(&f->card, 1), 0xe0004000);
	assert_int_equal(pci_bar_address(&f->card, 2), 0);
	assert_int_equal(pci_bar_address(&f->card, 7), 0);
}

static void masks(void **state)
{
	struct fixture *f = *state;

	insert(f, 3);
	point(f, 3, 0, 0x44);
	put(f, 0xcfd, 1, 0xff);
	assert_int_equal(get(f, 0xcfc, 4), 0x00000f00);
	assert_int_equal(f->writes, 1);
	assert_int_equal(f->last_offset, 0x45);
	assert_int_equal(f->last_size, 1);
	f->card.config[7] = 0xff; /* status: a 1 clears, and only what may be cleared */
	point(f, 3, 0, 4);
	put(f, 0xcff, 1, 0x80);
	assert_int_equal(get(f, 0xcff, 1), 0x7f);
	put(f, 0xcff, 1, 0xff);
	assert_int_equal(get(f, 0xcff, 1), 0x06);
	point(f, 3, 0, 0x3c);
	put(f, 0xcfc, 4, 0xffffff0b);
	assert_int_equal(get(f, 0xcfc, 4), 0x0000000b);
	bus_reset(&f->bus);
	assert_int_equal(get(f, 0xcf8, 4), 0);
	point(f, 3, 0, 0x44);
	assert_int_equal(get(f, 0xcfc, 4), 0);
	point(f, 3, 0, 0x14);
	assert_int_equal(get(f, 0xcfc, 4), 0);
}

static void reset_control(void **state)
{
	struct fixture *f = *state;

	put(f, 0xcf9, 1, 0x02);
	assert_int_equal(get(f, 0xcf9, 1), 0x02);
	assert_int_equal(f->resets, 0);
	put(f, 0xcf9, 1, 0x06);
	assert_int_equal(f->resets, 1);
	put(f, 0xcf9, 1, 0x0e); /* bit 2 must rise again */
	assert_int_equal(f->resets, 1);
	put(f, 0xcf9, 1, 0x00);
	put(f, 0xcf9, 1, 0x0e);
	assert_int_equal(f->resets, 2);
	put(f, 0xcf9, 1, 0x00);
	put(f, 0xcf9, 2, 0x0606); /* a word is not the register */
	assert_int_equal(get(f, 0xcf9, 2), 0xffff);
	put(f, 0xcf8, 4, 0x80000600); /* an address, no reset */
	assert_int_equal(f->resets, 2);
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 19;

	insert(f, 3);
	fuzz_bus(&f->bus, BUS_PORT, 0xcf6, 12, 300000);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = fuzz_next(&seed);

		point(f, r & 3, r >> 2 & 1, r >> 8);
		put(f, 0xcfc + (r >> 16 & 3), 1 << (r >> 18 & 3), r >> 20);
		get(f, 0xcfc + (r >> 52 & 3), 1 << (r >> 54 & 3));
		pci_bar_address(&f->card, r >> 56 & 7);
	}
	assert_true(f->writes > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(address_port), T(host_bridge), T(absent_functions), T(adding),
		T(bars),	 T(masks),	 T(reset_control),    T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
