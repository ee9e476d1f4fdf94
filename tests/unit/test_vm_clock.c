/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/time.c: changes of the clock, and what vCPUs, their timers and RDTSC make of them. */
#include "core_fixture.h"

#define MS 1000000ll

static int change(u32 verb, s64 ns)
{
	struct fermata_clock_change c = { .verb = verb, .ns = ns };

	return vm_set_clock(&vm, &c);
}

static int rate(u32 num, u32 den)
{
	struct fermata_clock_change c = { .verb = FERMATA_CLOCK_RATE, .num = num, .den = den };

	return vm_set_clock(&vm, &c);
}

static u64 now(void)
{
	struct guest_clock clock;
	u64 tsc = vm_time(&vm, &clock);

	return clock_ns(&clock, tsc);
}

static void passes(u64 host_ns, u64 guest_ns)
{
	u64 before = now();

	host_test_advance(host_ns);
	assert_in_range(now() - before, guest_ns, guest_ns + 1);
}

static void bad_changes(void **state)
{
	static const struct fermata_clock_change bad[] = {
		{ .verb = FERMATA_CLOCK_DATE + 1 },
		{ .verb = FERMATA_CLOCK_RATE },
		{ .verb = FERMATA_CLOCK_RATE, .num = 1001, .den = 1 },
		{ .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1001 },
		{ .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1, .ns = 1 },
		{ .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1, .reserved = 1 },
		{ .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1, .reserved2 = 1 },
		{ .verb = FERMATA_CLOCK_FREEZE, .num = 1 },
		{ .verb = FERMATA_CLOCK_THAW, .ns = 1 },
		{ .verb = FERMATA_CLOCK_STEP, .ns = -1 },
		{ .verb = FERMATA_CLOCK_STEP, .den = 1 },
		{ .verb = FERMATA_CLOCK_HOLD, .ns = 1 },
		{ .verb = FERMATA_CLOCK_JUMP, .num = 1 },
	};
	struct fermata_clock_change c;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		c = bad[i];
		assert_int_equal(vm_set_clock(&vm, &c), -EINVAL);
	}
	assert_int_equal(clock_page.changes, 1);
	passes(MS, MS);
}

static void verbs(void **state)
{
	struct fermata_clock_change jump = { .verb = FERMATA_CLOCK_JUMP, .ns = 5 * MS };

	passes(MS, MS);
	assert_int_equal(clock_page.flags, 0);
	assert_int_equal(rate(3, 1), 0);
	passes(MS, 3 * MS);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_TRAPPED);
	assert_int_equal(rate(1, 4), 0);
	passes(MS, MS / 4);
	assert_int_equal(change(FERMATA_CLOCK_FREEZE, 0), 0);
	passes(MS, 0);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_TRAPPED | FERMATA_CLOCK_FROZEN);
	assert_int_equal(rate(2, 1), 0);
	passes(MS, 0);
	assert_int_equal(change(FERMATA_CLOCK_STEP, 10 * MS), 0);
	passes(MS, 2 * MS);
	passes(100 * MS, 8 * MS);
	/* a pause during a step: the rest of it comes afterwards */
	assert_int_equal(change(FERMATA_CLOCK_STEP, 10 * MS), 0);
	passes(MS, 2 * MS);
	assert_int_equal(change(FERMATA_CLOCK_HOLD, 0), 0);
	passes(100 * MS, 0);
	assert_int_equal(change(FERMATA_CLOCK_RELEASE, 0), 0);
	passes(100 * MS, 8 * MS);
	assert_int_equal(change(FERMATA_CLOCK_THAW, 0), 0);
	passes(MS, 2 * MS);
	/* a thaw during a pause counts from its end on */
	assert_int_equal(change(FERMATA_CLOCK_HOLD, 0), 0);
	assert_int_equal(change(FERMATA_CLOCK_FREEZE, 0), 0);
	assert_int_equal(change(FERMATA_CLOCK_THAW, 0), 0);
	passes(MS, 0);
	assert_int_equal(change(FERMATA_CLOCK_RELEASE, 0), 0);
	assert_int_equal(rate(1, 1), 0);
	passes(MS, MS);
	assert_int_equal(clock_page.flags, 0);
	assert_int_equal(vm_set_clock(&vm, &jump), 0);
	assert_in_range(jump.ns, 5 * MS, 5 * MS + 1);
}

/* What the processor can scale does not exit, and is what it can do. */
static u64 half_scaled(u64 mult)
{
	return mult >> 63 ? 0 : mult & ~0xffffull;
}

static void scaling(void **state)
{
	struct backend scaling = fake_backend;

	scaling.scale_tsc = half_scaled;
	vm.backend = &scaling;
	assert_int_equal(rate(1, 3), 0);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_SCALED);
	assert_true(clock_page.tsc_mult == (clock_rate_mult(1, 3) & ~0xffffull));
	assert_int_equal(change(FERMATA_CLOCK_STEP, MS), 0);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_TRAPPED | FERMATA_CLOCK_FROZEN);
	assert_int_equal(change(FERMATA_CLOCK_THAW, 0), 0);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_SCALED);
	assert_int_equal(rate(1, 1), 0);
	assert_int_equal(clock_page.flags, 0);
	vm.backend = &fake_backend;
}

/* RDTSC and RDTSCP: lengths known, decoded, and QEMU's RDTSC that is an RDTSCP. */
static void rdtsc(void **state)
{
	static const struct {
		const char *bytes;
		u8 kind, length, known;
		bool aux;
	} insns[] = {
		{ "\x0f\x31", EXIT_RDTSC, 2, 2, false },
		{ "\x0f\x31", EXIT_RDTSC, 2, 0, false },
		{ "\x0f\x01\xf9", EXIT_RDTSCP, 3, 3, true },
		{ "\x0f\x01\xf9", EXIT_RDTSCP, 3, 0, true },
		{ "\x0f\x01\xf9", EXIT_RDTSC, 3, 0, true },
	};
	u32 i;

	enter();
	v->guest.tsc_aux = 0x1234;
	v->guest.tsc_offset = 1000;
	assert_int_equal(change(FERMATA_CLOCK_FREEZE, 0), 0);
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		memcpy(ram + 0x1000, insns[i].bytes, insns[i].length);
		v->exit = (struct exit){ .kind = insns[i].kind, .length = insns[i].known };
		v->advance = 0;
		regs[FERMATA_RAX] = regs[FERMATA_RDX] = regs[FERMATA_RCX] = ~0ull;
		assert_int_equal(exit_handle(v), GO_ON);
		assert_int_equal(v->advance, insns[i].length);
		assert_int_equal(regs[FERMATA_RAX] | regs[FERMATA_RDX] << 32,
				 clock_page.tsc_start + 1000);
		assert_true(regs[FERMATA_RCX] == (insns[i].aux ? 0x1234 : ~0ull));
	}
	/* Another CPU has put another instruction there. */
	memcpy(ram + 0x1000, "\x0f\xa2", 2);
	v->exit = (struct exit){ .kind = EXIT_RDTSCP };
	v->advance = 0;
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	v->exit = (struct exit){ .kind = EXIT_RDTSC };
	assert_int_equal(exit_handle(v), GO_ON);
	assert_int_equal(v->advance, 0);
	leave();
}

/* ---- timers */

static void start_timer(u64 ticks)
{
	struct apic_effects effects;
	struct guest_clock clock;
	u64 tsc = vm_time(&vm, &clock);

	apic_write(&v->apic, LAPIC_SVR, 0x1ff, &clock, tsc, &effects);
	apic_write(&v->apic, LAPIC_LVT_TIMER, 0x31, &clock, tsc, &effects);
	apic_write(&v->apic, LAPIC_TIMER_DIVIDE, 0xb, &clock, tsc, &effects);
	apic_write(&v->apic, LAPIC_TIMER_INITIAL, ticks, &clock, tsc, &effects);
	vcpu_apic_effects(v, &effects);
}

/* The guest is asleep in HLT; how much of its timer is left. */
static u32 asleep(void)
{
	struct guest_clock clock;
	u64 tsc = vm_time(&vm, &clock);

	v->mp_state = FERMATA_MP_HALTED;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(v->mp_state, FERMATA_MP_HALTED);
	assert_false(v->requests & BIT(REQUEST_CLOCK));
	return apic_read(&v->apic, LAPIC_TIMER_CURRENT, &clock, tsc);
}

static void wakes(bool it_does)
{
	fake.count = fake.played = 0;
	fake_exit(EXIT_NOTHING, 0);
	host_test.must_leave = false;
	host_test.leave_error = 0;
	v->mp_state = FERMATA_MP_HALTED;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.played, it_does);
	assert_int_equal(v->mp_state, it_does ? FERMATA_MP_RUNNABLE : FERMATA_MP_HALTED);
}

static void timer_follows(void **state)
{
	start_timer(10 * MS);
	assert_int_equal(rate(5, 1), 0);
	assert_in_range(asleep(), 10 * MS - 5, 10 * MS);
	passes(MS, 5 * MS);
	wakes(false);
	assert_int_equal(change(FERMATA_CLOCK_FREEZE, 0), 0);
	assert_in_range(asleep(), 5 * MS - 5, 5 * MS);
	passes(1000 * MS, 0);
	wakes(false);
	assert_int_equal(change(FERMATA_CLOCK_STEP, 4 * MS), 0);
	asleep();
	passes(1000 * MS, 4 * MS);
	wakes(false);
	assert_int_equal(change(FERMATA_CLOCK_THAW, 0), 0);
	asleep();
	host_test_advance(MS / 10);
	wakes(false);
	host_test_advance(MS / 10 + 10);
	wakes(true);
}

static void jump_over_a_timer(void **state)
{
	start_timer(10 * MS);
	asleep();
	assert_int_equal(change(FERMATA_CLOCK_JUMP, -1000 * MS), 0); /* keeps what it has left */
	assert_in_range(asleep(), 10 * MS - 5, 10 * MS);
	assert_int_equal(change(FERMATA_CLOCK_JUMP, 11 * MS), 0);
	asleep();
	host_test_advance(1);
	wakes(true);
}

/* ---- vCPUs in the guest */

static u32 turns;

static void changes_meanwhile(struct vcpu *who, u32 turn)
{
	/* The door is closed: nobody reads a clock that is being changed. */
	if (turn == 0) {
		vm.time.changing = 1;
		host_set_bit(REQUEST_CLOCK, &who->requests);
	}
	turns++;
}

static void waits_at_the_door(void **state)
{
	fake.guest = changes_meanwhile;
	turns = 0;
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_NOTHING, 0);
	host_test.leave_error = -EINTR; /* of the host_leave() that follows */
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(turns, 1);
	assert_true(v->requests & BIT(REQUEST_CLOCK));
	vm.time.changing = 0;
	host_test.leave_error = 0;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(turns, 2);
	assert_int_equal(v->requests, 0);
}

/* A segment that has lasted for a quarter of the TSC's range is begun anew. */
static void grows_old(void **state)
{
	u64 start = vm.time.clock.tsc_start, before;

	assert_int_equal(rate(1000, 1), 0);
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_NOTHING, 0);
	host_test.tsc += (1ull << 62) / 1000 + 1000;
	before = now();
	host_set_bit(REQUEST_TIMER, &v->requests);
	v->requests &= ~BIT(REQUEST_CLOCK);
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_true(vm.time.clock.tsc_start > start);
	assert_true(now() == before);
}

/* ---- a clock that passes only while the guest runs */

static int alone(void **state)
{
	make_vm();
	return 0;
}

/* After a sleep of the computer's the TSC may read anything; the guest's goes on, and its timers with it. */
static void slept(void **state)
{
	struct guest_clock clock;
	u64 before, then;

	start_timer(5000);
	host_test_advance(1000);
	before = vm_time(&vm, &clock);
	then = host_test.tsc;
	host_test.tsc = 70;			   /* the firmware has set it to 0 */
	assert_int_equal(vm_time(&vm, &clock), 0); /* without a word about it, time goes back */
	vm_clock_rebase(&vm, then);
	assert_int_equal(vm_time(&vm, &clock), before);
	assert_true(v->requests &
		    BIT(REQUEST_CLOCK)); /* each tells its hardware, and arms its timer anew */
	host_test.tsc += 500;
	assert_int_equal(vm_time(&vm, &clock), before + 500);
	then = host_test.tsc;
	host_test.tsc += 1ull << 40; /* it has gone on */
	vm_clock_rebase(&vm, then);
	assert_int_equal(vm_time(&vm, &clock), before + 500);
}

static u64 spent; /* host ticks in the guest's next turn */

static void spends(struct vcpu *who, u32 turn)
{
	host_test.tsc += spent;
}

/* One turn of so many ticks, then a long time outside; how many ticks of the guest passed. */
static u64 one_turn(u64 ticks, u8 kind)
{
	struct guest_clock clock;
	u64 before = vm_time(&vm, &clock);

	spent = ticks;
	fake.count = fake.played = 0;
	fake_exit(kind, 2);
	fake.guest = spends;
	host_test.must_leave = false;
	host_test.leave_error = 0;
	assert_int_equal(vcpu_run(v), -EINTR);
	host_test.tsc += 1000000;
	return vm_time(&vm, &clock) - before;
}

static void run_only(void **state)
{
	struct fermata_clock_change mode = { .verb = FERMATA_CLOCK_RUN_ONLY_MODE };
	struct guest_clock clock;
	u64 before;

	assert_int_equal(vm_set_clock(&vm, &mode), 0);
	add_vcpu();
	assert_int_equal(vm_set_clock(&vm, &mode), -EBUSY);
	assert_int_equal(vcpu_init(&vcpus[1], &vm, 1, &threads[1], &pages[1]), -EBUSY);
	assert_int_equal(clock_page.flags, FERMATA_CLOCK_TRAPPED | FERMATA_CLOCK_RUN_ONLY);
	fake_hw(v)->mode = FERMATA_MODE_LONG;
	fake_hw(v)->rip = 0x1000;
	fake_hw(v)->rflags = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_IF;
	/* The first turns teach what is ours: 300 ticks. */
	one_turn(300, EXIT_NOTHING);
	one_turn(300, EXIT_NOTHING);
	assert_int_equal(one_turn(300, EXIT_NOTHING), 1);
	assert_int_equal(one_turn(5300, EXIT_NOTHING), 5001);
	/* A shorter one teaches more, and does not go back. */
	assert_int_equal(one_turn(290, EXIT_NOTHING), 1);
	assert_int_equal(one_turn(310, EXIT_NOTHING), 21);
	assert_int_equal(rate(3, 1), 0);
	/* A turn that tells the hardware something new is measured by others of its kind. */
	assert_int_equal(one_turn(1300, EXIT_NOTHING), 3001);
	assert_int_equal(one_turn(1290, EXIT_NOTHING), 3001);
	assert_int_equal(change(FERMATA_CLOCK_FREEZE, 0), 0);
	assert_int_equal(one_turn(5000, EXIT_NOTHING), 0);
	assert_int_equal(change(FERMATA_CLOCK_STEP, 1000), 0);
	assert_int_equal(one_turn(500, EXIT_NOTHING), 601);
	assert_int_equal(one_turn(5000, EXIT_NOTHING), 399);
	assert_int_equal(rate(1, 1), 0);
	assert_int_equal(change(FERMATA_CLOCK_THAW, 0), 0);
	assert_int_equal(change(FERMATA_CLOCK_HOLD, 0), 0);
	assert_int_equal(one_turn(5000, EXIT_NOTHING), 0);
	assert_int_equal(change(FERMATA_CLOCK_RELEASE, 0), 0);
	/* A timer that is armed outside is armed as if the guest ran on, and looked at again. */
	start_timer(1000);
	assert_int_equal(one_turn(400, EXIT_NOTHING), 101);
	assert_false(apic_has_wakeup(&v->apic));
	host_test_advance(2000); /* it looks, and finds that not so much has passed */
	one_turn(390, EXIT_NOTHING);
	assert_false(apic_has_wakeup(&v->apic));
	one_turn(3000, EXIT_NOTHING);
	host_test_advance(2000);
	one_turn(390, EXIT_NOTHING);
	assert_true(fake.injections > 0 || apic_has_wakeup(&v->apic));
	/* Asleep, time passes as for the host. */
	before = vm_time(&vm, &clock);
	run_only_asleep(&vm, true);
	host_test.tsc += 777;
	run_only_asleep(&vm, false);
	host_test.tsc += 1000;
	assert_int_equal(vm_time(&vm, &clock) - before, 777);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_changes),
		TEST(verbs),
		TEST(scaling),
		TEST(rdtsc),
		TEST(timer_follows),
		TEST(jump_over_a_timer),
		TEST(slept),
		cmocka_unit_test_setup_teardown(run_only, alone, done),
		TEST(waits_at_the_door),
		TEST(grows_old),
	};

	return cmocka_run_group_tests_name("the VM's clock", tests, NULL, NULL);
}
