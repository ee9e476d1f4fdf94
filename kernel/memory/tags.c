/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/tags.h"

/* Every tag given out so far is void. */
static void new_generation(struct tag_pool *pool)
{
	pool->generation++;
	pool->next = pool->first;
	pool->flush_all = true;
}

void tag_pool_init(struct tag_pool *pool, u32 count, u32 limit, bool shared)
{
	count = max(count, 2u);
	pool->shared = shared;
	pool->first = shared && count > 2 ? 2 : 1;
	pool->end = limit && limit < count - pool->first ? pool->first + limit : count;
	/* A vCPU's tag from before names an older generation, even if this CPU was off since. */
	new_generation(pool);
}

void tag_pool_alone(struct tag_pool *pool, u32 id)
{
	pool->shared = pool->first = id;
	pool->end = id + 1;
	new_generation(pool);
}

enum tag_news tag_get(struct tag_pool *pool, u32 cpu, struct tag *tag)
{
	enum tag_news news;

	if (likely(tag->generation == pool->generation && tag->cpu == cpu))
		return TAG_KEPT;
	news = !tag->generation ? TAG_DROPPED : tag->cpu != cpu ? TAG_MOVED : TAG_EXPIRED;
	if (pool->next == pool->end) {
		new_generation(pool);
		pool->rollovers++;
	}
	tag->generation = pool->generation;
	tag->cpu = cpu;
	tag->id = pool->next++;
	return news;
}

u32 tag_shared(struct tag_pool *pool)
{
	/* Somebody's own tag as well: what this guest leaves there must not be found. */
	if (pool->shared >= pool->first)
		new_generation(pool);
	return pool->shared;
}
