/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "suite.h"

#define STEPS 15000
#define MUTANT_STEPS 20000
#define MUTANT_SEEDS 60
#define PROGRAM_STEPS 1000 /* programs show at once what they show, or not at all */
#define PROGRAM_SEEDS 100
#define USED_STEPS 2000

static u64 number(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void unharmed(void **state)
{
	const struct suite *suite = *state;
	struct outcome o;

	for (u32 i = 0; i < suite->config_count; i++) {
		struct config config = suite->configs[i].config;
		const char *name = suite->configs[i].name;

		if (number("TLB_WORLD", i) != i)
			continue;
		config.seed = number("TLB_SEED", 1);
		config.steps = number("TLB_STEPS", config.program ? STEPS / 10 : STEPS) /
			       max(config.lives, 1u);
		world_run(&config, &o);
		print_message("# %s: seed %llu, %llu accesses, %llu guest faults, %llu speculations, "
			      "%llu turns, %llu of them after a move, %llu changes of memory\n",
			      name, config.seed, o.accesses, o.faults, o.speculations, o.exits,
			      o.moves, o.invalidations);
		if (o.failed)
			fail_msg("%s, seed %llu: %s", name, config.seed, o.why);
		assert_int_equal(o.leaks, 0);
		assert_true(o.accesses >= config.steps && o.flushes);
		assert_true(o.stale || config.program);
		assert_true(!config.changing_vms || o.changes > 5);
		assert_true(!config.rival || o.rivals > 100);
		assert_true(!config.shrink || o.released > config.steps / 40);
		assert_true(!config.dirty || o.answers > config.steps / 400);
	}
}

static void one_after_another(void **state)
{
	const struct suite *suite = *state;
	struct config config = suite->configs[suite->used].config;
	struct outcome o;

	if (getenv("TLB_WORLD"))
		return;
	config.steps = USED_STEPS;
	for (config.seed = 1; config.seed < 6; config.seed++) {
		config.used = config.seed > 1;
		world_run(&config, &o);
		if (o.failed)
			fail_msg("seed %llu: %s", config.seed, o.why);
	}
}

/* With the mutation and that seed; some need a hypervisor before it. */
static void run_mutant(const struct suite_mutant *mutant, struct config *config, struct outcome *o)
{
	if (mutant->mutation.kind == LOSE_FORGET) {
		config->mutation.kind = NO_MUTANT;
		config->steps = USED_STEPS;
		world_run(config, o);
		if (o->failed)
			fail_msg("%s, seed %llu: %s", mutant->name, config->seed, o->why);
		config->used = true;
	}
	config->mutation = mutant->mutation;
	config->steps = config->program ? PROGRAM_STEPS : MUTANT_STEPS / max(config->lives, 1u);
	world_run(config, o);
	config->used = false;
}

static void mutated(void **state)
{
	const struct suite *suite = *state;
	u32 missed = 0;

	if (getenv("TLB_WORLD"))
		return;
	for (u32 i = 0; i < suite->mutant_count; i++) {
		const struct suite_mutant *mutant = &suite->mutants[i];
		struct config config = suite->configs[mutant->config].config;
		struct outcome o = { 0 };
		u32 seeds = 0, most = config.program ? PROGRAM_SEEDS : MUTANT_SEEDS;

		config.seed = number("TLB_SEED", max(mutant->mutation.seed, 1ull));
		for (; seeds < most && !o.failed; seeds++, config.seed++)
			run_mutant(mutant, &config, &o);
		missed += !o.failed;
		print_message("# %s: %s after %llu accesses (seed %llu)%s%s\n", mutant->name,
			      o.failed ? "found" : "NOT found", o.accesses, config.seed - 1,
			      o.failed ? ": " : "", o.why);
	}
	assert_int_equal(missed, 0);
}

int suite_run(const struct suite *suite)
{
	void *state = (void *)suite;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(unharmed, state),
		cmocka_unit_test_prestate(one_after_another, state),
		cmocka_unit_test_prestate(mutated, state),
	};

	return cmocka_run_group_tests_name("tests", tests, NULL, NULL);
}
