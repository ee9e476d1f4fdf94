// SPDX-License-Identifier: MIT OR GPL-2.0
/* The vCPU descriptor. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "device.h"
#include "rules/rules.h"

/* ---- ioctls, one thread at a time */

static long get_or_set_state(struct linux_vcpu *l, bool set, void __user *arg)
{
	struct fermata_state *state = memdup_user(arg, sizeof(*state));
	long err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	if (set)
		err = vcpu_set_state(&l->vcpu, state);
	else
		err = vcpu_get_state(&l->vcpu, state) ?: PUT_ARG(*state, arg);
	kfree(state);
	return err;
}

static long get_audit(struct linux_vcpu *l, void __user *arg)
{
	struct fermata_audit *audit = kzalloc(sizeof(*audit), GFP_KERNEL_ACCOUNT);
	long err;

	if (!audit)
		return -ENOMEM;
	vcpu_get_audit(&l->vcpu, audit);
	err = PUT_ARG(*audit, arg);
	kfree(audit);
	return err;
}

/* Not under the vCPU's lock: its thread may be in RUN for hours. */
static long get_stats(struct linux_vcpu *l, void __user *arg)
{
	struct fermata_stats *stats = kmalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	long err;

	if (!stats)
		return -ENOMEM;
	vcpu_get_stats(&l->vcpu, stats);
	err = PUT_ARG(*stats, arg);
	kfree(stats);
	return err;
}

/* All but RUN, whose way shall not be theirs: what they keep on the stack is cleared first. */
static noinline long other_ioctl(struct linux_vcpu *l, unsigned int command, void __user *arg)
{
	struct fermata_injection injection;
	struct fermata_translate t;

	switch (command) {
	case FERMATA_GET_STATE:
	case FERMATA_SET_STATE:
		return get_or_set_state(l, command == FERMATA_SET_STATE, arg);
	case FERMATA_INJECT:
		return GET_ARG(injection, arg) ?: vcpu_inject(&l->vcpu, &injection);
	case FERMATA_TRANSLATE:
		return GET_ARG(t, arg) ?: vcpu_translate(&l->vcpu, &t) ?: PUT_ARG(t, arg);
	case FERMATA_GET_AUDIT:
		return get_audit(l, arg);
	}
	return -ENOTTY;
}

static long run(struct linux_vcpu *l, unsigned long address)
{
	l->thread.l1d_stale = true;
	return address ? -EINVAL : vcpu_run(&l->vcpu);
}

static long vcpu_ioctl(struct file *file, unsigned int command, unsigned long address)
{
	struct linux_vcpu *l = file->private_data;
	long result;

	if (current->mm != l->owner->mm)
		return -EPERM;
	if (command == FERMATA_GET_STATS)
		return get_stats(l, (void __user *)address);
	if (!mutex_trylock(&l->lock))
		return -EBUSY;
	result = command == FERMATA_RUN ? run(l, address) :
					  other_ioctl(l, command, (void __user *)address);
	mutex_unlock(&l->lock);
	return result;
}

/* The log's ring, made when it is first asked for; it stays until the VM ends. */
static int mmap_ring(struct linux_vcpu *l, struct vm_area_struct *vma)
{
	struct fermata_ring *ring;
	unsigned long at;
	int err;

	if (vma->vm_end - vma->vm_start != PAGE_ALIGN(FERMATA_RING_SIZE) ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (!READ_ONCE(l->ring)) {
		ring = __vmalloc(PAGE_ALIGN(FERMATA_RING_SIZE), GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		/* The vCPU's thread may be logging at this moment, another one mapping: one ring, and whole. */
		if (ring && cmpxchg(&l->ring, NULL, ring))
			vfree(ring);
	}
	ring = READ_ONCE(l->ring);
	if (!ring)
		return -ENOMEM;
	err = rules_set_ring(&l->vcpu, ring);
	for (at = 0; !err && at < FERMATA_RING_SIZE; at += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + at, vmalloc_to_page((u8 *)ring + at));
	return err;
}

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct linux_vcpu *l = file->private_data;

	if (vma->vm_pgoff == FERMATA_RING_OFFSET >> PAGE_SHIFT)
		return mmap_ring(l, vma);
	return linux_mmap_page(vma, l->run_page, true);
}

/* The vCPU itself stays with its VM: other vCPUs may be sending to its APIC at this moment. */
static int vcpu_release(struct inode *inode, struct file *file)
{
	struct linux_vcpu *l = file->private_data;

	linux_vm_put(l->owner);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/* ---- life */

/* Under the VM's lock. */
int linux_vcpu_create(struct linux_vm *owner, u32 id)
{
	struct linux_vcpu *l;
	struct file *file;
	int fd, err = -ENOMEM;

	if (owner->vcpu[id])
		return -EEXIST;
	/* First, because a vCPU that other vCPUs may have seen cannot be taken back. */
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	l = kvzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		goto no_vcpu;
	mutex_init(&l->lock);
	rcuwait_init(&l->thread.wait);
	l->owner = owner;
	l->run_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	l->thread.xsave = kzalloc(sizeof(*l->thread.xsave), GFP_KERNEL_ACCOUNT);
	if (!l->run_page || !l->thread.xsave)
		goto no_parts;
	guest_fpu_reset(&l->thread);
	err = vcpu_init(&l->vcpu, &owner->vm, id, &l->thread, page_address(l->run_page));
	if (err)
		goto no_parts;
	owner->vcpu[id] = l;
	kref_get(&owner->refs);
	file = anon_inode_getfile("fermata-vcpu", &vcpu_fops, l, O_RDWR);
	if (IS_ERR(file)) {
		linux_vm_put(owner); /* the vCPU exists, without a descriptor, until the VM ends */
		err = PTR_ERR(file);
		goto no_vcpu;
	}
	fd_install(fd, file);
	return fd;

no_parts:
	linux_vcpu_free(l);
no_vcpu:
	put_unused_fd(fd);
	return err;
}
