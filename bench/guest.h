/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest that all hypervisors run: its memory, and the code that is measured (guest.S). Addresses
 * are guest-physical and, by the guest's own page tables, linear. For C and for the assembler.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#define GUEST_PML4 0x1000
#define GUEST_PDPT 0x2000
#define GUEST_PD 0x3000 /* four: identity of 4 GiB by 2 MiB pages, but for the window */
#define GUEST_GDT 0x7000
#define GUEST_IDT 0x8000
#define GUEST_WINDOW_PT                                                                            \
	0x9000 /* WINDOW_TABLES page tables, empty: the page-fault handler fills them */
#define GUEST_STACK 0x10000 /* its top */
#define GUEST_CODE 0x10000
#define GUEST_RESULTS 0x100000 /* 8 bytes for each iteration */
#define GUEST_SPARE 0x200000   /* a page to flush from the TLB */
#define GUEST_FRAME 0x201000   /* what the page-fault handler maps */
#define GUEST_RAM 0x400000     /* its size: it begins at 0 */

#define GUEST_WINDOW 0x40000000 /* linear addresses that nothing maps at first */
#define WINDOW_TABLES 4
#define GUEST_PRESENT 0x10000000 /* memory whose pages the host has */
#define GUEST_ABSENT 0x12000000	 /* memory that nobody has touched, if the row wants it */
#define GUEST_TOUCH_SIZE 0x800000
#define GUEST_DEVICE 0xd0000000 /* no memory: user space answers */

#define GUEST_CS 8
#define GUEST_DS 16
#define GUEST_CR0 0x80010033 /* PG WP NE ET MP PE */
#define GUEST_CR4 0x620	     /* OSXMMEXCPT OSFXSR PAE */
#define GUEST_EFER 0xd00     /* NXE LMA LME */

#define PORT_DEVICE 0x500
#define PORT_END 0xff /* the guest is done */

#include "floor/leaf.h"

#ifndef __ASSEMBLER__
#include <stdint.h>

/* The image, position-independent, and where it starts; see guest.S for what it expects in registers. */
extern const uint8_t guest_image[], guest_image_end[], guest_start[], guest_page_fault[];

/*
 * One for each row: void f(uint64_t iterations, uint64_t argument, uint64_t *results), by C's calling
 * convention, so that those which need no privilege run natively, too.
 */
extern const uint8_t body_floor[], body_cpuid[], body_vmmcall[], body_vmcall[], body_rdmsr[],
	body_wrmsr[], body_rdtsc[], body_rdtsc_chain[], body_out[], body_in[], body_mmio_write[],
	body_mmio_read[], body_touch[], body_mov_cr3[], body_invlpg[], body_cr4_pge[];
#endif

#endif
