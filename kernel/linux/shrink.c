// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The host is short of memory: VMs under shadow paging give tables back.
 *
 * Called by whoever wants memory, with whatever locks it holds. Of ours only spinning ones are taken, and
 * nobody wants memory under those; the owner's memory is not touched. Guests are fetched out of guest
 * context, where nothing waits for the caller: a vCPU that has to wait does so outside.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

#include "device.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)

static struct linux_vm *vm_of(struct shrinker *s)
{
	return s->private_data;
}

#else

struct vm_shrinker {
	struct shrinker shrinker;
	struct linux_vm *vm;
};

static struct linux_vm *vm_of(struct shrinker *s)
{
	return container_of(s, struct vm_shrinker, shrinker)->vm;
}

#endif

static unsigned long count_objects(struct shrinker *s, struct shrink_control *sc)
{
	return shadow_spare(&vm_of(s)->vm.memory) ?: SHRINK_EMPTY;
}

static unsigned long scan_objects(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long want = min_t(unsigned long, sc->nr_to_scan, U32_MAX);

	return vm_shrink(&vm_of(s)->vm, want) ?: SHRINK_STOP;
}

/* A table costs a fault for each of its entries that is still wanted: not as readily as files' pages. */
static void set_up(struct shrinker *s)
{
	s->count_objects = count_objects;
	s->scan_objects = scan_objects;
	s->seeks = 2 * DEFAULT_SEEKS;
	s->batch = 64;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)

int linux_shrink_begin(struct linux_vm *l)
{
	if (!l->vm.config.shadow)
		return 0;
	l->shrinker = shrinker_alloc(0, "fermata-shadow");
	if (!l->shrinker)
		return -ENOMEM;
	set_up(l->shrinker);
	l->shrinker->private_data = l;
	shrinker_register(l->shrinker);
	return 0;
}

void linux_shrink_end(struct linux_vm *l)
{
	if (l->shrinker)
		shrinker_free(l->shrinker);
}

#else

int linux_shrink_begin(struct linux_vm *l)
{
	struct vm_shrinker *own;
	int err;

	if (!l->vm.config.shadow)
		return 0;
	own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	own->vm = l;
	set_up(&own->shrinker);
	err = register_shrinker(&own->shrinker, "fermata-shadow");
	if (err)
		kfree(own);
	else
		l->shrinker = &own->shrinker;
	return err;
}

void linux_shrink_end(struct linux_vm *l)
{
	if (!l->shrinker)
		return;
	unregister_shrinker(l->shrinker);
	kfree(container_of(l->shrinker, struct vm_shrinker, shrinker));
}

#endif
