/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Between the neutral state and the VMCS. */
#include "vmx/intercepts.h"
#include "core/keys.h"
#include "base/processor.h"

#define ACCESS_UNUSABLE BIT(16)

/* In the order of the VMCS: ES CS SS DS FS GS LDTR TR. */
static const size_t segment_at[] = {
	offsetof(struct fermata_state_segments, es),  offsetof(struct fermata_state_segments, cs),
	offsetof(struct fermata_state_segments, ss),  offsetof(struct fermata_state_segments, ds),
	offsetof(struct fermata_state_segments, fs),  offsetof(struct fermata_state_segments, gs),
	offsetof(struct fermata_state_segments, ldt), offsetof(struct fermata_state_segments, tr),
};

/*
 * As the value that is left is saved at each exit (SDM 3C 28.3.3), exits that go straight back to the
 * guest have their share of the time too; written anew when it has run out.
 */
void vmx_start_timer(void)
{
	u64 counts = (u64)backend_options.turn << 10 >> MISC_TIMER_SHIFT(cpu_rdmsr(MSR_VMX_MISC));

	if (vmx_controls.pin & PIN_PREEMPTION_TIMER)
		vmwrite(VMCS_GUEST_TIMER, min(counts, (u64)~0u));
}

static void init_controls(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	vmx_apply_intercepts(v);
	vmwrite(VMCS_PIN_CONTROLS, vmx_controls.pin);
	vmwrite(VMCS_EXIT_CONTROLS, vmx_controls.exit);
	vmwrite(VMCS_ENTRY_CONTROLS, vmx_controls.entry);
	vmwrite(VMCS_PF_ERROR_MASK, 0);
	vmwrite(VMCS_PF_ERROR_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	if (vmx_controls.proc & PROC_TPR_SHADOW)
		vmwrite(VMCS_VIRTUAL_APIC_PAGE, host_virt_to_phys(s->virtual_apic));
}

/* Without "load IA32_EFER" the MSR areas exchange it (SDM 3C 27.4, 28.6). */
static void init_msr_areas(struct vmx_vcpu *s)
{
	bool areas = !(vmx_controls.entry & ENTRY_LOAD_EFER);
	u64 host_efer = cpu_rdmsr(ARCH_MSR_EFER);

	vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, areas);
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, areas);
	vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, host_virt_to_phys(s->msr_area->guest));
	vmwrite(VMCS_EXIT_MSR_LOAD_ADDR, host_virt_to_phys(s->msr_area->host));
	if (!areas) {
		vmwrite(VMCS_HOST_EFER, host_efer);
		return;
	}
	s->msr_area->guest[0] = (struct vmx_msr_entry){ .index = ARCH_MSR_EFER };
	s->msr_area->host[0] = (struct vmx_msr_entry){ .index = ARCH_MSR_EFER, .value = host_efer };
}

/*
 * An NMI of the host's can switch PEBS on again after all that an instruction before the entry does; so the entry
 * itself switches it off.
 */
void vmx_exchange_sampling(struct vmx_vcpu *s, const struct host_sampling *host)
{
	u32 count = !(vmx_controls.entry & ENTRY_LOAD_EFER);

	s->extra &= ~EXTRA_SAMPLING;
	if (host) {
		struct vmx_msr_entry *in = s->msr_area->guest + count,
				     *out = s->msr_area->host + count;

		*in++ = (struct vmx_msr_entry){ .index = ARCH_MSR_PERF_GLOBAL_CTRL,
						.value = host->guest_global_ctrl };
		*in++ = (struct vmx_msr_entry){ .index = ARCH_MSR_PEBS_ENABLE };
		*out++ = (struct vmx_msr_entry){ .index = ARCH_MSR_PEBS_ENABLE,
						 .value = host->pebs_enable };
		*out++ = (struct vmx_msr_entry){ .index = ARCH_MSR_PERF_GLOBAL_CTRL,
						 .value = host->global_ctrl };
		count += 2;
		s->extra |= EXTRA_SAMPLING;
	}
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, count);
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, count);
}

void vmx_vmcs_init(struct vcpu *v)
{
	init_controls(v);
	vmx_start_timer();
	init_msr_areas(v->hw);
	vmwrite(VMCS_HOST_RIP, (u64)vmx_exit_point);
	vmwrite(VMCS_LINK_POINTER, ~0ull);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	v->dirty = ~0u;
}

/* ---- apply */

/*
 * PAE paging keeps its four top entries in registers: the processor fills them at MOV CR3, VM entry
 * takes them from the VMCS (SDM 3C 27.3.2.4), so turning paging on is ours to fill.
 */
static void apply_pdptes(struct vcpu *v)
{
	u64 pdpte[4], cr3 = vmread(VMCS_GUEST_CR3);
	u32 i;

	if (guest_memory_read(&v->vm->memory, cr3 & 0xffffffe0, pdpte, sizeof(pdpte)))
		return; /* the tables are where nothing is: the entry's checks will say so */
	for (i = 0; i < 4; i++)
		vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
}

/* Without "unrestricted guest" PE and PG are fixed to 1 (SDM 3C 24.8): what would run is not what is asked. */
bool vmx_can_run(const struct vcpu *v)
{
	u64 paged = v->shadow ? ARCH_CR0_PE : ARCH_CR0_PE | ARCH_CR0_PG;

	return (!v->shadow && vmx_controls.proc2 & PROC2_UNRESTRICTED_GUEST) ||
	       (v->guest.cr0 & paged) == paged;
}

/*
 * Under shadow paging the processor pages always, in long mode or with PAE, and with WP. The shadow of
 * a guest that does not page has user pages only, which SMEP and SMAP would guard.
 */
static u64 shadow_cr4(const struct vcpu *v)
{
	u64 cr4 = v->guest.cr4 & ~ARCH_CR4_PCIDE;

	if (!(v->guest.efer & ARCH_EFER_LMA))
		cr4 = (cr4 & ~ARCH_CR4_LA57) | ARCH_CR4_PAE;
	if (!(v->guest.cr0 & ARCH_CR0_PG))
		cr4 &= ~(ARCH_CR4_SMEP | ARCH_CR4_SMAP);
	return cr4;
}

static u64 shadow_efer(const struct vcpu *v)
{
	u64 efer = v->guest.efer | ARCH_EFER_NXE;

	return efer & ARCH_EFER_LMA ? efer : efer & ~ARCH_EFER_LME;
}

/* They matter to guests that have SYSCALL; RDMSR and WRMSR exit, and come here too. */
void vmx_load_syscalls(struct vcpu *v)
{
	static const char *const name[] = { "STAR", "LSTAR", "CSTAR", "SFMASK" };
	struct vmx_vcpu *s = v->hw;

	if (s->host.syscalls)
		return;
	s->host.syscalls =
		true; /* whatever becomes of them: vmx_host_restore() brings the host's back */
	s->host.was = s->here->syscalls;
	if (unlikely(backend_options.beside)) {
		for (u32 i = 0; i < SYSCALL_MSRS; i++)
			s->host.found[i] = cpu_rdmsr(ARCH_MSR_STAR + i);
		s->host.was = s->host.found;
	}
	for (u32 i = 0; i < SYSCALL_MSRS; i++)
		if (s->syscalls[i] != s->host.was[i])
			vcpu_load_msr(v, ARCH_MSR_STAR + i, name[i], s->syscalls[i]);
}

/* What the guest has is in the CPU, but for what the CPU has refused, and that is none of the host's values. */
void vmx_restore_syscalls(struct vmx_vcpu *s)
{
	for (u32 i = 0; i < SYSCALL_MSRS; i++)
		if (s->syscalls[i] != s->host.was[i])
			cpu_wrmsr(ARCH_MSR_STAR + i, s->host.was[i]);
	s->host.syscalls = false;
}

/* Without SCE, SYSCALL and SYSRET raise #UD, which exits. */
static void apply_efer(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u64 efer = v->shadow ? shadow_efer(v) : v->guest.efer;

	if (v->ruling.wanted.no_syscalls)
		efer &= ~ARCH_EFER_SCE;
	if (vmx_controls.entry & ENTRY_LOAD_EFER)
		vmwrite(VMCS_GUEST_EFER, efer);
	else
		s->msr_area->guest[0].value = efer;
	if (efer & ARCH_EFER_SCE && s->in_guest_context)
		vmx_load_syscalls(v);
}

static void apply_control(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u64 fixed = vmx_controls.cr0_fixed0 | (v->shadow ? ARCH_CR0_WP | ARCH_CR0_PG : 0);
	u32 entry = vmx_controls.entry;

	/* Unrestricted guests choose PE and PG themselves (SDM 3C 27.3.1.1). */
	if (!v->shadow && vmx_controls.proc2 & PROC2_UNRESTRICTED_GUEST)
		fixed &= ~(ARCH_CR0_PE | ARCH_CR0_PG);
	vmwrite(VMCS_GUEST_CR0, (v->guest.cr0 & ~(ARCH_CR0_CD | ARCH_CR0_NW)) | fixed);
	vmwrite(VMCS_CR0_SHADOW, v->guest.cr0);
	vmwrite(VMCS_GUEST_CR4, guest_hardware_cr4(v->shadow ? shadow_cr4(v) : v->guest.cr4) |
					vmx_controls.cr4_fixed0);
	vmwrite(VMCS_CR4_SHADOW, v->guest.cr4);
	if (v->guest.efer & ARCH_EFER_LMA)
		entry |= ENTRY_IA32E_GUEST;
	vmwrite(VMCS_ENTRY_CONTROLS, entry);
	apply_efer(v);
	s->extra &= ~EXTRA_KEYS;
	if (keys_in_reach(v))
		s->extra |= EXTRA_KEYS;
	if (!v->shadow && v->guest.cr0 & ARCH_CR0_PG && v->guest.cr4 & ARCH_CR4_PAE &&
	    !(v->guest.efer & ARCH_EFER_LMA))
		apply_pdptes(v);
}

/* RDTSC in the guest is (host TSC * multiplier >> 48) + offset (SDM 3C 26.3), as the clock has it. */
static void apply_tsc_offset(struct vcpu *v)
{
	vmwrite(VMCS_TSC_OFFSET, v->vm->time.clock.tsc_offset + v->guest.tsc_offset);
}

static void apply_clock(struct vcpu *v)
{
	vmx_intercept_clock(v);
	if (v->vm->time.flags & FERMATA_CLOCK_SCALED)
		vmwrite(VMCS_TSC_MULTIPLIER, v->vm->time.clock.tsc_mult);
}

static void apply_root(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u64 eptp = v->vm->memory.radix.root_phys | EPTP_WRITE_BACK | EPTP_LEVELS(4);

	if (v->shadow)
		return;
	/* With it each read of a guest's table is a write (SDM 3C 29.3.5): where tables are closed, it faults. */
	if (vmx_controls.ept_vpid & EPT_CAP_ACCESSED_DIRTY && !v->ruling.wanted.read_only_walks)
		eptp |= EPTP_ACCESSED_DIRTY;
	if (eptp == s->eptp)
		return;
	s->eptp = eptp;
	vmwrite(VMCS_EPT_POINTER, eptp);
}

static bool apply_flush(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	bool paid = vmx_pay(v);

	if (!v->vm->config.untagged && s->vpid != v->tlb.tag.id) {
		s->vpid = v->tlb.tag.id;
		vmwrite(VMCS_VPID, s->vpid);
	}
	return paid;
}

/* The masks are about to change: from now on the shadows have to show the guest's own bits. */
static void apply_shadows(struct vcpu *v)
{
	vmx_sync(v);
	vmwrite(VMCS_CR0_SHADOW, v->guest.cr0);
	vmwrite(VMCS_CR4_SHADOW, v->guest.cr4);
}

bool vmx_apply(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;
	u32 dirty = v->dirty;

	v->dirty = 0;
	if (dirty & DIRTY_CONTROL)
		apply_control(v);
	if (dirty & DIRTY_INTERCEPTS) {
		apply_efer(v);
		apply_shadows(v);
		vmx_apply_intercepts(v);
	}
	if (dirty & DIRTY_CLOCK)
		apply_clock(v);
	if (dirty & (DIRTY_CLOCK | DIRTY_TSC_OFFSET))
		apply_tsc_offset(v);
	if (dirty & DIRTY_DEBUG) {
		vmwrite(VMCS_GUEST_DR7, v->guest.dr7);
		s->extra &= ~EXTRA_BREAKPOINTS;
		if (v->guest.dr7 & ARCH_DR7_ENABLES)
			s->extra |= EXTRA_BREAKPOINTS;
	}
	if (dirty & DIRTY_PAT && vmx_controls.entry & ENTRY_LOAD_PAT)
		vmwrite(VMCS_GUEST_PAT, v->guest.pat);
	if (v->shadow && dirty & DIRTY_CR3)
		vmwrite(VMCS_GUEST_CR3, v->shadow->cpu.root_phys);
	if (dirty & DIRTY_ROOT)
		apply_root(v);
	return !(dirty & (DIRTY_ROOT | DIRTY_FLUSH)) || apply_flush(v);
}

/* ---- out */

void vmx_sync(struct vcpu *v)
{
	if (v->dirty & DIRTY_CONTROL)
		return;
	v->guest.cr0 = (v->guest.cr0 & ~vmx_cr0_direct(v)) |
		       (vmread(VMCS_GUEST_CR0) & vmx_cr0_direct(v));
	v->guest.cr4 = (v->guest.cr4 & ~vmx_cr4_direct(v)) |
		       (vmread(VMCS_GUEST_CR4) & vmx_cr4_direct(v));
}

void vmx_fetch_rsp(struct vcpu *v)
{
	struct vmx_vcpu *s = v->hw;

	if (s->extra & EXTRA_RSP)
		return;
	v->page->regs[FERMATA_RSP] = vmread(VMCS_GUEST_RSP);
	s->extra |= EXTRA_RSP;
}

/* Of a register that is in the VMCS alone. */
static u32 field_of(enum hw_reg reg)
{
	switch (reg) {
	case HW_RFLAGS:
		return VMCS_GUEST_RFLAGS;
	case HW_CR3:
		return VMCS_GUEST_CR3;
	case HW_BLOCKED:
		return VMCS_GUEST_INTERRUPTIBILITY;
	default:
		return VMCS_GUEST_ES_BASE + 2 * (reg - HW_ES_BASE);
	}
}

void vmx_position(struct vcpu *v, u64 *rip, u64 *rflags)
{
	vmx_begin(v);
	vmx_fetch_rsp(v);
	*rip = ((struct vmx_vcpu *)v->hw)->rip;
	*rflags = vmread(VMCS_GUEST_RFLAGS);
	vmx_end(v);
}

u64 vmx_get_reg(struct vcpu *v, enum hw_reg reg)
{
	struct vmx_vcpu *s = v->hw;
	u64 value;

	if (reg == HW_RIP)
		return s->rip;
	if (reg == HW_CR2)
		return v->guest.cr2;
	if (reg == HW_CR3 && v->shadow)
		return v->shadow->cr3;
	vmx_begin(v);
	vmx_fetch_rsp(v);
	value = vmread(field_of(reg));
	vmx_end(v);
	if (reg == HW_BLOCKED)
		return !v->advance && value & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
	return value;
}

/* Blocking by STI needs IF = 1 (SDM 3C 27.3.1.5); without it, MOV SS says the same. */
static void set_blocking(bool interrupts, bool nmi)
{
	u32 blocking = nmi ? BLOCKING_BY_NMI : 0;

	if (interrupts)
		blocking |= vmread(VMCS_GUEST_RFLAGS) & ARCH_RFLAGS_IF ? BLOCKING_BY_STI :
									 BLOCKING_BY_MOV_SS;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking);
	/* Bochs 2.7 leaves the single step of an instruction here that exited instead of being done. */
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
}

void vmx_set_reg(struct vcpu *v, enum hw_reg reg, u64 value)
{
	struct vmx_vcpu *s = v->hw;

	vmx_begin(v);
	switch (reg) {
	case HW_RIP:
		s->rip = value;
		vmwrite(VMCS_GUEST_RIP, value);
		break;
	case HW_RFLAGS:
		vmwrite(VMCS_GUEST_RFLAGS, value | ARCH_RFLAGS_FIXED);
		break;
	case HW_CR2:
		v->guest.cr2 = value;
		break;
	case HW_CR3:
		vmx_sync(v);
		v->dirty |= DIRTY_CONTROL; /* the PDPTEs */
		if (v->shadow)
			v->shadow->cr3 = value;
		else
			vmwrite(VMCS_GUEST_CR3, value);
		break;
	case HW_BLOCKED:
		set_blocking(value, vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKING_BY_NMI);
		break;
	default:
		vmwrite(field_of(reg), value);
	}
	vmx_end(v);
}

static u8 vmx_mode(const struct vcpu *v, u64 rflags)
{
	u32 access;

	if (!(v->guest.cr0 & ARCH_CR0_PE) || rflags & ARCH_RFLAGS_VM)
		return FERMATA_MODE_REAL;
	access = vmread(VMCS_GUEST_ES_ACCESS + 2);
	if (v->guest.efer & ARCH_EFER_LMA && access & BIT(13))
		return FERMATA_MODE_LONG;
	return access & BIT(14) ? FERMATA_MODE_PROT32 : FERMATA_MODE_PROT16;
}

void vmx_where(struct vcpu *v, struct where *where)
{
	struct vmx_vcpu *s = v->hw;
	u32 i;

	vmx_begin(v);
	vmx_sync(v);
	vmx_fetch_rsp(v);
	where->rip = s->rip;
	where->rflags = vmread(VMCS_GUEST_RFLAGS);
	where->paging.cr0 = v->guest.cr0;
	where->paging.cr3 = v->shadow ? v->shadow->cr3 : vmread(VMCS_GUEST_CR3);
	where->paging.cr4 = v->guest.cr4;
	where->paging.efer = v->guest.efer;
	where->paging.pkru = v->guest.pkru;
	where->paging.cpl = vmx_cpl();
	where->paging.ac = where->rflags & ARCH_RFLAGS_AC;
	where->paging.no_1g = false;
	where->paging.has_pdptes = v->guest.cr4 & ARCH_CR4_PAE && !(v->guest.efer & ARCH_EFER_LMA);
	for (i = 0; where->paging.has_pdptes && i < 4; i++)
		where->paging.pdpte[i] = v->shadow ? v->shadow->pdpte[i] :
						     vmread(VMCS_GUEST_PDPTE0 + 2 * i);
	where->mode = vmx_mode(v, where->rflags);
	where->linear = where->mode == FERMATA_MODE_LONG ?
				s->rip :
				(u32)(vmread(VMCS_GUEST_CS_BASE) + s->rip);
	vmx_end(v);
}

static void segment_out(struct fermata_segment *out, u32 n)
{
	u32 access = vmread(VMCS_GUEST_ES_ACCESS + 2 * n);

	out->selector = vmread(VMCS_GUEST_ES_SELECTOR + 2 * n);
	out->limit = vmread(VMCS_GUEST_ES_LIMIT + 2 * n);
	out->base = vmread(VMCS_GUEST_ES_BASE + 2 * n);
	out->attrib = (access & 0xff) | (access >> 4 & 0xf00);
	if (access & ACCESS_UNUSABLE)
		out->attrib |= FERMATA_SEG_UNUSABLE;
}

static void segment_in(const struct fermata_segment *in, u32 n)
{
	u32 access = (in->attrib & 0xff) | (in->attrib & 0xf00) << 4;

	if (in->attrib & FERMATA_SEG_UNUSABLE)
		access = ACCESS_UNUSABLE;
	vmwrite(VMCS_GUEST_ES_SELECTOR + 2 * n, in->selector);
	vmwrite(VMCS_GUEST_ES_LIMIT + 2 * n, in->limit);
	vmwrite(VMCS_GUEST_ES_BASE + 2 * n, in->base);
	vmwrite(VMCS_GUEST_ES_ACCESS + 2 * n, access);
}

static void get_segments(struct fermata_state_segments *out)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(segment_at); i++)
		segment_out((struct fermata_segment *)((u8 *)out + segment_at[i]), i);
	out->gdt.base = vmread(VMCS_GUEST_GDTR_BASE);
	out->gdt.limit = vmread(VMCS_GUEST_GDTR_LIMIT);
	out->idt.base = vmread(VMCS_GUEST_IDTR_BASE);
	out->idt.limit = vmread(VMCS_GUEST_IDTR_LIMIT);
	out->gdt.reserved = out->idt.reserved = 0;
}

/* The MSRs that change hands with the stay: in it they are in the CPU. */
static u64 get_kernel_gs_base(const struct vmx_vcpu *s)
{
	return s->in_guest_context ? cpu_rdmsr(ARCH_MSR_KERNEL_GS_BASE) : s->kernel_gs_base;
}

void vmx_get_state(struct vcpu *v, struct fermata_state *state, u32 mask)
{
	struct vmx_vcpu *s = v->hw;

	vmx_begin(v);
	vmx_sync(v);
	vmx_fetch_rsp(v);
	if (mask & FERMATA_STATE_REGS) {
		state->regs.rip = s->rip + v->advance;
		state->regs.rflags = vmread(VMCS_GUEST_RFLAGS);
	}
	if (mask & FERMATA_STATE_SEGMENTS)
		get_segments(&state->segments);
	if (mask & FERMATA_STATE_CONTROL) {
		state->control.cr2 = vmx_get_reg(v, HW_CR2);
		state->control.cr3 = vmx_get_reg(v, HW_CR3);
	}
	if (mask & FERMATA_STATE_MSRS) {
		state->msrs.star = s->syscalls[0];
		state->msrs.lstar = s->syscalls[1];
		state->msrs.cstar = s->syscalls[2];
		state->msrs.sfmask = s->syscalls[3];
		state->msrs.kernel_gs_base = get_kernel_gs_base(s);
		state->msrs.sysenter_cs = vmread(VMCS_GUEST_SYSENTER_CS);
		state->msrs.sysenter_esp = vmread(VMCS_GUEST_SYSENTER_ESP);
		state->msrs.sysenter_eip = vmread(VMCS_GUEST_SYSENTER_EIP);
	}
	if (mask & FERMATA_STATE_PENDING) {
		state->pending.interrupts_blocked = vmx_get_reg(v, HW_BLOCKED);
		state->pending.nmi_blocked =
			!!(vmread(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKING_BY_NMI);
	}
	vmx_end(v);
}

/* ---- in */

static void set_segments(const struct fermata_state_segments *in)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(segment_at); i++)
		segment_in((const struct fermata_segment *)((const u8 *)in + segment_at[i]), i);
	vmwrite(VMCS_GUEST_GDTR_BASE, in->gdt.base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, in->gdt.limit);
	vmwrite(VMCS_GUEST_IDTR_BASE, in->idt.base);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, in->idt.limit);
}

/* AMD's processors keep any value in these MSRs, VM entry wants addresses (SDM 3C 27.3.1.1). */
static u64 canonical(const struct vcpu *v, u64 value)
{
	u32 shift = 64 - v->vm->cpuid.linear_bits;

	return (u64)((s64)(value << shift) >> shift);
}

int vmx_set_state(struct vcpu *v, const struct fermata_state *state, u32 mask)
{
	struct vmx_vcpu *s = v->hw;

	vmx_begin(v);
	s->extra |= EXTRA_RSP;
	if (mask & FERMATA_STATE_REGS) {
		vmx_set_reg(v, HW_RIP, state->regs.rip);
		vmx_set_reg(v, HW_RFLAGS, state->regs.rflags);
	}
	if (mask & FERMATA_STATE_SEGMENTS)
		set_segments(&state->segments);
	if (mask & FERMATA_STATE_CONTROL) {
		vmx_set_reg(v, HW_CR2, state->control.cr2);
		vmx_set_reg(v, HW_CR3, state->control.cr3);
	}
	if (mask & FERMATA_STATE_MSRS) {
		s->syscalls[0] = state->msrs.star;
		s->syscalls[1] = state->msrs.lstar;
		s->syscalls[2] = state->msrs.cstar;
		s->syscalls[3] = state->msrs.sfmask;
		s->kernel_gs_base = state->msrs.kernel_gs_base;
		vmwrite(VMCS_GUEST_SYSENTER_CS, state->msrs.sysenter_cs);
		vmwrite(VMCS_GUEST_SYSENTER_ESP, canonical(v, state->msrs.sysenter_esp));
		vmwrite(VMCS_GUEST_SYSENTER_EIP, canonical(v, state->msrs.sysenter_eip));
	}
	if (mask & FERMATA_STATE_PENDING)
		set_blocking(state->pending.interrupts_blocked, state->pending.nmi_blocked);
	vmx_end(v);
	return 0;
}

/* ---- STAR, LSTAR, CSTAR, SFMASK: written seldom, so writes exit and reads with them */

u64 *vmx_msr(struct vcpu *v, u32 msr)
{
	struct vmx_vcpu *s = v->hw;
	u32 at = msr - ARCH_MSR_STAR;

	if (at >= SYSCALL_MSRS)
		return NULL;
	/* The caller may write to the CPU, too: it has all of them then, or none. */
	if (s->in_guest_context)
		vmx_load_syscalls(v);
	return &s->syscalls[host_index(at, SYSCALL_MSRS)];
}
