/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/svm/audit/: a good state with one rule broken gets that rule named and no other. */
#include <stdio.h>

#include "svm/audit/audit.h"
#include "svm_fixture.h"

#define F(member) offsetof(struct svm_snapshot, member)
#define PHYS_BITS 40
#define EFER_LONG (ARCH_EFER_SVME | ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE | ARCH_EFER_SCE)

static struct svm_limits limits;

/* A 64-bit kernel. */
static void long_mode(struct svm_snapshot *at)
{
	limits = (struct svm_limits){
		.cr4 = 0x7ff | ARCH_CR4_CET,
		.efer = EFER_LONG,
		.phys_bits = PHYS_BITS,
		.long_mode = true,
	};
	*at = (struct svm_snapshot){
		.limits = &limits,
		.host_cr0 = ARCH_CR0_PG | ARCH_CR0_PE,
		.intercepts = INTERCEPT_VMRUN,
		.iopm_base_pa = 0x5000,
		.msrpm_base_pa = 0x9000,
		.guest_asid = 1,
		.nested_ctl = NP_ENABLE,
		.n_cr3 = 0x7000,
		.efer = EFER_LONG,
		.cr0 = ARCH_CR0_PG | ARCH_CR0_WP | ARCH_CR0_ET | ARCH_CR0_PE,
		.cr3 = 0x1000,
		.cr4 = ARCH_CR4_PAE,
		.dr6 = ARCH_DR6_FIXED,
		.dr7 = ARCH_DR7_FIXED,
		.cs = 0x29b | ARCH_SEG_P,
		.g_pat = ARCH_PAT_RESET,
	};
}

/* After RESET: no paging, no protection (APM 2 14.1.3). */
static void real_mode(struct svm_snapshot *at)
{
	long_mode(at);
	at->efer = ARCH_EFER_SVME;
	at->cr0 = ARCH_CR0_CD | ARCH_CR0_NW | ARCH_CR0_ET;
	at->cr3 = 0;
	at->cr4 = 0;
	at->cs = 0x9b;
}

/* APM 2 15.19: real mode under paging exists for guests. */
static void paged_real_mode(struct svm_snapshot *at)
{
	real_mode(at);
	at->cr0 |= ARCH_CR0_PG;
}

static void pae(struct svm_snapshot *at)
{
	long_mode(at);
	at->efer = ARCH_EFER_SVME | ARCH_EFER_NXE;
	at->cs = 0xc9b;
}

static void compatibility(struct svm_snapshot *at)
{
	long_mode(at);
	at->cs = 0xc9b;
}

static void shadow_paging(struct svm_snapshot *at)
{
	long_mode(at);
	at->nested_ctl = 0;
	at->n_cr3 = ~0ull;
	at->g_pat = ~0ull; /* not looked at */
}

static void no_long_mode(struct svm_snapshot *at)
{
	real_mode(at);
	limits.long_mode = false;
	limits.efer = ARCH_EFER_SVME;
}

/* One broken rule: the fields in set[], of which the first is the one to blame. */
static const struct {
	const char *rule;
	void (*base)(struct svm_snapshot *at);
	struct {
		u16 field;
		u64 value;
	} set[3];
} broken[] = {
	{ "the VMRUN intercept must be set", long_mode, { { F(intercepts), 0xfffffffe } } },
	{ "the I/O permission map must end within the physical-address width",
	  long_mode,
	  { { F(iopm_base_pa), (1ull << PHYS_BITS) - 0x2000 } } },
	{ "the I/O permission map must end within the physical-address width",
	  long_mode,
	  { { F(iopm_base_pa), ~0xfffull } } },
	{ "the MSR permission map must end within the physical-address width",
	  long_mode,
	  { { F(msrpm_base_pa), (1ull << PHYS_BITS) - 0x1000 } } },
	{ "the ASID must not be 0", long_mode, { { F(guest_asid), 0 } } },
	{ "an injected event's TYPE must be 0, 2, 3 or 4",
	  long_mode,
	  { { F(eventinj), EVENT_VALID | 1 << 8 } } },
	{ "an injected event's TYPE must be 0, 2, 3 or 4",
	  long_mode,
	  { { F(eventinj), EVENT_VALID | 7 << 8 } } },
	{ "an injected exception's vector must be that of an exception",
	  long_mode,
	  { { F(eventinj), EVENT_VALID | EVENT_TYPE_EXCEPTION | 2 } } },
	{ "an injected exception's vector must be that of an exception",
	  long_mode,
	  { { F(eventinj), EVENT_VALID | EVENT_TYPE_EXCEPTION | 32 } } },
	{ "nested paging needs paging in the host",
	  long_mode,
	  { { F(nested_ctl), NP_ENABLE }, { F(host_cr0), ARCH_CR0_PE } } },
	{ "bits beyond the physical-address width must be 0",
	  long_mode,
	  { { F(n_cr3), 1ull << PHYS_BITS } } },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7",
	  long_mode,
	  { { F(g_pat), 0x0207040600070406 } } },
	{ "each byte must be a memory type: 0, 1, 4, 5, 6 or 7",
	  long_mode,
	  { { F(g_pat), 0x0007040600070408 } } },
	{ "EFER.SVME must be 1", long_mode, { { F(efer), EFER_LONG & ~ARCH_EFER_SVME } } },
	{ "bits that this processor's EFER lacks must be 0",
	  long_mode,
	  { { F(efer), EFER_LONG | ARCH_EFER_TCE } } },
	{ "EFER.LME and LMA must be 0 on a processor without long mode",
	  no_long_mode,
	  { { F(efer), ARCH_EFER_SVME | ARCH_EFER_LME } } },
	{ "CR0.NW needs CR0.CD", real_mode, { { F(cr0), ARCH_CR0_NW | ARCH_CR0_ET } } },
	{ "bits 63:32 must be 0", real_mode, { { F(cr0), ARCH_CR0_ET | 1ull << 32 } } },
	{ "in long mode bits beyond the physical-address width must be 0",
	  long_mode,
	  { { F(cr3), 1ull << PHYS_BITS } } },
	{ "bits that this processor's CR4 lacks must be 0",
	  long_mode,
	  { { F(cr4), ARCH_CR4_PAE | ARCH_CR4_SMAP } } },
	{ "EFER.LME with CR0.PG needs CR4.PAE", long_mode, { { F(cr4), 0 } } },
	{ "EFER.LME with CR0.PG needs CR0.PE",
	  long_mode,
	  { { F(cr0), ARCH_CR0_PG | ARCH_CR0_WP | ARCH_CR0_ET } } },
	{ "CS.L and CS.D must not both be 1 in long mode",
	  long_mode,
	  { { F(cs), 0x9b | ARCH_SEG_L | ARCH_SEG_DB } } },
	{ "bits 63:32 must be 0", long_mode, { { F(dr6), ARCH_DR6_FIXED | 1ull << 63 } } },
	{ "bits 63:32 must be 0", long_mode, { { F(dr7), ARCH_DR7_FIXED | 1ull << 32 } } },
	{ "CR4.CET needs CR0.WP",
	  pae,
	  { { F(cr4), ARCH_CR4_PAE | ARCH_CR4_CET },
	    { F(cr0), ARCH_CR0_PG | ARCH_CR0_ET | ARCH_CR0_PE } } },
	{ "bits that S_CET lacks must be 0", long_mode, { { F(s_cet), 4 } } },
};

static void put(struct svm_snapshot *at, u16 field, u64 value)
{
	memcpy((u8 *)at + field, &value, sizeof(value));
}

static void each_broken_rule_is_named(void **state)
{
	struct audit_finding found[4];
	struct svm_snapshot at;
	u32 i, j, count;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		const char *field = svm_field_name(broken[i].set[0].field);

		broken[i].base(&at);
		assert_int_equal(svm_audit(&at, found, ARRAY_SIZE(found)), 0);
		for (j = 0; j < ARRAY_SIZE(broken[i].set) && (!j || broken[i].set[j].field); j++)
			put(&at, broken[i].set[j].field, broken[i].set[j].value);
		count = svm_audit(&at, found, ARRAY_SIZE(found));
		if (count != 1)
			fail_msg("%s: %s: %u rules are broken%s%s", field, broken[i].rule, count,
				 count ? ", the first: " : "", count ? found[0].rule : "");
		assert_string_equal(found[0].rule, broken[i].rule);
		assert_string_equal(found[0].field, field);
		assert_int_equal(found[0].value, broken[i].set[0].value);
		assert_non_null(strstr(found[0].section, "APM 2 15."));
	}
}

/* No rule without a state that breaks it; each fits its line. */
static void each_rule_has_a_case(void **state)
{
	char text[FERMATA_AUDIT_TEXT];
	const char *section = NULL;
	u32 i, j;

	for (i = 0; i < svm_rules.count; i++) {
		const struct svm_rule *rule = &svm_rules.rule[i];
		const char *field = svm_field_name(rule->field);
		struct audit_finding longest = { rule->rule, section, field, ~0ull };

		if (rule->section) {
			section = rule->section;
			continue;
		}
		assert_non_null(section);
		assert_string_not_equal(field, "?");
		assert_true(audit_text(&longest, text, sizeof(text)) < sizeof(text) - 1);
		for (j = 0; j < ARRAY_SIZE(broken); j++)
			if (!strcmp(broken[j].rule, rule->rule) &&
			    broken[j].set[0].field == rule->field)
				break;
		if (j == ARRAY_SIZE(broken))
			fail_msg("no case breaks: %s; %s", field, rule->rule);
	}
}

static void legal_states(void **state)
{
	static void (*const legal[])(struct svm_snapshot *) = {
		long_mode,     real_mode,     paged_real_mode, pae,
		compatibility, shadow_paging, no_long_mode,
	};
	struct svm_snapshot at;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(legal); i++) {
		legal[i](&at);
		assert_int_equal(svm_audit(&at, NULL, 0), 0);
	}
	/* EFER.LME waits for paging; CR3 has 32 bits until then; the map's low bits are ignored. */
	real_mode(&at);
	at.efer |= ARCH_EFER_LME;
	at.cr3 = ~0ull;
	at.iopm_base_pa |= 0xfff;
	at.cs |= ARCH_SEG_L | ARCH_SEG_DB;
	assert_int_equal(svm_audit(&at, NULL, 0), 0);
	/* Interrupts, NMIs, INT n and exceptions go in; what is not valid is not looked at. */
	long_mode(&at);
	for (i = 0; i < 256; i++) {
		at.eventinj = EVENT_VALID | EVENT_TYPE_INTR | i;
		assert_int_equal(svm_audit(&at, NULL, 0), 0);
		at.eventinj = EVENT_VALID | EVENT_TYPE_SOFT | i;
		assert_int_equal(svm_audit(&at, NULL, 0), 0);
		at.eventinj = EVENT_VALID | EVENT_TYPE_EXCEPTION | i;
		assert_int_equal(svm_audit(&at, NULL, 0), !arch_is_exception(i));
		at.eventinj = EVENT_TYPE_MASK | i;
		assert_int_equal(svm_audit(&at, NULL, 0), 0);
	}
	/* Without CET there is no S_CET. */
	limits.cr4 &= ~ARCH_CR4_CET;
	at.s_cet = ~0ull;
	assert_int_equal(svm_audit(&at, NULL, 0), 0);
}

static void counts_beyond_the_room(void **state)
{
	struct audit_finding found[2] = { { 0 } };
	struct svm_snapshot at;

	long_mode(&at);
	at.guest_asid = 0;
	at.dr6 = at.dr7 = ~0ull;
	assert_int_equal(svm_audit(&at, found, 1), 3);
	assert_string_equal(found[0].field, "guest ASID");
	assert_null(found[1].rule);
}

/* ---- on a vCPU */

static u32 failed;

static void refuses(u64 *regs)
{
	failed++;
	c->exitcode = SVM_EXIT_INVALID;
	c->eventinj = 0; /* as processors do */
	c->cr0 = 0x123;	 /* as QEMU does */
}

static void turn(void)
{
	host_guest_begin(v->thread, 1, 0);
	v->exit.kind = EXIT_UNCLAIMED;
	svm_run(v);
	exit_handle(v);
	host_guest_end(v->thread);
}

/* The tests' physical addresses are wider than the usual fake processor's. */
static struct cpu_words wide(u32 leaf, u32 subleaf)
{
	return leaf == 0x80000008 ? (struct cpu_words){ .eax = 0x3034 } : amd(leaf, subleaf);
}

static void of_a_vcpu(void **state)
{
	struct fermata_audit audit;

	fake_processor.cpuid = wide;
	fake_processor.cr0 = ARCH_CR0_PG | ARCH_CR0_PE;
	svm_audit_setup();
	guest = refuses;
	turn();
	assert_int_equal(page.exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, 0); /* RESET's state is legal */
	assert_string_equal(audit.line[0], "");

	svm_inject(v, &(struct injection){ .kind = INJECT_EXCEPTION, .vector = 9 });
	v->guest.cr0 |= 1ull << 40;
	v->dirty |= DIRTY_CONTROL;
	turn();
	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, 2);
	assert_string_equal(audit.line[0], "an injected exception's vector must be that of an "
					   "exception; APM 2 15.20; EVENTINJ = 0x80000309");
	assert_string_equal(audit.line[1],
			    "bits 63:32 must be 0; APM 2 15.5.1; CR0 = 0x10000000010");
	assert_int_equal(failed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_broken_rule_is_named),
		cmocka_unit_test(each_rule_has_a_case),
		cmocka_unit_test(legal_states),
		cmocka_unit_test(counts_beyond_the_room),
		TEST(of_a_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
