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

static unsigned long spare(struct linux_vm *l)
{
	return shadow_spare(&l->vm.memory) ?: SHRINK_EMPTY;
}

static unsigned long shrink(struct linux_vm *l, struct shrink_control *sc)
{
	return vm_shrink(&l->vm, min_t(unsigned long, sc->nr_to_scan, U32_MAX)) ?: SHRINK_STOP;
}

/* A table costs a fault for each of its entries that is still wanted: not as readily as files' pages. */
#define SEEKS (2 * DEFAULT_SEEKS)
#define BATCH 64

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)

static unsigned long count_objects(struct shrinker *s, struct shrink_control *sc)
{
	return spare(s->private_data);
}

static unsigned long scan_objects(struct shrinker *s, struct shrink_control *sc)
{
	return shrink(s->private_data, sc);
}

int linux_shrink_begin(struct linux_vm *l)
{
	if (!l->vm.shadow)
		return 0;
	l->shrinker = shrinker_alloc(0, "fermata-shadow");
	if (!l->shrinker)
		return -ENOMEM;
	l->shrinker->count_objects = count_objects;
	l->shrinker->scan_objects = scan_objects;
	l->shrinker->seeks = SEEKS;
	l->shrinker->batch = BATCH;
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

struct vm_shrinker {
	struct shrinker shrinker;
	struct linux_vm *vm;
};

static struct linux_vm *vm_of(struct shrinker *s)
{
	return container_of(s, struct vm_shrinker, shrinker)->vm;
}

static unsigned long count_objects(struct shrinker *s, struct shrink_control *sc)
{
	return spare(vm_of(s));
}

static unsigned long scan_objects(struct shrinker *s, struct shrink_control *sc)
{
	return shrink(vm_of(s), sc);
}

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
	own->shrinker.count_objects = count_objects;
	own->shrinker.scan_objects = scan_objects;
	own->shrinker.seeks = SEEKS;
	own->shrinker.batch = BATCH;
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
