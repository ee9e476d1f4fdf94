/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The ports, interrupts and windows of the guest's machine that its ACPI tables tell it about.
 *
 * dsdt.asl includes this file through the C preprocessor, so it holds plain numbers only: no
 * suffixes, no types, no includes.
 */
#ifndef VMM_BOOT_PLATFORM_H
#define VMM_BOOT_PLATFORM_H

#define PLATFORM_MAX_VCPUS 64

/* Fixed ACPI hardware (ACPI 6.3, 4.8.1 and 4.8.3) */
#define PLATFORM_PM1A_EVT_PORT 0x600 /* status 0x600, enable 0x602 */
#define PLATFORM_PM1A_EVT_LEN 4
#define PLATFORM_PM1A_CNT_PORT 0x604
#define PLATFORM_PM1A_CNT_LEN 2
#define PLATFORM_PM_TMR_PORT 0x608
#define PLATFORM_PM_TMR_LEN 4
#define PLATFORM_PM_TMR_BITS 32 /* TMR_VAL_EXT */
#define PLATFORM_PM_LEN 12	/* all of them, from PM1A_EVT on */
#define PLATFORM_SLP_TYP_S5 5
#define PLATFORM_RESET_PORT 0xcf9
#define PLATFORM_RESET_VALUE 6

/* Interrupts: ISA IRQ n is GSI n, except for the PIT, which arrives at GSI 2. */
#define PLATFORM_PIT_IRQ 0
#define PLATFORM_PIT_GSI 2
#define PLATFORM_COM1_IRQ 4
#define PLATFORM_RTC_IRQ 8
#define PLATFORM_SCI_IRQ 9  /* level, active high */
#define PLATFORM_PCI_GSI 16 /* INTx of slot s, pin p (0 = INTA): GSI 16 + (s + p) % 4; level, low */

#define PLATFORM_IOAPIC_ID 0
#define PLATFORM_IOAPIC_ADDRESS 0xfec00000
#define PLATFORM_LAPIC_ADDRESS 0xfee00000

/* ISA devices */
#define PLATFORM_PIC_MASTER_PORT 0x20
#define PLATFORM_PIC_SLAVE_PORT 0xa0
#define PLATFORM_ELCR_PORT 0x4d0
#define PLATFORM_PIT_PORT 0x40
#define PLATFORM_PIT_LEN 4
#define PLATFORM_COM1_PORT 0x3f8
#define PLATFORM_COM1_LEN 8
#define PLATFORM_RTC_PORT 0x70
#define PLATFORM_RTC_LEN 2
#define PLATFORM_RTC_CENTURY 0x32 /* CMOS offset */

/* PCI: configuration mechanism 1, and what bus 0 may hand to its devices; ends are inclusive */
#define PLATFORM_PCI_CONFIG_PORT 0xcf8
#define PLATFORM_PCI_CONFIG_LEN 8
#define PLATFORM_PCI_IO_START 0x1000
#define PLATFORM_PCI_IO_END 0xffff
#define PLATFORM_PCI_IO_LEN 0xf000
#define PLATFORM_PCI_MEM_START 0xc0000000
#define PLATFORM_PCI_MEM_END 0xfebfffff
#define PLATFORM_PCI_MEM_LEN 0x3ec00000

#endif
