// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The bzImage loader against files that lie. Whatever the bytes say, boot_load() either refuses
 * with one line, or what it promises in struct boot_entry holds. Memory errors are the sanitizers'
 * to find: the image lies in a block of exactly its size, guest memory between unmapped pages.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "boot/bzimage.h"
#include "tests/unit/bzimage_image.h"

#define MIB (1ull << 20)
#define GUARD (64 * 1024ull)
#define INITRD_MAX (4 * MIB)

/* The last bytes of the input choose the circumstances, the rest is the file. */
struct circumstances {
	uint8_t low_mib;  /* 2 .. 65 MiB below 3 GiB */
	uint8_t high_mib; /* 0 .. 7 MiB above 4 GiB */
	uint8_t initrd;	  /* 0: none; else so many times 64 KiB, less one byte */
	uint8_t cmdline;  /* times 16 characters */
	uint8_t flags;	  /* bit 0: 1 GiB pages */
};

static uint8_t *guarded(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	fuzz_check(p != MAP_FAILED, "mmap");
	fuzz_check(!mprotect(p + GUARD, size, PROT_READ | PROT_WRITE), "mprotect");
	return p + GUARD;
}

static void guarded_free(uint8_t *p, uint64_t size)
{
	munmap(p - GUARD, size + 2 * GUARD);
}

static int disjoint(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a + a_size <= b || b + b_size <= a;
}

static void check_entry(const struct boot_request *r, const struct boot_entry *e)
{
	const uint8_t *zero_page = layout_ram(&r->memory, e->rsi, LAYOUT_PAGE);

	fuzz_check(e->kernel_base >= LAYOUT_HIGH_MEMORY, "kernel above 1 MiB");
	fuzz_check(layout_ram(&r->memory, e->kernel_base, e->kernel_size) != NULL, "kernel in RAM");
	fuzz_check(e->rip > e->kernel_base && e->rip < e->kernel_base + e->kernel_size,
		   "rip in kernel");
	fuzz_check(e->initrd_size == r->initrd.size, "all of the initrd");
	if (e->initrd_size) {
		const uint8_t *initrd = layout_ram(&r->memory, e->initrd_base, e->initrd_size);

		fuzz_check(e->initrd_base >= LAYOUT_HIGH_MEMORY, "initrd above 1 MiB");
		fuzz_check(e->initrd_base % LAYOUT_PAGE == 0, "initrd page-aligned");
		fuzz_check(initrd != NULL, "initrd in RAM");
		fuzz_check(disjoint(e->kernel_base, e->kernel_size, e->initrd_base, e->initrd_size),
			   "initrd beside the kernel");
		fuzz_check(initrd[0] == r->initrd.data[0], "initrd loaded");
		fuzz_check(get(zero_page, AT_RAMDISK_IMAGE, 4) == (uint32_t)e->initrd_base,
			   "ramdisk_image");
		fuzz_check(get(zero_page, 0x0c0, 4) == e->initrd_base >> 32, "ext_ramdisk_image");
	}
	fuzz_check(get(zero_page, 0x1ef, 1) == 0, "no sentinel");
	fuzz_check(get(zero_page, AT_SETUP_DATA, 8) == 0, "no setup_data");
	fuzz_check(!strcmp((char *)r->memory.low + get(zero_page, AT_CMD_LINE_PTR, 4), r->cmdline),
		   "command line");
}

static bool load(const uint8_t *data, size_t size)
{
	static uint8_t initrd[INITRD_MAX];
	struct circumstances c = { 0 };
	struct boot_request request = { .rsdp = LAYOUT_ACPI };
	struct boot_entry entry;
	char error[256] = "", cmdline[256 * 16];
	uint8_t *copy;
	int result;

	if (size < sizeof(c))
		return 0;
	size -= sizeof(c);
	memcpy(&c, data + size, sizeof(c));

	copy = malloc(size ? size : 1);
	memcpy(copy, data, size);
	request.kernel = (struct boot_image){ .data = copy, .size = size };
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[c.cmdline * 16] = 0;
	request.cmdline = cmdline;
	request.gigabyte_pages = c.flags & 1;
	request.memory.low_size = (2 + c.low_mib % 64) * MIB;
	request.memory.low = guarded(request.memory.low_size);
	request.memory.high_size = c.high_mib % 8 * MIB;
	if (request.memory.high_size)
		request.memory.high = guarded(request.memory.high_size);
	if (c.initrd) {
		initrd[0] = 0x5a;
		request.initrd = (struct boot_image){ .data = initrd,
						      .size = (c.initrd % 64 + 1) * 65536 - 1 };
	}

	result = boot_load(&request, &entry, error, sizeof(error));
	if (!result) {
		check_entry(&request, &entry);
	} else {
		fuzz_check(result == -1 && error[0] && !strchr(error, '\n'), "one line of error");
		fuzz_check(get(request.memory.low, LAYOUT_ZERO_PAGE, 8) == 0 &&
				   get(request.memory.low, LAYOUT_PAGE_TABLES, 8) == 0,
			   "memory untouched by a refusal");
	}

	guarded_free(request.memory.low, request.memory.low_size);
	if (request.memory.high)
		guarded_free(request.memory.high, request.memory.high_size);
	free(copy);
	return !result;
}

static size_t good(uint8_t *input)
{
	uint64_t r = fuzz_random();

	good_image(input);
	memcpy(input + IMAGE_SIZE, &r, sizeof(struct circumstances));
	return IMAGE_SIZE + sizeof(struct circumstances);
}

/* Most of them to the header; the circumstances stay. */
static size_t wound(uint8_t *image, size_t size)
{
	static const uint16_t field[] = {
		AT_SETUP_SECTS,	    AT_SYSSIZE,
		AT_BOOT_FLAG,	    AT_JUMP,
		AT_JUMP + 1,	    AT_MAGIC,
		AT_VERSION,	    AT_LOADFLAGS,
		AT_INITRD_ADDR_MAX, AT_KERNEL_ALIGNMENT,
		AT_RELOCATABLE,	    AT_XLOADFLAGS,
		AT_CMDLINE_SIZE,    AT_PAYLOAD_OFFSET,
		AT_PAYLOAD_LENGTH,  AT_SETUP_DATA,
		AT_PREF_ADDRESS,    AT_INIT_SIZE,
	};
	uint64_t r = fuzz_random(), value;
	size_t at;

	if (size < IMAGE_SIZE)
		return size;
	switch (r % 8) {
	case 0: /* anywhere in the header */
		image[AT_SETUP_SECTS + (r >> 8) % 0xa0] = r >> 24;
		break;
	case 1: /* the file ends */
		at = (r >> 8) % (IMAGE_SIZE + 1);
		memmove(image + at, image + size - sizeof(struct circumstances),
			sizeof(struct circumstances));
		return at + sizeof(struct circumstances);
	case 2: /* one bit */
		image[AT_SETUP_SECTS + (r >> 8) % 0xa0] ^= 1 << (r >> 24) % 8;
		break;
	default:
		value = fuzz_interesting();
		put(image, field[(r >> 8) % (sizeof(field) / sizeof(field[0]))], 1 << (r >> 24) % 4,
		    value);
	}
	return size;
}

const struct fuzz_target fuzz_target = {
	.name = "bzimage",
	.one = load,
	.good = good,
	.wound = wound,
	.inputs = 8000,
};
