/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The length, and the operands, of the instructions that make a guest exit. For processors that do
 * not report them (AMD without NRIPS and decode assists), and for accesses to the APIC page.
 */
#ifndef INSN_INSN_H
#define INSN_INSN_H

#include "host.h"
#include <uapi/fermata.h>

enum insn_op {
	INSN_NONE,
	/* no operands: of struct insn only op and length are set */
	INSN_CPUID,
	INSN_RDTSC,
	INSN_RDTSCP,
	INSN_RDPMC,
	INSN_RDPRU,
	INSN_RDMSR,
	INSN_WRMSR,
	INSN_HLT,
	INSN_PAUSE,
	INSN_INVD,
	INSN_WBINVD,
	INSN_WBNOINVD,
	INSN_CLTS,
	INSN_RSM,
	INSN_XSETBV,
	INSN_MONITOR,
	INSN_MWAIT,
	INSN_MONITORX,
	INSN_MWAITX,
	INSN_INVLPGA,
	INSN_VMRUN,
	INSN_VMMCALL,
	INSN_VMLOAD,
	INSN_VMSAVE,
	INSN_STGI,
	INSN_CLGI,
	INSN_SKINIT,
	INSN_VMCALL,
	INSN_VMLAUNCH,
	INSN_VMRESUME,
	INSN_VMXOFF,
	INSN_VMFUNC,
	INSN_INT3,
	INSN_ICEBP,
	INSN_INTO,
	INSN_LAST_PLAIN = INSN_INTO,
	/* no memory or register operand, but an operand size (and an immediate, for INT n) */
	INSN_INT,
	INSN_IRET,
	INSN_PUSHF,
	INSN_POPF,
	/* size: of the datum; immediate: the port, when has_immediate, else DX; rep */
	INSN_IN,
	INSN_OUT,
	INSN_INS,  /* to ES:[rDI] */
	INSN_OUTS, /* from segment:[rSI] */
	/* rm: the general register; control: which control or debug register */
	INSN_MOV_TO_CR,
	INSN_MOV_FROM_CR,
	INSN_MOV_TO_DR,
	INSN_MOV_FROM_DR,
	/* memory operand */
	INSN_INVLPG,
	INSN_SGDT,
	INSN_SIDT,
	INSN_LGDT,
	INSN_LIDT,
	INSN_VMPTRLD,
	INSN_VMPTRST,
	INSN_VMCLEAR,
	INSN_VMXON,
	/* memory operand and reg */
	INSN_INVPCID,
	INSN_INVEPT,
	INSN_INVVPID,
	/* memory or register operand */
	INSN_LMSW,
	INSN_SMSW,
	INSN_SLDT,
	INSN_STR,
	INSN_LLDT,
	INSN_LTR,
	INSN_VMREAD,  /* and reg: the VMCS field */
	INSN_VMWRITE, /* and reg: the VMCS field */
	/* memory or register operand, and reg or immediate; size is the memory operand's */
	INSN_STORE,	/* memory = reg, or immediate when has_immediate */
	INSN_LOAD,	/* reg = memory */
	INSN_LOAD_ZERO, /* reg = zero-extended memory; reg is reg_size wide */
	INSN_LOAD_SIGN, /* reg = sign-extended memory; reg is reg_size wide */
	INSN_XCHG,	/* reg and memory change places, locked */
};

#define INSN_NO_REG 0xff

struct insn {
	u8 op;		 /* enum insn_op */
	u8 length;	 /* bytes, 1..15, prefixes included */
	u8 size;	 /* operand size, bytes: 1, 2, 4, 8; of a pseudo-descriptor: its 6 or 10 */
	u8 reg_size;	 /* size of reg, bytes; with size unless an INSN_LOAD_ZERO/_SIGN */
	u8 address_size; /* bytes: 2, 4, 8 */
	u8 reg;		 /* FERMATA_R*, INSN_NO_REG: none */
	u8 rm; /* FERMATA_R* when the other operand is a register, INSN_NO_REG: memory or none */
	u8 control;    /* number of the control or debug register */
	bool reg_high; /* reg is AH, CH, DH or BH, and reg says 0..3 */
	bool rm_high;
	bool memory;	   /* the following describe an operand in memory */
	u8 segment;	   /* 0..5: ES CS SS DS FS GS, default or overridden */
	u8 base;	   /* FERMATA_R*, INSN_NO_REG: none */
	u8 index;	   /* FERMATA_R*, INSN_NO_REG: none */
	u8 scale;	   /* 1, 2, 4, 8 */
	bool rip_relative; /* disp counts from the end of the instruction */
	bool has_immediate;
	bool rep; /* F3 or F2 before a string instruction */
	bool lock;
	u64 disp;      /* sign-extended; absolute for the A0..A3 moves */
	u64 immediate; /* sign-extended to 64 bits; ports and INT n zero-extended */
};

/*
 * Decode what starts at bytes[0], of which count are there. mode: FERMATA_MODE_*. 0, or
 * -ENOSYS: not one of the above; -ERANGE: it goes on beyond count; -EINVAL: #UD or #GP: longer than
 * 15 bytes, or LOCK where it is not allowed.
 */
int insn_decode(const u8 *bytes, u32 count, u8 mode, struct insn *out);

/*
 * The linear address is segment base + this (SDM 1 3.7.5), already cut to the address size.
 * regs: FERMATA_R* order; next_rip: of the instruction after it.
 */
u64 insn_offset(const struct insn *insn, const u64 *regs, u64 next_rip);

#endif
