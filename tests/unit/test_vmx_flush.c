/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/vmx/flush.c: which INVVPID and INVEPT are paid for what, and what happens when one fails. */
#include "core_fixture.h"
#include "vmx/vmx.h"

#define EPTP 0x123456001eull
#define VPID_CAPS                                                                                  \
	(VPID_CAP_INVVPID | VPID_CAP_ADDRESS | VPID_CAP_SINGLE | VPID_CAP_ALL | VPID_CAP_LOCAL)
#define EPT_CAPS (EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL)

/* What kernel/vmx/vmx.c holds of the processor. */
struct vmx_controls vmx_controls;
static struct vmx_cpu cpus[2];
struct vmx_cpu *vmx_cpus = cpus;

static struct vmx_vcpu hw[VCPUS];
static void *fake_hw_of[VCPUS];

static void take(u32 id)
{
	fake_hw_of[id] = vcpus[id].hw;
	hw[id] = (struct vmx_vcpu){ .eptp = EPTP };
	vcpus[id].hw = &hw[id];
	vcpus[id].cpu = 0;
}

/* Two vCPUs that have run on CPU 0, and owe nothing. */
static int begin(void **state)
{
	u32 i;

	fresh(state);
	add_vcpu();
	memset(cpus, 0, sizeof(cpus));
	for (i = 0; i < 2; i++)
		tag_pool_init(&cpus[i].tags, 65536, 0, false);
	vmx_controls = (struct vmx_controls){ .proc2 = PROC2_EPT | PROC2_VPID,
					      .ept_vpid = EPT_CAPS | VPID_CAPS };
	host_free(vm.paid);
	vm.paid = host_alloc(2 * sizeof(*vm.paid));
	take(0);
	take(1);
	for (i = 0; i < 2; i++) {
		cpus[i].tags.flush_all = false;
		assert_true(vmx_pay(&vcpus[i]));
		memset(&vcpus[i].account.stats, 0, sizeof(vcpus[i].account.stats));
	}
	fake_processor.invalidations = 0;
	return 0;
}

static int end(void **state)
{
	vcpus[0].hw = fake_hw_of[0];
	vcpus[1].hw = fake_hw_of[1];
	return done(state);
}

#define FLUSH_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* The n-th instruction since fake_processor.invalidations was reset. */
static void assert_done(u32 n, char what, u64 type, u64 tag, u64 address)
{
	const struct fake_invalidation *i = &fake_processor.invalidation[n];

	assert_true(n < fake_processor.invalidations);
	assert_int_equal(i->what, what);
	assert_int_equal(i->type, type);
	assert_int_equal(i->tag, tag);
	assert_int_equal(i->address, address);
}

static void pay(u32 kinds)
{
	fake_processor.invalidations = 0;
	vcpu_owe(v, kinds, 0x7000, FERMATA_CAUSE_STATE);
	assert_true(vmx_pay(v));
	assert_int_equal(v->tlb.owed, 0);
}

/* As kernel/memory does when it takes a mapping away. */
static void owe_nested(struct vcpu *vcpu)
{
	vm.memory.flush.generation++;
	vcpu_owe(vcpu, FLUSH_NESTED, 0, FERMATA_CAUSE_HOST);
}

static void narrowest_invvpid(void **state)
{
	u32 tag = v->tlb.tag.id;

	pay(FLUSH_NONE);
	assert_int_equal(fake_processor.invalidations, 0);
	pay(FLUSH_ADDRESS);
	assert_done(0, 'V', 0, tag, 0x7000);
	pay(FLUSH_LOCAL);
	assert_done(0, 'V', 3, tag, 0);
	pay(FLUSH_LINEAR);
	assert_done(0, 'V', 1, tag, 0);
	pay(FLUSH_LOCAL | FLUSH_ADDRESS); /* what both drop is less than what either leaves */
	assert_done(0, 'V', 1, tag, 0);
	assert_int_equal(fake_processor.invalidations, 1);
	assert_int_equal(v->tlb.tag.id, tag);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_ADDRESS], 1);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_LOCAL], 1);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_TAG], 2);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_NESTED], 0);
}

/* What the CPU does not have is replaced by the next wider one, at last by a VPID that is new. */
static void cpu_with_fewer_types(void **state)
{
	u32 tag = v->tlb.tag.id;

	vmx_controls.ept_vpid &= ~(VPID_CAP_ADDRESS | VPID_CAP_LOCAL);
	pay(FLUSH_ADDRESS);
	assert_done(0, 'V', 1, tag, 0);
	pay(FLUSH_LOCAL);
	assert_done(0, 'V', 1, tag, 0);
	vmx_controls.ept_vpid &= ~VPID_CAP_SINGLE;
	pay(FLUSH_LINEAR);
	assert_int_equal(fake_processor.invalidations, 0);
	assert_int_not_equal(v->tlb.tag.id, tag);
	assert_int_not_equal(v->tlb.tag.id, vcpus[1].tlb.tag.id);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_NEW_TAG], 1);
}

/* VMfail, as for an address that is not canonical: never a flush that is believed paid. */
static void refused_invvpid(void **state)
{
	u32 tag = v->tlb.tag.id;

	fake_processor.refused_invvpid = BIT(0) | BIT(3);
	pay(FLUSH_ADDRESS);
	assert_done(0, 'V', 1, tag, 0);
	pay(FLUSH_LOCAL);
	assert_done(0, 'V', 1, tag, 0);
	fake_processor.refused_invvpid |= BIT(1);
	pay(FLUSH_ADDRESS);
	assert_int_equal(fake_processor.invalidations, 0);
	assert_int_not_equal(v->tlb.tag.id, tag);
	/* Nothing is left to replace this one. */
	fake_processor.refused_invvpid |= BIT(2);
	cpus[0].tags.flush_all = true;
	vcpu_owe(v, FLUSH_LINEAR, 0, FERMATA_CAUSE_STATE);
	assert_false(vmx_pay(v));
	assert_true(cpus[0].tags.flush_all);
	assert_false(vmx_forget());
	vmx_controls.proc2 &= ~PROC2_VPID;
	assert_true(vmx_forget());
}

/* A CPU pays for a guest's nested tables once, not once per vCPU; INVVPID has no part in it. */
static void nested_once_per_cpu(void **state)
{
	owe_nested(v);
	owe_nested(&vcpus[1]);
	assert_true(vmx_pay(v));
	assert_int_equal(fake_processor.invalidations, 1);
	assert_done(0, 'E', 1, 0, EPTP);
	assert_true(vmx_pay(&vcpus[1]));
	assert_int_equal(fake_processor.invalidations, 1);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_NESTED], 1);
	assert_int_equal(vcpus[1].account.stats.flush_kind[FERMATA_FLUSH_NESTED], 0);
	/* On another CPU it is still owed: by whoever comes there first. */
	vcpus[1].cpu = 1;
	assert_true(vmx_pay(&vcpus[1]));
	assert_int_equal(fake_processor.invalidations, 2);
	assert_done(1, 'E', 1, 0, EPTP);
	v->cpu = 1;
	assert_true(vmx_pay(v));
	assert_int_equal(fake_processor.invalidations, 2);
	assert_int_equal(v->account.stats.flush_cause[FERMATA_CAUSE_CPU], 1);
	/* Back, with nothing new: a VPID there, and nothing else. */
	v->cpu = 0;
	assert_true(vmx_pay(v));
	assert_int_equal(fake_processor.invalidations, 2);
	assert_int_equal(v->account.stats.flush_cause[FERMATA_CAUSE_CPU], 2);
}

static void refused_invept(void **state)
{
	fake_processor.refused_invept = BIT(1);
	owe_nested(v);
	assert_true(vmx_pay(v));
	assert_done(0, 'E', 2, 0, 0);
	assert_int_equal(v->account.stats.flush_kind[FERMATA_FLUSH_ALL_NESTED], 1);
	fake_processor.refused_invept |= BIT(2);
	owe_nested(v);
	assert_false(vmx_pay(v));
	assert_false(vmx_pay(v)); /* it stays owed */
	assert_false(vmx_forget());
	fake_processor.refused_invept = 0;
	assert_true(vmx_pay(v));
	/* A CPU without the narrower type. */
	vmx_controls.ept_vpid &= ~EPT_CAP_INVEPT_SINGLE;
	fake_processor.invalidations = 0;
	owe_nested(v);
	assert_true(vmx_pay(v));
	assert_done(0, 'E', 2, 0, 0);
}

/* Entries and exits do the rest, but not for guest-physical mappings. */
static void untagged(void **state)
{
	vm.config.untagged = true;
	pay(FLUSH_LINEAR | FLUSH_LOCAL | FLUSH_ADDRESS);
	assert_int_equal(fake_processor.invalidations, 0);
	owe_nested(v);
	assert_true(vmx_pay(v));
	assert_int_equal(fake_processor.invalidations, 1);
	assert_done(0, 'E', 1, 0, EPTP);
}

static void rollover(void **state)
{
	u32 all = 0, i;

	tag_pool_init(&cpus[0].tags, 65536, 2, false);
	vmx_controls.ept_vpid &= ~(VPID_CAP_ADDRESS | VPID_CAP_LOCAL | VPID_CAP_SINGLE);
	for (i = 0; i < 20; i++) {
		pay(FLUSH_LINEAR);
		assert_in_range(v->tlb.tag.id, 1, 2);
		all += fake_processor.invalidations;
		if (fake_processor.invalidations)
			assert_done(0, 'V', 2, 0, 0);
		assert_true(vmx_pay(&vcpus[1]));
		assert_int_not_equal(v->tlb.tag.id == vcpus[1].tlb.tag.id,
				     v->tlb.tag.generation == vcpus[1].tlb.tag.generation);
	}
	assert_in_range(all, 9, 20);
	assert_true(v->account.stats.flush_kind[FERMATA_FLUSH_ALL_TAGS] > 0);
	assert_true(vcpus[1].account.stats.flush_cause[FERMATA_CAUSE_ROLLOVER] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLUSH_TEST(narrowest_invvpid), FLUSH_TEST(cpu_with_fewer_types),
		FLUSH_TEST(refused_invvpid),   FLUSH_TEST(nested_once_per_cpu),
		FLUSH_TEST(refused_invept),    FLUSH_TEST(untagged),
		FLUSH_TEST(rollover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
