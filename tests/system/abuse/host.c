/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The host around the guests: its memory, its processors, its modules, its other hypervisor. */
#include <linux/kvm.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "abuse.h"

/* ---- leaks */

#define MAX_CACHES 400

struct usage {
	long unreclaimable, tables, stacks, percpu, vmalloc; /* kB */
	unsigned caches;
	struct {
		char name[40];
		long objects;
	} cache[MAX_CACHES];
};

static void measure(struct usage *u)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	char text[300];

	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	memset(u, 0, sizeof(*u));
	u->unreclaimable = read_number("/proc/meminfo", "SUnreclaim:");
	u->tables = read_number("/proc/meminfo", "PageTables:");
	u->stacks = read_number("/proc/meminfo", "KernelStack:");
	u->percpu = read_number("/proc/meminfo", "Percpu:");
	u->vmalloc = read_number("/proc/meminfo", "VmallocUsed:");
	while (f && fgets(text, sizeof(text), f) && u->caches < MAX_CACHES)
		if (sscanf(text, "%39s %ld", u->cache[u->caches].name,
			   &u->cache[u->caches].objects) == 2)
			u->caches++;
	if (f)
		fclose(f);
}

static long available(void)
{
	return read_number("/proc/meminfo", "MemAvailable:");
}

static void cycle(void)
{
	struct guest g;
	uint8_t *data = ram_new(MIB);

	guest_new(&g, 2, MODE_LONG);
	must(!slot_set(g.vm, 1, DATA_AT, MIB, data, 0), "SET_MEMORY");
	count_setup(&g, 0, MIB);
	count_setup(&g, 1, MIB);
	must(!count_run(&g, 0, 1) && !count_run(&g, 1, 1), "count");
	guest_end(&g);
	munmap(data, MIB);
}

/*
 * A leak of one object in each cycle is as many objects as cycles, less what the slabs' own counting, a
 * slab at a time, gets wrong. MemAvailable moves by a MiB on its own, so it says something after many
 * cycles only.
 */
static bool grown(const struct usage *a, const struct usage *b, long memory, unsigned cycles,
		  bool tell)
{
	long lost = memory - available();
	bool more = b->unreclaimable - a->unreclaimable > (long)cycles ||
		    b->tables - a->tables > 256 || b->stacks - a->stacks > 256 ||
		    b->percpu - a->percpu > 128 || b->vmalloc - a->vmalloc > 256 ||
		    (cycles >= 200 && lost > 2l * cycles);

	if (tell)
		note("after %u cycles: SUnreclaim %+ld kB, PageTables %+ld, KernelStack %+ld, Percpu %+ld, "
		     "VmallocUsed %+ld, MemAvailable %+ld",
		     cycles, b->unreclaimable - a->unreclaimable, b->tables - a->tables,
		     b->stacks - a->stacks, b->percpu - a->percpu, b->vmalloc - a->vmalloc, -lost);
	for (unsigned i = 0; i < b->caches; i++)
		for (unsigned k = 0; k < a->caches; k++) {
			long objects = b->cache[i].objects - a->cache[k].objects;

			/* Of few cycles, what a slab or two have room for says nothing. */
			if (strcmp(a->cache[k].name, b->cache[i].name) ||
			    objects < (long)cycles / 2 || objects < 64)
				continue;
			more = true;
			if (tell)
				note("%s: %ld objects more", b->cache[i].name, objects);
		}
	return more;
}

/* ---- whose memory it is */

#define CGROUPS "/tmp/cgroups"
#define OURS CGROUPS "/abuse"
#define PAYING 8u /* VMs */

static long charged(void)
{
	return read_number(OURS "/memory.current", "") / 1024;
}

/* In a process of its own, which is in the cgroup. 0: what VMs, vCPUs and their logs take is its memory. */
static int pay_for_it(void)
{
	const size_t ring = (FERMATA_RING_SIZE + PAGE - 1) & -PAGE;
	long begin = charged(), made, mapped;
	struct guest vm[PAYING];

	for (unsigned i = 0; i < PAYING; i++)
		guest_new(&vm[i], MAX_GUEST_VCPUS, MODE_LONG);
	made = charged();
	for (unsigned i = 0; i < MAX_GUEST_VCPUS; i++)
		must(mmap(NULL, ring, PROT_READ | PROT_WRITE, MAP_SHARED, vm[0].vcpu[i],
			  FERMATA_RING_OFFSET) != MAP_FAILED,
		     "the ring");
	mapped = charged();
	note("kB charged: %ld for %u VMs with %u vCPUs each, %ld for the rings of %zu of one of them",
	     made - begin, PAYING, MAX_GUEST_VCPUS, mapped - made, ring / 1024);
	/* Charges are made in batches of 256 KiB for each processor, of which some may be left over when this begins. */
	return made - begin < 20l * PAYING * MAX_GUEST_VCPUS - 256 ||
	       mapped - made < (long)(MAX_GUEST_VCPUS * ring / 1024) - 256;
}

static void accounted(void)
{
	char self[20];
	int pid;

	mkdir(CGROUPS, 0700);
	must(!mount("none", CGROUPS, "cgroup2", 0, NULL), "mount cgroup2");
	must(write_file(CGROUPS "/cgroup.subtree_control", "+memory") && !mkdir(OURS, 0700),
	     "a cgroup");
	pid = fork();
	if (!pid) {
		snprintf(self, sizeof(self), "%d", getpid());
		must(write_file(OURS "/cgroup.procs", self), "cgroup.procs");
		_exit(pay_for_it());
	}
	ok(!status_of(pid), "what VMs, vCPUs and logs take is charged to the memory cgroup");
	rmdir(OURS);
	umount(CGROUPS);
}

void abuse_leaks(void)
{
	static struct usage before, after;
	unsigned cycles = times(500), done = 0;
	bool more = true;
	long memory;

	accounted();
	for (unsigned i = 0; i < cycles / 4; i++)
		cycle();
	sleep_us(500000);
	measure(&before);
	memory = available();
	/* A slab on a processor's list counts as used, all of it: so it may be many objects, but only once. */
	while (more && done < 3 * cycles) {
		for (unsigned i = 0; i < cycles; i++)
			cycle();
		done += cycles;
		/* What RCU and work queues still hold comes back in a while; a leak does not. */
		for (unsigned try = 0; try < 20 && more; try++) {
			sleep_us(300000);
			measure(&after);
			more = grown(&before, &after, memory, done, false);
		}
	}
	ok(!grown(&before, &after, memory, done, true), "nothing is left of %u VMs", done);
	ok(before.caches > 50, "slabinfo could be read: %u caches", before.caches);
}

/* ---- processors */

static struct guest g;
static uint8_t *data;
static volatile bool stop, disturbed;
static int vcpu_tid[2];
static unsigned counted[2];

#define SIZE (4 * MIB)

static void *counter(void *n)
{
	unsigned i = (uintptr_t)n;
	int result;

	vcpu_tid[i] = syscall(SYS_gettid);
	/* A slow machine may need longer for the disturbance than for the counting: there is more. */
	do {
		result = count_run(&g, i, times(400));
		counted[i] += times(400);
	} while (!result && !disturbed);
	return (void *)(intptr_t)result;
}

static void *load(void *unused)
{
	disturbed = true;
	while (!stop)
		;
	return NULL;
}

static void *migrate(void *unused)
{
	cpu_set_t set;

	for (unsigned turn = 0; !stop; turn++) {
		CPU_ZERO(&set);
		CPU_SET(turn & 1, &set);
		sched_setaffinity(vcpu_tid[turn >> 1 & 1], sizeof(set), &set);
		disturbed = turn > 8;
		sleep_us(1000);
	}
	return NULL;
}

static unsigned cpu_changes;

static void *unplug(void *unused)
{
	while (!stop) {
		cpu_changes += write_file("/sys/devices/system/cpu/cpu1/online", "0");
		sleep_us(20000);
		cpu_changes += write_file("/sys/devices/system/cpu/cpu1/online", "1");
		disturbed = true;
		sleep_us(20000);
	}
	return NULL;
}

static void counted_during(const char *name, void *(*disturb)(void *), unsigned threads)
{
	pthread_t vcpu[2], other[3];
	void *result[2];

	guest_new(&g, 2, MODE_LONG);
	data = ram_new(SIZE);
	must(!slot_set(g.vm, 1, DATA_AT, SIZE, data, 0), "SET_MEMORY");
	stop = disturbed = false;
	for (uintptr_t i = 0; i < 2; i++) {
		counted[i] = 0;
		count_setup(&g, i, SIZE);
		must(!pthread_create(&vcpu[i], NULL, counter, (void *)i), "pthread_create");
	}
	sleep_us(10000);
	for (unsigned i = 0; i < threads; i++)
		must(!pthread_create(&other[i], NULL, disturb, NULL), "pthread_create");
	for (unsigned i = 0; i < 2; i++)
		pthread_join(vcpu[i], &result[i]);
	stop = true;
	for (unsigned i = 0; i < threads; i++)
		pthread_join(other[i], NULL);
	ok(!result[0] && !result[1] && !count_wrong(data, SIZE, counted[0] + counted[1]),
	   "%s: the guest counts right", name);
	guest_end(&g);
	munmap(data, SIZE);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void move_to(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void *compute(void *unused)
{
	move_to(1);
	while (!stop && (!ioctl(g.vcpu[0], FERMATA_RUN, 0) || errno == EINTR))
		;
	return NULL;
}

/*
 * A guest that computes and never exits by itself. Alone on its processor: how long a grace period of RCU takes
 * the rest of the host. MEMBARRIER_CMD_GLOBAL waits for one; without a word of ours it is 100 jiffies at least.
 * And how late a thread of the same processor wakes up, which is as long as the guest's stay can last then.
 */
static void host_waits(void)
{
	const uint8_t forever[] = { 0xeb, 0xfe };
	double best = 1e9, worst = 0, late = 0, begin, took;
	pthread_t thread;
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	move_to(0);
	must(write_file("/sys/kernel/rcu_expedited", "0"), "rcu_expedited");
	stop = false;
	guest_new(&g, 1, MODE_LONG);
	memcpy(g.low + CODE_AT, forever, sizeof(forever));
	must(!pthread_create(&thread, NULL, compute, NULL), "pthread_create");
	sleep_us(100000);
	for (unsigned i = 0; i < 10; i++) {
		begin = now_ms();
		must(!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), "membarrier");
		took = now_ms() - begin;
		best = took < best ? took : best;
		worst = took > worst ? took : worst;
	}
	move_to(1);
	for (unsigned i = 0; i < 200; i++) {
		begin = now_ms();
		sleep_us(1000);
		took = now_ms() - begin - 1;
		late = took > late ? took : late;
	}
	stop = true;
	g.page[0]->immediate_exit = 1;
	pthread_kill(thread, SIGALRM);
	pthread_join(thread, NULL);
	guest_end(&g);
	write_file("/sys/kernel/rcu_expedited", "1");
	sched_setaffinity(0, sizeof(all), &all);
	note("beside a guest that computes: grace periods of %.1f to %.1f ms, a thread wakes up to %.1f ms late",
	     best, worst, late);
	ok(best < 60, "RCU does not wait for a guest that computes");
}

void abuse_cpus(void)
{
	int result;

	ticks(0);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		host_waits();
	ticks(10000);
	counted_during("competing load", load, 3);
	counted_during("a new processor each millisecond", migrate, 1);
	counted_during("a processor goes and comes", unplug, 1);
	ok(cpu_changes >= 2, "it went and came");
	write_file("/sys/devices/system/cpu/cpu1/online", "0");
	guest_new(&g, 1, MODE_LONG);
	guest_end(&g);
	guest_new(&g, 1, MODE_LONG);
	gives(write_file("/sys/devices/system/cpu/cpu1/online", "1") ? 0 : -1, 0,
	      "a processor comes while a VM lives");
	count_setup(&g, 0, PAGE);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		must(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
		while ((result = ioctl(g.vcpu[0], FERMATA_RUN, 0)) && errno == EINTR)
			;
		ok(!result && g.page[0]->exit.reason == FERMATA_EXIT_MMIO,
		   "a guest runs on processor %u", cpu);
	}
	guest_end(&g);
}

/* ---- the module */

static int unload(void)
{
	return syscall(SYS_delete_module, "fermata", O_NONBLOCK);
}

static int load_module(void)
{
	int fd = open("/box/fermata.ko", O_RDONLY | O_CLOEXEC);
	int result = syscall(SYS_finit_module, fd, "", 0), err = errno;

	close(fd);
	errno = err;
	return result;
}

void abuse_module(void)
{
	unsigned good = 0;
	int device;

	for (unsigned try = 0; try < 50 && read_number("/sys/module/fermata/refcnt", "") > 0; try++)
		sleep_us(100000);
	ok(read_number("/sys/module/fermata/refcnt", "") == 0, "nobody holds the module");
	device = device_open();
	gives(unload(), EAGAIN, "unloading it under an open device");
	close(device);
	guest_new(&g, 1, MODE_LONG);
	gives(unload(), EAGAIN, "unloading it under a VM");
	close(g.vm);
	munmap(g.page[0], PAGE);
	gives(unload(), EAGAIN, "unloading it under a vCPU");
	close(g.vcpu[0]);
	munmap(g.low, g.low_size);
	for (unsigned i = 0; i < 10; i++) {
		if (unload() || load_module())
			break;
		guest_new(&g, 1, MODE_LONG);
		guest_end(&g);
		good++;
	}
	gives(good == 10 ? 0 : -1, 0, "unloaded and loaded again %u times, a VM each time", good);
}

/* ---- KVM has the processor: what comes of that for VMs that do not live beside its own (31-beside-kvm.t has those) */

static unsigned blocked(void)
{
	struct fermata_caps caps;
	int device = device_open();

	must(!ioctl(device, FERMATA_GET_CAPS, &caps), "GET_CAPS");
	close(device);
	return caps.blocked;
}

/* One HLT in real mode. */
static bool kvm_runs(int kvm, int vm)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	uint8_t *code = ram_new(PAGE);
	struct kvm_userspace_memory_region region = { .memory_size = PAGE,
						      .userspace_addr = (uintptr_t)code };
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	bool good;

	code[0] = 0xf4;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	good = vcpu >= 0 && run != MAP_FAILED && !ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) &&
	       !ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	good = good && !ioctl(vcpu, KVM_SET_SREGS, &sregs) && !ioctl(vcpu, KVM_SET_REGS, &regs) &&
	       !ioctl(vcpu, KVM_RUN, 0) && run->exit_reason == KVM_EXIT_HLT;
	munmap(run, size);
	close(vcpu);
	munmap(code, PAGE);
	return good;
}

void abuse_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (!ok(kvm >= 0, "/dev/kvm"))
		return;
	ok(!blocked(), "KVM loaded and idle stands in nobody's way");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	gives(vm, 0, "a KVM VM");
	ok(blocked() == FERMATA_BLOCK_BUSY,
	   "then caps say that another hypervisor holds the processor");
	gives(vm_create(), EBUSY, "and CREATE_VM: EBUSY");
	ok(kvm_runs(kvm, vm), "KVM's guest runs");
	close(vm);
	ok(!blocked(), "KVM's VM gone");
	guest_new(&g, 1, MODE_LONG);
	count_setup(&g, 0, PAGE);
	/* From Linux 6.12 on an error of a processor becomes EIO (kvm_enable_virtualization_cpu()). */
	ok(ioctl(kvm, KVM_CREATE_VM, 0) < 0 && (errno == EBUSY || errno == EIO),
	   "KVM is refused while a VM of ours lives: %s", strerror(errno));
	ok(!ioctl(g.vcpu[0], FERMATA_RUN, 0) && g.page[0]->exit.reason == FERMATA_EXIT_MMIO,
	   "and ours runs on");
	guest_end(&g);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ok(vm >= 0 && kvm_runs(kvm, vm), "afterwards KVM works");
	close(vm);
	close(kvm);
}
