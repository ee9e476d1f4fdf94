// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The host is short of memory: VMs under shadow paging give tables back.
 *
 * Called by whoever wants memory, with whatever locks it holds. Of ours only spinning ones are taken, and
 * nobody wants memory under those; the owner's memory is not touched. Guests are fetched out of guest
 * context, where nothing waits for the caller: a vCPU that has to wait does so outside.
 */
#include "compat.h"
#include "device.h"

static struct linux_vm *vm_of(struct shrinker *s)
{
	return compat_shrinker_data(s);
}

static unsigned long count_objects(struct shrinker *s, struct shrink_control *sc)
{
	return shadow_spare(&vm_of(s)->vm.memory) ?: SHRINK_EMPTY;
}

static unsigned long scan_objects(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long want = min_t(unsigned long, sc->nr_to_scan, U32_MAX);

	return vm_shrink(&vm_of(s)->vm, want) ?: SHRINK_STOP;
}

int linux_shrink_begin(struct linux_vm *l)
{
	static const char name[] = "fermata-shadow";
	struct shrinker *s;
	int err;

	if (!l->vm.config.shadow)
		return 0;
	s = compat_shrinker_alloc(name, l);
	if (!s)
		return -ENOMEM;
	s->count_objects = count_objects;
	s->scan_objects = scan_objects;
	/* A table costs a fault for each of its entries that is still wanted: not as readily as files' pages. */
	s->seeks = 2 * DEFAULT_SEEKS;
	s->batch = 64;
	err = compat_shrinker_register(s, name);
	if (err)
		compat_shrinker_free(s, false);
	else
		l->shrinker = s;
	return err;
}

void linux_shrink_end(struct linux_vm *l)
{
	if (l->shrinker)
		compat_shrinker_free(l->shrinker, true);
}
