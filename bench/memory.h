/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The guest's memory, the same for every hypervisor. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "hypervisor.h"

#define MEMORY_REGIONS 3

/* All present in the host but GUEST_ABSENT's, in 4 KiB pages; the image, page tables, GDT and IDT in it. */
struct memory {
	struct region region[MEMORY_REGIONS];
};

struct memory *memory_new(void);
void memory_free(struct memory *m);
const uint64_t *memory_results(const struct memory *m);

#endif
