// SPDX-License-Identifier: MIT OR GPL-2.0
/* What backend.c has set up, for all files of this folder; and which CPU holds which VMCS. */
#include "vmx/vmx.h"

struct vmx_controls vmx_controls;
struct vmx_cpu *vmx_cpus;
u64 vmx_msr_bitmap_pa;

/* ---- which CPU holds a VMCS: SDM 3C 25.11.1 */

void vmx_clear(void *arg)
{
	struct vmx_vcpu *s = arg;
	u32 cpu = host_cpu();

	if (s->cpu != cpu)
		return;
	vmclear(s->vmcs_pa);
	if (vmx_cpus[cpu].active == s)
		vmx_cpus[cpu].active = NULL;
	if (s->link) {
		*s->link = s->next;
		if (s->next)
			s->next->link = s->link;
		s->link = NULL;
		s->next = NULL;
	}
	s->launched = false;
	s->cpu = ~0u;
}

/* Called on this CPU with interrupts off, like vmx_clear(): the list belongs to the CPU. */
void vmx_adopt(void *arg)
{
	struct vmx_vcpu *s = arg;
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];

	s->cpu = host_cpu();
	s->next = cpu->loaded;
	s->link = &cpu->loaded;
	if (s->next)
		s->next->link = &s->next;
	cpu->loaded = s;
}

void vmx_make_current(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u32 cpu = host_cpu();

	if (likely(s->cpu == cpu && vmx_cpus[cpu].active == s))
		return;
	if (s->cpu != cpu) {
		if (s->cpu != ~0u)
			host_run_on(s->cpu, vmx_clear, s);
		host_run_on(cpu, vmx_adopt, s);
	}
	/* Another CPU, or somebody else ran here since: the VPID may have expired. */
	v->dirty |= DIRTY_ROOT;
	if (unlikely(!vmx_cpus[cpu].on))
		return; /* the host is going down; vmx_run() sees it too */
	vmptrld(s->vmcs_pa);
	vmx_cpus[cpu].active = s;
	host_forget_branches();
}
