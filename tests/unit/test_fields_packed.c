/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * No field of a device is forgotten in its list. This test and the devices are built with structs that have no
 * padding (tests/unit/build.mk), so each byte belongs to a member, and each must be in one row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/fields.h"
#include "devices/pc/acpi_pm.h"
#include "devices/pc/debug_exit.h"
#include "devices/pc/i8042.h"
#include "devices/pc/ioapic.h"
#include "devices/pc/pci.h"
#include "devices/pc/pic.h"
#include "devices/pc/pit.h"
#include "devices/pc/rtc.h"
#include "devices/pc/serial.h"

static const struct device_ops *const devices[] = {
	&acpi_pm_ops,	 &debug_exit_ops, &i8042_data_ops, &ioapic_ops, &pci_ops,
	&pic_master_ops, &pit_ops,	  &rtc_ops,	   &serial_ops,
};

/* Each of `size` bytes is in one row, and none is in two. */
static bool complete(const struct field *row, uint32_t size)
{
	uint8_t *rows = calloc(1, size);
	bool good = true;

	for (; row->name; row++) {
		if (row->part)
			good &= complete(row->part, row->size);
		for (uint32_t i = 0; i < row->count * row->size; i++) {
			uint32_t byte = row->offset + i;

			good &= byte < size && !rows[byte];
			if (good)
				rows[byte] = 1;
		}
	}
	for (uint32_t i = 0; i < size; i++)
		good &= rows[i];
	free(rows);
	return good;
}

struct toy {
	uint64_t a;
	bool b, forgotten;
	uint32_t c[2];
};

static void what_is_forgotten_is_found(void **state)
{
	const struct field all[] = {
		FIELD(toy, a), FLAG(toy, b), FLAG(toy, forgotten), ARRAY(toy, c), { 0 }
	};
	const struct field few[] = { FIELD(toy, a), FLAG(toy, b), ARRAY(toy, c), { 0 } };
	const struct field twice[] = { FIELD(toy, a),	     FLAG(toy, b),  FLAG(toy, b),
				       FLAG(toy, forgotten), ARRAY(toy, c), { 0 } };

	assert_int_equal(sizeof(struct toy), 18);
	assert_true(complete(all, sizeof(struct toy)));
	assert_false(complete(few, sizeof(struct toy)));
	assert_false(complete(twice, sizeof(struct toy)));
}

static void no_field_is_forgotten(void **state)
{
	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		const struct fields *list = devices[i]->fields;

		if (!complete(list->row, list->size))
			fail_msg("struct %s has members that its list does not have", list->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forgotten_is_found),
		cmocka_unit_test(no_field_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
