/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The adversarial TLB (tlb/model.h): random guests under nested and shadow paging on processors that keep every
 * translation they may; then the same with each flush taken away in turn, which must be noticed.
 *
 * TLB_SEED: begin with another seed; TLB_STEPS: so many accesses in each world without a fault; TLB_WORLD: only
 * that one, from 0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "svm/svm.h"
#include "tlb/model.h"

#define SVM_NEW                                                                                    \
	(SVM_FEATURE_NPT | SVM_FEATURE_NRIPS | SVM_FEATURE_DECODE_ASSISTS |                        \
	 SVM_FEATURE_VMCB_CLEAN | SVM_FEATURE_FLUSH_BY_ASID)
#define SVM_OLD (SVM_FEATURE_NPT | SVM_FEATURE_NRIPS | SVM_FEATURE_DECODE_ASSISTS)
#define STEPS 20000
#define MUTANT_STEPS 20000
#define MUTANT_SEEDS 60

enum {
	SVM_NESTED,
	SVM_SHADOW,
	SVM_SHADOW_ALONE,
	SVM_SHADOW_SMALL,
	SVM_MIXED,
	SVM_FEW_TAGS,
	SVM_NO_FLUSH_BY_ASID,
	SVM_NESTED_SLOTS,
	SVM_SHADOW_SLOTS,
	SVM_INVLPG,
	SVM_CHANGING,
};

static const struct config configs[] = {
	[SVM_NESTED] = { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW },
	[SVM_SHADOW] = { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW, .shadow_vms = 3 },
	[SVM_SHADOW_ALONE] = { .vms = 2, .vcpus = 1, .svm_features = SVM_NEW, .shadow_vms = 3 },
	[SVM_SHADOW_SMALL] = { .vms = 1,
			       .vcpus = 2,
			       .svm_features = SVM_NEW,
			       .shadow_vms = 1,
			       .shadow_pages = 80 },
	[SVM_MIXED] = { .vms = 3,
			.vcpus = 2,
			.svm_features = SVM_NEW,
			.shadow_vms = 1,
			.untagged_vms = 2 },
	[SVM_FEW_TAGS] = { .vms = 3, .vcpus = 2, .svm_features = SVM_NEW, .shadow_vms = 1, .tags = 2 },
	[SVM_NO_FLUSH_BY_ASID] = { .vms = 3,
				   .vcpus = 2,
				   .svm_features = SVM_OLD,
				   .shadow_vms = 2,
				   .untagged_vms = 4,
				   .tags = 6 },
	[SVM_NESTED_SLOTS] = { .vms = 1, .vcpus = 2, .svm_features = SVM_NEW, .busy_slots = true },
	[SVM_SHADOW_SLOTS] = { .vms = 1,
			       .vcpus = 2,
			       .svm_features = SVM_NEW,
			       .shadow_vms = 1,
			       .busy_slots = true },
	[SVM_INVLPG] = { .vms = 1,
			 .vcpus = 1,
			 .svm_features = SVM_NEW,
			 .shadow_vms = 1,
			 .leaves = true },
	[SVM_CHANGING] = { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW, .changing_vms = 3 },
};

static const char *const names[] = {
	"AMD-V, nested",
	"AMD-V, shadow",
	"AMD-V, shadow, one vCPU each",
	"AMD-V, shadow, few tables",
	"AMD-V, nested, shadow and untagged",
	"AMD-V, two tags",
	"AMD-V without FlushByAsid",
	"AMD-V, nested, slots come and go",
	"AMD-V, shadow, slots come and go",
	"AMD-V, shadow, leaves edited",
	"AMD-V, from nested to shadow and back",
};

static u64 number(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- as it is */

static void unharmed(void **state)
{
	struct outcome o;

	for (u32 i = 0; i < ARRAY_SIZE(configs); i++) {
		struct config config = configs[i];

		if (number("TLB_WORLD", i) != i)
			continue;
		config.seed = number("TLB_SEED", 1);
		config.steps = number("TLB_STEPS", STEPS);
		world_run(&config, &o);
		print_message("# %s: seed %llu, %llu accesses, %llu guest faults, %llu speculations, "
			      "%llu turns, %llu of them after a move, %llu changes of memory\n",
			      names[i], config.seed, o.accesses, o.faults, o.speculations, o.exits,
			      o.moves, o.invalidations);
		if (o.failed)
			fail_msg("%s, seed %llu: %s", names[i], config.seed, o.why);
		assert_int_equal(o.leaks, 0);
		assert_true(o.accesses >= config.steps && o.stale && o.flushes);
		assert_true(!config.changing_vms || o.changes > 5);
	}
}

/* What one hypervisor leaves in the processors, the next one must not find. */
static void one_after_another(void **state)
{
	struct config config = configs[SVM_NESTED];
	struct outcome o;

	config.steps = 2000;
	for (config.seed = 1; config.seed < 6; config.seed++) {
		config.used = config.seed > 1;
		world_run(&config, &o);
		if (o.failed)
			fail_msg("seed %llu: %s", config.seed, o.why);
	}
}

/* ---- with one flush less */

static const struct {
	const char *name;
	struct mutation mutation;
	u32 config;
} mutants[] = {
	{ "TLB_CONTROL 1 does nothing", { .kind = LOSE_TLB_CONTROL_ALL }, SVM_FEW_TAGS },
	{ "TLB_CONTROL 1 does nothing, untagged",
	  { .kind = LOSE_TLB_CONTROL_ALL },
	  SVM_NO_FLUSH_BY_ASID },
	{ "TLB_CONTROL 3 does nothing, nested", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_NESTED },
	{ "TLB_CONTROL 3 does nothing, shadow", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_SHADOW },
	{ "TLB_CONTROL 3 does nothing, untagged", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_MIXED },
	{ "TLB_CONTROL 7 does nothing", { .kind = LOSE_TLB_CONTROL_LOCAL }, SVM_SHADOW },
	{ "an ASID that was dropped stays", { .kind = KEEP_TAG_DROPPED }, SVM_NO_FLUSH_BY_ASID },
	{ "an ASID goes along to another CPU", { .kind = KEEP_TAG_MOVED }, SVM_NESTED },
	{ "an ASID outlives its generation", { .kind = KEEP_TAG_EXPIRED }, SVM_FEW_TAGS },
	{ "HOST requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_HOST },
	  SVM_NESTED },
	{ "HOST requests get lost, shadow",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_HOST },
	  SVM_SHADOW },
	{ "SLOT requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SLOT },
	  SVM_NESTED },
	{ "SLOT requests get lost, shadow",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SLOT },
	  SVM_SHADOW_SLOTS },
	{ "REMAP requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_REMAP },
	  SVM_NESTED_SLOTS },
	{ "SHADOW requests get lost",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SHADOW },
	  SVM_SHADOW },
	{ "SHADOW requests get lost, few tables",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SHADOW },
	  SVM_SHADOW_SMALL },
	{ "write access is lost silently", { .kind = LOSE_LOST_WRITE }, SVM_SHADOW },
	{ "write access is lost silently, one vCPU", { .kind = LOSE_LOST_WRITE }, SVM_SHADOW_ALONE },
	{ "CONTROL debts are forgotten: all",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LINEAR },
	  SVM_NESTED },
	{ "CONTROL debts are forgotten: MOV to CR3",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LOCAL },
	  SVM_SHADOW },
	{ "ADDRESS debts are forgotten: a table was unlinked",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_ADDRESS, .flush = FLUSH_LOCAL },
	  SVM_SHADOW },
	{ "SHADOW debts are forgotten",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_SHADOW, .flush = FLUSH_LINEAR },
	  SVM_SHADOW_ALONE },
	{ "nobody waits for a flush, nested", { .kind = NO_WAIT }, SVM_NESTED },
	{ "nobody waits for a flush, shadow", { .kind = NO_WAIT }, SVM_SHADOW },
	{ "tables are freed early", { .kind = EARLY_REAP }, SVM_NESTED_SLOTS },
};

static void mutated(void **state)
{
	u32 missed = 0;

	for (u32 i = 0; i < ARRAY_SIZE(mutants); i++) {
		struct config config = configs[mutants[i].config];
		struct outcome o = { 0 };
		u32 seeds = 0;

		config.mutation = mutants[i].mutation;
		config.steps = MUTANT_STEPS;
		config.seed = number("TLB_SEED", 1);
		for (; seeds < MUTANT_SEEDS && !o.failed; seeds++, config.seed++)
			world_run(&config, &o);
		missed += !o.failed;
		print_message("# %s: %s after %llu accesses (seed %llu)%s%s\n", mutants[i].name,
			      o.failed ? "found" : "NOT found", o.accesses, config.seed - 1,
			      o.failed ? ": " : "", o.why);
	}
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unharmed),
		cmocka_unit_test(one_after_another),
		cmocka_unit_test(mutated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
