/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * One vCPU on the SVM backend, with a function in the place of entry.S: it plays the processor, on the
 * VMCB that svm_run() hands it.
 */
#ifndef SVM_FIXTURE_H
#define SVM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/exits.h"
#include "host_test.h"
#include "standin/base/processor.h"
#include "svm/svm.h"

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu *const v = &vcpu;
static struct host_thread thread;
static struct fermata_run page;
static struct fermata_clock clock_page;
static struct svm_vcpu *s;
static struct vmcb *c;

static void (*guest)(u64 *regs); /* what the guest does in its turn */
static u32 entered;
static bool svm_is_off;
static bool beside; /* another hypervisor */

bool svm_enter(u64 *regs, u64 vmcb_pa, u64 host_pa)
{
	assert_ptr_equal(host_phys_to_virt(vmcb_pa), c);
	assert_int_equal(host_pa, svm_cpus[0].host_pa);
	assert_ptr_equal(regs, page.regs);
	entered++;
	if (guest)
		guest(regs);
	return svm_is_off;
}

static struct cpu_words amd(u32 leaf, u32 subleaf)
{
	if (leaf == 0x8000000a)
		return (struct cpu_words){ 1, 16, 0, SVM_FEATURE_NPT };
	return fake_cpuid(leaf, subleaf);
}

static inline int fresh(void **state)
{
	struct fermata_caps caps = { .xcr0 = 7, .tsc_khz = 1000000, .phys_bits = 48 };

	host_test_reset();
	fake_processor_reset();
	fake_processor.cpuid = amd;
	host_test.tsc = 1000;
	guest = NULL;
	entered = 0;
	svm_is_off = false;
	memset(&vm, 0, sizeof(vm));
	memset(v, 0, sizeof(*v));
	memset(&page, 0, sizeof(page));
	svm_backend.detect(&caps);
	assert_int_equal(caps.blocked, 0);
	backend_options.beside = beside;
	if (beside) {
		*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_SVME;
		*fake_msr(ARCH_MSR_VM_HSAVE_PA) = 0x7000;
	}
	assert_int_equal(svm_backend.setup(0), 0);
	assert_int_equal(svm_backend.cpu_on(), 0);
	assert_int_equal(vm_init(&vm, &svm_backend, &caps, &(struct fermata_vm_config){ 0 },
				 &clock_page),
			 0);
	assert_int_equal(vcpu_init(v, &vm, 0, &thread, &page), 0);
	s = v->hw;
	c = s->vmcb;
	/* svm_load() but for the VMSAVE in it */
	s->cpu = &svm_cpus[0];
	v->cpu = 0;
	return 0;
}

static inline int done(void **state)
{
	vcpu_destroy(v);
	vm_destroy(&vm);
	svm_backend.cpu_off();
	svm_backend.teardown();
	assert_int_equal(host_test_leaks(), 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, done)

#endif
