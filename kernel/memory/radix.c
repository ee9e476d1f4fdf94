/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory/radix.h"

static u64 *entry_of(u64 *table, u64 gpa, u8 level)
{
	return &table[gpa >> (12 + 9 * (level - 1)) & (RADIX_ENTRIES - 1)];
}

static bool is_present(const struct radix_format *format, u64 entry)
{
	return entry & format->present;
}

static bool is_leaf(const struct radix_format *format, u64 entry, u8 level)
{
	return level == 1 || (entry & format->large);
}

static u64 *table_of(const struct radix_format *format, u64 entry)
{
	return host_phys_to_virt(entry & format->address);
}

static u64 make_leaf(const struct radix_format *format, u8 level, u64 phys, u32 access)
{
	u64 entry = phys | format->leaf;

	if (access & RADIX_READ)
		entry |= format->read;
	if (access & RADIX_WRITE)
		entry |= format->write;
	entry |= access & RADIX_EXEC ? format->exec : format->no_exec;
	entry |= access & RADIX_UNCACHED ? format->uncached : format->write_back;
	if (level > 1)
		entry |= format->large;
	return entry;
}

static u32 leaf_access(const struct radix_format *format, u64 entry)
{
	u32 access = 0;

	if (entry & format->read)
		access |= RADIX_READ;
	if (entry & format->write)
		access |= RADIX_WRITE;
	if ((entry & format->exec) == format->exec && !(entry & format->no_exec))
		access |= RADIX_EXEC;
	if ((entry & format->type) == format->uncached)
		access |= RADIX_UNCACHED;
	return access;
}

/* The bits that follow the page, not the mapping: they survive a change of access or of size. */
static u64 history(const struct radix_format *format)
{
	return format->accessed | format->dirty | format->software;
}

/* ---- pages for tables */

int radix_cache_fill(struct radix_cache *cache)
{
	/* A walk from the root to a 4 KiB leaf adds at most one table per level below the root. */
	if (likely(cache->count >= RADIX_LEVELS_MAX - 1))
		return 0;
	while (cache->count < ARRAY_SIZE(cache->page)) {
		void *page = host_page_alloc();

		if (!page)
			return cache->count >= RADIX_LEVELS_MAX - 1 ? 0 : -ENOMEM;
		cache->page[cache->count++] = page;
	}
	return 0;
}

void radix_cache_drain(struct radix_cache *cache)
{
	while (cache->count)
		host_page_free(cache->page[--cache->count]);
}

static u64 *table_new(struct radix *radix, struct radix_cache *cache)
{
	if (!cache->count)
		return NULL;
	radix->tables++;
	return cache->page[--cache->count];
}

/*
 * Empty a table that was just unlinked, and all below it, into limbo. A CPU may still read them, so
 * the list runs through their first entries: a page's address has its low 12 bits clear and reads as
 * not present in every format.
 */
static void table_retire(struct radix *radix, u64 *table, u8 level)
{
	const struct radix_format *format = radix->format;

	host_steps(RADIX_ENTRIES);
	for (u32 i = 0; i < RADIX_ENTRIES; i++) {
		u64 old;

		if (!READ_ONCE(table[i]))
			continue;
		old = host_exchange(&table[i], 0);
		if (is_leaf(format, old, level))
			radix->leaves[level]--;
		else
			table_retire(radix, table_of(format, old), level - 1);
	}
	DEBUG_ASSERT(!is_present(format, (u64)radix->limbo));
	WRITE_ONCE(table[0], (u64)radix->limbo);
	radix->limbo = table;
	radix->tables--;
	radix->limbo_tables++;
}

u64 *radix_reap_take(struct radix *radix)
{
	u64 *limbo = radix->limbo;

	radix->limbo = NULL;
	radix->limbo_tables = 0;
	return limbo;
}

void radix_reap_free(u64 *limbo)
{
	while (limbo) {
		u64 *next = (u64 *)limbo[0];

		host_page_free(limbo);
		limbo = next;
	}
}

void radix_reap(struct radix *radix)
{
	radix_reap_free(radix_reap_take(radix));
}

/* ---- life */

int radix_init(struct radix *radix, const struct radix_format *format, u8 max_leaf)
{
	memset(radix, 0, sizeof(*radix));
	if (max_leaf < 1 || max_leaf > format->max_leaf)
		return -EINVAL;
	radix->root = host_page_alloc();
	if (!radix->root)
		return -ENOMEM;
	radix->format = format;
	radix->max_leaf = max_leaf;
	radix->root_phys = host_virt_to_phys(radix->root);
	radix->tables = 1;
	return 0;
}

static void table_free(const struct radix_format *format, u64 *table, u8 level)
{
	for (u32 i = 0; i < RADIX_ENTRIES; i++)
		if (is_present(format, table[i]) && !is_leaf(format, table[i], level))
			table_free(format, table_of(format, table[i]), level - 1);
	host_page_free(table);
}

void radix_destroy(struct radix *radix)
{
	if (!radix->root)
		return;
	radix_reap(radix);
	table_free(radix->format, radix->root, radix->format->levels);
	memset(radix, 0, sizeof(*radix));
}

/* ---- updates */

static u64 table_entry(const struct radix_format *format, const u64 *table)
{
	return host_virt_to_phys(table) | format->table;
}

/*
 * Replace the leaf by a table of leaves of the next size that translate the same. It is taken out
 * first, so that no accessed or dirty bit is lost; a CPU that comes by meanwhile faults and waits for
 * the caller's lock.
 */
static u64 *leaf_split(struct radix *radix, u64 *entry, u8 level, struct radix_cache *cache)
{
	const struct radix_format *format = radix->format;
	u64 *table = table_new(radix, cache);
	u64 old, child;

	if (!table)
		return NULL;
	host_steps(RADIX_ENTRIES);
	old = host_exchange(entry, 0);
	child = level - 1 > 1 ? old : old & ~format->large;
	for (u32 i = 0; i < RADIX_ENTRIES; i++)
		table[i] = child + i * radix_size(level - 1);
	WRITE_ONCE(*entry, table_entry(format, table));
	radix->leaves[level]--;
	radix->leaves[level - 1] += RADIX_ENTRIES;
	return table;
}

/* Put `leaf` where `old` stands; true: what stood there may be cached and is wrong now. */
static bool leaf_replace(struct radix *radix, u64 *entry, u8 level, u64 old, u64 leaf)
{
	const struct radix_format *format = radix->format;
	u32 lost;

	if (!is_present(format, old)) {
		WRITE_ONCE(*entry, leaf);
		radix->leaves[level]++;
		return false;
	}
	if (!is_leaf(format, old, level)) {
		host_exchange(entry, leaf);
		table_retire(radix, table_of(format, old), level - 1);
		radix->leaves[level]++;
		return true;
	}
	if (!((old ^ leaf) & ~history(format)))
		return false;
	old = host_exchange(entry, 0);
	if ((old ^ leaf) & format->address) {
		WRITE_ONCE(*entry, leaf);
		return true;
	}
	WRITE_ONCE(*entry, leaf | (old & history(format)));
	lost = leaf_access(format, old) & ~leaf_access(format, leaf);
	return lost || ((old ^ leaf) & format->type);
}

int radix_map(struct radix *radix, u64 gpa, u8 level, u64 phys, u32 access,
	      struct radix_cache *cache, struct flush *owed)
{
	const struct radix_format *format = radix->format;
	u64 *table = radix->root, *entry, leaf;

	if (!(access & RADIX_READ) &&
	    (!format->exec_only || !(access & RADIX_EXEC) || access & RADIX_WRITE))
		return -EINVAL;
	if (level < 1 || level > radix->max_leaf)
		return -EINVAL;
	if (((gpa | phys) & (radix_size(level) - 1)) || (phys & ~format->address) ||
	    gpa >= radix_size(format->levels + 1))
		return -EINVAL;

	for (u8 at = format->levels; at > level; at--) {
		u64 old;

		entry = entry_of(table, gpa, at);
		old = READ_ONCE(*entry);
		if (!is_present(format, old)) {
			table = table_new(radix, cache);
			if (!table)
				return -ENOMEM;
			WRITE_ONCE(*entry, table_entry(format, table));
		} else if (is_leaf(format, old, at)) {
			leaf = make_leaf(format, at, phys & ~(radix_size(at) - 1), access);
			if (!((old ^ leaf) & ~history(format)) &&
			    !((gpa ^ phys) & (radix_size(at) - 1)))
				return 0; /* the larger leaf says the same */
			table = leaf_split(radix, entry, at, cache);
			if (!table)
				return -ENOMEM;
			flush_add(owed, FLUSH_NESTED, gpa & ~(radix_size(at) - 1),
				  (gpa | (radix_size(at) - 1)) + 1);
		} else {
			table = table_of(format, old);
		}
	}
	entry = entry_of(table, gpa, level);
	leaf = make_leaf(format, level, phys, access);
	if (leaf_replace(radix, entry, level, READ_ONCE(*entry), leaf))
		flush_add(owed, FLUSH_NESTED, gpa, gpa + radix_size(level));
	return 0;
}

bool radix_fill(struct radix *radix, u64 gpa, const u64 *phys, u32 count, u32 access)
{
	const struct radix_format *format = radix->format;
	u64 *table = radix->root, *entry, leaf;

	for (u8 at = format->levels; at > 1; at--) {
		u64 old = READ_ONCE(*entry_of(table, gpa, at));

		if (!is_present(format, old) || is_leaf(format, old, at))
			return false;
		table = table_of(format, old);
	}
	entry = entry_of(table, gpa, 1);
	if (is_present(format, READ_ONCE(*entry)))
		return false;
	leaf = make_leaf(format, 1, 0, access);
	for (; count && entry < table + RADIX_ENTRIES; count--, entry++, phys++) {
		if (is_present(format, READ_ONCE(*entry)))
			continue;
		WRITE_ONCE(*entry, *phys | leaf);
		radix->leaves[1]++;
	}
	return true;
}

/* A range being edited; `remove` is 0 for unmapping. */
struct edit {
	u64 start, end;
	u32 remove;
	struct flush owed;
};

static bool leaf_edit(struct radix *radix, u64 *entry, u8 level, u64 old, const struct edit *edit)
{
	const struct radix_format *format = radix->format;
	u32 access = leaf_access(format, old);

	if (!edit->remove || (edit->remove & RADIX_READ)) {
		host_exchange(entry, 0);
		radix->leaves[level]--;
		return true;
	}
	if (!(access & edit->remove))
		return false;
	old = host_exchange(entry, 0);
	WRITE_ONCE(*entry, make_leaf(format, level, old & format->address, access & ~edit->remove) |
				   (old & history(format)));
	return true;
}

static void table_edit(struct radix *radix, u64 *table, u8 level, u64 base, struct edit *edit)
{
	const struct radix_format *format = radix->format;
	u64 size = radix_size(level);
	u64 first = edit->start > base ? (edit->start - base) / size : 0;

	for (u64 i = first; i < RADIX_ENTRIES && base + i * size < edit->end; i++) {
		u64 at = base + i * size, old = READ_ONCE(table[i]);

		host_steps(1);
		if (!is_present(format, old))
			continue;
		if (is_leaf(format, old, level)) {
			if (leaf_edit(radix, &table[i], level, old, edit))
				flush_add(&edit->owed, FLUSH_NESTED, at, at + size);
		} else if (!edit->remove && edit->start <= at && at + size <= edit->end) {
			host_exchange(&table[i], 0);
			table_retire(radix, table_of(format, old), level - 1);
			flush_add(&edit->owed, FLUSH_NESTED, at, at + size);
		} else {
			table_edit(radix, table_of(format, old), level - 1, at, edit);
		}
	}
}

static struct flush radix_edit(struct radix *radix, u64 start, u64 end, u32 remove)
{
	struct edit edit = {
		.start = start,
		.end = min(end, radix_size(radix->format->levels + 1)),
		.remove = remove,
	};

	if (edit.start < edit.end)
		table_edit(radix, radix->root, radix->format->levels, 0, &edit);
	return edit.owed;
}

struct flush radix_unmap(struct radix *radix, u64 start, u64 end)
{
	return radix_edit(radix, start, end, 0);
}

struct flush radix_protect(struct radix *radix, u64 start, u64 end, u32 remove_access)
{
	remove_access &= RADIX_READ | RADIX_WRITE | RADIX_EXEC;
	return remove_access ? radix_edit(radix, start, end, remove_access) : (struct flush){ 0 };
}

/* ---- questions */

/* When there is none, *hole is how much around gpa is not mapped. */
static bool lookup(const struct radix *radix, u64 gpa, struct radix_leaf *out, u64 *hole)
{
	const struct radix_format *format = radix->format;
	u64 *table = radix->root;

	*hole = radix_size(format->levels + 1);
	if (gpa >= *hole)
		return false;
	for (u8 level = format->levels;; level--) {
		u64 entry = READ_ONCE(*entry_of(table, gpa, level));
		u64 offset = gpa & (radix_size(level) - 1);

		if (!is_present(format, entry)) {
			*hole = radix_size(level);
			return false;
		}
		if (!is_leaf(format, entry, level)) {
			table = table_of(format, entry);
			continue;
		}
		out->gpa = gpa - offset;
		out->phys = (entry & format->address) + offset;
		out->access = leaf_access(format, entry);
		out->level = level;
		out->accessed = entry & format->accessed;
		out->dirty = entry & format->dirty;
		return true;
	}
}

bool radix_lookup(const struct radix *radix, u64 gpa, struct radix_leaf *out)
{
	u64 hole;

	return lookup(radix, gpa, out, &hole);
}

bool radix_has_table(const struct radix *radix, u64 gpa, u8 level)
{
	const struct radix_format *format = radix->format;
	u64 *table = radix->root;

	for (u8 at = format->levels;; at--) {
		u64 entry = READ_ONCE(*entry_of(table, gpa, at));

		if (!is_present(format, entry) || is_leaf(format, entry, at))
			return false;
		if (at == level)
			return true;
		table = table_of(format, entry);
	}
}

u64 radix_hole_end(const struct radix *radix, u64 gpa)
{
	const struct radix_format *format = radix->format;
	u64 *table = radix->root;

	for (u8 level = format->levels; level > 2; level--) {
		u64 entry = READ_ONCE(*entry_of(table, gpa, level));

		if (!is_present(format, entry))
			return (gpa | (radix_size(level) - 1)) + 1;
		if (is_leaf(format, entry, level))
			break;
		table = table_of(format, entry);
	}
	return gpa;
}

bool radix_next(const struct radix *radix, u64 *gpa, u64 end, struct radix_leaf *out)
{
	u64 hole;

	end = min(end, radix_size(radix->format->levels + 1));
	while (*gpa < end) {
		host_steps(1);
		if (lookup(radix, *gpa, out, &hole))
			return true;
		*gpa = (*gpa & ~(hole - 1)) + hole;
	}
	return false;
}
