// SPDX-License-Identifier: MIT OR GPL-2.0
/* The ACPI tables, read the way a guest does: from the RSDP on, trusting only checksums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/acpi.h"
#include "boot/platform.h"

#define MEMORY (2u << 20)

static struct boot_memory memory;

static int setup(void **state)
{
	memory.low = calloc(1, MEMORY);
	memory.low_size = MEMORY;
	return memory.low ? 0 : -1;
}

static int teardown(void **state)
{
	free(memory.low);
	return 0;
}

static uint64_t get(uint64_t address, unsigned size)
{
	uint64_t value = 0;

	assert_true(address + size <= memory.low_size);
	memcpy(&value, memory.low + address, size);
	return value;
}

static uint8_t sum(uint64_t address, uint32_t size)
{
	uint8_t total = 0;

	assert_true(address + size <= LAYOUT_HIGH_MEMORY);
	while (size--)
		total += memory.low[address++];
	return total;
}

/* Length and checksum of a table are right, and it lies where the e820 map says ACPI. */
static uint32_t table(uint64_t address, const char *signature)
{
	uint32_t length = get(address + 4, 4);

	assert_memory_equal(memory.low + address, signature, 4);
	assert_true(address >= LAYOUT_ACPI && address + length <= LAYOUT_FACS);
	assert_true(length >= 36);
	assert_int_equal(sum(address, length), 0);
	assert_memory_equal(memory.low + address + 10, "FERMAT", 6);
	return length;
}

static uint64_t find(uint64_t rsdp, const char *signature)
{
	uint64_t xsdt = get(rsdp + 24, 8), entry, found = 0;
	uint32_t length = table(xsdt, "XSDT"), offset;

	assert_int_equal((length - 36) % 8, 0);
	for (offset = 36; offset < length; offset += 8) {
		entry = get(xsdt + offset, 8);
		if (memcmp(memory.low + entry, signature, 4))
			continue;
		assert_int_equal(found, 0);
		found = entry;
	}
	assert_int_not_equal(found, 0);
	return found;
}

static void rsdp(void **state)
{
	uint64_t r = acpi_build(&memory, 1);

	assert_int_equal(r % 16, 0); /* or a scan would not find it */
	assert_in_range(r, 0xe0000, 0xfffff);
	assert_memory_equal(memory.low + r, "RSD PTR ", 8);
	assert_int_equal(get(r + 15, 1), 2);
	assert_int_equal(get(r + 20, 4), 36);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
}

/* A Generic Address Structure for `bytes` of I/O ports. */
static void io_block(uint64_t address, uint16_t port, unsigned bytes)
{
	assert_int_equal(get(address, 1), 1);
	assert_int_equal(get(address + 1, 1), bytes * 8);
	assert_int_equal(get(address + 2, 1), 0);
	assert_int_equal(get(address + 4, 8), port);
}

static void fadt(void **state)
{
	uint64_t f = find(acpi_build(&memory, 1), "FACP"), dsdt, facs;

	assert_int_equal(table(f, "FACP"), 276);
	assert_int_equal(get(f + 8, 1), 6);
	assert_int_equal(get(f + 46, 2), 9);
	assert_int_equal(get(f + 48, 4), 0);
	assert_int_equal(get(f + 56, 4), 0x600);
	assert_int_equal(get(f + 64, 4), 0x604);
	assert_int_equal(get(f + 76, 4), 0x608);
	io_block(f + 148, 0x600, get(f + 88, 1));
	io_block(f + 172, 0x604, get(f + 89, 1));
	io_block(f + 208, 0x608, get(f + 91, 1));
	assert_int_equal(get(f + 88, 1), 4);
	assert_int_equal(get(f + 89, 1), 2);
	assert_int_equal(get(f + 91, 1), 4);
	io_block(f + 116, 0xcf9, 1);
	assert_int_equal(get(f + 128, 1), 6);
	assert_int_equal(get(f + 109, 2), 0x15);
	assert_true(get(f + 112, 4) & 1u << 10);
	assert_false(get(f + 112, 4) & 1u << 20); /* not hardware-reduced */
	assert_false(get(f + 112, 4) & 1u << 4);  /* the power button is fixed hardware */

	dsdt = get(f + 140, 8);
	assert_int_equal(get(f + 40, 4), dsdt);
	table(dsdt, "DSDT");
	facs = get(f + 36, 4);
	assert_int_equal(get(f + 132, 8), 0);
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(memory.low + facs, "FACS", 4);
	assert_int_equal(get(facs + 4, 4), 64);
}

struct madt {
	unsigned cpus, io_apics, overrides, nmis;
};

static struct madt read_madt(uint64_t m)
{
	struct madt seen = { 0 };
	uint32_t end = table(m, "APIC"), offset, length;

	assert_int_equal(get(m + 36, 4), 0xfee00000);
	assert_int_equal(get(m + 40, 4), 1);
	for (offset = 44; offset < end; offset += length) {
		uint64_t e = m + offset;

		length = get(e + 1, 1);
		assert_true(length >= 2 && offset + length <= end);
		switch (get(e, 1)) {
		case 0:
			assert_int_equal(length, 8);
			assert_int_equal(get(e + 2, 1), seen.cpus);
			assert_int_equal(get(e + 3, 1), seen.cpus);
			assert_int_equal(get(e + 4, 4), 1);
			seen.cpus++;
			break;
		case 1:
			assert_int_equal(length, 12);
			assert_int_equal(get(e + 4, 4), 0xfec00000);
			assert_int_equal(get(e + 8, 4), 0);
			seen.io_apics++;
			break;
		case 2:
			assert_int_equal(length, 10);
			if (get(e + 3, 1) == 0) {
				assert_int_equal(get(e + 4, 4), 2);
				assert_int_equal(get(e + 8, 2), 0);
			} else {
				assert_int_equal(get(e + 3, 1), 9);
				assert_int_equal(get(e + 4, 4), 9);
				assert_int_equal(get(e + 8, 2), 0xd);
			}
			seen.overrides++;
			break;
		case 4:
			assert_int_equal(length, 6);
			assert_int_equal(get(e + 2, 1), 0xff);
			assert_int_equal(get(e + 5, 1), 1);
			seen.nmis++;
			break;
		default:
			fail_msg("unexpected MADT entry %u", (unsigned)get(e, 1));
		}
	}
	return seen;
}

/* An AML PkgLength (ACPI 6.3, 20.2.4); *bytes: its own size. */
static uint32_t pkg_length(uint64_t address, unsigned *bytes)
{
	uint8_t lead = get(address, 1);
	unsigned i, more = lead >> 6;
	uint32_t value = lead & (more ? 0xf : 0x3f);

	for (i = 0; i < more; i++)
		value |= get(address + 1 + i, 1) << (4 + 8 * i);
	*bytes = 1 + more;
	return value;
}

/* Scope (\_SB) over the whole table, and in it processor devices, whose _UIDs count up. */
static unsigned read_ssdt(uint64_t s)
{
	uint32_t end = table(s, "SSDT"), offset, length;
	unsigned bytes, cpus = 0;

	assert_int_equal(get(s + 36, 1), 0x10);
	length = pkg_length(s + 37, &bytes);
	assert_int_equal(37 + length, end);
	assert_memory_equal(memory.low + s + 37 + bytes, "\\_SB_", 5);
	for (offset = 37 + bytes + 5; offset < end; offset += 2 + length) {
		assert_int_equal(get(s + offset, 2), 0x825b);
		length = pkg_length(s + offset + 2, &bytes);
		assert_int_equal(length, 1 + 4 + 5 + 10 + 5 + 2);
		assert_memory_equal(memory.low + s + offset + 7,
				    "\x08_HID\x0d"
				    "ACPI0007",
				    15);
		assert_memory_equal(memory.low + s + offset + 22, "\x08_UID\x0a", 6);
		assert_int_equal(get(s + offset + 28, 1), cpus);
		cpus++;
	}
	assert_int_equal(offset, end);
	return cpus;
}

static void processors(void **state)
{
	const unsigned counts[] = { 1, 2, 3, 15, 16, 17, PLATFORM_MAX_VCPUS };
	unsigned i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t r = acpi_build(&memory, counts[i]);
		struct madt m = read_madt(find(r, "APIC"));

		assert_int_equal(m.cpus, counts[i]);
		assert_int_equal(m.io_apics, 1);
		assert_int_equal(m.overrides, 2);
		assert_int_equal(m.nmis, 1);
		assert_int_equal(read_ssdt(find(r, "SSDT")), counts[i]);
	}
}

/* Nothing outside the two ranges that the e820 map gives to ACPI. */
static void stays_in_its_place(void **state)
{
	uint64_t i;

	acpi_build(&memory, PLATFORM_MAX_VCPUS);
	for (i = 0; i < memory.low_size; i++)
		if (i < LAYOUT_ACPI || i >= LAYOUT_BIOS)
			assert_int_equal(memory.low[i], 0);
}

static void refusals(void **state)
{
	struct boot_memory small = { memory.low, LAYOUT_HIGH_MEMORY - LAYOUT_PAGE, NULL, 0 };

	assert_int_equal(acpi_build(&memory, 0), 0);
	assert_int_equal(acpi_build(&memory, PLATFORM_MAX_VCPUS + 1), 0);
	assert_int_equal(acpi_build(&small, 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rsdp), TEST(fadt), TEST(processors), TEST(stays_in_its_place), TEST(refusals),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
