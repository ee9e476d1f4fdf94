/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Where shadow pages come from and go to: free ones, those in use, those in limbo until a flush is paid, and
 * bare ones, whose memory was given back to the host while their index stays.
 */
#include "memory/shadow/internal.h"

/* At most this many: 2 % of the guest's memory as tables, each of which comes with as much again twice. */
static u32 page_limit(struct shadow *sh)
{
	const struct slots *slots = sh->memory->slots;
	u64 pages = 0;

	if (sh->max_pages)
		return sh->max_pages;
	for (u32 i = 0; i < slots->count; i++)
		pages += slots->slot[i].size >> 12;
	return min(max(pages / 50, (u64)SHADOW_PAGES_MIN), (u64)SHADOW_PAGES);
}

/* Tables that there are, free ones and those in limbo included. */
u32 shadow_held(const struct shadow *sh)
{
	return READ_ONCE(sh->total) - READ_ONCE(sh->bare_count);
}

static void page_strip(struct shadow_page *sp)
{
	if (sp->table)
		host_page_free(sp->table);
	if (sp->link)
		host_page_free(sp->link);
	if (sp->origin)
		host_page_free(sp->origin);
	sp->table = NULL;
	sp->link = NULL;
	sp->origin = NULL;
}

static bool page_dress(struct shadow_page *sp)
{
	sp->table = host_page_alloc();
	sp->link = host_page_alloc();
	sp->origin = host_page_alloc();
	if (sp->table && sp->link && sp->origin)
		return true;
	page_strip(sp);
	return false;
}

/* Under lock: one whose memory was given back keeps its index. */
static struct shadow_page *bare_take(struct shadow *sh)
{
	struct shadow_page *sp = sh->bare ? sh->page[sh->bare] : NULL;

	if (sp)
		sh->bare = sp->next;
	return sp;
}

static void bare_put(struct shadow *sh, struct shadow_page *sp)
{
	sp->next = sh->bare;
	sh->bare = sp->index;
}

/* Under lock. False: there are enough. */
static bool page_add(struct shadow *sh, struct shadow_page *sp)
{
	if (shadow_held(sh) >= page_limit(sh) || (!sp->index && sh->total == SHADOW_PAGES))
		return false;
	if (sp->index) {
		sh->bare_count--;
	} else {
		sp->index = ++sh->total;
		sh->page[sp->index] = sp;
	}
	sp->next = sh->free;
	sh->free = sp->index;
	sh->free_count++;
	return true;
}

/* Under lock, which is given up meanwhile: one page more. -ENOMEM. */
static int page_more(struct shadow *sh)
{
	struct shadow_page *sp = bare_take(sh);
	bool bare = sp, dressed, added = false;

	host_unlock(&sh->memory->lock);
	if (!sp)
		sp = host_alloc(sizeof(*sp));
	dressed = sp && page_dress(sp);
	host_lock(&sh->memory->lock);
	if (dressed)
		added = page_add(sh, sp);
	if (!sp || added)
		return sp ? 0 : -ENOMEM;
	/* No memory, or meanwhile another vCPU's thread has brought enough. */
	host_unlock(&sh->memory->lock);
	page_strip(sp);
	if (!bare)
		host_free(sp);
	host_lock(&sh->memory->lock);
	if (bare)
		bare_put(sh, sp);
	return dressed ? 0 : -ENOMEM;
}

/*
 * Shadows that nothing used since the hand came by last; they wait in limbo for the flush. The lock is given
 * up in between.
 */
static void reclaim(struct shadow *sh, u32 want, u32 steps)
{
	u64 since = sh->work;

	for (; steps && sh->limbo_count < want; steps--) {
		struct shadow_page *sp;

		host_steps(1);
		sh->work++;
		shadow_breathe(sh, &since);
		sh->hand = sh->hand % sh->total + 1;
		sp = sh->page[sh->hand];
		if (!sp->listed || sp->pins)
			continue;
		if (sp->recent) {
			sp->recent = false;
			continue;
		}
		shadow_zap(sh, sp);
		sh->stats.reclaimed++;
	}
}

int shadow_refill(struct guest_memory *memory, struct flush *owed)
{
	struct shadow *sh = shadow_of(memory);
	int err = 0;

	*owed = (struct flush){ 0 };
	if (READ_ONCE(sh->free_count) >= SHADOW_RESERVE)
		return 0;
	host_lock(&memory->lock);
	while (sh->free_count < SHADOW_FILL && shadow_held(sh) < page_limit(sh) && !err)
		err = page_more(sh);
	if (sh->free_count < SHADOW_RESERVE && sh->total) {
		if (sh->limbo_count < SHADOW_RESERVE)
			reclaim(sh, SHADOW_FILL, 2 * sh->total);
		if (sh->limbo_count)
			*owed = guest_memory_owe(memory, (struct flush){ .kinds = FLUSH_LINEAR });
		if (sh->limbo_count >= SHADOW_RESERVE)
			err = 0;
	} else if (sh->free_count >= SHADOW_RESERVE) {
		err = 0;
	}
	host_unlock(&memory->lock);
	return err;
}

/* ---- the host is short of memory */

void shadow_retire(struct guest_memory *memory, u32 want, struct flush *owed)
{
	struct shadow *sh = shadow_of(memory);

	host_lock(&memory->lock);
	reclaim(sh, sh->limbo_count + want, sh->total);
	*owed = guest_memory_owe(memory, (struct flush){ .kinds = sh->limbo_count ? FLUSH_LINEAR :
										    FLUSH_NONE });
	host_unlock(&memory->lock);
}

/* A list through the first words of pages that nobody walks any more. */
static void chain(void **list, void *page)
{
	*(void **)page = *list;
	*list = page;
}

u32 shadow_release(struct guest_memory *memory, u32 want)
{
	struct shadow *sh = shadow_of(memory);
	void *list = NULL;
	u32 count = 0;

	host_lock(&memory->lock);
	for (; count < want && sh->free_count > SHADOW_RESERVE; count++) {
		struct shadow_page *sp = sh->page[sh->free];

		host_steps(1);
		sh->free = sp->next;
		sh->free_count--;
		chain(&list, sp->table);
		chain(&list, sp->link);
		chain(&list, sp->origin);
		sp->table = NULL;
		sp->link = NULL;
		sp->origin = NULL;
		sh->bare_count++;
		bare_put(sh, sp);
	}
	sh->stats.released += count;
	host_unlock(&memory->lock);
	while (list) {
		void *page = list;

		list = *(void **)page;
		host_page_free(page);
	}
	return count;
}

u32 shadow_spare(const struct guest_memory *memory)
{
	u32 count = shadow_held(shadow_of(memory));

	return count > SHADOW_RESERVE ? count - SHADOW_RESERVE : 0;
}

/* ---- life */

void shadow_supply_end(struct shadow *sh)
{
	for (u32 i = 1; i <= sh->total; i++) {
		page_strip(sh->page[i]);
		host_free(sh->page[i]);
	}
}
