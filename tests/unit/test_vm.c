/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/core/vm.c, vcpu.c, lapic.c, gather.c: the bus between APICs, lines, memory, and flushes of all vCPUs. */
#include <pthread.h>

#include "core_fixture.h"

static void smp(void)
{
	while (created < VCPUS)
		add_vcpu();
}

static u32 pending(u32 id)
{
	int vector = apic_pending(&vcpus[id].apic);

	return vector < 0 ? 0 : vector;
}

static void enable_apics(void)
{
	const u64 clock_tsc = 0;
	struct apic_effects effects;
	u32 i;

	for (i = 0; i < created; i++)
		apic_write(&vcpus[i].apic, LAPIC_SVR, 0x1ff, &vm.time.clock, clock_tsc, &effects);
}

static void first_states(void **state)
{
	smp();
	assert_int_equal(vm.vcpus.count, VCPUS);
	assert_int_equal(vcpus[0].mp_state, FERMATA_MP_RUNNABLE);
	assert_int_equal(vcpus[1].mp_state, FERMATA_MP_WAIT_FOR_SIPI);
	assert_true(apic_base(&vcpus[0].apic) & LAPIC_BASE_BSP);
	assert_false(apic_base(&vcpus[1].apic) & LAPIC_BASE_BSP);
}

static void no_memory(void **state)
{
	struct fermata_caps caps = { .phys_bits = 40, .tsc_khz = 1000000, .nested_levels = 6 };
	static struct vcpu another;
	static struct vm other;
	long before = host_test_leaks(), n;
	int err = -ENOMEM;

	for (n = 0; err; n++) {
		host_test.allocs_until_failure = n;
		memset(&other, 0, sizeof(other));
		err = vm_init(&other, &fake_backend, &caps, &(struct fermata_vm_config){ 0 },
			      &clock_page);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(host_test_leaks(), before);
	}
	assert_true(n >= 2);
	host_test.allocs_until_failure = -1;
	before = host_test_leaks();
	for (n = 0; n < 2; n++) {
		host_test.allocs_until_failure = n;
		memset(&another, 0, sizeof(another));
		assert_int_equal(vcpu_init(&another, &other, 0, &threads[1], &pages[1]), -ENOMEM);
		assert_int_equal(host_test_leaks(), before);
		assert_int_equal(other.vcpus.count, 0);
		assert_null(other.vcpus.at[0]);
	}
	host_test.allocs_until_failure = -1;
	vm_destroy(&other);
	caps.tsc_khz = 0;
	assert_int_equal(vm_init(&other, &fake_backend, &caps, &(struct fermata_vm_config){ 0 },
				 &clock_page),
			 -EINVAL);
}

static void cpuid_before_vcpus(void **state)
{
	static struct fermata_cpuid cpuid;
	static struct vm other;
	struct fermata_caps caps = { .phys_bits = 40, .tsc_khz = 1000000, .nested_levels = 6 };

	cpuid = *vm.cpuid_supported;
	assert_int_equal(vm_set_cpuid(&vm, &cpuid), -EBUSY);
	assert_int_equal(vm_init(&other, &fake_backend, &caps, &(struct fermata_vm_config){ 0 },
				 &clock_page),
			 0);
	cpuid.entry[1].reserved = 1;
	assert_int_equal(vm_set_cpuid(&other, &cpuid), -EINVAL);
	assert_true(other.cpuid.count > 1); /* as it was */
	memset(&cpuid, 0, sizeof(cpuid));
	assert_int_equal(vm_set_cpuid(&other, &cpuid), 0);
	assert_int_equal(other.cpuid.count, 0);
	vm_destroy(&other);
}

static void messages(void **state)
{
	struct fermata_msi msi = { .address = 0xfee02000, .data = 0x41 };

	smp();
	enable_apics();
	assert_int_equal(vm_signal_msi(&vm, &msi), 0);
	assert_int_equal(pending(2), 0x41);
	assert_int_equal(pending(0) | pending(1) | pending(3), 0);
	assert_int_equal(host_test.wakes, 1);
	/* To everyone. */
	msi.address = 0xfeeff000;
	msi.data = 0x52;
	assert_int_equal(vm_signal_msi(&vm, &msi), 0);
	assert_int_equal(pending(0), 0x52);
	assert_int_equal(pending(3), 0x52);
	/* To nobody, and to no APIC at all. */
	host_test.wakes = 0;
	msi.address = 0xfee09000;
	assert_int_equal(vm_signal_msi(&vm, &msi), 0);
	assert_int_equal(host_test.wakes, 0);
	msi.address = 0xfef00000;
	assert_int_equal(vm_signal_msi(&vm, &msi), -EINVAL);
	msi.address = 0xfee00000;
	msi.reserved = 1;
	assert_int_equal(vm_signal_msi(&vm, &msi), -EINVAL);
}

/* Lowest priority, to everyone: one of them gets it, and not the busiest. */
static void lowest_priority(void **state)
{
	struct apic_message message = { .destination = 0xff,
					.logical = true,
					.mode = LAPIC_MODE_LOWEST,
					.vector = 0x61,
					.assert = true };
	struct apic_effects effects;
	u32 i, got = 0;

	smp();
	enable_apics();
	for (i = 0; i < VCPUS; i++) {
		apic_write(&vcpus[i].apic, LAPIC_LDR, 1u << (24 + i), &vm.time.clock, 0, &effects);
		apic_set_tpr(&vcpus[i].apic, i == 2 ? 1 : 3);
	}
	vm_send(&vm, &message, NULL);
	for (i = 0; i < VCPUS; i++)
		got |= (pending(i) == 0x61) << i;
	assert_int_equal(got, 1 << 2);
	assert_int_equal(host_test.wakes, 1);
}

static void lines(void **state)
{
	struct fermata_line line = { .line = FERMATA_LINE_LINT1, .level = 1 };

	assert_int_equal(vm_set_line(&vm, &line), 0); /* the virtual wire: NMI */
	assert_true(apic_take_nmi(&v->apic));
	assert_int_equal(host_test.wakes, 1);
	line.vcpu = 1;
	assert_int_equal(vm_set_line(&vm, &line), -ENOENT);
	line.vcpu = FERMATA_MAX_VCPUS;
	assert_int_equal(vm_set_line(&vm, &line), -EINVAL);
	line.vcpu = ~0u;
	assert_int_equal(vm_set_line(&vm, &line), -EINVAL);
	line = (struct fermata_line){ .line = 2 };
	assert_int_equal(vm_set_line(&vm, &line), -EINVAL);
	line = (struct fermata_line){ .level = 2 };
	assert_int_equal(vm_set_line(&vm, &line), -EINVAL);
	line = (struct fermata_line){ .reserved = 1 };
	assert_int_equal(vm_set_line(&vm, &line), -EINVAL);
}

/* Who is in the guest is fetched out by an interrupt, who sleeps is woken. */
static void kicks(void **state)
{
	vcpu_kick(v);
	assert_int_equal(host_test.wakes, 1);
	assert_int_equal(host_test.kicks, 0);
	v->mode = VCPU_IN_GUEST;
	vcpu_kick(v);
	assert_int_equal(host_test.wakes, 1);
	assert_int_equal(host_test.kicks, 1);
	v->mode = VCPU_OUTSIDE;
}

static void events(void **state)
{
	struct fermata_injection e = { .vector = 0x30, .kind = FERMATA_INJECT_EXTINT };

	assert_int_equal(vcpu_inject(v, &e), 0);
	assert_int_equal(v->waiting.injection.kind, INJECT_INTERRUPT);
	assert_int_equal(v->waiting.injection.vector, 0x30);
	assert_int_equal(vcpu_inject(v, &e), -EBUSY);
	e.kind = FERMATA_INJECT_NONE;
	assert_int_equal(vcpu_inject(v, &e), 0);
	e.kind = FERMATA_INJECT_NMI;
	assert_int_equal(vcpu_inject(v, &e), 0);
	assert_true(v->waiting.nmi);
	v->waiting.valid = false;
	e = (struct fermata_injection){ .vector = ARCH_PF,
					.kind = FERMATA_INJECT_EXCEPTION_CODE,
					.code = 6,
					.cr2 = 0xdead000 };
	fake_hw(v)->cr3 = 0x3000;
	assert_int_equal(vcpu_inject(v, &e), 0);
	assert_int_equal(fake_hw(v)->cr2, 0xdead000);
	assert_int_equal(fake_hw(v)->cr3, 0x3000);
	assert_true(v->waiting.injection.has_code);
	assert_int_equal(v->waiting.injection.code, 6);
	v->waiting.valid = false;
	e = (struct fermata_injection){ .vector = 32, .kind = FERMATA_INJECT_EXCEPTION };
	assert_int_equal(vcpu_inject(v, &e), -EINVAL);
	e.vector = ARCH_NMI;
	assert_int_equal(vcpu_inject(v, &e), -EINVAL);
	e = (struct fermata_injection){ .vector = 256 };
	assert_int_equal(vcpu_inject(v, &e), -EINVAL);
	e = (struct fermata_injection){ .kind = 5 };
	assert_int_equal(vcpu_inject(v, &e), -EINVAL);
	e = (struct fermata_injection){ .reserved = 1 };
	assert_int_equal(vcpu_inject(v, &e), -EINVAL);
	assert_false(v->waiting.valid);
}

static void translate(void **state)
{
	struct fermata_translate t = { .linear = 0x1234 };
	u64 entry[4] = { 0x11003, 0x12003, 0x13003, 0x4000 | 3 };
	u32 i;

	assert_int_equal(vcpu_translate(v, &t), 0);
	assert_int_equal(t.gpa, 0x1234);
	assert_int_equal(t.fault, 0);
	/* 4-level paging of one page at 0. */
	for (i = 0; i < 4; i++)
		memcpy(ram + 0x10000 + i * 0x1000, &entry[i], 8);
	v->guest.cr0 |= ARCH_CR0_PG;
	v->guest.cr4 = ARCH_CR4_PAE;
	v->guest.efer = ARCH_EFER_LME | ARCH_EFER_LMA;
	fake_hw(v)->cr3 = 0x10000;
	t.linear = 0x567;
	assert_int_equal(vcpu_translate(v, &t), 0);
	assert_int_equal(t.gpa, 0x4567);
	assert_int_equal(t.page_size, 4096);
	t.access = FERMATA_ACCESS_USER | FERMATA_ACCESS_WRITE;
	assert_int_equal(vcpu_translate(v, &t), 0);
	assert_int_equal(t.fault, 1);
	assert_int_equal(t.code, 7);
	t.access = 0;
	t.linear = 1ull << 50; /* not canonical */
	assert_int_equal(vcpu_translate(v, &t), 0);
	assert_int_equal(t.fault, 1);
	t.access = 1 << 4;
	assert_int_equal(vcpu_translate(v, &t), -EINVAL);
	/* A table the host has swapped out is brought in. */
	t = (struct fermata_translate){ .linear = 0x567 };
	host_test_user_absent(ram + 0x12000, 4096, true);
	assert_int_equal(vcpu_translate(v, &t), 0);
	assert_int_equal(t.gpa, 0x4567);
	/* A table outside of memory. */
	fake_hw(v)->cr3 = RAM;
	assert_int_equal(vcpu_translate(v, &t), -ENOENT);
}

/* ---- flushes */

struct flusher {
	pthread_t thread;
	bool done;
};

static void *flush(void *arg)
{
	struct flusher *f = arg;

	vm_invalidate_begin(&vm, (uintptr_t)ram, (uintptr_t)ram + RAM);
	vm_invalidate_end(&vm, (uintptr_t)ram, (uintptr_t)ram + RAM);
	__atomic_store_n(&f->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void map_something(void)
{
	struct flush owed;
	u8 level;

	assert_int_equal(guest_memory_fault(&vm.memory, 0x5000, RADIX_READ, &v->cache, &owed,
					    &level),
			 0);
}

static void nothing_to_flush(void **state)
{
	struct flusher f = { 0 };

	flush(&f); /* nothing is mapped: nobody is bothered */
	assert_int_equal(v->requests, 0);
	map_something();
	flush(&f);
	assert_int_equal(v->requests,
			 BIT(REQUEST_FLUSH_NESTED) | BIT_ULL(REQUEST_CAUSE + FERMATA_CAUSE_HOST));
	assert_int_equal(host_test.kicks, 0);
}

static void start_flush_of_guest(struct flusher *f)
{
	map_something();
	v->mode = VCPU_IN_GUEST;
	assert_int_equal(pthread_create(&f->thread, NULL, flush, f), 0);
	while (!READ_ONCE(host_test.kicks))
		sched_yield();
	assert_false(__atomic_load_n(&f->done, __ATOMIC_ACQUIRE));
	assert_true(READ_ONCE(v->requests) & BIT(REQUEST_FLUSH_NESTED));
}

/* A guest that runs is waited for, until it has come out; where to makes no difference. */
static void flush_waits_for_exit(void **state)
{
	struct flusher f = { 0 };

	start_flush_of_guest(&f);
	WRITE_ONCE(v->mode, VCPU_OUTSIDE);
	pthread_join(f.thread, NULL);
	assert_true(f.done);
	WRITE_ONCE(v->requests, 0);

	f = (struct flusher){ 0 };
	host_test.kicks = 0;
	start_flush_of_guest(&f);
	WRITE_ONCE(v->looks, v->looks + 1); /* came out and is in again */
	pthread_join(f.thread, NULL);
	assert_true(f.done);
	WRITE_ONCE(v->requests, 0);

	/* It went out without having run, to another CPU, and took the request on its way in. */
	f = (struct flusher){ 0 };
	host_test.kicks = 0;
	start_flush_of_guest(&f);
	host_clear_bit(REQUEST_FLUSH_NESTED, &v->requests);
	pthread_join(f.thread, NULL);
	assert_true(f.done);
	v->mode = VCPU_OUTSIDE;
}

static void slot_removal_flushes(void **state)
{
	struct fermata_memory slot = { 0 };

	smp();
	map_something();
	assert_int_equal(vm_set_memory(&vm, &slot), 0);
	assert_true(v->requests & BIT(REQUEST_FLUSH_NESTED));
	assert_true(vcpus[3].requests & BIT(REQUEST_FLUSH_NESTED));
	assert_int_equal(vm_set_memory(&vm, &slot), -ENOENT);
}

static void clock_of_the_caller(void **state)
{
	assert_int_equal(clock_page.tsc_khz, 1000000);
	assert_int_equal(clock_page.seq & 1, 0);
	assert_int_equal(host_test.tsc + clock_page.tsc_offset, vcpu_tsc(v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_states),
		TEST(no_memory),
		TEST(cpuid_before_vcpus),
		TEST(messages),
		TEST(lowest_priority),
		TEST(lines),
		TEST(kicks),
		TEST(events),
		TEST(translate),
		TEST(nothing_to_flush),
		TEST(flush_waits_for_exit),
		TEST(slot_removal_flushes),
		TEST(clock_of_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
