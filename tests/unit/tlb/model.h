/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The adversarial TLB: the kernel part's own sources on model processors that keep every translation
 * that the manuals let them keep, for as long as they may. What runs, and which file plays it:
 *
 *	world.c		VMs, whoever changes their memory, and the scheduler's dice
 *	machine.c	several CPUs, threads as fibers, kernel/host.h
 *	memory.c	physical memory, and the owning processes' page tables
 *	processor.c	TLB, paging-structure caches, page walks
 *	svm.c, vmx.c	VM entry and exit, and the instructions that invalidate
 *	mutants.c	flushes that get lost, for the tests of the test
 *	dirty.c		owners who want to know which pages were written to
 *	guest.c		what guests do in their turns
 *	programs.c	guests that do things in an order of their own
 *	reference.c	what a guest may see at an access: the judge
 *	rival.c		another hypervisor, whose guests run on the same processors
 *	suite.c		runs as they are, and with one flush less
 *
 * All of it is one thread, so a seed says all that happens.
 */
#ifndef TLB_MODEL_H
#define TLB_MODEL_H

#include "core/vcpu.h"

#define CPUS 3
#define VMS 3
#define VM_VCPUS 2

/* ---- one random sequence for everything (xorshift64*, as in test_random.h) */
extern u64 model_random_state;

static inline u32 below(u32 limit)
{
	model_random_state ^= model_random_state >> 12;
	model_random_state ^= model_random_state << 25;
	model_random_state ^= model_random_state >> 27;
	return (u32)((model_random_state * 0x2545f4914f6cdd1dull >> 32) * limit >> 32);
}

static inline bool one_in(u32 n)
{
	return !below(n);
}

/* ---- faults put into the host's twin, one at a time: what must be noticed */
enum mutant {
	NO_MUTANT,
	/* instructions that do nothing */
	LOSE_TLB_CONTROL_ALL,
	LOSE_TLB_CONTROL_ASID,
	LOSE_TLB_CONTROL_LOCAL,
	LOSE_INVLPGA,
	LOSE_INVVPID, /* by type */
	LOSE_INVEPT,
	LOSE_FORGET, /* whatever drops what another hypervisor left */
	LOSE_VMRUN,  /* what the last exit of a stay leaves */
	LOSE_GIVE,   /* VMPTRLD of another hypervisor's VMCS */
	/* tags that stay */
	KEEP_TAG_DROPPED,
	KEEP_TAG_MOVED,
	KEEP_TAG_EXPIRED,
	/* nested flushes that count as paid: elsewhere; before the VM was there */
	PAID_EVERYWHERE,
	PAID_BEFORE,
	/* requests to all vCPUs that get lost, by cause */
	LOSE_REQUEST,
	LOSE_OWN,	 /* a vCPU's own debt is forgotten, by kinds and cause */
	LOSE_LOST_WRITE, /* a shadow leaf loses its write access, and nobody hears of it */
	CLOSE_EARLY,	 /* a write-protected table counts as such before the flush */
	LOSE_LOOSE,	 /* leaves that went without a flush are forgotten */
	NO_WAIT,	 /* whoever requests a flush does not wait for it */
	EARLY_REAP,	 /* tables are freed when the first of several flushes is over */
};
struct mutation {
	enum mutant kind;
	u32 cause; /* FERMATA_CAUSE_* */
	u32 flush; /* LOSE_OWN: FLUSH_* */
	u32 type;  /* LOSE_INVVPID, LOSE_INVEPT */
	u64 seed;  /* to begin with, where few show it; 0: as everywhere */
};

/* ---- a run */
struct config {
	u32 shadow_vms, untagged_vms; /* bit n: the n-th VM */
	u32 changing_vms; /* from nested paging to shadow paging and back, as rules come and go */
	u32 vms, vcpus;
	bool intel;
	u32 svm_features; /* FlushByAsid or not */
	u32 vmx_proc;	  /* primary controls that must be 1 */
	u64 vmx_ept_vpid; /* IA32_VMX_EPT_VPID_CAP */
	u32 tags;	  /* no more than so many; 0: all there are */
	u32 lives;	  /* so many VMs one after the other, each for `steps`; 0: one */
	u32 shadow_without;
	u32 shadow_pages;	       /* at most; 0: as the engine likes */
	u64 seed, steps;	       /* accesses */
	const struct program *program; /* what guests do; NULL: whatever the dice say */
	u32 tables;		       /* the guests use so many; 0: all they have */
	bool leaves;		       /* guests load CR3 seldom, and invalidate what they edit */
	bool busy_slots; /* slots and large pages come and go often, and are looked at often */
	bool dirty;	 /* the owners log writes */
	bool shrink;	 /* the host is short of memory, and gets tables back */
	bool used; /* the processors have been another hypervisor's: world_run() before this one's */
	bool rival; /* they are another's at the same time */
	struct mutation mutation;
};

struct outcome {
	bool failed;
	char why[400];
	u64 accesses, stale, faults, exits, flushes, moves, invalidations, speculations, answers,
		released, changes;
	u64 rivals; /* turns of the other hypervisor's guests */
	long leaks;
};

void world_run(const struct config *config, struct outcome *outcome);

/* ---- what the files share */

struct fiber;
struct processor;

/* What a guest may be in the middle of: an instruction that exited and is to be done by the hypervisor. */
enum op {
	OP_NONE,
	OP_ACCESS,
	OP_STORE, /* to a page table */
	OP_CR0,	  /* WP */
	OP_CR3,
	OP_CR4,
	OP_INVLPG,
	OP_INVPCID,
	OP_CPUID,
	/* of programs: the owner sets the registers; its threads change its memory, or have nothing to do */
	OP_STATE,
	OP_UNMAP,
	OP_SMALL,
	OP_NOTHING,
};

#define PCIDS 3
#define LINEARS 64 /* pages of linear addresses in use: linear_id() */
#define ROOTS 12

struct root {
	u64 cr3, since, until; /* until: ~0 while in force */
};

/* A vCPU as its guest sees it: when it last invalidated what. Times are world.now. */
struct view {
	u64 cr3; /* PCID included */
	bool wp, pge, pcide;
	u64 all;		  /* everything */
	u64 pcid[PCIDS];	  /* all but global */
	u64 page[PCIDS][LINEARS]; /* one page */
	u64 large[PCIDS][2][LINEARS]; /* a page in that region of 2 MiB, 1 GiB, by the region's first id */
	u64 global_page[LINEARS], global_large[2][LINEARS];
	u64 structures[PCIDS];	    /* paging-structure caches: the instruction began, */
	u64 structures_done[PCIDS]; /* and it was over */
	struct root root[ROOTS];
	u32 roots;
};

struct model_vcpu {
	struct vcpu vcpu;
	struct host_thread *thread;
	struct fermata_run page;
	struct model_vm *vm;
	struct view view;
	/* the instruction under way */
	enum op op;
	u64 linear, value, started, rip;
	u64 exited; /* when it last faulted */
	u32 access, tries;
	bool keep;    /* OP_CR3: with bit 63 */
	bool in_step; /* it is a program's */
};

#define USER_PAGES 1024 /* of a process: 0..63 small, 512..1023 one large page */
#define USER_SMALL 64
#define USER_LARGE 512

struct user_page {
	u32 frame; /* 0: absent */
	bool writable;
};

struct model_slot {
	bool live;	      /* may be in force */
	u32 gpa, user, pages; /* in pages */
	bool readonly;
};
#define SLOTS 4

/* Guest-physical pages: three fixed tables, tables that change, data, a large page, a slot that comes and goes. */
#define GPA_DIRECT 0 /* PDPT, PD, PT of the direct map */
#define GPA_TABLES 3
#define GPA_TABLES_END 12
#define GPA_DATA_END 24
#define GPA_RAM_END 32
#define GPA_LARGE 512
#define GPA_MOVING 1024
#define MOVING_PAGES 4
#define INDICES 4 /* of each table that are in use */

#define VERSIONS 24
struct version {
	u64 value, since;
};
struct history {
	struct version version[VERSIONS];
	u32 count;
};

#define LOGS 2 /* of slots 0 and 1 */
#define LOG_PAGES 512
struct model_log {
	bool on;
	bool due[LOG_PAGES]; /* written to, and no answer has said so */
};

struct model_vm {
	struct vm vm;
	struct fermata_clock clock_page;
	u32 index;
	bool shadow, changing, alive;
	struct model_vcpu vcpu[VM_VCPUS];
	u32 vcpus;
	struct user_page user[USER_PAGES];
	bool huge; /* USER_LARGE.. is one page of 2 MiB */
	u8 swap[USER_SMALL][4096];
	struct model_slot slot[SLOTS];
	struct model_log log[LOGS];
	struct history history[GPA_TABLES_END][INDICES];
};

struct world {
	const struct config *config;
	struct outcome *out;
	u64 now;
	bool stopping;
	u64 enough; /* accesses, to stop after */
	u32 step;   /* of the program, in all rounds */
	struct model_vm *vm[VMS];
};
extern struct world world;

/* Something is wrong: this run is over. Does not return. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- machine.c */
void machine_init(void);
void machine_begin(void); /* fibers for a run */
void machine_run(void);	  /* until all fibers are done or one failed */
void fiber_new(void (*fn)(void *arg), void *arg, struct host_thread *thread);
void machine_end(void); /* forgets the fibers and what they allocated */
void yield(void);
long machine_leaks(void);
struct processor *processor_here(void);
bool interrupt_pending(void); /* on this CPU */
bool interrupts_off(u32 cpu);
void machine_count_leaks(long change);

struct host_thread {
	struct fiber *fiber;
	u64 xcr0, tsc_aux;
	u8 xsave[FERMATA_XSAVE_SIZE] __attribute__((aligned(64)));
};

/* ---- memory.c */
void memory_init(void);
/* Of the page that holds phys: */
bool memory_is_live_page(u64 phys); /* a page of host_page_alloc() and not freed */
/* The 8 bytes at phys, of a page for the hypervisor's own use. */
u64 memory_read(u64 phys);
void memory_write(u64 phys, u64 value);
/* May this VM reach phys when it accesses gpa? */
bool memory_legal(const struct model_vm *vm, u64 gpa, u64 phys, bool write);
/* Is it one of the guest's tables that change, and where does the guest have it? */
bool memory_is_table(const struct model_vm *vm, u64 phys, u64 *gpa);
bool memory_in_slot(const struct model_vm *vm, u64 gpa, bool write);
/* Of a process's page: somebody writes to it for the guest. */
void memory_wrote(u64 phys);
void memory_describe(u64 phys, char *to, size_t size);
/* What the host does to a process's memory; in a fiber. */
void process_unmap(struct model_vm *vm, u32 first, u32 pages);
void process_protect(struct model_vm *vm, u32 first, u32 pages);
void process_move(struct model_vm *vm, u32 page);
void process_huge(struct model_vm *vm, bool huge);
void process_init(struct model_vm *vm);
void process_exit(struct model_vm *vm);
u64 process_user(const struct model_vm *vm); /* where its memory begins */
void process_poke(struct model_vm *vm, u32 page, u32 offset, u64 value); /* before it runs */

/* ---- processor.c */
/* What VM entry loaded. */
struct context {
	struct model_vm *vm;
	bool intel, nested, ept;
	u32 tag;  /* ASID, VPID */
	u64 root; /* of the nested tables; Intel tags with it what comes from them */
	u64 cr3;
	bool wp, pge, pcide;
};
enum reached { REACHED, GUEST_FAULT, NESTED_FAULT };
struct reach {
	u64 phys;
	u64 gpa;
	bool table;
	u32 access; /* RADIX_*, of a nested fault */
	u32 code;   /* of a guest's fault */
};
#define ACCESS_WRITE 1u
#define ACCESS_FETCH 2u
#define ACCESS_USER 4u
enum reached processor_access(struct processor *p, const struct context *c, u64 linear, u32 access,
			      bool speculative, struct reach *reach);

/* What an invalidation drops. */
#define KIND_LINEAR BIT(0)    /* linear to physical, with what was combined into it */
#define KIND_STRUCTURE BIT(1) /* paging-structure caches of these */
#define KIND_NESTED BIT(2)    /* guest-physical to physical */
#define KIND_NESTED_STRUCTURE BIT(3)
#define KINDS_LINEAR (KIND_LINEAR | KIND_STRUCTURE)
#define KINDS_NESTED (KIND_NESTED | KIND_NESTED_STRUCTURE)
#define BY_TAG BIT(0)
#define BY_ROOT BIT(1)
#define BY_PCID BIT(2)
#define BY_LINEAR BIT(3) /* what would translate it */
#define BY_GPA BIT(4)
#define BUT_GLOBAL BIT(5)
#define BUT_UNTAGGED BIT(6) /* tag 0 stays; */
#define BUT_UNNESTED BIT(7) /* root 0, what no nested tables have a part in */
struct drop {
	u32 kinds, by; /* only those that match in this */
	u64 tag, root, pcid, linear, gpa;
};
#define DROP(which, how, ...) (&(struct drop){ .kinds = (which), .by = (how), __VA_ARGS__ })
void processor_drop(struct processor *p, const struct drop *drop);
struct processor *processor_of(u32 cpu);
void processor_init(u32 cpu);

/*
 * A guest of another hypervisor runs here, under that tag and, if it has nested tables, a root of its own. Fails if
 * it could find a translation of ours. What it leaves, ours must not find.
 */
void processor_rival(struct processor *p, u32 tag, bool nested);
#define RIVAL_FRAME 0xdead000ull /* its memory, its tables */
#define RIVAL_ROOT 0xdeae000ull	 /* its nested ones */

/* ---- rival.c */
void rival_begin(void);
void rival_interrupt(void); /* interrupts have come on on this CPU */

/* ---- guest.c */
/* Why a turn ended. */
enum turn_end {
	TURN_INTERRUPT,
	TURN_NESTED_FAULT,
	TURN_PAGE_FAULT,
	TURN_CR0,
	TURN_CR3,
	TURN_CR4,
	TURN_INVLPG,
	TURN_CPUID,
};
struct turn {
	struct context context; /* the guest's own changes end up here */
	bool cr0_exits, cr3_exits, cr4_exits, invlpg_exits, faults_exit;
	bool injected; /* an exception is delivered at this entry */
	u64 rip;
	/* answers */
	struct reach reach;
	u64 linear, value;
	bool user;
};
#define LENGTH 3 /* of every instruction */
enum turn_end guest_turn(struct model_vcpu *mv, struct turn *turn);
void guest_main(void *model_vcpu); /* a vCPU's thread */

/* ---- programs.c */
struct step {
	u8 vcpu, op; /* whose: a vCPU's, or OWNER's; enum op */
	bool meanwhile;
	u32 access;
	u64 linear, value;
};
#define OWNER 8 /* and 9: threads of the owner's */
struct program {
	const struct step *step;
	u32 steps;
};
extern const struct program program_invlpg, program_state, program_loose, program_lost,
	program_lost_alone, program_closing, program_reap;
void program_next(struct model_vcpu *mv); /* with nothing to do, op stays OP_NONE */
/* What an owner's thread is to do; NULL: it is not its turn. program_done() when it has. */
const struct step *program_host(u8 id);
void program_done(const struct step *step);
bool program_wants_state(const struct model_vcpu *mv);

/* ---- dirty.c */
void log_wrote(struct model_vm *vm, u32 user);
void log_forget(struct model_vm *vm, u32 id); /* the slot goes */
void log_act(struct model_vm *vm);	      /* in the fiber that changes slots */

/* ---- reference.c */
#define DIRECT(gpa) (3ull << 39 | (u64)(gpa))
u32 linear_id(u64 linear);
u64 random_linear(void);
void reference_init(struct model_vm *vm);
bool reference_store(struct model_vm *vm, u64 gpa, u64 value); /* false: too much history */
u64 reference_current(const struct model_vm *vm, u64 gpa);
/* phys was reached. Does the architecture allow it? Fails if not. */
void reference_reached(struct model_vcpu *mv, u64 linear, u32 access, u64 phys);
void reference_faulted(struct model_vcpu *mv, u64 linear, u32 access);
/* Is there nothing, or nothing to write to, at the place where the tables lead as they are now? */
bool reference_outside(struct model_vcpu *mv, u64 linear, bool write);
bool view_load_cr3(struct view *view, u64 cr3, bool keep, u64 when); /* false: too much history */
void view_invlpg(struct view *view, u64 linear, u64 when);
void view_flush(struct view *view, u64 when);
void view_flush_pcid(struct view *view, u32 pcid, u64 when);
void view_flush_address(struct view *view, u32 pcid, u64 linear, u64 when);
void view_flush_local(struct view *view, u64 when);

/* ---- svm.c, vmx.c: the backend of a run */
const struct backend *svm_model_begin(const struct config *config, struct fermata_caps *caps);
void svm_model_end(void);
const struct backend *vmx_model_begin(const struct config *config, struct fermata_caps *caps);
void vmx_model_end(void);
/* VT-x: its own VMCS, current on this CPU when it has made it so. */
void vmx_model_rival(void);	   /* its guest is entered: makes it current, if it has not yet */
void vmx_model_rival_leaves(void); /* it clears it here, to take it to another CPU */
extern struct mutation mutation;

#endif
