/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What VMRUN checks. Left out: the fields of AVIC, SEV and the virtual NMI, which Fermata leaves 0, and
 * U_CET in virtual-8086 mode, which is no part of the VMCB.
 */
#include "svm/audit/audit.h"
#include "svm/vmcb.h"
#include "base/arch.h"

#define MSRPM_SIZE 0x2000ull /* APM 2 15.11 */
#define IOPM_SIZE 0x3000ull  /* APM 2 15.10.1 */

#define PREDICATE(name) static bool name(const struct svm_snapshot *s, u64 value)

static u64 beyond(const struct svm_limits *limits)
{
	return ~0ull << limits->phys_bits;
}

/* ---- control area */

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

	return type == EVENT_TYPE_INTR || type == EVENT_TYPE_NMI || type == EVENT_TYPE_EXCEPTION ||
	       type == EVENT_TYPE_SOFT;
}

PREDICATE(exception_exists)
{
	return (value & EVENT_TYPE_MASK) != EVENT_TYPE_EXCEPTION || arch_is_exception(value & 0xff);
}

PREDICATE(fits_width)
{
	return !(value & beyond(s->limits));
}

PREDICATE(pat_valid)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if (!arch_pat_type_valid(value >> i))
			return false;
	return true;
}

/* ---- state save area */

PREDICATE(efer_bits_exist)
{
	return !(value & ~(s->limits->efer | ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_SVME));
}

PREDICATE(long_mode_exists)
{
	return s->limits->long_mode || !(value & (ARCH_EFER_LME | ARCH_EFER_LMA));
}

PREDICATE(long_paging)
{
	return s->efer & ARCH_EFER_LME && s->cr0 & ARCH_CR0_PG;
}

PREDICATE(cr4_bits_exist)
{
	return !(value & ~s->limits->cr4);
}

PREDICATE(not_long_and_default)
{
	return !(s->cr4 & ARCH_CR4_PAE) ||
	       (value & (ARCH_SEG_L | ARCH_SEG_DB)) != (ARCH_SEG_L | ARCH_SEG_DB);
}

/* APM 2 18.8: SH_STK_EN and WR_SHSTK_EN */
PREDICATE(s_cet_bits_exist)
{
	return !(s->limits->cr4 & ARCH_CR4_CET) || !(value & ~3ull);
}

/* ---- the list */

#define F(member) offsetof(struct svm_snapshot, member)
#define WITH(member, set) .with = F(member), .bits = (set)
#define UNLESS(member, set) .unless = F(member), .none = (set)
#define UPPER_HALF (~0ull << 32)

static const struct svm_rule rules[] = {
	{ .section = "APM 2 15.5.1" },
	{ "the VMRUN intercept must be set", F(intercepts), .one = INTERCEPT_VMRUN },
	{ "the I/O permission map must end within the physical-address width", F(iopm_base_pa),
	  .holds = iopm_fits },
	{ "the MSR permission map must end within the physical-address width", F(msrpm_base_pa),
	  .holds = msrpm_fits },
	{ "the ASID must not be 0", F(guest_asid), .holds = not_zero },

	{ .section = "APM 2 15.20" },
	{ "an injected event's TYPE must be 0, 2, 3 or 4", F(eventinj), .holds = event_type_known,
	  WITH(eventinj, EVENT_VALID) },
	{ "an injected exception's vector must be that of an exception", F(eventinj),
	  .holds = exception_exists, WITH(eventinj, EVENT_VALID) },

	{ .section = "APM 2 15.25.3" },
	{ "nested paging needs paging in the host", F(nested_ctl), .zero = NP_ENABLE,
	  UNLESS(host_cr0, ARCH_CR0_PG) },

	{ .section = "APM 2 15.25.4" },
	{ "bits beyond the physical-address width must be 0", F(n_cr3), .holds = fits_width,
	  WITH(nested_ctl, NP_ENABLE) },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", F(g_pat), .holds = pat_valid,
	  WITH(nested_ctl, NP_ENABLE) },

	{ .section = "APM 2 15.5.1" },
	{ "EFER.SVME must be 1", F(efer), .one = ARCH_EFER_SVME },
	{ "bits that this processor's EFER lacks must be 0", F(efer), .holds = efer_bits_exist },
	{ "EFER.LME and LMA must be 0 on a processor without long mode", F(efer),
	  .holds = long_mode_exists },
	{ "CR0.NW needs CR0.CD", F(cr0), .one = ARCH_CR0_CD, WITH(cr0, ARCH_CR0_NW) },
	{ "bits 63:32 must be 0", F(cr0), .zero = UPPER_HALF },
	/* Outside long mode CR3 has 32 bits. */
	{ "in long mode bits beyond the physical-address width must be 0", F(cr3),
	  .holds = fits_width, .when = long_paging },
	{ "bits that this processor's CR4 lacks must be 0", F(cr4), .holds = cr4_bits_exist },
	{ "EFER.LME with CR0.PG needs CR4.PAE", F(cr4), .one = ARCH_CR4_PAE, .when = long_paging },
	{ "EFER.LME with CR0.PG needs CR0.PE", F(cr0), .one = ARCH_CR0_PE, .when = long_paging },
	{ "CS.L and CS.D must not both be 1 in long mode", F(cs), .holds = not_long_and_default,
	  .when = long_paging },
	{ "bits 63:32 must be 0", F(dr6), .zero = UPPER_HALF },
	{ "bits 63:32 must be 0", F(dr7), .zero = UPPER_HALF },
	{ "CR4.CET needs CR0.WP", F(cr4), .zero = ARCH_CR4_CET, UNLESS(cr0, ARCH_CR0_WP) },
	{ "bits that S_CET lacks must be 0", F(s_cet), .holds = s_cet_bits_exist },
};

const struct svm_rules svm_rules = { rules, ARRAY_SIZE(rules) };
