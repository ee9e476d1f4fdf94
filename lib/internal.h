/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the parts of libfermata share and nobody outside sees. */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "fermata.h"

/* Written and read under the VM's lock. */
struct fermata_slot {
	uint64_t gpa;
	uint64_t size; /* 0: the slot is free */
	uint8_t *addr;
	uint32_t flags;
	uint64_t *own; /* with a dirty log: what this process wrote; any thread sets and takes bits */
};

struct fermata_vm {
	/* Written once, by fermata_vm_new_with(). */
	int fd;
	struct fermata_caps caps;
	const struct fermata_clock *clock; /* what it points to is written by the kernel alone */
	/* Written by any thread under the lock. */
	pthread_rwlock_t lock;
	atomic_int logs; /* slots with a dirty log; read without the lock, too */
	struct fermata_slot slot[FERMATA_MAX_SLOTS];
	struct fermata_vcpu *vcpu[FERMATA_MAX_VCPUS];
};

/* An instruction that did not match its exit, and how often in a row: see emulate.c. */
struct emu_retry {
	uint64_t rip;
	unsigned count;
};

struct fermata_vcpu {
	/* Written once, by fermata_vcpu_new(). */
	struct fermata_vm *vm;
	unsigned id;
	int fd;
	struct fermata_run *run; /* the page is shared with the kernel; a kick writes immediate_exit */
	/* Written by the thread that runs the vCPU. */
	_Atomic pid_t running; /* that thread while it is inside FERMATA_RUN, else 0; a kick reads it */
	pid_t prepared;	       /* the thread whose signal mask is known to let a kick through */
	struct emu_retry retry;
	/* Written by the thread that reads the log, when it opens it. */
	struct fermata_ring *ring;
};

/* Remembers the line for fermata_error(). Returns -err and sets errno to err (positive). */
int fermata_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* enter.c: ioctl(fd, FERMATA_RUN, 0); 0, or -errno as the kernel returns it. */
long fermata_enter(int fd);

/* Host address of [gpa, gpa + size) in one slot; with write, of one the guest may write. */
void *fermata_slot_address(struct fermata_vm *vm, uint64_t gpa, uint64_t size, bool write);

/* dirty.c: a bitmap for the slot. -ENOMEM. */
int fermata_own_log(struct fermata_slot *slot);

/* events.c */
void fermata_log_unmap(fermata_vcpu *vcpu);

/*
 * A consistent copy of the clock page, whose writer is another CPU (seqlock), and the host's TSC at a
 * moment at which it holds.
 */
uint64_t fermata_clock_read(const struct fermata_clock *page, struct fermata_clock *copy);
/* Guest time at a host TSC value, by the formulas of struct fermata_clock. */
uint64_t fermata_clock_tsc(const struct fermata_clock *clock, uint64_t host_tsc);
uint64_t fermata_clock_ns(const struct fermata_clock *clock, uint64_t host_tsc);
/* Host ns from there until it is guest_ns, not less; UINT64_MAX: not before the next change. */
uint64_t fermata_clock_until(const struct fermata_clock *clock, uint64_t host_tsc,
			     uint64_t guest_ns);

#endif
