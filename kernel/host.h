/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What kernel/core, memory, clock, svm and vmx need of the system below them, and all they may use.
 *
 * kernel/linux implements it for the module; tests/unit/host implements it for user space, where the
 * same sources run under sanitizers. <host_types.h> is found through the include path: it brings
 * u8..u64, s64, bool, size_t, NULL, errno values (-EINVAL ...), memcpy & co., READ_ONCE, WRITE_ONCE,
 * likely, unlikely, container_of, BIT(), BIT_ULL(), min(), max(), ARRAY_SIZE(), static_assert, and the
 * types struct host_lock, struct host_timer, struct host_wait.
 */
#ifndef FERMATA_HOST_H
#define FERMATA_HOST_H

#include <host_types.h>

/* ---- memory: pages are 4 KiB, zeroed, in the host's direct map. These may sleep. */
void *host_page_alloc(void); /* NULL when there is no memory */
void host_page_free(void *page);
u64 host_virt_to_phys(const void *virt);
void *host_phys_to_virt(u64 phys);
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
	bool cached; /* ordinary RAM: write-back */
	void *cookie; /* for host_page_put() */
};
int host_page_get(u64 user_addr, bool write, struct host_page *page);
void host_page_put(struct host_page *page, bool dirtied);

/* ---- locks: spinning, never held while sleeping, not taken from interrupts */
void host_lock_init(struct host_lock *lock);
void host_lock(struct host_lock *lock);
void host_unlock(struct host_lock *lock);

/* ---- read-mostly pointers: readers inside host_read_begin/end, writers wait out old readers */
void host_read_begin(void);
void host_read_end(void);
void host_read_synchronize(void); /* sleeps */

/* ---- atomic bit sets, shared between threads */
void host_set_bit(u32 bit, u64 *word);
void host_clear_bit(u32 bit, u64 *word);
bool host_test_and_set_bit(u32 bit, u64 *word);
bool host_test_and_clear_bit(u32 bit, u64 *word);
u64 host_exchange(u64 *word, u64 value); /* full barrier */

/* ---- time */
u64 host_tsc(void);
u32 host_tsc_khz(void);
/* One-shot timer: fn runs once, from any context, delta_ns after arm. Re-arming replaces. */
void host_timer_init(struct host_timer *timer, void (*fn)(struct host_timer *));
void host_timer_arm(struct host_timer *timer, u64 delta_ns);
void host_timer_cancel(struct host_timer *timer); /* waits for a running fn; sleeps */

/* ---- messages: one line, no newline at its end */
void host_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
#ifdef FERMATA_DEBUG
void host_bug(const char *file, int line, const char *what) __attribute__((noreturn));
#define DEBUG_ASSERT(c) ((c) ? (void)0 : host_bug(__FILE__, __LINE__, #c))
#else
#define DEBUG_ASSERT(c) ((void)0)
#endif

#endif
