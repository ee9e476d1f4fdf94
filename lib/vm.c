// SPDX-License-Identifier: MIT OR GPL-2.0
/* A VM: its descriptor, its memory slots, the interrupts its devices send. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

#define KVM_DEVICE "/dev/kvm"
#define PAGE 4096u
#define LARGE_PAGE (2u << 20)

/* What the capabilities did not show: a CPU's answer when it was to be switched on. */
static const char *why_refused(int err)
{
	switch (err) {
	case EBUSY:
		return "a CPU's virtualization is held by another hypervisor, and not for this VM;"
		       " end the guests of the one that was there first";
	case EACCES:
		return "the firmware locks virtualization off on one of the CPUs; look at its setup";
	case ENODEV:
		return "the CPUs differ in the virtualization that they offer; take the odd ones offline";
	case EOPNOTSUPP:
		return "KVM may run encrypted guests (SEV) on this host; switch that off in the firmware's setup,"
		       " or unload kvm_amd";
	}
	return strerror(err);
}

/* Where KVM is, guests live beside its own: a VM of KVM's, empty, for the module to keep. -1: there is no KVM for us. */
static int kvm_vm(void)
{
	int device = open(KVM_DEVICE, O_RDWR | O_CLOEXEC), vm;

	if (device < 0)
		return -1;
	vm = ioctl(device, KVM_CREATE_VM, 0ul);
	close(device);
	return vm;
}

/* The module's answer: the VM's descriptor, or -1 with errno. */
static int create_vm(int device, const struct fermata_vm_config *config, int kvm)
{
	struct fermata_vm_config whole = *config;
	int fd, err;

	if (kvm >= 0) {
		whole.flags |= FERMATA_VM_BESIDE;
		whole.kvm = kvm;
	}
	fd = ioctl(device, FERMATA_CREATE_VM, &whole);
	err = errno;
	if (kvm >= 0)
		close(kvm);
	errno = err;
	return fd;
}

fermata_vm *fermata_vm_new(void)
{
	return fermata_vm_new_flags(0);
}

fermata_vm *fermata_vm_new_flags(uint32_t flags)
{
	const struct fermata_vm_config config = { .flags = flags };

	return fermata_vm_new_with(&config);
}

fermata_vm *fermata_vm_new_with(const struct fermata_vm_config *config)
{
	fermata_vm *vm = calloc(1, sizeof(*vm));
	int device, err, kvm = -1;
	void *clock;

	if (!vm) {
		fermata_fail(ENOMEM, "no memory for a VM");
		return NULL;
	}
	device = fermata_device_open(&vm->caps);
	if (device < 0) {
		err = -device;
		goto free_vm;
	}
	if (!(config->flags & FERMATA_VM_BESIDE))
		kvm = kvm_vm();
	if (kvm >= 0 || config->flags & FERMATA_VM_BESIDE)
		vm->caps.blocked &= ~FERMATA_BLOCK_BUSY;
	err = -fermata_device_blocked(&vm->caps);
	if (err) {
		if (kvm >= 0)
			close(kvm);
		close(device);
		goto free_vm;
	}
	vm->fd = create_vm(device, config, kvm);
	err = errno;
	close(device);
	if (vm->fd < 0 && err == ENODEV && config->flags & FERMATA_VM_NESTED) {
		fermata_fail(err, "this CPU has no nested paging (NPT, EPT): use shadow paging");
		goto free_vm;
	}
	if (vm->fd < 0) {
		fermata_fail(err, "the kernel refused a new VM: %s", why_refused(err));
		goto free_vm;
	}
	clock = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm->fd, 0);
	if (clock == MAP_FAILED) {
		err = errno;
		fermata_fail(err, "cannot map the guest clock: %s", strerror(err));
		goto close_vm;
	}
	vm->clock = clock;
	pthread_rwlock_init(&vm->lock, NULL);
	return vm;

close_vm:
	close(vm->fd);
free_vm:
	free(vm);
	errno = err;
	return NULL;
}

void fermata_vm_free(fermata_vm *vm)
{
	if (!vm)
		return;
	for (unsigned i = 0; i < FERMATA_MAX_VCPUS; i++)
		fermata_vcpu_free(vm->vcpu[i]);
	for (unsigned i = 0; i < FERMATA_MAX_SLOTS; i++)
		free(vm->slot[i].own);
	munmap((void *)vm->clock, PAGE);
	close(vm->fd);
	pthread_rwlock_destroy(&vm->lock);
	free(vm);
}

static int check_slot(const fermata_vm *vm, unsigned slot, uint64_t gpa, uint64_t size)
{
	uint64_t end = vm->caps.phys_bits && vm->caps.phys_bits < 64 ? 1ull << vm->caps.phys_bits :
								       UINT64_MAX;

	if ((gpa | size) % PAGE || !size)
		return fermata_fail(EINVAL,
				    "guest memory at %#llx, size %#llx: both must be multiples of 4096,"
				    " and the size not 0",
				    (unsigned long long)gpa, (unsigned long long)size);
	if (gpa >= end || size > end - gpa)
		return fermata_fail(EINVAL,
				    "guest memory at %#llx, size %#llx ends beyond the guest's %u bits"
				    " of physical address",
				    (unsigned long long)gpa, (unsigned long long)size,
				    vm->caps.phys_bits);
	for (unsigned i = 0; i < FERMATA_MAX_SLOTS; i++) {
		const struct fermata_slot *other = &vm->slot[i];

		if (!other->size)
			continue;
		if (i == slot)
			return fermata_fail(EEXIST,
					    "memory slot %u is in use: fermata_unmap() it first",
					    slot);
		if (gpa < other->gpa + other->size && other->gpa < gpa + size)
			return fermata_fail(EEXIST,
					    "guest memory at %#llx, size %#llx overlaps slot %u",
					    (unsigned long long)gpa, (unsigned long long)size, i);
	}
	return 0;
}

int fermata_map(fermata_vm *vm, unsigned slot, uint64_t gpa, uint64_t size, void *addr,
		uint32_t flags)
{
	struct fermata_memory memory = {
		.slot = slot,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.user_addr = (uintptr_t)addr,
	};
	struct fermata_slot added = { .gpa = gpa, .size = size, .addr = addr, .flags = flags };
	int ret;

	if (slot >= FERMATA_MAX_SLOTS)
		return fermata_fail(EINVAL, "memory slot %u: there are %u", slot, FERMATA_MAX_SLOTS);
	if ((uintptr_t)addr % PAGE)
		return fermata_fail(EINVAL, "memory at %p: must be aligned to 4096", addr);
	pthread_rwlock_wrlock(&vm->lock);
	ret = check_slot(vm, slot, gpa, size);
	if (!ret && flags & FERMATA_MEMORY_LOG_DIRTY && fermata_own_log(&added))
		ret = fermata_fail(ENOMEM, "no memory for the dirty log of slot %u", slot);
	if (!ret && ioctl(vm->fd, FERMATA_SET_MEMORY, &memory)) {
		int err = errno;

		ret = fermata_fail(err, "the kernel refused guest memory at %#llx, size %#llx: %s",
				   (unsigned long long)gpa, (unsigned long long)size, strerror(err));
	}
	if (ret) {
		free(added.own);
	} else {
		vm->slot[slot] = added;
		atomic_fetch_add(&vm->logs, !!added.own);
	}
	pthread_rwlock_unlock(&vm->lock);
	return ret;
}

int fermata_unmap(fermata_vm *vm, unsigned slot)
{
	struct fermata_memory memory = { .slot = slot };
	int ret = 0;

	if (slot >= FERMATA_MAX_SLOTS)
		return fermata_fail(EINVAL, "memory slot %u: there are %u", slot, FERMATA_MAX_SLOTS);
	pthread_rwlock_wrlock(&vm->lock);
	if (!vm->slot[slot].size) {
		ret = fermata_fail(ENOENT, "memory slot %u is not in use", slot);
	} else if (ioctl(vm->fd, FERMATA_SET_MEMORY, &memory)) {
		int err = errno;

		ret = fermata_fail(err, "the kernel did not remove memory slot %u: %s", slot,
				   strerror(err));
	} else {
		atomic_fetch_sub(&vm->logs, !!vm->slot[slot].own);
		free(vm->slot[slot].own);
		vm->slot[slot] = (struct fermata_slot){ .size = 0 };
	}
	pthread_rwlock_unlock(&vm->lock);
	return ret;
}

void *fermata_memory_alloc(uint64_t size)
{
	uint64_t room;
	uint8_t *base, *addr;
	size_t head, tail;

	if (!size || size > UINT64_MAX / 2) {
		fermata_fail(EINVAL, "guest memory of %llu bytes cannot be had",
			     (unsigned long long)size);
		return NULL;
	}
	size = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	room = size + LARGE_PAGE;
	/* No swap is reserved: a guest's memory is mostly untouched, as any big process's. */
	base = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (base == MAP_FAILED) {
		int err = errno;

		fermata_fail(err, "no %llu MiB of memory for the guest: %s",
			     (unsigned long long)(size >> 20), strerror(err));
		return NULL;
	}
	head = -(uintptr_t)base & (LARGE_PAGE - 1);
	addr = base + head;
	tail = room - head - size;
	if (head)
		munmap(base, head);
	if (tail)
		munmap(addr + size, tail);
	madvise(addr, size, MADV_HUGEPAGE); /* a wish: kernels without huge pages still run guests */
	return addr;
}

void fermata_memory_free(void *addr, uint64_t size)
{
	if (addr)
		munmap(addr, (size + PAGE - 1) & ~(uint64_t)(PAGE - 1));
}

void *fermata_slot_address(struct fermata_vm *vm, uint64_t gpa, uint64_t size, bool write)
{
	void *addr = NULL;

	pthread_rwlock_rdlock(&vm->lock);
	for (unsigned i = 0; i < FERMATA_MAX_SLOTS; i++) {
		const struct fermata_slot *slot = &vm->slot[i];
		uint64_t offset = gpa - slot->gpa;

		if (gpa < slot->gpa || offset >= slot->size || size > slot->size - offset)
			continue;
		if (!write || !(slot->flags & FERMATA_MEMORY_READONLY))
			addr = slot->addr + offset;
		break;
	}
	pthread_rwlock_unlock(&vm->lock);
	return addr;
}

void *fermata_gpa(fermata_vm *vm, uint64_t gpa, uint64_t size)
{
	return fermata_slot_address(vm, gpa, size, false);
}

int fermata_cpuid_set(fermata_vm *vm, const struct fermata_cpuid *cpuid)
{
	if (ioctl(vm->fd, FERMATA_SET_CPUID, cpuid)) {
		int err = errno;

		return fermata_fail(err, "the kernel refused these CPUID leaves: %s",
				    err == EBUSY ? "they are fixed once the VM has a vCPU" :
				    err == EINVAL ? "a leaf or bit that this host does not support" :
						    strerror(err));
	}
	return 0;
}

int fermata_msi(fermata_vm *vm, uint64_t address, uint32_t data)
{
	struct fermata_msi msi = { .address = address, .data = data };

	if (ioctl(vm->fd, FERMATA_SIGNAL_MSI, &msi)) {
		int err = errno;

		return fermata_fail(err, "message-signalled interrupt %#llx, %#x: %s",
				    (unsigned long long)address, data, strerror(err));
	}
	return 0;
}

int fermata_line(fermata_vm *vm, unsigned vcpu, unsigned line, bool level)
{
	struct fermata_line l = { .line = line, .level = level, .vcpu = vcpu };

	if (ioctl(vm->fd, FERMATA_SET_LINE, &l)) {
		int err = errno;

		return fermata_fail(err, "line LINT%u of vCPU %u: %s", line, vcpu, strerror(err));
	}
	return 0;
}

int fermata_forecast(fermata_vm *vm, const struct fermata_forecast *forecast)
{
	if (ioctl(vm->fd, FERMATA_SET_FORECAST, forecast)) {
		int err = errno;

		return fermata_fail(err, "forecast of port %#x: %s", forecast->port, strerror(err));
	}
	return 0;
}
