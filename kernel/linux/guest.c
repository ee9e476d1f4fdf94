// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Guest context on Linux: the thread pinned to its CPU, the guest's FPU state in the registers, and
 * the ways in and out of it.
 *
 * kernel_fpu_begin() saves the thread's own FPU state once, disables preemption, and makes interrupt
 * handlers keep off the FPU (irq_fpu_usable()) until kernel_fpu_end(). In between the guest's state can
 * stay loaded over any number of exits, and nobody else's code can see or touch it.
 */
#include <linux/hw_breakpoint.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/task_work.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>

#include "compat.h"
#include "device.h"
#include "base/processor.h"
#include "base/xsave.h"

/* ---- FPU */

static u64 fpu_mask; /* components exchanged between host and guest with the stay */
static u64 fpu_offered;
static u64 fpu_host_xcr0;
static u64 fpu_host_xss; /* constant, as Linux sets it at its start */
static u32 fpu_mxcsr_mask;

/* x87, SSE, AVX, AVX-512: what a guest may enable and XSAVE's standard format holds in our area. */
#define FPU_GUEST_MASK 0xe7ull
/*
 * And PKRU, where the kernel has protection keys in use. Linux keeps it apart, too: kernel_fpu_begin()
 * and _end() leave the register alone, and a switch to another thread stores it and loads that thread's.
 */
#define FPU_PKRU XFEATURE_MASK_PKRU

/* MXCSR's bits that the processor has (SDM 1 11.6.6). */
static u32 mxcsr_mask(void)
{
	static u8 area[512] __aligned(16);
	u32 mask;

	asm volatile("fxsave64 %0" : "=m"(area));
	memcpy(&mask, area + 28, sizeof(mask));
	return mask ?: 0xffbf;
}

int guest_fpu_setup(void)
{
	struct cpu_words size;
	u32 i;

	fpu_mxcsr_mask = mxcsr_mask();
	if (!boot_cpu_has(X86_FEATURE_OSXSAVE))
		return 0;
	fpu_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		fpu_host_xss = cpu_rdmsr(MSR_IA32_XSS);
	fpu_mask = fpu_host_xcr0 & FPU_GUEST_MASK;
	fpu_offered = fpu_mask;
	if (boot_cpu_has(X86_FEATURE_OSPKE))
		fpu_offered |= fpu_host_xcr0 & FPU_PKRU;
	for (i = 2; i < 63; i++) {
		if (!(fpu_offered & BIT_ULL(i)))
			continue;
		size = cpu_cpuid(0xd, i);
		if (size.eax + size.ebx > FERMATA_XSAVE_SIZE)
			return -EOPNOTSUPP;
	}
	return 0;
}

u64 guest_xcr0_offered(void)
{
	return fpu_offered;
}

/*
 * Older AMD processors save and load the last x87 instruction's pointers only where an exception is pending (APM 2
 * 11.4.4): what the host's other programs left there would stay. FILD of a word of ours replaces it.
 */
static void fpu_forget_pointers(void)
{
	static const u32 zero;

	if (cpu_feature_enabled(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex\n"
			     "emms\n"
			     "fildl %0"
			     :
			     : "m"(zero));
}

/* False: the processor does not take the area, and has loaded nothing of it. */
static bool fpu_load(const struct host_thread *t)
{
	fpu_forget_pointers();
	if (fpu_mask)
		asm goto(HOST_FAULT_TO(refused, "xrstor64 %0")
			 :
			 : "m"(*t->xsave), "a"((u32)fpu_mask), "d"((u32)(fpu_mask >> 32))
			 :
			 : refused);
	else
		asm goto(HOST_FAULT_TO(refused, "fxrstor64 %0") : : "m"(*t->xsave) : : refused);
	return true;
refused:
	return false;
}

static void fpu_save(struct host_thread *t)
{
	if (fpu_mask)
		asm volatile("xsave64 %0"
			     : "+m"(*t->xsave)
			     : "a"((u32)fpu_mask), "d"((u32)(fpu_mask >> 32))
			     : "memory");
	else
		asm volatile("fxsave64 %0" : "=m"(*t->xsave));
}

/* The x87 and SSE state after FNINIT and reset: all else in a zeroed area means "initial". */
void guest_fpu_reset(struct host_thread *t)
{
	u16 fcw = 0x37f;
	u32 mxcsr = 0x1f80;

	memset(t->xsave, 0, FERMATA_XSAVE_SIZE);
	memcpy(t->xsave->area, &fcw, sizeof(fcw));
	memcpy(t->xsave->area + 24, &mxcsr, sizeof(mxcsr));
}

const u8 *host_xsave_area(struct host_thread *t)
{
	return t->xsave->area;
}

/* The only way in for an area that is not ours: from here on only XSAVE writes to it. */
void host_xsave_set(struct host_thread *t, const u8 *area)
{
	memcpy(t->xsave->area, area, FERMATA_XSAVE_SIZE);
	xsave_clamp_area(t->xsave->area, fpu_offered | XFEATURE_MASK_FPSSE, fpu_mxcsr_mask);
}

static bool write_xcr0(u64 xcr0)
{
	asm goto(HOST_FAULT_TO(refused, "xsetbv")
		 :
		 : "a"((u32)xcr0), "d"((u32)(xcr0 >> 32)), "c"(XCR_XFEATURE_ENABLED_MASK)
		 : "memory"
		 : refused);
	return true;
refused:
	return false;
}

bool host_guest_xcr0(u64 xcr0)
{
	return !fpu_mask || xcr0 == xgetbv(XCR_XFEATURE_ENABLED_MASK) ||
	       write_xcr0(xsave_clamp_xcr0(xcr0, fpu_offered));
}

u64 host_guest_xcr0_now(void)
{
	return fpu_mask ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
}

/* RDTSCP tells it for less than a RDMSR; who has RDPID has that, too. */
static inline u32 tsc_aux_now(void)
{
	u32 low, high, aux;

	asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	return aux;
}

void host_guest_tsc_aux(u64 tsc_aux)
{
	if (cpu_feature_enabled(X86_FEATURE_RDTSCP) && tsc_aux_now() != tsc_aux)
		native_wrmsr(MSR_TSC_AUX, tsc_aux, 0);
}

/* ---- in and out */

u32 host_guest_begin(struct host_thread *t, u64 guest_xcr0, u64 guest_tsc_aux)
{
	unsigned long switches = current->nvcsw + current->nivcsw;

	if (t->switches != switches) {
		t->switches = switches;
		t->l1d_stale = true;
		t->others = true;
	}
	kernel_fpu_begin_mask(0);
	if (unlikely(!fpu_load(t) || !host_guest_xcr0(guest_xcr0))) {
		kernel_fpu_end();
		return HOST_REFUSED;
	}
	/* SVM has no intercept for XSAVES: with an empty IA32_XSS it saves and loads nothing supervisory. */
	if (unlikely(fpu_host_xss))
		cpu_wrmsr(MSR_IA32_XSS, 0);
	if (cpu_feature_enabled(X86_FEATURE_RDTSCP)) {
		t->host_tsc_aux = tsc_aux_now();
		if (t->host_tsc_aux != guest_tsc_aux)
			native_wrmsr(MSR_TSC_AUX, guest_tsc_aux, 0);
	}
	guest_split_locks_begin(t);
	return smp_processor_id();
}

/*
 * VMSCAPE: what a guest taught the branch predictors must not steer a program of the host's. The kernel does it on
 * the way to user space, if it is told that a guest ran here.
 */
static void forget_before_user(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (!cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		return;
#ifdef FERMATA_IBPB_TO_USER
	this_cpu_write(x86_ibpb_exit_to_user, true);
#else
	host_forget_branches();
#endif
#endif
}

void host_guest_end(struct host_thread *t)
{
	forget_before_user();
	guest_split_locks_end(t);
	host_guest_tsc_aux(t->host_tsc_aux);
	if (fpu_mask && xgetbv(XCR_XFEATURE_ENABLED_MASK) != fpu_host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu_host_xcr0);
	fpu_save(t);
	if (unlikely(fpu_host_xss))
		cpu_wrmsr(MSR_IA32_XSS, fpu_host_xss);
	kernel_fpu_end();
}

int host_leave(void)
{
	cond_resched();
	return host_user_work() ? -EINTR : 0;
}

void host_kick(u32 cpu)
{
	int me = get_cpu();

	if (cpu != me && cpu < nr_cpu_ids && cpu_online(cpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

void host_kick_self(void)
{
	smp_send_reschedule(smp_processor_id());
}

int host_wait(struct host_thread *t, bool (*wake)(void *arg), void *arg)
{
	return rcuwait_wait_event(&t->wait, wake(arg), TASK_INTERRUPTIBLE);
}

void host_wake(struct host_thread *t)
{
	rcuwait_wake_up(&t->wait);
}

/* ---- VT-x's wishes */

void host_stay(void)
{
	preempt_disable();
}

void host_move(void)
{
	preempt_enable();
}

void host_run_on(u32 cpu, void (*fn)(void *arg), void *arg)
{
	smp_call_function_single(cpu, fn, arg, 1);
}

void host_cr4_change(u64 set, u64 clear)
{
	unsigned long flags;

	local_irq_save(flags);
	cr4_change(set, clear);
	local_irq_restore(flags);
}

void host_load_segments(u16 ds, u16 es, u16 fs, u16 gs)
{
	loadsegment(ds, ds);
	loadsegment(es, es);
	loadsegment(fs, fs);
	load_gs_index(gs);
}

void host_tss_limit_lost(void)
{
	invalidate_tss_limit();
}

/* ---- the thread's breakpoints, for which perf and ptrace keep registers of this CPU */

struct breakpoints {
	unsigned long dr[4], dr7;
};
static DEFINE_PER_CPU(struct breakpoints, breakpoints);

void guest_save_breakpoints(void)
{
	struct breakpoints *b = this_cpu_ptr(&breakpoints);

	get_debugreg(b->dr[0], 0);
	get_debugreg(b->dr[1], 1);
	get_debugreg(b->dr[2], 2);
	get_debugreg(b->dr[3], 3);
	get_debugreg(b->dr7, 7);
}

/* DR6 is the guest's: what it says must not be taken for one of these. DR7 comes last. */
void guest_restore_breakpoints(void)
{
	const struct breakpoints *b = this_cpu_ptr(&breakpoints);

	set_debugreg(b->dr[0], 0);
	set_debugreg(b->dr[1], 1);
	set_debugreg(b->dr[2], 2);
	set_debugreg(b->dr[3], 3);
	set_debugreg(DR6_RESERVED, 6);
	set_debugreg(b->dr7, 7);
}

/* ---- L1TF (CVE-2018-3646): a guest on such a CPU can read what lies in the L1D */

DEFINE_STATIC_KEY_FALSE(guest_l1d_key);
DEFINE_STATIC_KEY_FALSE(guest_l1d_always_key);

#define L1D_FILL (64 << 10) /* more than any L1D with this flaw, whatever its replacement policy */
#define L1D_LINE 64

void guest_l1d_setup(void)
{
	u64 capabilities = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || compat_l1tf() == L1TF_MITIGATION_OFF)
		return;
	/* In a guest whose hypervisor flushes at its own entries (SDM 4, IA32_ARCH_CAPABILITIES). */
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		capabilities = cpu_rdmsr_or_zero(MSR_IA32_ARCH_CAPABILITIES);
	if (capabilities & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return;
	static_branch_enable(&guest_l1d_key);
	if (compat_l1tf() >= L1TF_MITIGATION_FULL)
		static_branch_enable(&guest_l1d_always_key);
}

bool guest_l1d_flushes(void)
{
	return static_key_enabled(&guest_l1d_key);
}

/* The interrupt handlers leave a note when they have run, for KVM, where the kernel has KVM. */
static bool l1d_handlers_ran(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	bool ran = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return ran;
#else
	return true;
#endif
}

/* By the CPU's own command where it exists, else by reading: first of every page, for the TLB's sake. */
static void l1d_flush(void)
{
	static const u8 fill[L1D_FILL] __aligned(PAGE_SIZE);
	const u8 *page, *end = fill + L1D_FILL;

	if (cpu_feature_enabled(X86_FEATURE_FLUSH_L1D)) {
		cpu_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	asm volatile(".set page, 0\n"
		     ".rept %c1\n"
		     "movb page(%0), %%al\n"
		     ".set page, page + %c2\n"
		     ".endr"
		     :
		     : "r"(fill), "i"(L1D_FILL / PAGE_SIZE), "i"(PAGE_SIZE)
		     : "rax");
	rmb();
	for (page = fill; page < end; page += PAGE_SIZE)
		asm volatile(".set line, 0\n"
			     ".rept %c1\n"
			     "movb line(%0), %%al\n"
			     ".set line, line + %c2\n"
			     ".endr"
			     :
			     : "r"(page), "i"(PAGE_SIZE / L1D_LINE), "i"(L1D_LINE)
			     : "rax");
	rmb();
}

/*
 * When KVM does it: before the first turn after the thread was in user space or another one ran here,
 * and after an interrupt handler did. What exits themselves bring into the cache is the guest's own and
 * little of ours.
 */
void guest_flush_l1d(struct host_thread *t)
{
	bool stale = l1d_handlers_ran() || t->l1d_stale || host_flushes_always();

	t->l1d_stale = false;
	if (stale)
		l1d_flush();
}

bool host_others_ran(struct host_thread *t)
{
	bool others = t->others;

	t->others = false;
	return others;
}

void host_forget_branches(void)
{
	compat_ibpb();
}
