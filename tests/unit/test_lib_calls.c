// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The library's calls against a device made here: open(), ioctl() and mmap() of the library are
 * diverted by the linker. What it asks of the kernel, what it refuses itself, and that no kick is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"

static struct {
	bool absent;
	struct fermata_caps caps;
	struct fermata_memory memory; /* the last one set */
	uint32_t vm_flags;	      /* of the last VM */
	int vm_kvm;		      /* likewise */
	int kvm, kvm_refuses;	      /* /dev/kvm is there; errno of KVM_CREATE_VM */
	struct fermata_run *run;
	unsigned mappings;
	int refuse; /* errno for the next VM or vCPU call */
	uint32_t exit_reason;
	bool guest_loops; /* FERMATA_RUN lasts until a signal */
	uint32_t fault;
	uint32_t broken_rules;
	struct fermata_dirty_log log;  /* the last one switched */
	struct fermata_dirty dirty[4]; /* the last questions */
	unsigned questions, answers;   /* so many are answered */
	bool clean;
	int refuse_rule; /* errno for the next rule */
} kernel;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
void *__real_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);

int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/kvm") && !kernel.kvm) {
		errno = EACCES;
		return -1;
	}
	if (strcmp(path, "/dev/kvm"))
		assert_string_equal(path, FERMATA_DEVICE);
	if (kernel.absent) {
		errno = ENOENT;
		return -1;
	}
	return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
}

void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	void *page;

	if (fd >= 0 && kernel.refuse) {
		errno = kernel.refuse;
		return MAP_FAILED;
	}
	page = __real_mmap(addr, size, prot, fd < 0 ? flags : MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd >= 0) {
		assert_int_equal(offset, 0);
		kernel.mappings++;
		if (prot & PROT_WRITE)
			kernel.run = page;
	}
	return page;
}

/* As the module does it: the flag is looked at with signals held back, the sleep lets them through. */
static int run(void)
{
	sigset_t all, old;
	int ret = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (__atomic_load_n(&kernel.run->immediate_exit, __ATOMIC_SEQ_CST)) {
		errno = EINTR;
		ret = -1;
	} else if (kernel.guest_loops) {
		struct timespec limit = { .tv_sec = 20 };

		ret = ppoll(NULL, 0, &limit, &old);
		if (!ret) /* the kick got lost */
			errno = ETIMEDOUT;
		ret = -1;
	} else {
		kernel.run->exit.reason = kernel.exit_reason;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* In place of lib/enter.c. */
long fermata_enter(int fd)
{
	if (kernel.refuse)
		return -kernel.refuse;
	return run() ? -errno : 0;
}

/* Page 1 of each question is dirty. */
static int get_dirty(struct fermata_dirty *what)
{
	uint64_t *bitmap = (uint64_t *)(uintptr_t)what->bitmap;

	kernel.dirty[kernel.questions++ % 4] = *what;
	if (kernel.questions > kernel.answers) {
		errno = ENOMEM;
		return -1;
	}
	memset(bitmap, 0, (what->count + 63) / 64 * 8);
	bitmap[0] = kernel.clean ? 0 : 2;
	what->dirty = !kernel.clean;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct fermata_translate *t;
	struct fermata_state *state;
	struct fermata_stats *stats;
	struct fermata_audit *audit;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == KVM_CREATE_VM) {
		errno = kernel.kvm_refuses;
		return errno ? -1 : __real_open("/dev/null", O_RDWR);
	}
	if (kernel.refuse && request != FERMATA_GET_CAPS) {
		errno = kernel.refuse;
		return -1;
	}
	switch (request) {
	case FERMATA_GET_CAPS:
		*(struct fermata_caps *)arg = kernel.caps;
		return 0;
	case FERMATA_GET_FLAW: {
		struct fermata_flaw *flaw = arg;

		if (flaw->index == 1) {
			errno = ERANGE;
			return -1;
		}
		flaw->state = FERMATA_FLAW_DONE;
		memset(flaw->name, 'n', sizeof(flaw->name)); /* no end */
		memset(flaw->how, 'h', sizeof(flaw->how));
		return 0;
	}
	case FERMATA_CREATE_VM:
		kernel.vm_flags = ((struct fermata_vm_config *)arg)->flags;
		kernel.vm_kvm = ((struct fermata_vm_config *)arg)->kvm;
		return __real_open("/dev/null", O_RDWR);
	case FERMATA_CREATE_VCPU:
		return __real_open("/dev/null", O_RDWR);
	case FERMATA_SET_MEMORY:
		kernel.memory = *(struct fermata_memory *)arg;
		return 0;
	case FERMATA_SET_DIRTY_LOG:
		kernel.log = *(struct fermata_dirty_log *)arg;
		return 0;
	case FERMATA_GET_DIRTY:
		return get_dirty(arg);
	case FERMATA_ADD_RULE:
		errno = kernel.refuse_rule;
		return -1;
	case FERMATA_GET_RULE:
		errno = ENOENT;
		return -1;
	case FERMATA_TRANSLATE:
		t = arg;
		t->fault = kernel.fault;
		t->code = 5;
		t->gpa = t->linear & 0xffff;
		return 0;
	case FERMATA_GET_STATE:
		state = arg;
		state->segments.cs.attrib = 0xa9b;
		state->control.cr0 = 0x80000011;
		state->control.efer = 0x500;
		return 0;
	case FERMATA_GET_AUDIT:
		audit = arg;
		memset(audit, 0, sizeof(*audit));
		audit->count = kernel.broken_rules;
		for (uint32_t i = 0; i < audit->count && i < FERMATA_AUDIT_LINES; i++)
			snprintf(audit->line[i], sizeof(audit->line[i]),
				 "rule %u; APM 2 15.5.1; CR0 = 0x0", i);
		return 0;
	case FERMATA_GET_STATS:
		stats = arg;
		memset(stats, 0, sizeof(*stats));
		stats->vendor = FERMATA_VENDOR_AMD;
		stats->last = 2;
		stats->last_exit[0].rip = 0x2222;
		stats->last_exit[0].code = 0x72;
		stats->last_exit[1].rip = 0x3333;
		stats->last_exit[1].code = 0x400;
		stats->last_exit[15].rip = 0x1111;
		stats->last_exit[15].code = 0x7b;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.caps = (struct fermata_caps){
		.abi = FERMATA_ABI_VERSION,
		.vendor = FERMATA_VENDOR_AMD,
		.phys_bits = 40,
	};
	return 0;
}

static void expect_error(int got, int err, const char *text)
{
	assert_int_equal(got, -err);
	if (!strstr(fermata_error(), text))
		fail_msg("'%s' is not in '%s'", text, fermata_error());
	assert_null(strchr(fermata_error(), '\n'));
}

/* ---------------------------------------------------------------- device and VM */

static void test_no_device(void **state)
{
	struct fermata_caps caps;

	kernel.absent = true;
	expect_error(fermata_caps(&caps), ENOENT, "modprobe");
	assert_null(fermata_vm_new());
	assert_int_equal(errno, ENOENT);
}

static void test_other_abi(void **state)
{
	struct fermata_caps caps;

	kernel.caps.abi = 77;
	expect_error(fermata_caps(&caps), EPROTO, "77");
	assert_null(fermata_vm_new());
	assert_int_equal(errno, EPROTO);
}

static void test_flaw(void **state)
{
	struct fermata_flaw flaw;

	assert_int_equal(fermata_flaw(0, &flaw), 0);
	assert_int_equal(flaw.state, FERMATA_FLAW_DONE);
	assert_int_equal(strlen(flaw.name), sizeof(flaw.name) - 1);
	assert_int_equal(strlen(flaw.how), sizeof(flaw.how) - 1);
	expect_error(fermata_flaw(1, &flaw), ERANGE, "number 1");
	kernel.absent = true;
	expect_error(fermata_flaw(0, &flaw), ENOENT, "modprobe");
}

static void test_blocked(void **state)
{
	static const struct {
		uint32_t bit;
		int err;
		const char *text;
	} expect[] = {
		{ FERMATA_BLOCK_NO_VIRT, ENODEV, "AMD-V" },
		{ FERMATA_BLOCK_FIRMWARE, ENODEV, "firmware" },
		{ FERMATA_BLOCK_BUSY, EBUSY, "group kvm" },
		{ FERMATA_BLOCK_NO_BACKEND, ENODEV, "backend" },
		{ FERMATA_BLOCK_ENCRYPTED, ENODEV, "mem_encrypt=off" },
		{ FERMATA_BLOCK_FRED, ENODEV, "fred=off" },
		{ FERMATA_BLOCK_TSC, ENODEV, "unstable_tsc=1" },
		{ 1u << 30, ENODEV, "0x40000000" },
	};

	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		kernel.caps.blocked = expect[i].bit;
		assert_null(fermata_vm_new());
		expect_error(-errno, expect[i].err, expect[i].text);
	}
}

/* What shows only when the CPUs are switched on. */
static void test_refused(void **state)
{
	static const struct {
		int err;
		const char *text;
	} expect[] = { { EBUSY, "end the guests" },
		       { EOPNOTSUPP, "SEV" },
		       { EACCES, "firmware" },
		       { ENODEV, "differ" },
		       { EMFILE, "Too many open files" } };

	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		kernel.refuse = expect[i].err;
		assert_null(fermata_vm_new());
		expect_error(-errno, expect[i].err, expect[i].text);
	}
	kernel.refuse = 0;
}

static void test_flags(void **state)
{
	fermata_vm *vm = fermata_vm_new_flags(FERMATA_VM_NO_TAGS);

	assert_non_null(vm);
	assert_int_equal(kernel.vm_flags, FERMATA_VM_NO_TAGS);
	fermata_vm_free(vm);
	vm = fermata_vm_new();
	assert_int_equal(kernel.vm_flags, 0);
	fermata_vm_free(vm);
}

/* Where KVM makes VMs, those of ours live beside its own; the descriptor is the module's concern from then on. */
static void test_beside(void **state)
{
	struct fermata_vm_config config = { .flags = FERMATA_VM_BESIDE, .kvm = 77 };
	int first = __real_open("/dev/null", O_RDWR), last;
	fermata_vm *vm;

	kernel.kvm = true;
	kernel.caps.blocked = FERMATA_BLOCK_BUSY;
	vm = fermata_vm_new_flags(FERMATA_VM_SHADOW);
	assert_non_null(vm);
	assert_int_equal(kernel.vm_flags, FERMATA_VM_SHADOW | FERMATA_VM_BESIDE);
	assert_true(kernel.vm_kvm > first);
	assert_int_equal(fcntl(kernel.vm_kvm, F_GETFD), -1); /* closed again */
	fermata_vm_free(vm);
	/* What else stands in the way still does. */
	kernel.caps.blocked |= FERMATA_BLOCK_FRED;
	assert_null(fermata_vm_new());
	expect_error(-errno, ENODEV, "fred=off");
	/* KVM makes none: it is on by the module. */
	kernel.caps.blocked = 0;
	kernel.kvm_refuses = EBUSY;
	vm = fermata_vm_new();
	assert_non_null(vm);
	assert_int_equal(kernel.vm_flags, 0);
	assert_int_equal(kernel.vm_kvm, 0);
	fermata_vm_free(vm);
	/* A caller who brings one of his own. */
	vm = fermata_vm_new_with(&config);
	assert_non_null(vm);
	assert_int_equal(kernel.vm_kvm, 77);
	fermata_vm_free(vm);
	last = __real_open("/dev/null", O_RDWR);
	assert_int_equal(last, first + 1); /* nothing is left open */
	close(first);
	close(last);
}

static void test_slots(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	uint8_t *memory = fermata_memory_alloc(5 << 20);

	assert_non_null(vm);
	assert_non_null(memory);
	assert_int_equal((uintptr_t)memory % (2 << 20), 0);
	assert_int_equal(memory[(5 << 20) - 1], 0);

	assert_int_equal(fermata_map(vm, 0, 0x1000, 0x3000, memory, 0), 0);
	assert_int_equal(kernel.memory.user_addr, (uintptr_t)memory);
	assert_int_equal(kernel.memory.size, 0x3000);
	assert_int_equal(fermata_map(vm, 31, 0x4000, 0x1000, memory + 0x3000,
				     FERMATA_MEMORY_READONLY),
			 0);
	assert_int_equal(kernel.memory.flags, FERMATA_MEMORY_READONLY);

	assert_ptr_equal(fermata_gpa(vm, 0x1000, 0x3000), memory);
	assert_ptr_equal(fermata_gpa(vm, 0x3fff, 1), memory + 0x2fff);
	assert_null(fermata_gpa(vm, 0x3fff, 2)); /* two slots */
	assert_null(fermata_gpa(vm, 0xfff, 1));
	assert_null(fermata_gpa(vm, 0x1000, UINT64_MAX));
	assert_non_null(fermata_slot_address(vm, 0x4000, 8, false));
	assert_null(fermata_slot_address(vm, 0x4000, 8, true));

	expect_error(fermata_map(vm, 32, 0x10000, 0x1000, memory, 0), EINVAL, "slot 32");
	expect_error(fermata_map(vm, 1, 0x10001, 0x1000, memory, 0), EINVAL, "4096");
	expect_error(fermata_map(vm, 1, 0x10000, 0x1001, memory, 0), EINVAL, "4096");
	expect_error(fermata_map(vm, 1, 0x10000, 0, memory, 0), EINVAL, "4096");
	expect_error(fermata_map(vm, 1, 0x10000, 0x1000, memory + 1, 0), EINVAL, "4096");
	expect_error(fermata_map(vm, 1, 1ull << 40, 0x1000, memory, 0), EINVAL, "40 bits");
	expect_error(fermata_map(vm, 1, 0x1000, -0x1000ull, memory, 0), EINVAL, "40 bits");
	expect_error(fermata_map(vm, 1, 0, 0x2000, memory, 0), EEXIST, "slot 0");
	expect_error(fermata_map(vm, 1, 0x4000, 0x1000, memory, 0), EEXIST, "slot 31");
	expect_error(fermata_map(vm, 0, 0x10000, 0x1000, memory, 0), EEXIST, "in use");

	expect_error(fermata_unmap(vm, 5), ENOENT, "not in use");
	assert_int_equal(fermata_unmap(vm, 0), 0);
	assert_int_equal(kernel.memory.size, 0);
	assert_null(fermata_gpa(vm, 0x1000, 1));
	kernel.refuse = EFAULT;
	expect_error(fermata_map(vm, 0, 0x1000, 0x1000, memory, 0), EFAULT, "0x1000");
	assert_null(fermata_gpa(vm, 0x1000, 1)); /* what the kernel refused is not there */
	kernel.refuse = 0;
	fermata_vm_free(vm);
	fermata_memory_free(memory, 5 << 20);
}

static void test_dirty_log(void **state)
{
	const uint64_t gib = 1ull << 30, pages = 5 * gib / 4096 + 3;
	fermata_vm *vm = fermata_vm_new();
	uint8_t *memory = fermata_memory_alloc(pages * 4096);
	uint64_t *bitmap = calloc((pages + 63) / 64, 8), dirty;

	kernel.answers = ~0u;
	assert_int_equal(fermata_map(vm, 2, gib, pages * 4096, memory, 0), 0);
	expect_error(fermata_memory_dirty(vm, 2, 0, 64, bitmap, &dirty), ENOENT, "no dirty log");
	expect_error(fermata_memory_dirty(vm, 3, 0, 64, bitmap, &dirty), ENOENT, "not in use");
	expect_error(fermata_memory_dirty(vm, 32, 0, 64, bitmap, &dirty), EINVAL, "slot 32");
	expect_error(fermata_memory_log_dirty(vm, 32, true), EINVAL, "slot 32");
	expect_error(fermata_memory_log_dirty(vm, 3, true), ENOENT, "not in use");
	kernel.refuse = E2BIG;
	expect_error(fermata_memory_log_dirty(vm, 2, true), E2BIG, "too large");
	kernel.refuse = 0;
	fermata_memory_wrote(vm, gib, 4096); /* nobody asks */
	assert_int_equal(fermata_memory_log_dirty(vm, 2, true), 0);
	assert_int_equal(kernel.log.slot, 2);
	assert_int_equal(kernel.log.flags, FERMATA_MEMORY_LOG_DIRTY);
	expect_error(fermata_memory_dirty(vm, 2, 1, 64, bitmap, &dirty), EINVAL, "64");
	expect_error(fermata_memory_dirty(vm, 2, 0, 65, bitmap, &dirty), EINVAL, "64");
	expect_error(fermata_memory_dirty(vm, 2, 0, 0, bitmap, &dirty), EINVAL, "64");
	expect_error(fermata_memory_dirty(vm, 2, 0, pages + 1, bitmap, &dirty), EINVAL, "64");

	/* In parts that the kernel takes; with what this process wrote, which may lie across the edges. */
	fermata_memory_wrote(vm, gib - 8192, 4 * 4096);
	fermata_memory_wrote(vm, gib + 100 * 4096 - 1, 2);
	fermata_memory_wrote(vm, gib + pages * 4096 - 1, 77);
	fermata_memory_wrote(vm, 0, 4096);
	fermata_memory_wrote(vm, gib + 5 * 4096, 0);
	kernel.questions = 0;
	assert_int_equal(fermata_memory_dirty(vm, 2, 0, pages, bitmap, &dirty), 0);
	assert_int_equal(kernel.questions, 2);
	assert_int_equal(kernel.dirty[0].count, FERMATA_MAX_DIRTY);
	assert_int_equal(kernel.dirty[1].first, FERMATA_MAX_DIRTY);
	assert_int_equal(kernel.dirty[1].count, pages - FERMATA_MAX_DIRTY);
	assert_int_equal(bitmap[0], 3);
	assert_int_equal(bitmap[1], 3ull << (99 - 64));
	assert_int_equal(bitmap[FERMATA_MAX_DIRTY / 64], 2);
	assert_int_equal(bitmap[pages / 64], 1ull << (pages - 1) % 64);
	assert_int_equal(dirty, 6);
	assert_int_equal(fermata_memory_dirty(vm, 2, 64, 64, bitmap, NULL), 0);
	assert_int_equal(bitmap[0], 2); /* ours was told already */

	/* The kernel answers the first part and refuses the second: nothing is lost. */
	kernel.questions = 0;
	kernel.answers = 1;
	expect_error(fermata_memory_dirty(vm, 2, 0, pages, bitmap, &dirty), ENOMEM, "memory");
	kernel.questions = 0;
	kernel.answers = ~0u;
	kernel.clean = true;
	assert_int_equal(fermata_memory_dirty(vm, 2, 0, 64, bitmap, &dirty), 0);
	assert_int_equal(bitmap[0], 2);
	assert_int_equal(fermata_memory_dirty(vm, 2, 0, 64, bitmap, &dirty), 0);
	assert_int_equal(dirty, 0);

	assert_int_equal(fermata_memory_log_dirty(vm, 2, false), 0);
	assert_int_equal(kernel.log.flags, 0);
	assert_int_equal(fermata_unmap(vm, 2), 0);
	assert_int_equal(fermata_map(vm, 2, gib, 8192, memory, FERMATA_MEMORY_LOG_DIRTY), 0);
	assert_int_equal(kernel.memory.flags, FERMATA_MEMORY_LOG_DIRTY);
	fermata_memory_wrote(vm, gib + 1, 1);
	assert_int_equal(fermata_memory_dirty(vm, 2, 0, 2, bitmap, &dirty), 0);
	assert_int_equal(bitmap[0], 1);
	fermata_vm_free(vm);
	fermata_memory_free(memory, pages * 4096);
	free(bitmap);
}

/* An event that the processor cannot intercept, and a module that has no rules at all. */
static void test_no_rules(void **state)
{
	struct fermata_rule rule = { .event = FERMATA_ON_RDRAND };
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);

	kernel.refuse_rule = EOPNOTSUPP;
	expect_error(fermata_rule_add(vm, &rule), EOPNOTSUPP, "AMD-V cannot intercept rdrand");
	expect_error(fermata_rule_get(vm, &rule), ENOENT, "none from there on");
	kernel.refuse = EOPNOTSUPP;
	expect_error(fermata_rule_add(vm, &rule), EOPNOTSUPP,
		     "built without rules: leave the rule out");
	expect_error(fermata_rule_get(vm, &rule), EOPNOTSUPP, "built without rules");
	expect_error(fermata_rule_remove(vm, 1), EOPNOTSUPP, "built without rules");
	expect_error(fermata_log_open(vcpu), EOPNOTSUPP, "built without rules");
	fermata_vm_free(vm);
}

static void test_no_memory(void **state)
{
	assert_null(fermata_memory_alloc(0));
	assert_null(fermata_memory_alloc(UINT64_MAX));
	assert_null(fermata_memory_alloc(1ull << 60));
	fermata_memory_free(NULL, 4096);
	fermata_vm_free(NULL);
}

static void test_vcpus(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 3);

	assert_non_null(vcpu);
	assert_ptr_equal(fermata_vcpu_page(vcpu), kernel.run);
	assert_null(fermata_vcpu_new(vm, 3));
	assert_int_equal(errno, EEXIST);
	assert_null(fermata_vcpu_new(vm, FERMATA_MAX_VCPUS));
	assert_int_equal(errno, EINVAL);
	fermata_vcpu_free(vcpu);
	kernel.refuse = EBUSY;
	assert_null(fermata_vcpu_new(vm, 3));
	assert_int_equal(errno, EBUSY);
	kernel.refuse = 0;
	assert_non_null(fermata_vcpu_new(vm, 3)); /* freed with its VM */
	fermata_vm_free(vm);
}

static void test_translate(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);
	struct fermata_translate t = { .linear = 0xffff1234 };

	assert_int_equal(fermata_translate(vcpu, &t), 0);
	assert_int_equal(t.gpa, 0x1234);
	kernel.fault = 1;
	assert_int_equal(fermata_translate(vcpu, &t), -EFAULT);
	assert_int_equal(t.code, 5);
	kernel.refuse = EFAULT; /* the call itself failed: not the guest's fault */
	assert_int_equal(fermata_translate(vcpu, &t), -EIO);
	fermata_vm_free(vm);
}

/* ---------------------------------------------------------------- running and kicking */

static void test_kick_before_run(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);

	kernel.exit_reason = FERMATA_EXIT_HALTED;
	assert_int_equal(fermata_run(vcpu), 0);
	fermata_kick(vcpu);
	fermata_kick(vcpu);
	assert_int_equal(fermata_run(vcpu), -EINTR);
	assert_int_equal(fermata_run(vcpu), 0); /* once */
	fermata_vm_free(vm);
}

static void *kicker(void *vcpu)
{
	fermata_kick(vcpu);
	return NULL;
}

/* From another thread, at any moment of the run call: it always returns. */
static void test_kick_running(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);
	sigset_t all, old;

	kernel.guest_loops = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* an application may block all it likes */
	for (unsigned i = 0; i < 2000; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, kicker, vcpu), 0);
		assert_int_equal(fermata_run(vcpu), -EINTR);
		pthread_join(thread, NULL);
		/* a signal that came late is absorbed here, so that each round starts alike */
		__atomic_store_n(&kernel.run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	fermata_vm_free(vm);
}

static void test_run_errors(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 7);

	kernel.refuse = EBUSY;
	expect_error(fermata_run(vcpu), EBUSY, "another thread");
	kernel.refuse = EPERM;
	expect_error(fermata_run(vcpu), EPERM, "fork");
	kernel.refuse = EIO;
	expect_error(fermata_run(vcpu), EIO, "vCPU 7 is dead");
	fermata_vm_free(vm);
}

static void test_emulate(void **state)
{
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);
	struct fermata_bus bus = { 0 };

	kernel.run->exit.reason = FERMATA_EXIT_HALTED;
	expect_error(fermata_emulate(vcpu, &bus), EINVAL, "HALTED");
	fermata_vm_free(vm);
}

/* ---------------------------------------------------------------- the report */

static void expect_in_order(const char *text, const char *const *parts)
{
	const char *at = text;

	for (; *parts; parts++) {
		at = strstr(at, *parts);
		if (!at)
			fail_msg("'%s' is missing, or not in its place, in:\n%s", *parts, text);
	}
}

static void test_report(void **state)
{
	static const char *const parts[] = {
		"vCPU 0: exit SHUTDOWN",
		"(shutdown)",
		"triple fault",
		"RAX 00000000deadbeef",
		"RIP ffffffff80001ffe",
		" IF",
		"CS ",
		"code readable 64-bit",
		"CR0",
		" PE ET PG",
		"EFER",
		" LME LMA",
		"ffffffff80001ffe",
		"0f 20 c0",
		"mov rax, cr0",
		"f4",
		"hlt",
		"Last exits",
		"1111",
		"io",
		"2222",
		"cpuid",
		"3333",
		"npf",
		NULL,
	};
	fermata_vm *vm = fermata_vm_new();
	fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);
	uint8_t *memory = fermata_memory_alloc(0x3000);
	char *text;

	assert_int_equal(fermata_map(vm, 0, 0, 0x3000, memory, 0), 0);
	memcpy(memory + 0x1ffe, "\x0f\x20\xc0\xf4", 4); /* across a page */
	kernel.run->rip = 0xffffffff80001ffe;
	kernel.run->rflags = 0x202;
	kernel.run->regs[FERMATA_RAX] = 0xdeadbeef;
	kernel.run->exit.reason = FERMATA_EXIT_SHUTDOWN;
	kernel.run->exit.hw_reason = 0x7f;
	text = fermata_report(vcpu);
	assert_non_null(text);
	expect_in_order(text, parts);
	free(text);

	/* a kernel that answers nothing more: still a report */
	kernel.refuse = EIO;
	text = fermata_report(vcpu);
	assert_non_null(strstr(text, "deadbeef"));
	free(text);
	fermata_vm_free(vm);
	fermata_memory_free(memory, 0x3000);
}

/* What VT-x cannot run, and what must not happen: each has its own words. */
static void test_report_of_refusals(void **state)
{
	static const struct {
		uint32_t reason, hw_reason;
		uint64_t info1, info2;
		const char *parts[3];
	} expect[] = {
		{ FERMATA_EXIT_UNSUPPORTED,
		  FERMATA_VMX_UNPAGED,
		  0x10,
		  0,
		  { "(UNPAGED)", "SDM 3C 25.6.2", "CR0 is to be 0x10." } },
		{ FERMATA_EXIT_UNSUPPORTED,
		  9,
		  3u << 30 | 0x28,
		  0,
		  { "(TASK_SWITCH)", "SDM 3C 26.2", "TSS with selector 0x28, by a task gate" } },
		{ FERMATA_EXIT_UNCLAIMED,
		  49,
		  0,
		  0x12345000,
		  { "(EPT_MISCONFIG)", "SDM 3C 29.3.3.1", "guest-physical 0x12345000" } },
		{ FERMATA_EXIT_UNCLAIMED, 5, 0, 0, { "no part of Fermata knows" } },
	};

	kernel.caps.vendor = FERMATA_VENDOR_INTEL;
	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		fermata_vm *vm = fermata_vm_new();
		fermata_vcpu *vcpu = fermata_vcpu_new(vm, 0);
		char *text;

		kernel.run->exit.reason = expect[i].reason;
		kernel.run->exit.hw_reason = expect[i].hw_reason;
		kernel.run->exit.hw_info1 = expect[i].info1;
		kernel.run->exit.hw_info2 = expect[i].info2;
		text = fermata_report(vcpu);
		assert_non_null(text);
		for (size_t part = 0; part < 3 && expect[i].parts[part]; part++)
			assert_non_null(strstr(text, expect[i].parts[part]));
		free(text);
		fermata_vm_free(vm);
	}
}

/* Why an entry was refused: the hardware's word first, then the audit's. */
static void test_report_of_refused_entry(void **state)
{
	static const struct {
		uint32_t vendor, hw_reason, info, broken_rules;
		const char *parts[5];
	} expect[] = {
		{ FERMATA_VENDOR_AMD,
		  ~0u,
		  0,
		  1,
		  { "FAIL_ENTRY", "Rules broken: 1\n", "  rule 0; APM", "\nRegisters" } },
		{ FERMATA_VENDOR_AMD,
		  ~0u,
		  0,
		  10,
		  { "Rules broken: 10\n", "  rule 7;", "  and 2 more\n", "\nRegisters" } },
		{ FERMATA_VENDOR_AMD, ~0u, 0, 0, { "Rules broken: 0, of those that Fermata knows" } },
		{ FERMATA_VENDOR_INTEL,
		  FERMATA_VMX_FAIL,
		  7,
		  1,
		  { "(VMFAIL)", "VM-instruction error 7: invalid control fields.\n", "  rule 0;" } },
		{ FERMATA_VENDOR_INTEL, FERMATA_VMX_FAIL, 0, 0, { "(VMFAIL)", "no current VMCS" } },
		{ FERMATA_VENDOR_INTEL, 33, 0, 0, { "(INVALID_STATE)", "Invalid guest state.\n" } },
		{ FERMATA_VENDOR_INTEL, 33, 2, 0, { "page-directory-pointer-table entries" } },
		{ FERMATA_VENDOR_INTEL, 33, 3, 0, { "NMI was injected" } },
		{ FERMATA_VENDOR_INTEL, 33, 4, 0, { "VMCS link pointer" } },
		{ FERMATA_VENDOR_INTEL, 34, 2, 0, { "Entry 2 of the VM-entry MSR-load area" } },
		{ FERMATA_VENDOR_INTEL, 41, 0, 0, { "machine check" } },
	};

	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		fermata_vcpu *vcpu;
		fermata_vm *vm;
		char *text;

		kernel.caps.vendor = expect[i].vendor;
		kernel.broken_rules = expect[i].broken_rules;
		vm = fermata_vm_new();
		vcpu = fermata_vcpu_new(vm, 0);
		kernel.run->exit.reason = FERMATA_EXIT_FAIL_ENTRY;
		kernel.run->exit.hw_reason = expect[i].hw_reason;
		kernel.run->exit.hw_info1 = expect[i].info;
		text = fermata_report(vcpu);
		expect_in_order(text, expect[i].parts);
		free(text);
		fermata_vm_free(vm);
	}
}

static void test_kvmclock(void **state)
{
	static struct fermata_cpuid cpuid;
	char name[13] = "";

	cpuid.count = 2;
	cpuid.entry[0] = (struct fermata_cpuid_entry){ .leaf = 1, .eax = 77 };
	cpuid.entry[1] = (struct fermata_cpuid_entry){ .leaf = 0x40000000, .eax = 1, .ebx = 2 };
	for (int i = 0; i < 2; i++) { /* once more changes nothing */
		assert_int_equal(fermata_cpuid_kvmclock(&cpuid), 0);
		assert_int_equal(cpuid.count, 3);
		memcpy(name, &cpuid.entry[1].ebx, 12);
		assert_string_equal(name, "KVMKVMKVM");
		assert_int_equal(cpuid.entry[1].eax, 0x40000001);
		assert_int_equal(cpuid.entry[2].leaf, 0x40000001);
		assert_int_equal(cpuid.entry[2].eax, 1u << 3 | 1u << 24);
		assert_int_equal(cpuid.entry[0].eax, 77);
	}
	cpuid.count = FERMATA_MAX_CPUID;
	cpuid.entry[2].leaf = 3;
	expect_error(fermata_cpuid_kvmclock(&cpuid), ENOSPC, "room");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kvmclock),
		cmocka_unit_test_setup(test_no_device, setup),
		cmocka_unit_test_setup(test_other_abi, setup),
		cmocka_unit_test_setup(test_flaw, setup),
		cmocka_unit_test_setup(test_blocked, setup),
		cmocka_unit_test_setup(test_beside, setup),
		cmocka_unit_test_setup(test_flags, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_slots, setup),
		cmocka_unit_test_setup(test_dirty_log, setup),
		cmocka_unit_test_setup(test_no_rules, setup),
		cmocka_unit_test_setup(test_no_memory, setup),
		cmocka_unit_test_setup(test_vcpus, setup),
		cmocka_unit_test_setup(test_translate, setup),
		cmocka_unit_test_setup(test_kick_before_run, setup),
		cmocka_unit_test_setup(test_kick_running, setup),
		cmocka_unit_test_setup(test_run_errors, setup),
		cmocka_unit_test_setup(test_emulate, setup),
		cmocka_unit_test_setup(test_report, setup),
		cmocka_unit_test_setup(test_report_of_refusals, setup),
		cmocka_unit_test_setup(test_report_of_refused_entry, setup),
	};

	return cmocka_run_group_tests_name("the library's calls", tests, NULL, NULL);
}
