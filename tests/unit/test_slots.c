/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/slots.h"
#include "test_random.h"

#define PHYS_BITS 40
#define USER 0x7f0000000000ull

static int change(struct slots *slots, u32 id, u64 gpa, u64 size, u64 user, u32 flags)
{
	const struct fermata_memory wanted = {
		.slot = id,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.user_addr = user,
	};
	struct slots next;
	struct slot removed;
	int err = slots_change(slots, &wanted, PHYS_BITS, &next, &removed);

	if (!err) {
		if (size)
			assert_int_equal(removed.size, 0);
		else
			assert_int_equal(removed.id, id);
		*slots = next;
	}
	return err;
}

static void add_find_remove(void **state)
{
	struct slots slots = { 0 };
	const struct slot *found;

	assert_null(slots_find(&slots, 0));
	assert_null(slots_find(&slots, ~0ull));
	assert_int_equal(change(&slots, 3, 0x100000, 0x200000, USER, 0), 0);
	assert_int_equal(change(&slots, 0, 0, 0xa0000, USER + 0x1000000, 0), 0);
	assert_int_equal(change(&slots, 7, 0xf0000, 0x10000, USER, FERMATA_MEMORY_READONLY), 0);
	assert_int_equal(slots.count, 3);
	assert_int_equal(slots.slot[0].id, 0);
	assert_int_equal(slots.slot[1].id, 7);
	assert_int_equal(slots.slot[2].id, 3);
	assert_int_equal(slots.largest, 2);

	found = slots_find(&slots, 0x9ffff);
	assert_non_null(found);
	assert_int_equal(found->id, 0);
	assert_null(slots_find(&slots, 0xa0000));
	assert_null(slots_find(&slots, 0xeffff));
	assert_int_equal(slots_find(&slots, 0xf0000)->flags, FERMATA_MEMORY_READONLY);
	assert_int_equal(slots_find(&slots, 0x100000)->id, 3);
	assert_int_equal(slots_find(&slots, 0x2fffff)->id, 3);
	assert_null(slots_find(&slots, 0x300000));

	assert_int_equal(change(&slots, 3, 0, 0, 0, 0), 0);
	assert_null(slots_find(&slots, 0x100000));
	assert_int_equal(change(&slots, 3, 0, 0, 0, 0), -ENOENT);
	assert_int_equal(slots.largest, 0);
}

static void removing_from_nothing(void **state)
{
	const struct fermata_memory wanted = { .slot = 1 };
	struct slots next;
	struct slot removed;

	assert_int_equal(slots_change(NULL, &wanted, PHYS_BITS, &next, &removed), -ENOENT);
}

static void bad_input_is_refused(void **state)
{
	struct slots slots = { 0 };

	assert_int_equal(change(&slots, FERMATA_MAX_SLOTS, 0, 0x1000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, ~0u, 0, 0x1000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, ~0u, 0, 0, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, 0, 0x1000, USER, 4), -EINVAL);
	assert_int_equal(change(&slots, 0, 0x800, 0x1000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, 0, 0x1001, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, 0, 0x1000, USER + 1, 0), -EINVAL);
	/* the edges of the guest's physical addresses */
	assert_int_equal(change(&slots, 0, 1ull << PHYS_BITS, 0x1000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, (1ull << PHYS_BITS) - 0x1000, 0x2000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, -0x1000ull, 0x1000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, -0x1000ull, 0x2000, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, 0x1000, -0x1000ull, USER, 0), -EINVAL);
	assert_int_equal(change(&slots, 0, (1ull << PHYS_BITS) - 0x1000, 0x1000, USER, 0), 0);
	/* the edges of the user half */
	assert_int_equal(change(&slots, 1, 0, 0x1000, SLOTS_USER_END, 0), -EINVAL);
	assert_int_equal(change(&slots, 1, 0, 0x2000, SLOTS_USER_END - 0x1000, 0), -EINVAL);
	assert_int_equal(change(&slots, 1, 0, 0x1000, 0xffff800000000000ull, 0), -EINVAL);
	assert_int_equal(change(&slots, 1, 0, 0x2000, -0x1000ull, 0), -EINVAL);
	assert_int_equal(change(&slots, 1, 0, 0x1000, SLOTS_USER_END - 0x1000, 0), 0);
	/* in use */
	assert_int_equal(change(&slots, 1, 0x10000, 0x1000, USER, 0), -EEXIST);
	assert_int_equal(slots.count, 2);
}

static void overlaps_are_refused(void **state)
{
	struct slots slots = { 0 };

	assert_int_equal(change(&slots, 0, 0x10000, 0x4000, USER, 0), 0);
	assert_int_equal(change(&slots, 1, 0x10000, 0x4000, USER, 0), -EEXIST);
	assert_int_equal(change(&slots, 1, 0xf000, 0x2000, USER, 0), -EEXIST);
	assert_int_equal(change(&slots, 1, 0x13000, 0x2000, USER, 0), -EEXIST);
	assert_int_equal(change(&slots, 1, 0x11000, 0x1000, USER, 0), -EEXIST);
	assert_int_equal(change(&slots, 1, 0, 0x100000, USER, 0), -EEXIST);
	assert_int_equal(change(&slots, 1, 0xf000, 0x1000, USER, 0), 0);
	assert_int_equal(change(&slots, 2, 0x14000, 0x1000, USER, 0), 0);
}

/* Against a map of pages: which slot, if any, owns each of them. */
static void random_changes_against_a_page_map(void **state)
{
	enum { PAGES = 256 };
	struct slots slots = { 0 };
	int owner[PAGES];
	bool used[FERMATA_MAX_SLOTS] = { false };

	random_seed(2);
	memset(owner, -1, sizeof(owner));
	for (int step = 0; step < 20000; step++) {
		u32 id = random_below(FERMATA_MAX_SLOTS), first = random_below(PAGES);
		u32 pages = random_one_in(3) ? 0 : 1 + random_below(16);
		bool overlap = false;
		int expected, count = 0;

		if (first + pages > PAGES)
			continue;
		for (u32 p = first; p < first + pages; p++)
			overlap |= owner[p] >= 0;
		expected = !pages ? (used[id] ? 0 : -ENOENT) : used[id] || overlap ? -EEXIST : 0;
		assert_int_equal(change(&slots, id, first * 4096ull, pages * 4096ull,
					USER + first * 4096ull, 0),
				 expected);
		if (!expected) {
			used[id] = pages;
			for (u32 p = 0; p < PAGES; p++) {
				if (!pages && owner[p] == (int)id)
					owner[p] = -1;
				else if (p >= first && p < first + pages)
					owner[p] = (int)id;
			}
		}
		for (u32 i = 0; i < FERMATA_MAX_SLOTS; i++)
			count += used[i];
		assert_int_equal(slots.count, count);
		for (u32 p = 0; p < PAGES; p++) {
			const struct slot *slot =
				slots_find(&slots, p * 4096ull + random_below(4096));

			assert_int_equal(slot ? (int)slot->id : -1, owner[p]);
			if (slot)
				assert_int_equal(slot->user_addr - slot->gpa, USER);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_find_remove),
		cmocka_unit_test(removing_from_nothing),
		cmocka_unit_test(bad_input_is_refused),
		cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(random_changes_against_a_page_map),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
