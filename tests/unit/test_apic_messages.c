/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Interrupt messages, the pins, and threads that post. */
#include "apic_fixture.h"

/* ------------------------------------------------------------------ messages */

static bool matches(struct apic *target, bool logical, u32 destination)
{
	struct apic_message message = { .destination = destination,
					.logical = logical,
					.mode = LAPIC_MODE_FIXED,
					.vector = 0x40,
					.assert = true };

	return apic_match(target, &message, NULL);
}

static void test_match_physical(void **state)
{
	assert_true(matches(&apic, false, 3));
	assert_false(matches(&apic, false, 2));
	assert_true(matches(&apic, false, LAPIC_BROADCAST));
	to_x2apic(&apic);
	assert_true(matches(&apic, false, 3));
	assert_false(matches(&apic, false, 0x103));
	assert_true(matches(&apic, false, LAPIC_BROADCAST));
	assert_false(matches(&apic, false, 0xff));
}

static void test_match_logical(void **state)
{
	u32 destination, ldr;

	for (ldr = 0; ldr < 256; ldr++) {
		write_reg(LAPIC_LDR, ldr << 24);
		for (destination = 0; destination < 256; destination++) {
			write_reg(LAPIC_DFR, 0xffffffff);
			assert_int_equal(matches(&apic, true, destination),
					 destination == 0xff || (destination & ldr));
			write_reg(LAPIC_DFR, 0x0fffffff);
			assert_int_equal(matches(&apic, true, destination),
					 destination == 0xff || (destination >> 4 == ldr >> 4 &&
								 (destination & ldr & 15)));
		}
	}
}

static void test_match_x2apic(void **state)
{
	u32 id, bit, cluster;
	u64 value;

	for (id = 0; id < 64; id++) {
		apic_init(&apic, id, false);
		to_x2apic(&apic);
		write_msr(0x80f, 0x1ff);
		read_msr(0x80d, &value);
		assert_true(value == ((id / 16) << 16 | 1u << id % 16));
		for (cluster = 0; cluster < 5; cluster++)
			for (bit = 0; bit < 16; bit++)
				assert_int_equal(matches(&apic, true, cluster << 16 | 1u << bit),
						 cluster * 16 + bit == id);
		assert_true(matches(&apic, true, 0xffffffff));
		assert_int_equal(matches(&apic, true, (id / 16) << 16 | 0xffff), true);
	}
}

static void test_match_shorthand(void **state)
{
	struct apic_message message = {
		.mode = LAPIC_MODE_FIXED, .vector = 0x40, .assert = true, .destination = 77
	};
	struct apic other;

	apic_init(&other, 4, false);
	apic_virtual_wire(&other);
	message.shorthand = LAPIC_TO_SELF;
	assert_true(apic_match(&apic, &message, &apic));
	assert_false(apic_match(&other, &message, &apic));
	message.shorthand = LAPIC_TO_ALL;
	assert_true(apic_match(&apic, &message, &apic));
	assert_true(apic_match(&other, &message, &apic));
	message.shorthand = LAPIC_TO_OTHERS;
	assert_false(apic_match(&apic, &message, &apic));
	assert_true(apic_match(&other, &message, &apic));
	/* A software-disabled one takes NMI, INIT and SIPI only. */
	apic_init(&other, 4, false);
	assert_false(apic_match(&other, &message, &apic));
	message.mode = LAPIC_MODE_INIT;
	assert_true(apic_match(&other, &message, &apic));
	message.mode = LAPIC_MODE_NMI;
	assert_true(apic_match(&other, &message, &apic));
}

static void test_icr_combinations(void **state)
{
	/* mode by shorthand, for an edge: SDM 3A table 11-3 */
	static const u8 sent[8][4] = {
		{ 1, 1, 1, 1 }, { 1, 0, 0, 1 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 },
		{ 1, 0, 0, 1 }, { 1, 0, 0, 1 }, { 1, 0, 0, 1 }, { 0, 0, 0, 0 },
	};
	struct apic_message message;
	u32 mode, shorthand, icr;

	for (mode = 0; mode < 8; mode++)
		for (shorthand = 0; shorthand < 4; shorthand++) {
			icr = 0x80 | mode << 8 | shorthand << 18;
			assert_int_equal(!apic_message_from_icr(icr, false, &message),
					 sent[mode][shorthand]);
			assert_int_equal(!apic_message_from_icr(icr | 0xc000, false, &message),
					 sent[mode][shorthand]);
			assert_int_not_equal(apic_message_from_icr(icr | 0x8000, false, &message),
					     0);
		}
	/* INIT level de-assert goes nowhere. */
	write_reg(LAPIC_ICR_HIGH, 4u << 24);
	write_reg(LAPIC_ICR, 0x8500);
	assert_false(effects.ipi);
	write_reg(LAPIC_ICR, 0xc500);
	assert_true(effects.ipi);
	assert_int_equal(effects.message.mode, LAPIC_MODE_INIT);
	assert_int_equal(effects.message.destination, 4);
	assert_int_equal(apic_message_from_icr(0xff00000000000041ull, false, &message), 0);
	assert_true(message.destination == LAPIC_BROADCAST);
	assert_int_equal(apic_message_from_icr(0xff00000000000841ull, false, &message), 0);
	assert_true(message.destination == 0xff);
}

static void test_msi(void **state)
{
	struct fermata_msi msi = { .address = 0xfee03000, .data = 0x4041 };
	struct apic_message message;

	assert_int_equal(apic_message_from_msi(&msi, &message), 0);
	assert_true(matches(&apic, message.logical, message.destination));
	assert_int_equal(message.vector, 0x41);
	assert_int_equal(message.mode, LAPIC_MODE_FIXED);
	assert_false(message.level);
	assert_false(message.logical);
	msi.address = 0xfee0400c; /* redirection hint, logical */
	assert_int_equal(apic_message_from_msi(&msi, &message), 0);
	assert_true(message.logical);
	assert_int_equal(message.mode, LAPIC_MODE_LOWEST);
	msi.address = 0xfeeff000;
	msi.data = 0xc041;
	assert_int_equal(apic_message_from_msi(&msi, &message), 0);
	assert_true(message.destination == LAPIC_BROADCAST);
	assert_true(message.level && message.assert);
	assert_true(apic_deliver(&apic, &message));
	assert_int_equal(apic_pending(&apic), 0x41);
	msi.data = 0x8042; /* level, not asserted */
	assert_int_equal(apic_message_from_msi(&msi, &message), 0);
	assert_false(apic_deliver(&apic, &message));
	assert_int_equal(apic_pending(&apic), 0x41);
	msi.data = 0x0600;
	assert_int_equal(apic_message_from_msi(&msi, &message), -EINVAL);
	msi.data = 0x41;
	msi.address = 0xfed00000;
	assert_int_equal(apic_message_from_msi(&msi, &message), -EINVAL);
	msi.address = 0x1fee00000ull;
	assert_int_equal(apic_message_from_msi(&msi, &message), -EINVAL);
}

static void test_lowest_priority(void **state)
{
	struct apic_message message = { .destination = LAPIC_BROADCAST,
					.mode = LAPIC_MODE_LOWEST,
					.vector = 0x50,
					.assert = true };
	struct apic pool[4], *list[5], *found;
	u32 seen = 0, i;

	for (i = 0; i < 4; i++) {
		apic_init(&pool[i], i, i == 0);
		apic_virtual_wire(&pool[i]);
		list[i] = &pool[i];
	}
	list[4] = NULL;
	apic_set_tpr(&pool[0], 5);
	apic_set_tpr(&pool[1], 2);
	apic_set_tpr(&pool[2], 4);
	apic_set_tpr(&pool[3], 3);
	assert_ptr_equal(apic_lowest_priority(list, 5, &message, NULL), &pool[1]);
	apic_set_base(&pool[1], LAPIC_BASE_DEFAULT);
	assert_ptr_equal(apic_lowest_priority(list, 5, &message, NULL), &pool[3]);
	for (i = 0; i < 4; i++)
		apic_set_tpr(&pool[i], 0);
	for (message.vector = 0x50; message.vector < 0x60; message.vector++) {
		found = apic_lowest_priority(list, 5, &message, NULL);
		seen |= 1u << (found - pool);
	}
	assert_int_equal(seen, 0xd); /* all but the disabled one have their turn */
	message.destination = 9;
	assert_null(apic_lowest_priority(list, 5, &message, NULL));
}

static void test_kicks(void **state)
{
	struct apic_message message = { .mode = LAPIC_MODE_FIXED, .vector = 0x50, .assert = true };

	/* Only who makes the owner look has to kick it. */
	assert_true(apic_deliver(&apic, &message));
	assert_false(apic_deliver(&apic, &message));
	message.vector = 0x51;
	assert_false(apic_deliver(&apic, &message));
	assert_int_equal(apic_pending(&apic), 0x51);
	message.vector = 0x52;
	assert_true(apic_deliver(&apic, &message));
	message.mode = LAPIC_MODE_NMI;
	assert_true(apic_deliver(&apic, &message));
	assert_false(apic_deliver(&apic, &message));
	message.mode = LAPIC_MODE_SMI;
	assert_false(apic_deliver(&apic, &message));
	/* A fall that nobody looked at does not swallow the kick of the next rise. */
	write_reg(LAPIC_LVT_LINT0, 0x700);
	assert_true(apic_set_line(&apic, FERMATA_LINE_LINT0, true));
	assert_true(apic_extint_pending(&apic));
	assert_false(apic_set_line(&apic, FERMATA_LINE_LINT0, false));
	assert_true(apic_set_line(&apic, FERMATA_LINE_LINT0, true));
	assert_false(apic_set_line(&apic, FERMATA_LINE_LINT0, true));
	assert_false(apic_set_line(&apic, 2, true));
}

static void test_init_sipi(void **state)
{
	struct apic_message message = { .mode = LAPIC_MODE_SIPI, .vector = 0x9a, .assert = true };
	u8 vector = 0;

	to_x2apic(&apic);
	write_msr(0x808, 0x20);
	write_msr(0x832, 0x20041);
	deliver(LAPIC_MODE_FIXED, 0x80, false);
	deliver(LAPIC_MODE_NMI, 0, false);
	assert_true(apic_deliver(&apic, &message));
	/* A SIPI before the INIT is forgotten. */
	deliver(LAPIC_MODE_INIT, 0, false);
	assert_false(apic_take_sipi(&apic, &vector));
	assert_true(apic_deliver(&apic, &message));
	assert_true(apic_has_wakeup(&apic));
	assert_true(apic_take_init(&apic));
	assert_false(apic_take_init(&apic));
	apic_reset(&apic, true);
	assert_true(apic_is_x2apic(&apic));
	assert_int_equal(apic_pending(&apic), -1);
	assert_false(apic_take_nmi(&apic));
	assert_int_equal(apic.ldr, 1 << 3);
	assert_int_equal(apic.tpr, 0);
	/* The SIPI after it is not. */
	assert_true(apic_take_sipi(&apic, &vector));
	assert_int_equal(vector, 0x9a);
	assert_false(apic_take_sipi(&apic, &vector));
	assert_false(apic_has_wakeup(&apic));
	apic_reset(&apic, false);
	assert_false(apic_is_x2apic(&apic));
}

/* ------------------------------------------------------------------ pins */

static void test_lint_extint(void **state)
{
	apic_set_line(&apic, FERMATA_LINE_LINT0, true);
	assert_false(apic_extint_pending(&apic)); /* masked */
	assert_false(apic_has_wakeup(&apic));
	write_reg(LAPIC_LVT_LINT0, 0x700);
	assert_true(apic_extint_pending(&apic));
	assert_true(apic_has_wakeup(&apic));
	assert_int_equal(apic_pending(&apic), -1);
	/* The 8259 has been asked, and lets go. */
	apic_extint_accept(&apic);
	assert_true(apic_extint_pending(&apic));
	apic_set_line(&apic, FERMATA_LINE_LINT0, false);
	assert_false(apic_extint_pending(&apic));
	assert_false(apic_attention(&apic));
	/* As a message it is asked for once. */
	deliver(LAPIC_MODE_EXTINT, 0, false);
	assert_true(apic_extint_pending(&apic));
	apic_extint_accept(&apic);
	assert_false(apic_extint_pending(&apic));
}

static void test_lint_fixed(void **state)
{
	write_reg(LAPIC_LVT_LINT0, 0x61);
	apic_set_line(&apic, FERMATA_LINE_LINT0, true);
	assert_int_equal(apic_pending(&apic), 0x61);
	apic_accept(&apic, 0x61);
	write_reg(LAPIC_EOI, 0);
	assert_false(effects.eoi_level);
	assert_int_equal(apic_pending(&apic), -1); /* an edge counts once */
	/* A pulse too short to be looked at is an edge all the same. */
	apic_set_line(&apic, FERMATA_LINE_LINT0, false);
	apic_set_line(&apic, FERMATA_LINE_LINT0, true);
	apic_set_line(&apic, FERMATA_LINE_LINT0, false);
	assert_int_equal(apic_pending(&apic), 0x61);
	apic_accept(&apic, 0x61);
	write_reg(LAPIC_EOI, 0);
	/* Edges that meet a mask are lost. */
	write_reg(LAPIC_LVT_LINT0, LAPIC_LVT_MASKED | 0x61);
	apic_set_line(&apic, FERMATA_LINE_LINT0, true);
	write_reg(LAPIC_LVT_LINT0, 0x61);
	assert_int_equal(apic_pending(&apic), -1);
}

static void test_lint_level(void **state)
{
	write_reg(LAPIC_LVT_LINT0, 0x8062);
	apic_set_line(&apic, FERMATA_LINE_LINT0, true);
	assert_int_equal(apic_pending(&apic), 0x62);
	assert_int_equal(read_reg(LAPIC_LVT_LINT0), 0xc062); /* Remote IRR */
	apic_accept(&apic, 0x62);
	assert_int_equal(apic_pending(&apic), -1);
	write_reg(LAPIC_EOI, 0);
	assert_true(effects.eoi_level);
	/* Still high: again. */
	assert_int_equal(apic_pending(&apic), 0x62);
	apic_accept(&apic, 0x62);
	apic_set_line(&apic, FERMATA_LINE_LINT0, false);
	write_reg(LAPIC_EOI, 0);
	assert_int_equal(apic_pending(&apic), -1);
	assert_int_equal(read_reg(LAPIC_LVT_LINT0), 0x8062);
}

static void test_lint_nmi(void **state)
{
	write_reg(LAPIC_LVT_LINT1, 0x400);
	assert_true(apic_set_line(&apic, FERMATA_LINE_LINT1, true));
	assert_true(apic_has_wakeup(&apic));
	assert_true(apic_take_nmi(&apic));
	assert_false(apic_take_nmi(&apic)); /* an edge, whatever the trigger mode says */
	apic_set_line(&apic, FERMATA_LINE_LINT1, false);
	write_reg(LAPIC_LVT_LINT1, 0x10400);
	apic_set_line(&apic, FERMATA_LINE_LINT1, true);
	assert_false(apic_take_nmi(&apic));
	apic_virtual_wire(&apic);
	assert_false(apic_take_nmi(&apic));
	apic_set_line(&apic, FERMATA_LINE_LINT1, false);
	apic_set_line(&apic, FERMATA_LINE_LINT1, true);
	assert_true(apic_take_nmi(&apic));
}

/* ------------------------------------------------------------------ other threads */

#define POSTERS 3
#define POSTS 5000000

static u32 finished, kicks, posted;
static u8 in_flight[256];

/* Posts a vector again when the owner has had it, so that each post is one interrupt. */
static void *poster(void *data)
{
	struct apic_message message = { .mode = LAPIC_MODE_FIXED, .assert = true };
	u32 i, base = 0x20 + 0x40 * (u32)(uintptr_t)data;

	for (i = 0; i < POSTS; i++) {
		message.vector = base + i % 0x40;
		if (__atomic_exchange_n(&in_flight[message.vector], 1, __ATOMIC_SEQ_CST))
			continue;
		message.level = i & 1;
		__atomic_fetch_add(&posted, 1, __ATOMIC_SEQ_CST);
		if (apic_deliver(&apic, &message))
			__atomic_fetch_add(&kicks, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/*
 * The owner sleeps unless kicked, as a halted vCPU does: it may only look again after a kick it has
 * not answered yet. In the end it has had every one that was posted.
 */
static void test_posters(void **state)
{
	pthread_t thread[POSTERS];
	u32 answered = 0, seen, accepted = 0, i;
	bool done;
	int vector;

	for (i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, poster, (void *)(uintptr_t)i), 0);
	for (;;) {
		done = __atomic_load_n(&finished, __ATOMIC_SEQ_CST) == POSTERS;
		seen = __atomic_load_n(&kicks, __ATOMIC_SEQ_CST);
		if (seen == answered) {
			if (done)
				break;
			continue;
		}
		answered = seen;
		while ((vector = apic_pending(&apic)) >= 0) {
			apic_accept(&apic, vector);
			write_reg(LAPIC_EOI, 0);
			accepted++;
			__atomic_store_n(&in_flight[vector], 0, __ATOMIC_SEQ_CST);
		}
	}
	for (i = 0; i < POSTERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(accepted, posted);
	assert_false(apic_attention(&apic));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_match_physical),   TEST(test_match_logical),
		TEST(test_match_x2apic),     TEST(test_match_shorthand),
		TEST(test_icr_combinations), TEST(test_msi),
		TEST(test_lowest_priority),  TEST(test_kicks),
		TEST(test_init_sipi),	     TEST(test_lint_extint),
		TEST(test_lint_fixed),	     TEST(test_lint_level),
		TEST(test_lint_nmi),	     TEST(test_posters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
