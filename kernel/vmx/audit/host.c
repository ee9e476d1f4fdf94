/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The checks on the host-state area: SDM 3C 27.2.2 to 27.2.4, for a host in IA-32e mode. Left out: the
 * MSRs whose VM-exit controls Fermata never sets (IA32_PERF_GLOBAL_CTRL, IA32_PKRS).
 */
#include "vmx/audit/audit.h"
#include "base/arch.h"

/* ---- what the guest's checks need too */

bool vmx_not_zero(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return value;
}

bool vmx_fits_width(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return !(value & vmx_beyond(s));
}

bool vmx_canonical(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return arch_canonical(value, s->limits->linear_bits);
}

bool vmx_pat_valid(const struct vmx_snapshot *s, u64 value, u32 n)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if (!arch_pat_type_valid(value >> i))
			return false;
	return true;
}

bool vmx_efer_bits_exist(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return !(value & ~s->limits->efer);
}

/* SDM 1 17.3.1: bits 9:6 are reserved, SUPPRESS and TRACKER exclude each other, 63:12 are an address. */
bool vmx_s_cet_valid(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return !(value & 0x3c0) && (value >> 10 & 3) != 3 && vmx_canonical(s, value & ~0xfffull, n);
}

bool vmx_cr4_fixed(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return !(s->limits->cr4_fixed0 & ~value) && !(value & ~s->limits->cr4_fixed1);
}

/* ---- registers */

PREDICATE(cr0_fixed)
{
	return !(s->limits->cr0_fixed0 & ~value) && !(value & ~s->limits->cr0_fixed1);
}

PREDICATE(efer_is_64bit)
{
	u64 both = ARCH_EFER_LME | ARCH_EFER_LMA;

	return (value & both) == (s->exit & EXIT_HOST_64BIT ? both : 0);
}

/* ---- the list */

#define CANONICAL "the address must be canonical"
#define FIXED "bits must be as VMX operation fixes them"
#define KERNEL "RPL and TI must be 0"

static const struct vmx_rule rules[] = {
	{ .section = "SDM 3C 27.2.2" },
	{ FIXED, F(host_cr0), .holds = cr0_fixed },
	{ FIXED, F(host_cr4), .holds = vmx_cr4_fixed },
	{ "CR4.CET needs CR0.WP", F(host_cr4), .zero = ARCH_CR4_CET, UNLESS(host_cr0, ARCH_CR0_WP) },
	{ "bits beyond the physical-address width must be 0", F(host_cr3), .holds = vmx_fits_width },
	{ CANONICAL, F(host_sysenter_esp), .holds = vmx_canonical },
	{ CANONICAL, F(host_sysenter_eip), .holds = vmx_canonical },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", F(host_pat),
	  .holds = vmx_pat_valid, WITH(exit, EXIT_LOAD_PAT) },
	{ "bits that this processor's IA32_EFER lacks must be 0", F(host_efer),
	  .holds = vmx_efer_bits_exist, WITH(exit, EXIT_LOAD_EFER) },
	{ "LMA and LME must be as \"host address-space size\"", F(host_efer),
	  .holds = efer_is_64bit, WITH(exit, EXIT_LOAD_EFER) },
	{ "reserved bits must be 0 and the address canonical", F(host_s_cet),
	  .holds = vmx_s_cet_valid, WITH(exit, EXIT_LOAD_CET) },
	{ "bits 1:0 must be 0", F(host_ssp), .zero = 3, WITH(exit, EXIT_LOAD_CET) },
	{ CANONICAL, F(host_ssp), .holds = vmx_canonical, WITH(exit, EXIT_LOAD_CET) },
	{ CANONICAL, F(host_ssp_table), .holds = vmx_canonical, WITH(exit, EXIT_LOAD_CET) },

	{ .section = "SDM 3C 27.2.3" },
	{ KERNEL, F(host_es), .zero = 7 },
	{ KERNEL, F(host_cs), .zero = 7 },
	{ KERNEL, F(host_ss), .zero = 7 },
	{ KERNEL, F(host_ds), .zero = 7 },
	{ KERNEL, F(host_fs), .zero = 7 },
	{ KERNEL, F(host_gs), .zero = 7 },
	{ KERNEL, F(host_tr), .zero = 7 },
	{ "the selector must not be 0", F(host_cs), .holds = vmx_not_zero },
	{ "the selector must not be 0", F(host_tr), .holds = vmx_not_zero },
	{ CANONICAL, F(host_fs_base), .holds = vmx_canonical },
	{ CANONICAL, F(host_gs_base), .holds = vmx_canonical },
	{ CANONICAL, F(host_gdtr_base), .holds = vmx_canonical },
	{ CANONICAL, F(host_idtr_base), .holds = vmx_canonical },
	{ CANONICAL, F(host_tr_base), .holds = vmx_canonical },

	{ .section = "SDM 3C 27.2.4" },
	{ "in IA-32e mode \"host address-space size\" must be 1", F(exit), .one = EXIT_HOST_64BIT },
	{ "in IA-32e mode CR4.PAE must be 1", F(host_cr4), .one = ARCH_CR4_PAE },
	{ CANONICAL, F(host_rip), .holds = vmx_canonical },
};

const struct vmx_rules vmx_host_rules = { rules, ARRAY_SIZE(rules) };
