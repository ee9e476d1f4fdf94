// SPDX-License-Identifier: MIT OR GPL-2.0
/* /dev/fermata, and the module's beginning and end. */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "device.h"
#include "uapi/fermata_layout.h"

static long get_caps(void __user *arg)
{
	struct fermata_caps caps;

	hardware_caps(&caps);
	return PUT_ARG(caps, arg);
}

static long get_cpuid(void __user *arg)
{
	struct fermata_cpuid *cpuid = memdup_user(arg, sizeof(*cpuid));
	long err = -EINVAL;

	if (IS_ERR(cpuid))
		return PTR_ERR(cpuid);
	if (!cpuid->reserved) {
		memset(cpuid, 0, sizeof(*cpuid));
		cpuid_supported(cpuid, guest_xcr0_offered());
		err = PUT_ARG(*cpuid, arg);
	}
	kfree(cpuid);
	return err;
}

static long get_flaw(void __user *arg)
{
	struct fermata_flaw flaw;

	return GET_ARG(flaw, arg) ?: mitigations_get(&flaw) ?: PUT_ARG(flaw, arg);
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long address)
{
	void __user *arg = (void __user *)address;
	struct fermata_vm_config config;

	switch (command) {
	case FERMATA_GET_CAPS:
		return get_caps(arg);
	case FERMATA_GET_CPUID:
		return get_cpuid(arg);
	case FERMATA_GET_FLAW:
		return get_flaw(arg);
	case FERMATA_CREATE_VM:
		return GET_ARG(config, arg) ?: linux_vm_create(&config);
	}
	return -ENOTTY;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = device_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fermata",
	.fops = &device_fops,
	.mode = 0600,
};

static int __init fermata_init(void)
{
	int err = hardware_init();

	if (err)
		return err;
	err = misc_register(&device);
	if (err)
		hardware_exit();
	return err;
}

static void __exit fermata_exit(void)
{
	misc_deregister(&device);
	hardware_exit();
}

module_init(fermata_init);
module_exit(fermata_exit);
MODULE_DESCRIPTION("Fermata hypervisor");
MODULE_AUTHOR("The Fermata authors");
MODULE_LICENSE("Dual MIT/GPL");
