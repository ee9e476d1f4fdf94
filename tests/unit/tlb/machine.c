/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Several CPUs and the threads on them: kernel/host.h for the model. Threads are fibers, which take turns
 * where they wait and wherever another CPU's work may fall in between: at locks, barriers and kicks.
 */
#include <sanitizer/common_interface_defs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "model.h"

#define STACK (256 * 1024)
#define FIBERS 32
#define NOWHERE (~0u)

struct fiber {
	ucontext_t context;
	char *stack;
	void *fake_stack;
	void (*fn)(void *arg);
	void *arg;
	struct host_thread *thread;
	bool done;
	u32 cpu; /* held in guest context or by host_stay(); NOWHERE: none */
	u32 stays;
	u32 locks;
	bool guest; /* between host_guest_begin() and _end() */
};

static struct fiber fibers[FIBERS];
static u32 fiber_count;
static struct fiber *current;
static ucontext_t main_context;
static void *main_fake_stack;
static const void *main_stack;
static size_t main_stack_size;

static struct {
	struct fiber *holder;
	bool interrupt, off;
} cpus[CPUS];

static u32 visiting = NOWHERE; /* host_run_on(): on that CPU for a moment */
static long outstanding;
static u64 tsc;
static u64 *losing; /* requests of whoever's they are */

/* What was allocated, to be given back when a run ends in the middle. */
static struct allocation {
	struct allocation *next, **link;
	u64 pad[2];
} *allocations;

struct world world;
u64 model_random_state = 1;
struct mutation mutation;

/* ---- fibers */

static void switch_to_main(bool for_good)
{
	struct fiber *self = current;

	__sanitizer_start_switch_fiber(for_good ? NULL : &self->fake_stack, main_stack,
				       main_stack_size);
	swapcontext(&self->context, &main_context);
	__sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
}

static void fiber_main(void)
{
	__sanitizer_finish_switch_fiber(NULL, &main_stack, &main_stack_size);
	current->fn(current->arg);
	current->done = true;
	switch_to_main(true);
}

static void fiber_prepare(struct fiber *f)
{
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK;
	f->context.uc_link = NULL;
	makecontext(&f->context, fiber_main, 0);
}

void fiber_new(void (*fn)(void *arg), void *arg, struct host_thread *thread)
{
	struct fiber *f = &fibers[fiber_count];

	if (fiber_count++ == FIBERS)
		abort();
	*f = (struct fiber){ .stack = f->stack ?: malloc(STACK),
			     .fn = fn,
			     .arg = arg,
			     .thread = thread,
			     .cpu = NOWHERE };
	fiber_prepare(f);
	if (thread)
		thread->fiber = f;
}

static void resume(struct fiber *f)
{
	current = f;
	__sanitizer_start_switch_fiber(&main_fake_stack, f->stack, STACK);
	swapcontext(&main_context, &f->context);
	__sanitizer_finish_switch_fiber(main_fake_stack, NULL, NULL);
	current = NULL;
}

void yield(void)
{
	if (current)
		switch_to_main(false);
}

static void maybe_yield(void)
{
	if (current && one_in(6))
		switch_to_main(false);
}

void machine_run(void)
{
	u32 left;

	do {
		struct fiber *f = &fibers[below(fiber_count)];

		if (f->done) {
			left = 0;
			for (u32 i = 0; i < fiber_count; i++)
				left += !fibers[i].done;
			continue;
		}
		left = 1;
		resume(f);
	} while (left && !world.out->failed);
}

void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(world.out->why, sizeof(world.out->why), format, args);
	va_end(args);
	world.out->failed = true;
	if (!current) {
		fprintf(stderr, "tlb: %s\n", world.out->why);
		abort();
	}
	for (;;)
		switch_to_main(false);
}

void machine_begin(void)
{
	fiber_count = 0;
	memset(cpus, 0, sizeof(cpus));
}

void machine_init(void)
{
	machine_begin();
	outstanding = 0;
	tsc = 1000;
	visiting = NOWHERE;
	losing = NULL;
	current = NULL;
}

void machine_end(void)
{
	while (allocations) {
		struct allocation *next = allocations->next;

		free(allocations);
		allocations = next;
	}
	for (u32 i = 0; i < FIBERS; i++) {
		free(fibers[i].stack);
		fibers[i].stack = NULL;
	}
}

long machine_leaks(void)
{
	return outstanding;
}

void machine_count_leaks(long change)
{
	outstanding += change;
}

/* ---- CPUs */

u32 host_cpu_count(void)
{
	return CPUS;
}

u32 host_cpu(void)
{
	if (visiting != NOWHERE)
		return visiting;
	if (!current)
		return 0;
	if (current->cpu == NOWHERE)
		wrong("host_cpu() while the thread may move");
	return current->cpu;
}

struct processor *processor_here(void)
{
	return processor_of(host_cpu());
}

static void get_cpu(struct fiber *f)
{
	u32 cpu = below(CPUS);

	while (cpus[cpu].holder) {
		yield();
		cpu = below(CPUS);
	}
	cpus[cpu].holder = f;
	f->cpu = cpu;
}

static void put_cpu(struct fiber *f)
{
	cpus[f->cpu].holder = NULL;
	f->cpu = NOWHERE;
}

u32 host_guest_begin(struct host_thread *thread, u64 guest_xcr0, u64 guest_tsc_aux)
{
	get_cpu(current);
	current->guest = true;
	thread->xcr0 = guest_xcr0;
	thread->tsc_aux = guest_tsc_aux;
	return current->cpu;
}

void host_guest_end(struct host_thread *thread)
{
	current->guest = false;
	put_cpu(current);
	maybe_yield();
}

void host_stay(void)
{
	if (current && !current->guest && !current->stays++)
		get_cpu(current);
}

void host_move(void)
{
	if (current && !current->guest && !--current->stays)
		put_cpu(current);
}

void host_run_on(u32 cpu, void (*fn)(void *arg), void *arg)
{
	u32 before = visiting;

	while (current && before == NOWHERE && current->cpu != cpu && cpus[cpu].off)
		yield();
	visiting = cpu;
	if (before == NOWHERE && current && current->cpu != cpu)
		cpus[cpu].interrupt = true;
	fn(arg);
	visiting = before;
}

void host_kick(u32 cpu)
{
	cpus[cpu].interrupt = true;
	maybe_yield();
}

void host_kick_self(void)
{
	cpus[current->cpu].interrupt = true;
}

bool interrupt_pending(void)
{
	return cpus[current->cpu].interrupt;
}

bool interrupts_off(u32 cpu)
{
	return cpus[cpu].off;
}

void host_irq_disable(void)
{
	if (current && current->cpu != NOWHERE)
		cpus[current->cpu].off = true;
}

void host_irq_enable(void)
{
	if (current && current->cpu != NOWHERE) {
		cpus[current->cpu].interrupt = cpus[current->cpu].off = false;
		rival_interrupt();
	}
	maybe_yield();
}

/* Only the flushes' wait calls it. Without it, it looks as if every vCPU had been outside meanwhile. */
void host_pause(void)
{
	if (mutation.kind != NO_WAIT) {
		yield();
		return;
	}
	for (u32 i = 0; i < VMS; i++)
		for (u32 n = 0; world.vm[i] && n < world.vm[i]->vcpus; n++)
			world.vm[i]->vcpu[n].vcpu.looks++;
}

void host_machine_check(void)
{
}

void host_no_reader(void)
{
}

bool host_work_waits(void)
{
	return false;
}

bool host_must_leave(void)
{
	return world.stopping || one_in(12);
}

int host_leave(void)
{
	maybe_yield();
	return world.stopping || one_in(8) ? -EINTR : 0;
}

void host_full_barrier(void)
{
	maybe_yield();
}

int host_wait(struct host_thread *thread, bool (*wake)(void *arg), void *arg)
{
	return -EINTR;
}

void host_wake(struct host_thread *thread)
{
}

bool host_guest_xcr0(u64 xcr0)
{
	current->thread->xcr0 = xcr0;
	return true;
}

u64 host_guest_xcr0_now(void)
{
	return current->thread->xcr0;
}

void host_guest_tsc_aux(u64 tsc_aux)
{
}

const u8 *host_xsave_area(struct host_thread *thread)
{
	return thread->xsave;
}

void host_xsave_set(struct host_thread *thread, const u8 *area)
{
	memcpy(thread->xsave, area, sizeof(thread->xsave));
}

void host_flush_l1d(struct host_thread *thread)
{
}

bool host_samples(struct host_sampling *sampling)
{
	return false;
}

bool host_detects_split_locks(void)
{
	return false;
}

void host_split_lock(struct host_thread *thread, u64 rip)
{
}

bool host_offers(enum host_feature feature)
{
	return false;
}

u64 host_arch_capabilities(void)
{
	return 0;
}

void host_note_speculation(void)
{
}

bool host_flushes_always(void)
{
	return false;
}

void host_forget_branches(void)
{
}

void host_save_breakpoints(void)
{
}

bool host_others_ran(struct host_thread *thread)
{
	return true;
}

void host_restore_breakpoints(void)
{
}

void host_cr4_change(u64 set, u64 clear)
{
}

/* ---- locks, read sections, bits */

void host_lock_init(struct host_lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

void host_lock(struct host_lock *lock)
{
	if (current && !current->locks)
		maybe_yield();
	while (pthread_mutex_trylock(&lock->mutex)) {
		if (!current)
			wrong("a lock is held by nobody who runs");
		yield();
	}
	if (current)
		current->locks++;
}

/* tests/unit/test_holds.c counts them. */
void host_steps(u64 n)
{
}

void host_unlock(struct host_lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
	if (current && !--current->locks)
		maybe_yield();
}

/* No fiber gives way inside one. */
void host_read_begin(void)
{
}

void host_read_end(void)
{
}

void host_read_synchronize(void)
{
	maybe_yield();
}

/* A request's cause is noted just before what it asks for: requests of the mutation's cause get lost there. */

void host_set_bit(u32 bit, u64 *word)
{
	if (mutation.kind == LOSE_REQUEST && bit >= REQUEST_CAUSE)
		losing = bit - REQUEST_CAUSE == mutation.cause ? word : NULL;
	if (losing == word && (bit == REQUEST_FLUSH_LINEAR || bit == REQUEST_FLUSH_NESTED))
		return;
	*word |= BIT_ULL(bit);
}

void host_clear_bit(u32 bit, u64 *word)
{
	*word &= ~BIT_ULL(bit);
}

bool host_test_and_set_bit(u32 bit, u64 *word)
{
	bool was = *word >> bit & 1;

	host_set_bit(bit, word);
	return was;
}

bool host_test_and_clear_bit(u32 bit, u64 *word)
{
	bool was = *word >> bit & 1;

	host_clear_bit(bit, word);
	return was;
}

u64 host_exchange(u64 *word, u64 value)
{
	u64 old = *word;

	*word = value;
	return old;
}

u64 host_add(u64 *word, u64 value)
{
	return *word += value;
}

/* ---- plain memory */

void *host_alloc(size_t size)
{
	struct allocation *a = calloc(1, sizeof(*a) + size);

	if (!a)
		abort();
	a->next = allocations;
	a->link = &allocations;
	if (a->next)
		a->next->link = &a->next;
	allocations = a;
	outstanding++;
	return a + 1;
}

void host_free(void *p)
{
	struct allocation *a;

	if (!p)
		return;
	a = (struct allocation *)p - 1;
	*a->link = a->next;
	if (a->next)
		a->next->link = a->link;
	outstanding--;
	free(a);
}

/* ---- time: some passes at every look; timers are not used here */

u64 host_tsc(void)
{
	return tsc += 10;
}

u64 host_tsc_ordered(void)
{
	return host_tsc();
}

u32 host_tsc_khz(void)
{
	return 1000000;
}

void host_timer_init(struct host_timer *timer, void (*fn)(struct host_timer *))
{
	timer->fn = fn;
}

void host_timer_arm(struct host_timer *timer, u64 delta_ns)
{
}

void host_timer_cancel(struct host_timer *timer)
{
}

/* ---- messages */

void host_log(const char *format, ...)
{
	char line[200];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	wrong("the kernel part says: %s", line);
}

void host_bug(const char *file, int line, const char *what)
{
	wrong("%s:%d: assertion failed: %s", file, line, what);
}
