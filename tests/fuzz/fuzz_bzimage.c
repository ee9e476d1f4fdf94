// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The bzImage loader against files that lie. Whatever the bytes say, boot_load() either refuses
 * with one line, or what it promises in struct boot_entry holds. Memory errors are the sanitizers'
 * to find: the image lies in a block of exactly its size, guest memory between unmapped pages.
 *
 * With clang, -fsanitize=fuzzer and -DFUZZ_LIBFUZZER this is a libFuzzer target. Otherwise it is a
 * test of its own: fuzz_bzimage [ITERATIONS [SEED]] mutates a good image, repeatably.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

static void check(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

static uint8_t *guarded(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + 2 * GUARD, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(p != MAP_FAILED, "mmap");
	check(!mprotect(p + GUARD, size, PROT_READ | PROT_WRITE), "mprotect");
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

	check(e->kernel_base >= LAYOUT_HIGH_MEMORY, "kernel above 1 MiB");
	check(layout_ram(&r->memory, e->kernel_base, e->kernel_size) != NULL, "kernel in RAM");
	check(e->rip > e->kernel_base && e->rip < e->kernel_base + e->kernel_size, "rip in kernel");
	check(e->initrd_size == r->initrd.size, "all of the initrd");
	if (e->initrd_size) {
		const uint8_t *initrd = layout_ram(&r->memory, e->initrd_base, e->initrd_size);

		check(e->initrd_base >= LAYOUT_HIGH_MEMORY, "initrd above 1 MiB");
		check(e->initrd_base % LAYOUT_PAGE == 0, "initrd page-aligned");
		check(initrd != NULL, "initrd in RAM");
		check(disjoint(e->kernel_base, e->kernel_size, e->initrd_base, e->initrd_size),
		      "initrd beside the kernel");
		check(initrd[0] == r->initrd.data[0], "initrd loaded");
		check(get(zero_page, AT_RAMDISK_IMAGE, 4) == (uint32_t)e->initrd_base,
		      "ramdisk_image");
		check(get(zero_page, 0x0c0, 4) == e->initrd_base >> 32, "ext_ramdisk_image");
	}
	check(get(zero_page, 0x1ef, 1) == 0, "no sentinel");
	check(get(zero_page, AT_SETUP_DATA, 8) == 0, "no setup_data");
	check(!strcmp((char *)r->memory.low + get(zero_page, AT_CMD_LINE_PTR, 4), r->cmdline),
	      "command line");
}

/* Returns whether the image was loaded. */
static int one_input(const uint8_t *data, size_t size)
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
		check(result == -1 && error[0] && !strchr(error, '\n'), "one line of error");
		check(get(request.memory.low, LAYOUT_ZERO_PAGE, 8) == 0 &&
			      get(request.memory.low, LAYOUT_PAGE_TABLES, 8) == 0,
		      "memory untouched by a refusal");
	}

	guarded_free(request.memory.low, request.memory.low_size);
	if (request.memory.high)
		guarded_free(request.memory.high, request.memory.high_size);
	free(copy);
	return !result;
}

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	one_input(data, size);
	return 0;
}

#else

static uint64_t random_state;

/* xorshift64*, Vigna 2016 */
static uint64_t random64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* Values at which comparisons and sums of 32 and 64 bits go wrong. */
static uint64_t interesting(void)
{
	static const uint64_t value[] = { 0,	       1,
					  0xff,	       0x7fff,
					  0xffff,      0x100000,
					  0x1000000,   0x7fffffff,
					  0x80000000,  0xc0000000,
					  0xfffff000,  0xffffffff,
					  0x100000000, 0x7fffffffffffffff,
					  UINT64_MAX };
	uint64_t r = random64();

	switch (r % 4) {
	case 0:
		return value[(r >> 8) % (sizeof(value) / sizeof(value[0]))];
	case 1:
		return value[(r >> 8) % (sizeof(value) / sizeof(value[0]))] + (r >> 16) % 33 - 16;
	case 2:
		return 1ull << (r >> 8) % 64;
	default:
		return random64();
	}
}

/* Up to four wounds, most of them to the header. */
static size_t mutate(uint8_t *image, size_t size)
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
	unsigned wounds = random64() % 5;

	while (wounds--) {
		uint64_t r = random64();

		switch (r % 8) {
		case 0: /* anywhere in the header */
			image[AT_SETUP_SECTS + (r >> 8) % 0xa0] = r >> 24;
			break;
		case 1: /* the file ends */
			size = (r >> 8) % (size + 1);
			break;
		case 2: /* one bit */
			image[AT_SETUP_SECTS + (r >> 8) % 0xa0] ^= 1 << (r >> 24) % 8;
			break;
		default:
			put(image, field[(r >> 8) % (sizeof(field) / sizeof(field[0]))],
			    1 << (r >> 24) % 4, interesting());
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	static uint8_t input[IMAGE_SIZE + sizeof(struct circumstances)];
	unsigned long i, loaded = 0;

	random_state = seed ? seed : 1;
	printf("1..1\n");
	for (i = 0; i < iterations; i++) {
		uint64_t r = random64();
		size_t size;

		good_image(input);
		size = mutate(input, IMAGE_SIZE);
		memcpy(input + size, &r, sizeof(struct circumstances));
		loaded += one_input(input, size + sizeof(struct circumstances));
	}
	/* A fuzzer that never or always gets through tests one side only. */
	printf("%sok 1 - bzimage: %lu images, seed %llu: %lu loaded, %lu refused\n",
	       loaded && loaded < i ? "" : "not ", i, (unsigned long long)seed, loaded, i - loaded);
	return !(loaded && loaded < i);
}

#endif
