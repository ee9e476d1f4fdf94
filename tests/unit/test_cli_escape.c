/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/text/escape.h"

#define A "\x01"

/* What a user types, as a line of actions: sent bytes as they are, <end>, <help>, <eof> otherwise. */
static const char *typed(struct escape *escape, const char *bytes)
{
	static char out[256];
	char sent[2] = "";

	out[0] = 0;
	for (; *bytes; bytes++) {
		switch (escape_feed(escape, (uint8_t)*bytes)) {
		case ESCAPE_NOTHING:
			break;
		case ESCAPE_SEND:
			sent[0] = *bytes == 1 ? '^' : *bytes;
			strcat(out, sent);
			break;
		case ESCAPE_END:
			strcat(out, "<end>");
			break;
		case ESCAPE_HELP:
			strcat(out, "<help>");
			break;
		case ESCAPE_END_OF_INPUT:
			strcat(out, "<eof>");
			break;
		}
	}
	return out;
}

static void plain(void **state)
{
	struct escape escape = { .enabled = true };

	assert_string_equal(typed(&escape, "ls -l\rxhd"), "ls -l\rxhd");
	assert_false(escape.armed);
}

static void keys(void **state)
{
	struct escape escape = { .enabled = true };

	assert_string_equal(typed(&escape, "a" A "xb"), "a<end>b");
	assert_string_equal(typed(&escape, A "X"), "<end>");
	assert_string_equal(typed(&escape, A "h" A "?" A "H"), "<help><help><help>");
	assert_string_equal(typed(&escape, A "d" A "D"), "<eof><eof>");
	assert_string_equal(typed(&escape, A A), "^");
	assert_string_equal(typed(&escape, A A "x"), "^x");
	assert_string_equal(typed(&escape, A A A "x"), "^<end>");
	assert_string_equal(typed(&escape, A "qx"), "x");
}

static void split_between_reads(void **state)
{
	struct escape escape = { .enabled = true };

	assert_string_equal(typed(&escape, "a" A), "a");
	assert_true(escape.armed);
	assert_string_equal(typed(&escape, "x"), "<end>");
	assert_false(escape.armed);
}

static void disabled(void **state)
{
	struct escape escape = { .enabled = false };

	assert_string_equal(typed(&escape, A "x" A A "h" A "d"), "^x^^h^d");
	assert_false(escape.armed);
}

/* Sent once through an outer and an inner fermata, every byte string arrives as it was. */
static void doubled_for_the_inner(void **state)
{
	struct escape inner = { .enabled = true };
	unsigned byte;

	for (byte = 0; byte < 256; byte++) {
		if (byte == ESCAPE_KEY)
			assert_int_equal(escape_feed(&inner, ESCAPE_KEY), ESCAPE_NOTHING);
		assert_int_equal(escape_feed(&inner, (uint8_t)byte), ESCAPE_SEND);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(keys),
		cmocka_unit_test(split_between_reads),
		cmocka_unit_test(disabled),
		cmocka_unit_test(doubled_for_the_inner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
