/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Linux's side of host.h: the types, and what is cheap enough to be inline. */
#ifndef LINUX_HOST_TYPES_H
#define LINUX_HOST_TYPES_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/jump_label.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/task_work.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <asm/asm.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/page.h>

#include <names.h> /* made by names.awk; behind all of Linux's headers, before all of ours */

#define host_index(index, count) array_index_nospec(index, count)
#define host_steps(n) ((void)0)

struct host_lock {
	raw_spinlock_t spin; /* taken in guest context, also where spinlocks sleep */
};

struct host_timer {
	struct hrtimer hrtimer;
	void (*fn)(struct host_timer *timer);
};

struct host_user_word {
	u64 addr, value;
};

#define HOST_INLINES

/* An instruction that is #UD after the host has switched virtualization off on its way down. */
#define HOST_MAY_FAULT(insn) "1: " insn "\n2:\n" _ASM_EXTABLE(1b, 2b)
/* For "asm goto": a fault goes on at the label, which is one of the statement's. */
/* clang-format off */
#define HOST_FAULT_TO(label, insn) "1: " insn "\n" _ASM_EXTABLE(1b, %l[label])
/* clang-format on */
/* Then the register, a 64-bit operand as in "%0", is 0. */
#define HOST_ZERO_ON_FAULT(insn, reg)                                                              \
	"1: " insn "\n2:\n" _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, reg)

static inline u64 host_tsc(void)
{
	return rdtsc();
}

/* LFENCE waits for RDTSC too, which otherwise runs when it likes (SDM 2B RDTSC, APM 3 LFENCE). */
static inline u64 host_tsc_ordered(void)
{
	u64 tsc;

	rmb();
	tsc = rdtsc();
	rmb();
	return tsc;
}

static inline void *host_phys_to_virt(u64 phys)
{
	return __va(phys);
}

static inline void host_full_barrier(void)
{
	smp_mb();
}

static inline void host_read_begin(void)
{
	rcu_read_lock();
}

static inline void host_read_end(void)
{
	rcu_read_unlock();
}

static inline int host_read_user_word(u64 *to, u64 user_addr)
{
	const u64 __user *from = (const u64 __user *)user_addr;

	if (unlikely(!access_ok(from, sizeof(*from))))
		return -EFAULT;
	pagefault_disable();
	__uaccess_begin_nospec();
	unsafe_get_user(*to, from, fault);
	__uaccess_end();
	pagefault_enable();
	return 0;
fault:
	__uaccess_end();
	pagefault_enable();
	return -EFAULT;
}

static inline bool host_user_unchanged(const struct host_user_word *words, u32 count, u64 user_addr,
				       u64 *to)
{
	u64 now;
	u32 i;

	pagefault_disable();
	__uaccess_begin();
	for (i = 0; i < count; i++) {
		unsafe_get_user(now, (const u64 __user *)words[i].addr, changed);
		if (unlikely(now != words[i].value))
			goto changed;
	}
	unsafe_get_user(*to, (const u64 __user *)user_addr, changed);
	__uaccess_end();
	pagefault_enable();
	return true;
changed:
	__uaccess_end();
	pagefault_enable();
	return false;
}

static inline void host_irq_disable(void)
{
	local_irq_disable();
}

static inline void host_irq_enable(void)
{
	local_irq_enable();
}

/*
 * TIF_NOTIFY_RESUME alone is not a reason to leave: rseq sets it at every switch, and its work is for
 * the way back to user space. Task work (a descriptor's last close, for one) must not wait for that.
 */
static inline bool host_user_work(void)
{
	return signal_pending(current) || task_work_pending(current);
}

/* Asked at every turn. Of all this nothing is there without one of these flags. */
static inline bool host_must_leave(void)
{
	const unsigned long any = _TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL |
				  _TIF_NOTIFY_RESUME;

	return unlikely(READ_ONCE(current_thread_info()->flags) & any) &&
	       (need_resched() || host_user_work());
}

/*
 * As KVM does before it enters a guest. A guest that computes keeps its CPU in the kernel with preemption off:
 * without a word of ours, a grace period lasts until RCU asks for the CPU, 100 jiffies and more.
 */
static inline void host_no_reader(void)
{
	rcu_note_context_switch(false);
}

/* From Linux 6.15 on kernel_fpu_begin() keeps softirqs off, so an interrupt's wait until kernel_fpu_end(). */
static inline bool host_work_waits(void)
{
	return unlikely(local_softirq_pending()) && softirq_count();
}

DECLARE_STATIC_KEY_FALSE(guest_l1d_key);
DECLARE_STATIC_KEY_FALSE(guest_l1d_always_key);
struct host_thread;
void guest_flush_l1d(struct host_thread *thread);

void guest_note_speculation(void);

static inline void host_note_speculation(void)
{
	if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
		guest_note_speculation();
}

struct host_sampling;
bool guest_samples(struct host_sampling *sampling);

static inline bool host_samples(struct host_sampling *sampling)
{
	return cpu_feature_enabled(X86_FEATURE_PEBS) && guest_samples(sampling);
}

static inline bool host_detects_split_locks(void)
{
	return cpu_feature_enabled(X86_FEATURE_SPLIT_LOCK_DETECT);
}

static inline void host_flush_l1d(struct host_thread *thread)
{
	if (static_branch_unlikely(&guest_l1d_key))
		guest_flush_l1d(thread);
}

static inline bool host_flushes_always(void)
{
	return static_branch_unlikely(&guest_l1d_always_key);
}

void guest_save_breakpoints(void);
void guest_restore_breakpoints(void);

static inline void host_save_breakpoints(void)
{
	if (unlikely(hw_breakpoint_active()))
		guest_save_breakpoints();
}

static inline void host_restore_breakpoints(void)
{
	if (unlikely(hw_breakpoint_active()))
		guest_restore_breakpoints();
}

#endif
