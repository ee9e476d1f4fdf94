/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The leaves and the feature bits of CPUID that Fermata knows, each with what becomes of it. A leaf or a
 * bit that is not listed is hidden.
 */
#ifndef CORE_CPUID_BITS_H
#define CORE_CPUID_BITS_H

#include "host.h"

enum { EAX, EBX, ECX, EDX, CPUID_REGISTERS };

enum cpuid_policy {
	CPUID_HIDDEN,
	CPUID_HOST,	/* shown where the host has it */
	CPUID_PKRU,	/* likewise, and only where PKRU is exchanged with the guest */
	CPUID_SYSTEM,	/* shown where the host's system says so: host_offers() */
	CPUID_EMULATED, /* shown on every host */
	CPUID_CALLERS,	/* as the host has it, but the caller may say otherwise */
};

struct cpuid_bit {
	const char *name; /* as SDM 2A CPUID has it, or APM 3 appendix E; NULL: not listed */
	const char *why;  /* why it is hidden */
	u8 policy;	  /* enum cpuid_policy */
	u8 offer;	  /* enum host_feature, with CPUID_SYSTEM */
	u16 fact; /* of a guest that is shown it, this bool of struct cpuid_table is true; 0: none */
	u32 cr4, efer; /* and it may set these */
};

/*
 * A guest is shown the host's words cut down to `host`, the bits in `own`, and each feature bit as its
 * policy says. A caller may show less; the bits in `callers` are its own to say.
 */
struct cpuid_leaf {
	u32 leaf;
	u32 first, last; /* which ECX this row is about */
	u32 subleaves; /* how many of them are shown at most, each with its own words; 0: all alike */
	bool on_request; /* shown only when the caller does */
	u32 host[CPUID_REGISTERS], own[CPUID_REGISTERS], callers[CPUID_REGISTERS];
	const struct cpuid_bit *bits[CPUID_REGISTERS]; /* 32 of each */
};

/* Sorted by leaf and subleaf. The rows of a leaf cover every ECX. */
extern const struct cpuid_leaf cpuid_leaves[];
extern const u32 cpuid_leaf_count;

/* Bits that cpuid.c fills in or takes away. */
#define CPUID_1_ECX_OSXSAVE 27
#define CPUID_1_EDX_APIC 9
#define CPUID_7_EBX_INVPCID 10
#define CPUID_7_ECX_OSPKE 4
#define CPUID_D_1_EAX_XSAVEC 1

#endif
