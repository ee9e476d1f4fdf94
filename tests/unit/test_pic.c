/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rules are those of the Intel 8259A datasheet, 231468. */
#include "device_fuzz.h"

#include "devices/pc/pic.h"

struct fixture {
	struct pic pic;
	struct bus bus;
	struct probe intr;
};

static void put(struct fixture *f, uint16_t port, uint8_t value)
{
	outb(&f->bus, 0, port, value);
}

static uint8_t get(struct fixture *f, uint16_t port)
{
	return in(&f->bus, 0, port);
}

static void init(struct fixture *f, uint8_t icw1, uint8_t icw4_master)
{
	put(f, 0x20, icw1);
	put(f, 0x21, 0x30);
	put(f, 0x21, 0x04);
	put(f, 0x21, icw4_master);
	put(f, 0xa0, icw1);
	put(f, 0xa1, 0x38);
	put(f, 0xa1, 0x02);
	put(f, 0xa1, 0x01);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	bus_init(&f->bus);
	pic_init(&f->pic, probe_wire(&f->intr));
	pic_attach(&f->pic, &f->bus);
	init(f, 0x11, 0x01);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void pulse(struct fixture *f, unsigned irq)
{
	pic_set_irq(&f->pic, irq, true);
	pic_set_irq(&f->pic, irq, false);
}

static void silent_before_initialisation(void **state)
{
	struct fixture *f = *state;

	pic_init(&f->pic, probe_wire(&f->intr));
	pulse(f, 0);
	assert_false(f->intr.level);
	put(f, 0x20, 0x11);
	pic_set_irq(&f->pic, 3, true);
	assert_false(f->intr.level); /* in the middle of it */
}

static void edge(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(&f->pic, 4, true);
	assert_true(f->intr.level);
	assert_true(pic_output(&f->pic));
	assert_int_equal(get(f, 0x20), 0x10);
	assert_int_equal(pic_acknowledge(&f->pic), 0x34);
	assert_false(f->intr.level);
	assert_int_equal(get(f, 0x20), 0x00);
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0x10); /* ISR */
	put(f, 0x20, 0x20);
	assert_int_equal(get(f, 0x20), 0x00);
	assert_false(f->intr.level); /* still high, but no new edge */
	pic_set_irq(&f->pic, 4, false);
	pic_set_irq(&f->pic, 4, true);
	assert_true(f->intr.level);
}

static void level(void **state)
{
	struct fixture *f = *state;

	put(f, 0x4d0, 0xff);
	put(f, 0x4d1, 0xff);
	assert_int_equal(get(f, 0x4d0), 0xf8); /* 0, 1, 2, 8, 13 are edges for ever */
	assert_int_equal(get(f, 0x4d1), 0xde);
	pic_set_irq(&f->pic, 5, true);
	assert_int_equal(pic_acknowledge(&f->pic), 0x35);
	assert_false(f->intr.level);
	put(f, 0x20, 0x20);
	assert_true(f->intr.level); /* asserted still */
	pic_set_irq(&f->pic, 5, false);
	assert_false(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x37); /* withdrawn: spurious */
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0);
}

static void fixed_priorities(void **state)
{
	struct fixture *f = *state;

	pulse(f, 6);
	pulse(f, 3);
	assert_int_equal(pic_acknowledge(&f->pic), 0x33);
	assert_false(f->intr.level); /* 6 waits behind 3 */
	pulse(f, 1);
	assert_true(f->intr.level); /* 1 does not */
	assert_int_equal(pic_acknowledge(&f->pic), 0x31);
	put(f, 0x20, 0x20); /* non-specific: ends 1, the highest */
	assert_false(f->intr.level);
	put(f, 0x20, 0x63); /* specific: ends 3 */
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x36);
}

static void mask_register(void **state)
{
	struct fixture *f = *state;

	put(f, 0x21, 0x10);
	assert_int_equal(get(f, 0x21), 0x10);
	pulse(f, 4);
	assert_false(f->intr.level);
	assert_int_equal(get(f, 0x20), 0x10); /* latched all the same */
	put(f, 0x21, 0x00);
	assert_true(f->intr.level);
	put(f, 0x21, 0xff);
	assert_false(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x37); /* masked between INTR and INTA */
}

/* Number 0 is an input like any other. */
static void input_0(void **state)
{
	struct fixture *f = *state;

	pulse(f, 0);
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x30);
	put(f, 0x20, 0x20);
	pulse(f, 0);
	put(f, 0x20, 0x0c);
	assert_int_equal(get(f, 0x20), 0x80);
}

static void cascade(void **state)
{
	struct fixture *f = *state;

	pulse(f, 12);
	assert_true(f->intr.level);
	assert_int_equal(get(f, 0x20), 0x04);
	assert_int_equal(pic_acknowledge(&f->pic), 0x3c);
	put(f, 0x20, 0x0b);
	put(f, 0xa0, 0x0b);
	assert_int_equal(get(f, 0x20), 0x04);
	assert_int_equal(get(f, 0xa0), 0x10);
	pulse(f, 8); /* higher on the slave, but the master holds IR2 in service */
	assert_false(f->intr.level);
	pulse(f, 1);
	assert_int_equal(pic_acknowledge(&f->pic), 0x31);
	put(f, 0x20, 0x20);
	put(f, 0xa0, 0x20);
	put(f, 0x20, 0x20);
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x38);
	pic_set_irq(&f->pic, 2, true); /* the cascade is no input */
	put(f, 0x20, 0x20);
	assert_false(f->intr.level);
}

static void spurious_15(void **state)
{
	struct fixture *f = *state;

	put(f, 0x4d1, 0x02);
	pic_set_irq(&f->pic, 9, true);
	/* The line goes away while the master has taken the slave's request. */
	f->pic.chip[1].lines = 0;
	assert_int_equal(pic_acknowledge(&f->pic), 0x3f);
	put(f, 0x20, 0x0b);
	put(f, 0xa0, 0x0b);
	assert_int_equal(get(f, 0x20), 0x04); /* the master wants an EOI, the slave does not */
	assert_int_equal(get(f, 0xa0), 0x00);
}

static void special_fully_nested(void **state)
{
	struct fixture *f = *state;

	init(f, 0x11, 0x11);
	pulse(f, 12);
	assert_int_equal(pic_acknowledge(&f->pic), 0x3c);
	pulse(f, 14); /* lower on the slave */
	assert_false(f->intr.level);
	pulse(f, 8); /* higher on the slave: gets through */
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x38);
}

static void automatic_eoi(void **state)
{
	struct fixture *f = *state;

	init(f, 0x11, 0x03);
	pulse(f, 6);
	assert_int_equal(pic_acknowledge(&f->pic), 0x36);
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0);
	pulse(f, 7);
	assert_int_equal(pic_acknowledge(&f->pic), 0x37);
	put(f, 0x20, 0x80); /* rotate in automatic EOI mode */
	pulse(f, 3);
	assert_int_equal(pic_acknowledge(&f->pic), 0x33);
	pulse(f, 1);
	pulse(f, 4); /* 3 is lowest now, so 4 is highest */
	assert_int_equal(pic_acknowledge(&f->pic), 0x34);
	assert_int_equal(pic_acknowledge(&f->pic), 0x31);
	put(f, 0x20, 0x00);
	pulse(f, 5);
	assert_int_equal(pic_acknowledge(&f->pic), 0x35);
	pulse(f, 2 + 4);
	pulse(f, 2 + 1);
	assert_int_equal(pic_acknowledge(&f->pic), 0x33); /* 1 is still the lowest */
}

static void rotation(void **state)
{
	struct fixture *f = *state;

	pulse(f, 4);
	pic_acknowledge(&f->pic);
	put(f, 0x20, 0xa0); /* rotate on non-specific EOI: 4 becomes the lowest */
	pulse(f, 4);
	pulse(f, 6);
	assert_int_equal(pic_acknowledge(&f->pic), 0x36);
	put(f, 0x20, 0xe6); /* rotate on specific EOI: 6 the lowest */
	pulse(f, 7);
	assert_int_equal(pic_acknowledge(&f->pic), 0x37);
	put(f, 0x20, 0x20);
	put(f, 0x20, 0xc2); /* set priority: 2 the lowest, 3 the highest */
	pulse(f, 0);
	pulse(f, 3);
	assert_int_equal(pic_acknowledge(&f->pic), 0x33);
	put(f, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&f->pic), 0x34);
	put(f, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(&f->pic), 0x30);
}

static void special_mask(void **state)
{
	struct fixture *f = *state;

	pulse(f, 3);
	pic_acknowledge(&f->pic);
	pulse(f, 5);
	assert_false(f->intr.level);
	put(f, 0x20, 0x68);
	put(f, 0x21, 0x08); /* 3 masked: everything else may come */
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x35);
	put(f, 0x20, 0x20); /* does not see the masked 3 */
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0x08);
	put(f, 0x20, 0x48); /* special mask off: 3 blocks again */
	pulse(f, 6);
	assert_false(f->intr.level);
}

static void poll(void **state)
{
	struct fixture *f = *state;

	put(f, 0x20, 0x0c);
	assert_int_equal(get(f, 0x20), 0);
	assert_int_equal(get(f, 0x21), 0); /* the mask again */
	pulse(f, 6);
	put(f, 0x20, 0x0c);
	assert_int_equal(get(f, 0x20), 0x86);
	assert_false(f->intr.level);
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0x40); /* in service, as after an INTA */
	put(f, 0x20, 0x20);
	pulse(f, 10); /* each chip is polled by itself */
	put(f, 0xa0, 0x0c);
	assert_int_equal(get(f, 0xa0), 0x82);
	assert_false(f->intr.level);
}

static void icw1_resets(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(&f->pic, 3, true);
	pic_set_irq(&f->pic, 4, true);
	pic_acknowledge(&f->pic);
	put(f, 0x21, 0x80);
	put(f, 0x20, 0xc2);
	put(f, 0x20, 0x68);
	init(f, 0x11, 0x01);
	assert_int_equal(get(f, 0x21), 0); /* mask cleared */
	assert_int_equal(get(f, 0x20), 0); /* reads IRR; a line must rise anew */
	assert_false(f->intr.level);
	put(f, 0x20, 0x0b);
	assert_int_equal(get(f, 0x20), 0);
	pulse(f, 7);
	pulse(f, 0);
	assert_int_equal(pic_acknowledge(&f->pic), 0x30);
	init(f, 0x19, 0x01); /* LTIM: all levels */
	assert_true(f->intr.level);
	assert_int_equal(pic_acknowledge(&f->pic), 0x33);
}

static void single_without_icw4(void **state)
{
	struct fixture *f = *state;

	put(f, 0x20, 0x12);
	put(f, 0x21, 0x47); /* the low bits are the input's */
	put(f, 0x21, 0x00); /* already the mask */
	assert_int_equal(get(f, 0x21), 0x00);
	pulse(f, 9); /* no slave */
	assert_false(f->intr.level);
	pulse(f, 5);
	assert_int_equal(pic_acknowledge(&f->pic), 0x45);
}

static void bad_lines(void **state)
{
	struct fixture *f = *state;

	pic_wire(&f->pic, 16, true);
	pic_wire(&f->pic, ~0u, true);
	assert_false(f->intr.level);
}

static void survives_noise(void **state)
{
	struct fixture *f = *state;
	static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	uint64_t seed = 7;

	for (unsigned i = 0; i < 500000; i++) {
		uint64_t r = fuzz_next(&seed);

		switch (r & 7) {
		case 0:
		case 1:
			put(f, ports[(r >> 8) % 6], r >> 16);
			break;
		case 2:
			get(f, ports[(r >> 8) % 6]);
			break;
		case 3:
			pic_acknowledge(&f->pic);
			break;
		case 4:
			if (!(r >> 8 & 0xfff))
				bus_reset(&f->bus);
			break;
		default:
			pic_set_irq(&f->pic, r >> 8 & 31, r >> 16 & 1);
		}
		assert_int_equal(f->intr.level, pic_output(&f->pic));
		assert_true(f->pic.chip[0].lowest < 8 && f->pic.chip[1].lowest < 8);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(silent_before_initialisation),
		T(edge),
		T(level),
		T(fixed_priorities),
		T(mask_register),
		T(input_0),
		T(cascade),
		T(spurious_15),
		T(special_fully_nested),
		T(automatic_eoi),
		T(rotation),
		T(special_mask),
		T(poll),
		T(icw1_resets),
		T(single_without_icw4),
		T(bad_lines),
		T(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
