/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What differs between the kernels that this source is built for, Linux 6.1 to 7.3. All of it stands here, and what
 * the code behind it uses has one name everywhere.
 *
 * A difference is found by looking for the feature, never by the version's number: distributions bring new interfaces
 * to old versions. Macros show themselves. For what is exported, and for inline functions, Kbuild looks into the
 * headers at hand and defines a name here:
 *
 *	FERMATA_SYSCORE_DATA		register_syscore(), whose functions get a pointer
 *	FERMATA_HRTIMER_SETUP		hrtimer_setup()
 *	FERMATA_SHRINKER_ALLOC		shrinker_alloc()
 *	FERMATA_VM_FLAGS_CLEAR		vm_flags_clear()
 *	FERMATA_EMERGENCY_CALLBACK	what crash.c needs
 *	FERMATA_DO_MACHINE_CHECK	do_machine_check()
 *	FERMATA_CR4_UPDATE		the kernel's own copy of CR4: see cr4.c
 *	FERMATA_L1TF_MITIGATION		what l1tf= says
 *	FERMATA_IBPB			indirect_branch_prediction_barrier()
 *	FERMATA_CLEAR_BHB		clear_bhb_loop()
 *
 * Newer kernels export some of these to KVM's modules alone. What is then done in their place stands beside each.
 */
#ifndef LINUX_COMPAT_H
#define LINUX_COMPAT_H

#ifdef __ASSEMBLER__

/* Of Intel's CPUs some let a guest's branch history steer the host (BHI); the feature has had two names. */
#ifdef X86_FEATURE_CLEAR_BHB_VMEXIT
#define COMPAT_CLEAR_BHB_VMEXIT X86_FEATURE_CLEAR_BHB_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT)
#define COMPAT_CLEAR_BHB_VMEXIT X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#else
#error "this kernel does not say when a guest's branch history is to be cleared: a newer one of its series does"
#endif
/* The kernel's loop, or where that is for KVM alone, ours: history.S. Both clobber RAX, RCX and flags. */
#ifdef FERMATA_CLEAR_BHB
#define COMPAT_CLEAR_HISTORY CLEAR_BRANCH_HISTORY_VMEXIT
#else
#define COMPAT_CLEAR_HISTORY ALTERNATIVE "", "call fermata_clear_history", COMPAT_CLEAR_BHB_VMEXIT
#endif

#else

#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/syscore_ops.h>
#include <trace/events/ipi.h> /* smp_send_reschedule() may be a macro that traces */
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/pgtable.h>
#include <asm/processor.h>

/* ---- memory */

/* Of a page table's entry, in which newer kernels have no bit for device memory: its pages are special ones. */
#ifdef _PAGE_DEVMAP
#define COMPAT_PAGE_DEVMAP _PAGE_DEVMAP
#else
#define COMPAT_PAGE_DEVMAP 0
#endif

static inline void compat_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef FERMATA_VM_FLAGS_CLEAR
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* A shrinker with a pointer in it; older kernels register one that is the caller's, and has none. */
#ifdef FERMATA_SHRINKER_ALLOC

static inline struct shrinker *compat_shrinker_alloc(const char *name, void *data)
{
	struct shrinker *s = shrinker_alloc(0, name);

	if (s)
		s->private_data = data;
	return s;
}

static inline void *compat_shrinker_data(struct shrinker *s)
{
	return s->private_data;
}

static inline int compat_shrinker_register(struct shrinker *s, const char *name)
{
	shrinker_register(s);
	return 0;
}

/* After compat_shrinker_alloc(), and compat_shrinker_register() if that was called and did not fail. */
static inline void compat_shrinker_free(struct shrinker *s, bool registered)
{
	shrinker_free(s);
}

#else

struct compat_shrinker {
	struct shrinker shrinker;
	void *data;
};

static inline struct shrinker *compat_shrinker_alloc(const char *name, void *data)
{
	struct compat_shrinker *own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);

	if (!own)
		return NULL;
	own->data = data;
	return &own->shrinker;
}

static inline void *compat_shrinker_data(struct shrinker *s)
{
	return container_of(s, struct compat_shrinker, shrinker)->data;
}

static inline int compat_shrinker_register(struct shrinker *s, const char *name)
{
	return register_shrinker(s, name);
}

static inline void compat_shrinker_free(struct shrinker *s, bool registered)
{
	if (registered)
		unregister_shrinker(s);
	kfree(container_of(s, struct compat_shrinker, shrinker));
}

#endif

/* ---- time */

static inline void compat_hrtimer_init(struct hrtimer *timer,
				       enum hrtimer_restart (*fn)(struct hrtimer *))
{
#ifdef FERMATA_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	timer->function = fn;
#endif
}

/* ---- suspend: COMPAT_SYSCORE(NAME, SUSPEND, RESUME), both functions of nothing */

#ifdef FERMATA_SYSCORE_DATA
#define COMPAT_SYSCORE(name, to_suspend, to_resume)                                                \
	static int name##_suspend(void *data)                                                      \
	{                                                                                          \
		return to_suspend();                                                               \
	}                                                                                          \
	static void name##_resume(void *data)                                                      \
	{                                                                                          \
		to_resume();                                                                       \
	}                                                                                          \
	static const struct syscore_ops name##_ops = { .suspend = name##_suspend,                  \
						       .resume = name##_resume };                  \
	static struct syscore name = { .ops = &name##_ops }
#define compat_register_syscore(syscore) register_syscore(syscore)
#define compat_unregister_syscore(syscore) unregister_syscore(syscore)
#else
#define COMPAT_SYSCORE(name, to_suspend, to_resume)                                                \
	static struct syscore_ops name = { .suspend = to_suspend, .resume = to_resume }
#define compat_register_syscore(syscore) register_syscore_ops(syscore)
#define compat_unregister_syscore(syscore) unregister_syscore_ops(syscore)
#endif

/* ---- flaws of processors; what they are called is in mitigations.h */

/*
 * l1tf=, whose variable may be KVM's alone. Then what is safe whatever it says: every entry is a flush, but with
 * mitigations=off.
 */
static inline enum l1tf_mitigations compat_l1tf(void)
{
#ifdef FERMATA_L1TF_MITIGATION
	return l1tf_mitigation;
#else
	return cpu_mitigations_off() ? L1TF_MITIGATION_OFF : L1TF_MITIGATION_FULL;
#endif
}

/*
 * The kernel's function may be KVM's alone. What IBPB leaves of return predictions on some of AMD's CPUs goes at each
 * exit: HOST_GUARD_RETURNS.
 */
static inline void compat_ibpb(void)
{
#ifdef FERMATA_IBPB
	indirect_branch_prediction_barrier();
#else
	if (cpu_feature_enabled(X86_FEATURE_IBPB))
		native_wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB, 0);
#endif
}

#endif /* __ASSEMBLER__ */

#endif
