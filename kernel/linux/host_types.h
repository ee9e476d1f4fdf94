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
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>

struct host_lock {
	spinlock_t spin;
};

struct host_timer {
	struct hrtimer hrtimer;
	void (*fn)(struct host_timer *timer);
};

#endif
