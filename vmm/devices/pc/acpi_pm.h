/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * ACPI fixed hardware (ACPI 6.5, section 4.8.3): the PM1a event and control registers and the
 * power management timer. The machine is always in ACPI mode: SCI_EN reads as 1 and the FADT has
 * no SMI command.
 */
#ifndef VMM_ACPI_PM_H
#define VMM_ACPI_PM_H

#include "devices/bus.h"
#include "power.h"

/* What the FADT says; the SCI is IRQ 9, level, active high. */
#define ACPI_PM1_EVENT 0x600   /* 4 bytes */
#define ACPI_PM1_CONTROL 0x604 /* 2 bytes */
#define ACPI_PM_TIMER 0x608    /* 4 bytes */
#define ACPI_PM_PORTS 12
#define ACPI_SCI_IRQ 9
#define ACPI_PM_HZ 3579545u
#define ACPI_SLP_TYP_S5 5 /* \_S5 in the DSDT */

struct acpi_pm {
	struct wire sci;
	struct power power;
	uint8_t timer_bits; /* 24 or 32 */
	uint16_t status, enable, control;
	uint64_t flips; /* changes of the timer's top bit that are in status already */
	uint64_t now;
	uint64_t ticks; /* of the timer at `now`, not cut to timer_bits */
	uint64_t base;	/* ... at guest time 0 */
};

/* timer_bits: 24, or 32 with the FADT's TMR_VAL_EXT. */
void acpi_pm_init(struct acpi_pm *pm, struct wire sci, const struct power *power,
		  unsigned timer_bits);
int acpi_pm_attach(struct acpi_pm *pm, struct bus *bus); /* 600h, 12 ports */
/* From outside: the timer shows what it showed ns ago. TMR_STS is not set for it. */
void acpi_pm_back(struct acpi_pm *pm, uint64_t now, uint64_t ns);
/* The timer, without a trace; moment: the guest's ns at which it came to this count. */
uint32_t acpi_pm_count(const struct acpi_pm *pm, uint64_t now, uint64_t *moment);
/* The user asks the guest to power off. */
void acpi_pm_power_button(struct acpi_pm *pm, uint64_t now);

extern const struct device_ops acpi_pm_ops;

#endif
