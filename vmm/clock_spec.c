/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "clock_spec.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "uapi/fermata.h"

#define SECOND 1000000000ll

static bool wrong(char *problem, size_t size, const char *word, size_t length, const char *what)
{
	if (length > 60)
		length = 60;
	snprintf(problem, size, "'%.*s' %s", (int)length, word, what);
	return false;
}

/* A decimal number of at most 18 digits as value / scale; how long it is, 0: it is none. */
static size_t decimal(const char *text, uint64_t *value, uint64_t *scale)
{
	size_t i, digits = 0;
	bool point = false;

	*value = 0;
	*scale = 1;
	for (i = 0; text[i]; i++) {
		if (text[i] == '.' && !point && digits) {
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9')
			break;
		if (++digits > 18)
			return 0;
		*value = *value * 10 + (uint64_t)(text[i] - '0');
		if (point)
			*scale *= 10;
	}
	return digits && text[i - 1] != '.' ? i : 0;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static bool parse_rate(const char *text, size_t length, uint32_t *num, uint32_t *den, char *problem,
		       size_t size)
{
	static const char rates[] = "is no rate; give a number or a fraction from 1/1000 to 1000,"
				    " such as 60, 0.5 or 1/3";
	uint64_t above, below = 1, above_scale, below_scale = 1, common;
	size_t n = decimal(text, &above, &above_scale);

	if (n && text[n] == '/' && n < length) {
		size_t more = decimal(text + n + 1, &below, &below_scale);

		n = more ? n + 1 + more : 0;
	}
	if (!n || n != length || !above || !below ||
	    __builtin_mul_overflow(above, below_scale, &above) ||
	    __builtin_mul_overflow(below, above_scale, &below))
		return wrong(problem, size, text, length, rates);
	common = divisor(above, below);
	above /= common;
	below /= common;
	if (above > UINT32_MAX || below > UINT32_MAX || above > below * FERMATA_CLOCK_RATE_MAX ||
	    below > above * FERMATA_CLOCK_RATE_MAX)
		return wrong(problem, size, text, length, rates);
	*num = (uint32_t)above;
	*den = (uint32_t)below;
	return true;
}

bool clock_parse_rate(const char *text, uint32_t *num, uint32_t *den, char *problem, size_t size)
{
	return parse_rate(text, strlen(text), num, den, problem, size);
}

bool clock_parse_span(const char *text, bool sign, int64_t *ns, char *problem, size_t size)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", SECOND },
		{ "m", 60 * SECOND },
		{ "min", 60 * SECOND },
		{ "h", 3600 * SECOND },
		{ "d", 86400 * SECOND },
	};
	bool negative = sign && *text == '-';
	const char *p = text + (sign && (*text == '-' || *text == '+'));
	uint64_t value, scale;
	__int128 span;
	size_t n = decimal(p, &value, &scale);

	for (size_t i = 0; n && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(p + n, units[i].name))
			continue;
		span = (__int128)value * units[i].ns;
		if (span % scale)
			return wrong(problem, size, text, strlen(text),
				     "is no whole number of ns; give fewer digits");
		span /= scale;
		if (span > INT64_MAX)
			return wrong(problem, size, text, strlen(text),
				     "is more than 292 years; give less");
		*ns = negative ? -(int64_t)span : (int64_t)span;
		return true;
	}
	return wrong(problem, size, text, strlen(text),
		     "is no span of time; give a number with ns, us, ms, s, m, h or d, such as 10ms");
}

/* `digits` digits at *p, which moves behind them. */
static bool field(const char **p, unsigned digits, int *value)
{
	*value = 0;
	for (unsigned i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*value = *value * 10 + (**p - '0');
	}
	return true;
}

/* A date in UTC; tm is what it says. False: not of that form. */
static bool calendar(const char *p, const char *end, struct tm *tm)
{
	memset(tm, 0, sizeof(*tm));
	if (!field(&p, 4, &tm->tm_year) || *p++ != '-' || !field(&p, 2, &tm->tm_mon) ||
	    *p++ != '-' || !field(&p, 2, &tm->tm_mday))
		return false;
	if (p < end && (*p == 'T' || *p == ' ')) {
		p++;
		if (!field(&p, 2, &tm->tm_hour) || *p++ != ':' || !field(&p, 2, &tm->tm_min))
			return false;
		if (p < end && *p == ':') {
			p++;
			if (!field(&p, 2, &tm->tm_sec))
				return false;
		}
		if (p < end && *p == 'Z')
			p++;
	}
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return p == end;
}

static bool parse_date(const char *text, size_t length, int64_t *seconds, char *problem, size_t size)
{
	struct tm tm, back;
	uint64_t value, scale;
	time_t t;

	if (length == 3 && !strncmp(text, "now", 3)) {
		*seconds = time(NULL);
		return true;
	}
	if (*text == '@') {
		if (length == 1 || decimal(text + 1, &value, &scale) + 1 != length || scale != 1 ||
		    value > 253402300799)
			return wrong(problem, size, text, length,
				     "is no date; give @ and the seconds since 1970, up to year 9999");
		*seconds = (int64_t)value;
		return true;
	}
	if (!calendar(text, text + length, &tm))
		return wrong(problem, size, text, length,
			     "is no date; give one such as 2030-01-31, 2030-01-31T12:00:00, or now");
	back = tm;
	t = timegm(&back);
	if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 59)
		return wrong(problem, size, text, length,
			     "is on no calendar or clock; give a day and a time that exist");
	*seconds = t;
	return true;
}

bool clock_parse_date(const char *text, int64_t *seconds, char *problem, size_t size)
{
	return parse_date(text, strlen(text), seconds, problem, size);
}

const char *clock_format_date(int64_t seconds, char *text, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&t, &tm))
		snprintf(text, size, "%04lld-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900ll,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		snprintf(text, size, "-");
	return text;
}

static bool word_is(const char *word, size_t length, const char *what)
{
	return length == strlen(what) && !strncmp(word, what, length);
}

bool clock_parse_spec(const char *text, struct clock_spec *spec, char *problem, size_t size)
{
	memset(spec, 0, sizeof(*spec));
	for (;;) {
		size_t length = strcspn(text, ",");
		bool good = true;

		if (length > 5 && !strncmp(text, "rate=", 5))
			good = parse_rate(text + 5, length - 5, &spec->num, &spec->den, problem,
					  size);
		else if (length > 5 && !strncmp(text, "date=", 5))
			good = spec->dated =
				parse_date(text + 5, length - 5, &spec->date, problem, size);
		else if (word_is(text, length, "frozen"))
			spec->frozen = true;
		else if (word_is(text, length, "run-only"))
			spec->run_only = true;
		else
			good = wrong(problem, size, text, length,
				     "says nothing about a clock; give rate=X, frozen, run-only or date=DATE");
		if (!good)
			return false;
		if (!text[length])
			return true;
		text += length + 1;
	}
}
