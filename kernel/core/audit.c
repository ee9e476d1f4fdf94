/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Findings: gathered, logged, handed to the caller as text. */
#include "core/audit.h"
#include "core/vcpu.h"

void audit_add(struct audit_finding *out, u32 room, u32 *count, const struct audit_finding *finding)
{
	if (*count < room)
		out[*count] = *finding;
	++*count;
}

static u32 append(char *text, u32 size, u32 at, const char *words)
{
	for (; *words && at + 1 < size; words++)
		text[at++] = *words;
	text[at] = 0;
	return at;
}

u32 audit_text(const struct audit_finding *finding, char *text, u32 size)
{
	char digits[17], *digit = digits + sizeof(digits) - 1;
	u64 value = finding->value;
	u32 at;

	*digit = 0;
	do {
		*--digit = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	at = append(text, size, 0, finding->rule);
	at = append(text, size, at, "; ");
	at = append(text, size, at, finding->section);
	at = append(text, size, at, "; ");
	at = append(text, size, at, finding->field);
	at = append(text, size, at, " = 0x");
	return append(text, size, at, digit);
}

void vcpu_audit(struct vcpu *v)
{
	struct audit *audit = &v->audit;
	char text[FERMATA_AUDIT_TEXT];
	u32 i;

	audit->count = v->backend->audit(v, audit->finding, ARRAY_SIZE(audit->finding));
	for (i = 0; i < audit->count && i < ARRAY_SIZE(audit->finding); i++) {
		audit_text(&audit->finding[i], text, sizeof(text));
		host_log("vCPU %u: %s", v->id, text);
	}
}

void vcpu_refused(struct vcpu *v, const char *reg, u64 value)
{
	if (v->requests & BIT_ULL(REQUEST_REFUSED))
		return; /* the first one is the cause */
	v->audit.count = 1;
	v->audit.finding[0] = (struct audit_finding){
		.rule = "the processor loads the guest's value",
		.section = "SDM 2: WRMSR, XSETBV, XRSTOR",
		.field = reg,
		.value = value,
	};
	host_log("vCPU %u: the processor does not take %#llx for %s", v->id, value, reg);
	host_set_bit(REQUEST_REFUSED, &v->requests);
}

void vcpu_lost(struct vcpu *v)
{
	if (v->requests & BIT_ULL(REQUEST_REFUSED))
		return;
	v->audit.count = 1;
	v->audit.finding[0] = (struct audit_finding){
		.rule = "the other hypervisor has left virtualization on",
		.section = "SDM 3C 24.7, APM 2 15.4",
		.field = "CR4.VMXE, EFER.SVME",
	};
	host_log("vCPU %u: the other hypervisor has switched virtualization off", v->id);
	host_set_bit(REQUEST_REFUSED, &v->requests);
}

void vcpu_get_audit(const struct vcpu *v, struct fermata_audit *out)
{
	const struct audit *audit = &v->audit;
	u32 i;

	memset(out, 0, sizeof(*out));
	out->count = audit->count;
	for (i = 0; i < audit->count && i < ARRAY_SIZE(audit->finding); i++)
		audit_text(&audit->finding[i], out->line[i], sizeof(out->line[i]));
}
