/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Changing the VM's clock under running vCPUs. While the processor answers RDTSC by an offset and a
 * multiplier, a change is one moment for all of them only if none is in the guest then: everybody is
 * fetched out first, and waits at the door (REQUEST_CLOCK, time.changing) for the few instructions that
 * the change takes.
 */
#include "core/time.h"

/* Whether the processor can compute the clock as it is now. */
static u32 in_force(const struct vm *vm)
{
	const struct guest_clock *clock = &vm->time.clock;

	if (vm->time.run_only)
		return FERMATA_CLOCK_TRAPPED | FERMATA_CLOCK_RUN_ONLY;
	if (!clock->tsc_mult || clock->tsc_ticks != CLOCK_NEVER)
		return FERMATA_CLOCK_TRAPPED;
	if (clock->tsc_mult == CLOCK_RATE_1)
		return 0;
	return vm->backend->scale_tsc && vm->backend->scale_tsc(clock->tsc_mult) == clock->tsc_mult ?
		       FERMATA_CLOCK_SCALED :
		       FERMATA_CLOCK_TRAPPED;
}

static void begin(struct vm *vm)
{
	host_lock(&vm->time.lock);
	WRITE_ONCE(vm->time.changing, 1);
	gather(vm, NULL, BIT(REQUEST_CLOCK), GATHER_HOLD);
	clock_change_begin(&vm->time.clock, vm->time.page);
}

static void end(struct vm *vm)
{
	vm->time.flags = in_force(vm);
	vm->time.clock.changes++;
	clock_change_end(&vm->time.clock, vm->time.page, vm->time.flags);
	host_full_barrier();
	WRITE_ONCE(vm->time.changing, 0);
	gather(vm, NULL, 0, GATHER_WAKE); /* who sleeps arms its timer anew */
	host_unlock(&vm->time.lock);
}

int vm_clock_init(struct vm *vm, u32 tsc_khz)
{
	int err;

	host_lock_init(&vm->time.lock);
	err = clock_init(&vm->time.clock, host_tsc(), tsc_khz);
	if (err)
		return err;
	clock_change_begin(&vm->time.clock, vm->time.page);
	vm->time.clock.changes = 1;
	clock_change_end(&vm->time.clock, vm->time.page, 0);
	return 0;
}

static int set_rate(struct vm *vm, u32 num, u32 den)
{
	u64 mult = clock_rate_mult(num, den), scaled = 0;

	if (vm->backend->scale_tsc)
		scaled = vm->backend->scale_tsc(mult);
	begin(vm);
	clock_set_rate(&vm->time.clock, host_tsc_ordered(), num, den, scaled ?: mult);
	end(vm);
	return 0;
}

static bool valid(const struct fermata_clock_change *c)
{
	bool no_rate = !c->num && !c->den;

	if (c->reserved || c->reserved2)
		return false;
	switch (c->verb) {
	case FERMATA_CLOCK_RATE:
		return !c->ns && clock_rate_mult(c->num, c->den);
	case FERMATA_CLOCK_FREEZE:
	case FERMATA_CLOCK_THAW:
	case FERMATA_CLOCK_HOLD:
	case FERMATA_CLOCK_RELEASE:
	case FERMATA_CLOCK_RUN_ONLY_MODE:
		return no_rate && !c->ns;
	case FERMATA_CLOCK_STEP:
		return no_rate && c->ns >= 0;
	case FERMATA_CLOCK_JUMP:
	case FERMATA_CLOCK_DATE:
		return no_rate;
	}
	return false;
}

/* The caller keeps vCPUs from being made at this moment. */
static int set_run_only(struct vm *vm)
{
	int err;

	if (vm->vcpus.count)
		return -EBUSY;
	if (vm->time.run_only)
		return 0;
	err = run_only_begin(vm);
	if (err)
		return err;
	begin(vm);
	clock_hold(&vm->time.clock, host_tsc_ordered(), CLOCK_HELD_OUTSIDE);
	end(vm);
	return 0;
}

int vm_set_clock(struct vm *vm, struct fermata_clock_change *c)
{
	struct guest_clock *clock = &vm->time.clock;
	u64 now;

	if (!valid(c))
		return -EINVAL;
	if (c->verb == FERMATA_CLOCK_RUN_ONLY_MODE)
		return set_run_only(vm);
	if (c->verb == FERMATA_CLOCK_RATE)
		return set_rate(vm, c->num, c->den);
	if (c->verb == FERMATA_CLOCK_DATE) {
		WRITE_ONCE(vm->time.wall_ns, c->ns);
		return 0;
	}
	begin(vm);
	now = host_tsc_ordered();
	switch (c->verb) {
	case FERMATA_CLOCK_FREEZE:
		clock_freeze(clock, now);
		break;
	case FERMATA_CLOCK_THAW:
		clock_thaw(clock, now);
		break;
	case FERMATA_CLOCK_STEP:
		clock_step(clock, now, c->ns);
		break;
	case FERMATA_CLOCK_HOLD:
		clock_hold(clock, now, CLOCK_HELD_USER);
		break;
	case FERMATA_CLOCK_RELEASE:
		clock_release(clock, now, CLOCK_HELD_USER);
		break;
	case FERMATA_CLOCK_JUMP:
		c->ns = clock_jump(clock, now, c->ns);
		break;
	}
	end(vm);
	return 0;
}

void vm_clock_renew(struct vm *vm)
{
	struct guest_clock clock;

	u64 now = vm_time(vm, &clock);

	if (!clock_is_old(&clock, now))
		return;
	begin(vm);
	clock_renew(&vm->time.clock, host_tsc_ordered());
	end(vm);
}

void vm_clock_rebase(struct vm *vm, u64 then)
{
	begin(vm);
	clock_rebase(&vm->time.clock, then, host_tsc_ordered());
	end(vm);
}
