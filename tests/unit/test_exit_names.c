// SPDX-License-Identifier: MIT OR GPL-2.0
/* Exit names: Linux's for what the hardware says, our own for what the run call returns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fermata.h"

static void test_svm(void **state)
{
	static const struct {
		uint32_t code;
		const char *name;
	} expect[] = {
		{ 0x000, "read_cr0" }, { 0x010, "write_cr0" },
		{ 0x04e, "PF excp" },  { 0x060, "interrupt" },
		{ 0x061, "nmi" },      { 0x064, "vintr" },
		{ 0x06e, "rdtsc" },    { 0x072, "cpuid" },
		{ 0x077, "pause" },    { 0x078, "hlt" },
		{ 0x07b, "io" },       { 0x07c, "msr" },
		{ 0x07f, "shutdown" }, { 0x081, "hypercall" },
		{ 0x087, "rdtscp" },   { 0x08d, "xsetbv" },
		{ 0x400, "npf" },      { 0xffffffff, "invalid_guest_state" },
	};

	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++)
		assert_string_equal(fermata_exit_code_name(FERMATA_VENDOR_AMD, expect[i].code),
				    expect[i].name);
	assert_string_equal(fermata_exit_code_name(FERMATA_VENDOR_AMD, 0x3ff), "unknown");
}

static void test_vmx(void **state)
{
	static const struct {
		uint32_t code;
		const char *name;
	} expect[] = {
		{ 0, "EXCEPTION_NMI" },
		{ 1, "EXTERNAL_INTERRUPT" },
		{ 2, "TRIPLE_FAULT" },
		{ 10, "CPUID" },
		{ 12, "HLT" },
		{ 18, "VMCALL" },
		{ 28, "CR_ACCESS" },
		{ 30, "IO_INSTRUCTION" },
		{ 31, "MSR_READ" },
		{ 32, "MSR_WRITE" },
		{ 48, "EPT_VIOLATION" },
		{ 49, "EPT_MISCONFIG" },
		{ 0x80000021, "INVALID_STATE" }, /* bit 31: the entry failed */
		{ FERMATA_VMX_FAIL, "VMFAIL" },
		{ FERMATA_VMX_UNPAGED, "UNPAGED" },
	};

	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++)
		assert_string_equal(fermata_exit_code_name(FERMATA_VENDOR_INTEL, expect[i].code),
				    expect[i].name);
	assert_string_equal(fermata_exit_code_name(FERMATA_VENDOR_INTEL, 0x400), "unknown");
	assert_string_equal(fermata_exit_code_name(FERMATA_VENDOR_NONE, 0), "unknown");
}

/* SDM 3C 31.4: 1 to 28, without 14, 21 and 27. */
static void test_vmx_errors(void **state)
{
	for (uint32_t i = 0; i < 40; i++) {
		bool exists = i && i <= 28 && i != 14 && i != 21 && i != 27;

		assert_int_equal(strcmp(fermata_vmx_error(i), "unknown") != 0, exists);
		for (uint32_t j = 1; exists && j < i; j++)
			assert_string_not_equal(fermata_vmx_error(i), fermata_vmx_error(j));
	}
	assert_string_equal(fermata_vmx_error(26), "events blocked by MOV SS");
	assert_string_equal(fermata_vmx_error(~0u), "unknown");
}

static void test_reasons(void **state)
{
	for (uint32_t i = 0; i < FERMATA_EXIT_REASONS; i++) {
		assert_non_null(fermata_exit_reason_name(i));
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(fermata_exit_reason_name(i),
						fermata_exit_reason_name(j));
	}
	assert_string_equal(fermata_exit_reason_name(FERMATA_EXIT_MMIO), "MMIO");
	assert_string_equal(fermata_exit_reason_name(FERMATA_EXIT_HALTED), "HALTED");
	assert_string_equal(fermata_exit_reason_name(FERMATA_EXIT_REASONS), "unknown");
}

/* Every code that statistics count has a slot of its own, and the slot leads back to it. */
static void test_slots(void **state)
{
	for (uint32_t code = 0; code < 0x500; code++) {
		uint32_t slot = fermata_exit_slot(code);

		assert_true(slot < FERMATA_MAX_EXIT_CODES);
		if (strcmp(fermata_exit_code_name(FERMATA_VENDOR_AMD, code), "unknown"))
			assert_int_equal(fermata_exit_code(slot), code);
	}
}

/* Each counter of the statistics that is in use has its own. */
static void flushes(void **state)
{
	for (uint32_t i = 0; i < FERMATA_FLUSH_KINDS; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(fermata_flush_kind_name(i),
						fermata_flush_kind_name(j));
	for (uint32_t i = 0; i < FERMATA_FLUSH_CAUSES; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(fermata_flush_cause_name(i),
						fermata_flush_cause_name(j));
	assert_string_equal(fermata_flush_kind_name(FERMATA_FLUSH_KINDS), "unknown");
	assert_string_equal(fermata_flush_cause_name(FERMATA_FLUSH_CAUSES), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flushes),	cmocka_unit_test(test_svm),
		cmocka_unit_test(test_vmx),	cmocka_unit_test(test_vmx_errors),
		cmocka_unit_test(test_reasons), cmocka_unit_test(test_slots),
	};

	return cmocka_run_group_tests_name("names of exits", tests, NULL, NULL);
}
