/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The VM: what all vCPUs of a guest share.
 *
 * Who may write a field, and when: "constant" is set by vm_init() and not changed after it; a lock's name means
 * under that lock; "ioctl" means by the caller's thread, and the caller serializes such calls.
 */
#ifndef CORE_VM_H
#define CORE_VM_H

#include "host.h"
#include "apic/apic.h"
#include "clock/clock.h"
#include "clock/forecast.h"
#include "core/backend.h"
#include "core/cpuid.h"
#include "memory/nested.h"
#include "memory/shadow/shadow.h"
#include "uapi/fermata.h"

/* What the VM was made as. */
struct vm_config {
	bool shadow; /* shadow paging */
	bool shadow_audit;
	bool untagged; /* its translations do not survive an entry */
	u32 pkru_at;   /* where an XSAVE area has PKRU; 0: guests have no protection keys */
};

/* Its clock, and what tells the guest the time. */
struct vm_time {
	struct host_lock lock;	    /* who changes the clock */
	struct guest_clock clock;   /* lock; read by its sequence */
	struct fermata_clock *page; /* constant; shared with user space, read-only there */
	u32 changing;		    /* lock; no vCPU may enter the guest now */
	u32 flags;		    /* lock: FERMATA_CLOCK_TRAPPED, _SCALED, _RUN_ONLY */
	struct run_only *run_only; /* ioctl, before the first vCPU: what such a clock needs; else NULL */
	s64 wall_ns; /* ioctl: the date at which the guest's TSC was 0, ns since 1970 */
	u64 wall_at; /* any vCPU; the MSR: where the guest has asked for the date last */
	struct host_lock pvclock_lock; /* who writes pages of the paravirtual clock */
};

struct vm_vcpus {
	struct host_lock lock;
	struct vcpu *at[FERMATA_MAX_VCPUS]; /* lock; by APIC ID; set once, stays until the VM dies */
	u32 count;			    /* lock */
};

struct vm_rules;

struct vm {
	const struct backend *backend; /* constant but for run_only_begin() */
	struct vm_config config;       /* constant */
	struct guest_memory memory;
	struct vm_time time;
	struct vm_vcpus vcpus;
	struct vm_rules *rules; /* constant; what is in it: kernel/rules */
	bool shadowed; /* ioctl: its vCPUs are to change over to shadow paging, see shadowing_switch() */
	struct forecasts forecasts;
	struct cpuid_table cpuid;	       /* ioctl, before the first vCPU */
	struct fermata_cpuid *cpuid_supported; /* constant */
	u64 *paid; /* by CPU: memory.flush.generation up to which nested flushes are paid; that CPU's */
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
/*
 * The host is short of memory: gives back up to `want` tables of shadow paging, and answers how many. From
 * any thread that holds no lock of ours and is not in guest context; does not sleep.
 */
u32 vm_shrink(struct vm *vm, u32 want);
/* The host takes back [start, end) of the owner's addresses; end() allows new mappings. */
void vm_invalidate_begin(struct vm *vm, u64 start, u64 end);
void vm_invalidate_end(struct vm *vm, u64 start, u64 end);

/* ---- lapic.c */
int vm_signal_msi(struct vm *vm, const struct fermata_msi *msi);
int vm_set_line(struct vm *vm, const struct fermata_line *line);
/* To whichever of its APICs it is for. sender: NULL: none of them */
void vm_send(struct vm *vm, const struct apic_message *message, const struct apic *sender);

/* ---- gather.c */
enum gather {
	GATHER_POST, /* the requests are there before each vCPU's next entry, whenever that is */
	GATHER_WAKE, /* ... and that is soon: who is in the guest is kicked, who sleeps is woken */
	/* The others kick all vCPUs that are in the guest, and return when each of these ... */
	GATHER_LOOK, /* has looked at its requests since, or is outside */
	GATHER_TAKE, /* the same, or has taken the requests */
	GATHER_HOLD, /* is outside. One that enters again finds the request, and must not run the guest */
};
/*
 * Asks all vCPUs but one (NULL: all) for something: requests, by bit, or none. All are kicked before the first
 * is waited for. LOOK, TAKE and HOLD wait: they are not for guest context.
 */
void gather(struct vm *vm, const struct vcpu *but, u64 requests, enum gather how);
/*
 * Pays a flush that memory/ owes: when it returns, no vCPU uses the old translations. For FLUSH_NESTED and
 * FLUSH_LINEAR; cause: FERMATA_CAUSE_*.
 */
void vm_flush(struct vm *vm, const struct flush *owed, u32 cause);

#endif
