/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The ioctl interface of /dev/fermata.
 *
 * There are three kinds of file descriptors: the device, a VM made from it, a vCPU made from a VM. The
 * object lives exactly as long as its descriptor. A VM belongs to the process that created it:
 * ioctls from another address space get EPERM, because guest memory is that process's memory.
 *
 * Rules that hold for every call:
 *  - every structure has the same layout for 32- and 64-bit callers; fermata_layout.h checks it;
 *  - reserved and padding fields must be zero, unknown flag bits are EINVAL;
 *  - an ioctl's number contains the size of its argument, so a wrong size is ENOTTY;
 *  - a call returns 0, or a new descriptor (close-on-exec), or -1 with errno. EFAULT (the argument cannot
 *    be read or written), ENOTTY and, where something is created, ENOMEM are not listed below;
 *  - an incompatible change raises FERMATA_ABI_VERSION.
 */
#ifndef UAPI_FERMATA_H
#define UAPI_FERMATA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FERMATA_DEVICE "/dev/fermata"
/* New in 5: FERMATA_GET_FLAW, FERMATA_VM_BESIDE, FERMATA_WAY_*, FERMATA_BLOCK_FRED, FERMATA_BLOCK_TSC, FERMATA_HW_REFUSED. */
#define FERMATA_ABI_VERSION 5

#define FERMATA_MAX_VCPUS 64
#define FERMATA_MAX_SLOTS 32
#define FERMATA_MAX_CPUID 128
#define FERMATA_MAX_EXIT_CODES 192
#define FERMATA_LAST_EXITS 16
#define FERMATA_AUDIT_LINES 8
#define FERMATA_AUDIT_TEXT 160

/* ---------------------------------------------------------------- device */

enum fermata_vendor {
	FERMATA_VENDOR_NONE = 0,
	FERMATA_VENDOR_AMD = 1,
	FERMATA_VENDOR_INTEL = 2,
};

/* What prevents this machine from running guests; several bits may be set. */
#define FERMATA_BLOCK_NO_VIRT (1u << 0)	 /* the CPU has neither SVM nor VMX */
#define FERMATA_BLOCK_FIRMWARE (1u << 1) /* VM_CR.SVMDIS, or IA32_FEATURE_CONTROL */
/* Another hypervisor (KVM) has switched virtualization on: VMs need FERMATA_VM_BESIDE. */
#define FERMATA_BLOCK_BUSY (1u << 2)
#define FERMATA_BLOCK_NO_BACKEND (1u << 4) /* the CPU's vendor has no backend in this build */
#define FERMATA_BLOCK_ENCRYPTED (1u << 5)  /* the host encrypts its memory (SME) */
#define FERMATA_BLOCK_FRED (1u << 7)	   /* the host's kernel takes its events by FRED */
#define FERMATA_BLOCK_TSC (1u << 8)	   /* the host's kernel finds its TSC unstable */

/* svm_features is AMD's CPUID 8000_000A EDX unchanged (APM 3, E.4.9), so that no bit is lost. */
struct fermata_caps {
	__u32 abi;	    /* out: FERMATA_ABI_VERSION of the module */
	__u32 vendor;	    /* out: enum fermata_vendor */
	__u32 blocked;	    /* out: FERMATA_BLOCK_* ; 0 means guests can run */
	__u32 svm_revision; /* out: CPUID 8000_000A EAX[7:0] */
	__u32 svm_features; /* out: CPUID 8000_000A EDX */
	__u32 tags;	    /* out: number of ASIDs or VPIDs, the host's own (0) included */
	__u32 tsc_khz;	    /* out: frequency of the host's TSC, kHz */
	__u32 phys_bits;    /* out: width of a guest-physical address, bits */
	__u64 xcr0;	    /* out: XCR0 bits a guest may enable */
	__u32 nested_levels; /* out: bit n set: a nested-paging leaf of level n (1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB) */
	__u32 max_vcpus; /* out: FERMATA_MAX_VCPUS of the module */
	/* Intel: the controls that Fermata sets, of those that the capability MSRs allow; 0 on AMD. By FERMATA_VMX_*. */
	__u64 vmx[8];
	__u32 way; /* out: who has switched virtualization on for the VMs that there are, FERMATA_WAY_* */
	__u32 reserved;
};
#define FERMATA_WAY_NONE 0     /* there are no VMs */
#define FERMATA_WAY_OWN 1      /* the module; KVM cannot make VMs meanwhile */
#define FERMATA_WAY_BESIDE 2   /* KVM */
#define FERMATA_VMX_PIN 0      /* pin-based controls (SDM 3C 25.6.1) */
#define FERMATA_VMX_PROC 1     /* primary processor-based controls */
#define FERMATA_VMX_PROC2 2    /* secondary processor-based controls */
#define FERMATA_VMX_EXIT 3     /* VM-exit controls */
#define FERMATA_VMX_ENTRY 4    /* VM-entry controls */
#define FERMATA_VMX_EPT_VPID 5 /* IA32_VMX_EPT_VPID_CAP, unchanged (SDM 3D A.10) */

/* A flaw of processors that guests could use, and what Fermata does about it on this host. */
struct fermata_flaw {
	__u32 index;   /* in: 0, 1, ... */
	__u32 state;   /* out: FERMATA_FLAW_* */
	char name[32]; /* out: as it is known */
	char how[120]; /* out: what is done, or why nothing */
};
#define FERMATA_FLAW_NOT_NEEDED 0 /* this processor does not have it */
#define FERMATA_FLAW_DONE 1
#define FERMATA_FLAW_HOST 2	/* the host or its microcode does it, and nothing is ours to do */
#define FERMATA_FLAW_NOT_DONE 3 /* the processor has it, and a guest may use it: `how` says why */
#define FERMATA_FLAW_UNKNOWN 4	/* the host's kernel does not know it, so neither do we */

struct fermata_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 flags; /* FERMATA_CPUID_SUBLEAF */
	__u32 eax, ebx, ecx, edx;
	__u32 reserved;
};
/* With the flag an entry answers only its own ECX; without it, every ECX of its leaf. */
#define FERMATA_CPUID_SUBLEAF (1u << 0)

struct fermata_cpuid {
	__u32 count; /* SET: entries given; GET: out, entries filled in */
	__u32 reserved;
	struct fermata_cpuid_entry entry[FERMATA_MAX_CPUID];
};

struct fermata_vm_config {
	__u32 flags;	      /* FERMATA_VM_* */
	__u32 shadow_without; /* FERMATA_SHADOW_*: those not to use */
	__s32 kvm;	      /* with FERMATA_VM_BESIDE: a descriptor of KVM_CREATE_VM's; else 0 */
	__u32 reserved[5];
};
/*
 * The guest gets no ASID or VPID of its own, and its cached translations do not survive an entry.
 * On a CPU without tags (caps.tags 0) this is so anyway.
 */
#define FERMATA_VM_NO_TAGS (1u << 0)
/*
 * Shadow paging: the guest runs on page tables that the module keeps, not on NPT or EPT. It is the
 * default where the CPU has no nested paging (caps.nested_levels 0). INVPCID is hidden from such a
 * guest.
 */
#define FERMATA_VM_SHADOW (1u << 1)
#define FERMATA_VM_NESTED (1u << 2) /* nested paging, or no VM; not with FERMATA_VM_SHADOW */
#define FERMATA_VM_SHADOW_AUDIT                                                                    \
	(1u << 3) /* all shadows are derived anew now and then, and compared */
/*
 * The VM lives beside KVM's. The module keeps `kvm`, a VM of KVM's, which may be empty and which the caller may close,
 * until this VM's end: as long as it has one, KVM leaves virtualization on. All VMs at a time have the flag, or none.
 */
#define FERMATA_VM_BESIDE (1u << 4)
#define FERMATA_VM_FLAGS 0x1fu /* all of them */
/*
 * Shadow paging's optimisations, for shadow_without: each can be switched off alone. Without them a
 * guest is slower and sees no difference.
 */
#define FERMATA_SHADOW_UNSYNC                                                                      \
	(1u << 0) /* tables may be written unseen until the guest invalidates */
#define FERMATA_SHADOW_LARGE (1u << 1)	  /* 2 MiB entries where guest and host agree */
#define FERMATA_SHADOW_NARROW (1u << 2)	  /* entries with fewer rights are narrowed, not dropped */
#define FERMATA_SHADOW_KEEP (1u << 3)	  /* tables that are being written stay writable */
#define FERMATA_SHADOW_PREFETCH (1u << 4) /* a fault brings its neighbours along */
#define FERMATA_SHADOW_ROOTS (1u << 5)	  /* roots that no vCPU runs on are kept */
#define FERMATA_SHADOW_PCIDS                                                                       \
	(1u << 6) /* a CR3 that keeps its PCID's translations compares nothing */
#define FERMATA_SHADOW_ALL 0x7fu

/* ---------------------------------------------------------------- VM */

/* Guest-physical [gpa, gpa + size) is the caller's memory at user_addr. size 0 removes the slot. */
struct fermata_memory {
	__u32 slot;	 /* 0 .. FERMATA_MAX_SLOTS - 1 */
	__u32 flags;	 /* FERMATA_MEMORY_* */
	__u64 gpa;	 /* bytes, multiple of 4096 */
	__u64 size;	 /* bytes, multiple of 4096 */
	__u64 user_addr; /* multiple of 4096; congruent to gpa modulo 2 MiB to get 2 MiB entries */
};
#define FERMATA_MEMORY_READONLY (1u << 0) /* a guest write exits as FERMATA_EXIT_MMIO */
/*
 * A log is kept of which pages are written to: FERMATA_GET_DIRTY. It goes by guest-physical
 * address: the same memory in a second slot has a log of its own, or none. While it is on, the slot
 * gets no large pages.
 */
#define FERMATA_MEMORY_LOG_DIRTY (1u << 1)

/* FERMATA_SET_DIRTY_LOG, of a slot that is in use; the guest may be running. */
struct fermata_dirty_log {
	__u32 slot;
	__u32 flags; /* FERMATA_MEMORY_LOG_DIRTY: on, with nothing logged yet; 0: off */
};

/*
 * The pages that were written to since the last question about them, one bit each, the lowest bit
 * of a byte first. Later writes are logged anew. Writes of the guest's instructions count, its
 * processor's own (accessed and dirty bits, for example), and those that the module makes for them.
 * Writes of the caller do not: it knows of these itself.
 */
struct fermata_dirty {
	__u32 slot;
	__u32 reserved;
	__u64 first;  /* page of the slot, 4096 bytes each; a multiple of 64 */
	__u64 count;  /* 1 .. FERMATA_MAX_DIRTY; a multiple of 64, or up to the slot's end */
	__u64 bitmap; /* where (count + 63) / 64 * 8 bytes go in the caller's memory */
	__u64 dirty;  /* out: how many bits are set */
};
#define FERMATA_MAX_DIRTY (1u << 20)	/* pages in one call: 4 GiB */
#define FERMATA_MAX_LOGGED (1ull << 30) /* pages in a slot with a log: 4 TiB */

struct fermata_vcpu_config {
	__u32 id; /* 0 .. FERMATA_MAX_VCPUS - 1; also its APIC ID; 0 is the boot processor */
	__u32 reserved[7];
};

/* A message-signalled interrupt as a device writes it (SDM 3A 11.11, APM 2 16.11). */
struct fermata_msi {
	__u64 address;
	__u32 data;
	__u32 reserved;
};

/* The level of a wire into the local APICs. */
struct fermata_line {
	__u32 line;  /* FERMATA_LINE_* */
	__u32 level; /* 0 or 1 */
	__u32 vcpu;  /* which vCPU's local APIC */
	__u32 reserved;
};
#define FERMATA_LINE_LINT0 0 /* the 8259's INTR: delivered as the LVT says (ExtINT, Fixed, ...) */
#define FERMATA_LINE_LINT1 1 /* NMI */

/*
 * What reads of one port will give as time passes, until the caller says otherwise. The kernel part
 * then answers them itself. This is for timers that guests read in a loop. With
 *	ticks = guest ns * hz / 10^9, rounded down
 * and ticks >= from (before that, and at other sizes, a read exits as ever):
 *   COUNTER  value = (base + ticks, or base - ticks with `down`) & mask; with `halves`, single bytes:
 *            the low byte and then the high byte, in turn
 *   STEP     value = (ticks < at ? before : after) ^ (ticks / flip_ticks odd ? flip : 0)
 */
struct fermata_forecast {
	__u16 port;
	__u8 size;		  /* of the reads it answers: 1, 2 or 4 bytes; 1 with halves */
	__u8 kind;		  /* FERMATA_FORECAST_* */
	__u32 hz;		  /* 1 .. 10^9; 0 with FERMATA_FORECAST_NONE */
	__u64 from;		  /* ticks */
	__u64 base;		  /* COUNTER */
	__u64 at;		  /* STEP: ticks */
	__u32 mask;		  /* COUNTER */
	__u8 down, halves;	  /* COUNTER: 0 or 1 */
	__u8 before, after, flip; /* STEP */
	__u8 reserved[3];
	__u32 flip_ticks; /* STEP: at least 1 */
};
#define FERMATA_FORECAST_NONE 0 /* no forecast for this port any more */
#define FERMATA_FORECAST_COUNTER 1
#define FERMATA_FORECAST_STEP 2
#define FERMATA_MAX_FORECASTS 8

/*
 * The guest clock, mapped read-only at offset 0 of the VM descriptor, one page. Read seq (odd: being
 * written, try again), then the host's TSC and the rest, then seq again: it must be the same. With
 *	ticks = (u64)((u128)host_tsc * tsc_mult >> 48) + tsc_offset - tsc_start
 * as a signed number, limited to 0 .. tsc_ticks (from host_tsc = host_end on it is tsc_ticks, and
 * the product above means nothing), the guest's TSC is
 *	guest_tsc = tsc_start + ticks
 * and the guest's time since the VM was created, in ns of the guest, is
 *	guest_ns = ns_start + ((u128)ticks * ns_mult + ns_fraction >> 32)
 * Every change of the clock begins a new segment. It begins at exactly the time that the old one
 * has then, unless the change is a jump. The host's TSC must be read between the two readings of
 * seq, and between fences, because the processor may move it.
 */
struct fermata_clock {
	__u32 seq;
	__u32 tsc_khz;	  /* the guest's TSC frequency */
	__u64 tsc_mult;	  /* guest ticks per host tick, of 2^48; 0: the clock stands still */
	__u64 tsc_offset; /* modulo 2^64 */
	__u64 tsc_start;  /* the guest's TSC at the start of this segment */
	__u64 tsc_ticks;  /* the length of this segment; all ones: no end */
	__u64 host_end;	  /* after which the product above may wrap; all ones: no end */
	__u64 ns_start;	  /* guest ns at its start, and 2^-32 ns of them: */
	__u32 ns_fraction;
	__u32 flags;	 /* FERMATA_CLOCK_FROZEN, ... */
	__u64 ns_mult;	 /* ns per guest tick, of 2^32 */
	__u32 num, den;	 /* the rate as it was asked for; tsc_mult is what it is */
	__u64 changes;	 /* how often the clock was changed */
	__u64 rate_mult; /* tsc_mult while it runs; with FERMATA_CLOCK_RUN_ONLY: while a vCPU does */
	__u64 reserved[4];
};
#define FERMATA_CLOCK_FRACTION 48
#define FERMATA_CLOCK_FROZEN (1u << 0) /* it stands still, or will when the segment ends (a step) */
#define FERMATA_CLOCK_HELD (1u << 1)   /* it stands still, until RELEASE */
#define FERMATA_CLOCK_TRAPPED (1u << 2) /* RDTSC and RDTSCP exit; else the processor answers them */
#define FERMATA_CLOCK_SCALED (1u << 3)	/* ... by its TSC scaling, not by the offset alone */
#define FERMATA_CLOCK_RUN_ONLY (1u << 4) /* it stands still while the vCPU is not in the guest */

/* A change of the clock. All vCPUs and all readers of the page see it at one moment. */
struct fermata_clock_change {
	__u32 verb;	/* FERMATA_CLOCK_RATE, ... */
	__u32 num, den; /* RATE: guest seconds in host seconds; 1/1000 to 1000 */
	__u32 reserved;
	__s64 ns; /* STEP: 0 or more; JUMP: out: how far it went; DATE */
	__u64 reserved2;
};
#define FERMATA_CLOCK_RATE 0   /* from now on; a clock that is frozen stays so */
#define FERMATA_CLOCK_FREEZE 1 /* time stands still */
#define FERMATA_CLOCK_THAW 2   /* ... and goes on, at the rate that is set */
/*
 * From now on exactly ns pass, to the tick, at the rate that is set. Then time stands still. The
 * rest of an earlier step is added: steps add up.
 */
#define FERMATA_CLOCK_STEP 3
/*
 * Forward, it is as if so much time had passed at once: timers that lie in the span fire now,
 * periodic ones once. Backward, only the TSC goes back: timers that count ns keep what they had
 * left, and a TSC deadline is as far away as the TSC says.
 */
#define FERMATA_CLOCK_JUMP 4
/*
 * HOLD stops the clock. RELEASE lets it go on as the other verbs have set it, before HOLD or since.
 * They are for pauses, whose end must not thaw a clock that somebody else froze.
 */
#define FERMATA_CLOCK_HOLD 5
#define FERMATA_CLOCK_RELEASE 6
/*
 * To be called before the VM's one vCPU is made. From then on time passes only while the vCPU
 * executes the guest or sleeps in HLT. The guest does not see what an exit costs, or that its
 * thread was not running. RDTSC exits.
 */
#define FERMATA_CLOCK_RUN_ONLY_MODE 7
/*
 * The date at which the guest's TSC was 0, in ns since 1970, UTC. Only KVM's paravirtual clock
 * tells it, to guests that ask from now on. That clock can say 1970 to 2106; for dates outside of
 * this it says 1970.
 */
#define FERMATA_CLOCK_DATE 8
#define FERMATA_CLOCK_RATE_MAX 1000

/* ---------------------------------------------------------------- vCPU: the run page */

/* Order of the general registers: the processor's own encoding. */
enum fermata_reg {
	FERMATA_RAX,
	FERMATA_RCX,
	FERMATA_RDX,
	FERMATA_RBX,
	FERMATA_RSP,
	FERMATA_RBP,
	FERMATA_RSI,
	FERMATA_RDI,
	FERMATA_R8,
	FERMATA_R9,
	FERMATA_R10,
	FERMATA_R11,
	FERMATA_R12,
	FERMATA_R13,
	FERMATA_R14,
	FERMATA_R15,
	FERMATA_REGS,
};

/* Why FERMATA_RUN returned 0. */
enum fermata_exit_reason {
	FERMATA_EXIT_UNCLAIMED = 0, /* nobody knew this exit: the vCPU is dead, exit.hw_* say why */
	FERMATA_EXIT_IO,	    /* IN/OUT/INS/OUTS: exit.io; RIP still at the instruction */
	FERMATA_EXIT_MMIO, /* access to guest-physical memory without a slot: exit.mmio; RIP at it */
	FERMATA_EXIT_INTACK,   /* LINT0 as ExtINT is due: fetch the 8259's vector, FERMATA_INJECT */
	FERMATA_EXIT_EOI,      /* a level-triggered vector got its EOI: exit.eoi */
	FERMATA_EXIT_SHUTDOWN, /* triple fault (APM 2 15.14.3): the vCPU is dead */
	FERMATA_EXIT_FAIL_ENTRY, /* the processor refused the guest's state: the vCPU is dead */
	FERMATA_EXIT_MEMORY_FAULT, /* the host cannot provide the memory behind exit.mmio.gpa (SIGBUS, EFAULT) */
	FERMATA_EXIT_HALTED, /* every way to wake this vCPU is closed: HLT with IF = 0 */
	FERMATA_EXIT_STOPPED, /* a rule's FERMATA_DO_STOP: exit.stop; RUN goes on with the instruction */
	/*
	 * What the guest did is legal, but this processor's virtualization cannot run it: the vCPU is
	 * dead. hw_reason: a task switch, or FERMATA_VMX_UNPAGED.
	 */
	FERMATA_EXIT_UNSUPPORTED,
	FERMATA_EXIT_REASONS,
};

struct fermata_exit_io {
	__u16 port;
	__u8 size;   /* 1, 2 or 4 bytes */
	__u8 in;     /* 1: IN/INS, 0: OUT/OUTS */
	__u8 string; /* 1: INS/OUTS: decode insn[], see libfermata's emulator */
	__u8 rep;
	__u8 reserved[2];
	__u32 value; /* OUT: what the guest wrote */
	__u32 reserved2;
};

struct fermata_exit_mmio {
	__u64 gpa;
	__u8 write;
	__u8 fetch; /* the guest tried to execute there */
	/*
	 * The kernel part decodes the plain MOVs that drivers use: then insn_len is set, and the caller
	 * needs neither insn[] nor the guest's state. FERMATA_MMIO_*.
	 */
	__u8 op;
	__u8 size;     /* of the access, 1, 2, 4, 8 bytes; it does not cross a page */
	__u8 reg;      /* of a load: enum fermata_reg ... */
	__u8 reg_size; /* ... and how much of it is written, bytes; 4 clears the upper half */
	__u8 reserved[2];
	__u64 value; /* of a store */
};
#define FERMATA_MMIO_UNKNOWN 0	 /* decode insn[] */
#define FERMATA_MMIO_STORE 1	 /* value goes to gpa */
#define FERMATA_MMIO_LOAD 2	 /* what is at gpa goes to reg, zero-extended to reg_size */
#define FERMATA_MMIO_LOAD_SIGN 3 /* the same, sign-extended */

struct fermata_exit_eoi {
	__u32 vector;
	__u32 reserved;
};

struct fermata_exit_stop {
	__u32 rule;		  /* its id */
	__u32 event;		  /* enum fermata_on */
	__u64 number, value, old; /* as in struct fermata_record */
};

struct fermata_exit {
	__u32 reason;	 /* enum fermata_exit_reason */
	__u32 hw_reason; /* SVM EXITCODE (APM 2 appendix C) or VMX basic exit reason */
	__u64 hw_info1;	 /* EXITINFO1, exit qualification; with FERMATA_VMX_FAIL: see there */
	__u64 hw_info2;	 /* EXITINFO2, guest-physical address */
	__u8 insn_len;	 /* length of the instruction at RIP, 0 when unknown */
	__u8 insn_bytes; /* how many bytes of insn[] hold code */
	__u8 insn[15];	 /* filled in for MMIO and string I/O */
	__u8 cpu_mode;	 /* FERMATA_MODE_*: how insn[] decodes */
	__u8 reserved[6];
	union {
		struct fermata_exit_io io;
		struct fermata_exit_mmio mmio;
		struct fermata_exit_eoi eoi;
		struct fermata_exit_stop stop;
		__u64 pad[4];
	};
};
/*
 * hw_reason on Intel where there is no exit reason: VMLAUNCH or VMRESUME itself failed. hw_info1 is the
 * VM-instruction error (SDM 3C 31.4), 0 without a current VMCS.
 */
#define FERMATA_VMX_FAIL 0xa0
/*
 * Not entered at all: real mode, or protected mode without paging, on a processor without "unrestricted
 * guest" (SDM 3C 25.6.2). hw_info1 is the guest's CR0.
 */
#define FERMATA_VMX_UNPAGED 0xa1
/*
 * Not entered at all, on either vendor: a register that is loaded outside of the entry does not take the
 * guest's value. FERMATA_GET_AUDIT names it; hw_info1 is the value.
 */
#define FERMATA_HW_REFUSED 0xaf
#define FERMATA_MODE_REAL 0   /* real or virtual-8086: 16-bit */
#define FERMATA_MODE_PROT16 1 /* protected, CS.D = 0 */
#define FERMATA_MODE_PROT32 2 /* protected or compatibility, CS.D = 1 */
#define FERMATA_MODE_LONG 3   /* 64-bit */

/*
 * Mapped read-write at offset 0 of the vCPU descriptor, one page. The general registers live here,
 * so most exits need no further ioctl. RIP and RFLAGS are written on every return; to change them
 * set FERMATA_RUN_SET_RIP / _SET_RFLAGS, or let the kernel step over the instruction with `advance`.
 */
struct fermata_run {
	__u64 regs[FERMATA_REGS];
	__u64 rip;
	__u64 rflags;
	__u32 set; /* in: FERMATA_RUN_SET_*; cleared when taken */
	__u8 advance; /* in: add this to RIP and end blocking by STI and MOV SS; 0..15; cleared when taken */
	__u8 immediate_exit; /* in: 1: FERMATA_RUN returns -EINTR before entering the guest */
	__u8 reserved[2];
	struct fermata_exit exit; /* out */
};
#define FERMATA_RUN_SET_RIP (1u << 0)
#define FERMATA_RUN_SET_RFLAGS (1u << 1)

/* ---------------------------------------------------------------- vCPU: state */

struct fermata_segment {
	__u16 selector;
	__u16 attrib; /* as in a VMCB: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11, unusable 12 */
	__u32 limit;
	__u64 base;
};
#define FERMATA_SEG_UNUSABLE (1u << 12)

struct fermata_table {
	__u64 base;
	__u32 limit;
	__u32 reserved;
};

struct fermata_state_regs { /* FERMATA_STATE_REGS */
	__u64 regs[FERMATA_REGS];
	__u64 rip;
	__u64 rflags;
};

struct fermata_state_segments { /* FERMATA_STATE_SEGMENTS */
	struct fermata_segment es, cs, ss, ds, fs, gs, ldt, tr;
	struct fermata_table gdt, idt;
};

struct fermata_state_control { /* FERMATA_STATE_CONTROL */
	__u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	__u64 apic_base;
};

struct fermata_state_debug { /* FERMATA_STATE_DEBUG */
	__u64 dr[4];
	__u64 dr6, dr7;
};

struct fermata_state_msrs { /* FERMATA_STATE_MSRS; 0 where the guest's CPUID says that it has none */
	__u64 star, lstar, cstar, sfmask, kernel_gs_base;
	__u64 sysenter_cs, sysenter_esp, sysenter_eip;
	__u64 pat, tsc, tsc_adjust, tsc_aux, tsc_deadline;
	/*
	 * Of guests with KVM's paravirtual clock (SET_CPUID): MSRs 4B564D01h and 4B564D00h. Set, the vCPU's
	 * page is written before the guest goes on; the date's, which all vCPUs share, is not.
	 */
	__u64 kvm_system_time, kvm_wall_clock;
	__u64 misc_enable, debugctl, mcg_status, hwcr, syscfg;
	__u64 mtrr_def_type;
	__u64 mtrr_fixed[11];	 /* 250h, 258h, 259h, 268h to 26Fh */
	__u64 mtrr_variable[16]; /* 200h to 20Fh */
	__u64 reserved;
};

/* An interrupt, NMI or exception: the answer to FERMATA_EXIT_INTACK, or what else the caller wants injected. */
struct fermata_injection {
	__u32 vector; /* 0..255 */
	__u32 kind;   /* FERMATA_INJECT_* */
	__u32 code;   /* error code, with FERMATA_INJECT_EXCEPTION_CODE */
	__u32 reserved;
	__u64 cr2; /* with vector 14 */
};
#define FERMATA_INJECT_NONE 0		/* spurious: the 8259 withdrew its request */
#define FERMATA_INJECT_EXTINT 1		/* what the 8259 answered */
#define FERMATA_INJECT_NMI 2		/* vector ignored */
#define FERMATA_INJECT_EXCEPTION 3	/* without error code: 0, 1, 3-8, 10-14, 16-21, 28-30 */
#define FERMATA_INJECT_EXCEPTION_CODE 4 /* with error code */

/* What is on its way into the guest, and what keeps it out. */
struct fermata_state_pending { /* FERMATA_STATE_PENDING */
	/* An exception that was raised, or what an exit has interrupted on its way in; cr2: 0, see CONTROL. */
	struct fermata_injection injection;
	__u8 nmi_pending;
	__u8 init_pending, sipi_pending, sipi_vector; /* from another processor, not taken yet */
	__u8 eoi_pending, eoi_vector;		      /* FERMATA_EXIT_EOI is due */
	__u8 interrupts_blocked;		      /* by STI or MOV SS, for one instruction */
	__u8 nmi_blocked;			      /* a handler of one runs */
	__u8 mp_state;				      /* FERMATA_MP_* */
	__u8 reserved[7];
};
#define FERMATA_MP_RUNNABLE 0
#define FERMATA_MP_HALTED 1
#define FERMATA_MP_WAIT_FOR_SIPI 2
#define FERMATA_MP_DEAD 3

struct fermata_state_apic { /* FERMATA_STATE_APIC: the 16-byte-aligned registers of the xAPIC page */
	__u32 reg[64];	    /* reg[offset >> 4] */
};

/*
 * Where guests have protection keys (caps.xcr0 bit 9), PKRU is component 9, where the host's CPUID
 * leaf Dh has it, and 0 when the header does not name it.
 */
#define FERMATA_XSAVE_SIZE 4096
struct fermata_state_xsave { /* FERMATA_STATE_XSAVE: standard format, FXSAVE layout first */
	__u8 area[FERMATA_XSAVE_SIZE];
};

struct fermata_state {
	__u32 mask; /* in: FERMATA_STATE_* groups to read or write */
	__u32 reserved;
	struct fermata_state_regs regs;
	struct fermata_state_segments segments;
	struct fermata_state_control control;
	struct fermata_state_debug debug;
	struct fermata_state_msrs msrs;
	struct fermata_state_pending pending;
	struct fermata_state_apic apic;
	struct fermata_state_xsave xsave;
};
#define FERMATA_STATE_REGS (1u << 0)
#define FERMATA_STATE_SEGMENTS (1u << 1)
#define FERMATA_STATE_CONTROL (1u << 2)
#define FERMATA_STATE_DEBUG (1u << 3)
#define FERMATA_STATE_MSRS (1u << 4)
#define FERMATA_STATE_PENDING (1u << 5)
#define FERMATA_STATE_APIC (1u << 6)
#define FERMATA_STATE_XSAVE (1u << 7)
#define FERMATA_STATE_ALL 0xffu

/* ---------------------------------------------------------------- vCPU: the rest */

/* Guest-linear to guest-physical, by the guest's own page tables as they are now. */
struct fermata_translate {
	__u64 linear;
	__u32 access;	 /* FERMATA_ACCESS_* */
	__u32 fault;	 /* out: 1: the guest would get #PF with this code */
	__u64 gpa;	 /* out */
	__u32 code;	 /* out: the #PF error code */
	__u32 page_size; /* out: bytes */
};
#define FERMATA_ACCESS_READ 0
#define FERMATA_ACCESS_WRITE (1u << 0)
#define FERMATA_ACCESS_FETCH (1u << 1)
#define FERMATA_ACCESS_USER (1u << 2)	/* as CPL 3; else with the vCPU's present CPL */
#define FERMATA_ACCESS_SYSTEM (1u << 3) /* as the processor reads its tables: implicit supervisor */

struct fermata_exit_count {
	__u64 count;
	__u64 cycles; /* host TSC from exit to the next entry or to the return to the caller */
};

struct fermata_last_exit {
	__u64 rip;
	__u64 info1, info2;
	__u32 code; /* as fermata_exit.hw_reason */
	__u32 reserved;
};

/*
 * How a vCPU dropped translations that it must not use any more. One flush may pay what several
 * causes owe.
 */
#define FERMATA_FLUSH_NEW_TAG 0	   /* a tag under which nothing is cached; no instruction */
#define FERMATA_FLUSH_ADDRESS 1	   /* one linear address: INVVPID type 0, INVLPGA */
#define FERMATA_FLUSH_LOCAL 2	   /* a tag's but for global pages: INVVPID type 3, TLB_CONTROL 7 */
#define FERMATA_FLUSH_TAG 3	   /* a tag's: INVVPID type 1, TLB_CONTROL 3 */
#define FERMATA_FLUSH_ALL_TAGS 4   /* this CPU's: INVVPID type 2, TLB_CONTROL 1 */
#define FERMATA_FLUSH_NESTED 5	   /* those of one nested table: INVEPT type 1 */
#define FERMATA_FLUSH_ALL_NESTED 6 /* of every nested table: INVEPT type 2 */
#define FERMATA_FLUSH_ENTRY 7	   /* without tags: every entry */
#define FERMATA_FLUSH_KINDS 8

#define FERMATA_CAUSE_STATE 0	 /* registers were set: RESET, INIT, SET_STATE */
#define FERMATA_CAUSE_CONTROL 1	 /* the guest wrote CR0, CR3, CR4 or EFER, and that exits */
#define FERMATA_CAUSE_ADDRESS 2	 /* the guest invalidated an address, and that exits */
#define FERMATA_CAUSE_HOST 3	 /* the host took memory back */
#define FERMATA_CAUSE_SLOT 4	 /* a memory slot was removed */
#define FERMATA_CAUSE_REMAP 5	 /* a nested fault replaced a mapping, or split one */
#define FERMATA_CAUSE_SHADOW 6	 /* a shadow table changed */
#define FERMATA_CAUSE_CPU 7	 /* the vCPU came to a CPU that has not yet paid all it owes */
#define FERMATA_CAUSE_ROLLOVER 8 /* the CPU ran out of tags */
#define FERMATA_CAUSE_UNTAGGED 9 /* without tags: every entry */
#define FERMATA_CAUSE_WATCH 10	 /* rules about memory: pages kept from the guest, or open to it */
#define FERMATA_CAUSE_DIRTY 11 /* a dirty log was switched, or emptied: its pages fault once more */
#define FERMATA_FLUSH_CAUSES 12

struct fermata_stats {
	__u32 vendor;				 /* whose exit codes these are */
	__u32 last;				 /* index of the oldest entry of last_exit[] */
	__u64 entries;				 /* VM entries */
	__u64 user_exits;			 /* returns to the caller */
	__u64 injected;				 /* interrupts and exceptions delivered */
	__u64 nested_faults;			 /* nested page faults answered with a mapping */
	__u64 large_mappings;			 /* of these, 2 MiB or larger */
	__u64 shadow_faults;			 /* page faults answered with a shadow entry */
	__u64 halts;				 /* HLT that put the thread to sleep */
	__u64 guest_cycles;			 /* host TSC spent inside the guest */
	__u64 halt_cycles;			 /* host TSC asleep in HLT; no exit's cost */
	__u64 flush_kind[FERMATA_FLUSH_KINDS];	 /* what was done, by FERMATA_FLUSH_* */
	__u64 flush_cause[FERMATA_FLUSH_CAUSES]; /* how often it was owed, by FERMATA_CAUSE_* */
	/* Shadow paging, of the whole VM and in vCPU 0's statistics alone: */
	__u64 shadow_tables;   /* tables that take memory now, 12 KiB each */
	__u64 shadow_released; /* those given back when the host was short of memory, ever */
	__u64 reserved[1];
	struct fermata_exit_count exit[FERMATA_MAX_EXIT_CODES]; /* by fermata_exit_slot() */
	struct fermata_last_exit last_exit[FERMATA_LAST_EXITS];
};

/*
 * Why the processor refused to enter the guest: the rules of its manual that the guest's state, the
 * host's or the controls broke, each as "rule; section of the manual; field = value".
 */
struct fermata_audit {
	__u32 count; /* out: rules broken; may be more than there are lines */
	__u32 reserved;
	char line[FERMATA_AUDIT_LINES][FERMATA_AUDIT_TEXT]; /* out: each ends with a 0 byte */
};

/*
 * SVM's codes 400h..40Eh follow directly behind 0..AFh, so that one small array holds all of them.
 * The last slot counts every other code.
 */
static inline __u32 fermata_exit_slot(__u32 code)
{
	if (__builtin_expect(code < 0xb0, 1))
		return code;
	if (code >= 0x400 && code < 0x40f)
		return 0xb0 + (code - 0x400);
	return FERMATA_MAX_EXIT_CODES - 1;
}

static inline __u32 fermata_exit_code(__u32 slot)
{
	return slot >= 0xb0 && slot < 0xbf ? 0x400 + (slot - 0xb0) : slot;
}

/* ---------------------------------------------------------------- events */

/*
 * What a rule can be about, and what `number` (the first filter) then is. An event that this
 * processor cannot intercept is EOPNOTSUPP.
 */
enum fermata_on {
	FERMATA_ON_RDTSC,
	FERMATA_ON_RDTSCP,
	FERMATA_ON_RDPMC,	/* ECX */
	FERMATA_ON_RDPRU,	/* ECX */
	FERMATA_ON_CPUID,	/* EAX: the leaf */
	FERMATA_ON_RDMSR,	/* ECX: the MSR */
	FERMATA_ON_WRMSR,	/* likewise */
	FERMATA_ON_IN,		/* the port; INS too */
	FERMATA_ON_OUT,		/* the port; OUTS too */
	FERMATA_ON_MOV_TO_CR,	/* which register */
	FERMATA_ON_MOV_FROM_CR, /* likewise; on AMD-V of CR0 SMSW too */
	FERMATA_ON_MOV_TO_DR,	/* likewise */
	FERMATA_ON_MOV_FROM_DR, /* likewise */
	FERMATA_ON_CLTS,
	FERMATA_ON_LMSW,
	FERMATA_ON_HLT,
	FERMATA_ON_PAUSE,
	FERMATA_ON_MONITOR,
	FERMATA_ON_MWAIT,
	FERMATA_ON_INVLPG, /* the address is the filter GVA's */
	FERMATA_ON_INVPCID,
	FERMATA_ON_WBINVD,
	FERMATA_ON_XSETBV, /* ECX */
	FERMATA_ON_RDRAND,
	FERMATA_ON_RDSEED,
	FERMATA_ON_SGDT,
	FERMATA_ON_SIDT,
	FERMATA_ON_SLDT,
	FERMATA_ON_STR,
	FERMATA_ON_LGDT,
	FERMATA_ON_LIDT,
	FERMATA_ON_LLDT,
	FERMATA_ON_LTR,
	FERMATA_ON_EXCEPTION,  /* the vector; not 2 and 18; GVA: what a page fault was about */
	FERMATA_ON_HYPERCALL,  /* RAX */
	FERMATA_ON_CR3_SWITCH, /* MOV to CR3 with another address than before */
	FERMATA_ON_SYSCALL,    /* SYSCALL; RAX */
	/*
	 * An access to memory by an instruction, or by the delivery of an interrupt or exception.
	 * An access to two pages counts for each. Page walks do not count, nor what the caller
	 * does. EXEC: the instruction's first byte lies there. number is the guest-physical
	 * address. These rules have a range of GPA, or of GVA alone. With GVA alone they are about
	 * these linear addresses in the address spaces where the vCPUs are (with CR3: in those
	 * only), wherever the guest's tables lead, and follow the tables. There may be
	 * FERMATA_MAX_GVA_PAGES pages of GVA alone in one rule, FERMATA_MAX_GVA_PAGES_ALL in all
	 * rules of a VM; more is E2BIG.
	 */
	FERMATA_ON_READ,
	FERMATA_ON_WRITE,
	FERMATA_ON_EXEC,
	FERMATA_ON_EVENTS,
};

/* The ranges a rule may have; both ends belong to a range. */
enum fermata_filter {
	FERMATA_FILTER_NUMBER, /* see enum fermata_on */
	FERMATA_FILTER_VALUE, /* what WRMSR, OUT, MOV to CR and DR, LMSW, XSETBV, CR3 switches write */
	FERMATA_FILTER_CPL,
	FERMATA_FILTER_CR3, /* before the event, without its low 12 bits */
	FERMATA_FILTER_RIP,
	FERMATA_FILTER_GVA, /* accesses to memory: a byte of the access lies there; so with GPA */
	FERMATA_FILTER_GPA, /* accesses to memory only */
	FERMATA_FILTERS = 8,
};

struct fermata_range {
	__u64 first, last;
};

/*
 * What is to happen at an event. Rules are looked at in the order of their ids, and each that
 * matches counts a hit. Among those that match, the first with STOP, SKIP, SET or INJECT decides
 * what becomes of the instruction, and the first with LOG has it logged.
 */
struct fermata_rule {
	__u32 id;    /* ADD: 0, out: the rule's, 1 and up; REMOVE: which; GET: from which on; out */
	__u32 event; /* enum fermata_on */
	__u32 actions; /* FERMATA_DO_* */
	__u32 filters; /* bit n: range[n] counts; the other ranges must be 0 */
	struct fermata_range range[FERMATA_FILTERS];
	__u64 first;   /* only the first so many hits; 0: all */
	__u64 every;   /* a hit is each so many'th match; 0 as 1 */
	__u8 sets;     /* with SET: how many of reg[] and value[]: 1 .. 4 */
	__u8 reg[4];   /* FERMATA_R* */
	__u8 vector;   /* with INJECT: an exception, as in struct fermata_injection */
	__u8 has_code; /* 0 or 1: with vectors 8, 10-14, 17; without, their error code is 0 */
	__u8 reserved;
	__u32 code; /* error code */
	__u32 reserved2;
	__u64 value[4];
	__u64 hits;    /* out */
	__u64 matches; /* out: before `first` and `every` */
};
#define FERMATA_MAX_RULES 64
#define FERMATA_MAX_GVA_PAGES 16 /* 4 KiB each */
#define FERMATA_MAX_GVA_PAGES_ALL 64
#define FERMATA_DO_LOG (1u << 0) /* a record in the vCPU's ring, if the ring was mapped */
#define FERMATA_DO_STOP                                                                            \
	(1u << 1) /* FERMATA_EXIT_STOPPED before it; not with one of the following */
#define FERMATA_DO_SKIP (1u << 2) /* go on behind the instruction; of exceptions only 1, 3, 4 */
#define FERMATA_DO_SET (1u << 3)  /* registers, after the instruction; with SKIP instead of it */
#define FERMATA_DO_INJECT                                                                          \
	(1u << 4) /* an exception in the instruction's place; alone, but for LOG */

/*
 * The log: a ring per vCPU, mapped shared and writable at offset FERMATA_RING_OFFSET of its
 * descriptor, FERMATA_RING_SIZE bytes. The kernel writes records and `head`, the reader `tail`;
 * both count records from 0 and wrap modulo 2^64; record n is at n modulo FERMATA_RING_RECORDS. A
 * full ring loses the newest records; `dropped` counts them. The vCPU logs from the first mapping
 * until it ends.
 */
struct fermata_record {
	__u64 sequence; /* of this vCPU's; those dropped are counted too */
	__u64 host_tsc;
	__u64 guest_ns;
	__u64 rip; /* of the instruction */
	__u64 cr3;
	__u64 number; /* see enum fermata_on; INVLPG: the address; page fault: see value */
	__u64 value;  /* written, read, or the page fault's address; after FERMATA_DO_SET */
	__u64 old;    /* before a write; of a read what FERMATA_DO_SET replaced */
	__u64 regs[6]; /* afterwards: RAX, RBX, RCX, RDX, RSI, RDI; of SYSCALL its arguments in order */
	__u32 rule; /* id */
	__u32 code; /* exception: its error code; I/O, memory: the width in bytes; CPUID: ECX before */
	__u16 vcpu;
	__u8 event; /* enum fermata_on */
	__u8 cpl;
	__u8 flags;	 /* FERMATA_RECORD_* */
	__u8 vector;	 /* with FAULTED: the exception that came of it */
	__u16 hw_reason; /* as in struct fermata_exit */
	__u64 exit_tsc;	 /* host TSC when the guest stopped */
	__u64 linear;	 /* of an access to memory; all ones: not known */
};
#define FERMATA_RECORD_SKIPPED (1u << 0)
#define FERMATA_RECORD_SET (1u << 1)
#define FERMATA_RECORD_INJECTED (1u << 2)
#define FERMATA_RECORD_STOPPED (1u << 3)
#define FERMATA_RECORD_FAULTED (1u << 4) /* the instruction raised an exception */

struct fermata_ring {
	__u64 head;
	__u64 dropped;
	__u64 reserved[6];
	__u64 tail; /* the reader's; the kernel believes none that is further back than the ring is long */
	__u64 reserved2[7];
};
#define FERMATA_RING_RECORDS 4096u
#define FERMATA_RING_OFFSET 0x100000
#define FERMATA_RING_FIRST 4096 /* bytes: where record 0 is */
#define FERMATA_RING_SIZE (FERMATA_RING_FIRST + 144u * FERMATA_RING_RECORDS)

/* ---------------------------------------------------------------- numbers */

#define FERMATA_IOC 0xFE

/*
 * Device. GET_CAPS always succeeds, also where guests cannot run: look at `blocked`.
 *
 * GET_CPUID: the leaves and bits that guests may be shown on this host.
 *	EINVAL	reserved not zero
 *
 * GET_FLAW: the flaw of that index.
 *	ERANGE	there is none; the indices before are all there are
 *
 * CREATE_VM returns the VM's descriptor; the VM has no memory and no vCPU, and its clock starts at 0.
 *	EINVAL	an unknown flag or optimisation, FERMATA_VM_SHADOW together with _NESTED, reserved not zero;
 *		`kvm` is no VM of KVM's, or not zero without FERMATA_VM_BESIDE
 *	EBADF	`kvm` is no descriptor
 *	EBUSY	another hypervisor holds a CPU (FERMATA_BLOCK_BUSY, or a CPU refused to be switched on), and the VM is
 *		not to live beside it; with FERMATA_VM_BESIDE: KVM has not switched a CPU on; VMs that there are
 *		have the flag and this one has not, or the other way round
 *	EOPNOTSUPP  FERMATA_VM_BESIDE: the host can run encrypted guests (SEV)
 *	EACCES	disabled by the firmware (FERMATA_BLOCK_FIRMWARE), perhaps on one CPU only
 *	ENODEV	the other FERMATA_BLOCK_*; CPUs that differ in what they offer
 *	EMFILE, ENFILE, EINTR
 */
#define FERMATA_GET_CAPS _IOR(FERMATA_IOC, 0x00, struct fermata_caps)
#define FERMATA_GET_CPUID _IOWR(FERMATA_IOC, 0x01, struct fermata_cpuid)
#define FERMATA_CREATE_VM _IOW(FERMATA_IOC, 0x02, struct fermata_vm_config)
#define FERMATA_GET_FLAW _IOWR(FERMATA_IOC, 0x03, struct fermata_flaw)
/*
 * VM. EPERM: the caller is not the process that created it. Any thread of that process may call.
 *
 * SET_MEMORY: when the removal of a slot returns, no vCPU reaches its memory any more. A slot is
 * changed by removing it and adding another; its dirty log alone is switched by SET_DIRTY_LOG.
 *	EINVAL	slot out of range, unknown flag; gpa, size or user_addr unaligned; beyond caps.phys_bits, or
 *		beyond the end of user addresses
 *	EEXIST	the slot is in use, or the range overlaps another slot
 *	ENOENT	size 0, and the slot is not in use
 *	E2BIG	FERMATA_MEMORY_LOG_DIRTY, and the slot has more than FERMATA_MAX_LOGGED pages
 *
 * SET_CPUID: what CPUID shows; replaces what was there, by default all of GET_CPUID. What depends
 * on the vCPU (APIC IDs, OSXSAVE, OSPKE, sizes of the XSAVE area) is filled in when the guest asks.
 * Leaf 4000_0001h, which GET_CPUID lacks, may have EAX[3] and EAX[24]: with the first the guest has
 * KVM's paravirtual clock, MSRs 4B564D00h (the date, see FERMATA_CLOCK_DATE) and 4B564D01h; the
 * second says that the flags in its page can be believed.
 *	EINVAL	count above FERMATA_MAX_CPUID, an unknown flag, a leaf or a feature bit that GET_CPUID lacks
 *		(the host's log names it; an entry without FERMATA_CPUID_SUBLEAF is held to every subleaf)
 *	EBUSY	a vCPU exists
 *
 * CREATE_VCPU returns the vCPU's descriptor. vCPU 0 is in the state after RESET (SDM 3A table
 * 10-1), the others wait for INIT and SIPI. A vCPU whose descriptor is closed keeps its id until
 * the VM ends.
 *	EINVAL	id out of range, reserved fields not zero
 *	EEXIST	there is a vCPU with that id
 *	EBUSY	a second one, and the clock is run-only
 *	EMFILE, ENFILE
 *
 * SIGNAL_MSI: an interrupt that no APIC accepts is lost, as on a PC.
 *	EINVAL	the address is not that of the local APICs, or a delivery mode that is reserved
 *
 * SET_LINE: setting a line to the level it has does nothing.
 *	EINVAL	line, level or vcpu out of range, reserved not zero
 *	ENOENT	no such vCPU
 *
 * SET_FORECAST: see struct fermata_forecast.
 *	EINVAL	no such kind, size or hz; halves with a size other than 1; reserved not zero
 *	ENOSPC	FERMATA_MAX_FORECASTS ports have one
 *
 * SET_DIRTY_LOG: when it returns, every later write is logged, or none is. To switch a log on that
 * is on, or off that is off, changes nothing.
 *	EINVAL	slot out of range, an unknown flag
 *	ENOENT	the slot is not in use
 *	E2BIG	it has more than FERMATA_MAX_LOGGED pages
 *
 * GET_DIRTY: see struct fermata_dirty. A bit that one call returns is not returned by another.
 * After EFAULT nothing was taken.
 *	EINVAL	slot or count out of range, first or count no multiple of 64, reserved not zero; beyond the
 *		slot's end
 *	ENOENT	the slot is not in use, or has no log
 *
 * SET_CLOCK: see struct fermata_clock_change; the clock page shows the result.
 *	EINVAL	no such verb; a rate outside of 1/1000 to 1000; STEP with a negative ns; what the verb
 *		does not use is not zero
 *	EBUSY	RUN_ONLY_MODE, and there is a vCPU
 *
 * ADD_RULE: from the next entry of each vCPU on. See struct fermata_rule.
 *	EINVAL	an unknown event, action, filter; a filter the event does not have; a range whose end comes
 *		before its beginning; actions that exclude each other; a field that must be 0 is not; READ,
 *		WRITE or EXEC without a range of GPA
 *	EOPNOTSUPP	this processor cannot intercept it
 *	ENOSPC	there are FERMATA_MAX_RULES
 *
 * REMOVE_RULE: by its id; everything else is ignored.
 *	ENOENT	no such rule
 *
 * GET_RULE: the rule with the least id from `id` on, with its hits so far.
 *	ENOENT	there is none
 */
#define FERMATA_SET_MEMORY _IOW(FERMATA_IOC, 0x10, struct fermata_memory)
#define FERMATA_SET_CPUID _IOW(FERMATA_IOC, 0x11, struct fermata_cpuid)
#define FERMATA_CREATE_VCPU _IOW(FERMATA_IOC, 0x12, struct fermata_vcpu_config)
#define FERMATA_SIGNAL_MSI _IOW(FERMATA_IOC, 0x13, struct fermata_msi)
#define FERMATA_SET_LINE _IOW(FERMATA_IOC, 0x14, struct fermata_line)
#define FERMATA_SET_FORECAST _IOW(FERMATA_IOC, 0x15, struct fermata_forecast)
#define FERMATA_SET_DIRTY_LOG _IOW(FERMATA_IOC, 0x16, struct fermata_dirty_log)
#define FERMATA_GET_DIRTY _IOWR(FERMATA_IOC, 0x17, struct fermata_dirty)
#define FERMATA_SET_CLOCK _IOWR(FERMATA_IOC, 0x18, struct fermata_clock_change)
#define FERMATA_ADD_RULE _IOWR(FERMATA_IOC, 0x1c, struct fermata_rule)
#define FERMATA_REMOVE_RULE _IOW(FERMATA_IOC, 0x1d, struct fermata_rule)
#define FERMATA_GET_RULE _IOWR(FERMATA_IOC, 0x1e, struct fermata_rule)
/*
 * vCPU. EPERM: as above. EBUSY: another thread is in an ioctl of this vCPU (not so for GET_STATS).
 *
 * RUN takes 0 as its argument and returns 0 with an exit record in the run page. RIP and RFLAGS there
 * are right after every return; the record means nothing after an error.
 *	EINTR	a signal, or immediate_exit; call again to go on
 *	EINVAL	set or advance hold what they may not, the argument is not 0; nothing was run
 *	EIO	the vCPU is dead: UNCLAIMED, SHUTDOWN, FAIL_ENTRY or UNSUPPORTED was its last exit
 *
 * GET_STATE fills in the groups of `mask`; the others come back as they were. SET_STATE sets them.
 *	EINVAL	an unknown group, reserved not zero; SET: a state that no processor with this CPUID can be
 *		in, and nothing has changed but perhaps the APIC's own registers. VT-x's entries check more,
 *		segments above all: what SET has taken and they refuse is FERMATA_EXIT_FAIL_ENTRY at the
 *		next RUN, and GET_AUDIT says which rule it breaks
 *
 * INJECT: the injection goes in at the next entry at which the guest can take it. VT-x gives
 * exceptions in protected mode an error code when and only when they have one (8, 10-14, 17), 0 if
 * none came with it.
 *	EINVAL	kind or vector out of range, no such exception, reserved not zero
 *	EBUSY	an injection waits already (a second NMI behind one that waits is one with it)
 *
 * TRANSLATE: a page fault is an answer (`fault`), not an error. Accessed and dirty bits are set as by
 * an access.
 *	EINVAL	an unknown bit in access
 *	ENOENT	a table of the guest's lies outside every slot
 *	EACCES	a table in a read-only slot would need its accessed or dirty bit set
 *	EAGAIN	another vCPU keeps changing the tables
 *	EFAULT	also: the host cannot provide the caller's memory behind a table
 *
 * GET_STATS: since the vCPU was created; see struct fermata_stats. Any thread may ask at any time, also
 * while another one is in RUN: each number is then right by itself, but they are not of one moment, and
 * last_exit[] may be in the middle of a change.
 *
 * GET_AUDIT is for the time after FERMATA_EXIT_FAIL_ENTRY. A count of 0 then means that the
 * processor found something that the audit does not look for. Before such an exit it means nothing.
 */
#define FERMATA_RUN _IO(FERMATA_IOC, 0x20)
#define FERMATA_GET_STATE _IOWR(FERMATA_IOC, 0x21, struct fermata_state)
#define FERMATA_SET_STATE _IOW(FERMATA_IOC, 0x22, struct fermata_state)
#define FERMATA_INJECT _IOW(FERMATA_IOC, 0x23, struct fermata_injection)
#define FERMATA_TRANSLATE _IOWR(FERMATA_IOC, 0x24, struct fermata_translate)
#define FERMATA_GET_STATS _IOR(FERMATA_IOC, 0x25, struct fermata_stats)
#define FERMATA_GET_AUDIT _IOR(FERMATA_IOC, 0x26, struct fermata_audit)

#endif
