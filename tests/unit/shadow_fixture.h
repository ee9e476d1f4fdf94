/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A guest's memory under shadow paging with one vCPU, for tests of the shadow engine. */
#ifndef SHADOW_FIXTURE_H
#define SHADOW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "host_test.h"
#include "memory/shadow/internal.h"

#define KIB4 (1ull << 12)
#define MIB2 (1ull << 21)

static struct guest_memory memory;
static struct shadow_cpu cpu;
static struct guest_paging paging;
static struct radix_cache cache;
static u8 *ram;
static long leaks;

static void shadow_start(u64 size, u32 optimisations, u32 max_pages, u8 host_level)
{
	struct fermata_memory slot = { .slot = 0, .gpa = 0, .size = size };
	struct flush owed;

	host_test_reset();
	leaks = host_test_leaks();
	host_test.page_level = host_level;
	memset(&cpu, 0, sizeof(cpu));
	memset(&cache, 0, sizeof(cache));
	assert_int_equal(guest_memory_init(&memory, &npt_format, 2, 40), 0);
	ram = host_test_user_map(size, MIB2);
	slot.user_addr = (uintptr_t)ram;
	assert_int_equal(guest_memory_set_slot(&memory, &slot, &owed), 0);
	assert_int_equal(shadow_init(&memory, optimisations, max_pages), 0);
	assert_int_equal(shadow_cpu_init(&cpu), 0);
}

static void stop(void)
{
	shadow_cpu_destroy(&memory, &cpu);
	shadow_destroy(&memory);
	radix_cache_drain(&cache);
	guest_memory_destroy(&memory);
	host_test_user_unmap(ram);
	assert_int_equal(host_test_leaks(), leaks);
}

static void pay(struct flush owed)
{
	if (owed.kinds)
		guest_memory_reap(&memory);
}

static void refill(void)
{
	struct flush owed;

	assert_int_equal(shadow_refill(&memory, &owed), 0);
	pay(owed);
}

/* The guest's CR3, as `paging` has it. */
static void load_root(void)
{
	struct shadow_answer answer;
	enum shadow_result result;

	while ((result = shadow_load(&memory, &cpu, &paging, false, &answer)) == SHADOW_REFILL)
		refill();
	pay(answer.owed);
	assert_int_equal(result, SHADOW_DONE);
}

/* The guest stores to its own memory: where a shadow counts on seeing that, it faults first. */
static void store_bytes(u64 gpa, u64 value, u32 size)
{
	struct shadow *sh = shadow_of(&memory);

	host_lock(&memory.lock);
	if (shadow_tracked(sh, gpa >> 12))
		shadow_unsync(sh, gpa >> 12);
	host_unlock(&memory.lock);
	memcpy(ram + gpa, &value, size);
}

#endif
