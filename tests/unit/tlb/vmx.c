/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Intel's processor: VM entry and exit, VMCSs and which CPU holds them (SDM 3C 25.11), INVVPID and INVEPT.
 * What each of these drops, and what it leaves: SDM 3C 29.4.3.
 */
#include "base/processor.h"
#include "model.h"
#include "standin/vmx/instructions.h"
#include "vmx/vmx.h"

#define ADDRESS 0x000ffffffffff000ull
#define MSR_FEATURE_CONTROL 0x3a
#define REGIONS 32 /* VMCSs that were ever cleared */
#define NOWHERE (~0u)

/* A VMCS region's data, found by the number in its second word. */
static struct vmcs {
	u64 field[512], pa;
	u32 cpu; /* whose caches hold it; NOWHERE: it is in memory */
	bool launched;
} regions[REGIONS];
static u32 region_count;

static struct {
	struct vmcs *current;
	bool on;
} cpus[CPUS];

static bool forgetting; /* a CPU is being switched on */

/* The other hypervisor's VMCS, and on which CPU it believes it to be current; NOWHERE: it has cleared it. */
#define RIVAL_PA 0x7000ull
static struct vmcs rival;
static u32 rival_cpu;

static struct cpu_words model_cpuid(u32 leaf, u32 subleaf)
{
	if (leaf == 0)
		return (struct cpu_words){ 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 };
	return fake_cpuid(leaf, subleaf);
}

static void cpu_on(void *arg)
{
	forgetting = true;
	if (vmx_backend.cpu_on())
		wrong("a CPU cannot be switched on");
	forgetting = false;
}

static void cpu_off(void *arg)
{
	vmx_backend.cpu_off();
}

/* All controls may be 1; those of the config's must be. */
static void set_capabilities(const struct config *config)
{
	const u64 any = 0xffffffff00000000ull;

	for (u32 msr = MSR_VMX_PIN; msr <= MSR_VMX_ENTRY; msr++)
		*fake_msr(msr) = any;
	*fake_msr(MSR_VMX_PROC) = any | config->vmx_proc;
	*fake_msr(MSR_VMX_PROC2) = any;
	*fake_msr(MSR_VMX_BASIC) = (u64)BASIC_WRITE_BACK << 50 | 1;
	*fake_msr(MSR_VMX_EPT_VPID_CAP) = config->vmx_ept_vpid;
	*fake_msr(MSR_VMX_CR0_FIXED1) = ~0ull;
	*fake_msr(MSR_VMX_CR4_FIXED1) = ~0ull;
	*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_LME | ARCH_EFER_LMA;
	*fake_msr(MSR_FEATURE_CONTROL) = BIT(0) | BIT(2); /* locked, VMX on */
}

const struct backend *vmx_model_begin(const struct config *config, struct fermata_caps *caps)
{
	fake_processor_reset();
	set_capabilities(config);
	fake_processor.cpuid = model_cpuid;
	fake_processor.cr0 = ARCH_CR0_PE | ARCH_CR0_PG;
	fake_processor.cr4 = ARCH_CR4_PAE;
	memset(cpus, 0, sizeof(cpus));
	rival_cpu = NOWHERE;
	if (config->rival)
		fake_processor.cr4 |= BIT_ULL(13);
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		cpus[cpu].on = config->rival;
	region_count = 0;
	vmx_backend.detect(caps);
	if (vmx_backend.setup(config->tags))
		wrong("the backend cannot be set up");
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		host_run_on(cpu, cpu_on, NULL);
	return &vmx_backend;
}

void vmx_model_end(void)
{
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		host_run_on(cpu, cpu_off, NULL);
	vmx_backend.teardown();
}

static struct model_vcpu *vcpu_of(u64 *regs)
{
	struct fermata_run *run = container_of(regs, struct fermata_run, regs[0]);

	return container_of(run, struct model_vcpu, page);
}

/* ---- the other hypervisor */

void vmx_model_rival(void)
{
	u32 cpu = host_cpu();

	if (rival_cpu == cpu && cpus[cpu].current != &rival)
		wrong("CPU %u: the other hypervisor's VMCS is not current any more", cpu);
	while (rival_cpu != cpu && rival_cpu != NOWHERE && interrupts_off(rival_cpu))
		yield();
	if (rival_cpu != cpu && rival_cpu != NOWHERE && cpus[rival_cpu].current == &rival)
		cpus[rival_cpu].current = NULL; /* an IPI has cleared it */
	rival_cpu = cpu;
	cpus[cpu].current = &rival;
}

void vmx_model_rival_leaves(void)
{
	u32 cpu = host_cpu();

	if (cpus[cpu].current == &rival)
		cpus[cpu].current = NULL;
	if (rival_cpu == cpu)
		rival_cpu = NOWHERE;
}

/* ---- VMXON, and VMCSs */

bool vmx_on(u64 region)
{
	cpus[host_cpu()].on = true;
	return true;
}

void vmx_off(void)
{
	cpus[host_cpu()].on = false;
	cpus[host_cpu()].current = NULL;
}

static void check_on(const char *what)
{
	if (!cpus[host_cpu()].on)
		wrong("%s outside of VMX operation", what);
}

static struct vmcs *region_at(u64 pa)
{
	u64 number = memory_read(pa + 8);

	check_on("VMPTRLD or VMCLEAR");
	return number ? &regions[number - 1] : NULL;
}

void vmclear(u64 pa)
{
	struct vmcs *c = region_at(pa);
	u32 cpu = host_cpu();

	if (!c) {
		if (region_count == REGIONS)
			wrong("too many VMCSs");
		c = &regions[region_count++];
		memset(c, 0, sizeof(*c));
		c->pa = pa;
		memory_write(pa + 8, region_count);
	} else if (c->cpu != NOWHERE && c->cpu != cpu) {
		wrong("VMCLEAR on CPU %u of a VMCS that CPU %u holds", cpu, c->cpu);
	}
	c->cpu = NOWHERE;
	c->launched = false;
	if (cpus[cpu].current == c)
		cpus[cpu].current = NULL;
}

bool vmptrst(u64 *pa)
{
	struct vmcs *c = cpus[host_cpu()].current;

	*pa = !c ? VMCS_NONE : c == &rival ? RIVAL_PA : c->pa;
	return true;
}

void vmptrld(u64 pa)
{
	struct vmcs *c;
	u32 cpu = host_cpu();

	if (pa == RIVAL_PA) {
		if (rival_cpu != cpu)
			wrong("VMPTRLD of the other hypervisor's VMCS, which it has cleared or moved");
		if (mutation.kind != LOSE_GIVE)
			cpus[cpu].current = &rival;
		return;
	}
	c = region_at(pa);
	if (!c)
		wrong("VMPTRLD of a region that was never cleared");
	if (c->cpu != NOWHERE && c->cpu != cpu)
		wrong("VMPTRLD on CPU %u of a VMCS that CPU %u holds", cpu, c->cpu);
	c->cpu = cpu;
	cpus[cpu].current = c;
}

static struct vmcs *current(void)
{
	struct vmcs *c = cpus[host_cpu()].current;

	if (!c)
		wrong("no current VMCS");
	if (c == &rival)
		wrong("VMREAD or VMWRITE of the other hypervisor's VMCS");
	return c;
}

/* By width, type and index of the encoding (SDM 3D appendix B). */
static u64 *at(struct vmcs *c, u32 field)
{
	if (field & ~0x6c3e)
		wrong("there is no field %#x", field);
	return &c->field[(field >> 13 & 3) << 7 | (field >> 10 & 3) << 5 | (field >> 1 & 31)];
}

u64 vmread(u32 field)
{
	return *at(current(), field);
}

u64 vmread_or_zero(u32 field)
{
	return vmread(field);
}

void vmwrite(u32 field, u64 value)
{
	*at(current(), field) = value;
}

/* ---- the host's state, which no walk looks at */

void vmx_host_constants(struct vmx_cpu *cpu)
{
}

void vmx_host_load(struct vcpu *v)
{
	vmwrite(VMCS_HOST_CR0, fake_processor.cr0);
	vmwrite(VMCS_HOST_CR4, fake_processor.cr4);
	vmwrite(VMCS_HOST_CS_SELECTOR, 0x10);
	vmwrite(VMCS_HOST_TR_SELECTOR, 0x40);
}

void vmx_host_restore(struct vcpu *v)
{
}

/* ---- flushes */

static bool lost(enum mutant kind, u64 type)
{
	return (mutation.kind == kind && mutation.type == type) ||
	       (mutation.kind == LOSE_FORGET && forgetting);
}

/* Linear and combined mappings, of every PCID and under every root. 0 is the VPID of those without one. */
bool __wrap_cpu_invvpid(u64 type, u16 vpid, u64 linear)
{
	static const u32 by[] = { BY_TAG | BY_LINEAR, BY_TAG, BUT_UNTAGGED, BY_TAG | BUT_GLOBAL };

	check_on("INVVPID");
	if (type > 3 || !(world.config->vmx_ept_vpid & VPID_CAP_ADDRESS << type) ||
	    !(world.config->vmx_ept_vpid & VPID_CAP_INVVPID))
		wrong("INVVPID of type %llu on a processor that does not have it", type);
	if (type != 2 && !vpid)
		return false;
	world.out->flushes++;
	if (!lost(LOSE_INVVPID, type))
		processor_drop(processor_here(),
			       DROP(KINDS_LINEAR, by[type], .tag = vpid, .linear = linear));
	return true;
}

/* The mutation: one CPU's INVEPT counts for all. */
static void pay_everywhere(u64 root)
{
	for (u32 i = 0; i < VMS; i++)
		for (u32 cpu = 0; world.vm[i] && cpu < CPUS; cpu++)
			if (world.vm[i]->vm.memory.radix.root_phys == root)
				world.vm[i]->vm.paid[cpu] = world.vm[i]->vm.memory.flush.generation;
}

/* Guest-physical mappings, and what was combined from them under every VPID: no linear ones. */
bool __wrap_cpu_invept(u64 type, u64 eptp)
{
	check_on("INVEPT");
	if (type < 1 || type > 2 ||
	    !(world.config->vmx_ept_vpid & EPT_CAP_INVEPT_SINGLE << (type - 1)) ||
	    !(world.config->vmx_ept_vpid & EPT_CAP_INVEPT))
		wrong("INVEPT of type %llu on a processor that does not have it", type);
	world.out->flushes++;
	if (!lost(LOSE_INVEPT, type))
		processor_drop(processor_here(),
			       DROP(KINDS_LINEAR | KINDS_NESTED, type == 1 ? BY_ROOT : BUT_UNNESTED,
				    .root = eptp & ADDRESS));
	if (mutation.kind == PAID_EVERYWHERE && !forgetting)
		pay_everywhere(eptp & ADDRESS);
	return true;
}

/* ---- a turn */

static void load(struct vmcs *c, struct context *context)
{
	u64 proc2 = *at(c, VMCS_PROC2_CONTROLS), cr4 = *at(c, VMCS_GUEST_CR4);

	context->intel = true;
	context->nested = context->ept = proc2 & PROC2_EPT;
	context->tag = proc2 & PROC2_VPID ? *at(c, VMCS_VPID) : 0;
	if (proc2 & PROC2_VPID && !context->tag)
		wrong("VM entry with VPID 0");
	context->root = context->nested ? *at(c, VMCS_EPT_POINTER) & ADDRESS : 0;
	context->cr3 = *at(c, VMCS_GUEST_CR3);
	context->wp = *at(c, VMCS_GUEST_CR0) & ARCH_CR0_WP;
	context->pge = cr4 & ARCH_CR4_PGE;
	context->pcide = cr4 & ARCH_CR4_PCIDE;
}

static void save(struct vmcs *c, const struct context *context)
{
	u64 *cr0 = at(c, VMCS_GUEST_CR0), *cr4 = at(c, VMCS_GUEST_CR4);

	*at(c, VMCS_GUEST_CR3) = context->cr3;
	*cr0 = (*cr0 & ~(u64)ARCH_CR0_WP) | (context->wp ? ARCH_CR0_WP : 0);
	*cr4 = (*cr4 & ~(u64)ARCH_CR4_PGE) | (context->pge ? ARCH_CR4_PGE : 0);
}

/* Entries and exits without VPIDs drop what lies under VPID 0, for all PCIDs and roots. */
static void flush(const struct context *context)
{
	if (context->tag)
		return;
	world.out->flushes++;
	processor_drop(processor_here(), DROP(KINDS_LINEAR, BY_TAG, .tag = 0));
}

/* CR0 or CR4 as the guest reads it. */
static u64 seen(struct vmcs *c, u32 field)
{
	bool cr4 = field == VMCS_GUEST_CR4;
	u64 mask = *at(c, cr4 ? VMCS_CR4_MASK : VMCS_CR0_MASK);

	return (*at(c, field) & ~mask) | (*at(c, cr4 ? VMCS_CR4_SHADOW : VMCS_CR0_SHADOW) & mask);
}

static void report(struct vmcs *c, u64 *regs, const struct turn *t, enum turn_end end)
{
	static const u16 reasons[] = {
		[TURN_INTERRUPT] = VMX_EXIT_EXTERNAL_INTERRUPT,
		[TURN_NESTED_FAULT] = VMX_EXIT_EPT_VIOLATION,
		[TURN_PAGE_FAULT] = VMX_EXIT_EXCEPTION_NMI,
		[TURN_CR0] = VMX_EXIT_CR_ACCESS,
		[TURN_CR3] = VMX_EXIT_CR_ACCESS,
		[TURN_CR4] = VMX_EXIT_CR_ACCESS,
		[TURN_INVLPG] = VMX_EXIT_INVLPG,
		[TURN_CPUID] = VMX_EXIT_CPUID,
	};
	u64 *qualification = at(c, VMCS_EXIT_QUALIFICATION);
	u32 access = t->reach.access;

	*at(c, VMCS_EXIT_REASON) = reasons[end];
	*at(c, VMCS_ENTRY_INTERRUPTION_INFO) &= ~(u64)INTERRUPTION_VALID;
	*at(c, VMCS_IDT_VECTORING_INFO) = 0;
	*at(c, VMCS_EXIT_INSTRUCTION_LENGTH) = LENGTH;
	switch (end) {
	case TURN_INTERRUPT:
	case TURN_CPUID:
		return;
	case TURN_NESTED_FAULT:
		*qualification = EPT_LINEAR_VALID | (t->reach.table ? 0 : EPT_FINAL) |
				 (access == RADIX_WRITE ? EPT_WRITE :
				  access == RADIX_EXEC	? EPT_FETCH :
							  EPT_READ);
		*at(c, VMCS_GUEST_PHYSICAL_ADDRESS) = t->reach.gpa;
		*at(c, VMCS_GUEST_LINEAR_ADDRESS) = t->linear;
		return;
	case TURN_PAGE_FAULT:
		*qualification = t->linear;
		*at(c, VMCS_EXIT_INTERRUPTION_INFO) = ARCH_PF | INTERRUPTION_EXCEPTION |
						      INTERRUPTION_HAS_CODE | INTERRUPTION_VALID;
		*at(c, VMCS_EXIT_ERROR_CODE) = t->reach.code;
		return;
	case TURN_CR0:
		*qualification = FERMATA_RCX << 8;
		regs[FERMATA_RCX] = seen(c, VMCS_GUEST_CR0) ^ t->value;
		return;
	case TURN_CR3:
		*qualification = 3 | FERMATA_RCX << 8;
		regs[FERMATA_RCX] = t->value;
		return;
	case TURN_CR4:
		*qualification = 4 | FERMATA_RCX << 8;
		regs[FERMATA_RCX] = seen(c, VMCS_GUEST_CR4) ^ t->value;
		return;
	case TURN_INVLPG:
		*qualification = t->linear;
		return;
	}
}

const char vmx_exit_point[1];

u32 vmx_enter(u64 *regs, bool launched, u64 *host_rsp)
{
	struct vmcs *c = current();
	struct model_vcpu *mv = vcpu_of(regs);
	struct turn t = { .rip = *at(c, VMCS_GUEST_RIP) };
	u64 proc = *at(c, VMCS_PROC_CONTROLS);
	enum turn_end end;

	if (c->launched != launched)
		wrong("VMLAUNCH of a VMCS that is launched, or VMRESUME of one that is not");
	c->launched = true;
	t.context.vm = mv->vm;
	load(c, &t.context);
	flush(&t.context);
	t.cr0_exits = *at(c, VMCS_CR0_MASK) & ARCH_CR0_WP;
	t.cr3_exits = proc & PROC_CR3_LOAD;
	t.cr4_exits = *at(c, VMCS_CR4_MASK) & ARCH_CR4_PGE;
	t.invlpg_exits = proc & PROC_INVLPG;
	t.faults_exit = *at(c, VMCS_EXCEPTION_BITMAP) & BIT(ARCH_PF);
	t.injected = *at(c, VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID;
	end = guest_turn(mv, &t);
	save(c, &t.context);
	flush(&t.context);
	report(c, regs, &t, end);
	return 0;
}
