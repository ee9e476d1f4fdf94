/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The run loop of a vCPU: what is due goes in, the guest runs, what came out is answered. */
#include "core/exits.h"
#include "core/control.h"
#include "core/report.h"
#include "core/requests.h"
#include "core/time.h"

/* ---- before an entry */

static void inject(struct vcpu *v, const struct injection *injection)
{
	v->backend->inject(v, injection);
	v->account.stats.injected++;
}

/*
 * At most one event enters per turn, in the order of SDM 3A 6.9: what an exit interrupted or an
 * instruction raised, then NMI, then the 8259's, then the APIC's. The rest waits for its window.
 */
static enum verdict deliver(struct vcpu *v)
{
	bool injected = false, extint;
	int vector;

	if (v->waiting.valid) {
		v->waiting.valid = false;
		inject(v, &v->waiting.injection);
		injected = true;
	}
	if (likely(!apic_attention(&v->apic)) && !v->waiting.nmi)
		return GO_ON;
	if (apic_take_nmi(&v->apic))
		v->waiting.nmi = true;
	if (v->waiting.nmi && !injected && v->backend->can_take(v, INJECT_NMI)) {
		v->waiting.nmi = false;
		inject(v, &(struct injection){ .kind = INJECT_NMI, .vector = ARCH_NMI });
		injected = true;
	}
	vector = apic_pending(&v->apic);
	extint = apic_extint_pending(&v->apic);
	if ((vector >= 0 || extint) && !injected && v->backend->can_take(v, INJECT_INTERRUPT)) {
		if (extint) { /* the INTA cycle goes to the 8259, which lives with the caller */
			apic_extint_accept(&v->apic);
			return exit_to_user(v, FERMATA_EXIT_INTACK);
		}
		apic_accept(&v->apic, vector);
		inject(v, &(struct injection){ .kind = INJECT_INTERRUPT, .vector = vector });
		vector = apic_pending(&v->apic);
	}
	v->backend->window(v, (vector >= 0 || extint ? BIT(INJECT_INTERRUPT) : 0) |
				      (v->waiting.nmi ? BIT(INJECT_NMI) : 0));
	return GO_ON;
}

/* Is there anything between the vCPU and its next turn? One look at each place where it would stand. */
static inline bool due(const struct vcpu *v)
{
	return host_must_leave() || READ_ONCE(v->requests) | READ_ONCE(v->apic.attention) ||
	       v->waiting.valid || v->waiting.nmi;
}

static enum verdict prepare(struct vcpu *v)
{
	enum verdict verdict;

	if (host_must_leave())
		return LEAVE_FOR_HOST;
	verdict = v->requests ? requests_inside(v) : GO_ON;
	if (verdict != GO_ON)
		return verdict;
	if (vcpu_starting(v))
		return LEAVE_FOR_HOST;
	if (unlikely(v->ruling.holding)) /* what else is due waits for the end of that one instruction */
		return GO_ON;
	return deliver(v);
}

/* ---- the guest's turn */

/* The compiler would compute each field's address anew from the vCPU's. */
#define as_is(pointer) asm("" : "+r"(pointer))

static inline void account_exit(struct vcpu *v, u64 tsc)
{
	struct fermata_stats *stats = &v->account.stats;
	const struct exit *x = &v->exit;
	struct fermata_last_exit *last = &stats->last_exit[stats->entries % FERMATA_LAST_EXITS];
	struct fermata_exit_count *cost = &stats->exit[fermata_exit_slot(x->code)];

	as_is(last);
	as_is(cost);
	last->rip = x->rip;
	last->info1 = x->info1;
	last->info2 = x->info2;
	last->code = x->code;
	stats->entries++;
	cost->count++;
	v->account.cost = cost;
	v->exit.tsc = tsc;
}

/* What the last exit cost: until the guest runs again, or its caller is told. */
static inline void account_cost(struct vcpu *v, u64 tsc)
{
	v->account.cost->cycles += tsc - v->exit.tsc;
}

static void account_end(struct vcpu *v, u64 tsc)
{
	account_cost(v, tsc);
	v->account.cost = &v->account.uncounted;
}

static inline void turn(struct vcpu *v)
{
	u64 entered = host_tsc(), left;

	account_cost(v, entered);
	v->exit.kind = EXIT_UNCLAIMED;
	v->backend->run(v);
	left = host_tsc();
	v->account.stats.guest_cycles += left - entered;
	account_exit(v, left);
}

/*
 * Until when exits may go straight back. Where turns are bounded, what bounds them counts the guest's own
 * time, of which one that exits all the time has little; the host's interrupts wait for the rest, too.
 */
static inline u64 turn_limit(void)
{
	return unlikely(backend_options.turn) ? host_tsc() + ((u64)backend_options.turn << 10) :
						~0ull;
}

/*
 * An exit whose handler says GO_ON goes straight back: interrupts stay off, the mode stays "in the
 * guest". Who posts something meanwhile sees that mode and sends an IPI, which ends the next turn at
 * once; due() looks at what the handler itself has left. So handlers are short and wait for nobody.
 */
static enum verdict turns(struct vcpu *v)
{
	enum verdict verdict;
	u64 limit;

	for (;;) {
		host_irq_disable();
		if (unlikely(backend_options.beside) && v->backend->take)
			v->backend->take(v);
		v->dirty |= v->backend->dirty_by_host;
		WRITE_ONCE(v->looks, v->looks + 1);
		WRITE_ONCE(v->mode, VCPU_IN_GUEST);
		host_full_barrier(); /* who posts something now sees the mode and kicks */
		if (!v->shadow)	     /* no guest has tables of its own for L1TF there */
			host_flush_l1d(v->thread);
		verdict = unlikely(due(v)) ? prepare(v) : GO_ON;
		if (likely(verdict == GO_ON)) {
			limit = turn_limit();
			do {
				turn(v);
				verdict = exit_handle(v);
			} while (likely(verdict == GO_ON && !due(v)) && !host_flushes_always() &&
				 likely(v->exit.tsc < limit));
		} else {
			v->exit.kind = EXIT_NOTHING; /* the last one was answered */
		}
		WRITE_ONCE(v->mode, VCPU_OUTSIDE);
		if (unlikely(backend_options.beside) && v->backend->give)
			v->backend->give(v);
		if (verdict != GO_ON && verdict != SERVE_HOST)
			break;
		host_no_reader();
		host_irq_enable();
		if (host_work_waits())
			return LEAVE_FOR_HOST;
	}
	host_irq_enable();
	return verdict;
}

/* ---- outside guest context */

static bool has_work(struct vcpu *v)
{
	if (READ_ONCE(v->page->immediate_exit) || vcpu_starting(v))
		return true;
	if (v->mp_state == FERMATA_MP_WAIT_FOR_SIPI)
		return false;
	if (v->waiting.nmi || v->waiting.valid || READ_ONCE(v->apic.attention) & BIT(LAPIC_ATTN_NMI))
		return true;
	return v->halted_open &&
	       (READ_ONCE(v->requests) & BIT(REQUEST_TIMER) || apic_has_wakeup(&v->apic));
}

/* A new clock ends the thread's sleep, to arm its timer anew; the guest sleeps on. */
static bool should_wake(void *arg)
{
	struct vcpu *v = arg;

	return READ_ONCE(v->requests) & BIT(REQUEST_CLOCK) || has_work(v);
}

/* Sleep until there is something to do. GO_ON, LEAVE_FOR_USER or -EINTR. */
static int wait_for_work(struct vcpu *v)
{
	u64 asleep;
	int result;

	if (v->mp_state == FERMATA_MP_HALTED) {
		v->halted_open = v->backend->get_reg(v, HW_RFLAGS) & ARCH_RFLAGS_IF;
		/* With interrupts off only an NMI or INIT wakes it, and a lone CPU has nobody to send one. */
		if (!v->halted_open && v->vm->vcpus.count == 1 && !has_work(v))
			return exit_to_user(v, FERMATA_EXIT_HALTED);
		v->account.stats.halts++;
	}
	result = requests_before_sleep(v);
	if (result != GO_ON)
		return result;
	asleep = host_tsc();
	account_end(v, asleep);
	if (v->vm->time.run_only && v->mp_state == FERMATA_MP_HALTED)
		run_only_asleep(v->vm, true);
	result = host_wait(v->thread, should_wake, v);
	if (v->vm->time.run_only && v->mp_state == FERMATA_MP_HALTED)
		run_only_asleep(v->vm, false);
	v->account.stats.halt_cycles += host_tsc() - asleep;
	if (result)
		return result;
	if (READ_ONCE(v->page->immediate_exit))
		return -EINTR;
	if (vcpu_starting(v))
		vcpu_startup(v);
	result = requests_after_sleep(v);
	if (result != GO_ON)
		return result == LEAVE_FOR_HOST ? host_leave() : result;
	if (v->mp_state == FERMATA_MP_HALTED && has_work(v))
		v->mp_state = FERMATA_MP_RUNNABLE;
	return GO_ON;
}

/* What the caller changed through the run page. It is shared memory: read each word once. */
static int take_page(struct vcpu *v)
{
	struct fermata_run *page = v->page;
	u32 set = READ_ONCE(page->set);
	u8 advance = READ_ONCE(page->advance);

	if (set & ~(FERMATA_RUN_SET_RIP | FERMATA_RUN_SET_RFLAGS) || advance > 15)
		return -EINVAL;
	if (advance)
		v->advance = advance;
	if (set)
		vcpu_set_rip(v, set & FERMATA_RUN_SET_RIP ? &page->rip : NULL,
			     set & FERMATA_RUN_SET_RFLAGS ? &page->rflags : NULL);
	page->set = 0;
	page->advance = 0;
	return 0;
}

static void give_page(struct vcpu *v)
{
	u64 rip, rflags;

	v->backend->position(v, &rip, &rflags);
	v->page->rip = rip + v->advance;
	v->page->rflags = rflags;
}

/* Guest context from begin to end; what an exit left for outside is done after it. */
static int one_stay(struct vcpu *v)
{
	enum verdict verdict;
	int result;
	u32 cpu;

	cpu = host_guest_begin(v->thread, v->guest.xcr0, v->guest.tsc_aux);
	if (unlikely(cpu == HOST_REFUSED)) {
		vcpu_refused(v, "the XSAVE area, or XCR0", v->guest.xcr0);
		return exit_refused(v);
	}
	v->backend->load(v, cpu);
	v->exit.kind = EXIT_NOTHING;
	verdict = turns(v);
	vcpu_sync_xcr0(v);
	if (v->backend->unload)
		v->backend->unload(v);
	host_guest_end(v->thread);
	if (verdict != LEAVE_FOR_HOST && verdict != LEAVE_FOR_FAULT)
		return verdict;
	result = verdict == LEAVE_FOR_FAULT ? exit_handle_fault(v) : GO_ON;
	if (result == GO_ON && READ_ONCE(v->requests))
		result = requests_outside(v);
	if (result != GO_ON)
		return result;
	if (vcpu_starting(v))
		vcpu_startup(v);
	return host_leave();
}

int vcpu_run(struct vcpu *v)
{
	int result;

	if (v->mp_state == FERMATA_MP_DEAD)
		return -EIO;
	result = take_page(v);
	if (result)
		return result;
	for (;;) {
		if (READ_ONCE(v->page->immediate_exit)) {
			result = -EINTR;
			break;
		}
		result = v->mp_state == FERMATA_MP_RUNNABLE ? one_stay(v) : wait_for_work(v);
		if (result != GO_ON)
			break;
	}
	account_end(v, host_tsc());
	give_page(v);
	if (result < 0)
		return result;
	v->account.stats.user_exits++;
	switch (v->report.reason) {
	case FERMATA_EXIT_UNCLAIMED:
	case FERMATA_EXIT_SHUTDOWN:
	case FERMATA_EXIT_FAIL_ENTRY:
	case FERMATA_EXIT_UNSUPPORTED:
		v->mp_state = FERMATA_MP_DEAD;
	}
	return 0;
}
