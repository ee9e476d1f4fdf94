/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A VM's clock: wrong changes, every number in every field, and changes while vCPUs run and others look. */
#include <sched.h>

#include "abuse.h"

#define SECOND 1000000000ll

static int change(int vm, uint32_t verb, uint32_t num, uint32_t den, int64_t ns)
{
	struct fermata_clock_change c = { .verb = verb, .num = num, .den = den, .ns = ns };

	return ioctl(vm, FERMATA_SET_CLOCK, &c);
}

static const struct fermata_clock *clock_page(int vm)
{
	const struct fermata_clock *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm, 0);

	must(page != MAP_FAILED, "mmap of the clock page");
	return page;
}

static void wrong_changes(void)
{
	static const struct {
		struct fermata_clock_change c;
		const char *what;
	} bad[] = {
		{ { .verb = FERMATA_CLOCK_DATE + 1 }, "a verb that there is none" },
		{ { .verb = ~0u }, "the last verb of all" },
		{ { .verb = FERMATA_CLOCK_RATE }, "no rate" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = 1 }, "a rate divided by 0" },
		{ { .verb = FERMATA_CLOCK_RATE, .den = 1 }, "a rate of 0" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = 1001, .den = 1 }, "a rate above 1000" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1001 }, "a rate below 1/1000" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = ~0u, .den = 4294967 }, "just above 1000" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1, .ns = 1 }, "a rate with ns" },
		{ { .verb = FERMATA_CLOCK_RATE, .num = 1, .den = 1, .reserved = 1 }, "reserved" },
		{ { .verb = FERMATA_CLOCK_THAW, .reserved2 = 1ull << 63 }, "the other reserved" },
		{ { .verb = FERMATA_CLOCK_FREEZE, .den = 1 }, "freezing with a rate" },
		{ { .verb = FERMATA_CLOCK_THAW, .num = 1 }, "thawing with a rate" },
		{ { .verb = FERMATA_CLOCK_HOLD, .ns = -1 }, "holding with ns" },
		{ { .verb = FERMATA_CLOCK_RELEASE, .ns = 1 }, "releasing with ns" },
		{ { .verb = FERMATA_CLOCK_STEP, .ns = -1 }, "a step back" },
		{ { .verb = FERMATA_CLOCK_STEP, .num = 1 }, "a step with a rate" },
		{ { .verb = FERMATA_CLOCK_JUMP, .den = 1 }, "a jump with a rate" },
		{ { .verb = FERMATA_CLOCK_DATE, .num = 1 }, "a date with a rate" },
		{ { .verb = FERMATA_CLOCK_RUN_ONLY_MODE, .ns = 1 }, "run-only with ns" },
	};
	struct fermata_clock_change c;
	int vm = vm_create(), vcpu;
	const struct fermata_clock *page = clock_page(vm);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		c = bad[i].c;
		gives(ioctl(vm, FERMATA_SET_CLOCK, &c), EINVAL, "SET_CLOCK, %s", bad[i].what);
	}
	ok(page->changes == 1, "... and the clock is as it was");
	gives(change(vm, FERMATA_CLOCK_RATE, 1000, 1, 0), 0, "the highest rate");
	gives(change(vm, FERMATA_CLOCK_RATE, 1, 1000, 0), 0, "the lowest rate");
	vcpu = vcpu_create(vm, 0);
	gives(change(vm, FERMATA_CLOCK_RUN_ONLY_MODE, 0, 0, 0), EBUSY, "run-only with a vCPU");
	close(vcpu);
	close(vm);
	munmap((void *)page, PAGE);
	vm = vm_create();
	gives(change(vm, FERMATA_CLOCK_RUN_ONLY_MODE, 0, 0, 0), 0, "run-only without one");
	vcpu = vcpu_create(vm, 0);
	gives(ioctl(vm, FERMATA_CREATE_VCPU, &(struct fermata_vcpu_config){ .id = 1 }), EBUSY,
	      "a second vCPU of a guest whose clock is run-only");
	close(vcpu);
	close(vm);
}

/* What a guest would read; false when the page is torn for ever. */
static bool read_clock(const struct fermata_clock *page, struct fermata_clock *copy)
{
	/* A box whose processors take turns leaves one alone for 100 ms, perhaps while it writes. */
	for (unsigned i = 0; i < 50000000; i++) {
		uint32_t seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);

		memcpy(copy, page, sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(&page->seq, __ATOMIC_RELAXED) == seq)
			return true;
	}
	return false;
}

/* Every field from every edge. What is taken leaves a clock that the page describes, in its ranges. */
static void random_changes(void)
{
	unsigned taken = 0, wrong = 0, count = times(200000);
	struct fermata_clock_change c;
	struct fermata_clock now;
	const struct fermata_clock *page;
	uint64_t last = 0;
	int vm = vm_create(), result;

	page = clock_page(vm);
	for (unsigned i = 0; i < count; i++) {
		memset(&c, 0, sizeof(c));
		c.verb = below(20) ? below(FERMATA_CLOCK_DATE + 2) : interesting();
		if (c.verb == FERMATA_CLOCK_RUN_ONLY_MODE)
			continue;
		if (c.verb == FERMATA_CLOCK_RATE || !below(20)) {
			c.num = below(4) ? 1 + below(1000) : interesting();
			c.den = below(4) ? 1 + below(1000) : interesting();
		}
		if (c.verb == FERMATA_CLOCK_STEP || c.verb == FERMATA_CLOCK_JUMP || !below(20))
			c.ns = below(3) ? (int64_t)below(SECOND) - SECOND / 2 :
					  (int64_t)interesting();
		if (!below(50))
			c.reserved = interesting();
		result = ioctl(vm, FERMATA_SET_CLOCK, &c);
		taken += !result;
		wrong += result && errno != EINVAL;
		if (!read_clock(page, &now) || now.ns_start < last || !now.num || !now.den ||
		    (now.flags & FERMATA_CLOCK_FROZEN ? now.tsc_ticks >> 63 : ~now.tsc_ticks != 0) ||
		    (now.flags & FERMATA_CLOCK_HELD && now.tsc_mult)) {
			wrong++;
			note("after change %u: seq %u, ns %llu after %llu, ticks %llx, flags %x", i,
			     now.seq, (unsigned long long)now.ns_start, (unsigned long long)last,
			     (unsigned long long)now.tsc_ticks, now.flags);
		}
		last = now.ns_start;
	}
	ok(!wrong && taken > count / 4, "%u random changes, %u of them taken, leave a clock", count,
	   taken);
	munmap((void *)page, PAGE);
	close(vm);
}

/* ---- while vCPUs run */

static struct race {
	struct guest *g;
	const struct fermata_clock *page;
	bool stop;
	unsigned changes, refused, torn, back;
} race;

static void *changer(void *unused)
{
	unsigned seed = (unsigned)(uintptr_t)unused + 1;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		uint32_t verb = rand_r(&seed) % (FERMATA_CLOCK_RELEASE + 1);
		bool rate = verb == FERMATA_CLOCK_RATE;
		int64_t ns = verb == FERMATA_CLOCK_STEP || verb == FERMATA_CLOCK_JUMP ?
				     rand_r(&seed) % 1000000 :
				     0;

		if (change(race.g->vm, verb, rate ? 1 + rand_r(&seed) % 1000 : 0,
			   rate ? 1 + rand_r(&seed) % 1000 : 0, ns))
			__atomic_add_fetch(&race.refused, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&race.changes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *looker(void *unused)
{
	struct fermata_clock now;
	uint64_t last = 0;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		if (!read_clock(race.page, &now))
			__atomic_add_fetch(&race.torn, 1, __ATOMIC_RELAXED);
		else if (now.ns_start < last)
			__atomic_add_fetch(&race.back, 1, __ATOMIC_RELAXED);
		else
			last = now.ns_start;
	}
	return NULL;
}

static void *runner(void *number)
{
	unsigned vcpu = (unsigned)(uintptr_t)number, passes = 0;
	int result;

	do {
		result = count_run(race.g, vcpu, 10);
		passes += 10;
		sched_yield(); /* one processor: to those who change the clock */
	} while (!result && (passes < times(2000) ||
			     __atomic_load_n(&race.changes, __ATOMIC_RELAXED) < times(2000)));
	return (void *)(uintptr_t)!!result;
}

/* One vCPU counts, three threads change its clock, one looks; then the VM goes, its clock frozen. */
static void changes_while_running(void)
{
	pthread_t change_thread[3], look_thread, run_thread;
	uint8_t *data = ram_new(16 * PAGE);
	struct guest g;
	void *result;

	guest_new(&g, 1, MODE_LONG);
	must(!slot_set(g.vm, 1, DATA_AT, 16 * PAGE, data, 0), "SET_MEMORY");
	count_setup(&g, 0, 16 * PAGE);
	race = (struct race){ .g = &g, .page = clock_page(g.vm) };
	for (uintptr_t i = 0; i < 3; i++)
		must(!pthread_create(&change_thread[i], NULL, changer, (void *)i), "a thread");
	must(!pthread_create(&look_thread, NULL, looker, NULL), "a thread");
	must(!pthread_create(&run_thread, NULL, runner, NULL), "a thread");
	pthread_join(run_thread, &result);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(change_thread[i], NULL);
	pthread_join(look_thread, NULL);
	ok(!result, "a guest runs while three threads change its clock");
	note("%u changes", race.changes);
	ok(!race.refused, "... none of which is refused");
	ok(!race.torn && !race.back, "... and who looks sees a clock that goes on");
	change(g.vm, FERMATA_CLOCK_FREEZE, 0, 0, 0);
	munmap((void *)race.page, PAGE);
	guest_end(&g);
	munmap(data, 16 * PAGE);
}

void abuse_clock(void)
{
	wrong_changes();
	random_changes();
	changes_while_running();
}
