/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the processor itself needs in memory to start in 64-bit mode. */
#ifndef VMM_BOOT_ENTRY_H
#define VMM_BOOT_ENTRY_H

#include "boot/bzimage.h"

/* Writes page tables and GDT into low memory and fills in cr3, gdt_base and gdt_limit. */
void boot_tables(const struct boot_memory *memory, bool gigabyte_pages, struct boot_entry *entry);

#endif
