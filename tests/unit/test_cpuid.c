/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/cpuid.c: nothing that is not named is shown, nothing that is not supported is promised. */
#include "core/cpuid_bits.h"
#include "core_fixture.h"

#define BIT32(n) (1u << (n))

static struct fermata_cpuid offer, wanted;
static struct cpuid_table table;

static const struct fermata_cpuid_entry *offered(u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < offer.count; i++)
		if (offer.entry[i].leaf == leaf && offer.entry[i].subleaf == subleaf)
			return &offer.entry[i];
	fail_msg("leaf %x.%x is not offered", leaf, subleaf);
	return NULL;
}

static struct fermata_cpuid_entry *want(u32 leaf, u32 subleaf)
{
	return &wanted.entry[offered(leaf, subleaf) - offer.entry];
}

static int begin(void **state)
{
	fresh(state);
	cpuid_supported(&offer, 0xe7);
	wanted = offer;
	return 0;
}

#define CPUID_TEST(name) cmocka_unit_test_setup_teardown(name, begin, done)

static struct cpu_words ask(struct vcpu *who, u32 leaf, u32 subleaf)
{
	u64 *r = who->page->regs;

	r[FERMATA_RAX] = 0xffffffff00000000ull | leaf;
	r[FERMATA_RCX] = 0xffffffff00000000ull | subleaf;
	r[FERMATA_RBX] = r[FERMATA_RDX] = ~0ull;
	host_guest_begin(who->thread, who->guest.xcr0, 0);
	cpuid_answer(who);
	host_guest_end(who->thread);
	/* 32-bit results clear the upper halves */
	assert_int_equal((r[FERMATA_RAX] | r[FERMATA_RBX] | r[FERMATA_RCX] | r[FERMATA_RDX]) >> 32,
			 0);
	return (struct cpu_words){ r[FERMATA_RAX], r[FERMATA_RBX], r[FERMATA_RCX], r[FERMATA_RDX] };
}

/* What no guest may see, of a processor that has everything. */
static void hidden(void **state)
{
	static const struct {
		u32 leaf, subleaf, reg, bit;
	} never[] = {
		{ 1, 0, 2, 2 },		  { 1, 0, 2, 3 },	    { 1, 0, 2, 5 },
		{ 1, 0, 2, 6 },		  { 1, 0, 2, 15 },	    { 1, 0, 2, 27 },
		{ 1, 0, 3, 18 },	  { 1, 0, 3, 21 },	    { 1, 0, 3, 22 },
		{ 1, 0, 3, 29 },	  { 7, 0, 1, 2 },	    { 7, 0, 1, 12 },
		{ 7, 0, 1, 14 },	  { 7, 0, 1, 15 },	    { 7, 0, 1, 25 },
		{ 7, 0, 2, 3 },		  { 7, 0, 2, 4 },	    { 7, 0, 2, 5 },
		{ 7, 0, 2, 7 },		  { 7, 0, 2, 13 },	    { 7, 0, 3, 20 },
		{ 7, 0, 3, 24 },	  { 7, 0, 3, 26 },	    { 7, 0, 3, 27 },
		{ 7, 0, 3, 29 },	  { 7, 0, 3, 31 },	    { 0xd, 1, 0, 3 },
		{ 0xd, 1, 0, 4 },	  { 0x80000001, 0, 2, 2 },  { 0x80000001, 0, 2, 10 },
		{ 0x80000001, 0, 2, 12 }, { 0x80000001, 0, 2, 15 }, { 0x80000001, 0, 2, 23 },
		{ 0x80000001, 0, 2, 29 }, { 0x80000007, 0, 3, 9 },  { 0x80000008, 0, 1, 3 },
		{ 0x80000008, 0, 1, 14 }, { 0x80000021, 0, 0, 8 },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(never); i++) {
		const struct fermata_cpuid_entry *e = offered(never[i].leaf, never[i].subleaf);

		assert_false((&e->eax)[never[i].reg] >> never[i].bit & 1);
	}
	for (i = 0; i < offer.count; i++) {
		u32 leaf = offer.entry[i].leaf;

		/* MWAIT, performance counters, SVM, SEV, and whatever is unknown */
		assert_true(leaf != 5 && leaf != 0xa && leaf != 0x8000000a && leaf != 0x8000001b);
		assert_true(leaf < 0x20 || leaf == 0x40000000 ||
			    (leaf >= 0x80000000 && leaf <= 0x80000021));
		assert_int_equal(offer.entry[i].reserved, 0);
	}
	assert_int_equal(ask(v, 5, 0).eax | ask(v, 0xa, 0).eax | ask(v, 0x8000000a, 0).eax, 0);
	assert_int_equal(ask(v, 0x8000001f, 0).eax | ask(v, 0x80000028, 0).eax, 0);
	assert_int_equal(ask(v, 0x1234, 0).ebx | ask(v, 0x40000001, 0).eax, 0);
}

/* What is emulated is there even when the host has it not; the rest only when the host has it. */
static struct cpu_words poor_host(u32 leaf, u32 subleaf)
{
	struct cpu_words r = fake_cpuid(leaf, subleaf);

	if (leaf == 1)
		r.ecx = r.edx = 0;
	if (leaf == 7)
		r.ebx = r.ecx = r.edx = 0;
	if (leaf == 0x80000001)
		r.ecx = r.edx = 0;
	return r;
}

static void what_is_ours(void **state)
{
	fake_processor.cpuid = poor_host;
	cpuid_supported(&offer, 0);
	assert_int_equal(offered(1, 0)->ecx, BIT32(21) | BIT32(24) | BIT32(31));
	assert_int_equal(offered(1, 0)->edx, 0);
	assert_int_equal(offered(7, 0)->ebx, BIT32(1));
	assert_int_equal(offered(7, 0)->ecx | offered(7, 0)->edx, 0);
	assert_int_equal(offered(0x80000001, 0)->ecx | offered(0x80000001, 0)->edx, 0);
	assert_int_equal(cpuid_set(&table, &offer, &offer), 0);
	assert_int_equal(table.cr4_allowed, ARCH_CR4_PCE);
	assert_int_equal(table.efer_allowed, 0);
	assert_int_equal(table.xcr0_allowed, 0);
	assert_false(table.rdtscp || table.mtrr || table.mce);
}

static void signature(void **state)
{
	struct cpu_words r = ask(v, 0x40000000, 0);
	char text[13] = { 0 };

	memcpy(text, &r.ebx, 4);
	memcpy(text + 4, &r.ecx, 4);
	memcpy(text + 8, &r.edx, 4);
	assert_string_equal(text, "FermataFrmta");
	assert_int_equal(r.eax, 0x40000000);
}

/* The words that depend on who asks, and in which state. */
static void of_the_vcpu(void **state)
{
	add_vcpu();
	add_vcpu();
	add_vcpu();
	assert_int_equal(ask(&vcpus[3], 1, 0).ebx, 0x03000800);
	assert_int_equal(ask(v, 1, 0).ebx, 0x00000800);
	assert_int_equal(ask(&vcpus[3], 0xb, 0).edx, 3);
	assert_int_equal(ask(&vcpus[3], 0xb, 7).edx, 3);
	assert_int_equal(ask(&vcpus[3], 0xb, 7).ecx, 7);
	assert_int_equal(ask(&vcpus[3], 0x8000001e, 0).eax, 3);

	assert_false(ask(v, 1, 0).ecx & BIT32(27));
	v->guest.cr4 |= ARCH_CR4_OSXSAVE;
	assert_true(ask(v, 1, 0).ecx & BIT32(27));

	assert_true(ask(v, 1, 0).edx & BIT32(9));
	assert_int_equal(apic_set_base(&v->apic, LAPIC_BASE_DEFAULT | LAPIC_BASE_BSP), 0);
	assert_false(ask(v, 1, 0).edx & BIT32(9));
}

/* SDM 1 13.4: how large an area XSAVE and XSAVEC need, now and at most. */
static void xsave_sizes(void **state)
{
	v->guest.xcr0 = 1;
	assert_int_equal(ask(v, 0xd, 0).ebx, 576);
	assert_int_equal(ask(v, 0xd, 0).eax, 0xe7);
	assert_int_equal(ask(v, 0xd, 0).ecx, 2688); /* without the host's PKRU */
	v->guest.xcr0 = 7;
	assert_int_equal(ask(v, 0xd, 0).ebx, 832);
	assert_int_equal(ask(v, 0xd, 1).ebx, 832);
	v->guest.xcr0 = 0xe7;
	assert_int_equal(ask(v, 0xd, 0).ebx, 2688);
	assert_int_equal(ask(v, 0xd, 1).ebx, 576 + 256 + 64 + 512 + 1024);
	assert_int_equal(ask(v, 0xd, 1).ecx | ask(v, 0xd, 1).edx, 0);
	assert_int_equal(ask(v, 0xd, 2).eax, 256);
	assert_int_equal(ask(v, 0xd, 2).ebx, 576);
	assert_int_equal(ask(v, 0xd, 9).eax, 0);
	assert_int_equal(ask(v, 0xd, 62).eax, 0);
}

static void aligned_components(void **state)
{
	want(0xd, 7)->ecx = BIT32(1);
	want(0xd, 5)->eax = 8;
	assert_int_equal(cpuid_set(&vm.cpuid, &wanted, &offer), 0);
	v->guest.xcr0 = 0xe7;
	/* 576 + 256 + 8 + 512 = 1352, to 1408 */
	assert_int_equal(ask(v, 0xd, 1).ebx, 1408 + 1024);
}

/* PKU and its state in XSAVE come together, where the host has enabled that; OSPKE follows CR4. */
static void protection_keys(void **state)
{
	cpuid_supported(&offer, 0x2e7);
	assert_true(offered(7, 0)->ecx & BIT32(3));
	assert_false(offered(7, 0)->ecx & BIT32(4));
	assert_int_equal(offered(0xd, 0)->eax, 0x2e7);
	wanted = offer;
	assert_int_equal(cpuid_set(&vm.cpuid, &wanted, &offer), 0);
	assert_true(vm.cpuid.cr4_allowed & ARCH_CR4_PKE);
	assert_int_equal(vm.cpuid.xcr0_allowed, 0x2e7);
	assert_int_equal(ask(v, 0xd, 9).eax, 8);
	assert_int_equal(ask(v, 0xd, 9).ebx, 2688);
	v->guest.xcr0 = 0x201;
	assert_int_equal(ask(v, 0xd, 0).ebx, 2696);
	assert_int_equal(ask(v, 0xd, 0).ecx, 2696);
	assert_int_equal(ask(v, 0xd, 1).ebx, 576 + 8);
	assert_false(ask(v, 7, 0).ecx & BIT32(4));
	v->guest.cr4 |= ARCH_CR4_PKE;
	assert_true(ask(v, 7, 0).ecx & BIT32(4));
	assert_int_equal(ask(v, 7, 0).ecx & ~BIT32(4), offered(7, 0)->ecx);
	assert_int_equal(ask(v, 7, 1).ecx, offered(7, 1)->ecx);
	/* OSPKE is nobody's to promise. */
	want(7, 0)->ecx |= BIT32(4);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	want(7, 0)->ecx &= ~BIT32(3);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	assert_int_equal(table.cr4_allowed, vm.cpuid.cr4_allowed & ~ARCH_CR4_PKE);
}

static void promises(void **state)
{
	static const struct {
		u32 leaf, subleaf, reg, bit;
	} feature[] = {
		{ 1, 0, 2, 5 },		  { 1, 0, 3, 18 },	    { 7, 0, 1, 2 },
		{ 7, 0, 2, 3 },		  { 7, 0, 3, 26 },	    { 7, 1, 0, 17 },
		{ 0xd, 0, 0, 9 },	  { 0xd, 0, 3, 30 },	    { 0xd, 1, 0, 3 },
		{ 0x80000001, 0, 2, 2 },  { 0x80000001, 0, 3, 10 }, { 0x80000007, 0, 3, 9 },
		{ 0x80000008, 0, 1, 14 }, { 0x80000021, 0, 0, 8 },
	};
	u32 i;

	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	for (i = 0; i < ARRAY_SIZE(feature); i++) {
		struct fermata_cpuid_entry *e = want(feature[i].leaf, feature[i].subleaf);

		wanted = offer;
		(&e->eax)[feature[i].reg] |= BIT32(feature[i].bit);
		assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	}
	/* Less is always fine, and so is what describes the machine. */
	wanted = offer;
	want(1, 0)->ecx = want(1, 0)->edx = 0;
	want(7, 0)->ebx = 0;
	want(0x80000001, 0)->edx = 0;
	want(1, 0)->edx |= BIT32(28);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	/* Neither more physical bits than there are, nor absurdly few. */
	wanted = offer;
	want(0x80000008, 0)->eax = 0x3031;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	want(0x80000008, 0)->eax = 0x301f;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	want(0x80000008, 0)->eax = 0x3020;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	assert_int_equal(table.phys_bits, 32);
}

static void refused(struct fermata_cpuid_entry entry)
{
	wanted = offer;
	wanted.entry[wanted.count++] = entry;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
}

/* An entry without the flag answers every subleaf, and is held to what is supported in each. */
static void every_subleaf(void **state)
{
	struct fermata_cpuid_entry e = { .leaf = 0xd, .subleaf = 5, .eax = ~0u, .edx = ~0u };

	/* It answers subleaf 0, which says what XCR0 may be. */
	memset(&wanted, 0, sizeof(wanted));
	wanted.count = 2;
	wanted.entry[0] = *offered(1, 0);
	wanted.entry[1] = e;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted.entry[1].flags = FERMATA_CPUID_SUBLEAF;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	assert_int_equal(table.xcr0_allowed, 0);
	/* What is right in subleaf 0 means something else in subleaf 1, and nothing in subleaf 2. */
	e = *offered(7, 0);
	e.flags = 0;
	refused(e);
	refused((struct fermata_cpuid_entry){ .leaf = 7, .ebx = BIT32(0) });
	refused((struct fermata_cpuid_entry){ .leaf = 7, .eax = BIT32(4) });
	refused((struct fermata_cpuid_entry){
		.leaf = 7, .subleaf = 2, .flags = FERMATA_CPUID_SUBLEAF, .edx = 1 });
	/* Caches are for the caller to describe. */
	wanted = offer;
	wanted.entry[wanted.count++] = (struct fermata_cpuid_entry){ .leaf = 4, .eax = 0x121 };
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
}

/* MWAIT, performance counters, SGX, tracing, IBS, SEV; and of leaf 6, HWP. */
static void unlisted_leaves(void **state)
{
	static const u32 leaves[] = { 5, 0xa, 0x12, 0x14, 0x1f, 0x8000000a, 0x8000001b, 0x8000001f };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		refused((struct fermata_cpuid_entry){ .leaf = leaves[i], .edx = 1 });
		wanted = offer;
		wanted.entry[wanted.count++] = (struct fermata_cpuid_entry){ .leaf = leaves[i] };
		assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	}
	wanted = offer;
	want(6, 0)->eax |= BIT32(7);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
}

/* A width that no address has would be shifted by. */
static void width_without_leaf(void **state)
{
	offer.count = 2;
	refused((struct fermata_cpuid_entry){ .leaf = 0x80000008, .eax = 0xff });
	refused((struct fermata_cpuid_entry){ .leaf = 0x80000008, .eax = 37 });
	wanted.entry[2].eax = 36;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	assert_int_equal(table.phys_bits, 36);
}

/* The host's log names the bit that was too many. */
static void named(void **state)
{
	want(1, 0)->ecx |= BIT32(5);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	assert_string_equal(host_test.last_log,
			    "SET_CPUID: leaf 0x1, subleaf 0, ECX[5] (VMX) is refused: "
			    "there are no nested guests");
	wanted = offer;
	want(0x80000001, 0)->edx |= BIT32(27);
	offer.entry[offered(0x80000001, 0) - offer.entry].edx &= ~BIT32(27);
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	assert_string_equal(host_test.last_log,
			    "SET_CPUID: leaf 0x80000001, subleaf 0, EDX[27] (RDTSCP) is refused: "
			    "this host lacks it");
	refused((struct fermata_cpuid_entry){ .leaf = 0x1f, .ebx = 6 });
	assert_string_equal(host_test.last_log,
			    "SET_CPUID: leaf 0x1f, subleaf 0, EBX[1] (no name) is refused: "
			    "it is not listed");
}

/* Each leaf covers all of ECX in order; a bit that is hidden says why, and no other does. */
static void listed(void **state)
{
	u32 i, reg, bit;

	for (i = 0; i < cpuid_leaf_count; i++) {
		const struct cpuid_leaf *l = &cpuid_leaves[i], *next = l + 1;

		if (!i || l[-1].leaf != l->leaf)
			assert_int_equal(l->first, 0);
		if (i + 1 == cpuid_leaf_count || next->leaf != l->leaf)
			assert_int_equal(l->last, ~0u);
		else
			assert_int_equal(next->first, l->last + 1);
		assert_true(!i || l->leaf >= l[-1].leaf);
		for (reg = 0; reg < CPUID_REGISTERS; reg++)
			for (bit = 0; l->bits[reg] && bit < 32; bit++) {
				const struct cpuid_bit *b = &l->bits[reg][bit];

				assert_int_equal(!!b->why, b->name && b->policy == CPUID_HIDDEN);
				assert_true(b->name || b->policy == CPUID_HIDDEN);
				/* a bit has one owner */
				assert_false(b->name && (l->own[reg] | l->host[reg]) >> bit & 1);
			}
	}
}

static void malformed(void **state)
{
	wanted.count = FERMATA_MAX_CPUID + 1;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	wanted.reserved = 1;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	wanted.entry[3].reserved = 1;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	wanted.entry[3].flags |= 2;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	wanted.entry[3].leaf = 0x20; /* nowhere to put it */
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	wanted.entry[3].leaf = 0x80000022;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	wanted = offer;
	want(2, 0)->leaf = 0x8000000a;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), -EINVAL);
	/* As many as there is room for, all of one leaf, are no problem. */
	memset(&wanted, 0, sizeof(wanted));
	wanted.count = FERMATA_MAX_CPUID;
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
	memset(&wanted, 0, sizeof(wanted));
	assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
}

/* Entries come in any order; an entry without the flag answers every subleaf. */
static void order(void **state)
{
	u32 i;

	memset(&wanted, 0, sizeof(wanted));
	for (i = 0; i < offer.count; i++)
		wanted.entry[i] = offer.entry[offer.count - 1 - i];
	wanted.count = offer.count;
	assert_int_equal(cpuid_set(&vm.cpuid, &wanted, &offer), 0);
	for (i = 0; i < offer.count; i++) {
		const struct fermata_cpuid_entry *e = &offer.entry[i];

		assert_int_equal(ask(v, e->leaf, e->subleaf).eax, e->eax);
	}
	assert_int_equal(ask(v, 7, 2).eax | ask(v, 7, 2).ebx, 0);
	memset(&wanted, 0, sizeof(wanted));
	wanted.count = 1;
	wanted.entry[0] = (struct fermata_cpuid_entry){ .leaf = 2, .eax = 0x1234 };
	assert_int_equal(cpuid_set(&vm.cpuid, &wanted, &offer), 0);
	assert_int_equal(ask(v, 2, 99).eax, 0x1234);
}

static void derived(void **state)
{
	static const struct {
		u32 leaf, reg, bit;
		u64 cr4, efer;
	} row[] = {
		{ 1, 3, 1, ARCH_CR4_VME | ARCH_CR4_PVI, 0 },
		{ 1, 3, 2, ARCH_CR4_DE, 0 },
		{ 1, 3, 3, ARCH_CR4_PSE, 0 },
		{ 1, 3, 4, ARCH_CR4_TSD, 0 },
		{ 1, 3, 6, ARCH_CR4_PAE, 0 },
		{ 1, 3, 7, ARCH_CR4_MCE, 0 },
		{ 1, 3, 13, ARCH_CR4_PGE, 0 },
		{ 1, 3, 24, ARCH_CR4_OSFXSR, 0 },
		{ 1, 3, 25, ARCH_CR4_OSXMMEXCPT, 0 },
		{ 1, 2, 17, ARCH_CR4_PCIDE, 0 },
		{ 1, 2, 26, ARCH_CR4_OSXSAVE, 0 },
		{ 7, 1, 0, ARCH_CR4_FSGSBASE, 0 },
		{ 7, 1, 7, ARCH_CR4_SMEP, 0 },
		{ 7, 1, 20, ARCH_CR4_SMAP, 0 },
		{ 7, 2, 2, ARCH_CR4_UMIP, 0 },
		{ 7, 2, 16, ARCH_CR4_LA57, 0 },
		{ 0x80000001, 3, 11, 0, ARCH_EFER_SCE },
		{ 0x80000001, 3, 20, 0, ARCH_EFER_NXE },
		{ 0x80000001, 3, 25, 0, ARCH_EFER_FFXSR },
		{ 0x80000001, 3, 29, 0, ARCH_EFER_LME | ARCH_EFER_LMA },
	};
	u64 cr4, efer;
	u32 i;

	assert_int_equal(cpuid_set(&table, &offer, &offer), 0);
	cr4 = table.cr4_allowed;
	efer = table.efer_allowed;
	assert_false(cr4 & ARCH_CR4_PKE);
	assert_false(efer & ARCH_EFER_SVME);
	assert_int_equal(table.xcr0_allowed, 0xe7);
	assert_int_equal(table.phys_bits, 48);
	assert_int_equal(table.linear_bits, 57);
	assert_true(table.amd && table.rdtscp && table.x2apic && table.tsc_deadline &&
		    table.tsc_adjust && table.mtrr && table.mce && table.ibpb);
	for (i = 0; i < ARRAY_SIZE(row); i++) {
		wanted = offer;
		(&want(row[i].leaf, 0)->eax)[row[i].reg] &= ~BIT32(row[i].bit);
		assert_int_equal(cpuid_set(&table, &wanted, &offer), 0);
		assert_int_equal(table.cr4_allowed, cr4 & ~row[i].cr4);
		assert_int_equal(table.efer_allowed, efer & ~row[i].efer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CPUID_TEST(hidden),	     CPUID_TEST(what_is_ours),
		CPUID_TEST(signature),	     CPUID_TEST(of_the_vcpu),
		CPUID_TEST(xsave_sizes),     CPUID_TEST(aligned_components),
		CPUID_TEST(protection_keys), CPUID_TEST(promises),
		CPUID_TEST(malformed),	     CPUID_TEST(order),
		CPUID_TEST(derived),	     CPUID_TEST(every_subleaf),
		CPUID_TEST(unlisted_leaves), CPUID_TEST(width_without_leaf),
		CPUID_TEST(named),	     CPUID_TEST(listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
