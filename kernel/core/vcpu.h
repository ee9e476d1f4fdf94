/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The VM, the vCPU, and the neutral exit record.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include "host.h"
#include "clock/clock.h"
#include "apic/apic.h"
#include "base/arch.h"
#include "core/audit.h"
#include "core/backend.h"
#include "core/cpuid.h"
#include "core/event.h"
#include "clock/forecast.h"
#include "memory/nested.h"
#include "memory/shadow/shadow.h"
#include "memory/tags.h"
#include "uapi/fermata.h"

/* Why the guest stopped, in neutral words. Starts as UNCLAIMED and must not stay so. */
enum exit_kind {
	EXIT_UNCLAIMED = 0,
	EXIT_NOTHING, /* a host interrupt or NMI: served by the host already */
	EXIT_CPUID,
	EXIT_MSR_READ,
	EXIT_MSR_WRITE,
	EXIT_HLT,
	EXIT_IO,
	EXIT_CR_READ,
	EXIT_CR_WRITE,
	EXIT_DR_READ,
	EXIT_DR_WRITE,
	EXIT_XSETBV,
	EXIT_HYPERCALL,
	EXIT_RDTSC, /* QEMU 7.2 says so for RDTSCP, too: exit_length() finds out */
	EXIT_RDTSCP,
	EXIT_NESTED_FAULT,
	EXIT_PAGE_FAULT, /* of the shadow or of the guest: shadow paging tells which */
	EXIT_EXCEPTION,	 /* to be given to the guest as it is */
	EXIT_WINDOW,	 /* the guest can take what waits for it */
	EXIT_CACHE,	 /* INVD: caches are coherent for a guest; nothing to do */
	EXIT_WBINVD,	 /* likewise */
	EXIT_PAUSE,
	EXIT_MONITOR, /* the guest's CPU has neither: CPUID says so */
	EXIT_MWAIT,
	EXIT_RDPMC, /* no counters */
	EXIT_RDPRU,
	/* these only when somebody wants to hear of them */
	EXIT_INVLPG,
	EXIT_INVPCID,
	EXIT_RDRAND,
	EXIT_RDSEED,
	EXIT_TABLE,	/* SGDT ... LTR */
	EXIT_UNDEFINED, /* an instruction this guest's CPU does not have */
	EXIT_PROTECTED, /* an instruction that gets #GP(0) here */
	EXIT_SHUTDOWN,
	EXIT_FAIL_ENTRY,
	EXIT_UNSUPPORTED, /* legal, and beyond this processor's virtualization */
	EXIT_KINDS,
};

struct exit {
	u8 kind;
	u8 length; /* of the instruction; 0: not known, exit_length() finds it */
	u32 code;  /* the vendor's */
	u64 rip;
	u64 info1, info2; /* the vendor's */
	union {
		struct fermata_exit_io io; /* but for its value */
		struct {
			u8 number;     /* which CR or DR */
			u8 reg;	       /* general register; valid when decoded */
			u8 size;       /* of it, bytes: SMSW writes 2, 4 or 8 */
			bool stored;   /* SMSW to memory: done already */
			bool decoded;  /* else exit_length() finds it */
			bool by_value; /* CLTS, LMSW: value holds what CR0 becomes */
			u8 via;	       /* MOV_* */
			u64 value;
		} mov;
		struct {
			u64 gpa;
			u32 access; /* RADIX_READ, _WRITE, _EXEC */
			bool table; /* while the processor walked the guest's own tables */
			bool linear_known;
			u32 code;   /* EXIT_PAGE_FAULT: the error code */
			u64 linear; /* EXIT_PAGE_FAULT; else with linear_known */
		} fault;
		struct {
			struct event exception;
			u64 exception_address; /* of a page fault: what goes to CR2 */
		};
		u64 linear; /* INVLPG */
		u8 table;   /* FERMATA_ON_SGDT ... _LTR */
		struct {
			u8 reg, size;
		} random;
	};
};

/* exit.mov.via */
enum { MOV_PLAIN, MOV_CLTS, MOV_LMSW };
static_assert(EXIT_KINDS <= 64, "vcpu.watched has a bit for each");

struct vm {
	struct guest_memory memory;
	struct guest_clock clock;
	struct vm_events events;
	struct fermata_clock *clock_page; /* shared with user space, read-only there */
	struct host_lock clock_lock;	  /* who changes the clock */
	u32 clock_changing;		  /* no vCPU may enter the guest now */
	u32 clock_flags;		  /* FERMATA_CLOCK_TRAPPED, _SCALED, _RUN_ONLY */
	struct run_only *run_only;	  /* what such a clock needs; else NULL */
	struct host_lock pvclock_lock;	  /* who writes pages of the paravirtual clock */
	s64 wall_ns; /* the date at which the guest's TSC was 0, ns since 1970 */
	u64 wall_at; /* the MSR: where the guest has asked for it last */
	struct forecasts forecasts;
	struct cpuid_table cpuid;
	struct fermata_cpuid *cpuid_supported;
	const struct backend *backend;
	struct host_lock lock;		      /* vcpu[], count */
	struct vcpu *vcpu[FERMATA_MAX_VCPUS]; /* by APIC ID; set once, stays until the VM dies */
	u32 vcpu_count;
	bool shadow; /* shadow paging; constant */
	bool shadow_audit;
	u32 pkru_at;   /* where an XSAVE area has it; 0: guests have no protection keys; constant */
	bool untagged; /* its translations do not survive an entry; constant */
	u64 *paid; /* by CPU: memory.generation up to which nested flushes are paid; that CPU's */
};

/* vcpu->requests, by bit: what is to be done before the next entry */
enum {
	/* what other threads want */
	REQUEST_TIMER,
	REQUEST_CLOCK,	/* it was changed, or is being changed */
	REQUEST_EVENTS, /* the table of rules has changed */
	REQUEST_WATCH,	/* rules about memory: see rules/memory.c */
	REQUEST_LINEAR, /* ... by linear address alone, which may lead elsewhere now: rules/linear.c */
	REQUEST_FLUSH_LINEAR,
	REQUEST_FLUSH_NESTED,
	REQUEST_TRIM, /* the pages kept for the next faults are to go: outside of guest context */
	/* ... and what an exit leaves */
	REQUEST_AFTER,	 /* an instruction that a rule was about has been carried out */
	REQUEST_ROOT,	 /* shadow paging: CR3 or the mode is another */
	REQUEST_PVCLOCK, /* pages of the paravirtual clock are to be written */
	REQUEST_EOI,  /* a level-triggered vector is done: eoi_vector; the caller must hear of it */
	REQUEST_LOST, /* an exit's instruction stays a mystery: the vCPU ends */

	REQUEST_CAUSE = 32, /* + FERMATA_CAUSE_*: why a flush is requested */
};
#define REQUEST_FLUSHES (BIT(REQUEST_FLUSH_LINEAR) | BIT(REQUEST_FLUSH_NESTED))

enum vcpu_mode { VCPU_OUTSIDE, VCPU_IN_GUEST };

#define PAGING_PCIDS 32

/* Shadow paging's part of a vCPU. */
struct vcpu_shadow {
	struct shadow_cpu cpu;
	u64 cr3, pdpte[4];	    /* the guest's */
	u64 last_cr3[PAGING_PCIDS]; /* by some bits of the PCID */
	struct flush owed;	    /* by all vCPUs, to be paid outside of guest context */
	u64 absent;		    /* a guest table to be brought in there; PAGING_NONE */
	u32 audit_countdown;	    /* loads of a root until the next audit */
};
#define PAGING_NONE (~0ull)

struct vcpu {
	/* the common path's line */
	struct fermata_run *page; /* shared with user space: general registers */
	const struct backend *backend;
	struct vm *vm;
	void *hw; /* the backend's */
	u64 requests;
	u64 looks;   /* how often it has looked at them, counted before it looks */
	u64 watched; /* kinds of exits that rules are about */
	u32 mode;    /* enum vcpu_mode; written by the vCPU's thread, read by kickers */
	u32 cpu;     /* where it runs, or ran last */
	u32 dirty;
	u8 advance;  /* step RIP over this many bytes at the next entry */
	u8 mp_state; /* FERMATA_MP_* */
	bool nmi_pending;
	bool event_valid;   /* `event` waits to be injected */
	struct event event; /* an exception, or what an exit interrupted on its way in */
	struct exit exit;
	u64 exit_tsc;
	struct fermata_exit_count *cost; /* where what that exit costs is counted */

	u64 msr_value; /* of an MSR that is being read */

	/* control registers as the guest sees them; the backend derives what the hardware gets */
	u64 cr0, cr4, efer, xcr0, pat;
	u32 pkru; /* as it was at the last exit */
	u64 cr2;  /* where the hardware does not exchange it, and with DIRTY_CR2 */
	u64 dr[4], dr6, dr7;
	u64 tsc_adjust, tsc_offset, tsc_aux; /* tsc_offset: against the VM's guest TSC */

	struct apic apic;
	struct host_timer timer;
	u64 timer_armed; /* guest TSC the host timer was armed for; ~0: not armed */
	struct tag tag;
	u32 owed;	 /* FLUSH_*: what the next entry pays */
	u64 owed_linear; /* FLUSH_ADDRESS: of this address */
	struct radix_cache cache;
	struct vcpu_shadow *shadow; /* NULL: nested paging */
	struct host_thread *thread;
	u32 id;
	bool halted_open; /* HLT with interrupts on: they end it */
	u32 mysteries;	  /* in a row, at mystery_rip */
	u64 mystery_rip;
	u8 user_reason; /* of the exit that the caller is told, FERMATA_EXIT_* */
	u8 eoi_vector;	/* with REQUEST_EOI */
	struct guest_mtrr {
		u64 def_type, fixed[11], variable[16];
	} mtrr;
	u64 misc_enable, mcg_status, hwcr, syscfg, debugctl;
	struct {
		u64 time;      /* the MSR: where its page is, and bit 0 */
		bool wall_due; /* the date's page is to be written */
	} pvclock;

	struct vcpu_events events;
	struct fermata_state *scratch; /* too large for a stack; the vCPU's thread uses it */
	struct fermata_stats stats;
	struct fermata_exit_count uncounted; /* `cost` when it was */
	struct audit audit; /* of the entry that failed; in debug builds of the last one that was new */
};

/* ---- vm.c */
/* -ENODEV: FERMATA_VM_NESTED, and there is no nested paging */
int vm_init(struct vm *vm, const struct backend *backend, const struct fermata_caps *caps,
	    const struct fermata_vm_config *config, struct fermata_clock *clock_page);
void vm_destroy(struct vm *vm);
int vm_set_memory(struct vm *vm, const struct fermata_memory *change);
/*
 * Of the ioctls; the caller serializes both with vm_set_memory(). vm_take_dirty(): when it returns, no vCPU
 * writes any more to what it has taken without marking it again. bitmap: room for what->count bits.
 */
int vm_log_dirty(struct vm *vm, const struct fermata_dirty_log *log);
int vm_take_dirty(struct vm *vm, struct fermata_dirty *what, u64 *bitmap);
int vm_set_cpuid(struct vm *vm, const struct fermata_cpuid *cpuid);
int vm_signal_msi(struct vm *vm, const struct fermata_msi *msi);
int vm_set_line(struct vm *vm, const struct fermata_line *line);
void vm_send(struct vm *vm, const struct apic_message *message, const struct apic *sender);
/*
 * The owing side of memory's flushes: all vCPUs drop their translations, and have when it returns.
 * FLUSH_NESTED and FLUSH_LINEAR; cause: FERMATA_CAUSE_*.
 */
void vm_flush(struct vm *vm, const struct flush *owed, u32 cause);
/*
 * The host is short of memory: gives back up to `want` tables of shadow paging, and answers how many. From
 * any thread that holds no lock of ours and is not in guest context; does not sleep.
 */
u32 vm_shrink(struct vm *vm, u32 want);
/* The host takes back [start, end) of the owner's addresses; end() allows new mappings. */
void vm_invalidate_begin(struct vm *vm, u64 start, u64 end);
void vm_invalidate_end(struct vm *vm, u64 start, u64 end);

/* ---- time.c */
int vm_clock_init(struct vm *vm, u32 tsc_khz);
int vm_set_clock(struct vm *vm, struct fermata_clock_change *change);
/*
 * With REQUEST_CLOCK set: the vCPU takes the new clock. False: it is still being changed, or it is time
 * for vm_clock_renew(); try again.
 */
bool vcpu_take_clock(struct vcpu *v);
/* Outside the guest: if the clock is too old for its arithmetic, a new segment begins. */
void vm_clock_renew(struct vm *vm);

/* ---- run_only.c */
int run_only_begin(struct vm *vm);
void run_only_end(struct vm *vm);
/* The one vCPU goes to sleep in HLT, and wakes up. */
void run_only_asleep(struct vm *vm, bool asleep);

/* ---- vcpu.c */
int vcpu_init(struct vcpu *v, struct vm *vm, u32 id, struct host_thread *thread,
	      struct fermata_run *page);
void vcpu_destroy(struct vcpu *v);
void vcpu_reset(struct vcpu *v, bool init_signal);
void vcpu_start_at(struct vcpu *v, u8 sipi_vector);
void vcpu_set_rip(struct vcpu *v, const u64 *rip, const u64 *rflags);
void vcpu_kick(struct vcpu *v);
int vcpu_interrupt(struct vcpu *v, const struct fermata_interrupt *event);
int vcpu_translate(struct vcpu *v, struct fermata_translate *t);
/* From any thread, also while another one runs the vCPU: no number is torn. */
void vcpu_get_stats(const struct vcpu *v, struct fermata_stats *stats);
/* The vCPU's next entry pays for `kinds` (FLUSH_*; linear: with FLUSH_ADDRESS). Its own thread only. */
void vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause);

/* ---- state.c */
int vcpu_get_state(struct vcpu *v, struct fermata_state *state);
int vcpu_set_state(struct vcpu *v, const struct fermata_state *state);

/* ---- run.c */
int vcpu_run(struct vcpu *v);
void vcpu_timer_init(struct vcpu *v);

/* ---- inline */
static inline void vcpu_raise(struct vcpu *v, u8 vector)
{
	v->event = (struct event){ .kind = EVENT_EXCEPTION, .vector = vector };
	v->event_valid = true;
}

/* Real mode pushes no error codes (SDM 3B 20.1.4); processors push what they are told. */
static inline void vcpu_raise_code(struct vcpu *v, u8 vector, u32 code)
{
	bool has_code = v->cr0 & ARCH_CR0_PE;

	v->event = (struct event){ .kind = EVENT_EXCEPTION,
				   .vector = vector,
				   .has_code = has_code,
				   .code = has_code ? code : 0 };
	v->event_valid = true;
}

/* The VM's TSC, which its clock and its APICs count in, with the clock that it was read by. */
static inline u64 vm_time(const struct vm *vm, struct guest_clock *clock)
{
	return clock_snapshot(&vm->clock, clock);
}

/* As this vCPU reads it. */
static inline u64 vcpu_tsc(const struct vcpu *v)
{
	return clock_read_tsc(&v->vm->clock) + v->tsc_offset;
}

#endif
