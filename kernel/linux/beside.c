// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A VM of KVM's, kept so that KVM leaves virtualization switched on. KVM does that for as long as it has a VM, over
 * CPU hotplug and suspend too, and switches it off when the host reboots or crashes: no function of KVM's is called
 * for it, and none of its data is looked at. Its module stays as long as the VM does.
 */
#include <linux/ctype.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/kallsyms.h>
#include <linux/module.h>

#include "device.h"

static bool is_kvm(struct module *module)
{
	static const char *const names[] = { "kvm", "kvm_intel", "kvm_amd" };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(module_name(module), names[i]))
			return true;
	return false;
}

/*
 * Any file may be handed in. Its operations tell what it is, since no file system chooses those: they are the
 * module's that made it, or, where KVM names no owner (it did not from Linux 5.18 on for a while), lie under KVM's
 * own name for them. KVM's other files, its vCPUs and devices, have other names.
 */
static bool is_kvm_vm(const struct file *file)
{
	static const char operations[] = "kvm_vm_fops";
	char symbol[KSYM_NAME_LEN];

	if (strcmp(file->f_path.dentry->d_name.name, "kvm-vm"))
		return false;
	if (file->f_op->owner)
		return is_kvm(file->f_op->owner);
	snprintf(symbol, sizeof(symbol), "%ps", file->f_op);
	return !strncmp(symbol, operations, strlen(operations)) &&
	       !isalnum(symbol[strlen(operations)]) && symbol[strlen(operations)] != '_';
}

struct file *beside_get(int fd)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (is_kvm_vm(file))
		return file;
	fput(file);
	return ERR_PTR(-EINVAL);
}

void beside_put(struct file *file)
{
	if (file)
		fput(file);
}
