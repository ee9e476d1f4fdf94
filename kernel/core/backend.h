/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a vendor's half is to the neutral half: one const table of operations, one per CPU vendor.
 */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include "host.h"
#include "memory/guest_walk.h"
#include "uapi/fermata.h"

struct vm;
struct vcpu;
struct audit_finding;

/* An exception, interrupt or NMI on its way into the guest. */
struct injection {
	u8 kind; /* INJECT_* */
	u8 vector;
	bool has_code;
	u32 code;
};
enum {
	INJECT_NONE,
	INJECT_INTERRUPT,
	INJECT_NMI,
	INJECT_EXCEPTION,
};

struct where {
	struct guest_paging paging;
	u64 rip, rflags;
	u64 linear; /* CS.base + RIP */
	u8 mode;    /* FERMATA_MODE_* */
};

/* Registers that the hardware holds and that core or a rule reads or writes one at a time. */
enum hw_reg {
	HW_RIP, /* as of the last exit: without v->advance */
	HW_RFLAGS,
	HW_CR2,
	HW_CR3,
	HW_BLOCKED, /* by STI or MOV SS: no interrupt goes in. 0 or 1 */
	HW_ES_BASE, /* the others in the order of insn.segment */
	HW_CS_BASE,
	HW_SS_BASE,
	HW_DS_BASE,
	HW_FS_BASE,
	HW_GS_BASE,
};

/* What the hardware still has to be told; vcpu->dirty holds these bits until the next entry. */
#define DIRTY_CONTROL BIT(0) /* cr0, cr4, efer, and with them the intercepts they need */
#define DIRTY_CLOCK BIT(1)
#define DIRTY_DEBUG BIT(2)
#define DIRTY_PAT BIT(3)
#define DIRTY_ROOT BIT(4)	/* the nested root, or which CPU this is */
#define DIRTY_INTERCEPTS BIT(5) /* what rules want to hear of: struct wanted */
#define DIRTY_FLUSH BIT(6)	/* vcpu->tlb.owed */
#define DIRTY_CR3 BIT(7)	/* shadow paging's root */
#define DIRTY_CR2 BIT(8)	/* vcpu->guest.cr2 goes to the guest */
#define DIRTY_TSC_OFFSET BIT(9) /* vcpu->guest.tsc_offset alone; DIRTY_CLOCK says more */
#define DIRTY_HOST                                                                                 \
	BIT(10) /* VT-x: registers that an exit loads, which the host's interrupt handlers may change */

struct backend {
	const char *name;
	u32 vendor;	   /* enum fermata_vendor */
	u32 dirty_by_host; /* DIRTY_*: what is to be told anew whenever host interrupts were on */

	/* Fills in caps; caps->blocked says why guests can't run. */
	void (*detect)(struct fermata_caps *caps);
	/* How nested page tables look here; not called under shadow paging. */
	const struct radix_format *(*format)(void);
	/*
	 * setup runs once before the first cpu_on, teardown after the last cpu_off. tags limits the ASIDs or
	 * VPIDs that guests get; 0: all there are.
	 */
	int (*setup)(u32 tags);
	void (*teardown)(void);
	/*
	 * On each CPU; -EBUSY when somebody else holds it. Beside another hypervisor nothing is switched: the CPU is
	 * used from now on, and not any more; -EBUSY then when it is not on.
	 */
	int (*cpu_on)(void);
	void (*cpu_off)(void);
	/* As cpu_off, where the host has crashed: this CPU runs nothing else any more. From an NMI, at any moment. */
	void (*cpu_emergency)(void);

	int (*vcpu_create)(struct vcpu *v);
	void (*vcpu_destroy)(struct vcpu *v);

	/* On the CPU that will run v, after host_guest_begin(). */
	void (*load)(struct vcpu *v, u32 cpu);
	/*
	 * Beside another hypervisor, in guest context: host interrupts have just gone off, and are about to come on
	 * again. In between the processor is ours alone, and all other operations are called there. NULL: nothing
	 * changes hands.
	 */
	void (*take)(struct vcpu *v);
	void (*give)(struct vcpu *v);
	/* Before host_guest_end(): brings back what exits leave wrong, and pays what another hypervisor must not find. */
	void (*unload)(struct vcpu *v);
	/*
	 * Pays what is owed (v->tlb.owed), enters the guest, fills in v->exit; host interrupts are off
	 * before and after.
	 */
	void (*run)(struct vcpu *v);
	/*
	 * Makes the processor's checks of what run() entered with, or is about to; in guest context.
	 * How many rules are broken, with findings for the first `room` of them.
	 */
	u32 (*audit)(struct vcpu *v, struct audit_finding *out, u32 room);

	/* REGS (rip, rflags), SEGMENTS, CONTROL, DEBUG, MSRS, PENDING: the parts that the hardware holds. */
	void (*get_state)(struct vcpu *v, struct fermata_state *state, u32 mask);
	int (*set_state)(struct vcpu *v, const struct fermata_state *state, u32 mask);
	/* One of them. To read RFLAGS brings RSP into the page, as get_state() and where() do. */
	u64 (*get_reg)(struct vcpu *v, enum hw_reg reg);
	/* HW_RIP and HW_RFLAGS at once, for each exit to user space. */
	void (*position)(struct vcpu *v, u64 *rip, u64 *rflags);
	void (*set_reg)(struct vcpu *v, enum hw_reg reg, u64 value);
	/* Where the guest is, and the registers a page walk from there needs. */
	void (*where)(struct vcpu *v, struct where *where);

	/*
	 * The multiplier nearest to mult (of 2^48) that the processor applies to the guest's TSC by itself;
	 * 0: it cannot. NULL: it never can.
	 */
	u64 (*scale_tsc)(u64 mult);

	/* An MSR of the guest's that is exchanged by hand and whose writes exit; NULL: no such MSR. */
	u64 *(*msr)(struct vcpu *v, u32 msr);

	/*
	 * Can the processor intercept that event (FERMATA_ON_*), for at least one number of the range?
	 * 0 or -EOPNOTSUPP.
	 */
	int (*can_intercept)(u32 event, u64 first, u64 last);
	/* MSRs that exit only because a rule is about them; 0 ends the list. */
	const u32 *direct_msrs;
	/* Reads or writes one of these. -EINVAL: it is none of them, or cannot hold that. */
	int (*direct_msr)(struct vcpu *v, u32 msr, u64 *value, bool write);

	/*
	 * The guest changes between nested and shadow paging while it lives: v->shadow is set or cleared. The
	 * caller sets the guest's CR3 next. NULL: guests never change, because nested paging here can walk the
	 * guest's tables without writing to them.
	 */
	void (*set_paging)(struct vcpu *v);

	/* Could the guest take an event of this kind at the next entry? */
	bool (*can_take)(struct vcpu *v, u8 kind);
	void (*inject)(struct vcpu *v, const struct injection *event);
	/* Exit as soon as the guest can take an injection of these kinds (1 << INJECT_*); 0: no such exit. */
	void (*window)(struct vcpu *v, u32 kinds);
};

extern const struct backend svm_backend, vmx_backend;

/* What whoever loads us asks for, once, before the first detect(). */
struct backend_options {
	u32 turn; /* VT-x: the longest turn of a guest, in 1024 TSC ticks; 0: until something ends it */
	/* AMD-V: a guest's data breakpoints are kept, and not armed: some emulators end over them (QEMU 10). */
	bool no_data_breakpoints;
	/*
	 * Another hypervisor (KVM) has switched virtualization on, and its guests run on the same CPUs. Set before
	 * setup(), constant until teardown().
	 */
	bool beside;
};
extern struct backend_options backend_options;

#endif
