/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What a test guest and its runner agree on: the header, the machine, the ports. */
#ifndef GUESTS_ABI_H
#define GUESTS_ABI_H

#include <stdint.h>

#define GUEST_MAGIC 0x54534547u /* "GEST" */
#define GUEST_RUNS 4

/* The first bytes of a guest. It is loaded at GUEST_LOAD and entered in 64-bit mode. */
struct guest_header {
	uint32_t magic;
	uint32_t runs; /* it is started that often, each time in a new VM; 0 means once */
	uint32_t flags;
	uint32_t vcpus; /* 0 means one */
	uint64_t entry;
	/* How each run ends: 0: by PORT_EXIT; else the FERMATA_EXIT_* that ends it. */
	uint32_t expect[GUEST_RUNS];
	uint32_t seconds; /* time limit, 0 means GUEST_SECONDS */
	uint32_t reserved;
	uint64_t others; /* where vCPUs other than 0 start, in 64-bit mode; 0: they wait for INIT */
};
#define GUEST_TWINS 1u	   /* all runs at the same time */
#define GUEST_MIGRATE 2u   /* the vCPUs' threads are moved from CPU to CPU all the time */
#define GUEST_RUN_ONLY 8u  /* the clock passes only while the guest runs */
#define GUEST_KVMCLOCK 16u /* CPUID offers KVM's paravirtual clock */
#define GUEST_SECONDS 20

/* Registers at entry: RDI the run's number, RSI the TSC's frequency in kHz, RSP GUEST_STACK. */
#define GUEST_LOAD 0x100000ull
#define GUEST_STACK 0x90000ull
#define GUEST_OTHER_STACK 0x8000ull /* vCPU n's, with header.others, is n times that below */

/*
 * Guest-physical memory. Page tables made by the runner: identity, 2 MiB pages, writable, supervisor:
 * the PML4 at GUEST_PML4, its PDPT and the PDs of GUEST_MAPPED_GIB GiB in the pages behind it.
 */
#define GUEST_PML4 0x1000ull
#define GUEST_PDPT 0x2000ull
#define GUEST_PD 0x3000ull
#define GUEST_MAPPED_GIB 5
#define RAM_SIZE 0x2000000ull
#define ROM_BASE 0x10000000ull /* a read-only slot; byte n is ROM_BYTE(n) */
#define ROM_SIZE 0x10000ull
#define ROM_BYTE(n) ((uint8_t)((n) * 13 + 5))
#define EXTRA_BASE 0x20000000ull /* a slot that comes and goes: CALL_SLOT_* */
#define EXTRA_SIZE 0x400000ull
#define HIGH_BASE 0x100000000ull /* a slot with odd ends */
#define HIGH_SIZE 0x203000ull
#define DEVICE_BASE 0xd0000000ull /* device memory: keeps what is written */
#define DEVICE_SIZE 0x4000ull
#define HOLE_BASE 0xe0000000ull /* nothing: reads give 0 */

#define PORT_PRINT 0xe9 /* a character */
#define PORT_EXIT 0xf4	/* 32 bits: 0 is success */
#define PORT_ECHO 0x500 /* 8 bytes; each keeps what was written */
#define PORT_FIFO 0x510 /* bytes go in and come out in order; empty: all ones */
#define PORT_CALL 0x600 /* 32 bits: CALL_*, argument before in PORT_ARGUMENT; reads its result */
#define PORT_ARGUMENT 0x604
#define CALL_FAILED 0x80000000u
#define PORT_NOBODY 0x700
/* And the clocks of a PC, as vmm/devices has them: PIT and port 61h, RTC (0 is 1970), PM timer. */
#define PORT_PIT 0x40
#define PORT_61 0x61
#define PORT_RTC 0x70
#define PORT_PM_TIMER 0x608

enum guest_call {
	CALL_NOTHING,
	CALL_SLOT_ADD,	  /* EXTRA; zeroed */
	CALL_SLOT_REMOVE, /* EXTRA */
	CALL_DONTNEED,	  /* the host drops EXTRA's pages: they read as zeros */
	CALL_REPLACE, /* the host maps other pages, full of the byte in the argument, at EXTRA */
	CALL_POKE,    /* the host writes the argument to the first word of every page of EXTRA */
	CALL_CHURN,   /* the host forks, protects, moves and compacts until CALL_CALM */
	CALL_CALM,
	CALL_SLEEP,	  /* milliseconds */
	CALL_LEVEL_MSI,	  /* vector: level-triggered, to APIC ID 0 */
	CALL_MSI,	  /* vector: edge-triggered, to APIC ID 0 */
	CALL_NMI,	  /* LINT1 up and down */
	CALL_DELAYED_MSI, /* as CALL_MSI, some 5 ms later, from another thread */
	CALL_DELAYED_NMI,
	CALL_EOI_COUNT,	 /* how many FERMATA_EXIT_EOI there were ... */
	CALL_EOI_VECTOR, /* ... and the last one's vector */
	CALL_MMIO_COUNT, /* accesses to DEVICE and HOLE ... */
	CALL_MMIO_SIZE,	 /* ... and the last one's size, offset, direction (1: write) */
	CALL_MMIO_OFFSET,
	CALL_MMIO_WRITE,
	CALL_ROM_WRITES,  /* writes to ROM that came out */
	CALL_RULE_ADD,	  /* address of a text: its id, or 80000000h + errno */
	CALL_RULE_REMOVE, /* id */
	CALL_RULE_HITS,	  /* id */
	CALL_LOG_NEXT, /* address: vCPU 0's next struct fermata_record comes there; 0: there is none */
	CALL_STOPS,    /* how often rules have stopped it ... */
	CALL_STOP_EVENT, /* ... and the last one's event and number */
	CALL_STOP_NUMBER,
	CALL_CLOCK,	 /* FERMATA_CLOCK_*, of the span in CALL_SPAN's argument, or its rate */
	CALL_SPAN,	 /* a number for CALL_CLOCK: us, negative too; a rate's num << 16 | den */
	CALL_STORM,	 /* so many random changes of the clock's rate begin, from another thread */
	CALL_STORM_LEFT, /* how many are still to come */
	CALL_LOG_DIRTY,	 /* slot + DIRTY_ON: a log begins; slot: it ends; 0, or 80000000h + errno */
	CALL_DIRTY,	 /* slot: how many of its pages have been written to; or as above */
	CALL_IS_DIRTY,	 /* page of the slot: was it one of them? */
	CALL_COPY,	 /* a thread copies EXTRA by what its log says, over and over */
	CALL_COPY_END,	 /* once more, the last time: how many of the pages differ */
	CALL_COPIED,	 /* how many pages that thread copied after its first round */
	CALL_SHADOW_TABLES,    /* of shadow paging, that take memory now; 0: nested paging */
	CALL_SHADOW_RELEASED,  /* those given back to the host, ever */
	CALL_DROP,	       /* so often the host asks all who have memory to spare */
	CALL_PRESSURE,	       /* ... and goes on asking, until it is called with 0 */
	CALL_DATA_BREAKPOINTS, /* does the module arm them? */
	CALL_TOLD,	       /* runner -w: whether it has received SIGUSR1; else 1 */
};

#define SLOT_RAM 0
#define SLOT_ROM 1
#define SLOT_HIGH 2
#define SLOT_EXTRA 3
#define DIRTY_ON 0x100u

/*
 * What the guest "pattern" fills itself with is PATTERN_A ^ PATTERN_B. Who looks for it has only the
 * two halves of that, or it would find itself.
 */
#define PATTERN_A 0x7f1d93c24b8e6a05ull
#define PATTERN_B 0x21c46e9be0735df8ull

#endif
