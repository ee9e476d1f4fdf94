/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/run.c: the order of events, their windows, sleep and wake, INIT and SIPI, the run page. */
#include "core_fixture.h"

static struct fermata_run *const page = &pages[0];

static void script(u32 turns)
{
	while (turns--)
		fake_exit(EXIT_NOTHING, 0);
}

/* Until the script is over. */
static void run(void)
{
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.played, fake.count);
	assert_int_equal(v->mode, VCPU_OUTSIDE);
	assert_false(v->thread->in_guest);
	host_test.must_leave = false;
	host_test.leave_error = 0;
}

static void enable_apic(struct vcpu *who)
{
	struct apic_effects effects;

	apic_write(&who->apic, LAPIC_SVR, 0x1ff, &vm.time.clock, 0, &effects);
}

static void post(u8 vector)
{
	struct fermata_msi msi = { .address = 0xfee00000, .data = vector };

	assert_int_equal(vm_signal_msi(&vm, &msi), 0);
}

static void was_injected(u32 n, u8 kind, u8 vector, u32 turn)
{
	assert_true(fake.injections > n);
	assert_int_equal(fake.injected[n].kind, kind);
	assert_int_equal(fake.injected[n].vector, vector);
	assert_int_equal(fake.injected_turn[n], turn);
}

static void plain(void **state)
{
	script(3);
	run();
	assert_int_equal(v->account.stats.entries, 3);
	assert_int_equal(fake.loads, 1);
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake.windows, 0);
	assert_int_equal(page->rip, 0x1000);
	assert_int_equal(page->rflags, 0x202);
}

/* What the host's interrupt handlers may change is told anew after each moment in which they could run. */
static void told_after_interrupts(void **state)
{
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_NOTHING, 0); /* the host's interrupt */
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_NOTHING, 0);
	run();
	assert_true(fake.dirty[0] & DIRTY_HOST);
	assert_false(fake.dirty[1] & DIRTY_HOST);
	assert_false(fake.dirty[2] & DIRTY_HOST);
	assert_true(fake.dirty[3] & DIRTY_HOST);
	assert_false(fake.dirty[4] & DIRTY_HOST);
}

/* A guest that only computes: RCU hears at each host interrupt that nobody reads here; exits alone say nothing. */
static void quiet_at_interrupts(void **state)
{
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_CPUID, 2);
	run();
	assert_int_equal(host_test.quiet,
			 3); /* and once because the script's end is a wish to leave */
	assert_int_equal(fake.loads, 1);
}

static void raise_softirq(struct vcpu *v, u32 turn)
{
	host_test.softirqs = turn == 1;
}

/* Where guest context keeps softirqs off, an interrupt that raises one ends the stay. */
static void softirqs_end_the_stay(void **state)
{
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_NOTHING, 0);
	fake.guest = raise_softirq;
	run();
	assert_int_equal(fake.loads, 2);
}

/* XRSTOR or XSETBV faults: no stay, no turn, and the caller hears why. */
static void state_is_refused(void **state)
{
	struct fermata_audit audit;

	script(1);
	host_test.no_restore = true;
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(fake.played, 0);
	assert_int_equal(fake.loads, 0);
	assert_int_equal(page->exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	assert_int_equal(page->exit.hw_reason, FERMATA_HW_REFUSED);
	vcpu_get_audit(v, &audit);
	assert_int_equal(audit.count, 1);
	assert_string_equal(audit.line[0],
			    "the processor loads the guest's value; SDM 2: WRMSR, XSETBV, XRSTOR; "
			    "the XSAVE area, or XCR0 = 0x1");
	assert_int_equal(vcpu_run(v), -EIO);
}

static void refuse_a_register(struct vcpu *v, u32 turn)
{
	if (turn == 1)
		vcpu_refused(v, "LSTAR", 0x8000000000000000);
}

/* In the middle of a stay: the guest is not entered again. */
static void register_is_refused(void **state)
{
	script(4);
	fake.guest = refuse_a_register;
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(fake.played, 2);
	assert_int_equal(page->exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	assert_int_equal(page->exit.hw_reason, FERMATA_HW_REFUSED);
	assert_int_equal(page->exit.hw_info1, 0x8000000000000000);
	assert_int_equal(vcpu_run(v), -EIO);
}

static void statistics_are_copied(void **state)
{
	struct fermata_stats copy;

	script(3);
	run();
	vcpu_get_stats(v, &copy);
	assert_int_equal(copy.entries, 3);
	assert_int_equal(copy.last, 3);
	copy.last = v->account.stats.last; /* nobody counts it */
	assert_memory_equal(&copy, &v->account.stats, sizeof(copy));
}

/* An exception first, then the NMI, then the APIC's vectors, one a turn. */
static void order_of_events(void **state)
{
	enable_apic(v);
	post(0x41);
	post(0x81);
	v->waiting.nmi = true;
	vcpu_raise_code(v, ARCH_PF, 3);
	script(4);
	run();
	was_injected(0, INJECT_EXCEPTION, ARCH_PF, 0);
	was_injected(1, INJECT_NMI, ARCH_NMI, 1);
	was_injected(2, INJECT_INTERRUPT, 0x81, 2);
	assert_int_equal(fake.injections, 3); /* 41h is below what is in service */
	assert_int_equal(v->account.stats.injected, 3);
	assert_true(fake.asked_window >= 1);
}

/* With IF = 0 or in an interrupt's shadow a window is asked for, and taken back when it is used. */
static void open_later(struct vcpu *who, u32 turn)
{
	if (turn == 1)
		fake_hw(who)->rflags |= ARCH_RFLAGS_IF;
}

static void interrupt_window(void **state)
{
	enable_apic(v);
	post(0x41);
	fake_hw(v)->rflags &= ~ARCH_RFLAGS_IF;
	fake.guest = open_later;
	fake_exit(EXIT_NOTHING, 0);
	fake_exit(EXIT_WINDOW, 0);
	script(1);
	run();
	assert_int_equal(fake.injections, 1);
	was_injected(0, INJECT_INTERRUPT, 0x41, 2);
	assert_true(fake.asked_window >= 1);
	assert_int_equal(fake_hw(v)->windows, 0);
}

static void shadow(void **state)
{
	enable_apic(v);
	post(0x41);
	fake_hw(v)->shadow = true;
	script(1);
	run();
	assert_int_equal(fake.injections, 0);
	assert_int_equal(fake_hw(v)->windows, BIT(INJECT_INTERRUPT));
	/* A step over an instruction ends the shadow. */
	v->advance = 1;
	fake.count = fake.played = 0;
	script(1);
	run();
	was_injected(0, INJECT_INTERRUPT, 0x41, 0);
}

/* A second NMI waits for the first one's IRET. */
static void iret(struct vcpu *who, u32 turn)
{
	if (turn == 0)
		who->waiting.nmi = true;
	if (turn == 2)
		fake_hw(who)->nmi_masked = false;
}

static void nmi(void **state)
{
	struct fermata_line line = { .line = FERMATA_LINE_LINT1, .level = 1 };

	assert_int_equal(vm_set_line(&vm, &line), 0);
	fake.guest = iret;
	script(4);
	run();
	was_injected(0, INJECT_NMI, ARCH_NMI, 0);
	was_injected(1, INJECT_NMI, ARCH_NMI, 3);
	assert_int_equal(fake.injections, 2);
	assert_false(v->waiting.nmi);
}

/* What a device posts while the guest runs goes in with the next turn. */
static void device(struct vcpu *who, u32 turn)
{
	if (turn == 0)
		post(0x55);
	assert_int_equal(host_test.kicks, 1); /* it was in the guest */
}

static void posted_meanwhile(void **state)
{
	enable_apic(v);
	fake.guest = device;
	script(2);
	run();
	was_injected(0, INJECT_INTERRUPT, 0x55, 1);
}

/* LINT0 as ExtINT: the caller asks its 8259, and the answer goes in. */
static void extint(void **state)
{
	struct fermata_line line = { .line = FERMATA_LINE_LINT0, .level = 1 };
	struct fermata_injection answer = { .vector = 0x20, .kind = FERMATA_INJECT_EXTINT };

	assert_int_equal(vm_set_line(&vm, &line), 0);
	script(1);
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(page->exit.reason, FERMATA_EXIT_INTACK);
	assert_int_equal(fake.played, 0);
	assert_int_equal(vcpu_inject(v, &answer), 0);
	line.level = 0;
	assert_int_equal(vm_set_line(&vm, &line), 0);
	run();
	was_injected(0, INJECT_INTERRUPT, 0x20, 0);
	/* Not while the guest has interrupts off. */
	fake_hw(v)->rflags &= ~ARCH_RFLAGS_IF;
	line.level = 1;
	assert_int_equal(vm_set_line(&vm, &line), 0);
	fake.count = fake.played = 0;
	script(1);
	run();
	assert_int_equal(fake_hw(v)->windows, BIT(INJECT_INTERRUPT));
}

static void eoi(void **state)
{
	struct fermata_msi msi = { .address = 0xfee00000, .data = 0xc041 }; /* level */
	struct exit *x;

	enable_apic(v);
	assert_int_equal(vm_signal_msi(&vm, &msi), 0);
	memcpy(ram + 0x1000, "\x89\x08", 2); /* mov %ecx, (%rax) */
	x = fake_exit(EXIT_NESTED_FAULT, 0);
	x->fault.gpa = LAPIC_BASE_DEFAULT + LAPIC_EOI;
	x->fault.access = RADIX_WRITE;
	script(1);
	assert_int_equal(vcpu_run(v), 0);
	was_injected(0, INJECT_INTERRUPT, 0x41, 0);
	assert_int_equal(page->exit.reason, FERMATA_EXIT_EOI);
	assert_int_equal(page->exit.eoi.vector, 0x41);
	assert_int_equal(page->rip, 0x1002);
	run();
	assert_int_equal(fake.entry_rip[1], 0x1002);
}

/* ---- sleep */

static void halt_and_wake(void **state)
{
	struct apic_effects effects;

	enable_apic(v);
	apic_write(&v->apic, LAPIC_LVT_TIMER, 0x31, &vm.time.clock, 0, &effects);
	apic_write(&v->apic, LAPIC_TIMER_DIVIDE, 0xb, &vm.time.clock, 0, &effects);
	apic_write(&v->apic, LAPIC_TIMER_INITIAL, 5000, &vm.time.clock, 0, &effects);
	vcpu_apic_effects(v, &effects);
	fake_exit(EXIT_HLT, 1);
	fake_exit(EXIT_HLT, 1);
	/* Nothing is due: it sleeps until the signal. */
	host_test.must_leave = false;
	fake.count = 1;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(v->mp_state, FERMATA_MP_HALTED);
	assert_int_equal(page->rip, 0x1001);
	host_test.must_leave = false;
	host_test.leave_error = 0;
	fake.count = 2;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.played, 1);
	assert_true(v->account.stats.halts >= 1);
	host_test.must_leave = false;
	host_test.leave_error = 0;
	/* The timer wakes it, and its interrupt is what it runs. */
	host_test_advance(6000);
	assert_true(host_test.wakes >= 1);
	run();
	was_injected(0, INJECT_INTERRUPT, 0x31, 1);
	assert_int_equal(fake.entry_rip[1], 0x1001);
}

/* HLT with IF = 0: an interrupt does not end it, an NMI does; alone, nothing is left to. */
static void halt_for_good(void **state)
{
	enable_apic(v);
	fake_hw(v)->rflags &= ~ARCH_RFLAGS_IF;
	post(0x41);
	v->mp_state = FERMATA_MP_HALTED;
	script(1);
	assert_int_equal(vcpu_run(v), 0);
	assert_int_equal(page->exit.reason, FERMATA_EXIT_HALTED);
	assert_int_equal(v->mp_state, FERMATA_MP_HALTED);
	v->waiting.nmi = true;
	run();
	was_injected(0, INJECT_NMI, ARCH_NMI, 0);
	/* With another vCPU about, it only sleeps. */
	add_vcpu();
	v->mp_state = FERMATA_MP_HALTED;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(v->mp_state, FERMATA_MP_HALTED);
}

/* ---- INIT and SIPI */

static void ipi(u8 mode, u8 vector)
{
	struct apic_message message = {
		.destination = 1, .mode = mode, .vector = vector, .assert = true
	};

	vm_send(&vm, &message, &v->apic);
}

static void startup(void **state)
{
	struct vcpu *ap = &vcpus[1];
	struct fake_hw *hw;

	add_vcpu();
	hw = fake_hw(ap);
	script(1);
	/* Neither interrupts nor NMIs wake it; a kick does. */
	ipi(LAPIC_MODE_NMI, 0);
	assert_int_equal(vcpu_run(ap), -EINTR);
	assert_int_equal(ap->mp_state, FERMATA_MP_WAIT_FOR_SIPI);
	ipi(LAPIC_MODE_INIT, 0);
	ipi(LAPIC_MODE_SIPI, 0x9a);
	assert_int_equal(vcpu_run(ap), -EINTR);
	assert_int_equal(fake.played, 1);
	assert_int_equal(ap->mp_state, FERMATA_MP_RUNNABLE);
	assert_int_equal(hw->segments.cs.selector, 0x9a00);
	assert_int_equal(hw->segments.cs.base, 0x9a000);
	assert_int_equal(fake.entry_rip[0], 0);
	host_test.must_leave = false;
	host_test.leave_error = 0;
	/* A second SIPI is no news. */
	hw->rip = 0x123;
	ipi(LAPIC_MODE_SIPI, 0x10);
	fake.count = fake.played = 0;
	script(1);
	assert_int_equal(vcpu_run(ap), -EINTR);
	assert_int_equal(fake.entry_rip[0], 0x123);
	assert_int_equal(hw->segments.cs.base, 0x9a000);
	/* INIT takes it out of whatever it does. */
	host_test.must_leave = false;
	host_test.leave_error = 0;
	fake.count = fake.played = 0;
	ap->waiting.nmi = true;
	vcpu_raise(ap, ARCH_UD);
	ipi(LAPIC_MODE_INIT, 0);
	assert_int_equal(vcpu_run(ap), -EINTR);
	assert_int_equal(ap->mp_state, FERMATA_MP_WAIT_FOR_SIPI);
	assert_int_equal(fake.played, 0);
	assert_false(ap->waiting.valid || ap->waiting.nmi);
}

/* INIT to the boot processor starts it anew. */
static void init_of_the_boot_processor(void **state)
{
	struct apic_message message = { .mode = LAPIC_MODE_INIT, .assert = true };

	vm_send(&vm, &message, NULL);
	script(1);
	run();
	assert_int_equal(v->mp_state, FERMATA_MP_RUNNABLE);
	assert_int_equal(fake.entry_rip[0], 0xfff0);
}

/* ---- the run page */

static void run_page(void **state)
{
	page->set = 4;
	assert_int_equal(vcpu_run(v), -EINVAL);
	page->set = 0;
	page->advance = 16;
	assert_int_equal(vcpu_run(v), -EINVAL);
	page->advance = 15;
	script(1);
	run();
	assert_int_equal(fake.entry_rip[0], 0x100f);
	assert_int_equal(page->advance, 0);
	assert_int_equal(page->rip, 0x100f);
	page->rip = 0xffffffff80000000;
	page->rflags = ~0ull;
	page->set = FERMATA_RUN_SET_RIP;
	v->advance = 3;
	fake.count = fake.played = 0;
	script(1);
	run();
	assert_int_equal(fake.entry_rip[0], 0xffffffff80000000);
	assert_int_equal(page->set, 0);
	assert_int_equal(page->rflags, 0x202);
	page->rflags = ~0ull;
	page->set = FERMATA_RUN_SET_RFLAGS;
	fake.count = fake.played = 0;
	script(1);
	run();
	assert_int_equal(page->rflags, ARCH_RFLAGS_DEFINED);
}

static void immediate_exit(void **state)
{
	page->immediate_exit = 1;
	assert_int_equal(vcpu_run(v), -EINTR);
	assert_int_equal(fake.loads, 0);
	v->mp_state = FERMATA_MP_HALTED;
	assert_int_equal(vcpu_run(v), -EINTR);
	v->mp_state = FERMATA_MP_WAIT_FOR_SIPI;
	assert_int_equal(vcpu_run(v), -EINTR);
}

static void death(void **state)
{
	static const struct {
		u8 kind, reason;
	} end[] = {
		{ EXIT_UNCLAIMED, FERMATA_EXIT_UNCLAIMED },
		{ EXIT_UNSUPPORTED, FERMATA_EXIT_UNSUPPORTED },
		{ EXIT_SHUTDOWN, FERMATA_EXIT_SHUTDOWN },
		{ EXIT_FAIL_ENTRY, FERMATA_EXIT_FAIL_ENTRY },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(end); i++) {
		v->mp_state = FERMATA_MP_RUNNABLE;
		fake.count = fake.played = 0;
		fake_exit(end[i].kind, 0);
		script(1);
		assert_int_equal(vcpu_run(v), 0);
		assert_int_equal(page->exit.reason, end[i].reason);
		assert_int_equal(v->mp_state, FERMATA_MP_DEAD);
		assert_int_equal(fake.audits,
				 end[i].kind ==
					 EXIT_FAIL_ENTRY); /* an entry that was refused is looked into */
		assert_int_equal(vcpu_run(v), -EIO);
		assert_int_equal(fake.played, 1);
	}
}

/* A flush that was asked for is paid before the next entry, once. */
static void flush(void **state)
{
	struct fermata_stats stats;

	host_set_bit(REQUEST_CAUSE + FERMATA_CAUSE_HOST, &v->requests);
	host_set_bit(REQUEST_FLUSH_NESTED, &v->requests);
	script(2);
	run();
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(fake.paid, FLUSH_NESTED);
	assert_int_equal(v->requests, 0);
	/* What came together is paid together, and each cause counted. */
	host_set_bit(REQUEST_CAUSE + FERMATA_CAUSE_SLOT, &v->requests);
	host_set_bit(REQUEST_CAUSE + FERMATA_CAUSE_HOST, &v->requests);
	host_set_bit(REQUEST_FLUSH_LINEAR, &v->requests);
	host_set_bit(REQUEST_FLUSH_NESTED, &v->requests);
	fake.count = fake.played = 0;
	host_test.must_leave = false;
	script(2);
	run();
	assert_int_equal(fake.flushes, 2);
	assert_int_equal(fake.paid, FLUSH_NESTED | FLUSH_LINEAR);
	vcpu_get_stats(v, &stats);
	assert_int_equal(stats.flush_cause[FERMATA_CAUSE_HOST], 2);
	assert_int_equal(stats.flush_cause[FERMATA_CAUSE_SLOT], 1);
	assert_int_equal(stats.flush_cause[FERMATA_CAUSE_UNTAGGED], 0);
	vm.config.untagged = true;
	vcpu_get_stats(v, &stats);
	assert_int_equal(stats.flush_cause[FERMATA_CAUSE_UNTAGGED], 4);
	assert_int_equal(stats.flush_kind[FERMATA_FLUSH_ENTRY], 4);
}

/* Asked for while an exit is being answered: seen before the next entry, without leaving the guest. */
static void ask_for_flush(struct vcpu *who, u32 turn)
{
	if (turn == 0)
		host_set_bit(REQUEST_FLUSH_LINEAR, &who->requests);
	assert_int_equal(fake.flushes, turn > 0);
}

static void flush_between_exits(void **state)
{
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_CPUID, 2);
	fake.guest = ask_for_flush;
	run();
	assert_int_equal(fake.flushes, 1);
	assert_int_equal(fake.loads, 1);
}

/* An exit that is answered at once goes back at once; the host's own lets its interrupts in first. */
static void straight_back(void **state)
{
	u64 looks = v->looks;

	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_HYPERCALL, 3);
	fake_exit(EXIT_CPUID, 2);
	run();
	assert_int_equal(v->looks - looks, 2); /* before the first entry; after the last, to leave */
	assert_int_equal(host_test.l1d_flushes, 2);
	/* l1tf=full: before each entry, whatever came before it */
	host_test.l1d_always = true;
	fake.count = fake.played = 0;
	fake_exit(EXIT_CPUID, 2);
	fake_exit(EXIT_CPUID, 2);
	run();
	assert_int_equal(host_test.l1d_flushes, 2 + 3);
	host_test.l1d_always = false;
	fake.count = fake.played = 0;
	looks = v->looks;
	script(3);
	run();
	assert_int_equal(v->looks - looks, 4);
}

static void half_a_turn(struct vcpu *who, u32 turn)
{
	host_test.tsc += 512;
}

/* Where turns are bounded, so are rows of exits that go straight back: the host's interrupts come in. */
static void straight_back_for_a_while(void **state)
{
	u64 looks = v->looks;

	backend_options.turn = 1; /* 1024 ticks */
	fake.guest = half_a_turn;
	for (u32 i = 0; i < 4; i++)
		fake_exit(EXIT_CPUID, 2);
	run();
	backend_options.turn = 0;
	assert_int_equal(v->looks - looks, 3); /* before the first, behind the second and the last */
	fake.count = fake.played = 0;
	looks = v->looks;
	for (u32 i = 0; i < 4; i++)
		fake_exit(EXIT_CPUID, 2);
	run();
	assert_int_equal(v->looks - looks, 2);
}

/* A nested fault is answered outside guest context, and the guest goes on where it was. */
static void fault(void **state)
{
	struct exit *x = fake_exit(EXIT_NESTED_FAULT, 0);
	struct radix_leaf leaf;

	x->fault.gpa = 0x6000;
	x->fault.access = RADIX_WRITE;
	script(1);
	run();
	assert_int_equal(fake.loads, 2);
	assert_int_equal(fake.entry_rip[1], 0x1000);
	assert_true(radix_lookup(&vm.memory.radix, 0x6000, &leaf));
}

static void statistics(void **state)
{
	static struct fermata_stats stats;
	u32 i;

	for (i = 0; i < 20; i++)
		fake_exit(EXIT_CPUID, 2);
	run();
	vcpu_get_stats(v, &stats);
	assert_int_equal(stats.exit[EXIT_CPUID].count, 20);
	assert_int_equal(stats.entries, 20);
	/* The oldest of the last 16 is the fifth. */
	assert_int_equal(stats.last_exit[stats.last].rip, 0x1000 + 2 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain),
		TEST(told_after_interrupts),
		TEST(quiet_at_interrupts),
		TEST(softirqs_end_the_stay),
		TEST(state_is_refused),
		TEST(register_is_refused),
		TEST(statistics_are_copied),
		TEST(order_of_events),
		TEST(interrupt_window),
		TEST(shadow),
		TEST(nmi),
		TEST(posted_meanwhile),
		TEST(extint),
		TEST(eoi),
		TEST(halt_and_wake),
		TEST(halt_for_good),
		TEST(startup),
		TEST(init_of_the_boot_processor),
		TEST(run_page),
		TEST(immediate_exit),
		TEST(death),
		TEST(flush),
		TEST(flush_between_exits),
		TEST(straight_back),
		TEST(straight_back_for_a_while),
		TEST(fault),
		TEST(statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
