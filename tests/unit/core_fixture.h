/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One VM on the fake backend with a megabyte of memory at 0 and up to four vCPUs. A test that
 * looks at what happens inside a guest's turn calls enter() first.
 */
#ifndef CORE_FIXTURE_H
#define CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/exits.h"
#include "core/control.h"
#include "core/msr.h"
#include "core/time.h"
#include "fake_backend.h"
#include "host_test.h"
#include "standin/base/processor.h"

#define RAM 0x100000u
#define VCPUS 4

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct host_thread threads[VCPUS];
static struct fermata_run pages[VCPUS];
static struct fermata_clock clock_page;
static u8 *ram;
static u32 created;
static __attribute__((unused)) u32 vm_flags; /* FERMATA_VM_*, for make_vm() */
static u64 vm_xcr0 = 0xe7;		     /* likewise: what the host lets guests enable */

static struct vcpu *const v = &vcpus[0];
static __attribute__((unused)) u64 *const regs = pages[0].regs;

/* How often v has owed a flush. */
static inline u32 flushes(void)
{
	u32 count = 0, cause;

	for (cause = 0; cause < FERMATA_FLUSH_CAUSES; cause++)
		count += v->account.stats.flush_cause[cause];
	return count;
}

static inline void forget_flushes(void)
{
	v->tlb.owed = FLUSH_NONE;
	memset(v->account.stats.flush_cause, 0, sizeof(v->account.stats.flush_cause));
}

static inline void add_vcpu(void)
{
	u32 id = created++;

	memset(&vcpus[id], 0, sizeof(vcpus[id]));
	memset(&threads[id], 0, sizeof(threads[id]));
	memset(&pages[id], 0, sizeof(pages[id]));
	assert_int_equal(vcpu_init(&vcpus[id], &vm, id, &threads[id], &pages[id]), 0);
}

static inline void make_vm(void)
{
	struct fermata_caps caps = { .tags = 16,
				     .phys_bits = 40,
				     .xcr0 = vm_xcr0,
				     .tsc_khz = 1000000,
				     .nested_levels = BIT(1) | BIT(2) };
	struct fermata_memory slot = { .size = RAM };

	host_test_reset();
	fake_processor_reset();
	fake_reset();
	host_test.tsc = 5000;
	memset(&vm, 0, sizeof(vm));
	memset(&clock_page, 0, sizeof(clock_page));
	created = 0;
	assert_int_equal(vm_init(&vm, &fake_backend, &caps,
				 &(struct fermata_vm_config){ .flags = vm_flags }, &clock_page),
			 0);
	ram = host_test_user_map(RAM, 4096);
	slot.user_addr = (uintptr_t)ram;
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
}

/* A running boot processor in 64-bit mode without paging of its own: linear is physical. */
static inline int fresh(void **state)
{
	make_vm();
	add_vcpu();
	fake_hw(v)->mode = FERMATA_MODE_LONG;
	fake_hw(v)->segments.cs.base = 0;
	fake_hw(v)->rip = 0x1000;
	fake_hw(v)->rflags = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_IF;
	v->guest.cr0 = ARCH_CR0_PE | ARCH_CR0_ET;
	forget_flushes();
	return 0;
}

static inline void enter(void)
{
	host_guest_begin(v->thread, v->guest.xcr0, v->guest.tsc_aux);
}

static inline void leave(void)
{
	host_guest_end(v->thread);
}

static inline int done(void **state)
{
	u32 i;

	for (i = 0; i < created; i++)
		vcpu_destroy(&vcpus[i]);
	vm_destroy(&vm);
	assert_int_equal(host_test_leaks(), 0);
	return 0;
}

static inline void assert_raised(u8 vector, bool has_code)
{
	assert_true(v->waiting.valid);
	assert_int_equal(v->waiting.injection.kind, INJECT_EXCEPTION);
	assert_int_equal(v->waiting.injection.vector, vector);
	assert_int_equal(v->waiting.injection.has_code, has_code);
	assert_int_equal(v->waiting.injection.code, 0);
	v->waiting.valid = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)

#endif
