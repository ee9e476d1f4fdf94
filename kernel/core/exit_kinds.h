/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The kinds of exits, a row for each. Who includes this defines EXIT() with the columns that it wants:
 *
 *	kind		EXIT_kind, which the vendors' tables give their codes
 *	handler		what exits.c does about it
 *	instruction	INSN_instruction that it must be if it has to be decoded; NONE: any
 *	number		of its event: a register, or a field of the record; NONE: there is none
 *	result		where what it reads goes: PAIR is EDX:EAX, others are fields of the record; NONE: nothing
 *	events		FERMATA_ON_* that come by it, for rules; rules/exit.c tells several apart; 0: none
 */
#define ON(event) BIT_ULL(FERMATA_ON_##event)

/* clang-format off */
/*   kind          handler               instruction   number  result  events */
/* Nobody has said what it is: the first, which every exit starts as. */
EXIT(UNCLAIMED,    handle_unclaimed,     NONE,         NONE,   NONE,   0)
/* A host interrupt or NMI: served by the host already. */
EXIT(NOTHING,      handle_nothing,       NONE,         NONE,   NONE,   0)
EXIT(CPUID,        handle_cpuid,         CPUID,        EAX,    NONE,   ON(CPUID))
EXIT(MSR_READ,     handle_msr_read,      RDMSR,        ECX,    PAIR,   ON(RDMSR))
EXIT(MSR_WRITE,    handle_msr_write,     WRMSR,        ECX,    NONE,   ON(WRMSR))
EXIT(HLT,          handle_hlt,           HLT,          NONE,   NONE,   ON(HLT))
EXIT(IO,           handle_io,            NONE,         PORT,   IN,     ON(IN) | ON(OUT))
/* These four fill in exit.mov: exit_is_mov(). */
EXIT(CR_READ,      control_cr_read,      NONE,         MOV,    MOV,    ON(MOV_FROM_CR))
EXIT(CR_WRITE,     control_cr_write,     NONE,         MOV,    NONE,   ON(MOV_TO_CR) | ON(CLTS) |
								       ON(LMSW) | ON(CR3_SWITCH))
EXIT(DR_READ,      control_dr_read,      MOV_FROM_DR,  MOV,    MOV,    ON(MOV_FROM_DR))
EXIT(DR_WRITE,     control_dr_write,     MOV_TO_DR,    MOV,    NONE,   ON(MOV_TO_DR))
EXIT(XSETBV,       control_xsetbv,       XSETBV,       ECX,    NONE,   ON(XSETBV))
EXIT(HYPERCALL,    handle_hypercall,     NONE,         RAX,    NONE,   ON(HYPERCALL))
/* QEMU 7.2 says so for RDTSCP, too: exit_length() finds out. */
EXIT(RDTSC,        handle_rdtsc,         RDTSC,        NONE,   PAIR,   ON(RDTSC) | ON(RDTSCP))
EXIT(RDTSCP,       handle_rdtsc,         RDTSCP,       NONE,   PAIR,   ON(RDTSCP))
EXIT(NESTED_FAULT, handle_nested_fault,  NONE,         NONE,   NONE,   ON(READ) | ON(WRITE) | ON(EXEC))
/* Of the shadow or of the guest: shadow paging tells which. */
EXIT(PAGE_FAULT,   handle_page_fault,    NONE,         NONE,   NONE,   0)
/* To be given to the guest as it is. */
EXIT(EXCEPTION,    handle_exception,     NONE,         VECTOR, NONE,   ON(EXCEPTION) | ON(SYSCALL))
/* The guest can take what waits for it. */
EXIT(WINDOW,       handle_window,        NONE,         NONE,   NONE,   0)
/* Caches are coherent for a guest; nothing to do. */
EXIT(INVD,         handle_skip,          INVD,         NONE,   NONE,   0)
EXIT(WBINVD,       handle_skip,          WBINVD,       NONE,   NONE,   ON(WBINVD))
EXIT(PAUSE,        handle_skip,          PAUSE,        NONE,   NONE,   ON(PAUSE))
/* The guest's CPU has none of these: CPUID says so. */
EXIT(MONITOR,      handle_undefined,     NONE,         NONE,   NONE,   ON(MONITOR))
EXIT(MWAIT,        handle_undefined,     NONE,         NONE,   NONE,   ON(MWAIT))
EXIT(RDPRU,        handle_undefined,     RDPRU,        ECX,    PAIR,   ON(RDPRU))
/* No counters. */
EXIT(RDPMC,        handle_protected,     RDPMC,        ECX,    PAIR,   ON(RDPMC))
/* These only when somebody wants to hear of them, or under shadow paging. */
EXIT(INVLPG,       handle_invlpg,        INVLPG,       LINEAR, NONE,   ON(INVLPG))
EXIT(INVPCID,      handle_invpcid,       INVPCID,      NONE,   NONE,   ON(INVPCID))
EXIT(RDRAND,       handle_random,        NONE,         NONE,   RANDOM, ON(RDRAND))
EXIT(RDSEED,       handle_random,        NONE,         NONE,   RANDOM, ON(RDSEED))
/* exit_is_table(), in the order of SDM 3C tables 28-10 and 28-11. */
EXIT(SGDT,         handle_once,          SGDT,         NONE,   NONE,   ON(SGDT))
EXIT(SIDT,         handle_once,          SIDT,         NONE,   NONE,   ON(SIDT))
EXIT(LGDT,         handle_once,          LGDT,         NONE,   NONE,   ON(LGDT))
EXIT(LIDT,         handle_once,          LIDT,         NONE,   NONE,   ON(LIDT))
EXIT(SLDT,         handle_once,          SLDT,         NONE,   NONE,   ON(SLDT))
EXIT(STR,          handle_once,          STR,          NONE,   NONE,   ON(STR))
EXIT(LLDT,         handle_once,          LLDT,         NONE,   NONE,   ON(LLDT))
EXIT(LTR,          handle_once,          LTR,          NONE,   NONE,   ON(LTR))
/* An instruction that this guest's CPU does not have, and one that gets #GP(0) here. */
EXIT(UNDEFINED,    handle_undefined,     NONE,         NONE,   NONE,   0)
EXIT(PROTECTED,    handle_protected,     NONE,         NONE,   NONE,   0)
/* Ends of the vCPU. UNSUPPORTED: legal, and beyond this processor's virtualization. */
EXIT(SHUTDOWN,     handle_shutdown,      NONE,         NONE,   NONE,   0)
EXIT(FAIL_ENTRY,   handle_fail_entry,    NONE,         NONE,   NONE,   0)
EXIT(UNSUPPORTED,  handle_unsupported,   NONE,         NONE,   NONE,   0)
/* clang-format on */

#undef ON
#undef EXIT
