/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/xsave.h"
#include "host_test.h"

#define PAGE 4096
#define USER_RANGES 16

struct host_test host_test = { .allocs_until_failure = -1, .offers = BIT(HOST_IBPB) };

static struct user_range {
	u64 start, size; /* size 0: unused */
	u64 absent_start, absent_size;
	void *mapping;
	size_t mapping_size;
} user_ranges[USER_RANGES];

static long outstanding;
static struct host_timer *armed_timers;
static _Thread_local int locks_held, reads_open;
static _Thread_local u64 steps; /* since the first lock was taken */

static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;

static void broken(const char *what)
{
	fprintf(stderr, "host: %s\n", what);
	abort();
}

static struct host_thread *in_guest; /* the thread between host_guest_begin() and _end() */

static void may_sleep(const char *who)
{
	if (locks_held || reads_open || in_guest) {
		fprintf(stderr, "host: %s() may sleep\n", who);
		broken("sleeping with a lock held, inside a read section or in guest context");
	}
}

void host_test_reset(void)
{
	memset(&host_test, 0, sizeof(host_test));
	host_test.offers = BIT(HOST_IBPB);
	host_test.allocs_until_failure = -1;
	armed_timers = NULL;
	in_guest = NULL;
	for (u32 i = 0; i < USER_RANGES; i++)
		if (user_ranges[i].size)
			host_test_user_unmap((void *)(uintptr_t)user_ranges[i].start);
}

long host_test_leaks(void)
{
	return __atomic_load_n(&outstanding, __ATOMIC_SEQ_CST);
}

static void count(long change)
{
	if (__atomic_add_fetch(&outstanding, change, __ATOMIC_SEQ_CST) < 0)
		broken("more given back than was taken");
}

/* ---- memory */

static bool allocation_fails(void)
{
	if (host_test.allocs_until_failure < 0)
		return false;
	if (!host_test.allocs_until_failure)
		return true;
	host_test.allocs_until_failure--;
	return false;
}

void *host_page_alloc(void)
{
	void *page;

	may_sleep(__func__);
	if (allocation_fails())
		return NULL;
	page = aligned_alloc(PAGE, PAGE);
	if (!page)
		broken("out of memory");
	memset(page, 0, PAGE);
	count(1);
	return page;
}

void *host_page_alloc_low(void)
{
	return host_page_alloc();
}

void host_page_free(void *page)
{
	may_sleep(__func__);
	if (!page || ((uintptr_t)page & (PAGE - 1)))
		broken("host_page_free() of something that is no page");
	count(-1);
	free(page);
}

void *host_pages_alloc(u32 order)
{
	size_t size = (size_t)PAGE << order;
	void *pages;

	may_sleep(__func__);
	if (allocation_fails())
		return NULL;
	pages = aligned_alloc(size, size);
	if (!pages)
		broken("out of memory");
	memset(pages, 0, size);
	count(1);
	return pages;
}

void host_pages_free(void *pages, u32 order)
{
	may_sleep(__func__);
	if (!pages || ((uintptr_t)pages & (((size_t)PAGE << order) - 1)))
		broken("host_pages_free() of something that is no such block");
	count(-1);
	free(pages);
}

u64 host_virt_to_phys(const void *virt)
{
	return (uintptr_t)virt + HOST_TEST_PHYS_OFFSET;
}

void *host_phys_to_virt(u64 phys)
{
	return (void *)(uintptr_t)(phys - HOST_TEST_PHYS_OFFSET);
}

void *host_alloc(size_t size)
{
	void *p;

	may_sleep(__func__);
	if (allocation_fails())
		return NULL;
	p = calloc(1, size);
	if (!p)
		broken("out of memory");
	count(1);
	return p;
}

void host_free(void *p)
{
	if (!p)
		return;
	count(-1);
	free(p);
}

/* ---- user memory */

void *host_test_user_map(size_t size, size_t align)
{
	for (u32 i = 0; i < USER_RANGES; i++) {
		struct user_range *range = &user_ranges[i];
		void *mapping;

		if (range->size)
			continue;
		mapping = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mapping == MAP_FAILED)
			broken("mmap failed");
		memset(range, 0, sizeof(*range));
		range->mapping = mapping;
		range->mapping_size = size + align;
		range->start = ((uintptr_t)mapping + align - 1) & ~((u64)align - 1);
		range->size = size;
		return (void *)(uintptr_t)range->start;
	}
	broken("too many user ranges");
	return NULL;
}

void host_test_user_unmap(void *user)
{
	for (u32 i = 0; i < USER_RANGES; i++) {
		struct user_range *range = &user_ranges[i];

		if (!range->size || range->start != (uintptr_t)user)
			continue;
		munmap(range->mapping, range->mapping_size);
		memset(range, 0, sizeof(*range));
		return;
	}
	broken("no such user range");
}

static struct user_range *user_range(u64 addr, size_t size)
{
	for (u32 i = 0; i < USER_RANGES; i++) {
		struct user_range *range = &user_ranges[i];

		if (range->size && addr >= range->start && addr - range->start < range->size &&
		    size <= range->size - (addr - range->start))
			return range;
	}
	return NULL;
}

void host_test_user_absent(void *start, size_t size, bool absent)
{
	struct user_range *range = user_range((uintptr_t)start, size);

	if (!range)
		broken("no such user range");
	range->absent_start = (uintptr_t)start;
	range->absent_size = absent ? size : 0;
}

static bool touches_absent(const struct user_range *range, u64 addr, size_t size)
{
	return range->absent_size && addr < range->absent_start + range->absent_size &&
	       range->absent_start < addr + size;
}

static bool user_ok(u64 addr, size_t size)
{
	const struct user_range *range = user_range(addr, size);

	return range && !touches_absent(range, addr, size);
}

int host_read_user(void *to, u64 user_addr, size_t size)
{
	__atomic_add_fetch(&host_test.user_reads, 1, __ATOMIC_RELAXED);
	if (!user_ok(user_addr, size))
		return -EFAULT;
	memcpy(to, (void *)(uintptr_t)user_addr, size);
	return 0;
}

bool host_user_unchanged(const struct host_user_word *words, u32 count, u64 user_addr, u64 *to)
{
	u64 now;

	for (u32 i = 0; i < count; i++)
		if (host_read_user_word(&now, words[i].addr) || now != words[i].value)
			return false;
	return !host_read_user_word(to, user_addr);
}

int host_read_user_word(u64 *to, u64 user_addr)
{
	return host_read_user(to, user_addr, sizeof(*to));
}

int host_write_user(u64 user_addr, const void *from, size_t size)
{
	if (!user_ok(user_addr, size))
		return -EFAULT;
	memcpy((void *)(uintptr_t)user_addr, from, size);
	return 0;
}

int host_cmpxchg_user(u64 user_addr, u64 old, u64 new_value, u32 size)
{
	void *at = (void *)(uintptr_t)user_addr;
	u32 old32 = (u32)old;

	if ((size != 4 && size != 8) || (user_addr & (size - 1)))
		broken("host_cmpxchg_user() of an odd size or address");
	if (host_test.before_cmpxchg)
		host_test.before_cmpxchg(user_addr);
	if (!user_ok(user_addr, size))
		return -EFAULT;
	if (size == 4)
		return __atomic_compare_exchange_n((u32 *)at, &old32, (u32)new_value, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n((u64 *)at, &old, new_value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static int default_page_get(u64 user_addr, bool write, struct host_page *page)
{
	struct user_range *range = user_range(user_addr, PAGE);

	if (host_test.page_error)
		return host_test.page_error;
	if (!range)
		return -EFAULT;
	if (touches_absent(range, user_addr, PAGE))
		range->absent_size = 0; /* faulted in */
	page->phys = user_addr + HOST_TEST_PHYS_OFFSET;
	page->level = host_test.page_level ? host_test.page_level : 1;
	page->writable = write || !host_test.page_readonly;
	page->cached = !host_test.page_uncached;
	return 0;
}

int host_page_get(u64 user_addr, bool write, struct host_page *page)
{
	int err;

	may_sleep(__func__);
	memset(page, 0, sizeof(*page));
	if (user_addr & (PAGE - 1))
		broken("host_page_get() of an address inside a page");
	err = host_test.page_get ? host_test.page_get(user_addr, write, page) :
				   default_page_get(user_addr, write, page);
	if (err)
		return err;
	page->cookie = malloc(1); /* so that a lost or doubled put shows */
	count(1);
	__atomic_add_fetch(&host_test.page_gets, 1, __ATOMIC_RELAXED);
	if (host_test.page_got)
		host_test.page_got(user_addr, write);
	return 0;
}

void host_page_put(struct host_page *page)
{
	if (!page->cookie)
		broken("host_page_put() of a page that was not got");
	free(page->cookie);
	page->cookie = NULL;
	count(-1);
}

u32 host_pages_near(u64 user_addr, u32 count, u64 *phys)
{
	u32 i;

	if (user_addr & (PAGE - 1) || !count ||
	    (user_addr >> 21) != (user_addr + count * PAGE - 1) >> 21)
		broken("host_pages_near() of what does not lie in one page of tables");
	if (host_test.page_level > 1 || host_test.page_readonly || host_test.page_uncached ||
	    host_test.page_get || host_test.page_error)
		return 0;
	for (i = 0; i < count && i < host_test.near; i++, user_addr += PAGE) {
		struct user_range *range = user_range(user_addr, PAGE);

		if (!range || touches_absent(range, user_addr, PAGE))
			break;
		phys[i] = user_addr + HOST_TEST_PHYS_OFFSET;
	}
	if (i && host_test.page_got)
		host_test.page_got(user_addr, true);
	return i;
}

void host_page_dirty(u64 phys)
{
	__atomic_add_fetch(&host_test.pages_dirtied, 1, __ATOMIC_RELAXED);
}

/* ---- locks and read sections */

void host_lock_init(struct host_lock *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&lock->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

void host_lock(struct host_lock *lock)
{
	if (pthread_mutex_lock(&lock->mutex))
		broken("a lock was taken twice");
	if (!locks_held++)
		steps = 0;
}

void host_steps(u64 n)
{
	u64 longest = READ_ONCE(host_test.longest_hold);

	steps += n;
	while (locks_held && steps > longest &&
	       !__atomic_compare_exchange_n(&host_test.longest_hold, &longest, steps, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void host_unlock(struct host_lock *lock)
{
	locks_held--;
	if (pthread_mutex_unlock(&lock->mutex))
		broken("a lock was given back that was not held");
}

void host_read_begin(void)
{
	if (!reads_open++)
		pthread_rwlock_rdlock(&readers);
}

void host_read_end(void)
{
	if (!reads_open)
		broken("host_read_end() without host_read_begin()");
	if (!--reads_open)
		pthread_rwlock_unlock(&readers);
}

void host_read_synchronize(void)
{
	may_sleep(__func__);
	pthread_rwlock_wrlock(&readers);
	pthread_rwlock_unlock(&readers);
	__atomic_add_fetch(&host_test.reads_synchronized, 1, __ATOMIC_RELAXED);
}

/* ---- atomic bits */

void host_set_bit(u32 bit, u64 *word)
{
	__atomic_fetch_or(&word[bit / 64], BIT_ULL(bit % 64), __ATOMIC_SEQ_CST);
}

void host_clear_bit(u32 bit, u64 *word)
{
	__atomic_fetch_and(&word[bit / 64], ~BIT_ULL(bit % 64), __ATOMIC_SEQ_CST);
}

bool host_test_and_set_bit(u32 bit, u64 *word)
{
	return __atomic_fetch_or(&word[bit / 64], BIT_ULL(bit % 64), __ATOMIC_SEQ_CST) >> bit % 64 &
	       1;
}

bool host_test_and_clear_bit(u32 bit, u64 *word)
{
	return __atomic_fetch_and(&word[bit / 64], ~BIT_ULL(bit % 64), __ATOMIC_SEQ_CST) >>
		       bit % 64 &
	       1;
}

u64 host_exchange(u64 *word, u64 value)
{
	return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

u64 host_add(u64 *word, u64 value)
{
	return __atomic_add_fetch(word, value, __ATOMIC_SEQ_CST);
}

/* ---- CPUs and vCPU threads */

u32 host_cpu_count(void)
{
	return host_test.cpu_count ? host_test.cpu_count : 1;
}

u32 host_cpu(void)
{
	return host_test.cpu;
}

void host_run_on(u32 cpu, void (*fn)(void *arg), void *arg)
{
	u32 here = host_test.cpu;

	may_sleep(__func__);
	host_test.cpu = cpu;
	fn(arg);
	host_test.cpu = here;
}

void host_cr4_change(u64 set, u64 clear)
{
	host_test.cr4 = (host_test.cr4 | set) & ~clear;
}

static u64 xcr0(void)
{
	return host_test.xcr0 ?: 0x2e7;
}

/* SDM 1 13.3: what XSETBV takes. */
static bool legal_xcr0(u64 value)
{
	bool sse = value & 2, avx = value & 4;
	u64 avx512 = value & 0xe0;

	return !(value & ~xcr0()) && value & 1 && (!avx || sse) &&
	       (!avx512 || (avx512 == 0xe0 && avx));
}

/* False: #GP. */
static bool xsetbv(struct host_thread *thread, u64 value)
{
	if (!legal_xcr0(value))
		return false;
	thread->xcr0 = value;
	return true;
}

/* SDM 1 13.8.1: what XRSTOR takes while XCR0 is the host's. */
static bool xrstor(const struct host_thread *thread)
{
	u64 header[8];
	u32 mxcsr;

	memcpy(header, thread->xsave + 512, sizeof(header));
	memcpy(&mxcsr, thread->xsave + 24, sizeof(mxcsr));
	for (int i = 1; i < 8; i++)
		if (header[i])
			return false;
	return !host_test.no_restore && !(header[0] & ~xcr0()) && !(mxcsr & ~0xffffu);
}

u32 host_guest_begin(struct host_thread *thread, u64 guest_xcr0, u64 guest_tsc_aux)
{
	if (in_guest)
		broken("host_guest_begin() twice");
	if (!xrstor(thread))
		return HOST_REFUSED;
	in_guest = thread;
	if (!host_guest_xcr0(guest_xcr0)) {
		in_guest = NULL;
		return HOST_REFUSED;
	}
	thread->in_guest = true;
	thread->tsc_aux = guest_tsc_aux;
	return host_test.cpu;
}

void host_guest_end(struct host_thread *thread)
{
	if (in_guest != thread)
		broken("host_guest_end() without host_guest_begin()");
	in_guest = NULL;
	thread->in_guest = false;
}

bool host_guest_xcr0(u64 wanted)
{
	if (!in_guest)
		broken("host_guest_xcr0() outside of guest context");
	/* Whoever let it through is wrong, whatever the clamp makes of it. */
	if (!legal_xcr0(wanted))
		host_test.illegal++;
	return xsetbv(in_guest, xsave_clamp_xcr0(wanted, xcr0()));
}

u64 host_guest_xcr0_now(void)
{
	if (!in_guest)
		broken("host_guest_xcr0_now() outside of guest context");
	return in_guest->xcr0;
}

void host_guest_tsc_aux(u64 tsc_aux)
{
	if (!in_guest)
		broken("host_guest_tsc_aux() outside of guest context");
	in_guest->tsc_aux = tsc_aux;
}

void host_irq_disable(void)
{
}

void host_irq_enable(void)
{
}

void host_flush_l1d(struct host_thread *thread)
{
	host_test.l1d_flushes++;
}

bool host_samples(struct host_sampling *sampling)
{
	*sampling = host_test.sampling;
	return sampling->pebs_enable;
}

bool host_detects_split_locks(void)
{
	return host_test.detects_split_locks;
}

void host_split_lock(struct host_thread *thread, u64 rip)
{
	host_test.split_locks++;
	host_test.split_lock_rip = rip;
}

bool host_offers(enum host_feature feature)
{
	return host_test.offers >> feature & 1;
}

u64 host_arch_capabilities(void)
{
	return host_test.arch_capabilities;
}

void host_note_speculation(void)
{
	host_test.speculation_noted++;
}

bool host_flushes_always(void)
{
	return host_test.l1d_always;
}

void host_machine_check(void)
{
	host_test.machine_checks++;
}

void host_no_reader(void)
{
	host_test.quiet++;
}

bool host_work_waits(void)
{
	return host_test.softirqs;
}

bool host_must_leave(void)
{
	return host_test.must_leave;
}

int host_leave(void)
{
	return host_test.leave_error;
}

void host_kick(u32 cpu)
{
	__atomic_fetch_add(&host_test.kicks, 1, __ATOMIC_SEQ_CST);
	if (host_test.kicked)
		host_test.kicked(cpu);
}

void host_kick_self(void)
{
	host_test.kicks++;
}

void host_pause(void)
{
	__builtin_ia32_pause();
	if (host_test.paused)
		host_test.paused();
}

int host_wait(struct host_thread *thread, bool (*wake)(void *arg), void *arg)
{
	may_sleep(__func__);
	return wake(arg) ? 0 : -EINTR;
}

void host_wake(struct host_thread *thread)
{
	__atomic_fetch_add(&host_test.wakes, 1, __ATOMIC_SEQ_CST);
	if (host_test.woken)
		host_test.woken(thread);
}

const u8 *host_xsave_area(struct host_thread *thread)
{
	return thread->xsave;
}

void host_xsave_set(struct host_thread *thread, const u8 *area)
{
	memcpy(thread->xsave, area, sizeof(thread->xsave));
	xsave_clamp_area(thread->xsave, xcr0(), 0xffff);
	if (memcmp(thread->xsave, area, sizeof(thread->xsave)))
		host_test.illegal++;
}

void host_full_barrier(void)
{
	__builtin_ia32_mfence();
}

static _Thread_local int staying;

void host_stay(void)
{
	staying++;
}

void host_move(void)
{
	if (--staying < 0)
		broken("host_move() without host_stay()");
}

void host_forget_branches(void)
{
	host_test.barriers++;
}

bool host_others_ran(struct host_thread *thread)
{
	return host_test.others_ran;
}

void host_save_breakpoints(void)
{
}

void host_restore_breakpoints(void)
{
}

/* ---- time */

u64 host_tsc(void)
{
	return host_test.tsc;
}

u64 host_tsc_ordered(void)
{
	return host_test.tsc;
}

u32 host_tsc_khz(void)
{
	return host_test.tsc_khz ? host_test.tsc_khz : 1000000;
}

void host_timer_init(struct host_timer *timer, void (*fn)(struct host_timer *))
{
	memset(timer, 0, sizeof(*timer));
	timer->fn = fn;
}

static void disarm(struct host_timer *timer)
{
	for (struct host_timer **at = &armed_timers; *at; at = &(*at)->next) {
		if (*at != timer)
			continue;
		*at = timer->next;
		break;
	}
	timer->armed = false;
	timer->next = NULL;
}

void host_timer_arm(struct host_timer *timer, u64 delta_ns)
{
	struct host_timer **at = &armed_timers;

	if (!timer->fn)
		broken("a timer was armed before host_timer_init()");
	disarm(timer);
	timer->due_ns = host_test.now_ns + delta_ns;
	if (timer->due_ns < delta_ns)
		timer->due_ns = ~0ull;
	while (*at && (*at)->due_ns <= timer->due_ns)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
	timer->armed = true;
}

void host_timer_cancel(struct host_timer *timer)
{
	may_sleep(__func__);
	disarm(timer);
}

static void move_to(u64 ns)
{
	unsigned __int128 ticks = (unsigned __int128)(ns - host_test.now_ns) * host_tsc_khz();

	host_test.tsc += (u64)(ticks / 1000000);
	host_test.now_ns = ns;
}

void host_test_advance(u64 ns)
{
	u64 end = host_test.now_ns + ns;

	while (armed_timers && armed_timers->due_ns <= end) {
		struct host_timer *timer = armed_timers;

		if (timer->due_ns > host_test.now_ns)
			move_to(timer->due_ns);
		disarm(timer);
		timer->fn(timer);
	}
	move_to(end);
}

/* ---- messages */

void host_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(host_test.last_log, sizeof(host_test.last_log), format, args);
	va_end(args);
}

#ifdef FERMATA_DEBUG
void host_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "host: %s:%d: assertion failed: %s\n", file, line, what);
	abort();
}
#endif
