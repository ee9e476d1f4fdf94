# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The machine: devices, loader, and what joins them with libfermata.

vmm_sources := \
	vmm/clock_spec.c \
	vmm/boot/acpi.c vmm/boot/bzimage.c vmm/boot/entry.c vmm/boot/file.c vmm/boot/layout.c \
	vmm/devices/bus.c vmm/devices/fields.c \
	vmm/devices/pc/acpi_pm.c vmm/devices/pc/debug_exit.c vmm/devices/pc/delay.c vmm/devices/pc/i8042.c \
	vmm/devices/pc/ioapic.c vmm/devices/pc/pci.c vmm/devices/pc/pic.c vmm/devices/pc/pit.c \
	vmm/devices/pc/rtc.c vmm/devices/pc/serial.c \
	vmm/machine/board.c vmm/machine/console.c vmm/machine/cpuid.c vmm/machine/dirty.c vmm/machine/end.c \
	vmm/machine/hold.c vmm/machine/load.c vmm/machine/log.c vmm/machine/machine.c vmm/machine/news.c \
	vmm/machine/time.c vmm/machine/timer.c vmm/machine/vcpu.c vmm/machine/wiring.c
vmm_libs := -lpthread
