/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/requests.c: what is asked for is done, in order, where it belongs, and nothing else is. */
#include "core_fixture.h"
#include "rules/internal.h"

static void ask(u32 bit)
{
	host_set_bit(bit, &v->requests);
}

static bool asked(u32 bit)
{
	return v->requests >> bit & 1;
}

static enum verdict before_entry(void)
{
	enum verdict verdict;

	enter();
	verdict = requests_inside(v);
	leave();
	return verdict;
}

static void nothing_is_asked_for(void **state)
{
	assert_int_equal(before_entry(), GO_ON);
	assert_int_equal(requests_outside(v), GO_ON);
	assert_int_equal(requests_before_sleep(v), GO_ON);
	assert_int_equal(requests_after_sleep(v), GO_ON);
	/* A cause alone is no request: its flush is on the way. */
	ask(REQUEST_CAUSE + FERMATA_CAUSE_SLOT);
	assert_int_equal(before_entry(), GO_ON);
	assert_true(asked(REQUEST_CAUSE + FERMATA_CAUSE_SLOT));
}

/* Before an entry each request that needs nothing else is done, one at a time and all together. */
static void each_is_done(void **state)
{
	static const u32 plain[] = { REQUEST_CLOCK, REQUEST_FLUSH_LINEAR, REQUEST_FLUSH_NESTED,
				     REQUEST_TIMER, REQUEST_RULES,	  REQUEST_LINEAR,
				     REQUEST_WATCH, REQUEST_AFTER };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		ask(plain[i]);
		assert_int_equal(before_entry(), GO_ON);
		assert_int_equal(v->requests, 0);
	}
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		ask(plain[i]);
	assert_int_equal(before_entry(), GO_ON);
	assert_int_equal(v->requests, 0);
	assert_int_equal(v->tlb.owed, FLUSH_LINEAR | FLUSH_NESTED);
	assert_true(v->dirty & DIRTY_CLOCK);
}

/* Nothing comes before the clock, and what comes after one that leaves is left as it was. */
static void order(void **state)
{
	vm.time.changing = 1;
	ask(REQUEST_CLOCK);
	ask(REQUEST_TIMER);
	ask(REQUEST_FLUSH_NESTED);
	ask(REQUEST_EOI);
	ask(REQUEST_LOST);
	v->report.eoi_vector = 0x41;
	assert_int_equal(before_entry(), LEAVE_FOR_HOST);
	assert_true(asked(REQUEST_CLOCK) && asked(REQUEST_TIMER) && asked(REQUEST_FLUSH_NESTED));
	vm.time.changing = 0;
	assert_int_equal(before_entry(), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_UNCLAIMED);
	assert_int_equal(v->requests, BIT(REQUEST_EOI) | BIT(REQUEST_LOST));
	host_clear_bit(REQUEST_LOST, &v->requests);
	assert_int_equal(before_entry(), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_EOI);
	assert_int_equal(pages[0].exit.eoi.vector, 0x41);
	assert_int_equal(v->requests, 0);
	/* What is to be done outside comes before what needs a clock, but for the clock itself. */
	ask(REQUEST_CLOCK);
	ask(REQUEST_TRIM);
	ask(REQUEST_TIMER);
	assert_int_equal(before_entry(), LEAVE_FOR_HOST);
	assert_int_equal(v->requests, BIT(REQUEST_TRIM) | BIT(REQUEST_TIMER));
	assert_int_equal(requests_outside(v), GO_ON);
	assert_int_equal(v->requests, BIT(REQUEST_TIMER));
}

/* What a row leaves for a later one is done before the entry, too. */
static void a_row_asks_for_another(void **state)
{
	v->ruling.wanted.read_only_walks =
		true; /* the rule that was about linear addresses is gone */
	ask(REQUEST_RULES);
	assert_int_equal(before_entry(), GO_ON);
	assert_false(v->ruling.wanted.read_only_walks);
	assert_int_equal(v->requests, 0);
}

/* While one instruction runs by itself, what the rules have to say of the next one waits, and nothing else does. */
static void stepping(void **state)
{
	v->ruling.holding = true;
	ask(REQUEST_LINEAR);
	ask(REQUEST_AFTER);
	ask(REQUEST_TIMER);
	assert_int_equal(before_entry(), GO_ON);
	assert_int_equal(v->requests, BIT(REQUEST_LINEAR) | BIT(REQUEST_AFTER));
	assert_int_equal(requests_outside(v), GO_ON);
	assert_int_equal(v->requests, BIT(REQUEST_LINEAR) | BIT(REQUEST_AFTER));
	ask(REQUEST_EOI);
	assert_int_equal(before_entry(), LEAVE_FOR_USER);
	v->ruling.holding = false;
}

/* Another vCPU has opened pages: this one stays outside until they are closed. */
static void waits_for_the_opener(void **state)
{
	vm.rules->opener = v->id + 2;
	ask(REQUEST_WATCH);
	assert_int_equal(before_entry(), LEAVE_FOR_HOST);
	assert_int_equal(requests_outside(v), GO_ON);
	assert_true(asked(REQUEST_WATCH));
	vm.rules->opener = 0;
	assert_int_equal(before_entry(), GO_ON);
	assert_int_equal(v->requests, 0);
}

/* Outside only what was asked for is done: an exit that was answered is not answered once more. */
static void nobody_else_is_asked(void **state)
{
	struct radix_leaf leaf;

	v->exit = (struct exit){ .kind = EXIT_NESTED_FAULT };
	v->exit.fault.gpa = 0x6000;
	v->exit.fault.access = RADIX_WRITE;
	ask(REQUEST_TRIM);
	assert_int_equal(requests_outside(v), GO_ON);
	assert_false(radix_lookup(&vm.memory.radix, 0x6000, &leaf));
	ask(REQUEST_FAULT);
	assert_int_equal(requests_outside(v), GO_ON);
	assert_true(radix_lookup(&vm.memory.radix, 0x6000, &leaf));
	assert_int_equal(v->requests, 0);
	/* A result that ends the run leaves later requests for the next one. */
	ask(REQUEST_FAULT);
	ask(REQUEST_TRIM);
	v->exit.fault.gpa = RAM;
	memcpy(ram + 0x1000, "\x89\x08", 2); /* mov %ecx, (%rax) */
	assert_int_equal(requests_outside(v), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_MMIO);
	assert_int_equal(v->requests, BIT(REQUEST_TRIM));
}

/* A sleeper writes its pages before it sleeps; woken it takes the clock, and the timer; the rest can wait. */
static void asleep(void **state)
{
	u32 patient = BIT(REQUEST_TRIM) | BIT(REQUEST_RULES) | BIT(REQUEST_FLUSH_NESTED);

	ask(REQUEST_CLOCK);
	ask(REQUEST_PVCLOCK);
	ask(REQUEST_TIMER);
	v->requests |= patient;
	assert_int_equal(requests_before_sleep(v), GO_ON);
	assert_int_equal(v->requests, patient | BIT(REQUEST_CLOCK) | BIT(REQUEST_TIMER));
	vm.time.changing = 1;
	assert_int_equal(requests_after_sleep(v), LEAVE_FOR_HOST);
	assert_true(asked(REQUEST_CLOCK) && asked(REQUEST_TIMER));
	vm.time.changing = 0;
	assert_int_equal(requests_after_sleep(v), GO_ON);
	assert_int_equal(v->requests, patient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_asked_for),   TEST(each_is_done), TEST(order),
		TEST(a_row_asks_for_another), TEST(stepping),	  TEST(waits_for_the_opener),
		TEST(nobody_else_is_asked),   TEST(asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
