/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What test_tlb.c and test_tlb_vmx.c do with their tables.
 *
 * TLB_SEED: begin with another seed; TLB_STEPS: so many accesses in each world without a fault.
 */
#ifndef TLB_SUITE_H
#define TLB_SUITE_H

#include "model.h"

struct suite_config {
	const char *name;
	struct config config;
};

/* A fault that must be noticed. */
struct suite_mutant {
	const char *name;
	struct mutation mutation;
	u32 config; /* which world's */
};

struct suite {
	const struct suite_config *configs;
	u32 config_count;
	const struct suite_mutant *mutants;
	u32 mutant_count;
	u32 used; /* the world for one hypervisor after another */
};

/*
 * main() of a test: each world as it is, in which nothing is noticed; one hypervisor after another, of which the next
 * must not find what the last left in the processors; each world with one flush less, which must be noticed.
 */
int suite_run(const struct suite *suite);

#endif
