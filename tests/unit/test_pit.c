/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rules are those of the Intel 8254 datasheet, 231164, "Mode Definitions". */
#include "device_fuzz.h"

#include "devices/pc/pit.h"

struct fixture {
	struct pit pit;
	struct bus bus;
	struct probe irq;
	uint64_t t; /* PIT ticks since the guest began */
};

/* Middle of tick t, in ns. */
static uint64_t at(uint64_t t)
{
	return ((unsigned __int128)t * 2 + 1) * S / PIT_HZ / 2;
}

static void put(struct fixture *f, uint16_t port, uint8_t value)
{
	outb(&f->bus, at(f->t), port, value);
}

static uint8_t get(struct fixture *f, uint16_t port)
{
	return in(&f->bus, at(f->t), port);
}

static void put16(struct fixture *f, unsigned channel, uint16_t value)
{
	put(f, 0x40 + channel, value);
	put(f, 0x40 + channel, value >> 8);
}

static uint16_t get16(struct fixture *f, unsigned channel)
{
	uint8_t low = get(f, 0x40 + channel);

	return low | get(f, 0x40 + channel) << 8;
}

static bool out2(struct fixture *f)
{
	return get(f, 0x61) & 0x20;
}

static uint8_t status(struct fixture *f, unsigned channel)
{
	put(f, 0x43, 0xe0 | 2 << channel);
	return get(f, 0x40 + channel);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->t = 1000;
	bus_init(&f->bus);
	pit_init(&f->pit, probe_wire(&f->irq));
	pit_attach(&f->pit, &f->bus);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Does what a machine does for ns of the guest: tick at every deadline. Returns the ticks. */
static unsigned run(struct fixture *f, uint64_t from, uint64_t to)
{
	unsigned n = 0;
	uint64_t due;

	while ((due = bus_deadline(&f->bus)) <= to) {
		assert_true(due >= from);
		bus_tick(&f->bus, due);
		n++;
	}
	bus_tick(&f->bus, to);
	return n;
}

static void silent_after_reset(void **state)
{
	struct fixture *f = *state;

	assert_true(bus_deadline(&f->bus) == NEVER);
	assert_false(f->irq.level);
	assert_int_equal(get(f, 0x43), 0xff);
}

static void mode_0(void **state)
{
	struct fixture *f = *state;

	put(f, 0x43, 0x30);
	put16(f, 0, 5);
	assert_int_equal(status(f, 0) & 0x40, 0x40); /* null count until the next CLK */
	f->t++;
	assert_int_equal(status(f, 0), 0x30);
	assert_int_equal(get16(f, 0), 5);
	f->t += 4;
	assert_int_equal(get16(f, 0), 1);
	bus_tick(&f->bus, at(f->t));
	assert_false(f->irq.level);
	f->t++; /* N + 1 CLKs after the write */
	assert_int_equal(get16(f, 0), 0);
	assert_true(f->irq.level);
	assert_int_equal(status(f, 0), 0xb0);
	f->t += 3;
	assert_int_equal(get16(f, 0), 0xfffd); /* it counts on */
	assert_int_equal(f->irq.edges, 1);
	assert_true(bus_deadline(&f->bus) == NEVER);
	put(f, 0x40, 9); /* the first byte of a new count stops and lowers */
	assert_false(f->irq.level);
	assert_true(bus_deadline(&f->bus) == NEVER);
	put(f, 0x40, 0);
	f->t += 9;
	pit_ops.tick(&f->pit, at(f->t));
	assert_int_equal(f->irq.edges, 1);
	f->t += 1;
	pit_ops.tick(&f->pit, at(f->t));
	assert_int_equal(f->irq.edges, 2);
}

static void mode_0_gate(void **state)
{
	struct fixture *f = *state;

	put(f, 0x61, 0);
	put(f, 0x43, 0xb0);
	put16(f, 2, 10);
	f->t += 100;
	assert_int_equal(get16(f, 2), 10);
	assert_false(out2(f));
	put(f, 0x61, 1);
	f->t += 4;
	assert_int_equal(get16(f, 2), 6);
	put(f, 0x61, 0);
	f->t += 50;
	assert_int_equal(get16(f, 2), 6);
	put(f, 0x61, 1);
	f->t += 5;
	assert_false(out2(f));
	f->t += 1;
	assert_true(out2(f));
	put(f, 0x61, 0); /* the gate does not touch OUT */
	assert_true(out2(f));
}

static void mode_1(void **state)
{
	struct fixture *f = *state;

	put(f, 0x43, 0xb2);
	assert_true(out2(f));
	put16(f, 2, 4);
	f->t += 50;
	assert_true(out2(f)); /* waits for a trigger */
	assert_int_equal(status(f, 2) & 0x40, 0x40);
	put(f, 0x61, 1);
	f->t++;
	assert_false(out2(f));
	put(f, 0x61, 0); /* only the rising edge counts */
	f->t += 2;
	assert_false(out2(f));
	put(f, 0x61, 1); /* again: the pulse gets longer */
	f->t += 4;
	assert_false(out2(f));
	f->t += 1;
	assert_true(out2(f));
	put(f, 0x61, 0);
	put(f, 0x61, 1);
	f->t++;
	put(f, 0x61, 0); /* a pulse ends without the gate, too */
	f->t += 4;
	assert_true(out2(f));
	put16(f, 2, 2); /* for the next trigger */
	f->t += 10;
	assert_true(out2(f));
	put(f, 0x61, 0);
	put(f, 0x61, 1);
	f->t += 2;
	assert_false(out2(f));
	f->t += 1;
	assert_true(out2(f));
}

static void mode_2(void **state)
{
	struct fixture *f = *state;

	put(f, 0x61, 1);
	put(f, 0x43, 0xb4);
	put16(f, 2, 4);
	assert_true(out2(f));
	f->t++;
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(get16(f, 2), 4 - i % 4);
		assert_int_equal(out2(f), i % 4 != 3);
		f->t++;
	}
	f->t++;		/* count 3 */
	put16(f, 2, 6); /* after the end of the period */
	f->t += 2;
	assert_int_equal(get16(f, 2), 1);
	assert_false(out2(f));
	f->t += 1;
	assert_int_equal(get16(f, 2), 6);
	f->t += 5;
	assert_false(out2(f));
	put(f, 0x61, 0); /* gate low: high at once, and stopped */
	assert_true(out2(f));
	f->t += 20;
	assert_int_equal(get16(f, 2), 1);
	put(f, 0x61, 1); /* and loaded again */
	f->t++;
	assert_int_equal(get16(f, 2), 6);
}

static void mode_3(void **state)
{
	struct fixture *f = *state;
	static const uint8_t even[] = { 6, 4, 2, 6, 4, 2 }, odd[] = { 4, 2, 0, 4, 2 };

	put(f, 0x61, 1);
	put(f, 0x43, 0xb6);
	put16(f, 2, 6);
	f->t++;
	for (unsigned i = 0; i < 18; i++) {
		assert_int_equal(out2(f), i % 6 < 3);
		assert_int_equal(get16(f, 2), even[i % 6]);
		f->t++;
	}
	put16(f, 2, 5); /* takes over at the end of this half */
	f->t += 3;
	for (unsigned i = 3; i < 18; i++) {
		assert_int_equal(out2(f), i % 5 < 3);
		assert_int_equal(get16(f, 2), odd[i % 5]);
		f->t++;
	}
}

static void mode_4_and_5(void **state)
{
	struct fixture *f = *state;

	put(f, 0x61, 1);
	put(f, 0x43, 0xb8);
	put16(f, 2, 3);
	f->t++;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(out2(f), i != 3); /* one strobe, N + 1 CLKs after the write */
		f->t++;
	}
	put(f, 0x43, 0xba);
	put16(f, 2, 3);
	f->t += 10;
	assert_true(out2(f));
	put(f, 0x61, 0);
	put(f, 0x61, 1);
	f->t++;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(out2(f), i != 3);
		f->t++;
	}
}

static void mode_4_interrupts_after_the_strobe(void **state)
{
	struct fixture *f = *state;
	unsigned edges;

	put(f, 0x43, 0x38);
	edges = f->irq.edges;
	put16(f, 0, 300);
	run(f, at(f->t), at(f->t + 301));
	assert_int_equal(f->irq.edges, edges);
	run(f, at(f->t), at(f->t + 10000));
	assert_int_equal(f->irq.edges, edges + 1);
}

static void bytes_of_a_count(void **state)
{
	struct fixture *f = *state;

	put(f, 0x61, 0);
	put(f, 0x43, 0x90); /* low byte only */
	put(f, 0x42, 0x34);
	f->t++;
	assert_int_equal(get(f, 0x42), 0x34);
	assert_int_equal(get(f, 0x42), 0x34);
	put(f, 0x43, 0xa0); /* high byte only */
	put(f, 0x42, 0x12);
	f->t++;
	assert_int_equal(get(f, 0x42), 0x12);
	put(f, 0x43, 0xb0);
	put16(f, 2, 0);
	put(f, 0x61, 1);
	f->t += 2;
	assert_int_equal(get16(f, 2), 0xfffe); /* 0 means 65,536 */
}

static void latches(void **state)
{
	struct fixture *f = *state;
	uint16_t a;

	put(f, 0x61, 1);
	put(f, 0x43, 0xb4);
	put16(f, 2, 10000);
	f->t += 100;
	put(f, 0x43, 0x80);
	f->t += 100;
	put(f, 0x43, 0x80); /* a second latch is ignored until the first was read */
	f->t += 100;
	a = get16(f, 2);
	assert_int_equal(a, 10000 - 99);
	assert_int_equal(get16(f, 2), 10000 - 299);
	put(f, 0x43, 0xc8 | 0x00); /* read-back: status and count of channel 2 */
	f->t += 1000;
	assert_int_equal(get(f, 0x42), 0xb4);
	assert_int_equal(get16(f, 2), 10000 - 299);
	put(f, 0x43, 0xd0 | 0x02); /* read-back: count of channel 0 only */
	assert_int_equal(get16(f, 2), 10000 - 1299);
}

static void bcd(void **state)
{
	struct fixture *f = *state;

	put(f, 0x61, 1);
	put(f, 0x43, 0xb1);
	put16(f, 2, 0x1000);
	f->t += 2;
	assert_int_equal(get16(f, 2), 0x0999);
	f->t += 1000;
	assert_int_equal(get16(f, 2), 0x9999);
	assert_int_equal(status(f, 2), 0xb1);
	put16(f, 2, 0);
	f->t += 2;
	assert_int_equal(get16(f, 2), 0x9999); /* 0 means 10,000 */
	put16(f, 2, 0xffff);		       /* no BCD number; must merely not break anything */
	f->t += 2;
	get16(f, 2);
}

static void periodic_without_drift(void **state)
{
	struct fixture *f = *state;
	uint64_t from, hours = 3;
	unsigned n;

	put(f, 0x43, 0x34);
	put16(f, 0, 11932); /* 100 Hz, nearly */
	from = at(f->t);
	f->irq.edges = 0;
	n = run(f, from, from + hours * 3600 * S);
	assert_int_equal(n, (uint64_t)PIT_HZ * 3600 * hours / 11932);
	assert_int_equal(f->irq.edges, n);
	f->t = (unsigned __int128)(from + hours * 3600 * S) * PIT_HZ / S;
	put(f, 0x43, 0x00);
	assert_int_equal(get16(f, 0), 11932 - (f->t - 1001) % 11932);
}

static void a_deadline_is_the_very_tick(void **state)
{
	struct fixture *f = *state;
	uint64_t due;

	put(f, 0x43, 0x34);
	put16(f, 0, 1193);
	f->irq.edges = 0;
	due = bus_deadline(&f->bus);
	pit_ops.tick(&f->pit, due - 1);
	assert_int_equal(f->irq.edges, 0);
	pit_ops.tick(&f->pit, due);
	assert_int_equal(f->irq.edges, 1);
}

static void late_edges_become_one(void **state)
{
	struct fixture *f = *state;

	put(f, 0x43, 0x34);
	put16(f, 0, 1193);
	f->irq.edges = 0;
	bus_tick(&f->bus, at(f->t) + 3600 * S);
	assert_int_equal(f->irq.edges, 1);
	f->irq.edges = 0;
	run(f, 0, at(f->t) + 3601 * S);
	assert_in_range(f->irq.edges, 1000, 1001);
}

static void short_periods_are_merged(void **state)
{
	struct fixture *f = *state;

	for (uint16_t count = 1; count < 40; count++) {
		put(f, 0x43, count & 1 ? 0x34 : 0x36);
		put16(f, 0, count);
		assert_in_range(run(f, 0, at(f->t + PIT_HZ)), 0, 10001);
		f->t += PIT_HZ;
	}
}

static void a_new_count_of_channel_0(void **state)
{
	struct fixture *f = *state;

	put(f, 0x43, 0x36);
	put16(f, 0, 1000); /* first rise at 1001 + 1000 */
	f->irq.edges = 0;
	f->t += 100;
	put16(f, 0, 2000); /* from 1501: low half of 1000, high from 2501 */
	run(f, 0, at(2500));
	assert_int_equal(f->irq.edges, 0);
	run(f, 0, at(2501));
	assert_int_equal(f->irq.edges, 1);
	run(f, 0, at(4500));
	assert_int_equal(f->irq.edges, 1);
	run(f, 0, at(4501));
	assert_int_equal(f->irq.edges, 2);
}

static void port_61(void **state)
{
	struct fixture *f = *state;
	unsigned changes = 0;
	uint8_t last;

	put(f, 0x61, 0xff);
	assert_int_equal(get(f, 0x61) & 0x0f, 0x0f);
	last = get(f, 0x61) & 0x10;
	for (unsigned i = 0; i < 1800; i++) {
		uint8_t now;

		f->t++;
		now = get(f, 0x61) & 0x10;
		changes += now != last;
		last = now;
	}
	assert_int_equal(changes, 100);
	assert_int_equal(get(f, 0x61) & 0xc0, 0);
}

/* The loop of Linux' pit_calibrate_tsc(): 10 ms in mode 0, watching bit 5. */
static void calibration_by_out(void **state)
{
	struct fixture *f = *state;
	uint64_t now = at(f->t), begin;
	unsigned latch = PIT_HZ / 100;

	outb(&f->bus, now, 0x61, (in(&f->bus, now, 0x61) & ~2) | 1);
	outb(&f->bus, now, 0x43, 0xb0);
	outb(&f->bus, now, 0x42, latch & 0xff);
	outb(&f->bus, now, 0x42, latch >> 8);
	begin = now;
	while (!(in(&f->bus, now, 0x61) & 0x20))
		now += 500;
	assert_in_range(now - begin, 10 * MS - 2000, 10 * MS + 2000);
}

/* The loop of Linux' quick_pit_calibrate(): high bytes of a count from FFFFh go down one by one. */
static void calibration_by_count(void **state)
{
	struct fixture *f = *state;
	uint64_t now = at(f->t), first = 0;

	outb(&f->bus, now, 0x61, 1);
	outb(&f->bus, now, 0x43, 0xb0);
	outb(&f->bus, now, 0x42, 0xff);
	outb(&f->bus, now, 0x42, 0xff);
	now += 1000;
	in(&f->bus, now, 0x42);
	in(&f->bus, now, 0x42);
	for (unsigned expect = 0xff; expect > 0xf0; expect--) {
		unsigned same = 0;

		for (;;) {
			in(&f->bus, now, 0x42);
			if (in(&f->bus, now, 0x42) != expect)
				break;
			now += 2000;
			same++;
		}
		assert_true(same > 50);
		if (!first)
			first = now;
	}
	assert_in_range(now - first, 14 * 256 * S / PIT_HZ - 4000, 14 * 256 * S / PIT_HZ + 4000);
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;

	fuzz_bus(&f->bus, BUS_PORT, 0x40, 4, 400000);
	setup((void **)&f);
	bus_init(&f->bus);
	bus_add(&f->bus, BUS_PORT, 0, 4, &pit_ops, &f->pit);
	bus_add(&f->bus, BUS_PORT, 4, 1, &pit_port61_ops, &f->pit);
	fuzz_bus(&f->bus, BUS_PORT, 0, 5, 400000);
	free(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(silent_after_reset),
		T(mode_0),
		T(mode_0_gate),
		T(mode_1),
		T(mode_2),
		T(mode_3),
		T(mode_4_and_5),
		T(mode_4_interrupts_after_the_strobe),
		T(bytes_of_a_count),
		T(latches),
		T(bcd),
		T(periodic_without_drift),
		T(a_deadline_is_the_very_tick),
		T(late_edges_become_one),
		T(short_periods_are_merged),
		T(a_new_count_of_channel_0),
		T(port_61),
		T(calibration_by_out),
		T(calibration_by_count),
		T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
