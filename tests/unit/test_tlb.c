/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The adversarial TLB on AMD-V (tlb/model.h): random guests under nested and shadow paging on processors that
 * keep every translation they may; then the same with each flush taken away in turn, which must be noticed.
 *
 * TLB_SEED: begin with another seed; TLB_STEPS: so many accesses in each world without a fault; TLB_WORLD: only
 * that one, from 0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "svm/svm.h"
#include "tlb/suite.h"

#define SVM_NEW                                                                                    \
	(SVM_FEATURE_NPT | SVM_FEATURE_NRIPS | SVM_FEATURE_DECODE_ASSISTS |                        \
	 SVM_FEATURE_VMCB_CLEAN | SVM_FEATURE_FLUSH_BY_ASID)
#define SVM_OLD (SVM_FEATURE_NPT | SVM_FEATURE_NRIPS | SVM_FEATURE_DECODE_ASSISTS)

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
	SVM_NESTED_DIRTY,
	SVM_SHADOW_DIRTY,
	SVM_SHADOW_SHRINK,
	SVM_CHANGING,
	SVM_TABLES,
	SVM_PROGRAM_LOST,
	SVM_PROGRAM_LOST_ALONE,
	SVM_PROGRAM_CLOSING,
	SVM_PROGRAM_REAP,
	SVM_PROGRAM_INVLPG,
	SVM_PROGRAM_STATE,
	SVM_PROGRAM_LOOSE,
};

static const struct suite_config configs[] = {
	[SVM_NESTED] = { "AMD-V, nested", { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW } },
	[SVM_SHADOW] = { "AMD-V, shadow",
			 { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW, .shadow_vms = 3 } },
	[SVM_SHADOW_ALONE] = { "AMD-V, shadow, one vCPU each",
			       { .vms = 2, .vcpus = 1, .svm_features = SVM_NEW, .shadow_vms = 3 } },
	[SVM_SHADOW_SMALL] = { "AMD-V, shadow, few tables",
			       { .vms = 1,
				 .vcpus = 2,
				 .svm_features = SVM_NEW,
				 .shadow_vms = 1,
				 .shadow_pages = 80 } },
	[SVM_MIXED] = { "AMD-V, nested, shadow and untagged",
			{ .vms = 3,
			  .vcpus = 2,
			  .svm_features = SVM_NEW,
			  .shadow_vms = 1,
			  .untagged_vms = 2 } },
	[SVM_FEW_TAGS] = { "AMD-V, two tags",
			   { .vms = 3,
			     .vcpus = 2,
			     .svm_features = SVM_NEW,
			     .shadow_vms = 1,
			     .tags = 2 } },
	[SVM_NO_FLUSH_BY_ASID] = { "AMD-V without FlushByAsid",
				   { .vms = 3,
				     .vcpus = 2,
				     .svm_features = SVM_OLD,
				     .shadow_vms = 2,
				     .untagged_vms = 4,
				     .tags = 6 } },
	[SVM_NESTED_SLOTS] = { "AMD-V, nested, slots come and go",
			       { .vms = 1, .vcpus = 2, .svm_features = SVM_NEW, .busy_slots = true } },
	[SVM_SHADOW_SLOTS] = { "AMD-V, shadow, slots come and go",
			       { .vms = 1,
				 .vcpus = 2,
				 .svm_features = SVM_NEW,
				 .shadow_vms = 1,
				 .busy_slots = true } },
	[SVM_PROGRAM_LOST] = { "AMD-V, shadow, data becomes a table twice",
			       { .svm_features = SVM_NEW,
				 .vms = 1,
				 .vcpus = 2,
				 .shadow_vms = 1,
				 .program = &program_lost } },
	[SVM_PROGRAM_LOST_ALONE] = { "AMD-V, shadow, data becomes a table twice, one vCPU",
				     { .svm_features = SVM_NEW,
				       .vms = 1,
				       .vcpus = 1,
				       .shadow_vms = 1,
				       .program = &program_lost_alone } },
	[SVM_PROGRAM_CLOSING] = { "AMD-V, shadow, data becomes a table while it is written to",
				  { .svm_features = SVM_NEW,
				    .vms = 1,
				    .vcpus = 2,
				    .shadow_vms = 1,
				    .program = &program_closing } },
	[SVM_PROGRAM_REAP] = { "AMD-V, nested, two flushes at once",
			       { .svm_features = SVM_NEW,
				 .vms = 1,
				 .vcpus = 1,
				 .program = &program_reap } },
	[SVM_PROGRAM_INVLPG] = { "AMD-V, shadow, one page after the other moves",
				 { .svm_features = SVM_NEW,
				   .vms = 1,
				   .vcpus = 1,
				   .shadow_vms = 1,
				   .program = &program_invlpg } },
	[SVM_PROGRAM_STATE] = { "AMD-V, nested, the owner sets registers",
				{ .svm_features = SVM_NEW,
				  .vms = 1,
				  .vcpus = 1,
				  .program = &program_state } },
	[SVM_PROGRAM_LOOSE] = { "AMD-V, shadow, data becomes a table",
				{ .svm_features = SVM_NEW,
				  .vms = 1,
				  .vcpus = 2,
				  .shadow_vms = 1,
				  .program = &program_loose } },
	[SVM_TABLES] = { "AMD-V, shadow, tables in many roles",
			 { .svm_features = SVM_NEW,
			   .vms = 1,
			   .vcpus = 2,
			   .shadow_vms = 1,
			   .tables = 4,
			   .shadow_without = FERMATA_SHADOW_KEEP } },
	[SVM_INVLPG] = { "AMD-V, shadow, leaves edited",
			 { .vms = 1,
			   .vcpus = 1,
			   .svm_features = SVM_NEW,
			   .shadow_vms = 1,
			   .leaves = true } },
	[SVM_NESTED_DIRTY] = { "AMD-V, nested, writes logged",
			       { .vms = 1, .vcpus = 2, .svm_features = SVM_NEW, .dirty = true } },
	[SVM_SHADOW_DIRTY] = { "AMD-V, shadow, writes logged",
			       { .vms = 1,
				 .vcpus = 2,
				 .svm_features = SVM_NEW,
				 .shadow_vms = 1,
				 .dirty = true } },
	[SVM_CHANGING] = { "AMD-V, from nested to shadow and back",
			   { .vms = 2, .vcpus = 2, .svm_features = SVM_NEW, .changing_vms = 3 } },
	[SVM_SHADOW_SHRINK] = { "AMD-V, shadow, the host is short of memory",
				{ .vms = 2,
				  .vcpus = 2,
				  .svm_features = SVM_NEW,
				  .shadow_vms = 3,
				  .shrink = true } },
};

static const struct suite_mutant mutants[] = {
	{ "TLB_CONTROL 1 does nothing", { .kind = LOSE_TLB_CONTROL_ALL }, SVM_FEW_TAGS },
	{ "TLB_CONTROL 1 does nothing, untagged",
	  { .kind = LOSE_TLB_CONTROL_ALL },
	  SVM_NO_FLUSH_BY_ASID },
	{ "TLB_CONTROL 3 does nothing, nested", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_NESTED },
	{ "TLB_CONTROL 3 does nothing, shadow", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_SHADOW },
	{ "TLB_CONTROL 3 does nothing, untagged", { .kind = LOSE_TLB_CONTROL_ASID }, SVM_MIXED },
	{ "TLB_CONTROL 7 does nothing", { .kind = LOSE_TLB_CONTROL_LOCAL }, SVM_SHADOW },
	{ "INVLPGA does nothing", { .kind = LOSE_INVLPGA }, SVM_PROGRAM_INVLPG },
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
	{ "SHADOW requests get lost, tables given back",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SHADOW },
	  SVM_SHADOW_SHRINK },
	{ "write access is lost silently", { .kind = LOSE_LOST_WRITE }, SVM_PROGRAM_LOST },
	{ "write access is lost silently, one vCPU",
	  { .kind = LOSE_LOST_WRITE },
	  SVM_PROGRAM_LOST_ALONE },
	{ "tables count as protected before the flush",
	  { .kind = CLOSE_EARLY },
	  SVM_PROGRAM_CLOSING },
	{ "leaves that could be written to are forgotten",
	  { .kind = LOSE_LOOSE },
	  SVM_PROGRAM_LOOSE },
	{ "CONTROL debts are forgotten: all",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LINEAR },
	  SVM_NESTED },
	{ "CONTROL debts are forgotten: MOV to CR3",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LOCAL },
	  SVM_SHADOW },
	{ "ADDRESS debts are forgotten: a table was unlinked",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_ADDRESS, .flush = FLUSH_LOCAL },
	  SVM_SHADOW },
	{ "ADDRESS debts are forgotten: one address",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_ADDRESS, .flush = FLUSH_ADDRESS },
	  SVM_PROGRAM_INVLPG },
	{ "STATE debts are forgotten",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_STATE, .flush = FLUSH_LINEAR },
	  SVM_PROGRAM_STATE },
	{ "SHADOW debts are forgotten",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_SHADOW, .flush = FLUSH_LINEAR },
	  SVM_PROGRAM_LOST_ALONE },
	{ "tables are freed early", { .kind = EARLY_REAP }, SVM_PROGRAM_REAP },
	{ "nobody waits for a flush, nested", { .kind = NO_WAIT }, SVM_NESTED },
	{ "nobody waits for a flush, shadow", { .kind = NO_WAIT }, SVM_SHADOW },
	{ "DIRTY requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_DIRTY },
	  SVM_NESTED_DIRTY },
	{ "DIRTY requests get lost, shadow",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_DIRTY },
	  SVM_SHADOW_DIRTY },
};

static const struct suite suite = { configs, ARRAY_SIZE(configs), mutants, ARRAY_SIZE(mutants) };

static void unharmed(void **state)
{
	suite_unharmed(&suite);
}

static void one_after_another(void **state)
{
	suite_one_after_another(&configs[SVM_NESTED].config);
}

static void mutated(void **state)
{
	suite_mutated(&suite);
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
