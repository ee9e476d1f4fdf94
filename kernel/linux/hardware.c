// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which backend this CPU needs, and virtualization switched on while there are VMs: on every CPU that
 * is online, on those that come online later, and off before suspend, reboot and the last VM's end.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "compat.h"
#include "device.h"

const struct backend *hardware_backend;

/* For tests of what happens when tags run out. */
static uint tags;
module_param(tags, uint, 0444);
MODULE_PARM_DESC(tags, "ASIDs or VPIDs given to guests on each CPU; 0: all that it has");

/* A TSC that Linux does not trust differs from CPU to CPU, or does not count time: so would guests' clocks. */
static bool unstable_tsc;
module_param(unstable_tsc, bool, 0444);
MODULE_PARM_DESC(
	unstable_tsc,
	"run guests although Linux finds the TSC unstable; their clocks then jump as it does");

static DEFINE_MUTEX(hardware_lock);
static u32 hardware_users; /* hardware_lock, and the CPU hotplug lock */
static int hardware_hotplug_state;
static atomic_t hardware_failed; /* a CPU's error, or 0 */

module_param_named(turn, backend_options.turn, uint, 0444);
MODULE_PARM_DESC(turn,
		 "VT-x: longest turn of a guest, in 1024 TSC ticks (0: until something ends it)");

module_param_named(no_data_breakpoints, backend_options.no_data_breakpoints, bool, 0444);
MODULE_PARM_DESC(
	no_data_breakpoints,
	"AMD-V: do not arm guests' data breakpoints, which end some emulators; guests still see theirs in DR7");

static const struct backend *const backends[] = { &svm_backend, &vmx_backend };

void hardware_caps(struct fermata_caps *caps)
{
	u32 i;

	memset(caps, 0, sizeof(*caps));
	/* A CPU that is ours, or being switched, is not somebody else's. */
	mutex_lock(&hardware_lock);
	for (i = 0; i < ARRAY_SIZE(backends) && !caps->vendor; i++) {
		caps->blocked = 0;
		backends[i]->detect(caps);
	}
	if (caps->vendor == FERMATA_VENDOR_INTEL && !hardware_users && cr4_is_kvms())
		caps->blocked |= FERMATA_BLOCK_BUSY;
	if (hardware_users)
		caps->way = backend_options.beside ? FERMATA_WAY_BESIDE : FERMATA_WAY_OWN;
	mutex_unlock(&hardware_lock);
	/*
	 * The processor would read our tables as they lie in memory, encrypted, unless every address in
	 * them carried the C-bit (APM 2 7.10.4): a guest then sees memory that is not its own.
	 */
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT))
		caps->blocked |= FERMATA_BLOCK_ENCRYPTED;
	if (check_tsc_unstable() && !unstable_tsc)
		caps->blocked |= FERMATA_BLOCK_TSC;
	caps->abi = FERMATA_ABI_VERSION;
	caps->tsc_khz = host_tsc_khz();
	caps->phys_bits = min_t(u32, boot_cpu_data.x86_phys_bits, 48);
	caps->xcr0 = guest_xcr0_offered();
	caps->max_vcpus = FERMATA_MAX_VCPUS;
}

/* ---- on and off */

static int switch_on(void)
{
	int err;

	if (backend_options.beside)
		return hardware_backend->cpu_on();
	intrusions_before_on();
	err = hardware_backend->cpu_on();
	if (err) {
		intrusions_off();
		return err;
	}
	intrusions_on();
	mitigations_cpu_on();
	return 0;
}

/* Beside KVM perf knows, and the CPU's settings are KVM's. */
static void switch_off(void)
{
	if (backend_options.beside) {
		hardware_backend->cpu_off();
		return;
	}
	intrusions_before_off();
	hardware_backend->cpu_off();
	intrusions_off();
	mitigations_cpu_off();
}

static void cpu_on(void *unused)
{
	int err = switch_on();

	if (err)
		atomic_set(&hardware_failed, err);
}

static void cpu_off(void *unused)
{
	switch_off();
}

static int hotplug_online(unsigned int cpu)
{
	unsigned long flags;
	int err = 0;

	local_irq_save(flags);
	if (hardware_users)
		err = switch_on();
	local_irq_restore(flags);
	return err;
}

static int hotplug_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	if (hardware_users)
		switch_off();
	local_irq_restore(flags);
	return 0;
}

/*
 * ---- suspend: the CPU must be the firmware's again. Registered while there are users, so after KVM's: what was
 * registered last is called first on the way down, while VMCSs can still be cleared, and last on the way up.
 */

static u64 slept_at; /* TSC */

static int suspend(void)
{
	slept_at = host_tsc_ordered();
	if (hardware_users)
		switch_off();
	return 0;
}

static void resume(void)
{
	if (hardware_users && switch_on())
		host_log("virtualization did not come back on after resume");
	sleep_over(slept_at);
}

COMPAT_SYSCORE(power, suspend, resume);

/* Under both locks. Beside KVM, all that is one CPU's is KVM's to switch on and off, but for what we make. */
static int first_user(bool beside)
{
	int err = beside ? 0 : cr4_begin(hardware_backend->vendor);

	if (err)
		return err;
	backend_options.beside = beside;
	err = hardware_backend->setup(tags);
	if (err)
		goto no_setup;
	atomic_set(&hardware_failed, 0);
	on_each_cpu(cpu_on, NULL, 1);
	err = atomic_read(&hardware_failed);
	if (err)
		goto failed;
	if (!beside)
		crash_guard(hardware_backend->cpu_emergency);
	compat_register_syscore(&power);
	return 0;

failed:
	on_each_cpu(cpu_off, NULL, 1);
	hardware_backend->teardown();
no_setup:
	if (!beside)
		cr4_end();
	return err;
}

int hardware_get(bool beside)
{
	int err = 0;

	if (!hardware_backend)
		return -ENODEV;
	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (!hardware_users)
		err = first_user(beside);
	else if (backend_options.beside != beside)
		err = -EBUSY;
	if (!err)
		hardware_users++;
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
	return err;
}

void hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&hardware_lock);
	if (!--hardware_users) {
		compat_unregister_syscore(&power);
		crash_guard(NULL);
		on_each_cpu(cpu_off, NULL, 1);
		hardware_backend->teardown();
		if (!backend_options.beside)
			cr4_end();
	}
	mutex_unlock(&hardware_lock);
	cpus_read_unlock();
}

/* ---- reboot: likewise */

static int reboot(struct notifier_block *block, unsigned long action, void *data)
{
	if (hardware_users)
		on_each_cpu(cpu_off, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_block = { .notifier_call = reboot };

int hardware_init(void)
{
	struct fermata_caps caps;
	int err = guest_fpu_setup();
	u32 i;

	guest_l1d_setup();
	if (err)
		return err;
	hardware_caps(&caps);
	/* A blocked CPU still gets the device: `fermata caps` explains what stands in the way. */
	for (i = 0; i < ARRAY_SIZE(backends); i++)
		if (backends[i]->vendor == caps.vendor)
			hardware_backend = backends[i];
	if (!hardware_backend)
		return 0;
	if (backend_options.no_data_breakpoints)
		host_log("guests' data breakpoints are not armed (no_data_breakpoints=1)");
	err = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "fermata:online", hotplug_online,
				hotplug_offline);
	if (err < 0)
		return err;
	hardware_hotplug_state = err;
	err = cr4_init();
	if (err) {
		cpuhp_remove_state(hardware_hotplug_state);
		return err;
	}
	crash_init();
	register_reboot_notifier(&reboot_block);
	return 0;
}

void hardware_exit(void)
{
	if (!hardware_backend)
		return;
	unregister_reboot_notifier(&reboot_block);
	crash_exit();
	cr4_exit();
	cpuhp_remove_state(hardware_hotplug_state);
}
