/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The virtual machine control block as the processor reads it: APM 2 appendix B, tables B-1 and B-2.
 */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include "host.h"

struct vmcb_segment {
	u16 selector;
	u16 attrib; /* descriptor bits 55:52 and 47:40, packed into 12 (APM 2 table B-3) */
	u32 limit;
	u64 base;
};

/* Intercept words, by number. The bit names follow the manual's INTERCEPT_* meaning. */
enum { VMCB_CR, VMCB_DR, VMCB_EXCEPTION, VMCB_MISC1, VMCB_MISC2, VMCB_MISC3, VMCB_INTERCEPTS };

struct vmcb {
	/* control area */
	u32 intercept[VMCB_INTERCEPTS]; /* 000: CR reads 15:0, writes 31:16; DR alike; ... */
	u8 reserved_018[0x3c - 0x18];
	u16 pause_filter_threshold; /* 03c */
	u16 pause_filter_count;	    /* 03e */
	u64 iopm_base_pa;	    /* 040 */
	u64 msrpm_base_pa;	    /* 048 */
	u64 tsc_offset;		    /* 050 */
	u32 guest_asid;		    /* 058 */
	u8 tlb_control;		    /* 05c */
	u8 reserved_05d[3];
	u64 vintr;	   /* 060: V_TPR 7:0, V_IRQ 8, ... */
	u64 int_state;	   /* 068: interrupt shadow 0, guest interrupt mask 1 */
	u64 exitcode;	   /* 070 */
	u64 exitinfo1;	   /* 078 */
	u64 exitinfo2;	   /* 080 */
	u64 exitintinfo;   /* 088 */
	u64 nested_ctl;	   /* 090: NP_ENABLE 0 */
	u64 avic_apic_bar; /* 098 */
	u64 ghcb;	   /* 0a0 */
	u64 eventinj;	   /* 0a8 */
	u64 n_cr3;	   /* 0b0 */
	u64 lbr_ctl;	   /* 0b8 */
	u32 clean;	   /* 0c0 */
	u32 reserved_0c4;
	u64 next_rip;	     /* 0c8: with NRIPS */
	u8 insn_bytes_count; /* 0d0: with decode assists */
	u8 insn_bytes[15];
	u8 reserved_0e0[0x400 - 0xe0];

	/* state save area, 400 */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_4a0[0x4cb - 0x4a0];
	u8 cpl; /* 4cb */
	u8 reserved_4cc[4];
	u64 efer; /* 4d0 */
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548 */
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;					  /* 5d8 */
	u64 s_cet, ssp, isst_addr;			  /* 5e0 */
	u64 rax;					  /* 5f8 */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;	  /* 600 */
	u64 sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* 628 */
	u8 reserved_648[0x668 - 0x648];
	u64 g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to; /* 668 */
	u8 reserved_698[0x1000 - 0x698];
};

#define VMCB_AT(field, offset) static_assert(offsetof(struct vmcb, field) == (offset), #field)
VMCB_AT(pause_filter_count, 0x3e);
VMCB_AT(guest_asid, 0x58);
VMCB_AT(vintr, 0x60);
VMCB_AT(exitcode, 0x70);
VMCB_AT(nested_ctl, 0x90);
VMCB_AT(eventinj, 0xa8);
VMCB_AT(clean, 0xc0);
VMCB_AT(next_rip, 0xc8);
VMCB_AT(es, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(s_cet, 0x5e0);
VMCB_AT(rax, 0x5f8);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(last_excp_to, 0x690);
static_assert(sizeof(struct vmcb) == 0x1000, "a VMCB is one page");

/* VMCB_CR and VMCB_DR: reads in the low half, writes in the high half */
#define CR_READ(n) BIT(n)
#define CR_WRITE(n) BIT((n) + 16)

/* VMCB_MISC1, offset 00c */
#define INTERCEPT_INTR BIT(0)
#define INTERCEPT_NMI BIT(1)
#define INTERCEPT_SMI BIT(2)
#define INTERCEPT_INIT BIT(3)
#define INTERCEPT_VINTR BIT(4)
#define INTERCEPT_CR0_SEL_WRITE BIT(5)
#define INTERCEPT_IDTR_READ BIT(6)
#define INTERCEPT_GDTR_READ BIT(7)
#define INTERCEPT_LDTR_READ BIT(8)
#define INTERCEPT_TR_READ BIT(9)
#define INTERCEPT_IDTR_WRITE BIT(10)
#define INTERCEPT_GDTR_WRITE BIT(11)
#define INTERCEPT_LDTR_WRITE BIT(12)
#define INTERCEPT_TR_WRITE BIT(13)
#define INTERCEPT_RDTSC BIT(14)
#define INTERCEPT_RDPMC BIT(15)
#define INTERCEPT_CPUID BIT(18)
#define INTERCEPT_IRET BIT(20)
#define INTERCEPT_INVD BIT(22)
#define INTERCEPT_PAUSE BIT(23)
#define INTERCEPT_HLT BIT(24)
#define INTERCEPT_INVLPG BIT(25)
#define INTERCEPT_INVLPGA BIT(26)
#define INTERCEPT_IOIO BIT(27)
#define INTERCEPT_MSR BIT(28)
#define INTERCEPT_TASK_SWITCH BIT(29)
#define INTERCEPT_SHUTDOWN BIT(31)

/* VMCB_MISC2, offset 010 */
#define INTERCEPT_VMRUN BIT(0)
#define INTERCEPT_VMMCALL BIT(1)
#define INTERCEPT_VMLOAD BIT(2)
#define INTERCEPT_VMSAVE BIT(3)
#define INTERCEPT_STGI BIT(4)
#define INTERCEPT_CLGI BIT(5)
#define INTERCEPT_SKINIT BIT(6)
#define INTERCEPT_RDTSCP BIT(7)
#define INTERCEPT_WBINVD BIT(9)
#define INTERCEPT_MONITOR BIT(10)
#define INTERCEPT_MWAIT BIT(11)
#define INTERCEPT_XSETBV BIT(13)
#define INTERCEPT_RDPRU BIT(14)

/* VMCB_MISC3, offset 014 */
#define INTERCEPT_INVPCID BIT(2)

/* tlb_control: APM 2 15.16.1 */
#define TLB_NOTHING 0
#define VMCB_FLUSH_ALL 1
#define VMCB_FLUSH_ASID 3  /* with FlushByAsid, like the next */
#define VMCB_FLUSH_LOCAL 7 /* this ASID's, but for global pages */

/* vintr */
#define V_TPR_MASK 0xffull
#define V_IRQ BIT_ULL(8)
#define V_INTR_PRIO(p) ((u64)(p) << 16)
#define V_IGN_TPR BIT_ULL(20)
#define V_INTR_MASKING BIT_ULL(24)

#define INT_STATE_SHADOW BIT_ULL(0)
#define NP_ENABLE BIT_ULL(0)

/* eventinj and exitintinfo: APM 2 15.20 */
#define EVENT_TYPE_INTR (0u << 8)
#define EVENT_TYPE_NMI (2u << 8)
#define EVENT_TYPE_EXCEPTION (3u << 8)
#define EVENT_TYPE_SOFT (4u << 8)
#define EVENT_TYPE_MASK (7u << 8)
#define EVENT_HAS_CODE BIT(11)
#define EVENT_VALID BIT(31)

/* Clean bits, APM 2 15.15: a set bit promises that the group was not changed since the last VMRUN. */
#define CLEAN_INTERCEPTS BIT(0)
#define CLEAN_PERMISSION_MAPS BIT(1)
#define CLEAN_ASID BIT(2)
#define CLEAN_TPR BIT(3)
#define CLEAN_NESTED BIT(4)
#define CLEAN_CR BIT(5) /* CR0, CR3, CR4, EFER */
#define CLEAN_DR BIT(6)
#define CLEAN_DT BIT(7)
#define CLEAN_SEG BIT(8) /* CS, DS, SS, ES, CPL */
#define CLEAN_CR2 BIT(9)
#define CLEAN_ALL 0x7ffu

/* EXITCODE: APM 2 appendix C */
#define SVM_EXIT_READ_CR0 0x000
#define SVM_EXIT_WRITE_CR0 0x010
#define SVM_EXIT_READ_DR0 0x020
#define SVM_EXIT_WRITE_DR0 0x030
#define SVM_EXIT_EXCP_BASE 0x040
#define SVM_EXIT_INTR 0x060
#define SVM_EXIT_NMI 0x061
#define SVM_EXIT_SMI 0x062
#define SVM_EXIT_INIT 0x063
#define SVM_EXIT_VINTR 0x064
#define SVM_EXIT_CR0_SEL_WRITE 0x065
#define SVM_EXIT_IDTR_READ 0x066
#define SVM_EXIT_GDTR_READ 0x067
#define SVM_EXIT_LDTR_READ 0x068
#define SVM_EXIT_TR_READ 0x069
#define SVM_EXIT_IDTR_WRITE 0x06a
#define SVM_EXIT_GDTR_WRITE 0x06b
#define SVM_EXIT_LDTR_WRITE 0x06c
#define SVM_EXIT_TR_WRITE 0x06d
#define SVM_EXIT_RDTSC 0x06e
#define SVM_EXIT_RDPMC 0x06f
#define SVM_EXIT_CPUID 0x072
#define SVM_EXIT_IRET 0x074
#define SVM_EXIT_INVD 0x076
#define SVM_EXIT_PAUSE 0x077
#define SVM_EXIT_HLT 0x078
#define SVM_EXIT_INVLPG 0x079
#define SVM_EXIT_INVLPGA 0x07a
#define SVM_EXIT_IOIO 0x07b
#define SVM_EXIT_MSR 0x07c
#define SVM_EXIT_SHUTDOWN 0x07f
#define SVM_EXIT_VMRUN 0x080
#define SVM_EXIT_VMMCALL 0x081
#define SVM_EXIT_VMLOAD 0x082
#define SVM_EXIT_VMSAVE 0x083
#define SVM_EXIT_STGI 0x084
#define SVM_EXIT_CLGI 0x085
#define SVM_EXIT_SKINIT 0x086
#define SVM_EXIT_RDTSCP 0x087
#define SVM_EXIT_WBINVD 0x089
#define SVM_EXIT_MONITOR 0x08a
#define SVM_EXIT_MWAIT 0x08b
#define SVM_EXIT_MWAIT_ARMED 0x08c
#define SVM_EXIT_XSETBV 0x08d
#define SVM_EXIT_RDPRU 0x08e
#define SVM_EXIT_INVPCID 0x0a2
#define SVM_EXIT_NPF 0x400
#define SVM_EXIT_INVALID ((u64) - 1)

/* EXITINFO1 of IOIO: APM 2 15.10.2 */
#define IOIO_IN BIT(0)
#define IOIO_STRING BIT(2)
#define IOIO_REP BIT(3)
#define IOIO_SIZE(info) (((info) >> 4) & 7)
#define IOIO_PORT(info) ((u16)((info) >> 16))

/* EXITINFO1 of NPF: APM 2 15.25.6 */
#define NPF_PRESENT BIT_ULL(0)
#define NPF_WRITE BIT_ULL(1)
#define NPF_USER BIT_ULL(2)
#define NPF_FETCH BIT_ULL(4)
#define NPF_FINAL BIT_ULL(32)
#define NPF_TABLE BIT_ULL(33)

#endif
