/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A small bzImage that is right in every field: one real-mode part, and code of CODE_SIZE bytes
 * that count up. The unit test breaks it field by field, the fuzzer at random. Offsets are those
 * of the table in Linux's Documentation/arch/x86/boot.rst, "The real-mode kernel header".
 */
#ifndef BZIMAGE_IMAGE_H
#define BZIMAGE_IMAGE_H

#include <stdint.h>
#include <string.h>

#define AT_SETUP_SECTS 0x1f1
#define AT_SYSSIZE 0x1f4
#define AT_BOOT_FLAG 0x1fe
#define AT_JUMP 0x200
#define AT_MAGIC 0x202
#define AT_VERSION 0x206
#define AT_TYPE_OF_LOADER 0x210
#define AT_LOADFLAGS 0x211
#define AT_CODE32_START 0x214
#define AT_RAMDISK_IMAGE 0x218
#define AT_RAMDISK_SIZE 0x21c
#define AT_CMD_LINE_PTR 0x228
#define AT_INITRD_ADDR_MAX 0x22c
#define AT_KERNEL_ALIGNMENT 0x230
#define AT_RELOCATABLE 0x234
#define AT_XLOADFLAGS 0x236
#define AT_CMDLINE_SIZE 0x238
#define AT_PAYLOAD_OFFSET 0x248
#define AT_PAYLOAD_LENGTH 0x24c
#define AT_SETUP_DATA 0x250
#define AT_PREF_ADDRESS 0x258
#define AT_INIT_SIZE 0x260
#define AT_HEADER_END 0x270 /* protocol 2.15 and four bytes more, as a later one might have */

#define SETUP_SECTS 3
#define SETUP_SIZE ((SETUP_SECTS + 1) * 512)
#define CODE_SIZE 8192
#define IMAGE_SIZE (SETUP_SIZE + CODE_SIZE)
#define PREF_ADDRESS 0x1000000
#define INIT_SIZE 0x300000

static inline void put(uint8_t *image, unsigned offset, unsigned size, uint64_t value)
{
	memcpy(image + offset, &value, size);
}

static inline uint64_t get(const uint8_t *image, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, image + offset, size);
	return value;
}

static inline void good_image(uint8_t image[IMAGE_SIZE])
{
	unsigned i;

	memset(image, 0, SETUP_SIZE);
	memset(image, 0xcc, AT_SETUP_SECTS); /* boot sector code, and the zero page's sentinel */
	put(image, AT_SETUP_SECTS, 1, SETUP_SECTS);
	put(image, AT_SYSSIZE, 4, CODE_SIZE / 16);
	put(image, AT_BOOT_FLAG, 2, 0xaa55);
	put(image, AT_JUMP, 1, 0xeb);
	put(image, AT_JUMP + 1, 1, AT_HEADER_END - AT_MAGIC);
	memcpy(image + AT_MAGIC, "HdrS", 4);
	put(image, AT_VERSION, 2, 0x20f);
	put(image, AT_LOADFLAGS, 1, 1);
	put(image, AT_CODE32_START, 4, 0x100000);
	put(image, AT_INITRD_ADDR_MAX, 4, 0x7fffffff);
	put(image, AT_KERNEL_ALIGNMENT, 4, 0x200000);
	put(image, AT_RELOCATABLE, 1, 1);
	put(image, AT_XLOADFLAGS, 2, 0x3); /* KERNEL_64, CAN_BE_LOADED_ABOVE_4G */
	put(image, AT_CMDLINE_SIZE, 4, 2047);
	put(image, AT_PAYLOAD_OFFSET, 4, 0x300);
	put(image, AT_PAYLOAD_LENGTH, 4, 0x1000);
	put(image, AT_PREF_ADDRESS, 8, PREF_ADDRESS);
	put(image, AT_INIT_SIZE, 4, INIT_SIZE);
	put(image, AT_HEADER_END - 4, 4, 0x600dcafe);
	memset(image + AT_HEADER_END, 0xcc, SETUP_SIZE - AT_HEADER_END); /* real-mode code */
	for (i = 0; i < CODE_SIZE; i++)
		image[SETUP_SIZE + i] = (uint8_t)(i * 7 + i / 256);
}

#endif
