/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a unit test controls of the system below kernel/: user memory, host pages, failures, time; and
 * what it can ask: leaks. Rules of host.h that code could break unnoticed are checked and abort:
 * sleeping with a lock held or inside a read section, taking a lock twice, freeing what was not
 * allocated.
 */
#ifndef HOST_TEST_H
#define HOST_TEST_H

#include "host.h"
#include <uapi/fermata.h>

/* Physical addresses are virtual ones plus this: a multiple of 1 GiB, so that alignment is kept. */
#define HOST_TEST_PHYS_OFFSET (1ull << 48)

struct host_test {
	/* host_page_alloc() and host_alloc() answer NULL after this many successes; -1: never */
	long allocs_until_failure;

	/* Decides instead of the default what host_page_get() finds; NULL: the default. */
	int (*page_get)(u64 user_addr, bool write, struct host_page *page);
	u32 near; /* how many pages host_pages_near() finds at the most */
	/* Called by host_page_get() when it has the page, before it returns: the moment to race. */
	void (*page_got)(u64 user_addr, bool write);
	/* Called by host_cmpxchg_user() before it compares. */
	void (*before_cmpxchg)(u64 user_addr);
	/* Called by host_kick(), host_wake() and host_pause(), which other threads may call meanwhile. */
	void (*kicked)(u32 cpu);
	void (*woken)(struct host_thread *thread);
	void (*paused)(void);
	u8 page_level;	    /* what the default answers: 1 .. 3; 0 counts as 1 */
	bool page_readonly; /* pages asked for reading come back not writable */
	bool page_uncached;
	int page_error; /* what the default answers instead of a page */

	u64 tsc;     /* host_tsc() */
	u64 now_ns;  /* the timers' clock */
	u32 tsc_khz; /* 0 counts as 1,000,000: one tick per ns */

	u32 cpu, cpu_count;    /* host_cpu(), host_cpu_count(); no CPUs count as 1 */
	bool must_leave;       /* host_must_leave() */
	bool softirqs;	       /* host_work_waits() */
	int leave_error;       /* host_leave() */
	bool l1d_always;       /* host_flushes_always() */
	u32 speculation_noted; /* host_note_speculation(): how often */
	u32 offers;	       /* host_offers(): bits by enum host_feature */
	u64 arch_capabilities;
	struct host_sampling sampling; /* host_samples(): where pebs_enable is not 0 */
	bool detects_split_locks;
	u64 split_locks, split_lock_rip; /* host_split_lock() */
	u64 cr4;			 /* as host_cr4_change() left it */
	u32 illegal; /* values for XSETBV and XRSTOR that a clamp had to make legal, so that no check had */
	u64 xcr0; /* of the host, which guests may have; 0 counts as x87, SSE, AVX, AVX-512 and PKRU */
	bool others_ran; /* host_others_ran() */
	bool no_restore; /* XRSTOR faults, whatever the area is */

	/* counted */
	u64 longest_hold; /* of any lock, in host_steps() */
	u64 kicks, wakes, l1d_flushes;
	u64 machine_checks;
	u64 barriers; /* host_forget_branches() */
	u64 quiet;    /* host_no_reader() */
	u64 user_reads, page_gets, pages_dirtied, reads_synchronized;
	char last_log[256];
};
extern struct host_test host_test;

/* host_wait() never sleeps here: without a reason to wake it is a signal. */
struct host_thread {
	bool in_guest;
	u64 xcr0, tsc_aux;
	u8 xsave[FERMATA_XSAVE_SIZE] __attribute__((aligned(64)));
};

/* Forget everything but leaks: call it at the beginning of a test. */
void host_test_reset(void);

/*
 * Anonymous memory of the test, aligned to `align`, which host_*_user() may touch. Anything else gets
 * -EFAULT, and so does a range while it is absent (swapped out).
 */
void *host_test_user_map(size_t size, size_t align);
void host_test_user_unmap(void *user);
void host_test_user_absent(void *start, size_t size, bool absent);

/* Moves now_ns and the TSC forward and runs the timers that fall due, in their order. */
void host_test_advance(u64 ns);

/* Pages, allocations and host_page_get()s not given back. */
long host_test_leaks(void);

#endif
