/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A backend whose processor is a script: run() plays one exit after the other and notes what core
 * asked for. When the script is over the host wants its thread back, with a signal: vcpu_run() then
 * answers -EINTR.
 */
#ifndef FAKE_BACKEND_H
#define FAKE_BACKEND_H

#include "core/vcpu.h"

#define FAKE_EXITS 32
#define FAKE_EVENTS 32

/* What the hardware holds of one vCPU: v->hw */
struct fake_hw {
	u64 rip, rflags, cr2, cr3;
	struct fermata_state_segments segments;
	struct fermata_state_msrs msrs;
	u8 cpl, mode;
	bool shadow, nmi_masked;
	u32 windows; /* kinds of the last window() */
};

struct fake_script {
	struct exit exit[FAKE_EXITS];
	u32 count, played;
	/* While the guest of turn `turn` runs: what it, or another thread, does then. */
	void (*guest)(struct vcpu *v, u32 turn);

	struct injection injected[FAKE_EVENTS];
	u32 injected_turn[FAKE_EVENTS]; /* with which turn it went in */
	u32 injections, windows, flushes, loads, audits;
	u32 paid;	  /* the kinds of the last flush */
	u32 broken_rules; /* what the audit finds */
	u32 asked_window; /* how often a window was asked for, not taken back */
	u64 entry_rip[FAKE_EXITS];
	u32 dirty[FAKE_EXITS];
};
extern struct fake_script fake;
extern const struct backend fake_backend;

void fake_reset(void);
/* One more exit at the end of the script; fill in what it returns. */
struct exit *fake_exit(u8 kind, u8 length);

static inline struct fake_hw *fake_hw(struct vcpu *v)
{
	return v->hw;
}

#endif
