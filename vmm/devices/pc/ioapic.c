/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "ioapic.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define IOEOI 0x40

#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECTION 0x10

#define VERSION 0x20

/* 82093AA 3.2.4 */
#define RTE_VECTOR 0xffull
#define RTE_DELIVERY_SHIFT 8
#define RTE_LOGICAL (1ull << 11)
#define RTE_STATUS (1ull << 12)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_DEST_SHIFT 56
#define RTE_READ_ONLY (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE 0xff0000000001afffull

#define DELIVERY_LOWEST 1

/* SDM 3A 11.11 */
#define MSI_ADDRESS 0xfee00000ull
#define MSI_REDIRECTION_HINT (1u << 3)
#define MSI_LOGICAL (1u << 2)
#define MSI_ASSERT (1u << 14)

static unsigned delivery(uint64_t rte)
{
	return rte >> RTE_DELIVERY_SHIFT & 7;
}

/* Only fixed and lowest-priority interrupts get an EOI; all others act as edges. */
static bool is_level(uint64_t rte)
{
	return (rte & RTE_LEVEL) && delivery(rte) <= DELIVERY_LOWEST;
}

static void deliver(struct ioapic *ioapic, unsigned pin)
{
	uint64_t rte = ioapic->redirection[pin];
	uint64_t address = MSI_ADDRESS | (rte >> RTE_DEST_SHIFT) << 12;
	uint32_t data = (rte & 0x7ff) | MSI_ASSERT;

	if (rte & RTE_LOGICAL)
		address |= MSI_LOGICAL;
	if (delivery(rte) == DELIVERY_LOWEST)
		address |= MSI_REDIRECTION_HINT;
	if (is_level(rte)) {
		data |= RTE_LEVEL;
		ioapic->redirection[pin] |= RTE_REMOTE_IRR;
	}
	if (ioapic->msi)
		ioapic->msi(ioapic->opaque, address, data);
}

static void deliver_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t rte = ioapic->redirection[pin];

	if (is_level(rte) && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)) && (ioapic->lines & 1u << pin))
		deliver(ioapic, pin);
}

/*
 * Wires carry "asserted", so the polarity bit is kept and means nothing. An edge on a masked pin is
 * lost (82093AA 3.2.4, bit 16).
 */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level)
{
	uint32_t bit = 1u << (pin & 31);
	bool rising;

	if (pin >= IOAPIC_PINS)
		return;
	rising = level && !(ioapic->lines & bit);
	ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
	if (is_level(ioapic->redirection[pin]))
		deliver_level(ioapic, pin);
	else if (rising && !(ioapic->redirection[pin] & RTE_MASKED))
		deliver(ioapic, pin);
}

void ioapic_wire(void *ioapic, unsigned pin, bool level)
{
	ioapic_set_pin(ioapic, pin, level);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *rte = &ioapic->redirection[pin];

		if (!(*rte & RTE_REMOTE_IRR) || (*rte & RTE_VECTOR) != vector)
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		deliver_level(ioapic, pin);
	}
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	unsigned reg = ioapic->select;
	unsigned pin = (reg - REG_REDIRECTION) / 2;

	if (reg == REG_ID || reg == REG_ARBITRATION)
		return (uint32_t)ioapic->id << 24;
	if (reg == REG_VERSION)
		return (IOAPIC_PINS - 1) << 16 | VERSION;
	if (reg >= REG_REDIRECTION && pin < IOAPIC_PINS)
		return ioapic->redirection[pin] >> (reg & 1 ? 32 : 0);
	return UINT32_MAX;
}

static void write_redirection(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
	uint64_t *rte = &ioapic->redirection[pin];
	uint64_t wanted;

	if (high)
		wanted = (*rte & UINT32_MAX) | (uint64_t)value << 32;
	else
		wanted = (*rte & ~(uint64_t)UINT32_MAX) | value;
	*rte = (wanted & RTE_WRITABLE) | (*rte & RTE_READ_ONLY);
	/* Before there was an EOI register, going to edge mode was how software ended a level. */
	if (!is_level(*rte))
		*rte &= ~RTE_REMOTE_IRR;
	deliver_level(ioapic, pin);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
	unsigned reg = ioapic->select;
	unsigned pin = (reg - REG_REDIRECTION) / 2;

	if (reg == REG_ID)
		ioapic->id = value >> 24 & 0xf;
	else if (reg >= REG_REDIRECTION && pin < IOAPIC_PINS)
		write_redirection(ioapic, pin, reg & 1, value);
}

static uint64_t ioapic_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct ioapic *ioapic = dev;
	uint32_t value = UINT32_MAX;

	if ((offset & ~3ull) == IOREGSEL)
		value = ioapic->select;
	else if ((offset & ~3ull) == IOWIN)
		value = read_register(ioapic);
	return value >> (offset & 3) * 8;
}

/* Registers are written whole; IOREGSEL and the EOI register are one byte wide. */
static void ioapic_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct ioapic *ioapic = dev;

	if (offset == IOREGSEL)
		ioapic->select = value;
	else if (offset == IOWIN && size == 4)
		write_register(ioapic, value);
	else if (offset == IOEOI)
		ioapic_eoi(ioapic, value);
}

static void ioapic_reset(void *dev)
{
	struct ioapic *ioapic = dev;

	ioapic->select = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->redirection[pin] = RTE_MASKED;
}

static const struct field rows[] = {
	WIRING(ioapic, msi),
	WIRING(ioapic, opaque),
	FIELD(ioapic, select),
	FIELD(ioapic, id, .bits = 0xf),
	FIELD(ioapic, lines, .bits = (1u << IOAPIC_PINS) - 1),
	ARRAY(ioapic, redirection, .bits = RTE_WRITABLE | RTE_READ_ONLY),
	{ 0 },
};

static const struct fields fields = {
	.name = "ioapic",
	.version = 1,
	.size = sizeof(struct ioapic),
	.row = rows,
};

const struct device_ops ioapic_ops = {
	.name = "ioapic",
	.width = 4,
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
	.fields = &fields,
};

void ioapic_init(struct ioapic *ioapic, uint8_t id,
		 void (*msi)(void *opaque, uint64_t address, uint32_t data), void *opaque)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->msi = msi;
	ioapic->opaque = opaque;
	ioapic->id = id & 0xf;
	ioapic_reset(ioapic);
}

int ioapic_attach(struct ioapic *ioapic, struct bus *bus, uint64_t gpa)
{
	return bus_add(bus, BUS_MEMORY, gpa, IOAPIC_SIZE, &ioapic_ops, ioapic);
}
