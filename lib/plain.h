/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Exits that describe themselves: IN and OUT without string, and the MOVs that the kernel part has decoded
 * and checked. They are most of all exits, so they come before everything else and cost little.
 */
#ifndef LIB_PLAIN_H
#define LIB_PLAIN_H

#include <stdbool.h>

#include "internal.h"

/* emulate.c. 0. */
int emu_port_in(struct fermata_run *run, const struct fermata_bus *bus);
int emu_moved(struct fermata_run *run, const struct fermata_bus *bus);

/* 1, 2 or 4 bytes. */
static inline bool emu_port_size(unsigned size)
{
	return size < 8 && 0x16u >> size & 1;
}

/* 1, 2, 4 or 8. */
static inline bool emu_access_size(unsigned size)
{
	return size < 16 && 0x116u >> size & 1;
}

/* EMU_OTHER: not such an exit; else what fermata_emulate() returns. */
#define EMU_OTHER 1
static inline int emu_plain(struct fermata_run *run, const struct fermata_bus *bus)
{
	const struct fermata_exit *exit = &run->exit;
	const struct fermata_exit_io *io = &exit->io;
	const struct fermata_exit_mmio *mmio = &exit->mmio;
	unsigned length = exit->insn_len, size;

	if (exit->reason == FERMATA_EXIT_IO) {
		size = io->size;
		if (io->string || !length || !emu_port_size(size))
			return EMU_OTHER;
		run->advance = length;
		if (io->in)
			return emu_port_in(run, bus);
		bus->io_write(bus->opaque, io->port, size, io->value & ~0u >> (32 - 8 * size));
		return 0;
	}
	if (exit->reason != FERMATA_EXIT_MMIO || !mmio->op || mmio->op > FERMATA_MMIO_LOAD_SIGN ||
	    !length || !emu_access_size(mmio->size))
		return EMU_OTHER;
	run->advance = length;
	return emu_moved(run, bus);
}

#endif
