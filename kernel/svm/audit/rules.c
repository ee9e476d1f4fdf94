/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What VMRUN checks. Left out: the fields of AVIC, SEV and the virtual NMI, which Fermata leaves 0, and
 * U_CET in virtual-8086 mode, which is no part of the VMCB.
 */
#include "svm/audit/audit.h"
#include "svm/vmcb.h"
#include "base/arch.h"

#define MAPS_SECTION "APM 2 15.5.1"
#define STATE_SECTION "APM 2 15.5.1"
#define EVENT_SECTION "APM 2 15.20"
#define NESTED_SECTION "APM 2 15.25.3"
#define NESTED_STATE_SECTION "APM 2 15.25.4"

#define MSRPM_SIZE 0x2000ull /* APM 2 15.11 */
#define IOPM_SIZE 0x3000ull  /* APM 2 15.10.1 */

#define PREDICATE(name) static bool name(const struct svm_snapshot *s, u64 value)

static u64 beyond(const struct svm_limits *limits)
{
	return ~0ull << limits->phys_bits;
}

/* ---- control area */

PREDICATE(intercepts_vmrun)
{
	return value & INTERCEPT_VMRUN;
}

/* The maps' low 12 bits are ignored. */
static bool map_fits(const struct svm_snapshot *s, u64 value, u64 size)
{
	u64 first = value & ~0xfffull, last = first + size - 1;

	return last >= first && !(last & beyond(s->limits));
}

PREDICATE(iopm_fits)
{
	return map_fits(s, value, IOPM_SIZE);
}

PREDICATE(msrpm_fits)
{
	return map_fits(s, value, MSRPM_SIZE);
}

PREDICATE(not_zero)
{
	return value;
}

PREDICATE(event_type_known)
{
	u32 type = value & EVENT_TYPE_MASK;

	return !(value & EVENT_VALID) || type == EVENT_TYPE_INTR || type == EVENT_TYPE_NMI ||
	       type == EVENT_TYPE_EXCEPTION || type == EVENT_TYPE_SOFT;
}

PREDICATE(exception_exists)
{
	return !(value & EVENT_VALID) || (value & EVENT_TYPE_MASK) != EVENT_TYPE_EXCEPTION ||
	       arch_is_exception(value & 0xff);
}

PREDICATE(nesting_from_paging)
{
	return !(value & NP_ENABLE) || s->host_cr0 & ARCH_CR0_PG;
}

PREDICATE(nested_root_fits)
{
	return !(s->nested_ctl & NP_ENABLE) || !(value & beyond(s->limits));
}

PREDICATE(nested_pat_types)
{
	u32 i;

	for (i = 0; s->nested_ctl & NP_ENABLE && i < 64; i += 8)
		if (!arch_pat_type_valid(value >> i))
			return false;
	return true;
}

/* ---- state save area */

PREDICATE(svm_is_on)
{
	return value & ARCH_EFER_SVME;
}

PREDICATE(efer_bits_exist)
{
	return !(value & ~(s->limits->efer | ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_SVME));
}

PREDICATE(long_mode_exists)
{
	return s->limits->long_mode || !(value & (ARCH_EFER_LME | ARCH_EFER_LMA));
}

PREDICATE(nw_needs_cd)
{
	return value & ARCH_CR0_CD || !(value & ARCH_CR0_NW);
}

PREDICATE(upper_half_zero)
{
	return !(value >> 32);
}

static bool long_paging(const struct svm_snapshot *s)
{
	return s->efer & ARCH_EFER_LME && s->cr0 & ARCH_CR0_PG;
}

/* Outside long mode CR3 has 32 bits. */
PREDICATE(cr3_fits)
{
	return !long_paging(s) || !(value & beyond(s->limits));
}

PREDICATE(cr4_bits_exist)
{
	return !(value & ~s->limits->cr4);
}

PREDICATE(long_paging_has_pae)
{
	return !long_paging(s) || value & ARCH_CR4_PAE;
}

PREDICATE(long_paging_is_protected)
{
	return !long_paging(s) || value & ARCH_CR0_PE;
}

PREDICATE(not_long_and_default)
{
	return !long_paging(s) || !(s->cr4 & ARCH_CR4_PAE) ||
	       (value & (ARCH_SEG_L | ARCH_SEG_DB)) != (ARCH_SEG_L | ARCH_SEG_DB);
}

PREDICATE(cet_needs_wp)
{
	return !(value & ARCH_CR4_CET) || s->cr0 & ARCH_CR0_WP;
}

/* APM 2 18.8: SH_STK_EN and WR_SHSTK_EN */
PREDICATE(s_cet_bits_exist)
{
	return !(s->limits->cr4 & ARCH_CR4_CET) || !(value & ~3ull);
}

/* ---- the list */

#define F(member) offsetof(struct svm_snapshot, member)

static const struct svm_rule rules[] = {
	{ "the VMRUN intercept must be set", MAPS_SECTION, F(intercepts), intercepts_vmrun },
	{ "the I/O permission map must end within the physical-address width", MAPS_SECTION,
	  F(iopm_base_pa), iopm_fits },
	{ "the MSR permission map must end within the physical-address width", MAPS_SECTION,
	  F(msrpm_base_pa), msrpm_fits },
	{ "the ASID must not be 0", MAPS_SECTION, F(guest_asid), not_zero },
	{ "an injected event's TYPE must be 0, 2, 3 or 4", EVENT_SECTION, F(eventinj),
	  event_type_known },
	{ "an injected exception's vector must be that of an exception", EVENT_SECTION, F(eventinj),
	  exception_exists },
	{ "nested paging needs paging in the host", NESTED_SECTION, F(nested_ctl),
	  nesting_from_paging },
	{ "bits beyond the physical-address width must be 0", NESTED_STATE_SECTION, F(n_cr3),
	  nested_root_fits },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", NESTED_STATE_SECTION, F(g_pat),
	  nested_pat_types },

	{ "EFER.SVME must be 1", STATE_SECTION, F(efer), svm_is_on },
	{ "bits that this processor's EFER lacks must be 0", STATE_SECTION, F(efer),
	  efer_bits_exist },
	{ "EFER.LME and LMA must be 0 on a processor without long mode", STATE_SECTION, F(efer),
	  long_mode_exists },
	{ "CR0.NW needs CR0.CD", STATE_SECTION, F(cr0), nw_needs_cd },
	{ "bits 63:32 must be 0", STATE_SECTION, F(cr0), upper_half_zero },
	{ "in long mode bits beyond the physical-address width must be 0", STATE_SECTION, F(cr3),
	  cr3_fits },
	{ "bits that this processor's CR4 lacks must be 0", STATE_SECTION, F(cr4), cr4_bits_exist },
	{ "EFER.LME with CR0.PG needs CR4.PAE", STATE_SECTION, F(cr4), long_paging_has_pae },
	{ "EFER.LME with CR0.PG needs CR0.PE", STATE_SECTION, F(cr0), long_paging_is_protected },
	{ "CS.L and CS.D must not both be 1 in long mode", STATE_SECTION, F(cs),
	  not_long_and_default },
	{ "bits 63:32 must be 0", STATE_SECTION, F(dr6), upper_half_zero },
	{ "bits 63:32 must be 0", STATE_SECTION, F(dr7), upper_half_zero },
	{ "CR4.CET needs CR0.WP", STATE_SECTION, F(cr4), cet_needs_wp },
	{ "bits that S_CET lacks must be 0", STATE_SECTION, F(s_cet), s_cet_bits_exist },
};

const struct svm_rules svm_rules = { rules, ARRAY_SIZE(rules) };
