// SPDX-License-Identifier: MIT OR GPL-2.0
/* host.h on Linux: pages, locks, bits, time, messages. */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>

#include "compat.h"
#include "host.h"

/* __GFP_ACCOUNT: what a guest makes the kernel allocate counts against its owner's cgroup. */
void *host_pages_alloc(u32 order)
{
	return (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, order);
}

void host_pages_free(void *pages, u32 order)
{
	free_pages((unsigned long)pages, order);
}

void *host_page_alloc(void)
{
	return host_pages_alloc(0);
}

void *host_page_alloc_low(void)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | GFP_DMA32);
}

void host_page_free(void *page)
{
	host_pages_free(page, 0);
}

u64 host_virt_to_phys(const void *virt)
{
	return virt_to_phys((void *)virt);
}

void *host_alloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}

void host_free(void *p)
{
	kvfree(p);
}

/* ---- guest RAM by its user address */

int host_read_user(void *to, u64 user_addr, size_t size)
{
	unsigned long left;

	pagefault_disable();
	left = copy_from_user(to, (const void __user *)user_addr, size);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

int host_write_user(u64 user_addr, const void *from, size_t size)
{
	unsigned long left;

	pagefault_disable();
	left = copy_to_user((void __user *)user_addr, from, size);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

int host_cmpxchg_user(u64 user_addr, u64 old, u64 new_value, u32 size)
{
	u32 old32 = old;
	int done;

	pagefault_disable();
	if (!user_access_begin((void __user *)user_addr, size)) {
		pagefault_enable();
		return -EFAULT;
	}
	if (size == 8)
		done = unsafe_try_cmpxchg_user((u64 __user *)user_addr, &old, new_value, fault);
	else
		done = unsafe_try_cmpxchg_user((u32 __user *)user_addr, &old32, (u32)new_value,
					       fault);
	user_access_end();
	pagefault_enable();
	return done;
fault:
	user_access_end();
	pagefault_enable();
	return -EFAULT;
}

/* ---- locks, readers, bits */

void host_lock_init(struct host_lock *lock)
{
	raw_spin_lock_init(&lock->spin);
}

void host_lock(struct host_lock *lock)
{
	raw_spin_lock(&lock->spin);
}

void host_unlock(struct host_lock *lock)
{
	raw_spin_unlock(&lock->spin);
}

void host_read_synchronize(void)
{
	synchronize_rcu();
}

void host_set_bit(u32 bit, u64 *word)
{
	set_bit(bit, (unsigned long *)word);
}

void host_clear_bit(u32 bit, u64 *word)
{
	clear_bit(bit, (unsigned long *)word);
}

bool host_test_and_set_bit(u32 bit, u64 *word)
{
	return test_and_set_bit(bit, (unsigned long *)word);
}

bool host_test_and_clear_bit(u32 bit, u64 *word)
{
	return test_and_clear_bit(bit, (unsigned long *)word);
}

u64 host_exchange(u64 *word, u64 value)
{
	return xchg(word, value);
}

u64 host_add(u64 *word, u64 value)
{
	return xadd(word, value) + value;
}

void host_pause(void)
{
	cpu_relax();
}

/* ---- CPUs and time */

u32 host_cpu_count(void)
{
	return nr_cpu_ids;
}

u32 host_cpu(void)
{
	return smp_processor_id();
}

u32 host_tsc_khz(void)
{
	return tsc_khz;
}

static enum hrtimer_restart timer_fn(struct hrtimer *hrtimer)
{
	struct host_timer *timer = container_of(hrtimer, struct host_timer, hrtimer);

	timer->fn(timer);
	return HRTIMER_NORESTART;
}

void host_timer_init(struct host_timer *timer, void (*fn)(struct host_timer *))
{
	compat_hrtimer_init(&timer->hrtimer, timer_fn);
	timer->fn = fn;
}

void host_timer_arm(struct host_timer *timer, u64 delta_ns)
{
	hrtimer_start(&timer->hrtimer, ns_to_ktime(min_t(u64, delta_ns, KTIME_MAX / 2)),
		      HRTIMER_MODE_REL_HARD);
}

void host_timer_cancel(struct host_timer *timer)
{
	hrtimer_cancel(&timer->hrtimer);
}

/* ---- messages */

void host_log(const char *format, ...)
{
	struct va_format vaf;
	va_list args;

	va_start(args, format);
	vaf.fmt = format;
	vaf.va = &args;
	pr_info_ratelimited("fermata: %pV\n", &vaf);
	va_end(args);
}

#ifdef FERMATA_DEBUG
void host_bug(const char *file, int line, const char *what)
{
	panic("fermata: %s:%d: %s", file, line, what);
}
#endif
