/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The host's state around a guest's stay. A VM exit loads what the VMCS's host area says (SDM 3C 28.5)
 * and leaves the rest as the guest had it, or in a fixed state: descriptor-table limits FFFFh, TR's 67h,
 * LDTR empty, the syscall MSRs and KernelGSBase the guest's.
 *
 * A write to an MSR costs some hundred cycles: what is equal stays. IDTR's limit stays FFFFh: no vector is beyond
 * the table that Linux has. GDTR's does not, since a selector may be.
 */
#include "vmx/vmx.h"
#include "core/keys.h"
#include "base/processor.h"

#define SELECTOR(name, instruction)                                                                \
	static u16 get_##name(void)                                                                \
	{                                                                                          \
		u16 value;                                                                         \
                                                                                                   \
		asm volatile(instruction " %0" : "=r"(value));                                     \
		return value;                                                                      \
	}
SELECTOR(cs, "mov %%cs,")
SELECTOR(ss, "mov %%ss,")
SELECTOR(ds, "mov %%ds,")
SELECTOR(es, "mov %%es,")
SELECTOR(fs, "mov %%fs,")
SELECTOR(gs, "mov %%gs,")
SELECTOR(tr, "str")
SELECTOR(ldt, "sldt")

/* The base of the TSS: a 16-byte system descriptor (SDM 3A 7.2.3). */
static u64 tss_base(u64 gdt, u16 tr)
{
	const u8 *d = (const u8 *)gdt + (tr & ~7);
	u64 low, high;

	memcpy(&low, d, 8);
	memcpy(&high, d + 8, 8);
	return (low >> 16 & 0xffffff) | (low >> 32 & 0xff000000) | high << 32;
}

void vmx_host_constants(struct vmx_cpu *cpu)
{
	for (u32 i = 0; i < SYSCALL_MSRS; i++)
		cpu->syscalls[i] = cpu_rdmsr(ARCH_MSR_STAR + i);
	cpu->gs_base = cpu_rdmsr(ARCH_MSR_GS_BASE);
}

/* What does not change while the host is up, as far as it differs from CPU to CPU. */
static noinline void write_constants(const struct vmx_cpu *cpu, struct vmx_host *h)
{
	u16 tr = get_tr();
	struct vmx_table idt;

	asm volatile("sgdt %0" : "=m"(h->gdt));
	asm volatile("sidt %0" : "=m"(idt));
	/* Selectors must have TI and RPL 0; the data segments come back in vmx_host_restore(). */
	vmwrite(VMCS_HOST_CS_SELECTOR, get_cs());
	vmwrite(VMCS_HOST_SS_SELECTOR, get_ss());
	vmwrite(VMCS_HOST_DS_SELECTOR, 0);
	vmwrite(VMCS_HOST_ES_SELECTOR, 0);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, tr);
	vmwrite(VMCS_HOST_GS_BASE, cpu->gs_base);
	vmwrite(VMCS_HOST_TR_BASE, tss_base(h->gdt.base, tr));
	vmwrite(VMCS_HOST_GDTR_BASE, h->gdt.base);
	vmwrite(VMCS_HOST_IDTR_BASE, idt.base);
	vmwrite(VMCS_HOST_SYSENTER_CS, cpu_rdmsr(ARCH_MSR_SYSENTER_CS));
	vmwrite(VMCS_HOST_SYSENTER_ESP, cpu_rdmsr(ARCH_MSR_SYSENTER_ESP));
	vmwrite(VMCS_HOST_SYSENTER_EIP, cpu_rdmsr(ARCH_MSR_SYSENTER_EIP));
	if (vmx_controls.exit & EXIT_LOAD_PAT)
		vmwrite(VMCS_HOST_PAT, cpu_rdmsr(ARCH_MSR_PAT));
	/* No CR3 has its reserved bits set, and so on: what follows is written, too. */
	h->cr0 = h->cr3 = h->cr4 = h->fs_base = ~0ull;
	h->cpu = host_cpu();
}

/* At the begin of a stay, but for the control registers: vmx_run(). The thread's own FS base and KernelGSBase are in the CPU. */
void vmx_host_load(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	struct vmx_host *h = &s->host;

	h->es = get_es();
	h->ds = get_ds();
	h->fs = get_fs();
	h->gs = get_gs();
	h->ldt = get_ldt();
	h->kernel_gs_base = cpu_rdmsr(ARCH_MSR_KERNEL_GS_BASE);
	h->debugctl = cpu_rdmsr(ARCH_MSR_DEBUGCTL);
	if (unlikely(h->cpu != v->cpu))
		write_constants(s->here, h);
	vmwrite_changed(VMCS_HOST_FS_BASE, &h->fs_base, cpu_rdmsr(ARCH_MSR_FS_BASE));
	if (v->guest.efer & ARCH_EFER_SCE)
		vmx_load_syscalls(v);
	if (s->kernel_gs_base != h->kernel_gs_base)
		vcpu_load_msr(v, ARCH_MSR_KERNEL_GS_BASE, "KernelGSBase", s->kernel_gs_base);
}

void vmx_host_restore(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	struct vmx_host *h = &s->host;

	s->kernel_gs_base = cpu_rdmsr(ARCH_MSR_KERNEL_GS_BASE);
	asm volatile("lgdt %0" : : "m"(h->gdt));
	host_tss_limit_lost();
	if (h->ldt)
		asm volatile("lldt %0" : : "r"(h->ldt));
	/* Loading FS or GS replaces its base, which is written again behind it. */
	if (unlikely(h->ds | h->es | h->fs | h->gs)) {
		host_load_segments(h->ds, h->es, h->fs, h->gs);
		cpu_wrmsr(ARCH_MSR_FS_BASE, h->fs_base);
	}
	if (h->kernel_gs_base != s->kernel_gs_base)
		cpu_wrmsr(ARCH_MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	if (h->syscalls)
		vmx_restore_syscalls(s);
	if (h->debugctl)
		cpu_wrmsr(ARCH_MSR_DEBUGCTL, h->debugctl);
}
