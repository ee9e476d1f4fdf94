/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The checks on VM-execution, VM-exit and VM-entry control fields: SDM 3C 27.2.1. Left out: the
 * tertiary and the secondary VM-exit controls, which Fermata never activates.
 */
#include "vmx/audit/audit.h"

/* ---- VM-execution controls */

PREDICATE(targets_exist)
{
	return value <= MISC_CR3_TARGETS(s->limits->misc);
}

static bool address_fits(const struct vmx_snapshot *s, u64 value, u64 low)
{
	return !(value & (low | vmx_beyond(s)));
}

PREDICATE(page_address)
{
	return address_fits(s, value, 0xfff);
}

PREDICATE(threshold_below_vtpr)
{
	return (value & 15) <= s->vtpr >> 4;
}

PREDICATE(posting_needs_delivery)
{
	return s->proc2 & PROC2_VIRTUAL_INTERRUPTS && s->exit & EXIT_ACKNOWLEDGE;
}

PREDICATE(line_address)
{
	return address_fits(s, value, 0x3f);
}

/* EPT pointer: table 25-9, IA32_VMX_EPT_VPID_CAP: SDM 3D A.10 */
PREDICATE(ept_type_supported)
{
	switch (value & 7) {
	case 0:
		return s->limits->ept_vpid & EPT_CAP_UNCACHEABLE;
	case EPTP_WRITE_BACK:
		return s->limits->ept_vpid & EPT_CAP_WRITE_BACK;
	}
	return false;
}

PREDICATE(ept_levels_supported)
{
	switch (value & EPTP_LEVELS(8)) {
	case EPTP_LEVELS(4):
		return s->limits->ept_vpid & EPT_CAP_4_LEVELS;
	case EPTP_LEVELS(5):
		return s->limits->ept_vpid & EPT_CAP_5_LEVELS;
	}
	return false;
}

PREDICATE(ept_accessed_supported)
{
	return s->limits->ept_vpid & EPT_CAP_ACCESSED_DIRTY || !(value & EPTP_ACCESSED_DIRTY);
}

PREDICATE(ept_reserved_zero)
{
	u64 reserved = 0xf80 | vmx_beyond(s);

	if (s->limits->ept_vpid & EPT_CAP_SHADOW_STACK)
		reserved &= ~EPTP_SHADOW_STACK;
	return !(value & reserved);
}

PREDICATE(functions_exist)
{
	return !(value & ~s->limits->vmfunc);
}

#define VMFUNC_EPTP_SWITCHING BIT_ULL(0)

PREDICATE(eptp_list_address)
{
	return !(s->vmfunc & VMFUNC_EPTP_SWITCHING) || page_address(s, value, n);
}

PREDICATE(trace_loads)
{
	return value & PROC2_EPT && s->entry & ENTRY_LOAD_RTIT && s->exit & EXIT_CLEAR_RTIT;
}

/* ---- VM-exit controls */

static bool area_fits(const struct vmx_snapshot *s, u64 address, u64 count)
{
	return !count || (address_fits(s, address, 15) &&
			  address_fits(s, address + 16 * (u64)(u32)count - 1, 0));
}

PREDICATE(exit_store_fits)
{
	return area_fits(s, value, s->exit_store_count);
}

PREDICATE(exit_load_fits)
{
	return area_fits(s, value, s->exit_load_count);
}

/* ---- VM-entry controls */

PREDICATE(entry_load_fits)
{
	return area_fits(s, value, s->entry_load_count);
}

PREDICATE(event_type_exists)
{
	switch (value & INTERRUPTION_TYPE) {
	case 1u << 8:
		return false;
	case INTERRUPTION_OTHER: /* a pending monitor trap */
		return s->limits->proc >> 32 & PROC_MONITOR_TRAP;
	}
	return true;
}

PREDICATE(event_vector_fits)
{
	u8 vector = value;

	switch (value & INTERRUPTION_TYPE) {
	case INTERRUPTION_NMI:
		return vector == 2;
	case INTERRUPTION_EXCEPTION:
		return vector < 32;
	case INTERRUPTION_OTHER:
		return vector == 0;
	}
	return true;
}

#define WITH_ERROR_CODE (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17))

static bool exception_in_protected_mode(const struct vmx_snapshot *s)
{
	return (s->event & INTERRUPTION_TYPE) == INTERRUPTION_EXCEPTION && s->cr0 & 1;
}

PREDICATE(error_code_where_due)
{
	return value & INTERRUPTION_HAS_CODE || !exception_in_protected_mode(s) ||
	       s->limits->basic & BASIC_ANY_ERROR_CODE || (value & 0xff) > 31 ||
	       !(WITH_ERROR_CODE >> (value & 31) & 1);
}

PREDICATE(no_error_code_elsewhere)
{
	if (!(value & INTERRUPTION_HAS_CODE))
		return true;
	if (!exception_in_protected_mode(s))
		return false;
	return s->limits->basic & BASIC_ANY_ERROR_CODE || (value & 0xff) > 31 ||
	       WITH_ERROR_CODE >> (value & 31) & 1;
}

PREDICATE(length_of_instruction)
{
	u32 type = s->event & INTERRUPTION_TYPE;

	if (type != INTERRUPTION_SOFT_INTERRUPT && type != INTERRUPTION_PRIVILEGED_EXCEPTION &&
	    type != INTERRUPTION_SOFT_EXCEPTION)
		return true;
	return value <= 15 && (value || s->limits->misc & MISC_ZERO_LENGTH);
}

/* ---- the list */

#define PAGE "bits 11:0 and bits beyond the physical-address width must be 0"
#define AREA "the area must be 16-byte aligned and end within the physical-address width"
#define GRANTED(control) .granted = offsetof(struct vmx_limits, control)

static const struct vmx_rule rules[] = {
	{ .section = "SDM 3C 27.2.1.1" },
	{ "bits must be as IA32_VMX_PINBASED_CTLS grants them", F(pin), GRANTED(pin) },
	{ "bits must be as IA32_VMX_PROCBASED_CTLS grants them", F(proc), GRANTED(proc) },
	{ "bits must be as IA32_VMX_PROCBASED_CTLS2 grants them", F(proc2), GRANTED(proc2),
	  WITH(proc, PROC_SECONDARY) },
	{ "there are no more CR3 targets than IA32_VMX_MISC says", F(cr3_target_count),
	  .holds = targets_exist },
	{ PAGE, F(io_bitmap_a), .holds = page_address, WITH(proc, PROC_IO_BITMAPS) },
	{ PAGE, F(io_bitmap_b), .holds = page_address, WITH(proc, PROC_IO_BITMAPS) },
	{ PAGE, F(msr_bitmap), .holds = page_address, WITH(proc, PROC_MSR_BITMAPS) },
	{ PAGE, F(virtual_apic), .holds = page_address, WITH(proc, PROC_TPR_SHADOW) },
	{ "without virtual-interrupt delivery bits 31:4 must be 0", F(tpr_threshold),
	  .zero = ~0xfull, WITH(proc, PROC_TPR_SHADOW), UNLESS(proc2, PROC2_VIRTUAL_INTERRUPTS) },
	{ "the threshold must not be above bits 7:4 of the virtual TPR", F(tpr_threshold),
	  .holds = threshold_below_vtpr, WITH(proc, PROC_TPR_SHADOW),
	  UNLESS(proc2, PROC2_VIRTUAL_INTERRUPTS | PROC2_APIC_ACCESSES) },
	{ "\"virtual NMIs\" needs \"NMI exiting\"", F(pin), .one = PIN_NMI,
	  WITH(pin, PIN_VIRTUAL_NMIS) },
	{ "\"NMI-window exiting\" needs \"virtual NMIs\"", F(proc), .zero = PROC_NMI_WINDOW,
	  UNLESS(pin, PIN_VIRTUAL_NMIS) },
	{ PAGE, F(apic_access), .holds = page_address, WITH(proc2, PROC2_APIC_ACCESSES) },
	{ "virtualizing the APIC's registers needs \"use TPR shadow\"", F(proc2),
	  .zero = PROC2_X2APIC_MODE | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS,
	  UNLESS(proc, PROC_TPR_SHADOW) },
	{ "\"virtualize x2APIC mode\" excludes \"virtualize APIC accesses\"", F(proc2),
	  .zero = PROC2_APIC_ACCESSES, WITH(proc2, PROC2_X2APIC_MODE) },
	{ "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"", F(proc2),
	  .zero = PROC2_VIRTUAL_INTERRUPTS, UNLESS(pin, PIN_EXTERNAL_INTERRUPT) },
	{ "posted interrupts need virtual-interrupt delivery and acknowledge on exit", F(pin),
	  .holds = posting_needs_delivery, WITH(pin, PIN_POSTED_INTERRUPTS) },
	{ "bits 15:8 must be 0", F(posted_vector), .zero = ~0xffull,
	  WITH(pin, PIN_POSTED_INTERRUPTS) },
	{ "bits 5:0 and bits beyond the physical-address width must be 0", F(posted_descriptor),
	  .holds = line_address, WITH(pin, PIN_POSTED_INTERRUPTS) },
	{ "the VPID must not be 0", F(vpid), .holds = vmx_not_zero, WITH(proc2, PROC2_VPID) },
	{ "bits 2:0 must be a memory type that IA32_VMX_EPT_VPID_CAP has", F(ept_pointer),
	  .holds = ept_type_supported, WITH(proc2, PROC2_EPT) },
	{ "bits 5:3 must be a walk length, less 1, that IA32_VMX_EPT_VPID_CAP has", F(ept_pointer),
	  .holds = ept_levels_supported, WITH(proc2, PROC2_EPT) },
	{ "bit 6 needs accessed and dirty flags for EPT", F(ept_pointer),
	  .holds = ept_accessed_supported, WITH(proc2, PROC2_EPT) },
	{ "reserved bits and bits beyond the physical-address width must be 0", F(ept_pointer),
	  .holds = ept_reserved_zero, WITH(proc2, PROC2_EPT) },
	{ "\"enable PML\" needs \"enable EPT\"", F(proc2), .one = PROC2_EPT,
	  WITH(proc2, PROC2_PML) },
	{ PAGE, F(pml_address), .holds = page_address, WITH(proc2, PROC2_PML) },
	{ "\"unrestricted guest\" needs \"enable EPT\"", F(proc2), .one = PROC2_EPT,
	  WITH(proc2, PROC2_UNRESTRICTED_GUEST) },
	{ "\"mode-based execute control for EPT\" needs \"enable EPT\"", F(proc2), .one = PROC2_EPT,
	  WITH(proc2, PROC2_MODE_BASED_EXECUTE) },
	{ "\"sub-page write permissions for EPT\" needs \"enable EPT\"", F(proc2), .one = PROC2_EPT,
	  WITH(proc2, PROC2_SUB_PAGE) },
	{ PAGE, F(sub_page_table), .holds = page_address, WITH(proc2, PROC2_SUB_PAGE) },
	{ "bits must be as IA32_VMX_VMFUNC grants them", F(vmfunc), .holds = functions_exist,
	  WITH(proc2, PROC2_VM_FUNCTIONS) },
	{ "\"EPTP switching\" needs \"enable EPT\"", F(vmfunc), .zero = VMFUNC_EPTP_SWITCHING,
	  WITH(proc2, PROC2_VM_FUNCTIONS), UNLESS(proc2, PROC2_EPT) },
	{ PAGE, F(eptp_list), .holds = eptp_list_address, WITH(proc2, PROC2_VM_FUNCTIONS) },
	{ PAGE, F(vmread_bitmap), .holds = page_address, WITH(proc2, PROC2_SHADOW_VMCS) },
	{ PAGE, F(vmwrite_bitmap), .holds = page_address, WITH(proc2, PROC2_SHADOW_VMCS) },
	{ PAGE, F(ve_information), .holds = page_address, WITH(proc2, PROC2_EPT_VE) },
	{ "the multiplier must not be 0", F(tsc_multiplier), .holds = vmx_not_zero,
	  WITH(proc2, PROC2_TSC_SCALING) },
	{ "guest-physical tracing needs EPT and IA32_RTIT_CTL loaded and cleared", F(proc2),
	  .holds = trace_loads, WITH(proc2, PROC2_PT_GUEST_PHYSICAL) },

	{ .section = "SDM 3C 27.2.1.2" },
	{ "bits must be as IA32_VMX_EXIT_CTLS grants them", F(exit), GRANTED(exit) },
	{ "\"save VMX-preemption timer value\" needs the timer activated", F(exit),
	  .zero = EXIT_SAVE_TIMER, UNLESS(pin, PIN_PREEMPTION_TIMER) },
	{ AREA, F(exit_store), .holds = exit_store_fits },
	{ AREA, F(exit_load), .holds = exit_load_fits },

	{ .section = "SDM 3C 27.2.1.3" },
	{ "bits must be as IA32_VMX_ENTRY_CTLS grants them", F(entry), GRANTED(entry) },
	{ "outside SMM \"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0",
	  F(entry), .zero = ENTRY_TO_SMM | ENTRY_DEACTIVATE_DUAL_MONITOR },
	{ AREA, F(entry_load), .holds = entry_load_fits },
	{ "the type must not be reserved", F(event), .holds = event_type_exists,
	  WITH(event, INTERRUPTION_VALID) },
	{ "the vector must fit the type: 2 for an NMI, 0 to 31 for an exception", F(event),
	  .holds = event_vector_fits, WITH(event, INTERRUPTION_VALID) },
	{ "in protected mode an exception that has an error code must deliver it", F(event),
	  .holds = error_code_where_due, WITH(event, INTERRUPTION_VALID) },
	{ "only an exception that has one delivers an error code, and none does in real mode",
	  F(event), .holds = no_error_code_elsewhere, WITH(event, INTERRUPTION_VALID) },
	{ "bits 30:12 must be 0", F(event), .zero = 0x7ffff000, WITH(event, INTERRUPTION_VALID) },
	{ "bits 31:16 must be 0", F(event_code), .zero = ~0xffffull,
	  WITH(event, INTERRUPTION_VALID | INTERRUPTION_HAS_CODE) },
	{ "an instruction's length is 1 to 15, or 0 where IA32_VMX_MISC allows it", F(event_length),
	  .holds = length_of_instruction, WITH(event, INTERRUPTION_VALID) },
};

const struct vmx_rules vmx_control_rules = { rules, ARRAY_SIZE(rules) };
