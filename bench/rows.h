/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The rows that one small guest measures: one operation each. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "hypervisor.h"

struct row {
	const char *name;
	const uint8_t *body, *intel_body; /* in guest.S; the second where Intel's differs */
	uint64_t argument;
	uint32_t iterations;
	bool cold; /* what is measured happens once for each page, so nothing runs before it */
	bool trap; /* with the TSC's reads trapped */
	uint32_t turns; /* of which one operation has so many; 0: one. Only where it is asked for: bench/floor */
	bool native; /* the processor's or Linux's own work; needs no privilege */
};

struct result {
	uint64_t instructions; /* or TSC ticks, where these are not the same */
	double exits;	       /* VM exits, for one operation */
};

extern const struct row rows[];
extern const size_t row_count;

/* False: this hypervisor has no such way (row->trap). */
bool row_measure(const struct row *row, const struct hypervisor *h, const struct ways *ways,
		 struct result *result);
/* The same without a guest, for rows that are native. */
void row_measure_native(const struct row *row, struct result *result);

#endif
