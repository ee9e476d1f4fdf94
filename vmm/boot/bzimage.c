// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A bzImage is a real-mode part, whose second sector opens with the setup header, and a
 * protected-mode part, which is all that is loaded here: the processor starts at its 64-bit entry
 * point, 0x200 bytes in. Section names below are those of Linux's Documentation/arch/x86/boot.rst.
 *
 * Everything is checked and placed before the first byte of guest memory is written.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#include "boot/bzimage.h"
#include "boot/entry.h"
#include "boot/fail.h"

#define HEADER_START 0x1f1
#define HEADER_JUMP 0x200 /* EB nn: the header ends at 0x202 + nn */
#define HEADER_MAGIC 0x202
#define HEADER_MAX 0x290 /* the zero page has other fields from here on */
#define HEADER_LAST_WE_NEED (offsetof(struct boot_params, hdr.init_size) + 4)

#define SECTOR 512
#define BOOT_FLAG 0xaa55
#define MAGIC_HDRS 0x53726448 /* "HdrS" */
#define JUMP_SHORT 0xeb
#define PROTOCOL_64BIT 0x20c
#define ENTRY_64BIT 0x200
#define LOADER_UNDEFINED 0xff /* type_of_loader of a loader without an assigned number */

#define MIB (1ull << 20)

static_assert(offsetof(struct boot_params, hdr) == HEADER_START, "zero page layout");
static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "zero page layout");
static_assert(sizeof(struct boot_params) == LAYOUT_PAGE, "zero page layout");

/* The kernel file taken apart, and where its parts go. */
struct plan {
	const struct boot_request *request;
	const char *kernel; /* names for messages */
	const char *initrd;
	struct setup_header header;
	size_t header_size;   /* bytes of it that the file defines, from HEADER_START */
	uint64_t code_offset; /* of the protected-mode part, in the image */
	uint64_t code_size;
	uint64_t kernel_base, kernel_size;
	uint64_t initrd_base;
	size_t cmdline_size; /* without its zero */
	char *error;
	size_t error_size;
};

#define fail(plan, ...) boot_fail((plan)->error, (plan)->error_size, __VA_ARGS__)

static uint64_t to_mib(uint64_t bytes)
{
	return bytes / MIB + (bytes % MIB != 0);
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static bool starts_with(const struct boot_image *image, const char *bytes, size_t size)
{
	return image->size >= size && !memcmp(image->data, bytes, size);
}

/* What people hand over instead of a bzImage, by the first bytes. */
static int not_a_kernel(struct plan *plan)
{
	const struct boot_image *image = &plan->request->kernel;

	if (starts_with(image, "\177ELF", 4))
		return fail(plan,
			    "%s: an ELF file (vmlinux?), not a bzImage; use "
			    "arch/x86/boot/bzImage or /boot/vmlinuz-*",
			    plan->kernel);
	if (starts_with(image, "\x1f\x8b", 2))
		return fail(plan,
			    "%s: gzip-compressed, not a bzImage; if it is a kernel, unpack "
			    "it with gunzip first",
			    plan->kernel);
	if (starts_with(image,
			"\xfd"
			"7zXZ",
			5) ||
	    starts_with(image, "\x28\xb5\x2f\xfd", 4))
		return fail(plan,
			    "%s: compressed as a whole, not a bzImage; if it is a kernel, "
			    "unpack it first",
			    plan->kernel);
	return fail(plan,
		    "%s: not a Linux kernel image (no \"HdrS\" at 0x%x); use a bzImage such "
		    "as /boot/vmlinuz-*",
		    plan->kernel, HEADER_MAGIC);
}

/* "The real-mode kernel header": find it, its length, and that it is one we can boot. */
static int read_header(struct plan *plan)
{
	const struct boot_image *image = &plan->request->kernel;
	const struct setup_header *header = &plan->header;
	size_t header_end;
	uint32_t magic;

	if (image->size < HEADER_MAGIC + sizeof(magic))
		return not_a_kernel(plan);
	memcpy(&magic, image->data + HEADER_MAGIC, sizeof(magic));
	if (magic != MAGIC_HDRS)
		return not_a_kernel(plan);

	header_end = HEADER_MAGIC + image->data[HEADER_JUMP + 1];
	if (image->data[HEADER_JUMP] != JUMP_SHORT || header_end > HEADER_MAX)
		return fail(plan,
			    "%s: corrupt kernel header (no jump over it at 0x%x); get the "
			    "file again",
			    plan->kernel, HEADER_JUMP);
	if (image->size < header_end)
		return fail(plan,
			    "%s: truncated inside the kernel header: %zu bytes; get the file "
			    "again",
			    plan->kernel, image->size);

	/* Fields behind the header's end belong to a later protocol and stay zero. */
	plan->header_size = header_end - HEADER_START;
	memcpy(&plan->header, image->data + HEADER_START,
	       plan->header_size < sizeof(*header) ? plan->header_size : sizeof(*header));

	if (header->boot_flag != BOOT_FLAG)
		return fail(plan,
			    "%s: corrupt kernel header (boot flag 0x%04x instead of 0x%x); "
			    "get the file again",
			    plan->kernel, header->boot_flag, BOOT_FLAG);
	if (header->version < PROTOCOL_64BIT)
		return fail(plan,
			    "%s: boot protocol %u.%02u has no 64-bit entry; use a 64-bit "
			    "kernel of Linux 3.8 or later (protocol 2.12)",
			    plan->kernel, header->version >> 8, header->version & 0xff);
	if (header_end < HEADER_LAST_WE_NEED)
		return fail(plan,
			    "%s: corrupt kernel header (%zu bytes are too few for protocol "
			    "%u.%02u); get the file again",
			    plan->kernel, plan->header_size, header->version >> 8,
			    header->version & 0xff);
	if (!(header->xloadflags & XLF_KERNEL_64))
		return fail(plan, "%s: a 32-bit kernel (no XLF_KERNEL_64); use a 64-bit one",
			    plan->kernel);
	if (!(header->loadflags & LOADED_HIGH))
		return fail(plan, "%s: a zImage, loaded below 1 MiB; use a bzImage", plan->kernel);
	return 0;
}

/* "Loading the rest of the kernel": the sizes in the header against the size of the file. */
static int find_code(struct plan *plan)
{
	const struct boot_image *image = &plan->request->kernel;
	const struct setup_header *header = &plan->header;
	/* "If this field contains 0, the real value is 4." */
	uint64_t setup_size = ((header->setup_sects ? header->setup_sects : 4) + 1) * SECTOR;
	uint64_t code_size = (uint64_t)header->syssize * 16;

	if (code_size <= ENTRY_64BIT)
		return fail(plan,
			    "%s: corrupt kernel header (syssize says %llu bytes of code); "
			    "get the file again",
			    plan->kernel, (unsigned long long)code_size);
	if (image->size < setup_size + code_size)
		return fail(plan,
			    "%s: truncated: %zu bytes, its header says %llu; get the file "
			    "again",
			    plan->kernel, image->size, (unsigned long long)(setup_size + code_size));
	if (!header->payload_length ||
	    (uint64_t)header->payload_offset + header->payload_length > code_size)
		return fail(plan,
			    "%s: corrupt kernel header (payload of %u bytes at 0x%x, in "
			    "%llu bytes of code); get the file again",
			    plan->kernel, header->payload_length, header->payload_offset,
			    (unsigned long long)code_size);
	plan->code_offset = setup_size;
	plan->code_size = code_size;
	return 0;
}

/*
 * At its preferred address, rounded up to its alignment, which is where a relocatable kernel would
 * move itself from anywhere lower (arch/x86/boot/compressed/head_64.S).
 */
static int place_kernel(struct plan *plan)
{
	const struct boot_memory *memory = &plan->request->memory;
	const struct setup_header *header = &plan->header;
	uint64_t base = header->pref_address;
	uint64_t size = header->init_size;

	if (size < plan->code_size)
		return fail(plan,
			    "%s: corrupt kernel header (init_size %llu is less than its "
			    "%llu bytes of code); get the file again",
			    plan->kernel, (unsigned long long)size,
			    (unsigned long long)plan->code_size);
	if (base < LAYOUT_HIGH_MEMORY || base >= LAYOUT_LOW_MAX)
		return fail(plan,
			    "%s: corrupt kernel header (pref_address 0x%llx is not between "
			    "1 MiB and 3 GiB); get the file again",
			    plan->kernel, (unsigned long long)base);
	if (header->relocatable_kernel) {
		uint64_t align = header->kernel_alignment;

		if (!is_power_of_two(align))
			return fail(plan,
				    "%s: corrupt kernel header (kernel_alignment 0x%llx is "
				    "no power of two); get the file again",
				    plan->kernel, (unsigned long long)align);
		base = (base + align - 1) & ~(align - 1);
	}
	if (base > memory->low_size || size > memory->low_size - base)
		return fail(plan,
			    "%s: the kernel needs memory up to %llu MiB, the guest has %llu "
			    "MiB below 3 GiB; give it more",
			    plan->kernel, (unsigned long long)to_mib(base + size),
			    (unsigned long long)(memory->low_size / MIB));
	plan->kernel_base = base;
	plan->kernel_size = size;
	return 0;
}

/* The highest page-aligned place for size bytes in [start, end), or 0. */
static uint64_t highest(uint64_t start, uint64_t end, uint64_t size)
{
	uint64_t base;

	if (end < start || size > end - start)
		return 0;
	base = (end - size) & ~(LAYOUT_PAGE - 1);
	return base >= start ? base : 0;
}

/*
 * As high as initrd_addr_max and low RAM allow, behind the kernel; or in front of it; or, when
 * the kernel can take it there, above 4 GiB.
 */
static int place_initrd(struct plan *plan)
{
	const struct boot_memory *memory = &plan->request->memory;
	const struct setup_header *header = &plan->header;
	uint64_t size = plan->request->initrd.size;
	uint64_t top = (uint64_t)header->initrd_addr_max + 1; /* the field is the last address */
	uint64_t kernel_end = plan->kernel_base + plan->kernel_size;

	if (!plan->request->initrd.data)
		return 0;
	if (!size)
		return fail(plan, "%s: the initrd is empty; leave the option out", plan->initrd);

	if (top > memory->low_size)
		top = memory->low_size;
	plan->initrd_base = highest(kernel_end, top, size);
	if (!plan->initrd_base)
		plan->initrd_base = highest(LAYOUT_HIGH_MEMORY,
					    top < plan->kernel_base ? top : plan->kernel_base, size);
	if (!plan->initrd_base && (header->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G))
		plan->initrd_base =
			highest(LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + memory->high_size, size);
	if (plan->initrd_base)
		return 0;
	if (memory->low_size >= (uint64_t)header->initrd_addr_max + 1)
		return fail(plan,
			    "%s: this kernel wants its initrd below 0x%x, and %llu MiB do "
			    "not fit there; use a smaller initrd",
			    plan->initrd, header->initrd_addr_max, (unsigned long long)to_mib(size));
	return fail(plan,
		    "%s: an initrd of %llu MiB does not fit beside the kernel into %llu MiB "
		    "of memory; give the guest at least %llu MiB",
		    plan->initrd, (unsigned long long)to_mib(size),
		    (unsigned long long)(memory->low_size / MIB),
		    (unsigned long long)to_mib(kernel_end + size));
}

/* "The kernel command line" */
static int check_cmdline(struct plan *plan)
{
	const char *cmdline = plan->request->cmdline;
	uint64_t limit = plan->header.cmdline_size;

	if (limit > LAYOUT_CMDLINE_SIZE - 1)
		limit = LAYOUT_CMDLINE_SIZE - 1;
	plan->cmdline_size = cmdline ? strlen(cmdline) : 0;
	if (plan->cmdline_size > limit)
		return fail(plan,
			    "the kernel command line has %zu characters, this kernel takes "
			    "%llu; shorten it",
			    plan->cmdline_size, (unsigned long long)limit);
	return 0;
}

static int check_memory(struct plan *plan)
{
	const struct boot_memory *memory = &plan->request->memory;

	if (!memory->low || memory->low_size < LAYOUT_MIN_MEMORY)
		return fail(plan, "%llu bytes of guest memory hold no kernel; give the guest more",
			    (unsigned long long)memory->low_size);
	if (memory->low_size > LAYOUT_LOW_MAX || memory->low_size % LAYOUT_PAGE ||
	    memory->high_size % LAYOUT_PAGE || (memory->high_size && !memory->high))
		return fail(plan, "guest memory must come in whole pages of 4 KiB, at most 3 GiB "
				  "of them below 4 GiB");
	return 0;
}

/* "Zero page": a clean one, with as much of the setup header as the file defines. */
static void write_zero_page(const struct plan *plan)
{
	const struct boot_request *request = plan->request;
	struct boot_params page;
	struct e820_entry map[LAYOUT_E820_MAX];
	unsigned count = layout_e820(&request->memory, map);
	uint64_t initrd_size = plan->initrd_base ? request->initrd.size : 0;

	memset(&page, 0, sizeof(page));
	memcpy((uint8_t *)&page + HEADER_START, request->kernel.data + HEADER_START,
	       plan->header_size);

	page.hdr.type_of_loader = LOADER_UNDEFINED;
	/* KASLR_FLAG is the decompressor's, QUIET_FLAG and CAN_USE_HEAP the real-mode code's. */
	page.hdr.loadflags = LOADED_HIGH;
	page.hdr.code32_start = plan->kernel_base;
	page.hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	page.hdr.setup_data = 0;
	page.hdr.ramdisk_image = (uint32_t)plan->initrd_base;
	page.hdr.ramdisk_size = (uint32_t)initrd_size;
	page.ext_ramdisk_image = plan->initrd_base >> 32;
	page.ext_ramdisk_size = initrd_size >> 32;
	/* Kernels before protocol 2.14 do not look here; they find the RSDP by a scan. */
	page.acpi_rsdp_addr = request->rsdp;
	page.e820_entries = count;
	memcpy(page.e820_table, map, count * sizeof(map[0]));

	memcpy(request->memory.low + LAYOUT_ZERO_PAGE, &page, sizeof(page));
}

static int gave_out(struct plan *plan, const char *path)
{
	return fail(plan, "%s: %s", path,
		    errno ? strerror(errno) : "it shrank while it was read; try again");
}

int boot_load(const struct boot_request *request, struct boot_entry *out, char *error,
	      size_t error_size)
{
	const struct boot_memory *memory = &request->memory;
	struct plan plan = {
		.request = request,
		.kernel = request->kernel_path ? request->kernel_path : "kernel",
		.initrd = request->initrd_path ? request->initrd_path : "initrd",
		.error = error,
		.error_size = error_size,
	};

	if (check_memory(&plan) || read_header(&plan) || find_code(&plan) || place_kernel(&plan) ||
	    place_initrd(&plan) || check_cmdline(&plan))
		return -1;

	memset(out, 0, sizeof(*out));
	if (boot_image_copy(&request->kernel, plan.code_offset, memory->low + plan.kernel_base,
			    plan.code_size))
		return gave_out(&plan, plan.kernel);
	if (plan.initrd_base) {
		if (boot_image_copy(&request->initrd, 0,
				    layout_ram(memory, plan.initrd_base, request->initrd.size),
				    request->initrd.size))
			return gave_out(&plan, plan.initrd);
		out->initrd_base = plan.initrd_base;
		out->initrd_size = request->initrd.size;
	}
	memcpy(memory->low + LAYOUT_CMDLINE, request->cmdline ? request->cmdline : "",
	       plan.cmdline_size + 1);
	write_zero_page(&plan);
	boot_tables(memory, request->gigabyte_pages, out);

	out->rip = plan.kernel_base + ENTRY_64BIT;
	out->rsi = LAYOUT_ZERO_PAGE;
	out->kernel_base = plan.kernel_base;
	out->kernel_size = plan.kernel_size;
	out->protocol = plan.header.version;
	return 0;
}
