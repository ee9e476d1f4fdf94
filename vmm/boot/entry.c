// SPDX-License-Identifier: MIT OR GPL-2.0
#include <string.h>

#include "boot/entry.h"
#include "boot/platform.h"

/* Page-table entry bits (SDM 3A 4.5.4, APM 2 5.4.1) */
#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_LARGE (1ull << 7)
#define PTE_COUNT 512
#define SIZE_2M (1ull << 21)
#define SIZE_1G (1ull << 30)

/* Selectors the 64-bit boot protocol names __BOOT_CS and __BOOT_DS */
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define GDT_ENTRIES 4

/* Segment attributes as in a VMCB (APM 2, table B-2) */
#define ATTRIB_CODE64 0xa9b  /* execute/read, accessed, S, P, L, G */
#define ATTRIB_DATA 0xc93    /* read/write, accessed, S, P, B, G */
#define ATTRIB_LDT 0x82	     /* LDT, P */
#define ATTRIB_TSS_BUSY 0x8b /* busy 64-bit TSS, P: VM entry wants no other (SDM 3C 27.3.1.2) */

#define CR0_PE (1ull << 0)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define XCR0_X87 (1ull << 0)
#define APIC_BASE_BSP (1ull << 8)
#define APIC_BASE_ENABLE (1ull << 11)
#define RFLAGS_FIXED 0x2ull

/* A descriptor's attributes are a VMCB's with the limit's top four bits in between. */
static uint64_t descriptor(unsigned attrib)
{
	uint64_t limit = 0xfffff;

	return (limit & 0xffff) | (uint64_t)(attrib & 0xff) << 40 | (limit >> 16) << 48 |
	       (uint64_t)(attrib >> 8) << 52;
}

/* Guest memory is written through memcpy: the host pointer need not be a table of anything. */
static void put64(const struct boot_memory *memory, uint64_t table, unsigned index, uint64_t value)
{
	memcpy(memory->low + table + index * sizeof(value), &value, sizeof(value));
}

void boot_tables(const struct boot_memory *memory, bool gigabyte_pages, struct boot_entry *entry)
{
	const uint64_t pml4 = LAYOUT_PAGE_TABLES;
	const uint64_t pdpt = pml4 + LAYOUT_PAGE;
	const uint64_t pd = pdpt + LAYOUT_PAGE;
	const uint64_t table = PTE_PRESENT | PTE_WRITE;
	const uint64_t leaf = table | PTE_LARGE;
	unsigned i;

	memset(memory->low + pml4, 0, LAYOUT_PAGE_TABLES_SIZE);
	put64(memory, pml4, 0, pdpt | table);
	if (gigabyte_pages) {
		for (i = 0; i < PTE_COUNT; i++)
			put64(memory, pdpt, i, i * SIZE_1G | leaf);
	} else {
		for (i = 0; i < 4; i++)
			put64(memory, pdpt, i, (pd + i * LAYOUT_PAGE) | table);
		for (i = 0; i < 4 * PTE_COUNT; i++)
			put64(memory, pd, i, i * SIZE_2M | leaf);
	}

	memset(memory->low + LAYOUT_GDT, 0, GDT_ENTRIES * sizeof(uint64_t));
	put64(memory, LAYOUT_GDT, BOOT_CS / 8, descriptor(ATTRIB_CODE64));
	put64(memory, LAYOUT_GDT, BOOT_DS / 8, descriptor(ATTRIB_DATA));

	entry->cr3 = pml4;
	entry->gdt_base = LAYOUT_GDT;
	entry->gdt_limit = GDT_ENTRIES * sizeof(uint64_t) - 1;
}

/* Linux, Documentation/arch/x86/boot.rst, "64-bit boot protocol" */
int boot_state(const struct boot_entry *entry, struct fermata_state *state, uint32_t *mask)
{
	const struct fermata_segment data = { BOOT_DS, ATTRIB_DATA, 0xffffffff, 0 };

	memset(state, 0, sizeof(*state));

	state->regs.rip = entry->rip;
	state->regs.regs[FERMATA_RSI] = entry->rsi;
	state->regs.rflags = RFLAGS_FIXED;

	state->segments.cs = (struct fermata_segment){ BOOT_CS, ATTRIB_CODE64, 0xffffffff, 0 };
	state->segments.ds = data;
	state->segments.es = data;
	state->segments.ss = data;
	state->segments.fs = data;
	state->segments.gs = data;
	state->segments.ldt = (struct fermata_segment){ 0, ATTRIB_LDT, 0xffff, 0 };
	state->segments.tr = (struct fermata_segment){ 0, ATTRIB_TSS_BUSY, 0xffff, 0 };
	state->segments.gdt.base = entry->gdt_base;
	state->segments.gdt.limit = entry->gdt_limit;

	state->control.cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_PE;
	state->control.cr3 = entry->cr3;
	state->control.cr4 = CR4_PAE;
	state->control.efer = EFER_LME | EFER_LMA;
	state->control.xcr0 = XCR0_X87;
	state->control.apic_base = PLATFORM_LAPIC_ADDRESS | APIC_BASE_ENABLE | APIC_BASE_BSP;

	*mask = FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL;
	state->mask = *mask;
	return 0;
}
