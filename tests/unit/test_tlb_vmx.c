/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* test_tlb.c's twin: the adversarial TLB on VT-x. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vmx/vmx.h"
#include "tlb/suite.h"

#define EPT                                                                                        \
	(EPT_CAP_4_LEVELS | EPT_CAP_WRITE_BACK | EPT_CAP_2M | EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL)
#define VPID (VPID_CAP_INVVPID | VPID_CAP_ALL)
#define VPID_NEW (VPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_LOCAL)
#define EPT_NEW (EPT | EPT_CAP_INVEPT_SINGLE | EPT_CAP_EXEC_ONLY)

enum {
	VMX_NESTED,
	VMX_SHADOW,
	VMX_SHADOW_ALONE,
	VMX_SHADOW_SMALL,
	VMX_MIXED,
	VMX_FEW_TAGS,
	VMX_NO_VPID,
	VMX_NO_EPT,
	VMX_NEITHER,
	VMX_NO_TYPES,
	VMX_NO_TRUE_CONTROLS,
	VMX_NESTED_SLOTS,
	VMX_SHADOW_SLOTS,
	VMX_INVLPG,
	VMX_TABLES,
	VMX_PROGRAM_LOST,
	VMX_PROGRAM_LOST_ALONE,
	VMX_PROGRAM_CLOSING,
	VMX_PROGRAM_REAP,
	VMX_PROGRAM_INVLPG,
	VMX_PROGRAM_STATE,
	VMX_PROGRAM_LOOSE,
	VMX_LIVES,
};

#define NEW .intel = true, .vmx_ept_vpid = EPT_NEW | VPID_NEW

static const struct suite_config configs[] = {
	[VMX_NESTED] = { "VT-x, nested", { NEW, .vms = 2, .vcpus = 2 } },
	[VMX_SHADOW] = { "VT-x, shadow", { NEW, .vms = 2, .vcpus = 2, .shadow_vms = 3 } },
	[VMX_SHADOW_ALONE] = { "VT-x, shadow, one vCPU each",
			       { NEW, .vms = 2, .vcpus = 1, .shadow_vms = 3 } },
	[VMX_SHADOW_SMALL] = { "VT-x, shadow, few tables",
			       { NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1, .shadow_pages = 80 } },
	[VMX_MIXED] = { "VT-x, nested, shadow and untagged",
			{ NEW, .vms = 3, .vcpus = 2, .shadow_vms = 1, .untagged_vms = 2 } },
	[VMX_FEW_TAGS] = { "VT-x, two tags",
			   { NEW, .vms = 3, .vcpus = 2, .shadow_vms = 1, .tags = 2 } },
	[VMX_NO_VPID] = { "VT-x without VPID",
			  { .intel = true,
			    .vmx_ept_vpid = EPT_NEW,
			    .vms = 3,
			    .vcpus = 2,
			    .shadow_vms = 1 } },
	[VMX_NO_EPT] = { "VT-x without EPT",
			 { .intel = true, .vmx_ept_vpid = VPID_NEW, .vms = 2, .vcpus = 2 } },
	[VMX_NEITHER] = { "VT-x without EPT and VPID", { .intel = true, .vms = 2, .vcpus = 2 } },
	[VMX_NO_TYPES] = { "VT-x with the widest flushes alone",
			   { .intel = true,
			     .vmx_ept_vpid = EPT | VPID,
			     .vms = 3,
			     .vcpus = 2,
			     .shadow_vms = 1,
			     .tags = 30 } },
	[VMX_NO_TRUE_CONTROLS] = { "VT-x, every MOV to CR3 exits",
				   { NEW, .vmx_proc = PROC_CR3_LOAD | PROC_CR3_STORE, .vms = 2,
				     .vcpus = 2 } },
	[VMX_NESTED_SLOTS] = { "VT-x, nested, slots come and go",
			       { NEW, .vms = 1, .vcpus = 2, .busy_slots = true } },
	[VMX_SHADOW_SLOTS] = { "VT-x, shadow, slots come and go",
			       { NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1, .busy_slots = true } },
	[VMX_PROGRAM_LOST] = { "VT-x, shadow, data becomes a table twice",
			       { NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1,
				 .program = &program_lost } },
	[VMX_PROGRAM_LOST_ALONE] = { "VT-x, shadow, data becomes a table twice, one vCPU",
				     { NEW, .vms = 1, .vcpus = 1, .shadow_vms = 1,
				       .program = &program_lost_alone } },
	[VMX_PROGRAM_CLOSING] = { "VT-x, shadow, data becomes a table while it is written to",
				  { NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1,
				    .program = &program_closing } },
	[VMX_PROGRAM_REAP] = { "VT-x, nested, two flushes at once",
			       { NEW, .vms = 1, .vcpus = 1, .program = &program_reap } },
	[VMX_PROGRAM_INVLPG] = { "VT-x, shadow, one page after the other moves",
				 { NEW, .vms = 1, .vcpus = 1, .shadow_vms = 1,
				   .program = &program_invlpg } },
	[VMX_PROGRAM_STATE] = { "VT-x, nested, the owner sets registers",
				{ NEW, .vms = 1, .vcpus = 1, .program = &program_state } },
	[VMX_PROGRAM_LOOSE] = { "VT-x, shadow, data becomes a table",
				{ NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1,
				  .program = &program_loose } },
	[VMX_TABLES] = { "VT-x, shadow, tables in many roles",
			 { NEW, .vms = 1, .vcpus = 2, .shadow_vms = 1, .tables = 4,
			   .shadow_without = FERMATA_SHADOW_KEEP } },
	[VMX_INVLPG] = { "VT-x, shadow, leaves edited",
			 { NEW, .vms = 1, .vcpus = 1, .shadow_vms = 1, .leaves = true } },
	[VMX_LIVES] = { "VT-x, nested, VMs one after the other",
			{ NEW, .vms = 2, .vcpus = 2, .lives = 8 } },
};

/* ---- with one flush less */

static const struct suite_mutant mutants[] = {
	{ "INVVPID of an address does nothing",
	  { .kind = LOSE_INVVPID, .type = 0 },
	  VMX_PROGRAM_INVLPG },
	{ "INVVPID of one VPID does nothing, nested",
	  { .kind = LOSE_INVVPID, .type = 1 },
	  VMX_NESTED },
	{ "INVVPID of one VPID does nothing, shadow",
	  { .kind = LOSE_INVVPID, .type = 1 },
	  VMX_SHADOW },
	{ "INVVPID of all VPIDs does nothing", { .kind = LOSE_INVVPID, .type = 2 }, VMX_FEW_TAGS },
	{ "INVVPID but for globals does nothing", { .kind = LOSE_INVVPID, .type = 3 }, VMX_SHADOW },
	{ "INVVPID but for globals does nothing, nested",
	  { .kind = LOSE_INVVPID, .type = 3 },
	  VMX_NO_TRUE_CONTROLS },
	{ "INVEPT of one root does nothing", { .kind = LOSE_INVEPT, .type = 1 }, VMX_NESTED },
	{ "INVEPT of one root does nothing, untagged",
	  { .kind = LOSE_INVEPT, .type = 1 },
	  VMX_NO_VPID },
	{ "INVEPT of all roots does nothing", { .kind = LOSE_INVEPT, .type = 2 }, VMX_NO_TYPES },
	{ "INVEPT on one CPU counts for all", { .kind = PAID_EVERYWHERE }, VMX_NESTED },
	{ "a new VM finds an old root", { .kind = PAID_BEFORE }, VMX_LIVES },
	{ "what another hypervisor left stays", { .kind = LOSE_FORGET }, VMX_NO_EPT },
	{ "a VPID that was dropped stays", { .kind = KEEP_TAG_DROPPED }, VMX_NO_TYPES },
	{ "a VPID goes along to another CPU", { .kind = KEEP_TAG_MOVED }, VMX_NESTED },
	{ "a VPID outlives its generation", { .kind = KEEP_TAG_EXPIRED }, VMX_FEW_TAGS },
	{ "HOST requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_HOST },
	  VMX_NESTED },
	{ "HOST requests get lost, shadow",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_HOST },
	  VMX_SHADOW },
	{ "SLOT requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SLOT },
	  VMX_NESTED_SLOTS },
	{ "SLOT requests get lost, shadow",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SLOT },
	  VMX_SHADOW_SLOTS },
	{ "REMAP requests get lost, nested",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_REMAP, .seed = 49 },
	  VMX_NESTED_SLOTS },
	{ "SHADOW requests get lost",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SHADOW },
	  VMX_SHADOW },
	{ "SHADOW requests get lost, few tables",
	  { .kind = LOSE_REQUEST, .cause = FERMATA_CAUSE_SHADOW },
	  VMX_SHADOW_SMALL },
	{ "write access is lost silently", { .kind = LOSE_LOST_WRITE }, VMX_PROGRAM_LOST },
	{ "write access is lost silently, one vCPU",
	  { .kind = LOSE_LOST_WRITE },
	  VMX_PROGRAM_LOST_ALONE },
	{ "tables count as protected before the flush",
	  { .kind = CLOSE_EARLY },
	  VMX_PROGRAM_CLOSING },
	{ "leaves that could be written to are forgotten",
	  { .kind = LOSE_LOOSE },
	  VMX_PROGRAM_LOOSE },
	{ "CONTROL debts are forgotten: all",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LINEAR },
	  VMX_NESTED },
	{ "CONTROL debts are forgotten: MOV to CR3",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LOCAL },
	  VMX_SHADOW },
	{ "CONTROL debts are forgotten: MOV to CR3, nested",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_CONTROL, .flush = FLUSH_LOCAL },
	  VMX_NO_TRUE_CONTROLS },
	{ "ADDRESS debts are forgotten: a table was unlinked",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_ADDRESS, .flush = FLUSH_LOCAL },
	  VMX_SHADOW },
	{ "ADDRESS debts are forgotten: one address",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_ADDRESS, .flush = FLUSH_ADDRESS },
	  VMX_PROGRAM_INVLPG },
	{ "STATE debts are forgotten",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_STATE, .flush = FLUSH_LINEAR },
	  VMX_PROGRAM_STATE },
	{ "SHADOW debts are forgotten",
	  { .kind = LOSE_OWN, .cause = FERMATA_CAUSE_SHADOW, .flush = FLUSH_LINEAR },
	  VMX_PROGRAM_LOST_ALONE },
	{ "tables are freed early", { .kind = EARLY_REAP }, VMX_PROGRAM_REAP },
	{ "nobody waits for a flush, nested", { .kind = NO_WAIT }, VMX_NESTED },
	{ "nobody waits for a flush, shadow", { .kind = NO_WAIT }, VMX_SHADOW },
};

static const struct suite suite = { configs, ARRAY_SIZE(configs), mutants, ARRAY_SIZE(mutants) };

static void unharmed(void **state)
{
	suite_unharmed(&suite);
}

static void one_after_another(void **state)
{
	suite_one_after_another(&configs[VMX_NESTED].config);
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
