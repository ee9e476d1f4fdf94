/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of kernel/vmx share. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "core/vcpu.h"
#include "vmx/instructions.h"
#include "vmx/vmcs.h"

/* What the capability MSRs made of our wishes. What is used of it is the same on every CPU, or cpu_on() refuses. */
struct vmx_controls {
	u32 revision; /* of the VMCS */
	u32 pin, proc, proc2, exit, entry;
	u32 proc_allowed, proc2_allowed; /* what may be set besides */
	u64 ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

#define SYSCALL_MSRS 4u /* STAR, LSTAR, CSTAR, SFMASK: one after the other, from ARCH_MSR_STAR on */

struct vmx_vcpu;

struct vmx_cpu {
	void *vmxon;		 /* the processor's own region */
	struct vmx_vcpu *active; /* whose VMCS is current here */
	struct vmx_vcpu *loaded; /* all whose VMCS this CPU may hold in its caches */
	struct tag_pool tags;
	u64 syscalls[SYSCALL_MSRS]; /* the host's STAR, LSTAR, CSTAR, SFMASK; constant */
	u64 gs_base;
	u64 other; /* beside another hypervisor, while a VMCS of ours is current: what was before, or VMCS_NONE */
	bool on;
	bool lost; /* beside another hypervisor: it has switched VMX off, and nobody has told us */
};

#define VMCS_NONE (~0ull) /* VMPTRST when none is current (SDM 3C 31.3) */

/* As SGDT and SIDT store it. */
struct __attribute__((packed)) vmx_table {
	u16 limit;
	u64 base;
};

/* The host's registers that a VM exit does not bring back as they were (SDM 3C 28.5). */
struct vmx_host {
	u32 cpu; /* whose constants are in the VMCS; ~0u: none's */
	u16 es, ds, fs, gs, ldt;
	bool syscalls;		    /* the guest's STAR, LSTAR, CSTAR, SFMASK are in the CPU */
	const u64 *was;		    /* what they were */
	u64 found[SYSCALL_MSRS];    /* likewise, beside another hypervisor: perhaps its guest's */
	u64 efer;		    /* likewise, as in the VMCS */
	u64 cr0, cr3, cr4, fs_base; /* as in the VMCS */
	u64 kernel_gs_base, debugctl;
	struct vmx_table gdt;
};

struct vmx_vcpu {
	u32 *vmcs;
	u64 vmcs_pa;
	u64 eptp;		       /* as in the VMCS */
	u32 *virtual_apic;	       /* TPR shadow: the byte at 80h */
	struct vmx_msr_area *msr_area; /* what entry and exit load besides the VMCS's own */
	u8 *msr_bitmap; /* in force while a rule is about an MSR that does not exit otherwise */
	const struct vmx_cpu *here; /* in guest context: this CPU */
	u32 cpu;		    /* whose caches may hold the VMCS; ~0u: none's */
	bool launched;
	u8 extra; /* EXTRA_* */
	u8 tpr_threshold;
	u16 vpid;	       /* as in the VMCS; 0: none */
	bool in_guest_context; /* between load() and unload() */
	u8 taken;	       /* beside another hypervisor: so many vmx_take() are open */
	u32 proc;	       /* primary controls as they are in the VMCS */
	u64 rip;	       /* as in the VMCS */
	u64 host_rsp;	       /* likewise */
	u64 syscalls[SYSCALL_MSRS], kernel_gs_base; /* the guest's */
	struct vmx_host host;
	struct vmx_vcpu *next, **link; /* in vmx_cpu.loaded */
};

/* What an entry does besides, for few guests or few entries. */
#define EXTRA_RSP BIT(0)	 /* the run page's goes in: it was read from the VMCS, or set */
#define EXTRA_BREAKPOINTS BIT(1) /* the guest's are enabled */
#define EXTRA_KEYS BIT(2)	 /* PKRU is in its reach */
#define EXTRA_SAMPLING BIT(3)	 /* the host samples with PEBS, which must come to rest before */

struct vmx_msr_entry {
	u32 index, reserved;
	u64 value;
};

#define VMX_MSR_AREA 3

/* IA32_EFER without "load IA32_EFER", and then what samples the host. */
struct vmx_msr_area {
	struct vmx_msr_entry guest[VMX_MSR_AREA], host[VMX_MSR_AREA];
};

extern struct vmx_controls vmx_controls;
extern struct vmx_cpu *vmx_cpus;
extern u64 vmx_msr_bitmap_pa;

/* Of a field that we alone write: *written is what it holds. */
static inline void vmwrite_changed(u32 field, u64 *written, u64 value)
{
	if (likely(*written == value))
		return;
	*written = value;
	vmwrite(field, value);
}

/* Of the guest: SS.DPL (SDM 3C 25.4.1). */
static inline u8 vmx_cpl(void)
{
	return vmread(VMCS_GUEST_ES_ACCESS + 4) >> 5 & 3;
}

/* Controls that this guest runs without, although the processor has them. */
static inline u32 vmx_withheld(const struct vcpu *v)
{
	return (v->vm->config.untagged ? PROC2_VPID : 0) |
	       (v->shadow ? PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_INVPCID : 0);
}

/* flush.c */
bool vmx_forget(void); /* everything, on this CPU */
bool vmx_pay(struct vcpu *v);
void vmx_forget_linear(
	struct vcpu *v); /* what lies under its VPID alone, and may lie under those it had in this stay */
/* controls.c */
int vmx_resolve(struct vmx_controls *controls, const char **missing);
/* In what that we use does another CPU differ? NULL: in nothing. */
const char *vmx_differs(const struct vmx_controls *first, const struct vmx_controls *other, u64 *in);
/* vmx.c */
void vmx_make_current(struct vcpu *v); /* preemption is off */
void vmx_clear(void *vmx_vcpu);	       /* on the CPU that holds it, interrupts off */
void vmx_adopt(void *vmx_vcpu);	       /* likewise: this CPU holds it now */
/* beside.c */
int vmx_beside_on(struct vmx_cpu *cpu);
void vmx_beside_load(struct vcpu *v); /* with vmx_beside_begin() */
void vmx_beside_efer(struct vmx_vcpu *s);
void vmx_beside_unload(struct vcpu *v);
bool vmx_beside_ready(struct vcpu *v);
void vmx_beside_begin(struct vcpu *v);
void vmx_beside_end(struct vcpu *v);
void vmx_take(struct vcpu *v);
void vmx_give(struct vcpu *v);
/* host.c */
void vmx_host_constants(struct vmx_cpu *cpu);
void vmx_host_load(struct vcpu *v);
void vmx_host_restore(struct vcpu *v);
/* state.c */
void vmx_start_timer(void); /* of a turn, where the module's parameter bounds it */
void vmx_vmcs_init(struct vcpu *v);
void vmx_exchange_sampling(struct vmx_vcpu *s,
			   const struct host_sampling *host); /* NULL: the host has none */
bool vmx_can_run(const struct vcpu *v);			      /* the mode that its CR0 asks for */
bool vmx_apply(struct vcpu *v);				      /* false: INVEPT or INVVPID failed */
void vmx_sync(struct vcpu *v);
void vmx_get_state(struct vcpu *v, struct fermata_state *state, u32 mask);
int vmx_set_state(struct vcpu *v, const struct fermata_state *state, u32 mask);
u64 vmx_get_reg(struct vcpu *v, enum hw_reg reg);
void vmx_position(struct vcpu *v, u64 *rip, u64 *rflags);
void vmx_set_reg(struct vcpu *v, enum hw_reg reg, u64 value);
void vmx_where(struct vcpu *v, struct where *where);
void vmx_fetch_rsp(struct vcpu *v);
u64 *vmx_msr(struct vcpu *v, u32 msr);
void vmx_load_syscalls(struct vcpu *v); /* in guest context */
void vmx_restore_syscalls(struct vmx_vcpu *s);
/* CR0 and CR4 bits that the guest writes without an exit: those that change nothing of ours. */
#define VMX_CR0_DIRECT                                                                             \
	(ARCH_CR0_MP | ARCH_CR0_EM | ARCH_CR0_TS | ARCH_CR0_ET | ARCH_CR0_AM | ARCH_CR0_WP)
#define VMX_CR4_DIRECT                                                                             \
	(ARCH_CR4_PVI | ARCH_CR4_TSD | ARCH_CR4_DE | ARCH_CR4_PCE | ARCH_CR4_PGE |                 \
	 ARCH_CR4_OSFXSR | ARCH_CR4_OSXMMEXCPT)

/* What shadow paging wants besides: WP is always on, and PGE's toggling drops translations of ours. */
static inline u64 vmx_cr0_direct(const struct vcpu *v)
{
	return v->shadow ? VMX_CR0_DIRECT & ~ARCH_CR0_WP : VMX_CR0_DIRECT;
}

static inline u64 vmx_cr4_direct(const struct vcpu *v)
{
	return v->shadow ? VMX_CR4_DIRECT & ~ARCH_CR4_PGE : VMX_CR4_DIRECT;
}

/* run.c */
void vmx_load(struct vcpu *v, u32 cpu);
void vmx_unload(struct vcpu *v);
void vmx_run(struct vcpu *v);
bool vmx_can_take(struct vcpu *v, u8 kind);
void vmx_inject(struct vcpu *v, const struct injection *event);
/* exit.c */
void vmx_exit_record(struct vcpu *v);
void vmx_entry_failed(struct vcpu *v, u32 failed); /* as vmx_enter() says */
void vmx_refuse(struct vcpu *v);		   /* what vmx_can_run() says no to */
/* entry.S: 0, or which kind of VMfail: 1 valid (with an instruction error), 2 invalid */
u32 vmx_enter(u64 *regs, bool launched, u64 *host_rsp);
extern const char vmx_exit_point[]; /* HOST_RIP */

/* For what runs outside of guest context too: the vCPU's VMCS is current in between. */
static inline void vmx_begin(struct vcpu *v)
{
	host_stay();
	if (unlikely(backend_options.beside))
		vmx_beside_begin(v);
	else
		vmx_make_current(v);
}

static inline void vmx_end(struct vcpu *v)
{
	if (unlikely(backend_options.beside))
		vmx_beside_end(v);
	host_move();
}

#endif
