/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's MSRs, one row each (SDM 4, APM 2 appendix A). From the rows come the answers to RDMSR and WRMSR, what
 * GET_STATE saves and the checks of SET_STATE. An MSR without a row does not exist for the guest and raises #GP.
 */
#include "core/msr.h"
#include "core/control.h"
#include "core/exits.h"
#include "core/time.h"
#include "core/pvclock.h"
#include "base/processor.h"

#define MTRR_CAP 0x508 /* eight variable ranges, fixed ranges, WC (SDM 3A 12.11.1) */
#define ASK_IBPB BIT_ULL(0)
#define UCODE_NEWEST (~0ull) /* newer than any erratum's fix, as the field does it */
#define LFENCE_SERIALIZES BIT_ULL(1)
#define VM_CR_LOCKED (BIT_ULL(3) | BIT_ULL(4)) /* SVM is off, and locked so (APM 2 15.30.1) */
#define HWCR_1 BIT_ULL(24)		       /* TscFreqSel */
#define HWCR_KNOWN (HWCR_1 | BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8) | BIT_ULL(18))
/* Bits that read back and change nothing. */
#define SYSCFG_OFF 0x7c0000ull /* MtrrFixDramEn and its like */
#define DEBUGCTL_OFF 3ull      /* LBR and BTF, which are not offered */

/* ---- what a row says */

/* Of READ and WRITE. */
#define IS(what) (*value = (what), 0)
#define TAKES(condition) ((condition) ? 0 : -EINVAL)
#define GP (-EINVAL)
/* Of VALID. */
#define ANY true
#define ONLY(bits) (!(value & ~(u64)(bits)))
#define ADDRESS arch_canonical(value, cpuid->linear_bits)
#define MEMORY_TYPES(pat) memory_types_valid(value, pat)
#define DEFAULT_TYPE (ONLY(0xcff) && memory_type_valid(value, false))
#define RANGE(mask) mtrr_valid(cpuid, mask, value)
/* Of ALSO. */
#define NOTHING ((void)0)

/*
 * NUMBER	as in base/arch.h, without ARCH_MSR_. KEPT has a range, from NUMBER to LAST; INDEX counts in it.
 * HAS		which guests have it, by their CPUID; the others get #GP, and it is 0 in their state.
 * VALID	the values it can hold. Others raise #GP, and EINVAL in SET_STATE.
 *
 * COMPUTED	READ gives a value of the moment, WRITE does something. Either may be GP.
 * KEPT		FIELD of struct guest_cpu keeps the value; the bits in ONES read as one. ALSO is for WRMSR alone.
 * HELD		The hardware has it, or the backend, which also saves it.
 * FIELD	has the same name in struct fermata_state_msrs. COMPUTED ones have other places in the state: state.c.
 */
/* clang-format off */
#define MSRS(COMPUTED, KEPT, HELD) \
	/*       NUMBER           HAS                  READ                         WRITE */ \
	COMPUTED(TSC,             true,                IS(vcpu_tsc(v)),             move_tsc(v, value - vcpu_tsc(v))) \
	COMPUTED(TSC_ADJUST,      cpuid->tsc_adjust,   IS(v->guest.tsc_adjust),     move_tsc(v, value - v->guest.tsc_adjust)) \
	COMPUTED(TSC_DEADLINE,    cpuid->tsc_deadline, read_tsc_deadline(v, value), set_tsc_deadline(v, value)) \
	COMPUTED(APIC_BASE,       true,                IS(apic_base(&v->apic)),     apic_set_base(&v->apic, value)) \
	COMPUTED(EFER,            true,                IS(v->guest.efer),           control_set_efer(v, value)) \
	COMPUTED(KVM_WALL_CLOCK,  cpuid->kvmclock,     IS(READ_ONCE(v->vm->time.wall_at)), pvclock_set_wall(v, value)) \
	COMPUTED(KVM_SYSTEM_TIME, cpuid->kvmclock,     IS(v->guest.pvclock_time),   pvclock_set_time(v, value)) \
	COMPUTED(PRED_CMD,        cpuid->ibpb,         GP,                          ask_predictors(value)) \
	COMPUTED(ARCH_CAPABILITIES, cpuid->arch_capabilities, IS(host_arch_capabilities()), GP) \
	COMPUTED(UCODE_REV,       true,                IS(UCODE_NEWEST),            0) /* 0, CPUID, then read it */ \
	COMPUTED(MTRRCAP,         cpuid->mtrr,         IS(MTRR_CAP),                GP) \
	COMPUTED(MCG_CAP,         cpuid->mce,          IS(0), /* no banks */        GP) \
	COMPUTED(PLATFORM_ID,     !cpuid->amd,         IS(0),                       GP) \
	COMPUTED(VM_CR,           cpuid->amd,          IS(VM_CR_LOCKED),            GP) \
	COMPUTED(DE_CFG,          cpuid->amd,          IS(LFENCE_SERIALIZES),       TAKES(value == LFENCE_SERIALIZES)) \
	COMPUTED(INT_PENDING,     cpuid->amd,          IS(0),                       0) \
	COMPUTED(DC_CFG,          cpuid->amd,          IS(0),                       0) \
	COMPUTED(FS_BASE,         true,                read_held(v, msr, value),    write_base(v, msr, value)) \
	COMPUTED(GS_BASE,         true,                read_held(v, msr, value),    write_base(v, msr, value)) \
	/*   NUMBER             LAST               HAS            VALID               ONES     FIELD                  ALSO */ \
	KEPT(PAT,               PAT,               true,          MEMORY_TYPES(true), 0,       pat,                   v->dirty |= DIRTY_PAT) \
	KEPT(TSC_AUX,           TSC_AUX,           cpuid->rdtscp, ONLY(0xffffffff),   0,       tsc_aux,               host_guest_tsc_aux(value)) \
	KEPT(MISC_ENABLE,       MISC_ENABLE,       !cpuid->amd,   ANY,                0,       misc_enable,           NOTHING) \
	KEPT(DEBUGCTL,          DEBUGCTL,          true,          ONLY(DEBUGCTL_OFF), 0,       debugctl,              NOTHING) \
	KEPT(MCG_STATUS,        MCG_STATUS,        cpuid->mce,    ONLY(7),            0,       mcg_status,            NOTHING) \
	KEPT(HWCR,              HWCR,              cpuid->amd,    ONLY(HWCR_KNOWN),   HWCR_1,  hwcr,                  NOTHING) \
	KEPT(SYSCFG,            SYSCFG,            cpuid->amd,    ONLY(SYSCFG_OFF),   0,       syscfg,                NOTHING) \
	KEPT(MTRR_DEF_TYPE,     MTRR_DEF_TYPE,     cpuid->mtrr,   DEFAULT_TYPE,       0,       mtrr_def_type,         NOTHING) \
	KEPT(MTRR_FIX64K_00000, MTRR_FIX64K_00000, cpuid->mtrr,   MEMORY_TYPES(false), 0,      mtrr_fixed[0],         NOTHING) \
	KEPT(MTRR_FIX16K_80000, MTRR_FIX16K_A0000, cpuid->mtrr,   MEMORY_TYPES(false), 0,      mtrr_fixed[1 + INDEX], NOTHING) \
	KEPT(MTRR_FIX4K_C0000,  MTRR_FIX4K_F8000,  cpuid->mtrr,   MEMORY_TYPES(false), 0,      mtrr_fixed[3 + INDEX], NOTHING) \
	KEPT(MTRR_PHYS_BASE0,   MTRR_PHYS_LAST,    cpuid->mtrr,   RANGE(INDEX & 1),   0,       mtrr_variable[INDEX],  NOTHING) \
	/*   NUMBER          VALID                  FIELD */ \
	HELD(STAR,           ANY,                   star) \
	HELD(LSTAR,          ADDRESS,               lstar) \
	HELD(CSTAR,          ADDRESS,               cstar) \
	HELD(SFMASK,         ONLY(0xffffffff),      sfmask) \
	HELD(KERNEL_GS_BASE, ADDRESS,               kernel_gs_base) \
	HELD(SYSENTER_CS,    ANY,                   sysenter_cs) \
	HELD(SYSENTER_ESP,   cpuid->amd || ADDRESS, sysenter_esp) \
	HELD(SYSENTER_EIP,   cpuid->amd || ADDRESS, sysenter_eip)
/* clang-format on */

/* ---- what rows call */

static bool memory_type_valid(u8 type, bool pat)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6 || (pat && type == 7);
}

static bool memory_types_valid(u64 value, bool pat)
{
	u32 i;

	for (i = 0; i < 64; i += 8)
		if (!memory_type_valid(value >> i, pat))
			return false;
	return true;
}

/* SDM 3A 12.11.2. The types themselves change nothing: guest memory is the host's, write-back. */
static bool mtrr_valid(const struct cpuid_table *cpuid, bool mask, u64 value)
{
	u64 frame = ((1ull << cpuid->phys_bits) - 1) & ~0xfffull;

	return mask ? ONLY(frame | 0x800) : ONLY(frame | 0xff) && memory_type_valid(value, false);
}

/* IA32_TSC and IA32_TSC_ADJUST move together (SDM 3B 17.17.3). */
static int move_tsc(struct vcpu *v, u64 delta)
{
	v->guest.tsc_offset += delta;
	v->guest.tsc_adjust += delta;
	v->dirty |= DIRTY_TSC_OFFSET;
	apic_set_tsc_adjust(&v->apic, v->guest.tsc_offset);
	vcpu_arm_timer(v);
	pvclock_changed(v);
	return 0;
}

static noinline int read_tsc_deadline(struct vcpu *v, u64 *value)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);

	*value = apic_tsc_deadline(&v->apic, &clock, now);
	return 0;
}

static int set_tsc_deadline(struct vcpu *v, u64 value)
{
	struct apic_effects effects;

	apic_set_tsc_deadline(&v->apic, value, &effects);
	vcpu_apic_effects(v, &effects);
	return 0;
}

static int ask_predictors(u64 value)
{
	if (value & ~ASK_IBPB)
		return -EINVAL;
	return !value || cpu_wrmsr_checked(ARCH_MSR_PRED_CMD, value) ? 0 : -EINVAL;
}

/* VT-x exchanges some by hand (v->backend->msr): in guest context they are in the CPU. */
static int read_held(struct vcpu *v, u32 msr, u64 *value)
{
	const u64 *slot = v->backend->msr ? v->backend->msr(v, msr) : NULL;

	return slot ? IS(*slot) : v->backend->direct_msr(v, msr, value, false);
}

static int write_held(struct vcpu *v, u32 msr, u64 value)
{
	u64 *slot = v->backend->msr ? v->backend->msr(v, msr) : NULL;

	if (!slot)
		return v->backend->direct_msr(v, msr, &value, true);
	if (!cpu_wrmsr_checked(msr, value))
		return -EINVAL;
	*slot = value;
	return 0;
}

static int write_base(struct vcpu *v, u32 msr, u64 value)
{
	return arch_canonical(value, v->vm->cpuid.linear_bits) ? write_held(v, msr, value) : -EINVAL;
}

static noinline int read_x2apic(struct vcpu *v, u32 msr, u64 *value)
{
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);

	return apic_msr_read(&v->apic, msr, value, &clock, now);
}

static noinline int write_x2apic(struct vcpu *v, u32 msr, u64 value)
{
	struct apic_effects effects;
	struct guest_clock clock;
	u64 now = vm_time(v->vm, &clock);
	int err = apic_msr_write(&v->apic, msr, value, &clock, now, &effects);

	if (!err)
		vcpu_apic_effects(v, &effects);
	return err;
}

/* ---- RDMSR and WRMSR, in guest context */

#define INDEX (msr - first)

int msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	u32 first;

	if (msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST)
		return read_x2apic(v, msr, value);
#define COMPUTED(NUMBER, HAS, READ, WRITE)                                                         \
	case ARCH_MSR_##NUMBER:                                                                    \
		return (HAS) ? (READ) : -EINVAL;
#define KEPT(NUMBER, LAST, HAS, VALID, ONES, FIELD, ALSO)                                          \
	case ARCH_MSR_##NUMBER... ARCH_MSR_##LAST:                                                 \
		first = ARCH_MSR_##NUMBER;                                                         \
		return (HAS) ? IS(v->guest.FIELD | (ONES)) : -EINVAL;
#define HELD(NUMBER, VALID, FIELD)                                                                 \
	case ARCH_MSR_##NUMBER:                                                                    \
		return read_held(v, msr, value);
	switch (msr) {
		MSRS(COMPUTED, KEPT, HELD)
	}
#undef COMPUTED
#undef KEPT
#undef HELD
	return -EINVAL;
}

int msr_write(struct vcpu *v, u32 msr, u64 value)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	u32 first;

	if (msr >= LAPIC_MSR_FIRST && msr <= LAPIC_MSR_LAST)
		return write_x2apic(v, msr, value);
#define COMPUTED(NUMBER, HAS, READ, WRITE)                                                         \
	case ARCH_MSR_##NUMBER:                                                                    \
		return (HAS) ? (WRITE) : -EINVAL;
#define KEPT(NUMBER, LAST, HAS, VALID, ONES, FIELD, ALSO)                                          \
	case ARCH_MSR_##NUMBER... ARCH_MSR_##LAST:                                                 \
		first = ARCH_MSR_##NUMBER;                                                         \
		if (!(HAS) || !(VALID))                                                            \
			return -EINVAL;                                                            \
		v->guest.FIELD = value & ~(u64)(ONES);                                             \
		ALSO;                                                                              \
		return 0;
#define HELD(NUMBER, VALID, FIELD)                                                                 \
	case ARCH_MSR_##NUMBER:                                                                    \
		return (VALID) ? write_held(v, msr, value) : -EINVAL;
	switch (msr) {
		MSRS(COMPUTED, KEPT, HELD)
	}
#undef COMPUTED
#undef KEPT
#undef HELD
	return -EINVAL;
}

/* ---- GET_STATE and SET_STATE */

#define NOT_HERE(...)

int msr_check_state(const struct cpuid_table *cpuid, const struct fermata_state_msrs *state)
{
	u32 msr, first;
	u64 value;

#define KEPT(NUMBER, LAST, HAS, VALID, ONES, FIELD, ALSO)                                          \
	for (msr = first = ARCH_MSR_##NUMBER; msr <= ARCH_MSR_##LAST; msr++) {                     \
		value = state->FIELD;                                                              \
		if ((HAS) ? !(VALID) : value)                                                      \
			return -EINVAL;                                                            \
	}
#define HELD(NUMBER, VALID, FIELD)                                                                 \
	value = state->FIELD;                                                                      \
	if (!(VALID))                                                                              \
		return -EINVAL;
	MSRS(NOT_HERE, KEPT, HELD)
#undef KEPT
#undef HELD
	return state->reserved ? -EINVAL : 0;
}

void msr_get_state(const struct vcpu *v, struct fermata_state_msrs *state)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	u32 msr, first;

#define KEPT(NUMBER, LAST, HAS, VALID, ONES, FIELD, ALSO)                                          \
	for (msr = first = ARCH_MSR_##NUMBER; msr <= ARCH_MSR_##LAST; msr++)                       \
		state->FIELD = (HAS) ? v->guest.FIELD | (ONES) : 0;
	MSRS(NOT_HERE, KEPT, NOT_HERE)
#undef KEPT
	state->reserved = 0;
}

void msr_set_state(struct vcpu *v, const struct fermata_state_msrs *state)
{
	const struct cpuid_table *cpuid = &v->vm->cpuid;
	u32 msr, first;

#define KEPT(NUMBER, LAST, HAS, VALID, ONES, FIELD, ALSO)                                          \
	for (msr = first = ARCH_MSR_##NUMBER; (HAS) && msr <= ARCH_MSR_##LAST; msr++)              \
		v->guest.FIELD = state->FIELD & ~(u64)(ONES);
	MSRS(NOT_HERE, KEPT, NOT_HERE)
#undef KEPT
	v->dirty |= DIRTY_PAT;
}
