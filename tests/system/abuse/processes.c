/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Descriptors in other processes, and the owner's sudden death. */
#include <sys/socket.h>

#include "abuse.h"

static const unsigned long vm_calls[] = { FERMATA_SET_MEMORY, FERMATA_SET_CPUID, FERMATA_CREATE_VCPU,
					  FERMATA_SIGNAL_MSI, FERMATA_SET_LINE };
static const unsigned long vcpu_calls[] = { FERMATA_RUN,    FERMATA_GET_STATE, FERMATA_SET_STATE,
					    FERMATA_INJECT, FERMATA_TRANSLATE, FERMATA_GET_STATS };

/* How many calls from here are answered otherwise than EPERM. */
static unsigned not_refused(int vm, int vcpu)
{
	static char room[1 << 14];
	unsigned other = 0;

	for (size_t i = 0; i < ARRAY_SIZE(vm_calls); i++)
		other += ioctl(vm, vm_calls[i], room) != -1 || errno != EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(vcpu_calls); i++)
		other += ioctl(vcpu, vcpu_calls[i], vcpu_calls[i] == FERMATA_RUN ? NULL : room) !=
				 -1 ||
			 errno != EPERM;
	return other;
}

static void children(void)
{
	struct guest g;
	int pid;

	guest_new(&g, 1, MODE_LONG);
	count_setup(&g, 0, PAGE);
	pid = fork();
	if (!pid)
		_exit(not_refused(g.vm, g.vcpu[0]));
	ok(!status_of(pid), "a child's calls are refused: EPERM");
	must(!ioctl(g.vcpu[0], FERMATA_RUN, 0), "RUN");
	ok(g.page[0]->exit.reason == FERMATA_EXIT_MMIO, "the parent's are not");
	guest_end(&g);
}

/* Over a socket, to a process with nothing in common but the descriptors, which outlives the owner. */
static void passed_on(void)
{
	struct guest g;
	int pair[2], owner, fds[2], status;
	char control[CMSG_SPACE(sizeof(fds))] __attribute__((aligned(8)));
	char byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *head;

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	owner = fork();
	if (!owner) {
		guest_new(&g, 1, MODE_LONG);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(head), (int[]){ g.vm, g.vcpu[0] }, sizeof(fds));
		_exit(sendmsg(pair[0], &message, 0) != 1 || read(pair[0], &byte, 1) != 1);
	}
	must(recvmsg(pair[1], &message, 0) == 1, "recvmsg");
	head = CMSG_FIRSTHDR(&message);
	must(head && head->cmsg_type == SCM_RIGHTS, "descriptors");
	memcpy(fds, CMSG_DATA(head), sizeof(fds));
	ok(!not_refused(fds[0], fds[1]), "calls on descriptors from a socket are refused: EPERM");
	must(write(pair[1], &byte, 1) == 1, "write");
	status = status_of(owner);
	ok(!status, "the owner ends");
	ok(!not_refused(fds[0], fds[1]), "and still nobody else may");
	close(fds[1]);
	close(fds[0]);
	close(pair[0]);
	close(pair[1]);
}

static void *exec_me(void *argv)
{
	execv("/proc/self/exe", argv);
	return NULL;
}

static void exec_under_it(void)
{
	struct guest g;
	int pid = fork();

	if (!pid) {
		static char vm[12];
		static char *argv[] = { "abuse", "fds", vm, NULL };
		pthread_t thread;

		guest_new(&g, 1, MODE_LONG);
		memcpy(g.low + CODE_AT, (uint8_t[]){ 0xeb, 0xfe }, 2);
		snprintf(vm, sizeof(vm), "%d", g.vm);
		pthread_create(&thread, NULL, exec_me, argv);
		for (;;)
			ioctl(g.vcpu[0], FERMATA_RUN, 0);
	}
	ok(!status_of(pid),
	   "exec() by another thread while the guest runs: its descriptors are closed");
	pid = fork();
	if (!pid) {
		/* vfork(): the same memory, so the same owner. */
		int child, status;

		guest_new(&g, 1, MODE_LONG);
		count_setup(&g, 0, PAGE);
		child = vfork();
		if (!child)
			_exit(ioctl(g.vcpu[0], FERMATA_RUN, 0) ? 1 : 0);
		status = status_of(child);
		_exit(status || g.page[0]->exit.reason != FERMATA_EXIT_MMIO);
	}
	ok(!status_of(pid), "a vfork() child has its parent's memory, and may");
}

void abuse_processes(void)
{
	children();
	passed_on();
	exec_under_it();
}

/* ---- killed at any moment */

static struct guest victim;

static void *victim_vcpu(void *n)
{
	unsigned i = (uintptr_t)n;

	for (;;) {
		if (count_run(&victim, i, 1000))
			_exit(1);
	}
	return NULL;
}

/* Never returns. */
static void be_victim(unsigned vcpus)
{
	size_t size = 4 * MIB;
	uint8_t *data = ram_new(size);
	pthread_t thread;

	if (below(2))
		madvise(data, size, MADV_HUGEPAGE);
	guest_new(&victim, vcpus, MODE_LONG);
	must(!slot_set(victim.vm, 1, DATA_AT, size, data, 0), "SET_MEMORY");
	for (uintptr_t i = 0; i < vcpus; i++)
		count_setup(&victim, i, size);
	for (uintptr_t i = 1; i < vcpus; i++)
		pthread_create(&thread, NULL, victim_vcpu, (void *)i);
	for (;;) {
		count_run(&victim, 0, 1 + below(5));
		/* Death may also meet memory on its way out. */
		madvise(data + below(size / MIB) * MIB, MIB, MADV_DONTNEED);
	}
}

static int victim_new(unsigned vcpus)
{
	int pid = fork();

	must(pid >= 0, "fork");
	if (pid)
		return pid;
	chance_seed += getpid();
	be_victim(vcpus);
	_exit(1);
}

void abuse_kill(void)
{
	unsigned killed = 0, waves = times(12), count = times(100);
	int pid[8], status;

	for (unsigned i = 0; i < count; i++) {
		pid[0] = victim_new(1 + i % 3);
		sleep_us(below(i % 4 ? 60000 : 5000));
		kill(pid[0], SIGKILL);
		status = status_of(pid[0]);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	ok(killed == count, "%u of %u VMs killed while they ran", killed, count);
	killed = 0;
	for (unsigned i = 0; i < waves; i++) {
		for (unsigned n = 0; n < 8; n++)
			pid[n] = victim_new(1 + n % 2);
		sleep_us(200000 + below(300000));
		for (unsigned n = 0; n < 8; n++)
			kill(pid[n], SIGKILL);
		for (unsigned n = 0; n < 8; n++) {
			status = status_of(pid[n]);
			killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		}
	}
	ok(killed == 8 * waves, "%u of %u, eight at a time", killed, 8 * waves);
}

/* Runs two VMs until something else ends the machine. */
void abuse_forever(void)
{
	victim_new(2);
	victim_new(1);
	sleep_us(500000);
	ok(!waitpid(-1, NULL, WNOHANG), "two VMs are running");
}
