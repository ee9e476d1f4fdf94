/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The bench's guest on KVM, by its ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "hypervisor.h"
#include "kvm_stats.h"

#define MAX_CPUID 200

struct vm {
	int kvm, vm, vcpu;
	struct kvm_run *page;
	int page_size;
	struct kvm_stats stats;
};

static int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		die(what, NULL);
	return result;
}

/* The parameters of kvm_intel or kvm_amd. */
static bool parameter(const char *name)
{
	static const char *const module[] = { "kvm_intel", "kvm_amd" };
	char path[100], value = 'N';
	FILE *f = NULL;

	for (int i = 0; i < 2 && !f; i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module[i], name);
		f = fopen(path, "r");
	}
	if (!f)
		return false;
	value = fgetc(f);
	fclose(f);
	return value == 'Y' || value == '1';
}

/* The module decided when it was loaded. */
static void check(const struct ways *ways)
{
	bool amd = access("/sys/module/kvm_amd", F_OK) == 0;
	bool shadow = !parameter(amd ? "npt" : "ept");
	bool no_tags = !amd && !parameter("vpid"); /* kvm_amd always has ASIDs */

	if (access("/dev/kvm", F_OK))
		die("/dev/kvm", NULL);
	if (shadow != ways->shadow || no_tags != ways->no_tags)
		unavailable("kvm",
			    "its module was loaded with other parameters, or cannot do that here");
}

static void set_state(struct vm *vm)
{
	static const struct kvm_segment code = {
		.selector = GUEST_CS, .limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	static const struct kvm_segment data = {
		.selector = GUEST_DS, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_sregs s;

	call(vm->vcpu, KVM_GET_SREGS, &s, "KVM_GET_SREGS");
	s.cs = code;
	s.ds = s.es = s.ss = data;
	s.fs = s.gs = data;
	s.gdt = (struct kvm_dtable){ .base = GUEST_GDT, .limit = 3 * 8 - 1 };
	s.idt = (struct kvm_dtable){ .base = GUEST_IDT, .limit = 256 * 16 - 1 };
	s.cr0 = GUEST_CR0;
	s.cr3 = GUEST_PML4;
	s.cr4 = GUEST_CR4;
	s.efer = GUEST_EFER;
	call(vm->vcpu, KVM_SET_SREGS, &s, "KVM_SET_SREGS");
}

static void set_cpuid(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));

	if (!cpuid)
		die("memory", NULL);
	cpuid->nent = MAX_CPUID;
	call(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	call(vm->vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

static struct vm *create(const struct ways *ways, bool trap_rdtsc, const struct region *region,
			 size_t regions, unsigned int *rate)
{
	struct vm *vm;

	*rate = 1;
	if (trap_rdtsc) /* KVM has no such way */
		return NULL;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		die("memory", NULL);
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die("/dev/kvm", NULL);
	vm->vm = call(vm->kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	call(vm->vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000, "KVM_SET_TSS_ADDR");
	for (size_t i = 0; i < regions; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = region[i].gpa,
			.memory_size = region[i].size,
			.userspace_addr = (uintptr_t)region[i].memory,
		};

		call(vm->vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	}
	vm->vcpu = call(vm->vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	vm->page_size = call(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	vm->page = mmap(NULL, vm->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->page == MAP_FAILED)
		die("memory", NULL);
	set_cpuid(vm);
	set_state(vm);
	if (kvm_stats_open(&vm->stats, vm->vcpu))
		die("KVM's statistics", NULL);
	return vm;
}

static void start(struct vm *vm, uint64_t body, uint64_t iterations, uint64_t argument)
{
	struct kvm_regs regs = {
		.rcx = body,
		.rdi = iterations,
		.rsi = argument,
		.rdx = GUEST_RESULTS,
		.rsp = GUEST_STACK,
		.rip = GUEST_CODE,
		.rflags = 2,
	};

	call(vm->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void unexpected(const struct kvm_run *page)
{
	char why[100];

	snprintf(why, sizeof(why), "reason %u, suberror %u, entry failure %#llx", page->exit_reason,
		 page->exit_reason == KVM_EXIT_INTERNAL_ERROR ? page->internal.suberror : 0,
		 page->exit_reason == KVM_EXIT_FAIL_ENTRY ?
			 page->fail_entry.hardware_entry_failure_reason :
			 0);
	die("kvm: an exit", why);
}

static void run(struct vm *vm, uint64_t body, uint64_t iterations, uint64_t argument)
{
	struct kvm_run *page = vm->page;

	start(vm, body, iterations, argument);
	for (;;) {
		if (ioctl(vm->vcpu, KVM_RUN, 0) < 0) {
			if (errno == EINTR)
				continue;
			die("KVM_RUN", NULL);
		}
		switch (page->exit_reason) {
		case KVM_EXIT_IO:
			if (page->io.port == PORT_END)
				return;
			if (page->io.direction == KVM_EXIT_IO_IN)
				((uint8_t *)page)[page->io.data_offset] = 0;
			break;
		case KVM_EXIT_MMIO:
			if (!page->mmio.is_write)
				memset(page->mmio.data, 0, sizeof(page->mmio.data));
			break;
		default:
			unexpected(page);
		}
	}
}

static uint64_t exits(struct vm *vm)
{
	uint64_t count;

	if (kvm_stats_exits(&vm->stats, &count))
		die("KVM's statistics", NULL);
	return count;
}

static void destroy(struct vm *vm)
{
	munmap(vm->page, vm->page_size);
	close(vm->stats.fd);
	close(vm->vcpu);
	close(vm->vm);
	close(vm->kvm);
	free(vm);
}

const struct hypervisor kvm = {
	.name = "kvm",
	.check = check,
	.create = create,
	.run = run,
	.exits = exits,
	.destroy = destroy,
};
