/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The vCPU.
 *
 * Who may write a field, and when: its own thread, unless the field's comment names another. Other threads that
 * read one do so by READ_ONCE. "Constant" is set by vcpu_init() and not changed after it.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include "host.h"
#include "apic/apic.h"
#include "base/arch.h"
#include "core/audit.h"
#include "core/exit.h"
#include "core/requests.h"
#include "core/rules.h"
#include "core/vm.h"
#include "memory/shadow/shadow.h"
#include "memory/tags.h"
#include "uapi/fermata.h"

enum vcpu_mode { VCPU_OUTSIDE, VCPU_IN_GUEST };

#define SHADOWING_PCIDS 32

/* Shadow paging's part of a vCPU. */
struct vcpu_shadow {
	struct shadow_cpu cpu;
	u64 cr3, pdpte[4];	       /* the guest's */
	u64 last_cr3[SHADOWING_PCIDS]; /* by some bits of the PCID */
	struct flush owed;	       /* by all vCPUs, to be paid outside of guest context */
	u64 absent;		       /* a guest table to be brought in there; SHADOWING_NONE */
	u32 audit_hand;		       /* the last page that was audited */
};
#define SHADOWING_NONE (~0ull)

/*
 * What the guest sees of its processor, but for what the hardware holds (behind vcpu.hw), the general registers
 * (in vcpu.page) and the local APIC. The backend derives from it what the hardware gets.
 */
struct guest_cpu {
	u64 cr0, cr4, efer, xcr0, pat;
	u64 cr2;  /* where the hardware does not exchange it, and with DIRTY_CR2 */
	u32 pkru; /* as it was at the last exit */
	u64 dr[4], dr6, dr7;
	u64 tsc_adjust, tsc_offset, tsc_aux; /* tsc_offset: against the VM's guest TSC */
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_variable[16];
	u64 misc_enable, mcg_status, hwcr, syscfg, debugctl;
	u64 pvclock_time; /* the MSR: where the paravirtual clock's page is, and bit 0 */
};

/* What is to go into the guest at the next entry that can take it. */
struct waiting {
	bool nmi;
	bool valid;		    /* `injection` waits */
	struct injection injection; /* an exception, or what an exit interrupted on its way in */
};

/* The tag of its translations, and what of them is old. */
struct vcpu_tlb {
	struct tag tag;
	u32 owed;   /* FLUSH_*: what the next entry pays */
	u64 linear; /* FLUSH_ADDRESS: of this address */
};

struct vcpu_timer {
	struct host_timer host; /* its function, on any CPU, sets REQUEST_TIMER and kicks */
	u64 armed;		/* guest TSC the host timer was armed for; ~0: not armed */
};

struct vcpu_account {
	struct fermata_stats stats;	     /* read by any thread, word by word */
	struct fermata_exit_count *cost;     /* where what the last exit costs is counted */
	struct fermata_exit_count uncounted; /* `cost` when it was */
};

/* What goes to the caller with its exit. */
struct vcpu_report {
	u8 reason;     /* FERMATA_EXIT_*; the page is the caller's to write, this is not */
	u8 eoi_vector; /* with REQUEST_EOI */
};

struct vcpu_rules;

struct vcpu {
	/* the common path's lines */
	struct fermata_run *page;      /* constant; shared with user space: general registers */
	const struct backend *backend; /* constant */
	struct vm *vm;		       /* constant */
	void *hw;		       /* constant; the backend's */
	u64 ruled;		       /* kinds of exits that rules are about */
	u32 dirty;		       /* DIRTY_*: what the hardware still has to be told */
	u8 advance;		       /* step RIP over this many bytes at the next entry */
	u8 mp_state;		       /* FERMATA_MP_* */
	bool halted_open;	       /* HLT with interrupts on: they end it */
	struct waiting waiting;
	struct exit exit;

	/*
	 * A cache line that other CPUs write to or watch, apart from what only the vCPU's own thread needs: each of
	 * their looks would cost the common path's line otherwise.
	 */
	u64 requests __attribute__((aligned(64))); /* any thread, by atomic bits: REQUEST_* */
	u64 looks; /* how often it has looked at them, counted before it looks; read by gather() */
	u32 mode;  /* enum vcpu_mode; read by kickers, as cpu is */
	u32 cpu;   /* where it runs, or ran last */

	struct guest_cpu guest __attribute__((aligned(64)));
	struct apic apic; /* others post to it: apic/apic.h */
	struct vcpu_timer timer;
	struct vcpu_tlb tlb;
	struct radix_cache cache;
	struct vcpu_shadow *shadow; /* NULL: nested paging */
	struct ruling ruling;	    /* what rules have decided about it */
	struct vcpu_rules *rules;   /* constant; what is in it: kernel/rules */
	struct {
		u32 count; /* in a row */
		u64 rip;
	} mystery;	       /* an instruction that exits and cannot be decoded */
	bool pvclock_wall_due; /* the date's page of the paravirtual clock is to be written */
	u64 msr_value;	       /* of an MSR that is being read */

	u32 id;			       /* constant */
	struct host_thread *thread;    /* constant */
	struct fermata_state *scratch; /* constant; too large for a stack */
	struct vcpu_report report;
	struct vcpu_account account;
	struct audit audit; /* of the entry that failed; in debug builds of the last one that was new */
};

/* ---- vcpu.c */
int vcpu_init(struct vcpu *v, struct vm *vm, u32 id, struct host_thread *thread,
	      struct fermata_run *page);
void vcpu_destroy(struct vcpu *v);
void vcpu_reset(struct vcpu *v, bool init_signal);
/* INIT and SIPI, where vcpu_starting(). Outside of guest context. */
void vcpu_startup(struct vcpu *v);
void vcpu_set_rip(struct vcpu *v, const u64 *rip, const u64 *rflags);
/* Between the caller's words and ours. -EINVAL: no processor takes that. NULL: nothing. */
int injection_from(const struct fermata_injection *wanted, struct injection *injection);
struct fermata_injection injection_to(const struct injection *injection);
int vcpu_inject(struct vcpu *v, const struct fermata_injection *wanted);
int vcpu_translate(struct vcpu *v, struct fermata_translate *t);
/* From any thread, also while another one runs the vCPU: no number is torn. */
void vcpu_get_stats(const struct vcpu *v, struct fermata_stats *stats);

/* ---- gather.c */
/* What was posted to it before is found soon: out of the guest, or awake. From any thread and context. */
void vcpu_kick(struct vcpu *v);
/* The vCPU's next entry pays for `kinds` (FLUSH_*; linear: with FLUSH_ADDRESS). Its own thread only. */
void vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause);

/* ---- state.c */
int vcpu_get_state(struct vcpu *v, struct fermata_state *state);
int vcpu_set_state(struct vcpu *v, const struct fermata_state *state);

/* ---- lapic.c */
void vcpu_timer_init(struct vcpu *v);
/* After what may have moved the APIC timer's deadline. */
void vcpu_arm_timer(struct vcpu *v);
/* REQUEST_TIMER */
void vcpu_timer_due(struct vcpu *v);
/*
 * With REQUEST_CLOCK set: the vCPU takes the new clock. False: it is still being changed, or it is time
 * for vm_clock_renew(); try again.
 */
bool vcpu_take_clock(struct vcpu *v);
/* After an access to the APIC's registers: what it asks for besides. */
void vcpu_apic_effects(struct vcpu *v, const struct apic_effects *effects);

/* ---- run.c */
int vcpu_run(struct vcpu *v);

/* ---- inline */
/* The first vCPU from that APIC ID on; NULL: none. */
static inline struct vcpu *vcpu_from(const struct vm *vm, u32 id)
{
	struct vcpu *v = NULL;

	while (!v && id < FERMATA_MAX_VCPUS)
		v = READ_ONCE(vm->vcpus.at[id++]);
	return v;
}
#define for_each_vcpu(vm, v) for ((v) = vcpu_from(vm, 0); (v); (v) = vcpu_from(vm, (v)->id + 1))

/* An exception goes in at the next entry. GO_ON, for a handler to return. */
static inline enum verdict vcpu_raise(struct vcpu *v, u8 vector)
{
	v->waiting.injection = (struct injection){ .kind = INJECT_EXCEPTION, .vector = vector };
	v->waiting.valid = true;
	return GO_ON;
}

/* Has it been sent an INIT or SIPI? */
static inline bool vcpu_starting(const struct vcpu *v)
{
	return READ_ONCE(v->apic.attention) & (BIT(LAPIC_ATTN_INIT) | BIT(LAPIC_ATTN_SIPI));
}

/* Real mode pushes no error codes (SDM 3B 20.1.4); processors push what they are told. */
static inline enum verdict vcpu_raise_code(struct vcpu *v, u8 vector, u32 code)
{
	bool has_code = v->guest.cr0 & ARCH_CR0_PE;

	v->waiting.injection = (struct injection){ .kind = INJECT_EXCEPTION,
						   .vector = vector,
						   .has_code = has_code,
						   .code = has_code ? code : 0 };
	v->waiting.valid = true;
	return GO_ON;
}

static inline void vcpu_count_flush(struct vcpu *v, u32 kind)
{
	v->account.stats.flush_kind[kind]++;
}

/* A new tag, or the one it has. True: nothing is cached under it. */
static inline bool vcpu_take_tag(struct vcpu *v, struct tag_pool *tags)
{
	enum tag_news news = tag_get(tags, v->cpu, &v->tlb.tag);

	if (news == TAG_KEPT)
		return false;
	if (news == TAG_MOVED)
		v->account.stats.flush_cause[FERMATA_CAUSE_CPU]++;
	else if (news == TAG_EXPIRED)
		v->account.stats.flush_cause[FERMATA_CAUSE_ROLLOVER]++;
	vcpu_count_flush(v, FERMATA_FLUSH_NEW_TAG);
	return true;
}

/* RDTSC and RDTSCP exit: for the clock, or for a rule. */
static inline bool vcpu_traps_tsc(const struct vcpu *v)
{
	return v->vm->time.flags & FERMATA_CLOCK_TRAPPED || v->ruling.wanted.tsc;
}

#endif
