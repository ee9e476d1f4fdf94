/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What kernel/ but kernel/linux needs of the system below it, and all it may use.
 *
 * kernel/linux implements it for the module; tests/unit/host implements it for user space, where the
 * same sources run under sanitizers. <host_types.h> is found through the include path: it brings
 * u8..u64, s64, bool, size_t, NULL, errno values (-EINVAL ...), memcpy & co., READ_ONCE, WRITE_ONCE,
 * likely, unlikely, noinline, container_of, BIT(), BIT_ULL(), min(), max(), ARRAY_SIZE(),
 * static_assert, and the types struct host_lock, struct host_timer and struct host_user_word
 * { u64 addr, value; }.
 */
#ifndef FERMATA_HOST_H
#define FERMATA_HOST_H

#include <host_types.h>

/*
 * ---- what every exit calls. A system may have these inline: it defines HOST_INLINES in
 * <host_types.h> and brings them from there.
 */
struct host_sampling {
	u64 pebs_enable, global_ctrl, guest_global_ctrl; /* host_samples() */
};
struct host_thread; /* what the system keeps for one vCPU: wait queue, FPU area, the CPU it is on */
#ifndef HOST_INLINES
u64 host_tsc(void);
/* ... after every load before it in the program, and before every load behind it. */
u64 host_tsc_ordered(void);
void *host_phys_to_virt(u64 phys); /* of memory in the host's direct map */
void host_full_barrier(void);
/* Readers of read-mostly pointers; writers wait for them in host_read_synchronize(). */
void host_read_begin(void);
void host_read_end(void);
/* 8 bytes of guest RAM, at any alignment; see host_read_user() below. */
int host_read_user_word(u64 *to, u64 user_addr);
/*
 * Are words that host_read_user_word() has read what they were? Then *to is the one at user_addr, which
 * lies in a page that was read before, too.
 */
bool host_user_unchanged(const struct host_user_word *words, u32 count, u64 user_addr, u64 *to);
/* The guest's turn. Enabling runs what host interrupts are pending. */
void host_irq_disable(void);
void host_irq_enable(void);
/* The thread must go back to the host: a signal, or another thread's turn. */
bool host_must_leave(void);
/*
 * In guest context, after an interrupt of the host's ended a turn. Interrupts off: the thread is no reader here,
 * so writers need not wait for it. Interrupts on: has a handler left work that cannot be done in guest context?
 */
void host_no_reader(void);
bool host_work_waits(void);
/*
 * On CPUs with the L1TF flaw, as the host's l1tf= option wants it: what the host has been reading since
 * the thread's last turn leaves the L1D. Interrupts off. Always: even an exit answered at once counts.
 */
void host_flush_l1d(struct host_thread *thread);
bool host_flushes_always(void);
/* Interrupts off, and they may have been on: what an exit's way back is to bring into the predictors' MSR (IBRS). */
void host_note_speculation(void);
/*
 * The same moment: does the host sample this CPU with PEBS? The processor writes each sample to memory by a linear
 * address, which in a guest would be the guest's. What the two MSRs hold now, and what the second is to hold while a
 * guest runs and PEBS is off.
 */
bool host_samples(struct host_sampling *sampling);
/* #AC where an access is split between cache lines is the host's wish (TEST_CTRL), and no affair of its guests. */
bool host_detects_split_locks(void);
/*
 * DR0..DR3 and DR7 of the thread, if it has breakpoints, around a turn, with interrupts off: every exit clears DR7,
 * and the guest's addresses may be in the others.
 */
void host_save_breakpoints(void);
void host_restore_breakpoints(void);
#endif

/* ---- memory: pages are 4 KiB, zeroed, in the host's direct map. These may sleep. */
void *host_page_alloc(void);	 /* NULL when there is no memory */
void *host_page_alloc_low(void); /* below 4 GiB: for what a 32-bit CR3 is to point to */
void host_page_free(void *page);
/* 2^order pages, physically contiguous */
void *host_pages_alloc(u32 order);
void host_pages_free(void *pages, u32 order);
u64 host_virt_to_phys(const void *virt);
void *host_alloc(size_t size); /* zeroed */
void host_free(void *p);

/*
 * Guest RAM, by its address in the owning process. Only from that process's vCPU threads. They do
 * not sleep: a page that is not present gives -EFAULT, and the caller takes the slow path.
 */
int host_read_user(void *to, u64 user_addr, size_t size);
int host_write_user(u64 user_addr, const void *from, size_t size);
/* 1 done, 0 *addr was not old, -EFAULT; naturally aligned, size 4 or 8 */
int host_cmpxchg_user(u64 user_addr, u64 old, u64 new_value, u32 size);

/*
 * The host page behind user_addr, faulted in if need be (sleeps). It stays valid only until the
 * host's next invalidation of that address: see memory/nested.h for the protocol. level: how large
 * the host maps it: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB; phys is that of the 4 KiB page.
 */
struct host_page {
	u64 phys;
	u8 level;
	bool writable;
	bool cached;  /* ordinary RAM: write-back */
	void *cookie; /* for host_page_put() */
};
int host_page_get(u64 user_addr, bool write, struct host_page *page);
void host_page_put(struct host_page *page);
/*
 * What is there already, also in guest context: up to `count` pages from user_addr on that do not cross
 * a multiple of 2 MiB, as far as each is mapped by itself, writable, ordinary RAM. How many.
 */
u32 host_pages_near(u64 user_addr, u32 count, u64 *phys);
/* Such a page gets mapped writable. While no invalidation can be between here and the mapping. */
void host_page_dirty(u64 phys);

/* ---- locks: spinning, never held while sleeping, not taken from interrupts */
void host_lock_init(struct host_lock *lock);
void host_lock(struct host_lock *lock);
void host_unlock(struct host_lock *lock);
/*
 * host_steps(n), a macro: n rounds of loops under a lock, whose number somebody else may choose. Nothing in
 * the kernel; in user space they are counted, and tests say how many one hold of a lock may have.
 */

/*
 * host_index(index, count), a macro: index, which the caller has found to be below count, so that no
 * speculation past that check reads beyond. For indices that guests and callers choose.
 */

/* ---- read-mostly pointers: a writer waits out the readers inside host_read_begin/end */
void host_read_synchronize(void); /* sleeps */

/* ---- atomic bit sets, shared between threads */
void host_set_bit(u32 bit, u64 *word);
void host_clear_bit(u32 bit, u64 *word);
bool host_test_and_set_bit(u32 bit, u64 *word);
bool host_test_and_clear_bit(u32 bit, u64 *word);
u64 host_exchange(u64 *word, u64 value); /* full barrier */
u64 host_add(u64 *word, u64 value);	 /* the sum */

/* ---- CPUs */
u32 host_cpu_count(void); /* CPU numbers are below this */
u32 host_cpu(void);	  /* this one's; with preemption off */

/*
 * What this system knows of its processor better than CPUID says it: microcode may have been late, or is not to be
 * trusted. HOST_IBPB: PRED_CMD takes IBPB. HOST_MD_CLEAR: VERW clears the CPU's buffers. HOST_ARCH_CAPABILITIES:
 * there is such an MSR, and host_arch_capabilities() is what a guest is to read there. HOST_ITLB_MULTIHIT: a fetch
 * from a page whose size a guest has changed can stop the processor, and the system wants that prevented.
 */
enum host_feature { HOST_IBPB, HOST_MD_CLEAR, HOST_ARCH_CAPABILITIES, HOST_ITLB_MULTIHIT };
bool host_offers(enum host_feature feature);
u64 host_arch_capabilities(void);

/* ---- time */
u32 host_tsc_khz(void);
/* One-shot timer: fn runs once, from any context, delta_ns after arm. Re-arming replaces. */
void host_timer_init(struct host_timer *timer, void (*fn)(struct host_timer *));
void host_timer_arm(struct host_timer *timer, u64 delta_ns);
void host_timer_cancel(struct host_timer *timer); /* waits for a running fn; sleeps */

/* ---- running a guest on this CPU: only core/run.c and the backends use these */
/*
 * Between begin and end the thread stays on its CPU and the FPU registers are the guest's; nothing
 * in between may sleep. begin returns the CPU's number; HOST_REFUSED: the processor does not load the
 * guest's state, and nothing has begun.
 */
#define HOST_REFUSED (~0u)
u32 host_guest_begin(struct host_thread *thread, u64 guest_xcr0, u64 guest_tsc_aux);
void host_guest_end(struct host_thread *thread);
/* In guest context: the guest changed one of the two. False: the processor does not take it. */
bool host_guest_xcr0(u64 xcr0);
/* In guest context: XCR0 as it is in the CPU; 0 when the CPU has none. */
u64 host_guest_xcr0_now(void);
void host_guest_tsc_aux(u64 tsc_aux);
/* Lets the other threads run if they should; -EINTR when a signal is pending. */
int host_leave(void);
/* If the thread is in guest mode on `cpu`, makes it exit soon. */
void host_kick(u32 cpu);
void host_kick_self(void); /* ... the guest this CPU is about to enter */
void host_pause(void);	   /* in a loop that waits for another CPU */
/* Sleeps until wake(arg); -EINTR for a signal. Somebody who makes it true calls host_wake(). */
int host_wait(struct host_thread *thread, bool (*wake)(void *arg), void *arg);
void host_wake(struct host_thread *thread);
/* The guest's XSAVE area, standard format, FERMATA_XSAVE_SIZE bytes; and another one in its place. */
const u8 *host_xsave_area(struct host_thread *thread);
void host_xsave_set(struct host_thread *thread, const u8 *area);
/* Preemption off and on, for work on this CPU outside of guest context; they nest. */
void host_stay(void);
void host_move(void);
/* Runs fn(arg) on that CPU with interrupts off, and waits; here with interrupts on. */
void host_run_on(u32 cpu, void (*fn)(void *arg), void *arg);
void host_cr4_change(u64 set, u64 clear);
/* DS, ES, FS, GS of a thread; a selector that has become invalid loads as 0. */
void host_load_segments(u16 ds, u16 es, u16 fs, u16 gs);
/* TR's limit is 67h now; the kernel must know before a thread with an I/O bitmap runs. */
void host_tss_limit_lost(void);
/*
 * A machine check ended a guest's turn; interrupts are off. The host's handler treats it as one of the thread's own
 * program: what cannot be repaired is a signal for the thread, or the host's end.
 */
void host_machine_check(void);
/*
 * Such a guest's thread is treated as one that did it itself: warned, slowed, or sent SIGBUS. Outside of guest
 * context; sleeps. Where it may go on, the same access does not raise #AC again, if it is made soon.
 */
void host_split_lock(struct host_thread *thread, u64 rip);
/* Another guest ran here last: what it taught the branch predictors must not steer this one. */
void host_forget_branches(void);
/* In guest context, once: has the host run another thread since this one's last stay? */
bool host_others_ran(struct host_thread *thread);

/* ---- messages: one line, no newline at its end */
void host_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
#ifdef FERMATA_DEBUG
void host_bug(const char *file, int line, const char *what) __attribute__((noreturn));
#define DEBUG_ASSERT(c) ((c) ? (void)0 : host_bug(__FILE__, __LINE__, #c))
#else
#define DEBUG_ASSERT(c) ((void)0)
#endif

#endif
