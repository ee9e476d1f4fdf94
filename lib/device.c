// SPDX-License-Identifier: MIT OR GPL-2.0
/* The device node: what this machine offers, and whether guests can run on it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "uapi/fermata_layout.h"

static int open_device(void)
{
	int fd = open(FERMATA_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return fermata_fail(ENOENT,
				    "there is no " FERMATA_DEVICE
				    ": the module is not loaded; load it with modprobe fermata");
	case EACCES:
	case EPERM:
		return fermata_fail(
			errno, FERMATA_DEVICE
			" may not be opened by this user: run as root, or change its group and mode");
	default:
		return fermata_fail(errno, "cannot open " FERMATA_DEVICE ": %s", strerror(errno));
	}
}

int fermata_device_open(struct fermata_caps *caps)
{
	int fd = open_device();

	if (fd < 0)
		return fd;
	memset(caps, 0, sizeof(*caps));
	if (ioctl(fd, FERMATA_GET_CAPS, caps)) {
		int err = errno == ENOTTY ? EPROTO : errno;

		close(fd);
		return fermata_fail(err, "%s",
				    err == EPROTO ? FERMATA_DEVICE
					    " speaks another interface than this library:"
					    " load the module that belongs to it" :
						    strerror(err));
	}
	if (caps->abi != FERMATA_ABI_VERSION) {
		close(fd);
		return fermata_fail(EPROTO,
				    "the module speaks version %u of the interface, this library"
				    " version %u: load the module that belongs to it",
				    caps->abi, FERMATA_ABI_VERSION);
	}
	return fd;
}

int fermata_caps(struct fermata_caps *caps)
{
	int fd = fermata_device_open(caps);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int fermata_flaw(uint32_t index, struct fermata_flaw *flaw)
{
	struct fermata_caps caps;
	int fd = fermata_device_open(&caps);
	int err;

	if (fd < 0)
		return fd;
	memset(flaw, 0, sizeof(*flaw));
	flaw->index = index;
	err = ioctl(fd, FERMATA_GET_FLAW, flaw) ? errno : 0;
	close(fd);
	if (err)
		return fermata_fail(err, "there is no flaw number %u: %s", index, strerror(err));
	flaw->name[sizeof(flaw->name) - 1] = flaw->how[sizeof(flaw->how) - 1] = 0;
	return 0;
}

int fermata_cpuid_supported(struct fermata_cpuid *cpuid)
{
	struct fermata_caps caps;
	int fd = fermata_device_open(&caps);
	int err;

	if (fd < 0)
		return fd;
	memset(cpuid, 0, sizeof(*cpuid));
	cpuid->count = FERMATA_MAX_CPUID;
	err = ioctl(fd, FERMATA_GET_CPUID, cpuid) ? errno : 0;
	close(fd);
	if (err)
		return fermata_fail(err, "cannot read the CPUID leaves guests may be shown: %s",
				    strerror(err));
	return 0;
}

static struct fermata_cpuid_entry *entry_of(struct fermata_cpuid *cpuid, uint32_t leaf)
{
	uint32_t i = 0;

	while (i < cpuid->count && cpuid->entry[i].leaf != leaf)
		i++;
	if (i == FERMATA_MAX_CPUID)
		return NULL;
	if (i >= cpuid->count)
		cpuid->count = i + 1;
	return &cpuid->entry[i];
}

/* Linux' Documentation/virt/kvm/x86/cpuid.rst */
int fermata_cpuid_kvmclock(struct fermata_cpuid *cpuid)
{
	static const char signature[12] = "KVMKVMKVM";
	struct fermata_cpuid_entry *name = entry_of(cpuid, 0x40000000),
				   *features = entry_of(cpuid, 0x40000001);

	if (!name || !features)
		return fermata_fail(ENOSPC, "the guest's CPUID has no room for two more leaves");
	*name = (struct fermata_cpuid_entry){ .leaf = 0x40000000, .eax = 0x40000001 };
	memcpy(&name->ebx, signature, 4);
	memcpy(&name->ecx, signature + 4, 4);
	memcpy(&name->edx, signature + 8, 4);
	/* the clock, with the MSRs at 4B564D00h; its flags can be believed */
	*features = (struct fermata_cpuid_entry){ .leaf = 0x40000001, .eax = 1u << 3 | 1u << 24 };
	return 0;
}

int fermata_device_blocked(const struct fermata_caps *caps)
{
	uint32_t blocked = caps->blocked;

	if (!blocked)
		return 0;
	if (blocked & FERMATA_BLOCK_NO_VIRT)
		return fermata_fail(ENODEV,
				    "this CPU offers neither AMD-V nor VT-x: use a machine that does,"
				    " or enable nested virtualization in the hypervisor above");
	if (blocked & FERMATA_BLOCK_FIRMWARE)
		return fermata_fail(ENODEV, "the firmware disabled hardware virtualization:"
					    " enable SVM or VT-x in its setup");
	if (blocked & FERMATA_BLOCK_BUSY)
		return fermata_fail(EBUSY, "another hypervisor holds the CPU's virtualization, and"
					   " /dev/kvm does not let this user run guests beside it:"
					   " become root, or join the group kvm");
	if (blocked & FERMATA_BLOCK_NO_BACKEND)
		return fermata_fail(ENODEV,
				    "the module has no backend for this vendor's virtualization:"
				    " use a machine with AMD-V");
	if (blocked & FERMATA_BLOCK_ENCRYPTED)
		return fermata_fail(ENODEV,
				    "the host encrypts its memory (SME), which the module cannot"
				    " handle: boot it with mem_encrypt=off");
	if (blocked & FERMATA_BLOCK_TSC)
		return fermata_fail(ENODEV,
				    "the host's kernel finds its TSC unstable, and guests' clocks come"
				    " from it: if they may jump, load the module with unstable_tsc=1");
	if (blocked & FERMATA_BLOCK_FRED)
		return fermata_fail(ENODEV,
				    "the host's kernel takes its events by FRED, which the module"
				    " cannot hand NMIs to: boot it with fred=off");
	return fermata_fail(ENODEV,
			    "the module cannot run guests here (reason %#x): see the kernel log",
			    blocked);
}
