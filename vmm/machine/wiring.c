/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Which devices the machine has, where they answer, and how they are wired. */
#include <stdio.h>

#include "boot/platform.h"
#include "devices/pc/delay.h"
#include "internal.h"

/*
 * An ISA interrupt goes to the 8259s and to the I/O APIC; the guest masks one of them. The PIT's is
 * on pin 2, as the MADT says.
 */
static void board_irq(void *opaque, unsigned irq, bool level)
{
	struct machine *machine = opaque;

	pic_set_irq(&machine->board.pic, irq, level);
	ioapic_set_pin(&machine->board.ioapic, irq == PLATFORM_PIT_IRQ ? PLATFORM_PIT_GSI : irq,
		       level);
}

/* The 8259's INTR is LINT0 of the boot processor. */
static void board_intr(void *opaque, unsigned line, bool level)
{
	struct machine *machine = opaque;

	if (machine->board.intr == level)
		return;
	machine->board.intr = level;
	fermata_line(machine->vm, 0, FERMATA_LINE_LINT0, level);
}

static void board_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct machine *machine = opaque;

	fermata_msi(machine->vm, address, data);
}

static void board_power(void *opaque, enum power_event event, uint32_t value)
{
	struct machine *machine = opaque;

	switch (event) {
	case POWER_OFF:
		machine_finish(machine, MACHINE_POWEROFF, value, NULL, NULL);
		break;
	case POWER_RESET:
		machine_finish(machine, MACHINE_RESET, value, NULL, NULL);
		break;
	case POWER_DEBUG_EXIT:
		machine_finish(machine, MACHINE_DEBUG_EXIT, value, NULL, NULL);
		break;
	}
}

static struct wire isa_irq(struct machine *machine, unsigned irq)
{
	return (struct wire){ .set = board_irq, .opaque = machine, .line = irq };
}

int board_init(struct machine *machine, const struct machine_config *config, char *error,
	       size_t error_size)
{
	struct board *board = &machine->board;
	struct power power = { .event = board_power, .opaque = machine };
	struct wire intr = { .set = board_intr, .opaque = machine };
	int64_t epoch = time(NULL) - (int64_t)(fermata_now(machine->vm) / 1000000000u);
	int failed = 0;

	bus_init(&board->bus);
	pic_init(&board->pic, intr);
	ioapic_init(&board->ioapic, PLATFORM_IOAPIC_ID, board_msi, machine);
	pit_init(&board->pit, isa_irq(machine, PLATFORM_PIT_IRQ));
	rtc_init(&board->rtc, isa_irq(machine, PLATFORM_RTC_IRQ), epoch,
		 layout_low_size(config->memory), layout_high_size(config->memory));
	serial_init(&board->com1, isa_irq(machine, PLATFORM_COM1_IRQ), console_out, machine);
	serial_on_room(&board->com1, console_room, machine);
	acpi_pm_init(&board->pm, isa_irq(machine, PLATFORM_SCI_IRQ), &power, 32);
	pci_init(&board->pci, &power);
	i8042_init(&board->i8042, &power);

	failed |= pic_attach(&board->pic, &board->bus);
	failed |= ioapic_attach(&board->ioapic, &board->bus, PLATFORM_IOAPIC_ADDRESS);
	failed |= pit_attach(&board->pit, &board->bus);
	failed |= rtc_attach(&board->rtc, &board->bus);
	failed |= serial_attach(&board->com1, &board->bus, PLATFORM_COM1_PORT);
	failed |= acpi_pm_attach(&board->pm, &board->bus);
	failed |= pci_attach(&board->pci, &board->bus);
	failed |= i8042_attach(&board->i8042, &board->bus);
	failed |= delay_attach(&board->bus);
	if (config->debug_exit) {
		debug_exit_init(&board->debug_exit, &power);
		failed |= debug_exit_attach(&board->debug_exit, &board->bus, DEBUG_EXIT_PORT);
	}
	if (failed) {
		snprintf(error, error_size,
			 "the machine's devices overlap; this is a bug in Fermata, please report it");
		return -1;
	}
	board_foretell(machine, NULL);
	return 0;
}
