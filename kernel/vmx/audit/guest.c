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

/* SDM 4 table 2-2, 1D9h: bits 5:3 and 63:16 are reserved, bit 2 is the bus-lock trap. */
PREDICATE(debugctl_bits_exist)
{
	return !(value & ~0xffc3ull & ~(s->limits->bus_lock ? BIT_ULL(2) : 0));
}

PREDICATE(lma_as_entered)
{
	return !!(value & ARCH_EFER_LMA) == ia32e(s);
}

PREDICATE(lme_as_lma)
{
	return !(s->cr0 & ARCH_CR0_PG) || !(value & ARCH_EFER_LMA) == !(value & ARCH_EFER_LME);
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

PREDICATE(vm86_is_protected)
{
	return !ia32e(s) && s->cr0 & ARCH_CR0_PE;
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

PREDICATE(virtual_nmis)
{
	return s->pin & PIN_VIRTUAL_NMIS;
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

PREDICATE(step_is_due)
{
	return step_matters(s) && steps(s);
}

PREDICATE(no_step_is_due)
{
	return step_matters(s) && !steps(s);
}

PREDICATE(rtm_alone)
{
	return s->limits->rtm && (value & ~PENDING_RTM) == PENDING_BREAKPOINT &&
	       !(s->interruptibility & BLOCKING_BY_MOV_SS);
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
#define PRESENT "in a present entry reserved bits must be 0"
#define BEYOND "bits beyond the physical-address width must be 0"

static const struct vmx_rule rules[] = {
	{ .section = "SDM 3C 27.3.1.1" },
	{ "bits must be as VMX operation fixes them", F(cr0), .holds = cr0_fixed },
	{ "CR0.PG needs CR0.PE", F(cr0), .one = ARCH_CR0_PE, WITH(cr0, ARCH_CR0_PG) },
	{ "bits must be as VMX operation fixes them", F(cr4), .holds = vmx_cr4_fixed },
	{ "CR4.CET needs CR0.WP", F(cr4), .zero = ARCH_CR4_CET, UNLESS(cr0, ARCH_CR0_WP) },
	{ "reserved bits must be 0", F(debugctl), .holds = debugctl_bits_exist,
	  WITH(entry, ENTRY_LOAD_DEBUG) },
	{ "\"IA-32e mode guest\" needs CR0.PG", F(cr0), .one = ARCH_CR0_PG,
	  WITH(entry, ENTRY_IA32E_GUEST) },
	{ "\"IA-32e mode guest\" needs CR4.PAE", F(cr4), .one = ARCH_CR4_PAE,
	  WITH(entry, ENTRY_IA32E_GUEST) },
	{ "CR4.PCIDE needs \"IA-32e mode guest\"", F(cr4), .zero = ARCH_CR4_PCIDE,
	  UNLESS(entry, ENTRY_IA32E_GUEST) },
	{ BEYOND, F(cr3), .holds = vmx_fits_width },
	{ "bits 63:32 must be 0", F(dr7), .zero = ~0ull << 32, WITH(entry, ENTRY_LOAD_DEBUG) },
	{ CANONICAL, F(sysenter_esp), .holds = vmx_canonical },
	{ CANONICAL, F(sysenter_eip), .holds = vmx_canonical },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7", F(pat), .holds = vmx_pat_valid,
	  WITH(entry, ENTRY_LOAD_PAT) },
	{ "bits that this processor's IA32_EFER lacks must be 0", F(efer),
	  .holds = vmx_efer_bits_exist, WITH(entry, ENTRY_LOAD_EFER) },
	{ "LMA must be as \"IA-32e mode guest\"", F(efer), .holds = lma_as_entered,
	  WITH(entry, ENTRY_LOAD_EFER) },
	{ "with CR0.PG, LMA and LME must be the same", F(efer), .holds = lme_as_lma,
	  WITH(entry, ENTRY_LOAD_EFER) },
	{ "reserved bits must be 0 and the address canonical", F(s_cet), .holds = vmx_s_cet_valid,
	  WITH(entry, ENTRY_LOAD_CET) },
	{ CANONICAL, F(ssp_table), .holds = vmx_canonical, WITH(entry, ENTRY_LOAD_CET) },

	{ .section = "SDM 3C 27.3.1.3" },
	{ CANONICAL, F(gdtr_base), .holds = vmx_canonical },
	{ CANONICAL, F(idtr_base), .holds = vmx_canonical },
	{ "bits 31:16 must be 0", F(gdtr_limit), .zero = ~0xffffull },
	{ "bits 31:16 must be 0", F(idtr_limit), .zero = ~0xffffull },

	{ .section = "SDM 3C 27.3.1.4" },
	{ "outside 64-bit code bits 63:32 must be 0", F(rip), .holds = rip_is_32bit },
	{ "in 64-bit code the bits beyond the linear-address width must be the same", F(rip),
	  .holds = rip_fits },
	{ "bit 1 must be 1 and bits 63:22, 15, 5 and 3 must be 0", F(rflags),
	  .zero = ~ARCH_RFLAGS_DEFINED, .one = ARCH_RFLAGS_FIXED },
	{ "RFLAGS.VM needs CR0.PE and no IA-32e mode", F(rflags), .holds = vm86_is_protected,
	  WITH(rflags, ARCH_RFLAGS_VM) },
	{ "RFLAGS.IF must be 1 where an external interrupt is injected", F(rflags),
	  .one = ARCH_RFLAGS_IF, EVENT(INTERRUPTION_EXTERNAL) },
	{ "bits 1:0 must be 0", F(ssp), .zero = 3, WITH(entry, ENTRY_LOAD_CET) },
	{ "in 64-bit code the address must be canonical, outside it bits 63:32 must be 0", F(ssp),
	  .holds = ssp_fits, WITH(entry, ENTRY_LOAD_CET) },

	{ .section = "SDM 3C 27.3.1.5" },
	{ "the state must be one that IA32_VMX_MISC has", F(activity), .holds = activity_exists },
	{ "the state must not be HLT where the DPL of SS is not 0", F(activity),
	  .holds = halts_in_ring_0 },
	{ "the state must be active under blocking by STI or MOV SS", F(activity),
	  .holds = active_in_shadow },
	{ "the injected event must be one that ends the state", F(activity),
	  .holds = event_reaches_activity, WITH(event, INTERRUPTION_VALID) },
	{ "bits 31:5 must be 0", F(interruptibility), .zero = ~0x1full },
	{ "blocking by STI and by MOV SS exclude each other", F(interruptibility),
	  .zero = BLOCKING_BY_MOV_SS, WITH(interruptibility, BLOCKING_BY_STI) },
	{ "blocking by STI needs RFLAGS.IF", F(interruptibility), .zero = BLOCKING_BY_STI,
	  UNLESS(rflags, ARCH_RFLAGS_IF) },
	{ "neither STI nor MOV SS may block where an external interrupt is injected",
	  F(interruptibility), .zero = SHADOW, EVENT(INTERRUPTION_EXTERNAL) },
	{ "MOV SS must not block where an NMI is injected", F(interruptibility),
	  .zero = BLOCKING_BY_MOV_SS, EVENT(INTERRUPTION_NMI) },
	{ "outside SMM there must be no blocking by SMI", F(interruptibility),
	  .zero = BLOCKING_BY_SMI },
	{ "with virtual NMIs there must be no blocking by NMI where one is injected",
	  F(interruptibility), .zero = BLOCKING_BY_NMI, EVENT(INTERRUPTION_NMI),
	  .when = virtual_nmis },
	{ "enclave interruption needs SGX and no blocking by MOV SS", F(interruptibility),
	  .holds = enclave_possible },
	{ "reserved bits must be 0", F(pending_debug), .holds = pending_reserved_zero },
	{ "held back with RFLAGS.TF and no BTF, the step (bit 14) must be pending",
	  F(pending_debug), .one = PENDING_STEP, .when = step_is_due },
	{ "held back without RFLAGS.TF or with BTF, no step (bit 14) may be pending",
	  F(pending_debug), .zero = PENDING_STEP, .when = no_step_is_due },
	{ "bit 16 needs RTM, bit 12, no other bit, and no blocking by MOV SS", F(pending_debug),
	  .holds = rtm_alone, WITH(pending_debug, PENDING_RTM) },
	{ "the pointer must be all ones, or a page within the physical-address width",
	  F(link_pointer), .holds = link_fits },

	{ .section = "SDM 3C 27.3.1.6" },
	{ PRESENT, F(pdpte[0]), .holds = pdpte_reserved_zero, WITH(proc2, PROC2_EPT) },
	{ PRESENT, F(pdpte[1]), .holds = pdpte_reserved_zero, WITH(proc2, PROC2_EPT) },
	{ PRESENT, F(pdpte[2]), .holds = pdpte_reserved_zero, WITH(proc2, PROC2_EPT) },
	{ PRESENT, F(pdpte[3]), .holds = pdpte_reserved_zero, WITH(proc2, PROC2_EPT) },
};

const struct vmx_rules vmx_guest_rules = { rules, ARRAY_SIZE(rules) };
