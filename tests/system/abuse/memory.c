/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The host takes, moves, shares and copies the memory of a guest that runs. */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "abuse.h"

#define SIZE (8 * MIB)

static struct guest guest;
static uint8_t *data;
static volatile bool stop;

static void give_data(void *at, size_t size)
{
	must(!slot_set(guest.vm, 1, DATA_AT, size, at, 0), "SET_MEMORY");
}

static void start(void)
{
	uint8_t *around = ram_new(SIZE + 2 * MIB);

	data = (uint8_t *)(((uintptr_t)around + 2 * MIB - 1) & ~(2 * MIB - 1));
	madvise(data, SIZE, MADV_HUGEPAGE);
	guest_new(&guest, 2, MODE_LONG);
	count_setup(&guest, 0, SIZE);
	count_setup(&guest, 1, SIZE);
	give_data(data, SIZE);
	count_faults = 0;
}

static void end(void)
{
	guest_end(&guest);
	munmap(data, SIZE);
}

static void *second_vcpu(void *passes)
{
	return (void *)(intptr_t)count_run(&guest, 1, (uintptr_t)passes);
}

static void *run_torment(void *torment)
{
	for (unsigned turn = 0; !stop; turn++)
		((void (*)(unsigned))torment)(turn);
	return NULL;
}

/* Two vCPUs count while `torment` works on the memory: nothing may be lost. */
static void tormented(const char *name, void (*torment)(unsigned turn), unsigned passes)
{
	pthread_t thread, other;
	void *result;
	int mine;

	passes = times(passes);
	stop = false;
	must(!pthread_create(&thread, NULL, run_torment, torment), "pthread_create");
	must(!pthread_create(&other, NULL, second_vcpu, (void *)(uintptr_t)passes),
	     "pthread_create");
	mine = count_run(&guest, 0, passes);
	pthread_join(other, &result);
	stop = true;
	pthread_join(thread, NULL);
	ok(!mine && !result && !count_wrong(data, SIZE, 2 * passes), "%s: two vCPUs count right",
	   name);
	memset(data, 0, SIZE);
}

static void nothing(unsigned turn)
{
	sleep_us(1000);
}

static void pageout(unsigned turn)
{
	madvise(data + below(4) * 2 * MIB, MIB, turn & 1 ? MADV_COLD : MADV_PAGEOUT);
	sleep_us(500);
}

static void protect(unsigned turn)
{
	size_t at = below(SIZE / PAGE) * PAGE;
	size_t size = (1 + below(64)) * PAGE;

	if (size > SIZE - at)
		size = SIZE - at;
	mprotect(data + at, size, below(2) ? PROT_READ : PROT_NONE);
	mprotect(data + at, size, PROT_READ | PROT_WRITE);
	sleep_us(200);
}

static void fork_often(unsigned turn)
{
	int pid = fork();

	if (!pid) {
		/* Its copies make both sides' pages come apart. */
		for (size_t at = 0; at < SIZE; at += 5 * PAGE)
			data[at] = 0xcc;
		_exit(0);
	}
	if (pid > 0)
		status_of(pid);
	sleep_us(1000);
}

static void move(unsigned turn)
{
	static uint8_t *elsewhere;
	size_t at = below(SIZE / MIB) * MIB;

	if (!elsewhere)
		elsewhere = ram_new(MIB);
	/* Away, and back: in between the guest finds nothing there. */
	if (mremap(data + at, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == elsewhere)
		must(mremap(elsewhere, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, data + at) ==
			     data + at,
		     "mremap back");
	elsewhere = mmap(elsewhere, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sleep_us(1000);
}

static void mergeable(unsigned turn)
{
	madvise(data, SIZE, turn & 1 ? MADV_UNMERGEABLE : MADV_MERGEABLE);
	sleep_us(20000);
}

static void split_and_collapse(unsigned turn)
{
	madvise(data, SIZE, turn & 1 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	mprotect(data + below(SIZE / PAGE) * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	sleep_us(1000);
	mprotect(data, SIZE, PROT_READ | PROT_WRITE);
}

static void slots_come_and_go(unsigned turn)
{
	slot_set(guest.vm, 2 + turn % 20, 0, 0, NULL, 0);
	slot_set(guest.vm, 2 + turn % 20, (64 + turn % 20) * MIB, MIB, data, turn & 1);
}

/* ---- what needs the guest to stand still */

static void dropped(void)
{
	must(!count_run(&guest, 0, 3), "count");
	madvise(data, SIZE / 2, MADV_DONTNEED);
	must(!count_run(&guest, 0, 2), "count");
	ok(!count_wrong(data, SIZE / 2, 2) && !count_wrong(data + SIZE / 2, SIZE / 2, 5),
	   "MADV_DONTNEED: the guest sees empty memory, and only there");
	memset(data, 0, SIZE);
}

static void huge_pages(void)
{
	static struct fermata_stats stats;
	uint64_t large;

	must(!count_run(&guest, 0, 1), "count");
	must(!ioctl(guest.vcpu[0], FERMATA_GET_STATS, &stats), "GET_STATS");
	large = stats.large_mappings;
	ok(large >= SIZE / (2 * MIB), "huge pages are mapped as such: %llu",
	   (unsigned long long)large);
	munmap(data + PAGE, PAGE);
	must(mmap(data + PAGE, PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == data + PAGE,
	     "mmap");
	must(!count_run(&guest, 0, 1), "count");
	ok(!count_wrong(data, PAGE, 2) && !count_wrong(data + PAGE, PAGE, 1) &&
		   !count_wrong(data + 2 * PAGE, SIZE - 2 * PAGE, 2),
	   "a page in the middle of a huge one replaced");
	memset(data, 0, SIZE);
}

static void forked_copy(void)
{
	int pid, status, go[2];
	char byte = 0;

	must(!count_run(&guest, 0, 3), "count");
	must(!pipe(go), "pipe");
	pid = fork();
	if (!pid) {
		bool same;

		same = read(go[0], &byte, 1) == 1 && !count_wrong(data, SIZE, 3);
		memset(data, 0xff, SIZE);
		_exit(!same);
	}
	must(!count_run(&guest, 0, 4), "count");
	must(write(go[1], &byte, 1) == 1, "write");
	status = status_of(pid);
	ok(!status, "a child keeps its copy while the parent's guest goes on");
	must(!count_run(&guest, 0, 1), "count");
	ok(!count_wrong(data, SIZE, 8), "and the parent's guest sees nothing of the child's");
	close(go[0]);
	close(go[1]);
	memset(data, 0, SIZE);
}

static void written_from_outside(void)
{
	int pid, status;

	must(!count_run(&guest, 0, 1), "count");
	pid = fork();
	if (!pid) {
		uint64_t value = 1000;
		bool good = true;

		for (size_t at = 0; at < SIZE; at += PAGE) {
			struct iovec from = { &value, sizeof(value) },
				     to = { data + at, sizeof(value) };

			good &= process_vm_writev(getppid(), &from, 1, &to, 1, 0) == sizeof(value);
		}
		if (!good)
			note("process_vm_writev: %s", strerror(errno));
		_exit(!good);
	}
	status = status_of(pid);
	must(!count_run(&guest, 0, 1), "count");
	ok(!status && !count_wrong(data, SIZE, 1001), "process_vm_writev reaches the guest");
	memset(data, 0, SIZE);
}

/* One piece of memory in two VMs of the process, at two addresses of a file. */
static void shared_by_two(int flags, const char *name)
{
	int file = memfd_create("abuse", MFD_CLOEXEC | flags);
	size_t size = 4 * MIB;
	struct guest other;
	uint8_t *one, *two;
	int error;

	if (file < 0 || ftruncate(file, size)) {
		ok(false, "%s: memfd: %s", name, strerror(errno));
		return;
	}
	one = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	two = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (!ok(one != MAP_FAILED && two != MAP_FAILED, "%s: mapped", name))
		return;
	slot_set(guest.vm, 1, 0, 0, NULL, 0);
	give_data(one, size);
	guest_new(&other, 1, MODE_LONG);
	count_setup(&guest, 0, size);
	count_setup(&other, 0, size);
	must(!slot_set(other.vm, 1, DATA_AT, size, two, 0), "SET_MEMORY");
	error = count_run(&guest, 0, 3) | count_run(&other, 0, 4) | count_run(&guest, 0, 5);
	ok(!error && !count_wrong(one, size, 12), "%s: two VMs count in the same memory", name);
	error = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size / 2);
	error |= count_run(&guest, 0, 1) | count_run(&other, 0, 1);
	ok(!error && !count_wrong(two, size / 2, 2) && !count_wrong(one + size / 2, size / 2, 14),
	   "%s: and both see a hole", name);
	slot_set(guest.vm, 1, 0, 0, NULL, 0);
	give_data(data, SIZE);
	count_setup(&guest, 0, SIZE);
	guest_end(&other);
	munmap(one, size);
	munmap(two, size);
	close(file);
}

/* All pages alike, and merged into one: the guest's writes take them apart again. */
static void merged(void)
{
	long pages = 0;

	madvise(data, SIZE, MADV_MERGEABLE);
	for (unsigned i = 0; i < 200 && pages < 100; i++) {
		sleep_us(100000);
		pages = read_number("/sys/kernel/mm/ksm/pages_sharing", "");
	}
	ok(pages >= 100, "KSM merged %ld pages", pages);
	must(!count_run(&guest, 0, 2), "count");
	ok(!count_wrong(data, SIZE, 2), "the guest's writes to merged pages stay apart");
	memset(data, 0, SIZE);
}

/* The owner waits for a page that a userfaultfd never brings: a signal must end it. */
static void never_comes(void)
{
	int pid = fork(), status;

	if (!pid) {
		struct uffdio_api api = { .api = UFFD_API };
		struct uffdio_register range = { { 0, PAGE }, UFFDIO_REGISTER_MODE_MISSING, 0 };
		uint8_t *page = ram_new(PAGE);
		int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		struct guest g;

		range.range.start = (uintptr_t)page;
		if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
			_exit(1);
		guest_new(&g, 1, MODE_LONG);
		count_setup(&g, 0, PAGE);
		slot_set(g.vm, 1, DATA_AT, PAGE, page, 0);
		ioctl(g.vcpu[0], FERMATA_RUN, 0);
		_exit(2);
	}
	sleep_us(300000);
	if (!ok(!waitpid(pid, &status, WNOHANG), "a page that never comes: the guest waits"))
		return;
	kill(pid, SIGKILL);
	status = status_of(pid);
	ok(WIFSIGNALED(status), "and its process can be killed");
}

/*
 * Memory that the kernel has no address for (memfd_secret()): a guest does not get it, neither as its data nor as
 * the page tables that shadow paging reads in the kernel. Without secretmem.enable=1 Linux before 6.5 has none.
 */
static void secret_memory(unsigned flags, const char *paging)
{
	int fd = syscall(SYS_memfd_secret, 0);
	uint8_t *at;

	if (fd < 0) {
		note("skipped: memfd_secret: %s", strerror(errno));
		return;
	}
	must(!ftruncate(fd, 2 * MIB), "ftruncate");
	at = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(at != MAP_FAILED, "secret memory");
	vm_flags = flags;
	guest_new(&guest, 1, MODE_LONG);
	vm_flags = 0;
	count_setup(&guest, 0, PAGE);
	at[0] = 1;
	must(!slot_set(guest.vm, 1, DATA_AT, PAGE, at, 0), "SET_MEMORY");
	gives(ioctl(guest.vcpu[0], FERMATA_RUN, 0), 0, "RUN on secret memory, %s", paging);
	ok(guest.page[0]->exit.reason == FERMATA_EXIT_MEMORY_FAULT &&
		   guest.page[0]->exit.mmio.gpa >> 12 == DATA_AT >> 12,
	   "it is not the guest's: %s", exit_name(guest.page[0]->exit.reason));
	memcpy(at, guest.low, 2 * MIB);
	must(!slot_set(guest.vm, 0, 0, 0, NULL, 0), "SET_MEMORY");
	must(!slot_set(guest.vm, 0, 0, 2 * MIB, at, 0), "SET_MEMORY");
	gives(ioctl(guest.vcpu[0], FERMATA_RUN, 0), 0, "RUN with secret page tables, %s", paging);
	ok(guest.page[0]->exit.reason == FERMATA_EXIT_MEMORY_FAULT, "they are nobody's to walk: %s",
	   exit_name(guest.page[0]->exit.reason));
	guest_end(&guest);
	munmap(at, 2 * MIB);
	close(fd);
}

void abuse_memory(void)
{
	ticks(0);
	secret_memory(0, "nested paging");
	secret_memory(FERMATA_VM_SHADOW, "shadow paging");
	ticks(50000);
	start();
	huge_pages();
	dropped();
	forked_copy();
	written_from_outside();
	shared_by_two(0, "memfd");
	/* The kernel stops looking for huge pages when a signal comes; it has those it found. */
	for (int try = 0; try < 100 && read_number("/proc/sys/vm/nr_hugepages", "") < 8; try++)
		write_file("/proc/sys/vm/nr_hugepages", "8");
	shared_by_two(MFD_HUGETLB, "hugetlbfs");
	write_file("/proc/sys/vm/nr_hugepages", "0");
	tormented("undisturbed", nothing, 20);
	tormented("mprotect", protect, 100);
	tormented("fork", fork_often, 60);
	tormented("mremap", move, 60);
	tormented("split and collapse", split_and_collapse, 200);
	tormented("other slots come and go", slots_come_and_go, 100);
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "5000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	ok(write_file("/sys/kernel/mm/ksm/run", "1"), "KSM runs");
	tormented("KSM", mergeable, 400);
	merged();
	write_file("/sys/kernel/mm/ksm/run", "2");
	/* With one processor nothing happens beside the guest. */
	ok(count_faults || sysconf(_SC_NPROCESSORS_ONLN) == 1,
	   "in all this the guest met memory that was not there %u times", count_faults);
	end();
	never_comes();
}

void abuse_swap(void)
{
	long before = read_number("/proc/vmstat", "pswpout ");

	ticks(50000);
	start();
	tormented("swap", pageout, 100);
	ok(read_number("/proc/vmstat", "pswpout ") > before, "pages were swapped out: %ld",
	   read_number("/proc/vmstat", "pswpout ") - before);
	end();
}
