/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The guest's memory, the same for every hypervisor. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "hypervisor.h"

/* All present in the host but GUEST_ABSENT's, in 4 KiB pages; the image, page tables, GDT and IDT in it. */
struct memory {
	struct region region[3];
	size_t regions;
};

/* touch: with GUEST_PRESENT and GUEST_ABSENT, whose making takes longer than most rows. */
struct memory *memory_new(bool touch);
void memory_free(struct memory *m);
/* GUEST_ABSENT's, for who runs without a guest. */
void *memory_absent(const struct memory *m);
const uint64_t *memory_results(const struct memory *m);

#endif
