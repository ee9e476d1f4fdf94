/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <errno.h>

#include "device_fuzz.h"

struct recorder {
	struct {
		uint64_t offset, value;
		unsigned size;
	} log[16];
	unsigned n;
	uint64_t deadline;
	unsigned ticks, resets;
};

static uint64_t rec_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct recorder *r = dev;
	uint64_t value = 0;

	r->log[r->n].offset = offset;
	r->log[r->n++].size = size;
	for (unsigned i = 0; i < size; i++)
		value |= (offset + i + 0x10) << i * 8;
	return value | (size < 8 ? ~0ull << size * 8 : 0); /* dirt that must not matter */
}

static void rec_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct recorder *r = dev;

	r->log[r->n].offset = offset;
	r->log[r->n].value = value;
	r->log[r->n++].size = size;
}

static void rec_tick(void *dev, uint64_t now)
{
	struct recorder *r = dev;

	r->ticks++;
	r->deadline = NEVER;
}

static uint64_t rec_deadline(void *dev)
{
	return ((struct recorder *)dev)->deadline;
}

static void rec_reset(void *dev)
{
	((struct recorder *)dev)->resets++;
}

static const struct device_ops byte_ops = { .width = 1, .read = rec_read, .write = rec_write };
static const struct device_ops dword_ops = { .width = 4, .read = rec_read, .write = rec_write };
static const struct device_ops any_ops = {
	.read = rec_read,
	.write = rec_write,
	.tick = rec_tick,
	.deadline = rec_deadline,
	.reset = rec_reset,
};
static const struct device_ops mute_ops = { .name = "mute" };

static void refuses_bad_ranges(void **state)
{
	struct recorder r = { 0 };
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x100, 8, &byte_ops, &r), 0);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x107, 1, &byte_ops, &r), -EEXIST);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0xf0, 0x11, &byte_ops, &r), -EEXIST);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0xf0, 0x100, &byte_ops, &r), -EEXIST);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x102, 2, &byte_ops, &r), -EEXIST);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0xf0, 0x10, &byte_ops, &r), 0);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x108, 1, &byte_ops, &r), 0);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x200, 0, &byte_ops, &r), -EINVAL);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0xffff, 2, &byte_ops, &r), -EINVAL);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0xffff, 1, &byte_ops, &r), 0);
	assert_int_equal(bus_add(&bus, BUS_PORT, UINT64_MAX, 1, &byte_ops, &r), -EINVAL);
	assert_int_equal(bus_add(&bus, BUS_MEMORY, UINT64_MAX, 2, &byte_ops, &r), -EINVAL);
	assert_int_equal(bus_add(&bus, BUS_MEMORY, UINT64_MAX, 1, &byte_ops, &r), 0);
	assert_int_equal(bus_add(&bus, BUS_MEMORY, 0x100, 8, &byte_ops, &r), 0);
}

static void is_full_at_its_capacity(void **state)
{
	struct recorder r = { 0 };
	struct bus bus;

	bus_init(&bus);
	for (unsigned i = 0; i < BUS_RANGES; i++)
		assert_int_equal(bus_add(&bus, BUS_PORT, (i * 7 % BUS_RANGES) * 16, 4, &byte_ops,
					 &r),
				 0);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x8000, 1, &byte_ops, &r), -ENOSPC);
	for (unsigned i = 0; i < BUS_RANGES; i++) {
		assert_int_equal(in(&bus, 0, i * 16 + 3), 0x13);
		assert_int_equal(in(&bus, 0, i * 16 + 4), 0xff);
		r.n = 0;
	}
}

static void nobody_reads_as_ones(void **state)
{
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, BUS_PORT, 0x10, 1, &mute_ops, NULL), 0);
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0x10, 1), 0xff);
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0x300, 2), 0xffff);
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0xffff, 4), 0xffffffff);
	assert_true(bus_read(&bus, BUS_MEMORY, 0, UINT64_MAX - 2, 8) == UINT64_MAX);
	bus_write(&bus, BUS_PORT, 0, 0x10, 4, 5);
}

static void splits_what_is_too_wide(void **state)
{
	struct recorder r = { 0 };
	struct bus bus;

	bus_init(&bus);
	bus_add(&bus, BUS_PORT, 0x100, 4, &byte_ops, &r);
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0x101, 2), 0x1211);
	assert_int_equal(r.n, 2);
	r.n = 0;
	bus_write(&bus, BUS_PORT, 0, 0x100, 4, 0xdeadbeef);
	assert_int_equal(r.n, 4);
	assert_int_equal(r.log[0].value, 0xef);
	assert_int_equal(r.log[3].value, 0xde);
	r.n = 0;
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0x103, 2), 0xff13); /* half is nobody's */
}

static void splits_what_straddles(void **state)
{
	struct recorder a = { 0 }, b = { 0 };
	struct bus bus;

	bus_init(&bus);
	bus_add(&bus, BUS_PORT, 0x100, 8, &dword_ops, &a);
	bus_add(&bus, BUS_PORT, 0x108, 8, &dword_ops, &b);
	assert_int_equal(bus_read(&bus, BUS_PORT, 0, 0x106, 4), 0x11101716);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.log[0].size, 2);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.log[0].offset, 0);
	a.n = 0;
	bus_write(&bus, BUS_PORT, 0, 0x102, 4, 0x44332211); /* over a double word's boundary */
	assert_int_equal(a.n, 2);
	assert_int_equal(a.log[0].value, 0x2211);
	assert_int_equal(a.log[1].offset, 4);
	a.n = 0;
	bus_write(&bus, BUS_PORT, 0, 0x101, 2, 0x2211); /* inside one: the device's own affair */
	assert_int_equal(a.n, 1);
	assert_int_equal(a.log[0].size, 2);
}

static void memory_takes_eight_bytes(void **state)
{
	struct recorder a = { 0 }, b = { 0 };
	struct bus bus;

	bus_init(&bus);
	bus_add(&bus, BUS_MEMORY, 0xfec00000, 0x1000, &any_ops, &a);
	bus_add(&bus, BUS_MEMORY, 0xfee00000, 0x1000, &dword_ops, &b);
	assert_true(bus_read(&bus, BUS_MEMORY, 0, 0xfec00008, 8) == 0x1f1e1d1c1b1a1918ull);
	assert_int_equal(a.n, 1);
	assert_true(bus_read(&bus, BUS_MEMORY, 0, 0xfee00008, 8) == 0x1f1e1d1c1b1a1918ull);
	assert_int_equal(b.n, 2);
	assert_int_equal(b.log[1].offset, 12);
}

static void calls_who_is_due(void **state)
{
	struct recorder a = { .deadline = 50 }, b = { .deadline = 20 };
	struct bus bus;

	bus_init(&bus);
	assert_true(bus_deadline(&bus) == NEVER);
	bus_add(&bus, BUS_PORT, 0, 1, &any_ops, &a);
	bus_add(&bus, BUS_MEMORY, 0, 1, &any_ops, &b);
	bus_add(&bus, BUS_PORT, 7, 1, &byte_ops, &b);
	assert_int_equal(bus_deadline(&bus), 20);
	bus_tick(&bus, 19);
	assert_int_equal(a.ticks + b.ticks, 0);
	bus_tick(&bus, 20);
	assert_int_equal(a.ticks, 0);
	assert_int_equal(b.ticks, 1);
	assert_int_equal(bus_deadline(&bus), 50);
	bus_reset(&bus);
	assert_int_equal(a.resets, 1);
	assert_int_equal(b.resets, 1);
}

/* One number says whether a deadline came nearer: by any range of the device, or when told. */
static void the_nearest_is_remembered(void **state)
{
	struct recorder a = { .deadline = 50 }, b = { .deadline = 70 }, c = { 0 };
	struct bus bus;

	bus_init(&bus);
	bus_add(&bus, BUS_PORT, 0x10, 1, &byte_ops, &a); /* before the range that has the deadline */
	bus_add(&bus, BUS_PORT, 0x20, 1, &any_ops, &a);
	bus_add(&bus, BUS_PORT, 0x30, 1, &byte_ops, &a); /* and after it */
	bus_add(&bus, BUS_MEMORY, 0x40, 8, &any_ops, &b);
	bus_add(&bus, BUS_PORT, 0x50, 1, &byte_ops, &c);
	assert_int_equal(bus_deadline(&bus), 50);
	assert_int_equal(bus_nearest(&bus), 50);
	a.deadline = 40;
	bus_read(&bus, BUS_PORT, 0, 0x50, 1); /* another device */
	assert_int_equal(bus_nearest(&bus), 50);
	bus_write(&bus, BUS_PORT, 0, 0x10, 1, 0);
	assert_int_equal(bus_nearest(&bus), 40);
	a.deadline = 30;
	bus_read(&bus, BUS_PORT, 0, 0x30, 1);
	assert_int_equal(bus_nearest(&bus), 30);
	a.deadline = 90; /* later is news only to who asks */
	bus_read(&bus, BUS_PORT, 0, 0x20, 1);
	assert_int_equal(bus_nearest(&bus), 30);
	assert_int_equal(bus_deadline(&bus), 70);
	assert_int_equal(bus_nearest(&bus), 70);
	b.deadline = 60;
	bus_touch(&bus, &c);
	assert_int_equal(bus_nearest(&bus), 70);
	bus_touch(&bus, &b);
	assert_int_equal(bus_nearest(&bus), 60);
	b.deadline = 55;
	bus_write(&bus, BUS_MEMORY, 0, 0x3e, 4, 0); /* in pieces, the last ones b's */
	assert_int_equal(bus_nearest(&bus), 55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_ranges),
		cmocka_unit_test(is_full_at_its_capacity),
		cmocka_unit_test(nobody_reads_as_ones),
		cmocka_unit_test(splits_what_is_too_wide),
		cmocka_unit_test(splits_what_straddles),
		cmocka_unit_test(memory_takes_eight_bytes),
		cmocka_unit_test(calls_who_is_due),
		cmocka_unit_test(the_nearest_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
