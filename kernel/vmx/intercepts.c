// SPDX-License-Identifier: MIT OR GPL-2.0
/* What rules make a guest exit for, on top of what always does: SDM 3C 25.6, 26.1.3. */
#include "vmx/vmx.h"
#include "base/processor.h"

/* MSRs the guest reads and writes without an exit: the VMCS holds them, or the CPU while it runs. */
static const u32 vmx_direct_msrs[] = {
	ARCH_MSR_FS_BASE,     ARCH_MSR_GS_BASE,	     ARCH_MSR_KERNEL_GS_BASE,
	ARCH_MSR_SYSENTER_CS, ARCH_MSR_SYSENTER_ESP, ARCH_MSR_SYSENTER_EIP,
};

/* Events that one control each is for, and with which number. */
static const struct {
	u8 event, number;
	u32 proc, proc2;
} vmx_bits[] = {
	{ FERMATA_ON_PAUSE, 0, PROC_PAUSE, 0 },
	{ FERMATA_ON_INVLPG, 0, PROC_INVLPG, 0 },
	{ FERMATA_ON_INVPCID, 0, PROC_INVLPG, 0 },
	{ FERMATA_ON_CR3_SWITCH, 0, PROC_CR3_LOAD, 0 },
	{ FERMATA_ON_MOV_TO_CR, 3, PROC_CR3_LOAD, 0 },
	{ FERMATA_ON_MOV_TO_CR, 8, PROC_CR8_LOAD, 0 },
	{ FERMATA_ON_MOV_FROM_CR, 3, PROC_CR3_STORE, 0 },
	{ FERMATA_ON_MOV_FROM_CR, 8, PROC_CR8_STORE, 0 },
	{ FERMATA_ON_WBINVD, 0, 0, PROC2_WBINVD },
	{ FERMATA_ON_RDRAND, 0, 0, PROC2_RDRAND },
	{ FERMATA_ON_RDSEED, 0, 0, PROC2_RDSEED },
	{ FERMATA_ON_SGDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_SIDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_SLDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_STR, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LGDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LIDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LLDT, 0, 0, PROC2_DESCRIPTOR_TABLE },
	{ FERMATA_ON_LTR, 0, 0, PROC2_DESCRIPTOR_TABLE },
};

/* Read bits for 0..1FFFh and C0000000h.., then write bits; 1 exits (SDM 3C 25.6.9). */
static void intercept_msr(u8 *map, u32 msr, bool read, bool write)
{
	u32 base = msr < 0x2000 ? 0 : 1024, byte = (msr & 0x1fff) / 8, bit = BIT(msr & 7);

	map[base + byte] = (map[base + byte] & ~bit) | (read ? bit : 0);
	map[2048 + base + byte] = (map[2048 + base + byte] & ~bit) | (write ? bit : 0);
}

/* Deny by default. */
void vmx_fill_msr_bitmap(u8 *map)
{
	u32 i;

	memset(map, 0xff, 4096);
	for (i = 0; i < ARRAY_SIZE(vmx_direct_msrs); i++)
		intercept_msr(map, vmx_direct_msrs[i], false, false);
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

static void apply_proc(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u32 proc = vmx_base_proc(v) | (s->proc & (PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW)), i;

	for (i = 0; i < ARRAY_SIZE(vmx_bits); i++)
		if (vmx_bits[i].proc && rules_want(v, vmx_bits[i].event, vmx_bits[i].number))
			proc |= vmx_bits[i].proc & vmx_controls.proc_allowed;
	if (rules_want_tsc(v))
		proc |= PROC_RDTSC;
	s->proc = proc;
	vmwrite(VMCS_PROC_CONTROLS, proc);
}

/* TSC scaling is set while the clock needs it. */
void vmx_apply_proc2(struct vcpu *v)
{
	u32 proc2 = vmx_controls.proc2 & ~vmx_withheld(v), i;

	if (!(v->vm->time.flags & FERMATA_CLOCK_SCALED))
		proc2 &= ~PROC2_TSC_SCALING;
	for (i = 0; i < ARRAY_SIZE(vmx_bits); i++)
		if (vmx_bits[i].proc2 && rules_want(v, vmx_bits[i].event, vmx_bits[i].number))
			proc2 |= vmx_bits[i].proc2 & vmx_controls.proc2_allowed;
	if (vmx_controls.proc & PROC_SECONDARY)
		vmwrite(VMCS_PROC2_CONTROLS, proc2);
}

/* Only writes that change a bit of the mask exit; with all bits in it, all that change something. */
static void apply_masks(struct vcpu *v)
{
	bool cr0 = rules_want(v, FERMATA_ON_MOV_TO_CR, 0) || rules_want(v, FERMATA_ON_CLTS, 0) ||
		   rules_want(v, FERMATA_ON_LMSW, 0);
	bool cr4 = rules_want(v, FERMATA_ON_MOV_TO_CR, 4);

	vmx_sync(v); /* the shadows have to show the guest's own bits from now on */
	vmwrite(VMCS_CR0_SHADOW, v->guest.cr0);
	vmwrite(VMCS_CR4_SHADOW, v->guest.cr4);
	vmwrite(VMCS_CR0_MASK, cr0 ? ~0ull : ~vmx_cr0_direct(v));
	vmwrite(VMCS_CR4_MASK, cr4 ? ~0ull : ~vmx_cr4_direct(v));
}

static void apply_msrs(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	bool wanted = false;
	u32 i;

	vmx_fill_msr_bitmap(s->msr_bitmap);
	for (i = 0; i < ARRAY_SIZE(vmx_direct_msrs); i++) {
		bool read = rules_want(v, FERMATA_ON_RDMSR, vmx_direct_msrs[i]);
		bool write = rules_want(v, FERMATA_ON_WRMSR, vmx_direct_msrs[i]);

		intercept_msr(s->msr_bitmap, vmx_direct_msrs[i], read, write);
		wanted |= read || write;
	}
	vmwrite(VMCS_MSR_BITMAP, wanted ? host_virt_to_phys(s->msr_bitmap) : vmx_msr_bitmap_pa);
}

/* After the control registers: see vmx_apply(). */
void vmx_apply_intercepts(struct vcpu *v)
{
	apply_proc(v);
	vmx_apply_proc2(v);
	apply_masks(v);
	apply_msrs(v);
	vmwrite(VMCS_EXCEPTION_BITMAP, vmx_base_exceptions(v) | rules_want_exceptions(v));
	vmx_apply_efer(v);
}

static u32 field_of(u32 msr)
{
	switch (msr) {
	case ARCH_MSR_FS_BASE:
		return VMCS_GUEST_ES_BASE + 2 * 4;
	case ARCH_MSR_GS_BASE:
		return VMCS_GUEST_ES_BASE + 2 * 5;
	case ARCH_MSR_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case ARCH_MSR_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case ARCH_MSR_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	}
	return 0;
}

/* In guest context, where KernelGSBase is in the CPU. */
int vmx_direct_msr(struct vcpu *v, u32 msr, u64 *value, bool write)
{
	u32 field = field_of(msr);

	if (msr == ARCH_MSR_KERNEL_GS_BASE) {
		if (write)
			cpu_wrmsr(msr, *value);
		else
			*value = cpu_rdmsr(msr);
		return 0;
	}
	if (!field)
		return -EINVAL;
	if (write)
		vmwrite(field, *value);
	else
		*value = vmread(field);
	return 0;
}
