/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The machine a test guest finds: memory, page tables, a processor in 64-bit mode. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runner.h"

#define PAGE_TABLE 0x3ull /* present, writable */
#define PAGE_LARGE 0x83ull

static void put64(uint8_t *ram, uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, sizeof(value));
}

static void page_tables(uint8_t *ram)
{
	put64(ram, GUEST_PML4, GUEST_PDPT | PAGE_TABLE);
	for (uint64_t gib = 0; gib < GUEST_MAPPED_GIB; gib++) {
		uint64_t pd = GUEST_PD + gib * 4096;

		put64(ram, GUEST_PDPT + gib * 8, pd | PAGE_TABLE);
		for (uint64_t i = 0; i < 512; i++)
			put64(ram, pd + i * 8, gib << 30 | i << 21 | PAGE_LARGE);
	}
}

static bool enter_long_mode(struct machine *m, fermata_vcpu *vcpu, uint64_t entry, uint64_t stack)
{
	static const struct fermata_segment code = { .selector = 8, .attrib = 0xa9b, .limit = ~0u };
	static const struct fermata_segment data = { .selector = 16, .attrib = 0xc93, .limit = ~0u };
	struct fermata_state *s = calloc(1, sizeof(*s));
	uint32_t mask = FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS | FERMATA_STATE_CONTROL |
			FERMATA_STATE_PENDING;
	bool good = s && !fermata_state_get(vcpu, s, mask);

	if (good) {
		s->regs.rip = entry;
		s->regs.rflags = 2;
		s->regs.regs[FERMATA_RSP] = stack;
		s->regs.regs[FERMATA_RDI] = m->run;
		s->regs.regs[FERMATA_RSI] = fermata_tsc_khz(m->vm);
		s->segments.cs = code;
		s->segments.ds = s->segments.es = s->segments.ss = data;
		s->segments.fs = s->segments.gs = data;
		s->control.cr0 = 0x80010033; /* PG WP NE ET MP PE */
		s->control.cr3 = GUEST_PML4;
		s->control.cr4 = 0x620;	 /* OSXMMEXCPT OSFXSR PAE */
		s->control.efer = 0xd01; /* NXE LMA LME SCE */
		s->pending.mp_state = FERMATA_MP_RUNNABLE;
		good = !fermata_state_set(vcpu, s, mask);
	}
	free(s);
	return good;
}

static bool offer_kvmclock(fermata_vm *vm)
{
	struct fermata_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	bool good = cpuid && !fermata_cpuid_supported(cpuid) && !fermata_cpuid_kvmclock(cpuid) &&
		    !fermata_cpuid_set(vm, cpuid);

	free(cpuid);
	return good;
}

bool machine_make(struct machine *m, const uint8_t *image, size_t size)
{
	uint32_t vcpus = m->header->vcpus ? m->header->vcpus : 1;

	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->device_lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	m->vm = fermata_vm_new_flags(vm_flags);
	m->ram = fermata_memory_alloc(RAM_SIZE);
	m->rom = fermata_memory_alloc(ROM_SIZE);
	m->high = fermata_memory_alloc(HIGH_SIZE);
	m->extra = fermata_memory_alloc(EXTRA_SIZE);
	if (!m->vm || !m->ram || !m->rom || !m->high || !m->extra || vcpus > MAX_VCPUS)
		return false;
	page_tables(m->ram);
	memcpy(m->ram + GUEST_LOAD, image, size);
	for (uint32_t i = 0; i < ROM_SIZE; i++)
		m->rom[i] = ROM_BYTE(i);
	if (fermata_map(m->vm, SLOT_RAM, 0, RAM_SIZE, m->ram, 0) ||
	    fermata_map(m->vm, SLOT_ROM, ROM_BASE, ROM_SIZE, m->rom, FERMATA_MEMORY_READONLY) ||
	    fermata_map(m->vm, SLOT_HIGH, HIGH_BASE, HIGH_SIZE, m->high, 0))
		return false;
	if (m->header->flags & GUEST_KVMCLOCK && !offer_kvmclock(m->vm))
		return false;
	if (m->header->flags & GUEST_RUN_ONLY &&
	    fermata_clock_change(m->vm, &(struct fermata_clock_change){
						.verb = FERMATA_CLOCK_RUN_ONLY_MODE }))
		return false;
	for (uint32_t i = 0; i < vcpus; i++) {
		m->processor[i].machine = m;
		m->processor[i].vcpu = fermata_vcpu_new(m->vm, i);
		if (!m->processor[i].vcpu)
			return false;
	}
	for (uint32_t i = 1; m->header->others && i < vcpus; i++)
		if (!enter_long_mode(m, m->processor[i].vcpu, m->header->others,
				     GUEST_STACK - i * GUEST_OTHER_STACK))
			return false;
	return clocks_make(m) &&
	       enter_long_mode(m, m->processor[0].vcpu, m->header->entry, GUEST_STACK);
}

void machine_free(struct machine *m)
{
	clocks_free(m);
	fermata_vm_free(m->vm);
	fermata_memory_free(m->ram, RAM_SIZE);
	fermata_memory_free(m->rom, ROM_SIZE);
	fermata_memory_free(m->high, HIGH_SIZE);
	fermata_memory_free(m->extra, EXTRA_SIZE);
	for (uint32_t i = 0; i < MAX_VCPUS; i++) {
		free(m->processor[i].report);
		free(m->processor[i].why);
	}
	free(m);
}
