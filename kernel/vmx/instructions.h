/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The instructions of VT-x (SDM 3C chapter 31) but for those of flushes, which are base/processor.h's. */
#ifndef VMX_INSTRUCTIONS_H
#define VMX_INSTRUCTIONS_H

#include "host.h"

/* Of the current VMCS. Failures are bugs of ours; 0 where VMX is off, the host being on its way down. */
static inline u64 vmread(u32 field)
{
	u64 value;

	asm volatile(HOST_ZERO_ON_FAULT("vmread %1, %0", "%0")
		     : "=r"(value)
		     : "r"((u64)field)
		     : "cc");
	return value;
}

/* The audit's: 0 also for a field that this processor does not have; nothing that would use it is on then. */
static inline u64 vmread_or_zero(u32 field)
{
	bool failed;
	u64 value;

	asm volatile(HOST_ZERO_ON_FAULT("vmread %2, %1", "%1")
		     : "=@ccna"(failed), "=r"(value)
		     : "r"((u64)field)
		     : "cc");
	return failed ? 0 : value;
}

/* As vmread(); the debug build tells. */
static inline void vmwrite(u32 field, u64 value)
{
	bool failed;

	asm volatile(HOST_MAY_FAULT("vmwrite %1, %2")
		     : "=@ccna"(failed)
		     : "r"(value), "r"((u64)field)
		     : "cc");
#ifdef FERMATA_DEBUG
	if (failed)
		host_log("VMWRITE of %#llx to field %#x failed", value, field);
#endif
	(void)failed;
}

/* False: CF or ZF, or #GP, which the firmware's settings and CR0's and CR4's fixed bits can raise (SDM 3C 24.7). */
static inline bool vmx_on(u64 region)
{
	asm goto(HOST_FAULT_TO(refused, "vmxon %0") "\n"
						    "jna %l[refused]"
		 :
		 : "m"(region)
		 : "cc", "memory"
		 : refused);
	return true;
refused:
	return false;
}

static inline void vmx_off(void)
{
	asm volatile(HOST_MAY_FAULT("vmxoff") : : : "cc", "memory");
}

/* SDM 3C 25.11: makes it the current one of this CPU; and takes it away from it. */
static inline void vmptrld(u64 vmcs)
{
	asm volatile(HOST_MAY_FAULT("vmptrld %0") : : "m"(vmcs) : "cc", "memory");
}

/* Which one is current, or all ones. False: VMX is off. */
static inline bool vmptrst(u64 *vmcs)
{
	asm goto(HOST_FAULT_TO(off, "vmptrst %0") : : "m"(*vmcs) : "cc", "memory" : off);
	return true;
off:
	return false;
}

static inline void vmclear(u64 vmcs)
{
	asm volatile(HOST_MAY_FAULT("vmclear %0") : : "m"(vmcs) : "cc", "memory");
}

#endif
