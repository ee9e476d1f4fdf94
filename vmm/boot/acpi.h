/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The ACPI tables of the guest's machine (ACPI 6.3, chapter 5); platform.h has what they say. */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include "boot/layout.h"

/*
 * Writes RSDP, XSDT, FADT, MADT, SSDT, DSDT and FACS into guest memory at LAYOUT_ACPI.
 * vcpus: 1 .. PLATFORM_MAX_VCPUS; vCPU n has APIC ID n and processor UID n.
 * Returns the guest-physical address of the RSDP; 0 when vcpus or the memory is out of range.
 */
uint64_t acpi_build(const struct boot_memory *memory, unsigned vcpus);

#endif
