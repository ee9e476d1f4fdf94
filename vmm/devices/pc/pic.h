/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The pair of 8259A interrupt controllers of a PC (Intel 8259A datasheet, 231468-003) with the
 * edge/level registers of EISA (Intel 82374/PIIX3 datasheets, ELCR1 4D0h and ELCR2 4D1h).
 */
#ifndef VMM_PIC_H
#define VMM_PIC_H

#include "devices/bus.h"

struct pic_chip {
	uint8_t lines; /* levels of IR0..IR7 */
	uint8_t irr, isr, imr;
	uint8_t elcr;	  /* 1: level-triggered */
	uint8_t base;	  /* ICW2: vector of IR0 */
	uint8_t lowest;	  /* IR with the lowest priority: 7 unless rotated */
	uint8_t icw_next; /* ICW expected at the odd port: 2, 3, 4; 0 when initialised */
	bool ltim;	  /* ICW1: all lines level-triggered */
	bool single;
	bool need_icw4;
	bool auto_eoi, rotate_on_aeoi;
	bool special_mask, special_nested;
	bool poll;
	bool read_isr;
	bool output; /* the chip's INT pin */
};

struct pic {
	struct wire intr;
	struct pic_chip chip[2]; /* master, slave */
};

void pic_init(struct pic *pic, struct wire intr);
int pic_attach(struct pic *pic, struct bus *bus); /* 20h, A0h, 4D0h */
/* irq: 0..15; 2 is the cascade and ignored. */
void pic_set_irq(struct pic *pic, unsigned irq, bool level);
void pic_wire(void *pic, unsigned irq, bool level); /* the same, for struct wire */
/* The processor's INTA cycles: the vector to deliver; IR7's of the chip when spurious. */
uint8_t pic_acknowledge(struct pic *pic);
/* Whether INTR is asserted now. */
bool pic_output(const struct pic *pic);

extern const struct device_ops pic_master_ops, pic_slave_ops, pic_elcr_ops;

#endif
