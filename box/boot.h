/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the disk's first sector (boot.S) and the one who writes the disk (bochs.c) agree on. */
#ifndef BOX_BOOT_H
#define BOX_BOOT_H

#define BOOT_MAP 0x8000 /* the BIOS's memory map, for a moment */

/*
 * The sectors behind the first one go to BOOT_HEAD: struct boot_params, the command line, the table.
 * Addresses below 1 MiB that neither the BIOS nor Linux's own start minds.
 */
#define BOOT_HEAD 0x10000
#define BOOT_COMMAND_LINE 0x11000
#define BOOT_COMMAND_LINE_SIZE 0x1000
#define BOOT_TABLE 0x12000
#define BOOT_TABLE_BYTES 0x2000
#define BOOT_HEAD_SECTORS ((BOOT_TABLE + BOOT_TABLE_BYTES - BOOT_HEAD) / 512)
#define BOOT_PAGES 0x14000 /* six page tables */

/* A row of the table; count 0 is the last, and `to` is then where to jump. */
#define BOOT_TABLE_TO 0
#define BOOT_TABLE_SECTOR 4
#define BOOT_TABLE_COUNT 8
#define BOOT_TABLE_SIZE 12

#endif
