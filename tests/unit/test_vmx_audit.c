/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* kernel/vmx/audit/: a good state with one rule broken gets that rule named and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx/audit/audit.h"
#include "vmx/vmx.h"

/* No stay here is beside another hypervisor's. */
void vmx_beside_begin(struct vcpu *v)
{
}

void vmx_beside_end(struct vcpu *v)
{
}

#define PHYS 40
#define HIGH (1ull << PHYS)
#define ODD (1ull << 47) /* not canonical */
#define EVERYTHING 0xffffffff00000000ull

#define EXCEPTION(vector) (INTERRUPTION_VALID | INTERRUPTION_EXCEPTION | (vector))
#define EXTERNAL (INTERRUPTION_VALID | INTERRUPTION_EXTERNAL | 0x40)
#define NMI (INTERRUPTION_VALID | INTERRUPTION_NMI | 2)

/* audit.c's other half makes a VMCS current and reads it, which nothing here calls. */
void vmx_make_current(struct vcpu *v)
{
	fail();
}

/* ---- good states */

static struct vmx_limits limits;

static void code(struct vmx_segment *at, u16 selector, u64 access)
{
	*at = (struct vmx_segment){ selector, 0, 0xffffffff, access };
}

/* What Fermata programs on a recent processor, for a 64-bit kernel. */
static void long_mode(struct vmx_snapshot *at)
{
	u32 n;

	limits = (struct vmx_limits){
		/* All but one bit of each may be 1, and one must be. */
		.pin = 0xefffffff00000010,
		.proc = 0xfffffffe00000010,
		.proc2 = 0x7fffffff00000000,
		.exit = 0x7fffffff00000001,
		.entry = 0x7fffffff00000001,
		.misc = 4 << 16 | 7 << 6,
		.ept_vpid = EPT_CAP_4_LEVELS | EPT_CAP_WRITE_BACK,
		.vmfunc = 1,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = 0xffffffff,
		.efer = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_NXE | ARCH_EFER_SCE,
		.phys_bits = PHYS,
		.linear_bits = 48,
	};
	*at = (struct vmx_snapshot){
		.limits = &limits,
		.vtpr = 0x50,
		.pin = 0x10 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS,
		.proc = 0x10 | PROC_MSR_BITMAPS | PROC_TPR_SHADOW | PROC_SECONDARY,
		.proc2 = PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST,
		.exit = 1 | EXIT_HOST_64BIT | EXIT_LOAD_PAT | EXIT_LOAD_EFER,
		.entry = 1 | ENTRY_LOAD_DEBUG | ENTRY_IA32E_GUEST | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
		.msr_bitmap = 0x3000,
		.virtual_apic = 0x4000,
		.vpid = 1,
		.ept_pointer = 0x5000 | EPTP_LEVELS(4) | EPTP_WRITE_BACK,
		.host_cr0 = 0x80050033,
		.host_cr3 = 0x6001,
		.host_cr4 = 0x2020,
		.host_sysenter_esp = 0xffff800000001000,
		.host_sysenter_eip = 0xffff800000002000,
		.host_pat = ARCH_PAT_RESET,
		.host_efer = ARCH_EFER_LME | ARCH_EFER_LMA,
		.host_cs = 0x10,
		.host_ss = 0x18,
		.host_tr = 0x40,
		.host_gs_base = 0xffff888000000000,
		.host_gdtr_base = 0xfffffe0000001000,
		.host_idtr_base = 0xfffffe0000000000,
		.host_tr_base = 0xfffffe0000003000,
		.host_rip = 0xffffffffc0000000,
		.cr0 = 0x80050033,
		.cr3 = 0x1000,
		.cr4 = 0x2020,
		.dr7 = ARCH_DR7_FIXED,
		.pat = ARCH_PAT_RESET,
		.efer = ARCH_EFER_LME | ARCH_EFER_LMA | ARCH_EFER_SCE,
		.gdtr_limit = 0x7f,
		.idtr_limit = 0xfff,
		.rip = 0xffffffff81000000,
		.rflags = 0x202,
		.link_pointer = ~0ull,
	};
	for (n = 0; n <= VMX_GS; n++)
		code(&at->segment[n], 0x18, 0xc093);
	code(&at->segment[VMX_CS], 0x10, 0xa09b);
	at->segment[VMX_LDTR] = (struct vmx_segment){ 0x20, 0xffff800000005000, 0xff, 0x82 };
	at->segment[VMX_TR] = (struct vmx_segment){ 0x40, 0xffff800000004000, 0x67, 0x8b };
}

static void outside_long_mode(struct vmx_snapshot *at)
{
	long_mode(at);
	at->entry &= ~ENTRY_IA32E_GUEST;
	at->efer = 0;
	at->rip = 0x100000;
}

static void pae(struct vmx_snapshot *at)
{
	outside_long_mode(at);
	at->pdpte[0] = 0x2001;
	at->pdpte[3] = 0x1fe; /* not present: anything */
	at->segment[VMX_CS].access = 0xc09b;
}

/* 32 bits, no unrestricted guest: the first processors with EPT. */
static void restricted(struct vmx_snapshot *at)
{
	outside_long_mode(at);
	at->cr4 = 0x2000;
	at->proc2 &= ~PROC2_UNRESTRICTED_GUEST;
	at->segment[VMX_CS].access = 0xc09b;
}

/* After RESET (SDM 3A table 10-1), in an unrestricted guest. */
static void real_mode(struct vmx_snapshot *at)
{
	u32 n;

	outside_long_mode(at);
	at->cr0 = 0x20 | ARCH_CR0_CD | ARCH_CR0_NW | ARCH_CR0_ET;
	at->cr4 = 0x2000;
	at->rip = 0xfff0;
	at->rflags = 2;
	for (n = 0; n <= VMX_GS; n++)
		at->segment[n] = (struct vmx_segment){ 0, 0, 0xffff, 0x93 };
	at->segment[VMX_CS] = (struct vmx_segment){ 0xf000, 0xffff0000, 0xffff, 0x9b };
	at->segment[VMX_LDTR] = (struct vmx_segment){ 0, 0, 0xffff, 0x82 };
	at->segment[VMX_TR] = (struct vmx_segment){ 0, 0, 0xffff, 0x8b };
}

/* A program in virtual-8086 mode; also how a restricted guest's real mode can be run. */
static void vm86(struct vmx_snapshot *at)
{
	u32 n;

	restricted(at);
	at->rip = 0x100;
	at->rflags |= ARCH_RFLAGS_VM;
	for (n = 0; n <= VMX_GS; n++)
		at->segment[n] = (struct vmx_segment){ 0x1233, 0x12330, 0xffff, 0xf3 };
}

/* A program at CPL 3 of a 64-bit kernel, its data segments unusable, LDTR empty. */
static void user_mode(struct vmx_snapshot *at)
{
	u32 n;

	long_mode(at);
	for (n = 0; n <= VMX_GS; n++)
		at->segment[n] = (struct vmx_segment){ 3, 0, 0, 0x10000 };
	code(&at->segment[VMX_CS], 0x33, 0xa0fb);
	code(&at->segment[VMX_SS], 0x2b, 0xc0f3);
	at->segment[VMX_LDTR] = (struct vmx_segment){ 4, ODD >> 40, 0, 0x10000 };
	at->rip = 0x400000;
}

/* Interrupts are virtualized by the processor as far as it can. */
static void apicv(struct vmx_snapshot *at)
{
	long_mode(at);
	at->pin |= PIN_POSTED_INTERRUPTS;
	at->proc2 |= PROC2_VIRTUAL_INTERRUPTS | PROC2_APIC_REGISTERS | PROC2_APIC_ACCESSES;
	at->exit |= EXIT_ACKNOWLEDGE;
	at->tpr_threshold = 0x1234; /* not looked at */
	at->posted_vector = 0xf2;
	at->posted_descriptor = 0x10040;
	at->apic_access = 0xfee00000;
}

static void no_ept(struct vmx_snapshot *at)
{
	restricted(at);
	at->proc2 = PROC2_VPID;
	at->ept_pointer = ~0ull;
}

static void no_tpr_shadow(struct vmx_snapshot *at)
{
	long_mode(at);
	at->proc &= ~PROC_TPR_SHADOW;
	at->virtual_apic = at->tpr_threshold = ~0ull;
}

static void functions(struct vmx_snapshot *at)
{
	no_ept(at);
	at->proc2 |= PROC2_VM_FUNCTIONS;
}

static void tracing(struct vmx_snapshot *at)
{
	long_mode(at);
	at->proc2 |= PROC2_PT_GUEST_PHYSICAL;
	at->entry |= ENTRY_LOAD_RTIT;
	at->exit |= EXIT_CLEAR_RTIT;
}

static void with_cet(struct vmx_snapshot *at)
{
	long_mode(at);
	at->entry |= ENTRY_LOAD_CET;
	at->exit |= EXIT_LOAD_CET;
	at->cr4 |= ARCH_CR4_CET;
	at->host_cr4 |= ARCH_CR4_CET;
	at->s_cet = at->host_s_cet = 0xffff800000000000 | 5;
	at->ssp = at->host_ssp = 0xffff800000006ff8;
	at->ssp_table = at->host_ssp_table = 0xffff800000008000;
}

static void with_cet_32bit(struct vmx_snapshot *at)
{
	pae(at);
	at->entry |= ENTRY_LOAD_CET;
	at->ssp = 0xfffffffc;
}

static void any_error_code(struct vmx_snapshot *at)
{
	long_mode(at);
	limits.basic = BASIC_ANY_ERROR_CODE;
	at->event = EXCEPTION(ARCH_CP) | INTERRUPTION_HAS_CODE;
}

static void error_code(struct vmx_snapshot *at)
{
	long_mode(at);
	at->event = EXCEPTION(ARCH_PF) | INTERRUPTION_HAS_CODE;
	at->event_code = 0xffff;
}

static void real_mode_fault(struct vmx_snapshot *at)
{
	real_mode(at);
	at->event = EXCEPTION(ARCH_GP);
}

static void soft_interrupt(struct vmx_snapshot *at)
{
	long_mode(at);
	at->event = INTERRUPTION_VALID | INTERRUPTION_SOFT_INTERRUPT | 0x80;
	at->event_length = 2;
}

static void interrupt(struct vmx_snapshot *at)
{
	long_mode(at);
	at->event = EXTERNAL;
}

static void nmi(struct vmx_snapshot *at)
{
	long_mode(at);
	at->event = NMI;
}

static void halted(struct vmx_snapshot *at)
{
	long_mode(at);
	at->activity = ACTIVITY_HLT;
}

static void shut_down(struct vmx_snapshot *at)
{
	long_mode(at);
	at->activity = ACTIVITY_SHUTDOWN;
}

/* STI; and the next instruction is stepped over: the trap is still owed. */
static void stepping(struct vmx_snapshot *at)
{
	long_mode(at);
	at->rflags |= ARCH_RFLAGS_TF;
	at->interruptibility = BLOCKING_BY_STI;
	at->pending_debug = BIT(14);
}

static void transaction(struct vmx_snapshot *at)
{
	long_mode(at);
	limits.rtm = true;
	at->pending_debug = BIT(16) | BIT(12);
}

static void enclave(struct vmx_snapshot *at)
{
	long_mode(at);
	limits.sgx = true;
	at->interruptibility = ENCLAVE_INTERRUPTION;
}

static void (*const legal[])(struct vmx_snapshot *) = {
	long_mode,
	pae,
	restricted,
	real_mode,
	vm86,
	user_mode,
	apicv,
	no_ept,
	no_tpr_shadow,
	functions,
	tracing,
	with_cet,
	with_cet_32bit,
	any_error_code,
	error_code,
	real_mode_fault,
	soft_interrupt,
	interrupt,
	nmi,
	halted,
	shut_down,
	stepping,
	transaction,
	enclave,
};

/* ---- broken ones */

struct broken {
	const char *rule;
	void (*base)(struct vmx_snapshot *at);
	/* The first is the one to blame; `or` adds bits instead of replacing the value. */
	struct {
		u16 field;
		u64 value;
		bool or ;
	} set[3];
	u32 but; /* segment registers that this breaks more than one rule for: BIT(VMX_...) */
};

#define AT(offset, to) { .field = (offset), .value = (to) }
#define AT_OR(offset, bits) { .field = (offset), .value = (bits), .or = true }
#define F_SET(member, to) AT(F(member), to)
#define F_OR(member, bits) AT_OR(F(member), bits)
#define BREAKS(is, from, ...)                                                                      \
	{                                                                                          \
		.rule = (is), .base = (from), .set = { __VA_ARGS__ }                               \
	}
#define BREAKS_BUT(is, from, these, ...)                                                           \
	{                                                                                          \
		.rule = (is), .base = (from), .but = (u32)(these), .set = { __VA_ARGS__ }          \
	}

#define PAGE "bits 11:0 and bits beyond the physical-address width must be 0"
#define AREA "the area must be 16-byte aligned and end within the physical-address width"
#define CANONICAL "the address must be canonical"
#define FIXED "bits must be as VMX operation fixes them"
#define BEYOND "bits beyond the physical-address width must be 0"
#define PAT "each byte must be a memory type: 0, 1, 4, 5, 6 or 7"
#define EFER_BITS "bits that this processor's IA32_EFER lacks must be 0"
#define KERNEL "RPL and TI must be 0"
#define S_CET "reserved bits must be 0 and the address canonical"
#define PDPTE "in a present entry reserved bits must be 0"

/* A page address behind a control, with both halves of the rule. */
#define PAGE_CASES(word, bit, member)                                                              \
	BREAKS(PAGE, long_mode, F_SET(member, 0x1800), F_OR(word, bit)),                           \
		BREAKS(PAGE, long_mode, F_SET(member, HIGH), F_OR(word, bit))
#define NEEDS_EPT(name, bit) BREAKS("\"" name "\" needs \"enable EPT\"", no_ept, F_OR(proc2, bit))

static const struct broken broken[] = {
	/* VM-execution controls */
	BREAKS("bits must be as IA32_VMX_PINBASED_CTLS grants them", long_mode, F_OR(pin, BIT(28))),
	BREAKS("bits must be as IA32_VMX_PINBASED_CTLS grants them", long_mode,
	       F_SET(pin, PIN_EXTERNAL_INTERRUPT)),
	BREAKS("bits must be as IA32_VMX_PROCBASED_CTLS grants them", long_mode, F_OR(proc, BIT(0))),
	BREAKS("bits must be as IA32_VMX_PROCBASED_CTLS2 grants them", long_mode,
	       F_OR(proc2, BIT(31))),
	BREAKS("there are no more CR3 targets than IA32_VMX_MISC says", long_mode,
	       F_SET(cr3_target_count, 5)),
	PAGE_CASES(proc, PROC_IO_BITMAPS, io_bitmap_a),
	PAGE_CASES(proc, PROC_IO_BITMAPS, io_bitmap_b),
	PAGE_CASES(proc, PROC_MSR_BITMAPS, msr_bitmap),
	PAGE_CASES(proc, PROC_TPR_SHADOW, virtual_apic),
	BREAKS("without virtual-interrupt delivery bits 31:4 must be 0", long_mode,
	       F_SET(tpr_threshold, 0x10)),
	BREAKS("the threshold must not be above bits 7:4 of the virtual TPR", long_mode,
	       F_SET(tpr_threshold, 6)),
	BREAKS("\"virtual NMIs\" needs \"NMI exiting\"", long_mode,
	       F_SET(pin, 0x10 | PIN_EXTERNAL_INTERRUPT | PIN_VIRTUAL_NMIS)),
	BREAKS("\"NMI-window exiting\" needs \"virtual NMIs\"", long_mode,
	       F_OR(proc, PROC_NMI_WINDOW), F_SET(pin, 0x10 | PIN_EXTERNAL_INTERRUPT | PIN_NMI)),
	PAGE_CASES(proc2, PROC2_APIC_ACCESSES, apic_access),
	BREAKS("virtualizing the APIC's registers needs \"use TPR shadow\"", no_tpr_shadow,
	       F_OR(proc2, PROC2_X2APIC_MODE)),
	BREAKS("virtualizing the APIC's registers needs \"use TPR shadow\"", no_tpr_shadow,
	       F_OR(proc2, PROC2_APIC_REGISTERS)),
	BREAKS("virtualizing the APIC's registers needs \"use TPR shadow\"", no_tpr_shadow,
	       F_OR(proc2, PROC2_VIRTUAL_INTERRUPTS)),
	BREAKS("\"virtualize x2APIC mode\" excludes \"virtualize APIC accesses\"", apicv,
	       F_OR(proc2, PROC2_X2APIC_MODE)),
	BREAKS("\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"", long_mode,
	       F_OR(proc2, PROC2_VIRTUAL_INTERRUPTS), F_SET(pin, 0x10)),
	BREAKS("posted interrupts need virtual-interrupt delivery and acknowledge on exit", apicv,
	       F_OR(pin, 0), F_SET(exit, 1 | EXIT_HOST_64BIT)),
	BREAKS("posted interrupts need virtual-interrupt delivery and acknowledge on exit",
	       long_mode, F_OR(pin, PIN_POSTED_INTERRUPTS), F_OR(exit, EXIT_ACKNOWLEDGE)),
	BREAKS("bits 15:8 must be 0", apicv, F_SET(posted_vector, 0x100)),
	BREAKS("bits 5:0 and bits beyond the physical-address width must be 0", apicv,
	       F_SET(posted_descriptor, 0x10020)),
	BREAKS("the VPID must not be 0", long_mode, F_SET(vpid, 0)),
	BREAKS("bits 2:0 must be a memory type that IA32_VMX_EPT_VPID_CAP has", long_mode,
	       F_SET(ept_pointer, 0x5000 | EPTP_LEVELS(4))),
	BREAKS("bits 2:0 must be a memory type that IA32_VMX_EPT_VPID_CAP has", long_mode,
	       F_SET(ept_pointer, 0x5000 | EPTP_LEVELS(4) | 4)),
	BREAKS("bits 5:3 must be a walk length, less 1, that IA32_VMX_EPT_VPID_CAP has", long_mode,
	       F_SET(ept_pointer, 0x5000 | EPTP_LEVELS(5) | 6)),
	BREAKS("bits 5:3 must be a walk length, less 1, that IA32_VMX_EPT_VPID_CAP has", long_mode,
	       F_SET(ept_pointer, 0x5000 | EPTP_LEVELS(3) | 6)),
	BREAKS("bit 6 needs accessed and dirty flags for EPT", long_mode,
	       F_OR(ept_pointer, EPTP_ACCESSED_DIRTY)),
	BREAKS("reserved bits and bits beyond the physical-address width must be 0", long_mode,
	       F_OR(ept_pointer, EPTP_SHADOW_STACK)),
	BREAKS("reserved bits and bits beyond the physical-address width must be 0", long_mode,
	       F_OR(ept_pointer, HIGH)),
	NEEDS_EPT("enable PML", PROC2_PML),
	PAGE_CASES(proc2, PROC2_PML, pml_address),
	NEEDS_EPT("unrestricted guest", PROC2_UNRESTRICTED_GUEST),
	NEEDS_EPT("mode-based execute control for EPT", PROC2_MODE_BASED_EXECUTE),
	NEEDS_EPT("sub-page write permissions for EPT", PROC2_SUB_PAGE),
	PAGE_CASES(proc2, PROC2_SUB_PAGE, sub_page_table),
	BREAKS("bits must be as IA32_VMX_VMFUNC grants them", functions, F_SET(vmfunc, 2)),
	BREAKS("\"EPTP switching\" needs \"enable EPT\"", functions, F_SET(vmfunc, 1)),
	BREAKS(PAGE, long_mode, F_SET(eptp_list, 1), F_OR(proc2, PROC2_VM_FUNCTIONS),
	       F_SET(vmfunc, 1)),
	PAGE_CASES(proc2, PROC2_SHADOW_VMCS, vmread_bitmap),
	PAGE_CASES(proc2, PROC2_SHADOW_VMCS, vmwrite_bitmap),
	PAGE_CASES(proc2, PROC2_EPT_VE, ve_information),
	BREAKS("the multiplier must not be 0", long_mode, F_SET(tsc_multiplier, 0),
	       F_OR(proc2, PROC2_TSC_SCALING)),
	BREAKS("guest-physical tracing needs EPT and IA32_RTIT_CTL loaded and cleared", long_mode,
	       F_OR(proc2, PROC2_PT_GUEST_PHYSICAL)),

	/* VM-exit and VM-entry controls */
	BREAKS("bits must be as IA32_VMX_EXIT_CTLS grants them", long_mode, F_OR(exit, BIT(31))),
	BREAKS("bits must be as IA32_VMX_EXIT_CTLS grants them", long_mode,
	       F_SET(exit, EXIT_HOST_64BIT)),
	BREAKS("\"save VMX-preemption timer value\" needs the timer activated", long_mode,
	       F_OR(exit, EXIT_SAVE_TIMER)),
	BREAKS(AREA, long_mode, F_SET(exit_store, 0x1008), F_SET(exit_store_count, 1)),
	BREAKS(AREA, long_mode, F_SET(exit_store, HIGH - 16), F_SET(exit_store_count, 2)),
	BREAKS(AREA, long_mode, F_SET(exit_load, 0x1008), F_SET(exit_load_count, 1)),
	BREAKS(AREA, long_mode, F_SET(entry_load, HIGH), F_SET(entry_load_count, 1)),
	BREAKS("bits must be as IA32_VMX_ENTRY_CTLS grants them", long_mode, F_OR(entry, BIT(31))),
	BREAKS("outside SMM \"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0",
	       long_mode, F_OR(entry, ENTRY_TO_SMM)),
	BREAKS("outside SMM \"entry to SMM\" and \"deactivate dual-monitor treatment\" must be 0",
	       long_mode, F_OR(entry, ENTRY_DEACTIVATE_DUAL_MONITOR)),
	BREAKS("the type must not be reserved", long_mode,
	       F_SET(event, INTERRUPTION_VALID | 1 << 8)),
	BREAKS("the vector must fit the type: 2 for an NMI, 0 to 31 for an exception", long_mode,
	       F_SET(event, INTERRUPTION_VALID | INTERRUPTION_NMI | 3)),
	BREAKS("the vector must fit the type: 2 for an NMI, 0 to 31 for an exception", long_mode,
	       F_SET(event, EXCEPTION(32))),
	BREAKS("the vector must fit the type: 2 for an NMI, 0 to 31 for an exception", long_mode,
	       F_SET(event, INTERRUPTION_VALID | INTERRUPTION_OTHER | 1)),
	BREAKS("in protected mode an exception that has an error code must deliver it", long_mode,
	       F_SET(event, EXCEPTION(ARCH_GP))),
	BREAKS("only an exception that has one delivers an error code, and none does in real mode",
	       long_mode, F_SET(event, EXCEPTION(ARCH_UD) | INTERRUPTION_HAS_CODE)),
	BREAKS("only an exception that has one delivers an error code, and none does in real mode",
	       long_mode, F_SET(event, EXTERNAL | INTERRUPTION_HAS_CODE)),
	BREAKS("only an exception that has one delivers an error code, and none does in real mode",
	       real_mode, F_SET(event, EXCEPTION(ARCH_GP) | INTERRUPTION_HAS_CODE)),
	BREAKS("bits 30:12 must be 0", long_mode, F_SET(event, EXTERNAL | BIT(12))),
	BREAKS("bits 31:16 must be 0", error_code, F_SET(event_code, 0x10000)),
	BREAKS("an instruction's length is 1 to 15, or 0 where IA32_VMX_MISC allows it",
	       soft_interrupt, F_SET(event_length, 0)),
	BREAKS("an instruction's length is 1 to 15, or 0 where IA32_VMX_MISC allows it",
	       soft_interrupt, F_SET(event_length, 16)),

	/* host */
	BREAKS(FIXED, long_mode, F_SET(host_cr0, 0x80050013)),
	BREAKS(FIXED, long_mode, F_OR(host_cr0, 1ull << 32)),
	BREAKS(FIXED, long_mode, F_SET(host_cr4, 0x20)),
	BREAKS("CR4.CET needs CR0.WP", with_cet, F_OR(host_cr4, 0), F_SET(host_cr0, 0x80040033)),
	BREAKS(BEYOND, long_mode, F_SET(host_cr3, HIGH)),
	BREAKS(CANONICAL, long_mode, F_SET(host_sysenter_esp, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(host_sysenter_eip, ODD)),
	BREAKS(PAT, long_mode, F_SET(host_pat, 2)),
	BREAKS(EFER_BITS, long_mode, F_OR(host_efer, ARCH_EFER_SVME)),
	BREAKS("LMA and LME must be as \"host address-space size\"", long_mode,
	       F_SET(host_efer, ARCH_EFER_LME)),
	BREAKS(S_CET, with_cet, F_SET(host_s_cet, 0x40)),
	BREAKS("bits 1:0 must be 0", with_cet, F_SET(host_ssp, 0x1002)),
	BREAKS(CANONICAL, with_cet, F_SET(host_ssp, ODD)),
	BREAKS(CANONICAL, with_cet, F_SET(host_ssp_table, ODD)),
	BREAKS(KERNEL, long_mode, F_SET(host_es, 0x2b)),
	BREAKS(KERNEL, long_mode, F_SET(host_cs, 0x33)),
	BREAKS(KERNEL, long_mode, F_SET(host_ss, 0x2b)),
	BREAKS(KERNEL, long_mode, F_SET(host_ds, 0x2b)),
	BREAKS(KERNEL, long_mode, F_SET(host_fs, 0x2b)),
	BREAKS(KERNEL, long_mode, F_SET(host_gs, 0x2c)),
	BREAKS(KERNEL, long_mode, F_SET(host_tr, 0x44)),
	BREAKS("the selector must not be 0", long_mode, F_SET(host_cs, 0)),
	BREAKS("the selector must not be 0", long_mode, F_SET(host_tr, 0)),
	BREAKS(CANONICAL, long_mode, F_SET(host_fs_base, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(host_gs_base, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(host_gdtr_base, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(host_idtr_base, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(host_tr_base, ODD)),
	BREAKS("in IA-32e mode \"host address-space size\" must be 1", long_mode,
	       F_SET(exit, 1 | EXIT_LOAD_PAT)),
	BREAKS("in IA-32e mode CR4.PAE must be 1", long_mode, F_SET(host_cr4, 0x2000)),
	BREAKS(CANONICAL, long_mode, F_SET(host_rip, ODD)),

	/* guest: control registers, debug registers, MSRs */
	BREAKS(FIXED, long_mode, F_SET(cr0, 0x80050013)),
	BREAKS(FIXED, restricted, F_SET(cr0, 0x21)),
	BREAKS(FIXED, long_mode, F_OR(cr0, 1ull << 63)),
	BREAKS("CR0.PG needs CR0.PE", long_mode, F_SET(cr0, 0x80050032)),
	BREAKS(FIXED, long_mode, F_SET(cr4, 0x20)),
	BREAKS(FIXED, long_mode, F_OR(cr4, 1ull << 32)),
	BREAKS("CR4.CET needs CR0.WP", with_cet, F_OR(cr4, 0), F_SET(cr0, 0x80040033)),
	BREAKS("reserved bits must be 0", long_mode, F_SET(debugctl, BIT(3))),
	BREAKS("reserved bits must be 0", long_mode, F_SET(debugctl, BIT(2))),
	BREAKS("\"IA-32e mode guest\" needs CR0.PG", long_mode, F_SET(cr0, 0x50033)),
	BREAKS("\"IA-32e mode guest\" needs CR4.PAE", long_mode, F_SET(cr4, 0x2000)),
	BREAKS("CR4.PCIDE needs \"IA-32e mode guest\"", pae, F_OR(cr4, ARCH_CR4_PCIDE)),
	BREAKS(BEYOND, long_mode, F_SET(cr3, HIGH)),
	BREAKS("bits 63:32 must be 0", long_mode, F_OR(dr7, 1ull << 32)),
	BREAKS(CANONICAL, long_mode, F_SET(sysenter_esp, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(sysenter_eip, ODD)),
	BREAKS(PAT, long_mode, F_SET(pat, 0x0300000000000000)),
	BREAKS(EFER_BITS, long_mode, F_OR(efer, ARCH_EFER_SVME)),
	BREAKS("LMA must be as \"IA-32e mode guest\"", long_mode, F_SET(efer, 0)),
	BREAKS("with CR0.PG, LMA and LME must be the same", long_mode, F_SET(efer, ARCH_EFER_LMA)),
	BREAKS(S_CET, with_cet, F_SET(s_cet, 0xc00)),
	BREAKS(CANONICAL, with_cet, F_SET(ssp_table, ODD)),

	/* guest: tables, RIP, RFLAGS, SSP */
	BREAKS(CANONICAL, long_mode, F_SET(gdtr_base, ODD)),
	BREAKS(CANONICAL, long_mode, F_SET(idtr_base, ODD)),
	BREAKS("bits 31:16 must be 0", long_mode, F_SET(gdtr_limit, 0x10000)),
	BREAKS("bits 31:16 must be 0", long_mode, F_SET(idtr_limit, 0x10000)),
	BREAKS("outside 64-bit code bits 63:32 must be 0", pae, F_SET(rip, 1ull << 32)),
	BREAKS("in 64-bit code the bits beyond the linear-address width must be the same",
	       long_mode, F_SET(rip, 1ull << 48)),
	BREAKS("bit 1 must be 1 and bits 63:22, 15, 5 and 3 must be 0", long_mode,
	       F_SET(rflags, 0x200)),
	BREAKS("bit 1 must be 1 and bits 63:22, 15, 5 and 3 must be 0", long_mode,
	       F_SET(rflags, 0x8002)),
	BREAKS("RFLAGS.VM needs CR0.PE and no IA-32e mode", vm86, F_OR(rflags, 0),
	       F_OR(proc2, PROC2_UNRESTRICTED_GUEST), F_SET(cr0, 0x20)),
	BREAKS("RFLAGS.IF must be 1 where an external interrupt is injected", interrupt,
	       F_SET(rflags, 2)),
	BREAKS("bits 1:0 must be 0", with_cet, F_OR(ssp, 1)),
	BREAKS("in 64-bit code the address must be canonical, outside it bits 63:32 must be 0",
	       with_cet, F_SET(ssp, ODD)),
	BREAKS("in 64-bit code the address must be canonical, outside it bits 63:32 must be 0",
	       with_cet_32bit, F_SET(ssp, 1ull << 32)),

	/* guest: what is no register */
	BREAKS("the state must be one that IA32_VMX_MISC has", long_mode, F_SET(activity, 4)),
	BREAKS("the state must not be HLT where the DPL of SS is not 0", user_mode,
	       F_SET(activity, ACTIVITY_HLT)),
	BREAKS("the state must be active under blocking by STI or MOV SS", long_mode,
	       F_SET(activity, ACTIVITY_SHUTDOWN), F_SET(interruptibility, BLOCKING_BY_MOV_SS)),
	BREAKS("the injected event must be one that ends the state", halted, F_OR(activity, 0),
	       F_SET(event, EXCEPTION(ARCH_UD))),
	BREAKS("the injected event must be one that ends the state", shut_down, F_OR(activity, 0),
	       F_SET(event, EXTERNAL)),
	BREAKS("the injected event must be one that ends the state", nmi,
	       F_SET(activity, ACTIVITY_WAIT_FOR_SIPI)),
	BREAKS("bits 31:5 must be 0", long_mode, F_SET(interruptibility, BIT(5))),
	BREAKS("blocking by STI and by MOV SS exclude each other", long_mode,
	       F_SET(interruptibility, BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)),
	BREAKS("blocking by STI needs RFLAGS.IF", long_mode,
	       F_SET(interruptibility, BLOCKING_BY_STI), F_SET(rflags, 2)),
	BREAKS("neither STI nor MOV SS may block where an external interrupt is injected",
	       interrupt, F_SET(interruptibility, BLOCKING_BY_STI)),
	BREAKS("neither STI nor MOV SS may block where an external interrupt is injected",
	       interrupt, F_SET(interruptibility, BLOCKING_BY_MOV_SS)),
	BREAKS("MOV SS must not block where an NMI is injected", nmi,
	       F_SET(interruptibility, BLOCKING_BY_MOV_SS)),
	BREAKS("outside SMM there must be no blocking by SMI", long_mode,
	       F_SET(interruptibility, BLOCKING_BY_SMI)),
	BREAKS("with virtual NMIs there must be no blocking by NMI where one is injected", nmi,
	       F_SET(interruptibility, BLOCKING_BY_NMI)),
	BREAKS("enclave interruption needs SGX and no blocking by MOV SS", long_mode,
	       F_SET(interruptibility, ENCLAVE_INTERRUPTION)),
	BREAKS("enclave interruption needs SGX and no blocking by MOV SS", enclave,
	       F_OR(interruptibility, BLOCKING_BY_MOV_SS)),
	BREAKS("reserved bits must be 0", long_mode, F_SET(pending_debug, BIT(13))),
	BREAKS("reserved bits must be 0", long_mode, F_SET(pending_debug, BIT(11))),
	BREAKS("held back with RFLAGS.TF and no BTF, the step (bit 14) must be pending", stepping,
	       F_SET(pending_debug, 0)),
	BREAKS("held back without RFLAGS.TF or with BTF, no step (bit 14) may be pending", halted,
	       F_SET(pending_debug, BIT(14))),
	BREAKS("held back without RFLAGS.TF or with BTF, no step (bit 14) may be pending", stepping,
	       F_OR(pending_debug, 0), F_SET(debugctl, BIT(1))),
	BREAKS("bit 16 needs RTM, bit 12, no other bit, and no blocking by MOV SS", long_mode,
	       F_SET(pending_debug, BIT(16) | BIT(12))),
	BREAKS("bit 16 needs RTM, bit 12, no other bit, and no blocking by MOV SS", transaction,
	       F_SET(pending_debug, BIT(16))),
	BREAKS("the pointer must be all ones, or a page within the physical-address width",
	       long_mode, F_SET(link_pointer, 0x1800)),
	BREAKS(PDPTE, pae, F_SET(pdpte[0], 0x2003)),
	BREAKS(PDPTE, pae, F_SET(pdpte[1], 0x2101)),
	BREAKS(PDPTE, pae, F_SET(pdpte[2], HIGH | 1)),
	BREAKS(PDPTE, pae, F_SET(pdpte[3], 5)),
};

#define SELECTOR F(segment[0].selector)
#define BASE F(segment[0].base)
#define LIMIT F(segment[0].limit)
#define ACCESS F(segment[0].access)

/* The same for each register that the rule is for; fields are those of the ES entry. */
static const struct broken broken_segments[] = {
	BREAKS("TI must be 0", long_mode, AT_OR(SELECTOR, 4)),
	BREAKS("in a restricted guest RPL must be that of CS", restricted, AT_OR(SELECTOR, 1),
	       F_SET(segment[VMX_SS].access, 0xc0b3), F_SET(segment[VMX_CS].access, 0xc09f)),
	BREAKS("in virtual-8086 mode the base must be 16 times the selector", vm86, AT(BASE, 0x100)),
	BREAKS(CANONICAL, long_mode, AT(BASE, ODD)),
	BREAKS("bits 63:32 must be 0", long_mode, AT(BASE, 1ull << 32)),
	BREAKS("in virtual-8086 mode the limit must be FFFFh", vm86, AT(LIMIT, 0xfffff)),
	BREAKS("in virtual-8086 mode the access rights must be F3h", vm86, AT(ACCESS, 0x93)),
	BREAKS("the type must be accessed code, or 3 in an unrestricted guest", long_mode,
	       AT(ACCESS, 0xa09a)),
	BREAKS("the type must be accessed code, or 3 in an unrestricted guest", restricted,
	       AT(ACCESS, 0xc093)),
	BREAKS("the type must be 3 or 7", long_mode, AT(ACCESS, 0xc09b)),
	BREAKS("the type must be an accessed one", long_mode, AT(ACCESS, 0xc092)),
	BREAKS("a code segment must be readable", long_mode, AT(ACCESS, 0xc099)),
	BREAKS_BUT("S must be 1", long_mode, BIT(VMX_CS), AT(ACCESS, 0xc083)),
	BREAKS_BUT("S must be 1", long_mode, ~BIT(VMX_CS), AT(ACCESS, 0xa08b)),
	BREAKS("DPL: 0 for type 3, that of SS for 9 and 11, not above it for 13 and 15", long_mode,
	       AT(ACCESS, 0xa0fb)),
	BREAKS("DPL: 0 for type 3, that of SS for 9 and 11, not above it for 13 and 15", long_mode,
	       AT(ACCESS, 0xa0bf)),
	BREAKS("DPL: 0 for type 3, that of SS for 9 and 11, not above it for 13 and 15", real_mode,
	       AT(ACCESS, 0xf3)),
	BREAKS("in a restricted guest DPL must be the selector's RPL", restricted,
	       AT(ACCESS, 0xc0f3), F_SET(segment[VMX_CS].access, 0xc09f)),
	BREAKS("DPL must be 0 without CR0.PE, or where the type of CS is 3", real_mode,
	       AT(ACCESS, 0xf3), F_SET(segment[VMX_CS].access, 0x9f)),
	BREAKS("DPL must be 0 without CR0.PE, or where the type of CS is 3", outside_long_mode,
	       AT(ACCESS, 0xc0f3), F_SET(segment[VMX_CS].access, 0xc093)),
	BREAKS("in a restricted guest DPL must not be below RPL, but for conforming code",
	       restricted, AT_OR(ACCESS, 0), AT_OR(SELECTOR, 3)),
	BREAKS_BUT("P must be 1", long_mode, BIT(VMX_CS) | BIT(VMX_LDTR) | BIT(VMX_TR),
		   AT(ACCESS, 0xc013)),
	BREAKS_BUT("P must be 1", long_mode, ~BIT(VMX_CS), AT(ACCESS, 0xa01b)),
	BREAKS_BUT("P must be 1", long_mode, ~BIT(VMX_LDTR), AT(ACCESS, 0x02)),
	BREAKS_BUT("P must be 1", long_mode, ~BIT(VMX_TR), AT(ACCESS, 0x0b)),
	BREAKS("bits 31:17 and 11:8 must be 0", long_mode, AT_OR(ACCESS, BIT(8))),
	BREAKS("bits 31:17 and 11:8 must be 0", long_mode, AT_OR(ACCESS, BIT(17))),
	BREAKS("with L in IA-32e mode D/B must be 0", long_mode, AT(ACCESS, 0xe09b)),
	BREAKS("G must be 0 where a bit of 11:0 of the limit is 0", long_mode,
	       AT_OR(ACCESS, BIT(15)), AT(LIMIT, 0xffffeffe)),
	BREAKS("G must be 1 where a bit of 31:20 of the limit is 1", real_mode, AT_OR(ACCESS, 0),
	       AT(LIMIT, 0x100000)),
	BREAKS("the type must be a busy TSS: 11, or outside IA-32e mode 3", long_mode,
	       AT(ACCESS, 0x83)),
	BREAKS("the type must be a busy TSS: 11, or outside IA-32e mode 3", pae, AT(ACCESS, 0x89)),
	BREAKS("the type must be 2", long_mode, AT(ACCESS, 0x83)),
	BREAKS("S must be 0", long_mode, AT_OR(ACCESS, BIT(4))),
	BREAKS("TR must be usable", long_mode, AT_OR(ACCESS, BIT(16))),
};

static u64 *word(struct vmx_snapshot *at, u16 field)
{
	return (u64 *)((u8 *)at + field);
}

static bool by_register(u16 field)
{
	return field >= F(segment) && field < F(segment[1]);
}

static const struct vmx_rules *const all[] = { &vmx_control_rules, &vmx_host_rules,
					       &vmx_guest_rules, &vmx_segment_rules };

static const struct vmx_rule *rule_of(const struct broken *b)
{
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (j = 0; j < all[i]->count; j++)
			if (!all[i]->rule[j].section && !strcmp(all[i]->rule[j].rule, b->rule) &&
			    all[i]->rule[j].field == b->set[0].field)
				return &all[i]->rule[j];
	fail_msg("no such rule: %s", b->rule);
	return NULL;
}

static void try(const struct broken *b, u32 n)
{
	struct audit_finding found[4];
	struct vmx_snapshot at;
	const char *field;
	u32 i, count;
	u16 blamed = 0;

	b->base(&at);
	assert_int_equal(vmx_audit(&at, found, ARRAY_SIZE(found)), 0);
	for (i = 0; i < ARRAY_SIZE(b->set) && b->set[i].field; i++) {
		u16 to = b->set[i].field;

		if (by_register(to))
			to += n * sizeof(struct vmx_segment);
		if (!i)
			blamed = to;
		*word(&at, to) = b->set[i].value | (b->set[i].or ? *word(&at, to) : 0);
	}
	field = vmx_field_name(blamed);
	count = vmx_audit(&at, found, ARRAY_SIZE(found));
	if (count != 1)
		fail_msg("%s: %s: %u rules are broken: %s; %s", field, b->rule, count,
			 count ? found[0].rule : "", count > 1 ? found[1].rule : "");
	assert_string_equal(found[0].rule, b->rule);
	assert_string_equal(found[0].field, field);
	assert_int_equal(found[0].value, *word(&at, blamed));
}

static void each_broken_rule_is_named(void **state)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		assert_int_equal(rule_of(&broken[i])->registers, 0);
		try(&broken[i], 0);
	}
}

static void each_broken_segment_is_named(void **state)
{
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(broken_segments); i++) {
		const struct broken *b = &broken_segments[i];

		for (n = 0; n < VMX_SEGMENTS; n++)
			if (rule_of(b)->registers & BIT(n) && !(b->but & BIT(n)))
				try(b, n);
	}
}

/* No rule without a state that breaks it, for each register it is for; each fits its line. */
static void each_rule_has_a_case(void **state)
{
	char text[FERMATA_AUDIT_TEXT];
	const char *section = NULL;
	u32 i, j, k, n;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for (j = 0; j < all[i]->count; j++) {
			const struct vmx_rule *rule = &all[i]->rule[j];
			u32 tested = 0, registers = rule->registers ? rule->registers : BIT(0);

			if (rule->section) {
				section = rule->section;
				continue;
			}
			assert_non_null(section);
			for (n = 0; n < VMX_SEGMENTS; n++) {
				struct audit_finding longest = {
					rule->rule,
					section,
					vmx_field_name(rule->field + n * sizeof(struct vmx_segment)),
					~0ull,
				};

				if (!(registers & BIT(n)))
					continue;
				assert_string_not_equal(longest.field, "?");
				assert_true(audit_text(&longest, text, sizeof(text)) <
					    sizeof(text) - 1);
			}
			for (k = 0; k < ARRAY_SIZE(broken); k++)
				if (rule_of(&broken[k]) == rule)
					tested |= BIT(0);
			for (k = 0; k < ARRAY_SIZE(broken_segments); k++)
				if (rule_of(&broken_segments[k]) == rule)
					tested |= registers & ~broken_segments[k].but;
			if (tested != registers)
				fail_msg("no case breaks: %s; %s (registers %#x of %#x)",
					 vmx_field_name(rule->field), rule->rule, tested, registers);
		}
	}
}

static void legal_states(void **state)
{
	struct audit_finding found[1];
	struct vmx_snapshot at;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(legal); i++) {
		legal[i](&at);
		if (vmx_audit(&at, found, 1))
			fail_msg("legal state %u: %s: %s = %#llx", i, found[0].rule, found[0].field,
				 found[0].value);
	}
}

static void edges(void **state)
{
	struct vmx_snapshot at;
	u32 i;

	/* Not canonical, but entered: RIP behind the last instruction below the hole. */
	long_mode(&at);
	at.rip = ODD;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* Wider addresses where the processor has them. */
	limits.linear_bits = 57;
	at.sysenter_esp = at.gdtr_base = ODD;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* An area that ends with the last byte there is; an area of no entries may be anywhere. */
	long_mode(&at);
	at.entry_load = HIGH - 32;
	at.entry_load_count = 2;
	at.exit_load = ~0ull;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* What controls do not load is not looked at. */
	long_mode(&at);
	at.exit = 1 | EXIT_HOST_64BIT;
	at.entry = 1 | ENTRY_IA32E_GUEST;
	at.host_efer = at.host_pat = at.efer = at.pat = at.dr7 = ~0ull;
	at.s_cet = at.ssp = at.host_ssp = at.host_s_cet = ~0ull;
	at.io_bitmap_a = at.apic_access = at.vmfunc = ~0ull;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* A compatibility segment: D without L; conforming code runs at any CPL above its DPL. */
	user_mode(&at);
	at.segment[VMX_CS].access = 0xc09f;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* An MSR that lets a length be 0. */
	soft_interrupt(&at);
	at.event_length = 0;
	limits.misc |= MISC_ZERO_LENGTH;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* What ends HLT and shutdown. */
	halted(&at);
	for (i = 0; i < 32; i++) {
		bool ends = i == ARCH_DB || i == ARCH_MC;

		at.event = EXCEPTION(i);
		if (0x27d00 >> i & 1) /* those with an error code */
			at.event |= INTERRUPTION_HAS_CODE;
		assert_int_equal(vmx_audit(&at, NULL, 0), !ends);
	}
	shut_down(&at);
	at.event = EXCEPTION(ARCH_MC);
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	at.event = NMI;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	/* Processors without the monitor trap flag have no events of that type. */
	long_mode(&at);
	at.event = INTERRUPTION_VALID | INTERRUPTION_OTHER;
	assert_int_equal(vmx_audit(&at, NULL, 0), 0);
	limits.proc &= ~((u64)PROC_MONITOR_TRAP << 32);
	assert_int_equal(vmx_audit(&at, NULL, 0), 1);
}

static void counts_beyond_the_room(void **state)
{
	struct audit_finding found[2] = { { 0 } };
	struct vmx_snapshot at;

	long_mode(&at);
	at.host_cs = at.host_tr = 0;
	at.rflags = 0;
	assert_int_equal(vmx_audit(&at, found, 1), 3);
	assert_string_equal(found[0].field, "host CS selector");
	assert_null(found[1].rule);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_broken_rule_is_named),
		cmocka_unit_test(each_broken_segment_is_named),
		cmocka_unit_test(each_rule_has_a_case),
		cmocka_unit_test(legal_states),
		cmocka_unit_test(edges),
		cmocka_unit_test(counts_beyond_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
