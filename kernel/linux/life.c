// SPDX-License-Identifier: MIT OR GPL-2.0
/* The end of a VM and its vCPUs: when the last of their descriptors is closed. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "device.h"

void linux_vcpu_free(struct linux_vcpu *l)
{
	if (l->run_page)
		put_page(l->run_page);
	vfree(l->ring);
	kfree(l->thread.xsave);
	kvfree(l);
}

static void destroy(struct kref *refs)
{
	struct linux_vm *l = container_of(refs, struct linux_vm, refs);
	u32 i;

	sleep_end(l);
	linux_shrink_end(l);
	mmu_notifier_unregister(&l->notifier, l->mm);
	for (i = 0; i < FERMATA_MAX_VCPUS; i++) {
		if (!l->vcpu[i])
			continue;
		vcpu_destroy(&l->vcpu[i]->vcpu);
		linux_vcpu_free(l->vcpu[i]);
	}
	vm_destroy(&l->vm);
	put_page(l->clock_page);
	hardware_put();
	beside_put(l->kvm); /* now KVM may switch virtualization off */
	kvfree(l);
}

void linux_vm_put(struct linux_vm *l)
{
	kref_put(&l->refs, destroy);
}
