/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of kernel/rules share. A VM has a table of rules, replaced as a whole (readers:
 * host_read_begin()); each vCPU looks at it at its next entry.
 */
#ifndef RULES_INTERNAL_H
#define RULES_INTERNAL_H

#include "core/exits.h"
#include "rules/rules.h"

struct rule {
	struct fermata_rule spec;
	u64 matches, hits;
};

struct rule_table {
	u32 count;
	struct rule *rule[FERMATA_MAX_RULES]; /* by id */
	u64 by_event[FERMATA_ON_EVENTS + 1];  /* bit n: rule[n] is about it; the last: about none */
	u64 kinds;			      /* EXIT_* that rules are about */
	u32 linear_pages;		      /* of those about linear addresses alone */
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

#define WATCH_SEEN_MAX 16

struct vcpu_watch {
	bool stepping;	  /* the step that is under way is for memory */
	bool free;	  /* pages are open until the next exit, whichever it is */
	bool delivering;  /* ... and an event is on its way in, behind which there is one */
	bool tables;	  /* what is open are tables on the way of a linear address, too */
	u8 pushed_flags;  /* bytes: the step pushes RFLAGS, with our TF in them */
	bool loads_flags; /* the step loads TF: that one is the guest's */
	u64 open_gpa;	  /* with ruling.opening */
	u32 open_access;
	/* of the instruction at seen_rip: rules have been asked about these */
	u64 seen_rip;
	u32 seen_count;
	struct {
		u64 page; /* linear, inverted; else the frame */
		u32 access;
	} seen[WATCH_SEEN_MAX];
};

struct vcpu_rules {
	u8 lift;
	bool step_tf; /* RFLAGS.TF as the guest has it */
	bool step_bs; /* likewise DR6.BS */
	bool passing; /* the rules up to pass_rule have had their say about what is at pass_rip */
	u32 pass_rule;
	u64 pass_rip;
	struct aftermath after;
	struct vcpu_watch watch;
	struct vcpu_linear *linear_state; /* NULL: none yet */
	struct fermata_ring *ring;	  /* any thread: rules_set_ring(); NULL: nobody reads */
	u64 ring_head, ring_dropped;
};

/* An exit in the words of the rules, and what the rules said. */
struct scene {
	u8 event, second; /* FERMATA_ON_*; second: FERMATA_ON_EVENTS: none */
	u8 result, width; /* as in struct aftermath */
	u8 log_event;
	bool log, where_known;
	u32 code, log_rule;
	u32 actions; /* of the rule that decides; 0: none does */
	u32 size;    /* of an access to memory; 0: none */
	u64 number, value, old, linear;
	/* from here on meaningful when the above says so */
	struct where where;
	struct fermata_rule decision; /* that rule */
};

/* What decides about an instruction. */
#define DECIDES (FERMATA_DO_STOP | FERMATA_DO_SKIP | FERMATA_DO_SET | FERMATA_DO_INJECT)

/* Vectors that rules cannot be about: the NMI is no exception, and machine checks are the host's. */
#define RULES_VECTORS_OURS (BIT(ARCH_NMI) | BIT(ARCH_MC))
#define RULES_VECTORS (ARCH_EXCEPTIONS & ~RULES_VECTORS_OURS)

static inline u64 pair(const struct vcpu *v)
{
	const u64 *regs = v->page->regs;

	return (u32)regs[FERMATA_RAX] | regs[FERMATA_RDX] << 32;
}

/* apply.c: the table has changed (REQUEST_RULES), or what is out of force: vcpu_rules.lift. */
void rules_apply(struct vcpu *v);

/* log.c */
void ring_put(struct vcpu_rules *r, struct fermata_record *record);

/* table.c */
void rules_free(struct vm *vm);

/*
 * frames.c: the table has changed, or, with v, what that vCPU needs closed. Outside of guest context, may sleep.
 * -ENOMEM
 */
int frames_update(struct vm *vm, struct vcpu *v);
void frames_free(struct vm *vm);
/* In guest context: is all closed that the vCPU needs, and nothing that nobody needs any more? */
bool frames_take(struct vcpu *v, struct vcpu_linear *l, u64 edits);
/* A frame is about to be opened. True: it is one of the tables, and may lead elsewhere afterwards. */
bool frames_opened(struct vcpu *v, u64 frame);

/* open.c: REQUEST_WATCH. False: out of guest context first. */
bool watch_requested(struct vcpu *v);
void watch_close(struct vcpu *v);

/* ask.c: what do the rules say? What is owed to the instruction then is remembered. */
void rules_ask(struct vcpu *v, struct scene *scene);
/* False: none of them keeps the instruction from being carried out. */
bool rules_decide(struct vcpu *v, const struct scene *scene, enum verdict *verdict);
/* Both, for an access to memory that rules are about. */
bool rules_memory(struct vcpu *v, struct scene *scene, enum verdict *verdict);
/* The instruction is done, or will not be: FERMATA_RECORD_* */
void rules_finish(struct vcpu *v, u8 flags);
/* ... or will be: REQUEST_AFTER. */
void rules_finish_later(struct vcpu *v);

/* exit.c: the kinds of exits, by bit, by which these events come. */
u64 exit_kinds_of(u64 events);

/* memory.c: EXIT_NESTED_FAULT where rules are about memory */
enum verdict watch_fault(struct vcpu *v);
/* An exit while pages are open until the next one. False: it belongs to what runs with pages open. */
bool watch_free_ends(struct vcpu *v);

/* step.c: the end of what rules_once() has begun, with the instruction done or not */
void step_end(struct vcpu *v, bool done);
void step_stop(struct vcpu *v);
/* STI and MOV SS would hold the trap back. */
void step_end_blocking(struct vcpu *v);

/* syscall.c: SYSCALL and SYSRET, which raise #UD where a rule is about SYSCALL */
enum syscall_insn { INSN_NEITHER, INSN_SYSCALL, INSN_SYSRET };
enum syscall_insn syscall_which(struct vcpu *v);
enum verdict syscall_carry_out(struct vcpu *v);

static inline bool is_memory_event(u32 event)
{
	return event >= FERMATA_ON_READ && event <= FERMATA_ON_EXEC;
}

/* What such an event closes pages for. */
static inline u8 event_access(u32 event)
{
	static_assert(RADIX_WRITE == RADIX_READ << 1 && RADIX_EXEC == RADIX_READ << 2,
		      "in the order of the events");
	return RADIX_READ << (event - FERMATA_ON_READ);
}

static inline bool is_linear_rule(const struct fermata_rule *spec)
{
	return is_memory_event(spec->event) && !(spec->filters & BIT(FERMATA_FILTER_GPA));
}

static inline bool within(const struct fermata_range *range, u64 value)
{
	return value >= range->first && value <= range->last;
}

/*
 * Rules about linear addresses alone. What memory is behind one the guest's tables say, and may say
 * otherwise at any time. So what is closed is, for each vCPU, the frames that the addresses lead to in the
 * address space where it is, and for writing the tables on the way, as far as there is one. Who writes to
 * such a table, loads CR3 or changes how it pages translates the addresses anew before the guest runs on.
 */
/* Pages of all rules together, a table each on every level, and a root. */
#define NEEDS_MAX (FERMATA_MAX_GVA_PAGES_ALL * RADIX_LEVELS_MAX + 1)

struct need {
	u64 frame;
	u8 access;
	bool table;
};

/* What is to be closed for a vCPU; for its own thread. */
struct vcpu_linear {
	u64 edits;  /* vm->rules->edits as of the last translation that was good */
	u64 absent; /* guest-physical: of a table whose host page is not present */
	u64 lost;   /* ... and cannot be had */
	u32 count;
	struct need need[NEEDS_MAX];
	struct where where;
	struct guest_walk_path path;
};

/* linear.c: the rules have changed, or tables behind the guest's back: all vCPUs look anew. */
void linear_edited(struct vm *vm);
/* REQUEST_LINEAR, in guest context. False: out of it first. */
bool linear_requested(struct vcpu *v);
/* ... and there: closes what is not yet. Sleeps. GO_ON, -EINTR, -ENOMEM. */
int linear_outside(struct vcpu *v);

#endif
