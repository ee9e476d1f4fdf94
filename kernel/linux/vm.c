// SPDX-License-Identifier: MIT OR GPL-2.0
/* The VM descriptor, and the host's word when it takes guest memory back. */
#include <linux/anon_inodes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "device.h"
#include "core/time.h"
#include "rules/rules.h"

/* For tests, and for whoever wants to see the difference in programs that do not know of it. */
static uint shadow, shadow_without;
module_param(shadow, uint, 0444);
MODULE_PARM_DESC(shadow, "1: shadow paging for VMs that do not ask for nested paging; 2: audited");
module_param(shadow_without, uint, 0444);
MODULE_PARM_DESC(shadow_without, "optimisations not to use, FERMATA_SHADOW_*");

/* ---- mmu notifier */

static int invalidate_start(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct linux_vm *l = container_of(n, struct linux_vm, notifier);

	vm_invalidate_begin(&l->vm, range->start, range->end);
	return 0;
}

static void invalidate_end(struct mmu_notifier *n, const struct mmu_notifier_range *range)
{
	struct linux_vm *l = container_of(n, struct linux_vm, notifier);

	vm_invalidate_end(&l->vm, range->start, range->end);
}

/* The address space goes away, perhaps before our descriptors do. */
static void release(struct mmu_notifier *n, struct mm_struct *mm)
{
	struct linux_vm *l = container_of(n, struct linux_vm, notifier);

	vm_invalidate_begin(&l->vm, 0, ~0ull);
	vm_invalidate_end(&l->vm, 0, ~0ull);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = release,
};

/* ---- ioctls */

/* The call's result, under the VM's lock; arguments are copied in before, and out behind it. */
#define LOCKED(l, call)                                                                            \
	({                                                                                         \
		long result_;                                                                      \
                                                                                                   \
		mutex_lock(&(l)->lock);                                                            \
		result_ = (call);                                                                  \
		mutex_unlock(&(l)->lock);                                                          \
		result_;                                                                           \
	})

static long set_cpuid(struct linux_vm *l, void __user *arg)
{
	struct fermata_cpuid *cpuid = memdup_user(arg, sizeof(*cpuid));
	long err;

	if (IS_ERR(cpuid))
		return PTR_ERR(cpuid);
	err = LOCKED(l, vm_set_cpuid(&l->vm, cpuid));
	kfree(cpuid);
	return err;
}

static bool all_zero(const u32 *words, u32 count)
{
	while (count--)
		if (*words++)
			return false;
	return true;
}

static long create_vcpu(struct linux_vm *l, void __user *arg)
{
	struct fermata_vcpu_config config;
	long err = GET_ARG(config, arg);

	if (err)
		return err;
	if (config.id >= FERMATA_MAX_VCPUS ||
	    !all_zero(config.reserved, ARRAY_SIZE(config.reserved)))
		return -EINVAL;
	config.id = array_index_nospec(config.id, FERMATA_MAX_VCPUS);
	return LOCKED(l, linux_vcpu_create(l, config.id));
}

static long get_dirty(struct linux_vm *l, void __user *arg)
{
	struct fermata_dirty what;
	long err = GET_ARG(what, arg);
	size_t size;
	u64 *bitmap;

	if (err)
		return err;
	if (what.reserved || what.count > FERMATA_MAX_DIRTY)
		return -EINVAL;
	size = DIV_ROUND_UP(what.count, 64) * sizeof(u64);
	bitmap = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!bitmap)
		return -ENOMEM;
	err = LOCKED(l, vm_take_dirty(&l->vm, &what, bitmap));
	/* The caller's memory may take its time: nobody is to wait for it with us. */
	if (!err &&
	    (copy_to_user(u64_to_user_ptr(what.bitmap), bitmap, size) || PUT_ARG(what, arg))) {
		mutex_lock(&l->lock);
		guest_memory_put_dirty(&l->vm.memory, &what, bitmap);
		mutex_unlock(&l->lock);
		err = -EFAULT;
	}
	kvfree(bitmap);
	return err;
}

static long add_rule(struct linux_vm *l, void __user *arg)
{
	struct fermata_rule rule;
	long err = GET_ARG(rule, arg) ?: LOCKED(l, rules_add(&l->vm, &rule));

	if (!err && PUT_ARG(rule, arg)) {
		LOCKED(l, rules_remove(&l->vm, rule.id));
		err = -EFAULT;
	}
	return err;
}

/* A function of its own: a rule is large, and the others' stack is cleared at each call. */
static noinline long rule_ioctl(struct linux_vm *l, unsigned int command, void __user *arg)
{
	struct fermata_rule rule;
	long err;

	if (command == FERMATA_ADD_RULE)
		return add_rule(l, arg);
	err = GET_ARG(rule, arg);
	if (err)
		return err;
	if (command == FERMATA_REMOVE_RULE)
		return LOCKED(l, rules_remove(&l->vm, rule.id));
	err = LOCKED(l, rules_get(&l->vm, &rule));
	return err ?: PUT_ARG(rule, arg);
}

static long vm_ioctl(struct file *file, unsigned int command, unsigned long address)
{
	struct linux_vm *l = file->private_data;
	void __user *arg = (void __user *)address;
	union {
		struct fermata_memory memory;
		struct fermata_dirty_log dirty_log;
		struct fermata_clock_change clock;
		struct fermata_forecast forecast;
		struct fermata_line line;
		struct fermata_msi msi;
	} a;
	long err;

	if (current->mm != l->mm)
		return -EPERM;
	switch (command) {
	case FERMATA_SET_MEMORY:
		return GET_ARG(a.memory, arg) ?: LOCKED(l, vm_set_memory(&l->vm, &a.memory));
	case FERMATA_SET_CPUID:
		return set_cpuid(l, arg);
	case FERMATA_CREATE_VCPU:
		return create_vcpu(l, arg);
	case FERMATA_SIGNAL_MSI:
		return GET_ARG(a.msi, arg) ?: vm_signal_msi(&l->vm, &a.msi);
	case FERMATA_SET_LINE:
		return GET_ARG(a.line, arg) ?: vm_set_line(&l->vm, &a.line);
	case FERMATA_SET_FORECAST:
		return GET_ARG(a.forecast, arg) ?: forecast_set(&l->vm.forecasts, &a.forecast);
	case FERMATA_SET_DIRTY_LOG:
		return GET_ARG(a.dirty_log, arg) ?: LOCKED(l, vm_log_dirty(&l->vm, &a.dirty_log));
	case FERMATA_GET_DIRTY:
		return get_dirty(l, arg);
	case FERMATA_SET_CLOCK:
		err = GET_ARG(a.clock, arg) ?: LOCKED(l, vm_set_clock(&l->vm, &a.clock));
		return err ?: PUT_ARG(a.clock, arg);
	case FERMATA_ADD_RULE:
	case FERMATA_REMOVE_RULE:
	case FERMATA_GET_RULE:
		return rule_ioctl(l, command, arg);
	}
	return -ENOTTY;
}

static int vm_mmap_clock(struct file *file, struct vm_area_struct *vma)
{
	struct linux_vm *l = file->private_data;

	return linux_mmap_page(vma, l->clock_page, false);
}

static int vm_release(struct inode *inode, struct file *file)
{
	linux_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = vm_ioctl,
	.mmap = vm_mmap_clock,
	.llseek = noop_llseek,
};

static int blocked_error(const struct fermata_caps *caps)
{
	if (!caps->blocked)
		return 0;
	if (caps->blocked & FERMATA_BLOCK_BUSY)
		return -EBUSY;
	return caps->blocked & FERMATA_BLOCK_FIRMWARE ? -EACCES : -ENODEV;
}

/* As the caller wants it, and the module's parameters where it does not say. */
static struct fermata_vm_config with_parameters(const struct fermata_vm_config *asked)
{
	struct fermata_vm_config config = *asked;

	if (shadow && !(config.flags & FERMATA_VM_NESTED))
		config.flags |= FERMATA_VM_SHADOW;
	if (shadow > 1)
		config.flags |= FERMATA_VM_SHADOW_AUDIT;
	config.shadow_without |= shadow_without & FERMATA_SHADOW_ALL;
	return config;
}

static int vm_start(struct linux_vm *l, const struct fermata_caps *caps,
		    const struct fermata_vm_config *config)
{
	int err;

	l->clock_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!l->clock_page)
		return -ENOMEM;
	err = vm_init(&l->vm, hardware_backend, caps, config, page_address(l->clock_page));
	if (err)
		goto no_vm;
	l->mm = current->mm;
	l->notifier.ops = &notifier_ops;
	err = linux_shrink_begin(l);
	if (err)
		goto no_shrinker;
	err = mmu_notifier_register(&l->notifier, l->mm);
	if (!err) {
		sleep_begin(l);
		return 0;
	}
	linux_shrink_end(l);
no_shrinker:
	vm_destroy(&l->vm);
no_vm:
	put_page(l->clock_page);
	return err;
}

int linux_vm_create(const struct fermata_vm_config *config)
{
	bool beside = config->flags & FERMATA_VM_BESIDE;
	struct fermata_vm_config whole;
	struct fermata_caps caps;
	struct file *kvm = NULL;
	struct linux_vm *l;
	int err;

	if (config->flags & ~FERMATA_VM_FLAGS || config->shadow_without & ~FERMATA_SHADOW_ALL ||
	    (config->flags & FERMATA_VM_SHADOW && config->flags & FERMATA_VM_NESTED) ||
	    (config->kvm && !(config->flags & FERMATA_VM_BESIDE)) ||
	    !all_zero(config->reserved, ARRAY_SIZE(config->reserved)))
		return -EINVAL;
	if (beside)
		kvm = beside_get(config->kvm);
	if (IS_ERR(kvm))
		return PTR_ERR(kvm);
	whole = with_parameters(config);
	hardware_caps(&caps);
	if (beside)
		caps.blocked &= ~FERMATA_BLOCK_BUSY;
	err = blocked_error(&caps);
	if (!err)
		err = hardware_get(beside);
	if (err) {
		beside_put(kvm);
		return err;
	}
	err = -ENOMEM;
	l = kvzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		goto no_vm;
	kref_init(&l->refs);
	mutex_init(&l->lock);
	l->kvm = kvm;
	err = vm_start(l, &caps, &whole);
	if (err)
		goto no_vm;
	err = anon_inode_getfd("fermata-vm", &vm_fops, l, O_RDWR | O_CLOEXEC);
	if (err < 0)
		linux_vm_put(l);
	return err;

no_vm:
	kvfree(l);
	hardware_put();
	beside_put(kvm);
	return err;
}
