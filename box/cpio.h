/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Writes the archive format that Linux unpacks into its first file system: cpio, "newc"
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Archives may follow one another.
 */
#ifndef BOX_CPIO_H
#define BOX_CPIO_H

#include <stddef.h>
#include <sys/types.h>

/* All return 0 or -errno; fd is at a multiple of 4 bytes before and after. */
int cpio_directory(int fd, const char *name);
int cpio_file(int fd, const char *name, mode_t mode, const void *data, size_t size);
/* The content of the file `from`, a regular one, from its beginning. */
int cpio_copy(int fd, const char *name, mode_t mode, int from);
int cpio_end(int fd);

/* All of `from` as it stands, padded to a multiple of 4. */
int cpio_append(int fd, int from);

#endif
