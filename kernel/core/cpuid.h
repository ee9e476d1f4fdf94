/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the guest's CPU says it is. A leaf or bit that cpuid_bits.c does not list is hidden.
 */
#ifndef CORE_CPUID_H
#define CORE_CPUID_H

#include "host.h"
#include "uapi/fermata.h"

struct vcpu;

#define CPUID_BASIC_LEAVES 0x20
#define CPUID_HYPERVISOR_LEAVES 2
#define CPUID_EXTENDED_LEAVES 0x22

/* Besides FERMATA_CPUID_SUBLEAF: some words are filled in at the moment of the question. */
#define CPUID_VARIES BIT(31)

struct cpuid_table {
	u32 count;
	/* sorted by leaf, subleaf; without flags, an entry answers as it stands */
	struct fermata_cpuid_entry entry[FERMATA_MAX_CPUID];
	/* index + 1 of a leaf's first entry; 0: no such leaf */
	u8 basic[CPUID_BASIC_LEAVES], hypervisor[CPUID_HYPERVISOR_LEAVES],
		extended[CPUID_EXTENDED_LEAVES];
	/* read from the entries by cpuid_bits.c, because MSRs and control registers ask often */
	u64 cr4_allowed, efer_allowed, xcr0_allowed;
	u32 phys_bits, linear_bits;
	bool rdtscp, x2apic, tsc_deadline, tsc_adjust, mtrr, mce, ibpb, arch_capabilities, amd;
	bool kvmclock, kvmclock_stable;
};

/* Everything this host and this hypervisor can show a guest. */
void cpuid_supported(struct fermata_cpuid *out, u64 host_xcr0);
/* -EINVAL, and a line in the host's log, when the caller shows a feature that is not supported. */
int cpuid_set(struct cpuid_table *table, const struct fermata_cpuid *wanted,
	      const struct fermata_cpuid *supported);
/* Under shadow paging INVPCID must exit, and not every CPU can intercept it. */
void cpuid_hide_invpcid(struct cpuid_table *table);
void cpuid_answer(struct vcpu *v); /* executes CPUID on the vCPU's registers */

#endif
