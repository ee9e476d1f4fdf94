/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The audit of a VMCB: what VMRUN checks (APM 2 15.5.1, 15.20, 15.25), over a plain snapshot, so that
 * it runs anywhere.
 */
#ifndef SVM_AUDIT_AUDIT_H
#define SVM_AUDIT_AUDIT_H

#include "core/audit.h"

/* What this processor allows. */
struct svm_limits {
	u64 cr4, efer; /* bits that exist */
	u32 phys_bits;
	bool long_mode;
};

/* The fields that the checks look at, under the manual's names, and the host's part in them. */
struct svm_snapshot {
	const struct svm_limits *limits;
	u64 host_cr0;
	/* control area */
	u64 intercepts; /* offset 010h: VMRUN and its neighbours */
	u64 iopm_base_pa, msrpm_base_pa;
	u64 guest_asid;
	u64 nested_ctl, n_cr3;
	u64 eventinj;
	/* state save area */
	u64 efer, cr0, cr3, cr4, dr6, dr7;
	u64 cs; /* attrib */
	u64 g_pat;
	u64 s_cet;
};

/*
 * What must hold of a field: some of its bits are 0, some are 1, and the function says yes. The
 * conditions below them say where the rule is there at all. A row that has a section alone is the
 * heading of those behind it.
 */
struct svm_rule {
	const char *rule;
	u16 field; /* offset in the snapshot: whom to blame */
	bool (*holds)(const struct svm_snapshot *s, u64 value);
	u64 zero, one;
	u16 with, unless; /* fields: one has all of these bits, and the other has none of these */
	u32 bits, none;
	bool (*when)(const struct svm_snapshot *s, u64 value);
	const char *section;
};

struct svm_rules {
	const struct svm_rule *rule;
	u32 count;
};

/* rules.c */
extern const struct svm_rules svm_rules;

/* audit.c */
u32 svm_audit(const struct svm_snapshot *s, struct audit_finding *out, u32 room);
const char *svm_field_name(u16 field);
void svm_audit_setup(void);
u32 svm_audit_vcpu(struct vcpu *v, struct audit_finding *out, u32 room);

#endif
