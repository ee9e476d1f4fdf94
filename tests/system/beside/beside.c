/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * beside kvm|fermata NUMBER TIMES [shadow]: a guest of that hypervisor, run so many times, that looks whether all is
 * still its own. beside turns NUMBER TIMES [shadow]: one of each, in turns, on one thread. For ever: 0 times.
 * beside descriptors: what is handed in for a VM of KVM's and is none. beside own FILE: a guest of Fermata's until
 * FILE is there, by a VM that is not made to live beside KVM's. beside svme-off: clears EFER.SVME on all CPUs, by the
 * msr driver. Lines of TAP without numbers.
 */
#include "beside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fermata.h>

#include "bench/guest.h"
#include "bench/hypervisor.h"
#include "bench/memory.h"

static unsigned failed;

static void ok(bool good, const char *format, ...)
{
	va_list args;

	failed += !good;
	fputs(good ? "ok - " : "not ok - ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void unavailable(const char *what, const char *why)
{
	ok(false, "%s: %s", what, why);
	exit(1);
}

void die(const char *what, const char *why)
{
	ok(false, "%s: %s", what, why ? why : strerror(errno));
	exit(1);
}

/* ---- guests */

#define ROUNDS 200

struct guest {
	const struct hypervisor *hypervisor;
	struct memory *memory;
	struct vm *vm;
	uint64_t number, rounds, wrong;
};

static void guest_new(struct guest *g, const struct hypervisor *h, uint64_t number, bool shadow)
{
	const struct ways ways = { .shadow = shadow };
	unsigned int rate;

	*g = (struct guest){ .hypervisor = h, .memory = memory_new(false), .number = number };
	memcpy((uint8_t *)g->memory->region[0].memory + BESIDE_CODE, beside_body,
	       beside_end - beside_body);
	g->vm = h->create(&ways, false, g->memory->region, g->memory->regions, &rate);
}

static bool guest_run(struct guest *g)
{
	uint64_t *results = (uint64_t *)memory_results(g->memory);

	results[0] = ~0ull;
	results[1] = 0;
	g->hypervisor->run(g->vm, BESIDE_CODE, ROUNDS, g->number);
	g->wrong |= results[0];
	g->rounds += results[1];
	return !results[0] && results[1] == ROUNDS;
}

static void guest_end(struct guest *g)
{
	g->hypervisor->destroy(g->vm);
	memory_free(g->memory);
}

static void run_times(struct guest *guests, unsigned count, unsigned long times)
{
	bool good = true;

	for (unsigned long n = 0; good && (!times || n < times); n++)
		for (unsigned i = 0; i < count; i++)
			good &= guest_run(&guests[i]);
	for (unsigned i = 0; i < count; i++)
		ok(good, "%s's guest %llu: %llu rounds, wrong %#llx", guests[i].hypervisor->name,
		   (unsigned long long)guests[i].number, (unsigned long long)guests[i].rounds,
		   (unsigned long long)guests[i].wrong);
}

/* ---- descriptors */

static int create(uint32_t flags, int kvm)
{
	struct fermata_vm_config config = { .flags = flags, .kvm = kvm };
	int device = open(FERMATA_DEVICE, O_RDWR | O_CLOEXEC), fd, err;

	if (device < 0)
		die(FERMATA_DEVICE, NULL);
	fd = ioctl(device, FERMATA_CREATE_VM, &config);
	err = errno;
	close(device);
	errno = err;
	return fd;
}

static void refused(int err, int kvm, const char *what)
{
	int fd = create(FERMATA_VM_BESIDE, kvm);

	ok(fd < 0 && errno == err, "%s: %s, as %s", what, fd < 0 ? strerror(errno) : "taken",
	   strerror(err));
	if (fd >= 0)
		close(fd);
}

static unsigned way(void)
{
	struct fermata_caps caps;

	if (fermata_caps(&caps))
		die("fermata", fermata_error());
	return caps.way;
}

static int made(int fd, const char *what)
{
	if (fd < 0)
		die(what, NULL);
	return fd;
}

static void descriptors(void)
{
	int kvm = made(open("/dev/kvm", O_RDWR), "/dev/kvm"), vm, vcpu, ours, second, file;

	ok(way() == FERMATA_WAY_NONE, "no VM, no way");
	vm = made(ioctl(kvm, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
	vcpu = made(ioctl(vm, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");
	refused(EBADF, -1, "none");
	refused(EBADF, 1000, "a number that is no descriptor");
	refused(EINVAL, kvm, "KVM's device");
	refused(EINVAL, vcpu, "a vCPU of KVM's");
	refused(EINVAL, made(open("/dev/null", O_RDWR), "/dev/null"), "/dev/null");
	refused(EINVAL, made(eventfd(0, 0), "eventfd"), "an eventfd");
	refused(EINVAL, made(memfd_create("kvm-vm", 0), "memfd"), "memory with a name like it");
	file = made(open("/tmp/kvm-vm", O_RDWR | O_CREAT, 0600), "/tmp/kvm-vm");
	refused(EINVAL, file, "a file of the same name");
	ok(create(0, vm) < 0 && errno == EINVAL, "a descriptor, and no word of what it is for");
	ok(create(0, 0) < 0 && errno == EBUSY, "a VM of its own while KVM has one: EBUSY");

	ours = create(FERMATA_VM_BESIDE, vm);
	ok(ours >= 0, "beside KVM");
	refused(EINVAL, ours, "a VM of Fermata's");
	close(vcpu);
	close(vm);
	ok(way() == FERMATA_WAY_BESIDE, "which caps say, when KVM's VM is Fermata's alone");
	ok(create(0, 0) < 0 && errno == EBUSY, "a VM of its own is refused still");
	vm = made(ioctl(kvm, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
	second = create(FERMATA_VM_BESIDE, vm);
	ok(second >= 0, "a second one beside");
	close(vm);
	close(ours);
	ok(way() == FERMATA_WAY_BESIDE, "which lives on its own");
	close(second);
	close(kvm);
	for (unsigned i = 0; i < 100 && way() != FERMATA_WAY_NONE; i++)
		usleep(10000);
	ok(way() == FERMATA_WAY_NONE, "and then there is none");
}

/* ---- the other way */

static void own(const char *until)
{
	int vm = create(0, 0), kvm, second;

	ok(vm >= 0 && way() == FERMATA_WAY_OWN,
	   "a VM that Fermata has switched the processors on for");
	while (access(until, F_OK))
		usleep(10000);
	/* Newer ones switch the processors on as they are loaded, and were not: the script has seen to that. */
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm >= 0) {
		ok(ioctl(kvm, KVM_CREATE_VM, 0ul) < 0 && errno == EBUSY,
		   "KVM, loaded meanwhile, makes no VM: EBUSY");
		close(kvm);
	}
	second = create(0, 0);
	ok(second >= 0, "Fermata makes another");
	close(second);
	close(vm);
}

/* ---- KVM, or whoever, takes SVM away */

#define EFER 0xc0000080u
#define EFER_SVME (1u << 12)

static void svme_off(void)
{
	char path[40];
	uint64_t efer;
	int fd, n;

	for (n = 0;; n++) {
		snprintf(path, sizeof(path), "/dev/cpu/%d/msr", n);
		fd = open(path, O_RDWR);
		if (fd < 0)
			break;
		if (pread(fd, &efer, sizeof(efer), EFER) != sizeof(efer))
			die(path, NULL);
		ok(efer & EFER_SVME, "SVM is on on CPU %d", n);
		efer &= ~(uint64_t)EFER_SVME;
		if (pwrite(fd, &efer, sizeof(efer), EFER) != sizeof(efer))
			die(path, NULL);
		close(fd);
	}
	ok(n > 0, "SVM has gone");
}

int main(int argc, char **argv)
{
	bool shadow = argc == 5 && !strcmp(argv[4], "shadow");
	struct guest guests[2];
	uint64_t number;

	if (argc == 2 && !strcmp(argv[1], "descriptors")) {
		descriptors();
		return failed != 0;
	}
	if (argc == 3 && !strcmp(argv[1], "own")) {
		own(argv[2]);
		return failed != 0;
	}
	if (argc == 2 && !strcmp(argv[1], "svme-off")) {
		svme_off();
		return failed != 0;
	}
	if (argc < 4) {
		fputs("usage: beside kvm|fermata|turns NUMBER TIMES [shadow]\n"
		      "       beside descriptors; beside own FILE; beside svme-off\n",
		      stderr);
		return 1;
	}
	number = strtoull(argv[2], NULL, 0);
	if (!strcmp(argv[1], "turns")) {
		guest_new(&guests[0], &kvm, number, false);
		guest_new(&guests[1], &fermata, number + 1, shadow);
		run_times(guests, 2, strtoul(argv[3], NULL, 0));
		guest_end(&guests[1]);
	} else {
		guest_new(&guests[0], strcmp(argv[1], "kvm") ? &fermata : &kvm, number, shadow);
		run_times(guests, 1, strtoul(argv[3], NULL, 0));
	}
	guest_end(&guests[0]);
	return failed != 0;
}
