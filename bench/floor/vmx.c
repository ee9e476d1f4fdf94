/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "floor.h"
#include "core/keys.h"
#include "vmx/vmx.h"

/* CR2 is a register that VM entries and exits leave as it is. */
void floor_vmx(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	for (u32 i = 0; i < FLOOR_TURNS; i++) {
		cpu_load_cr2(v->guest.cr2);
		vmx_enter(v->page->regs, true, &s->host_rsp);
		v->guest.cr2 = cpu_cr2();
	}
}
