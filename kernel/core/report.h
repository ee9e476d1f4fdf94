/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What user space hears of an exit: the record in the run page. */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include "core/vcpu.h"

/* FERMATA_EXIT_*, for reasons that have no more to say than that. LEAVE_FOR_USER. */
enum verdict exit_to_user(struct vcpu *v, u32 reason);
/* What vcpu_refused() has noted, as the exit of an entry that failed. */
enum verdict exit_refused(struct vcpu *v);
/* An access to what is no memory, with its instruction. Verdict. */
int report_mmio(struct vcpu *v, u32 reason);
/* The instruction, for user space to decode. False: its bytes cannot be had now. */
bool report_code(struct vcpu *v);

/* All but what the reason itself has to say. */
static inline void describe_exit(struct vcpu *v, u32 reason)
{
	struct fermata_exit *out = &v->page->exit;
	const struct exit *x = &v->exit;

	v->report.reason = reason; /* the page is the caller's to write; this is not */

	out->reason = reason;
	out->hw_reason = x->code;
	out->hw_info1 = x->info1;
	out->hw_info2 = x->info2;
	out->insn_bytes = 0;
	memset(out->insn, 0, sizeof(out->insn));
	out->cpu_mode = 0;
	memset(out->reserved, 0, sizeof(out->reserved));
	out->insn_len = x->length;
}

#endif
