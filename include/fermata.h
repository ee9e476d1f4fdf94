/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * libfermata: run guests on Fermata from a C program.
 *
 * A VM is made from the device, vCPUs from the VM. Functions return 0 (or a pointer) on success;
 * on failure -errno (or NULL with errno set), and fermata_error() says in one line what, why, and
 * what to do. Nothing here is global: several VMs in one process do not know of each other.
 * One vCPU is driven by one thread at a time; everything else may be called from any thread.
 */
#ifndef FERMATA_H
#define FERMATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi/fermata.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fermata_vm fermata_vm;
typedef struct fermata_vcpu fermata_vcpu;

/* The calling thread's last failure, one line without newline; "" when there was none. */
const char *fermata_error(void);

/* ---- device */

/* What this machine offers. -ENOENT: no /dev/fermata (module not loaded); -EPROTO: other ABI. */
int fermata_caps(struct fermata_caps *caps);
/* The CPUID leaves and bits guests may be shown on this host. */
int fermata_cpuid_supported(struct fermata_cpuid *cpuid);

/* ---- VM */

/* A VM without memory or vCPUs. It dies with fermata_vm_free() or with the process. */
fermata_vm *fermata_vm_new(void);
void fermata_vm_free(fermata_vm *vm); /* frees its vCPUs too; no vCPU may be running */

/*
 * Guest-physical [gpa, gpa + size) becomes host memory at addr: both multiples of 4096. The caller
 * keeps the memory mapped until the slot is removed. slot: 0 .. FERMATA_MAX_SLOTS - 1.
 * -EINVAL unaligned, wrapping or outside the address space; -EEXIST overlaps another slot.
 */
int fermata_map(fermata_vm *vm, unsigned slot, uint64_t gpa, uint64_t size, void *addr, uint32_t flags);
int fermata_unmap(fermata_vm *vm, unsigned slot);
/* Memory fit for fermata_map: anonymous, aligned to 2 MiB, with huge pages asked for. */
void *fermata_memory_alloc(uint64_t size);
void fermata_memory_free(void *addr, uint64_t size);
/* Host address of guest-physical [gpa, gpa + size), or NULL when no one slot covers it. */
void *fermata_gpa(fermata_vm *vm, uint64_t gpa, uint64_t size);

/* Before the first vCPU. Bits the host lacks are -EINVAL. Without a call: all that is supported. */
int fermata_cpuid_set(fermata_vm *vm, const struct fermata_cpuid *cpuid);

int fermata_msi(fermata_vm *vm, uint64_t address, uint32_t data);
int fermata_line(fermata_vm *vm, unsigned vcpu, unsigned line, bool level); /* FERMATA_LINE_* */

/* The guest clock, read without a system call. */
uint64_t fermata_now(const fermata_vm *vm);     /* ns of the guest since the VM was made */
uint64_t fermata_tsc(const fermata_vm *vm);     /* what RDTSC would say in the guest */
uint32_t fermata_tsc_khz(const fermata_vm *vm); /* its frequency */

/* ---- vCPU */

fermata_vcpu *fermata_vcpu_new(fermata_vm *vm, unsigned id); /* id 0: the boot processor */
void fermata_vcpu_free(fermata_vcpu *vcpu);
struct fermata_run *fermata_vcpu_page(fermata_vcpu *vcpu); /* registers and exit record, shared */

/*
 * Runs the guest until something needs the caller. 0: look at ->exit of the run page. -EINTR: a
 * signal, or fermata_kick(). To go on after IO or MMIO see fermata_emulate().
 */
int fermata_run(fermata_vcpu *vcpu);
/* Makes a running fermata_run() return -EINTR soon, the next one at once; async-signal-safe. */
void fermata_kick(fermata_vcpu *vcpu);

int fermata_state_get(fermata_vcpu *vcpu, struct fermata_state *state, uint32_t mask);
int fermata_state_set(fermata_vcpu *vcpu, const struct fermata_state *state, uint32_t mask);
int fermata_interrupt(fermata_vcpu *vcpu, const struct fermata_interrupt *event);
/* 0: *gpa is set; -EFAULT: the guest would fault, t->code says how. */
int fermata_translate(fermata_vcpu *vcpu, struct fermata_translate *t);
int fermata_stats(fermata_vcpu *vcpu, struct fermata_stats *stats);

/* ---- answering exits */

/* The caller's world of ports and device memory. Sizes are 1, 2, 4 (and 8 for memory) bytes. */
struct fermata_bus {
	void *opaque;
	void (*io_read)(void *opaque, uint16_t port, unsigned size, uint32_t *value);
	void (*io_write)(void *opaque, uint16_t port, unsigned size, uint32_t value);
	void (*mem_read)(void *opaque, uint64_t gpa, unsigned size, uint64_t *value);
	void (*mem_write)(void *opaque, uint64_t gpa, unsigned size, uint64_t value);
};

/*
 * Completes the IO or MMIO exit in the run page: performs the instruction against the bus and guest
 * memory, updates registers, and arranges for RIP to move on, or for the fault the guest deserves.
 * -ENOSYS: an instruction the emulator does not know; fermata_error() has its text.
 */
int fermata_emulate(fermata_vcpu *vcpu, const struct fermata_bus *bus);

/* ---- in words */

const char *fermata_exit_reason_name(uint32_t reason);		 /* "IO", "MMIO", ... */
const char *fermata_exit_code_name(uint32_t vendor, uint32_t code); /* "npf", "cpuid": Linux's names */
/* The report of a dead guest: registers, code, last exits and what the hardware said. Malloced. */
char *fermata_report(fermata_vcpu *vcpu);

#ifdef __cplusplus
}
#endif

#endif
