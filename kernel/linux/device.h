/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of kernel/linux share. */
#ifndef LINUX_DEVICE_H
#define LINUX_DEVICE_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>

#include "core/vcpu.h"

struct xsave_area {
	u8 area[FERMATA_XSAVE_SIZE];
} __aligned(64);

struct host_thread {
	struct xsave_area *xsave;
	struct rcuwait wait;
	unsigned long switches; /* of the thread, when it was last in guest context */
	bool l1d_stale;		/* something else than the guest has run since */
	bool others;		/* another thread has */
	bool splits_locks; /* its guest does, and detection is off in its stays: intrusions.c */
	u64 test_ctrl;	   /* then: what the CPU's MSR held at the begin of the stay */
	u32 host_tsc_aux;  /* what RDTSCP tells the host on this CPU, while a guest's value is in */
};

/* A VM and everything it owns; it lives until its descriptor and all its vCPUs' are closed. */
struct linux_vm {
	struct vm vm;
	struct kref refs;
	struct list_head all; /* sleep.c's */
	struct mutex lock;    /* memory slots, vCPU creation, CPUID, rules */
	struct mm_struct *mm; /* the owner's; compared, and kept by the notifier */
	struct mmu_notifier notifier;
	struct shrinker *shrinker; /* of a VM under shadow paging */
	struct page *clock_page;
	struct file *kvm; /* FERMATA_VM_BESIDE */
	struct linux_vcpu *vcpu[FERMATA_MAX_VCPUS];
};

struct linux_vcpu {
	struct vcpu vcpu;
	struct linux_vm *owner;
	struct mutex lock; /* one thread at a time; others get EBUSY */
	struct host_thread thread;
	struct page *run_page;
	struct fermata_ring *ring; /* the log's; NULL: nobody has asked for it */
};

/* hardware.c */
extern const struct backend *hardware_backend;
int hardware_init(void);
void hardware_exit(void);
/*
 * Virtualization is on, on all CPUs, until hardware_put(). beside: because KVM has switched it on, as the caller sees
 * to. -EBUSY: that is not so, or users that there are have it the other way.
 */
int hardware_get(bool beside);
void hardware_put(void);
void hardware_caps(struct fermata_caps *caps);

/* crash.c: what switches virtualization off on a CPU when the host crashes; NULL: there are no VMs */
void crash_init(void);
void crash_exit(void);
void crash_guard(void (*cpu_emergency)(void));
bool module_is_loaded(const char *name);

/* mitigations.c: interrupts are off */
void mitigations_cpu_on(void);
void mitigations_cpu_off(void);
int mitigations_get(struct fermata_flaw *flaw); /* by its index; -ERANGE */

/* intrusions.c: around a CPU's switching on and off, with interrupts off */
void intrusions_before_on(void);
void intrusions_on(void);
void intrusions_before_off(void);
void intrusions_off(void);
/* ... and in guest context */
void guest_split_locks_begin(struct host_thread *thread);
void guest_split_locks_end(struct host_thread *thread);

/* cr4.c: of this CPU's CR4; interrupts are off */
int cr4_init(void);
void cr4_exit(void);
void cr4_change(u64 set, u64 clear);
/* ... while there are VMs, which on some kernels excludes KVM's module; -EBUSY: it is there */
int cr4_begin(u32 vendor);
void cr4_end(void);
bool cr4_is_kvms(void);

/* beside.c: a VM of KVM's, by its descriptor; -EBADF: there is none, -EINVAL: it is something else */
struct file *beside_get(int fd);
void beside_put(struct file *file);

/* guest.c */
int guest_fpu_setup(void);
u64 guest_xcr0_offered(void);
void guest_l1d_setup(void);
bool guest_l1d_flushes(void);
void guest_fpu_reset(struct host_thread *thread);

/* vm.c */
int linux_vm_create(const struct fermata_vm_config *config);
/* sleep.c: between the first two there is a VM whose clock the third one is to see to */
void sleep_begin(struct linux_vm *vm);
void sleep_end(struct linux_vm *vm);
void sleep_over(u64 then); /* the host's TSC, as it was before the computer slept */
/* shrink.c: of VMs under shadow paging; others have nothing to give */
int linux_shrink_begin(struct linux_vm *vm);
void linux_shrink_end(struct linux_vm *vm);
/* vcpu.c */
int linux_vcpu_create(struct linux_vm *vm, u32 id);
/* life.c */
void linux_vm_put(struct linux_vm *vm);
void linux_vcpu_free(struct linux_vcpu *vcpu); /* vcpu_destroy() has been called, or vcpu_init() not */
/* memory.c: one page of the kernel's, shared with user space */
int linux_mmap_page(struct vm_area_struct *vma, struct page *page, bool writable);

/* Copies an ioctl's argument in once; -EFAULT. */
#define GET_ARG(variable, arg) (copy_from_user(&(variable), (arg), sizeof(variable)) ? -EFAULT : 0)
#define PUT_ARG(variable, arg) (copy_to_user((arg), &(variable), sizeof(variable)) ? -EFAULT : 0)

#endif
