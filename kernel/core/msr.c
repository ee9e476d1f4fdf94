/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The MSRs that make a guest exit (SDM 4, APM 2 appendix A). What is not here does not exist for the
 * guest and raises #GP.
 */
#include "core/exits.h"
#include "core/pvclock.h"
#include "base/processor.h"

#define MTRR_CAP 0x508	       /* eight variable ranges, fixed ranges, WC (SDM 3A 11.11.1) */
#define MISC_ENABLE_RESET 1ull /* fast strings */
#define ASK_IBPB BIT_ULL(0)
#define DEFAULT_UCODE (~0ull) /* newer than any erratum's fix, as the field does it */
#define DE_CFG_LFENCE_SERIALIZE BIT_ULL(1)
#define HWCR_TSC_FREQ_SEL BIT_ULL(24)
#define HWCR_WRITABLE (BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8) | BIT_ULL(18)) /* and ignored */

static u64 *mtrr_slot(struct vcpu *v, u32 msr)
{
	if (!v->vm->cpuid.mtrr)
		return NULL;
	if (msr >= ARCH_MSR_MTRR_PHYS_BASE0 && msr <= ARCH_MSR_MTRR_PHYS_LAST)
		return &v->guest.mtrr.variable[msr - ARCH_MSR_MTRR_PHYS_BASE0];
	switch (msr) {
	case ARCH_MSR_MTRR_DEF_TYPE:
		return &v->guest.mtrr.def_type;
	case ARCH_MSR_MTRR_FIX64K_00000:
		return &v->guest.mtrr.fixed[0];
	case ARCH_MSR_MTRR_FIX16K_80000:
	case ARCH_MSR_MTRR_FIX16K_A0000:
		return &v->guest.mtrr.fixed[1 + msr - ARCH_MSR_MTRR_FIX16K_80000];
	}
	if (msr >= ARCH_MSR_MTRR_FIX4K_C0000 && msr <= ARCH_MSR_MTRR_FIX4K_F8000)
		return &v->guest.mtrr.fixed[3 + msr - ARCH_MSR_MTRR_FIX4K_C0000];
	return NULL;
}

static bool memory_type_valid(u8 type, bool pat)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (pat && type == 7);
}

bool msr_memory_types_valid(u64 value, bool pat)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if (!memory_type_valid(value >> i, pat))
			return false;
	return true;
}

/* SDM 3A 11.11.2. The types themselves change nothing: guest memory is the host's, write-back. */
static bool mtrr_valid(const struct vcpu *v, u32 msr, u64 value)
{
	u64 address = (1ull << v->vm->cpuid.phys_bits) - 1;

	if (msr == ARCH_MSR_MTRR_DEF_TYPE)
		return !(value & ~0xcffull) && memory_type_valid(value, false);
	if (msr > ARCH_MSR_MTRR_PHYS_LAST)
		return msr_memory_types_valid(value, false);
	if (msr & 1)
		return !(value & ~((address & ~0xfffull) | 0x800));
	return !(value & ~((address & ~0xfffull) | 0xff)) && memory_type_valid(value, false);
}

static noinline int read_x2apic(struct vcpu *v, u32 msr, u64 *value)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);

	return apic_msr_read(&v->apic, msr, value, &clock, now);
}

static noinline u64 read_tsc_deadline(struct vcpu *v)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);

	return apic_tsc_deadline(&v->apic, &clock, now);
}

int msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	u64 *slot;

	if (msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST)
		return read_x2apic(v, msr, value);
	*value = 0;
	switch (msr) {
	case ARCH_MSR_TSC:
		*value = vcpu_tsc(v);
		return 0;
	case ARCH_MSR_APIC_BASE:
		*value = apic_base(&v->apic);
		return 0;
	case ARCH_MSR_TSC_ADJUST:
		*value = v->guest.tsc_adjust;
		return cpuid->tsc_adjust ? 0 : -EINVAL;
	case ARCH_MSR_TSC_DEADLINE:
		*value = read_tsc_deadline(v);
		return cpuid->tsc_deadline ? 0 : -EINVAL;
	case ARCH_MSR_TSC_AUX:
		*value = v->guest.tsc_aux;
		return cpuid->rdtscp ? 0 : -EINVAL;
	case ARCH_MSR_EFER:
		*value = v->guest.efer;
		return 0;
	case ARCH_MSR_PAT:
		*value = v->guest.pat;
		return 0;
	case ARCH_MSR_MTRRCAP:
		*value = MTRR_CAP;
		return cpuid->mtrr ? 0 : -EINVAL;
	case ARCH_MSR_UCODE_REV:
		*value = DEFAULT_UCODE;
		return 0;
	case ARCH_MSR_MCG_CAP: /* no banks */
		return cpuid->mce ? 0 : -EINVAL;
	case ARCH_MSR_MCG_STATUS:
		*value = v->guest.mcg_status;
		return cpuid->mce ? 0 : -EINVAL;
	case ARCH_MSR_DEBUGCTL:
		*value = v->guest.debugctl;
		return 0;
	case ARCH_MSR_MISC_ENABLE:
		*value = v->guest.misc_enable;
		return cpuid->amd ? -EINVAL : 0;
	case ARCH_MSR_PLATFORM_ID:
		return cpuid->amd ? -EINVAL : 0;
	case ARCH_MSR_HWCR:
		*value = v->guest.hwcr | HWCR_TSC_FREQ_SEL;
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_SYSCFG:
		*value = v->guest.syscfg;
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_INT_PENDING:
	case ARCH_MSR_DC_CFG:
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_DE_CFG:
		*value = DE_CFG_LFENCE_SERIALIZE;
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_VM_CR: /* SVM is locked off (APM 2 15.30.1) */
		*value = BIT_ULL(3) | BIT_ULL(4);
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_KVM_WALL_CLOCK:
		*value = pvclock_wall(v->vm);
		return cpuid->kvmclock ? 0 : -EINVAL;
	case ARCH_MSR_KVM_SYSTEM_TIME:
		*value = pvclock_time(v);
		return cpuid->kvmclock ? 0 : -EINVAL;
	}
	slot = mtrr_slot(v, msr);
	if (!slot && v->backend->msr)
		slot = v->backend->msr(v, msr);
	if (!slot)
		return v->backend->direct_msr(v, msr, value, false);
	*value = *slot;
	return 0;
}

/* IA32_TSC and IA32_TSC_ADJUST move together (SDM 3B 17.17.3). */
static void set_tsc_offset(struct vcpu *v, u64 delta)
{
	v->guest.tsc_offset += delta;
	v->guest.tsc_adjust += delta;
	v->dirty |= DIRTY_TSC_OFFSET;
	apic_set_tsc_adjust(&v->apic, v->guest.tsc_offset);
	vcpu_arm_timer(v);
	pvclock_changed(v);
}

static noinline int set_x2apic(struct vcpu *v, u32 msr, u64 value)
{
	struct apic_effects effects;
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);
	int err = apic_msr_write(&v->apic, msr, value, &clock, now, &effects);

	if (!err)
		vcpu_apic_effects(v, &effects);
	return err;
}

/* Whose value must be canonical (SDM 2B WRMSR). */
static bool holds_address(const struct vcpu *v, u32 msr)
{
	switch (msr) {
	case ARCH_MSR_LSTAR:
	case ARCH_MSR_CSTAR:
	case ARCH_MSR_FS_BASE:
	case ARCH_MSR_GS_BASE:
	case ARCH_MSR_KERNEL_GS_BASE:
		return true;
	case ARCH_MSR_SYSENTER_ESP:
	case ARCH_MSR_SYSENTER_EIP:
		return !v->vm->cpuid.amd;
	}
	return false;
}

/* STAR, LSTAR, CSTAR, SFMASK where the backend exchanges them by hand: now they are in the CPU. */
static int set_exchanged(struct vcpu *v, u32 msr, u64 value)
{
	u64 *slot = v->backend->msr ? v->backend->msr(v, msr) : NULL;

	if (holds_address(v, msr) && !arch_canonical(value, v->vm->cpuid.linear_bits))
		return -EINVAL;
	if (msr == ARCH_MSR_SFMASK && value >> 32)
		return -EINVAL;
	if (!slot)
		return v->backend->direct_msr(v, msr, &value, true);
	*slot = value;
	cpu_wrmsr(msr, value);
	return 0;
}

int msr_write(struct vcpu *v, u32 msr, u64 value)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	struct apic_effects effects;
	u64 *slot;

	if (msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST)
		return set_x2apic(v, msr, value);
	switch (msr) {
	case ARCH_MSR_TSC_DEADLINE:
		if (!cpuid->tsc_deadline)
			return -EINVAL;
		apic_set_tsc_deadline(&v->apic, value, &effects);
		vcpu_apic_effects(v, &effects);
		return 0;
	case ARCH_MSR_TSC:
		set_tsc_offset(v, value - vcpu_tsc(v));
		return 0;
	case ARCH_MSR_TSC_ADJUST:
		if (!cpuid->tsc_adjust)
			return -EINVAL;
		set_tsc_offset(v, value - v->guest.tsc_adjust);
		return 0;
	case ARCH_MSR_APIC_BASE:
		return apic_set_base(&v->apic, value);
	case ARCH_MSR_TSC_AUX:
		if (!cpuid->rdtscp || value >> 32)
			return -EINVAL;
		v->guest.tsc_aux = value;
		host_guest_tsc_aux(value);
		return 0;
	case ARCH_MSR_EFER:
		return control_set_efer(v, value);
	case ARCH_MSR_PAT:
		if (!msr_memory_types_valid(value, true))
			return -EINVAL;
		v->guest.pat = value;
		v->dirty |= DIRTY_PAT;
		return 0;
	case ARCH_MSR_PRED_CMD:
		if (!cpuid->ibpb || value & ~ASK_IBPB)
			return -EINVAL;
		if (value)
			cpu_wrmsr(ARCH_MSR_PRED_CMD, value);
		return 0;
	case ARCH_MSR_UCODE_REV: /* Intel's way to ask for the revision: write 0, CPUID, read */
		return 0;
	case ARCH_MSR_MCG_STATUS:
		if (!cpuid->mce || value & ~7ull)
			return -EINVAL;
		v->guest.mcg_status = value;
		return 0;
	case ARCH_MSR_DEBUGCTL: /* last-branch recording and BTF are not offered; the bits read back */
		if (value & ~3ull)
			return -EINVAL;
		v->guest.debugctl = value;
		return 0;
	case ARCH_MSR_MISC_ENABLE:
		if (cpuid->amd)
			return -EINVAL;
		v->guest.misc_enable = value;
		return 0;
	case ARCH_MSR_HWCR:
		if (!cpuid->amd || value & ~(HWCR_WRITABLE | HWCR_TSC_FREQ_SEL))
			return -EINVAL;
		v->guest.hwcr = value & HWCR_WRITABLE;
		return 0;
	case ARCH_MSR_SYSCFG: /* MtrrFixDramEn and its like: kept, without effect */
		if (!cpuid->amd || value & ~0x7c0000ull)
			return -EINVAL;
		v->guest.syscfg = value;
		return 0;
	case ARCH_MSR_DE_CFG:
		return cpuid->amd && value == DE_CFG_LFENCE_SERIALIZE ? 0 : -EINVAL;
	case ARCH_MSR_INT_PENDING:
	case ARCH_MSR_DC_CFG:
		return cpuid->amd ? 0 : -EINVAL;
	case ARCH_MSR_KVM_WALL_CLOCK:
		return cpuid->kvmclock ? pvclock_set_wall(v, value) : -EINVAL;
	case ARCH_MSR_KVM_SYSTEM_TIME:
		return cpuid->kvmclock ? pvclock_set_time(v, value) : -EINVAL;
	}
	slot = mtrr_slot(v, msr);
	if (slot && mtrr_valid(v, msr, value)) {
		*slot = value;
		return 0;
	}
	return slot ? -EINVAL : set_exchanged(v, msr, value);
}
