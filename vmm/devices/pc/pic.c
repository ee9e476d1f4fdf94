/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "pic.h"

enum { MASTER, SLAVE };

#define CASCADE 2 /* the master's input that the slave's INT drives */

#define ICW1 0x10
#define ICW1_IC4 0x01
#define ICW1_SNGL 0x02
#define ICW1_LTIM 0x08
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10
#define OCW3 0x08
#define OCW3_RIS 0x01
#define OCW3_RR 0x02
#define OCW3_P 0x04
#define OCW3_SMM 0x20
#define OCW3_ESMM 0x40

/* EISA allows edges only on IRQ 0, 1, 2, 8 and 13. */
static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/*
 * An edge stays latched in irr until it is acknowledged, even when the line falls before. The real
 * chip answers such a pulse with a spurious IR7; nothing that runs on a PC needs that, and guests
 * that were not scheduled for a while would lose timer interrupts by it.
 */
static uint8_t requests(const struct pic_chip *c)
{
	uint8_t level = c->ltim ? 0xff : c->elcr;

	return (c->irr & ~level) | (c->lines & level);
}

/* 0 is the highest priority, 8 means that mask is empty. */
static unsigned priority(const struct pic_chip *c, uint8_t mask)
{
	for (unsigned rank = 0; rank < 8; rank++) {
		if (mask & 1u << ((c->lowest + 1 + rank) & 7))
			return rank;
	}
	return 8;
}

/* The input that would be acknowledged now, or -1. */
static int pending(const struct pic_chip *c)
{
	uint8_t in_service = c->isr;
	unsigned rank;

	if (c->icw_next)
		return -1;
	if (c->special_mask)
		in_service &= ~c->imr;
	if (c->special_nested)
		in_service &= ~(1u << CASCADE);
	rank = priority(c, requests(c) & ~c->imr);
	if (rank == 8 || rank >= priority(c, in_service))
		return -1;
	return (c->lowest + 1 + rank) & 7;
}

static void update(struct pic *pic)
{
	struct pic_chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
	bool old = master->output;

	slave->output = pending(slave) >= 0;
	/* The request of the slave lasts as long as its INT, whatever the trigger mode. */
	master->lines &= ~(1u << CASCADE);
	master->irr &= ~(1u << CASCADE);
	if (slave->output && !master->single) {
		master->lines |= 1u << CASCADE;
		master->irr |= 1u << CASCADE;
	}
	master->output = pending(master) >= 0;
	if (master->output != old)
		wire_set(&pic->intr, master->output);
}

static void in_service(struct pic_chip *c, unsigned n)
{
	c->irr &= ~(1u << n);
	if (!c->auto_eoi)
		c->isr |= 1u << n;
	else if (c->rotate_on_aeoi)
		c->lowest = n;
}

uint8_t pic_acknowledge(struct pic *pic)
{
	struct pic_chip *c = &pic->chip[MASTER];
	int n = pending(c);

	if (n >= 0)
		in_service(c, n);
	if (n == CASCADE && !c->single) {
		c = &pic->chip[SLAVE];
		n = pending(c);
		if (n >= 0)
			in_service(c, n);
	}
	update(pic);
	/* 231468 "spurious": IR7's vector, and no ISR bit. */
	return c->base | (n < 0 ? 7 : n);
}

bool pic_output(const struct pic *pic)
{
	return pic->chip[MASTER].output;
}

void pic_set_irq(struct pic *pic, unsigned irq, bool level)
{
	struct pic_chip *c = &pic->chip[irq >> 3 & 1];
	uint8_t bit = 1u << (irq & 7);

	if (irq == CASCADE || irq > 15 || level == !!(c->lines & bit))
		return;
	if (level)
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
	update(pic);
}

void pic_wire(void *pic, unsigned irq, bool level)
{
	pic_set_irq(pic, irq, level);
}

static void start_init(struct pic_chip *c, uint8_t value)
{
	/* An input must fall and rise again to be seen as an edge. */
	c->irr = 0;
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->ltim = value & ICW1_LTIM;
	c->single = value & ICW1_SNGL;
	c->need_icw4 = value & ICW1_IC4;
	c->auto_eoi = c->special_nested = c->rotate_on_aeoi = false;
	c->icw_next = 2;
}

static void go_on_with_init(struct pic_chip *c, uint8_t value)
{
	switch (c->icw_next) {
	case 2:
		c->base = value & 0xf8;
		c->icw_next = c->single ? (c->need_icw4 ? 4 : 0) : 3;
		break;
	case 3: /* which line the cascade is on: here it is wired */
		c->icw_next = c->need_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = value & ICW4_AEOI;
		c->special_nested = value & ICW4_SFNM;
		c->icw_next = 0;
		break;
	}
}

/* OCW2, bits 7:5: R, SL, EOI. */
static void end_of_interrupt(struct pic_chip *c, uint8_t value)
{
	unsigned n = value & 7;
	unsigned rank;

	switch (value >> 5) {
	case 0: /* stop rotating in automatic EOI mode */
	case 4: /* rotate in automatic EOI mode */
		c->rotate_on_aeoi = value & 0x80;
		break;
	case 1: /* non-specific EOI */
	case 5: /* and rotate */
		/* In special mask mode masked bits are not seen by a non-specific EOI. */
		rank = priority(c, c->special_mask ? c->isr & ~c->imr : c->isr);
		if (rank == 8)
			break;
		n = (c->lowest + 1 + rank) & 7;
		c->isr &= ~(1u << n);
		if (value & 0x80)
			c->lowest = n;
		break;
	case 3: /* specific EOI */
		c->isr &= ~(1u << n);
		break;
	case 7: /* and rotate */
		c->isr &= ~(1u << n);
		c->lowest = n;
		break;
	case 6: /* set priority */
		c->lowest = n;
		break;
	}
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
	if (value & OCW3_P)
		c->poll = true;
	if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
}

static uint64_t chip_read(struct pic *pic, struct pic_chip *c, uint64_t offset)
{
	uint64_t value;

	if (c->poll) {
		/* The read is this chip's INTA. */
		int n = pending(c);

		c->poll = false;
		if (n >= 0)
			in_service(c, n);
		update(pic);
		return n < 0 ? 0 : 0x80 | n;
	}
	if (offset)
		value = c->imr;
	else
		value = c->read_isr ? c->isr : requests(c);
	return value;
}

static void chip_write(struct pic *pic, struct pic_chip *c, uint64_t offset, uint8_t value)
{
	if (!offset && (value & ICW1))
		start_init(c, value);
	else if (!offset && (value & OCW3))
		write_ocw3(c, value);
	else if (!offset)
		end_of_interrupt(c, value);
	else if (c->icw_next)
		go_on_with_init(c, value);
	else
		c->imr = value;
	update(pic);
}

static uint64_t pic_master_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pic *pic = dev;

	return chip_read(pic, &pic->chip[MASTER], offset);
}

static void pic_master_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;

	chip_write(pic, &pic->chip[MASTER], offset, value);
}

static uint64_t pic_slave_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pic *pic = dev;

	return chip_read(pic, &pic->chip[SLAVE], offset);
}

static void pic_slave_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;

	chip_write(pic, &pic->chip[SLAVE], offset, value);
}

static uint64_t pic_elcr_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pic *pic = dev;

	return pic->chip[offset & 1].elcr;
}

static void pic_elcr_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic *pic = dev;

	pic->chip[offset & 1].elcr = value & elcr_writable[offset & 1];
	update(pic);
}

/* The lines are the devices'; they keep their levels. */
static void pic_reset(void *dev)
{
	struct pic *pic = dev;

	for (unsigned i = 0; i < 2; i++) {
		struct pic_chip *c = &pic->chip[i];

		*c = (struct pic_chip){
			.lines = c->lines, .output = c->output, .imr = 0xff, .lowest = 7
		};
	}
	update(pic);
}

static const struct field chip_rows[] = {
	FIELD(pic_chip, lines),
	FIELD(pic_chip, irr),
	FIELD(pic_chip, isr),
	FIELD(pic_chip, imr),
	FIELD(pic_chip, elcr),
	FIELD(pic_chip, base, .bits = 0xf8),
	FIELD(pic_chip, lowest, .max = 7),
	FIELD(pic_chip, icw_next, .max = 4),
	FLAG(pic_chip, ltim),
	FLAG(pic_chip, single),
	FLAG(pic_chip, need_icw4),
	FLAG(pic_chip, auto_eoi),
	FLAG(pic_chip, rotate_on_aeoi),
	FLAG(pic_chip, special_mask),
	FLAG(pic_chip, special_nested),
	FLAG(pic_chip, poll),
	FLAG(pic_chip, read_isr),
	FLAG(pic_chip, output),
	{ 0 },
};

static const char *check(const void *dev)
{
	const struct pic *pic = dev;

	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &pic->chip[i];

		if (c->elcr & ~elcr_writable[i])
			return "a line is level-triggered that cannot be";
		if (c->icw_next == 1)
			return "no initialisation goes on with ICW1";
		if (c->output != (pending(c) >= 0))
			return "INT of a chip is not what its registers say";
	}
	return NULL;
}

static const struct field rows[] = {
	WIRING(pic, intr),
	ARRAY(pic, chip, .part = chip_rows),
	{ 0 },
};

static const struct fields fields = {
	.name = "pic",
	.version = 1,
	.size = sizeof(struct pic),
	.row = rows,
	.check = check,
};

const struct device_ops pic_master_ops = {
	.name = "pic",
	.width = 1,
	.read = pic_master_read,
	.write = pic_master_write,
	.reset = pic_reset,
	.fields = &fields,
};

const struct device_ops pic_slave_ops = {
	.name = "pic2",
	.width = 1,
	.read = pic_slave_read,
	.write = pic_slave_write,
};

const struct device_ops pic_elcr_ops = {
	.name = "elcr",
	.width = 1,
	.read = pic_elcr_read,
	.write = pic_elcr_write,
};

void pic_init(struct pic *pic, struct wire intr)
{
	memset(pic, 0, sizeof(*pic));
	pic->intr = intr;
	pic_reset(pic);
}

int pic_attach(struct pic *pic, struct bus *bus)
{
	int err = bus_add(bus, BUS_PORT, 0x20, 2, &pic_master_ops, pic);

	if (!err)
		err = bus_add(bus, BUS_PORT, 0xa0, 2, &pic_slave_ops, pic);
	if (!err)
		err = bus_add(bus, BUS_PORT, 0x4d0, 2, &pic_elcr_ops, pic);
	return err;
}
