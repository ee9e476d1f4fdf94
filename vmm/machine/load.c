/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the guest finds in its memory: kernel, initrd, command line and ACPI tables, by vmm/boot. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/acpi.h"
#include "boot/bzimage.h"
#include "internal.h"

static struct boot_memory boot_memory(uint8_t *ram, uint64_t size)
{
	uint64_t low = layout_low_size(size), high = layout_high_size(size);

	return (struct boot_memory){
		.low = ram,
		.low_size = low,
		.high = high ? ram + low : NULL,
		.high_size = high,
	};
}

int load_guest(const struct machine_config *config, uint8_t *ram, bool gigabyte_pages,
	       struct boot_entry *entry, char *error, size_t error_size)
{
	struct boot_request request = {
		.memory = boot_memory(ram, config->memory),
		.kernel_path = config->kernel,
		.initrd_path = config->initrd,
		.cmdline = config->cmdline,
		.gigabyte_pages = gigabyte_pages,
	};
	int result = -1;

	if (boot_file_open(config->kernel, &request.kernel, error, error_size))
		goto out;
	if (config->initrd && boot_file_open(config->initrd, &request.initrd, error, error_size))
		goto out;
	request.rsdp = acpi_build(&request.memory, config->vcpus);
	if (!request.rsdp) {
		snprintf(error, error_size,
			 "%" PRIu64
			 " bytes of memory and %u vCPUs are more or less than a machine can have",
			 config->memory, config->vcpus);
		goto out;
	}
	result = boot_load(&request, entry, error, error_size);
out:
	boot_file_close(&request.kernel);
	boot_file_close(&request.initrd);
	return result;
}

int machine_check(const struct machine_config *config, char *error, size_t error_size)
{
	struct boot_entry entry;
	uint8_t *ram;
	int result;

	/* Only the pages that the loader writes become memory. */
	ram = mmap(NULL, config->memory, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED) {
		snprintf(error, error_size,
			 "no %" PRIu64 "M of address space: %s; give less --memory",
			 config->memory >> 20, strerror(errno));
		return -1;
	}
	result = load_guest(config, ram, true, &entry, error, error_size);
	munmap(ram, config->memory);
	return result;
}
