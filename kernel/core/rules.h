/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Rules: what the user wants to hear of, change or forbid. A VM has a table of them, replaced as a
 * whole (readers: host_read_begin()); each vCPU compiles it into intercepts at its next entry.
 */
#ifndef CORE_RULES_H
#define CORE_RULES_H

#include "rules/memory.h"
#include "rules/linear.h"
#include "host.h"
#include <uapi/fermata.h>

struct vm;
struct vcpu;

/*
 * What rules make a guest exit for, of what it runs without exits otherwise. A backend reads it under
 * DIRTY_INTERCEPTS, and adds what it needs itself.
 */
struct wanted {
	u64 events;				  /* FERMATA_ON_*, by bit */
	u16 cr_read, cr_write, dr_read, dr_write; /* by number */
	u32 exceptions;				  /* vectors */
	u64 msr_read, msr_write;		  /* bit n: backend->direct_msrs[n] */
	bool tsc;				  /* RDTSC and RDTSCP */
	bool no_syscalls;     /* EFER.SCE is 0 in the hardware: SYSCALL and SYSRET raise #UD */
	bool read_only_walks; /* walks of the guest's tables must not write to them */
};

/* What rules have decided about a vCPU, as far as core has to know. Written by kernel/rules alone. */
struct ruling {
	struct wanted wanted;
};

struct rule {
	struct fermata_rule spec;
	u64 matches, hits;
};

struct rule_table {
	u32 count;
	struct rule *rule[FERMATA_MAX_RULES]; /* by id */
	u64 by_event[FERMATA_ON_EVENTS];      /* bit n: rule[n] is about it */
	u64 kinds;			      /* EXIT_* that rules are about */
	u32 linear;			      /* how many are about linear addresses alone */
	struct wanted wanted;
};

struct vm_rules {
	struct rule_table *table; /* NULL: no rules */
	u32 last_id;
	struct host_lock lock; /* opener; who changes what memory is watched */
	u32 opener;	       /* the vCPU, its id + 1, for which watched pages are open; 0: none */
	struct linear_frames *frames; /* lock; NULL: there has been no rule about linear addresses */
	u32 frame_count;	      /* lock to write */
	bool closing;		      /* lock: some of the frames are not closed in force yet */
	bool shadowed;		      /* vCPUs are to be under shadow paging: shadowing_switch() */
	u64 edits; /* how often translations of linear addresses have grown old */
};

/* What is still owed to an instruction that a rule was about, once it has been carried out. */
struct aftermath {
	bool due, log;
	u8 memory; /* so many bytes of guest memory are what was written; else 0 */
	u8 sets, reg[4];
	u64 value[4];
	u8 result; /* FERMATA_R* that a read went to, with `width` bytes; RESULT_*: others */
	u8 width;
	struct fermata_record record;
};
#define RESULT_NONE 0xff
#define RESULT_PAIR 0xfe /* EDX:EAX */

/* Which of our intercepts are out of force for the next entry. */
enum lift {
	LIFT_NONE,
	LIFT_ARMED,	 /* LIFT_EXCEPTIONS from the next entry on */
	LIFT_EXCEPTIONS, /* an event on its way in goes in again, and may meet its exception */
	LIFT_STEP,	 /* one instruction runs by itself; every exception exits */
};

struct vcpu_rules {
	u8 lift;
	bool stepping;
	bool step_tf; /* RFLAGS.TF as the guest has it */
	bool step_bs; /* likewise DR6.BS */
	bool passing; /* the rules up to pass_rule have had their say about what is at pass_rip */
	u32 pass_rule;
	u64 pass_rip;
	struct aftermath after;
	struct vcpu_watch watch;
	struct vcpu_linear *linear_state; /* NULL: none yet */
	struct fermata_ring *ring;	  /* NULL: nobody reads */
	u64 ring_head, ring_dropped;
};

/* rules/table.c. The callers of add, remove and destroy exclude each other; they sleep. */
int rules_add(struct vm *vm, struct fermata_rule *spec);
int rules_remove(struct vm *vm, u32 id);
int rules_get(struct vm *vm, struct fermata_rule *spec);
void rules_destroy(struct vm *vm);
/* REQUEST_RULES and REQUEST_AFTER: the table has changed; an instruction that a rule is about is done. */
void rules_apply(struct vcpu *v);
void rules_after(struct vcpu *v);
void rules_reset(struct vcpu *v);
/* Where its linear addresses lead may be another place: CR3, or how it pages, has changed. */
void rules_space_changed(struct vcpu *v);

/* rules/log.c */
void ring_put(struct vcpu_rules *events, struct fermata_record *record);

#endif
