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

/* ---- beside another hypervisor: ours is current only while interrupts are off; see beside.c */

/* No other CPU's caches may hold the VMCS. Preemption is off, interrupts are on. */
static void hold_here(struct vmx_vcpu *s)
{
	u32 cpu = host_cpu();

	if (likely(s->cpu == cpu))
		return;
	if (s->cpu != ~0u)
		host_run_on(s->cpu, vmx_clear, s);
	host_run_on(cpu, vmx_adopt, s);
}

static void swap_in(struct vmx_vcpu *s)
{
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];

	if (unlikely(s->cpu == ~0u))
		vmx_adopt(s); /* cleared since: the CPU is being switched off */
	if (unlikely(!vmptrst(&cpu->other))) {
		cpu->other = VMCS_NONE;
		cpu->on = false;
		cpu->lost = true;
	}
	/* Also where the CPU is not ours any more: what follows must not reach another's VMCS. */
	if (cpu->other != s->vmcs_pa)
		vmptrld(s->vmcs_pa);
}

static void swap_out(struct vmx_vcpu *s)
{
	struct vmx_cpu *cpu = &vmx_cpus[host_cpu()];

	if (unlikely(!cpu->on))
		vmx_clear(s);
	if (cpu->other != VMCS_NONE && cpu->other != s->vmcs_pa)
		vmptrld(cpu->other);
}

/* ---- in guest context: in turns(), interrupts off */

void vmx_take(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	s->taken = 1;
	swap_in(s);
}

void vmx_give(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	swap_out(s);
	s->taken = 0;
}

/* ---- elsewhere, interrupts on; or inside of the above */

void vmx_beside_begin(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	if (s->taken++)
		return;
	hold_here(s);
	host_irq_disable();
	swap_in(s);
}

void vmx_beside_end(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	if (--s->taken)
		return;
	swap_out(s);
	host_irq_enable();
}
