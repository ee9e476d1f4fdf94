/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The audit of a VMCS: what VM entry checks (SDM 3C 27.2 and 27.3), over a plain snapshot, so that it
 * runs anywhere.
 */
#ifndef VMX_AUDIT_AUDIT_H
#define VMX_AUDIT_AUDIT_H

#include "core/audit.h"
#include "vmx/vmcs.h"

/* What this processor allows: its capability MSRs (SDM 3D appendix A) and CPUID. */
struct vmx_limits {
	u64 basic; /* first: no rule has the offset 0 */
	u64 misc, ept_vpid, vmfunc;
	/* low half: bits that must be 1; high half: bits that may be 1 */
	u64 pin, proc, proc2, exit, entry;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 efer; /* bits that exist */
	u32 phys_bits, linear_bits;
	bool rtm, sgx, bus_lock;
};

struct vmx_segment {
	u64 selector, base, limit, access;
};

/* In the order of the VMCS. */
enum vmx_register {
	VMX_ES,
	VMX_CS,
	VMX_SS,
	VMX_DS,
	VMX_FS,
	VMX_GS,
	VMX_LDTR,
	VMX_TR,
	VMX_SEGMENTS
};

/* The fields of a VMCS, and the two things beside it that the checks look at. */
struct vmx_snapshot {
	const struct vmx_limits *limits;
	u64 vtpr; /* byte 80h of the virtual-APIC page */
	/* controls; proc2 is 0 unless proc activates it */
	u64 pin, proc, proc2, exit, entry;
	u64 cr3_target_count;
	u64 io_bitmap_a, io_bitmap_b, msr_bitmap;
	u64 virtual_apic, tpr_threshold, apic_access;
	u64 posted_vector, posted_descriptor;
	u64 vpid, ept_pointer, pml_address, sub_page_table;
	u64 vmfunc, eptp_list, vmread_bitmap, vmwrite_bitmap, ve_information, tsc_multiplier;
	u64 exit_store_count, exit_store, exit_load_count, exit_load, entry_load_count, entry_load;
	u64 event, event_code, event_length;
	/* host */
	u64 host_cr0, host_cr3, host_cr4;
	u64 host_sysenter_esp, host_sysenter_eip, host_pat, host_efer;
	u64 host_s_cet, host_ssp, host_ssp_table;
	u64 host_es, host_cs, host_ss, host_ds, host_fs, host_gs, host_tr;
	u64 host_fs_base, host_gs_base, host_gdtr_base, host_idtr_base, host_tr_base;
	u64 host_rip;
	/* guest */
	u64 cr0, cr3, cr4, dr7, debugctl;
	u64 sysenter_esp, sysenter_eip, pat, efer;
	u64 s_cet, ssp, ssp_table;
	struct vmx_segment segment[VMX_SEGMENTS];
	u64 gdtr_base, gdtr_limit, idtr_base, idtr_limit;
	u64 rip, rflags;
	u64 activity, interruptibility, pending_debug, link_pointer;
	u64 pdpte[4];
};

/*
 * What must hold of a field: some of its bits are 0, some are 1, a control's are as granted, and the
 * function says yes. The conditions below them say where the rule is there at all. A row that has a
 * section alone is the heading of those behind it.
 */
struct vmx_rule {
	const char *rule;
	u16 field; /* offset in the snapshot: whom to blame; with registers, in the ES entry */
	bool (*holds)(const struct vmx_snapshot *s, u64 value, u32 n);
	u64 zero, one;
	u16 granted;	  /* offset in the limits; 0: it is no control */
	u16 with, unless; /* fields: one has these bits so, and the other has none of these */
	u32 mask, bits, none;
	bool (*when)(const struct vmx_snapshot *s, u64 value, u32 n);
	u16 registers; /* BIT(VMX_ES) ...: once for each; 0: no segment register's rule */
	const char *section;
};

struct vmx_rules {
	const struct vmx_rule *rule;
	u32 count;
};

/* For the files of rules. `value` is the blamed field's, n the segment register. */
#define PREDICATE(name) static bool name(const struct vmx_snapshot *s, u64 value, u32 n)
#define F(member) offsetof(struct vmx_snapshot, member)
#define WITH(member, set) .with = F(member), .mask = (set), .bits = (set)
#define UNLESS(member, set) .unless = F(member), .none = (set)
#define EVENT(type)                                                                                \
	.with = F(event), .mask = INTERRUPTION_VALID | INTERRUPTION_TYPE,                          \
	.bits = INTERRUPTION_VALID | (type)
#define FOR(set) .registers = (set)

static inline u64 vmx_beyond(const struct vmx_snapshot *s)
{
	return ~0ull << s->limits->phys_bits;
}

/* controls.c, host.c, guest.c, segments.c */
extern const struct vmx_rules vmx_control_rules, vmx_host_rules, vmx_guest_rules, vmx_segment_rules;
bool vmx_not_zero(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_fits_width(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_canonical(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_pat_valid(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_efer_bits_exist(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_s_cet_valid(const struct vmx_snapshot *s, u64 value, u32 n);
bool vmx_cr4_fixed(const struct vmx_snapshot *s, u64 value, u32 n);

/* audit.c */
u32 vmx_audit(const struct vmx_snapshot *s, struct audit_finding *out, u32 room);
const char *vmx_field_name(u16 field);
void vmx_audit_setup(void);
u32 vmx_audit_vcpu(struct vcpu *v, struct audit_finding *out, u32 room);

#endif
