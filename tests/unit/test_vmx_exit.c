/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kernel/vmx/run.c and exit.c: one turn as the VMCS sees it, and what each kind of exit costs in VMREADs
 * and VMWRITEs. A function in the place of entry.S plays the processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/exits.h"
#include "host_test.h"
#include "standin/base/processor.h"
#include "vmx/vmx.h"

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu *const v = &vcpu;
static struct host_thread thread;
static struct fermata_run page;
static struct fermata_clock clock_page;
static struct vmx_vcpu *s;

static void (*guest)(u64 *regs); /* what the guest does in its turn */
static u32 entry_fails;		 /* what vmx_enter() says */

const char vmx_exit_point[1];

u32 vmx_enter(u64 *regs, bool launched, u64 *host_rsp)
{
	assert_ptr_equal(regs, page.regs);
	if (entry_fails)
		return entry_fails;
	guest(regs);
	return 0;
}

/* ---- kernel/vmx/host.c */

void vmx_host_constants(struct vmx_cpu *cpu)
{
}

void vmx_host_load(struct vcpu *vcpu)
{
}

void vmx_host_restore(struct vcpu *vcpu)
{
}

/* ---- a processor with everything */

static struct cpu_words intel(u32 leaf, u32 subleaf)
{
	if (leaf == 0)
		return (struct cpu_words){ 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 };
	return fake_cpuid(leaf, subleaf);
}

static void set_capabilities(void)
{
	u32 msr;

	for (msr = MSR_VMX_PIN; msr <= MSR_VMX_ENTRY; msr++)
		*fake_msr(msr) = 0xffffffff00000000;
	*fake_msr(MSR_VMX_BASIC) = (u64)BASIC_WRITE_BACK << 50 | 1;
	*fake_msr(MSR_VMX_PROC2) = 0xffffffff00000000;
	*fake_msr(MSR_VMX_EPT_VPID_CAP) = ~0ull;
	*fake_msr(MSR_VMX_CR0_FIXED1) = ~0ull;
	*fake_msr(MSR_VMX_CR4_FIXED1) = ~0ull;
	*fake_msr(0x3a) = BIT(0) | BIT(2); /* IA32_FEATURE_CONTROL: locked, VMX on */
}

#define OTHERS 0x5555000ull /* VMCS */

static bool beside; /* another hypervisor */

static int begin(void **state)
{
	struct fermata_caps caps = { .xcr0 = 7, .tsc_khz = 1000000, .phys_bits = 48 };

	host_test_reset();
	fake_processor_reset();
	fake_processor.cpuid = intel;
	set_capabilities();
	memset(&fake_vmcs, 0, sizeof(fake_vmcs));
	memset(&vm, 0, sizeof(vm));
	memset(v, 0, sizeof(*v));
	memset(&page, 0, sizeof(page));
	entry_fails = 0;
	vmx_backend.detect(&caps);
	assert_int_equal(caps.blocked, 0);
	backend_options.beside = beside;
	if (beside) {
		fake_processor.cr4 = BIT_ULL(13);
		fake_vmcs.on = true;
		fake_vmcs.current = OTHERS;
	}
	assert_int_equal(vmx_backend.setup(0), 0);
	assert_int_equal(vmx_backend.cpu_on(), 0);
	assert_int_equal(vm_init(&vm, &vmx_backend, &caps, &(struct fermata_vm_config){ 0 },
				 &clock_page),
			 0);
	assert_int_equal(vcpu_init(v, &vm, 0, &thread, &page), 0);
	s = v->hw;
	host_guest_begin(v->thread, 1, 0);
	vmx_backend.load(v, 0);
	return 0;
}

static int end(void **state)
{
	vmx_backend.unload(v);
	host_guest_end(v->thread);
	vcpu_destroy(v);
	vm_destroy(&vm);
	vmx_backend.cpu_off();
	vmx_backend.teardown();
	assert_int_equal(host_test_leaks(), 0);
	return 0;
}

#define VMX_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

/* ---- what an exit costs */

static u32 reason;
static u64 qualification;

static void exits(u64 *regs)
{
	fake_vmcs.field[VMCS_EXIT_REASON] = reason;
	fake_vmcs.field[VMCS_EXIT_QUALIFICATION] = qualification;
	fake_vmcs.field[VMCS_EXIT_INSTRUCTION_LENGTH] = 2;
}

/* From one exit of that kind to the next: the record, the answer, the entry. docs/vmx.md has the table. */
static void costs(u32 exit_reason, u32 reads, u32 writes)
{
	guest = exits;
	reason = exit_reason;
	vmx_run(v);
	fake_vmcs.reads = fake_vmcs.writes = 0;
	exit_answer(v);
	vmx_run(v);
	assert_int_equal(fake_vmcs.reads, reads);
	assert_int_equal(fake_vmcs.writes, writes);
}

static void cpuid_cost(void **state)
{
	costs(VMX_EXIT_CPUID, 4, 1);
	assert_int_equal(v->exit.kind, EXIT_CPUID);
}

static void hypercall_cost(void **state)
{
	costs(VMX_EXIT_VMCALL, 4, 1);
	assert_int_equal((s64)page.regs[FERMATA_RAX], -38);
}

static void rdtsc_cost(void **state)
{
	costs(VMX_EXIT_RDTSC, 4, 1);
}

static void msr_cost(void **state)
{
	page.regs[FERMATA_RCX] = ARCH_MSR_APIC_BASE;
	costs(VMX_EXIT_MSR_READ, 4, 1);
	assert_int_equal(page.regs[FERMATA_RAX], 0xfee00900);
	page.regs[FERMATA_RCX] = ARCH_MSR_MTRR_DEF_TYPE;
	page.regs[FERMATA_RAX] = 6;
	page.regs[FERMATA_RDX] = 0;
	costs(VMX_EXIT_MSR_WRITE, 4, 1);
	assert_int_equal(v->guest.mtrr_def_type, 6);
	/* The TSC offset goes in. */
	page.regs[FERMATA_RCX] = ARCH_MSR_TSC_ADJUST;
	costs(VMX_EXIT_MSR_WRITE, 4, 2);
}

/* A port whose reads are foretold; to user space the record and the entry cost the same. */
static void port_cost(void **state)
{
	const struct fermata_forecast counter = {
		.kind = FERMATA_FORECAST_COUNTER, .port = 0x608, .size = 4, .hz = 3579545
	};

	assert_int_equal(forecast_set(&vm.forecasts, &counter), 0);
	qualification = 0x608 << 16 | BIT(3) | 3;
	costs(VMX_EXIT_IO, 5, 1);
	assert_int_equal(v->exit.kind, EXIT_IO);
	assert_int_equal(v->advance, 0); /* done by the entry */
}

static void fault_cost(void **state)
{
	qualification = EPT_LINEAR_VALID | EPT_FINAL | EPT_WRITE;
	costs(VMX_EXIT_EPT_VIOLATION, 5, 0);
	assert_int_equal(v->exit.kind, EXIT_NESTED_FAULT);
}

static void interrupt_cost(void **state)
{
	costs(VMX_EXIT_EXTERNAL_INTERRUPT, 2, 0);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	costs(VMX_EXIT_PREEMPTION_TIMER, 2, 0);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
}

/* An event on its way in: one write; where an error code goes with it, two. */
static void injection_cost(void **state)
{
	guest = exits;
	reason = VMX_EXIT_EXTERNAL_INTERRUPT;
	vmx_run(v);
	fake_vmcs.reads = fake_vmcs.writes = 0;
	vmx_inject(v, &(struct injection){ .kind = INJECT_INTERRUPT, .vector = 0x40 });
	assert_int_equal(fake_vmcs.reads, 0);
	assert_int_equal(fake_vmcs.writes, 1);
	assert_int_equal(fake_vmcs.field[VMCS_ENTRY_INTERRUPTION_INFO],
			 0x40 | INTERRUPTION_EXTERNAL | INTERRUPTION_VALID);
}

/* ---- the turn itself */

static void goes_on(void **state)
{
	u64 rip = s->rip;

	guest = exits;
	reason = VMX_EXIT_CPUID;
	fake_vmcs.field[VMCS_GUEST_RIP] = rip;
	vmx_run(v);
	assert_int_equal(v->exit.rip, rip);
	assert_int_equal(v->exit.length, 2);
	assert_int_equal(exit_answer(v), GO_ON);
	vmx_run(v);
	assert_int_equal(fake_vmcs.field[VMCS_GUEST_RIP], rip + 2);
	assert_true(s->launched);
}

static u64 rsp_seen, cr2_seen;

static void looks(u64 *regs)
{
	exits(regs);
	rsp_seen = fake_vmcs.field[VMCS_GUEST_RSP];
	cr2_seen = fake_processor.cr2;
	fake_processor.cr2 = 0x2000;
	s->virtual_apic[0x80 / 4] = 0x90;
}

static void by_hand(void **state)
{
	guest = looks;
	reason = VMX_EXIT_CPUID;
	page.regs[FERMATA_RSP] = 0x7000;
	s->extra |= EXTRA_RSP;
	v->guest.cr2 = 0x1000;
	vmx_run(v);
	assert_int_equal(rsp_seen, 0x7000);
	assert_int_equal(cr2_seen, 0x1000);
	assert_int_equal(v->guest.cr2, 0x2000);
	assert_int_equal(apic_tpr(&v->apic), 9);
	page.regs[FERMATA_RSP] = 0x8000; /* the VMCS has its own by now */
	vmx_run(v);
	assert_int_equal(rsp_seen, 0x7000);
}

static void breakpoints(void **state)
{
	guest = exits;
	vmx_run(v);
	assert_int_equal(fake_processor.dr_writes, 0);
	v->guest.dr[1] = 0x1234;
	v->guest.dr7 = ARCH_DR7_FIXED | BIT(2);
	v->dirty |= DIRTY_DEBUG;
	vmx_run(v);
	assert_int_equal(fake_processor.dr[1], 0x1234);
	assert_int_equal(fake_processor.dr[7], ARCH_DR7_FIXED);
	assert_int_equal(fake_vmcs.field[VMCS_GUEST_DR7], v->guest.dr7);
	v->guest.dr7 = ARCH_DR7_FIXED;
	v->dirty |= DIRTY_DEBUG;
	fake_processor.dr_writes = 0;
	vmx_run(v);
	assert_int_equal(fake_processor.dr_writes, 0);
}

static u32 keys_seen;

static void changes_keys(u64 *regs)
{
	exits(regs);
	keys_seen = fake_processor.pkru;
	fake_processor.pkru = 0x20;
}

/* PKRU is the guest's for its turn, and written where the two differ. */
static void protection_keys(void **state)
{
	static const u64 reaching[] = { ARCH_CR4_PKE, ARCH_CR4_OSXSAVE,
					ARCH_CR4_PKE | ARCH_CR4_OSXSAVE };
	struct where where;
	u32 i;

	guest = changes_keys;
	vm.config.pkru_at = 2688;
	for (i = 0; i < ARRAY_SIZE(reaching); i++) {
		v->guest.cr4 = reaching[i];
		v->dirty |= DIRTY_CONTROL;
		v->guest.pkru = 0x10;
		fake_processor.pkru = 0x55555554;
		fake_processor.pkru_writes = 0;
		vmx_run(v);
		assert_int_equal(keys_seen, 0x10);
		assert_int_equal(v->guest.pkru, 0x20);
		assert_int_equal(fake_processor.pkru, 0x55555554);
		assert_int_equal(fake_processor.pkru_writes, 2);
		vmx_where(v, &where);
		assert_int_equal(where.paging.pkru, 0x20);
	}
	fake_processor.pkru = 0x20; /* all alike */
	vmx_run(v);
	assert_int_equal(keys_seen, 0x20);
	assert_int_equal(fake_processor.pkru_writes, 2);
	/* An entry that fails brings the host's back, too. */
	v->guest.pkru = 0x30;
	guest = exits;
	entry_fails = 1;
	vmx_run(v);
	entry_fails = 0;
	assert_int_equal(v->guest.pkru, 0x30);
	assert_int_equal(fake_processor.pkru, 0x20);
	/* Out of the guest's reach it keeps what it had. */
	v->guest.cr4 = 0;
	v->dirty |= DIRTY_CONTROL;
	fake_processor.pkru = 0x55555554;
	fake_processor.pkru_writes = 0;
	vmx_run(v);
	assert_int_equal(v->guest.pkru, 0x30);
	assert_int_equal(fake_processor.pkru_writes, 0);
	/* The host uses no keys, and has no such instructions. */
	vm.config.pkru_at = 0;
	v->guest.cr4 = ARCH_CR4_OSXSAVE;
	v->dirty |= DIRTY_CONTROL;
	vmx_run(v);
	assert_int_equal(v->guest.pkru, 0x30);
	assert_int_equal(fake_processor.pkru_writes, 0);
}

static u64 pebs_seen;
static u32 loads_seen;

static void is_sampled(u64 *regs)
{
	exits(regs);
	pebs_seen = *fake_msr(ARCH_MSR_PEBS_ENABLE);
	loads_seen = fake_vmcs.field[VMCS_ENTRY_MSR_LOAD_COUNT];
}

/* PEBS comes to rest before the entry, which loads what it is to be in the guest; the exit loads the host's. */
static void pebs(void **state)
{
	const struct vmx_msr_area *area = s->msr_area;

	guest = is_sampled;
	reason = VMX_EXIT_CPUID;
	*fake_msr(ARCH_MSR_PEBS_ENABLE) = 1;
	v->dirty |= DIRTY_HOST;
	vmx_run(v);
	assert_int_equal(pebs_seen, 1); /* not ours to touch */
	assert_int_equal(loads_seen, 0);

	host_test.sampling = (struct host_sampling){ 3, 0x70000000f, 0x70000000c };
	v->dirty |= DIRTY_HOST;
	vmx_run(v);
	assert_int_equal(pebs_seen, 0);
	assert_int_equal(loads_seen, 2);
	assert_int_equal(fake_vmcs.field[VMCS_EXIT_MSR_LOAD_COUNT], 2);
	assert_int_equal(fake_vmcs.field[VMCS_ENTRY_MSR_LOAD_ADDR], host_virt_to_phys(area->guest));
	assert_int_equal(fake_vmcs.field[VMCS_EXIT_MSR_LOAD_ADDR], host_virt_to_phys(area->host));
	assert_int_equal(area->guest[0].index, ARCH_MSR_PERF_GLOBAL_CTRL);
	assert_int_equal(area->guest[0].value, 0x70000000c);
	assert_int_equal(area->guest[1].index, ARCH_MSR_PEBS_ENABLE);
	assert_int_equal(area->guest[1].value, 0);
	assert_int_equal(area->host[0].index, ARCH_MSR_PEBS_ENABLE);
	assert_int_equal(area->host[0].value, 3);
	assert_int_equal(area->host[1].index, ARCH_MSR_PERF_GLOBAL_CTRL);
	assert_int_equal(area->host[1].value, 0x70000000f);

	*fake_msr(ARCH_MSR_PEBS_ENABLE) = 3; /* as the exit has loaded it */
	vmx_run(v);
	assert_int_equal(pebs_seen, 0);
	/* No exit comes from an entry that fails. */
	entry_fails = 1;
	vmx_run(v);
	assert_int_equal(*fake_msr(ARCH_MSR_PEBS_ENABLE), 3);
	entry_fails = 0;

	host_test.sampling.pebs_enable = 0;
	*fake_msr(ARCH_MSR_PEBS_ENABLE) = 1;
	v->dirty |= DIRTY_HOST;
	vmx_run(v);
	assert_int_equal(pebs_seen, 1);
	assert_int_equal(loads_seen, 0);
}

/* #AC that the host's TEST_CTRL raises is dealt with outside; the guest's own goes back to it. */
static void split_locks(void **state)
{
	guest = exits;
	reason = VMX_EXIT_CPUID;
	vmx_run(v); /* all that is dirty at first goes in */
	reason = VMX_EXIT_EXCEPTION_NMI;
	fake_vmcs.field[VMCS_EXIT_INTERRUPTION_INFO] = ARCH_AC | INTERRUPTION_EXCEPTION |
						       INTERRUPTION_HAS_CODE | INTERRUPTION_VALID;
	fake_vmcs.field[VMCS_GUEST_CR0] = ARCH_CR0_PE | ARCH_CR0_AM;
	fake_vmcs.field[VMCS_GUEST_RFLAGS] = ARCH_RFLAGS_FIXED | ARCH_RFLAGS_AC;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_EXCEPTION); /* no such detection here */
	host_test.detects_split_locks = true;
	v->waiting.valid = false;
	vmx_run(v); /* at CPL 0, where #AC means nothing else */
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(v->requests, BIT(REQUEST_SPLIT_LOCK));
	assert_int_equal(requests_inside(v), LEAVE_FOR_HOST);
	assert_int_equal(host_test.split_locks, 0);
	host_guest_end(v->thread);
	assert_int_equal(requests_outside(v), GO_ON);
	host_guest_begin(v->thread, 1, 0);
	assert_int_equal(host_test.split_locks, 1);
	assert_int_equal(host_test.split_lock_rip, v->exit.rip);
	assert_int_equal(v->requests, 0);
	assert_false(v->waiting.valid);

	fake_vmcs.field[VMCS_GUEST_ES_ACCESS + 4] |= 3 << 5; /* CPL 3, and it asked for it */
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_EXCEPTION);
	assert_int_equal(v->requests, 0);
	fake_vmcs.field[VMCS_GUEST_RFLAGS] = ARCH_RFLAGS_FIXED;
	vmx_run(v);
	assert_int_equal(v->requests, BIT(REQUEST_SPLIT_LOCK));
	fake_vmcs.field[VMCS_GUEST_RFLAGS] |= ARCH_RFLAGS_AC;
	fake_vmcs.field[VMCS_GUEST_CR0] = ARCH_CR0_PE;
	v->requests = 0;
	vmx_run(v);
	assert_int_equal(v->requests, BIT(REQUEST_SPLIT_LOCK));
	v->requests = 0;
}

/* Kernel IBRS: what an exit is to bring back is read where the host can have changed it, and nowhere else. */
static void speculation(void **state)
{
	guest = exits;
	reason = VMX_EXIT_CPUID;
	v->dirty |= DIRTY_HOST;
	host_test.speculation_noted = 0;
	vmx_run(v);
	assert_int_equal(host_test.speculation_noted, 1);
	vmx_run(v);
	assert_int_equal(host_test.speculation_noted, 1);
}

/* Below the threshold the guest's write to CR8 exits. */
static void tpr_threshold(void **state)
{
	guest = exits;
	apic_set_tpr(&v->apic, 8);
	v->apic.irr_highest = 0x51;
	vmx_run(v);
	assert_int_equal(fake_vmcs.field[VMCS_TPR_THRESHOLD], 5);
	v->apic.irr_highest = 0;
	vmx_run(v);
	assert_int_equal(fake_vmcs.field[VMCS_TPR_THRESHOLD], 0);
}

static void refusals(void **state)
{
	guest = exits;
	entry_fails = 1;
	fake_vmcs.field[VMCS_INSTRUCTION_ERROR] = 7;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_FAIL_ENTRY);
	assert_int_equal(v->exit.code, VMX_INSTRUCTION_FAILED);
	assert_int_equal(v->exit.info1, 7);
	assert_false(s->launched);
	entry_fails = 0;
	reason = VMX_ENTRY_FAILURE | 33;
	qualification = 4;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_FAIL_ENTRY);
	assert_int_equal(v->exit.code, 33);
	assert_int_equal(v->exit.info1, 4);
	assert_int_equal(host_test.machine_checks, 0);
	reason = VMX_ENTRY_FAILURE | VMX_EXIT_MACHINE_CHECK;
	vmx_run(v);
	assert_int_equal(host_test.machine_checks, 1);
}

/* The host has switched VMX off: nobody's fault, and nothing to report. */
static void switched_off(void **state)
{
	guest = exits;
	entry_fails = 2;
	vmx_cpus[0].on = false;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	vmx_cpus[0].on = true;
}

static void unknown_reasons(void **state)
{
	guest = exits;
	reason = 200;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_UNCLAIMED);
	assert_int_equal(v->exit.code, 200);
	reason = VMX_EXIT_EPT_MISCONFIG;
	fake_vmcs.field[VMCS_GUEST_PHYSICAL_ADDRESS] = 0x5000;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_UNCLAIMED);
	assert_int_equal(v->exit.info2, 0x5000);
}

/* Reasons that stand for several instructions: the qualification or the information says which it was. */
static void told_apart(void **state)
{
	static const struct {
		u32 reason, qualification, info;
		u8 kind;
	} row[] = {
		{ VMX_EXIT_GDTR_IDTR, 0, 0 << 28, EXIT_SGDT },
		{ VMX_EXIT_GDTR_IDTR, 0, 1 << 28, EXIT_SIDT },
		{ VMX_EXIT_GDTR_IDTR, 0, 2 << 28, EXIT_LGDT },
		{ VMX_EXIT_GDTR_IDTR, 0, 3 << 28, EXIT_LIDT },
		{ VMX_EXIT_LDTR_TR, 0, 0 << 28, EXIT_SLDT },
		{ VMX_EXIT_LDTR_TR, 0, 1 << 28, EXIT_STR },
		{ VMX_EXIT_LDTR_TR, 0, 2 << 28, EXIT_LLDT },
		{ VMX_EXIT_LDTR_TR, 0, 3 << 28, EXIT_LTR },
		{ VMX_EXIT_CR_ACCESS, 0 << 4, 0, EXIT_CR_WRITE },
		{ VMX_EXIT_CR_ACCESS, 1 << 4, 0, EXIT_CR_READ },
		{ VMX_EXIT_CR_ACCESS, 2 << 4, 0, EXIT_CR_WRITE },
		{ VMX_EXIT_CR_ACCESS, 3 << 4, 0, EXIT_CR_WRITE },
		{ VMX_EXIT_DR_ACCESS, 0 << 4, 0, EXIT_DR_WRITE },
		{ VMX_EXIT_DR_ACCESS, 1 << 4, 0, EXIT_DR_READ },
		{ VMX_EXIT_RDRAND, 0, 9 << 3 | 2 << 11, EXIT_RDRAND },
		{ VMX_EXIT_RDSEED, 0, 9 << 3 | 2 << 11, EXIT_RDSEED },
	};

	guest = exits;
	for (u32 i = 0; i < ARRAY_SIZE(row); i++) {
		reason = row[i].reason;
		qualification = row[i].qualification;
		fake_vmcs.field[VMCS_EXIT_INSTRUCTION_INFO] = row[i].info;
		vmx_run(v);
		assert_int_equal(v->exit.kind, row[i].kind);
		assert_int_equal(v->exit.length, 2);
	}
	assert_int_equal(v->exit.random.reg, 9);
	assert_int_equal(v->exit.random.size, 8);
}

/* An exit loads CR4 as the host has it when the guest is entered, not as it was when the stay began. */
static void control_registers_of_the_host(void **state)
{
	guest = exits;
	reason = VMX_EXIT_EXTERNAL_INTERRUPT;
	fake_processor.cr4 = ARCH_CR4_PAE;
	v->dirty |= DIRTY_HOST;
	vmx_run(v);
	assert_int_equal(fake_vmcs.field[VMCS_HOST_CR4], ARCH_CR4_PAE);
	fake_processor.cr4 |= ARCH_CR4_PCE;
	fake_processor.cr3 = 0x5001;
	v->dirty |= vmx_backend.dirty_by_host;
	vmx_run(v);
	assert_int_equal(fake_vmcs.field[VMCS_HOST_CR4], ARCH_CR4_PAE | ARCH_CR4_PCE);
	assert_int_equal(fake_vmcs.field[VMCS_HOST_CR3], 0x5001);
	fake_vmcs.writes = 0;
	v->dirty |= vmx_backend.dirty_by_host;
	vmx_run(v);
	assert_int_equal(fake_vmcs.writes, 0);
}

/* The processor has the host's MCE; the guest reads its own from the shadow, and its writes exit. */
static void machine_checks_are_the_hosts(void **state)
{
	guest = exits;
	reason = VMX_EXIT_EXTERNAL_INTERRUPT;
	fake_processor.cr4 = ARCH_CR4_MCE;
	for (u64 own = 0; own <= ARCH_CR4_MCE; own += ARCH_CR4_MCE) {
		v->guest.cr0 |= ARCH_CR0_PE;
		v->guest.cr4 = ARCH_CR4_PAE | own;
		v->dirty |= DIRTY_CONTROL;
		vmx_run(v);
		assert_int_equal(fake_vmcs.field[VMCS_GUEST_CR4] & (ARCH_CR4_PAE | ARCH_CR4_MCE),
				 ARCH_CR4_PAE | ARCH_CR4_MCE);
		assert_int_equal(fake_vmcs.field[VMCS_CR4_SHADOW], v->guest.cr4);
		assert_true(fake_vmcs.field[VMCS_CR4_MASK] & ARCH_CR4_MCE);
		vmx_sync(v);
		assert_int_equal(v->guest.cr4, ARCH_CR4_PAE | own);
	}
}

/* An NMI that ended a turn could not be handed to such a host. */
static void fred_is_refused(void **state)
{
	struct fermata_caps caps = { 0 };

	vmx_backend.detect(&caps);
	assert_int_equal(caps.blocked, 0);
	fake_processor.cr4 = ARCH_CR4_FRED;
	vmx_backend.detect(&caps);
	assert_int_equal(caps.blocked, FERMATA_BLOCK_FRED);
	fake_processor.cr4 = 0;
}

/* A machine check in the middle of an event's delivery: the host's handler runs, and the event goes in again. */
static void machine_check(void **state)
{
	guest = exits;
	reason = VMX_EXIT_EXCEPTION_NMI;
	fake_vmcs.field[VMCS_EXIT_INTERRUPTION_INFO] = ARCH_MC | INTERRUPTION_EXCEPTION |
						       INTERRUPTION_VALID;
	fake_vmcs.field[VMCS_IDT_VECTORING_INFO] = 0x41 | INTERRUPTION_VALID;
	vmx_run(v);
	assert_int_equal(host_test.machine_checks, 1);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_true(v->waiting.valid);
	assert_int_equal(v->waiting.injection.vector, 0x41);
	v->waiting.valid = false;
}

/* The host has crashed: no VMCS is left in this CPU's caches, VMX is off, and nothing is entered any more. */
static void crashed_host(void **state)
{
	assert_true(fake_vmcs.on);
	fake_vmcs.clears = 0;
	vmx_backend.cpu_emergency();
	assert_int_equal(fake_vmcs.clears, 1);
	assert_int_equal(fake_vmcs.current, 0);
	assert_false(fake_vmcs.on);
	entry_fails = 2;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	vmx_backend.cpu_emergency();
	assert_int_equal(fake_vmcs.clears, 1);
	vmx_backend.cpu_on();
}

/* A core of another kind: what nobody uses may differ, and what does is named. */
static void other_cores(void **state)
{
	static const struct {
		u32 msr;
		u64 flip;
		const char *name; /* NULL: nothing of ours */
	} row[] = {
		{ MSR_VMX_BASIC, 2, "revision, bits 0x3" },
		{ MSR_VMX_PIN, 1ull << 37, "pin-based controls, bits 0x20" }, /* virtual NMIs */
		{ MSR_VMX_PIN, 1ull << 39, NULL },	 /* posted interrupts */
		{ MSR_VMX_PROC, 1ull << 62, "primary" }, /* PAUSE exiting, for rules */
		{ MSR_VMX_PROC, 1ull << 59, NULL },	 /* monitor trap flag */
		{ MSR_VMX_PROC2, 1ull << 37,
		  "secondary processor-based controls, bits 0x20" }, /* VPID */
		{ MSR_VMX_PROC2, 1ull << 43, "secondary" },	     /* RDRAND exiting, for rules */
		{ MSR_VMX_PROC2, 1ull << 49, NULL },		     /* PML */
		{ MSR_VMX_ENTRY, 1ull << 46, "VM-exit" }, /* its half of the pair goes, too */
		{ MSR_VMX_EXIT, 1ull << 51, "VM-exit" },
		{ MSR_VMX_EPT_VPID_CAP, BIT_ULL(16), "EPT_VPID" },
		{ MSR_VMX_EPT_VPID_CAP, BIT_ULL(23), NULL }, /* supervisor shadow stacks */
		{ MSR_VMX_CR4_FIXED1, ARCH_CR4_LA57, "CR4_FIXED1, bits 0x1000" },
		{ MSR_VMX_CR4_FIXED1, ARCH_CR4_CET, NULL },
		{ MSR_VMX_CR0_FIXED0, ARCH_CR0_NE, "CR0_FIXED0" },
		{ MSR_VMX_CR4_FIXED0, BIT_ULL(13), "CR4_FIXED0" },
	};

	vmx_backend.cpu_off();
	for (u32 i = 0; i < ARRAY_SIZE(row); i++) {
		u64 was = *fake_msr(row[i].msr);

		host_test.last_log[0] = 0;
		*fake_msr(row[i].msr) = row[i].flip == 2 ? was ^ 3 : was ^ row[i].flip;
		assert_int_equal(vmx_backend.cpu_on(), row[i].name ? -ENODEV : 0);
		if (!row[i].name)
			vmx_backend.cpu_off();
		else if (!strstr(host_test.last_log, row[i].name))
			fail_msg("row %u: %s", i, host_test.last_log);
		*fake_msr(row[i].msr) = was;
	}
	assert_int_equal(vmx_backend.cpu_on(), 0);
	host_guest_end(v->thread);
	vmx_backend.load(v, 0);
	host_guest_begin(v->thread, 1, 0);
}

/* A value that no check has caught: WRMSR faults, the guest is not entered, and the vCPU ends. */
static void never(u64 *regs)
{
	fail_msg("entered");
}

static void refused_syscall_msr(void **state)
{
	guest = never;
	s->syscalls[3] = 1ull << 32;
	v->guest.efer |= ARCH_EFER_SCE;
	v->dirty |= DIRTY_CONTROL;
	v->guest.cr0 |= ARCH_CR0_PE;
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(requests_inside(v), LEAVE_FOR_USER);
	assert_int_equal(page.exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	assert_int_equal(page.exit.hw_info1, 1ull << 32);
	assert_string_equal(v->audit.finding[0].field, "SFMASK");
	assert_true(s->host.syscalls); /* so that the host's come back */
}

/* ---- what equals is not written */

static void equal_msrs(void **state)
{
	const u64 host[] = { 0x23001000000000, 0xffffffff81000000, 0, 0x257fd5 };
	struct vmx_cpu *here = (struct vmx_cpu *)s->here;

	for (u32 i = 0; i < SYSCALL_MSRS; i++)
		*fake_msr(ARCH_MSR_STAR + i) = here->syscalls[i] = s->syscalls[i] = host[i];
	s->syscalls[1] = 0xffffffff92000000;
	fake_processor.msr_writes = 0;
	vmx_load_syscalls(v);
	assert_int_equal(fake_processor.msr_writes, 1);
	assert_int_equal(*fake_msr(ARCH_MSR_LSTAR), 0xffffffff92000000);
	/* By WRMSR: one that was alike, and one that has become so. */
	*vmx_msr(v, ARCH_MSR_SFMASK) = *fake_msr(ARCH_MSR_SFMASK) = 0x200;
	*vmx_msr(v, ARCH_MSR_LSTAR) = *fake_msr(ARCH_MSR_LSTAR) = host[1];
	fake_processor.msr_writes = 0;
	vmx_restore_syscalls(s);
	assert_int_equal(fake_processor.msr_writes, 1);
	for (u32 i = 0; i < SYSCALL_MSRS; i++)
		assert_int_equal(*fake_msr(ARCH_MSR_STAR + i), host[i]);
	assert_false(s->host.syscalls);
}

static void faults(u64 *regs)
{
	fake_processor.cr2 = 0x7000;
}

static void equal_cr2(void **state)
{
	guest = faults;
	v->guest.cr2 = fake_processor.cr2 = 0x5000;
	vmx_run(v);
	assert_int_equal(v->guest.cr2, 0x7000);
	vmx_run(v);
	assert_int_equal(fake_processor.cr2_writes, 0);
	fake_processor.cr2 = 0x6000; /* the host's own page fault */
	vmx_run(v);
	assert_int_equal(fake_processor.cr2_writes, 1);
}

/* ---- beside another hypervisor */

static int begin_beside(void **state)
{
	beside = true;
	return begin(state);
}

static int end_beside(void **state)
{
	beside = false;
	return end(state);
}

/* Its VMCS is the current one whenever interrupts are on. */
static void vmcs_beside(void **state)
{
	assert_int_equal(fake_vmcs.current, OTHERS);
	vmx_backend.take(v);
	assert_int_equal(fake_vmcs.current, s->vmcs_pa);
	vmx_get_reg(v, HW_RFLAGS); /* from a handler */
	assert_int_equal(fake_vmcs.current, s->vmcs_pa);
	vmx_backend.give(v);
	assert_int_equal(fake_vmcs.current, OTHERS);
	vmx_get_reg(v, HW_RFLAGS); /* from elsewhere */
	assert_int_equal(fake_vmcs.current, OTHERS);
	/* It has cleared that one meanwhile: it must not come back. */
	fake_vmcs.current = 0;
	vmx_backend.take(v);
	assert_int_equal(fake_vmcs.current, s->vmcs_pa);
	vmx_backend.give(v);
	assert_int_not_equal(fake_vmcs.current, OTHERS);
	fake_vmcs.current = OTHERS;
}

static void off_beside(void **state)
{
	guest = never;
	fake_vmcs.clears = 0;
	vmx_backend.cpu_off();
	assert_int_equal(fake_vmcs.clears, 1); /* VMXOFF would spoil it (SDM 3C 25.11.1) */
	assert_true(fake_vmcs.on);
	assert_int_equal(fake_vmcs.current, OTHERS);
	/* A thread that is still there reaches no VMCS but its own, and leaves nothing behind. */
	v->dirty |= DIRTY_HOST;
	vmx_backend.take(v);
	assert_int_equal(fake_vmcs.current, s->vmcs_pa);
	vmx_run(v);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(v->requests & BIT_ULL(REQUEST_REFUSED), 0);
	vmx_backend.give(v);
	assert_int_equal(fake_vmcs.clears, 2);
	assert_int_equal(fake_vmcs.current, OTHERS);
	vmx_backend.cpu_on();
}

static void lost_beside(void **state)
{
	guest = never;
	fake_vmcs.gone = true;
	v->dirty |= DIRTY_HOST;
	vmx_backend.take(v);
	vmx_run(v);
	vmx_backend.give(v);
	assert_int_equal(v->exit.kind, EXIT_NOTHING);
	assert_int_equal(requests_inside(v), LEAVE_FOR_USER);
	assert_int_equal(page.exit.reason, FERMATA_EXIT_FAIL_ENTRY);
	assert_string_equal(v->audit.finding[0].field, "CR4.VMXE, EFER.SVME");
	fake_vmcs.gone = false;
}

static void refused_beside(void **state)
{
	vmx_backend.cpu_off();
	fake_processor.cr4 = 0;
	assert_int_equal(vmx_backend.cpu_on(), -EBUSY);
	fake_processor.cr4 = BIT_ULL(13);
	fake_vmcs.gone = true;
	assert_int_equal(vmx_backend.cpu_on(), -EBUSY);
	fake_vmcs.gone = false;
	assert_int_equal(vmx_backend.cpu_on(), 0);
}

/* MSRs that may be its guest's: vmx_host_restore() writes what was found. */
static void msrs_beside(void **state)
{
	*fake_msr(ARCH_MSR_LSTAR) = 0x1234;
	*fake_msr(ARCH_MSR_SFMASK) = 0x200;
	s->syscalls[1] = 0x5678;
	vmx_load_syscalls(v);
	assert_int_equal(*fake_msr(ARCH_MSR_LSTAR), 0x5678);
	vmx_load_syscalls(v); /* the guest has changed one: nothing is found anew */
	assert_int_equal(s->host.found[1], 0x1234);
	assert_int_equal(s->host.found[3], 0x200);
	vmx_backend.unload(v);
	*fake_msr(ARCH_MSR_EFER) = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_SCE;
	vmx_backend.load(v, 0);
	assert_int_equal(fake_vmcs.field[VMCS_HOST_EFER],
			 ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_SCE);
}

#define BESIDE_TEST(name) cmocka_unit_test_setup_teardown(name, begin_beside, end_beside)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VMX_TEST(equal_msrs),
		VMX_TEST(equal_cr2),
		BESIDE_TEST(vmcs_beside),
		BESIDE_TEST(off_beside),
		BESIDE_TEST(lost_beside),
		BESIDE_TEST(refused_beside),
		BESIDE_TEST(msrs_beside),
		VMX_TEST(control_registers_of_the_host),
		VMX_TEST(machine_checks_are_the_hosts),
		VMX_TEST(fred_is_refused),
		VMX_TEST(machine_check),
		VMX_TEST(crashed_host),
		VMX_TEST(refused_syscall_msr),
		VMX_TEST(cpuid_cost),
		VMX_TEST(hypercall_cost),
		VMX_TEST(rdtsc_cost),
		VMX_TEST(msr_cost),
		VMX_TEST(port_cost),
		VMX_TEST(fault_cost),
		VMX_TEST(interrupt_cost),
		VMX_TEST(injection_cost),
		VMX_TEST(goes_on),
		VMX_TEST(by_hand),
		VMX_TEST(breakpoints),
		VMX_TEST(pebs),
		VMX_TEST(split_locks),
		VMX_TEST(speculation),
		VMX_TEST(other_cores),
		VMX_TEST(tpr_threshold),
		VMX_TEST(protection_keys),
		VMX_TEST(refusals),
		VMX_TEST(switched_off),
		VMX_TEST(unknown_reasons),
		VMX_TEST(told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
