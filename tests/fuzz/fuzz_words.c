// SPDX-License-Identifier: MIT OR GPL-2.0
/* What users write: sizes, names, clocks, spans, dates, rules. What is taken can be written and read again, and means the same. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fermata.h>

#include "cli/text/parse.h"
#include "clock_spec.h"

static char problem[200];

/* What it quotes may have more. */
static void one_line(const char *text)
{
	fuzz_check(problem[0] && (strchr(text, '\n') || !strchr(problem, '\n')),
		   "one line of error");
	problem[0] = 0;
}

static bool size_word(const char *text)
{
	uint64_t bytes, again;
	char written[64];

	name_valid(text);
	if (parse_size(text, &bytes))
		return false;
	fuzz_check(!parse_size(format_size(bytes, written, sizeof(written)), &again) &&
			   again == bytes,
		   "a size as it is written is that size");
	memory_size_valid(bytes, 1ull << 32, problem, sizeof(problem));
	return true;
}

static bool rate_word(const char *text)
{
	uint32_t num, den;

	if (!clock_parse_rate(text, &num, &den, problem, sizeof(problem))) {
		one_line(text);
		return false;
	}
	fuzz_check(num && den && num <= 1000ull * den && den <= 1000ull * num,
		   "a rate from 1/1000 to 1000");
	return true;
}

static bool span_word(const char *text)
{
	int64_t ns = -1;

	if (!clock_parse_span(text, text[0] == '-' || text[0] == '+', &ns, problem,
			      sizeof(problem))) {
		one_line(text);
		return false;
	}
	fuzz_check(ns >= 0 || text[0] == '-', "no span below 0 without its sign");
	return true;
}

static bool date_word(const char *text)
{
	int64_t seconds, again;
	char written[64];

	if (!clock_parse_date(text, &seconds, problem, sizeof(problem))) {
		one_line(text);
		return false;
	}
	clock_format_date(seconds, written, sizeof(written));
	if (text[0] != '@')
		fuzz_check(strlen(written) == 20, "a date of the years 0 to 9999");
	if (strlen(written) == 20) {
		written[19] = 0; /* its Z */
		fuzz_check(clock_parse_date(written, &again, problem, sizeof(problem)) &&
				   again == seconds,
			   "a date as it is written is that date");
	}
	return true;
}

static bool clock_words(const char *text)
{
	struct clock_spec spec = { 0 };

	if (!clock_parse_spec(text, &spec, problem, sizeof(problem))) {
		one_line(text);
		return false;
	}
	fuzz_check(!(spec.frozen && spec.run_only), "frozen and run-only exclude each other");
	return true;
}

static bool rule_words(const char *text)
{
	struct fermata_rule rule, again;
	struct fermata_span wrong = { 0 };
	char written[4096], twice[4096];
	size_t length = strlen(text);

	if (fermata_rule_parse(text, &rule, &wrong)) {
		fuzz_check(fermata_error()[0] && !strchr(fermata_error(), '\n'),
			   "one line of error");
		fuzz_check(wrong.at <= length && wrong.length <= length + 1 - wrong.at,
			   "what is wrong lies in the text, or just behind it");
		return false;
	}
	length = fermata_rule_text(&rule, written, sizeof(written));
	fuzz_check(length < sizeof(written) && strlen(written) == length, "the rule's length");
	fuzz_check(!fermata_rule_parse(written, &again, NULL), "a rule as it is written is one");
	fermata_rule_text(&again, twice, sizeof(twice));
	fuzz_check(!strcmp(written, twice), "and means the same");
	return true;
}

static bool (*const readers[])(const char *text) = { size_word, rate_word,   span_word,
						     date_word, clock_words, rule_words };
#define READERS (sizeof(readers) / sizeof(readers[0]))

static bool words(const uint8_t *data, size_t size)
{
	bool taken;
	char *text;

	if (!size)
		return false;
	text = malloc(size);
	fuzz_check(text, "memory");
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	taken = readers[data[0] % READERS](text);
	free(text);
	return taken;
}

static size_t good(uint8_t *input)
{
	static const struct {
		uint8_t reader;
		const char *text;
	} words[] = {
		{ 0, "256M" },
		{ 0, "1T" },
		{ 0, "18446744073709551615" },
		{ 1, "60" },
		{ 1, "0.25" },
		{ 1, "1/1000" },
		{ 2, "10ms" },
		{ 2, "-1.5s" },
		{ 2, "+292y" },
		{ 2, "3d" },
		{ 3, "2030-01-01" },
		{ 3, "1969-12-31T23:59:59" },
		{ 3, "@-1" },
		{ 3, "9999-12-31T23:59:59" },
		{ 4, "rate=60,date=2030-01-01" },
		{ 4, "frozen" },
		{ 4, "run-only,rate=1/3" },
		{ 5, "cpuid leaf=1 do log" },
		{ 5, "rdmsr msr=0x1b do count" },
		{ 5, "memory addr=0x1000-0x2000 access=w do log,exit" },
		{ 5, "io port=0x60-0x64 dir=in do value=0xff" },
		{ 5, "syscall nr=59 do log" },
	};
	unsigned i = fuzz_random() % (sizeof(words) / sizeof(words[0]));
	size_t length = strlen(words[i].text);

	input[0] = words[i].reader;
	memcpy(input + 1, words[i].text, length);
	return length + 1;
}

const struct fuzz_target fuzz_target = { .name = "words",
					 .one = words,
					 .good = good,
					 .inputs = 200000 };
