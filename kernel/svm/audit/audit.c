/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The audit of a VMCB: the limits, the snapshot, and the walk over the rules. */
#include "svm/audit/audit.h"
#include "svm/svm.h"
#include "base/processor.h"

static struct svm_limits limits;

/* ---- what this processor allows */

/* APM 2 3.1.3; CPUID: APM 3 appendix E. The older bits are in every processor with SVM. */
static u64 cr4_bits(void)
{
	struct cpu_words l1 = cpu_cpuid(1, 0), l7 = cpu_cpuid(7, 0);
	u64 bits = 0x7ff; /* VME to OSXMMEXCPT */

	if (cpu_cpuid(0, 0).eax < 7)
		l7 = (struct cpu_words){ 0 };
	bits |= l7.ecx & BIT(2) ? ARCH_CR4_UMIP : 0;
	bits |= l7.ecx & BIT(16) ? ARCH_CR4_LA57 : 0;
	bits |= l7.ebx & BIT(0) ? ARCH_CR4_FSGSBASE : 0;
	bits |= l1.ecx & BIT(17) ? ARCH_CR4_PCIDE : 0;
	bits |= l1.ecx & BIT(26) ? ARCH_CR4_OSXSAVE : 0;
	bits |= l7.ebx & BIT(7) ? ARCH_CR4_SMEP : 0;
	bits |= l7.ebx & BIT(20) ? ARCH_CR4_SMAP : 0;
	bits |= l7.ecx & BIT(3) ? ARCH_CR4_PKE : 0;
	bits |= l7.ecx & BIT(7) ? ARCH_CR4_CET : 0;
	return bits;
}

/* APM 2 3.1.7 */
static u64 efer_bits(void)
{
	struct cpu_words x1 = cpu_cpuid(0x80000001, 0), x8 = cpu_cpuid(0x80000008, 0);
	u64 bits = ARCH_EFER_SVME;

	bits |= x1.edx & BIT(11) ? ARCH_EFER_SCE : 0;
	bits |= x1.edx & BIT(29) ? ARCH_EFER_LME | ARCH_EFER_LMA : 0;
	bits |= x1.edx & BIT(20) ? ARCH_EFER_NXE : 0;
	bits |= x1.edx & BIT(25) ? ARCH_EFER_FFXSR : 0;
	bits |= x1.ecx & BIT(17) ? ARCH_EFER_TCE : 0;
	bits |= x8.ebx & BIT(20) ? 0 : ARCH_EFER_LMSLE;
	bits |= x8.ebx & BIT(8) ? ARCH_EFER_MCOMMIT : 0;
	bits |= x8.ebx & BIT(13) ? ARCH_EFER_INTWB : 0;
	if (cpu_cpuid(0x80000000, 0).eax >= 0x80000021) {
		u32 x21 = cpu_cpuid(0x80000021, 0).eax;

		bits |= x21 & BIT(7) ? ARCH_EFER_UAIE : 0;
		bits |= x21 & BIT(8) ? ARCH_EFER_AIBRSE : 0;
	}
	return bits;
}

void svm_audit_setup(void)
{
	limits.cr4 = cr4_bits();
	limits.efer = efer_bits();
	limits.phys_bits = cpu_cpuid(0x80000008, 0).eax & 0xff;
	limits.long_mode = limits.efer & ARCH_EFER_LMA;
}

/* ---- the snapshot */

#define FIELD(from, to, says)                                                                      \
	{ offsetof(struct vmcb, from), sizeof(((struct vmcb *)0)->from),                           \
	  offsetof(struct svm_snapshot, to), says }

static const struct {
	u16 from, size, to;
	const char *name;
} fields[] = {
	FIELD(intercept[VMCB_MISC2], intercepts, "intercepts at 010h"),
	FIELD(iopm_base_pa, iopm_base_pa, "IOPM_BASE_PA"),
	FIELD(msrpm_base_pa, msrpm_base_pa, "MSRPM_BASE_PA"),
	FIELD(guest_asid, guest_asid, "guest ASID"),
	FIELD(nested_ctl, nested_ctl, "NP_ENABLE"),
	FIELD(n_cr3, n_cr3, "N_CR3"),
	FIELD(eventinj, eventinj, "EVENTINJ"),
	FIELD(efer, efer, "EFER"),
	FIELD(cr0, cr0, "CR0"),
	FIELD(cr3, cr3, "CR3"),
	FIELD(cr4, cr4, "CR4"),
	FIELD(dr6, dr6, "DR6"),
	FIELD(dr7, dr7, "DR7"),
	FIELD(cs.attrib, cs, "CS attributes"),
	FIELD(g_pat, g_pat, "G_PAT"),
	FIELD(s_cet, s_cet, "S_CET"),
};

static void svm_audit_read(const struct vmcb *c, struct svm_snapshot *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	s->limits = &limits;
	s->host_cr0 = cpu_cr0();
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		memcpy((u8 *)s + fields[i].to, (const u8 *)c + fields[i].from, fields[i].size);
}

const char *svm_field_name(u16 field)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].to == field)
			return fields[i].name;
	return "?";
}

/* ---- the walk */

static u64 word(const struct svm_snapshot *s, u16 field)
{
	return *(const u64 *)((const u8 *)s + field);
}

static bool holds(const struct svm_snapshot *s, const struct svm_rule *rule, u64 value)
{
	if ((word(s, rule->with) & rule->bits) != rule->bits || word(s, rule->unless) & rule->none)
		return true;
	if (rule->when && !rule->when(s, value))
		return true;
	return !(value & rule->zero) && !(~value & rule->one) &&
	       (!rule->holds || rule->holds(s, value));
}

u32 svm_audit(const struct svm_snapshot *s, struct audit_finding *out, u32 room)
{
	const char *section = NULL;
	u32 i, count = 0;

	for (i = 0; i < svm_rules.count; i++) {
		const struct svm_rule *rule = &svm_rules.rule[i];
		u64 value = word(s, rule->field);

		if (rule->section)
			section = rule->section;
		else if (!holds(s, rule, value))
			audit_add(out, room, &count,
				  &(struct audit_finding){ rule->rule, section,
							   svm_field_name(rule->field), value });
	}
	return count;
}

u32 svm_audit_vcpu(struct vcpu *v, struct audit_finding *out, u32 room)
{
	struct svm_vcpu *s = v->hw;
	struct svm_snapshot snapshot;

	/*
	 * QEMU 7.2 saves the host's control registers into a VMCB that it refuses; these are core's, so
	 * what went in can go in again.
	 */
	if (v->exit.kind == EXIT_FAIL_ENTRY) {
		v->dirty |= DIRTY_CONTROL | DIRTY_DEBUG | DIRTY_PAT;
		svm_apply(v);
	}
	svm_audit_read(s->vmcb, &snapshot);
	snapshot.eventinj = s->eventinj; /* an exit clears the field */
	return svm_audit(&snapshot, out, room);
}
