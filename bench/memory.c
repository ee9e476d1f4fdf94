/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"

#define TABLE 0x23ull /* present, writable, accessed */
#define LARGE 0xe3ull /* ... dirty, 2 MiB */
#define GIB (1ull << 30)
#define CODE_SEGMENT 0x00af9b000000ffffull
#define DATA_SEGMENT 0x00cf93000000ffffull
#define PAGE_FAULT 14

static void put(uint8_t *ram, uint64_t at, uint64_t value)
{
	memcpy(ram + at, &value, sizeof(value));
}

static void page_tables(uint8_t *ram)
{
	put(ram, GUEST_PML4, GUEST_PDPT | TABLE);
	for (uint64_t i = 0; i < 4; i++) {
		put(ram, GUEST_PDPT + i * 8, (GUEST_PD + i * 4096) | TABLE);
		for (uint64_t j = 0; j < 512; j++)
			put(ram, GUEST_PD + i * 4096 + j * 8, (i * GIB + j * (2 << 20)) | LARGE);
	}
	for (uint64_t i = 0; i < WINDOW_TABLES; i++)
		put(ram, GUEST_PD + GUEST_WINDOW / GIB * 4096 + i * 8,
		    (GUEST_WINDOW_PT + i * 4096) | TABLE);
}

static void descriptors(uint8_t *ram)
{
	uint64_t handler = GUEST_CODE + (guest_page_fault - guest_image);

	put(ram, GUEST_GDT + GUEST_CS, CODE_SEGMENT);
	put(ram, GUEST_GDT + GUEST_DS, DATA_SEGMENT);
	/* An interrupt gate; its offset has bits 15:0 and 31:16 (SDM 3A figure 6-8). */
	put(ram, GUEST_IDT + PAGE_FAULT * 16,
	    (handler >> 16) << 48 | 0x8e00ull << 32 | GUEST_CS << 16 | (handler & 0xffff));
}

static struct region region(uint64_t gpa, uint64_t size, bool present)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("memory", NULL);
	madvise(p, size, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; present && i < size; i += 4096)
		((volatile uint8_t *)p)[i] = 0;
	return (struct region){ gpa, size, p };
}

struct memory *memory_new(bool touch)
{
	struct memory *m = calloc(1, sizeof(*m));
	uint8_t *ram;

	if (!m)
		die("memory", NULL);
	m->region[0] = region(0, GUEST_RAM, true);
	m->regions = 1;
	if (touch) {
		m->region[m->regions++] = region(GUEST_PRESENT, GUEST_TOUCH_SIZE, true);
		m->region[m->regions++] = region(GUEST_ABSENT, GUEST_TOUCH_SIZE, false);
	}
	ram = m->region[0].memory;
	page_tables(ram);
	descriptors(ram);
	memcpy(ram + GUEST_CODE, guest_image, guest_image_end - guest_image);
	return m;
}

void memory_free(struct memory *m)
{
	for (size_t i = 0; i < m->regions; i++)
		munmap(m->region[i].memory, m->region[i].size);
	free(m);
}

void *memory_absent(const struct memory *m)
{
	return m->region[2].memory;
}

const uint64_t *memory_results(const struct memory *m)
{
	return (const uint64_t *)((const uint8_t *)m->region[0].memory + GUEST_RESULTS);
}
