/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kvmboot KERNEL INITRD MEMORY_MIB APPEND: boots a kernel under KVM until it writes to port F4h, and
 * prints the number of exits. The peer of `fermata run --debug-exit` in the bench: the same loader, the
 * same ACPI tables, the same memory; interrupt controllers and PIT in the kernel; an ACPI timer, a CMOS
 * clock that stands still, a serial port that only prints, and behind the other ports nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/kvm_stats.h"
#include "boot/acpi.h"
#include "boot/bzimage.h"
#include "boot/platform.h"

#define MIB (1ull << 20)
#define HUGE_PAGE (2 * MIB)
#define END_PORT 0xf4
#define MAX_CPUID 200
#define MISC_ENABLE 0x1a0

static void die(const char *what)
{
	fprintf(stderr, "kvmboot: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int call(int fd, unsigned long request, void *argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		die(what);
	return result;
}

static uint8_t *new_memory(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("memory");
	p += HUGE_PAGE - (uintptr_t)p % HUGE_PAGE;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static struct kvm_segment segment(const struct fermata_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->attrib & 15,
		.s = s->attrib >> 4 & 1,
		.dpl = s->attrib >> 5 & 3,
		.present = s->attrib >> 7 & 1,
		.avl = s->attrib >> 8 & 1,
		.l = s->attrib >> 9 & 1,
		.db = s->attrib >> 10 & 1,
		.g = s->attrib >> 11 & 1,
		.unusable = !!(s->attrib & FERMATA_SEG_UNUSABLE),
	};
}

/* What the loader says of the boot processor, in KVM's words. */
static void set_state(int vcpu, const struct boot_entry *entry)
{
	static struct fermata_state state;
	const struct fermata_state_segments *seg = &state.segments;
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs;
	uint32_t mask;

	boot_state(entry, &state, &mask);
	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs = segment(&seg->cs);
	sregs.ds = segment(&seg->ds);
	sregs.es = segment(&seg->es);
	sregs.fs = segment(&seg->fs);
	sregs.gs = segment(&seg->gs);
	sregs.ss = segment(&seg->ss);
	sregs.tr = segment(&seg->tr);
	sregs.ldt = segment(&seg->ldt);
	sregs.gdt.base = seg->gdt.base;
	sregs.gdt.limit = (uint16_t)seg->gdt.limit;
	sregs.idt.base = seg->idt.base;
	sregs.idt.limit = (uint16_t)seg->idt.limit;
	sregs.cr0 = state.control.cr0;
	sregs.cr3 = state.control.cr3;
	sregs.cr4 = state.control.cr4;
	sregs.efer = state.control.efer;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	regs.rip = state.regs.rip;
	regs.rsi = state.regs.regs[FERMATA_RSI];
	regs.rsp = state.regs.regs[FERMATA_RSP];
	regs.rflags = 2;
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));

	if (!cpuid)
		die("memory");
	cpuid->nent = MAX_CPUID;
	call(kvm, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
	call(vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
	free(cpuid);
}

/*
 * Fast strings (SDM 4, IA32_MISC_ENABLE bit 0), as Fermata and every virtual machine monitor have them; out of
 * KVM's reset they are off, and Linux then clears pages in another way than under Fermata.
 */
static void set_fast_strings(int vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[1];
	} msrs = { .head.nmsrs = 1, .entry[0].index = MISC_ENABLE };

	call(vcpu, KVM_GET_MSRS, &msrs, "KVM_GET_MSRS");
	msrs.entry[0].data |= 1;
	call(vcpu, KVM_SET_MSRS, &msrs, "KVM_SET_MSRS");
}

static int new_vm(int kvm, uint8_t *ram, uint64_t size)
{
	struct kvm_pit_config pit = { 0 };
	struct kvm_userspace_memory_region region = {
		.memory_size = size,
		.userspace_addr = (uintptr_t)ram,
	};
	int vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");

	call(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000, "KVM_SET_TSS_ADDR");
	call(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	call(vm, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2");
	call(vm, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
	return vm;
}

static void load(uint8_t *ram, uint64_t size, char **argv, struct boot_entry *entry)
{
	struct boot_request request = {
		.memory = { .low = ram, .low_size = size },
		.kernel_path = argv[1],
		.initrd_path = argv[2],
		.cmdline = argv[4],
		.gigabyte_pages = true,
	};
	char error[256];

	request.rsdp = acpi_build(&request.memory, 1);
	if (boot_file_open(argv[1], &request.kernel, error, sizeof(error)) ||
	    boot_file_open(argv[2], &request.initrd, error, sizeof(error)) ||
	    boot_load(&request, entry, error, sizeof(error))) {
		fprintf(stderr, "kvmboot: %s\n", error);
		exit(1);
	}
	boot_file_close(&request.kernel);
	boot_file_close(&request.initrd);
}

/* What reading a port gives: enough that no driver of the guest waits for an answer. */
static uint32_t port(uint16_t number)
{
	struct timespec t;

	switch (number) {
	case PLATFORM_PM_TMR_PORT:
		clock_gettime(CLOCK_MONOTONIC, &t);
		return (uint64_t)t.tv_sec * 3579545 + (uint64_t)t.tv_nsec * 3579545 / 1000000000;
	case PLATFORM_PM1A_CNT_PORT:
		return 1; /* SCI_EN */
	case PLATFORM_PM1A_EVT_PORT ... PLATFORM_PM1A_EVT_PORT + 3:
	case 0x71:
		return 0;
	case PLATFORM_COM1_PORT + 5:
		return 0x60; /* the transmitter is empty */
	case PLATFORM_COM1_PORT + 1 ... PLATFORM_COM1_PORT + 4:
		return 0;
	}
	return ~0u;
}

static void answer(struct kvm_run *page)
{
	uint32_t value = port(page->io.port);

	for (uint32_t i = 0; i < page->io.count; i++)
		memcpy((uint8_t *)page + page->io.data_offset + i * page->io.size, &value,
		       page->io.size);
}

/* False: that was the end. */
static bool take(struct kvm_run *page)
{
	if (page->io.port == PLATFORM_COM1_PORT)
		fwrite((uint8_t *)page + page->io.data_offset, 1, page->io.count, stdout);
	return page->io.port != END_PORT;
}

static void say_exits(int vcpu, unsigned long to_user)
{
	struct kvm_stats stats;
	uint64_t exits;

	if (kvm_stats_open(&stats, vcpu) || kvm_stats_exits(&stats, &exits))
		die("KVM's statistics");
	printf("\nentries %llu, exits to user space %lu\n", (unsigned long long)exits, to_user);
}

static void run(int vcpu, struct kvm_run *page)
{
	unsigned long exits = 0;

	for (;; exits++) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			die("KVM_RUN");
		switch (page->exit_reason) {
		case KVM_EXIT_IO:
			if (page->io.direction == KVM_EXIT_IO_IN) {
				answer(page);
			} else if (!take(page)) {
				say_exits(vcpu, exits);
				return;
			}
			break;
		case KVM_EXIT_MMIO:
			memset(page->mmio.data, 0xff, sizeof(page->mmio.data));
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			fprintf(stderr, "kvmboot: exit reason %u\n", page->exit_reason);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t size = argc == 5 ? strtoull(argv[3], NULL, 10) * MIB : 0;
	struct boot_entry entry;
	int kvm, vm, vcpu, page_size;
	struct kvm_run *page;
	uint8_t *ram;

	if (!size) {
		fputs("usage: kvmboot KERNEL INITRD MEMORY_MIB APPEND\n", stderr);
		return 1;
	}
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	ram = new_memory(size);
	load(ram, size, argv, &entry);
	vm = new_vm(kvm, ram, size);
	vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	page_size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (page == MAP_FAILED)
		die("mmap");
	set_cpuid(kvm, vcpu);
	set_fast_strings(vcpu);
	set_state(vcpu, &entry);
	run(vcpu, page);
	return 0;
}
