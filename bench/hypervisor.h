/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What rows.c asks of a hypervisor; kvm.c and fermata.c are twins behind it. */
#ifndef BENCH_HYPERVISOR_H
#define BENCH_HYPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How guests are to run. */
struct ways {
	bool shadow;  /* the hypervisor's own page tables instead of EPT or NPT */
	bool no_tags; /* without VPID or ASID */
};

/* Guest-physical [gpa, gpa + size) is that memory. */
struct region {
	uint64_t gpa, size;
	void *memory;
};

struct vm;

struct hypervisor {
	const char *name;
	/* Ends the program with a line that says why, unless guests can run so here. */
	void (*check)(const struct ways *ways);
	/*
	 * One vCPU in 64-bit mode, as guest.h has it. trap_rdtsc: reads of the TSC exit; NULL: cannot. *rate: how
	 * many of the guest's ticks are one of the host's.
	 */
	struct vm *(*create)(const struct ways *ways, bool trap_rdtsc, const struct region *region,
			     size_t regions, unsigned int *rate);
	/* From guest_start, with those arguments, to PORT_END. */
	void (*run)(struct vm *vm, uint64_t body, uint64_t iterations, uint64_t argument);
	uint64_t (*exits)(struct vm *vm); /* VM exits since it was created */
	void (*destroy)(struct vm *vm);
};

extern const struct hypervisor kvm, fermata;

/* "bench: WHAT: WHY"; status 3: this cannot be had here; 1: anything else, errno's words without a WHY. */
void unavailable(const char *what, const char *why) __attribute__((noreturn));
void die(const char *what, const char *why) __attribute__((noreturn));

#endif
