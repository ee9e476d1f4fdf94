/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How people write rates, spans of time and dates, and what a guest's clock is to be from its start.
 * Pure functions; false: problem[] says which word is wrong, why, and what to write.
 */
#ifndef VMM_CLOCK_SPEC_H
#define VMM_CLOCK_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock_spec {
	uint32_t num, den; /* the rate; den 0: 1 */
	bool frozen, run_only;
	bool dated;
	int64_t date; /* of the RTC, s since 1970; with dated */
};

/* "rate=60", "frozen", "run-only", "date=2030-01-01", several with commas between them. */
bool clock_parse_spec(const char *text, struct clock_spec *spec, char *problem, size_t size);
/* "2", "0.25", "1/3": 1/1000 to 1000. */
bool clock_parse_rate(const char *text, uint32_t *num, uint32_t *den, char *problem, size_t size);
/* "10ms", "1.5s", "2h", "3d"; with `sign`, a + or - may stand before it. In ns. */
bool clock_parse_span(const char *text, bool sign, int64_t *ns, char *problem, size_t size);
/* "2030-01-01", "2030-01-01T12:00:30" (UTC, years 0 to 9999), "@SECONDS" since 1970, "now". */
bool clock_parse_date(const char *text, int64_t *seconds, char *problem, size_t size);
/* "2030-01-01T12:00:30Z" */
const char *clock_format_date(int64_t seconds, char *text, size_t size);

#endif
