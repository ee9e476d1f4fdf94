/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/rules/: the table of rules, who matches and in which order, the ring, the step. */
#include <stdio.h>

#include "core_fixture.h"
#include "fermata.h"
#include "rules/internal.h"

static int begin(void **state)
{
	fresh(state);
	enter();
	v->ruled = ~0ull;
	return 0;
}

static int end(void **state)
{
	leave();
	free(v->rules->ring);
	v->rules->ring = NULL;
	return done(state);
}

#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static struct fermata_rule on(u32 event, u32 actions)
{
	return (struct fermata_rule){ .event = event, .actions = actions };
}

static struct fermata_rule number(u32 event, u64 first, u64 last)
{
	return (struct fermata_rule){ .event = event, .filters = 1, .range = { { first, last } } };
}

/* Rules change outside of guest context: it sleeps. */
static int try_add(struct fermata_rule *rule)
{
	int err;

	leave();
	err = rules_add(&vm, rule);
	enter();
	return err;
}

static int remove_rule(u32 id)
{
	int err;

	leave();
	err = rules_remove(&vm, id);
	enter();
	return err;
}

static u32 add(struct fermata_rule rule)
{
	assert_int_equal(try_add(&rule), 0);
	return rule.id;
}

static u64 hits(u32 id)
{
	struct fermata_rule rule = { .id = id };

	assert_int_equal(rules_get(&vm, &rule), 0);
	assert_int_equal(rule.id, id);
	return rule.hits;
}

static enum verdict cpuid_exit(u32 leaf)
{
	v->exit = (struct exit){ .kind = EXIT_CPUID, .length = 2, .rip = 0x1000 };
	v->advance = 0;
	v->waiting.valid = false;
	regs[FERMATA_RAX] = leaf;
	return exit_handle(v);
}

static void refused(struct fermata_rule rule, int err)
{
	assert_int_equal(try_add(&rule), err);
}

static void invalid(void **state)
{
	struct fermata_rule r;

	refused(on(FERMATA_ON_EVENTS, 0), -EINVAL);
	refused(on(FERMATA_ON_CPUID, 1 << 5), -EINVAL);
	refused(on(FERMATA_ON_CPUID, FERMATA_DO_STOP | FERMATA_DO_SKIP), -EINVAL);
	refused(on(FERMATA_ON_CPUID, FERMATA_DO_SET), -EINVAL);
	refused(on(FERMATA_ON_EXCEPTION, FERMATA_DO_SKIP), -EINVAL);
	refused(on(FERMATA_ON_RDRAND, 0), -EOPNOTSUPP);
	refused(number(FERMATA_ON_CPUID, 2, 1), -EINVAL);
	refused(number(FERMATA_ON_HLT, 0, 1), -EINVAL);
	refused(number(FERMATA_ON_EXCEPTION, 18, 18), -EINVAL);
	refused(number(FERMATA_ON_EXCEPTION, 2, 2), -EINVAL);
	r = number(FERMATA_ON_CPUID, 1, 1);
	r.filters = 0; /* a range that nothing looks at */
	refused(r, -EINVAL);
	r = on(FERMATA_ON_CPUID, 0);
	r.filters = 1 << 6;
	refused(r, -EINVAL);
	r = on(FERMATA_ON_CPUID, FERMATA_DO_INJECT);
	r.vector = 2;
	refused(r, -EINVAL);
	r.vector = ARCH_UD;
	r.has_code = 1;
	refused(r, -EINVAL);
	r = on(FERMATA_ON_CPUID, FERMATA_DO_SET);
	r.sets = 5;
	refused(r, -EINVAL);
	r.sets = 1;
	r.reg[0] = 16;
	refused(r, -EINVAL);
	r = on(FERMATA_ON_CPUID, 0);
	r.reserved = 1;
	refused(r, -EINVAL);
	r = on(FERMATA_ON_CPUID, 0);
	r.id = 1;
	refused(r, -EINVAL);
	assert_null(vm.rules->table);
}

/* The words that libfermata knows of each event are the filters that its rules may have here. */
static void filters_have_words(void **state)
{
	static const char *const words[] = { NULL, "value", "cpl", "cr3", "rip", "gva", "gpa" };
	u32 event, filter;

	for (event = 0; event < FERMATA_ON_EVENTS; event++) {
		bool memory = event >= FERMATA_ON_READ && event <= FERMATA_ON_EXEC;

		for (filter = 0; filter <= FERMATA_FILTER_GPA; filter++) {
			const char *word = words[filter] ?: fermata_event_number_name(event);
			struct fermata_rule rule = on(event, 0), said = rule;
			char text[64];
			int err;

			rule.filters = BIT(filter) | (memory ? BIT(FERMATA_FILTER_GPA) : 0);
			rule.range[filter] = (struct fermata_range){ 1, 1 };
			err = try_add(&rule);
			if (!err) {
				assert_true(vm.rules->table->kinds); /* it comes by some exit */
				remove_rule(rule.id);
			}
			snprintf(text, sizeof(text), "%s %s=1%s", fermata_event_name(event),
				 word ?: "number",
				 memory && filter != FERMATA_FILTER_GPA ? " gpa=1" : "");
			if (fermata_rule_parse(text, &said, NULL))
				said.filters = 0;
			if ((err != -EINVAL) != !!(said.filters & BIT(filter)))
				fail_msg("%s: %d here, and filters %#x", text, err, said.filters);
		}
	}
}

static void bounded(void **state)
{
	struct fermata_rule r = on(FERMATA_ON_CPUID, 0);
	u32 i, id;

	for (i = 0; i < FERMATA_MAX_RULES; i++)
		assert_int_equal(add(r), i + 1);
	assert_int_equal(try_add(&r), -ENOSPC);
	cpuid_exit(0);
	for (i = 1; i <= FERMATA_MAX_RULES; i++)
		assert_int_equal(hits(i), 1);
	assert_int_equal(remove_rule(999), -ENOENT);
	assert_int_equal(remove_rule(5), 0);
	assert_int_equal(remove_rule(5), -ENOENT);
	r.id = 5;
	assert_int_equal(rules_get(&vm, &r), 0);
	assert_int_equal(r.id, 6); /* the next one that there is */
	id = add(on(FERMATA_ON_CPUID, 0));
	assert_int_equal(id, FERMATA_MAX_RULES + 1); /* ids are not used again */
	for (i = 1; i <= id; i++)
		remove_rule(i);
	assert_null(vm.rules->table);
}

/* Memory that cannot be had changes nothing and leaks nothing. */
static void no_memory(void **state)
{
	struct fermata_rule r = on(FERMATA_ON_CPUID, 0);
	long n;

	add(r);
	for (n = 0; n < 2; n++) {
		host_test.allocs_until_failure = n;
		assert_int_equal(try_add(&r), -ENOMEM);
	}
	host_test.allocs_until_failure = -1;
	assert_int_equal(vm.rules->table->count, 1);
	cpuid_exit(0);
	assert_int_equal(hits(1), 1);
}

/* Every vCPU hears of a change, and what is compiled is what the rules say. */
static void compiled(void **state)
{
	const struct wanted *w = &v->ruling.wanted;
	u32 id;

	v->ruled = 0;
	v->dirty = 0;
	id = add(number(FERMATA_ON_RDMSR, ARCH_MSR_KERNEL_GS_BASE, ARCH_MSR_KERNEL_GS_BASE + 5));
	assert_true(v->requests & BIT(REQUEST_RULES));
	rules_apply(v);
	assert_false(v->requests & BIT(REQUEST_RULES));
	assert_int_equal(v->ruled, BIT_ULL(EXIT_MSR_READ));
	assert_true(v->dirty & DIRTY_INTERCEPTS);
	assert_int_equal(w->msr_read, 1); /* the fake backend has one such MSR */
	assert_int_equal(w->msr_write, 0);
	assert_int_equal(w->exceptions, 0);
	add(number(FERMATA_ON_EXCEPTION, 12, 14));
	add(on(FERMATA_ON_SYSCALL, 0));
	rules_apply(v);
	assert_int_equal(w->exceptions, 7 << 12 | BIT(ARCH_UD));
	assert_true(w->no_syscalls);
	assert_int_equal(v->ruled, BIT_ULL(EXIT_MSR_READ) | BIT_ULL(EXIT_EXCEPTION));
	remove_rule(id);
	rules_apply(v);
	assert_int_equal(v->ruled, BIT_ULL(EXIT_EXCEPTION));
	assert_int_equal(w->msr_read, 0);
}

static void assert_wanted(struct wanted now, struct wanted w)
{
	assert_int_equal(now.events, w.events);
	assert_int_equal(now.cr_read, w.cr_read);
	assert_int_equal(now.cr_write, w.cr_write);
	assert_int_equal(now.dr_read, w.dr_read);
	assert_int_equal(now.dr_write, w.dr_write);
	assert_int_equal(now.exceptions, w.exceptions);
	assert_int_equal(now.msr_read, w.msr_read);
	assert_int_equal(now.msr_write, w.msr_write);
	assert_int_equal(now.tsc, w.tsc);
	assert_int_equal(now.no_syscalls, w.no_syscalls);
	assert_int_equal(now.read_only_walks, w.read_only_walks);
}

static void compiled_to(struct fermata_rule rule, struct wanted wanted)
{
	u32 id = add(rule);

	wanted.events = BIT_ULL(rule.event);
	rules_apply(v);
	assert_wanted(v->ruling.wanted, wanted);
	remove_rule(id);
	rules_apply(v);
	assert_wanted(v->ruling.wanted, (struct wanted){ 0 });
}

/* Each rule is one word or another of what the backend sees, with its numbers as bits. */
static void words(void **state)
{
	u32 msr = ARCH_MSR_KERNEL_GS_BASE;

	compiled_to(on(FERMATA_ON_PAUSE, 0), (struct wanted){ 0 });
	compiled_to(on(FERMATA_ON_RDTSC, 0), (struct wanted){ .tsc = true });
	compiled_to(on(FERMATA_ON_RDTSCP, 0), (struct wanted){ .tsc = true });
	compiled_to(on(FERMATA_ON_WRMSR, 0), (struct wanted){ .msr_write = 1 });
	compiled_to(number(FERMATA_ON_WRMSR, msr, msr), (struct wanted){ .msr_write = 1 });
	compiled_to(number(FERMATA_ON_WRMSR, msr + 1, ~0ull), (struct wanted){ 0 });
	compiled_to(number(FERMATA_ON_RDMSR, 0, msr - 1), (struct wanted){ 0 });
	compiled_to(on(FERMATA_ON_MOV_TO_CR, 0), (struct wanted){ .cr_write = 0xffff });
	compiled_to(number(FERMATA_ON_MOV_TO_CR, 3, 4), (struct wanted){ .cr_write = 0x18 });
	compiled_to(number(FERMATA_ON_MOV_FROM_CR, 8, ~0ull), (struct wanted){ .cr_read = 0xff00 });
	compiled_to(number(FERMATA_ON_MOV_FROM_CR, 64, 99), (struct wanted){ 0 });
	compiled_to(number(FERMATA_ON_MOV_TO_DR, 0, 0), (struct wanted){ .dr_write = 1 });
	compiled_to(number(FERMATA_ON_MOV_FROM_DR, 15, 63), (struct wanted){ .dr_read = 0x8000 });
	compiled_to(on(FERMATA_ON_CLTS, 0), (struct wanted){ .cr_write = BIT(0) });
	compiled_to(on(FERMATA_ON_LMSW, 0), (struct wanted){ .cr_write = BIT(0) });
	compiled_to(on(FERMATA_ON_CR3_SWITCH, 0), (struct wanted){ .cr_write = BIT(3) });
	compiled_to(number(FERMATA_ON_EXCEPTION, 0, 3), (struct wanted){ .exceptions = 0xb });
	compiled_to(on(FERMATA_ON_SYSCALL, 0),
		    (struct wanted){ .exceptions = BIT(ARCH_UD), .no_syscalls = true });
}

static void filtered(void **state)
{
	struct fermata_rule cpl = on(FERMATA_ON_CPUID, 0), cr3 = cpl, rip = cpl;
	u32 leaf = add(number(FERMATA_ON_CPUID, 1, 3)), user, space, place;

	cpl.filters = BIT(FERMATA_FILTER_CPL);
	cpl.range[FERMATA_FILTER_CPL] = (struct fermata_range){ 3, 3 };
	cr3.filters = BIT(FERMATA_FILTER_CR3);
	cr3.range[FERMATA_FILTER_CR3] = (struct fermata_range){ 0x5000, 0x5000 };
	rip.filters = BIT(FERMATA_FILTER_RIP);
	rip.range[FERMATA_FILTER_RIP] = (struct fermata_range){ 0x1000, 0x1001 };
	user = add(cpl);
	space = add(cr3);
	place = add(rip);
	cpuid_exit(0);
	cpuid_exit(1);
	fake_hw(v)->cpl = 3;
	cpuid_exit(3);
	fake_hw(v)->cr3 = 0x5018; /* with a PCID */
	cpuid_exit(4);
	assert_int_equal(hits(leaf), 2);
	assert_int_equal(hits(user), 2);
	assert_int_equal(hits(space), 1);
	assert_int_equal(hits(place), 4);
}

static void counted(void **state)
{
	struct fermata_rule r = on(FERMATA_ON_CPUID, 0);
	u32 first, every, both, i;

	r.first = 3;
	first = add(r);
	r.every = 4;
	both = add(r);
	r.first = 0;
	every = add(r);
	for (i = 0; i < 20; i++)
		cpuid_exit(0);
	assert_int_equal(hits(first), 3);
	assert_int_equal(hits(every), 5);
	assert_int_equal(hits(both), 3);
}

static void decided(void **state)
{
	struct fermata_rule set = on(FERMATA_ON_CPUID, FERMATA_DO_SET);
	u32 skip, counter;

	set.sets = 1;
	set.value[0] = 0x77;
	add(set);
	skip = add(on(FERMATA_ON_CPUID, FERMATA_DO_SKIP));
	counter = add(on(FERMATA_ON_CPUID, 0));
	assert_int_equal(cpuid_exit(0x40000000), GO_ON);
	assert_int_equal(regs[FERMATA_RAX], 0x77);
	assert_int_equal(regs[FERMATA_RBX], 0x6d726546); /* the instruction was carried out */
	assert_int_equal(v->advance, 2);
	assert_int_equal(hits(skip), 1);
	assert_int_equal(hits(counter), 1);
	remove_rule(1);
	regs[FERMATA_RBX] = 0;
	cpuid_exit(0x40000000);
	assert_int_equal(regs[FERMATA_RBX], 0);
	assert_int_equal(regs[FERMATA_RAX], 0x40000000);
	assert_int_equal(v->advance, 2);
}

static void injected(void **state)
{
	struct fermata_rule r = on(FERMATA_ON_CPUID, FERMATA_DO_INJECT);

	r.vector = ARCH_GP;
	r.has_code = 1;
	r.code = 0;
	add(r);
	cpuid_exit(0);
	assert_int_equal(v->advance, 0);
	assert_raised(ARCH_GP, true);
}

/* The instruction is carried out when the caller comes back, and rules behind the one count it once. */
static void stopped(void **state)
{
	u32 stop = add(on(FERMATA_ON_CPUID, FERMATA_DO_STOP)),
	    counter = add(on(FERMATA_ON_CPUID, 0));

	assert_int_equal(cpuid_exit(0x40000000), LEAVE_FOR_USER);
	assert_int_equal(pages[0].exit.reason, FERMATA_EXIT_STOPPED);
	assert_int_equal(pages[0].exit.stop.rule, stop);
	assert_int_equal(pages[0].exit.stop.event, FERMATA_ON_CPUID);
	assert_int_equal(pages[0].exit.stop.number, 0x40000000);
	assert_int_equal(v->advance, 0);
	assert_int_equal(hits(counter), 0);
	assert_int_equal(cpuid_exit(0x40000000), GO_ON);
	assert_int_equal(v->advance, 2);
	assert_int_equal(hits(stop), 1);
	assert_int_equal(hits(counter), 1);
	assert_int_equal(cpuid_exit(0x40000000), LEAVE_FOR_USER); /* the next one stops again */
}

/* Nobody reads: what does not fit is counted. A tail that lies is not believed. */
static void ring(void **state)
{
	struct fermata_ring *r = calloc(1, FERMATA_RING_SIZE);
	struct fermata_record *record = (void *)((u8 *)r + FERMATA_RING_FIRST);
	u32 i;

	assert_int_equal(rules_set_ring(v, r), 0);
	add(on(FERMATA_ON_CPUID, FERMATA_DO_LOG));
	for (i = 0; i < FERMATA_RING_RECORDS + 5; i++)
		cpuid_exit(i);
	assert_int_equal(r->head, FERMATA_RING_RECORDS);
	assert_int_equal(r->dropped, 5);
	assert_int_equal(record[0].number, 0);
	assert_int_equal(record[7].number, 7);
	assert_int_equal(record[7].sequence, 7);
	assert_int_equal(record[7].rip, 0x1000);
	assert_int_equal(record[7].event, FERMATA_ON_CPUID);
	r->tail = 2;
	r->head = 12345; /* the reader's scribbling: the writer has its own */
	cpuid_exit(0x99);
	assert_int_equal(r->head, FERMATA_RING_RECORDS + 1);
	assert_int_equal(record[0].number, 0x99);
	assert_int_equal(record[0].sequence, FERMATA_RING_RECORDS + 5);
	r->tail = r->head + 100;
	cpuid_exit(0x9a);
	assert_int_equal(r->head, FERMATA_RING_RECORDS + 1);
	assert_int_equal(r->dropped, 6);
}

/* IN is answered by the caller: what comes after it waits until he is back. */
static void after_user(void **state)
{
	struct fermata_rule set = on(FERMATA_ON_IN, FERMATA_DO_SET);

	set.sets = 1;
	set.value[0] = 0x1234;
	add(set);
	v->exit = (struct exit){ .kind = EXIT_IO,
				 .length = 1,
				 .io = { .port = 9, .size = 1, .in = true } };
	regs[FERMATA_RAX] = 7;
	assert_int_equal(exit_handle(v), LEAVE_FOR_USER);
	assert_int_equal(regs[FERMATA_RAX], 7);
	assert_true(v->requests & BIT(REQUEST_AFTER));
	assert_int_equal(rules_requested(v, REQUEST_AFTER), GO_ON);
	assert_int_equal(regs[FERMATA_RAX], 0x1234);
	assert_false(v->requests & BIT(REQUEST_AFTER));
}

static void step(void **state)
{
	struct fermata_rule set = on(FERMATA_ON_SGDT, FERMATA_DO_SET);
	u32 id;

	set.sets = 1;
	set.value[0] = 5;
	id = add(set);
	rules_apply(v);
	v->exit = (struct exit){ .kind = EXIT_SGDT, .length = 3 };
	assert_int_equal(exit_handle(v), GO_ON);
	assert_true(v->ruling.holding);
	assert_true(fake_hw(v)->rflags & ARCH_RFLAGS_TF);
	assert_int_equal(v->ruling.wanted.events, 0);
	assert_true(v->ruling.wanted.exceptions & BIT(ARCH_PF));
	/* A host interrupt comes between: the step goes on. */
	v->exit = (struct exit){ .kind = EXIT_NOTHING };
	assert_int_equal(exit_handle(v), SERVE_HOST);
	assert_true(v->ruling.holding);
	v->guest.dr6 |= ARCH_DR6_BS;
	v->exit = (struct exit){ .kind = EXIT_EXCEPTION,
				 .exception = { .kind = INJECT_EXCEPTION, .vector = ARCH_DB } };
	assert_int_equal(exit_handle(v), GO_ON);
	assert_false(v->ruling.holding);
	assert_false(v->waiting.valid); /* the trap was ours */
	assert_false(v->guest.dr6 & ARCH_DR6_BS);
	assert_false(fake_hw(v)->rflags & ARCH_RFLAGS_TF);
	assert_int_equal(v->ruling.wanted.events, BIT_ULL(FERMATA_ON_SGDT));
	assert_int_equal(rules_requested(v, REQUEST_AFTER), GO_ON);
	assert_int_equal(regs[FERMATA_RAX], 5);
	assert_int_equal(hits(id), 1);
}

/* A fault of the stepped instruction is the guest's, and nothing is set after it. */
static void step_faults(void **state)
{
	struct fermata_rule set = on(FERMATA_ON_SGDT, FERMATA_DO_SET);

	set.sets = 1;
	set.value[0] = 5;
	add(set);
	rules_apply(v);
	v->exit = (struct exit){ .kind = EXIT_SGDT, .length = 3 };
	exit_handle(v);
	v->exit = (struct exit){
		.kind = EXIT_EXCEPTION,
		.exception = { .kind = INJECT_EXCEPTION, .vector = ARCH_PF, .has_code = true },
		.exception_address = 0x1234
	};
	assert_int_equal(exit_handle(v), GO_ON);
	assert_false(v->ruling.holding);
	assert_false(fake_hw(v)->rflags & ARCH_RFLAGS_TF);
	assert_int_equal(fake_hw(v)->cr2, 0x1234);
	assert_raised(ARCH_PF, true);
	assert_int_equal(rules_requested(v, REQUEST_AFTER), GO_ON);
	assert_int_equal(regs[FERMATA_RAX], 0);
}

/* An interrupt on its way in met the exception: it goes in again, with the intercepts lifted once. */
static void delivered_again(void **state)
{
	u32 id = add(number(FERMATA_ON_EXCEPTION, ARCH_PF, ARCH_PF));

	rules_apply(v);
	v->waiting.injection = (struct injection){ .kind = INJECT_INTERRUPT, .vector = 0x40 };
	v->waiting.valid = true;
	v->exit = (struct exit){ .kind = EXIT_EXCEPTION,
				 .exception = { .kind = INJECT_EXCEPTION, .vector = ARCH_PF } };
	assert_int_equal(exit_handle(v), GO_ON);
	assert_true(v->waiting.valid);
	assert_int_equal(v->waiting.injection.vector, 0x40);
	assert_true(v->requests & BIT(REQUEST_RULES));
	rules_apply(v);
	assert_int_equal(v->ruling.wanted.exceptions, 0);
	assert_true(v->requests & BIT(REQUEST_RULES));
	rules_apply(v);
	assert_int_equal(v->ruling.wanted.exceptions, BIT(ARCH_PF));
	assert_int_equal(hits(id), 1);
	v->waiting.valid = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVENT_TEST(invalid),	 EVENT_TEST(filters_have_words),
		EVENT_TEST(bounded),	 EVENT_TEST(no_memory),
		EVENT_TEST(compiled),	 EVENT_TEST(words),
		EVENT_TEST(filtered),	 EVENT_TEST(counted),
		EVENT_TEST(decided),	 EVENT_TEST(injected),
		EVENT_TEST(stopped),	 EVENT_TEST(ring),
		EVENT_TEST(after_user),	 EVENT_TEST(step),
		EVENT_TEST(step_faults), EVENT_TEST(delivered_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
