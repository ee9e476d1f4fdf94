/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * KVM's paravirtual clock, for guests whose CPUID offers it (leaf 4000_0001h EAX[3], Linux'
 * Documentation/virt/kvm/x86/msr.rst): a page per vCPU says how to get ns from the TSC.
 *
 * The guest's TSC is the clock, and ns are a fixed multiple of it (clock/clock.h). So what the page says
 * holds for ever, whatever becomes of the rate: only a vCPU that moves its own TSC needs another one.
 * Pages are written outside of guest context, all of them by the thread whose vCPU gave the reason, so
 * that it does not go on before everybody can read the new ones.
 */
#include "core/exits.h"
#include "core/pvclock.h"

#define ENABLED BIT_ULL(0)
#define FLAG_STABLE 1
#define TRIES 8

struct pvclock_page {
	u32 version; /* odd: it is being written */
	u32 pad;
	u64 tsc, ns; /* of one moment */
	u32 mult;    /* ns per (tick << shift), of 2^32 */
	s8 shift;
	u8 flags;
	u8 pad2[2];
};
static_assert(sizeof(struct pvclock_page) == 32, "the guest knows it so");

struct pvclock_wall {
	u32 version;
	u32 s, ns; /* the date at which the page's ns were 0, since 1970 */
};
static_assert(sizeof(struct pvclock_wall) == 12, "the guest knows it so");

/* Of `size` bytes, less than a page: no slot is smaller, so both ends tell of all. */
static bool writable(struct vm *vm, u64 gpa, u32 size)
{
	u64 user, end = gpa + size - 1;
	bool first, last;

	return end > gpa && !guest_memory_user_addr(&vm->memory, gpa, &user, &first) && !first &&
	       !guest_memory_user_addr(&vm->memory, end, &user, &last) && !last;
}

static bool time_valid(struct vm *vm, u64 value)
{
	return !(value & 2) &&
	       (!(value & ENABLED) || writable(vm, value & ~3ull, sizeof(struct pvclock_page)));
}

bool pvclock_state_valid(struct vm *vm, u64 time, u64 wall)
{
	return vm->cpuid.kvmclock ? time_valid(vm, time) && !(wall & 3) : !time && !wall;
}

int pvclock_set_time(struct vcpu *v, u64 value)
{
	if (!time_valid(v->vm, value))
		return -EINVAL;
	WRITE_ONCE(v->guest.pvclock_time, value);
	pvclock_changed(v);
	return 0;
}

/* The page of the date is written once for each time that it is asked for. */
int pvclock_set_wall(struct vcpu *v, u64 value)
{
	if (value & 3 || !writable(v->vm, value, sizeof(struct pvclock_wall)))
		return -EINVAL;
	WRITE_ONCE(v->vm->time.wall_at, value);
	v->pvclock_wall_due = true;
	pvclock_changed(v);
	return 0;
}

void pvclock_restore(struct vcpu *v, u64 time, u64 wall)
{
	WRITE_ONCE(v->guest.pvclock_time, time);
	WRITE_ONCE(v->vm->time.wall_at, wall);
	pvclock_changed(v);
}

/* ---- writing, outside of guest context */

/* *version is what it was, and becomes what was written. Anybody may have the word; a guest that
 * writes to it meanwhile is asked again. */
static int put_version(struct vm *vm, u64 gpa, bool odd, u32 *version)
{
	u32 next, tries;
	int done = 0;

	for (tries = 0; !done && tries < TRIES; tries++) {
		done = guest_memory_read(&vm->memory, gpa, version, sizeof(*version));
		if (done)
			return done;
		next = *version + 1;
		if ((next & 1) != odd)
			next++;
		done = guest_memory_cmpxchg(&vm->memory, gpa, *version, next, sizeof(next));
	}
	return done < 0 ? done : 0;
}

/* What stands behind the version, so that nobody takes half of it for whole. */
static int put_page(struct vm *vm, u64 gpa, const void *page, u32 size)
{
	u32 version;
	int err = put_version(vm, gpa, true, &version);

	if (!err)
		err = guest_memory_write(&vm->memory, gpa + sizeof(version),
					 (const u8 *)page + sizeof(version), size - sizeof(version));
	return err ?: put_version(vm, gpa, false, &version);
}

/* A kernel that reads another vCPU's page, or any page in user space, needs TSCs that are one. */
static bool one_tsc(const struct vm *vm)
{
	const struct vcpu *first = NULL, *v;

	for_each_vcpu(vm, v) {
		first = first ?: v;
		if (READ_ONCE(v->guest.tsc_offset) != READ_ONCE(first->guest.tsc_offset))
			return false;
	}
	return true;
}

static void fill_time(const struct vm *vm, const struct vcpu *v, struct pvclock_page *page)
{
	u64 mult = vm->time.clock.ns_mult;

	page->tsc = READ_ONCE(v->guest.tsc_offset);
	while (mult >> 32) { /* clock_init() has seen to it that no bit is lost */
		mult >>= 1;
		page->shift++;
	}
	page->mult = mult;
	page->flags = vm->cpuid.kvmclock_stable && one_tsc(vm) ? FLAG_STABLE : 0;
}

static void fill_wall(const struct vm *vm, struct pvclock_wall *page)
{
	const s64 second = 1000000000;
	s64 date = READ_ONCE(vm->time.wall_ns);

	if (date > 0 && date / second <= 0xffffffff) { /* the page has 32 bits */
		page->s = date / second;
		page->ns = date % second;
	}
}

/*
 * The page of v's time, or of the date. False: the host keeps taking its memory away. What lies in no
 * slot any more, or in memory that the caller cannot have, is the guest's loss.
 */
static bool write_out(struct vm *vm, const struct vcpu *v, bool date)
{
	u32 size = date ? sizeof(struct pvclock_wall) : sizeof(struct pvclock_page), tries;
	u64 at, gpa;
	int err;

	for (tries = 0; tries < TRIES; tries++) {
		union {
			struct pvclock_page time;
			struct pvclock_wall wall;
		} page = { { 0 } };

		host_lock(&vm->time.pvclock_lock);
		at = date ? READ_ONCE(vm->time.wall_at) | ENABLED : READ_ONCE(v->guest.pvclock_time);
		gpa = at & ~3ull;
		if (date)
			fill_wall(vm, &page.wall);
		else
			fill_time(vm, v, &page.time);
		err = at & ENABLED ? put_page(vm, gpa, &page, size) : 0;
		host_unlock(&vm->time.pvclock_lock);
		if (err != -EFAULT || guest_memory_populate(&vm->memory, gpa, true) ||
		    guest_memory_populate(&vm->memory, gpa + size - 1, true))
			return true;
	}
	return false;
}

int pvclock_write(struct vcpu *v)
{
	const struct vcpu *other;
	struct vm *vm = v->vm;
	bool done = true;

	host_clear_bit(REQUEST_PVCLOCK, &v->requests);
	for_each_vcpu(vm, other)
		done &= write_out(vm, other, false);
	if (v->pvclock_wall_due)
		v->pvclock_wall_due = !write_out(vm, v, true);
	if (!done || v->pvclock_wall_due)
		host_set_bit(REQUEST_PVCLOCK, &v->requests);
	return GO_ON;
}

void pvclock_changed(struct vcpu *v)
{
	if (v->vm->cpuid.kvmclock)
		host_set_bit(REQUEST_PVCLOCK, &v->requests);
}
