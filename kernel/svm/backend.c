/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* AMD-V: what the CPU offers, switching it on and off, and the life of a vCPU's hardware half. */
#include "svm/intercepts.h"
#include "svm/audit/audit.h"
#include "base/processor.h"

#define VM_CR_SVMDIS BIT_ULL(4) /* APM 2 15.30.1 */
#define CPUID_SVM BIT(2)	/* 8000_0001 ECX */
#define CPUID_PAGE_1G BIT(26)	/* 8000_0001 EDX */

static u32 svm_asids;
static u8 *svm_msrpm, *svm_iopm;

static void svm_detect(struct fermata_caps *caps)
{
	struct cpu_words r = cpu_cpuid(0x80000000, 0);

	if (r.eax < 0x8000000a || !(cpu_cpuid(0x80000001, 0).ecx & CPUID_SVM)) {
		caps->blocked |= FERMATA_BLOCK_NO_VIRT;
		return;
	}
	caps->vendor = FERMATA_VENDOR_AMD;
	r = cpu_cpuid(0x8000000a, 0);
	caps->svm_revision = r.eax & 0xff;
	caps->svm_features = r.edx;
	caps->tags = r.ebx;
	caps->nested_levels = BIT(1) | BIT(2);
	if (cpu_cpuid(0x80000001, 0).edx & CPUID_PAGE_1G)
		caps->nested_levels |= BIT(3);
	if (cpu_rdmsr(ARCH_MSR_VM_CR) & VM_CR_SVMDIS)
		caps->blocked |= FERMATA_BLOCK_FIRMWARE;
	if (!svm_cpus && cpu_rdmsr(ARCH_MSR_EFER) & ARCH_EFER_SVME)
		caps->blocked |= FERMATA_BLOCK_BUSY;
	if (cpu_cr4() & ARCH_CR4_FRED) /* host_machine_check() may have to find a gate */
		caps->blocked |= FERMATA_BLOCK_FRED;
	if (!(r.edx & SVM_FEATURE_NPT))
		caps->nested_levels = 0; /* shadow paging does it */
}

static const struct radix_format *svm_format(void)
{
	return cpu_cr4() & ARCH_CR4_LA57 ? &npt5_format : &npt_format;
}

static int svm_setup(u32 tags)
{
	struct cpu_words r = cpu_cpuid(0x8000000a, 0);
	size_t i;

	svm_features = r.edx;
	svm_asids = r.ebx;
	svm_audit_setup();
	svm_cpus = host_alloc(sizeof(*svm_cpus) * host_cpu_count());
	svm_msrpm = host_pages_alloc(1); /* 8 KiB and 12 KiB, contiguous */
	svm_iopm = host_pages_alloc(2);
	if (!svm_cpus || !svm_msrpm || !svm_iopm)
		goto fail;
	for (i = 0; i < host_cpu_count(); i++) {
		svm_cpus[i].host = host_page_alloc();
		svm_cpus[i].hsave = host_page_alloc();
		if (!svm_cpus[i].host || !svm_cpus[i].hsave)
			goto fail;
		svm_cpus[i].host_pa = host_virt_to_phys(svm_cpus[i].host);
		tag_pool_init(&svm_cpus[i].tags, svm_asids, tags, true);
		if (!backend_options.beside)
			continue;
		tag_pool_alone(&svm_cpus[i].tags, max(svm_asids, 2u) - 1);
		svm_cpus[i].flusher = host_page_alloc();
		if (!svm_cpus[i].flusher)
			goto fail;
	}
	svm_fill_msrpm(svm_msrpm, 0, 0);
	memset(svm_iopm, 0xff, 4 * 4096);
	svm_msrpm_pa = host_virt_to_phys(svm_msrpm);
	svm_iopm_pa = host_virt_to_phys(svm_iopm);
	return 0;

fail:
	svm_backend.teardown();
	return -ENOMEM;
}

static void svm_teardown(void)
{
	u32 i;

	for (i = 0; svm_cpus && i < host_cpu_count(); i++) {
		host_page_free(svm_cpus[i].host);
		host_page_free(svm_cpus[i].hsave);
		if (svm_cpus[i].flusher)
			host_page_free(svm_cpus[i].flusher);
	}
	host_free(svm_cpus);
	host_pages_free(svm_msrpm, 1);
	host_pages_free(svm_iopm, 2);
	svm_cpus = NULL;
	svm_msrpm = svm_iopm = NULL;
}

/* A guest goes from one CPU to the other: what is used is the first one's, and every other one must have it. */
static bool svm_differs(void)
{
	struct cpu_words r = cpu_cpuid(0x8000000a, 0);
	u32 in = (r.edx ^ svm_features) & SVM_FEATURES_USED;

	if (!in && r.ebx >= svm_asids)
		return false;
	host_log("CPU %u differs from the first in CPUID 8000_000A: EDX bits %#x, %u ASIDs",
		 host_cpu(), in, r.ebx);
	return true;
}

/* APM 2 15.4. Whoever set EFER.SVME before us owns the CPU, and must know of us. */
static int svm_cpu_on(void)
{
	struct svm_cpu *cpu = &svm_cpus[host_cpu()];
	u64 efer = cpu_rdmsr(ARCH_MSR_EFER);

	if (svm_differs())
		return -ENODEV;
	if (backend_options.beside)
		return svm_beside_on(cpu);
	if (efer & ARCH_EFER_SVME)
		return -EBUSY;
	if (!cpu_wrmsr_checked(ARCH_MSR_EFER, efer | ARCH_EFER_SVME)) /* VM_CR.SVMDIS, on this CPU */
		return -EACCES;
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, host_virt_to_phys(cpu->hsave));
	if (svm_features & SVM_FEATURE_TSC_RATE)
		cpu_wrmsr(ARCH_MSR_TSC_RATIO, TSC_RATIO_1);
	cpu->tsc_ratio = TSC_RATIO_1;
	cpu->tags.flush_all = true;
	cpu->last = NULL;
	cpu->on = true;
	return 0;
}

static void svm_cpu_off(void)
{
	struct svm_cpu *cpu = &svm_cpus[host_cpu()];

	if (!cpu->on)
		return;
	cpu->on = false;
	if (backend_options.beside)
		return;
	if (svm_features & SVM_FEATURE_TSC_RATE)
		cpu_wrmsr(ARCH_MSR_TSC_RATIO, TSC_RATIO_1);
	cpu_wrmsr(ARCH_MSR_VM_HSAVE_PA, 0);
	cpu_wrmsr(ARCH_MSR_EFER, cpu_rdmsr(ARCH_MSR_EFER) & ~ARCH_EFER_SVME);
}

/* GIF first: without it INIT and NMIs wait, and there is no STGI without SVME (APM 2 15.17). */
static void svm_cpu_emergency(void)
{
	struct svm_cpu *cpu = svm_cpus ? &svm_cpus[host_cpu()] : NULL;

	if (!cpu || !cpu->on)
		return;
	cpu->on = false;
	cpu_stgi();
	cpu_wrmsr(ARCH_MSR_EFER, cpu_rdmsr(ARCH_MSR_EFER) & ~ARCH_EFER_SVME);
}

static void svm_vcpu_destroy(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;

	if (!s)
		return;
	host_page_free(s->vmcb);
	host_pages_free(s->msrpm, 1);
	host_free(s);
	v->hw = NULL;
}

static int svm_vcpu_create(struct vcpu *v)
{
	struct svm_vcpu *s = host_alloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	v->hw = s;
	s->vmcb = host_page_alloc();
	s->msrpm = host_pages_alloc(1);
	if (!s->vmcb || !s->msrpm) {
		svm_vcpu_destroy(v);
		return -ENOMEM;
	}
	s->vmcb_pa = host_virt_to_phys(s->vmcb);
	svm_vmcb_init(v);
	return 0;
}

static u64 svm_scale_tsc(u64 mult)
{
	u64 ratio = (mult + BIT_ULL(TSC_RATIO_SHIFT - 1)) >> TSC_RATIO_SHIFT;

	if (!(svm_features & SVM_FEATURE_TSC_RATE) || !ratio || ratio >> TSC_RATIO_BITS)
		return 0;
	return ratio << TSC_RATIO_SHIFT;
}

const struct backend svm_backend = {
	.name = "svm",
	.vendor = FERMATA_VENDOR_AMD,
	.detect = svm_detect,
	.format = svm_format,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.cpu_emergency = svm_cpu_emergency,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.load = svm_load,
	.take = svm_take,
	.unload = svm_unload,
	.run = svm_run,
	.audit = svm_audit_vcpu,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.get_reg = svm_get_reg,
	.position = svm_position,
	.set_reg = svm_set_reg,
	.where = svm_where,
	.can_intercept = svm_can_intercept,
	.direct_msrs = svm_direct_msrs,
	.direct_msr = svm_direct_msr,
	.set_paging = svm_set_paging,
	.can_take = svm_can_take,
	.inject = svm_inject,
	.window = svm_window,
	.scale_tsc = svm_scale_tsc,
};
