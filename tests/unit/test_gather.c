/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kernel/core/gather.c: all vCPUs at once. First who is kicked, woken and waited for, and when; then threads that
 * behave as vCPUs do (turns() in core/run.c), none of which may miss a request.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "core_fixture.h"

#define ASKED BIT(REQUEST_TIMER)
#define FIRST_CPU 10

static void smp(void)
{
	while (created < VCPUS)
		add_vcpu();
	for (u32 i = 0; i < VCPUS; i++) {
		vcpus[i].cpu = FIRST_CPU + i;
		vcpus[i].requests = 0;
	}
	host_test.kicks = host_test.wakes = 0;
}

/* ---- who, and in which order */

static u32 inside; /* vCPUs that start in the guest, by bit */
static u32 kicked; /* by bit */
static u32 pauses;
static enum gather mode;

static void note_kick(u32 cpu)
{
	assert_int_equal(pauses, 0); /* nobody is waited for yet */
	assert_in_range(cpu, FIRST_CPU, FIRST_CPU + VCPUS - 1);
	assert_false(kicked & BIT(cpu - FIRST_CPU));
	kicked |= BIT(cpu - FIRST_CPU);
}

/* One of those that were kicked goes on, the last one first. */
static void let_one_go(void)
{
	assert_int_equal(kicked, inside);
	pauses++;
	for (u32 i = VCPUS; i--;) {
		if (!(inside & BIT(i)) || READ_ONCE(vcpus[i].mode) == VCPU_OUTSIDE ||
		    vcpus[i].looks || (mode == GATHER_TAKE && !vcpus[i].requests))
			continue;
		if (mode == GATHER_HOLD)
			vcpus[i].mode = VCPU_OUTSIDE;
		else if (mode == GATHER_LOOK)
			vcpus[i].looks++;
		else
			vcpus[i].requests = 0;
		return;
	}
	fail_msg("it waits although all have gone on");
}

static void ask(enum gather how, const struct vcpu *but)
{
	smp();
	mode = how;
	kicked = pauses = 0;
	for (u32 i = 0; i < VCPUS; i++) {
		vcpus[i].mode = inside & BIT(i) ? VCPU_IN_GUEST : VCPU_OUTSIDE;
		vcpus[i].looks = 0;
	}
	host_test.kicked = note_kick;
	host_test.paused = let_one_go;
	if (but) /* it is in the guest for all that we know, and is left alone */
		vcpus[but->id].mode = VCPU_IN_GUEST;
	gather(&vm, but, ASKED, how);
	host_test.kicked = NULL;
	host_test.paused = NULL;
	if (but) {
		assert_int_equal(but->requests, 0);
		vcpus[but->id].mode = VCPU_OUTSIDE;
	}
}

static void all_are_kicked_before_one_is_waited_for(void **state)
{
	static const enum gather waits[] = { GATHER_LOOK, GATHER_TAKE, GATHER_HOLD };

	inside = BIT(0) | BIT(1) | BIT(3);
	for (u32 i = 0; i < ARRAY_SIZE(waits); i++) {
		ask(waits[i], NULL);
		assert_int_equal(kicked, inside);
		assert_int_equal(pauses, 3);
		assert_int_equal(host_test.wakes, 0); /* who sleeps finds it when it wakes */
		assert_int_equal(vcpus[2].requests, ASKED);
	}
	inside = BIT(1) | BIT(3);
	for (u32 i = 0; i < ARRAY_SIZE(waits); i++) {
		ask(waits[i], &vcpus[2]);
		assert_int_equal(kicked, inside);
		assert_int_equal(pauses, 2);
		assert_int_equal(vcpus[0].requests, ASKED);
	}
}

static void nobody_is_waited_for(void **state)
{
	inside = BIT(1) | BIT(2);
	ask(GATHER_POST, NULL);
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(vcpus[i].requests, ASKED);
	assert_int_equal(host_test.kicks + host_test.wakes, 0);
	ask(GATHER_WAKE, NULL);
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(vcpus[i].requests, ASKED);
	assert_int_equal(kicked, inside);
	assert_int_equal(host_test.wakes, 2);
	ask(GATHER_WAKE, &vcpus[0]);
	assert_int_equal(host_test.wakes, 1);
	assert_int_equal(pauses, 0);
}

/* Who is to stay outside is waited for until it is, however often it has looked, and whatever it has taken. */
static void look_again(void)
{
	pauses++;
	v->looks++;
	v->requests = 0;
	if (pauses == 5)
		v->mode = VCPU_OUTSIDE;
}

static void held_is_outside(void **state)
{
	v->mode = VCPU_IN_GUEST;
	pauses = 0;
	host_test.paused = look_again;
	gather(&vm, NULL, ASKED, GATHER_HOLD);
	assert_int_equal(pauses, 5);
	v->mode = VCPU_IN_GUEST;
	pauses = 0;
	gather(&vm, NULL, ASKED, GATHER_TAKE);
	assert_int_equal(pauses, 1);
	v->mode = VCPU_OUTSIDE;
}

/* ---- threads: no request is overlooked */

#define ROUNDS 5000

/* A vCPU: interrupts are off while it looks, so a kick waits for the guest's turn and ends it. */
static struct model {
	pthread_t thread;
	struct vcpu *v;
	bool interrupt, awake, runs;
	u64 epoch; /* as of the last request that it took */
} models[VCPUS];
static u64 epoch;
static bool changing, stopping, sleepy;

static void interrupt(u32 cpu)
{
	WRITE_ONCE(models[cpu - FIRST_CPU].interrupt, true);
}

static void wake(struct host_thread *thread)
{
	WRITE_ONCE(models[thread - threads].awake, true);
}

static void give_way(void)
{
	sched_yield();
}

static void guest_runs(struct model *m)
{
	WRITE_ONCE(m->runs, true);
	while (!READ_ONCE(m->interrupt) && !READ_ONCE(stopping)) {
		if (mode == GATHER_POST)
			break; /* nobody kicks: it comes out by itself */
		sched_yield();
	}
	WRITE_ONCE(m->runs, false);
}

/* What is to be done is looked for once more after it has said that it sleeps: rcuwait_wait_event(). */
static void sleep_until_woken(struct model *m)
{
	WRITE_ONCE(m->awake, false);
	host_full_barrier();
	while (!READ_ONCE(m->awake) && !(READ_ONCE(m->v->requests) & ASKED) && !READ_ONCE(stopping))
		sched_yield();
}

/* False: it is to stay outside. */
static bool looks(struct model *m)
{
	if (!(READ_ONCE(m->v->requests) & ASKED))
		return true;
	host_test_and_clear_bit(REQUEST_TIMER, &m->v->requests);
	if (READ_ONCE(changing)) {
		host_set_bit(REQUEST_TIMER, &m->v->requests);
		return false;
	}
	WRITE_ONCE(m->epoch, READ_ONCE(epoch));
	return true;
}

static void *live(void *arg)
{
	struct model *m = arg;
	u32 turns = 0;

	while (!READ_ONCE(stopping)) {
		if (sleepy && turns++ & 1)
			sleep_until_woken(m);
		WRITE_ONCE(m->interrupt, false); /* interrupts were on; now they are off */
		WRITE_ONCE(m->v->looks, m->v->looks + 1);
		WRITE_ONCE(m->v->mode, VCPU_IN_GUEST);
		host_full_barrier();
		if (looks(m))
			guest_runs(m);
		WRITE_ONCE(m->v->mode, VCPU_OUTSIDE);
		sched_yield();
	}
	return NULL;
}

/* Whoever runs the guest when gather() has waited has taken what was asked for. */
static void nobody_runs_as_before(void)
{
	for (u32 i = 0; i < VCPUS; i++)
		if (READ_ONCE(models[i].runs))
			assert_int_equal(READ_ONCE(models[i].epoch), epoch);
}

/* A request that is overlooked makes this wait until the alarm. */
static void all_take_it(void)
{
	for (u32 i = 0; i < VCPUS; i++)
		while (READ_ONCE(models[i].epoch) != epoch)
			sched_yield();
}

static void change(void)
{
	WRITE_ONCE(changing, mode == GATHER_HOLD);
	WRITE_ONCE(epoch, epoch + 1);
	gather(&vm, NULL, ASKED, mode);
	if (mode == GATHER_HOLD) {
		for (u32 i = 0; i < 8 * VCPUS; i++) { /* they come to the door, and go again */
			assert_false(READ_ONCE(models[i % VCPUS].runs));
			sched_yield();
		}
		host_full_barrier();
		WRITE_ONCE(changing, false);
		gather(&vm, NULL, 0, GATHER_WAKE);
	} else if (mode == GATHER_LOOK || mode == GATHER_TAKE) {
		nobody_runs_as_before();
	} else {
		all_take_it();
	}
}

static void with_threads(enum gather how, bool sleeps)
{
	smp();
	mode = how;
	sleepy = sleeps;
	stopping = changing = false;
	epoch = 0;
	host_test.kicked = interrupt;
	host_test.woken = wake;
	host_test.paused = give_way;
	alarm(100);
	for (u32 i = 0; i < VCPUS; i++) {
		models[i] = (struct model){ .v = &vcpus[i] };
		assert_int_equal(pthread_create(&models[i].thread, NULL, live, &models[i]), 0);
	}
	for (u32 round = 0; round < ROUNDS; round++)
		change();
	WRITE_ONCE(stopping, true);
	for (u32 i = 0; i < VCPUS; i++)
		pthread_join(models[i].thread, NULL);
	alarm(0);
}

static void posted_is_found(void **state)
{
	with_threads(GATHER_POST, false);
}

static void woken_or_kicked(void **state)
{
	with_threads(GATHER_WAKE, true);
}

static void looked(void **state)
{
	with_threads(GATHER_LOOK, false);
}

static void taken(void **state)
{
	with_threads(GATHER_TAKE, false);
}

static void held(void **state)
{
	with_threads(GATHER_HOLD, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_are_kicked_before_one_is_waited_for),
		TEST(nobody_is_waited_for),
		TEST(held_is_outside),
		TEST(posted_is_found),
		TEST(woken_or_kicked),
		TEST(looked),
		TEST(taken),
		TEST(held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
