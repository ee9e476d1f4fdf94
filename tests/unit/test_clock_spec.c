// SPDX-License-Identifier: MIT OR GPL-2.0
/* vmm/clock_spec.c: rates, spans and dates as people write them; what is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clock_spec.h"

static char problem[300];

/* One line that quotes the word, says what is wrong, and what to write. */
static void assert_named(const char *word)
{
	char quoted[80];

	snprintf(quoted, sizeof(quoted), "'%.60s' ", word);
	assert_int_equal(strncmp(problem, quoted, strlen(quoted)), 0);
	assert_non_null(strstr(problem, "; give "));
	assert_null(strchr(problem, '\n'));
}

static void rates(void **state)
{
	static const struct {
		const char *text;
		uint32_t num, den;
	} good[] = {
		{ "1", 1, 1 },	  { "60", 60, 1 },     { "0.5", 1, 2 },	     { "1/3", 1, 3 },
		{ "2.50", 5, 2 }, { "1000", 1000, 1 }, { "0.001", 1, 1000 }, { "1/1000", 1, 1000 },
		{ "6/4", 3, 2 },  { "1.5/4.5", 1, 3 }, { "007", 7, 1 },
	};
	static const char *const bad[] = {
		"",
		"0",
		"-1",
		"+1",
		"1001",
		"0.0009",
		"1/1001",
		"1/0",
		"0/1",
		"1/",
		"/2",
		"1/2/3",
		".5",
		"5.",
		"1e3",
		"0x10",
		"1 ",
		" 1",
		"rate",
		"1,5",
		"9999999999999999999",
		"0.1234567890123456789",
		"1/2x",
	};
	uint32_t num, den;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(clock_parse_rate(good[i].text, &num, &den, problem, sizeof(problem)));
		assert_int_equal(num, good[i].num);
		assert_int_equal(den, good[i].den);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(clock_parse_rate(bad[i], &num, &den, problem, sizeof(problem)));
		assert_named(bad[i]);
	}
}

static void spans(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "0s", 0 },
		{ "1ns", 1 },
		{ "10ms", 10000000 },
		{ "1.5s", 1500000000 },
		{ "2h", 7200000000000 },
		{ "90m", 5400000000000 },
		{ "1min", 60000000000 },
		{ "3d", 259200000000000 },
		{ "0.25us", 250 },
		{ "106751d", 9223286400000000000 },
	};
	static const char *const bad[] = { "",
					   "10",
					   "ms",
					   "10 ms",
					   "1.5ns",
					   "-1s",
					   "1.5.5s",
					   "10msec",
					   "1y",
					   "106752d",
					   "1e9s",
					   "--1s",
					   "999999999999999999d" };
	char text[40];
	int64_t ns;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(clock_parse_span(good[i].text, false, &ns, problem, sizeof(problem)));
		assert_true(ns == good[i].ns);
		snprintf(text, sizeof(text), "-%s", good[i].text);
		assert_true(clock_parse_span(text, true, &ns, problem, sizeof(problem)));
		assert_true(ns == -good[i].ns);
		assert_false(clock_parse_span(text, false, &ns, problem, sizeof(problem)));
		text[0] = '+';
		assert_true(clock_parse_span(text, true, &ns, problem, sizeof(problem)));
		assert_true(ns == good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(clock_parse_span(bad[i], false, &ns, problem, sizeof(problem)));
		assert_named(bad[i]);
	}
}

static void dates(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {
		{ "1970-01-01", 0 },
		{ "2030-01-01T12:00:30", 1893499230 },
		{ "2030-01-01 12:00", 1893499200 },
		{ "2000-02-29T23:59:59Z", 951868799 },
		{ "0000-01-01", -62167219200 },
		{ "9999-12-31T23:59:59", 253402300799 },
		{ "@1893456000", 1893456000 },
	};
	static const char *const bad[] = {
		"",
		"tomorrow",
		"2030",
		"2030-1-1",
		"2030-01-01T",
		"2030-02-30",
		"2030-13-01",
		"2030-01-01T24:00",
		"2030-01-01T12:60:00",
		"@",
		"@-1",
		"@1.5",
		"2030-01-01x",
		"2030-01-01T12:00:00+01",
		"2001-02-29",
		"2030-00-10",
		"@999999999999",
	};
	char text[40];
	int64_t seconds, now = time(NULL);

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(clock_parse_date(good[i].text, &seconds, problem, sizeof(problem)));
		assert_true(seconds == good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(clock_parse_date(bad[i], &seconds, problem, sizeof(problem)));
		assert_named(bad[i]);
	}
	assert_true(clock_parse_date("now", &seconds, problem, sizeof(problem)));
	assert_true(seconds >= now && seconds < now + 60);
	assert_string_equal(clock_format_date(-61220448000, text, sizeof(text)),
			    "0030-01-01T00:00:00Z");
	assert_string_equal(clock_format_date(1893499230, text, sizeof(text)),
			    "2030-01-01T12:00:30Z");
}

static void specs(void **state)
{
	static const char *const bad[][2] = {
		{ "", "" },
		{ "rate=0", "0" },
		{ "rate=2,fast", "fast" },
		{ "frozen,rate=x", "x" },
		{ "frozen,", "" },
		{ "date=never,frozen", "never" },
		{ "frozenly", "frozenly" },
		{ "rate", "rate" },
		{ "rate=", "rate=" },
		{ "rate=2 ,frozen", "2 " },
	};
	struct clock_spec spec;

	assert_true(clock_parse_spec("rate=1/3", &spec, problem, sizeof(problem)));
	assert_true(spec.num == 1 && spec.den == 3 && !spec.frozen && !spec.dated);
	assert_true(clock_parse_spec("frozen,date=2030-01-01,rate=60", &spec, problem,
				     sizeof(problem)));
	assert_true(spec.num == 60 && spec.den == 1 && spec.frozen && spec.dated);
	assert_int_equal(spec.date, 1893456000);
	assert_true(clock_parse_spec("run-only", &spec, problem, sizeof(problem)));
	assert_true(spec.run_only && !spec.frozen && !spec.den);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(clock_parse_spec(bad[i][0], &spec, problem, sizeof(problem)));
		assert_named(bad[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates),
		cmocka_unit_test(spans),
		cmocka_unit_test(dates),
		cmocka_unit_test(specs),
	};

	return cmocka_run_group_tests_name("clocks in words", tests, NULL, NULL);
}
