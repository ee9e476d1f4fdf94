/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Faults on the way between those who owe a flush and those who pay it: the linker puts these functions
 * in front of the kernel part's own. The instructions that invalidate lose theirs in svm.c,
 * requests and waits in machine.c.
 */
#include "memory/shadow/internal.h"
#include "model.h"

enum tag_news __real_tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag);
void __real_vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause);
void __real_guest_memory_reap(struct guest_memory *memory);
struct flush __real_guest_memory_owe(struct guest_memory *memory, struct flush flush);

enum tag_news __wrap_tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag);
void __wrap_vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause);
void __wrap_guest_memory_reap(struct guest_memory *memory);
struct flush __wrap_guest_memory_owe(struct guest_memory *memory, struct flush flush);

static bool keeps(const struct tag_pool *pool, u32 cpu, const struct tag *tag)
{
	if (!tag->id || tag->id >= pool->end)
		return false; /* never had one */
	switch (mutation.kind) {
	case KEEP_TAG_DROPPED:
		return !tag->generation && tag->cpu == cpu;
	case KEEP_TAG_MOVED:
		return tag->generation && tag->cpu != cpu;
	case KEEP_TAG_EXPIRED:
		return tag->generation && tag->cpu == cpu && tag->generation != pool->generation;
	default:
		return false;
	}
}

enum tag_news __wrap_tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag)
{
	if (!keeps(pool, cpu, tag))
		return __real_tag_get(pool, cpu, tag);
	tag->generation = pool->generation;
	tag->cpu = cpu;
	return TAG_KEPT;
}

void __wrap_vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause)
{
	if (mutation.kind == LOSE_OWN && cause == mutation.cause && kinds == mutation.flush)
		return;
	__real_vcpu_owe(v, kinds, linear, cause);
}

/* Tables wait for all flushes that are under way, not for one. */
void __wrap_guest_memory_reap(struct guest_memory *memory)
{
	u64 *limbo;

	__real_guest_memory_reap(memory);
	if (mutation.kind != EARLY_REAP)
		return;
	host_lock(&memory->lock);
	limbo = radix_reap_take(&memory->radix);
	if (memory->hooks.reaping)
		memory->hooks.reaping(memory);
	host_unlock(&memory->lock);
	radix_reap_free(limbo);
}

/* Tables count as protected before everybody has heard of it. */
static void close_early(struct shadow *sh)
{
	for (u32 i = sh->unsync_count; i-- > 0;)
		if (sh->unsync[i]->closing)
			shadow_unsync_remove(sh, sh->unsync[i]);
}

/* Seen here is what the shadow engine owes, for leaves that can no longer be written to or for tables that go. */
struct flush __wrap_guest_memory_owe(struct guest_memory *memory, struct flush flush)
{
	/* What the host or its owner takes away is owed by others. */
	if (flush.kinds & FLUSH_NESTED)
		return __real_guest_memory_owe(memory, flush);

	bool reclaim = memory->shadow && memory->shadow->free_count < SHADOW_RESERVE;

	if (mutation.kind == LOSE_LOST_WRITE && !reclaim)
		flush.kinds = FLUSH_NONE;
	if (memory->shadow && mutation.kind == LOSE_LOOSE)
		memset(memory->shadow->loose, 0, sizeof(memory->shadow->loose));
	if (memory->shadow && mutation.kind == CLOSE_EARLY)
		close_early(memory->shadow);
	return __real_guest_memory_owe(memory, flush);
}
