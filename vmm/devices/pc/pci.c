/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <errno.h>
#include <string.h>

#include "devices/fields.h"
#include "pci.h"

/* Offsets from CF8h */
#define CONFIG_ADDRESS 0
#define RESET_CONTROL 1 /* CF9h, as a byte */
#define CONFIG_DATA 4

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS 0x80fffffcu

/* RST_CNT in the ICH datasheets, 252516-001 section 9.7.5 */
#define RST_CPU 0x04
#define RST_BITS 0x0e

/* PCI 3.0 section 6.1 */
#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define COMMAND 0x04
#define STATUS 0x06
#define CLASS 0x0a
#define CACHE_LINE_SIZE 0x0c
#define LATENCY_TIMER 0x0d
#define BAR0 0x10
#define INTERRUPT_LINE 0x3c

#define COMMAND_IO 0x0001
#define COMMAND_MEMORY 0x0002
#define COMMAND_MASTER 0x0004
#define COMMAND_PARITY 0x0040
#define COMMAND_SERR 0x0100
#define COMMAND_NO_INTX 0x0400
#define STATUS_CLEARABLE 0xf900

#define BAR_IO 0x01

/* Red Hat's generic host bridge, which guests know without any quirk of a real chipset. */
#define BRIDGE_VENDOR 0x1b36
#define BRIDGE_DEVICE 0x0008
#define BRIDGE_CLASS 0x0600

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = value;
	at[1] = value >> 8;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

int pci_bar(struct pci_function *f, unsigned n, uint32_t size, bool io)
{
	uint32_t low = io ? 4 : 16;

	if (n >= PCI_BARS || size < low || (size & (size - 1)) || (io && size > 256))
		return -EINVAL;
	put32(&f->config[BAR0 + 4 * n], io ? BAR_IO : 0);
	/* What cannot be written reads as 0, which is how the guest learns the size (6.2.5.1). */
	put32(&f->writable[BAR0 + 4 * n], ~(size - 1));
	return 0;
}

uint32_t pci_bar_address(const struct pci_function *f, unsigned n)
{
	uint32_t bar, mask;

	if (n >= PCI_BARS)
		return 0;
	bar = get32(&f->config[BAR0 + 4 * n]);
	mask = get32(&f->writable[BAR0 + 4 * n]);
	if (!(f->config[COMMAND] & (bar & BAR_IO ? COMMAND_IO : COMMAND_MEMORY)))
		return 0;
	return bar & mask;
}

int pci_add(struct pci *pci, unsigned device, unsigned function, struct pci_function *f)
{
	if (device >= PCI_DEVICES || function >= PCI_FUNCTIONS)
		return -EINVAL;
	if (pci->function[device][function])
		return -EEXIST;
	if (function && !pci->function[device][0])
		return -EINVAL;
	put16(&f->writable[COMMAND], COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_PARITY |
					     COMMAND_SERR | COMMAND_NO_INTX);
	put16(&f->clearable[STATUS], STATUS_CLEARABLE);
	f->writable[CACHE_LINE_SIZE] = 0xff;
	f->writable[LATENCY_TIMER] = 0xff;
	f->writable[INTERRUPT_LINE] = 0xff;
	memcpy(f->initial, f->config, sizeof(f->initial));
	pci->function[device][function] = f;
	return 0;
}

/* The function that CONFIG_ADDRESS names, or NULL: nobody answers. */
static struct pci_function *selected(const struct pci *pci)
{
	uint32_t a = pci->address;

	if (!(a & ADDRESS_ENABLE) || (a >> 16 & 0xff))
		return NULL;
	return pci->function[a >> 11 & 31][a >> 8 & 7];
}

static uint64_t read_config(const struct pci *pci, unsigned byte, unsigned size)
{
	const struct pci_function *f = selected(pci);
	unsigned offset = (pci->address & 0xfc) + byte;
	uint64_t value = 0;

	if (!f)
		return UINT64_MAX;
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
		value |= (uint64_t)f->config[offset + i] << i * 8;
	return value;
}

static void write_config(struct pci *pci, uint64_t now, unsigned byte, unsigned size, uint64_t value)
{
	struct pci_function *f = selected(pci);
	unsigned offset = (pci->address & 0xfc) + byte;

	if (!f)
		return;
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
		uint8_t *at = &f->config[offset + i];
		uint8_t bits = value >> i * 8, writable = f->writable[offset + i];

		*at = (*at & ~writable) | (bits & writable);
		*at &= ~(bits & f->clearable[offset + i]);
	}
	if (f->written)
		f->written(f->opaque, now, offset, size);
}

static void write_reset_control(struct pci *pci, uint8_t value)
{
	bool reset = (value & ~pci->reset_control) & RST_CPU;

	pci->reset_control = value & RST_BITS;
	if (reset)
		power_event(&pci->power, POWER_RESET, 0);
}

/* 3.2.2.3.2: only a double word reaches CONFIG_ADDRESS; narrower accesses are other devices'. */
static uint64_t pci_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pci *pci = dev;

	if (offset >= CONFIG_DATA)
		return read_config(pci, offset - CONFIG_DATA, size);
	if (offset == CONFIG_ADDRESS && size == 4)
		return pci->address;
	if (offset == RESET_CONTROL && size == 1)
		return pci->reset_control;
	return UINT64_MAX;
}

static void pci_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci *pci = dev;

	if (offset >= CONFIG_DATA)
		write_config(pci, now, offset - CONFIG_DATA, size, value);
	else if (offset == CONFIG_ADDRESS && size == 4)
		pci->address = value & ADDRESS_BITS;
	else if (offset == RESET_CONTROL && size == 1)
		write_reset_control(pci, value);
}

static void pci_reset(void *dev)
{
	struct pci *pci = dev;

	pci->address = 0;
	pci->reset_control = 0;
	for (unsigned i = 0; i < PCI_DEVICES * PCI_FUNCTIONS; i++) {
		struct pci_function *f = pci->function[i / PCI_FUNCTIONS][i % PCI_FUNCTIONS];

		if (f)
			memcpy(f->config, f->initial, sizeof(f->config));
	}
}

static const struct field function_rows[] = {
	ARRAY(pci_function, config),
	WIRING(pci_function, writable),
	WIRING(pci_function, clearable),
	WIRING(pci_function, written),
	WIRING(pci_function, opaque),
	WIRING(pci_function, initial),
	{ 0 },
};

static const char *check(const void *dev)
{
	const struct pci_function *f = &((const struct pci *)dev)->bridge;

	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		if ((f->config[i] ^ f->initial[i]) & ~(f->writable[i] | f->clearable[i]))
			return "the host bridge is not the one that this machine has";
	}
	return NULL;
}

static const struct field rows[] = {
	WIRING(pci, power),
	FIELD(pci, address, .bits = ADDRESS_BITS),
	FIELD(pci, reset_control, .bits = RST_BITS),
	WIRING(pci, function),
	FIELD(pci, bridge, .part = function_rows),
	{ 0 },
};

static const struct fields fields = {
	.name = "pci",
	.version = 1,
	.size = sizeof(struct pci),
	.row = rows,
	.check = check,
};

const struct device_ops pci_ops = {
	.name = "pci",
	.width = 4,
	.read = pci_read,
	.write = pci_write,
	.reset = pci_reset,
	.fields = &fields,
};

void pci_init(struct pci *pci, const struct power *power)
{
	memset(pci, 0, sizeof(*pci));
	pci->power = *power;
	put16(&pci->bridge.config[VENDOR_ID], BRIDGE_VENDOR);
	put16(&pci->bridge.config[DEVICE_ID], BRIDGE_DEVICE);
	put16(&pci->bridge.config[CLASS], BRIDGE_CLASS);
	pci_add(pci, 0, 0, &pci->bridge);
}

int pci_attach(struct pci *pci, struct bus *bus)
{
	return bus_add(bus, BUS_PORT, 0xcf8, 8, &pci_ops, pci);
}
