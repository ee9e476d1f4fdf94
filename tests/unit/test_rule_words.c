/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Rules in words: what they say, what is wrong with those that are none, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fermata.h"

#define BIT_OF(name) (1u << FERMATA_FILTER_##name)

static const char gpa_0[] = " gpa=0"; /* rules about memory say which */

static struct fermata_rule parsed(const char *text)
{
	struct fermata_rule rule;

	assert_int_equal(fermata_rule_parse(text, &rule, NULL), 0);
	return rule;
}

static void events_by_name(void **state)
{
	for (unsigned i = 0; i < FERMATA_ON_EVENTS; i++) {
		bool memory = i >= FERMATA_ON_READ && i <= FERMATA_ON_EXEC;
		struct fermata_rule rule;
		char text[64];

		snprintf(text, sizeof(text), "%s%s", fermata_event_name(i), memory ? gpa_0 : "");
		rule = parsed(text);
		assert_int_equal(rule.event, i);
		assert_int_equal(rule.actions, 0);
		assert_int_equal(rule.filters, memory ? BIT_OF(GPA) : 0);
	}
	assert_null(fermata_event_name(FERMATA_ON_EVENTS));
}

static void filters(void **state)
{
	struct fermata_rule r =
		parsed("wrmsr msr=0x10..0x20 value=5 cpl=0 cr3=0x1fff rip=1..2 first=3 every=4");

	assert_int_equal(r.filters,
			 BIT_OF(NUMBER) | BIT_OF(VALUE) | BIT_OF(CPL) | BIT_OF(CR3) | BIT_OF(RIP));
	assert_int_equal(r.range[FERMATA_FILTER_NUMBER].first, 0x10);
	assert_int_equal(r.range[FERMATA_FILTER_NUMBER].last, 0x20);
	assert_int_equal(r.range[FERMATA_FILTER_VALUE].first, 5);
	assert_int_equal(r.range[FERMATA_FILTER_VALUE].last, 5);
	assert_int_equal(r.range[FERMATA_FILTER_CR3].first, 0x1000);
	assert_int_equal(r.range[FERMATA_FILTER_RIP].last, 2);
	assert_int_equal(r.first, 3);
	assert_int_equal(r.every, 4);
	assert_int_equal(parsed("rdmsr msr=efer").range[0].first, 0xc0000080);
	assert_int_equal(parsed("exception vector=pf").range[0].first, 14);
	assert_int_equal(parsed("invlpg gva=0xffffffffffffffff").range[FERMATA_FILTER_GVA].last,
			 UINT64_MAX);
}

static void actions(void **state)
{
	struct fermata_rule r = parsed("cpuid do log set eax=-1 set r8=0x10, skip");

	assert_int_equal(r.actions, FERMATA_DO_LOG | FERMATA_DO_SET | FERMATA_DO_SKIP);
	assert_int_equal(r.sets, 2);
	assert_int_equal(r.reg[0], FERMATA_RAX);
	assert_int_equal(r.value[0], 0xffffffff);
	assert_int_equal(r.reg[1], FERMATA_R8);
	assert_int_equal(r.value[1], 0x10);
	assert_int_equal(parsed("cpuid do set rax=-1").value[0], UINT64_MAX);
	assert_int_equal(parsed("cpuid do set r9d=7").reg[0], FERMATA_R9);
	r = parsed("rdtsc do log inject gp:0x10");
	assert_int_equal(r.vector, 13);
	assert_int_equal(r.has_code, 1);
	assert_int_equal(r.code, 0x10);
	r = parsed("rdtsc do inject 6");
	assert_int_equal(r.vector, 6);
	assert_int_equal(r.has_code, 0);
	assert_int_equal(parsed("exception vector=3..4 do skip").actions, FERMATA_DO_SKIP);
	assert_int_equal(parsed("cpuid do count").actions, 0);
}

/* Where the word begins, and how long it is. */
static void errors(void **state)
{
	static const struct {
		const char *text;
		unsigned at, length;
	} wrong[] = {
		{ "", 0, 1 },
		{ "cpuit", 0, 5 },
		{ "cpuid lief=1", 6, 4 },
		{ "cpuid leaf=x", 11, 1 },
		{ "cpuid leaf=1x", 11, 2 },
		{ "cpuid leaf=0x1ffffffffffffffff", 11, 19 },
		{ "cpuid leaf=", 11, 1 },
		{ "cpuid leaf=1..x", 14, 1 },
		{ "cpuid leaf=7..1", 11, 4 },
		{ "cpuid leaf=1 leaf=2", 13, 6 },
		{ "cpuid msr=1", 6, 3 },
		{ "rdmsr value=1", 6, 5 },
		{ "hlt gva=1", 4, 3 },
		{ "cpuid log", 6, 3 },
		{ "cpuid first=0", 12, 1 },
		{ "cpuid every=1 every=2", 14, 7 },
		{ "cpuid do", 8, 1 },
		{ "cpuid do sing", 9, 4 },
		{ "cpuid do set", 12, 1 },
		{ "cpuid do set rax", 13, 3 },
		{ "cpuid do set xax=1", 13, 3 },
		{ "cpuid do set rax=y", 17, 1 },
		{ "cpuid do set eax=0x100000000", 17, 11 },
		{ "cpuid do set rax=1 set rbx=1 set rcx=1 set rdx=1 set rsi=1", 53, 5 },
		{ "cpuid do inject 2", 16, 1 },
		{ "cpuid do inject 32", 16, 2 },
		{ "cpuid do inject gp:z", 19, 1 },
		{ "cpuid do inject ud:0", 18, 2 },
		{ "cpuid do stop skip", 14, 4 },
		{ "cpuid do inject ud skip", 19, 4 },
		{ "exception do skip", 13, 4 },
		{ "exception vector=14 do skip", 23, 4 },
		{ "read", 4, 1 },
		{ "write cpl=3 do log", 12, 2 },
		{ "write gva=0x1fff..0x11000 cpl=3 do log", 6, 19 },
	};
	struct fermata_rule rule;
	struct fermata_span span;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		span = (struct fermata_span){ 99, 99 };
		if (fermata_rule_parse(wrong[i].text, &rule, &span) >= 0 ||
		    span.at != wrong[i].at || span.length != wrong[i].length)
			fail_msg("'%s': %u+%u %s", wrong[i].text, span.at, span.length,
				 fermata_error());
		assert_string_not_equal(fermata_error(), "");
	}
}

/* What is written for people reads back as the same rule. */
static void round_trip(void **state)
{
	static const char *const texts[] = {
		"cpuid do count",
		"wrmsr msr=0x10..0x20 value=5 cpl=0..3 cr3=0x1000 rip=1..0xffffffffffffffff first=3 every=4 do log",
		"cpuid leaf=1 do log skip set rax=0xffffffffffffffff set r15=0",
		"exception vector=0xe gva=0x1000..0x1fff do stop",
		"in port=0x3f8..0x3ff do inject 13:0x18",
		"syscall nr=0x3b do log inject 6",
		"write gpa=0x1000..0x100000000 gva=0..0xffffffffffffffff do log",
		"exec gva=0xfff..0xffff cr3=0x1000 do stop",
	};
	char text[300];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fermata_rule a = parsed(texts[i]), b;

		assert_true(fermata_rule_text(&a, text, sizeof(text)) < sizeof(text));
		b = parsed(text);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void text_fits(void **state)
{
	struct fermata_rule r = parsed("cpuid leaf=1 do log");
	char text[64];
	size_t whole = fermata_rule_text(&r, NULL, 0);

	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, '!', sizeof(text));
		assert_int_equal(fermata_rule_text(&r, text, size), whole);
		assert_int_equal(strlen(text), size - 1 < whole ? size - 1 : whole);
		assert_int_equal(text[size], '!');
	}
}

/* Nothing that is typed breaks it. */
static void noise(void **state)
{
	static const char letters[] = "cpuid leaf=1..x do set rax=-:0x, log\t";
	struct fermata_rule rule;
	struct fermata_span span;
	char text[41];

	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned length = (unsigned)rand() % 40;

		for (unsigned n = 0; n < length; n++)
			text[n] = letters[(unsigned)rand() % (sizeof(letters) - 1)];
		memcpy(text, "cpuid ", length > 6 && i % 2 ? 6 : 0);
		text[length] = 0;
		if (fermata_rule_parse(text, &rule, &span))
			assert_true(span.at <= length && span.length >= 1 &&
				    span.at + span.length <= length + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_by_name), cmocka_unit_test(filters),
		cmocka_unit_test(actions),	  cmocka_unit_test(errors),
		cmocka_unit_test(round_trip),	  cmocka_unit_test(text_fits),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
