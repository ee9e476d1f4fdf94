/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/tags.h"

void tag_pool_init(struct tag_pool *pool, u32 count)
{
	/* A vCPU's tag from before names an older generation, even if this CPU was off since. */
	pool->generation++;
	pool->first = 1;
	pool->next = pool->first;
	pool->count = max(count, 2u);
	pool->flush_all = true;
}

bool tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag)
{
	if (likely(tag->generation == pool->generation && tag->cpu == cpu))
		return false;
	if (pool->next == pool->count) {
		pool->generation++;
		pool->next = pool->first;
		pool->flush_all = true;
		pool->rollovers++;
	}
	tag->generation = pool->generation;
	tag->cpu = cpu;
	tag->id = pool->next++;
	return true;
}
