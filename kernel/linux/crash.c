// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A host that crashes while guests run: virtualization goes off before the kernel that writes the dump is booted,
 * or the board is reset. VMX does not let CR4.VMXE be cleared, as every kernel does at its start (SDM 3C 24.8), and
 * holds INIT back; so does SVM with GIF = 0 (APM 2 15.17).
 *
 * Whose work it is depends on Linux:
 * - Where it has <asm/virt.h>, Linux looks at CR4.VMXE and EFER.SVME itself, whoever has set them.
 * - Before, whoever uses virtualization registers a function, and there is room for one. Ours is there while there
 *   are VMs and KVM is not loaded; KVM's looks at CR4.VMXE and EFER.SVME as well. Beside KVM it is KVM's alone.
 * - Linux before 6.7, where nobody has backported that, again looks itself.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <asm/reboot.h>

#include "device.h"

bool module_is_loaded(const char *name)
{
	char path[40];
	struct path found;

	snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
	if (kern_path(path, LOOKUP_FOLLOW, &found))
		return false;
	path_put(&found);
	return true;
}

#ifdef FERMATA_EMERGENCY_CALLBACK

static DEFINE_MUTEX(crash_lock);
static void (*wanted)(void),
	(*registered)(void); /* crash_lock; called in an NMI, but for the CPU that crashed */
static bool kvm;	     /* crash_lock */

static void settle(void)
{
	void (*wish)(void) = kvm ? NULL : wanted;

	if (wish == registered)
		return;
	if (registered)
		cpu_emergency_unregister_virt_callback(registered);
	registered = wish;
	if (wish)
		cpu_emergency_register_virt_callback(wish);
}

void crash_guard(void (*cpu_emergency)(void))
{
	mutex_lock(&crash_lock);
	wanted = cpu_emergency;
	settle();
	mutex_unlock(&crash_lock);
}

static const char *const kvm_modules[] = { "kvm_intel", "kvm_amd" };

/* Before the module's init is called, and after its exit. */
static int module_event(struct notifier_block *block, unsigned long event, void *data)
{
	const struct module *module = data;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(kvm_modules); i++) {
		if (strcmp(module->name, kvm_modules[i]))
			continue;
		if (event != MODULE_STATE_COMING && event != MODULE_STATE_GOING)
			continue;
		mutex_lock(&crash_lock);
		kvm = event == MODULE_STATE_COMING;
		settle();
		mutex_unlock(&crash_lock);
	}
	return NOTIFY_DONE;
}

static struct notifier_block module_block = { .notifier_call = module_event };

void crash_init(void)
{
	u32 i;

	register_module_notifier(&module_block);
	mutex_lock(&crash_lock);
	for (i = 0; i < ARRAY_SIZE(kvm_modules); i++)
		kvm |= module_is_loaded(kvm_modules[i]);
	mutex_unlock(&crash_lock);
}

void crash_exit(void)
{
	unregister_module_notifier(&module_block);
}

#else

void crash_guard(void (*cpu_emergency)(void))
{
}

void crash_init(void)
{
}

void crash_exit(void)
{
}

#endif
