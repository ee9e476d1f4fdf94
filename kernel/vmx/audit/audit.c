/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The audit of a VMCS: the limits, the snapshot, and the walk over the rules. */
#include "vmx/audit/audit.h"
#include "vmx/vmx.h"
#include "base/processor.h"

static struct vmx_limits limits;

/* ---- what this processor allows */

/* SDM 3A 2.2.1 */
static u64 efer_bits(void)
{
	struct cpu_words x1 = cpu_cpuid(0x80000001, 0);
	u64 bits = 0;

	bits |= x1.edx & BIT(11) ? ARCH_EFER_SCE : 0;
	bits |= x1.edx & BIT(29) ? ARCH_EFER_LME | ARCH_EFER_LMA : 0;
	bits |= x1.edx & BIT(20) ? ARCH_EFER_NXE : 0;
	return bits;
}

void vmx_audit_setup(void)
{
	struct vmx_limits *l = &limits;
	struct cpu_words l7 = cpu_cpuid(7, 0);
	u32 x8 = cpu_cpuid(0x80000008, 0).eax, first;

	memset(l, 0, sizeof(*l));
	l->basic = cpu_rdmsr(MSR_VMX_BASIC);
	first = l->basic & BASIC_TRUE_CONTROLS ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN;
	l->pin = cpu_rdmsr(first);
	l->proc = cpu_rdmsr(first + 1);
	l->exit = cpu_rdmsr(first + 2);
	l->entry = cpu_rdmsr(first + 3);
	if (l->proc >> 32 & PROC_SECONDARY)
		l->proc2 = cpu_rdmsr(MSR_VMX_PROC2);
	if (l->proc2 >> 32 & (PROC2_EPT | PROC2_VPID))
		l->ept_vpid = cpu_rdmsr(MSR_VMX_EPT_VPID_CAP);
	if (l->proc2 >> 32 & PROC2_VM_FUNCTIONS)
		l->vmfunc = cpu_rdmsr(MSR_VMX_VMFUNC);
	l->misc = cpu_rdmsr(MSR_VMX_MISC);
	l->cr0_fixed0 = cpu_rdmsr(MSR_VMX_CR0_FIXED0);
	l->cr0_fixed1 = cpu_rdmsr(MSR_VMX_CR0_FIXED1);
	l->cr4_fixed0 = cpu_rdmsr(MSR_VMX_CR4_FIXED0);
	l->cr4_fixed1 = cpu_rdmsr(MSR_VMX_CR4_FIXED1);
	l->efer = efer_bits();
	l->phys_bits = x8 & 0xff;
	l->linear_bits = x8 >> 8 & 0xff;
	if (cpu_cpuid(0, 0).eax < 7)
		return;
	l->sgx = l7.ebx & BIT(2);
	l->rtm = l7.ebx & BIT(11);
	l->bus_lock = l7.ecx & BIT(24);
}

/* ---- the snapshot */

#define SEGMENT(n, name)                                                                           \
	{ VMCS_GUEST_ES_SELECTOR + 2 * (n), F(segment[n].selector), name " selector" },            \
		{ VMCS_GUEST_ES_BASE + 2 * (n), F(segment[n].base), name " base" },                \
		{ VMCS_GUEST_ES_LIMIT + 2 * (n), F(segment[n].limit), name " limit" },             \
		{ VMCS_GUEST_ES_ACCESS + 2 * (n), F(segment[n].access), name " access rights" }

/* Names as the SDM gives them (3D appendix B); what is not the host's nor a control is the guest's. */
static const struct {
	u16 from, to;
	const char *name;
} fields[] = {
	{ VMCS_PIN_CONTROLS, F(pin), "pin-based controls" },
	{ VMCS_PROC_CONTROLS, F(proc), "primary processor-based controls" },
	{ VMCS_PROC2_CONTROLS, F(proc2), "secondary processor-based controls" },
	{ VMCS_EXIT_CONTROLS, F(exit), "VM-exit controls" },
	{ VMCS_ENTRY_CONTROLS, F(entry), "VM-entry controls" },
	{ VMCS_CR3_TARGET_COUNT, F(cr3_target_count), "CR3-target count" },
	{ VMCS_IO_BITMAP_A, F(io_bitmap_a), "address of I/O bitmap A" },
	{ VMCS_IO_BITMAP_B, F(io_bitmap_b), "address of I/O bitmap B" },
	{ VMCS_MSR_BITMAP, F(msr_bitmap), "address of MSR bitmaps" },
	{ VMCS_VIRTUAL_APIC_PAGE, F(virtual_apic), "virtual-APIC address" },
	{ VMCS_TPR_THRESHOLD, F(tpr_threshold), "TPR threshold" },
	{ VMCS_APIC_ACCESS_PAGE, F(apic_access), "APIC-access address" },
	{ VMCS_POSTED_VECTOR, F(posted_vector), "posted-interrupt notification vector" },
	{ VMCS_POSTED_DESCRIPTOR, F(posted_descriptor), "posted-interrupt descriptor address" },
	{ VMCS_VPID, F(vpid), "VPID" },
	{ VMCS_EPT_POINTER, F(ept_pointer), "EPT pointer" },
	{ VMCS_PML_ADDRESS, F(pml_address), "PML address" },
	{ VMCS_SUB_PAGE_TABLE, F(sub_page_table), "sub-page-permission-table pointer" },
	{ VMCS_VMFUNC_CONTROLS, F(vmfunc), "VM-function controls" },
	{ VMCS_EPTP_LIST, F(eptp_list), "EPTP-list address" },
	{ VMCS_VMREAD_BITMAP, F(vmread_bitmap), "VMREAD-bitmap address" },
	{ VMCS_VMWRITE_BITMAP, F(vmwrite_bitmap), "VMWRITE-bitmap address" },
	{ VMCS_VE_INFORMATION, F(ve_information), "virtualization-exception information address" },
	{ VMCS_TSC_MULTIPLIER, F(tsc_multiplier), "TSC multiplier" },
	{ VMCS_EXIT_MSR_STORE_COUNT, F(exit_store_count), "VM-exit MSR-store count" },
	{ VMCS_EXIT_MSR_STORE_ADDR, F(exit_store), "VM-exit MSR-store address" },
	{ VMCS_EXIT_MSR_LOAD_COUNT, F(exit_load_count), "VM-exit MSR-load count" },
	{ VMCS_EXIT_MSR_LOAD_ADDR, F(exit_load), "VM-exit MSR-load address" },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, F(entry_load_count), "VM-entry MSR-load count" },
	{ VMCS_ENTRY_MSR_LOAD_ADDR, F(entry_load), "VM-entry MSR-load address" },
	{ VMCS_ENTRY_INTERRUPTION_INFO, F(event), "VM-entry interruption information" },
	{ VMCS_ENTRY_ERROR_CODE, F(event_code), "VM-entry exception error code" },
	{ VMCS_ENTRY_INSTRUCTION_LENGTH, F(event_length), "VM-entry instruction length" },

	{ VMCS_HOST_CR0, F(host_cr0), "host CR0" },
	{ VMCS_HOST_CR3, F(host_cr3), "host CR3" },
	{ VMCS_HOST_CR4, F(host_cr4), "host CR4" },
	{ VMCS_HOST_SYSENTER_ESP, F(host_sysenter_esp), "host IA32_SYSENTER_ESP" },
	{ VMCS_HOST_SYSENTER_EIP, F(host_sysenter_eip), "host IA32_SYSENTER_EIP" },
	{ VMCS_HOST_PAT, F(host_pat), "host IA32_PAT" },
	{ VMCS_HOST_EFER, F(host_efer), "host IA32_EFER" },
	{ VMCS_HOST_S_CET, F(host_s_cet), "host IA32_S_CET" },
	{ VMCS_HOST_SSP, F(host_ssp), "host SSP" },
	{ VMCS_HOST_SSP_TABLE, F(host_ssp_table), "host IA32_INTERRUPT_SSP_TABLE_ADDR" },
	{ VMCS_HOST_ES_SELECTOR, F(host_es), "host ES selector" },
	{ VMCS_HOST_CS_SELECTOR, F(host_cs), "host CS selector" },
	{ VMCS_HOST_SS_SELECTOR, F(host_ss), "host SS selector" },
	{ VMCS_HOST_DS_SELECTOR, F(host_ds), "host DS selector" },
	{ VMCS_HOST_FS_SELECTOR, F(host_fs), "host FS selector" },
	{ VMCS_HOST_GS_SELECTOR, F(host_gs), "host GS selector" },
	{ VMCS_HOST_TR_SELECTOR, F(host_tr), "host TR selector" },
	{ VMCS_HOST_FS_BASE, F(host_fs_base), "host FS base" },
	{ VMCS_HOST_GS_BASE, F(host_gs_base), "host GS base" },
	{ VMCS_HOST_GDTR_BASE, F(host_gdtr_base), "host GDTR base" },
	{ VMCS_HOST_IDTR_BASE, F(host_idtr_base), "host IDTR base" },
	{ VMCS_HOST_TR_BASE, F(host_tr_base), "host TR base" },
	{ VMCS_HOST_RIP, F(host_rip), "host RIP" },

	{ VMCS_GUEST_CR0, F(cr0), "CR0" },
	{ VMCS_GUEST_CR3, F(cr3), "CR3" },
	{ VMCS_GUEST_CR4, F(cr4), "CR4" },
	{ VMCS_GUEST_DR7, F(dr7), "DR7" },
	{ VMCS_GUEST_DEBUGCTL, F(debugctl), "IA32_DEBUGCTL" },
	{ VMCS_GUEST_SYSENTER_ESP, F(sysenter_esp), "IA32_SYSENTER_ESP" },
	{ VMCS_GUEST_SYSENTER_EIP, F(sysenter_eip), "IA32_SYSENTER_EIP" },
	{ VMCS_GUEST_PAT, F(pat), "IA32_PAT" },
	{ VMCS_GUEST_EFER, F(efer), "IA32_EFER" },
	{ VMCS_GUEST_S_CET, F(s_cet), "IA32_S_CET" },
	{ VMCS_GUEST_SSP, F(ssp), "SSP" },
	{ VMCS_GUEST_SSP_TABLE, F(ssp_table), "IA32_INTERRUPT_SSP_TABLE_ADDR" },
	SEGMENT(VMX_ES, "ES"),
	SEGMENT(VMX_CS, "CS"),
	SEGMENT(VMX_SS, "SS"),
	SEGMENT(VMX_DS, "DS"),
	SEGMENT(VMX_FS, "FS"),
	SEGMENT(VMX_GS, "GS"),
	SEGMENT(VMX_LDTR, "LDTR"),
	SEGMENT(VMX_TR, "TR"),
	{ VMCS_GUEST_GDTR_BASE, F(gdtr_base), "GDTR base" },
	{ VMCS_GUEST_GDTR_LIMIT, F(gdtr_limit), "GDTR limit" },
	{ VMCS_GUEST_IDTR_BASE, F(idtr_base), "IDTR base" },
	{ VMCS_GUEST_IDTR_LIMIT, F(idtr_limit), "IDTR limit" },
	{ VMCS_GUEST_RIP, F(rip), "RIP" },
	{ VMCS_GUEST_RFLAGS, F(rflags), "RFLAGS" },
	{ VMCS_GUEST_ACTIVITY, F(activity), "activity state" },
	{ VMCS_GUEST_INTERRUPTIBILITY, F(interruptibility), "interruptibility state" },
	{ VMCS_GUEST_PENDING_DEBUG, F(pending_debug), "pending debug exceptions" },
	{ VMCS_LINK_POINTER, F(link_pointer), "VMCS link pointer" },
	{ VMCS_GUEST_PDPTE0, F(pdpte[0]), "PDPTE0" },
	{ VMCS_GUEST_PDPTE0 + 2, F(pdpte[1]), "PDPTE1" },
	{ VMCS_GUEST_PDPTE0 + 4, F(pdpte[2]), "PDPTE2" },
	{ VMCS_GUEST_PDPTE0 + 6, F(pdpte[3]), "PDPTE3" },
};

static void vmx_audit_read(const struct vmx_vcpu *v, struct vmx_snapshot *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	s->limits = &limits;
	s->vtpr = v->virtual_apic[0x80 / 4] & 0xff;
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		*(u64 *)((u8 *)s + fields[i].to) = vmread_or_zero(fields[i].from);
	if (!(s->proc & PROC_SECONDARY))
		s->proc2 = 0;
}

const char *vmx_field_name(u16 field)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].to == field)
			return fields[i].name;
	return "?";
}

/* ---- the walk */

static u64 word(const struct vmx_snapshot *s, u16 field)
{
	return *(const u64 *)((const u8 *)s + field);
}

static bool holds(const struct vmx_snapshot *s, const struct vmx_rule *rule, u64 value, u32 n)
{
	u64 granted = *(const u64 *)((const u8 *)s->limits + rule->granted);

	if (rule->when && !rule->when(s, value, n))
		return true;
	if (rule->granted && ((u32)granted & ~value || value & ~(granted >> 32)))
		return false;
	return !(value & rule->zero) && !(~value & rule->one) &&
	       (!rule->holds || rule->holds(s, value, n));
}

static void check(const struct vmx_snapshot *s, const struct vmx_rule *rule, const char *section,
		  struct audit_finding *out, u32 room, u32 *count)
{
	u32 n, registers = rule->registers ? rule->registers : BIT(VMX_ES);

	if ((word(s, rule->with) & rule->mask) != rule->bits || word(s, rule->unless) & rule->none)
		return;
	for (n = 0; n < VMX_SEGMENTS; n++) {
		u16 field = rule->field + n * sizeof(struct vmx_segment);

		if (!(registers & BIT(n)) || holds(s, rule, word(s, field), n))
			continue;
		audit_add(out, room, count,
			  &(struct audit_finding){ rule->rule, section, vmx_field_name(field),
						   word(s, field) });
	}
}

u32 vmx_audit(const struct vmx_snapshot *s, struct audit_finding *out, u32 room)
{
	static const struct vmx_rules *const all[] = { &vmx_control_rules, &vmx_host_rules,
						       &vmx_guest_rules, &vmx_segment_rules };
	const char *section = NULL;
	u32 i, j, count = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (j = 0; j < all[i]->count; j++)
			if (all[i]->rule[j].section)
				section = all[i]->rule[j].section;
			else
				check(s, &all[i]->rule[j], section, out, room, &count);
	return count;
}

u32 vmx_audit_vcpu(struct vcpu *v, struct audit_finding *out, u32 room)
{
	struct vmx_snapshot snapshot;

	vmx_begin(v);
	vmx_audit_read(v->hw, &snapshot);
	vmx_end(v);
	return vmx_audit(&snapshot, out, room);
}
