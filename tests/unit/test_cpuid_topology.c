/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "machine/cpuid.h"

/* A host with 16 threads in 8 cores, as it might be offered. */
static const struct fermata_cpuid_entry host[] = {
	{ .leaf = 1, .ebx = 0x05100800, .edx = 0x178bfbff },
	{ .leaf = 4, .subleaf = 0, .flags = 1, .eax = 0x1c004121, .ebx = 7 },
	{ .leaf = 4, .subleaf = 3, .flags = 1, .eax = 0x1c03c163, .ebx = 9 },
	{ .leaf = 4, .subleaf = 4, .flags = 1, .eax = 0 },
	{ .leaf = 0xb, .subleaf = 0, .flags = 1, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 5 },
	{ .leaf = 0xb, .subleaf = 1, .flags = 1, .eax = 4, .ebx = 16, .ecx = 0x201, .edx = 5 },
	{ .leaf = 0xb, .subleaf = 2, .flags = 1, .ecx = 2, .ebx = 3 },
	{ .leaf = 0x80000001, .ecx = 0x3, .edx = 1u << 26 },
	{ .leaf = 0x80000004, .eax = 0x11111111, .ebx = 0x22222222 },
	{ .leaf = 0x80000008, .eax = 0x3030, .ecx = 0x400f },
	{ .leaf = 0x8000001e, .eax = 5, .ebx = 0x105, .ecx = 0x100 },
};
#define ENTRIES (sizeof(host) / sizeof(host[0]))

static struct fermata_cpuid *topology(unsigned vcpus)
{
	struct fermata_cpuid *cpuid = calloc(1, sizeof(*cpuid));

	for (cpuid->count = 0; cpuid->count < ENTRIES; cpuid->count++)
		cpuid->entry[cpuid->count] = host[cpuid->count];
	machine_cpuid_topology(cpuid, vcpus);
	return cpuid;
}

static const struct fermata_cpuid_entry *leaf(const struct fermata_cpuid *cpuid, uint32_t number,
					      uint32_t subleaf)
{
	uint32_t i;

	for (i = 0; i < cpuid->count; i++) {
		if (cpuid->entry[i].leaf == number && cpuid->entry[i].subleaf == subleaf)
			return &cpuid->entry[i];
	}
	fail();
	return NULL;
}

static void one(void **state)
{
	struct fermata_cpuid *cpuid = topology(1);

	assert_int_equal(leaf(cpuid, 1, 0)->ebx, 0x00010800);
	assert_int_equal(leaf(cpuid, 1, 0)->edx, 0x078bfbff); /* HTT gone, nothing else */
	assert_int_equal(leaf(cpuid, 4, 0)->eax, 0x121);
	assert_int_equal(leaf(cpuid, 4, 3)->eax, 0x163);
	assert_int_equal(leaf(cpuid, 4, 3)->ebx, 9);
	assert_int_equal(leaf(cpuid, 0xb, 0)->eax, 0);
	assert_int_equal(leaf(cpuid, 0xb, 0)->ebx, 1);
	assert_int_equal(leaf(cpuid, 0xb, 1)->eax, 0);
	assert_int_equal(leaf(cpuid, 0xb, 1)->ebx, 1);
	assert_int_equal(leaf(cpuid, 0x80000001, 0)->ecx, 1);
	assert_int_equal(leaf(cpuid, 0x80000004, 0)->eax, 0x11111111);
	assert_int_equal(leaf(cpuid, 0x80000008, 0)->ecx, 0);
	assert_int_equal(leaf(cpuid, 0x80000008, 0)->eax, 0x3030);
	assert_int_equal(leaf(cpuid, 0x8000001e, 0)->ebx, 0);
	free(cpuid);
}

static void three(void **state)
{
	struct fermata_cpuid *cpuid = topology(3);

	assert_int_equal(leaf(cpuid, 1, 0)->ebx, 0x00030800);
	assert_int_equal(leaf(cpuid, 1, 0)->edx, 0x178bfbff);
	assert_int_equal(leaf(cpuid, 4, 0)->eax, 2u << 26 | 0x121);
	assert_int_equal(leaf(cpuid, 4, 3)->eax, 2u << 26 | 2u << 14 | 0x163);
	assert_int_equal(leaf(cpuid, 4, 4)->eax, 0);
	assert_int_equal(leaf(cpuid, 0xb, 0)->ecx, 0x100);
	assert_int_equal(leaf(cpuid, 0xb, 1)->eax, 2);
	assert_int_equal(leaf(cpuid, 0xb, 1)->ebx, 3);
	assert_int_equal(leaf(cpuid, 0xb, 1)->ecx, 0x201);
	assert_int_equal(leaf(cpuid, 0xb, 2)->ebx, 0);
	assert_int_equal(leaf(cpuid, 0x80000001, 0)->ecx, 3);
	assert_int_equal(leaf(cpuid, 0x80000008, 0)->ecx, 0x2002);
	free(cpuid);
}

static void gigabyte_pages(void **state)
{
	struct fermata_cpuid *cpuid = topology(1);
	uint32_t i;

	assert_true(machine_cpuid_has_1g_pages(cpuid));
	for (i = 0; i < cpuid->count; i++)
		cpuid->entry[i].edx = 0;
	assert_false(machine_cpuid_has_1g_pages(cpuid));
	cpuid->count = 0;
	assert_false(machine_cpuid_has_1g_pages(cpuid));
	free(cpuid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one),
		cmocka_unit_test(three),
		cmocka_unit_test(gigabyte_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
