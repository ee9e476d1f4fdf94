// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What the host has set up for its own programs and the processor would do to guests as well: PEBS, which would
 * write into their memory, and #AC for split locks.
 */
#include <linux/printk.h>
#include <linux/sched.h>
#include <asm/cpu.h>
#include <asm/msr-index.h>
#include <asm/perf_event.h>
#include <asm/processor.h>

#include "device.h"
#include "base/processor.h"

/* ---- PEBS (SDM 3B 20.3.1.1.1, 20.6.2.4) */

#define PEBS_COUNTERS                                                                              \
	(0xffull |                                                                                 \
	 0xffffull << 32) /* as in IA32_PERF_GLOBAL_CTRL; some are other bits on old CPUs */

bool guest_samples(struct host_sampling *sampling)
{
	sampling->pebs_enable = cpu_rdmsr_or_zero(MSR_IA32_PEBS_ENABLE);
	if (likely(!sampling->pebs_enable))
		return false;
	sampling->global_ctrl = cpu_rdmsr_or_zero(MSR_CORE_PERF_GLOBAL_CTRL);
	if (!sampling->global_ctrl) /* all is off; or NetBurst's PEBS, which this is not about */
		return false;
	sampling->guest_global_ctrl = sampling->global_ctrl &
				      ~(sampling->pebs_enable & PEBS_COUNTERS);
	return true;
}

/* ---- what else perf is to know: while virtualization is on */

/*
 * Intel PT: a processor that cannot trace in VMX operation ends tracing at VMXON, and takes no order about it then
 * (SDM 3C 26.5.6.3). AMD's counters of events of the host alone need SVM on, and are off without (APM 2 13.2.2).
 */
void intrusions_before_on(void)
{
#ifdef FERMATA_INTEL_PT
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		intel_pt_handle_vmx(1);
#endif
}

void intrusions_on(void)
{
#ifdef FERMATA_AMD_PMU
	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD)
		amd_pmu_enable_virt();
#endif
}

void intrusions_before_off(void)
{
#ifdef FERMATA_AMD_PMU
	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD)
		amd_pmu_disable_virt();
#endif
}

void intrusions_off(void)
{
#ifdef FERMATA_INTEL_PT
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		intel_pt_handle_vmx(0);
#endif
}

/* ---- split locks (SDM 3A 10.1.2.3) */

#ifdef FERMATA_GUEST_SPLIT_LOCK

/* Whatever it answers: a guest that must not go on has a signal pending. */
void host_split_lock(struct host_thread *thread, u64 rip)
{
	handle_guest_split_lock(rip);
}

void guest_split_locks_begin(struct host_thread *thread)
{
}

void guest_split_locks_end(struct host_thread *thread)
{
}

#else

/* Linux does not export what it does about them. A warning, and from then on detection is off in this vCPU's stays. */
void host_split_lock(struct host_thread *thread, u64 rip)
{
	pr_warn_ratelimited("fermata: split lock of a guest of %s/%d at %#llx\n", current->comm,
			    current->pid, rip);
	thread->splits_locks = true;
}

void guest_split_locks_begin(struct host_thread *thread)
{
	if (likely(!thread->splits_locks))
		return;
	thread->test_ctrl = cpu_rdmsr(MSR_TEST_CTRL);
	cpu_wrmsr(MSR_TEST_CTRL, thread->test_ctrl & ~(u64)MSR_TEST_CTRL_SPLIT_LOCK_DETECT);
}

void guest_split_locks_end(struct host_thread *thread)
{
	if (unlikely(thread->splits_locks))
		cpu_wrmsr(MSR_TEST_CTRL, thread->test_ctrl);
}

#endif
