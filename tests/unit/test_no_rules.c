/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/rules/none: core without rules. A guest runs, and who gives a rule is refused. */
#include "core_fixture.h"
#include "rules/rules.h"

#define REQUESTS_OF_RULES                                                                          \
	(BIT(REQUEST_RULES) | BIT(REQUEST_LINEAR) | BIT(REQUEST_WATCH) | BIT(REQUEST_AFTER))

static void runs(void **state)
{
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_NESTED_FAULT, 0)->fault.access = RADIX_WRITE;
	fake_exit(EXIT_NOTHING, 0);
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.played, 3);
	assert_int_equal(fake.entry_rip[1], 0x1002);
	assert_int_equal(v->ruled, 0);
	assert_int_equal(v->requests & REQUESTS_OF_RULES, 0);
	vcpu_reset(v, true);
	assert_int_equal(v->requests & REQUESTS_OF_RULES, 0);
}

static void refused(void **state)
{
	struct fermata_rule rule = { .event = FERMATA_ON_CPUID };
	struct fermata_ring *ring = (struct fermata_ring *)ram;

	assert_int_equal(rules_add(&vm, &rule), -EOPNOTSUPP);
	assert_int_equal(rules_remove(&vm, 1), -EOPNOTSUPP);
	assert_int_equal(rules_get(&vm, &rule), -EOPNOTSUPP);
	assert_int_equal(rules_set_ring(v, ring), -EOPNOTSUPP);
}

/* No rule can have asked for this exit: the vCPU ends, and says so. */
static void lost(void **state)
{
	fake_exit(EXIT_SGDT, 3);
	fake_exit(EXIT_NOTHING, 0);
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(fake.played, 1);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_UNCLAIMED);
	assert_int_equal(v->mp_state, FERMATA_MP_DEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(runs), TEST(refused), TEST(lost) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
