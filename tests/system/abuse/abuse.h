/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Misuse of /dev/fermata by a process that means it: raw ioctls, no library in between. Each group
 * prints TAP lines without numbers; tests/system/30-abuse.t numbers them.
 */
#ifndef ABUSE_H
#define ABUSE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "uapi/fermata.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_GUEST_VCPUS 4

/* ---- results */
extern unsigned scale; /* per cent of the iterations */
unsigned times(unsigned n);
bool ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The call's result is -1 with that errno; wanted 0: the call succeeds. */
bool gives(int result, int wanted, const char *format, ...) __attribute__((format(printf, 3, 4)));
void must(bool good, const char *what); /* the test itself cannot go on */

/* ---- chance: repeats from its seed */
extern uint64_t chance_seed;
uint64_t chance(void);
uint64_t below(uint64_t n);
uint64_t interesting(void); /* a number at some edge, or any */
void chance_fill(void *to, size_t size);
/* In /tmp/seed, in case it is the last: now, and when this VM was made, to start again from there. */
void remember_seed(uint64_t seed);
void remember_start(uint64_t seed);

/* ---- time */
void sleep_us(unsigned us);
/* SIGALRM every so often, so that no call sleeps for good; 0 stops it. */
void ticks(unsigned us);
int status_of(int pid); /* waits for a child's end */

/* ---- guests */
enum guest_mode { MODE_REAL, MODE_PROT32, MODE_LONG, MODE_LONG_USER, MODES };

#define CODE_AT 0x8000ul   /* where guest code lies */
#define TABLES_AT 0x1000ul /* three pages: identity, the first GiB in 2 MiB pages */
#define DATA_AT (2 * MIB)  /* what the counting guest counts in */

struct guest {
	int vm;
	int vcpu[MAX_GUEST_VCPUS];
	struct fermata_run *page[MAX_GUEST_VCPUS];
	unsigned vcpus;
	uint8_t *low; /* guest-physical 0: code and tables */
	size_t low_size;
};

int device_open(void);
extern unsigned vm_flags; /* FERMATA_VM_*, of the VMs made from now on */
int vm_create(void);
void vm_beside(struct fermata_vm_config *config); /* with a VM of KVM's, for the caller to close */
int vcpu_create(int vm, unsigned id);
int slot_set(int vm, unsigned slot, uint64_t gpa, uint64_t size, const void *at, unsigned flags);
void *ram_new(size_t size); /* anonymous, private */

/* A VM with its low memory in slot 0 and vCPUs in `mode` at CODE_AT; ends the program on failure. */
void guest_new(struct guest *g, unsigned vcpus, enum guest_mode mode);
void guest_end(struct guest *g);
void mode_state(struct fermata_state *state, enum guest_mode mode);

/*
 * The counting guest (MODE_LONG): adds one to the first word of each page of [DATA_AT, DATA_AT + size),
 * then writes to port 10h, again and again. Memory it cannot have is tried again.
 */
void count_setup(struct guest *g, unsigned vcpu, size_t size);
/* Runs until `passes` are done; -1 for another exit than it expects (noted), or its time being up. */
int count_run(struct guest *g, unsigned vcpu, unsigned passes);
/* How many pages' first word is not `wanted`. */
unsigned count_wrong(const void *data, size_t size, uint64_t wanted);
/* Its memory faults, seen by count_run() since the start */
extern unsigned count_faults;

const char *exit_name(unsigned reason);
unsigned vendor(void); /* FERMATA_VENDOR_* */
/* After FAIL_ENTRY: how many rules were broken, by the module's audit. */
unsigned audit_count(int vcpu);
/* After FAIL_ENTRY: the rules that were broken, as notes. */
void note_audit(int vcpu);
bool write_file(const char *path, const char *text);
long read_number(const char *path, const char *name); /* "name: N" in a file; -1 */

/* Programs of random code, every 500 in a new guest, which `each` (NULL: nobody) is shown first. */
void random_code(unsigned count, void (*each)(struct guest *g));

/* ---- groups */
void abuse_calls(void);
void abuse_slots(void);
void abuse_dirty(void);
void abuse_memory(void);
void abuse_swap(void);
void abuse_state(void);
void abuse_code(void);
void abuse_rules(void);
void abuse_clock(void);
void abuse_threads(void);
void abuse_processes(void);
void abuse_kill(void);
void abuse_leaks(void);
void abuse_cpus(void);
void abuse_module(void);
void abuse_kvm(void);
void abuse_forever(void);
void abuse_alive(void);
void abuse_crash(void);

#endif
