// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What makes a guest exit: SDM 3C 25.6, 26.1.3. The only writer of the processor-based controls, the
 * exception bitmap, the masks of CR0 and CR4, the TPR threshold and the MSR bitmap: what every guest exits
 * for, what shadow paging needs, what rules want, and reasons of our own that come and go.
 */
#include "vmx/intercepts.h"
#include "base/processor.h"

/* MSRs the guest reads and writes without an exit: the VMCS holds them, or the CPU while it runs. */
const u32 vmx_direct_msrs[] = {
	ARCH_MSR_FS_BASE,
	ARCH_MSR_GS_BASE,
	ARCH_MSR_KERNEL_GS_BASE,
	ARCH_MSR_SYSENTER_CS,
	ARCH_MSR_SYSENTER_ESP,
	ARCH_MSR_SYSENTER_EIP,
	0,
};

/* Events that one control each is for; those with a number have a word of their own in struct wanted. */
static const struct {
	u8 event;
	u32 proc, proc2;
} vmx_bits[] = {
	{ FERMATA_ON_PAUSE, PROC_PAUSE, 0 },
	{ FERMATA_ON_INVLPG, PROC_INVLPG, 0 },
	{ FERMATA_ON_INVPCID, PROC_INVLPG, 0 },
	{ FERMATA_ON_CR3_SWITCH, PROC_CR3_LOAD, 0 },
	{ FERMATA_ON_WBINVD, 0, PROC2_WBINVD },
	{ FERMATA_ON_RDRAND, 0, PROC2_RDRAND },
	{ FERMATA_ON_RDSEED, 0, PROC2_RDSEED },
	{ FERMATA_ON_SGDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_SIDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_SLDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_STR, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LGDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LIDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LLDT, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LTR, 0, PROC2_DESCRIPTOR_TABLE },
};

/* Read bits for 0..1FFFh and C0000000h.., then write bits; 1 exits (SDM 3C 25.6.9). */
static void intercept_msr(u8 *map, u32 msr, bool read, bool write)
{
	u32 base = msr < 0x2000 ? 0 : 1024, byte = (msr & 0x1fff) / 8, bit = BIT(msr & 7);

	map[base + byte] = (map[base + byte] & ~bit) | (read ? bit : 0);
	map[2048 + base + byte] = (map[2048 + base + byte] & ~bit) | (write ? bit : 0);
}

/* Deny by default. */
void vmx_fill_msr_bitmap(u8 *map, u32 read, u32 write)
{
	memset(map, 0xff, 4096);
	for (u32 i = 0; vmx_direct_msrs[i]; i++)
		intercept_msr(map, vmx_direct_msrs[i], read >> i & 1, write >> i & 1);
}

static bool has_any(u64 first, u64 last, u32 numbers)
{
	u32 i;

	for (i = 0; i < 32; i++)
		if (numbers >> i & 1 && i >= first && i <= last)
			return true;
	return false;
}

int vmx_can_intercept(u32 event, u64 first, u64 last)
{
	bool known = false, granted = false;
	u32 i;

	switch (event) {
	case FERMATA_ON_RDPRU: /* AMD's */
		return -EOPNOTSUPP;
	case FERMATA_ON_MOV_TO_CR: /* CR2 never exits (SDM 3C 26.1.3) */
		return has_any(first, last, BIT(0) | BIT(3) | BIT(4) | BIT(8)) ? 0 : -EOPNOTSUPP;
	case FERMATA_ON_MOV_FROM_CR: /* nor do reads of CR0 and CR4 */
		return has_any(first, last, BIT(3) | BIT(8)) ? 0 : -EOPNOTSUPP;
	}
	for (i = 0; i < ARRAY_SIZE(vmx_bits); i++) {
		if (vmx_bits[i].event != event)
			continue;
		known = true;
		granted |= !(vmx_bits[i].proc & ~vmx_controls.proc_allowed) &&
			   !(vmx_bits[i].proc2 & ~vmx_controls.proc2_allowed);
	}
	return known && !granted ? -EOPNOTSUPP : 0;
}

/* The same three exceptions as under SVM, for the same reasons; see svm/intercepts.c. */
static u32 base_exceptions(const struct vcpu *v)
{
	return BIT(ARCH_DB) | BIT(ARCH_AC) | BIT(ARCH_MC) | (v->shadow ? BIT(ARCH_PF) : 0);
}

static u32 base_proc(const struct vcpu *v)
{
	return vmx_controls.proc | (v->shadow ? PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG : 0);
}

static u32 wanted_proc(const struct wanted *w)
{
	u32 proc = (w->cr_write & BIT(3) ? PROC_CR3_LOAD : 0) |
		   (w->cr_write & BIT(8) ? PROC_CR8_LOAD : 0) |
		   (w->cr_read & BIT(3) ? PROC_CR3_STORE : 0) |
		   (w->cr_read & BIT(8) ? PROC_CR8_STORE : 0);

	for (u32 i = 0; i < ARRAY_SIZE(vmx_bits); i++)
		if (w->events >> vmx_bits[i].event & 1)
			proc |= vmx_bits[i].proc;
	return proc & vmx_controls.proc_allowed;
}

static void apply_proc2(const struct vcpu *v)
{
	u32 proc2 = vmx_controls.proc2 & ~vmx_withheld(v), wanted = 0;

	if (!(vmx_controls.proc & PROC_SECONDARY))
		return;
	if (!(v->vm->time.flags & FERMATA_CLOCK_SCALED))
		proc2 &= ~PROC2_TSC_SCALING;
	for (u32 i = 0; i < ARRAY_SIZE(vmx_bits); i++)
		if (v->ruling.wanted.events >> vmx_bits[i].event & 1)
			wanted |= vmx_bits[i].proc2;
	vmwrite(VMCS_PROC2_CONTROLS, proc2 | (wanted & vmx_controls.proc2_allowed));
}

static void set_proc(struct vmx_vcpu *s, u32 proc)
{
	if (proc == s->proc)
		return;
	s->proc = proc;
	vmwrite(VMCS_PROC_CONTROLS, proc);
}

/* The clock is another. */
void vmx_intercept_clock(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	set_proc(s, (s->proc & ~PROC_RDTSC) | (vcpu_traps_tsc(v) ? PROC_RDTSC : 0));
	apply_proc2(v);
}

/* Only writes that change a bit of the mask exit; with all bits in it, all that change something. */
static void apply_masks(struct vcpu *v)
{
	u16 wanted = v->ruling.wanted.cr_write;

	vmwrite(VMCS_CR0_MASK, wanted & BIT(0) ? ~0ull : ~vmx_cr0_direct(v));
	vmwrite(VMCS_CR4_MASK, wanted & BIT(4) ? ~0ull : ~vmx_cr4_direct(v));
}

static void apply_msrs(struct vcpu *v)
{
	const struct wanted *w = &v->ruling.wanted;
	struct vmx_vcpu *s = v->hw;

	if (!(w->msr_read | w->msr_write)) {
		vmwrite(VMCS_MSR_BITMAP, vmx_msr_bitmap_pa);
		return;
	}
	vmx_fill_msr_bitmap(s->msr_bitmap, w->msr_read, w->msr_write);
	vmwrite(VMCS_MSR_BITMAP, host_virt_to_phys(s->msr_bitmap));
}

/* All of it. */
void vmx_apply_intercepts(struct vcpu *v)
{
	const struct wanted *w = &v->ruling.wanted;
	struct vmx_vcpu *s = v->hw;
	u32 proc = base_proc(v) | wanted_proc(w) |
		   (s->proc & (PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW));

	set_proc(s, proc | (vcpu_traps_tsc(v) ? PROC_RDTSC : 0));
	apply_proc2(v);
	apply_masks(v);
	apply_msrs(v);
	if (vmx_controls.proc & PROC_TPR_SHADOW)
		vmwrite(VMCS_TPR_THRESHOLD, s->tpr_threshold);
	vmwrite(VMCS_EXCEPTION_BITMAP, base_exceptions(v) | w->exceptions);
}

void vmx_window(struct vcpu *v, u32 kinds)
{
	struct vmx_vcpu *s = v->hw;
	u32 proc = s->proc & ~(PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW);

	if (kinds & BIT(INJECT_INTERRUPT))
		proc |= PROC_INTERRUPT_WINDOW;
	if (kinds & BIT(INJECT_NMI) && vmx_controls.pin & PIN_VIRTUAL_NMIS)
		proc |= PROC_NMI_WINDOW;
	set_proc(s, proc);
}

/* In guest context, where KernelGSBase is in the CPU. */
int vmx_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	static const u32 fields[ARRAY_SIZE(vmx_direct_msrs) - 1] = {
		VMCS_GUEST_FS_BASE,	VMCS_GUEST_GS_BASE,	 0,
		VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP, VMCS_GUEST_SYSENTER_EIP,
	};
	u32 i;

	for (i = 0; vmx_direct_msrs[i] != msr; i++)
		if (i == ARRAY_SIZE(fields) - 1)
			return -EINVAL;
	if (write && fields[i])
		vmwrite(fields[i], *value);
	else if (write)
		return cpu_wrmsr_checked(msr, *value) ? 0 : -EINVAL;
	else
		*value = fields[i] ? vmread(fields[i]) : cpu_rdmsr(msr);
	return 0;
}
