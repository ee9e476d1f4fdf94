/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef BOX_BOCHS_DISK_H
#define BOX_BOCHS_DISK_H

#include <stddef.h>

/* The geometry that Bochs is told; LBA is what is used. */
#define DISK_HEADS 16
#define DISK_SECTORS 63

/*
 * A nameless file: boot.S, then the kernel dir/vmlinux and the archive `initrd`, with all that the
 * 64-bit boot protocol wants. Its size is a whole number of cylinders. -1 with error[] set.
 */
int bochs_disk(const char *dir, int initrd, const char *command_line, unsigned int *cylinders,
	       char *error, size_t error_size);

#endif
