/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Loading a Linux bzImage by the 64-bit boot protocol (Linux, Documentation/arch/x86/boot.rst). */
#ifndef VMM_BOOT_BZIMAGE_H
#define VMM_BOOT_BZIMAGE_H

#include "boot/layout.h"
#include "uapi/fermata.h"

/*
 * A kernel or an initrd: bytes in memory, or a file of which boot_file_open() has read the beginning.
 * The rest of a file is read once, straight into guest memory.
 */
struct boot_image {
	const uint8_t *data; /* NULL: there is none */
	size_t size;	     /* of the whole image */
	int rest;	     /* descriptor + 1 of the file; 0: data holds all of the image */
};
#define BOOT_IMAGE_HEAD 65536 /* bytes of a file that data holds, if it has as many */

struct boot_request {
	struct boot_memory memory; /* zero-filled, as new guest memory is */
	struct boot_image kernel;
	struct boot_image initrd; /* data NULL: none */
	const char *kernel_path;  /* for messages only; NULL: "kernel" */
	const char *initrd_path;  /* for messages only; NULL: "initrd" */
	const char *cmdline;	  /* NULL is "" */
	uint64_t rsdp;		  /* what acpi_build() returned; 0: no ACPI */
	bool gigabyte_pages; /* the guest's CPUID has 1 GiB pages: map 512 GiB instead of 4 GiB */
};

/* Where the boot processor starts and what it is handed; guest-physical addresses. */
struct boot_entry {
	uint64_t rip; /* the kernel's 64-bit entry point */
	uint64_t rsi; /* the zero page */
	uint64_t cr3; /* identity map */
	uint64_t gdt_base;
	uint32_t gdt_limit; /* bytes - 1 */

	/* for reports: where things went */
	uint64_t kernel_base, kernel_size; /* size: what it needs while it starts (init_size) */
	uint64_t initrd_base, initrd_size; /* 0, 0 without one */
	uint16_t protocol;		   /* boot protocol version, 0x20f is 2.15 */
};

/*
 * Checks the image, then writes kernel, initrd, command line, zero page, page tables and GDT into
 * guest memory. 0, or -1 with one line in `error` (no newline, no "fermata: " prefix); guest memory
 * is untouched when it fails, unless it is the file that gives out halfway.
 */
int boot_load(const struct boot_request *request, struct boot_entry *out, char *error,
	      size_t error_size);

/*
 * The boot processor's state at the 64-bit entry point. Zeroes *state and fills in the groups
 * REGS, SEGMENTS and CONTROL; *mask (and state->mask) name them. Returns 0.
 */
int boot_state(const struct boot_entry *entry, struct fermata_state *state, uint32_t *mask);

/*
 * Opens a file and reads its beginning. 0, or -1 with one line in `error`. boot_file_close() may be
 * called in both cases.
 */
int boot_file_open(const char *path, struct boot_image *image, char *error, size_t error_size);
void boot_file_close(struct boot_image *image);
/* [offset, offset + size) of the image, which lies inside it. -1, errno set: the file gave less. */
int boot_image_copy(const struct boot_image *image, size_t offset, uint8_t *to, size_t size);

#endif
