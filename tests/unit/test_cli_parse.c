/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "cli/text/parse.h"

static void sizes_good(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "4096", 4096 },
		{ "64k", 64ull << 10 },
		{ "64K", 64ull << 10 },
		{ "256M", 256ull << 20 },
		{ "256m", 256ull << 20 },
		{ "3G", 3ull << 30 },
		{ "3g", 3ull << 30 },
		{ "1T", 1ull << 40 },
		{ "007", 7 },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", 16777215ull << 40 },
	};
	uint64_t bytes;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bytes = 12345;
		assert_int_equal(parse_size(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void sizes_bad(void **state)
{
	static const char *const bad[] = { "",	   "M",	 "-1",	"+1",  " 1",  "1 ",  "1MB", "1.5G",
					   "0x10", "1P", "1KK", "abc", "1\n", "1M ", "--",  "1e9" };
	static const char *const huge[] = { "18446744073709551616", "99999999999999999999999999",
					    "16777216T", "18446744073709551615K" };
	uint64_t bytes = 77;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse_size(bad[i], &bytes), -EINVAL);
	for (i = 0; i < sizeof(huge) / sizeof(huge[0]); i++)
		assert_int_equal(parse_size(huge[i], &bytes), -ERANGE);
	assert_true(bytes == 77);
}

static void sizes_printed(void **state)
{
	char text[32];

	assert_string_equal(format_size(0, text, sizeof(text)), "0");
	assert_string_equal(format_size(1, text, sizeof(text)), "1");
	assert_string_equal(format_size(1025, text, sizeof(text)), "1025");
	assert_string_equal(format_size(4096, text, sizeof(text)), "4K");
	assert_string_equal(format_size(256ull << 20, text, sizeof(text)), "256M");
	assert_string_equal(format_size(3ull << 29, text, sizeof(text)), "1536M");
	assert_string_equal(format_size(1ull << 50, text, sizeof(text)), "1024T");
}

static void names(void **state)
{
	static const char *const good[] = { "a", "guest-1", "A.b_c-9", "...", "-", "0" };
	static const char *const bad[] = { "",	   ".",	  "..",	  "a b",	 "a/b",
					   "../x", "a\n", "\x7f", "caf\xc3\xa9", "a:b",
					   "a*",   "$x",  "a\tb" };
	char name[70];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_valid(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_valid(bad[i]));
	memset(name, 'x', sizeof(name));
	name[64] = 0;
	assert_true(name_valid(name));
	name[64] = 'x';
	name[65] = 0;
	assert_false(name_valid(name));
}

static void refused(uint64_t bytes, uint64_t available, const char *word)
{
	char problem[256] = "";

	assert_false(memory_size_valid(bytes, available, problem, sizeof(problem)));
	assert_non_null(strstr(problem, word));
	assert_null(strchr(problem, '\n'));
	assert_non_null(strchr(problem, ';')); /* what to do */
}

static void memory(void **state)
{
	char problem[256] = "untouched";
	const uint64_t gib = 1ull << 30;

	assert_true(memory_size_valid(256ull << 20, gib, problem, sizeof(problem)));
	assert_true(memory_size_valid(MEMORY_MIN, gib, problem, sizeof(problem)));
	assert_true(memory_size_valid(MEMORY_MIN + 4096, gib, problem, sizeof(problem)));
	assert_true(memory_size_valid(gib, gib, problem, sizeof(problem)));
	assert_true(memory_size_valid(MEMORY_MAX, UINT64_MAX, problem, sizeof(problem)));
	assert_string_equal(problem, "untouched");
	refused(0, gib, "too small");
	refused(1, gib, "multiple of 4K");
	refused((256ull << 20) + 1, gib, "multiple of 4K");
	refused(MEMORY_MIN - 4096, gib, "too small");
	refused(gib + 4096, gib, "only 1024M");
	refused(MEMORY_MAX + 4096, UINT64_MAX, "at most 1T");
	refused(UINT64_MAX & ~4095ull, gib, "at most 1T");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_good),	 cmocka_unit_test(sizes_bad),
		cmocka_unit_test(sizes_printed), cmocka_unit_test(names),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
