// SPDX-License-Identifier: MIT OR GPL-2.0
#include "boot/layout.h"

static_assert(LAYOUT_PAGE_TABLES + LAYOUT_PAGE_TABLES_SIZE <= LAYOUT_CMDLINE, "tables overlap");
static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE <= LAYOUT_EBDA, "command line overlaps");
static_assert(LAYOUT_ACPI + LAYOUT_ACPI_SIZE == LAYOUT_FACS, "gap between the tables and the FACS");

unsigned layout_e820(const struct boot_memory *memory, struct e820_entry map[LAYOUT_E820_MAX])
{
	unsigned n = 0;

	map[n++] = (struct e820_entry){ 0, LAYOUT_EBDA, E820_TYPE_RAM };
	map[n++] = (struct e820_entry){ LAYOUT_EBDA, LAYOUT_VGA - LAYOUT_EBDA, E820_TYPE_RESERVED };
	map[n++] = (struct e820_entry){ LAYOUT_ACPI, LAYOUT_ACPI_SIZE, E820_TYPE_ACPI };
	map[n++] = (struct e820_entry){ LAYOUT_FACS, LAYOUT_BIOS - LAYOUT_FACS, E820_TYPE_NVS };
	map[n++] = (struct e820_entry){ LAYOUT_BIOS, LAYOUT_HIGH_MEMORY - LAYOUT_BIOS,
					E820_TYPE_RESERVED };
	map[n++] = (struct e820_entry){ LAYOUT_HIGH_MEMORY, memory->low_size - LAYOUT_HIGH_MEMORY,
					E820_TYPE_RAM };
	map[n++] = (struct e820_entry){ LAYOUT_APICS, LAYOUT_HIGH_RAM - LAYOUT_APICS,
					E820_TYPE_RESERVED };
	if (memory->high_size)
		map[n++] = (struct e820_entry){ LAYOUT_HIGH_RAM, memory->high_size, E820_TYPE_RAM };
	return n;
}

void *layout_ram(const struct boot_memory *memory, uint64_t gpa, uint64_t size)
{
	if (gpa < memory->low_size && size <= memory->low_size - gpa)
		return memory->low + gpa;
	if (gpa < LAYOUT_HIGH_RAM)
		return NULL;
	gpa -= LAYOUT_HIGH_RAM;
	if (gpa < memory->high_size && size <= memory->high_size - gpa)
		return memory->high + gpa;
	return NULL;
}
