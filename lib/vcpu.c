// SPDX-License-Identifier: MIT OR GPL-2.0
/* A vCPU: its run page, the run call and the kick that ends it, its state. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define PAGE 4096u

/* Documented in libfermata(3): an application that installs its own handler keeps it. */
#define KICK_SIGNAL (SIGRTMIN + 7)

static pthread_once_t kick_once = PTHREAD_ONCE_INIT;

static void kick_handler(int sig)
{
}

/* Without SA_RESTART: the point is that the ioctl returns. */
static void kick_install(void)
{
	struct sigaction old, action = { .sa_handler = kick_handler };

	if (!sigaction(KICK_SIGNAL, NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
	    old.sa_handler == SIG_DFL)
		sigaction(KICK_SIGNAL, &action, NULL);
}

static _Thread_local pid_t tid_of_thread;

static __attribute__((noinline, cold)) pid_t ask_thread_id(void)
{
	return tid_of_thread = (pid_t)syscall(SYS_gettid);
}

static inline pid_t thread_id(void)
{
	pid_t tid = tid_of_thread;

	return tid ? tid : ask_thread_id();
}

fermata_vcpu *fermata_vcpu_new(fermata_vm *vm, unsigned id)
{
	struct fermata_vcpu_config config = { .id = id };
	fermata_vcpu *vcpu;
	void *page;
	int err;

	if (id >= FERMATA_MAX_VCPUS) {
		fermata_fail(EINVAL, "vCPU %u: there can be %u, the first is 0", id,
			     FERMATA_MAX_VCPUS);
		return NULL;
	}
	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu) {
		fermata_fail(ENOMEM, "no memory for a vCPU");
		return NULL;
	}
	pthread_once(&kick_once, kick_install);
	vcpu->vm = vm;
	vcpu->id = id;
	pthread_rwlock_wrlock(&vm->lock);
	if (vm->vcpu[id]) {
		err = EEXIST;
		fermata_fail(err, "the VM has a vCPU %u already", id);
		goto unlock;
	}
	vcpu->fd = ioctl(vm->fd, FERMATA_CREATE_VCPU, &config);
	if (vcpu->fd < 0) {
		err = errno;
		fermata_fail(err, "the kernel refused vCPU %u: %s", id, strerror(err));
		goto unlock;
	}
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (page == MAP_FAILED) {
		err = errno;
		fermata_fail(err, "cannot map the run page of vCPU %u: %s", id, strerror(err));
		close(vcpu->fd);
		goto unlock;
	}
	vcpu->run = page;
	vm->vcpu[id] = vcpu;
	pthread_rwlock_unlock(&vm->lock);
	return vcpu;

unlock:
	pthread_rwlock_unlock(&vm->lock);
	free(vcpu);
	errno = err;
	return NULL;
}

void fermata_vcpu_free(fermata_vcpu *vcpu)
{
	if (!vcpu)
		return;
	pthread_rwlock_wrlock(&vcpu->vm->lock);
	vcpu->vm->vcpu[vcpu->id] = NULL;
	pthread_rwlock_unlock(&vcpu->vm->lock);
	fermata_log_unmap(vcpu);
	munmap(vcpu->run, PAGE);
	close(vcpu->fd);
	free(vcpu);
}

struct fermata_run *fermata_vcpu_page(fermata_vcpu *vcpu)
{
	return vcpu->run;
}

/* A blocked signal would not wake the ioctl: once per thread that takes this vCPU, let it through. */
static __attribute__((noinline, cold)) void prepare_thread(fermata_vcpu *vcpu, pid_t tid)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	vcpu->prepared = tid;
}

static __attribute__((noinline, cold)) int run_failed(fermata_vcpu *vcpu, int err)
{
	switch (err) {
	case EINTR:
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		return fermata_fail(EINTR, "vCPU %u was interrupted by a signal or a kick",
				    vcpu->id);
	case EBUSY:
		return fermata_fail(err, "vCPU %u is being run by another thread", vcpu->id);
	case EIO:
		return fermata_fail(err, "vCPU %u is dead: it runs no more", vcpu->id);
	case EPERM:
		return fermata_fail(err,
				    "vCPU %u belongs to another process: a VM does not survive fork()",
				    vcpu->id);
	default:
		return fermata_fail(err, "cannot run vCPU %u: %s", vcpu->id, strerror(err));
	}
}

/*
 * No kick is lost: it first sets immediate_exit, which the kernel looks at after this thread has
 * become visible in ->running. Either it sees the flag, or the kick sees the thread and signals it.
 */
int fermata_run(fermata_vcpu *vcpu)
{
	pid_t tid = thread_id();
	long result;

	if (vcpu->prepared != tid)
		prepare_thread(vcpu, tid);
	atomic_store(&vcpu->running, tid);
	result = fermata_enter(vcpu->fd);
	atomic_store(&vcpu->running, 0);
	return result ? run_failed(vcpu, -result) : 0;
}

void fermata_kick(fermata_vcpu *vcpu)
{
	int saved = errno;
	pid_t tid;

	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = atomic_load(&vcpu->running);
	if (tid)
		syscall(SYS_tgkill, getpid(), tid, KICK_SIGNAL);
	errno = saved;
}

int fermata_state_get(fermata_vcpu *vcpu, struct fermata_state *state, uint32_t mask)
{
	state->mask = mask;
	state->reserved = 0;
	if (ioctl(vcpu->fd, FERMATA_GET_STATE, state)) {
		int err = errno;

		return fermata_fail(err, "cannot read the state of vCPU %u (mask %#x): %s",
				    vcpu->id, mask, strerror(err));
	}
	return 0;
}

int fermata_state_set(fermata_vcpu *vcpu, const struct fermata_state *state, uint32_t mask)
{
	struct fermata_state copy;

	if (state->mask != mask || state->reserved) {
		copy = *state;
		copy.mask = mask;
		copy.reserved = 0;
		state = &copy;
	}
	if (ioctl(vcpu->fd, FERMATA_SET_STATE, state)) {
		int err = errno;

		return fermata_fail(err, "vCPU %u does not take this state (mask %#x): %s",
				    vcpu->id, mask, strerror(err));
	}
	return 0;
}

int fermata_inject(fermata_vcpu *vcpu, const struct fermata_injection *injection)
{
	if (ioctl(vcpu->fd, FERMATA_INJECT, injection)) {
		int err = errno;

		return fermata_fail(err,
				    "vCPU %u does not take an injection of kind %u, vector %u: %s",
				    vcpu->id, injection->kind, injection->vector, strerror(err));
	}
	return 0;
}

int fermata_translate(fermata_vcpu *vcpu, struct fermata_translate *t)
{
	t->fault = 0;
	if (ioctl(vcpu->fd, FERMATA_TRANSLATE, t) && !(errno == EFAULT && t->fault)) {
		int err = errno;

		/* -EFAULT is the guest's own fault and nothing else */
		return fermata_fail(err == EFAULT ? EIO : err,
				    "cannot translate %#llx on vCPU %u: %s",
				    (unsigned long long)t->linear, vcpu->id, strerror(err));
	}
	if (t->fault)
		return fermata_fail(EFAULT,
				    "the guest's page tables do not allow the access to %#llx"
				    " (#PF code %#x)",
				    (unsigned long long)t->linear, t->code);
	return 0;
}

int fermata_audit(fermata_vcpu *vcpu, struct fermata_audit *audit)
{
	if (ioctl(vcpu->fd, FERMATA_GET_AUDIT, audit)) {
		int err = errno;

		return fermata_fail(err, "cannot read the audit of vCPU %u: %s", vcpu->id,
				    strerror(err));
	}
	return 0;
}

int fermata_stats(fermata_vcpu *vcpu, struct fermata_stats *stats)
{
	if (ioctl(vcpu->fd, FERMATA_GET_STATS, stats)) {
		int err = errno;

		return fermata_fail(err, "cannot read the statistics of vCPU %u: %s", vcpu->id,
				    strerror(err));
	}
	return 0;
}
