/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Where things lie in guest-physical memory when the guest starts, and the e820 map that says so.
 *
 *	0x00000000	RAM: page 0 left alone, then GDT, zero page, page tables, command line
 *	0x0009fc00	reserved (where a PC has its EBDA)
 *	0x000a0000	nothing
 *	0x000e0000	ACPI tables, RSDP first (ACPI 6.3, 5.2.5.1: found there by a scan too)
 *	0x000ef000	FACS: ACPI NVS
 *	0x000f0000	reserved
 *	0x00100000	RAM: the kernel at its preferred address, the initrd as high as it may be
 *	0xc0000000	PCI memory window, then I/O APIC and local APIC
 *	0x100000000	the rest of RAM
 */
#ifndef VMM_BOOT_LAYOUT_H
#define VMM_BOOT_LAYOUT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_PAGE 0x1000ull

#define LAYOUT_GDT 0x1000ull
#define LAYOUT_ZERO_PAGE 0x2000ull
#define LAYOUT_PAGE_TABLES 0x3000ull /* PML4, PDPT, four page directories */
#define LAYOUT_PAGE_TABLES_SIZE 0x6000ull
#define LAYOUT_CMDLINE 0x10000ull
#define LAYOUT_CMDLINE_SIZE 0x10000ull /* bytes of room, the final zero included */
#define LAYOUT_EBDA 0x9fc00ull
#define LAYOUT_VGA 0xa0000ull
#define LAYOUT_ACPI 0xe0000ull
#define LAYOUT_ACPI_SIZE 0xf000ull
#define LAYOUT_FACS 0xef000ull
#define LAYOUT_BIOS 0xf0000ull
#define LAYOUT_HIGH_MEMORY 0x100000ull /* 1 MiB: kernels and initrds live from here on */

#define LAYOUT_LOW_MAX 0xc0000000ull   /* RAM below this ... */
#define LAYOUT_APICS 0xfec00000ull     /* I/O APIC, local APIC, firmware: reserved up to 4 GiB */
#define LAYOUT_HIGH_RAM 0x100000000ull /* ... goes on here */

/* Less cannot even hold what lies below 1 MiB; a kernel needs more and the loader says how much. */
#define LAYOUT_MIN_MEMORY 0x200000ull

/* The guest's RAM as the host sees it; each of the two is contiguous. */
struct boot_memory {
	uint8_t *low;	    /* guest-physical 0 */
	uint64_t low_size;  /* bytes, multiple of 4096, LAYOUT_MIN_MEMORY .. LAYOUT_LOW_MAX */
	uint8_t *high;	    /* guest-physical LAYOUT_HIGH_RAM, NULL when there is none */
	uint64_t high_size; /* bytes, multiple of 4096 */
};

enum e820_type {
	E820_TYPE_RAM = 1,
	E820_TYPE_RESERVED = 2,
	E820_TYPE_ACPI = 3,
	E820_TYPE_NVS = 4,
};

struct e820_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820_entry) == 20, "part of the zero page");

#define LAYOUT_E820_MAX 8

/* Fills in the map, ascending and without overlap, and returns how many entries it has. */
unsigned layout_e820(const struct boot_memory *memory, struct e820_entry map[LAYOUT_E820_MAX]);

/*
 * Host address of guest-physical [gpa, gpa + size), or NULL when RAM does not hold all of it.
 * Where the map says ACPI or reserved below 1 MiB there is memory behind it, too.
 */
void *layout_ram(const struct boot_memory *memory, uint64_t gpa, uint64_t size);

/* How `total` bytes of guest memory are split at the hole. */
static inline uint64_t layout_low_size(uint64_t total)
{
	return total < LAYOUT_LOW_MAX ? total : LAYOUT_LOW_MAX;
}

static inline uint64_t layout_high_size(uint64_t total)
{
	return total - layout_low_size(total);
}

#endif
