/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rules are those of the PC16550D datasheet (National, June 1995). */
#include "device_fuzz.h"

#include "devices/pc/serial.h"

#define BASE SERIAL_COM1
#define CHAR_NS 86805ull /* 10 bits at 115,200 baud */

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
	struct serial s;
	struct bus bus;
	struct probe irq;
	uint8_t sent[256];
	unsigned nsent, rooms;
	uint64_t now;
};

static void sent(void *opaque, const uint8_t *bytes, size_t n)
{
	struct fixture *f = opaque;

	for (size_t i = 0; i < n; i++)
		f->sent[f->nsent++ % sizeof(f->sent)] = bytes[i];
}

static void room(void *opaque)
{
	((struct fixture *)opaque)->rooms++;
}

static uint8_t get(struct fixture *f, unsigned reg)
{
	return in(&f->bus, f->now, BASE + reg);
}

static void put(struct fixture *f, unsigned reg, uint8_t value)
{
	outb(&f->bus, f->now, BASE + reg, value);
}

static void wait(struct fixture *f, uint64_t ns)
{
	f->now += ns;
	bus_tick(&f->bus, f->now);
}

static size_t type(struct fixture *f, const char *text)
{
	return serial_input(&f->s, f->now, (const uint8_t *)text, strlen(text));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->now = 1000;
	bus_init(&f->bus);
	serial_init(&f->s, probe_wire(&f->irq), sent, f);
	serial_attach(&f->s, &f->bus, BASE);
	serial_on_room(&f->s, room, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* As a driver leaves it: 115,200 8N1, FIFOs with trigger level 8, OUT2, RTS, DTR. */
static void open_port(struct fixture *f, uint8_t ier)
{
	put(f, LCR, 0x83);
	put(f, 0, 1);
	put(f, 1, 0);
	put(f, LCR, 0x03);
	put(f, IIR, 0x81);
	put(f, MCR, 0x0b);
	put(f, IER, ier);
	wait(f, 2 * CHAR_NS);
}

static void registers_after_reset(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, IER), 0);
	assert_int_equal(get(f, IIR), 0x01);
	assert_int_equal(get(f, LCR), 0);
	assert_int_equal(get(f, MCR), 0);
	assert_int_equal(get(f, LSR), 0x60);
	assert_int_equal(get(f, MSR), 0xb0);
	assert_false(f->irq.level);
}

static void unused_bits_and_latches(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 0xf0);
	assert_int_equal(get(f, IER), 0);
	put(f, SCR, 0x5a);
	assert_int_equal(get(f, SCR), 0x5a);
	put(f, LCR, 0x83);
	put(f, 0, 0x34);
	put(f, 1, 0x12);
	assert_int_equal(get(f, 0), 0x34);
	assert_int_equal(get(f, 1), 0x12);
	put(f, LCR, 0x03);
	assert_int_equal(get(f, IER), 0);
	assert_int_equal(f->nsent, 0);
	put(f, IIR, 0xc0); /* without the enable bit nothing is taken */
	assert_int_equal(get(f, IIR), 0x01);
	put(f, IIR, 0x21);
	assert_int_equal(get(f, IIR), 0xc1);
}

static void sends_at_once(void **state)
{
	struct fixture *f = *state;

	put(f, DATA, 'h');
	put(f, DATA, 'i');
	assert_int_equal(f->nsent, 2);
	assert_memory_equal(f->sent, "hi", 2);
	assert_int_equal(get(f, LSR), 0x60);
}

static void thre_rules(void **state)
{
	struct fixture *f = *state;
	unsigned edges;

	open_port(f, 0);
	put(f, IER, 0x02); /* enabling with an empty register asks at once */
	assert_true(f->irq.level);
	assert_int_equal(get(f, IIR), 0xc2);
	assert_false(f->irq.level); /* reading IIR took it */
	assert_int_equal(get(f, IIR), 0xc1);
	put(f, IER, 0x00);
	put(f, IER, 0x02); /* what Linux' THRE test wants to see */
	assert_int_equal(get(f, IIR), 0xc2);
	edges = f->irq.edges;
	put(f, DATA, 'x');
	assert_true(f->irq.level);
	assert_int_equal(f->irq.edges, edges + 1);
	put(f, DATA, 'y'); /* full and empty again: another edge */
	assert_int_equal(f->irq.edges, edges + 2);
	put(f, IER, 0x00);
	assert_false(f->irq.level);
}

static void thre_is_kept_under_higher_sources(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0x03);
	type(f, "12345678");
	assert_int_equal(get(f, IIR), 0xc4);
	assert_int_equal(get(f, IIR), 0xc4); /* reading IIR does not take a data interrupt */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(get(f, DATA), '1' + i);
	assert_int_equal(get(f, IIR), 0xc2);
	assert_int_equal(get(f, IIR), 0xc1);
}

static void trigger_levels(void **state)
{
	static const struct {
		uint8_t fcr, level;
	} rows[] = { { 0x01, 1 }, { 0x41, 4 }, { 0x81, 8 }, { 0xc1, 14 } };

	for (unsigned i = 0; i < 4; i++) {
		struct fixture *f;

		setup((void **)&f);
		open_port(f, 0x01);
		put(f, IIR, rows[i].fcr);
		for (unsigned n = 1; n < rows[i].level; n++) {
			type(f, "x");
			assert_int_equal(get(f, IIR), 0xc1);
			assert_false(f->irq.level);
		}
		type(f, "x");
		assert_int_equal(get(f, IIR), 0xc4);
		assert_true(f->irq.level);
		get(f, DATA); /* below the level again */
		assert_int_equal(get(f, IIR), 0xc1);
		teardown((void **)&f);
	}
}

static void character_timeout(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0x01);
	type(f, "abc");
	assert_int_equal(bus_deadline(&f->bus), f->now + 4 * CHAR_NS);
	wait(f, 4 * CHAR_NS - 1);
	assert_int_equal(get(f, IIR), 0xc1);
	type(f, "d"); /* an arrival starts the wait anew */
	wait(f, 4 * CHAR_NS - 1);
	assert_false(f->irq.level);
	wait(f, 1);
	assert_true(f->irq.level);
	assert_int_equal(get(f, IIR), 0xcc);
	assert_true(bus_deadline(&f->bus) == NEVER);
	assert_int_equal(get(f, DATA), 'a'); /* a read ends it and starts the wait anew */
	assert_false(f->irq.level);
	assert_int_equal(get(f, IIR), 0xc1);
	wait(f, 4 * CHAR_NS);
	assert_int_equal(get(f, IIR), 0xcc);
	while (get(f, LSR) & 1)
		get(f, DATA);
	assert_int_equal(get(f, IIR), 0xc1);
	assert_true(bus_deadline(&f->bus) == NEVER);
}

static void without_fifo_one_byte_at_a_time(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0);
	put(f, IIR, 0);
	put(f, IER, 1);
	wait(f, 2 * CHAR_NS);
	type(f, "ab");
	assert_int_equal(get(f, IIR), 0x04);
	assert_int_equal(f->s.fifo_count, 1);
	assert_int_equal(get(f, DATA), 'a');
	assert_int_equal(get(f, IIR), 0x04);
	assert_int_equal(f->irq.edges, 2); /* one for each */
	assert_int_equal(get(f, DATA), 'b');
	assert_int_equal(get(f, LSR), 0x60);
}

static void loopback(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0);
	get(f, MSR);
	put(f, MCR, 0x1a); /* Linux' test for a UART: RTS and OUT2 appear as CTS and DCD */
	assert_int_equal(get(f, MSR) & 0xf0, 0x90);
	put(f, MCR, 0x1f);
	assert_int_equal(get(f, MSR) & 0xf0, 0xf0);
	put(f, MCR, 0x10);
	assert_int_equal(get(f, MSR), 0x0f); /* all four changed, RI by its trailing edge */
	assert_int_equal(get(f, MSR), 0x00);
	put(f, MCR, 0x14);
	assert_int_equal(get(f, MSR), 0x40); /* RI's leading edge is no event */
	put(f, DATA, 'L');
	assert_int_equal(f->nsent, 0);
	assert_int_equal(get(f, LSR), 0x61);
	assert_int_equal(get(f, DATA), 'L');
}

static void overrun_is_the_first_interrupt(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0x0f);
	put(f, MCR, 0x1a);
	for (unsigned i = 0; i < 17; i++)
		put(f, DATA, i);
	assert_int_equal(get(f, IIR), 0xc6);
	assert_false(f->irq.level); /* 8.7: OUT2 is inactive in loopback */
	put(f, MCR, 0x0b);
	assert_true(f->irq.level);
	assert_int_equal(get(f, LSR), 0x63);
	assert_int_equal(get(f, LSR), 0x61); /* reading took it */
	assert_int_equal(get(f, IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(get(f, DATA), i); /* the 17th was lost */
	assert_int_equal(get(f, IIR), 0xc2);
	assert_int_equal(get(f, IIR), 0xc0); /* the modem lines moved with loopback */
	get(f, MSR);
	assert_int_equal(get(f, IIR), 0xc1);
	assert_false(f->irq.level);

	put(f, IIR, 0); /* without FIFO the new byte replaces the old one */
	put(f, MCR, 0x1b);
	put(f, DATA, 1);
	put(f, DATA, 2);
	assert_int_equal(get(f, LSR), 0x63);
	assert_int_equal(get(f, DATA), 2);
}

static void out2_gates_the_interrupt(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 0x02);
	assert_int_equal(f->irq.edges, 0);
	put(f, MCR, 0x08);
	assert_true(f->irq.level);
	put(f, MCR, 0x00);
	assert_false(f->irq.level);
	assert_int_equal(get(f, IIR), 0x02);
}

static void input_waits_for_a_listener(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(type(f, "login\n"), 6);
	wait(f, S);
	assert_int_equal(get(f, LSR), 0x60);
	/* What Linux does when it opens the port: resets, reads "for luck", then IER, then FCR. */
	put(f, IIR, 0x01);
	put(f, IIR, 0x07);
	put(f, IIR, 0x00);
	get(f, DATA);
	put(f, LCR, 0x03);
	put(f, MCR, 0x0b);
	put(f, IER, 0x05);
	assert_int_equal(get(f, LSR), 0x60); /* not even at once */
	wait(f, 10 * MS);
	assert_int_equal(get(f, LSR), 0x61);
	put(f, IIR, 0x01); /* the mode change empties the FIFO */
	assert_int_equal(get(f, LSR), 0x60);
	put(f, IIR, 0x81);
	wait(f, 10 * MS);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(get(f, DATA), "login\n"[i]);
	assert_int_equal(get(f, LSR), 0x60);
}

static void fifo_reset_keeps_order_and_drops_loopback(void **state)
{
	struct fixture *f = *state;
	char text[41];

	open_port(f, 0x01);
	for (unsigned i = 0; i < 40; i++)
		text[i] = 'A' + i;
	text[40] = 0;
	type(f, text);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(get(f, DATA), text[i]);
	put(f, IIR, 0x83);
	assert_int_equal(get(f, LSR), 0x60);
	wait(f, 2 * CHAR_NS);
	for (unsigned i = 3; i < 40; i++)
		assert_int_equal(get(f, DATA), text[i]);
	put(f, MCR, 0x1b);
	put(f, DATA, 'z');
	put(f, IIR, 0x83);
	put(f, MCR, 0x0b);
	wait(f, 2 * CHAR_NS);
	assert_int_equal(get(f, LSR), 0x60);
}

static void the_queue_pushes_back(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[4000];
	size_t given = 0, taken = 0;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7;
	given = serial_input(&f->s, f->now, bytes, sizeof(bytes));
	assert_true(given > 0 && given < SERIAL_QUEUE);
	assert_int_equal(serial_input_room(&f->s), 0);
	assert_int_equal(serial_input(&f->s, f->now, bytes, 1), 0);
	assert_int_equal(f->rooms, 0);
	open_port(f, 0x01);
	while (taken < sizeof(bytes)) {
		unsigned rooms = f->rooms;

		assert_int_equal(get(f, LSR), 0x61);
		assert_int_equal(get(f, DATA), bytes[taken++]);
		if (f->rooms != rooms) {
			assert_true(serial_input_room(&f->s) > 0);
			given += serial_input(&f->s, f->now, bytes + given, sizeof(bytes) - given);
		}
	}
	assert_int_equal(get(f, LSR), 0x60);
	assert_true(f->rooms > 2 && f->rooms < 20);
}

static void rts_stops_the_sender(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0x01);
	put(f, MCR, 0x09);
	type(f, "x");
	wait(f, MS);
	assert_int_equal(get(f, LSR), 0x60);
	put(f, MCR, 0x0b);
	assert_int_equal(get(f, LSR), 0x61);
}

static void a_guest_that_never_used_rts_still_hears(void **state)
{
	struct fixture *f = *state;

	put(f, IER, 0x01);
	type(f, "x");
	wait(f, 10 * MS);
	assert_int_equal(get(f, LSR), 0x61);
}

static void end_of_input_is_a_state(void **state)
{
	struct fixture *f = *state;

	type(f, "q");
	serial_input_end(&f->s, f->now);
	assert_int_equal(type(f, "more"), 0);
	wait(f, 5 * S);
	assert_true(bus_deadline(&f->bus) == NEVER); /* nobody listens */
	open_port(f, 0x01);
	assert_int_equal(get(f, DATA), 'q');
	assert_int_equal(get(f, LSR), 0x61);
	assert_int_equal(get(f, DATA), 4);
	assert_int_equal(get(f, LSR), 0x60);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = bus_deadline(&f->bus);

		assert_int_equal(at, f->now + S);
		wait(f, S);
		wait(f, S / 2); /* unread, there is no second one */
		assert_int_equal(f->s.fifo_count, 1);
		assert_int_equal(get(f, DATA), 4);
		assert_int_equal(get(f, LSR), 0x60);
		f->now -= S / 2;
		f->s.now = f->now;
	}
	put(f, IER, 0);
	wait(f, 3 * S);
	assert_int_equal(get(f, LSR), 0x60);
}

static void reset_keeps_what_was_not_read(void **state)
{
	struct fixture *f = *state;

	open_port(f, 0x01);
	type(f, "ab");
	assert_int_equal(get(f, LSR), 0x61);
	bus_reset(&f->bus);
	registers_after_reset(state);
	open_port(f, 0x01);
	wait(f, 10 * MS);
	assert_int_equal(get(f, DATA), 'a');
	assert_int_equal(get(f, DATA), 'b');
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 42;

	fuzz_bus(&f->bus, BUS_PORT, BASE, 8, 300000);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = fuzz_next(&seed);

		f->now = f->s.now;
		if (f->now > UINT64_MAX - 2 * S)
			serial_init(&f->s, probe_wire(&f->irq), sent, f);
		if (!(r & 7))
			serial_input(&f->s, f->s.now, (uint8_t *)&r, r >> 8 & 7);
		else if (r & 8)
			put(f, r >> 8 & 7, r >> 16);
		else
			get(f, r >> 8 & 7);
		assert_true(f->s.queue_count <= SERIAL_QUEUE);
		assert_true(f->s.fifo_count <= SERIAL_FIFO);
		if (i == 150000)
			serial_input_end(&f->s, f->s.now);
		if (bus_deadline(&f->bus) != NEVER)
			wait(f, r >> 40);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(registers_after_reset),
		T(unused_bits_and_latches),
		T(sends_at_once),
		T(thre_rules),
		T(thre_is_kept_under_higher_sources),
		T(trigger_levels),
		T(character_timeout),
		T(without_fifo_one_byte_at_a_time),
		T(loopback),
		T(overrun_is_the_first_interrupt),
		T(out2_gates_the_interrupt),
		T(input_waits_for_a_listener),
		T(fifo_reset_keeps_order_and_drops_loopback),
		T(the_queue_pushes_back),
		T(rts_stops_the_sender),
		T(a_guest_that_never_used_rts_still_hears),
		T(end_of_input_is_a_state),
		T(reset_keeps_what_was_not_read),
		T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
