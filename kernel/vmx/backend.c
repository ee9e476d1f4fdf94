/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* VT-x: what the CPU offers, switching it on and off, and the life of a vCPU's hardware half. */
#include "vmx/intercepts.h"
#include "vmx/audit/audit.h"
#include "base/processor.h"

#define CPUID_VMX BIT(5)	 /* leaf 1 ECX */
#define MSR_FEATURE_CONTROL 0x3a /* SDM 3C 24.7 */
#define FEATURE_CONTROL_LOCKED BIT_ULL(0)
#define FEATURE_CONTROL_VMX BIT_ULL(2)
#define CR4_VMXE BIT_ULL(13)
#define VPIDS 65536

static u8 *vmx_msr_bitmap;

/* ---- capabilities */

static bool vmx_locked_off(void)
{
	u64 control = cpu_rdmsr(MSR_FEATURE_CONTROL);

	return control & FEATURE_CONTROL_LOCKED && !(control & FEATURE_CONTROL_VMX);
}

static void vmx_detect(struct fermata_caps *caps)
{
	struct vmx_controls c;
	const char *missing;

	if (!(cpu_cpuid(1, 0).ecx & CPUID_VMX)) {
		caps->blocked |= FERMATA_BLOCK_NO_VIRT;
		return;
	}
	caps->vendor = FERMATA_VENDOR_INTEL;
	if (vmx_locked_off()) {
		caps->blocked |= FERMATA_BLOCK_FIRMWARE;
		return;
	}
	if (!vmx_cpus && cpu_cr4() & CR4_VMXE)
		caps->blocked |= FERMATA_BLOCK_BUSY;
	if (cpu_cr4() & ARCH_CR4_FRED)
		caps->blocked |= FERMATA_BLOCK_FRED; /* cpu_nmi() */
	if (vmx_resolve(&c, &missing)) {
		caps->blocked |= FERMATA_BLOCK_NO_BACKEND;
		return;
	}
	caps->vmx[FERMATA_VMX_PIN] = c.pin;
	caps->vmx[FERMATA_VMX_PROC] = c.proc;
	caps->vmx[FERMATA_VMX_PROC2] = c.proc2;
	caps->vmx[FERMATA_VMX_EXIT] = c.exit;
	caps->vmx[FERMATA_VMX_ENTRY] = c.entry;
	caps->vmx[FERMATA_VMX_EPT_VPID] = c.ept_vpid;
	caps->tags = c.proc2 & PROC2_VPID ? VPIDS : 0;
	if (!(c.proc2 & PROC2_EPT))
		return; /* shadow paging does it */
	caps->nested_levels = BIT(1) | (c.ept_vpid & EPT_CAP_2M ? BIT(2) : 0) |
			      (c.ept_vpid & EPT_CAP_1G ? BIT(3) : 0);
}

static const struct radix_format *vmx_format(void)
{
	return vmx_controls.ept_vpid & EPT_CAP_EXEC_ONLY ? &ept_exec_only_format : &ept_format;
}

static int vmx_setup(u32 tags)
{
	const char *missing = NULL;
	u32 i;
	int err = vmx_resolve(&vmx_controls, &missing);

	if (err) {
		host_log("this CPU's VT-x lacks %s controls that Fermata needs", missing);
		return err;
	}
	vmx_audit_setup();
	vmx_cpus = host_alloc(sizeof(*vmx_cpus) * host_cpu_count());
	vmx_msr_bitmap = host_page_alloc();
	if (!vmx_cpus || !vmx_msr_bitmap)
		goto fail;
	for (i = 0; i < host_cpu_count(); i++) {
		vmx_cpus[i].vmxon = host_page_alloc();
		if (!vmx_cpus[i].vmxon)
			goto fail;
		*(u32 *)vmx_cpus[i].vmxon = vmx_controls.revision;
		tag_pool_init(&vmx_cpus[i].tags, VPIDS, tags, false);
	}
	vmx_fill_msr_bitmap(vmx_msr_bitmap, 0, 0);
	vmx_msr_bitmap_pa = host_virt_to_phys(vmx_msr_bitmap);
	return 0;

fail:
	vmx_backend.teardown();
	return -ENOMEM;
}

static void vmx_teardown(void)
{
	u32 i;

	for (i = 0; vmx_cpus && i < host_cpu_count(); i++)
		host_page_free(vmx_cpus[i].vmxon);
	host_free(vmx_cpus);
	host_page_free(vmx_msr_bitmap);
	vmx_cpus = NULL;
	vmx_msr_bitmap = NULL;
}

/* ---- on and off: SDM 3C 24.7, 31.5 */

static int vmx_cpu_on(void)
{
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];
	u64 control = cpu_rdmsr(MSR_FEATURE_CONTROL);
	struct vmx_controls here;
	const char *name;
	u64 in;

	if (vmx_resolve(&here, &name)) {
		host_log("CPU %u lacks %s controls that Fermata needs", host_cpu(), name);
		return -ENODEV;
	}
	name = vmx_differs(&vmx_controls, &here, &in);
	if (name) {
		host_log("CPU %u differs from the first in %s, bits %#llx", host_cpu(), name,
			 (unsigned long long)in);
		return -ENODEV;
	}
	if (backend_options.beside)
		return vmx_beside_on(cpu);
	if (cpu_cr4() & CR4_VMXE) /* whoever set it owns the CPU */
		return -EBUSY;
	if (control & FEATURE_CONTROL_LOCKED ?
		    !(control & FEATURE_CONTROL_VMX) :
		    !cpu_wrmsr_checked(MSR_FEATURE_CONTROL,
				       control | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX))
		return -EACCES;
	host_cr4_change(CR4_VMXE, 0);
	if (!vmx_on(host_virt_to_phys(cpu->vmxon))) {
		host_cr4_change(0, CR4_VMXE);
		return -EBUSY;
	}
	/* What is cached survives VMXOFF, and whoever had the CPU before chose VPIDs and tables, too. */
	if (!vmx_forget()) {
		vmx_off();
		host_cr4_change(0, CR4_VMXE);
		return -ENODEV;
	}
	cpu->on = true;
	cpu->active = NULL;
	cpu->tags.flush_all = false;
	vmx_host_constants(cpu);
	return 0;
}

static void vmx_cpu_off(void)
{
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];

	if (!cpu->on)
		return;
	while (cpu->loaded)
		vmx_clear(cpu->loaded);
	cpu->on = false;
	if (backend_options.beside)
		return;
	vmx_off();
	host_cr4_change(0, CR4_VMXE);
}

/* CR4.VMXE stays: the next kernel clears it, and may, now that VMX is off. */
static void vmx_cpu_emergency(void)
{
	struct vmx_cpu *cpu = vmx_cpus ? &vmx_cpus[host_cpu()] : NULL;

	if (!cpu || !cpu->on)
		return;
	cpu->on = false;
	for (struct vmx_vcpu *s = cpu->loaded; s; s = s->next)
		vmclear(s->vmcs_pa);
	vmx_off();
}

/* ---- a vCPU */

static void vmx_vcpu_destroy(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	if (!s)
		return;
	host_stay();
	if (s->cpu != ~0u)
		host_run_on(s->cpu, vmx_clear, s);
	host_move();
	host_page_free(s->vmcs);
	host_page_free(s->virtual_apic);
	host_page_free(s->msr_area);
	host_page_free(s->msr_bitmap);
	host_free(s);
	v->hw = NULL;
}

static int vmx_vcpu_create(struct vcpu *v)
{
	struct vmx_vcpu *s = host_alloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	v->hw = s;
	s->cpu = s->host.cpu = ~0u;
	s->vmcs = host_page_alloc();
	s->virtual_apic = host_page_alloc();
	s->msr_area = host_page_alloc();
	s->msr_bitmap = host_page_alloc();
	if (!s->vmcs || !s->virtual_apic || !s->msr_area || !s->msr_bitmap) {
		vmx_vcpu_destroy(v);
		return -ENOMEM;
	}
	s->vmcs[0] = vmx_controls.revision;
	s->vmcs_pa = host_virt_to_phys(s->vmcs);
	/* A region that was never used must be cleared before it is loaded (SDM 3C 25.11.3). */
	host_stay();
	s->cpu = host_cpu();
	host_run_on(s->cpu, vmx_clear, s);
	vmx_begin(v);
	vmx_vmcs_init(v);
	vmx_end(v);
	host_move();
	return 0;
}

static u64 vmx_scale_tsc(u64 mult)
{
	return vmx_controls.proc2 & PROC2_TSC_SCALING ? mult : 0;
}

const struct backend vmx_backend = {
	.name = "vmx",
	.vendor = FERMATA_VENDOR_INTEL,
	.dirty_by_host = DIRTY_HOST,
	.detect = vmx_detect,
	.format = vmx_format,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.cpu_emergency = vmx_cpu_emergency,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.load = vmx_load,
	.take = vmx_take,
	.give = vmx_give,
	.unload = vmx_unload,
	.run = vmx_run,
	.audit = vmx_audit_vcpu,
	.get_state = vmx_get_state,
	.set_state = vmx_set_state,
	.get_reg = vmx_get_reg,
	.position = vmx_position,
	.set_reg = vmx_set_reg,
	.where = vmx_where,
	.msr = vmx_msr,
	.can_intercept = vmx_can_intercept,
	.direct_msrs = vmx_direct_msrs,
	.direct_msr = vmx_direct_msr,
	.can_take = vmx_can_take,
	.inject = vmx_inject,
	.window = vmx_window,
	.scale_tsc = vmx_scale_tsc,
};
