/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What is done about each request: by the run loop before an entry, outside of guest context, and by a sleeper. */
#include "core/requests.h"
#include "core/exits.h"
#include "core/report.h"
#include "core/pvclock.h"
#include "core/shadowing.h"
#include "core/time.h"

/* ---- what the rows below do, where it is not another file's */

static enum verdict take_clock(struct vcpu *v, u32 request)
{
	return vcpu_take_clock(v) ? GO_ON : LEAVE_FOR_HOST;
}

static int renew_clock(struct vcpu *v)
{
	vm_clock_renew(v->vm);
	return GO_ON;
}

static int trim(struct vcpu *v)
{
	host_clear_bit(REQUEST_TRIM, &v->requests);
	radix_cache_drain(&v->cache);
	return GO_ON;
}

/*
 * Both kinds together. A cause that comes between the two reads is counted now, and its flush paid at the next
 * look.
 */
static enum verdict take_flushes(struct vcpu *v, u32 request)
{
	u32 kinds = 0, cause;

	if (host_test_and_clear_bit(REQUEST_FLUSH_LINEAR, &v->requests))
		kinds |= FLUSH_LINEAR;
	if (host_test_and_clear_bit(REQUEST_FLUSH_NESTED, &v->requests))
		kinds |= FLUSH_NESTED;
	v->tlb.owed |= kinds;
	v->dirty |= DIRTY_FLUSH;
	for (cause = 0; cause < FERMATA_FLUSH_CAUSES; cause++)
		if (v->requests & BIT_ULL(REQUEST_CAUSE + cause) &&
		    host_test_and_clear_bit(REQUEST_CAUSE + cause, &v->requests))
			v->account.stats.flush_cause[cause]++;
	return GO_ON;
}

static enum verdict timer_due(struct vcpu *v, u32 request)
{
	vcpu_timer_due(v);
	return GO_ON;
}

static int bring_in(struct vcpu *v)
{
	host_clear_bit(REQUEST_FAULT, &v->requests);
	return exit_handle_fault(v);
}

static int split_lock(struct vcpu *v)
{
	host_clear_bit(REQUEST_SPLIT_LOCK, &v->requests);
	host_split_lock(v->thread, v->exit.rip);
	return GO_ON;
}

static enum verdict load_root(struct vcpu *v, u32 request)
{
	return shadowing_root(v);
}

static enum verdict refused(struct vcpu *v, u32 request)
{
	return exit_refused(v);
}

static enum verdict lost(struct vcpu *v, u32 request)
{
	return exit_to_user(v, FERMATA_EXIT_UNCLAIMED);
}

static enum verdict tell_eoi(struct vcpu *v, u32 request)
{
	host_clear_bit(REQUEST_EOI, &v->requests);
	exit_to_user(v, FERMATA_EXIT_EOI);
	v->page->exit.eoi.vector = v->report.eoi_vector;
	return LEAVE_FOR_USER;
}

/* ---- the table */

enum sleeper {
	NOT_ASLEEP,   /* it waits for the next entry */
	BEFORE_SLEEP, /* done outside, before the thread sleeps */
	AFTER_SLEEP,  /* done as before an entry when the thread wakes; whoever asks wakes it */
};

static const struct {
	/*
	 * In guest context, before an entry, with interrupts off. LEAVE_FOR_HOST: outside first, or later. NULL:
	 * it is done outside.
	 */
	enum verdict (*inside)(struct vcpu *v, u32 request);
	/* Outside of guest context; may sleep. GO_ON, LEAVE_FOR_USER or -errno. NULL: nothing to do. */
	int (*outside)(struct vcpu *v);
	enum sleeper sleeper;
} rows[REQUESTS] = {
	[REQUEST_REFUSED] = { refused },
	[REQUEST_SHADOW] = { .outside = shadowing_outside },
	[REQUEST_FAULT] = { .outside = bring_in },
	[REQUEST_SPLIT_LOCK] = { .outside = split_lock },
	/* Before all that is done inside: until it is taken, nothing else may look at the clock there. */
	[REQUEST_CLOCK] = { take_clock, renew_clock, AFTER_SLEEP },
	[REQUEST_PVCLOCK] = { .outside = pvclock_write, .sleeper = BEFORE_SLEEP },
	[REQUEST_TRIM] = { .outside = trim },
	[REQUEST_FLUSH_LINEAR] = { take_flushes },
	[REQUEST_FLUSH_NESTED] = { take_flushes },
	[REQUEST_TIMER] = { timer_due, .sleeper = AFTER_SLEEP },
	[REQUEST_RULES] = { rules_requested },
	[REQUEST_ROOT] = { load_root },
	[REQUEST_LINEAR] = { rules_requested, rules_outside },
	[REQUEST_WATCH] = { rules_requested },
	[REQUEST_AFTER] = { rules_requested },
	[REQUEST_LOST] = { lost },
	[REQUEST_EOI] = { tell_eoi },
};

/* The first one from `bit` on; REQUESTS: none. What a row leaves for later ones is found on the way. */
static u32 next(const struct vcpu *v, u32 bit)
{
	u64 left = READ_ONCE(v->requests) & REQUESTS_ALL & ~0ull << bit;

	return left ? __builtin_ctzll(left) : REQUESTS;
}

enum verdict requests_inside(struct vcpu *v)
{
	for (u32 bit = next(v, 0); bit < REQUESTS; bit = next(v, bit + 1)) {
		enum verdict verdict = rows[bit].inside ? rows[bit].inside(v, bit) : LEAVE_FOR_HOST;

		if (verdict != GO_ON)
			return verdict;
	}
	return GO_ON;
}

static int outside(struct vcpu *v, u32 bit)
{
	return rows[bit].outside ? rows[bit].outside(v) : GO_ON;
}

int requests_outside(struct vcpu *v)
{
	for (u32 bit = next(v, 0); bit < REQUESTS; bit = next(v, bit + 1)) {
		int result = outside(v, bit);

		if (result != GO_ON)
			return result;
	}
	return GO_ON;
}

int requests_before_sleep(struct vcpu *v)
{
	for (u32 bit = next(v, 0); bit < REQUESTS; bit = next(v, bit + 1)) {
		int result = rows[bit].sleeper == BEFORE_SLEEP ? outside(v, bit) : GO_ON;

		if (result != GO_ON)
			return result;
	}
	return GO_ON;
}

int requests_after_sleep(struct vcpu *v)
{
	for (u32 bit = next(v, 0); bit < REQUESTS; bit = next(v, bit + 1))
		if (rows[bit].sleeper == AFTER_SLEEP && rows[bit].inside(v, bit) != GO_ON)
			return outside(v, bit) ?: LEAVE_FOR_HOST;
	return GO_ON;
}
