/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host_test.h"
#include "memory/radix.h"
#include "test_random.h"

#define KIB4 (1ull << 12)
#define MIB2 (1ull << 21)
#define GIB (1ull << 30)
#define RWX (RADIX_READ | RADIX_WRITE | RADIX_EXEC)
#define RX (RADIX_READ | RADIX_EXEC)

static const struct radix_format *const formats[] = { &npt_format, &ept_format };

/* Every test below runs once per format, as `format`. */
struct fixture {
	struct radix radix;
	struct radix_cache cache;
	long leaks;
};

static void begin(struct fixture *f, const struct radix_format *format)
{
	host_test_reset();
	memset(f, 0, sizeof(*f));
	f->leaks = host_test_leaks();
	assert_int_equal(radix_init(&f->radix, format, 3), 0);
}

static void end(struct fixture *f)
{
	radix_cache_drain(&f->cache);
	radix_destroy(&f->radix);
	assert_int_equal(host_test_leaks(), f->leaks);
}

static u32 map(struct fixture *f, u64 gpa, u8 level, u64 phys, u32 access)
{
	struct flush owed = { 0 };

	assert_int_equal(radix_cache_fill(&f->cache), 0);
	assert_int_equal(radix_map(&f->radix, gpa, level, phys, access, &f->cache, &owed), 0);
	return owed.kinds;
}

/* The entry the processor would end at, and how. */
static u64 *raw_entry(struct fixture *f, u64 gpa, u8 level)
{
	u64 *table = host_phys_to_virt(f->radix.root_phys);

	for (u8 at = f->radix.format->levels; at > level; at--) {
		u64 entry = table[gpa >> (12 + 9 * (at - 1)) & 511];

		assert_true(entry & 1);		/* P, R */
		assert_int_equal(entry & 7, 7); /* P, RW, US; R, W, X */
		assert_int_equal(entry & (1ull << 7 | 1ull << 63), 0);
		table = host_phys_to_virt(entry & 0x000ffffffffff000ull);
	}
	return &table[gpa >> (12 + 9 * (level - 1)) & 511];
}

static void npt_entries_are_bit_exact(void **state)
{
	struct fixture f;

	begin(&f, &npt_format);
	map(&f, 0x1000, 1, 0x5000, RWX);
	assert_int_equal(*raw_entry(&f, 0x1000, 1), 0x5007);
	map(&f, 0x2000, 1, 0x6000, RX);
	assert_int_equal(*raw_entry(&f, 0x2000, 1), 0x6005);
	map(&f, 0x3000, 1, 0x7000, RADIX_READ | RADIX_UNCACHED);
	assert_int_equal(*raw_entry(&f, 0x3000, 1), 0x800000000000701dull);
	map(&f, MIB2, 2, 4 * MIB2, RWX);
	assert_int_equal(*raw_entry(&f, MIB2, 2), 0x800087);
	map(&f, GIB, 3, 5 * GIB, RWX);
	assert_int_equal(*raw_entry(&f, GIB, 3), 0x140000087ull);
	/* split twice: bit 7 means PS above level 1, and PAT in it */
	map(&f, GIB, 1, 0x9000, RWX);
	assert_int_equal(*raw_entry(&f, GIB, 1), 0x9007);
	assert_int_equal(*raw_entry(&f, GIB + KIB4, 1), 0x140001007ull);
	assert_int_equal(*raw_entry(&f, GIB + MIB2, 2), 0x140200087ull);
	end(&f);
}

static void ept_entries_are_bit_exact(void **state)
{
	struct fixture f;

	begin(&f, &ept_format);
	map(&f, 0x1000, 1, 0x5000, RWX);
	assert_int_equal(*raw_entry(&f, 0x1000, 1), 0x5037);
	map(&f, 0x2000, 1, 0x6000, RX);
	assert_int_equal(*raw_entry(&f, 0x2000, 1), 0x6035);
	map(&f, 0x3000, 1, 0x7000, RADIX_READ | RADIX_UNCACHED);
	assert_int_equal(*raw_entry(&f, 0x3000, 1), 0x7001);
	map(&f, MIB2, 2, 4 * MIB2, RWX);
	assert_int_equal(*raw_entry(&f, MIB2, 2), 0x8000b7);
	map(&f, GIB, 3, 5 * GIB, RWX);
	assert_int_equal(*raw_entry(&f, GIB, 3), 0x1400000b7ull);
	map(&f, GIB, 1, 0x9000, RWX);
	assert_int_equal(*raw_entry(&f, GIB, 1), 0x9037);
	assert_int_equal(*raw_entry(&f, GIB + KIB4, 1), 0x140001037ull);
	assert_int_equal(*raw_entry(&f, GIB + MIB2, 2), 0x1402000b7ull);
	end(&f);
}

static void bad_arguments_are_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct radix other;
		struct flush owed = { 0 };
		struct radix_leaf leaf;
		struct fixture f;

		begin(&f, formats[i]);
		radix_cache_fill(&f.cache);
		assert_int_equal(radix_map(&f.radix, 0, 0, 0, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0, 4, 0, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0x800, 1, 0, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0, 1, 0x800, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, KIB4, 2, 0, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0, 2, KIB4, RWX, &f.cache, &owed), -EINVAL);
		assert_int_equal(radix_map(&f.radix, 1ull << 48, 1, 0, RWX, &f.cache, &owed),
				 -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0, 1, 1ull << 52, RWX, &f.cache, &owed),
				 -EINVAL);
		assert_int_equal(radix_map(&f.radix, 0, 1, 0, RADIX_WRITE, &f.cache, &owed),
				 -EINVAL);
		assert_int_equal(owed.kinds, FLUSH_NONE);
		assert_int_equal(f.radix.tables, 1);
		assert_false(radix_lookup(&f.radix, 1ull << 48, &leaf));
		assert_int_equal(radix_unmap(&f.radix, 5, 5).kinds, FLUSH_NONE);
		assert_int_equal(radix_unmap(&f.radix, 1ull << 60, ~0ull).kinds, FLUSH_NONE);
		assert_int_equal(radix_unmap(&f.radix, 0, ~0ull).kinds, FLUSH_NONE);
		assert_int_equal(radix_init(&other, formats[i], 0), -EINVAL);
		assert_int_equal(radix_init(&other, formats[i], 4), -EINVAL);
		end(&f);
	}
}

static void flushes_owed(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct fixture f;

		begin(&f, formats[i]);
		assert_int_equal(map(&f, 0, 1, KIB4, RX), FLUSH_NONE);	     /* new */
		assert_int_equal(map(&f, 0, 1, KIB4, RX), FLUSH_NONE);	     /* the same */
		assert_int_equal(map(&f, 0, 1, KIB4, RWX), FLUSH_NONE);	     /* more access */
		assert_int_equal(map(&f, 0, 1, KIB4, RX), FLUSH_NESTED);     /* less */
		assert_int_equal(map(&f, 0, 1, 2 * KIB4, RX), FLUSH_NESTED); /* elsewhere */
		assert_int_equal(map(&f, 0, 1, 2 * KIB4, RX | RADIX_UNCACHED), FLUSH_NESTED);
		assert_int_equal(map(&f, 0, 2, 0, RWX), FLUSH_NESTED); /* a table gives way */
		assert_int_equal(f.radix.limbo_tables, 1);
		assert_int_equal(map(&f, KIB4, 1, KIB4, RWX),
				 FLUSH_NONE); /* the leaf says so already */
		assert_int_equal(f.radix.leaves[2], 1);
		assert_int_equal(map(&f, KIB4, 1, KIB4, RX), FLUSH_NESTED); /* split */
		assert_int_equal(f.radix.leaves[2], 0);
		assert_int_equal(f.radix.leaves[1], 512);
		assert_int_equal(radix_protect(&f.radix, KIB4, 2 * KIB4, RADIX_WRITE).kinds,
				 FLUSH_NONE);
		assert_int_equal(radix_protect(&f.radix, 0, 1, RADIX_WRITE).kinds, FLUSH_NESTED);
		assert_int_equal(radix_protect(&f.radix, 0, 1, 0).kinds, FLUSH_NONE);
		assert_int_equal(radix_protect(&f.radix, 0, 1, RADIX_READ).kinds, FLUSH_NESTED);
		assert_int_equal(f.radix.leaves[1], 511);
		assert_int_equal(radix_unmap(&f.radix, 0, KIB4).kinds, FLUSH_NONE);
		assert_int_equal(radix_unmap(&f.radix, 3 * KIB4 + 5, 3 * KIB4 + 6).kinds,
				 FLUSH_NESTED);
		assert_int_equal(f.radix.leaves[1], 510);
		end(&f);
	}
}

static void tables_wait_in_limbo(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct fixture f;
		u64 *stale;
		long before;

		begin(&f, formats[i]);
		before = host_test_leaks();
		for (u64 gpa = 0; gpa < 2 * MIB2; gpa += KIB4)
			map(&f, gpa, 1, gpa, RWX);
		stale = raw_entry(&f, MIB2, 1);
		radix_cache_drain(&f.cache);
		assert_int_equal(host_test_leaks() - before, 4); /* levels 3, 2 and two of level 1 */
		assert_int_equal(f.radix.tables, 5);
		assert_int_equal(radix_unmap(&f.radix, 0, 512 * GIB).kinds, FLUSH_NESTED);
		assert_int_equal(f.radix.tables, 1);
		assert_int_equal(f.radix.limbo_tables, 4);
		assert_int_equal(f.radix.leaves[1], 0);
		/* A CPU that still holds the address of such a table finds nothing in it. */
		for (int e = 0; e < 512; e++)
			assert_int_equal(stale[e] & formats[i]->present, 0);
		assert_int_equal(host_test_leaks() - before, 4);
		radix_reap(&f.radix);
		assert_int_equal(host_test_leaks(), before);
		assert_int_equal(f.radix.limbo_tables, 0);
		end(&f);
	}
}

/* The processor sets them at any time; neither a change of access nor a split may lose one. */
static void accessed_and_dirty_survive(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct radix_leaf leaf;
		struct fixture f;

		begin(&f, formats[i]);
		map(&f, 0, 2, 0, RX);
		*raw_entry(&f, 0, 2) |= formats[i]->accessed | formats[i]->dirty;
		assert_int_equal(map(&f, 0, 2, 0, RX), FLUSH_NONE);
		assert_int_equal(map(&f, 0, 2, 0, RWX), FLUSH_NONE);
		assert_true(radix_lookup(&f.radix, 0, &leaf));
		assert_true(leaf.accessed && leaf.dirty);
		assert_int_equal(radix_protect(&f.radix, 0, 1, RADIX_WRITE).kinds, FLUSH_NESTED);
		assert_true(radix_lookup(&f.radix, 0, &leaf));
		assert_true(leaf.accessed && leaf.dirty);
		assert_int_equal(leaf.access, RX);
		map(&f, 7 * KIB4, 1, 99 * KIB4, RWX);
		assert_true(radix_lookup(&f.radix, 8 * KIB4, &leaf));
		assert_int_equal(leaf.level, 1);
		assert_true(leaf.accessed && leaf.dirty);
		/* Another page has its own history. */
		assert_true(radix_lookup(&f.radix, 7 * KIB4, &leaf));
		assert_false(leaf.accessed || leaf.dirty);
		end(&f);
	}
}

static void running_dry_changes_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct flush owed = { 0 };
		struct radix_leaf leaf;
		struct fixture f;

		begin(&f, formats[i]);
		assert_int_equal(radix_map(&f.radix, 0, 1, 0, RWX, &f.cache, &owed), -ENOMEM);
		assert_false(radix_lookup(&f.radix, 0, &leaf));
		map(&f, 0, 3, GIB, RWX);
		radix_cache_drain(&f.cache);
		assert_int_equal(radix_map(&f.radix, 0, 1, 0, RWX, &f.cache, &owed), -ENOMEM);
		assert_true(radix_lookup(&f.radix, 0, &leaf));
		assert_int_equal(leaf.phys, GIB);
		/* one page is enough for the first of two splits */
		f.cache.page[f.cache.count++] = host_page_alloc();
		assert_int_equal(radix_map(&f.radix, 0, 1, 0, RWX, &f.cache, &owed), -ENOMEM);
		assert_true(radix_lookup(&f.radix, 0x12345, &leaf));
		assert_int_equal(leaf.phys, GIB + 0x12345);
		assert_int_equal(leaf.level, 2);
		/* no memory: the cache says so, and takes what there is */
		host_test.allocs_until_failure = 2;
		assert_int_equal(radix_cache_fill(&f.cache), -ENOMEM);
		host_test.allocs_until_failure = 2;
		assert_int_equal(radix_cache_fill(&f.cache), 0);
		host_test.allocs_until_failure = 0;
		assert_int_equal(radix_init(&(struct radix){ 0 }, formats[i], 1), -ENOMEM);
		end(&f);
	}
}

/* ---- the model: every 4 KiB page by itself */

#define SPACE (3 * GIB)
#define PAGES (SPACE / KIB4)

struct model_page {
	u64 phys;
	u8 access; /* 0: not mapped */
	u8 level;
};
static struct model_page *model;

static u64 pages_of(u8 level)
{
	return radix_size(level) / KIB4;
}

static u32 model_map(u64 gpa, u8 level, u64 phys, u32 access)
{
	u64 first = gpa / KIB4, count = pages_of(level);
	struct model_page *at = &model[first];
	u32 owed = FLUSH_NONE;

	if (at->access && at->level > level && at->phys == phys && at->access == access)
		return FLUSH_NONE;
	while (at->access && at->level > level) {
		u64 start = first & ~(pages_of(at->level) - 1), n = pages_of(at->level);
		u8 smaller = at->level - 1;

		for (u64 p = start; p < start + n; p++)
			model[p].level = smaller;
		owed = FLUSH_NESTED;
	}
	for (u64 p = 0; p < count; p++) {
		struct model_page *page = &at[p];

		if (page->access && (page->phys != phys + p * KIB4 || (page->access & ~access) ||
				     ((page->access ^ access) & RADIX_UNCACHED)))
			owed = FLUSH_NESTED;
		page->phys = phys + p * KIB4;
		page->access = (u8)access;
		page->level = level;
	}
	return owed;
}

static u32 model_remove(u64 start, u64 end, u32 remove)
{
	u32 owed = FLUSH_NONE;

	if (start >= end)
		return FLUSH_NONE;
	for (u64 p = start / KIB4; p < PAGES && p * KIB4 < end;) {
		u8 level = model[p].access ? model[p].level : 1;
		u64 first = p & ~(pages_of(level) - 1), n = pages_of(level);

		for (u64 q = first; model[p].access && q < first + n; q++) {
			u32 left = remove ? model[q].access & ~remove : 0;

			if (!(left & RADIX_READ))
				left = 0;
			if (left != model[q].access)
				owed = FLUSH_NESTED;
			if (q != p)
				model[q].access = (u8)left;
		}
		if (model[p].access) {
			u32 left = remove ? model[p].access & ~remove : 0;

			model[p].access = left & RADIX_READ ? (u8)left : 0;
		}
		p = first + n;
	}
	return owed;
}

static void check_page(struct fixture *f, u64 page)
{
	u64 offset = random_below(KIB4);
	struct radix_leaf leaf;
	bool mapped = radix_lookup(&f->radix, page * KIB4 + offset, &leaf);

	assert_int_equal(mapped, !!model[page].access);
	if (!mapped)
		return;
	assert_int_equal(leaf.phys, model[page].phys + offset);
	assert_int_equal(leaf.access, model[page].access);
	assert_int_equal(leaf.level, model[page].level);
	assert_int_equal(leaf.gpa, (page * KIB4) & ~(radix_size(leaf.level) - 1));
}

/* Most of what happens, happens in a few places, so that operations meet. */
static u64 random_page(void)
{
	static const u64 places[] = { 0, 505, 512, 262144 - 6, 262144, 300 * 512, 2 * 262144 - 3 };

	if (random_one_in(8))
		return random_u64() % PAGES;
	return (places[random_below(ARRAY_SIZE(places))] + random_below(12)) % PAGES;
}

static void random_map(struct fixture *f)
{
	static const u32 accesses[] = { RADIX_READ, RX, RWX, RADIX_READ | RADIX_WRITE,
					RWX | RADIX_UNCACHED };
	u8 level = random_one_in(300) ? 3 : random_one_in(4) ? 2 : 1;
	u64 gpa = random_page() * KIB4 & ~(radix_size(level) - 1);
	/* often the same address, so that sizes change without the translation changing */
	u64 phys = random_one_in(2) ? gpa + 8 * GIB : random_u64() & 0xfffffffff000ull;
	u32 access = accesses[random_below(ARRAY_SIZE(accesses))];
	u32 expected, owed;
	u32 limbo;

	phys &= ~(radix_size(level) - 1);
	expected = model_map(gpa, level, phys, access);
	limbo = f->radix.limbo_tables;
	owed = map(f, gpa, level, phys, access);
	if (expected != FLUSH_NONE || f->radix.limbo_tables != limbo)
		assert_int_equal(owed, FLUSH_NESTED);
	else
		assert_int_equal(owed, FLUSH_NONE);
}

static void random_remove(struct fixture *f)
{
	u64 start = random_page() * KIB4, size = KIB4 << random_below(random_one_in(20) ? 19 : 11);
	u32 remove = random_one_in(3)  ? 0 :
		     random_one_in(10) ? RADIX_READ :
					 1u << random_below(3),
	    limbo;
	u32 expected, owed;

	if (random_one_in(4)) {
		start += random_below(KIB4);
		size = 1 + random_below(MIB2);
	}
	expected = model_remove(start, start + size, remove);
	limbo = f->radix.limbo_tables;
	owed = remove ? radix_protect(&f->radix, start, start + size, remove).kinds :
			radix_unmap(&f->radix, start, start + size).kinds;
	if (expected != FLUSH_NONE || f->radix.limbo_tables != limbo)
		assert_int_equal(owed, FLUSH_NESTED);
	else
		assert_int_equal(owed, FLUSH_NONE);
	if (random_one_in(3))
		radix_reap(&f->radix);
}

static void random_edits_against_the_model(void **state)
{
	model = calloc(PAGES, sizeof(*model));
	assert_non_null(model);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		u64 leaves[4] = { 0 };
		struct fixture f;

		random_seed(3 + i);
		memset(model, 0, PAGES * sizeof(*model));
		begin(&f, formats[i]);
		for (int step = 0; step < 20000; step++) {
			if (random_one_in(3))
				random_remove(&f);
			else
				random_map(&f);
			for (int look = 0; look < 40; look++)
				check_page(&f, random_page());
		}
		for (u64 page = 0; page < PAGES; page++) {
			check_page(&f, page);
			if (model[page].access && !(page & (pages_of(model[page].level) - 1)))
				leaves[model[page].level]++;
		}
		for (u8 level = 1; level <= 3; level++)
			assert_int_equal(f.radix.leaves[level], leaves[level]);
		radix_cache_drain(&f.cache);
		assert_int_equal(host_test_leaks() - f.leaks, f.radix.tables + f.radix.limbo_tables);
		end(&f);
	}
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npt_entries_are_bit_exact),
		cmocka_unit_test(ept_entries_are_bit_exact),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(flushes_owed),
		cmocka_unit_test(tables_wait_in_limbo),
		cmocka_unit_test(accessed_and_dirty_survive),
		cmocka_unit_test(running_dry_changes_nothing),
		cmocka_unit_test(random_edits_against_the_model),
	};

	return cmocka_run_group_tests_name("radix", tests, NULL, NULL);
}
