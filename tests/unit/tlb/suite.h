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
};

/* Each world as it is: nothing is noticed. */
void suite_unharmed(const struct suite *suite);
/* What one hypervisor leaves in the processors, the next one must not find. */
void suite_one_after_another(const struct config *config);
/* Each world with one flush less. */
void suite_mutated(const struct suite *suite);

#endif
