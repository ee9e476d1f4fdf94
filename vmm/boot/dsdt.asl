/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The devices of the guest's machine that it cannot find by itself. Processors are in an SSDT that
 * acpi.c makes, because their number is known only when the guest starts.
 */
#include "platform.h"

/* INTA..INTD of one slot; a slot's own pins and its neighbours' are spread over four GSIs. */
#define INTX(slot, pin, turn) Package (4) { slot, pin, 0, turn }
#define SLOT0(slot) INTX (slot, 0, 16), INTX (slot, 1, 17), INTX (slot, 2, 18), INTX (slot, 3, 19)
#define SLOT1(slot) INTX (slot, 0, 17), INTX (slot, 1, 18), INTX (slot, 2, 19), INTX (slot, 3, 16)
#define SLOT2(slot) INTX (slot, 0, 18), INTX (slot, 1, 19), INTX (slot, 2, 16), INTX (slot, 3, 17)
#define SLOT3(slot) INTX (slot, 0, 19), INTX (slot, 1, 16), INTX (slot, 2, 17), INTX (slot, 3, 18)

DefinitionBlock ("", "DSDT", 2, "FERMAT", "FERMATA", 1)
{
	/* ACPI 6.3, 7.4.2.6: SLP_TYPa, SLP_TYPb (there is no PM1b) */
	Name (\_S5, Package (4) { PLATFORM_SLP_TYP_S5, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_BBN, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 255, 0, 256)
				IO (Decode16, PLATFORM_PCI_CONFIG_PORT, PLATFORM_PCI_CONFIG_PORT,
					1, PLATFORM_PCI_CONFIG_LEN)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, PLATFORM_PCI_IO_START, PLATFORM_PCI_IO_END, 0,
					PLATFORM_PCI_IO_LEN)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite, 0, PLATFORM_PCI_MEM_START,
					PLATFORM_PCI_MEM_END, 0, PLATFORM_PCI_MEM_LEN)
			})
			Name (_PRT, Package (128)
			{
				SLOT0 (0x0000FFFF), SLOT1 (0x0001FFFF),
				SLOT2 (0x0002FFFF), SLOT3 (0x0003FFFF),
				SLOT0 (0x0004FFFF), SLOT1 (0x0005FFFF),
				SLOT2 (0x0006FFFF), SLOT3 (0x0007FFFF),
				SLOT0 (0x0008FFFF), SLOT1 (0x0009FFFF),
				SLOT2 (0x000AFFFF), SLOT3 (0x000BFFFF),
				SLOT0 (0x000CFFFF), SLOT1 (0x000DFFFF),
				SLOT2 (0x000EFFFF), SLOT3 (0x000FFFFF),
				SLOT0 (0x0010FFFF), SLOT1 (0x0011FFFF),
				SLOT2 (0x0012FFFF), SLOT3 (0x0013FFFF),
				SLOT0 (0x0014FFFF), SLOT1 (0x0015FFFF),
				SLOT2 (0x0016FFFF), SLOT3 (0x0017FFFF),
				SLOT0 (0x0018FFFF), SLOT1 (0x0019FFFF),
				SLOT2 (0x001AFFFF), SLOT3 (0x001BFFFF),
				SLOT0 (0x001CFFFF), SLOT1 (0x001DFFFF),
				SLOT2 (0x001EFFFF), SLOT3 (0x001FFFFF)
			})
		}

		/* Fixed hardware belongs to the system board (ACPI 6.3, 4.8.2.1) */
		Device (BORD)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PLATFORM_PM1A_EVT_PORT, PLATFORM_PM1A_EVT_PORT,
					1, PLATFORM_PM_LEN)
				IO (Decode16, PLATFORM_ELCR_PORT, PLATFORM_ELCR_PORT, 1, 2)
			})
		}

		Device (PIC)
		{
			Name (_HID, EisaId ("PNP0000"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PLATFORM_PIC_MASTER_PORT, PLATFORM_PIC_MASTER_PORT, 1, 2)
				IO (Decode16, PLATFORM_PIC_SLAVE_PORT, PLATFORM_PIC_SLAVE_PORT, 1, 2)
				IRQNoFlags () { 2 }
			})
		}

		Device (PIT)
		{
			Name (_HID, EisaId ("PNP0100"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PLATFORM_PIT_PORT, PLATFORM_PIT_PORT,
					1, PLATFORM_PIT_LEN)
				IRQNoFlags () { PLATFORM_PIT_IRQ }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PLATFORM_RTC_PORT, PLATFORM_RTC_PORT,
					1, PLATFORM_RTC_LEN)
				IRQNoFlags () { PLATFORM_RTC_IRQ }
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, PLATFORM_COM1_PORT, PLATFORM_COM1_PORT,
					1, PLATFORM_COM1_LEN)
				IRQNoFlags () { PLATFORM_COM1_IRQ }
			})
		}
	}
}
