/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The checks on VM-execution, VM-exit and VM-entry control fields: SDM 3C 27.2.1. Left out: the
 * tertiary and the secondary VM-exit controls, which Fermata never activates.
 */
#include "vmx/audit/audit.h"

#define EXECUTION "SDM 3C 27.2.1.1"
#define EXITS "SDM 3C 27.2.1.2"
#define ENTRIES "SDM 3C 27.2.1.3"

/* ---- VM-execution controls */

static bool granted(u64 value, u64 limit)
{
	return !((u32)limit & ~value) && !(value & ~(limit >> 32));
}

PREDICATE(pin_granted)
{
	return granted(value, s->limits->pin);
}

PREDICATE(proc_granted)
{
	return granted(value, s->limits->proc);
}

PREDICATE(proc2_granted)
{
	return granted(value, s->limits->proc2);
}

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

PREDICATE(threshold_is_nibble)
{
	return s->proc2 & PROC2_VIRTUAL_INTERRUPTS || !(value >> 4);
}

PREDICATE(threshold_below_vtpr)
{
	return s->proc2 & (PROC2_VIRTUAL_INTERRUPTS | PROC2_APIC_ACCESSES) ||
	       (value & 15) <= s->vtpr >> 4;
}

PREDICATE(virtual_nmis_need_exits)
{
	return value & PIN_NMI || !(value & PIN_VIRTUAL_NMIS);
}

PREDICATE(nmi_window_needs_virtual_nmis)
{
	return s->pin & PIN_VIRTUAL_NMIS || !(value & PROC_NMI_WINDOW);
}

PREDICATE(apic_needs_tpr_shadow)
{
	return s->proc & PROC_TPR_SHADOW ||
	       !(value & (PROC2_X2APIC_MODE | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS));
}

PREDICATE(one_apic_mode)
{
	return !(value & PROC2_X2APIC_MODE) || !(value & PROC2_APIC_ACCESSES);
}

PREDICATE(delivery_needs_exits)
{
	return s->pin & PIN_EXTERNAL_INTERRUPT || !(value & PROC2_VIRTUAL_INTERRUPTS);
}

PREDICATE(posting_needs_delivery)
{
	return !(value & PIN_POSTED_INTERRUPTS) ||
	       (s->proc2 & PROC2_VIRTUAL_INTERRUPTS && s->exit & EXIT_ACKNOWLEDGE);
}

PREDICATE(is_vector)
{
	return value < 256;
}

PREDICATE(line_address)
{
	return address_fits(s, value, 0x3f);
}

PREDICATE(not_zero)
{
	return value;
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

PREDICATE(needs_ept)
{
	return value & PROC2_EPT;
}

PREDICATE(functions_exist)
{
	return !(value & ~s->limits->vmfunc);
}

#define VMFUNC_EPTP_SWITCHING BIT_ULL(0)

PREDICATE(switching_needs_ept)
{
	return s->proc2 & PROC2_EPT || !(value & VMFUNC_EPTP_SWITCHING);
}

PREDICATE(eptp_list_address)
{
	return !(s->vmfunc & VMFUNC_EPTP_SWITCHING) || page_address(s, value, n);
}

PREDICATE(trace_loads)
{
	return value & PROC2_EPT && s->entry & ENTRY_LOAD_RTIT && s->exit & EXIT_CLEAR_RTIT;
}

/* ---- VM-exit controls */

PREDICATE(exit_granted)
{
	return granted(value, s->limits->exit);
}

PREDICATE(timer_saved_if_active)
{
	return s->pin & PIN_PREEMPTION_TIMER || !(value & EXIT_SAVE_TIMER);
}

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

PREDICATE(entry_granted)
{
	return granted(value, s->limits->entry);
}

/* Fermata is no SMM monitor, so no entry of its own is in SMM. */
PREDICATE(not_into_smm)
{
	return !(value & (ENTRY_TO_SMM | ENTRY_DEACTIVATE_DUAL_MONITOR));
}

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
	return vmx_event_valid(s, INTERRUPTION_EXCEPTION) && s->cr0 & 1;
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

PREDICATE(event_reserved_zero)
{
	return !(value & 0x7ffff000);
}

PREDICATE(error_code_is_word)
{
	return !(s->event & INTERRUPTION_HAS_CODE) || !(value >> 16);
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

static const struct vmx_rule rules[] = {
	{ "bits must be as IA32_VMX_PINBASED_CTLS grants them", EXECUTION, F(pin),
	  .holds = pin_granted },
	{ "bits must be as IA32_VMX_PROCBASED_CTLS grants them", EXECUTION, F(proc),
	  .holds = proc_granted },
	{ "bits must be as IA32_VMX_PROCBASED_CTLS2 grants them", EXECUTION, F(proc2),
	  WITH(proc, PROC_SECONDARY), .holds = proc2_granted },
	{ "there are no more CR3 targets than IA32_VMX_MISC says", EXECUTION, F(cr3_target_count),
	  .holds = targets_exist },
	{ PAGE, EXECUTION, F(io_bitmap_a), WITH(proc, PROC_IO_BITMAPS), .holds = page_address },
	{ PAGE, EXECUTION, F(io_bitmap_b), WITH(proc, PROC_IO_BITMAPS), .holds = page_address },
	{ PAGE, EXECUTION, F(msr_bitmap), WITH(proc, PROC_MSR_BITMAPS), .holds = page_address },
	{ PAGE, EXECUTION, F(virtual_apic), WITH(proc, PROC_TPR_SHADOW), .holds = page_address },
	{ "without virtual-interrupt delivery bits 31:4 must be 0", EXECUTION, F(tpr_threshold),
	  WITH(proc, PROC_TPR_SHADOW), .holds = threshold_is_nibble },
	{ "the threshold must not be above bits 7:4 of the virtual TPR", EXECUTION,
	  F(tpr_threshold), WITH(proc, PROC_TPR_SHADOW), .holds = threshold_below_vtpr },
	{ "\"virtual NMIs\" needs \"NMI exiting\"", EXECUTION, F(pin),
	  .holds = virtual_nmis_need_exits },
	{ "\"NMI-window exiting\" needs \"virtual NMIs\"", EXECUTION, F(proc),
	  .holds = nmi_window_needs_virtual_nmis },
	{ PAGE, EXECUTION, F(apic_access), WITH(proc2, PROC2_APIC_ACCESSES), .holds = page_address },
	{ "virtualizing the APIC's registers needs \"use TPR shadow\"", EXECUTION, F(proc2),
	  .holds = apic_needs_tpr_shadow },
	{ "\"virtualize x2APIC mode\" excludes \"virtualize APIC accesses\"", EXECUTION, F(proc2),
	  .holds = one_apic_mode },
	{ "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"", EXECUTION,
	  F(proc2), .holds = delivery_needs_exits },
	{ "posted interrupts need virtual-interrupt delivery and acknowledge on exit", EXECUTION,
	  F(pin), .holds = posting_needs_delivery },
	{ "bits 15:8 must be 0", EXECUTION, F(posted_vector), WITH(pin, PIN_POSTED_INTERRUPTS),
	  .holds = is_vector },
	{ "bits 5:0 and bits beyond the physical-address width must be 0", EXECUTION,
	  F(posted_descriptor), WITH(pin, PIN_POSTED_INTERRUPTS), .holds = line_address },
	{ "the VPID must not be 0", EXECUTION, F(vpid), WITH(proc2, PROC2_VPID), .holds = not_zero },
	{ "bits 2:0 must be a memory type that IA32_VMX_EPT_VPID_CAP has", EXECUTION,
	  F(ept_pointer), WITH(proc2, PROC2_EPT), .holds = ept_type_supported },
	{ "bits 5:3 must be a walk length, less 1, that IA32_VMX_EPT_VPID_CAP has", EXECUTION,
	  F(ept_pointer), WITH(proc2, PROC2_EPT), .holds = ept_levels_supported },
	{ "bit 6 needs accessed and dirty flags for EPT", EXECUTION, F(ept_pointer),
	  WITH(proc2, PROC2_EPT), .holds = ept_accessed_supported },
	{ "reserved bits and bits beyond the physical-address width must be 0", EXECUTION,
	  F(ept_pointer), WITH(proc2, PROC2_EPT), .holds = ept_reserved_zero },
	{ "\"enable PML\" needs \"enable EPT\"", EXECUTION, F(proc2), WITH(proc2, PROC2_PML),
	  .holds = needs_ept },
	{ PAGE, EXECUTION, F(pml_address), WITH(proc2, PROC2_PML), .holds = page_address },
	{ "\"unrestricted guest\" needs \"enable EPT\"", EXECUTION, F(proc2),
	  WITH(proc2, PROC2_UNRESTRICTED_GUEST), .holds = needs_ept },
	{ "\"mode-based execute control for EPT\" needs \"enable EPT\"", EXECUTION, F(proc2),
	  WITH(proc2, PROC2_MODE_BASED_EXECUTE), .holds = needs_ept },
	{ "\"sub-page write permissions for EPT\" needs \"enable EPT\"", EXECUTION, F(proc2),
	  WITH(proc2, PROC2_SUB_PAGE), .holds = needs_ept },
	{ PAGE, EXECUTION, F(sub_page_table), WITH(proc2, PROC2_SUB_PAGE), .holds = page_address },
	{ "bits must be as IA32_VMX_VMFUNC grants them", EXECUTION, F(vmfunc),
	  WITH(proc2, PROC2_VM_FUNCTIONS), .holds = functions_exist },
	{ "\"EPTP switching\" needs \"enable EPT\"", EXECUTION, F(vmfunc),
	  WITH(proc2, PROC2_VM_FUNCTIONS), .holds = switching_needs_ept },
	{ PAGE, EXECUTION, F(eptp_list), WITH(proc2, PROC2_VM_FUNCTIONS),
	  .holds = eptp_list_address },
	{ PAGE, EXECUTION, F(vmread_bitmap), WITH(proc2, PROC2_SHADOW_VMCS), .holds = page_address },
	{ PAGE, EXECUTION, F(vmwrite_bitmap), WITH(proc2, PROC2_SHADOW_VMCS),
	  .holds = page_address },
	{ PAGE, EXECUTION, F(ve_information), WITH(proc2, PROC2_EPT_VE), .holds = page_address },
	{ "the multiplier must not be 0", EXECUTION, F(tsc_multiplier),
	  WITH(proc2, PROC2_TSC_SCALING), .holds = not_zero },
	{ "guest-physical tracing needs EPT and IA32_RTIT_CTL loaded and cleared", EXECUTION,
	  F(proc2), WITH(proc2, PROC2_PT_GUEST_PHYSICAL), .holds = trace_loads },

	{ "bits must be as IA32_VMX_EXIT_CTLS grants them", EXITS, F(exit), .holds = exit_granted },
	{ "\"save VMX-preemption timer value\" needs the timer activated", EXITS, F(exit),
	  .holds = timer_saved_if_active },
	{ AREA, EXITS, F(exit_store), .holds = exit_store_fits },
	{ AREA, EXITS, F(exit_load), .holds = exit_load_fits },

	{ "bits must be as IA32_VMX_ENTRY_CTLS grants them", ENTRIES, F(entry),
	  .holds = entry_granted },
	{ "outside SMM \"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0",
	  ENTRIES, F(entry), .holds = not_into_smm },
	{ AREA, ENTRIES, F(entry_load), .holds = entry_load_fits },
	{ "the type must not be reserved", ENTRIES, F(event), WITH(event, INTERRUPTION_VALID),
	  .holds = event_type_exists },
	{ "the vector must fit the type: 2 for an NMI, 0 to 31 for an exception", ENTRIES, F(event),
	  WITH(event, INTERRUPTION_VALID), .holds = event_vector_fits },
	{ "in protected mode an exception that has an error code must deliver it", ENTRIES,
	  F(event), WITH(event, INTERRUPTION_VALID), .holds = error_code_where_due },
	{ "only an exception that has one delivers an error code, and none does in real mode",
	  ENTRIES, F(event), WITH(event, INTERRUPTION_VALID), .holds = no_error_code_elsewhere },
	{ "bits 30:12 must be 0", ENTRIES, F(event), WITH(event, INTERRUPTION_VALID),
	  .holds = event_reserved_zero },
	{ "bits 31:16 must be 0", ENTRIES, F(event_code), WITH(event, INTERRUPTION_VALID),
	  .holds = error_code_is_word },
	{ "an instruction's length is 1 to 15, or 0 where IA32_VMX_MISC allows it", ENTRIES,
	  F(event_length), WITH(event, INTERRUPTION_VALID), .holds = length_of_instruction },
};

const struct vmx_rules vmx_control_rules = { rules, ARRAY_SIZE(rules) };
