/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The checks on the guest-state area but for its segment registers: SDM 3C 27.3.1.1 and 27.3.1.3 to
 * 27.3.1.6. Left out: the MSRs whose VM-entry controls Fermata never sets (IA32_PERF_GLOBAL_CTRL,
 * IA32_BNDCFGS, IA32_RTIT_CTL, IA32_PKRS, IA32_UINV, IA32_LBR_CTL), the VMCS that a link pointer names,
 * PDPTEs in memory, which only entries without EPT read, and the NMI injected under blocking by STI,
 * which some processors refuse and say so (exit qualification 3).
 */
#include "vmx/audit/audit.h"
#include "base/arch.h"

#define REGISTERS "SDM 3C 27.3.1.1"
#define TABLES "SDM 3C 27.3.1.3"
#define PROGRAM "SDM 3C 27.3.1.4"
#define NON_REGISTER "SDM 3C 27.3.1.5"
#define PDPTES "SDM 3C 27.3.1.6"

static bool ia32e(const struct vmx_snapshot *s)
{
	return s->entry & ENTRY_IA32E_GUEST;
}

/* ---- control registers, debug registers, MSRs */

/* NW and CD are free, and an unrestricted guest's PE and PG. */
PREDICATE(cr0_fixed)
{
	u64 free = ARCH_CR0_NW | ARCH_CR0_CD;

	if (s->proc2 & PROC2_UNRESTRICTED_GUEST)
		free |= ARCH_CR0_PE | ARCH_CR0_PG;
	return !((s->limits->cr0_fixed0 & ~value) & ~free) &&
	       !((value & ~s->limits->cr0_fixed1) & ~free);
}

PREDICATE(paging_is_protected)
{
	return value & ARCH_CR0_PE || !(value & ARCH_CR0_PG);
}

PREDICATE(cet_needs_wp)
{
	return s->cr0 & ARCH_CR0_WP || !(value & ARCH_CR4_CET);
}

/* SDM 4 table 2-2, 1D9h: bits 5:3 and 63:16 are reserved, bit 2 is the bus-lock trap. */
PREDICATE(debugctl_bits_exist)
{
	return !(value & ~0xffc3ull & ~(s->limits->bus_lock ? BIT_ULL(2) : 0));
}

PREDICATE(long_mode_has_paging)
{
	return value & ARCH_CR0_PG;
}

PREDICATE(long_mode_has_pae)
{
	return value & ARCH_CR4_PAE;
}

PREDICATE(pcid_is_for_long_mode)
{
	return ia32e(s) || !(value & ARCH_CR4_PCIDE);
}

PREDICATE(fits_width)
{
	return !(value & vmx_beyond(s));
}

PREDICATE(upper_half_zero)
{
	return !(value >> 32);
}

PREDICATE(lma_as_entered)
{
	return !!(value & ARCH_EFER_LMA) == ia32e(s);
}

PREDICATE(lme_as_lma)
{
	return !(s->cr0 & ARCH_CR0_PG) || !(value & ARCH_EFER_LMA) == !(value & ARCH_EFER_LME);
}

/* ---- descriptor tables */

PREDICATE(is_word)
{
	return !(value >> 16);
}

/* ---- RIP, RFLAGS, SSP */

static bool in_64bit_code(const struct vmx_snapshot *s)
{
	return ia32e(s) && s->segment[VMX_CS].access & BIT(13);
}

PREDICATE(rip_is_32bit)
{
	return in_64bit_code(s) || !(value >> 32);
}

/* Bits 63:N are the same, where N is the width: one bit less than being canonical asks for. */
PREDICATE(rip_fits)
{
	u32 bits = s->limits->linear_bits;

	return !in_64bit_code(s) || bits > 63 || !(value >> bits) || value >> bits == ~0ull >> bits;
}

PREDICATE(rflags_fixed)
{
	return value & ARCH_RFLAGS_FIXED && !(value & ~ARCH_RFLAGS_DEFINED);
}

PREDICATE(vm86_is_protected)
{
	return !(value & ARCH_RFLAGS_VM) || (!ia32e(s) && s->cr0 & ARCH_CR0_PE);
}

PREDICATE(interrupts_are_open)
{
	return value & ARCH_RFLAGS_IF || !vmx_event_valid(s, INTERRUPTION_EXTERNAL);
}

PREDICATE(ssp_fits)
{
	return in_64bit_code(s) ? vmx_canonical(s, value, n) : !(value >> 32);
}

/* ---- activity, interruptibility, pending debug exceptions */

PREDICATE(activity_exists)
{
	return !value || (value <= ACTIVITY_WAIT_FOR_SIPI && s->limits->misc & MISC_ACTIVITY(value));
}

PREDICATE(halts_in_ring_0)
{
	return value != ACTIVITY_HLT || !(s->segment[VMX_SS].access >> 5 & 3);
}

#define SHADOW (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)

PREDICATE(active_in_shadow)
{
	return value == ACTIVITY_ACTIVE || !(s->interruptibility & SHADOW);
}

PREDICATE(event_reaches_activity)
{
	u32 type = s->event & INTERRUPTION_TYPE;
	u8 vector = s->event;
	bool machine_check = type == INTERRUPTION_EXCEPTION && vector == ARCH_MC;

	if (!(s->event & INTERRUPTION_VALID))
		return true;
	switch (value) {
	case ACTIVITY_HLT:
		return type == INTERRUPTION_EXTERNAL || type == INTERRUPTION_NMI || machine_check ||
		       (type == INTERRUPTION_EXCEPTION && vector == ARCH_DB) ||
		       (type == INTERRUPTION_OTHER && vector == 0);
	case ACTIVITY_SHUTDOWN:
		return type == INTERRUPTION_NMI || machine_check;
	case ACTIVITY_WAIT_FOR_SIPI:
		return false;
	}
	return true;
}

PREDICATE(interruptibility_reserved_zero)
{
	return !(value >> 5);
}

PREDICATE(one_shadow)
{
	return (value & SHADOW) != SHADOW;
}

PREDICATE(sti_means_open)
{
	return s->rflags & ARCH_RFLAGS_IF || !(value & BLOCKING_BY_STI);
}

PREDICATE(no_shadow_over_interrupt)
{
	return !(value & SHADOW) || !vmx_event_valid(s, INTERRUPTION_EXTERNAL);
}

PREDICATE(no_mov_ss_over_nmi)
{
	return !(value & BLOCKING_BY_MOV_SS) || !vmx_event_valid(s, INTERRUPTION_NMI);
}

PREDICATE(no_smi_blocking)
{
	return !(value & BLOCKING_BY_SMI);
}

PREDICATE(nmi_not_blocked)
{
	return !(value & BLOCKING_BY_NMI) || !(s->pin & PIN_VIRTUAL_NMIS) ||
	       !vmx_event_valid(s, INTERRUPTION_NMI);
}

PREDICATE(enclave_possible)
{
	return !(value & ENCLAVE_INTERRUPTION) || (s->limits->sgx && !(value & BLOCKING_BY_MOV_SS));
}

#define PENDING_BUS_LOCK BIT_ULL(11)
#define PENDING_BREAKPOINT BIT_ULL(12)
#define PENDING_STEP BIT_ULL(14)
#define PENDING_RTM BIT_ULL(16)
#define DEBUGCTL_BTF BIT_ULL(1)

PREDICATE(pending_reserved_zero)
{
	u64 defined = 0xf | PENDING_BREAKPOINT | PENDING_STEP | PENDING_RTM;

	if (s->limits->bus_lock)
		defined |= PENDING_BUS_LOCK;
	return !(value & ~defined);
}

/* With interrupts held back by an instruction the step over it is still to be reported. */
static bool step_matters(const struct vmx_snapshot *s)
{
	return s->interruptibility & SHADOW || s->activity == ACTIVITY_HLT;
}

static bool steps(const struct vmx_snapshot *s)
{
	return s->rflags & ARCH_RFLAGS_TF && !(s->debugctl & DEBUGCTL_BTF);
}

PREDICATE(step_is_pending)
{
	return !step_matters(s) || !steps(s) || value & PENDING_STEP;
}

PREDICATE(no_step_is_pending)
{
	return !step_matters(s) || steps(s) || !(value & PENDING_STEP);
}

PREDICATE(rtm_alone)
{
	return !(value & PENDING_RTM) ||
	       (s->limits->rtm && (value & ~PENDING_RTM) == PENDING_BREAKPOINT &&
		!(s->interruptibility & BLOCKING_BY_MOV_SS));
}

PREDICATE(link_fits)
{
	return value == ~0ull || !(value & (0xfff | vmx_beyond(s)));
}

/* ---- PDPTEs */

PREDICATE(pdpte_reserved_zero)
{
	bool pae = s->cr0 & ARCH_CR0_PG && s->cr4 & ARCH_CR4_PAE && !ia32e(s);

	return !pae || !(value & 1) || !(value & (0x1e6 | vmx_beyond(s)));
}

/* ---- the list */

#define CANONICAL "the address must be canonical"
#define BEYOND "bits beyond the physical-address width must be 0"

static const struct vmx_rule rules[] = {
	{ "bits must be as VMX operation fixes them", REGISTERS, F(cr0), .holds = cr0_fixed },
	{ "CR0.PG needs CR0.PE", REGISTERS, F(cr0), .holds = paging_is_protected },
	{ "bits must be as VMX operation fixes them", REGISTERS, F(cr4), .holds = vmx_cr4_fixed },
	{ "CR4.CET needs CR0.WP", REGISTERS, F(cr4), .holds = cet_needs_wp },
	{ "reserved bits must be 0", REGISTERS, F(debugctl), WITH(entry, ENTRY_LOAD_DEBUG),
	  .holds = debugctl_bits_exist },
	{ "\"IA-32e mode guest\" needs CR0.PG", REGISTERS, F(cr0), WITH(entry, ENTRY_IA32E_GUEST),
	  .holds = long_mode_has_paging },
	{ "\"IA-32e mode guest\" needs CR4.PAE", REGISTERS, F(cr4), WITH(entry, ENTRY_IA32E_GUEST),
	  .holds = long_mode_has_pae },
	{ "CR4.PCIDE needs \"IA-32e mode guest\"", REGISTERS, F(cr4),
	  .holds = pcid_is_for_long_mode },
	{ BEYOND, REGISTERS, F(cr3), .holds = fits_width },
	{ "bits 63:32 must be 0", REGISTERS, F(dr7), WITH(entry, ENTRY_LOAD_DEBUG),
	  .holds = upper_half_zero },
	{ CANONICAL, REGISTERS, F(sysenter_esp), .holds = vmx_canonical },
	{ CANONICAL, REGISTERS, F(sysenter_eip), .holds = vmx_canonical },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", REGISTERS, F(pat),
	  WITH(entry, ENTRY_LOAD_PAT), .holds = vmx_pat_valid },
	{ "bits that this processor's IA32_EFER lacks must be 0", REGISTERS, F(efer),
	  WITH(entry, ENTRY_LOAD_EFER), .holds = vmx_efer_bits_exist },
	{ "LMA must be as \"IA-32e mode guest\"", REGISTERS, F(efer), WITH(entry, ENTRY_LOAD_EFER),
	  .holds = lma_as_entered },
	{ "with CR0.PG, LMA and LME must be the same", REGISTERS, F(efer),
	  WITH(entry, ENTRY_LOAD_EFER), .holds = lme_as_lma },
	{ "reserved bits must be 0 and the address canonical", REGISTERS, F(s_cet),
	  WITH(entry, ENTRY_LOAD_CET), .holds = vmx_s_cet_valid },
	{ CANONICAL, REGISTERS, F(ssp_table), WITH(entry, ENTRY_LOAD_CET), .holds = vmx_canonical },

	{ CANONICAL, TABLES, F(gdtr_base), .holds = vmx_canonical },
	{ CANONICAL, TABLES, F(idtr_base), .holds = vmx_canonical },
	{ "bits 31:16 must be 0", TABLES, F(gdtr_limit), .holds = is_word },
	{ "bits 31:16 must be 0", TABLES, F(idtr_limit), .holds = is_word },

	{ "outside 64-bit code bits 63:32 must be 0", PROGRAM, F(rip), .holds = rip_is_32bit },
	{ "in 64-bit code the bits beyond the linear-address width must be the same", PROGRAM,
	  F(rip), .holds = rip_fits },
	{ "bit 1 must be 1 and bits 63:22, 15, 5 and 3 must be 0", PROGRAM, F(rflags),
	  .holds = rflags_fixed },
	{ "RFLAGS.VM needs CR0.PE and no IA-32e mode", PROGRAM, F(rflags),
	  .holds = vm86_is_protected },
	{ "RFLAGS.IF must be 1 where an external interrupt is injected", PROGRAM, F(rflags),
	  .holds = interrupts_are_open },
	{ "bits 1:0 must be 0", PROGRAM, F(ssp), WITH(entry, ENTRY_LOAD_CET),
	  .holds = vmx_ssp_aligned },
	{ "in 64-bit code the address must be canonical, outside it bits 63:32 must be 0", PROGRAM,
	  F(ssp), WITH(entry, ENTRY_LOAD_CET), .holds = ssp_fits },

	{ "the state must be one that IA32_VMX_MISC has", NON_REGISTER, F(activity),
	  .holds = activity_exists },
	{ "the state must not be HLT where the DPL of SS is not 0", NON_REGISTER, F(activity),
	  .holds = halts_in_ring_0 },
	{ "the state must be active under blocking by STI or MOV SS", NON_REGISTER, F(activity),
	  .holds = active_in_shadow },
	{ "the injected event must be one that ends the state", NON_REGISTER, F(activity),
	  .holds = event_reaches_activity },
	{ "bits 31:5 must be 0", NON_REGISTER, F(interruptibility),
	  .holds = interruptibility_reserved_zero },
	{ "blocking by STI and by MOV SS exclude each other", NON_REGISTER, F(interruptibility),
	  .holds = one_shadow },
	{ "blocking by STI needs RFLAGS.IF", NON_REGISTER, F(interruptibility),
	  .holds = sti_means_open },
	{ "neither STI nor MOV SS may block where an external interrupt is injected", NON_REGISTER,
	  F(interruptibility), .holds = no_shadow_over_interrupt },
	{ "MOV SS must not block where an NMI is injected", NON_REGISTER, F(interruptibility),
	  .holds = no_mov_ss_over_nmi },
	{ "outside SMM there must be no blocking by SMI", NON_REGISTER, F(interruptibility),
	  .holds = no_smi_blocking },
	{ "with virtual NMIs there must be no blocking by NMI where one is injected", NON_REGISTER,
	  F(interruptibility), .holds = nmi_not_blocked },
	{ "enclave interruption needs SGX and no blocking by MOV SS", NON_REGISTER,
	  F(interruptibility), .holds = enclave_possible },
	{ "reserved bits must be 0", NON_REGISTER, F(pending_debug),
	  .holds = pending_reserved_zero },
	{ "held back with RFLAGS.TF and no BTF, the step (bit 14) must be pending", NON_REGISTER,
	  F(pending_debug), .holds = step_is_pending },
	{ "held back without RFLAGS.TF or with BTF, no step (bit 14) may be pending", NON_REGISTER,
	  F(pending_debug), .holds = no_step_is_pending },
	{ "bit 16 needs RTM, bit 12, no other bit, and no blocking by MOV SS", NON_REGISTER,
	  F(pending_debug), .holds = rtm_alone },
	{ "the pointer must be all ones, or a page within the physical-address width", NON_REGISTER,
	  F(link_pointer), .holds = link_fits },

	{ "in a present entry reserved bits must be 0", PDPTES, F(pdpte[0]), WITH(proc2, PROC2_EPT),
	  .holds = pdpte_reserved_zero },
	{ "in a present entry reserved bits must be 0", PDPTES, F(pdpte[1]), WITH(proc2, PROC2_EPT),
	  .holds = pdpte_reserved_zero },
	{ "in a present entry reserved bits must be 0", PDPTES, F(pdpte[2]), WITH(proc2, PROC2_EPT),
	  .holds = pdpte_reserved_zero },
	{ "in a present entry reserved bits must be 0", PDPTES, F(pdpte[3]), WITH(proc2, PROC2_EPT),
	  .holds = pdpte_reserved_zero },
};

const struct vmx_rules vmx_guest_rules = { rules, ARRAY_SIZE(rules) };
