/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Stands in for kernel/vmx/instructions.h as standin/base/processor.h does for the processor: one VMCS,
 * whichever is current, and a count of what is read and written of it.
 */
#ifndef VMX_INSTRUCTIONS_H
#define VMX_INSTRUCTIONS_H

#include "host.h"

#define FAKE_VMCS_FIELDS 0x7000 /* encodings are below (SDM 3D appendix B) */

struct fake_vmcs {
	u64 field[FAKE_VMCS_FIELDS];
	u32 reads, writes, clears;
	bool on;     /* between VMXON and VMXOFF */
	u64 current; /* VMPTRLD's; 0: none */
	bool gone;   /* another hypervisor has executed VMXOFF */
};
extern struct fake_vmcs fake_vmcs;

u64 vmread(u32 field);
u64 vmread_or_zero(u32 field); /* not counted: only the audit looks that way */
void vmwrite(u32 field, u64 value);
bool vmx_on(u64 region);
void vmx_off(void);
void vmptrld(u64 vmcs);
bool vmptrst(u64 *vmcs);
void vmclear(u64 vmcs);

#endif
