// SPDX-License-Identifier: MIT OR GPL-2.0
/* The computer's sleep (S3, hibernation): the TSC is another one after it, and every guest's clock follows. */
#include <linux/list.h>
#include <linux/spinlock.h>

#include "device.h"
#include "core/time.h"

static DEFINE_RAW_SPINLOCK(lock);
static LIST_HEAD(vms); /* lock */

void sleep_begin(struct linux_vm *l)
{
	raw_spin_lock(&lock);
	list_add(&l->all, &vms);
	raw_spin_unlock(&lock);
}

void sleep_end(struct linux_vm *l)
{
	raw_spin_lock(&lock);
	list_del(&l->all);
	raw_spin_unlock(&lock);
}

/*
 * All processes are frozen, and this is the only CPU: nobody holds a lock of ours. `then`: what the TSC read before.
 * Firmware may have set it to 0, and it may have stood still or gone on; a guest's time has stood still.
 */
void sleep_over(u64 then)
{
	struct linux_vm *l;

	raw_spin_lock(&lock);
	list_for_each_entry(l, &vms, all) vm_clock_rebase(&l->vm, then);
	raw_spin_unlock(&lock);
}
