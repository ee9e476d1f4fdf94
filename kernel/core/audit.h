/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What an audit found: the processor checks a guest's state at every entry and says only that it did
 * not like it; the backends make the same checks in C and say which rule was broken, and by what.
 */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

#include "host.h"
#include "uapi/fermata.h"

struct vcpu;

struct audit_finding {
	const char *rule;    /* what must hold, one line in words */
	const char *section; /* the manual's: "SDM 3C 27.3.1.2" */
	const char *field;
	u64 value;
};

struct audit {
	u32 count; /* rules broken; the first FERMATA_AUDIT_LINES of them are in finding[] */
	struct audit_finding finding[FERMATA_AUDIT_LINES];
};

/* For the backends. *count counts every finding, also those that find no room in out[]. */
void audit_add(struct audit_finding *out, u32 room, u32 *count, const struct audit_finding *finding);
/* "rule; section; field = value". Returns the length, which is below size. */
u32 audit_text(const struct audit_finding *finding, char *text, u32 size);

/* In guest context. Fills in v->audit and logs it. */
void vcpu_audit(struct vcpu *v);
/*
 * Outside of an entry, a register does not take what is to be the guest's: an instruction of ours has faulted. The
 * vCPU ends before its next entry, and the caller hears which register and which value. Its own thread only.
 */
void vcpu_refused(struct vcpu *v, const char *reg, u64 value);
/* Likewise: the hypervisor beside which this vCPU runs has switched virtualization off on this CPU. */
void vcpu_lost(struct vcpu *v);
/* For the caller: what the audit of the last failed entry found. */
void vcpu_get_audit(const struct vcpu *v, struct fermata_audit *out);

/* Debug builds look at what changed before the processor does. */
static inline void audit_before_entry(struct vcpu *v, u32 dirty)
{
#ifdef FERMATA_DEBUG
	if (dirty)
		vcpu_audit(v);
#endif
}

#endif
