# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The machine: devices, loader, and what joins them with libfermata.

vmm_sources := \
	vmm/clock_spec.c vmm/machine.c vmm/machine_board.c vmm/machine_clock.c vmm/machine_console.c vmm/machine_cpuid.c \
	vmm/machine_dirty.c vmm/machine_events.c vmm/machine_pause.c vmm/machine_timer.c vmm/machine_vcpu.c \
	vmm/boot/acpi.c vmm/boot/bzimage.c vmm/boot/entry.c vmm/boot/file.c vmm/boot/layout.c \
	vmm/devices/acpi_pm.c vmm/devices/bus.c vmm/devices/debug_exit.c vmm/devices/delay.c \
	vmm/devices/i8042.c vmm/devices/ioapic.c vmm/devices/pci.c vmm/devices/pic.c \
	vmm/devices/pit.c vmm/devices/rtc.c vmm/devices/serial.c
vmm_libs := -lpthread
