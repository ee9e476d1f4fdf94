/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * An I/O APIC with 24 pins and an EOI register (Intel 82093AA datasheet, 290566-001, for version
 * 11h; the version 20h registers as in the ICH datasheets, 252516-001 section 9.5). Version 20h
 * is what Linux asks for to end a level interrupt without toggling the pin's trigger mode.
 */
#ifndef VMM_IOAPIC_H
#define VMM_IOAPIC_H

#include "devices/bus.h"

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_SIZE 0x1000
#define IOAPIC_PINS 24

struct ioapic {
	void (*msi)(void *opaque, uint64_t address, uint32_t data);
	void *opaque;
	uint8_t select; /* IOREGSEL */
	uint8_t id;
	uint32_t lines; /* levels of the pins, one bit each */
	uint64_t redirection[IOAPIC_PINS];
};

/* msi is called with the message of each interrupt (SDM 3A 11.11.1). id: 0..15. */
void ioapic_init(struct ioapic *ioapic, uint8_t id,
		 void (*msi)(void *opaque, uint64_t address, uint32_t data), void *opaque);
int ioapic_attach(struct ioapic *ioapic, struct bus *bus, uint64_t gpa); /* IOAPIC_BASE */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level);
void ioapic_wire(void *ioapic, unsigned pin, bool level); /* the same, for struct wire */
/* A local APIC's EOI of a level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

extern const struct device_ops ioapic_ops;

#endif
