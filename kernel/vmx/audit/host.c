/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The checks on the host-state area: SDM 3C 27.2.2 to 27.2.4, for a host in IA-32e mode. Left out: the
 * MSRs whose VM-exit controls Fermata never sets (IA32_PERF_GLOBAL_CTRL, IA32_PKRS).
 */
#include "vmx/audit/audit.h"
#include "base/arch.h"

#define REGISTERS "SDM 3C 27.2.2"
#define SEGMENTS "SDM 3C 27.2.3"
#define ADDRESS_SIZE "SDM 3C 27.2.4"

/* ---- what the guest's checks need too */

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

bool vmx_ssp_aligned(const struct vmx_snapshot *s, u64 value, u32 n)
{
	return !(value & 3);
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

PREDICATE(cet_needs_wp)
{
	return s->host_cr0 & ARCH_CR0_WP || !(value & ARCH_CR4_CET);
}

PREDICATE(fits_width)
{
	return !(value & vmx_beyond(s));
}

PREDICATE(efer_is_64bit)
{
	u64 both = ARCH_EFER_LME | ARCH_EFER_LMA;

	return (value & both) == (s->exit & EXIT_HOST_64BIT ? both : 0);
}

/* ---- segments */

PREDICATE(of_the_kernel)
{
	return !(value & 7);
}

PREDICATE(not_zero)
{
	return value;
}

/* ---- address-space size */

PREDICATE(host_is_64bit)
{
	return value & EXIT_HOST_64BIT;
}

PREDICATE(pae_is_on)
{
	return value & ARCH_CR4_PAE;
}

/* ---- the list */

#define CANONICAL "the address must be canonical"
#define FIXED "bits must be as VMX operation fixes them"
#define KERNEL "RPL and TI must be 0"

static const struct vmx_rule rules[] = {
	{ FIXED, REGISTERS, F(host_cr0), .holds = cr0_fixed },
	{ FIXED, REGISTERS, F(host_cr4), .holds = vmx_cr4_fixed },
	{ "CR4.CET needs CR0.WP", REGISTERS, F(host_cr4), .holds = cet_needs_wp },
	{ "bits beyond the physical-address width must be 0", REGISTERS, F(host_cr3),
	  .holds = fits_width },
	{ CANONICAL, REGISTERS, F(host_sysenter_esp), .holds = vmx_canonical },
	{ CANONICAL, REGISTERS, F(host_sysenter_eip), .holds = vmx_canonical },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", REGISTERS, F(host_pat),
	  WITH(exit, EXIT_LOAD_PAT), .holds = vmx_pat_valid },
	{ "bits that this processor's IA32_EFER lacks must be 0", REGISTERS, F(host_efer),
	  WITH(exit, EXIT_LOAD_EFER), .holds = vmx_efer_bits_exist },
	{ "LMA and LME must be as \"host address-space size\"", REGISTERS, F(host_efer),
	  WITH(exit, EXIT_LOAD_EFER), .holds = efer_is_64bit },
	{ "reserved bits must be 0 and the address canonical", REGISTERS, F(host_s_cet),
	  WITH(exit, EXIT_LOAD_CET), .holds = vmx_s_cet_valid },
	{ "bits 1:0 must be 0", REGISTERS, F(host_ssp), WITH(exit, EXIT_LOAD_CET),
	  .holds = vmx_ssp_aligned },
	{ CANONICAL, REGISTERS, F(host_ssp), WITH(exit, EXIT_LOAD_CET), .holds = vmx_canonical },
	{ CANONICAL, REGISTERS, F(host_ssp_table), WITH(exit, EXIT_LOAD_CET),
	  .holds = vmx_canonical },

	{ KERNEL, SEGMENTS, F(host_es), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_cs), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_ss), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_ds), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_fs), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_gs), .holds = of_the_kernel },
	{ KERNEL, SEGMENTS, F(host_tr), .holds = of_the_kernel },
	{ "the selector must not be 0", SEGMENTS, F(host_cs), .holds = not_zero },
	{ "the selector must not be 0", SEGMENTS, F(host_tr), .holds = not_zero },
	{ CANONICAL, SEGMENTS, F(host_fs_base), .holds = vmx_canonical },
	{ CANONICAL, SEGMENTS, F(host_gs_base), .holds = vmx_canonical },
	{ CANONICAL, SEGMENTS, F(host_gdtr_base), .holds = vmx_canonical },
	{ CANONICAL, SEGMENTS, F(host_idtr_base), .holds = vmx_canonical },
	{ CANONICAL, SEGMENTS, F(host_tr_base), .holds = vmx_canonical },

	{ "in IA-32e mode \"host address-space size\" must be 1", ADDRESS_SIZE, F(exit),
	  .holds = host_is_64bit },
	{ "in IA-32e mode CR4.PAE must be 1", ADDRESS_SIZE, F(host_cr4), .holds = pae_is_on },
	{ CANONICAL, ADDRESS_SIZE, F(host_rip), .holds = vmx_canonical },
};

const struct vmx_rules vmx_host_rules = { rules, ARRAY_SIZE(rules) };
