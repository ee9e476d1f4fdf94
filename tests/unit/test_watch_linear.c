/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kernel/rules/linear.c: what is closed for rules about linear addresses alone, whenever a vCPU is in the
 * guest, and who is asked to look anew.
 */
#include "core_fixture.h"
#include "rules/internal.h"

/* Linear is physical in the first 2 MiB; the third gigabyte has tables of its own. */
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define PT 0x4000u
#define PD2 0x5000u
#define PT2 0x6000u
#define CODE 0x7000u
#define DATA 0x8000u
#define OTHER 0x9000u /* data */
#define ROOT2 0xa000u
#define PDPT3 0xb000u
#define ROOTS 0x20000u /* a hundred of them */
#define LINEAR 0x80000000ull

#define P BIT_ULL(0)
#define RW BIT_ULL(1)
#define PS BIT_ULL(7)

#define ALL (RADIX_READ | RADIX_WRITE | RADIX_EXEC)

static u64 *entry(u32 table, u32 index)
{
	return (u64 *)(ram + table) + index;
}

/* What the guest cannot do there without a fault. */
static u32 closed(u32 gpa)
{
	return ALL & ~guest_memory_allows(&vm.memory, gpa);
}

static void tables(void)
{
	*entry(PML4, 0) = PDPT | P | RW;
	*entry(PDPT, 0) = PD | P | RW;
	*entry(PDPT, 2) = PD2 | P | RW;
	*entry(PD, 0) = PT | P | RW;
	for (u32 i = 0; i < 512; i++)
		*entry(PT, i) = i * 4096 | P | RW;
	*entry(PD2, 0) = PT2 | P | RW;
	*entry(PT2, 0) = DATA | P | RW;
	memcpy(ram + ROOT2, ram + PML4, 4096);
}

static void long_mode(struct vcpu *of)
{
	fake_hw(of)->mode = FERMATA_MODE_LONG;
	fake_hw(of)->rip = CODE;
	fake_hw(of)->rflags = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_IF;
	fake_hw(of)->cr3 = PML4;
	fake_hw(of)->segments.cs.base = 0;
	of->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET | ARCH_CR0_PG | ARCH_CR0_WP;
	of->guest.cr4 = ARCH_CR4_PAE;
	of->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE;
	of->mp_state = FERMATA_MP_RUNNABLE;
}

static int begin(void **state)
{
	make_vm();
	add_vcpu();
	add_vcpu();
	tables();
	long_mode(&vcpus[0]);
	long_mode(&vcpus[1]);
	memcpy(ram + CODE, (u8[]){ 0x48, 0x89, 0x08 }, 3); /* mov %rcx, (%rax) */
	return 0;
}

#define LINEAR_TEST(name) cmocka_unit_test_setup_teardown(name, begin, done)

static struct fermata_rule rule(u32 event, u64 first, u64 last)
{
	struct fermata_rule r = { .event = event, .filters = BIT(FERMATA_FILTER_GVA) };

	r.range[FERMATA_FILTER_GVA] = (struct fermata_range){ first, last };
	return r;
}

static u32 add(struct fermata_rule r)
{
	assert_int_equal(rules_add(&vm, &r), 0);
	return r.id;
}

static u64 hits(u32 id)
{
	struct fermata_rule r = { .id = id };

	assert_int_equal(rules_get(&vm, &r), 0);
	return r.hits;
}

/* Plays the script, after which the vCPU has entered the guest once more. */
static void play(struct vcpu *of)
{
	fake_exit(EXIT_NOTHING, 0);
	assert_int_equal(vcpu_run(of), -EINTR);
	assert_false(of->requests & BIT(REQUEST_LINEAR));
	assert_int_equal(fake.played, fake.count);
	fake_reset();
	host_test.must_leave = false;
	host_test.leave_error = 0;
}

static void write_cr3(u64 value)
{
	struct exit *x = fake_exit(EXIT_CR_WRITE, 3);

	x->mov.number = 3;
	x->mov.reg = FERMATA_RBX;
	x->mov.size = 8;
	x->mov.decoded = true;
	regs[FERMATA_RBX] = value;
}

/* The guest writes a word, which faults where `gpa` is; what is written is there when the step is over. */
static u64 *written;

static void writes(struct vcpu *of, u32 turn)
{
	if (turn != 1)
		return;
	*written = regs[FERMATA_RCX];
	of->guest.dr6 |= ARCH_DR6_BS;
}

static void guest_writes(u64 linear, u32 gpa, u64 value)
{
	struct exit *x = fake_exit(EXIT_NESTED_FAULT, 0);

	x->fault.gpa = gpa;
	x->fault.access = RADIX_WRITE;
	fake_exit(EXIT_EXCEPTION, 0)->exception =
		(struct injection){ .kind = INJECT_EXCEPTION, .vector = ARCH_DB };
	regs[FERMATA_RAX] = linear;
	regs[FERMATA_RCX] = value;
	written = (u64 *)(ram + gpa);
	fake.guest = writes;
	fake_hw(v)->rip = CODE;
}

/* ---- what is closed */

static void on_the_way(void **state)
{
	u32 id = add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7)), other;

	assert_int_equal(closed(DATA), 0);
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE);
	assert_int_equal(closed(PML4), RADIX_WRITE);
	assert_int_equal(closed(PDPT), RADIX_WRITE);
	assert_int_equal(closed(PD2), RADIX_WRITE);
	assert_int_equal(closed(PT2), RADIX_WRITE);
	assert_int_equal(closed(PD) | closed(PT) | closed(CODE) | closed(OTHER), 0);
	assert_true(v->ruling.wanted.read_only_walks);
	assert_int_equal(v->ruling.wanted.cr_write, BIT(3));
	assert_int_equal(v->ruling.wanted.events, BIT_ULL(FERMATA_ON_WRITE));
	other = add(rule(FERMATA_ON_READ, LINEAR, LINEAR));
	play(v);
	assert_int_equal(closed(DATA), ALL); /* not writable without being readable */
	assert_int_equal(closed(PT2), RADIX_WRITE);
	rules_remove(&vm, other);
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE);
	rules_remove(&vm, id);
	assert_null(vm.memory.closed);
	play(v);
	assert_false(v->ruling.wanted.read_only_walks);
	assert_int_equal(v->ruling.wanted.cr_write, 0);
}

/* As far as there are tables; and a large page has one less. */
static void ends(void **state)
{
	add(rule(FERMATA_ON_EXEC, LINEAR + 0x1000, LINEAR + 0x1fff));
	play(v);
	assert_int_equal(closed(PT2), RADIX_WRITE);
	assert_int_equal(closed(DATA), 0);
	*entry(PD2, 0) = 0 | PS | P | RW;
	linear_edited(&vm);
	assert_true(vcpus[1].requests & BIT(REQUEST_LINEAR));
	play(v);
	assert_int_equal(closed(PD2), RADIX_WRITE);
	assert_int_equal(closed(PT2), 0);
	assert_int_equal(closed(0x1000), RADIX_WRITE | RADIX_EXEC); /* the PML4 itself */
	*entry(PDPT, 2) = 0;
	linear_edited(&vm);
	play(v);
	assert_int_equal(closed(PD2), 0);
	assert_int_equal(closed(PDPT), RADIX_WRITE);
	*entry(PML4, 0) |= BIT_ULL(51); /* reserved: as if it were not there */
	linear_edited(&vm);
	play(v);
	assert_int_equal(closed(PML4), RADIX_WRITE);
	assert_int_equal(closed(PDPT), 0);
}

static void modes(void **state)
{
	u32 *page_directory = (u32 *)(ram + PD2);

	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR));
	add(rule(FERMATA_ON_WRITE, OTHER, OTHER));
	add(rule(FERMATA_ON_WRITE, 0x8000000000000000, 0x8000000000000000));
	v->guest.cr0 &= ~(ARCH_CR0_PG | ARCH_CR0_PE);
	v->guest.efer = 0;
	play(v); /* without paging */
	assert_int_equal(closed(OTHER), RADIX_WRITE);
	assert_int_equal(vm.memory.closed->frames, 2);
	memset(ram + PD2, 0, 4096);
	page_directory[LINEAR >> 22] = PT2 | P | RW;
	memset(ram + PT2, 0, 4096);
	*(u32 *)(ram + PT2) = DATA | P | RW;
	v->guest.cr0 |= ARCH_CR0_PG | ARCH_CR0_PE;
	v->guest.cr4 = 0;
	fake_hw(v)->cr3 = PD2;
	linear_edited(&vm);
	play(v); /* 32-bit: OTHER's entry is in the same directory, and absent */
	assert_int_equal(closed(PD2) & closed(PT2) & closed(DATA), RADIX_WRITE);
	assert_int_equal(vm.memory.closed->frames, 3);
	v->guest.cr4 = ARCH_CR4_PAE;
	fake_hw(v)->cr3 = PDPT + 0x20;
	*entry(PDPT + 0x20, 2) = PD | P;
	*entry(PD, 0) = PT | P | RW;
	*entry(PT, 0) = DATA | P | RW;
	linear_edited(&vm);
	play(v);
	assert_int_equal(closed(PDPT) & closed(PD) & closed(PT) & closed(DATA), RADIX_WRITE);
	assert_int_equal(vm.memory.closed->frames, 4);
}

static void bounds(void **state)
{
	struct fermata_rule r = rule(FERMATA_ON_READ, LINEAR + 0xfff, LINEAR + 0x10000);

	assert_int_equal(rules_add(&vm, &r), -E2BIG);
	r = rule(FERMATA_ON_READ, 0, ~0ull);
	assert_int_equal(rules_add(&vm, &r), -E2BIG);
	r = (struct fermata_rule){ .event = FERMATA_ON_READ };
	assert_int_equal(rules_add(&vm, &r), -EINVAL);
	for (u32 i = 0; i < 4; i++)
		add(rule(FERMATA_ON_READ, LINEAR, LINEAR + 0xffff));
	r = rule(FERMATA_ON_READ, LINEAR, LINEAR);
	assert_int_equal(rules_add(&vm, &r), -E2BIG);
	rules_remove(&vm, 1);
	assert_int_equal(rules_add(&vm, &r), 0);
	/* With a range of GPA it is no such rule. */
	r = rule(FERMATA_ON_READ, 0, ~0ull);
	r.filters |= BIT(FERMATA_FILTER_GPA);
	r.range[FERMATA_FILTER_GPA] = (struct fermata_range){ DATA, DATA };
	assert_int_equal(rules_add(&vm, &r), 0);
}

/* ---- what changes */

static void edited(void **state)
{
	u32 id = add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));

	play(v);
	guest_writes(PT2, PT2, OTHER | P | RW);
	play(v);
	assert_int_equal(closed(OTHER), RADIX_WRITE);
	assert_int_equal(closed(DATA), 0);
	assert_true(vcpus[1].requests & BIT(REQUEST_LINEAR));
	assert_int_equal(hits(id), 0);
	guest_writes(LINEAR, OTHER, 5);
	play(v);
	assert_int_equal(hits(id), 1);
	guest_writes(OTHER, OTHER, 6); /* the same memory by another address */
	play(v);
	assert_int_equal(hits(id), 1);
	guest_writes(PT2, PT2, 0);
	play(v);
	assert_int_equal(closed(OTHER), 0);
	assert_int_equal(closed(PT2), RADIX_WRITE);
	assert_int_equal(vm.rules->opener, 0);
}

/* Another vCPU has looked, and only then the table was written. */
static void edited_for_others(void **state)
{
	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	play(v);
	play(&vcpus[1]);
	guest_writes(PT2, PT2, OTHER | P | RW);
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE); /* vCPU 1 has not looked yet */
	play(&vcpus[1]);
	assert_int_equal(closed(DATA), 0);
	assert_int_equal(closed(OTHER), RADIX_WRITE);
}

static void spaces(void **state)
{
	struct fermata_rule r = rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7);
	u32 id = add(r);

	*entry(ROOT2, 0) = PDPT3 | P | RW;
	*entry(PDPT3, 0) = PD | P | RW;
	play(v);
	write_cr3(ROOT2);
	play(v);
	assert_int_equal(fake_hw(v)->cr3, ROOT2);
	assert_int_equal(closed(ROOT2), RADIX_WRITE);
	assert_int_equal(closed(PDPT3), RADIX_WRITE);
	assert_int_equal(closed(PT2), RADIX_WRITE); /* it may come back */
	guest_writes(PDPT3, PDPT3 + 16, PD2 | P | RW);
	play(v);
	assert_int_equal(closed(PML4), 0); /* or it may not: an edit ends the waiting */
	assert_int_equal(closed(PT2), RADIX_WRITE);
	rules_remove(&vm, id);
	r.filters |= BIT(FERMATA_FILTER_CR3);
	r.range[FERMATA_FILTER_CR3] = (struct fermata_range){ PML4, PML4 };
	add(r);
	play(v);
	assert_null(vm.memory.closed);
	write_cr3(PML4);
	play(v);
	assert_int_equal(closed(PML4) & closed(DATA), RADIX_WRITE);
	assert_int_equal(closed(ROOT2), 0);
}

/* How many spaces there are: what stays closed without need is bounded. */
static void many_spaces(void **state)
{
	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	for (u32 i = 0; i < 100; i++) {
		memcpy(ram + ROOTS + i * 4096, ram + PML4, 4096);
		write_cr3(ROOTS + i * 4096);
		play(v);
		assert_int_equal(closed(ROOTS + i * 4096), RADIX_WRITE);
		assert_int_equal(closed(DATA), RADIX_WRITE);
	}
	assert_true(vm.memory.closed->frames <= 5 + 65);
}

static void two_processors(void **state)
{
	u32 id = add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));

	fake_hw(&vcpus[1])->cr3 = ROOT2;
	*entry(ROOT2, 0) = PDPT3 | P | RW;
	play(v);
	assert_int_equal(closed(ROOT2), 0);
	play(&vcpus[1]);
	assert_int_equal(closed(PML4) & closed(ROOT2) & closed(PDPT3), RADIX_WRITE);
	guest_writes(PT2, PT2, OTHER | P | RW);
	play(v);
	assert_int_equal(closed(ROOT2) & closed(OTHER), RADIX_WRITE); /* vCPU 1's stays */
	rules_remove(&vm, id);
	assert_null(vm.memory.closed);
	play(&vcpus[1]);
	play(v);
	assert_null(vm.memory.closed);
	id = add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	play(&vcpus[1]);
	assert_int_equal(closed(PML4), 0);
	assert_int_equal(closed(ROOT2), RADIX_WRITE);
}

/* Paging modes and resets ask, too; and slots, which may bring tables. */
static void asked(void **state)
{
	struct fermata_memory slot = { .slot = 5, .gpa = 0x10000000, .size = 4096 };

	rules_space_changed(v);
	assert_false(v->requests & BIT(REQUEST_LINEAR)); /* without such a rule it costs nothing */
	*entry(PDPT, 2) = 0x10000000 | P | RW;
	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	play(v);
	assert_int_equal(closed(PDPT), RADIX_WRITE);
	slot.user_addr = (uintptr_t)ram + PD2;
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
	assert_true(v->requests & BIT(REQUEST_LINEAR));
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE);
	vcpu_reset(v, true);
	assert_true(v->requests & BIT(REQUEST_LINEAR));
}

/* The host has swapped tables out. */
static void absent(void **state)
{
	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	host_test_user_absent(ram + PD2, 4096, true);
	host_test_user_absent(ram + PT2, 4096, true);
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE);
	/* One that cannot be had ends the way. */
	host_test_user_absent(ram + PT2, 4096, true);
	host_test.page_error = -EFAULT;
	linear_edited(&vm);
	play(v);
	assert_int_equal(closed(PD2), RADIX_WRITE);
	assert_int_equal(closed(DATA), 0);
	host_test.page_error = 0;
	host_test_user_absent(ram + PT2, 4096, false);
}

static void no_memory(void **state)
{
	add(rule(FERMATA_ON_WRITE, LINEAR, LINEAR + 7));
	for (u32 n = 0; n < 3; n++) {
		fake_exit(EXIT_NOTHING, 0);
		host_test.allocs_until_failure = n ? 1 : 0;
		assert_int_equal(vcpu_run(v), -ENOMEM);
		assert_int_equal(fake.played, 0); /* the guest does not run unwatched */
		host_test.allocs_until_failure = -1;
		fake_reset();
	}
	play(v);
	assert_int_equal(closed(DATA), RADIX_WRITE);
}

/* ---- single frames among the watched (memory/closed.c) */

static void frames(void **state)
{
	struct closed *w = closed_new(2, 3);

	closed_add(w, 100, 200, RADIX_EXEC);
	w->frame[0] = (struct closed_frame){ 5, RADIX_WRITE };
	w->frame[1] = (struct closed_frame){ 7, RADIX_READ };
	w->frame[2] = (struct closed_frame){ 150, RADIX_WRITE };
	w->frames = 3;
	assert_int_equal(closed_access(w, 0, 4), 0);
	assert_int_equal(closed_access(w, 5, 5), RADIX_WRITE);
	assert_int_equal(closed_access(w, 6, 6), 0);
	assert_int_equal(closed_access(w, 0, 6), RADIX_WRITE);
	assert_int_equal(closed_access(w, 6, 99), RADIX_READ);
	assert_int_equal(closed_access(w, 150, 150), RADIX_WRITE | RADIX_EXEC);
	assert_int_equal(closed_access(w, 151, ~0ull), RADIX_EXEC);
	assert_int_equal(closed_access(w, 0, ~0ull), ALL);
	assert_int_equal(closed_frame(w, 150), RADIX_WRITE);
	assert_int_equal(closed_frame(w, 151), 0);
	assert_int_equal(closed_frame(NULL, 5), 0);
	host_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINEAR_TEST(on_the_way), LINEAR_TEST(ends),	   LINEAR_TEST(modes),
		LINEAR_TEST(bounds),	 LINEAR_TEST(edited),	   LINEAR_TEST(edited_for_others),
		LINEAR_TEST(spaces),	 LINEAR_TEST(many_spaces), LINEAR_TEST(two_processors),
		LINEAR_TEST(asked),	 LINEAR_TEST(absent),	   LINEAR_TEST(no_memory),
		LINEAR_TEST(frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
