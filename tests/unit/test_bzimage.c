// SPDX-License-Identifier: MIT OR GPL-2.0
/* The loader: one good image loaded and looked at, then every field of it broken in turn. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/bzimage.h"
#include "bzimage_image.h"

#define MIB (1ull << 20)
#define LOW_SIZE (64 * MIB)
#define RSDP 0xe0000

struct fixture {
	uint8_t image[IMAGE_SIZE];
	struct boot_request request;
	struct boot_entry entry;
	char error[256];
	uint8_t *low;
};

/* Guest memory without pages behind it until something is written there. */
static uint8_t *memory_new(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	good_image(f->image);
	f->low = memory_new(LOW_SIZE);
	f->request.memory.low = f->low;
	f->request.memory.low_size = LOW_SIZE;
	f->request.kernel = (struct boot_image){ .data = f->image, .size = sizeof(f->image) };
	f->request.kernel_path = "vmlinuz";
	f->request.initrd_path = "initrd.gz";
	f->request.cmdline = "console=ttyS0 quiet";
	f->request.rsdp = RSDP;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	munmap(f->low, LOW_SIZE);
	free(f);
	return 0;
}

static int load(struct fixture *f)
{
	memset(f->error, 0, sizeof(f->error));
	return boot_load(&f->request, &f->entry, f->error, sizeof(f->error));
}

static void loads(struct fixture *f)
{
	if (load(f))
		fail_msg("refused: %s", f->error);
}

/* Refused, for this reason, in one line, and without a trace in guest memory. */
static void refused(struct fixture *f, const char *why)
{
	unsigned i;

	assert_int_equal(load(f), -1);
	if (!strstr(f->error, why))
		fail_msg("expected \"%s\" in \"%s\"", why, f->error);
	assert_null(strchr(f->error, '\n'));
	if (f->request.memory.low_size <= LAYOUT_HIGH_MEMORY)
		return;
	for (i = 0; i < LAYOUT_HIGH_MEMORY; i++)
		assert_int_equal(f->low[i], 0);
}

static const uint8_t *zero_page(const struct fixture *f)
{
	return f->low + f->entry.rsi;
}

/* What the identity map at cr3 makes of an address; only large leaves are expected. */
static uint64_t walk(const struct fixture *f, uint64_t linear)
{
	uint64_t table = f->entry.cr3, entry;
	int shift;

	for (shift = 39; shift >= 21; shift -= 9) {
		memcpy(&entry, f->low + table + ((linear >> shift) & 511) * 8, 8);
		if ((entry & 3) != 3)
			return UINT64_MAX;
		table = entry & 0xffffffffff000ull;
		if (shift < 39 && (entry & 0x80))
			return table + (linear & ((1ull << shift) - 1));
	}
	return UINT64_MAX;
}

static void good(void **state)
{
	struct fixture *f = *state;
	const uint8_t *zp;

	loads(f);
	assert_int_equal(f->entry.rip, PREF_ADDRESS + 0x200);
	assert_int_equal(f->entry.protocol, 0x20f);
	assert_int_equal(f->entry.kernel_base, PREF_ADDRESS);
	assert_int_equal(f->entry.initrd_size, 0);
	assert_memory_equal(f->low + PREF_ADDRESS, f->image + SETUP_SIZE, CODE_SIZE);
	assert_int_equal(f->low[PREF_ADDRESS + CODE_SIZE], 0);

	zp = zero_page(f);
	assert_int_equal(get(zp, AT_TYPE_OF_LOADER, 1), 0xff);
	assert_int_equal(get(zp, AT_LOADFLAGS, 1), 1);
	assert_int_equal(get(zp, AT_CODE32_START, 4), PREF_ADDRESS);
	assert_int_equal(get(zp, AT_RAMDISK_IMAGE, 4), 0);
	assert_int_equal(get(zp, AT_RAMDISK_SIZE, 4), 0);
	assert_int_equal(get(zp, AT_INIT_SIZE, 4), INIT_SIZE);
	assert_int_equal(get(zp, 0x070, 8), RSDP);
	assert_string_equal((char *)f->low + get(zp, AT_CMD_LINE_PTR, 4), "console=ttyS0 quiet");
	/* The header as far as the file defines it, nothing of the code around it. */
	assert_int_equal(get(zp, AT_HEADER_END - 4, 4), 0x600dcafe);
	assert_int_equal(get(zp, AT_HEADER_END, 8), 0);
	assert_int_equal(get(zp, 0x1ef, 1), 0);
	assert_int_equal(get(zp, 0x1e9, 8), 0);
}

static void old_fields_are_reset(void **state)
{
	struct fixture *f = *state;

	put(f->image, AT_TYPE_OF_LOADER, 1, 0x21);
	put(f->image, AT_LOADFLAGS, 1, 0xff);
	put(f->image, AT_SETUP_DATA, 8, 0x4141414141414141);
	put(f->image, AT_RAMDISK_IMAGE, 4, 0x41414141);
	put(f->image, AT_RAMDISK_SIZE, 4, 0x41414141);
	loads(f);
	assert_int_equal(get(zero_page(f), AT_TYPE_OF_LOADER, 1), 0xff);
	assert_int_equal(get(zero_page(f), AT_LOADFLAGS, 1), 1);
	assert_int_equal(get(zero_page(f), AT_SETUP_DATA, 8), 0);
	assert_int_equal(get(zero_page(f), AT_RAMDISK_IMAGE, 4), 0);
	assert_int_equal(get(zero_page(f), AT_RAMDISK_SIZE, 4), 0);
}

static void e820(void **state)
{
	struct fixture *f = *state;
	uint8_t *high = memory_new(MIB);
	uint64_t end = 0, ram = 0, addr, size, type;
	unsigned i, count;

	f->request.memory.high = high;
	f->request.memory.high_size = MIB;
	loads(f);
	count = get(zero_page(f), 0x1e8, 1);
	assert_in_range(count, 1, LAYOUT_E820_MAX);
	for (i = 0; i < count; i++) {
		addr = get(zero_page(f), 0x2d0 + i * 20, 8);
		size = get(zero_page(f), 0x2d0 + i * 20 + 8, 8);
		type = get(zero_page(f), 0x2d0 + i * 20 + 16, 4);
		assert_true(addr >= end);
		assert_true(size > 0);
		end = addr + size;
		if (type == E820_TYPE_RAM)
			ram += size;
		if (type == E820_TYPE_RAM)
			assert_non_null(layout_ram(&f->request.memory, addr, size));
		if (addr <= RSDP && RSDP < end)
			assert_int_equal(type, E820_TYPE_ACPI);
	}
	assert_int_equal(end, LAYOUT_HIGH_RAM + MIB);
	assert_int_equal(ram, LOW_SIZE + MIB - (LAYOUT_HIGH_MEMORY - LAYOUT_EBDA));
	munmap(high, MIB);
}

static void ram_lookup(void **state)
{
	uint8_t low, high;
	const struct boot_memory m = { &low, 0x200000, &high, 0x3000 };

	assert_ptr_equal(layout_ram(&m, 0, 0x200000), &low);
	assert_null(layout_ram(&m, 0, 0x200001));
	assert_null(layout_ram(&m, 0x200000, 1));
	assert_null(layout_ram(&m, 0x1fffff, UINT64_MAX));
	assert_null(layout_ram(&m, 1, 0x200000));
	assert_null(layout_ram(&m, LAYOUT_HIGH_RAM + 0x2fff, 2));
	assert_null(layout_ram(&m, 0xc0000000, 1));
	assert_ptr_equal(layout_ram(&m, LAYOUT_HIGH_RAM, 0x3000), &high);
	assert_null(layout_ram(&m, LAYOUT_HIGH_RAM + 1, 0x3000));
	assert_null(layout_ram(&m, UINT64_MAX, 1));
	assert_int_equal(layout_low_size(5ull << 30), LAYOUT_LOW_MAX);
	assert_int_equal(layout_high_size(5ull << 30), 2ull << 30);
	assert_int_equal(layout_high_size(MIB), 0);
}

static void page_tables(void **state)
{
	struct fixture *f = *state;
	const uint64_t probe[] = { 0, 0x1234, PREF_ADDRESS, 0xbfffffff, 0xfee00020, 0xffffffff };
	unsigned i;

	loads(f);
	for (i = 0; i < sizeof(probe) / sizeof(probe[0]); i++)
		assert_int_equal(walk(f, probe[i]), probe[i]);
	assert_int_equal(walk(f, 1ull << 32), UINT64_MAX);

	f->request.gigabyte_pages = true;
	loads(f);
	for (i = 0; i < sizeof(probe) / sizeof(probe[0]); i++)
		assert_int_equal(walk(f, probe[i]), probe[i]);
	assert_int_equal(walk(f, (512ull << 30) - 1), (512ull << 30) - 1);
	assert_int_equal(walk(f, 512ull << 30), UINT64_MAX);
}

/* The state must agree with the descriptors that it names in the GDT. */
static void segment(const struct fixture *f, const struct fermata_segment *s)
{
	uint64_t d = get(f->low + f->entry.gdt_base, s->selector, 8);
	uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	assert_true(s->selector + 7u <= f->entry.gdt_limit);
	assert_int_equal(s->attrib, (d >> 40 & 0xff) | (d >> 44 & 0xf00));
	assert_int_equal(s->limit, limit << 12 | 0xfff);
	assert_int_equal(s->base, (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000));
}

static void initial_state(void **state)
{
	struct fixture *f = *state;
	struct fermata_state *s = malloc(sizeof(*s));
	uint32_t mask = 0;

	loads(f);
	memset(s, 0xa5, sizeof(*s));
	assert_int_equal(boot_state(&f->entry, s, &mask), 0);
	assert_int_equal(mask, FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL);
	assert_int_equal(s->mask, mask);
	assert_int_equal(s->regs.rip, f->entry.rip);
	assert_int_equal(s->regs.regs[FERMATA_RSI], f->entry.rsi);
	assert_int_equal(s->regs.regs[FERMATA_RAX], 0);
	assert_int_equal(s->regs.rflags, 2);
	assert_int_equal(s->control.cr0, 0x80000031);
	assert_int_equal(s->control.cr3, f->entry.cr3);
	assert_int_equal(s->control.cr4, 0x20);
	assert_int_equal(s->control.efer, 0x500);
	assert_int_equal(s->control.apic_base, 0xfee00900);
	assert_int_equal(s->segments.cs.selector, 0x10);
	assert_int_equal(s->segments.ds.selector, 0x18);
	segment(f, &s->segments.cs);
	segment(f, &s->segments.ds);
	segment(f, &s->segments.es);
	segment(f, &s->segments.ss);
	assert_int_equal(s->segments.cs.attrib >> 9 & 3, 1); /* L and not D */
	assert_int_equal(s->segments.tr.attrib, 0x8b);
	assert_int_equal(s->segments.ldt.attrib, 0x82);
	assert_int_equal(s->segments.gdt.base, f->entry.gdt_base);
	free(s);
}

static void initrd(void **state)
{
	struct fixture *f = *state;
	uint8_t data[5000];

	memset(data, 0x5a, sizeof(data));
	f->request.initrd = (struct boot_image){ .data = data, .size = sizeof(data) };
	loads(f);
	/* page-aligned, as high as it goes */
	assert_int_equal(f->entry.initrd_base, LOW_SIZE - 8192);
	assert_int_equal(f->entry.initrd_size, sizeof(data));
	assert_memory_equal(f->low + f->entry.initrd_base, data, sizeof(data));
	assert_int_equal(get(zero_page(f), AT_RAMDISK_IMAGE, 4), LOW_SIZE - 8192);
	assert_int_equal(get(zero_page(f), AT_RAMDISK_SIZE, 4), sizeof(data));

	put(f->image, AT_INITRD_ADDR_MAX, 4, 0x2000fff);
	loads(f);
	assert_int_equal(f->entry.initrd_base, 0x1fff000);

	/* The field names the last byte that it may have. */
	f->request.initrd.size = 4096;
	loads(f);
	assert_int_equal(f->entry.initrd_base, 0x2000000);
	put(f->image, AT_INITRD_ADDR_MAX, 4, 0x2000ffe);
	loads(f);
	assert_int_equal(f->entry.initrd_base, 0x1fff000);
	f->request.initrd.size = sizeof(data);

	/* No room behind the kernel: in front of it. */
	put(f->image, AT_INITRD_ADDR_MAX, 4, PREF_ADDRESS + INIT_SIZE);
	loads(f);
	assert_int_equal(f->entry.initrd_base, PREF_ADDRESS - 8192);

	put(f->image, AT_INITRD_ADDR_MAX, 4, 0xfffff);
	put(f->image, AT_XLOADFLAGS, 2, 1);
	memset(f->low, 0, LAYOUT_HIGH_MEMORY);
	refused(f, "initrd.gz: this kernel wants its initrd below 0xfffff, and 1 MiB do not fit");
}

static void initrd_above_4g(void **state)
{
	struct fixture *f = *state;
	const uint64_t size = 80 * MIB;
	uint8_t *high = memory_new(2 * size);
	uint8_t *data = memory_new(size);

	f->request.initrd = (struct boot_image){ .data = data, .size = size };
	f->request.memory.high = high;
	f->request.memory.high_size = 2 * size;
	data[0] = 1;
	data[size - 1] = 2;
	loads(f);
	assert_int_equal(f->entry.initrd_base, LAYOUT_HIGH_RAM + size);
	assert_int_equal(get(zero_page(f), AT_RAMDISK_IMAGE, 4), size);
	assert_int_equal(get(zero_page(f), 0x0c0, 4), 1);
	assert_int_equal(get(zero_page(f), AT_RAMDISK_SIZE, 4), size);
	assert_int_equal(get(zero_page(f), 0x0c4, 4), 0);
	assert_int_equal(high[size], 1);
	assert_int_equal(high[2 * size - 1], 2);

	/* A kernel that cannot take it there. */
	memset(f->low, 0, LAYOUT_HIGH_MEMORY);
	put(f->image, AT_XLOADFLAGS, 2, 1);
	refused(f, "initrd.gz: an initrd of 80 MiB does not fit beside the kernel into 64 MiB of "
		   "memory; give the guest at least 99 MiB");
	f->request.initrd.size = 0;
	refused(f, "initrd.gz: the initrd is empty");
	munmap(high, 2 * size);
	munmap(data, size);
}

static void not_a_kernel(void **state)
{
	struct fixture *f = *state;

	put(f->image, AT_MAGIC, 4, 0);
	refused(f, "vmlinuz: not a Linux kernel image (no \"HdrS\" at 0x202)");
	memcpy(f->image, "\177ELF", 4);
	refused(f, "vmlinuz: an ELF file (vmlinux?), not a bzImage; use");
	memcpy(f->image, "\x1f\x8b\x08\x00", 4);
	refused(f, "vmlinuz: gzip-compressed, not a bzImage");
	memcpy(f->image, "\x28\xb5\x2f\xfd", 4);
	refused(f, "vmlinuz: compressed as a whole, not a bzImage");
	f->request.kernel.size = 1;
	refused(f, "not a Linux kernel image");
	f->request.kernel.size = 0;
	refused(f, "not a Linux kernel image");
}

/* One field of the good image replaced, and what the refusal says. */
static const struct {
	unsigned offset, size;
	uint64_t value;
	const char *why;
} broken[] = {
	{ AT_BOOT_FLAG, 2, 0x55aa, "corrupt kernel header (boot flag 0x55aa instead of 0xaa55)" },
	{ AT_JUMP, 1, 0x90, "corrupt kernel header (no jump over it at 0x200)" },
	{ AT_JUMP + 1, 1, 0xff, "corrupt kernel header (no jump over it at 0x200)" },
	{ AT_JUMP + 1, 1, 0x61, "are too few for protocol 2.15" },
	{ AT_VERSION, 2, 0x20b, "boot protocol 2.11 has no 64-bit entry; use a 64-bit kernel" },
	{ AT_VERSION, 2, 0, "boot protocol 0.00 has no 64-bit entry" },
	{ AT_XLOADFLAGS, 2, 0xfffe, "a 32-bit kernel (no XLF_KERNEL_64)" },
	{ AT_LOADFLAGS, 1, 0, "a zImage, loaded below 1 MiB; use a bzImage" },
	{ AT_SETUP_SECTS, 1, SETUP_SECTS + 1, "truncated: 10240 bytes, its header says 10752" },
	{ AT_SETUP_SECTS, 1, 0, "truncated: 10240 bytes, its header says 10752" }, /* means 4 */
	{ AT_SETUP_SECTS, 1, 255, "truncated: 10240 bytes" },
	{ AT_SYSSIZE, 4, CODE_SIZE / 16 + 1, "truncated: 10240 bytes, its header says 10256" },
	{ AT_SYSSIZE, 4, 0xffffffff, "truncated: 10240 bytes, its header says 68719478768" },
	{ AT_SYSSIZE, 4, 0, "corrupt kernel header (syssize says 0 bytes of code)" },
	{ AT_SYSSIZE, 4, 0x20, "corrupt kernel header (syssize says 512 bytes of code)" },
	{ AT_PAYLOAD_LENGTH, 4, 0, "corrupt kernel header (payload of 0 bytes at 0x300" },
	{ AT_PAYLOAD_LENGTH, 4, CODE_SIZE, "corrupt kernel header (payload of 8192 bytes at 0x300" },
	{ AT_PAYLOAD_OFFSET, 4, 0xffffffff, "corrupt kernel header (payload of 4096 bytes at 0xff" },
	{ AT_INIT_SIZE, 4, 0, "corrupt kernel header (init_size 0 is less than" },
	{ AT_INIT_SIZE, 4, CODE_SIZE - 1, "corrupt kernel header (init_size 8191 is less than" },
	{ AT_INIT_SIZE, 4, 48 * MIB + 1, "needs memory up to 65 MiB, the guest has 64 MiB below" },
	{ AT_INIT_SIZE, 4, 0xffffffff, "needs memory up to 4112 MiB, the guest has 64 MiB" },
	{ AT_KERNEL_ALIGNMENT, 4, 0, "(kernel_alignment 0x0 is no power of two)" },
	{ AT_KERNEL_ALIGNMENT, 4, 0x300000, "(kernel_alignment 0x300000 is no power of two)" },
	{ AT_KERNEL_ALIGNMENT, 4, 0x80000000, "needs memory up to 2051 MiB" },
	{ AT_PREF_ADDRESS, 8, 0, "(pref_address 0x0 is not between 1 MiB and 3 GiB)" },
	{ AT_PREF_ADDRESS, 8, 0xfffff, "(pref_address 0xfffff is not between" },
	{ AT_PREF_ADDRESS, 8, UINT64_MAX, "(pref_address 0xffffffffffffffff is not between" },
	{ AT_PREF_ADDRESS, 8, 0xc0000000, "(pref_address 0xc0000000 is not between" },
	{ AT_PREF_ADDRESS, 8, LOW_SIZE, "needs memory up to 67 MiB" },
	{ AT_CMDLINE_SIZE, 4, 18,
	  "the kernel command line has 19 characters, this kernel takes 18" },
};

static void broken_fields(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		good_image(f->image);
		put(f->image, broken[i].offset, broken[i].size, broken[i].value);
		refused(f, broken[i].why);
	}
}

/* Limits from the inside: the last value that is still right. */
static void edges(void **state)
{
	struct fixture *f = *state;

	put(f->image, AT_INIT_SIZE, 4, 48 * MIB);
	loads(f);
	put(f->image, AT_CMDLINE_SIZE, 4, 19);
	loads(f);
	put(f->image, AT_PAYLOAD_LENGTH, 4, CODE_SIZE - 0x300);
	loads(f);
	put(f->image, AT_VERSION, 2, 0x20c);
	loads(f);
	put(f->image, AT_JUMP + 1, 1, 0x62);
	loads(f);
	assert_int_equal(get(zero_page(f), 0x264, 8), 0); /* handover_offset is not in this header */

	good_image(f->image);
	put(f->image, AT_PREF_ADDRESS, 8, PREF_ADDRESS + 1);
	loads(f);
	assert_int_equal(f->entry.kernel_base, PREF_ADDRESS + 0x200000);
	put(f->image, AT_RELOCATABLE, 1, 0);
	put(f->image, AT_KERNEL_ALIGNMENT, 4, 0);
	loads(f);
	assert_int_equal(f->entry.kernel_base, PREF_ADDRESS + 1);
}

/* A file that ends anywhere is refused; whole, with a signature behind it, it loads. */
static void every_length(void **state)
{
	struct fixture *f = *state;
	uint8_t *copy;
	size_t size;

	for (size = 0; size < IMAGE_SIZE; size += size < 0x300 ? 1 : 509) {
		copy = malloc(size ? size : 1); /* of its own, so that the sanitizer sees its end */
		memcpy(copy, f->image, size);
		f->request.kernel = (struct boot_image){ .data = copy, .size = size };
		assert_int_equal(load(f), -1);
		assert_non_null(strstr(f->error, size < 0x206 ? "no \"HdrS\"" : "truncated"));
		free(copy);
	}
	copy = calloc(1, IMAGE_SIZE + 100);
	memcpy(copy, f->image, IMAGE_SIZE);
	f->request.kernel = (struct boot_image){ .data = copy, .size = IMAGE_SIZE + 100 };
	loads(f);
	free(copy);
}

static void command_line(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(LAYOUT_CMDLINE_SIZE + 1);

	f->request.cmdline = NULL;
	loads(f);
	assert_int_equal(f->low[LAYOUT_CMDLINE], 0);

	put(f->image, AT_CMDLINE_SIZE, 4, 0xffffffff);
	memset(text, 'x', LAYOUT_CMDLINE_SIZE);
	text[LAYOUT_CMDLINE_SIZE] = 0;
	f->request.cmdline = text;
	memset(f->low, 0, LAYOUT_HIGH_MEMORY);
	refused(f, "has 65536 characters, this kernel takes 65535; shorten it");
	text[LAYOUT_CMDLINE_SIZE - 1] = 0;
	loads(f);
	assert_int_equal(f->low[LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE], 0);
	free(text);
}

static void guest_memory(void **state)
{
	struct fixture *f = *state;
	struct boot_memory *m = &f->request.memory;

	m->low_size = 0;
	refused(f, "0 bytes of guest memory hold no kernel; give the guest more");
	m->low_size = LAYOUT_MIN_MEMORY;
	refused(f, "needs memory up to 19 MiB, the guest has 2 MiB below 3 GiB");
	m->low_size = LOW_SIZE - 1;
	refused(f, "whole pages");
	m->low_size = LAYOUT_LOW_MAX + LAYOUT_PAGE;
	refused(f, "at most 3 GiB");
	m->low_size = LOW_SIZE;
	m->high_size = LAYOUT_PAGE;
	refused(f, "whole pages");
}

static void one_line(void **state)
{
	struct fixture *f = *state;
	char small[8];

	f->request.kernel_path = "a\nb\033[2J";
	put(f->image, AT_MAGIC, 4, 0);
	refused(f, "a?b?[2J: not a Linux kernel image");
	assert_int_equal(boot_load(&f->request, &f->entry, small, sizeof(small)), -1);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	assert_int_equal(boot_load(&f->request, &f->entry, NULL, 0), -1);
}

static void files(void **state)
{
	struct fixture *f = *state;
	struct boot_image image;
	char dir[] = "/tmp/fermata-test-XXXXXX", path[64];
	size_t head = IMAGE_SIZE < BOOT_IMAGE_HEAD ? IMAGE_SIZE : BOOT_IMAGE_HEAD;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);

	assert_int_equal(boot_file_open(path, &image, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "/file: No such file or directory"));
	assert_int_equal(boot_file_open(dir, &image, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "is a directory"));
	boot_file_close(&image);

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(boot_file_open(path, &image, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "not a regular file"));
	assert_int_equal(unlink(path), 0);

	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(boot_file_open(path, &image, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "the file is empty"));
	assert_int_equal(write(fd, f->image, IMAGE_SIZE), IMAGE_SIZE);
	assert_int_equal(boot_file_open(path, &image, f->error, sizeof(f->error)), 0);
	assert_int_equal(image.size, IMAGE_SIZE);
	assert_memory_equal(image.data, f->image, head);
	f->request.kernel = image;
	loads(f);
	/* A file that shrinks after its header was checked is noticed. */
	assert_int_equal(ftruncate(fd, IMAGE_SIZE - 1), 0);
	assert_int_equal(boot_load(&f->request, &f->entry, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "it shrank while it was read"));
	boot_file_close(&image);
	assert_null(image.data);

	assert_int_equal(ftruncate(fd, (4ll << 30) + 1), 0);
	assert_int_equal(boot_file_open(path, &image, f->error, sizeof(f->error)), -1);
	assert_non_null(strstr(f->error, "larger than 4 GiB"));
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* The kernel that the build fetched for the box, where there is one. */
static void debian_kernel(void **state)
{
	const char *path = getenv("FERMATA_TEST_KERNEL") ?: "build/box/vmlinuz";
	struct fixture *f = *state;
	struct boot_image image;
	uint64_t size = 512 * MIB;

	if (boot_file_open(path, &image, f->error, sizeof(f->error)))
		skip();
	f->request.kernel = image;
	f->request.memory.low = memory_new(size);
	f->request.memory.low_size = size;
	loads(f);
	assert_in_range(f->entry.protocol, 0x20c, 0x2ff);
	assert_int_equal(f->entry.rip, f->entry.kernel_base + 0x200);
	assert_true(f->entry.kernel_size > image.size);
	munmap(f->request.memory.low, size);

	f->request.memory = (struct boot_memory){ f->low, 32 * MIB, NULL, 0 };
	refused(f, "the guest has 32 MiB below 3 GiB; give it more");
	boot_file_close(&image);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good),	     TEST(old_fields_are_reset),
		TEST(e820),	     TEST(ram_lookup),
		TEST(page_tables),   TEST(initial_state),
		TEST(initrd),	     TEST(initrd_above_4g),
		TEST(not_a_kernel),  TEST(broken_fields),
		TEST(edges),	     TEST(every_length),
		TEST(command_line),  TEST(guest_memory),
		TEST(one_line),	     TEST(files),
		TEST(debian_kernel),
	};

	return cmocka_run_group_tests_name("bzimage", tests, NULL, NULL);
}
