/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What neither VMRUN nor VM entry exchanges, or not as the guest has it: MSRs, CR4.MCE, PKRU, and the
 * breakpoint registers of guests that have armed some. PKRU is the guest's during a turn only: between
 * turns we read the guest's memory at user addresses, and there the owner's PKRU applies, not the guest's.
 */
#ifndef CORE_KEYS_H
#define CORE_KEYS_H

#include "base/processor.h"
#include "core/vcpu.h"

/*
 * Can the guest come at PKRU: by RDPKRU and WRPKRU, which need CR4.PKE, or by XSAVE and XRSTOR, which
 * need XCR0's bit alone? QEMU 7.2 lets it set that without an exit, so OSXSAVE decides.
 */
static inline bool keys_in_reach(const struct vcpu *v)
{
	return v->vm->config.pkru_at && v->guest.cr4 & (ARCH_CR4_PKE | ARCH_CR4_OSXSAVE);
}

/* Before and after a turn, interrupts off. Writing it is slow, and most values are alike. */
static inline u32 keys_enter(const struct vcpu *v)
{
	u32 host = cpu_rdpkru();

	if (host != v->guest.pkru)
		cpu_wrpkru(v->guest.pkru);
	return host;
}

static inline void keys_leave(struct vcpu *v, u32 host)
{
	v->guest.pkru = cpu_rdpkru();
	if (host != v->guest.pkru)
		cpu_wrpkru(host);
}

/* Writing it waits for all that came before (SDM 3A 9.3, APM 2 7.6.4); reading it costs little. */
static inline void cpu_load_cr2(u64 value)
{
	if (cpu_cr2() != value)
		cpu_write_cr2(value);
}

/* In guest context, for an MSR that is the guest's there. False: vcpu_refused(). */
static inline bool vcpu_load_msr(struct vcpu *v, u32 msr, const char *name, u64 value)
{
	if (likely(cpu_wrmsr_checked(msr, value)))
		return true;
	vcpu_refused(v, name, value);
	return false;
}

/*
 * CR4 as the processor gets it while the guest runs, from what the guest would have there. MCE is the host's: a
 * machine check shuts down a processor that has it clear (SDM 3B 16.8.1, APM 2 9.3.1). The guest sees its own.
 */
static inline u64 guest_hardware_cr4(u64 cr4)
{
	return (cr4 & ~ARCH_CR4_MCE) | (cpu_cr4() & ARCH_CR4_MCE);
}

/* The host's enables must not see the guest's addresses; host_restore_breakpoints() follows the turn. */
static inline void breakpoints_enter(const struct vcpu *v)
{
	cpu_write_dr(7, ARCH_DR7_FIXED);
	for (u32 i = 0; i < 4; i++)
		cpu_write_dr(i, v->guest.dr[i]);
}

#endif
