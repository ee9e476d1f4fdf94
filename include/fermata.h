/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * libfermata: run guests on Fermata from a C program.
 *
 * A VM is made from the device, vCPUs are made from the VM. Functions return 0 (or a pointer) on
 * success. On failure they return -errno (or NULL with errno set), and fermata_error() says in one
 * line what failed, why, and what to do. Nothing here is global: several VMs in one process do not
 * know of each other. One vCPU is driven by one thread at a time; everything else may be called from
 * any thread.
 *
 * The manual is libfermata(3).
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

/*
 * The calling thread's last failure, one line without newline; "" when there was none. Valid until
 * the thread's next failure; success does not clear it.
 */
const char *fermata_error(void);

/* ---- device */

/*
 * What this machine offers. It succeeds where guests cannot run, too: look at caps->blocked.
 * -ENOENT: no /dev/fermata (module not loaded); -EACCES: not allowed to open it; -EPROTO: another
 * version of the interface.
 */
int fermata_caps(struct fermata_caps *caps);
/*
 * A flaw of processors that guests could use, and what is done about it here: index 0, 1, ... until -ERANGE.
 * Other errors as fermata_caps().
 */
int fermata_flaw(uint32_t index, struct fermata_flaw *flaw);
/* The CPUID leaves and bits that guests may be shown on this host; cpuid->count says how many. */
int fermata_cpuid_supported(struct fermata_cpuid *cpuid);
/*
 * Adds KVM's paravirtual clock to the leaves that a guest will be shown: KVM's signature in leaf
 * 4000_0000h, and leaf 4000_0001h. FERMATA_CLOCK_DATE sets the date that it tells. -ENOSPC: no
 * entry is free.
 */
int fermata_cpuid_kvmclock(struct fermata_cpuid *cpuid);

/* ---- VM */

/*
 * A VM without memory or vCPUs. It dies with fermata_vm_free() or with the process; it does not
 * survive fork(). Errors of fermata_caps(), and -ENODEV (virtualization absent or disabled), -EBUSY
 * (another hypervisor holds it), -ENOMEM.
 */
fermata_vm *fermata_vm_new(void);
/* The same with FERMATA_VM_* flags, such as FERMATA_VM_NO_TAGS. -EINVAL: a flag that the module does not know. */
fermata_vm *fermata_vm_new_flags(uint32_t flags);
/*
 * The same with paging and tags as config says (FERMATA_VM_*, FERMATA_SHADOW_*). Besides the above
 * -EINVAL: flags that contradict each other, or that this module does not know; -ENODEV also:
 * FERMATA_VM_NESTED on a CPU without nested paging.
 */
fermata_vm *fermata_vm_new_with(const struct fermata_vm_config *config);
void fermata_vm_free(fermata_vm *vm); /* frees its vCPUs too; no vCPU may be running; NULL is fine */

/*
 * Guest-physical [gpa, gpa + size), in bytes, becomes host memory at addr: all three multiples of
 * 4096. The caller keeps the memory mapped until the slot is removed. slot: 0 .. FERMATA_MAX_SLOTS
 * - 1; flags: FERMATA_MEMORY_* or 0. Large mappings need addr and gpa congruent modulo 2 MiB.
 * -EINVAL: unaligned, size 0, beyond caps.phys_bits, no such slot or flag; -EEXIST: the slot is in
 * use, or the range overlaps another slot; -E2BIG: too large for FERMATA_MEMORY_LOG_DIRTY.
 */
int fermata_map(fermata_vm *vm, unsigned slot, uint64_t gpa, uint64_t size, void *addr,
		uint32_t flags);
/* After it no vCPU reaches the memory. -EINVAL: no such slot; -ENOENT: not in use. */
int fermata_unmap(fermata_vm *vm, unsigned slot);
/*
 * Memory for fermata_map(): anonymous, zero, aligned to 2 MiB; huge pages are requested. size in
 * bytes is rounded up to 4096. NULL with EINVAL (0, absurd) or ENOMEM.
 */
void *fermata_memory_alloc(uint64_t size);
void fermata_memory_free(void *addr, uint64_t size); /* size as allocated; NULL is fine */
/* The host address of guest-physical [gpa, gpa + size), or NULL if no single slot covers it. */
void *fermata_gpa(fermata_vm *vm, uint64_t gpa, uint64_t size);

/*
 * Switches the log of a slot's written pages on or off, as FERMATA_MEMORY_LOG_DIRTY does with
 * fermata_map(). The guest may be running. While the log is on, each page's first write after a
 * question costs the guest an exit, and the slot gets no large mappings. -EINVAL: no such slot;
 * -ENOENT: not in use.
 */
int fermata_memory_log_dirty(fermata_vm *vm, unsigned slot, bool on);
/*
 * Which pages (of 4096 bytes) were written to since the last question about them: bit n % 64 of
 * bitmap[n / 64] stands for page first + n of the slot; *dirty gets their number (NULL is fine).
 * Later writes are in the next answer. first is a multiple of 64; so is count, unless it ends with
 * the slot. Writes of the guest and its processor count, those of the module and fermata_emulate()
 * on its behalf, and those that fermata_memory_wrote() was told of. -EINVAL: no such slot or pages;
 * -ENOENT: not in use, or no log; after an error nothing was taken.
 */
int fermata_memory_dirty(fermata_vm *vm, unsigned slot, uint64_t first, uint64_t count,
			 uint64_t *bitmap, uint64_t *dirty);
/*
 * The caller has written to [gpa, gpa + size) by itself, as devices do. Where there is a log, these
 * pages are dirty then. Call it after the write, so that a reader who trusts the log's answer finds
 * what was written.
 */
void fermata_memory_wrote(fermata_vm *vm, uint64_t gpa, uint64_t size);

/*
 * Sets what CPUID shows to the guest; without a call it is all that is supported. Call it before
 * the first vCPU is made, else -EBUSY. -EINVAL: bits that the host lacks.
 */
int fermata_cpuid_set(fermata_vm *vm, const struct fermata_cpuid *cpuid);

/* A message-signalled interrupt as a device writes it. -EINVAL: address not of the local APICs. */
int fermata_msi(fermata_vm *vm, uint64_t address, uint32_t data);
/* Sets the level of a wire into vCPU `vcpu`'s local APIC; line: FERMATA_LINE_*. -EINVAL: no such wire. */
int fermata_line(fermata_vm *vm, unsigned vcpu, unsigned line, bool level);

/*
 * Foretells what reads of a port will give as time passes, so that they need no exit to the caller
 * until the next call for that port. Kind FERMATA_FORECAST_NONE takes it back. See struct
 * fermata_forecast. -EINVAL: no such forecast; -ENOSPC: FERMATA_MAX_FORECASTS ports have one.
 */
int fermata_forecast(fermata_vm *vm, const struct fermata_forecast *forecast);

/* The guest clock, read without a system call. */
uint64_t fermata_now(const fermata_vm *vm);	/* ns of the guest since the VM was made */
uint64_t fermata_tsc(const fermata_vm *vm);	/* ticks: what RDTSC would say in the guest */
uint32_t fermata_tsc_khz(const fermata_vm *vm); /* its frequency, kHz */
/*
 * Host ns until fermata_now() is guest_ns: 0 if it is already. Rounded up, so that a sleep of this
 * length does not end early. UINT64_MAX if it never will be unless the clock is changed (it stands
 * still, or will). With a run-only clock, whose future nobody knows: how long it takes at least,
 * but not less than 50 us.
 */
uint64_t fermata_until(const fermata_vm *vm, uint64_t guest_ns);

/* The clock's settings and its readings, all of one moment. */
struct fermata_reading {
	struct fermata_clock clock; /* see uapi/fermata.h */
	uint64_t host_tsc, guest_tsc, guest_ns;
};
void fermata_clock(const fermata_vm *vm, struct fermata_reading *reading);
/*
 * Another rate, a freeze, a step, a jump: see struct fermata_clock_change, whose ns a jump fills
 * in. All vCPUs and all readers see it at one moment. -EINVAL: no such verb, rate or span.
 */
int fermata_clock_change(fermata_vm *vm, struct fermata_clock_change *change);

/* ---- vCPU */

/*
 * id: 0 .. FERMATA_MAX_VCPUS - 1, its APIC ID; 0 is the boot processor and starts in the state of
 * SDM 3A table 10-1, the others wait for INIT and SIPI. -EINVAL: id out of range; -EEXIST.
 */
fermata_vcpu *fermata_vcpu_new(fermata_vm *vm, unsigned id);
void fermata_vcpu_free(fermata_vcpu *vcpu); /* not while it runs; NULL is fine */
/*
 * Registers and exit record, shared with the kernel and valid as long as the vCPU. Only the thread that
 * drives the vCPU may use them, outside of fermata_run().
 */
struct fermata_run *fermata_vcpu_page(fermata_vcpu *vcpu);

/*
 * Runs the guest until something needs the caller. 0: look at ->exit of the run page. -EINTR: a
 * signal, or fermata_kick(); the exit record means nothing then. -EBUSY: another thread runs it;
 * -EPERM: another process's VM; -EINVAL: the run page asks for nonsense; -EIO: the vCPU is dead, see
 * fermata_report(). To go on after IO or MMIO see fermata_emulate().
 */
int fermata_run(fermata_vcpu *vcpu);
/*
 * Makes a running fermata_run() return -EINTR soon, or the next one at once; several kicks before
 * that are one. From any thread and from signal handlers. Uses signal SIGRTMIN + 7, see
 * libfermata(3).
 */
void fermata_kick(fermata_vcpu *vcpu);

/*
 * Read and write the groups of state in mask, FERMATA_STATE_*. Not while the vCPU runs (-EBUSY).
 * -EINVAL: an unknown group, or a state that no processor can be in; then nothing has changed. What
 * fermata_emulate() did is complete only after the next fermata_run(), which moves RIP on.
 */
int fermata_state_get(fermata_vcpu *vcpu, struct fermata_state *state, uint32_t mask);
int fermata_state_set(fermata_vcpu *vcpu, const struct fermata_state *state, uint32_t mask);
/*
 * Injects at the next entry: the answer to FERMATA_EXIT_INTACK, an NMI, an exception.
 * -EINVAL: no such kind or vector; -EBUSY: one is pending already.
 */
int fermata_inject(fermata_vcpu *vcpu, const struct fermata_injection *injection);
/*
 * Translates a guest-linear address to a guest-physical one, by the guest's page tables as they are
 * now. In: linear, access. 0: t->gpa and t->page_size are set; -EFAULT: the guest would fault,
 * t->code says how.
 */
int fermata_translate(fermata_vcpu *vcpu, struct fermata_translate *t);
int fermata_stats(fermata_vcpu *vcpu, struct fermata_stats *stats);
/*
 * After FERMATA_EXIT_FAIL_ENTRY: which rules of the processor's manual the entry broke, one line each.
 * A count of 0 there means that the processor found something that the audit does not look for.
 */
int fermata_audit(fermata_vcpu *vcpu, struct fermata_audit *audit);

/* ---- answering exits */

/*
 * The caller's ports and device memory. Sizes are 1, 2, 4 (and 8 for memory) bytes. An
 * access is handed over whole, aligned or not, as long as it stays within one 4 KiB page; longer
 * ones (16 and 32 bytes of SSE and AVX) come in pieces, lowest address first. The calls happen on
 * the thread inside fermata_emulate(). Reads set *value; if they do not, a port reads as an empty bus
 * (all ones) and memory as 0.
 */
struct fermata_bus {
	void *opaque;
	void (*io_read)(void *opaque, uint16_t port, unsigned size, uint32_t *value);
	void (*io_write)(void *opaque, uint16_t port, unsigned size, uint32_t value);
	void (*mem_read)(void *opaque, uint64_t gpa, unsigned size, uint64_t *value);
	void (*mem_write)(void *opaque, uint64_t gpa, unsigned size, uint64_t value);
};

/*
 * Completes the IO or MMIO exit in the run page, once per exit: carries out the instruction against
 * the bus and guest memory, updates registers, and arranges for RIP to move on, or for the fault
 * that the guest must get. A long REP is done in pieces: 0 is returned with RIP still at the
 * instruction, and the guest executes it again. 0 is also returned if the guest has changed its
 * code or page tables since the exit: it then executes what is there now. -ENOSYS: an instruction
 * the emulator does not know, or code executed from device memory; fermata_error() has its text.
 * -EINVAL: the exit is neither IO nor MMIO.
 */
int fermata_emulate(fermata_vcpu *vcpu, const struct fermata_bus *bus);

/* ---- events: struct fermata_rule says what a rule is, docs/events.md how it is written in words */

/* A piece of a text, in bytes. */
struct fermata_span {
	unsigned at, length;
};

/*
 * Reads "EVENT [FILTER...] [do ACTION...]", such as "cpuid leaf=1 do log". -EINVAL: fermata_error()
 * says what is wrong, and *wrong (NULL is fine) where. Only fermata_rule_add() knows whether this
 * processor can intercept the event.
 */
int fermata_rule_parse(const char *text, struct fermata_rule *rule, struct fermata_span *wrong);
/*
 * Writes the rule in words that fermata_rule_parse() understands, cut to `size` bytes, with a 0
 * byte if size is not 0. Returns the length of the whole text.
 */
size_t fermata_rule_text(const struct fermata_rule *rule, char *out, size_t size);
/*
 * Adds a rule to the VM, running or not, and sets rule->id. -EINVAL: see struct fermata_rule;
 * -EOPNOTSUPP: this processor cannot intercept it; -ENOSPC: there are FERMATA_MAX_RULES.
 */
int fermata_rule_add(fermata_vm *vm, struct fermata_rule *rule);
int fermata_rule_remove(fermata_vm *vm, unsigned id); /* -ENOENT */
/*
 * Gives the rule with the least id that is at least rule->id, with its hits. To list all: start
 * with 1, go on with its id + 1. -ENOENT: there is none.
 */
int fermata_rule_get(fermata_vm *vm, struct fermata_rule *rule);
/* From now on the records of this vCPU are kept for fermata_log_read(). Calling it again does no harm. */
int fermata_log_open(fermata_vcpu *vcpu);
/*
 * Takes up to `room` records out of the vCPU's log, the oldest first, and returns how many. *dropped
 * (NULL is fine): how many were lost so far because nobody read in time. One reader at a time; the
 * vCPU may be running.
 */
unsigned fermata_log_read(fermata_vcpu *vcpu, struct fermata_record *out, unsigned room,
			  uint64_t *dropped);
bool fermata_log_waiting(fermata_vcpu *vcpu); /* is there something to read? */
/* The event's name, "cpuid"; NULL: no such event. And its number's name, "leaf"; NULL: it has none. */
const char *fermata_event_name(unsigned event);
const char *fermata_event_number_name(unsigned event);

/* ---- names of numbers: never NULL, "unknown" for numbers that mean nothing */

const char *fermata_exit_reason_name(uint32_t reason); /* "IO", "MMIO", ... */
/* "npf", "cpuid" (AMD), "EPT_VIOLATION" (Intel): Linux's names; vendor as in caps and stats */
const char *fermata_exit_code_name(uint32_t vendor, uint32_t code);
/* fermata_stats.flush_kind[] and flush_cause[]: "new-tag", "all-tags"; "host", "control" */
const char *fermata_flush_kind_name(uint32_t kind);
const char *fermata_flush_cause_name(uint32_t cause);
/* What a VM-instruction error means (Intel; SDM 3C 31.4): hw_info1 with FERMATA_VMX_FAIL. */
const char *fermata_vmx_error(uint32_t error);
/*
 * The report of a dead guest: what the hardware said in words, registers, segments, control
 * registers, code, last exits. Several lines, to be freed with free(). NULL: no memory.
 */
char *fermata_report(fermata_vcpu *vcpu);

#ifdef __cplusplus
}
#endif

#endif
