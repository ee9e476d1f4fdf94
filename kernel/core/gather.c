/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One vCPU is fetched, or all of a VM are, and what they are asked for is there before their guest runs on.
 *
 * Why no request is overlooked. Either side writes, executes a full barrier, and reads:
 *
 *	who asks, in gather()		the vCPU's thread, in turns(), interrupts off
 *	(a) sets bits in requests	(c) counts looks up, says VCPU_IN_GUEST
 *	    full barrier		    full barrier
 *	(b) reads mode			(d) reads requests
 *
 * From (c) on until it says VCPU_OUTSIDE again is one look of the vCPU's. Let (b) find that look k has begun, or
 * that none is under way.
 *
 * 1. A look that begins later has its (c) behind (b), and so its (d) behind (a): it finds the request. Only look k
 *    may run the guest without.
 * 2. Look k ends soon. Its number and its CPU are read behind its mode, so they are those of look k or of a later
 *    one. If of a later one, look k has ended. Otherwise the IPI goes to the CPU where look k has interrupts off:
 *    it stays pending until the entry and ends the turn at once; then due() finds the request.
 * 3. Whoever waits goes on when the vCPU is outside, when its looks are not the number that was read, or when
 *    the request is taken, which it is before the guest's turn. In each case look k has ended or has the request.
 *    For GATHER_HOLD only the first counts: later looks find the request and go out again without a turn.
 *
 * A vCPU whose thread sleeps looks for work once more after it has said that it sleeps (host_wait()), and so
 * finds the request, or is woken.
 *
 * Whoever waits is not in guest context, where two could wait for each other. Then the wait is as long as a
 * turn's way out, since no vCPU in guest context waits for anybody; interrupts may be off.
 */
#include "core/vcpu.h"

/* From the top: the cause of a flush is there when the flush is found. */
static void post(struct vcpu *v, u64 requests)
{
	while (requests) {
		u32 bit = 63 - __builtin_clzll(requests);

		host_set_bit(bit, &v->requests);
		requests &= ~BIT_ULL(bit);
	}
}

/* Is look number `look` still under way, for all that we know? */
static bool busy(const struct vcpu *v, u64 look, u64 requests, enum gather how)
{
	if (READ_ONCE(v->mode) != VCPU_IN_GUEST)
		return false;
	if (how == GATHER_HOLD)
		return true;
	return READ_ONCE(v->looks) == look &&
	       (how == GATHER_LOOK || READ_ONCE(v->requests) & requests & REQUESTS_ALL);
}

void gather(struct vm *vm, const struct vcpu *but, u64 requests, enum gather how)
{
	u64 look[FERMATA_MAX_VCPUS], kicked = 0;
	struct vcpu *v;

	host_full_barrier(); /* who finds the request finds what it is about */
	for_each_vcpu(vm, v)
		if (v != but)
			post(v, requests);
	if (how == GATHER_POST)
		return;
	host_full_barrier();
	for_each_vcpu(vm, v) {
		if (v == but)
			continue;
		if (READ_ONCE(v->mode) == VCPU_IN_GUEST) {
			kicked |= BIT_ULL(v->id);
			look[v->id] = READ_ONCE(v->looks);
			host_kick(READ_ONCE(v->cpu));
		} else if (how == GATHER_WAKE) {
			host_wake(v->thread);
		}
	}
	if (how == GATHER_WAKE)
		return;
	for (; kicked; kicked &= kicked - 1) {
		u32 id = __builtin_ctzll(kicked);

		while (busy(READ_ONCE(vm->vcpus.at[id]), look[id], requests, how))
			host_pause();
	}
}

void vcpu_kick(struct vcpu *v)
{
	host_full_barrier();
	if (READ_ONCE(v->mode) == VCPU_IN_GUEST)
		host_kick(READ_ONCE(v->cpu));
	else
		host_wake(v->thread);
}

/* ---- flushes */

void vm_flush(struct vm *vm, const struct flush *owed, u32 cause)
{
	u64 requests = BIT_ULL(REQUEST_CAUSE + cause);

	if (!owed->kinds)
		return;
	requests |= owed->kinds & FLUSH_LINEAR ? BIT(REQUEST_FLUSH_LINEAR) : 0;
	requests |= owed->kinds & FLUSH_NESTED ? BIT(REQUEST_FLUSH_NESTED) : 0;
	gather(vm, NULL, requests, GATHER_TAKE);
	guest_memory_reap(&vm->memory);
}

void vcpu_owe(struct vcpu *v, u32 kinds, u64 linear, u32 cause)
{
	if (kinds & FLUSH_ADDRESS) {
		/* There is room for one. */
		if (v->tlb.owed & FLUSH_ADDRESS && (v->tlb.linear ^ linear) >> 12)
			kinds |= FLUSH_LINEAR;
		v->tlb.linear = linear;
	}
	v->tlb.owed |= kinds;
	v->dirty |= DIRTY_FLUSH;
	v->account.stats.flush_cause[cause]++;
}
