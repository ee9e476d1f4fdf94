/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "host.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VM_CR 0xc0010114u /* APM 2 15.30.1 */
#define VM_CR_SVMDIS (1u << 4)

static void obstacle(struct host *host, const char *what, const char *remedy)
{
	struct host_obstacle *o;

	if (host->obstacles == HOST_OBSTACLES)
		return;
	o = &host->obstacle[host->obstacles++];
	snprintf(o->what, sizeof(o->what), "%s", what);
	snprintf(o->remedy, sizeof(o->remedy), "%s", remedy);
}

static void probe_cpuid(struct host *host)
{
	uint32_t eax, ebx, ecx, edx, leaf, words[12];

	__cpuid(0, eax, ebx, ecx, edx);
	memcpy(host->vendor, &ebx, 4);
	memcpy(host->vendor + 4, &edx, 4);
	memcpy(host->vendor + 8, &ecx, 4);
	__cpuid(1, eax, ebx, ecx, edx);
	host->vmx = ecx >> 5 & 1;
	host->hypervisor = ecx >> 31 & 1;
	if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
		host->svm = ecx >> 2 & 1;
	if (__get_cpuid_max(0x80000000, NULL) >= 0x80000004) {
		for (leaf = 0; leaf < 3; leaf++)
			__cpuid(0x80000002 + leaf, words[leaf * 4], words[leaf * 4 + 1],
				words[leaf * 4 + 2], words[leaf * 4 + 3]);
		memcpy(host->brand, words, sizeof(words));
	}
}

/* Without the module: CPUID tells any process most of it. */
static void caps_from_cpuid(struct host *host)
{
	struct fermata_caps *caps = &host->caps;
	uint32_t eax, ebx, ecx, edx;

	memset(caps, 0, sizeof(*caps));
	caps->vendor = host->svm ? FERMATA_VENDOR_AMD :
		       host->vmx ? FERMATA_VENDOR_INTEL :
				   FERMATA_VENDOR_NONE;
	if (__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx))
		caps->phys_bits = eax & 0xff;
	if (!host->svm)
		return;
	if (__get_cpuid(0x8000000a, &eax, &ebx, &ecx, &edx)) {
		caps->svm_revision = eax & 0xff;
		caps->svm_features = edx;
		caps->tags = ebx;
	}
	if (caps->svm_features & 1) {
		caps->nested_levels = 1u << 1 | 1u << 2;
		if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && edx >> 26 & 1)
			caps->nested_levels |= 1u << 3;
	}
}

/* KVM's device, which guests beside its own need. errno says why not. */
static bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Readable by root with the msr driver; without them the module will have to find out. */
static bool firmware_disabled_svm(void)
{
	uint64_t value = 0;
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	bool disabled;

	if (fd < 0)
		return false;
	disabled = pread(fd, &value, sizeof(value), VM_CR) == sizeof(value) && value & VM_CR_SVMDIS;
	close(fd);
	return disabled;
}

static void no_virtualization(struct host *host)
{
	obstacle(host,
		 host->hypervisor ?
			 "this virtual machine's CPU has neither AMD-V nor VT-x (CPUID shows no SVM and no VMX)" :
			 "this CPU has neither AMD-V nor VT-x (CPUID shows no SVM and no VMX)",
		 host->hypervisor ?
			 "use the box (--box amd), or enable nested virtualization outside" :
			 "use the box (--box amd)");
}

static void disabled_by_firmware(struct host *host)
{
	obstacle(host,
		 host->vmx ? "VT-x is disabled by the firmware (IA32_FEATURE_CONTROL)" :
			     "AMD-V is disabled by the firmware (VM_CR.SVMDIS)",
		 host->vmx ? "enable VT-x in the firmware's setup, or use the box (--box amd)" :
			     "enable SVM in the firmware's setup, or use the box (--box amd)");
}

static void held_by_kvm(struct host *host)
{
	if (host->kvm)
		return;
	if (host->kvm_error == EACCES || host->kvm_error == EPERM)
		obstacle(host, "KVM holds the CPU, and you have no permission to open /dev/kvm",
			 "become root, or join the group kvm: then guests run beside KVM's");
	else
		obstacle(host, "another hypervisor than KVM holds the CPU", "unload it");
}

static void obstacles_of_module(struct host *host)
{
	uint32_t blocked = host->caps.blocked;

	if (blocked & FERMATA_BLOCK_NO_VIRT)
		no_virtualization(host);
	if (blocked & FERMATA_BLOCK_NO_BACKEND)
		obstacle(host, "the loaded fermata.ko does not drive this CPU's virtualization",
			 "use the box (--box amd)");
	if (blocked & FERMATA_BLOCK_FIRMWARE)
		disabled_by_firmware(host);
	if (blocked & FERMATA_BLOCK_BUSY)
		held_by_kvm(host);
	if (blocked & FERMATA_BLOCK_ENCRYPTED)
		obstacle(host, "the host encrypts its memory (SME)", "boot it with mem_encrypt=off");
	if (blocked & FERMATA_BLOCK_TSC)
		obstacle(host,
			 "the host's kernel finds its time-stamp counter unstable (see `dmesg`), and guests' clocks come from it",
			 "if they may jump, load the module with unstable_tsc=1");
	if (blocked & FERMATA_BLOCK_FRED)
		obstacle(host, "the host's kernel takes its events by FRED",
			 "boot it with fred=off");
	if (blocked & ~FERMATA_BLOCK_BUSY && !host->obstacles) {
		char what[80];

		snprintf(what, sizeof(what), "fermata.ko says the CPU is blocked (%#x)", blocked);
		obstacle(host, what, "install a command and a module of the same version");
	}
}

static void obstacles_without_module(struct host *host, int error)
{
	if (!host->svm && !host->vmx)
		no_virtualization(host);
	if (host->svm && firmware_disabled_svm())
		disabled_by_firmware(host);
	if (error == -ENOENT || error == -ENXIO || error == -ENODEV) {
		/* Where the CPU cannot, the module would not help. */
		if (host->svm || host->vmx)
			obstacle(host,
				 "the module fermata.ko is not loaded (there is no /dev/fermata)",
				 "run `modprobe fermata`, or `insmod fermata.ko` from the build, as root");
	} else if (error == -EACCES || error == -EPERM) {
		obstacle(host, "you have no permission to open /dev/fermata",
			 "become root, or have an administrator grant you access to it");
	} else {
		obstacle(host, fermata_error(), "see `dmesg`");
	}
}

void host_probe(struct host *host)
{
	int error;

	memset(host, 0, sizeof(*host));
	probe_cpuid(host);
	host->kvm = kvm_opens();
	host->kvm_error = host->kvm ? 0 : errno;
	error = fermata_caps(&host->caps);
	host->module = error == 0;
	if (host->module) {
		obstacles_of_module(host);
	} else {
		caps_from_cpuid(host);
		obstacles_without_module(host, error);
	}
}

uint64_t host_memory_available(void)
{
	uint64_t kilobytes, available = 0, swap = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kilobytes) == 1)
			available = kilobytes << 10;
		else if (sscanf(line, "SwapFree: %" SCNu64, &kilobytes) == 1)
			swap = kilobytes << 10;
	}
	fclose(f);
	return available + swap;
}
