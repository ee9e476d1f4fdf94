/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * PCI configuration mechanism #1 (PCI Local Bus 3.0, section 3.2.2.3.2) for bus 0 with its host
 * bridge at 00:00.0, and the reset control register CF9h, which lies inside the address port.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "devices/bus.h"
#include "power.h"

#define PCI_DEVICES 32
#define PCI_FUNCTIONS 8
#define PCI_CONFIG_SIZE 256
#define PCI_BARS 6

/*
 * The configuration space of one function. The owner fills in config[] (identity, class, header
 * type 0, capabilities), and for what the guest may change writable[] (bits that take what is
 * written) and clearable[] (bits that a written 1 clears). pci_add() makes the BARs sizable.
 */
struct pci_function {
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];
	uint8_t clearable[PCI_CONFIG_SIZE];
	/* After the guest wrote [offset, offset + size); may be NULL. */
	void (*written)(void *opaque, uint64_t now, unsigned offset, unsigned size);
	void *opaque;
	uint8_t initial[PCI_CONFIG_SIZE]; /* what config[] was at pci_add(), for reset */
};

struct pci {
	struct power power;
	uint32_t address; /* CONFIG_ADDRESS */
	uint8_t reset_control;
	struct pci_function *function[PCI_DEVICES][PCI_FUNCTIONS];
	struct pci_function bridge;
};

void pci_init(struct pci *pci, const struct power *power);
int pci_attach(struct pci *pci, struct bus *bus); /* CF8h .. CFFh */

/*
 * BAR n asks for size bytes (a power of two; memory: 16 up, I/O: 4 to 256) of 32-bit address space.
 * Before pci_add(). -EINVAL otherwise.
 */
int pci_bar(struct pci_function *function, unsigned n, uint32_t size, bool io);
/* Where the guest put BAR n, or 0 when it is not decoded (size unknown or COMMAND has it off). */
uint32_t pci_bar_address(const struct pci_function *function, unsigned n);
/*
 * The function appears at 00:device.function; it stays the caller's. Function 0 of a device must
 * come first and says by its header type whether others are looked for. -EINVAL, -EEXIST.
 */
int pci_add(struct pci *pci, unsigned device, unsigned function, struct pci_function *f);

extern const struct device_ops pci_ops;

#endif
