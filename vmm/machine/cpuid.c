/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * How the machine's processors describe their number and arrangement: one package, one thread per
 * core, APIC IDs 0, 1, 2 ... The leaves that name a processor's own APIC ID are completed for each
 * vCPU by the kernel part. All other leaves, brand string included, stay as the host offers them.
 */
#include "cpuid.h"

/* Bits of an APIC ID that number `vcpus` processors. */
static uint32_t id_bits(unsigned vcpus)
{
	uint32_t bits = 0;

	while ((1u << bits) < vcpus)
		bits++;
	return bits;
}

static uint32_t field(uint32_t word, unsigned low, unsigned width, uint32_t value)
{
	uint32_t mask = ((1u << width) - 1) << low;

	return (word & ~mask) | (value << low & mask);
}

static void flag(uint32_t *word, unsigned bit, bool on)
{
	*word = field(*word, bit, 1, on);
}

/* APM 3 E.3.8, SDM 2A CPUID.0BH: level 0 is the thread in its core, level 1 the core. */
static void extended_topology(struct fermata_cpuid_entry *e, unsigned vcpus)
{
	e->eax = e->ebx = e->edx = 0;
	e->ecx = e->subleaf;
	if (e->subleaf == 0) {
		e->ebx = 1;
		e->ecx |= 1u << 8;
	} else if (e->subleaf == 1) {
		e->eax = id_bits(vcpus);
		e->ebx = vcpus;
		e->ecx |= 2u << 8;
	}
}

/* SDM 2A CPUID.04H and APM 3 E.4.15: EAX[7:5] is the cache's level; the third is shared by all. */
static void cache(struct fermata_cpuid_entry *e, unsigned vcpus)
{
	if (e->eax & 0x1f)
		e->eax = field(e->eax, 14, 12, (e->eax >> 5 & 7) >= 3 ? vcpus - 1 : 0);
}

void machine_cpuid_topology(struct fermata_cpuid *cpuid, unsigned vcpus)
{
	uint32_t i;

	for (i = 0; i < cpuid->count; i++) {
		struct fermata_cpuid_entry *e = &cpuid->entry[i];

		switch (e->leaf) {
		case 0x1: /* EBX: initial APIC ID, logical processors; EDX: HTT */
			e->ebx = field(e->ebx, 24, 8, 0);
			e->ebx = field(e->ebx, 16, 8, vcpus);
			flag(&e->edx, 28, vcpus > 1);
			break;
		case 0x4:
			cache(e, vcpus);
			if (e->eax & 0x1f)
				e->eax = field(e->eax, 26, 6, vcpus - 1);
			break;
		case 0xb:
			extended_topology(e, vcpus);
			break;
		case 0x1f: /* the host's dies and modules: the guest uses leaf 0Bh */
		case 0x80000026:
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		case 0x80000001: /* ECX: CmpLegacy */
			flag(&e->ecx, 1, vcpus > 1);
			break;
		case 0x80000008: /* ECX: NC, ApicIdSize (APM 3 E.4.7) */
			e->ecx = field(e->ecx, 0, 8, vcpus - 1);
			e->ecx = field(e->ecx, 12, 4, id_bits(vcpus));
			break;
		case 0x8000001d:
			cache(e, vcpus);
			break;
		case 0x8000001e: /* APM 3 E.4.16: extended APIC ID, core, one node */
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		}
	}
}

bool machine_cpuid_has_1g_pages(const struct fermata_cpuid *cpuid)
{
	uint32_t i;

	for (i = 0; i < cpuid->count; i++) {
		if (cpuid->entry[i].leaf == 0x80000001)
			return cpuid->entry[i].edx >> 26 & 1;
	}
	return false;
}
