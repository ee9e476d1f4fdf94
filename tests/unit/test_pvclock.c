/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/pvclock.c: who is offered it, what its MSRs take, and what the pages say. */
#include "core/pvclock.h"
#include "core_fixture.h"
#include "test_random.h"

#define TIME ARCH_MSR_KVM_SYSTEM_TIME
#define WALL ARCH_MSR_KVM_WALL_CLOCK
#define OFFERED (BIT(3) | BIT(24))

struct page {
	u32 version, pad;
	u64 tsc, ns;
	u32 mult;
	s8 shift;
	u8 flags, pad2[2];
};

static int offered(void **state, u32 features, u32 khz)
{
	struct fermata_cpuid cpuid;
	u32 n;

	make_vm();
	cpuid = *vm.cpuid_supported;
	n = cpuid.count++;
	cpuid.entry[n] = (struct fermata_cpuid_entry){ .leaf = 0x40000001, .eax = features };
	if (khz)
		assert_int_equal(clock_init(&vm.time.clock, 5000, khz), 0);
	assert_int_equal(vm_set_cpuid(&vm, &cpuid), 0);
	add_vcpu();
	add_vcpu();
	pvclock_write(&vcpus[0]);
	pvclock_write(&vcpus[1]);
	return 0;
}

static int begin(void **state)
{
	return offered(state, OFFERED, 0);
}

#define PV_TEST(name) cmocka_unit_test_setup_teardown(name, begin, done)

static bool due(const struct vcpu *who)
{
	return who->requests & BIT(REQUEST_PVCLOCK);
}

static int set(struct vcpu *who, u32 msr, u64 value)
{
	int err;

	host_guest_begin(who->thread, who->guest.xcr0, who->guest.tsc_aux);
	err = msr_write(who, msr, value);
	host_guest_end(who->thread);
	if (!err && due(who))
		pvclock_write(who);
	return err;
}

static struct page page_at(u64 gpa)
{
	struct page page;

	memcpy(&page, ram + gpa, sizeof(page));
	return page;
}

/* As a guest computes it. */
static u64 ns_by(u64 gpa, u64 tsc)
{
	struct page p = page_at(gpa);
	u64 ticks = tsc - p.tsc;

	ticks = p.shift < 0 ? ticks >> -p.shift : ticks << p.shift;
	return p.ns + (u64)((unsigned __int128)ticks * p.mult >> 32);
}

static void not_offered(void **state)
{
	u64 value;

	assert_false(vm.cpuid.kvmclock);
	assert_int_equal(msr_read(v, TIME, &value), -EINVAL);
	assert_int_equal(msr_read(v, WALL, &value), -EINVAL);
	assert_int_equal(msr_write(v, TIME, 0x1001), -EINVAL);
	assert_int_equal(msr_write(v, WALL, 0x1000), -EINVAL);
	assert_false(due(v));
	assert_int_equal(msr_write(v, ARCH_MSR_TSC, 7), 0);
	assert_false(due(v));
}

static void other_features(void **state)
{
	struct fermata_cpuid cpuid = *vm.cpuid_supported;
	struct cpuid_table table;
	u32 n = cpuid.count++, bit;

	for (bit = 0; bit < 32; bit++) {
		cpuid.entry[n] = (struct fermata_cpuid_entry){ .leaf = 0x40000001, .eax = BIT(bit) };
		assert_int_equal(cpuid_set(&table, &cpuid, vm.cpuid_supported),
				 BIT(bit) & OFFERED ? 0 : -EINVAL);
	}
	cpuid.entry[n] = (struct fermata_cpuid_entry){ .leaf = 0x40000001, .ecx = 1 };
	assert_int_equal(cpuid_set(&table, &cpuid, vm.cpuid_supported), -EINVAL);
	cpuid.entry[n] = (struct fermata_cpuid_entry){ .leaf = 0x40000002 };
	assert_int_equal(cpuid_set(&table, &cpuid, vm.cpuid_supported), -EINVAL);
}

static void addresses(void **state)
{
	static const u64 bad[] = { 3,	      0x1003,	  RAM - 28 + 1,	  RAM + 1, 0xffffffff001ull,
				   ~0ull - 2, ~0ull - 30, BIT_ULL(63) | 1 };
	u64 value;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(set(v, TIME, bad[i]), -EINVAL);
		assert_int_equal(set(v, WALL, bad[i] | 1), -EINVAL);
	}
	assert_int_equal(set(v, WALL, 0x2001), -EINVAL);
	assert_int_equal(set(v, WALL, RAM - 8), -EINVAL);
	assert_int_equal(set(v, TIME, RAM - 32 + 1), 0);
	assert_int_equal(set(v, WALL, RAM - 12), 0);
	assert_int_equal(set(v, TIME, 0xfffffff0), 0);
	assert_int_equal(msr_read(v, TIME, &value), 0);
	assert_int_equal(value, 0xfffffff0);
	assert_int_equal(msr_read(&vcpus[1], WALL, &value), 0);
	assert_int_equal(value, RAM - 12);
}

/* Whatever happens to the clock, the page need not change to be right to the ns. */
static void follows(void **state)
{
	static const u32 khz[] = { 1000000, 999999, 2400001, 5700000, 1000, 33333, 4294967295u };
	struct guest_clock clock;
	u32 i, round;
	u64 tsc;

	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		done(state);
		offered(state, OFFERED, khz[i]);
		assert_int_equal(set(v, TIME, 0x2001), 0);
		for (round = 0; round < 2000; round++) {
			struct fermata_clock_change c = { .verb = FERMATA_CLOCK_RATE,
							  .num = 1 + random_below(1000),
							  .den = 1 + random_below(1000) };

			if (random_one_in(3))
				c = (struct fermata_clock_change){ .verb = FERMATA_CLOCK_STEP,
								   .ns = random_below(1u << 31) };
			else if (random_one_in(3))
				c = (struct fermata_clock_change){ .verb = FERMATA_CLOCK_JUMP,
								   .ns = random_u64() >> 20 };
			assert_int_equal(vm_set_clock(&vm, &c), 0);
			host_test.tsc += random_u64() >> (20 + random_below(40));
			if (random_one_in(3))
				assert_int_equal(set(v, ARCH_MSR_TSC, random_u64()), 0);
			tsc = vm_time(&vm, &clock);
			if (clock_ns(&clock, tsc) > 1ull << 62) /* 146 years */
				break;
			assert_true(ns_by(0x2000, tsc + v->guest.tsc_offset) ==
				    clock_ns(&clock, tsc));
		}
		assert_true(round > 30);
	}
}

static void versions(void **state)
{
	static const u32 before[] = { 0, 1, 2, 7, 0xfffffffe, 0xffffffff };
	struct page p;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(before); i++) {
		memset(ram + 0x2000, 0x55, 32);
		memcpy(ram + 0x2000, &before[i], 4);
		assert_int_equal(set(v, TIME, 0x2001), 0);
		p = page_at(0x2000);
		assert_false(p.version & 1);
		assert_true(p.version - before[i] >= 2 && p.version - before[i] <= 3);
		assert_int_equal(p.pad | p.pad2[0] | p.pad2[1], 0);
	}
	assert_int_equal(set(v, TIME, 0x2000), 0);
	p = page_at(0x2000);
	assert_int_equal(set(v, ARCH_MSR_TSC, 99), 0);
	assert_int_equal(page_at(0x2000).version, p.version); /* switched off */
}

/* The bit that lets vCPUs read each other's page, and user space any. */
static void one_tsc(void **state)
{
	assert_int_equal(set(&vcpus[0], TIME, 0x2001), 0);
	assert_int_equal(set(&vcpus[1], TIME, 0x3001), 0);
	assert_int_equal(page_at(0x2000).flags, 1);
	assert_int_equal(page_at(0x3000).flags, 1);
	assert_int_equal(set(&vcpus[1], ARCH_MSR_TSC_ADJUST, 5), 0);
	assert_int_equal(page_at(0x2000).flags, 0);
	assert_int_equal(page_at(0x3000).flags, 0);
	assert_int_equal(page_at(0x3000).tsc, page_at(0x2000).tsc + 5);
	assert_int_equal(set(&vcpus[0], ARCH_MSR_TSC_ADJUST, 5), 0);
	assert_int_equal(page_at(0x2000).flags, 1);
	add_vcpu(); /* with a TSC that none of the others has any more */
	assert_true(due(&vcpus[2]));
	pvclock_write(&vcpus[2]);
	assert_int_equal(page_at(0x2000).flags, 0);
}

static int half_offered(void **state)
{
	return offered(state, BIT(3), 0);
}

static void flags_unbelieved(void **state)
{
	assert_int_equal(set(v, TIME, 0x2001), 0);
	assert_int_equal(page_at(0x2000).flags, 0);
}

static void dates(void **state)
{
	struct fermata_clock_change c = { .verb = FERMATA_CLOCK_DATE };
	u32 words[3];

	c.ns = 1234567890123456789;
	assert_int_equal(vm_set_clock(&vm, &c), 0);
	assert_int_equal(set(v, WALL, 0x2004), 0);
	memcpy(words, ram + 0x2004, sizeof(words));
	assert_int_equal(words[1], 1234567890);
	assert_int_equal(words[2], 123456789);
	c.ns = (1ll << 32) * 1000000000; /* one second more than it can say */
	assert_int_equal(vm_set_clock(&vm, &c), 0);
	assert_int_equal(set(&vcpus[1], ARCH_MSR_TSC, 5), 0);
	memcpy(words, ram + 0x2004, sizeof(words));
	assert_int_equal(words[1], 1234567890); /* told once */
	assert_int_equal(set(v, WALL, 0x2004), 0);
	memcpy(words, ram + 0x2004, sizeof(words));
	assert_int_equal(words[1] | words[2], 0);
	c.num = 1;
	assert_int_equal(vm_set_clock(&vm, &c), -EINVAL);
}

static int stays_away(u64 user, bool write, struct host_page *page)
{
	return 0;
}

/* Memory that the host has swapped out is brought back; memory that is gone is the guest's loss. */
static void absent(void **state)
{
	struct fermata_memory gone = { 0 };
	u64 across = 0x3000 - 8;

	assert_int_equal(set(v, TIME, across | 1), 0);
	host_test_user_absent(ram + 0x3000, 4096, true);
	host_test.page_error = -EFAULT;
	assert_int_equal(set(v, ARCH_MSR_TSC_ADJUST, 1), 0);
	assert_false(due(v)); /* SIGBUS: it is not tried for ever */
	host_test.page_error = 0;
	host_test.page_get = stays_away;
	assert_int_equal(set(v, ARCH_MSR_TSC_ADJUST, 2), 0);
	assert_true(due(v)); /* the host takes it as fast as it brings it */
	host_test.page_get = NULL;
	pvclock_write(v);
	assert_false(due(v));
	assert_int_equal(page_at(across).tsc, v->guest.tsc_offset);
	assert_int_equal(vm_set_memory(&vm, &gone), 0);
	assert_int_equal(set(v, ARCH_MSR_TSC_ADJUST, 3), 0);
	assert_false(due(v));
	assert_int_equal(set(v, TIME, across | 1), -EINVAL);
}

static u32 hostile_left;

static void scribble(u64 user)
{
	if (hostile_left) {
		hostile_left--;
		ram[0x2000]++;
	}
}

/* A guest that writes to the version meanwhile gets what it can get, and nobody waits for it. */
static void hostile(void **state)
{
	host_test.before_cmpxchg = scribble;
	hostile_left = 3;
	assert_int_equal(set(v, TIME, 0x2001), 0);
	assert_false(page_at(0x2000).version & 1);
	hostile_left = ~0u;
	assert_int_equal(set(v, TIME, 0x2001), 0);
	assert_false(due(v));
	assert_true(hostile_left < ~0u - 8);
}

static void saved(void **state)
{
	static struct fermata_state s;

	assert_int_equal(set(v, TIME, 0x2001), 0);
	assert_int_equal(set(v, WALL, 0x3000), 0);
	s.mask = FERMATA_STATE_MSRS;
	assert_int_equal(vcpu_get_state(v, &s), 0);
	assert_int_equal(s.msrs.kvm_system_time, 0x2001);
	assert_int_equal(s.msrs.kvm_wall_clock, 0x3000);
	memset(ram + 0x2000, 0, 0x2000);
	s.msrs.tsc += 12345;
	assert_int_equal(vcpu_set_state(v, &s), 0);
	assert_true(due(v));
	pvclock_write(v);
	assert_int_equal(page_at(0x2000).tsc, v->guest.tsc_offset);
	assert_int_equal(page_at(0x3000).version, 0); /* a date that was told is not told again */
	s.msrs.kvm_system_time = RAM | 1;
	assert_int_equal(vcpu_set_state(v, &s), -EINVAL);
	s.msrs.kvm_system_time = 0x2001;
	s.msrs.kvm_wall_clock = 2;
	assert_int_equal(vcpu_set_state(v, &s), -EINVAL);
	s.msrs.kvm_wall_clock = 0;
	s.msrs.reserved = 1;
	assert_int_equal(vcpu_set_state(v, &s), -EINVAL);
}

static void not_restored(void **state)
{
	static struct fermata_state s;

	s.mask = FERMATA_STATE_MSRS;
	assert_int_equal(vcpu_get_state(v, &s), 0);
	assert_int_equal(s.msrs.kvm_system_time | s.msrs.kvm_wall_clock, 0);
	assert_int_equal(vcpu_set_state(v, &s), 0);
	assert_false(due(v));
	s.msrs.kvm_wall_clock = 0x1000;
	assert_int_equal(vcpu_set_state(v, &s), -EINVAL);
	s.msrs.kvm_wall_clock = 0;
	s.msrs.kvm_system_time = 0x1001;
	assert_int_equal(vcpu_set_state(v, &s), -EINVAL);
}

/* The run loop: what WRMSR asks for is there before the guest's next turn. */
static struct page at_turn[4];

static void look(struct vcpu *who, u32 turn)
{
	at_turn[turn] = page_at(0x2000);
}

static void before_next_turn(void **state)
{
	fake_hw(v)->mode = FERMATA_MODE_LONG;
	fake_hw(v)->rflags = ARCH_RFLAGS_FIXED;
	pages[0].regs[FERMATA_RCX] = TIME;
	pages[0].regs[FERMATA_RAX] = 0x2001;
	pages[0].regs[FERMATA_RDX] = 0;
	fake.guest = look;
	fake_exit(EXIT_MSR_WRITE, 2);
	fake_exit(EXIT_NOTHING, 0);
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(at_turn[0].version, 0);
	assert_int_equal(at_turn[1].version, 2);
	assert_int_equal(at_turn[1].flags, 1);
	assert_false(due(v));
	/* ... and while it sleeps */
	v->mp_state = FERMATA_MP_HALTED;
	v->requests |= BIT(REQUEST_PVCLOCK);
	host_test.must_leave = false;
	vcpu_run(v);
	assert_int_equal(page_at(0x2000).version, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(not_offered),
		TEST(other_features),
		TEST(not_restored),
		PV_TEST(addresses),
		PV_TEST(follows),
		PV_TEST(versions),
		PV_TEST(one_tsc),
		PV_TEST(dates),
		PV_TEST(absent),
		PV_TEST(hostile),
		PV_TEST(saved),
		PV_TEST(before_next_turn),
		cmocka_unit_test_setup_teardown(flags_unbelieved, half_offered, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
