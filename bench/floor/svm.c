/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "floor.h"
#include "svm/svm.h"

void floor_svm(struct vcpu *v)
{
	struct svm_vcpu *s = v->hw;

	for (u32 i = 0; i < FLOOR_TURNS; i++)
		svm_enter(v->page->regs, s->vmcb_pa, s->cpu->host_pa);
}
